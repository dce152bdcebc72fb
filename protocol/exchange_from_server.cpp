// The server's side of the exchange: which reply is for whom, and what it changes.
#include "protocol/exchange.hpp"
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"

#include <algorithm>

namespace pg_edge::protocol {

namespace {

constexpr bytes_view parse_complete_bytes{"1\0\0\0\4", 5};
constexpr bytes_view close_complete_bytes{"3\0\0\0\4", 5};

/// An ErrorResponse larger than this is passed on without a look at its fields.
constexpr std::size_t looked_at_error_limit = 64 * 1024;
/// CommandComplete and ParameterStatus are small; a server that says otherwise is not a Postgres server.
constexpr std::size_t small_reply_limit = 1024 * 1024;

bool is_local(reply_kind kind) {
  return kind == reply_kind::local_parse || kind == reply_kind::local_close;
}

/// Postgres has no SQLSTATE of its own for this; the function that raises it is the same in every language.
bool is_stale_plan(bytes_view error_body) {
  return error_field(error_body, 'C') == "0A000" && error_field(error_body, 'R') == "RevalidateCachedQuery";
}

class server_side {
public:
  server_side(server_session& server, client_session* client, bytes_view in, gather& to_client, gather& to_server)
      : s_(server), c_(client), in_(in), to_client_(to_client), to_server_(to_server) {}

  server_step run() {
    while (!stop_) {
      if (s_.frame_left != 0 && !pass_rest()) break;
      const bytes_view rest = in_.substr(step_.consumed);
      frame_header header;
      const header_status status = rest.empty() ? header_status::need_more : read_header(rest, header);
      if (status == header_status::need_more) break;
      if (status == header_status::invalid)
        broken("invalid message length");
      else if (s_.rules != nullptr && header.total() > s_.rules->max_message)
        broken("message longer than max_packet_size");
      else
        message(header, rest);
    }
    step_.drained = s_.owed.empty();
    return std::move(step_);
  }

private:
  // -- moving bytes
  // -----------------------------------------------------------------------------------------------------

  /// Returns whether the present message has ended.
  bool pass_rest() {
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

  void send_on(const frame_header& header, bool visible) {
    if (visible) client_sees_batch();
    s_.frame_left = static_cast<std::uint32_t>(header.total());
    s_.frame_forward = visible && c_ != nullptr;
    pass_rest();
  }

  /// The client has seen something of the batch: it cannot be sent again.
  void client_sees_batch() {
    s_.retry.now = batch_retry::stage::off;
    if (s_.retry.held.empty()) return;
    if (c_ != nullptr) to_client_.copy(s_.retry.held);
    s_.retry.held.clear();
  }

  void broken(std::string why) {
    step_.broken = true;
    step_.reason = std::move(why);
    stop_ = true;
  }

  void need_more() { stop_ = true; }

  bool whole(const frame_header& header, bytes_view rest) {
    if (rest.size() >= header.total()) return true;
    if (header.total() > small_reply_limit)
      broken("a message of type '" + std::string(1, header.type) + "' of " + std::to_string(header.total()) + " bytes");
    else
      need_more();
    return false;
  }

  static bytes_view body_of(const frame_header& header, bytes_view rest) {
    return rest.substr(frame_header_size, header.body());
  }

  // -- replies that are owed
  // ----------------------------------------------------------------------------------------------

  bool visible() { return s_.owed.empty() || !s_.owed.front().ours; }

  bool expects(std::initializer_list<reply_kind> kinds, char type) {
    if (!s_.owed.empty() && std::find(kinds.begin(), kinds.end(), s_.owed.front().kind) != kinds.end()) return true;
    broken("a message of type '" + std::string(1, type) + "' that nothing asked for");
    return false;
  }

  void pop() {
    s_.owed.pop();
    answer_local();
  }

  /// Replies of the pooler's own go out as soon as all before them have.
  void answer_local() {
    while (!s_.owed.empty() && is_local(s_.owed.front().kind)) {
      if (c_ != nullptr)
        to_client_.copy(s_.owed.front().kind == reply_kind::local_parse ? parse_complete_bytes : close_complete_bytes);
      s_.owed.pop();
    }
  }

  // -- dispatch
  // -----------------------------------------------------------------------------------------------------------

  void message(const frame_header& header, bytes_view rest) {
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
      return send_on(header, visible());
    case 'A':
      return send_on(header, true);
    case 'S':
      return parameter_status(header, rest);
    default:
      return broken("unexpected message type '" + std::string(1, header.type) + "'");
    }
  }

