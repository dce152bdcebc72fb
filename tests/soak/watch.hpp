// The witnesses of a soak: how many backends each pool had at most, and what a node holds when all is quiet.
#pragma once

#include "tests/soak/pools.hpp"
#include "tests/soak/tally.hpp"
#include "tests/soak/verdict.hpp"
#include "tests/support/pg_edge_process.hpp"

#include <functional>
#include <thread>

namespace pg_edge::soak {

/// Samples pg_stat_activity as long as it lives, and fails the run as soon as a pool has more backends than its size.
class pool_watch {
public:
  /// `cut_off`: how many backends a proxy has cut off from pg_edge without their knowledge, or may have; they count
  /// apart in pools that are reached by it, for nobody can know of them.
  pool_watch(
      tally& all, const postgres& server, std::span<const pool_row> pools,
      std::function<int()> cut_off = [] { return 0; });
  ~pool_watch();
  pool_watch(const pool_watch&) = delete;
  pool_watch& operator=(const pool_watch&) = delete;

  long samples() const { return samples_; }
  /// A line for the watching and one for each pool.
  void judge(verdict& result) const;

private:
  void watch();
  void look(pq& connection);
  void note(std::size_t pool, int backends, int cut_off);

  tally& all_;
  const postgres& server_;
  std::span<const pool_row> pools_;
  std::function<int()> cut_off_;
  std::vector<std::atomic<int>> most_;
  std::atomic<bool> stopping_ = false;
  std::atomic<long> samples_ = 0;
  std::thread thread_;
};

/// What a node holds.
struct holdings {
  int descriptors = 0;
  long actors = 0; // of connections
  long kilobytes = 0;
};

/// Waits until all clients are gone and idle servers have been closed, at most so long.
holdings settled(const pg_edge_process& node, milliseconds limit);

/// Nothing has leaked from the warm-up to the end. `spare`: descriptors that may be open at one time and not at
/// another.
void judge(verdict& result, const holdings& before, const holdings& after, int spare);

} // namespace pg_edge::soak
