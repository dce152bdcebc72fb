// pgbench in its three query modes, again and again: it dies with the faults that hit it and is started anew.
#include "tests/soak/loads.hpp"
#include "tests/support/pgbench.hpp"

namespace pg_edge::soak {

namespace {

constexpr const char* modes[] = {"simple", "extended", "prepared"};

} // namespace

void run_pgbench(run& all, unsigned number) {
  const std::string mode = modes[number % std::size(modes)];
  while (!all.stopping) {
    try {
      const pgbench_result result =
          pgbench(*all.in.node, "bench", {"-b", "select-only", "-M", mode, "-c", "4", "-T", "4"});
      all.count("pgbench transactions", result.transactions);
      all.count(result.status == 0 ? "pgbench runs" : "pgbench runs broken off");
    } catch (const test_failure& problem) {
      all.fail(std::string("pgbench hangs: ") + problem.what());
    }
    all.pause(milliseconds(200));
  }
}

} // namespace pg_edge::soak
