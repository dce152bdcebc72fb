// Finds the pool of a client: the one actor that knows all tenants, an actor for each tenant that knows its pools, and
// an actor for each pool, its steward, which hands the pool's permits to its shares. They are made when first used, and
// go when unused for long.
#pragma once

#include "actors/messages.hpp"
#include "actors/node_context.hpp"

namespace pg_edge::actors {

/// Starts the root of the tree; `node` must outlive it.
tenants_actor spawn_tenants(caf::actor_system& system, node_context& node);

/// Starts one tenant's; it asks node.settings() for what the tenant's pools are like, and tells `root` when it has none
/// left.
tenant_actor spawn_tenant(caf::actor_system& system, node_context& node, std::string name, const tenants_actor& root);

/// Starts a pool's steward and its shares.
steward_actor spawn_steward(caf::actor_system& system, node_context& node, pool_common_ptr pool, tenant_actor tenant);

} // namespace pg_edge::actors
