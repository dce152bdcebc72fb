// What a store does, in one SQLite file: each function is one transaction, or one reading. Without threads and time;
// sqlite_store brings those.
#pragma once

#include "actors/sqlite_file.hpp"
#include "cluster/store.hpp"

#include <map>
#include <vector>

namespace pg_edge::actors {

/// So many commits are kept for watches that begin in the past.
inline constexpr std::int64_t kept_commits = 1000;

/// A lease as the file has it. `beats` counts how often it was kept alive, by whatever process.
struct stored_lease {
  std::int64_t milliseconds = 0, beats = 0;
};

class sqlite_tables {
public:
  explicit sqlite_tables(sqlite_file& file) : file_(file) {}

  cluster::store_answer get(const std::string& key);
  cluster::store_answer list(const cluster::store_range& range);
  cluster::store_answer commit(const std::vector<cluster::store_write>& writes);

  cluster::store_answer grant(std::int64_t milliseconds);
  cluster::store_answer beat(cluster::store_lease which);
  cluster::store_answer revoke(cluster::store_lease which);
  /// As revoke(), unless somebody has kept it alive since `beats`: then a conflict.
  cluster::store_answer expire(cluster::store_lease which, std::int64_t beats);
  std::map<cluster::store_lease, stored_lease> leases();

  std::int64_t revision();
  /// Commits after `after` with keys of this prefix, oldest first, up to `revision`.
  struct told_changes {
    std::vector<cluster::store_event> events;
    cluster::store_revision revision = 0;
    bool forgotten = false; // some of them are not kept any more
    bool failed = false;    // the file cannot be read now
  };
  told_changes changes(const std::string& prefix, cluster::store_revision after);

private:
  cluster::store_answer answer(cluster::store_answer good);
  cluster::store_answer no_such_lease();
  std::int64_t counter(const char* name);
  void set_counter(const char* name, std::int64_t value);
  std::optional<cluster::store_entry> find(const std::string& key);
  bool lease_lives(cluster::store_lease which);
  bool write(const cluster::store_write& what, std::int64_t revision);
  void forget(std::int64_t revision);
  cluster::store_answer end_lease(cluster::store_lease which, std::optional<std::int64_t> beats);

  sqlite_file& file_;
};

} // namespace pg_edge::actors
