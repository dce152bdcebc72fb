#include "actors/cluster_places.hpp"

#include "actors/cluster_words.hpp"
#include "actors/log.hpp"
#include "actors/relay.hpp"
#include "actors/resolver.hpp"
#include "config/network.hpp"
#include "config/resolve.hpp"

#include <algorithm>

namespace pg_edge::actors {

std::optional<cluster::pool_size> size_of_pool(const node_context& node, const cluster::pool_key& pool) {
  const auto values = node.settings()->values;
  const auto route = config::find_route(*values, pool.tenant, pool.database, pool.user);
  if (!route) return std::nullopt;
  const auto resolved =
      config::resolve_pool(*values, *route->tenant, *route->database, pool.database, pool.user, route->user);
  return cluster::pool_size{static_cast<std::uint32_t>(std::max(resolved.pool_size, 0)),
                            static_cast<std::uint32_t>(std::max(resolved.reserve_pool_size, 0))};
}

void cluster_places::look(const cluster::membership& members) {
  if (members.changes() == seen_ || members.self() == nullptr) return;
  seen_ = members.changes();
  std::map<node_number, std::pair<std::string, std::string>> peers;
  std::vector<cluster::home_candidate> candidates;
  for (const cluster::member& one : members.current().members) {
    const auto found = members.registered().find(one.name);
    if (found == members.registered().end() || found->second.incarnation != one.incarnation) continue;
    const cluster::node_record& record = found->second.record;
    if (record.link.empty() || record.link_number == 0) continue;
    const auto number = static_cast<node_number>(record.link_number);
    if (one.name != own_) peers.emplace(number, std::pair{one.name, record.link});
    if (!members.is_leaving(one.name)) candidates.push_back({one.name, number});
  }
  tell_links(peers);
  if (candidates == candidates_) return;
  candidates_ = std::move(candidates);
  tell_clients();
}

void cluster_places::settings_changed() {
  if (!candidates_.empty()) tell_clients();
}

void cluster_places::tell_links(const std::map<node_number, std::pair<std::string, std::string>>& now) {
  for (const auto& [number, one] : peers_)
    if (!now.contains(number)) {
      node_.links.forget_peer(number, "node " + one.first + " has left");
      log(level::info, log_event::peer_lost, {{"node", one.first}, {"number", number}});
    }
  for (const auto& [number, one] : now) {
    const auto before = peers_.find(number);
    if (before != peers_.end() && before->second == one) continue;
    const auto parts = config::parse_endpoint(one.second);
    const auto at = parts ? literal_address(parts->host, parts->port) : std::nullopt;
    if (!at) continue;
    node_.links.set_peer(number, {*at, 0});
    log(level::info, log_event::peer_found, {{"node", one.first}, {"number", number}, {"address", one.second}});
  }
  peers_ = now;
}

/// Asked by any reactor at each login: everything that it looks at is its own or never changes.
void cluster_places::tell_clients() {
  node_.places.set([nodes = candidates_, own = own_, node = &node_](const pool_name& name) -> node_number {
    const cluster::pool_key pool = cluster_key(name);
    const auto size = nodes.empty() ? std::nullopt : size_of_pool(*node, pool);
    const cluster::home_candidate* home = size ? cluster::home_for(nodes, pool, size->size, own) : nullptr;
    return home == nullptr || home->name == own ? node_number{0} : home->number;
  });
  for (const caf::actor& one : node_.surveyors)
    caf::anon_send(one, places_changed{});
}

} // namespace pg_edge::actors
