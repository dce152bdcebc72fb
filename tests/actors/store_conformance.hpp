// What every engine of cluster::store must do: the promises of cluster/store.hpp as tests. An engine's test program
// runs each row of `store_conformance` against itself; see sqlite_store_test.cpp.
#pragma once

#include "cluster/store.hpp"

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace pg_edge::actors {

/// An engine under test.
struct store_under_test {
  /// A connection to the same data each time, from a moment at which it is empty. Several may be open at once.
  std::function<std::unique_ptr<cluster::store>()> open;
};

struct conformance_case {
  const char* name;
  void (*check)(const store_under_test&);
};
inline std::ostream& operator<<(std::ostream& out, const conformance_case& one) {
  return out << one.name;
}

/// Every promise, each to be checked with data of its own.
const std::vector<conformance_case>& store_conformance();

/// Asks and waits.
cluster::store_answer get_now(cluster::store& from, const std::string& key);
cluster::store_answer list_now(cluster::store& from, cluster::store_range range);
cluster::store_answer commit_now(cluster::store& to, std::vector<cluster::store_write> writes);
cluster::store_answer set_now(cluster::store& to, const std::string& key, const std::string& value,
                              cluster::store_revision expected, cluster::store_lease lease = 0);
cluster::store_answer remove_now(cluster::store& from, const std::string& key, cluster::store_revision expected);

} // namespace pg_edge::actors
