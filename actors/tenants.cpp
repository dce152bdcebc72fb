#include "actors/tenants.hpp"

#include "actors/actor_stats.hpp"
#include "actors/log.hpp"
#include "config/tenant_name.hpp"
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
  caf::actor_addr root;                                      // weak: the root holds us
  std::uint64_t joins = 0;                                   // clients it was ever asked to take
};

/// How long a pool that is not configured any more waits for a client that is on its way.
constexpr config::duration removed_pool_time = std::chrono::seconds{1};

/// The settings of a pool as they are now; null when its database is not configured any more.
std::shared_ptr<const config::pool_settings> resolve(const config::settings& all, const pool_name& name) {
  const auto route = config::find_route(all, name.tenant, name.database, name.user);
  if (!route) return nullptr;
  return std::make_shared<const config::pool_settings>(
      config::resolve_pool(all, *route->tenant, *route->database, name.database, name.user, route->user));
}

using tenant_self = tenant_actor::stateful_pointer<tenant_state>;

/// Its last pool has gone: the root may let it go too, unless a client is on its way here.
void note_empty(tenant_self self) {
  const tenant_state& state = self->state;
  if (!state.pools.empty()) return;
  if (const auto root = caf::actor_cast<tenants_actor>(state.root))
    caf::anon_send(root, tenant_unused{state.name, state.joins});
}

/// New settings for its pools. One that is not configured any more keeps those it has, and goes when its clients have
/// gone.
void refresh_pools(tenant_self self, const settings_changed& message) {
  for (auto& [key, pool] : self->state.pools) {
    auto now = resolve(*message.now, pool.common->name);
    if (!now) {
      auto last = std::make_shared<config::pool_settings>(*pool.common->settings());
      last->pool_idle_timeout = removed_pool_time;
      last->min_pool_size = 0;
      now = std::move(last);
    }
    pool.common->set_settings(std::move(now));
    caf::anon_send(pool.steward, message);
  }
}

tenant_actor::behavior_type tenant(tenant_self self, node_context* node, std::string name, const tenants_actor& root) {
  self->state.node = node;
  self->state.name = std::move(name);
  self->state.root = root.address();
  return {
      [self](const join_pool& wish) {
        actor_stats::handled(actor_kind::tenant, 1);
        tenant_state& state = self->state;
        ++state.joins;
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
            note_empty(self);
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
              {{"pool", message.pool},
               {"tenant", self->state.name},
               {"database", one->first.first},
               {"user", one->first.second}});
          caf::anon_send_exit(one->second.steward, caf::exit_reason::user_shutdown);
          pools.erase(one);
          return note_empty(self);
        }
      },
      [self](const settings_changed& message) { refresh_pools(self, message); },
      [self](const end_clients& message) {
        for (auto& [key, pool] : self->state.pools)
          caf::anon_send(pool.steward, message);
      },
      [self](const control_pools& message) {
        for (auto& [key, pool] : self->state.pools)
          if (message.scope.contains(self->state.name, key.first)) caf::anon_send(pool.steward, message);
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
  struct entry {
    tenant_actor actor;
    std::uint64_t joins = 0; // sent to it
  };
  std::map<std::string, entry> known;
};

using tenants_self = tenants_actor::stateful_pointer<tenants_state>;

/// Clients between transactions are told that nothing of theirs was under way, and the others that nobody knows.
void end_clients_of(const tenant_actor& whom, const std::string& why) {
  caf::anon_send(whom, end_clients{protocol::make_error(protocol::error_code::tenant_closed, {why}), true});
  caf::anon_send(whom, end_clients{protocol::make_error(protocol::error_code::tenant_closed_unknown, {why}), false});
}

/// New settings: tenants that are banned by them or not in them any more lose the clients they have.
void refresh_tenants(tenants_self self, const settings_changed& message) {
  for (const auto& [name, one] : self->state.known) {
    caf::anon_send(one.actor, message);
    const config::tenant* now = config::find_tenant(*message.now, name);
    if (now == nullptr)
      end_clients_of(one.actor, "tenant \"" + name + "\" has been removed");
    else if (const auto ban = config::ban_text(now->banned, now->banned_until, std::chrono::system_clock::now()))
      end_clients_of(one.actor, "tenant \"" + name + "\" is banned" + *ban);
  }
}

/// Its actor goes, unless a client has been sent there meanwhile.
void forget_tenant(tenants_self self, const tenant_unused& message) {
  auto& known = self->state.known;
  const auto found = known.find(message.tenant);
  if (found == known.end() || found->second.joins != message.joined) return;
  caf::anon_send_exit(found->second.actor, caf::exit_reason::user_shutdown);
  known.erase(found);
}

tenants_actor::behavior_type tenants(tenants_self self, node_context* node) {
  self->state.node = node;
  return {
      [self](const join_pool& wish) {
        auto& known = self->state.known[wish.tenant];
        if (!known.actor)
          known.actor = spawn_tenant(self->system(), *self->state.node, wish.tenant, tenants_actor(self));
        ++known.joins;
        caf::anon_send(known.actor, wish);
      },
      [self](const tenant_unused& message) { forget_tenant(self, message); },
      [self](const settings_changed& message) { refresh_tenants(self, message); },
      [self](const end_clients& message) {
        for (const auto& [name, one] : self->state.known)
          caf::anon_send(one.actor, message);
      },
      [self](const control_pools& message) {
        for (const auto& [name, one] : self->state.known)
          if (message.scope.everything() || message.scope.tenant == name) caf::anon_send(one.actor, message);
      },
      [self](const list_tenants&) {
        tenant_list result;
        for (const auto& [name, one] : self->state.known)
          result.tenants.push_back(one.actor);
        return result;
      },
  };
}

} // namespace

tenants_actor spawn_tenants(caf::actor_system& system, node_context& node) {
  return system.spawn(tenants, &node);
}

tenant_actor spawn_tenant(caf::actor_system& system, node_context& node, std::string name, const tenants_actor& root) {
  return system.spawn(tenant, &node, std::move(name), root);
}

} // namespace pg_edge::actors
