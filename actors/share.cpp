#include "actors/share.hpp"

#include "actors/client.hpp"
#include "actors/cluster_words.hpp"
#include "actors/log.hpp"
#include "actors/meter.hpp"
#include "actors/relay.hpp"
#include "actors/share_directory.hpp"
#include "protocol/errors.hpp"

#include <algorithm>

namespace pg_edge::actors {

using cluster::server_state;
using cluster::share_step;

namespace {

/// A share that waits under a limit is told when it may open a server; between two looks of its own it leaves the
/// other pools of the tenant in peace.
constexpr std::chrono::milliseconds ask_pause{20};

std::vector<std::string> split_hosts(const std::string& list) {
  std::vector<std::string> hosts;
  for (std::size_t from = 0; from <= list.size();) {
    const std::size_t comma = std::min(list.find(',', from), list.size());
    std::string host = list.substr(from, comma - from);
    host.erase(0, host.find_first_not_of(' '));
    host.erase(host.find_last_not_of(' ') + 1);
    if (!host.empty()) hosts.push_back(std::move(host));
    from = comma + 1;
  }
  return hosts;
}

template <class T>
T* behind(const caf::strong_actor_ptr& ref) {
  return static_cast<T*>(caf::actor_cast<caf::abstract_actor*>(ref));
}

} // namespace

share::share(caf::actor_config& config, reactor& home, node_context& node, pool_common_ptr pool, steward_actor steward,
             cluster::share_key key)
    : pinned_actor(config, home, actor_kind::share), node_(node), pool_(std::move(pool)), steward_(std::move(steward)),
      permits_(key), tick_(timer::calling<&share::tick>(*this)) {
  sharing_rules_.counts = plain_rules_.counts = &exchange_counts_;
  sharing_rules_.cache = &pool_->statements;
  plain_rules_.share_statements = false;
}

caf::behavior share::make_behavior() {
  this_meter().add(metered_);
  take_seats();
  seat_ = node_.limits.join(pool_->name.tenant, pool_->name.database, pool_->name.user, maxima_of(*pool_->settings()),
                            address());
  gate_ = node_.gates.gate_of(pool_->name.tenant, pool_->name.database);
  openings_ = gate_->openings();
  motion_ = std::make_unique<pool_gates::motion>(node_.gates);
  on_settings();
  look_at_place();
  share_directory::here().add(pool_->name.tenant, pool_->name.database, pool_->name.user, *this);
  return {
      [this](const abandon& message) { on_abandon(message); },
      [this](const share_order& message) { on_order(message); },
      [this](const server_ready& message) { on_ready(message); },
      [this](const server_closing& message) { on_closing(message); },
      [this](const server_refused& message) { on_refused(message); },
      [this](const server_gone& message) { on_gone(message); },
      [this](const server_arrived& message) { on_arrived(message); },
      [this](const attach_client& message) { on_attach(message); },
      [this](const detach_client& message) { on_detach(message); },
      [this](const want_cancel& message) { on_want_cancel(message); },
      [this](const cancel_over&) { on_cancel_over(); },
      [this](const share_settings&) {
        on_settings();
        look_at_bans();
      },
      [this](const limits_moved&) { on_limits_moved(); },
      [this](const void_permits&) { on_voided(); },
      [this](const places_changed&) { look_at_place(); },
      [this](const login_turn&) { on_login_turn(); },
      [this](const end_clients& message) { on_end_clients(message); },
      [this](const control_pools& message) { on_control(message); },
      [this](const take_snapshot& message) { return snapshot(message); },
  };
}

/// A share that ends although clients and servers depend on it (an exception did that) takes them along: none of them
/// could ever hear from it again.
void share::on_exit() {
  if (metered_.linked()) this_meter().remove(metered_);
  ended_ = true;
  share_directory::here().remove(pool_->name.tenant, pool_->name.database, pool_->name.user, *this);
  home().cancel(tick_);
  on_end_clients({protocol::make_error(protocol::error_code::internal, {"the pool's share ended"}), false});
  for (const auto& [what, entry] : servers_)
    send(caf::actor_cast<caf::actor>(entry.ref), close_server{"its share ended"});
  servers_.clear();
  checked_in_.clear();
  idle_.clear();
  waiters_.clear();
  waiting_.clear();
  publish_waiting();
  carried_.clear();
  cancel_queue_.clear();
  slot_.reset();
  logins_.reset();
  if (seat_) seat_->leave();
  seat_ = nullptr;
  motion_ = nullptr;
  steward_ = nullptr;
}

share::server_entry* share::entry_of(const caf::strong_actor_ptr& ref) {
  const auto found = servers_.find(behind<server>(ref));
  return found == servers_.end() ? nullptr : &found->second;
}

void share::move_state(server_entry& entry, server_state to) {
  if (entry.state == to || !permits_.server_moved(entry.state, to)) return;
  entry.state = to;
  if (to != server_state::closing && to != server_state::leaving) return;
  if (server_slot* slot = behind<server>(entry.ref)->slot()) slot->leave();
}

// -- deciding
// --------------------------------------------------------------------------------------------------------------

/// Called at the end of every event. What it does may be the next event: a server that ends loses its client, who asks
/// for another.
void share::act() {
  act_again_ = acting_;
  if (std::exchange(acting_, true)) return;
  do {
    act_again_ = false;
    try {
      act_once();
    } catch (...) {
      acting_ = false;
      throw;
    }
  } while (act_again_);
  acting_ = false;
}

/// Does what the permits say until they say nothing.
void share::act_once() {
  publish_waiting();
  obey_gate();
  if (seat_->owes()) pay_limits();
  bool opening_refused = false;
  const auto served = [this] { return paused_ || suspended_ ? 0 : static_cast<std::uint32_t>(waiters_.size()); };
  permits_.set_waiters(served());
  bool go_on = true;
  while (go_on) {
    switch (permits_.next()) {
    case share_step::none:
      go_on = false;
      break;
    case share_step::hand_out:
      go_on = hand_out();
      permits_.set_waiters(served());
      break;
    case share_step::open:
      opening_refused = !try_to_open();
      go_on = !opening_refused;
      break;
    case share_step::give_up:
      go_on = !idle_.empty();
      if (go_on) give_up();
      break;
    }
  }
  publish_waiting();
  if (!opening_refused || paused_ || !may_log_in()) withdraw();
  seat_->note_idle(idle_.empty() ? std::nullopt : std::optional(idle_.front()->idle_since()));
  if (const auto report = permits_.take_report()) {
    share_report message{*report, {}};
    for (const auto& [id, handle] : carried_)
      message.servers.push_back(handle);
    carried_.clear();
    send(steward_, std::move(message));
  }
  if (!tick_.armed() || (tick_is_quiet_ && (!waiters_.empty() || permits_.count(server_state::busy) > 0))) arm_tick();
}

/// The oldest waiter that any server will do for.
share::queue::iterator share::first_plain_waiter() {
  return std::find_if(waiters_.begin(), waiters_.end(), [](const waiter& one) { return !one.replication; });
}

/// Returns whether anything was done.
bool share::hand_out() {
  forget_lost();
  if (idle_.empty()) return false; // on its way from another reactor, or lost and its server_gone on its way
  const auto to = first_plain_waiter();
  if (to == waiters_.end()) { // only replication clients wait: they need a connection of their own, and so its permit
    const bool one_waits =
        std::any_of(waiters_.begin(), waiters_.end(), [](const waiter& one) { return one.opening == nullptr; });
    if (!one_waits || permits_.count(server_state::closing) > 0) return false;
    close(*take_idle(), "its permit is for a replication client");
    return true;
  }
  grant(to, *take_idle());
  return true;
}

/// A server that Postgres has closed is still in the list until its server_gone is read here: who got it now would wait
/// for ever, since nobody would tell that client.
void share::forget_lost() {
  const auto lost = [](const server* what) { return what->step() != server_step::idle; };
  while (!idle_.empty() && lost(idle_.back()))
    idle_.pop_back();
  while (!idle_.empty() && lost(idle_.front()))
    idle_.pop_front();
}

server* share::take_idle() {
  server* taken = nullptr;
  if (settings_.of(*pool_).server_round_robin) {
    taken = idle_.front();
    idle_.pop_front();
  } else { // the most recently used: its caches are warm, and the others may grow old enough to close
    taken = idle_.back();
    idle_.pop_back();
  }
  return taken;
}

void share::grant(queue::iterator to, server& what) {
  server_entry& entry = servers_.at(&what);
  move_state(entry, server_state::busy);
  entry.granted_to = to->who;
  what.assign();
  to->who->grant({entry.ref, to->epoch});
  waiting_.erase(to->who);
  waiters_.erase(to);
}

/// A server for a client may have to wait for one of another pool, see server_limits; one for min_pool_size is not
/// worth that. Returns whether one was opened.
bool share::try_to_open() {
  if (paused_ || suspended_ || lease_is_over() || !may_log_in()) return false;
  if (slot_ == nullptr) {
    if (seat_->asked() && home().now() < ask_again_at_) return false;
    const bool for_a_client = waiters_.size() > permits_.count(server_state::opening);
    slot_ = for_a_client ? seat_->ask() : seat_->ask_if_spare();
    ask_again_at_ = slot_ == nullptr ? home().now() + ask_pause : clock::time_point{};
    if (slot_ == nullptr) return false;
  }
  const auto most = static_cast<std::uint32_t>(std::max(node_.settings()->values->max_server_logins, 0));
  auto pass = logins_->ask(most, pool_->settings()->server_login_retry);
  if (pass == nullptr) return false;
  gate_ticket ticket = pool_gates::admit(gate_);
  if (!ticket) return false; // shut a moment ago
  open_server(std::move(slot_), std::move(ticket), std::move(pass));
  return true;
}

/// Another pool waits, under a limit of both: an idle server is closed for it.
void share::pay_limits() {
  while (!idle_.empty() && seat_->owes()) {
    server* what = idle_.front();
    if (what->slot() == nullptr || !what->slot()->leave_if_owed()) return;
    close(*what, "another pool waits for it under max_tenant_connections, max_db_connections or max_user_connections");
  }
}

void share::open_server(std::shared_ptr<server_slot> slot, gate_ticket ticket, std::unique_ptr<login_pass> pass) {
  server_plan plan;
  plan.slot = std::move(slot);
  plan.ticket = std::move(ticket);
  const auto settings = pool_->settings();
  plan.hosts = split_hosts(settings->host);
  plan.id = node_.next_id.fetch_add(1, std::memory_order_relaxed);
  plan.credentials_version = node_.credentials.version(pool_->name.tenant, pool_->name.user);
  const auto for_replication = std::find_if(
      waiters_.begin(), waiters_.end(), [](const waiter& one) { return one.replication && one.opening == nullptr; });
  const bool dedicated = for_replication != waiters_.end() &&
                         (for_replication == waiters_.begin() || first_plain_waiter() == waiters_.end());
  if (dedicated) {
    plan.replication = true;
    plan.start_up = for_replication->who->replication_start_up();
  }
  const caf::actor made =
      spawn_pinned<server>(home(), node_, pool_, caf::actor_cast<caf::actor>(this), &plain_rules_, std::move(plan));
  const auto ref = caf::actor_cast<caf::strong_actor_ptr>(made);
  if (dedicated) for_replication->opening = behind<server>(ref);
  permits_.server_moved(server_state::none, server_state::opening);
  servers_[behind<server>(ref)] = {ref, server_state::opening, false, false, std::move(pass), nullptr};
}

/// A permit has to go to another share, and the server with it if it can.
void share::give_up() {
  server* what = idle_.front();
  idle_.pop_front();
  server_entry& entry = servers_.at(what);
  if (permits_.may_carry() && what->detach()) {
    permits_.carry_away(what->number());
    carried_.emplace_back(what->number(), caf::actor_cast<caf::actor>(entry.ref));
    servers_.erase(what);
    return;
  }
  move_state(entry, server_state::leaving);
  what->close_gracefully("its permit moves to another share");
}

void share::close(server& what, std::string why) {
  if (const auto found = servers_.find(&what); found != servers_.end())
    move_state(found->second, server_state::closing);
  std::erase(idle_, &what);
  what.close_gracefully(std::move(why));
}

/// Lifetimes are spread over a tenth, so that servers made together do not all go at once.
bool share::expired(const server& what) const {
  const auto lifetime = settings_.of(*pool_).server_lifetime;
  const auto age = home().now() - what.connected_at();
  if (lifetime.count() == 0 || age < lifetime / 2) return false;
  const auto spread = lifetime / 10 * static_cast<std::int64_t>(what.number() % 10) / 10;
  return age >= lifetime - spread;
}

// -- clients
// ---------------------------------------------------------------------------------------------------------------

void share::attach(client& who) {
  clients_.push_back(who.attachment());
  ++client_count_;
}

/// Only where there is one share, so that the steward has nothing to choose.
bool share::join_directly() {
  if (ended_ || client_count_ <= direct_joins_ || pool_->shares != 1) return false;
  ++direct_joins_;
  return true;
}

const protocol::exchange_rules* share::rules_for(const config::pool_settings& limits) const {
  const bool sharing = limits.mode != config::pool_mode::session && limits.max_prepared_statements > 0;
  return sharing ? &sharing_rules_ : &plain_rules_;
}

void share::on_detach(const detach_client& message) {
  if (message.attached && client_count_ > 0) --client_count_;
  if (message.attached && direct_joins_ > 0) {
    --direct_joins_;
    return;
  }
  ++clients_left_;
  if (client_count_ == 0) unused_since_ = home().now();
  send(steward_, client_left{permits_.key().share});
  if (!tick_.armed()) arm_tick();
}

/// Skips the queue where that makes no difference: nobody is in it, no permit or place is owed to somebody else, and
/// the server is there as far as anybody on this machine can know.
server* share::hand_out_now(const client& who) {
  if (ended_ || acting_ || idle_.empty() || !waiters_.empty() || !lasting_error_.empty()) return nullptr;
  if (paused_ || suspended_ || gate_->shut() || gate_->openings() != openings_ || seat_->owes() || !permits_.calm())
    return nullptr;
  server* const what = settings_.of(*pool_).server_round_robin ? idle_.front() : idle_.back();
  if (what->step() != server_step::idle || !what->surely_there()) return nullptr;
  take_idle();
  server_entry& entry = servers_.at(what);
  move_state(entry, server_state::busy);
  entry.granted_to = &who;
  what->assign();
  seat_->note_idle(idle_.empty() ? std::nullopt : std::optional(idle_.front()->idle_since()));
  if (!tick_.armed() || tick_is_quiet_) arm_tick();
  return what;
}

void share::check_out(struct check_out message) {
  if (ended_) return; // its clients are being told
  auto* who = behind<client>(message.client);
  look_at_credentials();
  if (!lasting_error_.empty() && home().now() < lasting_until_ && permits_.count(server_state::idle) == 0 &&
      permits_.count(server_state::busy) == 0)
    return send(caf::actor_cast<caf::actor>(message.client), check_out_refused{lasting_error_, message.epoch, true});
  // Behind all who have waited longer; it may have waited before, for a server that was lost on the way to it.
  const auto before =
      std::find_if(waiters_.rbegin(), waiters_.rend(), [&](const waiter& one) { return one.since <= message.since; });
  const auto place = waiters_.insert(
      before.base(), waiter{message.client, who, message.epoch, message.since, message.replication, false, nullptr});
  waiting_[who] = place;
  act();
  refuse_if_too_many(message);
}

void share::on_abandon(const abandon& message) {
  const auto found = waiting_.find(behind<client>(message.client));
  if (found == waiting_.end() || found->second->epoch != message.epoch)
    return; // granted or refused already: that answer is on its way
  if (found->second->opening != nullptr) close(*found->second->opening, "the replication client left");
  waiters_.erase(found->second);
  waiting_.erase(found);
  send(caf::actor_cast<caf::actor>(message.client), abandoned{message.epoch});
  act();
}

// -- servers
// ---------------------------------------------------------------------------------------------------------------

void share::check_in(server& what) {
  if (ended_) return; // it is being told to close
  checked_in_.push_back(&what);
  home().prompt(*this);
}

void share::on_prompt() {
  if (ended_) return;
  for (std::size_t i = 0; i < checked_in_.size(); ++i)
    take_back(*checked_in_[i]);
  checked_in_.clear();
  act();
}

void share::take_back(server& what) {
  const auto found = servers_.find(&what);
  if (found == servers_.end() || found->second.state != server_state::busy) return;
  if (what.step() != server_step::idle) return; // lost since: server_gone follows
  move_state(found->second, server_state::idle);
  idle_.push_back(&what);
  if (what.reconnect_wanted)
    close(what, "reconnect");
  else if (expired(what))
    close(what, "server_lifetime");
}

void share::on_ready(const server_ready& message) {
  server_entry* entry = entry_of(message.server);
  if (entry == nullptr || entry->state != server_state::opening) return;
  if (entry->pass) entry->pass->answered();
  entry->pass.reset();
  forget_failure();
  auto& what = *behind<server>(message.server);
  if (what.step() != server_step::idle) return; // lost since: server_gone follows
  note_time(timed::server_login, home().now() - what.connected_at());
  if (node_.hosts.moved(what.address())) what.want_reconnect(); // since its login began
  move_state(*entry, server_state::idle);
  note_backend(what, true);
  if (what.replication()) {
    const auto whom =
        std::find_if(waiters_.begin(), waiters_.end(), [&](const waiter& one) { return one.opening == &what; });
    if (whom == waiters_.end())
      close(what, "the replication client left");
    else
      grant(whom, what);
    return act();
  }
  learn_initial(what.initial_values());
  idle_.push_back(&what);
  if (what.reconnect_wanted) close(what, "reconnect");
  act();
}

void share::on_closing(const server_closing& message) {
  server_entry* entry = entry_of(message.server);
  if (entry == nullptr || entry->state == server_state::leaving) return;
  std::erase(idle_, behind<server>(message.server));
  move_state(*entry, server_state::closing);
  act();
}

/// Postgres has closed its side, or there never was one: the permit is free.
void share::on_gone(const server_gone& message) {
  server* what = behind<server>(message.server);
  const auto found = servers_.find(what);
  if (found == servers_.end()) return;
  std::erase(idle_, what);
  std::erase(checked_in_, what);
  permits_.server_moved(found->second.state, server_state::none);
  if (what->process_id() != 0) logins_->note_room();
  note_backend(*what, false);
  servers_.erase(found);
  check_unused(home().now()); // somebody may wait for the place of this pool
  act();
}

void share::on_arrived(const server_arrived& message) {
  server_entry* entry = entry_of(message.server);
  if (entry == nullptr || !entry->arriving) return;
  entry->arriving = false;
  auto& what = *behind<server>(message.server);
  if (node_.hosts.moved(what.address())) what.want_reconnect();
  what.session().rules = &plain_rules_;
  if (what.slot() != nullptr) what.slot()->move_to(seat_);
  if (entry->state == server_state::idle) idle_.push_back(&what);
  if (entry->outdated || what.stale()) what.want_reconnect();
  if (what.reconnect_wanted) close(what, "reconnect");
  act();
}

void share::on_order(const share_order& message) {
  const bool ours = permits_.on_order(message.order);
  for (const caf::actor& handle : message.servers) {
    if (!ours) {
      send(handle, close_server{"it was sent to a share that is gone"});
      continue;
    }
    const auto ref = caf::actor_cast<caf::strong_actor_ptr>(handle);
    servers_[behind<server>(ref)] = {ref, server_state::idle, true, false, nullptr, nullptr};
    send(handle, adopt_server{caf::actor_cast<caf::actor>(this), &home()});
  }
  act();
}

void share::on_limits_moved() {
  ask_again_at_ = {};
  act();
}

// -- cancels
// ---------------------------------------------------------------------------------------------------------------

void share::on_want_cancel(const want_cancel& message) {
  const auto most = 2 * static_cast<std::uint32_t>(std::max(pool_->settings()->pool_size, 1));
  if (cancels_open_ >= most) {
    cancel_queue_.push_back(message.client);
    return;
  }
  ++cancels_open_;
  send(caf::actor_cast<caf::actor>(message.client), may_cancel{});
}

void share::on_cancel_over() {
  if (cancels_open_ > 0) --cancels_open_;
  if (cancel_queue_.empty()) return;
  const caf::strong_actor_ptr next = cancel_queue_.front();
  cancel_queue_.pop_front();
  ++cancels_open_;
  send(caf::actor_cast<caf::actor>(next), may_cancel{});
}

void share::open_cancel(server& target, const caf::actor& requester, bool counted) {
  cancel_order order = target.cancelling_order();
  order.requester = requester;
  if (counted) order.share = caf::actor_cast<caf::actor>(this);
  log(level::debug, log_event::cancel_forwarded,
      {{"pool", pool_->id}, {"server", target.number()}, {"pid", target.process_id()}});
  spawn_pinned<canceller>(home(), std::move(order));
}

} // namespace pg_edge::actors
