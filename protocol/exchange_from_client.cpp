// The client's side of the exchange: one member function a message.
#include "protocol/exchange.hpp"
#include "protocol/frame.hpp"

#include <algorithm>

namespace pg_edge::protocol {

namespace {

constexpr bytes_view parse_complete_bytes{"1\0\0\0\4", 5};
constexpr bytes_view close_complete_bytes{"3\0\0\0\4", 5};
constexpr bytes_view ready_idle_bytes{"Z\0\0\0\5I", 6};

/// The messages that may stand between two Syncs and are answered only in a batch.
bool is_extended(char type) {
  return type == 'P' || type == 'B' || type == 'D' || type == 'E' || type == 'C';
}

/// Writes a message of `type` whose body is the parts, one behind the other.
void write_message(gather& out, char type, std::initializer_list<bytes_view> parts) {
  out.write([&](bytes& own) {
    std::size_t size = 4;
    for (const bytes_view part : parts)
      size += part.size();
    put_u8(own, static_cast<std::uint8_t>(type));
    put_u32(own, static_cast<std::uint32_t>(size));
    for (const bytes_view part : parts)
      put_bytes(own, part);
  });
}

/// A text that changes what names of prepared statements mean.
bool changes_names(const text_effects& effects) {
  return std::any_of(effects.list.begin(), effects.list.end(), [](const text_effect& one) {
    return one.kind == statement_kind::prepare || one.kind == statement_kind::deallocate ||
           one.kind == statement_kind::deallocate_all || one.kind == statement_kind::discard_all;
  });
}

/// A text behind which the client's start-up values have to be set again.
bool resets_parameters(const text_effects& effects) {
  return std::any_of(effects.list.begin(), effects.list.end(), [](const text_effect& one) {
    return one.kind == statement_kind::reset || one.kind == statement_kind::reset_all ||
           one.kind == statement_kind::discard_all || one.to_default;
  });
}

constexpr bytes_view nul{"\0", 1};
constexpr bytes_view no_types{"\0\0", 2};

class client_side {
public:
  client_side(client_session& client, server_session* server, bytes_view in, gather& to_server, gather& to_client)
      : c_(client), s_(server), in_(in), to_server_(to_server), to_client_(to_client) {}

  client_step run() {
    while (true) {
      if (c_.frame_left != 0) pass_rest();
      const bytes_view rest = in_.substr(at_);
      frame_header header;
      switch (rest.empty() ? header_status::need_more : read_header(rest, header)) {
      case header_status::need_more:
        return {at_, client_verdict::more, {}};
      case header_status::invalid:
        return {at_, client_verdict::broken, "invalid message length"};
      case header_status::ok:
        break;
      }
      if (header.total() > c_.rules->max_message)
        return {at_, client_verdict::broken, "message longer than max_packet_size"};
      const client_verdict verdict = message(header, rest);
      if (stop_) return {at_, verdict, std::move(reason_)};
    }
  }

private:
  // -- results of a message: the next one, or one of the reasons to stop
  // ------------------------------------------------

  client_verdict next() { return client_verdict::more; }
  client_verdict stop(client_verdict why, std::string reason = {}) {
    stop_ = true;
    reason_ = std::move(reason);
    return why;
  }
  client_verdict more() { return stop(client_verdict::more); }
  /// Until the server owes nothing; it must not keep its answers until a Sync that comes later.
  client_verdict wait() {
    if (!s_->owed.back().flushes()) write_message(to_server_, 'H', {});
    return stop(client_verdict::wait);
  }

  // -- moving bytes
  // -----------------------------------------------------------------------------------------------------

  void pass_rest() {
    const std::size_t n = std::min<std::size_t>(c_.frame_left, in_.size() - at_);
    if (c_.frame_forward) to_server_.borrow(in_.substr(at_, n));
    at_ += n;
    c_.frame_left -= static_cast<std::uint32_t>(n);
  }

  /// The message goes to the server as it is, however much of it is here.
  client_verdict forward(const frame_header& header) {
    c_.frame_left = static_cast<std::uint32_t>(header.total());
    c_.frame_forward = true;
    pass_rest();
    return next();
  }

  client_verdict swallow(const frame_header& header) {
    c_.frame_left = static_cast<std::uint32_t>(header.total());
    c_.frame_forward = false;
    pass_rest();
    return next();
  }

  owed_reply& owe(reply_kind kind, bool ours = false) {
    owed_reply& made = s_->owed.push(kind, ours);
    made.batch = s_->batch;
    return made;
  }

  bool sharing() const { return c_.rules->share_statements; }
  exchange_counts& counts() { return *c_.rules->counts; }

  // -- dispatch
  // ---------------------------------------------------------------------------------------------------------

  client_verdict message(const frame_header& header, bytes_view rest) {
    if (c_.skip_until_sync) return skipped(header);
    if (s_ == nullptr) return without_server(header, rest);
    if (s_->retry.now == batch_retry::stage::off) return with_server(header, rest);
    return recorded(header, rest);
  }

