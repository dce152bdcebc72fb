// The witnesses of a soak: how many backends each pool had at most, and what the node holds when all is quiet.
#pragma once

#include "tests/soak/run.hpp"

#include <array>
#include <iterator>
#include <thread>

namespace pg_edge::soak {

/// Samples pg_stat_activity as long as it lives, and fails the run as soon as a pool has more backends than its size.
/// Backends that a proxy has cut off from pg_edge without their knowledge count apart: nobody can know of them.
class pool_watch {
public:
  explicit pool_watch(run& all);
  ~pool_watch();
  pool_watch(const pool_watch&) = delete;
  pool_watch& operator=(const pool_watch&) = delete;

  long samples() const { return samples_; }
  int most(std::size_t pool) const { return most_[pool]; }

private:
  void watch();
  void look(pq& connection);

  run& all_;
  std::atomic<bool> stopping_ = false;
  std::atomic<long> samples_ = 0;
  std::array<std::atomic<int>, std::size(pools)> most_{};
  std::thread thread_;
};

/// What the node holds.
struct holdings {
  int descriptors = 0;
  long actors = 0; // of connections
  long kilobytes = 0;
};

/// Waits until all clients are gone and idle servers have been closed, at most so long.
holdings settled(run& all, milliseconds limit);

} // namespace pg_edge::soak
