// Three and five nodes under pgbench, with a connection for each transaction and with lasting ones, while one of them
// is killed, frozen or drained, or another joins: runs by the other nodes know nothing of it, what pgbench counts is
// there once, and the pool never has more servers than its size. tools/soak --nodes does the same for as long as one
// wants.
#include "tests/pg/cluster_support.hpp"
#include "tests/support/pgbench.hpp"

using namespace pg_edge::test;

namespace {

constexpr int permits = 12; // some of five nodes have none of them, and relay their clients

/// pgbench at one node, again and again until it is stopped.
class bench {
public:
  explicit bench(const pg_edge_process& node) {
    for (const bool anew : {false, true})
      threads_.emplace_back([this, &node, anew] { work(node, anew); });
  }
  ~bench() { stop(); }
  void stop() {
    stopping_ = true;
    for (std::thread& one : threads_)
      one.join();
    threads_.clear();
  }
  /// Whole runs more by each of its threads, begun from now on.
  bool progress() const {
    const long from[] = {runs_[0], runs_[1]};
    return wait_for([&] { return runs_[0] >= from[0] + 2 && runs_[1] >= from[1] + 2; }, milliseconds(120000));
  }
  std::string broken() const {
    const std::lock_guard guard(mutex_);
    return broken_;
  }
  std::atomic<long> written = 0; // transactions that have left a row of history

private:
  void work(const pg_edge_process& node, bool anew) {
    while (!stopping_) {
      const pgbench_result result =
          anew ? pgbench(node, "app", {"-C", "-b", "select-only", "-M", "extended", "-c", "2", "-t", "20"})
               : pgbench(node, "app", {"-b", "tpcb-like", "-M", "prepared", "-c", "3", "-t", "40"});
      ++runs_[anew ? 1 : 0];
      if (!anew) written += result.transactions;
      if (result.status == 0) continue;
      const std::lock_guard guard(mutex_);
      broken_ += result.said;
    }
  }

  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_ = false;
  std::atomic<long> runs_[2] = {0, 0};
  mutable std::mutex mutex_;
  std::string broken_;
};

struct benched_cluster {
  /// `hosts`: on which the nodes are; nothing: on this one.
  explicit benched_cluster(std::size_t count, const network* hosts = nullptr) : all(options(count, hosts)) {
    all.require_agreement();
    BOOST_REQUIRE(all.all_connected());
    for (std::size_t i = 0; i < count; ++i) {
      const auto there = all.at(i); // its threads stay where they are started
      benches.push_back(std::make_unique<bench>(all[i]));
    }
  }

  static cluster_options options(std::size_t count, const network* hosts) {
    const run_result made = run({postgres::program("pgbench"), "-i", "-q", "-h", "127.0.0.1", "-p",
                                 std::to_string(postgres::shared().port()), "-U", "postgres", "app"});
    if (made.status != 0) throw test_failure("pgbench -i: " + made.err);
    for (const char* table : {"accounts", "branches", "tellers", "history"})
      postgres::shared().query("grant all on pgbench_" + std::string(table) + " to public");
    cluster_options how = drained_nodes(permits);
    how.nodes = count;
    how.hosts = hosts;
    how.tls = hosts != nullptr;
    return how;
  }

  void expect_progress(std::size_t but) {
    for (std::size_t i = 0; i < benches.size(); ++i)
      if (i != but) BOOST_TEST(benches[i]->progress(), "n" << i << benches[i]->broken() << all[i].log());
  }
  /// What ends that node, or makes it stand still, harms pgbench at that node only.
  void expect_harmless(std::size_t victim, const std::function<void(pg_edge_process&)>& harm,
                       const std::function<void(pg_edge_process&)>& mend) {
    harm(all[victim]);
    for (std::size_t i = 0; i < all.size(); ++i)
      if (i != victim) BOOST_TEST(all.agree(i, all.names({victim})));
    expect_progress(victim);
    mend(all[victim]);
    all.require_agreement();
    expect_progress(none);
  }
  /// `harmed`: at those nodes pgbench may have been broken off, and nobody can say how many transactions it had made.
  void expect_all_right(const std::set<std::size_t>& harmed) {
    long counted = 0;
    for (const auto& one : benches)
      one->stop();
    for (std::size_t i = 0; i < benches.size(); ++i) {
      counted += benches[i]->written;
      if (!harmed.contains(i))
        BOOST_TEST(benches[i]->broken() == "", "n" << i << ": " << benches[i]->broken() << all[i].log());
    }
    const long rows = std::stol(postgres::shared().query("select count(*) from pgbench_history"));
    if (harmed.empty())
      BOOST_TEST(rows == counted);
    else
      BOOST_TEST(rows >= counted);
    BOOST_TEST(postgres::shared().query("select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from "
                                        "pgbench_history)") == "t");
    BOOST_TEST(watcher.max() <= permits);
    BOOST_TEST(watcher.samples() > 100);
  }