  /// An error was answered here: everything up to Sync belongs to what failed.
  client_verdict skipped(const frame_header& header) {
    if (header.type == 'X') return stop(client_verdict::terminate);
    if (header.type == 'S') {
      c_.skip_until_sync = false;
      c_.in_batch = false;
      to_client_.copy(ready_idle_bytes);
    }
    return swallow(header);
  }

  /// What can be answered while the client has no server: nothing was begun, so the status is idle.
  client_verdict without_server(const frame_header& header, bytes_view rest) {
    switch (header.type) {
    case 'X':
      return stop(client_verdict::terminate);
    case 'd': // CopyData and its ends that come too late for a COPY that failed
    case 'c':
    case 'f':
    case 'H':
      return swallow(header);
    case 'S':
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
    case 'F':
      return stop(client_verdict::need_server);
    default:
      return invalid_type(header);
    }
  }

  client_verdict with_server(const frame_header& header, bytes_view rest) {
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
      return invalid_type(header);
    }
  }

  bool too_far_ahead() const {
    if (s_->owed.empty()) return false;
    return s_->stray == stray_sync::probed || s_->retry.now == batch_retry::stage::failed ||
           s_->owed.size() >= owed_limit || to_server_.size() > in_.size() + own_bytes_limit;
  }

  client_verdict invalid_type(const frame_header& header) {
    return stop(client_verdict::broken,
                "invalid frontend message type " + std::to_string(static_cast<unsigned char>(header.type)));
  }

  // -- keeping a doubtful batch
  // -----------------------------------------------------------------------------------------

  /// A message while a batch is kept for a second try.
  client_verdict recorded(const frame_header& header, bytes_view rest) {
    batch_retry& retry = s_->retry;
    if (retry.now == batch_retry::stage::complete)
      retry.now = batch_retry::stage::off; // the client goes on without waiting: order would be lost
    if (retry.now == batch_retry::stage::recording && header.total() <= retry_limit && rest.size() < header.total())
      return more(); // it is kept whole
    const std::size_t before = at_;
    const client_verdict verdict = with_server(header, rest);
    if (!stop_ && retry.now == batch_retry::stage::recording) record(header, in_.substr(before, at_ - before));
    return verdict;
  }

  void record(const frame_header& header, bytes_view message) {
    batch_retry& retry = s_->retry;
    const bool in_full = message.size() == header.total() && retry.batch.size() + message.size() <= retry_limit;
    if (header.type == 'E') ++retry.executes;
    if (!in_full || retry.executes > 1 || !(is_extended(header.type) || header.type == 'S' || header.type == 'H')) {
      retry.now = batch_retry::stage::off;
      return;
    }
    retry.batch.append(message);
    if (header.type == 'S') retry.now = batch_retry::stage::complete;
  }

  /// Called behind the bookkeeping of the first message that names a statement an older Parse prepared on this server.
  void start_recording(const statement_ptr& subject, const frame_header& header, bytes_view message) {
    batch_retry& retry = s_->retry;
    retry.now = batch_retry::stage::recording;
    retry.executes = 0;
    retry.batch.clear();
    retry.held.clear();
    retry.subject = subject;
    record(header, message);
  }

  bool doubtful(const client_statement& named) {
    if (s_->retry.now != batch_retry::stage::off || !s_->owed.empty() || s_->transaction_status != 'I') return false;
    const server_statements::entry* entry = s_->statements.find(*named.what);
    return entry != nullptr && entry->validated_at < named.parsed_at;
  }

  // -- statements on the server
  // -----------------------------------------------------------------------------------------

  void write_parse(const statement& what) {
    ++counts().server_parses;
    write_message(to_server_, 'P', {what.server_name, nul, what.text});
  }

  void close_on_server(const statement_ptr& what) {
    write_message(to_server_, 'C', {"S", what->server_name, nul});
    owe(reply_kind::close, true).subject = what;
    s_->statements.erase(*what);
  }

  /// Whether a Close of `what` sent in an earlier batch is unanswered: should that batch fail, the server still has it.
  bool close_unsettled(const statement_ptr& what) const {
    if (s_->owed.renaming() == 0) return false;
    for (std::size_t i = 0; i < s_->owed.size(); ++i) {
      const owed_reply& reply = s_->owed.at(i);
      if (reply.kind == reply_kind::close && reply.ours && reply.subject == what && reply.batch != s_->batch)
        return true;
    }
    return false;
  }

  /// Notes that the server is about to know `what`, and makes room for it.
  void note_prepared(const statement_ptr& what, std::uint64_t epoch) {
    server_statements::entry& entry = s_->statements.add(what);
    entry.batch = s_->batch;
    entry.serial = s_->parse_serial;
    entry.validated_at = epoch;
    while (const statement_ptr oldest =
               s_->statements.evict(std::max<std::size_t>(c_.rules->max_server_statements, 1))) {
      write_message(to_server_, 'C', {"S", oldest->server_name, nul});
      owed_reply& reply = owe(reply_kind::close, true);
      reply.subject = oldest;
      s_->owed.mark_renames(reply);
    }
  }

