// The server's side of the exchange: which reply is for whom.
#include "protocol/server_side.hpp"

namespace pg_edge::protocol {

server_step server_side::run() {
  s_.begun_unasked = false;
  while (!stop_) {
    if (s_.frame_left != 0 && !pass_rest()) break;
    if (step_.consumed < in_.size() && in_[step_.consumed] == 'D') pass_rows();
    const bytes_view rest = in_.substr(step_.consumed);
    if (rest.empty()) break;
    frame_header header;
    const header_status status = read_header(rest, header);
    if (status == header_status::need_more)
      need_more();
    else if (status == header_status::invalid)
      broken("invalid message length");
    else if (s_.rules != nullptr && header.total() > s_.rules->max_message)
      broken("message longer than max_packet_size");
    else
      message(header, rest);
  }
  step_.drained = s_.owed.empty();
  return std::move(step_);
}

// -- moving bytes
// ------------------------------------------------------------------------------------------------------
/// Returns whether the present message has ended.
bool server_side::pass_rest() {
  const std::size_t n = std::min<std::size_t>(s_.frame_left, in_.size() - step_.consumed);
  if (s_.frame_forward) to_client_.borrow(in_.substr(step_.consumed, n));
  step_.consumed += n;
  s_.frame_left -= static_cast<std::uint32_t>(n);
  if (s_.frame_left != 0) return false;
  if (s_.pop_after_frame) {
    s_.pop_after_frame = false;
    pop();
  }
  return true;
}

/// Rows that are all here, in one go: most of what a server sends, and nothing changes with them. What is not as it
/// should be is left to message().
void server_side::pass_rows() {
  const char* const begin = in_.data() + step_.consumed;
  const char* const end = in_.data() + in_.size();
  if (c_ == nullptr || s_.owed.empty() || s_.owed.front().ours || s_.retry.now != batch_retry::stage::off ||
      !s_.retry.held.empty())
    return;
  const std::size_t longest =
      s_.rules != nullptr ? std::min<std::size_t>(s_.rules->max_message, max_frame_length + 1) : max_frame_length + 1;
  const char* at = begin;
  while (static_cast<std::size_t>(end - at) >= frame_header_size && *at == 'D') {
    const std::uint32_t length = load_u32(at + 1);
    const std::size_t total = std::size_t{length} + 1;
    if (length < min_frame_length || total > longest || static_cast<std::size_t>(end - at) < total) break;
    at += total;
  }
  const auto size = static_cast<std::size_t>(at - begin);
  to_client_.borrow({begin, size});
  step_.consumed += size;
}

void server_side::send_on(const frame_header& header, bool visible) {
  if (visible) client_sees_batch();
  s_.frame_left = static_cast<std::uint32_t>(header.total());
  s_.frame_forward = visible && c_ != nullptr;
  pass_rest();
}

/// The client has seen something of the batch: it cannot be sent again.
void server_side::client_sees_batch() {
  s_.retry.now = batch_retry::stage::off;
  if (s_.retry.held.empty()) return;
  if (c_ != nullptr) to_client_.copy(s_.retry.held);
  s_.retry.held.clear();
}

void server_side::broken(std::string why) {
  step_.broken = true;
  step_.reason = std::move(why);
  stop_ = true;
}

bool server_side::whole(const frame_header& header, bytes_view rest) {
  if (rest.size() >= header.total()) return true;
  if (header.total() > small_reply_limit)
    broken("a message of type '" + std::string(1, header.type) + "' of " + std::to_string(header.total()) + " bytes");
  else
    need_more();
  return false;
}

bytes_view server_side::body_of(const frame_header& header, bytes_view rest) {
  return rest.substr(frame_header_size, header.body());
}

// -- replies that are owed
// ---------------------------------------------------------------------------------------------
void server_side::unasked(char type) {
  broken("a message of type '" + std::string(1, type) + "' that nothing asked for");
}

void server_side::pop() {
  s_.owed.pop();
  if (!s_.owed.empty() && is_local(s_.owed.front().kind)) answer_local();
}

/// Replies of the pooler's own go out as soon as all before them have.
void server_side::answer_local() {
  while (!s_.owed.empty() && is_local(s_.owed.front().kind)) {
    if (c_ != nullptr)
      to_client_.copy(s_.owed.front().kind == reply_kind::local_parse ? parse_complete_bytes : close_complete_bytes);
    s_.owed.pop();
  }
}

// -- dispatch
// ----------------------------------------------------------------------------------------------------------
void server_side::message(const frame_header& header, bytes_view rest) {
  switch (header.type) {
  case 'D':
  case 'd':
    return data(header);
  case 'Z':
    return ready_for_query(header, rest);
  case 'C':
    return command_complete(header, rest);
  case 'T':
    return row_description(header);
  case '1':
    return parse_complete(header);
  case '2':
    return bind_complete(header);
  case '3':
    return close_complete(header);
  case 't':
    return parameter_description(header, rest);
  case 'n':
    return no_data(header);
  case 's':
    return reply(header, {reply_kind::execute}, true);
  case 'I':
    return empty_query(header);
  case 'V':
    return reply(header, {reply_kind::function_call}, false);
  case 'G':
    return copy_in(header);
  case 'H':
    return reply(header, {reply_kind::query, reply_kind::execute}, false);
  case 'W':
    s_.copy_both = true;
    return reply(header, {reply_kind::query, reply_kind::execute}, false);
  case 'c':
    return send_on(header, visible());
  case 'E':
    return error(header, rest);
  case 'N':
    note_last_words(header, rest);
    return send_on(header, visible());
  case 'A':
    return send_on(header, true);
  case 'S':
    return parameter_status(header, rest);
  default:
    return broken("unexpected message type '" + std::string(1, header.type) + "'");
  }
}

void server_side::reply(const frame_header& header, std::initializer_list<reply_kind> kinds, bool done) {
  if (!expects(kinds, header.type)) return;
  s_.pop_after_frame = done;
  send_on(header, visible());
}

void server_side::data(const frame_header& header) {
  if (s_.owed.empty() && !s_.copy_both) return broken("data that nothing asked for");
  send_on(header, visible());
}

void server_side::row_description(const frame_header& header) {
  if (!expects({reply_kind::query, reply_kind::describe}, header.type)) return;
  s_.pop_after_frame = s_.owed.front().kind == reply_kind::describe;
  note_validated(s_.owed.front());
  send_on(header, visible());
}

/// Postgres sends it before it looks whether the plan is stale, so it is held back while the batch may be sent again.
void server_side::parameter_description(const frame_header& header, bytes_view rest) {
  if (!expects({reply_kind::describe}, header.type)) return;
  const bool hold = s_.retry.now != batch_retry::stage::off && header.total() <= retry_limit;
  if (!hold) return send_on(header, visible());
  if (rest.size() < header.total()) return need_more();
  s_.retry.held.assign(rest.substr(0, header.total()));
  send_on(header, false);
}

void server_side::no_data(const frame_header& header) {
  if (!expects({reply_kind::describe}, header.type)) return;
  note_validated(s_.owed.front());
  reply(header, {reply_kind::describe}, true);
}

void server_side::empty_query(const frame_header& header) {
  if (!expects({reply_kind::query, reply_kind::execute}, header.type)) return;
  s_.pop_after_frame = s_.owed.front().kind == reply_kind::execute;
  send_on(header, visible());
}

// -- statements
// --------------------------------------------------------------------------------------------------------
void server_side::note_validated(const owed_reply& reply) {
  if (!reply.subject) return;
  if (server_statements::entry* entry = s_.statements.find(*reply.subject))
    entry->validated_at = std::max(entry->validated_at, reply.epoch);
}

void server_side::parse_complete(const frame_header& header) {
  if (!expects({reply_kind::parse}, header.type)) return;
  confirm(s_.owed.front());
  reply(header, {reply_kind::parse}, true);
}

void server_side::close_complete(const frame_header& header) {
  if (!expects({reply_kind::close}, header.type)) return;
  if (!s_.owed.front().subject) confirm(s_.owed.front());
  reply(header, {reply_kind::close}, true);
}

void server_side::confirm(const owed_reply& reply) {
  if (!reply.subject) {
    const bool unnamed = reply.epoch != 0 && reply.epoch == s_.unnamed_generation;
    if (unnamed && reply.batch == s_.unnamed_batch) s_.unnamed_batch = 0;
    return;
  }
  reply.subject->verified = true;
  server_statements::entry* entry = s_.statements.find(*reply.subject);
  if (entry != nullptr && entry->serial == reply.serial) entry->batch = 0;
}

void server_side::bind_complete(const frame_header& header) {
  if (!expects({reply_kind::bind}, header.type)) return;
  note_validated(s_.owed.front());
  reply(header, {reply_kind::bind}, true);
}

// -- COPY
// --------------------------------------------------------------------------------------------------------------
void server_side::copy_in(const frame_header& header) {
  if (!expects({reply_kind::query, reply_kind::execute}, header.type)) return;
  const std::size_t owed_before = s_.owed.size();
  forget_ignored_syncs();
  if (s_.owed.front().copy_ends > 0) {
    --s_.owed.front().copy_ends; // the client knew it was a COPY and has sent everything already ...
    const bool between_messages = c_ == nullptr || c_->frame_left == 0; // in the midst of one it does not wait yet
    if (between_messages && s_.owed.size() < owed_before && !s_.owed.back().flushes()) // ... and may wait for an answer
      to_server_.write([&](bytes& own) { append(own, protocol::flush{}); });
  } else {
    s_.copy_in = true;
  }
  send_on(header, visible());
}

/// The server ignores a Sync that it reads while it takes CopyData: libpq sends one behind every Execute and another
/// behind CopyDone. Should the COPY fail, it is not known whether the server had read the Sync by then.
void server_side::forget_ignored_syncs() {
  while (s_.owed.size() > 1 && s_.owed.at(1).kind == reply_kind::sync && !s_.owed.at(1).after_copy_end) {
    s_.owed.erase(1);
    s_.stray = stray_sync::possible;
    if (c_ != nullptr && s_.owed.front().kind == reply_kind::execute) c_->in_batch = true;
  }
}

/// A COPY has failed behind a Sync that was held to be ignored. Its ReadyForQuery, if it comes, must not be taken for
/// an answer to the next client: what is sent behind the last Sync tells.
void server_side::settle_stray_sync() {
  if (s_.stray != stray_sync::possible || s_.owed.empty()) return;
  if (s_.owed.size() == 1 && (c_ == nullptr || c_->frame_left == 0)) return probe_stray_sync(s_, to_server_);
  s_.dirt.library = true; // more is on its way already: the server is closed when it comes back
  s_.stray = stray_sync::none;
}

server_step from_server(server_session& server, client_session* client, bytes_view in, gather& to_client,
                        gather& to_server) {
  server_step result = server_side(server, client, in, to_client, to_server).run();
  if constexpr (counting)
    if (server.rules != nullptr) server.rules->counts->server_bytes += result.consumed;
  return result;
}

bool releasable(const server_session& server, const client_session& client) {
#ifdef PG_EDGE_DELIBERATE_BUG
  return server.owed.empty() && client.frame_left == 0; // handed on in the midst of transactions: tests must notice
#else
  return server.settled() && server.transaction_status == 'I' && !client.in_batch && client.frame_left == 0 &&
         !server.pinned();
#endif
}

void ask(server_session& server, std::string_view sql, gather& to_server) {
  to_server.write([&](bytes& own) { append(own, protocol::query{sql}); });
  server.own_error.clear();
  server.unnamed_client = 0;
  server.owed.push(reply_kind::query, true);
  std::string lower(sql);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  server.own_resets_all = lower.find("reset all") != std::string::npos;
}

std::string restoring_sql(server_session& server, const client_session& client) {
  if (server.values == client.values && server.profile == client.profile) return {};
  std::string sql = restore_sql(server.values.get(), server.profile.get(), client.values.get(), client.profile.get());
  if (sql.empty()) { // the same, said twice: say it once, so that the next comparison is of two pointers
    server.values = client.values;
    server.profile = client.profile;
  }
  return sql;
}

void note_restored(server_session& server, client_session& client) {
  server.profile = client.profile;
  if (client.values && server.values && *server.values == *client.values)
    server.values = client.values;
  else
    client.values = server.values;
}

std::optional<std::string> resetting_sql(const server_session& server, std::string_view reset_query, bool always) {
  if (server.dirt.library) return std::nullopt;
  if (!server.dirt.any() && !always) return std::string();
  if (reset_query.empty()) return server.dirt.any() && !always ? std::optional<std::string>() : std::string();
  const bool only_settings = !server.dirt.prepared && !server.dirt.listening && !server.dirt.other;
  if (!always && only_settings && reset_query == "DISCARD ALL")
    return "SET SESSION AUTHORIZATION DEFAULT;RESET ALL"; // keeps the prepared statements
  return std::string(reset_query);
}

void note_reset(server_session& server) {
  server.dirt = {};
}

} // namespace pg_edge::protocol
