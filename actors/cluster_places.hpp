// What a new view of the cluster means for the links between nodes and for the relay: who may be linked to, by the
// records that the members have in the store; on which node the clients of each pool are served (cluster/pool_homes);
// and clients that are served elsewhere than that are told to look again. Used by the cluster's actor.
#pragma once

#include "actors/node_context.hpp"
#include "cluster/membership.hpp"
#include "cluster/node_core.hpp"
#include "cluster/pool_homes.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace pg_edge::actors {

/// As this node's settings have it; nothing: they have no such pool.
std::optional<cluster::pool_size> size_of_pool(const node_context& node, const cluster::pool_key& pool);

class cluster_places {
public:
  cluster_places(node_context& node, std::string own) : node_(node), own_(std::move(own)) {}

  /// After every event; does something only if members, their records or pool sizes have changed. While this node is
  /// itself away from the cluster, what it knew stays.
  void look(const cluster::membership& members);
  /// Sizes may have changed.
  void settings_changed();

private:
  void tell_links(const std::map<node_number, std::pair<std::string, std::string>>& now);
  void tell_clients();

  node_context& node_;
  const std::string own_;
  std::uint64_t seen_ = 0;
  std::map<node_number, std::pair<std::string, std::string>> peers_; // name and address
  std::vector<cluster::home_candidate> candidates_;
};

} // namespace pg_edge::actors
