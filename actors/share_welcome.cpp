// What a client's session begins with: as a server of this pool has said it, or, while Postgres is away, as one had
// said it before (welcome_cache).
#include "actors/client.hpp"
#include "actors/share.hpp"

namespace pg_edge::actors {

using cluster::server_state;

namespace {

/// Start-up settings of different clients that are remembered; beyond that a server is asked again.
constexpr std::size_t welcome_limit = 4096;

} // namespace

void share::on_attach(const attach_client& message) {
  const auto found = welcomes_.find(message.start_up);
  welcome answer;
  if (found != welcomes_.end())
    answer = {found->second.values, found->second.profile};
  else if (gate_->shut() || server_is_away())
    answer = {kept_values(), nullptr, true};
  send(caf::actor_cast<caf::actor>(message.client), std::move(answer));
}

void share::learn(learned_welcome what) {
  if (welcomes_.size() >= welcome_limit) welcomes_.clear();
  welcomes_[what.start_up] = {interner_.intern(what.values), what.profile};
}

/// A server has logged in. Should it say something else than the one before it, as a newer version does, then nothing
/// is known any more about sessions with settings of their own.
void share::learn_initial(const protocol::parameter_values_ptr& values) {
  const auto known = welcomes_.find({});
  if (known != welcomes_.end() && known->second.values && *known->second.values == *values) return;
  welcomes_.clear();
  learn({{}, values, nullptr});
  node_.welcomes.remember(welcome_name(), welcomes_[{}].values);
}

/// The pool and its target, for the node's cache.
std::string share::welcome_name() const {
  const auto settings = pool_->settings();
  std::string name;
  for (const std::string& part : {pool_->name.tenant, pool_->name.database, pool_->name.user, settings->host,
                                  std::to_string(settings->port), settings->dbname})
    name.append(part).push_back('\0');
  return name;
}

protocol::parameter_values_ptr share::kept_values() const {
  const auto own = welcomes_.find({});
  return own != welcomes_.end() ? own->second.values : node_.welcomes.find(welcome_name());
}

bool share::without_server() const {
  return permits_.count(server_state::idle) == 0 && permits_.count(server_state::busy) == 0;
}

/// Its last login attempt has just failed, for a reason that may pass.
bool share::server_is_away() const {
  const bool refused = !lasting_error_.empty() && home().now() < lasting_until_;
  return without_server() && !refused && home().now() < retry_at_;
}

/// Logins that wait for a server only to learn what their session begins with take what is kept instead.
void share::welcome_waiters(clock::duration least_wait) {
  if (!paused_ && !without_server()) return;
  protocol::parameter_values_ptr kept;
  for (auto place = waiters_.begin(); place != waiters_.end();) {
    const auto here = place++;
    if (!here->who->awaits_welcome() || home().now() - here->since < least_wait) continue;
    if (!kept) kept = kept_values();
    if (!kept) return;
    send(caf::actor_cast<caf::actor>(here->client), welcome{kept, nullptr, true, here->epoch});
    waiting_.erase(here->who);
    waiters_.erase(here);
  }
}

} // namespace pg_edge::actors
