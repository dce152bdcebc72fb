#include "actors/cluster_node.hpp"

#include "actors/cluster_link.hpp"
#include "actors/cluster_list.hpp"
#include "actors/cluster_log.hpp"
#include "actors/cluster_places.hpp"
#include "actors/cluster_store.hpp"
#include "actors/etcd_store.hpp"
#include "actors/random.hpp"
#include "cluster/store_keys.hpp"
#include "config/network.hpp"

#include <caf/io/all.hpp>
#include <caf/openssl/all.hpp>

#include <algorithm>
#include <map>
#include <optional>

namespace pg_edge::actors {

namespace {

using clock = std::chrono::steady_clock;
using cluster::node_core;
using cluster::node_time;
using cluster::pool_key;

using tick_atom = caf::atom_constant<caf::atom("tick")>;
using left_atom = caf::atom_constant<caf::atom("left")>;

/// Between two tries to reach an address.
constexpr std::chrono::milliseconds first_pause{100}, longest_pause{2000};
/// CAF and the other node have so long to answer.
constexpr std::chrono::seconds greeting_limit{5};
/// Rosters are sent at most this often; short ones with each login at once.
constexpr std::size_t prompt_roster = 200;
constexpr std::chrono::milliseconds roster_pause{200};
/// Between two looks into Postgres for what a dead node has left.
constexpr std::chrono::milliseconds search_pause{250};
/// How often the log is told that such permits are still awaited.
constexpr std::chrono::seconds awaited_pause{10};
/// What has been sent when a node leaves is given so long to leave the process.
constexpr std::chrono::milliseconds leave_pause{300};
/// Between two lists for metrics.
constexpr std::chrono::milliseconds list_pause{250};
/// The store has so long to take down that a node has left in good order.
constexpr std::chrono::seconds longest_leave{2};

node_time now_ms() {
  return std::chrono::duration_cast<node_time>(clock::now().time_since_epoch());
}

bool uses_tls(const config::cluster_settings& settings) {
  return !settings.certificate.empty();
}

using own_backend = std::pair<cluster::roster_entry, clock::time_point>; // since when

cluster::roster_entry aged(const own_backend& one) {
  cluster::roster_entry entry = one.first;
  entry.age_ms = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - one.second).count());
  return entry;
}

struct cluster_state {
  using self_pointer = caf::stateful_actor<cluster_state>*;

  /// Where the way to an address stands.
  enum class way : std::uint8_t { unknown, probing, connecting, greeting, connected };
  struct peer {
    way state = way::unknown;
    caf::actor handle;
    std::string name, error; // error: as the log was told
    clock::time_point next_try{}, since{};
    std::chrono::milliseconds pause = first_pause;
  };
  struct known_roster {
    std::uint64_t incarnation = 0;
    clock::time_point heard{};
    std::vector<cluster::roster_entry> backends;
  };
  struct search {
    bool under_way = false;
    clock::time_point began{}, next{}, said{};
  };

  explicit cluster_state(self_pointer owner) : self(owner) {}

  void start(node_context* context, config::cluster_settings own, cluster::peer_number number);
  caf::behavior behaviour();

  // -- the others
  void dial(const std::string& address, peer& whom);
  void connect(const address_probed& result);
  void greet(const std::string& address, const caf::actor& handle);
  void on_envelope(const node_envelope& envelope);
  void on_hello(const cluster::node_hello& what, std::uint16_t version, const caf::actor& from);
  void connected(const std::string& address, const std::string& name, const caf::actor& handle);
  void failed(const std::string& address, const std::string& why, bool tell = false);
  void down(const caf::down_msg& message);
  void look_after_peers();
  void send_raw(const caf::actor& to, const cluster::node_message& what, std::uint64_t incarnation = 0);
  cluster::node_hello own_hello(bool answer) const;
  const std::string* address_of(const caf::actor_addr& handle) const;

  // -- what the core has decided
  void act();
  void ask_store(const cluster::store_question& asked);
  void deliver(const node_core::outgoing& word);
  void look_at_view();
  void publish_lease();
  void note_life();
  void note_fence();

