// What the soak of a cluster runs on: one Postgres, one etcd, and nodes that share their pools, each on a host of its
// own of a network that can be cut. Postgres is reached by its Unix socket, which no cut reaches, so a node that is cut
// off from the others could do harm if it went on.
#pragma once

#include "tests/soak/pools.hpp"
#include "tests/soak/tally.hpp"
#include "tests/support/cluster_nodes.hpp"
#include "tests/support/ledger.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pg_edge::soak {

/// Small ones live on one node, where the clients of the others are relayed; those of 12 and 20 on several, or on all.
inline constexpr pool_row shared_pools[] = {
    {"small", "small", "trust_user", "transaction", 2, 0, false, false},
    {"session", "session", "trust_user", "session", 6, 0, false, false},
    {"resized", "resized", "trust_user", "transaction", 8, 3, false, false},
    {"bench", "bench", "trust_user", "transaction", 12, 0, false, false},
    {"wide", "wide", "trust_user", "transaction", 20, 0, false, false},
};

class cluster_world {
public:
  /// `logs`: the folder in which the logs of all lives of all nodes are kept.
  cluster_world(std::size_t count, std::string logs);

  postgres& server;
  network hosts;
  cluster_nodes nodes;
  ledger rows;

  // -- lives of nodes: of the disturbing thread only ---------------------------------------------------------------
  /// How often it was told to end: whoever connected in an earlier life may find itself disconnected.
  unsigned life(std::size_t node) const { return lives_.at(node); }
  /// From now on its clients may be disconnected; it is the caller who ends it.
  void expect_end(std::size_t node) { ++lives_.at(node); }
  /// Waits for the end of its process, keeps the log, and says with what status it ended.
  std::optional<int> bury(std::size_t node, milliseconds limit);
  /// Another life. It is not waited for.
  void start(std::size_t node);
  /// What no node should have logged, of all lives that were buried.
  const std::vector<std::string>& log_lines() const { return log_lines_; }

  /// Reads every node's file anew; `small`: the pool that reloads resize has its smaller size.
  void reload(bool small);
  int size_of(const pool_row& pool) const;

private:
  std::string tables(bool small) const;
  cluster_options options(std::size_t count) const;

  std::string logs_;
  std::vector<unsigned> lives_;
  std::vector<std::string> log_lines_;
  bool small_ = false;
};

class cluster_run : public tally {
public:
  cluster_run(cluster_world& where, unsigned seed) : tally(seed), in(where), elder(seed % where.nodes.size()) {}

  cluster_world& in;
  /// All loads but the idle clients stay away, so that all permits can be had at once.
  std::atomic<bool> calm = false;
  void stay_away() const {
    while (calm && !stopping)
      pause(milliseconds(10));
  }
  /// It lives from the beginning to the end, so that one can see what it gathers: it is frozen and cut off, not ended.
  const std::size_t elder;
  // Sentences, of the disturbing thread until that has ended.
  std::vector<std::string> deaths;      // of nodes that nobody had ended, or that did not end as told
  std::vector<std::string> idle_lost;   // idle clients that were disconnected or changed
  std::vector<std::string> unrecovered; // views that do not agree, permits that do not come back
};

} // namespace pg_edge::soak
