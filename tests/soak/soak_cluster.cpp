// The soak of a cluster: loads by all its nodes, disturbances one after the other, and then the promises.
#include "tests/soak/cluster_disturbances.hpp"
#include "tests/soak/cluster_loads.hpp"
#include "tests/soak/evidence.hpp"
#include "tests/soak/soaks.hpp"
#include "tests/soak/watch.hpp"

#include <csignal>
#include <iostream>

namespace pg_edge::soak {

namespace {

using clock = std::chrono::steady_clock;

constexpr milliseconds warm_up{15000};
constexpr milliseconds settle_limit{90000}; // idle servers are closed after server_idle_timeout
constexpr milliseconds end_limit{60000};
// It has 7 to 11 connections to the store, and 4 or 5 to each other node.
constexpr int spare_descriptors = 8;
constexpr long longest_wait = 60000; // ms: query_wait_timeout

/// Loads, and disturbances if asked for, for so long or until something does not come back.
void one_round(cluster_run& all, milliseconds time, unsigned round, bool disturbed) {
  all.stopping = false;
  const std::vector<std::unique_ptr<crowd>> crowds = gather_crowds(all, round);
  std::vector<std::thread> threads = start_loads(all, round);
  if (disturbed) threads.emplace_back([&all] { disturb_cluster(all); });
  const auto end = clock::now() + time;
  while (clock::now() < end && !all.stopping)
    std::this_thread::sleep_for(milliseconds(200));
  all.stopping = true;
  // The last disturbance ends first, so that what still waits is served.
  for (std::thread& thread : threads)
    thread.join();
  for (const auto& one : crowds)
    one->stop();
  add_up(all, crowds);
}

holdings settled_elder(cluster_run& all) {
  const auto there = all.in.nodes.at(all.elder);
  return settled(all.in.nodes[all.elder], settle_limit);
}

/// Each is told to leave, one after the other, and ends with status 0.
void end_nodes(cluster_run& all) {
  for (std::size_t i = 0; i < all.in.nodes.size(); ++i) {
    const std::string name = "n" + std::to_string(i);
    if (!all.in.nodes[i].running()) all.deaths.push_back(name + " was gone at the end");
    all.in.expect_end(i);
    all.in.nodes[i].signal(SIGTERM);
    const std::optional<int> status = all.in.bury(i, end_limit);
    if (status != 0)
      all.deaths.push_back(name + (status ? " ended with status " + std::to_string(*status) : " does not end"));
  }
}

long figure(const cluster_run& all, const std::string& name) {
  const auto figures = all.figures();
  const auto found = figures.find(name);
  return found == figures.end() ? 0 : found->second;
}

long sum_of(const cluster_run& all, const std::string& prefix) {
  long sum = 0;
  for (const auto& [name, count] : all.figures())
    if (name.starts_with(prefix)) sum += count;
  return sum;
}

void judge_clients(verdict& result, const cluster_run& all) {
  result.check_none("every answer is its own, nothing hangs", all.failures());
  result.check_none("nothing ran twice, nothing acknowledged is lost, nothing refused was done",
                    all.in.rows.disagreements());
  const std::string books =
      all.in.server.query("select (select sum(abalance) from pgbench_accounts) = (select coalesce(sum(delta), 0) from "
                          "pgbench_history) and (select sum(abalance) from pgbench_accounts) = (select sum(bbalance) "
                          "from pgbench_branches)");
  result.check("pgbench's books balance", books == "t", books);
  const long wait = figure(all, "crowds: longest wait for a message, ms");
  result.check("no client waits in vain", wait < longest_wait, "at most " + std::to_string(wait) + " ms");
  const long hit = figure(all, "crowds: errors 57014");
  result.check("no cancel hits another's query", hit == 0, std::to_string(hit) + " were hit");
  const long cancelled = figure(all, "cancels: queries that ended with 57014");
  result.check("cancels by another node reach their query",
               cancelled > figure(all, "cancels: queries that were not hit"), std::to_string(cancelled) + " did");
  result.check_none("an idle client is disconnected with its own node only", all.idle_lost);
}

} // namespace

int soak_cluster(const options& wanted) {
  cluster_world where(wanted.nodes, wanted.logs);
  cluster_run all(where, wanted.seed);
  std::cout << "seed " << wanted.seed << ", " << wanted.minutes << " minutes, " << wanted.nodes << " nodes, "
            << pg_edge_process::binary() << std::endl;
  verdict result;
  holdings before, after;
  {
    pool_watch watch(all, where.server, shared_pools);
    one_round(all, warm_up, 0, false);
    before = settled_elder(all);
    one_round(all, milliseconds(static_cast<long>(wanted.minutes * 60'000)), 1, true);
    after = settled_elder(all);
    end_nodes(all);
    watch.judge(result);
  }
  add_up(all, where.rows);
  judge_clients(result, all);
  const long disturbances = sum_of(all, "disturbances: ");
  result.check("the cluster was disturbed", disturbances > 0, std::to_string(disturbances) + " times");
  result.check_none("after each disturbance all nodes agree, and every pool has all its permits", all.unrecovered);
  judge(result, before, after, spare_descriptors);
  result.check_none("nodes end when they are told to, and in order", all.deaths);
  const std::string left = where.server.query("select count(*) from pg_stat_activity where usename like 'soak_%'");
  result.check("no backend is left behind", left == "0", left);
  result.check_none("no internal error in the logs", where.log_lines());
  result.check_none("no sanitizer report", reports_in(wanted.reports));
  return result.print(all);
}

} // namespace pg_edge::soak
