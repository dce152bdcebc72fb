#include "actors/succession.hpp"

#include "actors/cluster_link.hpp"
#include "actors/cluster_log.hpp"
#include "actors/cluster_places.hpp"
#include "actors/cluster_store.hpp"
#include "actors/cluster_words.hpp"
#include "actors/etcd_store.hpp"
#include "actors/node_context.hpp"
#include "actors/relay.hpp"
#include "actors/resolver.hpp"
#include "cluster/pool_homes.hpp"
#include "config/network.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <optional>

namespace pg_edge::actors {

namespace {

using cluster::node_time;
using cluster::succession_step;
using clock = std::chrono::steady_clock;
using look_atom = caf::atom_constant<caf::atom("look")>;

constexpr std::chrono::milliseconds usual_tick{100}, moving_tick{25};
/// So long a node that was taken over still says that it is ready: load balancers find the others meanwhile, and nobody
/// is turned away, since its clients are relayed.
constexpr std::chrono::seconds ready_overlap{10};
/// A number that no node has: there is nobody to relay to at present.
constexpr node_number nobody = foreign_node | 0x7fff;

node_time now_time() {
  return std::chrono::duration_cast<node_time>(clock::now().time_since_epoch());
}

/// From here on no server is opened, and clients that need one are relayed as soon as it is known where to.
void close_pools(node_context& node) {
  if (!node.succession.given_away()) node.succession.give_away([](const pool_name&) { return nobody; });
  node.gates.give_away(); // behind that: who is told to wait no longer finds out where to go
}

struct succession_state {
  using self_pointer = caf::stateful_actor<succession_state>*;
  explicit succession_state(self_pointer owner) : self(owner) {}

  void start(node_context* context);
  caf::behavior behaviour();

private:
  void look();
  void act();
  void ask_store(const cluster::store_question& asked);
  void give_away();
  void look_at_others();
  void tell_pools();
  void note_step();
  void command(const author& by, const std::string& what);

