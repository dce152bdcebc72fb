#include "actors/sqlite_tables.hpp"

#include <algorithm>
#include <set>

namespace pg_edge::actors {

using cluster::store_answer;
using cluster::store_entry;
using cluster::store_event;
using cluster::store_lease;
using cluster::store_outcome;
using cluster::store_range;
using cluster::store_revision;
using cluster::store_write;

namespace {

/// The first key behind all that begin with the prefix; empty: there is none.
std::string end_of_prefix(std::string prefix) {
  while (!prefix.empty()) {
    const auto last = static_cast<unsigned char>(prefix.back());
    if (last != 0xff) {
      prefix.back() = static_cast<char>(last + 1);
      return prefix;
    }
    prefix.pop_back();
  }
  return prefix;
}

store_entry entry_of(const sqlite_statement& row) {
  return {row.bytes(0), row.bytes(1), static_cast<store_revision>(row.number(2)), row.number(3)};
}

store_answer unavailable(std::string why) {
  return {store_outcome::unavailable, std::move(why), 0, {}, 0};
}

/// Why no engine takes this commit; empty: it is fine.
std::string fault_of(const std::vector<store_write>& writes) {
  if (writes.size() > cluster::most_store_writes)
    return "a commit writes at most " + std::to_string(cluster::most_store_writes) + " keys";
  std::set<std::string_view> keys;
  for (const store_write& one : writes) {
    if (one.key.empty() || one.key.size() > cluster::longest_store_key)
      return "a key has 1 to " + std::to_string(cluster::longest_store_key) + " bytes";
    if (one.value && one.value->size() > cluster::longest_store_value)
      return "a value has at most " + std::to_string(cluster::longest_store_value) + " bytes";
    if (!keys.insert(one.key).second) return "a commit writes each key once";
  }
  return {};
}

} // namespace

// -- small parts
// -----------------------------------------------------------------------------------------------------------

/// `good`, unless something went wrong on the way.
store_answer sqlite_tables::answer(store_answer good) {
  auto trouble = file_.take_trouble();
  if (!trouble) return good;
  return {trouble->unsure ? store_outcome::unknown : store_outcome::unavailable, std::move(trouble->why), 0, {}, 0};
}

std::int64_t sqlite_tables::counter(const char* name) {
  sqlite_statement row(file_, "SELECT value FROM counters WHERE name = CAST(? AS TEXT)", std::string(name));
  return row.next() ? row.number(0) : 0;
}

void sqlite_tables::set_counter(const char* name, std::int64_t value) {
  sqlite_statement(file_, "UPDATE counters SET value = ? WHERE name = CAST(? AS TEXT)", value, std::string(name))
      .next();
}

std::int64_t sqlite_tables::revision() {
  return counter("revision");
}

std::optional<store_entry> sqlite_tables::find(const std::string& key) {
  sqlite_statement row(file_, "SELECT key, value, revision, lease FROM entries WHERE key = ?", key);
  if (!row.next()) return std::nullopt;
  return entry_of(row);
}

// -- reading
// ---------------------------------------------------------------------------------------------------------------

store_answer sqlite_tables::get(const std::string& key) {
  store_answer good{store_outcome::ok, {}, 0, {}, 0};
  if (!file_.begin_reading()) return answer({});
  if (auto found = find(key)) good.entries.push_back(std::move(*found));
  good.revision = static_cast<store_revision>(revision());
  file_.roll_back();
  return answer(std::move(good));
}

store_answer sqlite_tables::list(const store_range& range) {
  store_answer good{store_outcome::ok, {}, 0, {}, 0};
  const std::string end = end_of_prefix(range.prefix);
  std::string low = range.prefix, high = end;
  std::string sql = "SELECT key, value, revision, lease FROM entries WHERE key >= ?1";
  if (range.backwards && !range.beyond.empty() && (end.empty() || range.beyond < end)) high = range.beyond;
  if (!high.empty()) sql += " AND key < ?2";
  if (!range.backwards && range.beyond >= low && !range.beyond.empty()) {
    low = range.beyond;
    sql += " AND key > ?1";
  }
  sql += range.backwards ? " ORDER BY key DESC" : " ORDER BY key";
  if (range.limit > 0) sql += " LIMIT " + std::to_string(range.limit);
  if (!file_.begin_reading()) return answer({});
  {
    const std::optional<std::string> upper = high.empty() ? std::nullopt : std::optional(high);
    sqlite_statement rows(file_, sql.c_str(), low, upper);
    while (rows.next())
      good.entries.push_back(entry_of(rows));
  }
  good.revision = static_cast<store_revision>(revision());
  file_.roll_back();
  return answer(std::move(good));
}

sqlite_tables::told_changes sqlite_tables::changes(const std::string& prefix, store_revision after) {
  told_changes out;
  const std::string end = end_of_prefix(prefix);
  file_.begin_reading();
  out.revision = static_cast<store_revision>(revision());
  out.forgotten = static_cast<store_revision>(counter("forgotten")) > after;
  if (!out.forgotten) {
    sqlite_statement rows(file_,
                          "SELECT revision, key, value, lease FROM history WHERE revision > ? AND key >= ?2 "
                          "AND (key < ?3 OR ?3 = x'') ORDER BY revision, key",
                          static_cast<std::int64_t>(after), prefix, end);
    while (rows.next()) {
      const auto number = static_cast<store_revision>(rows.number(0));
      if (out.events.empty() || out.events.back().revision != number) out.events.push_back({number, {}, false, {}});
      out.events.back().changes.push_back(
          {rows.bytes(1), rows.is_null(2) ? std::nullopt : std::optional(rows.bytes(2)), rows.number(3)});
    }
  }
  file_.roll_back();
  out.failed = file_.take_trouble().has_value();
  return out;
}

// -- writing
// ---------------------------------------------------------------------------------------------------------------

store_answer sqlite_tables::commit(const std::vector<store_write>& writes) {
  if (auto fault = fault_of(writes); !fault.empty()) return unavailable(std::move(fault));
  if (!file_.begin()) return answer({});
  store_answer failed{store_outcome::conflict, {}, 0, {}, 0};
  bool conflict = false;
  for (const store_write& one : writes) {
    if (one.lease != 0 && !lease_lives(one.lease)) conflict = true;
    if (!one.expected) continue;
    auto found = find(one.key);
    if ((found ? found->revision : 0) == *one.expected) continue;
    conflict = true;
    if (found) failed.entries.push_back(std::move(*found));
  }
  const std::int64_t before = revision();
  bool changed = false;
  if (!conflict)
    for (const store_write& one : writes)
      if (!one.only_check) changed |= write(one, before + 1);
  if (conflict || !changed) {
    file_.roll_back();
    failed.revision = static_cast<store_revision>(before);
    return answer(conflict ? std::move(failed) : store_answer{store_outcome::ok, {}, failed.revision, {}, 0});
  }
  set_counter("revision", before + 1);
  forget(before + 1);
  if (!file_.commit()) file_.roll_back();
  return answer({store_outcome::ok, {}, static_cast<store_revision>(before + 1), {}, 0});
}

/// Whether it changes anything.
bool sqlite_tables::write(const store_write& what, std::int64_t revision) {
  if (!what.value) {
    if (!find(what.key)) return false;
    sqlite_statement(file_, "DELETE FROM entries WHERE key = ?", what.key).next();
  } else {
    sqlite_statement(file_, "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", what.key, *what.value, revision,
                     std::int64_t{what.lease})
        .next();
  }
  sqlite_statement(file_, "INSERT INTO history VALUES (?, ?, ?, ?)", revision, what.key, what.value,
                   std::int64_t{what.lease})
      .next();
  return true;
}

/// What is older than the commits that are kept.
void sqlite_tables::forget(std::int64_t revision) {
  const std::int64_t last = revision - kept_commits;
  if (last <= 0) return;
  sqlite_statement(file_, "DELETE FROM history WHERE revision <= ?", last).next();
  set_counter("forgotten", last);
}

// -- leases
// ----------------------------------------------------------------------------------------------------------------

bool sqlite_tables::lease_lives(store_lease which) {
  return sqlite_statement(file_, "SELECT 1 FROM leases WHERE id = ?", std::int64_t{which}).next();
}

store_answer sqlite_tables::grant(std::int64_t milliseconds) {
  if (!file_.begin()) return answer({});
  const std::int64_t id = counter("lease") + 1;
  set_counter("lease", id);
  sqlite_statement(file_, "INSERT INTO leases VALUES (?, ?, 0)", id, milliseconds).next();
  const auto now = static_cast<store_revision>(revision());
  if (!file_.commit()) file_.roll_back();
  return answer({store_outcome::ok, {}, now, {}, id});
}

store_answer sqlite_tables::no_such_lease() {
  const auto now = static_cast<store_revision>(revision());
  file_.roll_back();
  return answer({store_outcome::conflict, {}, now, {}, 0});
}

/// On disk too: another process that counts the same lease must not think it is dead.
store_answer sqlite_tables::beat(store_lease which) {
  if (!file_.begin()) return answer({});
  if (!lease_lives(which)) return no_such_lease();
  sqlite_statement(file_, "UPDATE leases SET beats = beats + 1 WHERE id = ?", std::int64_t{which}).next();
  const auto now = static_cast<store_revision>(revision());
  if (!file_.commit()) file_.roll_back();
  return answer({store_outcome::ok, {}, now, {}, which});
}

store_answer sqlite_tables::revoke(store_lease which) {
  return end_lease(which, std::nullopt);
}

store_answer sqlite_tables::expire(store_lease which, std::int64_t beats) {
  return end_lease(which, beats);
}

store_answer sqlite_tables::end_lease(store_lease which, std::optional<std::int64_t> beats) {
  if (!file_.begin()) return answer({});
  {
    sqlite_statement row(file_, "SELECT beats FROM leases WHERE id = ?", std::int64_t{which});
    if (!row.next() || (beats && row.number(0) != *beats)) return no_such_lease();
  }
  const std::int64_t before = revision();
  bool changed = false;
  std::vector<std::string> keys;
  {
    sqlite_statement rows(file_, "SELECT key FROM entries WHERE lease = ?", std::int64_t{which});
    while (rows.next())
      keys.push_back(rows.bytes(0));
  }
  for (std::string& key : keys)
    changed |= write({std::move(key), std::nullopt, std::nullopt, 0, false}, before + 1);
  sqlite_statement(file_, "DELETE FROM leases WHERE id = ?", std::int64_t{which}).next();
  if (changed) {
    set_counter("revision", before + 1);
    forget(before + 1);
  }
  if (!file_.commit()) file_.roll_back();
  return answer({store_outcome::ok, {}, static_cast<store_revision>(changed ? before + 1 : before), {}, which});
}

std::map<store_lease, stored_lease> sqlite_tables::leases() {
  std::map<store_lease, stored_lease> out;
  sqlite_statement rows(file_, "SELECT id, milliseconds, beats FROM leases");
  while (rows.next())
    out[rows.number(0)] = {rows.number(1), rows.number(2)};
  file_.take_trouble();
  return out;
}

} // namespace pg_edge::actors
