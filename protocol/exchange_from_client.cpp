// The client's side of the exchange: one member function a message.
#include "protocol/client_side.hpp"
#include "protocol/messages.hpp"

#include <array>

namespace pg_edge::protocol {

client_step client_side::run() {
  while (true) {
    if (c_.frame_left != 0) pass_rest();
    const bytes_view rest = in_.substr(at_);
    frame_header header;
    const header_status status = rest.empty() ? header_status::need_more : read_header(rest, header);
    if (status == header_status::need_more) return {at_, client_verdict::more, {}};
    const client_verdict verdict = right_header(header, status) ? message(header, rest) : wrong_header(header, status);
    if (stop_) return {at_, verdict, std::move(why_)};
  }
}

// -- results of a message: the next one, or one of the reasons to stop
// -------------------------------------------------
client_verdict client_side::stop(client_verdict why) {
  stop_ = true;
  return why;
}

/// Until the server owes nothing; it must not keep its answers until a Sync that comes later.
client_verdict client_side::wait() {
  if (s_->copy_in && !s_->owed.back().ours) end_copy_or_pass();
  if (!s_->owed.back().flushes()) write_message(to_server_, 'H', {});
  return stop(client_verdict::wait);
}

/// The connection ends with this message. What was sent before it is answered first, as by Postgres, unless the server
/// waits for more itself.
client_verdict client_side::broken(refusal why) {
  if (s_ != nullptr && !s_->owed.empty() && !s_->copy_in && !s_->copy_both) return wait();
  why_ = std::move(why);
  return stop(client_verdict::broken);
}

/// The server waits for more of a COPY itself, so to wait for its answer could be for ever. What is sent here ends such
/// a COPY in Postgres's own way, and is harmless if the COPY has failed already.
void client_side::end_copy_or_pass() {
  const bool simple = s_->owed.front().kind == reply_kind::query;
  write_message(to_server_, 'C', {"S", statement_prefix, nul});
  owe(reply_kind::close, true);
  if (!simple) return;
  write_message(to_server_, 'S', {});
  owe(reply_kind::sync, true);
  s_->batch++;
}

// -- moving bytes
// ------------------------------------------------------------------------------------------------------
void client_side::pass_rest() {
  const std::size_t n = std::min<std::size_t>(c_.frame_left, in_.size() - at_);
  if (c_.frame_forward) to_server_.borrow(in_.substr(at_, n));
  at_ += n;
  c_.frame_left -= static_cast<std::uint32_t>(n);
}

/// The message goes to the server as it is, however much of it is here.
client_verdict client_side::forward(const frame_header& header) {
  c_.frame_left = static_cast<std::uint32_t>(header.total());
  c_.frame_forward = true;
  pass_rest();
  return next();
}

client_verdict client_side::swallow(const frame_header& header) {
  c_.frame_left = static_cast<std::uint32_t>(header.total());
  c_.frame_forward = false;
  pass_rest();
  return next();
}

owed_reply& client_side::owe(reply_kind kind, bool ours) {
  owed_reply& made = s_->owed.push(kind, ours);
  made.batch = s_->batch;
  made.after_stray_sync = s_->copy_in && s_->stray_behind_data;
  s_->used_batch = s_->batch;
  return made;
}

// -- dispatch
// ----------------------------------------------------------------------------------------------------------
client_verdict client_side::message(const frame_header& header, bytes_view rest) {
  if (c_.skip_until_sync) return skipped(header);
  if (s_ == nullptr) return without_server(header, rest);
  if (s_->retry.now == batch_retry::stage::off) return with_server(header, rest);
  return recorded(header, rest);
}

/// An error was answered here: everything up to Sync belongs to what failed.
client_verdict client_side::skipped(const frame_header& header) {
  if (header.type == 'X') return stop(client_verdict::terminate);
  if (header.type == 'S') {
    c_.skip_until_sync = false;
    ++c_.batch;
    c_.in_batch = false;
    to_client_.copy(ready_idle_bytes);
  }
  return swallow(header);
}

/// What can be answered while the client has no server: nothing was begun, so the status is idle.
client_verdict client_side::without_server(const frame_header& header, bytes_view rest) {
  const bool malformed = (header.type == 'S' || header.type == 'H') && header.body() != 0;
  if (malformed) return stop(client_verdict::need_server); // for an error at its place
  switch (header.type) {
  case 'X':
    return stop(client_verdict::terminate);
  case 'd': // CopyData and its ends that come too late for a COPY that failed
  case 'c':
  case 'f':
  case 'H':
    return swallow(header);
  case 'S':
    ++c_.batch;
    c_.in_batch = false;
    to_client_.copy(ready_idle_bytes);
    return swallow(header);
  case 'C':
    return sharing() ? close_without_server(header, rest) : stop(client_verdict::need_server);
  case 'P':
    return sharing() ? parse_without_server(header, rest) : stop(client_verdict::need_server);
  case 'Q':
  case 'B':
  case 'D':
  case 'E':
  case 'F': // half of one takes no server from others; only what is large begins before all of it is here
    if (rest.size() < std::min(header.total(), whole_query_limit)) return more();
    return stop(client_verdict::need_server);
  default:
    return next(); // wrong_header lets no other in
  }
}

client_verdict client_side::with_server(const frame_header& header, bytes_view rest) {
  if (too_far_ahead() && header.type != 'X') return wait();
  if (reset_unsettled() && std::string_view("dcfHX").find(header.type) == std::string_view::npos) return wait();
  if (s_->skipping && header.type != 'S' && header.type != 'X') return swallow(header); // the server would ignore it
  if (!s_->refused_name.empty() && s_->batch != s_->refused_batch && (is_extended(header.type) || header.type == 'Q'))
    close_refused();
  switch (header.type) {
  case 'Q':
    return query(header, rest);
  case 'P':
    return parse(header, rest);
  case 'B':
    return bind(header, rest);
  case 'D':
    return describe(header, rest);
  case 'E':
    return execute(header, rest);
  case 'C':
    return close(header, rest);
  case 'S':
    return sync(header);
  case 'H':
    if (header.body() != 0 && s_->copy_in) return swallow(header); // Postgres passes over it
    if (header.body() != 0) return refuse_on_server(header, {error_code::invalid_message_format, {"Flush"}});
    return forward(header);
  case 'F':
    owe(reply_kind::function_call);
    s_->batch++;
    c_.in_batch = false;
    return forward(header);
  case 'd':
  case 'c':
  case 'f':
    return copy(header);
  case 'X':
    return stop(client_verdict::terminate);
  default:
    return next(); // wrong_header lets no other in
  }
}

bool client_side::too_far_ahead() const {
  if (s_->owed.empty()) return false;
  return s_->stray == stray_sync::probed || s_->retry.now == batch_retry::stage::failed ||
         s_->owed.size() >= owed_limit || s_->owed.kept_bytes() >= owed_bytes_limit ||
         to_server_.size() > in_.size() + own_bytes_limit;
}

namespace {

/// Of message types: whether clients send them, and whether they hold only names or numbers.
enum type_sort : std::uint8_t { unknown_type, any_length, small_type };

constexpr std::array<std::uint8_t, 256> sorts_of_types() {
  std::array<std::uint8_t, 256> sorts{};
  for (const char type : std::string_view("QPBFd"))
    sorts[static_cast<unsigned char>(type)] = any_length;
  for (const char type : std::string_view("EDCSHXcf"))
    sorts[static_cast<unsigned char>(type)] = small_type;
  return sorts;
}

constexpr auto type_sorts = sorts_of_types();

} // namespace

/// Like Postgres: first the type, then whether a message of that type can be so long. Postgres 14 and newer closes the
/// connection when a message that holds only names or numbers states more; an older server must not be given it either,
/// since it would have to be kept until the names are read.
bool client_side::right_header(const frame_header& header, header_status status) const {
  const auto sort = type_sorts[static_cast<unsigned char>(header.type)];
  return sort != unknown_type && status == header_status::ok && header.total() <= c_.rules->max_message &&
         (sort != small_type || header.length <= max_small_frame_length);
}

client_verdict client_side::wrong_header(const frame_header& header, header_status status) {
  const auto type = static_cast<unsigned char>(header.type);
  const auto sort = type_sorts[type];
  if (sort == unknown_type) {
    if (s_ == nullptr || !s_->copy_in) return broken({error_code::invalid_message_type, {std::to_string(type)}});
    constexpr std::string_view digits = "0123456789ABCDEF";
    return broken({error_code::unexpected_in_copy, {{digits[type / 16], digits[type % 16]}}});
  }
  const bool too_long = sort == small_type && header.length > max_small_frame_length;
  if (status == header_status::invalid || too_long)
    return broken(
        {error_code::invalid_message_length, {std::string(frontend_name(header.type)), std::to_string(header.length)}});
  return broken(
      {error_code::message_too_long, {std::to_string(header.total()), std::to_string(c_.rules->max_message)}});
}

// -- simple query
// ------------------------------------------------------------------------------------------------------
client_verdict client_side::query(const frame_header& header, bytes_view rest) {
  const bool whole = header.total() <= whole_query_limit;
  const std::size_t seen = std::min(header.total(), whole_query_limit);
  if (rest.size() < seen) return more();
  text_effects_ptr effects;
  if (sharing() || c_.custom_startup) {
    const std::string_view sql = text_of(rest.substr(0, seen));
    if (!whole || look(sql).interesting) {
      const scan_result scanned = scan(sql, !whole, standard_strings());
      if (sharing() && whole && scanned.complete && names_statements(scanned))
        return query_with_names(header, sql, scanned);
      effects = effects_of(sql, !whole, standard_strings());
    }
  }
  begin_query(std::move(effects));
  return forward(header);
}

std::string_view client_side::text_of(bytes_view message) {
  std::string_view sql = message.substr(frame_header_size);
  return sql.substr(0, sql.find('\0'));
}

void client_side::begin_query(text_effects_ptr effects) {
  if (effects && effects->leaves_state) s_->dirt.other = true;
  const bool may_be_skipped = sharing() && c_.extras && !s_->owed.empty() && !s_->owed.back().flushes();
  std::unique_ptr<map_undo> undo = may_be_skipped ? undo_unnamed(*c_.extras) : nullptr;
  s_->unnamed_client = 0; // a simple query destroys the unnamed statement
  forget_unnamed();
  if (undo) {
    c_.extras->unnamed_generation = next_parse_epoch();
    owe_unnamed(reply_kind::query, std::move(undo));
  } else {
    owe(reply_kind::query);
  }
  note_effects(s_->owed.back(), std::move(effects));
  c_.in_batch = false; // a simple query ends what extended messages have begun
  s_->batch++;
}

client_verdict client_side::query_with_names(const frame_header& header, std::string_view sql,
                                             const scan_result& scanned) {
  if (!s_->owed.empty()) return wait(); // a PREPARE may still be on its way to success or failure
  const rewritten_sql now = rewrite(sql, scanned);
  if (now.injected) {
    write_message(to_server_, 'S', {});
    owe(reply_kind::sync, true);
    s_->batch++;
  }
  write_message(to_server_, 'Q', {now.sql, nul});
  begin_query(now.effects);
  return swallow(header);
}

// -- Sync and COPY
// -----------------------------------------------------------------------------------------------------
client_verdict client_side::sync(const frame_header& header) {
  const bool behind_another =
      s_->owed.size() > 1;              // which would have ended the COPY, and the connection, if it still ran
  if (s_->copy_in && !behind_another) { // the server ignores it, unless the COPY has failed already
    if (s_->owed.empty() || s_->owed.front().kind != reply_kind::execute) return swallow(header);
    s_->stray = stray_sync::possible;
    s_->stray_behind_data = true;
    return forward(header);
  }
  const owed_reply* command = last_command();
  const bool after_copy_end = command != nullptr && command->copy_ends > 0;
  const bool probe = s_->skipping && s_->stray == stray_sync::possible;
  if (header.body() != 0 && !s_->skipping) owe_refusal({error_code::invalid_message_format, {"Sync"}});
  ++c_.batch;
  c_.in_batch = false;
  s_->skipping = false;
  owe(reply_kind::sync).after_copy_end = after_copy_end;
  s_->batch++;
  if (header.body() != 0) write_message(to_server_, 'S', {});
  const client_verdict verdict = header.body() == 0 ? forward(header) : swallow(header);
  if (probe) probe_stray_sync(*s_, to_server_);
  return verdict;
}

/// The command a CopyDone or a Sync directly behind it belongs to.
owed_reply* client_side::last_command() {
  for (std::size_t i = s_->owed.size(), steps = 0; i > 0 && steps < 3; --i, ++steps) {
    owed_reply& reply = s_->owed.at(i - 1);
    if (reply.kind == reply_kind::query || reply.kind == reply_kind::execute) return &reply;
  }
  return nullptr;
}

client_verdict client_side::copy(const frame_header& header) {
  if (!s_->copy_in && !s_->copy_both && s_->owed.empty()) return swallow(header); // what is late for a COPY that failed
  s_->stray_behind_data = false;
  if (header.type != 'd') {
    owed_reply* command = last_command();
    if (s_->copy_in)
      s_->copy_in = false;
    else if (!s_->copy_both && command != nullptr)
      ++command->copy_ends;
  }
  return forward(header);
}

void probe_stray_sync(server_session& server, gather& to_server) {
  write_message(to_server, 'C', {"S", statement_prefix, nul});
  server.owed.push(reply_kind::close, true).batch = server.batch;
  write_message(to_server, 'S', {});
  server.owed.push(reply_kind::sync, true).batch = server.batch;
  ++server.batch;
  server.stray = stray_sync::probed;
}

client_step from_client(client_session& client, server_session* server, bytes_view in, gather& to_server,
                        gather& to_client) {
  client_step result = client_side(client, server, in, to_server, to_client).run();
  if constexpr (counting) client.rules->counts->client_bytes += result.consumed;
  return result;
}

bool begins_with_query(const client_session& client, bytes_view in) {
  if (client.frame_left != 0 || client.skip_until_sync || in.size() < frame_header_size + 1) return false;
  if (in[0] != 'Q' && (in[0] != 'P' || in[frame_header_size] != '\0')) return false;
  frame_header header;
  if (read_header(in, header) != header_status::ok || header.body() == 0) return false;
  return header.total() <= in.size() && header.total() <= client.rules->max_message;
}

std::size_t refuse_next(client_session& client, bytes_view in, bytes_view error, gather& to_client) {
  frame_header header;
  if (read_header(in, header) != header_status::ok) return 0;
  to_client.copy(error);
  if (is_extended(header.type) || header.type == 'H') {
    client.skip_until_sync = true;
  } else {
    client.in_batch = false;
    to_client.copy(ready_idle_bytes);
  }
  client.frame_left = static_cast<std::uint32_t>(header.total());
  client.frame_forward = false;
  const std::size_t used = std::min(in.size(), header.total());
  client.frame_left -= static_cast<std::uint32_t>(used);
  return used;
}

} // namespace pg_edge::protocol
