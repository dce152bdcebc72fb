// The soak of one node: everything at once for a while, and then the promises.
#include "tests/soak/disturbances.hpp"
#include "tests/soak/evidence.hpp"
#include "tests/soak/loads.hpp"
#include "tests/soak/soaks.hpp"
#include "tests/soak/verdict.hpp"
#include "tests/soak/watch.hpp"
#include "tests/support/crowd.hpp"

#include <iostream>
#include <thread>

namespace pg_edge::soak {

namespace {

using clock = std::chrono::steady_clock;

constexpr milliseconds warm_up{20000};
constexpr milliseconds settle_limit{90000}; // idle servers are closed after server_idle_timeout
constexpr int spare_descriptors = 2;

/// By then Postgres has missed a peer that vanished, see postgres_settings.
constexpr milliseconds missed_after{20000};

/// The crowds: of every pool one directly, and of some one by the proxy before the node.
std::vector<std::unique_ptr<crowd>> gather_crowds(run& all, unsigned round) {
  std::vector<std::unique_ptr<crowd>> crowds;
  for (std::size_t i = 0; i < std::size(pools); ++i) {
    const pool_row& pool = pools[i];
    crowd_options how = crowd_of(pool, all.in.node->port());
    how.name = std::string(pool.name) + std::to_string(round) + "d";
    how.clients = 3;
    how.seed = all.seed() + static_cast<unsigned>(i) + round * 100;
    crowds.push_back(std::make_unique<crowd>(how, *all.in.rows));
    if (i % 3 != 0) continue;
    how.name = std::string(pool.name) + std::to_string(round) + "p";
    how.port = all.in.before->port();
    how.clients = 2;
    how.silence = milliseconds(10000);
    how.may_be_silent = true;
    crowds.push_back(std::make_unique<crowd>(how, *all.in.rows));
  }
  return crowds;
}

/// Loads and disturbances for so long; returns when the last has ended.
void one_round(run& all, milliseconds time, unsigned round) {
  all.stopping = false;
  std::vector<std::unique_ptr<crowd>> crowds = gather_crowds(all, round);
  std::vector<std::thread> threads;
  for (const load_row& row : loads)
    for (unsigned i = 0; i < row.threads; ++i)
      threads.emplace_back([&all, &row, i, round] { row.what(all, i + round * 10); });
  for (const auto disturb : {disturb_networks, disturb_postgres, disturb_settings})
    threads.emplace_back([&all, disturb] { disturb(all); });
  const auto end = clock::now() + time;
  while (clock::now() < end && all.in.node->running())
    std::this_thread::sleep_for(milliseconds(200));
  all.stopping = true;
  // Faults and restarts end first, so that what still waits is served.
  for (std::thread& thread : threads)
    thread.join();
  all.in.before->clear();
  all.in.behind.clear();
  for (const auto& one : crowds)
    one->stop();
  add_up(all, crowds);
}

/// When all is over every pool answers, without a restart of anything.
std::vector<std::string> silent_pools(run& all) {
  std::vector<std::string> sentences;
  for (const pool_row& pool : pools) {
    try {
      wire_options how;
      how.timeout = milliseconds(60000);
      if (pool.tls) how.how = transport::tls;
      wire_client client(all.in.node->port(), how);
      client.startup({{"user", pool.login}, {"database", pool.database}});
      if (client.value("select 'well'") != "well") sentences.push_back(std::string(pool.name) + ": another answer");
      client.send(terminate_bytes());
    } catch (const test_failure& problem) {
      sentences.push_back(std::string(pool.name) + ": " + problem.what());
    }
  }
  return sentences;
}

} // namespace

int soak_node(const options& wanted) {
  world where(wanted.seed);
  run all(where, wanted.seed);
  std::cout << "seed " << wanted.seed << ", " << wanted.minutes << " minutes, " << pg_edge_process::binary()
            << std::endl;
  verdict result;
  holdings before, after;
  {
    const fault_proxy& behind = where.behind;
    pool_watch watch(all, where.server, pools,
                     [&behind] { return behind.orphans() + behind.vanished_within(missed_after); });
    one_round(all, warm_up, 0);
    before = settled(*where.node, settle_limit);
    const milliseconds time(static_cast<long>(wanted.minutes * 60'000));
    one_round(all, time, 1);
    after = settled(*where.node, settle_limit);
    result.check_none("every pool answers when all is over", silent_pools(all));
    watch.judge(result);
  }
  result.check_none("every answer is its own, nobody else is disturbed", all.failures());
  result.check_none("nothing ran twice, nothing acknowledged is lost, nothing refused was done",
                    where.rows->disagreements());
  add_up(all, *where.rows);
  judge(result, before, after, spare_descriptors);
  result.check("the node lived through it", where.node->running(), where.node->running() ? "it did" : "it died");
  if (where.node->running()) {
    const int status = where.node->stop(15, milliseconds(60000));
    result.check("the node ends in order", status == 0, "status " + std::to_string(status));
  }
  const std::string log = where.node->log();
  result.check_none("no internal error in the log", log_failures(log));
  result.check_none("no sanitizer report", reports_in(wanted.reports));
  const int status = result.print(all);
  if (status != 0)
    std::cerr << "the end of pg_edge's log:\n" << log.substr(log.size() - std::min<std::size_t>(log.size(), 3000));
  return status;
}

} // namespace pg_edge::soak
