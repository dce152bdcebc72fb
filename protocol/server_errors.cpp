// An ErrorResponse: what the server will not do any more, and what was noted too early is taken back.
#include "protocol/server_side.hpp"

namespace pg_edge::protocol {

// -- errors
// ------------------------------------------------------------------------------------------------------------
void server_side::error(const frame_header& header, bytes_view rest) {
  if (rest.size() < header.total() && header.total() <= looked_at_error_limit) return need_more();
  const bytes_view body = rest.size() >= header.total() ? body_of(header, rest) : bytes_view{};
  const bytes_view severity = error_field(body, 'V');
  s_.fatal_seen |= severity == "FATAL" || severity == "PANIC";
  s_.copy_in = false;
  if (s_.owed.empty()) { // the server is about to close, and says why
    count_error(body);
    return send_on(header, true);
  }
  const reply_kind kind = s_.owed.front().kind;
  if (kind == reply_kind::query || kind == reply_kind::function_call) {
    if (s_.owed.front().ours) s_.own_error.assign(body);
    if (s_.owed.front().release_ready) s_.dirt.settings = true;
    s_.unlistened = false;
    if (s_.stray == stray_sync::possible) s_.dirt.library = true; // closed when it comes back
    s_.stray = stray_sync::none;
    if (visible()) count_error(body);
    return send_on(header, visible());
  }
  error_in_batch(header, body);
}

/// Of one that the client is told.
void server_side::count_error(bytes_view body, error_origin origin) {
  if (c_ != nullptr && s_.rules != nullptr) s_.rules->counts->errors.note(error_field(body, 'C'), origin);
}

/// Postgres that is stopped at once, or of which a process crashed, says so in a warning and is gone.
void server_side::note_last_words(const frame_header& header, bytes_view rest) {
  if (rest.size() < header.total()) return;
  const bytes_view body = body_of(header, rest);
  if (error_field(body, 'C').starts_with("57P0")) s_.last_words.assign(error_field(body, 'M'));
}

/// Everything up to the next Sync will be skipped by the server, so nothing more is owed for it.
void server_side::error_in_batch(const frame_header& header, bytes_view body) {
  std::size_t sync = 0;
  while (sync < s_.owed.size() && s_.owed.at(sync).kind != reply_kind::sync && !s_.owed.at(sync).after_stray_sync)
    ++sync;
  const bool stray_answered = sync < s_.owed.size() && s_.owed.at(sync).after_stray_sync;
  const bool own_batch = sync < s_.owed.size() && s_.owed.at(sync).ours;
  const bool kept = s_.retry.now == batch_retry::stage::complete || s_.retry.now == batch_retry::stage::recording;
  const bool second_try = kept && c_ != nullptr && s_.transaction_status == 'I' && is_stale_plan(body);
  s_.unlistened = false;
  const std::unique_ptr<bytes> refusal = sync > 0 ? std::move(s_.owed.front().refusal) : nullptr;
  const bool unnamed_failed = sync > 0 && is_unnamed_parse(s_.owed.front());
  if (unnamed_failed) s_.owed.front().undo = nullptr; // it was not skipped
  for (std::size_t i = sync; i > 0; --i)
    take_back(s_.owed.at(i - 1));
  if (unnamed_failed) forget_unnamed(s_.owed.front().epoch);
  for (std::size_t i = 0; i < sync; ++i)
    s_.owed.pop();
  if (second_try) begin_second_try();
  if (stray_answered) { // the server read what stands behind that Sync, so it has read the Sync, and not in the COPY
    for (std::size_t i = 0; i < s_.owed.size(); ++i)
      s_.owed.at(i).after_stray_sync = false;
    s_.owed.push_front(reply_kind::sync);
    s_.stray = stray_sync::none;
    s_.stray_behind_data = false;
  }
  s_.skipping = s_.owed.empty();
  settle_stray_sync();
  if (refusal) {
    client_sees_batch();
    if (c_ != nullptr) to_client_.copy(*refusal);
    count_error(bytes_view(*refusal).substr(frame_header_size), error_origin::pg_edge);
  }
  const bool passed_on = !own_batch && !second_try && !refusal;
  if (passed_on) count_error(body);
  send_on(header, passed_on);
}

/// The batch goes to the server once more when it is through with this one. What the client has flushed has no Sync
/// yet.
void server_side::begin_second_try() {
  s_.retry.held.clear();
  if (s_.owed.empty()) {
    to_server_.write([&](bytes& own) { append(own, protocol::sync{}); });
    s_.owed.push(reply_kind::sync, true).batch = s_.batch;
    ++s_.batch;
  }
  s_.retry.now = batch_retry::stage::failed;
}

/// A Parse without a name that fails leaves none behind.
bool server_side::is_unnamed_parse(const owed_reply& reply) {
  return reply.kind == reply_kind::parse && !reply.subject && !reply.ours && reply.epoch != 0;
}

void server_side::forget_unnamed(std::uint64_t generation) {
  if (c_ == nullptr || !c_->extras || c_->extras->unnamed_generation != generation) return;
  c_->extras->unnamed.clear();
  c_->extras->unnamed_names = false;
  c_->extras->unnamed_effects = nullptr;
  c_->extras->unnamed_generation = 0;
}

/// The server keeps the unnamed statement it had when it skips a Parse or Close of one; one that fails leaves none. A
/// later batch, or a query, may have changed it meanwhile. It must not be sent again without need: in the aborted
/// transaction Postgres refuses a Parse where it still describes what it has.
void server_side::take_back_unnamed(const owed_reply& reply) {
  if (reply.epoch != s_.unnamed_generation) return;
  const bool restored = reply.undo && s_.unnamed_client != 0;
  s_.unnamed_client = restored ? reply.undo->server_unnamed_client : 0;
  if (!restored) return;
  s_.unnamed_generation = reply.undo->server_unnamed_generation;
  s_.unnamed_batch = 0; // confirmed, or about to be taken back itself
}

/// The server will not do what this reply was owed for.
void server_side::take_back(owed_reply& reply) {
  if (reply.kind == reply_kind::parse && reply.subject) {
    const server_statements::entry* entry = s_.statements.find(*reply.subject);
    if (entry != nullptr && entry->serial == reply.serial) s_.statements.erase(*reply.subject);
  } else if (reply.kind == reply_kind::execute && reply.ours && reply.subject) {
    const server_statements::entry* entry = s_.statements.find(*reply.subject);
    if (entry != nullptr && entry->serial == reply.serial) s_.statements.erase(*reply.subject);
  } else if (reply.kind == reply_kind::parse ||
             ((reply.kind == reply_kind::close || reply.kind == reply_kind::query) && reply.epoch != 0)) {
    take_back_unnamed(reply);
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
    client_statements& all = c_->more().statements;
    if (reply.undo->before.what)
      all.set(reply.undo->name, reply.undo->before);
    else
      all.erase(reply.undo->name);
  }
}

} // namespace pg_edge::protocol
