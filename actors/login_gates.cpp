#include "actors/login_gates.hpp"

#include "actors/log.hpp"
#include "actors/messages.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>

#include <functional>
#include <utility>

namespace pg_edge::actors {

namespace {

using guard = std::lock_guard<std::mutex>;
using cluster::gate_time;
using cluster::login_outcome;

/// How often the log is told of a server that stays away.
constexpr gate_time away_line_pause = std::chrono::seconds{60};

/// On a full server a share without any is given room by the others: idle servers so often, busy ones so often. Rarely
/// enough that logins do not become the work.
constexpr gate_time give_idle_pause = std::chrono::milliseconds{100};
constexpr gate_time give_busy_pause = std::chrono::milliseconds{1000};

gate_time now() {
  return std::chrono::duration_cast<gate_time>(std::chrono::steady_clock::now().time_since_epoch());
}

double seconds_of(gate_time span) {
  return static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(span).count()) / 1000.0;
}

void wake(const caf::actor_addr& share) {
  if (const auto alive = caf::actor_cast<caf::actor>(share)) caf::anon_send(alive, login_turn{});
}

} // namespace

// -- an address
// ------------------------------------------------------------------------------------------------------

/// Called with the mutex held, after anything that changed the gate.
void address_logins::spread_news() {
  for (const auto id : gate_.take_news())
    if (const auto found = seats_.find(id); found != seats_.end()) wake(found->second->share_);
}

/// The same: whoever found the server full tries again, and if some have nothing at all, they alone.
void address_logins::wake_full() {
  const bool some_starve = starving_.load(std::memory_order_relaxed) > 0;
  for (const auto& [id, seat] : seats_)
    if (seat->full_ && (seat->starving_ || !some_starve)) wake(seat->share_);
}

std::unique_ptr<login_seat> login_gates::join(const std::string& address, caf::actor_addr share) {
  std::shared_ptr<address_logins> own;
  {
    const guard lock(mutex_);
    std::erase_if(addresses_, [](const auto& one) { return one.second.expired(); });
    auto& known = addresses_[address];
    own = known.lock();
    if (!own) known = own = std::make_shared<address_logins>(address);
  }
  return std::make_unique<login_seat>(std::move(own), std::move(share));
}

// -- a login
// ---------------------------------------------------------------------------------------------------------

login_pass::~login_pass() {
  done(login_outcome::given_up, {});
}

void login_pass::answered() {
  done(login_outcome::answered, {});
}

void login_pass::away(const std::string& reason) {
  done(login_outcome::away, reason);
}

void login_pass::done(login_outcome what, const std::string& reason) {
  const auto address = std::exchange(address_, nullptr);
  if (!address) return;
  const gate_time at = now();
  bool tell = false;
  std::optional<gate_time> since;
  std::uint64_t failures = 0;
  {
    const guard lock(address->mutex_);
    since = address->gate_.away_since();
    failures = address->gate_.failures();
    tell = address->gate_.done(begun_, what, most_, at);
    if (what == login_outcome::away && address->gate_.away()) {
      since = address->gate_.away_since();
      failures = address->gate_.failures();
      address->reason_ = reason;
      tell = tell || at - address->said_at_ >= away_line_pause;
      if (tell) address->said_at_ = at;
    }
    address->spread_news();
  }
  if (!tell) return;
  if (what == login_outcome::away)
    log(level::warning, log_event::server_away,
        {{"server", address->name_}, {"reason", reason}, {"attempts", failures}, {"seconds", seconds_of(at - *since)}});
  else
    log(level::info, log_event::server_back,
        {{"server", address->name_}, {"attempts", failures}, {"seconds", seconds_of(at - since.value_or(at))}});
}

// -- a share's seat
// --------------------------------------------------------------------------------------------------

login_seat::login_seat(std::shared_ptr<address_logins> address, caf::actor_addr share)
    : address_(std::move(address)), share_(std::move(share)) {
  const guard lock(address_->mutex_);
  id_ = address_->next_id_++;
  address_->seats_[id_] = this;
}

login_seat::~login_seat() {
  wait_for_room(false);
  const guard lock(address_->mutex_);
  address_->seats_.erase(id_);
  address_->gate_.withdraw(id_, now());
  address_->spread_news();
}

std::unique_ptr<login_pass> login_seat::ask(std::uint32_t max_logins, gate_time most) {
  const guard lock(address_->mutex_);
  address_->gate_.set_limit(max_logins, now());
  const auto begun = address_->gate_.ask(id_, now());
  address_->spread_news();
  asked_ = !begun;
  return begun ? std::make_unique<login_pass>(address_, *begun, most) : nullptr;
}

void login_seat::withdraw() {
  if (!asked_) return;
  asked_ = false;
  const guard lock(address_->mutex_);
  address_->gate_.withdraw(id_, now());
  address_->spread_news();
}

bool login_seat::away() const {
  const guard lock(address_->mutex_);
  return address_->gate_.away();
}

std::string login_seat::trouble() const {
  const guard lock(address_->mutex_);
  return address_->gate_.away() ? address_->reason_ : std::string();
}

void login_seat::wait_for_room(bool on, bool starving) {
  starving = on && starving;
  if (full_ == on && starving_ == starving) return;
  const guard lock(address_->mutex_);
  const auto count = [](std::atomic<std::uint32_t>& what, bool& is, bool becomes) {
    if (is != becomes) what.fetch_add(becomes ? 1U : ~0U, std::memory_order_relaxed);
    is = becomes;
  };
  if (starving && address_->starving_.load(std::memory_order_relaxed) == 0) address_->given_at_ = now();
  count(address_->full_, full_, on);
  count(address_->starving_, starving_, starving);
}

bool login_seat::should_give(bool idle) {
  if (address_->starving_.load(std::memory_order_relaxed) == 0 || starving_) return false;
  const guard lock(address_->mutex_);
  const gate_time at = now();
  if (at - address_->given_at_ < (idle ? give_idle_pause : give_busy_pause)) return false;
  address_->given_at_ = at;
  return true;
}

void login_seat::note_room() {
  if (address_->full_.load(std::memory_order_relaxed) == 0) return;
  const guard lock(address_->mutex_);
  address_->wake_full();
}

void login_seat::note_departure() {
  address_->departed_at_.store(std::chrono::steady_clock::now().time_since_epoch(), std::memory_order_relaxed);
}

} // namespace pg_edge::actors
