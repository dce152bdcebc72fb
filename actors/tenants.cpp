#include "actors/tenants.hpp"

#include "actors/actor_stats.hpp"
#include "actors/log.hpp"
#include "protocol/errors.hpp"

#include <map>

namespace pg_edge::actors {

namespace {

// -- a tenant
// --------------------------------------------------------------------------------------------------------------

struct tenant_state {
  actor_stats::alive_token alive{actor_kind::tenant};
  node_context* node = nullptr;
  std::string name;
  struct pool {
    pool_common_ptr common;
    steward_actor steward;
    std::uint64_t joins = 0; // sent to the steward
  };
  std::map<std::pair<std::string, std::string>, pool> pools; // by database and server user
};

/// The settings of a pool as they are now; null when its database is not configured any more.
std::shared_ptr<const config::pool_settings> resolve(const config::settings& all, const pool_name& name) {
  const auto route = config::find_route(all, name.tenant, name.database, name.user);
  if (!route) return nullptr;
  return std::make_shared<const config::pool_settings>(
      config::resolve_pool(all, *route->tenant, *route->database, name.database, name.user, route->user));
}

tenant_actor::behavior_type tenant(tenant_actor::stateful_pointer<tenant_state> self, node_context* node,
                                   std::string name) {
  self->state.node = node;
  self->state.name = std::move(name);
  return {
      [self](const join_pool& wish) {
        actor_stats::handled(actor_kind::tenant, 1);
        tenant_state& state = self->state;
        auto& pool = state.pools[{wish.database, wish.server_user}];
        if (!pool.steward) {
          pool.common = std::make_shared<pool_common>();
          pool.common->id = state.node->next_id.fetch_add(1, std::memory_order_relaxed);
          pool.common->name = {state.name, wish.database, wish.server_user};
          auto settings = resolve(*state.node->settings()->values, pool.common->name);
          if (!settings) { // taken away by a reload since the client was let in
            state.pools.erase({wish.database, wish.server_user});
            caf::anon_send(wish.client,
                           pool_refused{protocol::make_error(protocol::error_code::no_such_database, {wish.database})});
            return;
          }
          pool.common->set_settings(std::move(settings));
          pool.steward = spawn_steward(self->system(), *state.node, pool.common, tenant_actor(self));
        }
        ++pool.joins;
        caf::anon_send(pool.steward, wish);
      },
      [self](const pool_unused& message) {
        auto& pools = self->state.pools;
        for (auto one = pools.begin(); one != pools.end(); ++one) {
          // A client sent there meanwhile keeps it: the steward will say so again when that one has left.
          if (one->second.common->id != message.pool || one->second.joins != message.joined) continue;
          log(level::info, log_event::pool_removed,
              {{"pool", message.pool}, {"database", one->first.first}, {"user", one->first.second}});
          caf::anon_send_exit(one->second.steward, caf::exit_reason::user_shutdown);
          pools.erase(one);
          return;
        }
      },
      [self](const settings_changed& message) {
        for (auto& [key, pool] : self->state.pools) {
          if (auto now = resolve(*message.now, pool.common->name)) {
            pool.common->set_settings(std::move(now));
            caf::anon_send(pool.steward, message);
          }
        }
      },
      [self](const end_clients& message) {
        for (auto& [key, pool] : self->state.pools)
          caf::anon_send(pool.steward, message);
      },
      [self](const list_stewards&) {
        steward_list result;
        for (const auto& [key, pool] : self->state.pools)
          result.stewards.push_back(pool.steward);
        return result;
      },
  };
}

// -- all tenants
// -----------------------------------------------------------------------------------------------------------

struct tenants_state {
  actor_stats::alive_token alive{actor_kind::tenant};
  node_context* node = nullptr;
  std::map<std::string, tenant_actor> known;
};

tenants_actor::behavior_type tenants(tenants_actor::stateful_pointer<tenants_state> self, node_context* node) {
  self->state.node = node;
  return {
      [self](const join_pool& wish) {
        auto& known = self->state.known[wish.tenant];
        if (!known) known = spawn_tenant(self->system(), *self->state.node, wish.tenant);
        caf::anon_send(known, wish);
      },
      [self](const settings_changed& message) {
        for (const auto& [name, one] : self->state.known)
          caf::anon_send(one, message);
      },
      [self](const end_clients& message) {
        for (const auto& [name, one] : self->state.known)
          caf::anon_send(one, message);
      },
      [self](const list_tenants&) {
        tenant_list result;
        for (const auto& [name, one] : self->state.known)
          result.tenants.push_back(one);
        return result;
      },
  };
}

} // namespace

tenants_actor spawn_tenants(caf::actor_system& system, node_context& node) {
  return system.spawn(tenants, &node);
}

tenant_actor spawn_tenant(caf::actor_system& system, node_context& node, std::string name) {
  return system.spawn(tenant, &node, std::move(name));
}

} // namespace pg_edge::actors
