#include "actors/permit_exchange.hpp"

#include <algorithm>

namespace pg_edge::actors {

namespace {

/// What clients want is told again after so many looks, should the other have taken it for served.
constexpr std::uint32_t looks_until_told_again = 10;

cluster::handover_pool wire_name(const pool_name& name) {
  return {name.tenant, name.database, name.user};
}

pool_name own_name(const cluster::handover_pool& name) {
  return {name.tenant, name.database, name.user};
}

} // namespace

// -- for stewards
// --------------------------------------------------------------------------------------------------------------

std::uint32_t permit_exchange::joined(const pool_common_ptr& pool, const steward_actor& steward, std::uint32_t total) {
  const std::lock_guard lock(mutex_);
  const auto [place, made] = pools_.try_emplace(pool->name);
  entry& of = place->second;
  of.pool = pool;
  of.steward = steward.address();
  of.out = 0;
  of.clients = 1; // for whom it is made
  if (!linked_) {
    of.total = total;
    return of.applied = total;
  }
  if (giving_) { // what the other has claimed is the other's, whoever asks here
    if (made) {
      of.total = total;
      of.ours = cluster::permit_balance(total);
    }
    return allowed_now(of);
  }
  const bool known = of.total > 0 || of.claiming;
  of.ours.resize(std::int64_t{total} - of.total);
  of.total = total;
  if (!known) {
    of.claiming = true;
    send_(cluster::pool_claim{wire_name(pool->name)});
  }
  return allowed_now(of);
}

std::uint32_t permit_exchange::allowed(const pool_name& pool, std::uint32_t total) {
  const std::lock_guard lock(mutex_);
  entry& of = pools_[pool];
  if (!linked_) {
    of.total = total;
    return of.applied = total;
  }
  if (!giving_) {
    of.ours.resize(std::int64_t{total} - of.total);
    of.total = total;
  }
  return allowed_now(of);
}

std::uint32_t permit_exchange::allowed_now(entry& of) const {
  return of.applied = of.claiming ? 0 : of.ours.allowed();
}

void permit_exchange::settle(const pool_name& pool, std::uint32_t out, std::uint32_t clients) {
  const std::lock_guard lock(mutex_);
  const auto found = pools_.find(pool);
  if (!linked_ || found == pools_.end()) return;
  found->second.out = out;
  found->second.clients = clients;
  give(pool, found->second);
}

void permit_exchange::left(const pool_name& pool) {
  const std::lock_guard lock(mutex_);
  const auto found = pools_.find(pool);
  if (found == pools_.end()) return;
  if (!linked_) {
    pools_.erase(found);
    return;
  }
  entry& of = found->second;
  of.pool = nullptr;
  of.steward = {};
  of.out = of.clients = of.applied = 0;
}

/// Never more than what the steward has agreed to do without.
void permit_exchange::give(const pool_name& name, entry& from) {
  if (from.claiming) return;
  const std::uint32_t count = from.ours.give(std::max(from.out, from.applied));
  if (count > 0) send_(cluster::permits_given{wire_name(name), count});
}

void permit_exchange::tell_steward(const entry& of) const {
  if (const auto steward = caf::actor_cast<steward_actor>(of.steward)) caf::anon_send(steward, permits_shared{});
}

// -- for the hand-over's thread
// ------------------------------------------------------------------------------------------------

void permit_exchange::begin(bool giving, send_frame send) {
  const std::lock_guard lock(mutex_);
  giving_ = giving;
  send_ = std::move(send);
  if (!giving) pools_.clear();
  for (auto& [name, of] : pools_) {
    of.ours = cluster::permit_balance(of.total);
    of.told_wanted = of.told_ago = 0;
    of.out = of.total; // until its steward says more
    of.clients = 1;
    tell_steward(of);
  }
  linked_.store(true, std::memory_order_release);
}

void permit_exchange::look() {
  const std::lock_guard lock(mutex_);
  if (!linked_) return;
  for (auto& [name, of] : pools_) {
    if (of.claiming) continue;
    say_what_is_wanted(name, of);
    const cluster::permit_balance::sight sight{of.told_wanted, of.out, giving_ && (!of.pool || of.clients == 0)};
    if (of.ours.look(sight)) tell_steward(of);
    if (!of.pool) give(name, of);
  }
}

/// What waits and will not be served by permits that are on their way already.
void permit_exchange::say_what_is_wanted(const pool_name& name, entry& of) {
  std::uint32_t wanted = 0;
  if (of.pool) {
    const std::uint32_t waiting = of.pool->waiting.load(std::memory_order_relaxed);
    const std::uint32_t coming = of.applied > of.out ? of.applied - of.out : 0;
    wanted = waiting > coming ? waiting - coming : 0;
    const auto least = static_cast<std::uint32_t>(std::max(of.pool->settings()->min_pool_size, 0));
    if (!giving_ && of.applied < least) wanted = std::max(wanted, least - of.applied);
    wanted = std::min(wanted, of.total);
  }
  const bool again = wanted > 0 && ++of.told_ago >= looks_until_told_again;
  if (wanted == of.told_wanted && !again) return;
  of.told_wanted = wanted;
  of.told_ago = 0;
  send_(cluster::permits_wanted{wire_name(name), wanted});
}

void permit_exchange::take(const cluster::pool_claim& frame) {
  const std::lock_guard lock(mutex_);
  if (!linked_) return;
  send_(cluster::pool_claimed{frame.pool, pools_[own_name(frame.pool)].total});
}

void permit_exchange::take(const cluster::pool_claimed& frame) {
  const std::lock_guard lock(mutex_);
  const auto found = pools_.find(own_name(frame.pool));
  if (!linked_ || found == pools_.end() || !found->second.claiming) return;
  found->second.claiming = false;
  found->second.ours.resize(-std::int64_t{frame.total});
  tell_steward(found->second);
}

void permit_exchange::take(const cluster::permits_given& frame) {
  const std::lock_guard lock(mutex_);
  if (!linked_) return;
  entry& of = pools_[own_name(frame.pool)];
  of.ours.receive(frame.count);
  tell_steward(of);
}

void permit_exchange::take(const cluster::permits_wanted& frame) {
  const std::lock_guard lock(mutex_);
  if (linked_) pools_[own_name(frame.pool)].ours.other_wants(frame.count);
}

bool permit_exchange::all_given() const {
  const std::lock_guard lock(mutex_);
  return std::all_of(pools_.begin(), pools_.end(), [](const auto& one) { return one.second.ours.has() <= 0; });
}

void permit_exchange::end() {
  const std::lock_guard lock(mutex_);
  if (!linked_) return;
  linked_.store(false, std::memory_order_release);
  send_ = nullptr;
  std::erase_if(pools_, [](const auto& one) { return !one.second.pool; });
  for (auto& [name, of] : pools_) {
    of.claiming = false;
    tell_steward(of);
  }
}

} // namespace pg_edge::actors
