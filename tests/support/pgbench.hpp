// pgbench at a node, for its load and for what it says of it.
#pragma once

#include "tests/support/pg_edge_process.hpp"

#include <string>
#include <vector>

namespace pg_edge::test {

struct pgbench_result {
  int status = -1;
  long transactions = 0; // actually processed
  std::string said;      // all of it
};

/// Runs it to its end; without -n it would want to vacuum. Throws test_failure at the limit.
pgbench_result pgbench(const pg_edge_process& node, const std::string& database, std::vector<std::string> options,
                       milliseconds limit = milliseconds(120000));

} // namespace pg_edge::test
