// What must hold between the settings of [cluster], and the texts of its addresses.
#pragma once

#include "config/check.hpp"
#include "config/network.hpp"

namespace pg_edge::config {

/// Where a member of etcd listens to clients.
struct store_endpoint {
  bool tls = false;
  endpoint where;
};
/// "https://10.0.0.1:2379", "http://127.0.0.1:2379"; nullopt: neither.
std::optional<store_endpoint> parse_store_endpoint(std::string_view text);

/// `lines`: those of [cluster] as "cluster.name".
void check_cluster(const cluster_settings& one, const setting_lines& lines, problem_list& problems);

} // namespace pg_edge::config
