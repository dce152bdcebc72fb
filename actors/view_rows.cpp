#include "actors/view_rows.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace pg_edge::actors {

namespace {

struct connection_counts {
  std::uint32_t pools = 0, servers = 0, clients = 0;
};

std::vector<const config::tenant*> all_tenants(const config::settings& all) {
  std::vector<const config::tenant*> result{&all.default_tenant};
  for (const auto& [name, tenant] : all.tenants)
    result.push_back(&tenant);
  return result;
}

bool paused_here(const node_view& view, const std::string& tenant, const std::string& database) {
  return view.gates != nullptr && (view.gates->node_paused() || view.gates->database_paused(tenant, database));
}

} // namespace

std::uint32_t servers_of(const share_snapshot& share) {
  return share.sv_active + share.sv_being_canceled + share.sv_idle + share.sv_used + share.sv_tested + share.sv_login +
         share.sv_closing;
}

std::uint32_t clients_of(const share_snapshot& share) {
  return share.cl_active + share.cl_waiting;
}

void add_share(share_snapshot& to, const share_snapshot& what) {
  constexpr std::uint32_t share_snapshot::*sums[] = {
      &share_snapshot::permits,    &share_snapshot::cl_active,
      &share_snapshot::cl_waiting, &share_snapshot::cl_active_cancel_req,
      &share_snapshot::sv_active,  &share_snapshot::cl_waiting_cancel_req,
      &share_snapshot::sv_idle,    &share_snapshot::sv_active_cancel,
      &share_snapshot::sv_used,    &share_snapshot::sv_being_canceled,
      &share_snapshot::sv_tested,  &share_snapshot::sv_login,
      &share_snapshot::sv_closing,
  };
  for (const auto member : sums)
    to.*member += what.*member;
  for (const count_row& row : count_rows)
    to.counts.*row.member += what.counts.*row.member;
  to.maxwait = std::max(to.maxwait, what.maxwait);
}

std::vector<pool_row> pool_rows(const node_view& view) {
  std::map<pool_name, pool_row> pools;
  for (const share_snapshot& share : view.shares) {
    pool_row& pool = pools[share.pool->name];
    add_share(pool.sum, share);
    ++pool.shares;
    if (!pool.settings) pool.settings = share.pool->settings();
  }
  std::vector<pool_row> rows;
  for (auto& [name, pool] : pools) {
    pool.name = name;
    pool.paused = paused_here(view, name.tenant, name.database);
    rows.push_back(std::move(pool));
  }
  return rows;
}

std::vector<tenant_row> tenant_rows(const node_view& view) {
  std::map<std::string, connection_counts> counts;
  for (const pool_row& pool : pool_rows(view)) {
    connection_counts& here = counts[pool.name.tenant];
    ++here.pools;
    here.servers += servers_of(pool.sum);
    here.clients += clients_of(pool.sum);
  }
  std::vector<tenant_row> rows;
  for (const config::tenant* tenant : all_tenants(*view.settings)) {
    const connection_counts& here = counts[tenant->name];
    rows.push_back({tenant, here.pools, here.servers, here.clients});
  }
  return rows;
}

std::vector<database_row> database_rows(const node_view& view) {
  std::map<database_key, connection_counts> counts;
  for (const share_snapshot& share : view.shares) {
    connection_counts& here = counts[{share.pool->name.tenant, share.pool->name.database}];
    here.servers += servers_of(share);
    here.clients += clients_of(share);
  }
  std::vector<database_row> rows;
  for (const config::tenant* tenant : all_tenants(*view.settings)) {
    std::map<std::string, const config::database*> names;
    for (const auto& [name, entry] : tenant->databases)
      names[name] = &entry;
    if (const auto fallback = tenant->databases.find(config::fallback_database_name);
        fallback != tenant->databases.end()) {
      for (const auto& [key, here] : counts)
        if (key.first == tenant->name) names.emplace(key.second, &fallback->second);
      if (view.gates != nullptr)
        for (const auto& [owner, name] : view.gates->named())
          if (owner == tenant->name) names.emplace(name, &fallback->second);
    }
    for (const auto& [name, entry] : names) {
      const connection_counts& here = counts[{tenant->name, name}];
      rows.push_back({tenant, entry, name,
                      config::resolve_pool(*view.settings, *tenant, *entry, name, entry->user, nullptr),
                      config::resolve_client_limits(*view.settings, *tenant, *entry, nullptr), here.servers,
                      here.clients, view.gates != nullptr && view.gates->database_paused(tenant->name, name),
                      view.gates != nullptr && view.gates->disabled(tenant->name, name)});
    }
  }
  return rows;
}

std::vector<user_row> user_rows(const node_view& view) {
  std::map<database_key, connection_counts> counts; // by tenant and user
  for (const share_snapshot& share : view.shares) {
    counts[{share.pool->name.tenant, share.pool->name.user}].servers += servers_of(share);
    for (const client_row& one : share.clients)
      ++counts[{share.pool->name.tenant, one.user}].clients;
  }
  std::vector<user_row> rows;
  for (const config::tenant* tenant : all_tenants(*view.settings))
    for (const auto& [name, user] : tenant->users) {
      const connection_counts& here = counts[{tenant->name, name}];
      rows.push_back({tenant, &user,
                      user.max_user_connections.value_or(
                          tenant->max_user_connections.value_or(view.settings->max_user_connections)),
                      config::resolve_client_limits(*view.settings, *tenant, {}, &user).max_user_client_connections,
                      here.servers, here.clients});
    }
  return rows;
}

namespace {

std::vector<connection_row> connection_rows(const node_view& view, std::vector<client_row> share_snapshot::*which) {
  std::vector<connection_row> rows;
  for (const share_snapshot& share : view.shares)
    for (const client_row& one : share.*which)
      rows.push_back({one, share.pool->name.user, static_cast<std::int64_t>(share.reactor)});
  return rows;
}

} // namespace

std::vector<connection_row> client_rows(const node_view& view) {
  auto rows = connection_rows(view, &share_snapshot::clients);
  for (const client_row& one : view.console_clients)
    rows.push_back({one, {}, -1});
  return rows;
}

std::vector<connection_row> server_rows(const node_view& view) {
  return connection_rows(view, &share_snapshot::servers);
}

std::vector<session_row> session_rows(const node_view& view) {
  std::unordered_map<std::uint64_t, connection_row> servers;
  for (connection_row& one : server_rows(view)) {
    const std::uint64_t id = one.what.id;
    servers.emplace(id, std::move(one));
  }
  std::vector<session_row> rows;
  for (connection_row& one : client_rows(view)) {
    if (one.what.link == 0) continue;
    // The two were asked a moment apart: the server may be another client's by now.
    const auto found = servers.find(one.what.link);
    if (found != servers.end()) rows.push_back({std::move(one), found->second});
  }
  return rows;
}

} // namespace pg_edge::actors