  /// Whether a message of this batch may name `entry`: confirmed, or sent earlier in this very batch.
  bool usable(const server_statements::entry* entry) const {
    return entry != nullptr && !entry->stale && (entry->batch == 0 || entry->batch == s_->batch);
  }

  /// Makes sure that the server knows `what` when it reads the next message. Returns whether anything was sent.
  bool bring(const statement_ptr& what) {
    server_statements::entry* entry = s_->statements.use(*what);
    if (usable(entry)) return false;
    // One that was sent in an earlier batch and not confirmed may or may not be there; Close never fails.
    if (entry != nullptr || close_unsettled(what)) close_on_server(what);
    if (what->has_sql_types) {
      prepare_by_sql(what);
    } else {
      write_parse(*what);
      owed_reply& reply = owe(reply_kind::parse, true);
      reply.subject = what;
      reply.serial = ++s_->parse_serial;
      reply.epoch = present_parse_epoch();
    }
    note_prepared(what, present_parse_epoch());
    return true;
  }

  /// A plan that was made before this client prepared the statement may be stale in a way the client must not see.
  void distrust(const client_statement& named) {
    if (server_statements::entry* entry = s_->statements.find(*named.what))
      entry->stale |= entry->batch != s_->batch && entry->validated_at < named.parsed_at;
  }

  /// For DEALLOCATE, which needs the name on the server and not the statement, whose tables may be gone.
  bool bring_name(const statement_ptr& what) {
    if (usable(s_->statements.find(*what))) return false;
    close_on_server(what);
    write_message(to_server_, 'P', {what->server_name, nul, nul, no_types});
    owe(reply_kind::parse, true);
    s_->statements.add(what).stale = true;
    return true;
  }

  /// PREPARE with a list of type names has no counterpart in Parse, which wants OIDs.
  void prepare_by_sql(const statement_ptr& what) {
    ++counts().server_parses;
    s_->unnamed_client = 0;
    const std::string sql =
        "PREPARE " + what->server_name + " (" + what->sql_types + ") AS " + std::string(what->query());
    write_message(to_server_, 'P', {nul, sql, nul, no_types});
    write_message(to_server_, 'B', {nul, nul, no_types, no_types, no_types});
    write_message(to_server_, 'E', {nul, bytes_view{"\0\0\0\0", 4}});
    owe(reply_kind::parse, true);
    owe(reply_kind::bind, true);
    owed_reply& reply = owe(reply_kind::execute, true);
    reply.subject = what;
    reply.serial = ++s_->parse_serial;
  }

  client_statement* known(std::string_view name) {
    if (!c_.extras) return nullptr;
    const auto found = c_.extras->statements.find(std::string(name));
    return found == c_.extras->statements.end() ? nullptr : &found->second;
  }

  /// Whether it is open what `name` means to the client: it depends on an answer that is still to come, of an earlier
  /// batch (in the same batch an error skips what comes behind it) or of a DEALLOCATE, PREPARE, DISCARD.
  bool unsettled(std::string_view name) {
    if (s_->owed.renaming() == 0) return false;
    for (std::size_t i = 0; i < s_->owed.size(); ++i) {
      const owed_reply& reply = s_->owed.at(i);
      if (!reply.renames) continue;
      if (reply.effects && changes_names(*reply.effects)) return true;
      if (reply.undo && reply.undo->name == name && reply.batch != s_->batch) return true;
    }
    return false;
  }

  /// The server has the client's unnamed statement from this batch, or will not come to use it.
  bool unnamed_is_of_this_batch() const {
    return s_->unnamed_client == c_.id && s_->unnamed_generation == c_.extras->unnamed_generation &&
           s_->unnamed_batch == s_->batch;
  }

  bool unnamed_unsettled() const {
    if (c_.extras && c_.extras->unnamed_names && !s_->owed.empty() && !unnamed_is_of_this_batch()) return true;
    return c_.extras && s_->unnamed_client == c_.id && s_->unnamed_batch != 0 && s_->unnamed_batch != s_->batch;
  }

  /// Whether the client's start-up values are still to be set again behind a RESET.
  bool reset_unsettled() {
    if (!c_.custom_startup || c_.in_batch || s_->owed.renaming() == 0) return false;
    for (std::size_t i = 0; i < s_->owed.size(); ++i)
      if (s_->owed.at(i).effects && resets_parameters(*s_->owed.at(i).effects)) return true;
    return false;
  }

  void note_effects(owed_reply& reply, text_effects_ptr effects) {
    reply.effects = std::move(effects);
    if (reply.effects && (changes_names(*reply.effects) || (c_.custom_startup && resets_parameters(*reply.effects))))
      s_->owed.mark_renames(reply);
  }

  bool standard_strings() const { return !s_->values || s_->values->get("standard_conforming_strings") != "off"; }