  void reply(const frame_header& header, std::initializer_list<reply_kind> kinds, bool done) {
    if (!expects(kinds, header.type)) return;
    s_.pop_after_frame = done;
    send_on(header, visible());
  }

  void data(const frame_header& header) {
    if (s_.owed.empty() && !s_.copy_both) return broken("data that nothing asked for");
    send_on(header, visible());
  }

  void row_description(const frame_header& header) {
    if (!expects({reply_kind::query, reply_kind::describe}, header.type)) return;
    s_.pop_after_frame = s_.owed.front().kind == reply_kind::describe;
    note_validated(s_.owed.front());
    send_on(header, visible());
  }

  /// Postgres sends it before it looks whether the plan is stale, so it is held back while the batch may be sent again.
  void parameter_description(const frame_header& header, bytes_view rest) {
    if (!expects({reply_kind::describe}, header.type)) return;
    const bool hold = s_.retry.now != batch_retry::stage::off && header.total() <= retry_limit;
    if (!hold) return send_on(header, visible());
    if (rest.size() < header.total()) return need_more();
    s_.retry.held.assign(rest.substr(0, header.total()));
    send_on(header, false);
  }

  void no_data(const frame_header& header) {
    if (!expects({reply_kind::describe}, header.type)) return;
    note_validated(s_.owed.front());
    reply(header, {reply_kind::describe}, true);
  }

  void empty_query(const frame_header& header) {
    if (!expects({reply_kind::query, reply_kind::execute}, header.type)) return;
    s_.pop_after_frame = s_.owed.front().kind == reply_kind::execute;
    send_on(header, visible());
  }

  // -- statements
  // ---------------------------------------------------------------------------------------------------------

  void note_validated(const owed_reply& reply) {
    if (!reply.subject) return;
    if (server_statements::entry* entry = s_.statements.find(*reply.subject))
      entry->validated_at = std::max(entry->validated_at, reply.epoch);
  }

  void parse_complete(const frame_header& header) {
    if (!expects({reply_kind::parse}, header.type)) return;
    confirm(s_.owed.front());
    reply(header, {reply_kind::parse}, true);
  }

  void close_complete(const frame_header& header) {
    if (!expects({reply_kind::close}, header.type)) return;
    if (!s_.owed.front().subject) confirm(s_.owed.front());
    reply(header, {reply_kind::close}, true);
  }

  void confirm(const owed_reply& reply) {
    if (!reply.subject) {
      const bool unnamed = reply.epoch != 0 && reply.epoch == s_.unnamed_generation;
      if (unnamed && reply.batch == s_.unnamed_batch) s_.unnamed_batch = 0;
      return;
    }
    reply.subject->verified = true;
    server_statements::entry* entry = s_.statements.find(*reply.subject);
    if (entry != nullptr && entry->serial == reply.serial) entry->batch = 0;
  }

  void bind_complete(const frame_header& header) {
    if (!expects({reply_kind::bind}, header.type)) return;
    note_validated(s_.owed.front());
    reply(header, {reply_kind::bind}, true);
  }

  // -- COPY
  // ---------------------------------------------------------------------------------------------------------------

  void copy_in(const frame_header& header) {
    if (!expects({reply_kind::query, reply_kind::execute}, header.type)) return;
    forget_ignored_syncs();
    if (s_.owed.front().copy_ends > 0)
      --s_.owed.front().copy_ends; // the client knew it was a COPY and has sent everything already
    else
      s_.copy_in = true;
    send_on(header, visible());
  }

  /// The server ignores a Sync that it reads while it takes CopyData: libpq sends one behind every Execute and another
  /// behind CopyDone. Should the COPY fail, it is not known whether the server had read the Sync by then.
  void forget_ignored_syncs() {
    while (s_.owed.size() > 1 && s_.owed.at(1).kind == reply_kind::sync && !s_.owed.at(1).after_copy_end) {
      s_.owed.erase(1);
      s_.stray = stray_sync::possible;
      if (c_ != nullptr && s_.owed.front().kind == reply_kind::execute) c_->in_batch = true;
    }
  }

