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
  departed_at_ = logins_->departed_at();
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
  if (kind == login_trouble::away && message.reached) logins_->note_departure();
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

/// A full Postgres is shared by all pools of the node: one that has no server at all is let have one of another's.
void share::give_room() {
  if (logins_->waits_for_room()) logins_->wait_for_room(true, !waiters_.empty() && without_server());
  const bool gives_already = std::any_of(servers_.begin(), servers_.end(), [](const auto& one) {
    return one.second.state == server_state::busy && one.first->reconnect_wanted;
  });
  if (without_server() || gives_already || !logins_->should_give(!idle_.empty())) return;
  const std::string why = "the server is full, and another pool has none";
  if (!idle_.empty()) return close(*idle_.front(), why);
  for (auto& [what, entry] : servers_) {
    if (entry.state != server_state::busy) continue;
    what->want_reconnect();
    return;
  }
}

/// For people who ask why they wait: why no server can be opened; empty when nothing stands in the way.
std::string share::trouble_text() const {
  std::string text = logins_->trouble();
  return text.empty() ? last_failure_ : text;
}

// -- a server that is going
// ----------------------------------------------------------------------------------------------

/// Some pool was told, at a login, that Postgres starts or stops. It can only be stopping for those who have servers
/// there from before that moment, and if it was told to wait for its clients it would do so for ever: a pool never
/// leaves by itself.
void share::look_for_departure() {
  const clock::duration told_at = logins_->departed_at();
  if (std::exchange(departed_at_, told_at) == told_at) return;
  const bool several_hosts = pool_->settings()->host.find(',') != std::string::npos;
  if (!several_hosts) replace_servers("Postgres is shutting down", clock::time_point(departed_at_));
}

/// Those made before that moment. Those in use finish their transactions first.
void share::replace_servers(const std::string& why, clock::time_point made_before) {
  for (auto& [what, entry] : servers_)
    if (entry.state != server_state::opening && !entry.arriving && what->connected_at() < made_before)
      what->want_reconnect();
  close_idle(why, [&](const server& what) { return what.connected_at() < made_before; });
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