  // -- rosters and dead lives
  void note_backend(const backend_noted& what);
  void send_roster();
  void search_for_lost();
  backend_question question_about(const node_core::clearing& what);
  void searched(const backends_searched& result);

  node_list list() const;
  void publish_list();
  member_drains drain(const drain_member& wanted);
  void drain_here(const author& by, std::chrono::seconds notice);

  self_pointer self;
  node_context* node = nullptr;
  config::cluster_settings settings;
  std::optional<node_core> core;
  std::optional<cluster_places> places; // if this node has links
  std::map<std::string, peer> peers;    // by address, without this node's own
  std::map<std::pair<pool_key, cluster::share_id>, std::pair<caf::actor, cluster::share_key>> shares; // of this node
  std::shared_ptr<const config::settings> seen_settings;
  std::map<cluster::node_id, known_roster> rosters;  // of present and departed lives
  std::map<std::uint64_t, own_backend> own_backends; // by server
  bool roster_changed = false;
  clock::time_point roster_sent{};
  std::map<cluster::departed_member, clock::time_point> departed_seen;
  std::map<node_core::clearing, search> searches;
  cluster::departed_member life; // of this node: the last one that was in a view
  std::uint64_t logged_epoch = 0, fences = 0;
  std::string logged_problem;
  clock::time_point listed{};
  bool leaving = false, leaves_clean = false;
  caf::typed_response_promise<left_cluster> leave_promise;
  std::map<std::uint64_t, cluster::store_watch_id> watches; // by the core's number
  std::unique_ptr<cluster::store> store;                    // the first to go: it calls this actor
};

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
  core.emplace(
      cluster::membership_settings{cluster::store_root(settings.name), settings.node, settings.address(),
                                   std::chrono::duration_cast<std::chrono::milliseconds>(settings.failure_timeout),
                                   settings.budget == config::cluster_budget::strict ? cluster::budget_rule::strict
                                                                                     : cluster::budget_rule::available,
                                   number != 0 ? settings.link_listen : std::string(), number},
      now_ms(), seed, [context](const pool_key& pool) { return size_of_pool(*context, pool); });
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
        search_for_lost();
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

// -- the way to the others -------------------------------------------------------------------------------------------

cluster::node_hello cluster_state::own_hello(bool answer) const {
  return {settings.name, settings.node, settings.address(), std::string("pg_edge ") + PG_EDGE_VERSION, answer};
}

void cluster_state::send_raw(const caf::actor& to, const cluster::node_message& what, std::uint64_t incarnation) {
  self->send(to, node_envelope{cluster::encode(what), incarnation});
}

const std::string* cluster_state::address_of(const caf::actor_addr& handle) const {
  for (const auto& [address, one] : peers)
    if (one.handle && one.handle.address() == handle) return &address;
  return nullptr;
}

void cluster_state::look_after_peers() {
  const auto now = clock::now();
  const auto& registered = core->members().registered();
  for (const auto& [name, one] : registered)
    if (name != settings.node) peers[one.record.address].name = name;
  std::erase_if(peers, [&](const auto& one) { // who is away is called again while the store knows it, no longer
    return one.second.state == way::unknown &&
           std::none_of(registered.begin(), registered.end(),
                        [&](const auto& other) { return other.second.record.address == one.first; });
  });
  for (auto& [address, whom] : peers) {
    if (whom.state == way::unknown && now >= whom.next_try) dial(address, whom);
    const bool waits = whom.state == way::connecting || whom.state == way::greeting;
    if (waits && now - whom.since > greeting_limit) failed(address, "no answer to hello");
  }
}

void cluster_state::dial(const std::string& address, peer& whom) {
  if (leaving) return;
  whom.state = way::probing;
  whom.since = clock::now();
  probe_address(self, address);
}

