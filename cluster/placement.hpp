// How many shares a pool gets and which of them a new client joins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace pg_edge::cluster {

/// Below this many permits a share is not worth its messages: small pools stay on one reactor.
inline constexpr int permits_per_share = 4;

/// How many shares a pool of `pool_size` permits gets on a node with `reactors` reactors: at least 1, at most
/// `reactors`.
[[nodiscard]] int shares_for(int pool_size, int reactors);

/// One share as placement sees it.
struct share_load {
  std::uint32_t clients = 0;
  std::uint32_t permits = 0;
};

/// The index of the share that a new client joins: the one with the fewest clients per permit, of equals the one with
/// fewer clients, then the first. Nothing if there is no share.
[[nodiscard]] std::optional<std::size_t> place(const std::vector<share_load>& shares);

} // namespace pg_edge::cluster
