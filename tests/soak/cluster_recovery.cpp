#include "tests/soak/cluster_recovery.hpp"

#include <iomanip>
#include <iostream>
#include <string_view>
#include <thread>

namespace pg_edge::soak {

namespace {

using clock = std::chrono::steady_clock;

constexpr milliseconds agreement_limit{60000};
constexpr milliseconds permit_limit{50000};
constexpr milliseconds answer_limit{65000}; // longer than query_wait_timeout: the node says itself what it misses
constexpr milliseconds look_interval{100};
constexpr int idle_of_each_kind = 2;

std::string name_of(std::size_t node) {
  return "n" + std::to_string(node);
}

/// A node that has ended by itself is told of, and started again.
void look_for_dead(cluster_run& all) {
  for (std::size_t i = 0; i < all.in.nodes.size(); ++i) {
    if (all.in.nodes[i].running()) continue;
    all.in.expect_end(i);
    const std::optional<int> status = all.in.bury(i, milliseconds(1000));
    all.deaths.push_back(name_of(i) + " ended by itself, status " + std::to_string(status.value_or(-1)));
    all.fail(all.deaths.back());
    all.in.start(i);
  }
}

/// Empty: it reaches all others. Else what it sees.
std::string view_of(cluster_run& all, std::size_t node) {
  try {
    const std::size_t seen = all.in.nodes.members_in_reach(node);
    return seen == all.in.nodes.size() ? "" : name_of(node) + " reaches " + std::to_string(seen);
  } catch (const test_failure& problem) {
    return name_of(node) + ": " + problem.what();
  }
}

std::string views(cluster_run& all) {
  const auto end = clock::now() + agreement_limit;
  for (;;) {
    look_for_dead(all);
    std::string against;
    for (std::size_t i = 0; i < all.in.nodes.size() && against.empty(); ++i)
      against = view_of(all, i);
    if (against.empty() || clock::now() > end) return against;
    std::this_thread::sleep_for(look_interval);
  }
}

/// As many transactions at once as the pool has permits, by all nodes in turn. Empty: they were had.
std::string take_all(cluster_run& all, const pool_row& pool) {
  std::vector<pq> clients;
  const int size = all.in.size_of(pool);
  try {
    for (int i = 0; i < size; ++i) {
      const std::size_t node = static_cast<std::size_t>(i) % all.in.nodes.size();
      const auto there = all.in.nodes.at(node);
      clients.emplace_back(all.in.nodes[node].conninfo(pool.login, pool.database) + " connect_timeout=60");
      clients.back().send_query("begin; select 'mine'");
    }
    for (int i = 0; i < size; ++i) {
      const std::vector<pq_result> results = clients[static_cast<std::size_t>(i)].results(answer_limit);
      if (results.empty() || !results.back().ok() || results.back().value() != "mine")
        return std::string("pool ") + pool.name + ", permit " + std::to_string(i + 1) + " of " + std::to_string(size) +
               ": " + (results.empty() ? "" : results.back().message()) +
               clients[static_cast<std::size_t>(i)].last_words();
    }
    for (pq& client : clients)
      client.exec("commit");
  } catch (const test_failure& problem) {
    return std::string("pool ") + pool.name + ", one of " + std::to_string(size) + " permits: " + problem.what();
  }
  return "";
}

/// Nodes that have only just found each other may lose a link once more, and with it what was under way on it: their
/// clients are told so, and ask again.
std::string permits_of(cluster_run& all, const pool_row& pool) {
  const auto end = clock::now() + permit_limit;
  for (;;) {
    const std::string against = take_all(all, pool);
    if (against.empty() || clock::now() > end) return against;
    all.count("looks at all permits that came too early");
    std::this_thread::sleep_for(look_interval);
  }
}

} // namespace

bool recovered(cluster_run& all) {
  const auto began = clock::now();
  std::string against = views(all);
  all.calm = true;
  for (const pool_row& pool : shared_pools)
    if (against.empty()) against = permits_of(all, pool);
  all.calm = false;
  const auto took = std::chrono::duration_cast<milliseconds>(clock::now() - began);
  all.highest("longest time until all nodes agreed and had all permits, ms", took.count());
  std::cout << std::setw(9) << static_cast<double>(took.count()) / 1000 << " s until all was well" << std::endl;
  if (against.empty()) return true;
  all.unrecovered.push_back(against);
  all.fail(against);
  return false;
}

// -- idle clients --------------------------------------------------------------------------------------------------

idle_clients::idle_clients(cluster_run& all) : all_(all) {
  int number = 0;
  for (std::size_t node = 0; node < all.in.nodes.size(); ++node)
    for (const pool_row& pool : shared_pools)
      for (int i = 0; i < idle_of_each_kind && std::string_view(pool.mode) == "transaction"; ++i)
        clients_.push_back({node, &pool, ++number});
  for (one& client : clients_)
    connect(client);
}

void idle_clients::connect(one& client) {
  const auto there = all_.in.nodes.at(client.node);
  client.life = all_.in.life(client.node);
  client.connection =
      std::make_unique<pq>(all_.in.nodes[client.node].conninfo(client.pool->login, client.pool->database));
  client.connection->exec("set application_name to idle" + std::to_string(client.number));
  client.connection->prepare("kept", "select $1::int + " + std::to_string(client.number));
}

void idle_clients::ask() {
  for (one& client : clients_)
    ask(client);
}

void idle_clients::ask(one& client) {
  const pq_result name = client.connection->try_exec("show application_name");
  const pq_result sum = name.ok() ? client.connection->try_exec_prepared("kept", {"1000"}) : name;
  const std::string who = std::string("idle client of ") + name_of(client.node) + ", pool " + client.pool->name;
  if (sum.ok()) {
    all_.count("idle clients: right answers");
    if (name.value() == "idle" + std::to_string(client.number) && sum.value() == std::to_string(1000 + client.number))
      return;
    all_.idle_lost.push_back(who + " got " + name.value() + " and " + sum.value());
    return all_.fail(all_.idle_lost.back());
  }
  if (client.life == all_.in.life(client.node)) {
    all_.idle_lost.push_back(who + ": " + sum.message() + client.connection->last_words());
    all_.fail(all_.idle_lost.back());
  } else {
    all_.count("idle clients: their node was ended");
  }
  connect(client);
}

} // namespace pg_edge::soak
