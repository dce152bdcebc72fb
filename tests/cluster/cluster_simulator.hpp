// A cluster in one thread: nodes with clocks of their own, a network that delays and loses, a store that is slow, away
// or cut off and whose answers get lost, and Postgres. What nodes decide is node_core and permit_share, as in a real
// node; the rest is made up here.
#pragma once

#include "cluster/node_core.hpp"
#include "simulated_store.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace pg_edge::cluster::simulation {

class broken_cluster : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// What a careless hand might build in: each is made around the same code, and must be found.
enum class slip : std::uint8_t {
  none,
  clear_without_asking, // a dead node's permits come back although its backends are there
  endless_lease,        // a node never lets go, and opens connections without a lease
  hasty_store,          // leases end in the store before a node can know
  false_farewell,       // a node says that nothing of it is left although its backends are there
};

class cluster_simulator {
public:
  explicit cluster_simulator(std::uint64_t seed, slip made = slip::none);
  /// Throws broken_cluster.
  void run();
  std::uint64_t events() const { return events_; }
  std::uint64_t served() const { return served_; }
  std::uint64_t views() const { return views_; }
  std::uint64_t fences() const { return fences_; }
  std::uint64_t farewells() const { return farewells_; }

private:
  using ms = std::int64_t;
  struct event {
    ms at;
    std::uint64_t order;
    std::function<void()> run;
    bool operator>(const event& other) const { return at != other.at ? at > other.at : order > other.order; }
  };
  struct backend {
    pool_key pool;
    node_id node = 0; // the life that opened it
    std::uint64_t incarnation = 0;
    std::size_t at = 0; // the process
    std::uint64_t process = 0;
    bool orphan = false;
  };
  struct share {
    explicit share(share_key key) : machine(key) {}
    permit_share machine;
    std::map<std::uint64_t, server_state> servers;
    std::uint32_t waiters = 0;
    bool voided = false;
  };
  /// A watch of a node: what has been told, and what is on its way.
  struct store_watch {
    std::size_t node = 0;
    std::uint64_t process = 0, number = 0;
    std::string prefix;
    std::size_t told = 0; // commits of the history
    std::deque<store_event> on_the_way;
    bool lost = false;
  };
  struct node {
    std::string address;
    std::unique_ptr<node_core> core; // null: crashed
    std::uint64_t process = 0;       // counts starts
    ms clock_offset = 0;
    double clock_rate = 1;
    ms frozen_until = 0;
    std::map<pool_key, share> shares;
    std::set<node_core::clearing> clearing;
    std::uint64_t next_incarnation = 1;
    bool draining = false, said_farewell = false;
  };

  std::uint64_t random(std::uint64_t below);
  bool one_in(std::uint64_t n) { return n > 0 && random(n) == 0; }
  void at(ms delay, std::function<void()> run);
  /// Runs in that process of the node, if it still is; a stopped one does it when it goes on.
  void in_node(std::size_t n, ms delay, std::function<void()> run);
  void in_process(std::size_t n, std::uint64_t process, ms when, std::uint64_t order, std::function<void()> run);
  node_time clock(const node& n) const;
  void start(std::size_t n);
  void crash(std::size_t n);
  void end(std::size_t n);
  void drain(std::size_t n);
  void go_on_draining(std::size_t n);
  void tick(std::size_t n);
  void after(std::size_t n); // carries out what the core has decided
  void send(std::size_t from, const node_core::outgoing& word);
  void ask_store(std::size_t n, const store_question& asked);
  void answer_later(std::size_t n, const store_question& asked, ms delay, store_answer answer);
  void watch_store(std::size_t n, const store_question& asked);
  void tell_watches();
  void look_at_leases();
  bool store_reached(std::size_t n) const { return !store_away_ && !cut(n, store_side); }
  void reset_connection(std::size_t a, std::size_t b);
  bool cut(std::size_t a, std::size_t b) const { return cut_.contains({std::min(a, b), std::max(a, b)}); }
  void fault();
  void store_back();
  void heal();
  void client(std::size_t n);
  void settle(std::size_t n, const pool_key& pool);
  void close(std::size_t n, const pool_key& pool, std::uint64_t id, server_state as);
  void gone(std::size_t n, std::uint64_t process, const pool_key& pool, std::uint64_t id);
  void reborn(std::size_t n, const pool_key& pool);
  void clear(std::size_t n, const node_core::clearing& what);
  void check();
  void check_end();
  void require(bool holds, const std::string& what) const;

  /// The store's place in a partition.
  static constexpr std::size_t store_side = 99;

  slip slip_;
  std::uint64_t random_;
  simulated_store store_;
  std::vector<std::shared_ptr<store_watch>> watches_;
  bool store_away_ = false;
  std::vector<node> nodes_;
  std::vector<pool_key> pools_;
  std::uint32_t size_ = 0;
  std::map<std::uint64_t, backend> backends_; // as Postgres sees them
  std::uint64_t next_backend_ = 1;
  std::priority_queue<event, std::vector<event>, std::greater<>> queue_;
  std::uint64_t order_ = 0, events_ = 0, served_ = 0, views_ = 0, fences_ = 0, farewells_ = 0;
  ms now_ = 0;
  bool faults_ = true, clients_ = true;
  std::set<std::pair<std::size_t, std::size_t>> cut_;
  std::map<std::pair<std::size_t, std::size_t>, std::uint64_t> connection_; // which one it is
  std::map<std::pair<std::size_t, std::size_t>, ms> last_arrival_;          // words of one connection stay in order
  std::map<std::pair<pool_key, std::uint64_t>, std::set<std::string>> stewards_; // who has served in an epoch
};

} // namespace pg_edge::cluster::simulation
