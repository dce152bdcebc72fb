#include "cluster/limit_group.hpp"

#include <algorithm>
#include <utility>

namespace pg_edge::cluster {

namespace {

/// For so many waiting pools servers are demanded at a time; those behind them have their turn when these are served.
constexpr std::size_t demanding_waiters = 64;

} // namespace

// -- members ---------------------------------------------------------------------------------------------------------

limit_group::member_id limit_group::join(const std::string& database, const std::string& user,
                                         const limit_maxima& maxima) {
  const member_id id = next_id_++;
  member& who = members_[id];
  const counter_key keys[limit_kinds] = {
      {limit_kind::tenant, {}}, {limit_kind::database, database}, {limit_kind::user, user}};
  const std::uint32_t values[limit_kinds] = {maxima.tenant, maxima.database, maxima.user};
  for (std::size_t i = 0; i < limit_kinds; ++i) {
    who.counters[i] = counters_.try_emplace(keys[i]).first;
    who.counters[i]->second.max = values[i];
    ++who.counters[i]->second.members;
  }
  return id;
}

void limit_group::leave(member_id who, limit_time now) {
  if (!known(who)) return;
  withdraw(who, now);
  members_.at(who).left = true;
  members_.at(who).owes = 0;
  forget_if_done(who);
}

void limit_group::forget_if_done(member_id who) {
  const auto found = members_.find(who);
  if (!found->second.left || found->second.held > 0) return;
  for (const auto& at : found->second.counters)
    if (--at->second.members == 0) counters_.erase(at);
  members_.erase(found);
}

void limit_group::set_maxima(member_id who, const limit_maxima& maxima, limit_time now) {
  const std::uint32_t values[limit_kinds] = {maxima.tenant, maxima.database, maxima.user};
  for (std::size_t i = 0; i < limit_kinds; ++i)
    members_.at(who).counters[i]->second.max = values[i];
  plan(now);
}

void limit_group::note_idle(member_id who, std::optional<limit_time> since) {
  members_.at(who).idle = since;
}

// -- wishes ----------------------------------------------------------------------------------------------------------

void limit_group::count_one(member& who) {
  ++who.held;
  for (const auto& at : who.counters)
    ++at->second.count;
}

bool limit_group::ask(member_id id, limit_time now) {
  member& who = members_.at(id);
  if (!who.granted && !who.waiting) {
    who.waiting = true;
    who.since = now;
    waiters_.push_back(id);
  }
  if (!who.granted) plan(now);
  if (!who.granted) return false;
  who.granted = false;
  std::erase(news_, id);
  return true;
}

bool limit_group::ask_if_spare(member_id id) {
  member& who = members_.at(id);
  const bool room =
      std::none_of(who.counters.begin(), who.counters.end(), [](const auto& at) { return at->second.full(); });
  if (anybody_waits() || !room) return false;
  count_one(who);
  return true;
}

void limit_group::withdraw(member_id id, limit_time now) {
  member& who = members_.at(id);
  if (who.waiting) {
    who.waiting = false;
    std::erase(waiters_, id);
    plan(now);
  } else if (who.granted) {
    who.granted = false;
    gone(id, false, now);
  }
}

// -- servers ---------------------------------------------------------------------------------------------------------

void limit_group::leaving(member_id id, limit_time now) {
  member& who = members_.at(id);
  ++who.leaving;
  for (const auto& at : who.counters)
    ++at->second.leaving;
  plan(now);
}

bool limit_group::pay(member_id id, limit_time now) {
  if (members_.at(id).owes == 0) return false;
  leaving(id, now);
  return true;
}

void limit_group::gone(member_id id, bool was_leaving, limit_time now) {
  member& who = members_.at(id);
  --who.held;
  who.leaving -= was_leaving ? 1 : 0;
  for (const auto& at : who.counters) {
    --at->second.count;
    at->second.leaving -= was_leaving ? 1 : 0;
  }
  forget_if_done(id);
  plan(now);
}

void limit_group::carried(member_id from, member_id to) {
  --members_.at(from).held;
  ++members_.at(to).held;
  forget_if_done(from);
}

// -- planning --------------------------------------------------------------------------------------------------------

// What everybody owes, anew at every event, so that nothing is demanded any more that has come from elsewhere.
void limit_group::plan(limit_time now) {
  const bool over = std::any_of(counters_.begin(), counters_.end(), [](const auto& one) {
    return one.second.max > 0 && one.second.count - one.second.leaving > one.second.max;
  });
  if (waiters_.empty() && !over && !planned_demands_) return;
  std::map<member_id, std::uint32_t> before;
  for (auto& [id, who] : members_) {
    before[id] = who.owes;
    who.owes = 0;
  }
  for (auto& [key, at] : counters_) {
    at.coming = at.leaving;
    at.promised = at.claimed = at.unmet = 0;
  }
  grant_waiters(now);
  demand_excess();
  std::size_t left = demanding_waiters;
  for (const member_id id : waiters_) {
    if (left-- == 0) break;
    const member& waiter = members_.at(id);
    for (const auto& at : waiter.counters)
      if (at->second.full()) demand_for(id, waiter, at->second, now);
  }
  planned_demands_ = false;
  for (auto& [id, who] : members_) {
    planned_demands_ = planned_demands_ || who.owes > 0;
    if (who.owes > before[id] && std::find(news_.begin(), news_.end(), id) == news_.end()) news_.push_back(id);
  }
}

bool limit_group::room_for(const member& who) const {
  return std::all_of(who.counters.begin(), who.counters.end(), [](const auto& at) {
    return at->second.max == 0 || at->second.count + at->second.claimed < at->second.max;
  });
}

void limit_group::grant_waiters(limit_time now) {
  for (auto place = waiters_.begin(); place != waiters_.end();) {
    member& who = members_.at(*place);
    if (!room_for(who)) {
      claim(who);
      ++place;
      continue;
    }
    count_one(who);
    who.waiting = false;
    who.granted = true;
    who.served_at = now;
    news_.push_back(*place);
    place = waiters_.erase(place);
  }
}

// A place that lacks only what is being closed is kept for the one who waits longest, or somebody under two limits
// would always find one of them full. Where nothing is on its way, nobody else is kept waiting.
void limit_group::claim(member& waiter) {
  const bool soon = std::all_of(waiter.counters.begin(), waiter.counters.end(), [](const auto& at) {
    return !at->second.full() || at->second.leaving > at->second.claimed;
  });
  if (!soon) return;
  for (const auto& at : waiter.counters)
    if (at->second.max > 0) ++at->second.claimed;
}

bool limit_group::under(const member& who, const counter& at) {
  return std::any_of(who.counters.begin(), who.counters.end(), [&](const auto& one) { return &one->second == &at; });
}

void limit_group::demand_for(member_id id, const member& waiter, counter& at, limit_time now) {
  if (at.coming > at.promised) { // enough is on its way for those before and for this one
    ++at.promised;
    return;
  }
  ++at.unmet;
  const bool patient = now - waiter.since >= turn_length;
  member* oldest = nullptr;
  for (auto& [other, holder] : members_) {
    if (other == id || holder.left || !under(holder, at) || holder.present() <= holder.owes) continue;
    const bool richer = waiter.lasting() < holder.lasting();
    const bool its_turn_is_over = now - holder.served_at >= turn_length;
    if (holder.idle && holder.owes == 0 && ((richer && its_turn_is_over) || now - *holder.idle >= turn_length)) {
      if (oldest == nullptr || *holder.idle < *oldest->idle) oldest = &holder;
    }
  }
  if (oldest != nullptr) {
    ++oldest->owes;
    for (const auto& one : oldest->counters)
      ++one->second.coming;
    ++at.promised;
    --at.unmet;
    return;
  }
  if (!patient) return;
  // Whoever has clearly more gives one up at its next check-in; the first to do so ends the debt of the others.
  for (auto& [other, holder] : members_) {
    const bool may = other != id && !holder.left && under(holder, at) && now - holder.served_at >= turn_length &&
                     (holder.lasting() >= waiter.lasting() + 2 || (waiter.lasting() == 0 && holder.lasting() > 0));
    if (may) holder.owes = std::max(holder.owes, std::min(holder.present(), at.unmet));
  }
}

/// A limit was lowered: what is above it goes as soon as it is idle.
void limit_group::demand_excess() {
  for (auto& [key, at] : counters_) {
    if (at.max == 0) continue;
    for (std::uint32_t stays = at.count - at.coming; stays > at.max; --stays) {
      member* from = nullptr;
      for (auto& [id, holder] : members_) {
        if (holder.left || !under(holder, at) || holder.present() <= holder.owes) continue;
        const auto has = holder.present() - holder.owes;
        if (from == nullptr || has > from->present() - from->owes) from = &holder;
      }
      if (from == nullptr) break;
      ++from->owes;
      for (const auto& one : from->counters)
        ++one->second.coming;
    }
  }
}

// -- books -----------------------------------------------------------------------------------------------------------

std::vector<limit_group::member_id> limit_group::take_news() {
  return std::exchange(news_, {});
}

std::optional<limit_kind> limit_group::blocked_by(member_id who) const {
  for (const auto& at : members_.at(who).counters)
    if (at->second.full()) return at->first.first;
  return std::nullopt;
}

std::uint32_t limit_group::count(limit_kind kind, const std::string& name) const {
  const auto found = counters_.find({kind, name});
  return found == counters_.end() ? 0 : found->second.count;
}

} // namespace pg_edge::cluster
