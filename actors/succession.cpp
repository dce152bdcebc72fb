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
#include "actors/store_asking.hpp"
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
  explicit succession_state(self_pointer owner) : self_(owner) {}

  void start(node_context* context);
  caf::behavior behaviour();

private:
  void look();
  void act();
  void give_away();
  void look_at_others();
  void tell_pools();
  void note_step();
  void command(const author& by, const std::string& what);

  self_pointer self_;
  node_context* node_ = nullptr;
  std::optional<cluster::succession> core_;
  caf::typed_response_promise<takeover_answer> answer_;
  author asked_by_;
  std::string asked_what_;
  bool closed_ = false;
  std::vector<cluster::succession::other_node> others_;
  std::string linked_; // the cluster whose nodes those are
  std::map<node_number, std::string> peers_;
  std::optional<clock::time_point> done_since_;
  succession_step told_step_ = succession_step::none;
  store_watches watches_;
  std::unique_ptr<cluster::store> store_; // the first to go: it calls this actor
};

void succession_state::start(node_context* context) {
  node_ = context;
  const config::cluster_settings& own = node_->settings()->values->cluster;
  core_.emplace(cluster::succession_settings{own.name, own.node, own.succeeds}, now_time());
  store_ = std::make_unique<etcd_store>(etcd_access_of(own));
  closed_ = node_->gates.given_away();
}

caf::behavior succession_state::behaviour() {
  self_->send(self_, look_atom::value);
  return {
      [this](look_atom) {
        look();
        const bool moves = core_->step() != succession_step::none && core_->step() != succession_step::done;
        self_->delayed_send(self_, moves ? moving_tick : usual_tick, look_atom::value);
      },
      [this](const store_answered& what) {
        core_->on_answer(now_time(), what.question, what.answer);
        act();
      },
      [this](const store_told& what) {
        core_->on_event(now_time(), what.watch, what.event);
        act();
      },
      [this](const take_over_cluster& wish) -> caf::result<takeover_answer> {
        command(wish.by, "TAKEOVER " + wish.from);
        core_->begin(now_time(), wish.from, wish.by.who);
        const auto promise = answer_;
        act();
        return promise;
      },
      [this](const abort_takeover& wish) -> caf::result<takeover_answer> {
        command(wish.by, "ABORT TAKEOVER");
        core_->abort(now_time(), wish.by.who);
        const auto promise = answer_;
        act();
        return promise;
      },
      [this](const ask_takeover&) { return takeover_status{core_->now()}; },
  };
}

/// One at a time: the core refuses a second one, and who asked before still hears what became of his.
void succession_state::command(const author& by, const std::string& what) {
  if (answer_.pending())
    answer_.deliver(takeover_answer{false, "another command has come in between; look where it stands"});
  answer_ = self_->make_response_promise<caf::typed_response_promise<takeover_answer>>();
  asked_by_ = by;
  asked_what_ = what;
}

void succession_state::look() {
  core_->note_own(now_time(), this_cluster().life.load(std::memory_order_acquire), node_->gates.servers_by_database(),
                  closed_);
  act();
}

/// What has been decided. That nothing more can be opened here comes before all that says so.
void succession_state::act() {
  if (core_->gives_away() && !closed_) {
    closed_ = true;
    close_pools(*node_);
    look_at_others();
    give_away();
    return look();
  }
  this_cluster().succession_seen.store(core_->seen(), std::memory_order_release);
  for (const auto& asked : core_->take_questions())
    put_to_store(*store_, watches_, asked, caf::actor_cast<caf::actor>(self_));
  look_at_others();
  tell_pools();
  note_step();
  if (const auto verdict = core_->take_verdict()) {
    caf::anon_send(
        node_->objects,
        note_audit{asked_by_, asked_what_, verdict->done ? std::string(audit_done) : "refused: " + verdict->text, {}});
    if (answer_.pending()) answer_.deliver(takeover_answer{verdict->done, verdict->text});
  }
}

// -- the other cluster's nodes
// ------------------------------------------------------------------------------------------

/// During a take-over the nodes of both clusters may be linked: for clients, and for cancel requests.
void succession_state::look_at_others() {
  const bool together = core_->own_role() != cluster::succession::role::alone;
  const std::string name = together ? core_->other() : std::string();
  const auto now = together ? core_->other_nodes() : std::vector<cluster::succession::other_node>{};
  if (name == linked_ && now == others_) return;
  linked_ = name;
  others_ = now;
  node_->links.admit(linked_);
  std::map<node_number, std::string> wanted;
  for (const auto& one : others_)
    wanted[static_cast<node_number>(one.number | foreign_node)] = one.link;
  for (const auto& [number, link] : peers_)
    if (const auto found = wanted.find(number); found == wanted.end() || found->second != link)
      node_->links.forget_peer(number, "the node of the other cluster has left");
  for (const auto& [number, link] : wanted) {
    const auto known = peers_.find(number);
    if (known != peers_.end() && known->second == link) continue;
    const auto parts = config::parse_endpoint(link);
    const auto at = parts ? literal_address(parts->host, parts->port) : std::nullopt;
    if (at) node_->links.set_peer(number, {*at, 0, linked_});
  }
  peers_ = std::move(wanted);
  if (closed_) give_away();
}

/// Where the clients of this cluster are served from now on.
void succession_state::give_away() {
  std::vector<cluster::home_candidate> candidates;
  for (const auto& one : others_)
    if (!one.leaving) candidates.push_back({one.name, static_cast<std::uint16_t>(one.number | foreign_node)});
  const config::cluster_settings& own = node_->settings()->values->cluster;
  node_->succession.give_away(
      [nodes = std::move(candidates), from = own.name + "/" + own.node, context = node_](const pool_name& name) {
        const cluster::pool_key pool = cluster_key(name);
        const auto size = size_of_pool(*context, pool);
        const cluster::home_candidate* home =
            nodes.empty() ? nullptr : cluster::home_for(nodes, pool, size ? size->size : 1, from);
        return home == nullptr ? nobody : static_cast<node_number>(home->number);
      });
  caf::anon_send(node_->tenants, control_pools{}); // shares look at their gates
  for (const caf::actor& one : node_->surveyors)
    caf::anon_send(one, places_changed{});
}

// -- this cluster
// --------------------------------------------------------------------------------------------------------

void succession_state::tell_pools() {
  const auto withheld = core_->withheld();
  succession_board::claim now{!withheld.has_value(), withheld.value_or(cluster::held_servers{}), core_->dead_lives()};
  const auto before = node_->succession.now();
  const bool awaits = core_->awaits() || !node_->succession.objects_known.load(std::memory_order_acquire);
  if (before ? *before == now : now == succession_board::claim{}) {
    node_->succession.awaits = awaits;
    return;
  }
  node_->succession.set(std::move(now));
  node_->succession.awaits = awaits;
  if (this_cluster().node) caf::anon_send(this_cluster().node, succession_moved{});
}

void succession_state::note_step() {
  const succession_step step = core_->step();
  if (core_->gives_away() && step == succession_step::done) {
    if (!done_since_) done_since_ = clock::now();
    if (clock::now() - *done_since_ >= ready_overlap) node_->succession.taken_over = true;
  }
  if (step == told_step_) return;
  told_step_ = step;
  const auto now = core_->now();
  const bool gives = core_->own_role() == cluster::succession::role::from;
  const std::string& own = node_->settings()->values->cluster.name;
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
