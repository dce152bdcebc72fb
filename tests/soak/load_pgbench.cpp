// pgbench in its three query modes, again and again: it dies with the faults that hit it and is started anew.
#include "tests/soak/loads.hpp"

#include <cstdlib>

namespace pg_edge::soak {

namespace {

constexpr const char* modes[] = {"simple", "extended", "prepared"};

/// The number behind "number of transactions actually processed:".
long processed(const std::string& output) {
  constexpr std::string_view label = "actually processed: ";
  const std::size_t at = output.find(label);
  return at == std::string::npos ? 0 : std::atol(output.c_str() + at + label.size());
}

} // namespace

void run_pgbench(run& all, unsigned number) {
  const std::string mode = modes[number % std::size(modes)];
  process_options how;
  how.environment = {"PGSSLMODE=disable", "PGGSSENCMODE=disable", "PGUSER=trust_user", "PGDATABASE=bench"};
  while (!all.stopping) {
    try {
      const run_result result =
          test::run({postgres::program("pgbench"), "-n", "-b", "select-only", "-M", mode, "-h", "127.0.0.1", "-p",
                     std::to_string(all.in.node->port()), "-c", "4", "-T", "4"},
                    milliseconds(120000), how);
      all.count("pgbench transactions", processed(result.out));
      all.count(result.status == 0 ? "pgbench runs" : "pgbench runs broken off");
    } catch (const test_failure& problem) {
      all.fail(std::string("pgbench hangs: ") + problem.what());
    }
    all.pause(milliseconds(200));
  }
}

} // namespace pg_edge::soak
