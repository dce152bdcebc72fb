#include "actors/server_limits.hpp"

#include "actors/messages.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <utility>

namespace pg_edge::actors {

namespace {

using guard = std::lock_guard<std::mutex>;

cluster::limit_time time_of(limit_seat::clock::time_point when) {
  return std::chrono::duration_cast<cluster::limit_time>(when.time_since_epoch());
}

} // namespace

cluster::limit_maxima maxima_of(const config::pool_settings& settings) {
  const auto of = [](int value) { return static_cast<std::uint32_t>(std::max(value, 0)); };
  return {of(settings.max_tenant_connections), of(settings.max_db_connections), of(settings.max_user_connections)};
}

// -- a tenant --------------------------------------------------------------------------------------------------------

/// Called with the mutex held, after anything that changed the group.
void tenant_limits::spread_news() {
  for (const auto& [id, seat] : seats_)
    if (group_.known(id)) seat->owed_.store(group_.owed(id), std::memory_order_relaxed);
  for (const auto id : group_.take_news()) {
    const auto found = seats_.find(id);
    if (found == seats_.end()) continue;
    if (const auto share = caf::actor_cast<caf::actor>(found->second->share_)) caf::anon_send(share, limits_moved{});
  }
}

std::shared_ptr<limit_seat> server_limits::join(const std::string& tenant, const std::string& database,
                                                const std::string& user, const cluster::limit_maxima& maxima,
                                                caf::actor_addr share) {
  std::shared_ptr<tenant_limits> own;
  {
    const guard lock(mutex_);
    auto& known = tenants_[tenant];
    own = known.lock();
    if (!own) known = own = std::make_shared<tenant_limits>();
  }
  return std::make_shared<limit_seat>(std::move(own), database, user, maxima, std::move(share));
}

// -- a share's seat --------------------------------------------------------------------------------------------------

limit_seat::limit_seat(std::shared_ptr<tenant_limits> tenant, const std::string& database, const std::string& user,
                       const cluster::limit_maxima& maxima, caf::actor_addr share)
    : tenant_(std::move(tenant)), share_(std::move(share)) {
  const guard lock(tenant_->mutex_);
  id_ = tenant_->group_.join(database, user, maxima);
  tenant_->seats_[id_] = this;
}

limit_seat::~limit_seat() { // its servers have gone: each of them kept it alive
  const guard lock(tenant_->mutex_);
  tenant_->seats_.erase(id_);
  tenant_->group_.leave(id_, time_of(clock::now()));
  tenant_->spread_news();
}

/// The time, once everybody's idle servers have been told to the group. The mutex is held.
cluster::limit_time limit_seat::now(bool someone_will_wait) {
  if (someone_will_wait || tenant_->group_.anybody_waits())
    for (const auto& [id, seat] : tenant_->seats_) {
      if (!tenant_->group_.known(id)) continue;
      const std::int64_t since = seat->idle_since_.load(std::memory_order_relaxed);
      tenant_->group_.note_idle(id, since < 0 ? std::nullopt : std::optional(cluster::limit_time(since)));
    }
  return time_of(clock::now());
}

void limit_seat::set_maxima(const cluster::limit_maxima& maxima) {
  const guard lock(tenant_->mutex_);
  tenant_->group_.set_maxima(id_, maxima, now());
  tenant_->spread_news();
}

std::shared_ptr<server_slot> limit_seat::ask() {
  {
    const guard lock(tenant_->mutex_);
    asked_ = true;
    const bool may = tenant_->group_.ask(id_, now(true));
    tenant_->spread_news();
    if (!may) return nullptr;
    asked_ = false;
  }
  return std::make_shared<server_slot>(shared_from_this());
}

std::shared_ptr<server_slot> limit_seat::ask_if_spare() {
  {
    const guard lock(tenant_->mutex_);
    if (!tenant_->group_.ask_if_spare(id_)) return nullptr;
  }
  return std::make_shared<server_slot>(shared_from_this());
}

void limit_seat::withdraw() {
  if (!asked_) return;
  asked_ = false;
  const guard lock(tenant_->mutex_);
  tenant_->group_.withdraw(id_, now());
  tenant_->spread_news();
}

void limit_seat::leave() {
  const guard lock(tenant_->mutex_);
  asked_ = false;
  tenant_->group_.leave(id_, now());
  tenant_->spread_news();
}

void limit_seat::note_idle(std::optional<clock::time_point> since) {
  idle_since_.store(since ? time_of(*since).count() : -1, std::memory_order_relaxed);
}

std::optional<cluster::limit_kind> limit_seat::blocked_by() {
  const guard lock(tenant_->mutex_);
  return tenant_->group_.blocked_by(id_);
}

// -- a server's slot -------------------------------------------------------------------------------------------------

server_slot::server_slot(std::shared_ptr<limit_seat> seat) : seat_(std::move(seat)) {}

server_slot::~server_slot() {
  const guard lock(seat_->tenant_->mutex_);
  seat_->tenant_->group_.gone(seat_->id_, leaving_, seat_->now());
  seat_->tenant_->spread_news();
}

void server_slot::leave() {
  const guard lock(seat_->tenant_->mutex_);
  if (std::exchange(leaving_, true)) return;
  seat_->tenant_->group_.leaving(seat_->id_, seat_->now());
  seat_->tenant_->spread_news();
}

bool server_slot::leave_if_owed() {
  const guard lock(seat_->tenant_->mutex_);
  if (leaving_ || !seat_->tenant_->group_.pay(seat_->id_, seat_->now())) return false;
  leaving_ = true;
  seat_->tenant_->spread_news();
  return true;
}

void server_slot::move_to(const std::shared_ptr<limit_seat>& seat) {
  std::shared_ptr<limit_seat> old; // let go behind the lock: it may be the last to hold it
  const guard lock(seat_->tenant_->mutex_);
  if (seat_ == seat) return;
  seat_->tenant_->group_.carried(seat_->id_, seat->id_);
  old = std::exchange(seat_, seat);
}

} // namespace pg_edge::actors