  self_pointer self;
  node_context* node = nullptr;
  std::optional<cluster::succession> core;
  caf::typed_response_promise<takeover_answer> answer;
  author asked_by;
  std::string asked_what;
  bool closed = false;
  std::vector<cluster::succession::other_node> others;
  std::string linked; // the cluster whose nodes those are
  std::map<node_number, std::string> peers;
  std::optional<clock::time_point> done_since;
  succession_step told_step = succession_step::none;
  std::map<std::uint64_t, cluster::store_watch_id> watches;
  std::unique_ptr<cluster::store> store; // the first to go: it calls this actor
};

void succession_state::start(node_context* context) {
  node = context;
  const config::cluster_settings& own = node->settings()->values->cluster;
  core.emplace(cluster::succession_settings{own.name, own.node, own.succeeds}, now_time());
  store = std::make_unique<etcd_store>(etcd_access_of(own));
  closed = node->gates.given_away();
}

caf::behavior succession_state::behaviour() {
  self->send(self, look_atom::value);
  return {
      [this](look_atom) {
        look();
        const bool moves = core->step() != succession_step::none && core->step() != succession_step::done;
        self->delayed_send(self, moves ? moving_tick : usual_tick, look_atom::value);
      },
      [this](const store_answered& what) {
        core->on_answer(now_time(), what.question, what.answer);
        act();
      },
      [this](const store_told& what) {
        core->on_event(now_time(), what.watch, what.event);
        act();
      },
      [this](const take_over_cluster& wish) -> caf::result<takeover_answer> {
        command(wish.by, "TAKEOVER " + wish.from);
        core->begin(now_time(), wish.from, wish.by.who);
        const auto promise = answer;
        act();
        return promise;
      },
      [this](const abort_takeover& wish) -> caf::result<takeover_answer> {
        command(wish.by, "ABORT TAKEOVER");
        core->abort(now_time(), wish.by.who);
        const auto promise = answer;
        act();
        return promise;
      },
      [this](const ask_takeover&) { return takeover_status{core->now()}; },
  };
}

/// One at a time: the core refuses a second one, and who asked before still hears what became of his.
void succession_state::command(const author& by, const std::string& what) {
  if (answer.pending())
    answer.deliver(takeover_answer{false, "another command has come in between; look where it stands"});
  answer = self->make_response_promise<caf::typed_response_promise<takeover_answer>>();
  asked_by = by;
  asked_what = what;
}

void succession_state::look() {
  core->note_own(now_time(), this_cluster().life.load(std::memory_order_acquire), node->gates.servers_by_database(),
                 closed);
  act();
}

/// What has been decided. That nothing more can be opened here comes before all that says so.
void succession_state::act() {
  if (core->gives_away() && !closed) {
    closed = true;
    close_pools(*node);
    look_at_others();
    give_away();
    return look();
  }
  this_cluster().succession_seen.store(core->seen(), std::memory_order_release);
  for (const auto& asked : core->take_questions())
    ask_store(asked);
  look_at_others();
  tell_pools();
  note_step();
  if (const auto verdict = core->take_verdict()) {
    caf::anon_send(
        node->objects,
        note_audit{asked_by, asked_what, verdict->done ? std::string(audit_done) : "refused: " + verdict->text, {}});
    if (answer.pending()) answer.deliver(takeover_answer{verdict->done, verdict->text});
  }
}

void succession_state::ask_store(const cluster::store_question& asked) {
  const auto here = caf::actor_cast<caf::actor>(self);
  const auto number = asked.number;
  const auto then = [here, number](cluster::store_answer got) {
    caf::anon_send(here, store_answered{number, std::move(got)});
  };
  if (const auto* list = std::get_if<cluster::ask_list>(&asked.what))
    store->list({list->prefix, 0, false, {}}, then);
  else if (const auto* commit = std::get_if<cluster::ask_commit>(&asked.what))
    store->commit(commit->writes, then);
  else if (const auto* watch = std::get_if<cluster::ask_watch>(&asked.what))
    watches[number] = store->watch(watch->prefix, watch->after, [here, number](cluster::store_event event) {
      caf::anon_send(here, store_told{number, std::move(event)});
    });
  else if (const auto* over = std::get_if<cluster::ask_unwatch>(&asked.what))
    if (const auto found = watches.find(over->watch); found != watches.end()) {
      store->unwatch(found->second);
      watches.erase(found);
    }
}

// -- the other cluster's nodes
// ------------------------------------------------------------------------------------------

/// During a take-over the nodes of both clusters may be linked: for clients, and for cancel requests.
void succession_state::look_at_others() {
  const bool together = core->own_role() != cluster::succession::role::alone;
  const std::string name = together ? core->other() : std::string();
  const auto now = together ? core->other_nodes() : std::vector<cluster::succession::other_node>{};
  if (name == linked && now == others) return;
  linked = name;
  others = now;
  node->links.admit(linked);
  std::map<node_number, std::string> wanted;
  for (const auto& one : others)
    wanted[static_cast<node_number>(one.number | foreign_node)] = one.link;
  for (const auto& [number, link] : peers)
    if (const auto found = wanted.find(number); found == wanted.end() || found->second != link)
      node->links.forget_peer(number, "the node of the other cluster has left");
  for (const auto& [number, link] : wanted) {
    const auto known = peers.find(number);
    if (known != peers.end() && known->second == link) continue;
    const auto parts = config::parse_endpoint(link);
    const auto at = parts ? literal_address(parts->host, parts->port) : std::nullopt;
    if (at) node->links.set_peer(number, {*at, 0, linked});
  }
  peers = std::move(wanted);
  if (closed) give_away();
}

/// Where the clients of this cluster are served from now on.
void succession_state::give_away() {
  std::vector<cluster::home_candidate> candidates;
  for (const auto& one : others)
    if (!one.leaving) candidates.push_back({one.name, static_cast<std::uint16_t>(one.number | foreign_node)});
  const config::cluster_settings& own = node->settings()->values->cluster;
  node->succession.give_away(
      [nodes = std::move(candidates), from = own.name + "/" + own.node, context = node](const pool_name& name) {
        const cluster::pool_key pool = cluster_key(name);
        const auto size = size_of_pool(*context, pool);
        const cluster::home_candidate* home =
            nodes.empty() ? nullptr : cluster::home_for(nodes, pool, size ? size->size : 1, from);
        return home == nullptr ? nobody : static_cast<node_number>(home->number);
      });
  caf::anon_send(node->tenants, control_pools{}); // shares look at their gates
  for (const caf::actor& one : node->surveyors)
    caf::anon_send(one, places_changed{});
}

// -- this cluster
// --------------------------------------------------------------------------------------------------------

void succession_state::tell_pools() {
  const auto withheld = core->withheld();
  succession_board::claim now{!withheld.has_value(), withheld.value_or(cluster::held_servers{}), core->dead_lives()};
  const auto before = node->succession.now();
  const bool awaits = core->awaits() || !node->succession.objects_known.load(std::memory_order_acquire);
  if (before ? *before == now : now == succession_board::claim{}) {
    node->succession.awaits = awaits;
    return;
  }
  node->succession.set(std::move(now));
  node->succession.awaits = awaits;
  if (this_cluster().node) caf::anon_send(this_cluster().node, succession_moved{});
}

void succession_state::note_step() {
  const succession_step step = core->step();
  if (core->gives_away() && step == succession_step::done) {
    if (!done_since) done_since = clock::now();
    if (clock::now() - *done_since >= ready_overlap) node->succession.taken_over = true;
  }
  const auto now = core->now();
  if (step == told_step) return;
  told_step = step;
  const bool gives = core->own_role() == cluster::succession::role::from;
  const std::string& own = node->settings()->values->cluster.name;
  const std::string detail = step == succession_step::none ? now.last.empty() ? "given up" : now.last : now.detail;
  log(level::info, cluster_events::takeover,
      {{"from", gives ? own : now.other},
       {"to", gives ? now.other : own},
       {"step", to_string(step)},
       {"detail", detail},
       {"by", now.by}});
}

caf::behavior succession_actor(caf::stateful_actor<succession_state>* self, node_context* node) {
  self->state.start(node);
  return self->state.behaviour();
}

} // namespace

void take_up_succession(node_context& node, const store_content& content) {
  const config::cluster_settings& own = node.settings()->values->cluster;
  if (!own.succeeds.empty()) node.succession.wait_for_predecessor();
  const auto record = content.succession ? cluster::parse_succession_record(content.succession->value) : std::nullopt;
  if (!record || record->step < succession_step::moving) return;
  if (record->from == own.name) close_pools(node);
  if (record->to == own.name) node.succession.objects_known = true;
}

caf::actor spawn_succession(caf::actor_system& system, node_context& node) {
  return system.spawn(succession_actor, &node);
}

} // namespace pg_edge::actors
