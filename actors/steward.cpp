// A pool's steward: makes the pool's shares, tells each new client which one is its own, and moves permits between them
// as cluster::permit_steward decides.
#include "actors/cluster_link.hpp"
#include "actors/cluster_words.hpp"
#include "actors/control_stats.hpp"
#include "actors/log.hpp"
#include "actors/node_context.hpp"
#include "actors/share.hpp"
#include "actors/tenants.hpp"
#include "cluster/placement.hpp"
#include "cluster/reserve.hpp"

#include <unordered_map>

namespace pg_edge::actors {

namespace {

/// Of a node that is alone. In a cluster the permits are not decided here but by the pool's steward among the nodes
/// (actors/cluster_node): this one passes on what its shares say. Orders go to the shares directly.
constexpr cluster::node_id own_node = 0;

struct steward_state {
  control_stats stats{actor_kind::steward};
  node_context* node = nullptr;
  pool_common_ptr pool;
  caf::actor cluster;     // null: the node is alone
  caf::actor_addr tenant; // weak: the tenant holds us
  cluster::permit_steward permits{0};
  cluster::reserve_pool reserve{0, 0};
  struct place {
    caf::actor share;
    reactor* home = nullptr;
    cluster::share_key key;
    std::uint32_t clients = 0;
    std::uint64_t joined = 0, left = 0; // ever; `left` as of its last share_unused
  };
  std::vector<place> places;
  std::uint64_t joins = 0;                                        // clients it was ever asked to take
  std::unordered_map<cluster::backend_id, caf::actor> travelling; // servers between two shares
};

cluster::reserve_pool reserve_of(const config::pool_settings& settings) {
  return {static_cast<std::uint32_t>(settings.pool_size), static_cast<std::uint32_t>(settings.reserve_pool_size)};
}

using steward_self = steward_actor::stateful_pointer<steward_state>;

void deliver(steward_self self, const cluster::permit_steward::orders& orders) {
  steward_state& state = self->state;
  if (state.cluster) return;
  for (const cluster::permit_order& order : orders) {
    share_order message{order, {}};
    for (const cluster::backend_id id : order.carried) {
      message.servers.push_back(state.travelling[id]);
      state.travelling.erase(id);
    }
    for (const auto& place : state.places)
      if (place.key.share == order.to.share) caf::anon_send(place.share, message);
  }
}

void start_share(steward_self self, std::size_t index) {
  steward_state& state = self->state;
  auto& place = state.places[index];
  place.share = spawn_pinned<share>(*place.home, *state.node, state.pool, steward_actor(self), place.key);
  self->monitor(place.share);
  if (state.cluster)
    return caf::anon_send(state.cluster, pool_share_joined{cluster_key(state.pool->name), place.key, place.share});
  deliver(self, state.permits.share_joined(place.key, own_node));
}

void make_shares(steward_self self) {
  steward_state& state = self->state;
  const auto reactors = state.node->reactors.size();
  const int count = cluster::shares_for(state.pool->settings()->pool_size, static_cast<int>(reactors));
  state.pool->shares = static_cast<std::uint32_t>(count);
  // Pools begin on different reactors, so that many small ones spread.
  for (int i = 0; i < count; ++i) {
    const std::size_t home = (state.pool->id + static_cast<std::size_t>(i)) % reactors;
    const cluster::share_key key{static_cast<cluster::share_id>(i), this_cluster().next_incarnation.fetch_add(1)};
    state.places.push_back({{}, state.node->reactors[home].get(), key, 0});
    start_share(self, static_cast<std::size_t>(i));
  }
}

void join(steward_self self, const join_pool& wish) {
  steward_state& state = self->state;
  std::vector<cluster::share_load> loads;
  for (const auto& place : state.places) // permits follow demand, so clients are spread evenly
    loads.push_back({place.clients, 1});
  const auto chosen = cluster::place(loads);
  if (!chosen) return;
  auto& place = state.places[*chosen];
  ++place.clients;
  ++place.joined;
  if (!wish.client) return caf::anon_send(place.share, detach_client{false}); // the pool is wanted, see warm_pools
  caf::anon_send(wish.client, pool_joined{place.share, place.home, state.pool});
}

/// A share crashed. What it held stays out, since its backends may live on; a new life of it serves the clients to
/// come.
void share_down(steward_self self, const caf::down_msg& down) {
  steward_state& state = self->state;
  for (std::size_t i = 0; i < state.places.size(); ++i) {
    auto& place = state.places[i];
    if (place.share.address() != down.source || !down.reason) continue;
    if (state.node->draining.load(std::memory_order_relaxed)) return; // the reactors end, and it with them
    log(level::error, log_event::actor_failed, {{"kind", "share"}, {"pool", state.pool->id}});
    if (state.cluster)
      caf::anon_send(state.cluster, pool_share_left{cluster_key(state.pool->name), place.key.share, false});
    else
      deliver(self, state.permits.share_lost(place.key, {}, false));
    place.key.incarnation = this_cluster().next_incarnation.fetch_add(1);
    place.clients = 0;
    place.joined = place.left = 0;
    start_share(self, i);
  }
}

/// While another process serves the pool too: what is free here can go there.
void settle(const steward_state& state) {
  permit_exchange& exchange = state.node->handover.permits;
  if (!exchange.linked()) return;
  std::uint32_t clients = 0;
  for (const auto& place : state.places)
    clients += place.clients;
  exchange.settle(state.pool->name, state.permits.out() + state.permits.lost(), clients);
}

/// The pool may have so many servers now.
void resize(steward_self self) {
  steward_state& state = self->state;
  state.pool->reserve_used.store(state.reserve.used(), std::memory_order_relaxed);
  const auto size = state.node->handover.permits.allowed(state.pool->name, state.reserve.total());
  deliver(self, state.permits.resize(size));
  settle(state);
}

void change_reserve(steward_self self, const reserve_wish& wish) {
  steward_state& state = self->state;
  if (state.node->handover.permits.linked()) return; // the size stands while two processes share it
  const auto before = state.reserve.used();
  if (wish.lacking > 0) state.reserve.lacking(wish.lacking, state.permits.free());
  state.reserve.spare(wish.spare);
  const auto now = state.reserve.used();
  if (now == before) return;
  log(level::info, log_event::reserve_changed,
      {{"pool", state.pool->id},
       {"tenant", state.pool->name.tenant},
       {"database", state.pool->name.database},
       {"user", state.pool->name.user},
       {"used", now}});
  resize(self);
}

/// Its tenant hears when the last client has left: the place of such a pool can be had by another.
void note_empty(const steward_state& state) {
  std::uint32_t clients = 0;
  for (const auto& place : state.places)
    clients += place.clients;
  if (clients > 0) return;
  if (const auto tenant = caf::actor_cast<tenant_actor>(state.tenant))
    caf::anon_send(tenant, pool_empty{state.pool->id, state.joins});
}

/// The pool goes when no share has clients or servers and none is on its way to one; its shares go with it.
void note_unused(steward_self self, const share_unused& message) {
  steward_state& state = self->state;
  std::uint64_t joined = 0;
  bool unused = state.travelling.empty();
  for (auto& place : state.places) {
    if (place.key.share == message.share) place.left = message.left;
    unused = unused && place.left == place.joined;
    joined += place.joined;
  }
  if (!unused || joined != state.joins) return;
  if (const auto tenant = caf::actor_cast<tenant_actor>(state.tenant))
    caf::anon_send(tenant, pool_unused{state.pool->id, joined});
}

steward_actor::behavior_type steward(steward_self self, node_context* node, pool_common_ptr pool,
                                     const tenant_actor& tenant) {
  steward_state& state = self->state;
  state.tenant = tenant.address();
  state.node = node;
  state.cluster = this_cluster().node;
  state.pool = std::move(pool);
  const auto settings = state.pool->settings();
  state.reserve = reserve_of(*settings);
  state.permits =
      cluster::permit_steward(node->handover.permits.joined(state.pool, steward_actor(self), state.reserve.total()));
  self->set_down_handler([self](caf::down_msg& down) { share_down(self, down); });
  self->set_exit_handler([self](caf::exit_msg& message) { // its tenant is done with the pool
    self->state.node->handover.permits.left(self->state.pool->name);
    for (const auto& place : self->state.places) {
      if (self->state.cluster)
        caf::anon_send(self->state.cluster,
                       pool_share_left{cluster_key(self->state.pool->name), place.key.share, true});
      caf::anon_send_exit(place.share, caf::exit_reason::user_shutdown);
    }
    self->quit(message.reason);
  });
  make_shares(self);
  log(level::info, log_event::pool_created,
      {{"pool", state.pool->id},
       {"tenant", state.pool->name.tenant},
       {"database", state.pool->name.database},
       {"user", state.pool->name.user},
       {"size", settings->pool_size},
       {"shares", state.places.size()}});
  return {
      [self](const join_pool& wish) {
        self->state.stats.note(self);
        ++self->state.joins;
        join(self, wish);
      },
      [self](const share_report& message) {
        self->state.stats.note(self);
        if (self->state.cluster)
          return caf::anon_send(self->state.cluster,
                                pool_share_report{cluster_key(self->state.pool->name), message.report});
        for (std::size_t i = 0; i < message.servers.size(); ++i)
          self->state.travelling[message.report.carried[i]] = message.servers[i];
        const auto orders = self->state.permits.on_report(message.report);
        if (orders) {
          deliver(self, *orders);
          return settle(self->state);
        }
        for (const caf::actor& server : message.servers)
          caf::anon_send(server, close_server{"its share is gone"});
      },
      [self](const client_left& message) {
        self->state.stats.note(self);
        for (auto& place : self->state.places)
          if (place.key.share == message.share && place.clients > 0) --place.clients;
        note_empty(self->state);
        settle(self->state);
      },
      [self](const share_unused& message) {
        self->state.stats.note(self);
        note_unused(self, message);
      },
      [self](const reserve_wish& wish) {
        self->state.stats.note(self);
        if (!self->state.cluster) return change_reserve(self, wish);
        caf::anon_send(self->state.cluster,
                       pool_reserve_wish{cluster_key(self->state.pool->name), wish.lacking, wish.spare});
      },
      [self](const settings_changed&) {
        self->state.stats.note(self);
        steward_state& state = self->state;
        const auto settings = state.pool->settings();
        state.reserve.configure(static_cast<std::uint32_t>(settings->pool_size),
                                static_cast<std::uint32_t>(settings->reserve_pool_size));
        resize(self);
        for (const auto& place : state.places)
          caf::anon_send(place.share, share_settings{});
      },
      [self](const end_clients& message) {
        self->state.stats.note(self);
        for (const auto& place : self->state.places)
          caf::anon_send(place.share, message);
      },
      [self](const control_pools& message) {
        self->state.stats.note(self);
        for (const auto& place : self->state.places)
          caf::anon_send(place.share, message);
      },
      [self](const permits_shared&) {
        self->state.stats.note(self);
        resize(self);
      },
      [self](const list_shares&) {
        self->state.stats.note(self);
        share_list result;
        for (const auto& place : self->state.places)
          result.shares.push_back(place.share);
        return result;
      },
  };
}

} // namespace

steward_actor spawn_steward(caf::actor_system& system, node_context& node, pool_common_ptr pool, tenant_actor tenant) {
  return system.spawn(steward, &node, std::move(pool), std::move(tenant));
}

} // namespace pg_edge::actors
