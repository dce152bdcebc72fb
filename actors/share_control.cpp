// What a share does at the console's word: stands still while its gate is shut, holds its bytes while it is suspended,
// replaces its servers, ends its clients.
#include "actors/client.hpp"
#include "actors/share.hpp"

namespace pg_edge::actors {

using cluster::server_state;

void share::on_control(const control_pools& message) {
  switch (message.what) {
  case control_word::look: // act() does
    if (suspended_) obey_suspension();
    break;
  case control_word::reconnect:
    replace_stale();
    break;
  case control_word::kill:
    kill_everybody();
    break;
  case control_word::kill_client:
    kill_client(message.client);
    break;
  case control_word::hand_over:
    hand_over_clients();
    break;
  }
  act();
}

// -- PAUSE and RESUME
// ------------------------------------------------------------------------------------------------------

/// While the gate is shut whatever is idle closes, and whoever waits goes on waiting. Logins that only want to know
/// what their session begins with are told what is known; their queries wait. What failed before is forgotten on the
/// way in and out: the server that comes back may be another one.
void share::obey_gate() {
  const bool shut = gate_->shut();
  const auto openings = gate_->openings();
  if (shut != paused_ || openings != openings_) forget_failure();
  openings_ = openings;
  if (std::exchange(paused_, shut) != shut && shut) {
    std::vector<server*> opening;
    for (const auto& [what, entry] : servers_)
      if (entry.state == server_state::opening) opening.push_back(what);
    for (server* what : opening)
      close(*what, "its database is paused");
    for (waiter& one : waiters_)
      one.opening = nullptr;
    welcome_waiters({});
  }
  if (paused_) close_idle("its database is paused");
  if (paused_ && node_.succession.given_away()) send_waiters_elsewhere();
  if (suspended_ != (gate_->suspended() != suspension::none)) obey_suspension();
}

/// Another node serves the pool now: there they wait, with what they have sent so far, and here for nothing.
void share::send_waiters_elsewhere() {
  for (auto place = waiters_.begin(); place != waiters_.end();) {
    const auto here = place++;
    if (!here->who->can_go_elsewhere()) continue;
    send(caf::actor_cast<caf::actor>(here->client), go_elsewhere{here->epoch});
    waiting_.erase(here->who);
    waiters_.erase(here);
  }
}

// -- SUSPEND
// ---------------------------------------------------------------------------------------------------------------

/// Nothing is read from clients, nor from servers for them, and nobody is handed a server, until RESUME. Looked at by
/// the clock meanwhile: when what was on its way is sent the share says that it stands still.
void share::obey_suspension() {
  const suspension now = gate_->suspended();
  const bool was = std::exchange(suspended_, now != suspension::none);
  if (suspended_) {
    if (now == suspension::cutting) cut_unsent();
    motion_->set(has_unsent());
  } else if (was) {
    motion_->set(true);
    for (const auto& [what, entry] : servers_)
      if (!entry.arriving) what->resume_reading();
    for (list_link* link = clients_.next(); link != &clients_; link = link->next())
      static_cast<owned_link<client>*>(link)->owner.read_on();
  }
}

bool share::has_unsent() const {
  for (const list_link* link = clients_.next(); link != &clients_; link = link->next())
    if (static_cast<const owned_link<client>*>(link)->owner.unsent_bytes() > 0) return true;
  return std::any_of(servers_.begin(), servers_.end(),
                     [](const auto& one) { return !one.second.arriving && one.first->unsent_bytes() > 0; });
}

/// suspend_timeout: peers that have not taken their bytes by now lose their connection, as in pgbouncer.
void share::cut_unsent() {
  for (const caf::strong_actor_ptr& who : present_clients())
    if (auto* one = static_cast<client*>(caf::actor_cast<caf::abstract_actor*>(who)); one->unsent_bytes() > 0)
      one->kill();
  std::vector<server*> stuck;
  for (const auto& [what, entry] : servers_)
    if (!entry.arriving && what->unsent_bytes() > 0) stuck.push_back(what);
  for (server* what : stuck)
    close(*what, "suspend_timeout");
}

/// They may leave while they are being told something.
std::vector<caf::strong_actor_ptr> share::present_clients() const {
  std::vector<caf::strong_actor_ptr> clients;
  for (const list_link* link = clients_.next(); link != &clients_; link = link->next())
    clients.push_back(caf::actor_cast<caf::strong_actor_ptr>(&static_cast<const owned_link<client>*>(link)->owner));
  return clients;
}

// -- RECONNECT
// -------------------------------------------------------------------------------------------------------------

/// Servers from before the last RECONNECT: the idle ones go now, the others when they are released. One that is on its
/// way here is looked at when it arrives.
void share::replace_stale() {
  for (const auto& [what, entry] : servers_)
    if (!entry.arriving && what->stale()) what->want_reconnect();
  close_idle("reconnect", [](const server& what) { return what.reconnect_wanted; });
  end_interrupted_sessions();
}

// -- KILL
// ------------------------------------------------------------------------------------------------------------------

/// The clients first: each cancels what it had running. What is left on servers then is nobody's.
void share::kill_everybody() {
  for (const caf::strong_actor_ptr& who : present_clients())
    static_cast<client*>(caf::actor_cast<caf::abstract_actor*>(who))->kill();
  std::vector<server*> left;
  for (const auto& [what, entry] : servers_)
    if (!entry.arriving) left.push_back(what);
  for (server* what : left) {
    if (what->step() == server_step::closing || what->step() == server_step::gone) continue;
    if (!what->session().owed.empty()) {
      what->cancel_begins();
      open_cancel(*what, {}, false);
    }
    close(*what, "KILL");
  }
  for (waiter& one : waiters_)
    one.opening = nullptr;
}

/// Whoever is banned by now leaves; a client that comes looks for itself.
void share::look_at_bans() {
  const auto bans = node_.settings()->bans;
  if (std::exchange(seen_bans_, bans) == bans || bans->empty()) return;
  for (const caf::strong_actor_ptr& who : present_clients())
    static_cast<client*>(caf::actor_cast<caf::abstract_actor*>(who))->look_at_bans();
}

/// As many as may be on their way at a time; whoever is busy goes at the end of its transaction.
void share::hand_over_clients() {
  for (list_link* link = clients_.next(); link != &clients_ && node_.handover.room(); link = link->next())
    static_cast<owned_link<client>*>(link)->owner.hand_over();
}

void share::kill_client(std::uint64_t id) {
  for (list_link* link = clients_.next(); link != &clients_; link = link->next()) {
    client& who = static_cast<owned_link<client>*>(link)->owner;
    if (who.number() == id) return who.kill();
  }
}

} // namespace pg_edge::actors
