#include "tests/support/pgbench.hpp"

#include "tests/support/postgres.hpp"

#include <cstdlib>
#include <string_view>

namespace pg_edge::test {

namespace {

long processed(const std::string& output) {
  constexpr std::string_view label = "actually processed: ";
  const std::size_t at = output.find(label);
  return at == std::string::npos ? 0 : std::atol(output.c_str() + at + label.size());
}

} // namespace

pgbench_result pgbench(const pg_edge_process& node, const std::string& database, std::vector<std::string> options,
                       milliseconds limit) {
  process_options how;
  how.environment = {"PGSSLMODE=disable", "PGGSSENCMODE=disable", "PGUSER=trust_user", "PGDATABASE=" + database};
  options.insert(options.begin(),
                 {postgres::program("pgbench"), "-n", "-h", "127.0.0.1", "-p", std::to_string(node.port())});
  const run_result result = run(options, limit, how);
  return {result.status, processed(result.out), result.out + result.err};
}

} // namespace pg_edge::test
