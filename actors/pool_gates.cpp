#include "actors/pool_gates.hpp"

#include <algorithm>
#include <utility>

namespace pg_edge::actors {

namespace {

/// Of servers that are to go whatever RECONNECT says: older than any gate.
constexpr std::uint64_t stale_generation = 0;

} // namespace

// -- tickets
// ---------------------------------------------------------------------------------------------------------------

void pool_gate::leave(std::uint64_t generation) {
  const std::lock_guard lock(mutex_);
  const auto found = servers_.find(generation);
  if (found != servers_.end() && --found->second == 0) servers_.erase(found);
}

void gate_ticket::reset() noexcept {
  if (gate_) gate_->leave(generation_);
  gate_ = nullptr;
}

bool gate_ticket::stale() const {
  if (!gate_) return false;
  const std::lock_guard lock(gate_->mutex_);
  return generation_ < gate_->generation_;
}

void gate_ticket::make_stale() {
  if (!gate_ || generation_ == stale_generation) return;
  gate_->leave(generation_);
  generation_ = stale_generation;
  const std::lock_guard lock(gate_->mutex_);
  ++gate_->servers_[generation_];
}

gate_ticket pool_gates::admit(const pool_gate_ptr& gate) {
  const std::lock_guard lock(gate->mutex_); // shut_ changes under it: who counts afterwards sees every server
  if (gate->shut_.load(std::memory_order_relaxed)) return {};
  ++gate->servers_[gate->generation_];
  return {gate, gate->generation_};
}

// -- gates
// -----------------------------------------------------------------------------------------------------------------

pool_gate_ptr pool_gates::gate_of(const std::string& tenant, const std::string& database) {
  const std::lock_guard lock(mutex_);
  if (gates_.size() >= sweep_at_) { // databases behind "*" come and go
    std::erase_if(gates_, [](const auto& one) { return one.second.use_count() == 1; });
    sweep_at_ = std::max<std::size_t>(64, 2 * gates_.size());
  }
  auto& gate = gates_[{tenant, database}];
  if (!gate) {
    gate = std::make_shared<pool_gate>();
    gate->shut_ = paused_now({tenant, database});
    gate->suspended_ = suspended_.load();
  }
  return gate;
}

pool_gates::words& pool_gates::words_of(const pool_scope& scope) {
  return scope.database.empty() ? tenants_[scope.tenant] : databases_[{scope.tenant, scope.database}];
}

/// Whether the gate of this database has to be shut.
bool pool_gates::paused_now(const key& which) const {
  return given_away() || node_paused() || said_of({which.first, {}}).paused ||
         said_of({which.first, which.second}).paused;
}

void pool_gates::update() {
  std::erase_if(tenants_, [](const auto& one) { return !one.second.any(); });
  std::erase_if(databases_, [](const auto& one) { return !one.second.any(); });
  for (const auto& [which, gate] : gates_) {
    const bool shut = paused_now(which);
    const std::lock_guard lock(gate->mutex_);
    if (gate->shut_.exchange(shut) && !shut) gate->openings_.fetch_add(1);
  }
}

// -- commands
// --------------------------------------------------------------------------------------------------------------

gate_answer pool_gates::pause(const pool_scope& scope) {
  const std::lock_guard lock(mutex_);
  if (node_paused() || suspended()) return gate_answer::already_paused;
  if (scope.everything())
    node_paused_ = true;
  else
    words_of(scope).paused = true;
  update();
  return gate_answer::done;
}

void pool_gates::set_suspension(suspension now) {
  suspended_ = now;
  for (const auto& [which, gate] : gates_)
    gate->suspended_ = now;
}

gate_answer pool_gates::suspend() {
  const std::lock_guard lock(mutex_);
  if (node_paused() || suspended()) return gate_answer::already_paused;
  set_suspension(suspension::held);
  return gate_answer::done;
}

void pool_gates::cut_unsent() {
  const std::lock_guard lock(mutex_);
  if (suspended()) set_suspension(suspension::cutting);
}

gate_answer pool_gates::resume(const pool_scope& scope) {
  const std::lock_guard lock(mutex_);
  if (scope.everything()) {
    if (!node_paused() && !suspended()) return gate_answer::node_not_paused;
    set_suspension(suspension::none);
    node_paused_ = false;
    update();
    return gate_answer::done;
  }
  const bool was = std::exchange(words_of(scope).paused, false);
  update();
  return was ? gate_answer::done : gate_answer::scope_not_paused;
}

void pool_gates::set_disabled(const pool_scope& scope, bool disabled) {
  const std::lock_guard lock(mutex_);
  words_of(scope).disabled = disabled;
  update();
}

std::vector<cluster::paused_scope> pool_gates::in_force() const {
  const std::lock_guard lock(mutex_);
  std::vector<cluster::paused_scope> result;
  if (node_paused()) result.push_back({{}, {}, true, false});
  for (const auto& [tenant, said] : tenants_)
    result.push_back({tenant, {}, said.paused, said.disabled});
  for (const auto& [which, said] : databases_)
    result.push_back({which.first, which.second, said.paused, said.disabled});
  return result;
}

void pool_gates::take(const cluster::paused_scope& said) {
  const std::lock_guard lock(mutex_);
  if (said.tenant.empty())
    node_paused_ = said.paused;
  else
    words_of({said.tenant, said.database}) = {said.paused, said.disabled};
  update();
}

void pool_gates::give_away() {
  const std::lock_guard lock(mutex_);
  given_away_ = true;
  update();
}

void pool_gates::reconnect(const pool_scope& scope) {
  const std::lock_guard lock(mutex_);
  for (const auto& [which, gate] : gates_) {
    if (!scope.contains(which.first, which.second)) continue;
    const std::lock_guard gate_lock(gate->mutex_);
    ++gate->generation_;
  }
}

// -- questions
// -------------------------------------------------------------------------------------------------------------

pool_gates::words pool_gates::said_of(const pool_scope& scope) const {
  if (scope.database.empty()) {
    const auto found = tenants_.find(scope.tenant);
    return found == tenants_.end() ? words{} : found->second;
  }
  const auto found = databases_.find({scope.tenant, scope.database});
  return found == databases_.end() ? words{} : found->second;
}

bool pool_gates::paused(const pool_scope& scope) const {
  if (scope.everything()) return node_paused();
  const std::lock_guard lock(mutex_);
  return said_of(scope).paused;
}

bool pool_gates::knows(const pool_scope& scope) const {
  if (scope.everything()) return node_paused();
  const std::lock_guard lock(mutex_);
  return said_of(scope).any();
}

bool pool_gates::disabled(const std::string& tenant, const std::string& database) const {
  const std::lock_guard lock(mutex_);
  return said_of({tenant, {}}).disabled || said_of({tenant, database}).disabled;
}

bool pool_gates::database_paused(const std::string& tenant, const std::string& database) const {
  const std::lock_guard lock(mutex_);
  return said_of({tenant, {}}).paused || said_of({tenant, database}).paused;
}

std::size_t pool_gates::count(const pool_scope& scope, bool stale_only) const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [which, gate] : gates_) {
    if (!scope.contains(which.first, which.second)) continue;
    const std::lock_guard gate_lock(gate->mutex_);
    for (const auto& [generation, some] : gate->servers_)
      if (!stale_only || generation < gate->generation_) count += some;
  }
  return count;
}

std::map<std::pair<std::string, std::string>, std::uint32_t> pool_gates::servers_by_database() const {
  const std::lock_guard lock(mutex_);
  std::map<key, std::uint32_t> result;
  for (const auto& [which, gate] : gates_) {
    const std::lock_guard gate_lock(gate->mutex_);
    for (const auto& [generation, some] : gate->servers_)
      if (some > 0) result[which] += some;
  }
  return result;
}

std::vector<std::pair<std::string, std::string>> pool_gates::named() const {
  const std::lock_guard lock(mutex_);
  std::vector<key> result;
  for (const auto& [which, said] : databases_)
    result.push_back(which);
  return result;
}

} // namespace pg_edge::actors
