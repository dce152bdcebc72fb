// What a share lets its clients have: how many may wait for a server, and how much they may send in a turn.
#include "actors/client.hpp"
#include "actors/share.hpp"
#include "protocol/errors.hpp"

namespace pg_edge::actors {

namespace {

/// What the clients of one share may read together in a turn of their reactor. However many of them send as much as
/// they can, the clients of other pools have their turn after this; among themselves they take turns.
constexpr std::size_t pool_bytes_per_turn = reactor::scratch_size;

} // namespace

/// Tells the other shares of the pool how many wait here.
void share::publish_waiting() {
  const auto now = static_cast<std::uint32_t>(waiters_.size());
  if (now == told_waiting_) return;
  pool_->waiting.fetch_add(now - told_waiting_, std::memory_order_relaxed); // wraps round, and so subtracts
  told_waiting_ = now;
}

/// max_waiting_clients: the one that came last is refused, if it was not served at once. Returns whether it was.
bool share::refuse_if_too_many(const struct check_out& message) {
  const auto found = waiting_.find(static_cast<client*>(caf::actor_cast<caf::abstract_actor*>(message.client)));
  if (found == waiting_.end() || found->second->epoch != message.epoch) return false;
  const client& who = *found->second->who;
  const int most = who.limits().max_waiting_clients;
  if (most <= 0 || pool_->waiting.load(std::memory_order_relaxed) <= static_cast<std::uint32_t>(most)) return false;
  const std::string place = config::setting_place(&config::overrides::max_waiting_clients, *node_.settings()->values,
                                                  pool_->name.tenant, pool_->name.database, who.user());
  const auto code =
      who.awaits_welcome() ? protocol::error_code::too_many_waiting_at_login : protocol::error_code::too_many_waiting;
  const std::string pool = pool_->name.database + "/" + pool_->name.user;
  send(caf::actor_cast<caf::actor>(message.client),
       check_out_refused{protocol::make_error(code, {pool, std::to_string(most), place}), message.epoch, false});
  waiters_.erase(found->second);
  waiting_.erase(found);
  act();
  return true;
}

std::size_t& share::read_budget() {
  if (budget_turn_ != home().turn_number()) {
    budget_turn_ = home().turn_number();
    read_budget_ = pool_bytes_per_turn;
  }
  return read_budget_;
}

/// It will neither ask to be taken out of the queue nor give back what it has just been granted.
void share::lose(const client& who) noexcept {
  if (const auto found = waiting_.find(&who); found != waiting_.end()) {
    waiters_.erase(found->second);
    waiting_.erase(found);
  }
  for (auto& [what, entry] : servers_) {
    const bool granted = entry.granted_to == &who && what->step() == server_step::assigned && what->linked() == nullptr;
    if (!granted || entry.state != cluster::server_state::busy) continue;
    entry.granted_to = nullptr;
    try {
      what->release(false); // nobody has used it
    } catch (...) {         // out of memory again: its own end is all that is left
      what->on_broken();
    }
    return;
  }
}

} // namespace pg_edge::actors
