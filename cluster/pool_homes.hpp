// Which nodes of a cluster serve the clients of a pool: its homes. A pool with few permits for each node lives on a few
// of them, a small one on a single node, and clients of the others are relayed there: their permits would only travel
// from node to node. A pool that has enough for all is at home everywhere.
//
// The rule looks at the pool's size and at who is there, never at demand, so nodes need not agree on anything but the
// view, and nothing swings to and fro. Homes are the first by the pool's rendezvous order: when a node comes or goes
// only those pools move that it gets or had.
#pragma once

#include "cluster/view.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace pg_edge::cluster {

/// A home has at least so many permits of its pool, but for the last one: as shares of a node do.
inline constexpr std::uint32_t permits_per_home = 4;

/// On how many of `nodes` nodes a pool of that size lives: at least 1 if there is one.
[[nodiscard]] std::size_t homes_wanted(std::uint32_t pool_size, std::size_t nodes);

/// A member that clients can be relayed to, and that is not about to leave.
struct home_candidate {
  std::string name;
  std::uint16_t number = 0; // of its links
  friend bool operator==(const home_candidate&, const home_candidate&) = default;
};

/// Where the node `own` has the pool's clients served: itself if it is one of the homes, else one of them, other nodes
/// perhaps another. Null: there is no candidate.
[[nodiscard]] const home_candidate* home_for(const std::vector<home_candidate>& nodes, const pool_key& pool,
                                             std::uint32_t pool_size, const std::string& own);

} // namespace pg_edge::cluster
