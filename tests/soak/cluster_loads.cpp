#include "tests/soak/cluster_loads.hpp"

#include "tests/soak/load_client.hpp"
#include "tests/support/pgbench.hpp"

namespace pg_edge::soak {

namespace {

constexpr int clients_of_each = 2; // node and pool
constexpr unsigned cancelling_threads = 3;

bool is_bench(const pool_row& pool) {
  return std::string_view(pool.name) == "bench";
}

// -- pgbench -------------------------------------------------------------------------------------------------------

/// It dies with what hits it, and is started anew.
void run_pgbench_at(cluster_run& all, std::size_t node) {
  constexpr const char* modes[] = {"simple", "extended", "prepared"};
  const auto there = all.in.nodes.at(node);
  for (std::size_t n = node; !all.stopping; ++n) {
    all.stay_away();
    std::vector<std::string> options{"-M", modes[n % std::size(modes)], "-c", "3", "-T", "3"};
    const bool anew = n % 2 == 0; // a connection for each transaction
    if (anew)
      options.insert(options.end(), {"-C", "-b", "select-only"});
    else
      options.insert(options.end(), {"-b", "tpcb-like"});
    try {
      const pgbench_result result = pgbench(all.in.nodes[node], "bench", options);
      all.count(anew ? "pgbench -C: transactions" : "pgbench: transactions", result.transactions);
      all.count(result.status == 0 ? "pgbench: runs" : "pgbench: runs broken off");
    } catch (const test_failure& problem) {
      all.fail("pgbench at n" + std::to_string(node) + " hangs: " + problem.what());
    }
    all.pause(milliseconds(200));
  }
}

// -- cancels -------------------------------------------------------------------------------------------------------

void cancel_by(cluster_run& all, std::size_t node, const wire_client& client) {
  const auto there = all.in.nodes.at(node);
  try {
    if (send_cancel(all.in.nodes[node].port(), client.backend_pid(), client.secret(), milliseconds(20000))) return;
  } catch (const test_failure&) { // that node is away
  }
  all.count("cancels: the other node was away");
}

wire_client cancelling_client(cluster_run& all, std::size_t node, const pool_row& pool, const std::string& who) {
  const auto there = all.in.nodes.at(node);
  wire_options how;
  how.timeout = milliseconds(90000);
  wire_client client(all.in.nodes[node].port(), how);
  client.startup({{"user", pool.login}, {"database", pool.database}, {"application_name", who}});
  return client;
}

/// It asks once more behind each cancel. That one may be hit, since nobody says when a cancel that was passed on has
/// arrived; nobody else's may.
void cancel_elsewhere(cluster_run& all, unsigned number) {
  std::mt19937 random = all.random(500 + number);
  for (unsigned n = 0; !all.stopping; ++n) {
    all.stay_away();
    const std::size_t node = random() % all.in.nodes.size();
    const std::size_t other = (node + 1 + random() % (all.in.nodes.size() - 1)) % all.in.nodes.size();
    const pool_row& pool = shared_pools[random() % std::size(shared_pools)];
    const std::string tag = "k" + std::to_string(number) + "n" + std::to_string(n);
    try {
      wire_client client = cancelling_client(all, node, pool, tag);
      client.send(query_bytes("select pg_sleep(0.5), '" + tag + "'"));
      all.pause(milliseconds(random() % 100));
      cancel_by(all, other, client);
      const std::string answer = summary(client.read_until_ready());
      const std::string error = error_of(answer);
      if (error.empty() && answer.find("D(," + tag + ")") == std::string::npos)
        throw wrong_answer("cancels: got " + answer + ", not " + tag);
      all.count(error.empty() ? "cancels: queries that were not hit" : "cancels: queries that ended with " + error);
      const std::string after = answer_of(client, query_bytes("select '" + tag + "'"));
      if (error_of(after).empty() && after.find("D(" + tag + ")") == std::string::npos)
        throw wrong_answer("behind a cancel: got " + after + ", not " + tag);
      client.send(terminate_bytes());
    } catch (const wrong_answer& problem) {
      all.fail(problem.what());
    } catch (const test_failure&) {
      all.count("cancels: connections lost");
      all.pause(milliseconds(50));
    }
    all.pause(milliseconds(random() % 300));
  }
}

} // namespace

std::vector<std::unique_ptr<crowd>> gather_crowds(cluster_run& all, unsigned round) {
  std::vector<std::unique_ptr<crowd>> crowds;
  for (std::size_t node = 0; node < all.in.nodes.size(); ++node) {
    const auto there = all.in.nodes.at(node); // its threads stay where they are started
    for (const pool_row& pool : shared_pools) {
      if (is_bench(pool)) continue;
      crowd_options how = crowd_of(pool, all.in.nodes[node].port());
      how.name = pool.name + std::to_string(round) + "n" + std::to_string(node) + "x";
      how.clients = clients_of_each;
      how.leave = &all.calm;
      how.seed = all.seed() + static_cast<unsigned>(crowds.size()) + round * 100;
      crowds.push_back(std::make_unique<crowd>(how, all.in.rows));
    }
  }
  return crowds;
}

std::vector<std::thread> start_loads(cluster_run& all, unsigned round) {
  std::vector<std::thread> threads;
  for (std::size_t node = 0; node < all.in.nodes.size(); ++node)
    threads.emplace_back([&all, node] { run_pgbench_at(all, node); });
  for (unsigned i = 0; i < cancelling_threads; ++i)
    threads.emplace_back([&all, i, round] { cancel_elsewhere(all, i + round * 10); });
  return threads;
}

} // namespace pg_edge::soak
