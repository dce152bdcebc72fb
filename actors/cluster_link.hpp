// What a share or a steward needs to know of the cluster that its node is in. A process is one node, so there is one of
// it, as there is one log; without a [cluster] section it stays as it begins: no actor to tell, a lease without an end.
#pragma once

#include "actors/published.hpp"

#include <caf/all.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

namespace pg_edge::actors {

struct node_list; // cluster_words.hpp

struct cluster_link {
  /// The cluster as this node saw it last, for whoever must not wait; null: it is alone.
  std::shared_ptr<const node_list> seen() const { return seen_.get(); }
  void note_seen(std::shared_ptr<const node_list> now) { seen_.set(std::move(now)); }

  caf::actor node;                                                                  // set before anything else runs
  std::atomic<std::int64_t> lease_end_ms{std::numeric_limits<std::int64_t>::max()}; // by the steady clock
  std::atomic<std::uint64_t> next_incarnation{1};                                   // of shares

  /// Asked each time a connection to Postgres is to be made. A process that was stopped may read an old time from its
  /// reactor, so the clock itself is asked.
  bool may_open_servers() const {
    const std::int64_t end = lease_end_ms.load(std::memory_order_acquire);
    if (end == std::numeric_limits<std::int64_t>::max()) return true;
    return life.load(std::memory_order_acquire) <= succession_seen.load(std::memory_order_acquire) &&
           std::chrono::steady_clock::now().time_since_epoch() < std::chrono::milliseconds(end);
  }

  std::atomic<std::uint64_t> life{0}; // of this node in its cluster, a revision of the store; 0: none
  /// Up to this revision it is known whether another cluster takes over (actors/succession): a life that is younger
  /// opens no server. The largest number: nothing can take over.
  std::atomic<std::uint64_t> succession_seen{std::numeric_limits<std::uint64_t>::max()};

private:
  published<node_list> seen_;
};

cluster_link& this_cluster();

} // namespace pg_edge::actors
