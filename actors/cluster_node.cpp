#include "actors/cluster_node.hpp"

#include "actors/cluster_state.hpp"
#include "actors/cluster_store.hpp"
#include "actors/etcd_store.hpp"
#include "actors/random.hpp"
#include "actors/store_asking.hpp"
#include "cluster/store_keys.hpp"
#include "config/network.hpp"

#include <caf/io/all.hpp>
#include <caf/openssl/all.hpp>

#include <algorithm>

namespace pg_edge::actors {

namespace {

using clock = cluster_state::clock;
using cluster::node_time;
using cluster::pool_key;

using tick_atom = caf::atom_constant<caf::atom("tick")>;
using left_atom = caf::atom_constant<caf::atom("left")>;

/// What has been sent when a node leaves is given so long to leave the process.
constexpr std::chrono::milliseconds leave_pause{300};
/// Between two lists for metrics.
constexpr std::chrono::milliseconds list_pause{250};
/// The store has so long to take down that a node has left in good order.
constexpr std::chrono::seconds longest_leave{2};

} // namespace

// -- start -----------------------------------------------------------------------------------------------------------

void cluster_state::start(node_context* context, config::cluster_settings own, cluster::peer_number number) {
  node = context;
  settings = std::move(own);
  store = std::make_unique<etcd_store>(etcd_access_of(settings));
  const auto wall =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  this_cluster().next_incarnation = static_cast<std::uint64_t>(wall);
  this_cluster().lease_end_ms = 0;
  std::uint64_t seed = 0;
  const protocol::bytes random = random_bytes(sizeof seed);
  std::copy(random.begin(), random.end(), reinterpret_cast<char*>(&seed));
  core.emplace(cluster::membership_settings{cluster::store_root(settings.name), settings.node, settings.address(),
                                            failure_timeout(),
                                            settings.budget == config::cluster_budget::strict
                                                ? cluster::budget_rule::strict
                                                : cluster::budget_rule::available,
                                            number != 0 ? settings.link_listen : std::string(), number},
               now_ms(), seed, [context](const pool_key& pool) -> std::optional<cluster::pool_size> {
                 const auto size = size_of_pool(*context, pool);
                 return size ? std::optional(context->succession.left_of(pool, *size)) : std::nullopt;
               });
  self->set_down_handler([this](caf::down_msg& message) { down(message); });
}

caf::behavior cluster_state::behaviour() {
  self->delayed_send<caf::message_priority::high>(self, core->members().tick_period(), tick_atom::value);
  return {
      [this](tick_atom) {
        core->tick(now_ms());
        if (const auto values = node->settings()->values; std::exchange(seen_settings, values) != values) {
          core->settings_changed(now_ms());
          if (places) places->settings_changed();
        }
        act();
        look_after_peers();
        listen_for_silence();
        say_alive();
        search_for_lost();
        look_after_drains();
        publish_list();
        if (roster_changed && clock::now() - roster_sent >= roster_pause) send_roster();
        if (!leaving || leave_promise.pending())
          self->delayed_send<caf::message_priority::high>(self, core->members().tick_period(), tick_atom::value);
      },
      [this](const store_answered& what) {
        core->on_answer(now_ms(), what.question, what.answer);
        act();
      },
      [this](const store_told& what) {
        core->on_event(now_ms(), what.watch, what.event);
        act();
      },
      [this](const node_envelope& envelope) {
        on_envelope(envelope);
        act();
      },
      [this](const address_probed& result) { connect(result); },
      [this](const pool_share_joined& what) {
        shares[{what.pool, what.key.share}] = {what.share, what.key};
        core->share_joined(now_ms(), what.pool, what.key);
        act();
      },
      [this](const pool_share_left& what) {
        const auto found = shares.find({what.pool, what.share});
        if (found == shares.end()) return;
        const cluster::share_key key = found->second.second;
        shares.erase(found);
        core->share_left(now_ms(), what.pool, key, what.clean);
        act();
      },
      [this](const pool_share_report& what) {
        core->share_reported(now_ms(), what.pool, what.report);
        act();
      },
      [this](const pool_reserve_wish& what) {
        core->reserve_wished(now_ms(), what.pool, what.lacking, what.spare);
        act();
      },
      [this](const backend_noted& what) { note_backend(what); },
      [this](const backends_searched& result) {
        searched(result);
        act();
      },
      [this](const links_opened&) {
        places.emplace(*node, settings.node);
        core->link_is_open();
        act();
      },
      [this](const succession_moved&) {
        const auto dead = node->succession.dead();
        for (const cluster::departed_member& one : dead)
          departed_seen.try_emplace(one, clock::now());
        core->note_dead_elsewhere(now_ms(), dead);
        core->settings_changed(now_ms());
        act();
      },
      [this](const list_nodes&) { return list(); },
      [this](const announce_leaving&) {
        core->announce_leaving(now_ms());
        act();
      },
      [this](const leave_cluster& how) -> caf::result<left_cluster> {
        if (how.clean)
          core->leave(now_ms());
        else
          core->surrender(now_ms());
        leaving = true;
        leave_promise = self->make_response_promise<caf::typed_response_promise<left_cluster>>();
        self->delayed_send(self, how.clean ? longest_leave : leave_pause, left_atom::value);
        leaves_clean = how.clean;
        act();
        return leave_promise;
      },
      [this](left_atom) {
        if (leave_promise.pending()) leave_promise.deliver(left_cluster{});
      },
      [this](const drain_member& wanted) { return drain(wanted); },
  };
}

// -- what the core has decided ---------------------------------------------------------------------------------------

void cluster_state::act() {
  for (const auto& asked : core->take_questions())
    put_to_store(*store, watches, asked, caf::actor_cast<caf::actor>(self));
  for (const auto& word : core->take_outgoing())
    deliver(word);
  publish_lease(); // before any order: it may be what allows to carry it out
  if (core->take_fenced()) note_fence();
  note_life();
  for (const auto& one : core->take_orders())
    if (const auto share = shares.find({one.pool, one.order.to.share}); share != shares.end())
      caf::anon_send(share->second.first, share_order{one.order, {}});
  look_at_view();
  if (places) places->look(core->members());
  const bool left = core->members().state() == cluster::membership::phase::left;
  if (leaves_clean && left && leave_promise.pending()) leave_promise.deliver(left_cluster{});
}

void cluster_state::deliver(const node_core::outgoing& word) {
  const auto found = peers.find(word.to);
  if (found != peers.end() && found->second.state == way::connected)
    send_raw(found->second.handle, word.what, word.incarnation);
}

/// What this node held is not its own any more.
void cluster_state::note_fence() {
  ++fences;
  log(level::error, cluster_events::fenced, {{"reason", core->members().problem()}});
  known_roster& own = rosters[life.id]; // whoever looks for what is left in Postgres: it may be this node itself
  own = {life.incarnation, clock::now(), {}};
  for (const auto& [server, one] : own_backends)
    own.backends.push_back(aged(one));
  own_backends.clear();
  roster_changed = true;
  for (const auto& [where, share] : shares)
    caf::anon_send(share.first, void_permits{});
}

void cluster_state::note_life() {
  if (const cluster::member* own = core->members().self()) {
    life = {own->id, own->name, own->incarnation};
    logged_problem.clear();
  } else if (const std::string& problem = core->members().problem(); !problem.empty() && problem != logged_problem) {
    logged_problem = problem;
    log(level::warning, cluster_events::waits, {{"reason", problem}});
  }
}

void cluster_state::publish_lease() {
  this_cluster().life.store(core->members().incarnation(), std::memory_order_release); // before the lease that it has
  const node_time end = core->members().lease_end();
  // The largest number means "alone", which a member of a cluster never is.
  constexpr std::int64_t endless = std::numeric_limits<std::int64_t>::max() - 1;
  this_cluster().lease_end_ms.store(std::min<std::int64_t>(end.count(), endless), std::memory_order_release);
}

void cluster_state::look_at_view() {
  const cluster::view& now = core->members().current();
  if (now.epoch == logged_epoch) return;
  logged_epoch = now.epoch;
  std::string names;
  for (const cluster::member& one : now.members)
    names += (names.empty() ? "" : ",") + one.name;
  log(level::info, cluster_events::view, {{"epoch", now.epoch}, {"members", names}});
  for (const cluster::departed_member& life : now.departed)
    departed_seen.try_emplace(life, clock::now());
  std::erase_if(departed_seen, [&](const auto& one) { // those of another cluster have no id
    return one.first.id != 0 && std::find(now.departed.begin(), now.departed.end(), one.first) == now.departed.end();
  });
  roster_changed = true;
}

// -- what people see -------------------------------------------------------------------------------------------------

node_list cluster_state::list() const {
  list_source from{core->members(), settings.name, settings.node, settings.address(), 0, 0, {}, {}, {}};
  from.own_backends = static_cast<std::uint32_t>(own_backends.size());
  from.own_stewards = static_cast<std::uint32_t>(core->books().size());
  from.now = now_ms();
  from.way_to = [this](const std::string& address) -> std::optional<list_source::way> {
    const auto whom = peers.find(address);
    if (whom == peers.end()) return std::nullopt;
    return list_source::way{whom->second.state == way::connected, whom->second.error};
  };
  from.backends_of = [this](cluster::node_id id, std::uint64_t incarnation) -> std::optional<std::uint32_t> {
    const auto roster = rosters.find(id);
    if (roster == rosters.end() || roster->second.incarnation != incarnation) return std::nullopt;
    return static_cast<std::uint32_t>(roster->second.backends.size());
  };
  node_list result = list_of(from);
  result.fences = fences;
  result.granted = core->granted();
  return result;
}

/// For those that must not wait for an answer.
void cluster_state::publish_list() {
  if (clock::now() - listed < list_pause) return;
  listed = clock::now();
  this_cluster().note_seen(std::make_shared<const node_list>(list()));
}

namespace {

caf::behavior cluster_node(caf::stateful_actor<cluster_state>* self, node_context* node,
                           const config::cluster_settings& settings, cluster::peer_number number) {
  self->state.start(node, settings, number);
  return self->state.behaviour();
}

} // namespace

void configure_cluster(caf::actor_system_config& config, const config::cluster_settings& settings) {
  config.add_message_type<node_envelope>(node_envelope_name);
  config.load<caf::io::middleman>();
  // What comes in is decoded on the thread that reads it: the scheduler's may be busy with passwords.
  config.set("middleman.workers", std::size_t{0});
  if (!uses_tls(settings)) return;
  config.load<caf::openssl::manager>();
  config.openssl_certificate = settings.certificate;
  config.openssl_key = settings.key;
  config.openssl_cafile = settings.ca;
}

cluster_link& this_cluster() {
  static cluster_link link;
  return link;
}

caf::actor spawn_cluster_node(caf::actor_system& system, node_context& node, const config::cluster_settings& settings,
                              cluster::peer_number number, std::string& error) {
  const auto here = config::parse_endpoint(settings.listen);
  caf::actor made = system.spawn<caf::detached>(cluster_node, &node, settings, number);
  // A detached actor begins on its own thread: its first answer says that it has.
  caf::scoped_actor wait{system};
  wait->request(made, std::chrono::seconds(10), list_nodes{})
      .receive([](const node_list&) {},
               [&](caf::error& why) {
                 if (error.empty()) error = "the cluster's actor does not start: " + system.render(why);
               });
  if (!error.empty()) return {};
  const auto port = uses_tls(settings) ? caf::openssl::publish(made, here->port, here->host.c_str(), true)
                                       : system.middleman().publish(made, here->port, here->host.c_str(), true);
  if (port) return made;
  error = "[cluster]: cannot listen on " + settings.listen + ": " + system.render(port.error());
  caf::anon_send_exit(made, caf::exit_reason::user_shutdown);
  return {};
}

} // namespace pg_edge::actors
