#include "actors/warm_pools.hpp"

#include "config/resolve.hpp"

#include <caf/send.hpp>

namespace pg_edge::actors {

namespace {

void warm_pools_of(const tenants_actor& tenants, const config::settings& all, const config::tenant& owner) {
  for (const auto& [name, database] : owner.databases) {
    if (database.user.empty() || name == config::fallback_database_name) continue;
    const auto found = config::find_route(all, owner.name, name, database.user);
    if (!found) continue;
    const auto pool = config::resolve_pool(all, *found->tenant, *found->database, name, database.user, found->user);
    if (pool.min_pool_size > 0) caf::anon_send(tenants, join_pool{{}, owner.name, name, database.user, database.user});
  }
}

} // namespace

void warm_pools(const tenants_actor& tenants, const config::settings& all) {
  warm_pools_of(tenants, all, all.default_tenant);
  for (const auto& [name, tenant] : all.tenants)
    warm_pools_of(tenants, all, tenant);
}

} // namespace pg_edge::actors
