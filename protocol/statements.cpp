#include "protocol/statements.hpp"

namespace pg_edge::protocol {

namespace {

std::atomic<std::uint64_t> parse_epoch{1};
std::atomic<std::uint64_t> last_statement_id{0};

/// The key under which a statement is shared. SQL's typed PREPARE is kept apart: its types are words, not OIDs. What
/// tells the two apart stands first, since a client may put any bytes at the end of a Parse.
std::string cache_key(bytes_view text, std::string_view sql_types, bool has_sql_types) {
  std::string key;
  key.reserve(text.size() + sql_types.size() + 2);
  key.push_back(has_sql_types ? 's' : 'p');
  if (has_sql_types) key.append(sql_types).push_back('\0');
  return key.append(text);
}

} // namespace

text_effects_ptr effects_of(std::string_view sql, bool truncated, bool standard_strings) {
  if (!look(sql).interesting && !truncated) return nullptr;
  const scan_result scanned = scan(sql, truncated, standard_strings);
  auto result = std::make_shared<text_effects>();
  result->complete = scanned.complete;
  for (const scanned_statement& one : scanned.statements) {
    result->list.push_back({one.kind, one.name, one.to_default, nullptr});
    result->leaves_state |= one.leaves_state;
  }
  return result;
}

statement_ptr statement_cache::intern(bytes_view text, std::string_view sql_types, bool has_sql_types) {
  std::string key = cache_key(text, sql_types, has_sql_types);
  std::lock_guard guard(mutex_);
  if (const auto found = by_text_.find(key); found != by_text_.end()) return found->second;
  if (by_text_.size() >= sweep_at_ || text_bytes_ >= sweep_at_bytes_) sweep();
  return add(std::move(key), text, sql_types, has_sql_types);
}

statement_ptr statement_cache::add(std::string key, bytes_view text, std::string_view sql_types, bool has_sql_types) {
  auto made = std::make_shared<statement>();
  made->id = ++last_statement_id;
  // All of one length, so that what passes does not depend on how many there have been: a failed seed can be run again.
  const std::string digits = std::to_string(made->id);
  made->server_name =
      std::string(statement_prefix) + std::string(digits.size() < 10 ? 10 - digits.size() : 0, '0') + digits;
  made->text.assign(text);
  made->sql_types.assign(sql_types);
  made->has_sql_types = has_sql_types;
  made->effects = effects_of(made->query(), false);
  const std::size_t key_size = key.size();
  statement_ptr& place = by_text_[std::move(key)];
  if (!place) text_bytes_ += key_size;
  return place = std::move(made);
}

statement_ptr statement_cache::renew(const statement_ptr& old) {
  std::string key = cache_key(old->text, old->sql_types, old->has_sql_types);
  std::lock_guard guard(mutex_);
  const auto found = by_text_.find(key);
  if (found != by_text_.end() && found->second != old) return found->second;
  return add(std::move(key), old->text, old->sql_types, old->has_sql_types);
}

statement_ptr statement_cache::find(bytes_view text) {
  std::lock_guard guard(mutex_);
  const auto found = by_text_.find(cache_key(text, {}, false));
  return found == by_text_.end() ? nullptr : found->second;
}

std::size_t statement_cache::size() const {
  std::lock_guard guard(mutex_);
  return by_text_.size();
}

void statement_cache::sweep() {
  // Only the cache still holds it: no client and no server knows it any more.
  std::erase_if(by_text_, [this](const auto& item) {
    if (item.second.use_count() > 1) return false;
    text_bytes_ -= item.first.size();
    return true;
  });
  sweep_at_ = by_text_.size() * 2 + 64;
  sweep_at_bytes_ = text_bytes_ * 2 + sweep_bytes;
}

std::uint64_t next_parse_epoch() {
  return parse_epoch.fetch_add(1, std::memory_order_relaxed) + 1;
}

std::uint64_t present_parse_epoch() {
  return parse_epoch.load(std::memory_order_relaxed);
}

server_statements::entry* server_statements::use(const statement& what) {
  const auto found = by_id_.find(what.id);
  if (found == by_id_.end()) return nullptr;
  if (found->second != order_.begin()) order_.splice(order_.begin(), order_, found->second);
  return &*found->second;
}

/// What it counted stays with the statement, which others may know still.
void server_statements::forget(const entry& what) {
  if (what.what != nullptr && what.uses > 0) what.what->uses.fetch_add(what.uses, std::memory_order_relaxed);
}

server_statements::entry* server_statements::find(const statement& what) {
  const auto found = by_id_.find(what.id);
  return found == by_id_.end() ? nullptr : &*found->second;
}

server_statements::entry& server_statements::add(statement_ptr what) {
  const std::uint64_t id = what->id;
  order_.push_front({std::move(what), 0, 0, 0, false, 0});
  by_id_[id] = order_.begin();
  return order_.front();
}

void server_statements::erase(const statement& what) {
  const auto found = by_id_.find(what.id);
  if (found == by_id_.end()) return;
  forget(*found->second);
  order_.erase(found->second);
  by_id_.erase(found);
}

statement_ptr server_statements::evict(std::size_t most) {
  if (by_id_.size() <= most || order_.empty()) return nullptr;
  forget(order_.back());
  statement_ptr last = std::move(order_.back().what);
  order_.pop_back();
  by_id_.erase(last->id);
  return last;
}

void server_statements::distrust_all() {
  for (entry& one : order_)
    one.stale = true;
}

void server_statements::clear() {
  for (const entry& one : order_)
    forget(one);
  order_.clear();
  by_id_.clear();
}

// -- what a client calls its statements
// ---------------------------------------------------------------------------------------------------

client_statement* client_statements::find(std::string_view name) {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : &found->second;
}

void client_statements::set(const std::string& name, client_statement what) {
  what.cost = cost_of(name, (what.what ? what.what->text.size() : 0) + (what.written ? what.written->size() : 0));
  client_statement& at = by_name_[name];
  bytes_ += what.cost - at.cost;
  at = std::move(what);
}

void client_statements::erase(const std::string& name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return;
  bytes_ -= found->second.cost;
  by_name_.erase(found);
}

void client_statements::clear() {
  by_name_.clear();
  bytes_ = 0;
}

} // namespace pg_edge::protocol