  /// A COPY has failed behind a Sync that was held to be ignored. Its ReadyForQuery, if it comes, must not be taken for
  /// an answer to the next client: what is sent behind the last Sync tells.
  void settle_stray_sync() {
    if (s_.stray != stray_sync::possible || s_.owed.empty()) return;
    if (s_.owed.size() == 1 && (c_ == nullptr || c_->frame_left == 0)) return probe_stray_sync(s_, to_server_);
    s_.dirt.library = true; // more is on its way already: the server is closed when it comes back
    s_.stray = stray_sync::none;
  }

  // -- errors
  // -------------------------------------------------------------------------------------------------------------

  void error(const frame_header& header, bytes_view rest) {
    if (rest.size() < header.total() && header.total() <= looked_at_error_limit) return need_more();
    const bytes_view body = rest.size() >= header.total() ? body_of(header, rest) : bytes_view{};
    const bytes_view severity = error_field(body, 'V');
    s_.fatal_seen |= severity == "FATAL" || severity == "PANIC";
    s_.copy_in = false;
    if (s_.owed.empty()) return send_on(header, true); // the server is about to close, and says why
    const reply_kind kind = s_.owed.front().kind;
    if (kind == reply_kind::query || kind == reply_kind::function_call) {
      if (s_.owed.front().ours) s_.own_error.assign(body);
      if (s_.owed.front().release_ready) s_.dirt.settings = true;
      s_.unlistened = false;
      if (s_.stray == stray_sync::possible) s_.dirt.library = true; // closed when it comes back
      s_.stray = stray_sync::none;
      return send_on(header, visible());
    }
    error_in_batch(header, body);
  }

  /// Everything up to the next Sync will be skipped by the server, so nothing more is owed for it.
  void error_in_batch(const frame_header& header, bytes_view body) {
    std::size_t sync = 0;
    while (sync < s_.owed.size() && s_.owed.at(sync).kind != reply_kind::sync)
      ++sync;
    const bool own_batch = sync < s_.owed.size() && s_.owed.at(sync).ours;
    const bool kept = s_.retry.now == batch_retry::stage::complete || s_.retry.now == batch_retry::stage::recording;
    const bool second_try = kept && c_ != nullptr && s_.transaction_status == 'I' && is_stale_plan(body);
    s_.unlistened = false;
    const bool unnamed_failed = sync > 0 && is_unnamed_parse(s_.owed.front());
    if (unnamed_failed) s_.owed.front().undo = nullptr; // it was not skipped
    for (std::size_t i = sync; i > 0; --i)
      take_back(s_.owed.at(i - 1));
    if (unnamed_failed) forget_unnamed(s_.owed.front().epoch);
    for (std::size_t i = 0; i < sync; ++i)
      s_.owed.pop();
    if (second_try) begin_second_try();
    s_.skipping = s_.owed.empty();
    settle_stray_sync();
    send_on(header, !own_batch && !second_try);
  }

  /// The batch goes to the server once more when it is through with this one. What the client has flushed has no Sync
  /// yet.
  void begin_second_try() {
    s_.retry.held.clear();
    if (s_.owed.empty()) {
      to_server_.write([&](bytes& own) { append(own, protocol::sync{}); });
      s_.owed.push(reply_kind::sync, true).batch = s_.batch;
      ++s_.batch;
    }
    s_.retry.now = batch_retry::stage::failed;
  }

  /// A Parse without a name that fails leaves none behind.
  static bool is_unnamed_parse(const owed_reply& reply) {
    return reply.kind == reply_kind::parse && !reply.subject && !reply.ours && reply.epoch != 0;
  }

  void forget_unnamed(std::uint64_t generation) {
    if (c_ == nullptr || !c_->extras || c_->extras->unnamed_generation != generation) return;
    c_->extras->unnamed.clear();
    c_->extras->unnamed_names = false;
    c_->extras->unnamed_effects = nullptr;
    c_->extras->unnamed_generation = 0;
  }

