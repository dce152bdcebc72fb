#include "tests/soak/cluster_disturbances.hpp"

#include "tests/soak/cluster_recovery.hpp"

#include <csignal>
#include <iomanip>
#include <iostream>

namespace pg_edge::soak {

namespace {

constexpr milliseconds drain_limit{90000}; // a long transaction may have to wait for Postgres first
constexpr int killed = 128 + SIGKILL;

enum class scope : std::uint8_t { node, postgres, store, links, settings };

struct disturbance {
  const char* name;
  scope of; // two of the same never happen at once, but for two nodes
  bool ends_node;
  unsigned least, most; // ms from begin to end
  void (*begin)(cluster_run& all, std::size_t node);
  void (*end)(cluster_run& all, std::size_t node);
};

/// What one of them was told to do, and on which node.
struct incident {
  const disturbance* what;
  std::size_t node;
};

// -- nodes -------------------------------------------------------------------------------------------------------

void end_with(cluster_run& all, std::size_t node, int expected, milliseconds limit) {
  const std::optional<int> status = all.in.bury(node, limit);
  if (status != expected) {
    all.deaths.push_back("n" + std::to_string(node) +
                         (status ? " ended with status " + std::to_string(*status) : " does not end") + ", not with " +
                         std::to_string(expected));
    all.fail(all.deaths.back());
    all.in.nodes[node].signal(SIGKILL);
  }
  all.in.start(node);
}

void kill_node(cluster_run& all, std::size_t node) {
  all.in.expect_end(node);
  all.in.nodes[node].signal(SIGKILL);
}
void replace_killed(cluster_run& all, std::size_t node) {
  end_with(all, node, killed, milliseconds(10000));
}

void freeze_node(cluster_run& all, std::size_t node) {
  all.in.nodes[node].signal(SIGSTOP);
}
void thaw_node(cluster_run& all, std::size_t node) {
  all.in.nodes[node].signal(SIGCONT);
}

void interrupt_node(cluster_run& all, std::size_t node) {
  all.in.expect_end(node);
  all.in.nodes[node].signal(SIGINT);
}
/// As an operator does it: any node that can be reached is asked.
void drain_node(cluster_run& all, std::size_t node) {
  all.in.expect_end(node);
  for (std::size_t asked = (node + 1) % all.in.nodes.size(); asked != node; asked = (asked + 1) % all.in.nodes.size())
    if (ctl(all.in.nodes, asked, {"node", "drain", "n" + std::to_string(node), "--wait", "0"}).status == 0) return;
  all.in.nodes[node].signal(SIGINT);
}
void replace_drained(cluster_run& all, std::size_t node) {
  end_with(all, node, 0, drain_limit);
}

void part_node(cluster_run& all, std::size_t node) {
  all.in.hosts.part(node);
}
void join_node(cluster_run& all, std::size_t node) {
  all.in.hosts.join(node);
}

// -- what they stand on --------------------------------------------------------------------------------------------

void cut_links(cluster_run& all, std::size_t) {
  all.in.hosts.isolate(true);
}
void mend_links(cluster_run& all, std::size_t) {
  all.in.hosts.isolate(false);
}

void kill_store(cluster_run& all, std::size_t) {
  all.in.nodes.store().kill();
}
void start_store(cluster_run& all, std::size_t) {
  const auto there = all.in.hosts.on_switch();
  all.in.nodes.store().restart();
}
void freeze_store(cluster_run& all, std::size_t) {
  all.in.nodes.store().signal(SIGSTOP);
}
void thaw_store(cluster_run& all, std::size_t) {
  all.in.nodes.store().signal(SIGCONT);
}

void stop_postgres(cluster_run& all, std::size_t) {
  all.in.server.stop(postgres::shutdown::fast);
}
void stop_postgres_at_once(cluster_run& all, std::size_t) {
  all.in.server.stop(postgres::shutdown::immediate);
}
void kill_postgres(cluster_run& all, std::size_t) {
  all.in.server.kill();
}
void start_postgres(cluster_run& all, std::size_t) {
  all.in.server.start();
}
void freeze_postgres(cluster_run& all, std::size_t) {
  all.in.server.freeze();
}
void thaw_postgres(cluster_run& all, std::size_t) {
  all.in.server.thaw();
}

void shrink(cluster_run& all, std::size_t) {
  all.in.reload(true);
}
void grow(cluster_run& all, std::size_t) {
  all.in.reload(false);
}

// Leases end after failure_timeout, which is 3 s: some times are shorter and some longer.
constexpr disturbance disturbances[] = {
    {"node killed", scope::node, true, 0, 6000, kill_node, replace_killed},
    {"node frozen", scope::node, false, 1000, 6000, freeze_node, thaw_node},
    {"node drained", scope::node, true, 0, 2000, drain_node, replace_drained},
    {"node interrupted", scope::node, true, 0, 2000, interrupt_node, replace_drained},
    {"node cut off", scope::node, false, 500, 8000, part_node, join_node},
    {"links cut, not the store", scope::links, false, 500, 8000, cut_links, mend_links},
    {"store killed, shortly", scope::store, false, 100, 1500, kill_store, start_store},
    {"store killed, for long", scope::store, false, 4000, 9000, kill_store, start_store},
    {"store frozen", scope::store, false, 500, 6000, freeze_store, thaw_store},
    {"Postgres: fast restart", scope::postgres, false, 0, 3000, stop_postgres, start_postgres},
    {"Postgres: immediate restart", scope::postgres, false, 0, 3000, stop_postgres_at_once, start_postgres},
    {"Postgres: kill -9", scope::postgres, false, 0, 3000, kill_postgres, start_postgres},
    {"Postgres: frozen", scope::postgres, false, 500, 4000, freeze_postgres, thaw_postgres},
    {"reload, a pool shrinks and grows", scope::settings, false, 500, 4000, shrink, grow},
};

// -- one after the other -------------------------------------------------------------------------------------------

incident any(const cluster_run& all, std::mt19937& random) {
  incident one{&disturbances[random() % std::size(disturbances)], random() % all.in.nodes.size()};
  if (one.what->ends_node && one.node == all.elder) one.node = (one.node + 1) % all.in.nodes.size();
  return one;
}

bool at_once(const incident& one, const incident& other) {
  return one.what->of != other.what->of || (one.what->of == scope::node && one.node != other.node);
}

std::string text(const incident& one) {
  return one.what->name + (one.what->of == scope::node ? " n" + std::to_string(one.node) : std::string());
}

void begin(cluster_run& all, const incident& one) {
  all.count(std::string("disturbances: ") + one.what->name);
  one.what->begin(all, one.node);
}

milliseconds some_time(const incident& one, std::mt19937& random) {
  return milliseconds(one.what->least + random() % (one.what->most - one.what->least + 1));
}

/// One, or a second that begins before the first has ended.
void happen(cluster_run& all, std::mt19937& random, double second) {
  const incident first = any(all, random), other = any(all, random);
  const bool two = random() % 3 == 0 && at_once(first, other);
  std::cout << std::fixed << std::setprecision(1) << std::setw(7) << second << " s  " << std::left << std::setw(60)
            << text(first) + (two ? ", and " + text(other) : "") << std::right << std::flush;
  begin(all, first);
  if (two) {
    all.pause(some_time(first, random) / 2);
    begin(all, other);
  }
  all.pause(some_time(first, random) / (two ? 2 : 1));
  first.what->end(all, first.node);
  if (!two) return;
  all.count("disturbances two at a time");
  all.pause(some_time(other, random) / 2);
  other.what->end(all, other.node);
}

} // namespace

void disturb_cluster(cluster_run& all) {
  using clock = std::chrono::steady_clock;
  std::mt19937 random = all.random(1);
  const auto began = clock::now();
  try {
    idle_clients idle(all);
    while (!all.stopping) {
      all.pause(milliseconds(500 + random() % 3000));
      if (all.stopping) return;
      happen(all, random, std::chrono::duration<double>(clock::now() - began).count());
      if (!recovered(all)) break;
      idle.ask();
    }
  } catch (const std::exception& problem) {
    all.fail(std::string("the cluster cannot be disturbed any more: ") + problem.what());
  }
  all.stopping = true;
}

} // namespace pg_edge::soak
