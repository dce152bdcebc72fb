// The cluster as a node sees it, as rows: for SHOW NODES, the admin API and metrics. Used by the cluster's actor.
#pragma once

#include "actors/cluster_words.hpp"
#include "cluster/membership.hpp"

#include <functional>
#include <optional>
#include <string>

namespace pg_edge::actors {

/// What the cluster's actor knows beside the membership.
struct list_source {
  const cluster::membership& members;
  std::string cluster, own_name, own_address;
  std::uint32_t own_backends = 0, own_stewards = 0;
  cluster::node_time now{0};
  struct way {
    bool connected = false;
    std::string error;
  };
  /// The way to that address; nothing: there is none yet.
  std::function<std::optional<way>(const std::string& address)> way_to;
  /// Backends by the last roster of that life; nothing: none was heard.
  std::function<std::optional<std::uint32_t>(cluster::node_id, std::uint64_t incarnation)> backends_of;
};

[[nodiscard]] node_list list_of(const list_source& from);

} // namespace pg_edge::actors