  /// Changes what the client calls `name` and returns how to take that back.
  std::unique_ptr<map_undo> rename(std::string_view name, client_statement now) {
    client_statements& map = c_.more().statements;
    auto undo = std::make_unique<map_undo>();
    undo->name.assign(name);
    if (const auto found = map.find(undo->name); found != map.end()) undo->before = found->second;
    if (now.what)
      map[undo->name] = std::move(now);
    else
      map.erase(undo->name);
    return undo;
  }

  /// A reply the pooler gives itself, at its place among the server's.
  void answer_here(reply_kind kind, std::unique_ptr<map_undo> undo) {
    if (s_ == nullptr || s_->owed.empty())
      to_client_.copy(kind == reply_kind::local_parse ? parse_complete_bytes : close_complete_bytes);
    else
      owe_renaming(kind, std::move(undo));
  }

  owed_reply& owe_renaming(reply_kind kind, std::unique_ptr<map_undo> undo) {
    owed_reply& reply = owe(kind);
    reply.undo = std::move(undo);
    if (reply.undo) s_->owed.mark_renames(reply);
    return reply;
  }

  // -- SQL that names prepared statements
  // -------------------------------------------------------------------------------

  struct rewritten_sql {
    std::string sql;
    text_effects_ptr effects;
    bool injected = false;
  };

  static bool names_statements(const scan_result& scanned) {
    return std::any_of(scanned.statements.begin(), scanned.statements.end(), [](const scanned_statement& one) {
      return one.kind == statement_kind::prepare || one.kind == statement_kind::execute ||
             one.kind == statement_kind::deallocate;
    });
  }

  /// Replaces the names the client gave its statements by the shared ones, and brings those to the server.
  rewritten_sql rewrite(std::string_view sql, const scan_result& scanned) {
    rewritten_sql result;
    auto effects = std::make_shared<text_effects>();
    effects->complete = scanned.complete;
    std::size_t done = 0;
    renamed_names inside;
    for (const scanned_statement& one : scanned.statements) {
      text_effect effect{one.kind, one.name, one.to_default, nullptr};
      effects->leaves_state |= one.leaves_state;
      if (const statement_ptr meant = meant_statement(one, effect, inside, result.injected)) {
        const auto from = static_cast<std::size_t>(one.name_token.data() - sql.data());
        result.sql.append(sql.substr(done, from - done));
        result.sql.append(meant->server_name);
        done = from + one.name_token.size();
      } else if (is_foreign(one)) {
        const auto from = static_cast<std::size_t>(one.name_token.data() - sql.data());
        result.sql.append(sql.substr(done, from - done));
        result.sql.append(quote_identifier(one.name + "?"));
        done = from + one.name_token.size();
      }
      effects->list.push_back(std::move(effect));
    }
    result.sql.append(sql.substr(done));
    result.effects = std::move(effects);
    return result;
  }

  /// A name of the pooler's own that the client did not give to anything: it must not reach the statement.
  static bool is_foreign(const scanned_statement& one) {
    return (one.kind == statement_kind::execute || one.kind == statement_kind::deallocate) &&
           one.name.starts_with(statement_prefix);
  }

  /// What the statements of one query string have done to names before the next of them; null: deallocated.
  using renamed_names = std::unordered_map<std::string, statement_ptr>;

  /// Which shared statement a PREPARE, EXECUTE or DEALLOCATE means; null: none of the client's, leave the text alone.
  statement_ptr meant_statement(const scanned_statement& one, text_effect& effect, renamed_names& inside,
                                bool& injected) {
    if (one.name.empty()) return nullptr; // no such statement, as Postgres will say
    const auto renamed = inside.find(one.name);
    if (renamed != inside.end() && renamed->second) {
      const statement_ptr meant = renamed->second;
      if (one.kind == statement_kind::deallocate) {
        effect.subject = meant;
        renamed->second = nullptr;
      }
      return meant;
    }
    client_statement* named = renamed == inside.end() ? known(one.name) : nullptr;
    if (one.kind == statement_kind::deallocate && named != nullptr) inside[one.name] = nullptr;
    if (one.kind == statement_kind::execute || one.kind == statement_kind::deallocate) {
      if (named == nullptr) return nullptr;
      if (one.kind == statement_kind::deallocate) {
        injected |= bring_name(named->what);
      } else {
        distrust(*named);
        injected |= bring(named->what);
      }
      if (named->what->effects && named->what->effects->leaves_state) s_->dirt.other = true;
      effect.subject = one.kind == statement_kind::deallocate ? named->what : nullptr;
      return named->what;
    }
    if (one.kind != statement_kind::prepare) return nullptr;
    if (named != nullptr) { // the server must find the name in use, as it would be without a pooler
      injected |= bring(named->what);
      return named->what;
    }
    bytes text(one.body);
    text.append(nul).append(no_types);
    const statement_ptr made = c_.rules->cache->intern(text, one.types, !one.types.empty());
    if (s_->statements.find(*made) != nullptr) {
      close_on_server(made);
      injected = true;
    }
    effect.subject = made;
    inside[one.name] = made;
    return made;
  }

  // -- simple query
  // -----------------------------------------------------------------------------------------------------

