#include "cluster/placement.hpp"

#include <algorithm>

namespace pg_edge::cluster {

int shares_for(int pool_size, int reactors) {
  return std::clamp(pool_size / permits_per_share, 1, std::max(reactors, 1));
}

namespace {

// One more of each, so that shares without permits or clients compare too: a/(p+1) after the client has joined.
bool less_crowded(const share_load& a, const share_load& b) {
  const auto left = (std::uint64_t{a.clients} + 1) * (std::uint64_t{b.permits} + 1);
  const auto right = (std::uint64_t{b.clients} + 1) * (std::uint64_t{a.permits} + 1);
  return left != right ? left < right : a.clients < b.clients;
}

} // namespace

std::optional<std::size_t> place(const std::vector<share_load>& shares) {
  const auto best = std::min_element(shares.begin(), shares.end(), less_crowded);
  if (best == shares.end()) return std::nullopt;
  return static_cast<std::size_t>(best - shares.begin());
}

} // namespace pg_edge::cluster