void cluster_state::connect(const address_probed& result) {
  const auto found = peers.find(result.address);
  if (found == peers.end() || found->second.state != way::probing) return;
  if (!result.error.empty()) return failed(result.address, result.error);
  const auto parts = config::parse_endpoint(result.address);
  found->second.state = way::connecting;
  found->second.since = clock::now();
  auto& system = self->system();
  const auto middleman =
      uses_tls(settings) ? system.openssl_manager().actor_handle() : system.middleman().actor_handle();
  self->request(middleman, greeting_limit, caf::connect_atom::value, parts->host, parts->port)
      .then(
          [this, address = result.address](const caf::node_id&, caf::strong_actor_ptr& handle,
                                           const std::set<std::string>&) {
            if (handle)
              greet(address, caf::actor_cast<caf::actor>(handle));
            else
              failed(address, "nobody of pg_edge listens there", true);
          },
          [this, address = result.address](caf::error& error) {
            const std::string text = self->system().render(error);
            failed(address,
                   uses_tls(settings)
                       ? "no TLS connection that both sides trust (is its certificate of the same ca? is "
                         "ours?): " +
                             text
                       : text,
                   true);
          });
}

void cluster_state::greet(const std::string& address, const caf::actor& handle) {
  peer& whom = peers[address];
  if (whom.state == way::connected && whom.handle == handle) return;
  whom.state = way::greeting;
  whom.since = clock::now();
  whom.handle = handle;
  self->monitor(handle);
  send_raw(handle, own_hello(false));
}

/// `tell`: a reason for people to act, not just an address where nobody listens yet.
void cluster_state::failed(const std::string& address, const std::string& why, bool tell) {
  peer& whom = peers[address];
  if (whom.state == way::connected) return;
  whom.state = way::unknown;
  whom.handle = nullptr;
  whom.pause = std::min(whom.pause * 2, longest_pause);
  whom.next_try = clock::now() + whom.pause;
  if (std::exchange(whom.error, why) != why)
    log(tell ? level::warning : level::info, tell ? cluster_events::refused : cluster_events::lost,
        {{"address", address}, {"node", whom.name}, {"reason", why}});
}

void cluster_state::connected(const std::string& address, const std::string& name, const caf::actor& handle) {
  peer& whom = peers[address];
  if (whom.state == way::connected && whom.handle == handle) return;
  whom.state = way::connected;
  whom.handle = handle;
  whom.name = name;
  whom.error.clear();
  whom.pause = first_pause;
  log(level::info, cluster_events::connected, {{"address", address}, {"node", name}});
  core->reconnected(now_ms(), address);
  send_roster();
}

void cluster_state::down(const caf::down_msg& message) {
  const std::string* address = address_of(message.source);
  if (address == nullptr) return;
  peer& whom = peers[*address];
  const bool was = whom.state == way::connected;
  whom.state = way::unknown;
  whom.handle = nullptr;
  whom.next_try = clock::now() + first_pause;
  if (was) {
    whom.error = "the connection has ended";
    log(level::warning, cluster_events::lost, {{"address", *address}, {"node", whom.name}, {"reason", whom.error}});
  } else if (whom.error.empty()) {
    failed(*address, "the connection ended before hello was answered");
  }
}

void cluster_state::on_hello(const cluster::node_hello& what, std::uint16_t version, const caf::actor& from) {
  const std::string why = cluster::mismatch(own_hello(false), what, version);
  if (!why.empty()) {
    log(level::warning, cluster_events::refused, {{"address", what.address}, {"node", what.name}, {"reason", why}});
    return send_raw(from, cluster::node_refusal{why});
  }
  if (!what.answer) {
    self->monitor(from);
    send_raw(from, own_hello(true));
  }
  connected(what.address, what.name, from);
}