  client_verdict query(const frame_header& header, bytes_view rest) {
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

  static std::string_view text_of(bytes_view message) {
    std::string_view sql = message.substr(frame_header_size);
    return sql.substr(0, sql.find('\0'));
  }

  void begin_query(text_effects_ptr effects) {
    if (effects && effects->leaves_state) s_->dirt.other = true;
    s_->unnamed_client = 0; // a simple query destroys the unnamed statement
    forget_unnamed();
    note_effects(owe(reply_kind::query), std::move(effects));
    c_.in_batch = false; // a simple query ends what extended messages have begun
    s_->batch++;
  }

  client_verdict query_with_names(const frame_header& header, std::string_view sql, const scan_result& scanned) {
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

  // -- Parse
  // ------------------------------------------------------------------------------------------------------------

  client_verdict parse(const frame_header& header, bytes_view rest) {
    if (!sharing()) {
      c_.in_batch = true;
      owe(reply_kind::parse);
      return forward(header);
    }
    if (rest.size() == frame_header_size && header.body() > 0) return more();
    const bool named = header.body() > 0 && rest[frame_header_size] != '\0';
    return named ? parse_named(header, rest) : parse_unnamed(header, rest);
  }

  client_verdict parse_unnamed(const frame_header& header, bytes_view rest) {
    const bool whole = header.total() <= kept_unnamed_limit;
    if (whole && rest.size() < header.total()) return more();
    // What comes first in its batch is not skipped because of another, whatever becomes of the one before.
    const bool first = s_->owed.empty() || s_->owed.back().flushes();
    if (!first && unnamed_unsettled()) return wait();
    const bytes_view text =
        whole && header.body() > 0 ? rest.substr(frame_header_size + 1, header.body() - 1) : bytes_view{};
    const std::string_view sql = text.substr(0, text.find('\0'));
    const bool interesting = look(sql).interesting;
    const scan_result scanned = interesting ? scan(sql, false, standard_strings()) : scan_result{};
    const bool names = interesting && scanned.complete && names_statements(scanned) && sql.size() < text.size();
    if (names && !s_->owed.empty()) return wait();
    ++counts().client_parses;
    ++counts().server_parses;
    c_.in_batch = true;
    client_extras& extras = c_.more();
    std::unique_ptr<map_undo> undo = first ? nullptr : undo_unnamed(extras);
    extras.unnamed.clear();
    extras.unnamed_effects = nullptr;
    extras.unnamed_names = names;
    extras.unnamed_generation = next_parse_epoch();
    if (text.empty()) {
      owe_unnamed_parse(std::move(undo));
      return forward(header);
    }
    if (interesting) {
      if (names) {
        extras.unnamed.assign(text);
        write_rewritten_unnamed(sql, scanned);
        owe_unnamed_parse(std::move(undo));
        return swallow(header);
      }
      extras.unnamed_effects = effects_of(sql, false, standard_strings());
    }
    extras.unnamed.assign(text);
    owe_unnamed_parse(std::move(undo));
    return forward(header);
  }

  /// `sql` is the client's present unnamed text, or a copy of it.
  void write_rewritten_unnamed(std::string_view sql, const scan_result& scanned) {
    client_extras& extras = *c_.extras;
    const rewritten_sql now = rewrite(sql, scanned);
    extras.unnamed_effects = now.effects;
    write_message(to_server_, 'P', {nul, now.sql, bytes_view(extras.unnamed).substr(extras.unnamed.find('\0'))});
  }

  /// Should the Parse be skipped because of an error before it, the statement before it lives on.
  static std::unique_ptr<map_undo> undo_unnamed(client_extras& extras) {
    auto undo = std::make_unique<map_undo>();
    undo->unnamed = std::move(extras.unnamed);
    undo->unnamed_generation = extras.unnamed_generation;
    undo->unnamed_names = extras.unnamed_names;
    undo->unnamed_effects = extras.unnamed_effects;
    return undo;
  }

  void owe_unnamed_parse(std::unique_ptr<map_undo> undo, bool ours = false) {
    owe_unnamed(reply_kind::parse, std::move(undo), ours);
  }

  void owe_unnamed(reply_kind kind, std::unique_ptr<map_undo> undo, bool ours = false) {
    owed_reply& reply = owe(kind, ours);
    reply.epoch = c_.extras->unnamed_generation;
    reply.undo = std::move(undo);
    s_->unnamed_client = c_.id;
    s_->unnamed_generation = reply.epoch;
    s_->unnamed_batch = s_->batch;
  }

  client_verdict parse_named(const frame_header& header, bytes_view rest) {
    if (header.total() > named_parse_limit) return stop(client_verdict::broken, "prepared statement too large");
    if (rest.size() < header.total()) return more();
    reader body(rest.substr(frame_header_size, header.body()));
    const bytes_view name = body.cstring();
    const bytes_view text = body.rest();
    if (unsettled(name)) return wait();
    ++counts().client_parses;
    c_.in_batch = true;
    if (!body.ok() || text.find('\0') == bytes_view::npos) {
      owe(reply_kind::parse);
      return forward(header); // malformed: the server says so
    }
    if (known(name) != nullptr) return parse_name_in_use(header, name);
    const statement_ptr what = c_.rules->cache->intern(text);
    const std::uint64_t epoch = next_parse_epoch();
    auto undo = rename(name, {what, epoch});
    server_statements::entry* entry = s_->statements.use(*what);
    // Only the server knows whether an earlier batch will have aborted the transaction, in which Parse is refused.
    const bool settled = s_->owed.empty() || s_->owed.front().batch == s_->batch;
    if (usable(entry) && what->verified && settled && s_->transaction_status != 'E') {
      answer_here(reply_kind::local_parse, std::move(undo));
      return swallow(header);
    }
    if (entry != nullptr || close_unsettled(what)) close_on_server(what);
    write_parse(*what);
    owed_reply& reply = owe_renaming(reply_kind::parse, std::move(undo));
    reply.subject = what;
    reply.serial = ++s_->parse_serial;
    reply.epoch = epoch;
    note_prepared(what, epoch);
    return swallow(header);
  }

  /// The server does not know the client's name, so it is given one to refuse: its own words and its own aborted
  /// transaction are what the client must see.
  client_verdict parse_name_in_use(const frame_header& header, bytes_view name) {
    std::string refused(name);
    if (name.starts_with(statement_prefix)) refused.push_back('?'); // not one of the pooler's own
    write_message(to_server_, 'P', {refused, nul, nul, no_types});
    owe(reply_kind::parse, true);
    if (s_->refused_name.empty()) { // of several in a batch the first is refused, and all behind it skipped
      s_->refused_name = refused;
      s_->refused_batch = s_->batch;
    }
    s_->dirt.prepared = true;
    owe(reply_kind::parse);
    return with_server_name(header, {}, refused, frame_header_size + name.size());
  }

  /// Otherwise the client's name would be known on this server when the client has none of that name any more.
  void close_refused() {
    write_message(to_server_, 'C', {"S", s_->refused_name, nul});
    s_->refused_name.clear();
    owe(reply_kind::close, true);
  }

  /// A statement some server has accepted needs none to be known again. Drivers that prepare with a blocking call while
  /// their other connections hold every server would otherwise wait for ever.
  client_verdict parse_without_server(const frame_header& header, bytes_view rest) {
    if (header.body() == 0 || rest.size() == frame_header_size || rest[frame_header_size] == '\0' ||
        header.total() > named_parse_limit)
      return stop(client_verdict::need_server);
    if (rest.size() < header.total()) return more();
    reader body(rest.substr(frame_header_size, header.body()));
    const bytes_view name = body.cstring();
    const bytes_view text = body.rest();
    if (!body.ok() || known(name) != nullptr) return stop(client_verdict::need_server);
    const statement_ptr what = c_.rules->cache->find(text);
    if (!what || !what->verified) return stop(client_verdict::need_server);
    ++counts().client_parses;
    c_.in_batch = true;
    rename(name, {what, next_parse_epoch()});
    answer_here(reply_kind::local_parse, nullptr);
    return swallow(header);
  }

  // -- Bind, Describe, Execute
  // ------------------------------------------------------------------------------------------

  client_verdict bind(const frame_header& header, bytes_view rest) {
    const bytes_view body = rest.substr(frame_header_size, std::min(header.body(), rest.size() - frame_header_size));
    const std::size_t portal_end = body.find('\0');
    const std::size_t name_end = portal_end == bytes_view::npos ? portal_end : body.find('\0', portal_end + 1);
    if (name_end == bytes_view::npos && body.size() < header.body() && body.size() < name_limit) return more();
    // Forwarded as it is, a name that was not looked at could be one of the pooler's own, or another client's.
    if (name_end == bytes_view::npos ? body.size() >= name_limit : name_end >= name_limit)
      return stop(client_verdict::broken, "the names in a Bind message are too long");
    const bool look_at_name = sharing() && name_end != bytes_view::npos;
    const bytes_view name = look_at_name ? body.substr(portal_end + 1, name_end - portal_end - 1) : bytes_view{};
    client_statement* named = look_at_name && !name.empty() ? known(name) : nullptr;
    if (look_at_name && (name.empty() ? unnamed_unsettled() : unsettled(name))) return wait();
    if (named != nullptr && doubtful(*named) && rest.size() < header.total() && header.total() <= retry_limit)
      return more(); // it may have to be kept
    ++counts().binds;
    c_.in_batch = true;
    if (!look_at_name) {
      owe(reply_kind::bind);
      return forward(header);
    }
    const bytes_view portal = body.substr(0, portal_end);
    if (name.empty()) {
      bring_unnamed();
      note_bound(portal, c_.extras ? c_.extras->unnamed_effects : nullptr);
      owe(reply_kind::bind);
      return forward(header);
    }
    if (named == nullptr)
      return with_unknown_name(header, reply_kind::bind, {body.substr(0, portal_end + 1), name},
                               frame_header_size + name_end);
    use_named(*named, header, rest, reply_kind::bind);
    note_bound(portal, named->what->effects);
    return with_server_name(header, body.substr(0, portal_end + 1), named->what->server_name,
                            frame_header_size + name_end);
  }

  /// Of several portals only the one bound last is remembered; without effects, the tag alone tells what was done.
  void note_bound(bytes_view portal, const text_effects_ptr& effects) {
    if (effects && effects->leaves_state) s_->dirt.other = true;
    if (!c_.extras || (!effects && c_.extras->bound_portal != portal)) return;
    c_.extras->bound_effects = effects;
    c_.extras->bound_portal.assign(portal);
  }

  /// Brings the statement and owes the reply; begins to keep the batch when the server's plan may be stale.
  void use_named(const client_statement& named, const frame_header& header, bytes_view rest, reply_kind kind) {
    const bool keep = doubtful(named);
    if (!keep) distrust(named);
    bring(named.what);
    owed_reply& reply = owe(kind);
    reply.subject = named.what;
    reply.epoch = present_parse_epoch();
    if (keep && rest.size() >= header.total()) start_recording(named.what, header, rest.substr(0, header.total()));
  }

  /// Sends the message with the shared name in place of the client's: `before` the name, and what stands behind it in
  /// the message at `name_end`, which streams on.
  client_verdict with_server_name(const frame_header& header, bytes_view before, std::string_view server_name,
                                  std::size_t name_end) {
    const std::size_t behind = header.total() - name_end;
    to_server_.write([&](bytes& own) {
      put_u8(own, static_cast<std::uint8_t>(header.type));
      put_u32(own, static_cast<std::uint32_t>(4 + before.size() + server_name.size() + behind));
      put_bytes(own, before);
      put_bytes(own, server_name);
    });
    at_ += name_end;
    c_.frame_left = static_cast<std::uint32_t>(behind);
    c_.frame_forward = true;
    pass_rest();
    return next();
  }

  /// The server says that it does not know the name, unless the name looks like one of the pooler's own, which it must
  /// not reach.
  client_verdict with_unknown_name(const frame_header& header, reply_kind kind, std::pair<bytes_view, bytes_view> parts,
                                   std::size_t name_end) {
    owe(kind);
    if (!parts.second.starts_with(statement_prefix)) return forward(header);
    return with_server_name(header, parts.first, std::string(parts.second) + "?", name_end);
  }

  /// The unnamed statement follows the client: its text is parsed again where another client's stands.
  void bring_unnamed() {
    client_extras* extras = c_.extras.get();
    const std::uint64_t generation = extras == nullptr ? 0 : extras->unnamed_generation;
    if (generation != 0 && extras->unnamed_names && !unnamed_is_of_this_batch()) {
      ++counts().server_parses;
      const bytes text = extras->unnamed;
      const std::string_view sql(text.c_str());
      write_rewritten_unnamed(sql, scan(sql, false, standard_strings()));
      return owe_unnamed_parse(nullptr, true);
    }
    if (generation != 0 && s_->unnamed_client == c_.id && s_->unnamed_generation == generation) return;
    if (generation != 0 && !extras->unnamed.empty()) {
      ++counts().server_parses;
      write_message(to_server_, 'P', {nul, extras->unnamed});
      return owe_unnamed_parse(nullptr, true);
    }
    // The client has none: whosever the server has, it must not answer.
    write_message(to_server_, 'C', {"S", nul});
    owe(reply_kind::close, true);
    s_->unnamed_client = 0;
  }

  client_verdict describe(const frame_header& header, bytes_view rest) {
    if (header.total() > name_limit) return stop(client_verdict::broken, "the name in a Describe message is too long");
    if (rest.size() < header.total()) return more();
    const bytes_view body = rest.substr(frame_header_size, header.body());
    if (!sharing() || body.size() < 2 || body[0] != 'S') {
      c_.in_batch = true;
      owe(reply_kind::describe);
      return forward(header);
    }
    const std::size_t name_end = body.find('\0');
    const bytes_view name = body.substr(1, name_end == bytes_view::npos ? name_end : name_end - 1);
    if (name.empty() ? unnamed_unsettled() : unsettled(name)) return wait();
    c_.in_batch = true;
    if (name.empty()) {
      bring_unnamed();
      owe(reply_kind::describe);
      return forward(header);
    }
    client_statement* named = known(name);
    if (name_end == bytes_view::npos || named == nullptr)
      return with_unknown_name(header, reply_kind::describe, {body.substr(0, 1), name},
                               frame_header_size + 1 + name.size());
    use_named(*named, header, rest, reply_kind::describe);
    return with_server_name(header, body.substr(0, 1), named->what->server_name, frame_header_size + name_end);
  }

  client_verdict execute(const frame_header& header, bytes_view rest) {
    const bool effects = c_.extras && c_.extras->bound_effects;
    if (effects && header.total() > name_limit)
      return stop(client_verdict::broken, "the name in an Execute message is too long");
    if (effects && rest.size() < header.total()) return more();
    c_.in_batch = true;
    owed_reply& reply = owe(reply_kind::execute);
    const bytes_view body = rest.substr(frame_header_size);
    if (effects && body.substr(0, body.find('\0')) == c_.extras->bound_portal)
      note_effects(reply, c_.extras->bound_effects);
    return forward(header);
  }

  // -- Close
  // ------------------------------------------------------------------------------------------------------------

  client_verdict close(const frame_header& header, bytes_view rest) {
    if (header.total() > name_limit) return stop(client_verdict::broken, "the name in a Close message is too long");
    if (rest.size() < header.total()) return more();
    const bytes_view body = rest.substr(frame_header_size, header.body());
    const bool named = sharing() && body.size() >= 2 && body[0] == 'S' && body.find('\0') == body.size() - 1;
    const bytes_view name = named ? body.substr(1, body.size() - 2) : bytes_view{};
    if (named && (name.empty() ? unnamed_unsettled() : unsettled(name))) return wait();
    c_.in_batch = true;
    if (named) {
      if (known(name) != nullptr) {
        answer_here(reply_kind::local_close, rename(name, {}));
        return swallow(header);
      }
      if (name.empty()) {
        close_unnamed();
        return forward(header);
      }
      if (name.starts_with(statement_prefix)) {
        answer_here(reply_kind::local_close, nullptr); // the pooler's own: not the client's to close
        return swallow(header);
      }
    }
    owe(reply_kind::close);
    return forward(header);
  }

  /// Like a Parse of a statement that is none: it may be skipped too.
  void close_unnamed() {
    client_extras& extras = c_.more();
    const bool first = s_->owed.empty() || s_->owed.back().flushes();
    std::unique_ptr<map_undo> undo = first ? nullptr : undo_unnamed(extras);
    forget_unnamed();
    extras.unnamed_generation = next_parse_epoch();
    owe_unnamed(reply_kind::close, std::move(undo));
  }

  void forget_unnamed() {
    if (!c_.extras) return;
    c_.extras->unnamed.clear();
    c_.extras->unnamed_names = false;
    c_.extras->unnamed_effects = nullptr;
    c_.extras->unnamed_generation = 0;
  }

  /// Outside a transaction there is no portal, and statements are known by the client's list alone.
  client_verdict close_without_server(const frame_header& header, bytes_view rest) {
    if (header.total() > name_limit) return stop(client_verdict::need_server);
    if (rest.size() < header.total()) return more();
    const bytes_view body = rest.substr(frame_header_size, header.body());
    const bool well_formed =
        body.size() >= 2 && (body[0] == 'S' || body[0] == 'P') && body.find('\0') == body.size() - 1;
    if (!well_formed) return stop(client_verdict::need_server);
    c_.in_batch = true;
    if (body[0] == 'S') {
      const bytes_view name = body.substr(1, body.size() - 2);
      if (name.empty())
        forget_unnamed();
      else
        rename(name, {});
    }
    answer_here(reply_kind::local_close, nullptr);
    return swallow(header);
  }

  // -- Sync and COPY
  // ----------------------------------------------------------------------------------------------------

  client_verdict sync(const frame_header& header) {
    if (s_->copy_in) { // the server ignores it, unless the COPY has failed already
      if (s_->owed.empty() || s_->owed.front().kind != reply_kind::execute) return swallow(header);
      s_->stray = stray_sync::possible;
      return forward(header);
    }
    const owed_reply* command = last_command();
    const bool after_copy_end = command != nullptr && command->copy_ends > 0;
    const bool probe = s_->skipping && s_->stray == stray_sync::possible;
    c_.in_batch = false;
    s_->skipping = false;
    owe(reply_kind::sync).after_copy_end = after_copy_end;
    s_->batch++;
    const client_verdict verdict = forward(header);
    if (probe) probe_stray_sync(*s_, to_server_);
    return verdict;
  }

  /// The command a CopyDone or a Sync directly behind it belongs to.
  owed_reply* last_command() {
    for (std::size_t i = s_->owed.size(), steps = 0; i > 0 && steps < 3; --i, ++steps) {
      owed_reply& reply = s_->owed.at(i - 1);
      if (reply.kind == reply_kind::query || reply.kind == reply_kind::execute) return &reply;
    }
    return nullptr;
  }

  client_verdict copy(const frame_header& header) {
    if (!s_->copy_in && !s_->copy_both && s_->owed.empty())
      return swallow(header); // what is late for a COPY that failed
    if (header.type != 'd') {
      owed_reply* command = last_command();
      if (s_->copy_in)
        s_->copy_in = false;
      else if (!s_->copy_both && command != nullptr)
        ++command->copy_ends;
    }
    return forward(header);
  }

  client_session& c_;
  server_session* s_;
  bytes_view in_;
  gather& to_server_;
  gather& to_client_;
  std::size_t at_ = 0;
  bool stop_ = false;
  std::string reason_;
};

} // namespace

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
  client.rules->counts->client_bytes += result.consumed;
  return result;
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