  /// The server will not do what this reply was owed for.
  void take_back(owed_reply& reply) {
    if (reply.kind == reply_kind::parse && reply.subject) {
      const server_statements::entry* entry = s_.statements.find(*reply.subject);
      if (entry != nullptr && entry->serial == reply.serial) s_.statements.erase(*reply.subject);
    } else if (reply.kind == reply_kind::execute && reply.ours && reply.subject) {
      const server_statements::entry* entry = s_.statements.find(*reply.subject);
      if (entry != nullptr && entry->serial == reply.serial) s_.statements.erase(*reply.subject);
    } else if (reply.kind == reply_kind::parse || (reply.kind == reply_kind::close && reply.epoch != 0)) {
      // Whosever it was may be there still. A later batch may have sent another meanwhile.
      if (reply.epoch == s_.unnamed_generation) s_.unnamed_client = 0;
    } else if (reply.kind == reply_kind::close && reply.ours && reply.subject) {
      s_.statements.erase(*reply.subject);
      s_.statements.add(reply.subject).stale = true; // still there, and of unknown age
    }
    if (reply.undo && c_ != nullptr && reply.undo->name.empty()) {
      client_extras& extras = c_->more();
      if (extras.unnamed_generation != reply.epoch) return;
      extras.unnamed = std::move(reply.undo->unnamed);
      extras.unnamed_generation = reply.undo->unnamed_generation;
      extras.unnamed_names = reply.undo->unnamed_names;
      extras.unnamed_effects = reply.undo->unnamed_effects;
    } else if (reply.undo && c_ != nullptr) {
      client_statements& map = c_->more().statements;
      if (reply.undo->before.what)
        map[reply.undo->name] = reply.undo->before;
      else
        map.erase(reply.undo->name);
    }
  }

  // -- parameters
  // ---------------------------------------------------------------------------------------------------------

  void parameter_status(const frame_header& header, bytes_view rest) {
    if (!whole(header, rest)) return;
    const auto status = decode<protocol::parameter_status>(body_of(header, rest));
    if (!status) return broken("a ParameterStatus that is not one");
    s_.values = with(s_.values, status->name, status->value);
    const bool tell = c_ != nullptr && (visible() || s_.owed.front().release_ready);
    if (tell) c_->values = s_.values;
    s_.frame_left = static_cast<std::uint32_t>(header.total());
    s_.frame_forward = tell;
    pass_rest();
  }

  // -- CommandComplete
  // ----------------------------------------------------------------------------------------------------

  void command_complete(const frame_header& header, bytes_view rest) {
    if (!whole(header, rest) || !expects({reply_kind::query, reply_kind::execute}, header.type)) return;
    owed_reply& reply = s_.owed.front();
    const bytes_view body = body_of(header, rest);
    const tag_effect tag = classify_tag(body.substr(0, body.find('\0')));
    if (tag != tag_effect::none) apply(tag, reply);
    s_.stray = stray_sync::none; // a COPY that succeeds has read all that was sent before its end
    ++reply.statement_index;
    if (reply.kind == reply_kind::execute && reply.ours && reply.subject) confirm(reply);
    s_.copy_both = false;
    s_.pop_after_frame = reply.kind == reply_kind::execute;
    send_on(header, visible());
  }

  /// What the text says about the statement that has just completed; null where the text was not looked at.
  static const text_effect* effect_of(const owed_reply& reply) {
    if (!reply.effects || !reply.effects->complete || reply.statement_index >= reply.effects->list.size())
      return nullptr;
    return &reply.effects->list[reply.statement_index];
  }

  void apply(tag_effect tag, const owed_reply& reply) {
    const text_effect* effect = effect_of(reply);
    switch (tag) {
    case tag_effect::set:
      return apply_set(effect, reply.ours);
    case tag_effect::reset:
      return apply_reset(effect, reply.ours);
    case tag_effect::prepare:
      return apply_prepare(effect, reply.ours);
    case tag_effect::deallocate:
      return apply_deallocate(effect);
    case tag_effect::deallocate_all:
      return forget_statements(reply.ours);
    case tag_effect::discard_all:
      forget_statements(reply.ours);
      s_.profile = nullptr;
      if (!reply.ours) {
        if (nothing_behind()) s_.dirt = {.library = s_.dirt.library};
        s_.reset_all_pending = true;
      }
      return;
    case tag_effect::listen:
      s_.dirt.listening = true;
      s_.unlistened = false;
      return;
    case tag_effect::unlisten:
      if (effect != nullptr && effect->kind == statement_kind::unlisten_all) s_.unlistened = true;
      return;
    case tag_effect::rollback:
      s_.unlistened = false;
      return;
    case tag_effect::declare_cursor:
      if (effect == nullptr || reply.effects->leaves_state) s_.dirt.other = true;
      return;
    case tag_effect::load:
      s_.dirt.library = true;
      return;
    default:
      return;
    }
  }

  /// What is noted when a message is sent, and not when it is done, must not be taken for something before it.
  bool nothing_behind() {
    return s_.owed.size() == 1 || (s_.owed.size() == 2 && s_.owed.at(1).kind == reply_kind::sync);
  }

