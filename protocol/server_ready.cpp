// ReadyForQuery: the end of a reply, unless something of the pooler's own comes before it.
#include "protocol/server_side.hpp"

namespace pg_edge::protocol {

// -- ReadyForQuery
// -----------------------------------------------------------------------------------------------------
void server_side::ready_for_query(const frame_header& header, bytes_view rest) {
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
  if (reply.kind == reply_kind::query && reply.epoch != 0) confirm(reply); // the unnamed statement is gone
  if (status == 'I' && s_.unlistened) s_.dirt.listening = s_.unlistened = false;
  if (s_.retry.now == batch_retry::stage::failed) return replay(header);
  if (reply.ours && !reply.release_ready) return own_ready(header, reply.kind == reply_kind::query);
  client_sees_batch();
  if (!reply.release_ready && restore_after_reset(header, status)) return;
  if (status != 'I' && c_ != nullptr && c_->statements_only) return refuse_transaction(header);
  finish_reply(header);
}

/// The ReadyForQuery is kept back, so that the refusal is the answer to what opened the transaction.
void server_side::refuse_transaction(const frame_header& header) {
  pop_and_pass(header, false);
  step_.transaction_refused = true;
  stop_ = true;
}

/// A COPY that failed before it read the Sync it was expected to ignore: the server answers that one after all.
void server_side::unexpected_ready(const frame_header& header, char status) {
  s_.transaction_status = status;
  s_.stray = stray_sync::none;
  s_.skipping = false;
  if (c_ != nullptr) c_->in_batch = false;
  s_.owed.push(reply_kind::sync);
  finish_reply(header);
}

void server_side::own_ready(const frame_header& header, bool query) {
  if (s_.owed.size() == 1) s_.stray = stray_sync::none;
  pop_and_pass(header, false);
  if (query) {
    step_.own_done = true;
    stop_ = true;
  } else {
    offer();
  }
}

void server_side::pop_nothing_and_pass(const frame_header& header) {
  s_.frame_left = static_cast<std::uint32_t>(header.total());
  s_.frame_forward = c_ != nullptr;
  pass_rest();
}

/// Says that the server can be given back, if so.
void server_side::offer() {
  const bool idle = c_ != nullptr ? releasable(s_, *c_) : s_.settled() && s_.transaction_status == 'I';
  if (!s_.owed.empty() || !idle) return;
  step_.ready = true;
  stop_ = true;
}

void server_side::pop_and_pass(const frame_header& header, bool visible) {
  s_.pop_after_frame = true;
  s_.frame_left = static_cast<std::uint32_t>(header.total());
  s_.frame_forward = visible && c_ != nullptr;
  pass_rest();
}

void server_side::count_reply() {
  if constexpr (!counting) return;
  const unsigned ended = s_.transaction_status == 'I' ? 1 : 0;
  if (s_.rules != nullptr) {
    ++s_.rules->counts->queries;
    s_.rules->counts->transactions += ended;
  }
  if (c_ != nullptr) {
    ++c_->queries;
    c_->transactions += ended;
  }
}

void server_side::finish_reply(const frame_header& header) {
  count_reply();
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
void server_side::renew(const server_statements::entry& entry) {
  const statement_ptr fresh = c_->rules->cache->renew(entry.what);
  for (auto& [name, named] : c_->more().statements)
    if (named.what == entry.what && named.parsed_at > entry.validated_at) named.what = fresh;
}

/// The batch met a plan whose result type had changed before this client prepared it: the statement is prepared anew
/// and the batch sent again. Nothing of it was executed, and the client has seen nothing.
void server_side::replay(const frame_header& header) {
  pop_and_pass(header, false);
  batch_retry& retry = s_.retry;
  retry.now = batch_retry::stage::off;
  if (c_ == nullptr) return;
  retry.replaying.swap(retry.batch);
  if (const server_statements::entry* entry = s_.statements.find(*retry.subject)) renew(*entry);
  retry.subject = nullptr;
  const client_step again = from_client(*c_, &s_, retry.replaying, to_server_, to_client_);
  if (again.consumed != retry.replaying.size()) return broken("a batch could not be sent again");
  if (s_.owed.empty() || s_.owed.back().flushes()) return;
  to_server_.write([&](bytes& own) { append(own, protocol::flush{}); }); // its client may be waiting for the answers
}

/// RESET takes a session back to its start-up values, and those are the client's, not the server's. Returns whether
/// the ReadyForQuery now waits for them.
bool server_side::restore_after_reset(const frame_header& header, char status) {
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

std::string server_side::startup_values_sql() {
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

} // namespace pg_edge::protocol