void cluster_state::on_envelope(const node_envelope& envelope) {
  const auto from = caf::actor_cast<caf::actor>(self->current_sender());
  if (!from) return;
  const auto read = cluster::decode(envelope.raw);
  if (read.malformed) {
    log(level::error, cluster_events::refused, {{"reason", "a message that cannot be read"}});
    return;
  }
  if (!read.what) return; // of a later release: it knows that we may not know it
  if (const auto* hello = std::get_if<cluster::node_hello>(&*read.what)) return on_hello(*hello, read.version, from);
  const std::string* address = address_of(from.address());
  if (address == nullptr) return;
  if (const auto* refused = std::get_if<cluster::node_refusal>(&*read.what))
    return failed(*address, refused->why, true);
  if (peers[*address].state != way::connected) return;
  const node_core::sender sender{peers[*address].name, envelope.incarnation};
  if (const auto* roster = std::get_if<cluster::roster>(&*read.what)) {
    if (cluster::has_member(core->members().current(), sender.name, roster->incarnation))
      rosters[roster->node] = {roster->incarnation, clock::now(), roster->backends};
    return;
  }
  if (const auto* cancel = std::get_if<cluster::cancel_forward>(&*read.what)) {
    if (const caf::actor whom = node->cancels.find(cancel->process_id, cancel->secret))
      caf::anon_send(whom, cancel_client{});
    return;
  }
  if (const auto* drain = std::get_if<cluster::node_drain>(&*read.what)) {
    if (cluster::has_member(core->members().current(), sender.name, sender.incarnation))
      drain_here({drain->by + " by node " + sender.name, drain->from}, std::chrono::seconds(drain->notice_s));
    return;
  }
  core->on_message(now_ms(), sender, *read.what);
}

void cluster_state::drain_here(const author& by, std::chrono::seconds notice) {
  caf::anon_send(node->node, shut_down{shutdown_mode::wait_for_servers, by, notice});
}

member_drains cluster_state::drain(const drain_member& wanted) {
  member_drains result;
  if (wanted.node == settings.node) {
    drain_here(wanted.by, wanted.notice);
    result.known = true;
    return result;
  }
  const cluster::member* whom = cluster::find_member(core->members().current(), wanted.node);
  const cluster::member* own = core->members().self();
  result.known = whom != nullptr;
  if (whom == nullptr) return result;
  const auto way_there = peers.find(whom->address);
  if (own == nullptr)
    result.error = "this node is not in the cluster at present";
  else if (way_there == peers.end() || way_there->second.state != way::connected)
    result.error = "there is no connection to it at present" +
                   (way_there == peers.end() || way_there->second.error.empty() ? "" : ": " + way_there->second.error);
  else
    send_raw(way_there->second.handle,
             cluster::node_drain{wanted.by.who, wanted.by.from, static_cast<std::uint32_t>(wanted.notice.count())},
             own->incarnation);
  return result;
}

// -- what the core has decided ---------------------------------------------------------------------------------------