  static constexpr std::size_t none = 99;
  nodes all;
  const backend_watcher watcher{postgres::shared(), "trust_user"};
  std::vector<std::unique_ptr<bench>> benches; // of each node
};

void kill_one(std::size_t count) {
  benched_cluster cluster(count);
  cluster.expect_harmless(
      1, [](pg_edge_process& node) { node.stop(SIGKILL); }, [](pg_edge_process& node) { node.start(); });
  cluster.expect_all_right({1});
}

void freeze_one(std::size_t count) {
  benched_cluster cluster(count);
  cluster.expect_harmless(
      2, [](pg_edge_process& node) { node.signal(SIGSTOP); },
      [](pg_edge_process& node) {
        node.signal(SIGCONT);
        BOOST_TEST(node.wait_for_log("event=node_fenced", milliseconds(30000)), node.log());
      });
  cluster.expect_all_right({2});
}

/// pgbench does not connect again when it is told that its node ends, so that its runs there are broken off; but never
/// in a transaction.
void drain_one(std::size_t count) {
  benched_cluster cluster(count);
  cluster.expect_harmless(
      0,
      [&](pg_edge_process& node) {
        const run_result told = ctl(cluster.all, 1, {"node", "drain", "n0"});
        BOOST_TEST(told.status == 0, told.out << told.err);
        BOOST_TEST((node.wait() == 0));
      },
      [](pg_edge_process& node) { node.start(); });
  cluster.expect_all_right({0});
}

/// Postgres stays in its reach, but the others do not, and the store does not.
void cut_off_one(std::size_t count) {
  const network hosts(count);
  benched_cluster cluster(count, &hosts);
  cluster.expect_harmless(
      1, [&](pg_edge_process&) { hosts.part(1); }, [&](pg_edge_process&) { hosts.join(1); });
  cluster.expect_all_right({1});
}

void join_one(std::size_t count) {
  benched_cluster cluster(count);
  cluster.expect_progress(benched_cluster::none);
  cluster.benches.push_back(std::make_unique<bench>(cluster.all.add()));
  cluster.all.require_agreement();
  cluster.expect_progress(benched_cluster::none);
  cluster.expect_all_right({});
}

void in_clusters_of(std::initializer_list<std::size_t> counts, void (*test)(std::size_t)) {
  for (const std::size_t count : counts)
    BOOST_TEST_CONTEXT(count << " nodes at first") {
      test(count);
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_pgbench_pgtest)

BOOST_AUTO_TEST_CASE(B166_a_node_is_killed_under_pgbench) {
  in_clusters_of({3U, 5U}, kill_one);
}

BOOST_AUTO_TEST_CASE(B166_a_node_is_frozen_under_pgbench) {
  in_clusters_of({3U, 5U}, freeze_one);
}

BOOST_AUTO_TEST_CASE(B162_a_node_is_drained_under_pgbench) {
  in_clusters_of({3U, 5U}, drain_one);
}

BOOST_AUTO_TEST_CASE(B166_a_node_is_cut_off_under_pgbench) {
  in_clusters_of({3U, 5U}, cut_off_one);
}

BOOST_AUTO_TEST_CASE(B163_a_node_joins_under_pgbench) {
  in_clusters_of({2U, 4U}, join_one);
}

BOOST_AUTO_TEST_SUITE_END()
