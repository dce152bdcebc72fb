#include "cluster/pool_homes.hpp"

#include <algorithm>

namespace pg_edge::cluster {

std::size_t homes_wanted(std::uint32_t pool_size, std::size_t nodes) {
  return std::min<std::size_t>(nodes, std::max<std::uint32_t>(pool_size / permits_per_home, 1));
}

const home_candidate* home_for(const std::vector<home_candidate>& nodes, const pool_key& pool, std::uint32_t pool_size,
                               const std::string& own) {
  struct weighed {
    std::uint64_t weight = 0;
    const home_candidate* node = nullptr;
  };
  std::vector<weighed> order;
  order.reserve(nodes.size());
  for (const home_candidate& one : nodes)
    order.push_back({place_weight(pool, one.name), &one});
  const auto heavier = [](const weighed& a, const weighed& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.node->name < b.node->name;
  };
  std::sort(order.begin(), order.end(), heavier);
  order.resize(homes_wanted(pool_size, nodes.size()));
  for (weighed& one : order) {
    if (one.node->name == own) return one.node;
    if (order.size() > 1) one.weight = place_weight(pool, one.node->name, own); // nodes spread over the homes
  }
  const auto best = std::min_element(order.begin(), order.end(), heavier);
  return best == order.end() ? nullptr : best->node;
}

} // namespace pg_edge::cluster