  bool reported(std::string_view name) const { return s_.values && s_.values->find(name) != nullptr; }

  void apply_set(const text_effect* effect, bool ours) {
    if (ours) return;
    if (effect != nullptr && effect->kind == statement_kind::set_local) return; // ends with the transaction
    const bool mirrored = effect != nullptr && effect->kind == statement_kind::set && reported(effect->name) &&
                          follows_client(effect->name);
    if (!mirrored) s_.dirt.settings = true;
    if (effect != nullptr && effect->to_default) s_.reset_pending.push_back(effect->name);
  }

  void apply_reset(const text_effect* effect, bool ours) {
    if (ours) {
      if (s_.own_resets_all) s_.profile = nullptr;
      return;
    }
    if (effect != nullptr && effect->kind == statement_kind::reset)
      s_.reset_pending.push_back(effect->name);
    else
      s_.reset_all_pending = true;
    s_.dirt.settings |= effect == nullptr;
  }

  void apply_prepare(const text_effect* effect, bool ours) {
    if (ours) return;
    if (effect == nullptr || !effect->subject) {
      s_.dirt.prepared = true;
      return;
    }
    const statement_ptr what = std::const_pointer_cast<statement>(effect->subject);
    what->verified = !what->has_sql_types;
    const std::uint64_t epoch = next_parse_epoch();
    s_.statements.erase(*what);
    s_.statements.add(what).validated_at = epoch;
    if (c_ != nullptr) c_->more().statements[effect->name] = {what, epoch};
  }

  void apply_deallocate(const text_effect* effect) {
    const bool foreign = effect != nullptr && effect->name.starts_with(statement_prefix);
    if (effect == nullptr || (!effect->subject && foreign)) s_.statements.distrust_all();
    if (effect == nullptr || !effect->subject) return;
    s_.statements.erase(*effect->subject);
    if (c_ != nullptr) c_->more().statements.erase(effect->name);
  }

  void forget_statements(bool ours) {
    s_.statements.clear();
    if (!ours) {
      s_.dirt.prepared = false;
      if (c_ != nullptr && c_->extras) c_->extras->statements.clear();
    }
  }

  // -- ReadyForQuery
  // ------------------------------------------------------------------------------------------------------

  void ready_for_query(const frame_header& header, bytes_view rest) {
    if (!whole(header, rest)) return;
    if (header.body() != 1) return broken("a ReadyForQuery that is not one");
    const char status = rest[frame_header_size];
    if (s_.stray == stray_sync::possible && s_.owed.empty() && s_.skipping) return unexpected_ready(header, status);
    if (s_.stray == stray_sync::probed && !s_.owed.empty() && s_.owed.front().kind == reply_kind::close) {
      s_.stray = stray_sync::none;
      return pop_nothing_and_pass(header);
    }
    if (!expects({reply_kind::sync, reply_kind::query, reply_kind::function_call}, 'Z')) return;
    s_.transaction_status = status;
    s_.copy_in = false;
    s_.copy_both = false;
    const owed_reply& reply = s_.owed.front();
    if (status == 'I' && s_.unlistened) s_.dirt.listening = s_.unlistened = false;
    if (s_.retry.now == batch_retry::stage::failed) return replay(header);
    if (reply.ours && !reply.release_ready) return own_ready(header, reply.kind == reply_kind::query);
    client_sees_batch();
    if (!reply.release_ready && restore_after_reset(header, status)) return;
    if (status != 'I' && c_ != nullptr && c_->statements_only) return refuse_transaction(header);
    finish_reply(header);
  }

  /// The ReadyForQuery is kept back, so that the refusal is the answer to what opened the transaction.
  void refuse_transaction(const frame_header& header) {
    pop_and_pass(header, false);
    step_.transaction_refused = true;
    stop_ = true;
  }

  /// A COPY that failed before it read the Sync it was expected to ignore: the server answers that one after all.
  void unexpected_ready(const frame_header& header, char status) {
    s_.transaction_status = status;
    s_.stray = stray_sync::none;
    s_.skipping = false;
    if (c_ != nullptr) c_->in_batch = false;
    s_.owed.push(reply_kind::sync);
    finish_reply(header);
  }

  void own_ready(const frame_header& header, bool query) {
    if (s_.owed.size() == 1) s_.stray = stray_sync::none;
    pop_and_pass(header, false);
    if (query) {
      step_.own_done = true;
      stop_ = true;
    } else {
      offer();
    }
  }

