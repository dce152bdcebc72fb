// What a share does when its servers cannot be had: whom it tells at once, when it tries again.
#include "actors/log.hpp"
#include "actors/share.hpp"
#include "protocol/errors.hpp"
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"

#include <algorithm>
#include <utility>

namespace pg_edge::actors {

using cluster::server_state;

namespace {

constexpr std::chrono::milliseconds first_back_off{100};

/// Errors that trying again does not mend: who waits is told at once.
bool lasting(protocol::bytes_view error) {
  if (error.size() <= protocol::frame_header_size) return false;
  const std::string_view state = protocol::error_field(error.substr(protocol::frame_header_size), 'C');
  return state.starts_with("28") || state == "3D000" || state == "42501";
}

} // namespace

void share::forget_failure() {
  back_off_ = {};
  retry_at_ = {};
  lasting_error_.clear();
}

/// A login that was refused may succeed when a client has since shown a password that the pool can use.
void share::look_at_credentials() {
  if (retry_at_ == clock::time_point{} && lasting_error_.empty()) return;
  const auto version = node_.credentials.version(pool_->name.tenant, pool_->name.user);
  if (std::exchange(failed_version_, version) != version) forget_failure();
}

/// Wrong passwords and missing databases fail fast and are remembered for server_login_retry; all else waits and is
/// tried again, less and less often.
void share::login_failed(const protocol::bytes& error, server* made_for) {
  const auto settings = pool_->settings();
  const auto now = home().now();
  const auto own =
      std::find_if(waiters_.begin(), waiters_.end(), [&](const waiter& one) { return one.opening == made_for; });
  if (made_for != nullptr && own != waiters_.end()) return refuse(own, error);
  failed_version_ = node_.credentials.version(pool_->name.tenant, pool_->name.user);
  // It began before a client's login told more: act() tries again at once.
  if (made_for != nullptr && made_for->credentials_version() != failed_version_) return forget_failure();
  const auto most = std::chrono::duration_cast<std::chrono::milliseconds>(settings->server_login_retry);
  back_off_ = back_off_.count() == 0 ? std::min(first_back_off, most) : std::min(back_off_ * 2, most);
  // Jitter, so that the shares of many pools do not come back together.
  const auto jitter = back_off_ / 4 * static_cast<int>(node_.next_id.load(std::memory_order_relaxed) % 8) / 8;
  retry_at_ = now + back_off_ - jitter;
  if (!lasting(error)) return welcome_waiters({});
  lasting_error_ = error;
  lasting_until_ = now + settings->server_login_retry;
  if (permits_.count(server_state::idle) == 0 && permits_.count(server_state::busy) == 0) refuse_all(error);
}

void share::refuse_all(const protocol::bytes& error) {
  while (!waiters_.empty())
    refuse(waiters_.begin(), error);
}

void share::refuse(queue::iterator whom, const protocol::bytes& error) {
  send(caf::actor_cast<caf::actor>(whom->client), check_out_refused{error, whom->epoch, true});
  waiting_.erase(whom->who);
  waiters_.erase(whom);
}

} // namespace pg_edge::actors
