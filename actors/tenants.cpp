#include "actors/tenants.hpp"

#include "actors/control_stats.hpp"
#include "actors/log.hpp"
#include "config/tenant_name.hpp"
#include "protocol/errors.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <set>

namespace pg_edge::actors {

namespace {

// -- a tenant
// --------------------------------------------------------------------------------------------------------------

struct tenant_state {
  control_stats stats{actor_kind::tenant};
  node_context* node = nullptr;
  std::string name;
  struct pool {
    pool_common_ptr common;
    steward_actor steward;
    std::uint64_t joins = 0;          // sent to the steward
    std::uint64_t empty_at_joins = 0; // as of the last pool_empty; the same as `joins`: it has no clients
    std::uint64_t empty_since = 0;    // counts pool_empty messages
    bool closing = false;             // it makes room for another, unless a client comes

    bool empty() const { return joins == empty_at_joins; }
  };
  using pool_key = std::pair<std::string, std::string>; // database and server user
  std::map<pool_key, pool> pools;
  std::deque<join_pool> waiting; // until a pool that is closing has gone
  caf::actor_addr root;          // weak: the root holds us
  std::uint64_t joins = 0;       // clients it was ever asked to take
  std::uint64_t emptied = 0;     // pool_empty messages
};

/// How long a pool that is not configured any more waits for a client that is on its way.
constexpr config::duration removed_pool_time = std::chrono::seconds{1};
/// The same for a pool that makes room: its tenant knows that none is.
constexpr config::duration closing_pool_time = std::chrono::microseconds{1};

/// The settings of a pool as they are now; null when its database is not configured any more.
std::shared_ptr<const config::pool_settings> resolve(const config::settings& all, const pool_name& name) {
  const auto route = config::find_route(all, name.tenant, name.database, name.user);
  if (!route) return nullptr;
  return std::make_shared<const config::pool_settings>(
      config::resolve_pool(all, *route->tenant, *route->database, name.database, name.user, route->user));
}

using tenant_self = tenant_actor::stateful_pointer<tenant_state>;

tenant_state::pool_key key_of(const join_pool& wish) {
  return {wish.database, wish.server_user};
}

/// Its last pool has gone: the root may let it go too, unless a client is on its way here.
void note_empty(tenant_self self) {
  const tenant_state& state = self->state;
  if (!state.pools.empty()) return;
  if (const auto root = caf::actor_cast<tenants_actor>(state.root))
    caf::anon_send(root, tenant_unused{state.name, state.joins});
}

/// Gives a pool the settings that hold now. One that is not configured any more keeps those it has, and goes when its
/// clients have gone.
void refresh_pool(tenant_state::pool& pool, const std::shared_ptr<const config::settings>& all) {
  auto now = resolve(*all, pool.common->name);
  if (!now || pool.closing) {
    auto last = std::make_shared<config::pool_settings>(now ? *now : *pool.common->settings());
    last->pool_idle_timeout = pool.closing ? closing_pool_time : removed_pool_time;
    last->min_pool_size = 0;
    now = std::move(last);
  }
  pool.common->set_settings(std::move(now));
  caf::anon_send(pool.steward, settings_changed{all});
}

void set_closing(const tenant_state& state, tenant_state::pool& pool, bool closing) {
  pool.closing = closing;
  refresh_pool(pool, state.node->settings()->values);
}

// -- max_tenant_pools
//
//   a client of a new pool -> below the limit? make it
//                          -> a pool has no clients? that one closes, and the client waits until it has gone
//                          -> refused
//   a client of a pool that closes -> it stays, and whoever waited for its place is looked after anew

/// How many more pools there may be with the settings as they are; those waiting for a place are not counted.
int places_left(const tenant_state& state, const config::pool_settings& limits) {
  if (limits.max_tenant_pools <= 0) return std::numeric_limits<int>::max();
  return limits.max_tenant_pools - static_cast<int>(state.pools.size());
}

/// Whether a pool without clients was found, the one that lost its last client first.
bool close_an_empty_pool(tenant_state& state) {
  tenant_state::pool* oldest = nullptr;
  for (auto& [key, pool] : state.pools)
    if (pool.empty() && !pool.closing && (oldest == nullptr || pool.empty_since < oldest->empty_since)) oldest = &pool;
  if (oldest != nullptr) set_closing(state, *oldest, true);
  return oldest != nullptr;
}

void refuse(const tenant_state& state, const join_pool& wish, const config::pool_settings& limits) {
  if (!wish.client) return; // min_pool_size is no reason to go beyond the limit
  const auto all = state.node->settings()->values;
  caf::anon_send(wish.client, pool_refused{protocol::make_error(
                                  protocol::error_code::too_many_pools,
                                  {"max_tenant_pools", std::to_string(limits.max_tenant_pools),
                                   config::setting_place(&config::overrides::max_tenant_pools, *all, state.name,
                                                         wish.database, wish.server_user)})});
}

void send_to(tenant_state::pool& pool, const join_pool& wish) {
  ++pool.joins;
  caf::anon_send(pool.steward, wish);
}

void make_pool(tenant_self self, const join_pool& wish, std::shared_ptr<const config::pool_settings> settings) {
  tenant_state& state = self->state;
  auto& pool = state.pools[key_of(wish)];
  pool.common = std::make_shared<pool_common>();
  pool.common->id = state.node->next_id.fetch_add(1, std::memory_order_relaxed);
  pool.common->name = {state.name, wish.database, wish.server_user};
  pool.common->set_settings(std::move(settings));
  pool.steward = spawn_steward(self->system(), *state.node, pool.common, tenant_actor(self));
  send_to(pool, wish);
}

void join(tenant_self self, const join_pool& wish);

/// A pool has gone or will not go after all: those who wait are looked at again, in their order.
void look_at_waiting(tenant_self self) {
  for (const join_pool& wish : std::exchange(self->state.waiting, {}))
    join(self, wish);
}

void join(tenant_self self, const join_pool& wish) {
  tenant_state& state = self->state;
  if (const auto found = state.pools.find(key_of(wish)); found != state.pools.end()) {
    tenant_state::pool& pool = found->second;
    send_to(pool, wish);
    if (!pool.closing) return;
    set_closing(state, pool, false);
    return look_at_waiting(self);
  }
  auto settings = resolve(*state.node->settings()->values, {state.name, wish.database, wish.server_user});
  if (!settings) { // taken away by a reload since the client was let in
    if (wish.client)
      caf::anon_send(wish.client,
                     pool_refused{protocol::make_error(protocol::error_code::no_such_database, {wish.database})});
    return note_empty(self);
  }
  std::set<tenant_state::pool_key> wanted{key_of(wish)}; // pools that are waited for, this one too
  for (const join_pool& other : state.waiting)
    wanted.insert(key_of(other));
  const int left = places_left(state, *settings);
  if (left >= static_cast<int>(wanted.size())) return make_pool(self, wish, std::move(settings));
  const auto closing =
      std::count_if(state.pools.begin(), state.pools.end(), [](const auto& entry) { return entry.second.closing; });
  // Without a client there is nobody who needs the place.
  if (wish.client && (left + closing >= static_cast<std::ptrdiff_t>(wanted.size()) || close_an_empty_pool(state)))
    return state.waiting.push_back(wish);
  refuse(state, wish, *settings);
}

// -- the actor

void remove_pool(tenant_self self, const pool_unused& message) {
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
    look_at_waiting(self);
    return note_empty(self);
  }
}

void note_pool_empty(tenant_state& state, const pool_empty& message) {
  for (auto& [key, pool] : state.pools)
    if (pool.common->id == message.pool) {
      pool.empty_at_joins = message.joined;
      pool.empty_since = ++state.emptied;
    }
}

tenant_actor::behavior_type tenant(tenant_self self, node_context* node, std::string name, const tenants_actor& root) {
  self->state.node = node;
  self->state.name = std::move(name);
  self->state.root = root.address();
  return {
      [self](const join_pool& wish) {
        self->state.stats.note(self);
        ++self->state.joins;
        join(self, wish);
      },
      [self](const pool_unused& message) {
        self->state.stats.note(self);
        remove_pool(self, message);
      },
      [self](const pool_empty& message) {
        self->state.stats.note(self);
        note_pool_empty(self->state, message);
      },
      [self](const settings_changed& message) {
        self->state.stats.note(self);
        for (auto& [key, pool] : self->state.pools)
          refresh_pool(pool, message.now);
        look_at_waiting(self); // the limit may be another
      },
      [self](const end_clients& message) {
        self->state.stats.note(self);
        for (auto& [key, pool] : self->state.pools)
          caf::anon_send(pool.steward, message);
      },
      [self](const control_pools& message) {
        self->state.stats.note(self);
        for (auto& [key, pool] : self->state.pools)
          if (message.scope.contains(self->state.name, key.first)) caf::anon_send(pool.steward, message);
      },
      [self](const list_stewards&) {
        self->state.stats.note(self);
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
  control_stats stats{actor_kind::tenant};
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
        self->state.stats.note(self);
        auto& known = self->state.known[wish.tenant];
        if (!known.actor)
          known.actor = spawn_tenant(self->system(), *self->state.node, wish.tenant, tenants_actor(self));
        ++known.joins;
        caf::anon_send(known.actor, wish);
      },
      [self](const tenant_unused& message) {
        self->state.stats.note(self);
        forget_tenant(self, message);
      },
      [self](const settings_changed& message) {
        self->state.stats.note(self);
        refresh_tenants(self, message);
      },
      [self](const end_clients& message) {
        self->state.stats.note(self);
        for (const auto& [name, one] : self->state.known)
          caf::anon_send(one.actor, message);
      },
      [self](const control_pools& message) {
        self->state.stats.note(self);
        for (const auto& [name, one] : self->state.known)
          if (message.scope.everything() || message.scope.tenant == name) caf::anon_send(one.actor, message);
      },
      [self](const list_tenants&) {
        self->state.stats.note(self);
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
