// What the server knows of the client's statements, and how it comes to know what it lacks.
#include "protocol/client_side.hpp"

namespace pg_edge::protocol {

// -- keeping a doubtful batch
// ------------------------------------------------------------------------------------------
/// A message while a batch is kept for a second try.
client_verdict client_side::recorded(const frame_header& header, bytes_view rest) {
  batch_retry& retry = s_->retry;
  // What would be lost for a second try, or lose its order, waits until the doubt is settled. The rest of a COPY
  // cannot.
  const bool settles = header.type == 'Q' || header.type == 'F' || header.type == 'S' || is_extended(header.type);
  const bool fits = retry.batch.size() + header.total() <= retry_limit;
  const bool more_in_batch = header.type == 'S' || is_extended(header.type);
  if (retry.now == batch_retry::stage::complete) {
    if (settles && !s_->owed.empty()) return wait();
    retry.now = batch_retry::stage::off;
  }
  if (retry.now == batch_retry::stage::recording && settles && !(more_in_batch && fits) && !s_->owed.empty())
    return wait();
  if (retry.now == batch_retry::stage::recording && header.total() <= retry_limit && rest.size() < header.total())
    return more(); // it is kept whole
  const std::size_t before = at_;
  const client_verdict verdict = with_server(header, rest);
  if (!stop_ && retry.now == batch_retry::stage::recording) record(header, in_.substr(before, at_ - before));
  return verdict;
}

void client_side::record(const frame_header& header, bytes_view message) {
  batch_retry& retry = s_->retry;
  const bool in_full = message.size() == header.total() && retry.batch.size() + message.size() <= retry_limit;
  if (!in_full || !(is_extended(header.type) || header.type == 'S' || header.type == 'H')) {
    retry.now = batch_retry::stage::off;
    return;
  }
  retry.batch.append(message);
  if (header.type == 'S') retry.now = batch_retry::stage::complete;
}

/// Called behind the bookkeeping of the first message that names a statement an older Parse prepared on this server.
void client_side::start_recording(const statement_ptr& subject, const frame_header& header, bytes_view message) {
  batch_retry& retry = s_->retry;
  retry.now = batch_retry::stage::recording;
  retry.batch.clear();
  retry.held.clear();
  retry.subject = subject;
  record(header, message);
}

/// Nothing of the batch has reached the server, and nothing is open there: it could be sent twice.
bool client_side::can_keep_batch() const {
  return s_->retry.now == batch_retry::stage::off && s_->owed.empty() && s_->transaction_status == 'I' &&
         s_->used_batch != s_->batch;
}

namespace {

/// COPY has no plan to be stale, and what follows it cannot be sent twice.
bool is_copy(std::string_view sql) {
  constexpr std::string_view word = "copy";
  sql.remove_prefix(std::min(sql.find_first_not_of(" \t\r\n\f\v"), sql.size()));
  return sql.size() > word.size() &&
         std::equal(word.begin(), word.end(), sql.begin(), [](char a, char b) { return a == (b | 0x20); });
}

} // namespace

bool client_side::doubtful(const client_statement& named) {
  if (!can_keep_batch() || is_copy(named.what->query())) return false;
  const server_statements::entry* entry = s_->statements.find(*named.what);
  return entry != nullptr && entry->validated_at < named.parsed_at;
}

// -- statements on the server
// ------------------------------------------------------------------------------------------
void client_side::write_parse(const statement& what) {
  count(&exchange_counts::server_parses);
  write_message(to_server_, 'P', {what.server_name, nul, what.text});
}

void client_side::close_on_server(const statement_ptr& what) {
  write_message(to_server_, 'C', {"S", what->server_name, nul});
  owe(reply_kind::close, true).subject = what;
  s_->statements.erase(*what);
}

/// Whether a Close of `what` sent in an earlier batch is unanswered: should that batch fail, the server still has it.
bool client_side::close_unsettled(const statement_ptr& what) const {
  if (s_->owed.renaming() == 0) return false;
  for (std::size_t i = 0; i < s_->owed.size(); ++i) {
    const owed_reply& reply = s_->owed.at(i);
    if (reply.kind == reply_kind::close && reply.ours && reply.subject == what && reply.batch != s_->batch) return true;
  }
  return false;
}

/// Notes that the server is about to know `what`, and makes room for it.
void client_side::note_prepared(const statement_ptr& what, std::uint64_t epoch) {
  server_statements::entry& entry = s_->statements.add(what);
  entry.batch = s_->batch;
  entry.serial = s_->parse_serial;
  entry.validated_at = epoch;
  // An EXECUTE needs two: its own and the one it names, which was used last before it.
  const std::size_t most = std::max<std::size_t>(c_.rules->max_server_statements, mentions_names(*what) ? 2 : 1);
  while (const statement_ptr oldest = s_->statements.evict(most)) {
    write_message(to_server_, 'C', {"S", oldest->server_name, nul});
    owed_reply& reply = owe(reply_kind::close, true);
    reply.subject = oldest;
    s_->owed.mark_renames(reply);
  }
}

/// Whether a message of this batch may name `entry`: confirmed, or sent earlier in this very batch.
bool client_side::usable(const server_statements::entry* entry) const {
  return entry != nullptr && !entry->stale && (entry->batch == 0 || entry->batch == s_->batch);
}

/// Makes sure that the server knows `what` when it reads the next message. Returns whether anything was sent.
bool client_side::bring(const statement_ptr& what) {
  server_statements::entry* entry = s_->statements.use(*what);
  if (usable(entry)) {
    ++entry->uses;
    return false;
  }
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
  if (server_statements::entry* now = s_->statements.find(*what)) now->uses = 1;
  return true;
}

/// A plan that was made before this client prepared the statement may be stale in a way the client must not see.
void client_side::distrust(const client_statement& named) {
  if (server_statements::entry* entry = s_->statements.find(*named.what))
    entry->stale |= entry->batch != s_->batch && entry->validated_at < named.parsed_at;
}

/// For DEALLOCATE, which needs the name on the server and not the statement, whose tables may be gone.
bool client_side::bring_name(const statement_ptr& what) {
  if (usable(s_->statements.use(*what))) return false;
  close_on_server(what);
  write_message(to_server_, 'P', {what->server_name, nul, nul, no_types});
  owe(reply_kind::parse, true);
  s_->statements.add(what).stale = true;
  return true;
}

/// PREPARE with a list of type names has no counterpart in Parse, which wants OIDs.
void client_side::prepare_by_sql(const statement_ptr& what) {
  count(&exchange_counts::server_parses);
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

client_statement* client_side::known(std::string_view name) {
  if (!c_.extras) return nullptr;
  return c_.extras->statements.find(name);
}

/// Whether it is open what `name` means to the client: it depends on an answer that is still to come, of an earlier
/// batch (in the same batch an error skips what comes behind it) or of a DEALLOCATE, PREPARE, DISCARD.
bool client_side::unsettled(std::string_view name) {
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
bool client_side::unnamed_is_of_this_batch() const {
  return s_->unnamed_client == c_.id && s_->unnamed_generation == c_.extras->unnamed_generation &&
         s_->unnamed_batch == s_->batch;
}

bool client_side::unnamed_unsettled() const {
  if (c_.extras && c_.extras->unnamed_names && !s_->owed.empty() && !unnamed_is_of_this_batch()) return true;
  return c_.extras && s_->unnamed_client == c_.id && s_->unnamed_batch != 0 && s_->unnamed_batch != s_->batch;
}

/// Whether the client's start-up values are still to be set again behind a RESET.
bool client_side::reset_unsettled() {
  if (!c_.custom_startup || c_.in_batch || s_->owed.renaming() == 0) return false;
  for (std::size_t i = 0; i < s_->owed.size(); ++i)
    if (s_->owed.at(i).effects && resets_parameters(*s_->owed.at(i).effects)) return true;
  return false;
}

void client_side::note_effects(owed_reply& reply, text_effects_ptr effects) {
  reply.effects = std::move(effects);
  if (reply.effects && (changes_names(*reply.effects) || (c_.custom_startup && resets_parameters(*reply.effects))))
    s_->owed.mark_renames(reply);
}

/// Changes what the client calls `name` and returns how to take that back.
std::unique_ptr<map_undo> client_side::rename(std::string_view name, client_statement now) {
  client_statements& all = c_.more().statements;
  auto undo = std::make_unique<map_undo>();
  undo->name.assign(name);
  if (const client_statement* before = all.find(name)) undo->before = *before;
  if (now.what)
    all.set(undo->name, std::move(now));
  else
    all.erase(undo->name);
  return undo;
}

/// A reply the pooler gives itself, at its place among the server's.
void client_side::answer_here(reply_kind kind, std::unique_ptr<map_undo> undo) {
  if (s_ == nullptr || s_->owed.empty())
    to_client_.copy(kind == reply_kind::local_parse ? parse_complete_bytes : close_complete_bytes);
  else
    owe_renaming(kind, std::move(undo));
}

owed_reply& client_side::owe_renaming(reply_kind kind, std::unique_ptr<map_undo> undo) {
  owed_reply& reply = owe(kind);
  s_->owed.keep(reply, std::move(undo));
  if (reply.undo) s_->owed.mark_renames(reply);
  return reply;
}

} // namespace pg_edge::protocol