void cluster_state::act() {
  for (const auto& asked : core->take_questions())
    ask_store(asked);
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

void cluster_state::ask_store(const cluster::store_question& asked) {
  const auto here = caf::actor_cast<caf::actor>(self);
  const auto number = asked.number;
  const auto then = [here, number](cluster::store_answer answer) {
    caf::anon_send<caf::message_priority::high>(here, store_answered{number, std::move(answer)});
  };
  if (const auto* list = std::get_if<cluster::ask_list>(&asked.what))
    store->list({list->prefix, 0, false, {}}, then);
  else if (const auto* commit = std::get_if<cluster::ask_commit>(&asked.what))
    store->commit(commit->writes, then);
  else if (const auto* grant = std::get_if<cluster::ask_grant>(&asked.what))
    store->grant(grant->time_to_live, then);
  else if (const auto* alive = std::get_if<cluster::ask_keep_alive>(&asked.what))
    store->keep_alive(alive->lease, then);
  else if (const auto* revoke = std::get_if<cluster::ask_revoke>(&asked.what))
    store->revoke(revoke->lease, then);
  else if (const auto* watch = std::get_if<cluster::ask_watch>(&asked.what))
    watches[number] = store->watch(watch->prefix, watch->after, [here, number](cluster::store_event event) {
      caf::anon_send<caf::message_priority::high>(here, store_told{number, std::move(event)});
    });
  else if (const auto* over = std::get_if<cluster::ask_unwatch>(&asked.what))
    if (const auto found = watches.find(over->watch); found != watches.end()) {
      store->unwatch(found->second);
      watches.erase(found);
    }
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
  std::erase_if(departed_seen, [&](const auto& one) {
    return std::find(now.departed.begin(), now.departed.end(), one.first) == now.departed.end();
  });
  roster_changed = true;
}

// -- rosters and dead lives ------------------------------------------------------------------------------------------

void cluster_state::note_backend(const backend_noted& what) {
  if (what.there)
    own_backends[what.server] = {{what.pool, what.pid, 0}, clock::now()};
  else
    own_backends.erase(what.server);
  roster_changed = true;
  // What is in no roster when this node stops can only be waited for.
  const bool at_once = what.there && own_backends.size() <= prompt_roster;
  if (at_once || clock::now() - roster_sent >= roster_pause) send_roster();
}

void cluster_state::send_roster() {
  const cluster::member* own = core->members().self();
  roster_sent = clock::now();
  if (own == nullptr) return;
  roster_changed = false;
  cluster::roster word{own->id, own->incarnation, {}};
  for (const auto& [server, one] : own_backends)
    word.backends.push_back(aged(one));
  for (const auto& [address, whom] : peers)
    if (whom.state == way::connected) send_raw(whom.handle, word, own->incarnation);
}

void cluster_state::search_for_lost() {
  const auto wanted = core->to_clear();
  std::erase_if(searches, [&](const auto& one) {
    return !one.second.under_way && std::find(wanted.begin(), wanted.end(), one.first) == wanted.end();
  });
  const auto now = clock::now();
  for (const auto& what : wanted) {
    search& one = searches[what];
    if (one.began == clock::time_point{}) one.began = now;
    if (one.under_way || now < one.next) continue;
    one.under_way = true;
    search_backends(self, *node, question_about(what));
  }
}

backend_question cluster_state::question_about(const node_core::clearing& what) {
  const auto now = clock::now();
  const auto ms = [](clock::duration span) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
  };
  backend_question question;
  question.what = what;
  if (const auto seen = departed_seen.find(what.life); seen != departed_seen.end())
    question.departed_ms = ms(now - seen->second);
  for (const auto& [id, roster] : rosters) {
    const bool dead = id == what.life.id && roster.incarnation == what.life.incarnation;
    if (dead) question.roster_age_ms = ms(now - roster.heard);
    for (const cluster::roster_entry& entry : roster.backends) {
      if (entry.pool != what.pool) continue;
      if (dead)
        question.roster.emplace_back(entry.pid, static_cast<std::int64_t>(entry.age_ms) + ms(now - roster.heard));
      else
        question.of_others.push_back(entry.pid);
    }
  }
  for (const auto& [server, one] : own_backends)
    if (one.first.pool == what.pool) question.of_others.push_back(one.first.pid);
  return question;
}

void cluster_state::searched(const backends_searched& result) {
  search& one = searches[result.what];
  const auto now = clock::now();
  one.under_way = false;
  one.next = now + search_pause;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - one.began).count();
  if (result.gone) {
    core->cleared(now_ms(), result.what);
    log(level::info, cluster_events::recovered,
        {{"node", result.what.life.name},
         {"tenant", result.what.pool.tenant},
         {"database", result.what.pool.database},
         {"user", result.what.pool.user},
         {"seconds", seconds}});
    searches.erase(result.what);
    return;
  }
  if (now - one.said < awaited_pause) return;
  one.said = now;
  log(result.error.empty() ? level::info : level::warning, cluster_events::awaited,
      {{"node", result.what.life.name},
       {"tenant", result.what.pool.tenant},
       {"database", result.what.pool.database},
       {"user", result.what.pool.user},
       {"ended", result.ended},
       {"unknown", result.waiting_for},
       {"reason", result.error}});
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
  const caf::actor made = system.spawn<caf::detached>(cluster_node, &node, settings, number);
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