  void pop_nothing_and_pass(const frame_header& header) {
    s_.frame_left = static_cast<std::uint32_t>(header.total());
    s_.frame_forward = c_ != nullptr;
    pass_rest();
  }

  /// Says that the server can be given back, if so.
  void offer() {
    const bool idle = c_ != nullptr ? releasable(s_, *c_) : s_.settled() && s_.transaction_status == 'I';
    if (!s_.owed.empty() || !idle) return;
    step_.ready = true;
    stop_ = true;
  }

  void pop_and_pass(const frame_header& header, bool visible) {
    s_.pop_after_frame = true;
    s_.frame_left = static_cast<std::uint32_t>(header.total());
    s_.frame_forward = visible && c_ != nullptr;
    pass_rest();
  }

  void finish_reply(const frame_header& header) {
    if (s_.rules != nullptr) {
      ++s_.rules->counts->queries;
      if (s_.transaction_status == 'I') ++s_.rules->counts->transactions;
    }
    pop_and_pass(header, true);
    step_.replied = true;
    if (!s_.owed.empty()) return;
    if (s_.transaction_status != 'E') { // a RESET before what failed may have been committed: it is seen to later
      s_.reset_all_pending = false;
      s_.reset_pending.clear();
    }
    offer();
  }

  /// From here on the client's younger names mean a new statement of the same text. The old one keeps its stale plan on
  /// the server, so that clients that prepared it before the change go on to get Postgres's own error.
  void renew(const server_statements::entry& entry) {
    const statement_ptr fresh = c_->rules->cache->renew(entry.what);
    for (auto& [name, named] : c_->more().statements)
      if (named.what == entry.what && named.parsed_at > entry.validated_at) named.what = fresh;
  }

  /// The batch met a plan whose result type had changed before this client prepared it: the statement is prepared anew
  /// and the batch sent again. Nothing of it was executed, and the client has seen nothing.
  void replay(const frame_header& header) {
    pop_and_pass(header, false);
    batch_retry& retry = s_.retry;
    retry.now = batch_retry::stage::off;
    if (c_ == nullptr) return;
    retry.replaying.swap(retry.batch);
    if (const server_statements::entry* entry = s_.statements.find(*retry.subject)) renew(*entry);
    retry.subject = nullptr;
    const client_step again = from_client(*c_, &s_, retry.replaying, to_server_, to_client_);
    if (again.consumed != retry.replaying.size()) broken("a batch could not be sent again");
  }

  /// RESET takes a session back to its start-up values, and those are the client's, not the server's. Returns whether
  /// the ReadyForQuery now waits for them.
  bool restore_after_reset(const frame_header& header, char status) {
    const bool due = s_.reset_all_pending || !s_.reset_pending.empty();
    if (!due || s_.owed.size() != 1 || c_ == nullptr || !c_->custom_startup || status == 'E') return false;
    const std::string sql = startup_values_sql();
    s_.reset_all_pending = false;
    s_.reset_pending.clear();
    if (sql.empty()) return false;
    pop_and_pass(header, false);
    ask(s_, sql, to_server_);
    s_.owed.back().release_ready = true;
    return true;
  }

  std::string startup_values_sql() {
    const auto due = [&](std::string_view name) {
      return s_.reset_all_pending ||
             std::find(s_.reset_pending.begin(), s_.reset_pending.end(), canonical_parameter_name(name)) !=
                 s_.reset_pending.end(); // the text's names are folded, the reported ones are not
    };
    parameter_values_ptr want = s_.values;
    if (c_->startup_values)
      for (const auto& [name, value] : *c_->startup_values)
        if (due(name) && follows_client(name) && (!s_.values || s_.values->get(name) != value))
          want = with(want, name, value);
    startup_profile again;
    if (c_->profile)
      for (const auto& item : c_->profile->gucs)
        if (due(item.first)) again.gucs.push_back(item);
    if (s_.reset_all_pending) s_.profile = c_->profile;
    return restore_sql(s_.values.get(), nullptr, want.get(), &again);
  }

  server_session& s_;
  client_session* c_;
  bytes_view in_;
  gather& to_client_;
  gather& to_server_;
  server_step step_;
  bool stop_ = false;
};

} // namespace

server_step from_server(server_session& server, client_session* client, bytes_view in, gather& to_client,
                        gather& to_server) {
  server_step result = server_side(server, client, in, to_client, to_server).run();
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
