// What a share does when its servers cannot be had: whom it tells at once, when it tries again, and which servers it
// gives up because theirs is going. That nobody can log in to an address is known to all pools of the node, see
// cluster/login_gate; that this user may not, or that no room is left for it, is this share's own affair.
#include "actors/client.hpp"
#include "actors/log.hpp"
#include "actors/share.hpp"
#include "protocol/errors.hpp"
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"

#include <algorithm>
#include <utility>

namespace pg_edge::actors {

using cluster::login_trouble;
using cluster::server_state;

namespace {

constexpr std::chrono::milliseconds first_back_off{100};

/// How often the log is told of one and the same failure.
constexpr std::chrono::seconds failure_line_pause{60};

std::string_view sqlstate_of(protocol::bytes_view error) {
  if (error.size() <= protocol::frame_header_size) return {};
  return protocol::error_field(error.substr(protocol::frame_header_size), 'C');
}

} // namespace

// -- permission to log in
// ------------------------------------------------------------------------------------------------

/// The seat at the pool's address; a new one when the address has changed.
void share::take_seats() {
  const auto settings = pool_->settings();
  std::string address = settings->host + ":" + std::to_string(settings->port);
  if (logins_ && address == address_) return;
  address_ = std::move(address);
  logins_ = node_.logins.join(address_, this->address());
  departures_ = logins_->departures();
}

/// No server is wanted any more.
void share::withdraw() {
  seat_->withdraw();
  logins_->withdraw();
  slot_.reset();
}

/// After a failure one login at a time finds out whether things are better.
bool share::may_log_in() const {
  if (home().now() < retry_at_) return false;
  return back_off_.count() == 0 || permits_.count(server_state::opening) == 0;
}

void share::on_login_turn() {
  if (logins_->waits_for_room()) retry_at_ = {}; // a server that was full may have some now
  act();
}

// -- failed logins
// ---------------------------------------------------------------------------------------------------------

void share::forget_failure() {
  back_off_ = {};
  retry_at_ = {};
  lasting_error_.clear();
  last_failure_.clear();
  failures_ = 0;
  logins_->wait_for_room(false);
}

/// A login that was refused may succeed when a client has since shown a password that the pool can use.
void share::look_at_credentials() {
  if (retry_at_ == clock::time_point{} && lasting_error_.empty()) return;
  const auto version = node_.credentials.version(pool_->name.tenant, pool_->name.user);
  if (std::exchange(failed_version_, version) != version) forget_failure();
}

void share::on_refused(const server_refused& message) {
  server_entry* entry = entry_of(message.server);
  if (entry == nullptr || entry->state != server_state::opening) return;
  move_state(*entry, server_state::closing);
  login_failed(message, *entry);
  act();
}

/// Wrong passwords and missing databases fail fast and are remembered for server_login_retry; all else waits and is
/// tried again, less and less often.
void share::login_failed(const server_refused& message, server_entry& entry) {
  const auto* made_for = static_cast<server*>(caf::actor_cast<caf::abstract_actor*>(message.server));
  const auto kind = cluster::classify_login_failure(sqlstate_of(message.error), message.reached);
  const std::string text = message.where + ": " + message.reason;
  if (entry.pass && kind == login_trouble::away)
    entry.pass->away(text);
  else if (entry.pass)
    entry.pass->answered();
  entry.pass.reset();
  const auto own =
      std::find_if(waiters_.begin(), waiters_.end(), [&](const waiter& one) { return one.opening == made_for; });
  if (own != waiters_.end()) return refuse(own, message.error);
  failed_version_ = node_.credentials.version(pool_->name.tenant, pool_->name.user);
  // It began before a client's login told more: act() tries again at once.
  if (kind == login_trouble::refused && made_for->credentials_version() != failed_version_) return forget_failure();
  if (kind != login_trouble::away) back_off(message, kind);
  last_failure_ = text;
  if (kind == login_trouble::away && message.reached) look_for_departure_from(message.where);
  if (kind != login_trouble::refused) return welcome_waiters({});
  lasting_error_ = message.error;
  lasting_until_ = home().now() + pool_->settings()->server_login_retry;
  if (without_server()) refuse_all(message.error);
}

void share::back_off(const server_refused& message, login_trouble kind) {
  const auto now = home().now();
  const bool news = last_failure_ != message.where + ": " + message.reason;
  ++failures_;
  const bool tell = news || now - failure_said_at_ >= failure_line_pause;
  log(tell ? level::warning : level::debug, log_event::server_login_failed,
      {{"pool", pool_->id},
       {"tenant", pool_->name.tenant},
       {"database", pool_->name.database},
       {"user", pool_->name.user},
       {"address", message.where},
       {"reason", message.reason},
       {"count", failures_}});
  if (tell) {
    failure_said_at_ = now;
    failures_ = 0;
  }
  if (kind == login_trouble::full) logins_->wait_for_room(true);
  if (now < retry_at_) return; // it began before the failure that set the pause
  const auto most = std::chrono::duration_cast<std::chrono::milliseconds>(pool_->settings()->server_login_retry);
  back_off_ = back_off_.count() == 0 ? std::min(first_back_off, most) : std::min(back_off_ * 2, most);
  // Jitter, so that the shares of many pools do not come back together.
  const auto jitter = back_off_ / 4 * static_cast<int>(node_.next_id.load(std::memory_order_relaxed) % 8) / 8;
  retry_at_ = now + back_off_ - jitter;
}

/// For people who ask why they wait: why no server can be opened; empty when nothing stands in the way.
std::string share::trouble_text() const {
  std::string text = logins_->trouble();
  return text.empty() ? last_failure_ : text;
}

// -- a server that is going
// ----------------------------------------------------------------------------------------------

/// A login was told that Postgres starts or stops. While it has servers of ours it can only be stopping, and if it was
/// told to wait for its clients it would do so for ever: a pool never leaves by itself.
void share::look_for_departure_from(const std::string& where) {
  const bool servers_there = std::any_of(servers_.begin(), servers_.end(), [&](const auto& one) {
    const server_address& address = one.first->address();
    const bool in_use = one.second.state == server_state::idle || one.second.state == server_state::busy;
    return in_use && address.host + ":" + std::to_string(address.port) == where;
  });
  if (!servers_there || pool_->settings()->host.find(',') != std::string::npos) return;
  logins_->note_departure();
  look_for_departure();
}

/// Some pool has found out that Postgres is stopping.
void share::look_for_departure() {
  if (std::exchange(departures_, logins_->departures()) != logins_->departures())
    replace_servers("Postgres is shutting down");
}

/// Those in use finish their transactions first.
void share::replace_servers(const std::string& why) {
  for (auto& [what, entry] : servers_)
    if (entry.state != server_state::opening) what->reconnect_wanted = true;
  const std::deque<server*> idle = idle_;
  for (server* what : idle)
    close(*what, why);
}

// -- refusing
// ------------------------------------------------------------------------------------------------------------

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
