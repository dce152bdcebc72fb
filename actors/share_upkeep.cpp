// What a share does by the clock and for those who look: time-outs, settings, snapshots.
#include "actors/client.hpp"
#include "actors/log.hpp"
#include "actors/share.hpp"
#include "protocol/errors.hpp"
#include "protocol/frame.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace pg_edge::actors {

using cluster::server_state;

namespace {

constexpr std::chrono::milliseconds busy_tick{100};
constexpr std::chrono::milliseconds quiet_tick{1000};

/// How long a login waits for a server that does not answer before the values of an earlier one do.
constexpr std::chrono::milliseconds welcome_patience{1000};

/// Whether a server made with one of them is as good as one made with the other. The password does not count: Postgres
/// keeps a session whose user's password has changed, and so its rotation does not cost the pool its servers.
bool same_target(const config::pool_settings& a, const config::pool_settings& b) {
  return a.host == b.host && a.port == b.port && a.dbname == b.dbname && a.server_user == b.server_user &&
         a.server_tls_sslmode == b.server_tls_sslmode && a.server_tls_ca_file == b.server_tls_ca_file &&
         a.server_tls_cert_file == b.server_tls_cert_file && a.server_tls_key_file == b.server_tls_key_file &&
         a.server_tls_protocols == b.server_tls_protocols && a.server_tls_ciphers == b.server_tls_ciphers &&
         a.server_tls13_ciphers == b.server_tls13_ciphers && a.server_parameters == b.server_parameters &&
         a.connect_query == b.connect_query;
}

/// "2" or "0.3".
std::string seconds_text(config::duration span) {
  const auto tenths = std::chrono::duration_cast<std::chrono::milliseconds>(span).count() / 100;
  return std::to_string(tenths / 10) + (tenths % 10 == 0 ? "" : "." + std::to_string(tenths % 10));
}

} // namespace

// -- the clock
// -------------------------------------------------------------------------------------------------------------

void share::arm_tick() {
  const bool busy = suspended_ || !waiters_.empty() || permits_.count(server_state::busy) > 0;
  tick_is_quiet_ = !busy;
  if (busy || !servers_.empty() || may_become_unused() || !cancel_queue_.empty() || permits_.missing() > 0)
    home().schedule(tick_, home().now() + (busy ? busy_tick : quiet_tick));
}

void share::tick() {
  const auto now = home().now();
  home().schedule(tick_, now + quiet_tick); // an exception below must not be the end of all time-outs
  tick_is_quiet_ = true;
  if (suspended_) { // nobody can help being late
    obey_suspension();
  } else {
    check_waiters(now);
    check_servers(now);
    check_reserve(now);
    check_unused(now);
    look_for_departure();
    give_room();
  }
  act();
  home().cancel(tick_);
  arm_tick();
}

/// Its last client has left, and the steward does not know yet that it may be done without.
bool share::may_become_unused() const {
  const auto settings = pool_->settings();
  return settings->pool_idle_timeout.count() > 0 && settings->min_pool_size == 0 && client_count_ == 0 &&
         waiters_.empty() && told_left_ != clients_left_;
}

/// pool_idle_timeout: first the servers go, and when Postgres has closed the last of them the pool may.
void share::check_unused(clock::time_point now) {
  if (!may_become_unused() || now - unused_since_ < pool_->settings()->pool_idle_timeout) return;
  close_idle("pool_idle_timeout");
  if (!servers_.empty()) return;
  told_left_ = clients_left_;
  send(steward_, share_unused{permits_.key().share, clients_left_});
}

/// For people who ask why they wait: the limit over several pools that is reached, else the pool's own size.
share::limit_text share::limit_in_the_way() {
  const auto settings = pool_->settings();
  const auto say = [&](std::string_view name, int value, std::optional<int> config::overrides::*member) {
    return limit_text{std::string(name) + " = " + std::to_string(value),
                      config::setting_place(member, *node_.settings()->values, pool_->name.tenant, pool_->name.database,
                                            pool_->name.user)};
  };
  using o = config::overrides;
  const auto blocked = seat_->asked() ? seat_->blocked_by() : std::nullopt;
  if (blocked == cluster::limit_kind::tenant)
    return say("max_tenant_connections", settings->max_tenant_connections, &o::max_tenant_connections);
  if (blocked == cluster::limit_kind::database)
    return say("max_db_connections", settings->max_db_connections, &o::max_db_connections);
  if (blocked == cluster::limit_kind::user)
    return say("max_user_connections", settings->max_user_connections, &o::max_user_connections);
  const limit_text size = say("pool_size", settings->pool_size, &o::pool_size);
  const bool own = size.place.find("databases.") != std::string::npos || size.place.find("users.") != std::string::npos;
  return !own ? limit_text{"default_" + size.text, size.place} : size;
}

/// query_wait_notify: why it waits, and behind whom.
protocol::bytes share::queue_notice(queue::iterator whom) {
  const std::string place = "Its place in the queue is " + std::to_string(std::distance(waiters_.begin(), whom) + 1) +
                            " of " + std::to_string(waiters_.size());
  if (paused_)
    return protocol::make_notice("database \"" + pool_->name.database + "\" is paused, client being queued",
                                 place + "; RESUME on the admin console lets it go on.");
  const std::string trouble = trouble_text();
  const limit_text in_the_way = limit_in_the_way();
  const std::string why = trouble.empty() ? "servers are limited by " + in_the_way.text + ", set in " + in_the_way.place
                                          : "no further connection to the server can be opened, " + trouble;
  return protocol::make_notice("No server connection available in the pool at the moment, client being queued",
                               place + "; " + why + ".");
}

void share::check_waiters(clock::time_point now) {
  welcome_waiters(welcome_patience);
  for (auto place = waiters_.begin(); place != waiters_.end();) {
    const auto here = place++;
    const config::pool_settings& limits = here->who->limits();
    const auto waited = now - here->since;
    if (limits.query_wait_timeout.count() > 0 && waited >= limits.query_wait_timeout) {
      time_out(here);
    } else if (!here->notified && limits.query_wait_notify.count() > 0 && waited >= limits.query_wait_notify) {
      here->notified = true;
      send(caf::actor_cast<caf::actor>(here->client), wait_notice{queue_notice(here), here->epoch});
    }
  }
}

/// query_wait_timeout, with the reason why no server came: the limit that is reached, or what the server said last.
void share::time_out(queue::iterator whom) {
  const std::string pool = pool_->name.database + "/" + pool_->name.user;
  const std::string seconds = seconds_text(whom->who->limits().query_wait_timeout);
  const std::string place = config::setting_place(&config::overrides::query_wait_timeout, *node_.settings()->values,
                                                  pool_->name.tenant, pool_->name.database, whom->who->user());
  const std::string trouble = trouble_text();
  const limit_text in_the_way = limit_in_the_way();
  if (whom->opening != nullptr) close(*whom->opening, "query_wait_timeout");
  using protocol::error_code;
  if (paused_)
    return refuse(whom,
                  protocol::make_error(error_code::query_wait_timeout_paused, {seconds, pool_->name.database, place}));
  refuse(whom, trouble.empty()
                   ? protocol::make_error(error_code::query_wait_timeout,
                                          {seconds, pool, place, in_the_way.text, in_the_way.place})
                   : protocol::make_error(error_code::query_wait_timeout_away, {seconds, pool, place, trouble}));
}

/// A host name has lost addresses: servers at those go when they are free.
void share::leave_old_addresses() {
  const auto version = node_.hosts.version();
  if (std::exchange(seen_addresses_, version) == version) return;
  for (auto& [what, entry] : servers_)
    if (!what->reconnect_wanted && node_.hosts.moved(what->address())) what->want_reconnect();
}

void share::check_servers(clock::time_point now) {
  leave_old_addresses();
  const auto settings = pool_->settings();
  const auto least = static_cast<std::size_t>(std::max(settings->min_pool_size, 0));
  std::vector<server*> too_old;
  for (auto& [what, entry] : servers_) {
    if (entry.state == server_state::busy && what->linked() != nullptr) too_old.push_back(what);
  }
  end_interrupted_sessions();
  for (server* what : too_old) // a client that ends here changes servers_ only by messages
    if (what->linked() != nullptr) what->linked()->check_times(now);
  too_old.clear();
  for (server* what : idle_) {
    const bool idle_too_long = settings->server_idle_timeout.count() > 0 &&
                               now - what->idle_since() >= settings->server_idle_timeout &&
                               servers_.size() - too_old.size() > least;
    if (idle_too_long || expired(*what) || what->reconnect_wanted) too_old.push_back(what);
  }
  for (server* what : too_old)
    close(*what, expired(*what) ? "server_lifetime" : what->reconnect_wanted ? "reconnect" : "server_idle_timeout");
}

/// reserve_pool_size: asks the steward for permits beyond pool_size while clients wait too long, and tells it when they
/// are not needed any more.
void share::check_reserve(clock::time_point now) {
  if (!waiters_.empty()) last_wait_ = now;
  const auto settings = pool_->settings();
  const auto limit = settings->reserve_pool_timeout;
  if (paused_) return;
  if (settings->reserve_pool_size <= 0 || limit.count() <= 0) return;
  const auto overdue = static_cast<std::uint32_t>(
      std::count_if(waiters_.begin(), waiters_.end(), [&](const waiter& one) { return now - one.since >= limit; }));
  const std::uint32_t on_the_way = permits_.free() + permits_.count(server_state::opening);
  if (overdue > on_the_way) return send(steward_, reserve_wish{overdue - on_the_way, 0});
  const auto idle = static_cast<std::uint32_t>(idle_.size());
  if (idle > 0 && pool_->reserve_used.load(std::memory_order_relaxed) > 0 && now - last_wait_ >= limit)
    send(steward_, reserve_wish{0, idle});
}

// -- settings
// --------------------------------------------------------------------------------------------------------------

std::shared_ptr<const config::pool_settings> share::limits_for(const std::string& user) {
  auto& known = limits_[user];
  if (known) return known;
  const auto all = node_.settings()->values;
  const auto route = config::find_route(*all, pool_->name.tenant, pool_->name.database, user);
  known = route ? std::make_shared<const config::pool_settings>(config::resolve_pool(
                      *all, *route->tenant, *route->database, pool_->name.database, pool_->name.user, route->user))
                : pool_->settings();
  return known;
}

void share::on_settings() {
  const auto settings = pool_->settings();
  sharing_rules_.max_server_statements = static_cast<std::size_t>(std::max(settings->max_prepared_statements, 1));
  sharing_rules_.max_message = plain_rules_.max_message =
      static_cast<std::size_t>(node_.settings()->values->max_packet_size);
  const auto parts = pool_->shares.load();
  take_seats();
  const config::settings& all = *node_.settings()->values;
  const auto limit = [](std::uint64_t value) {
    return value == 0 ? std::numeric_limits<std::size_t>::max() : static_cast<std::size_t>(value);
  };
  sharing_rules_.max_client_statements = plain_rules_.max_client_statements =
      limit(static_cast<std::uint64_t>(std::max(all.max_client_statements, 0)));
  sharing_rules_.max_client_memory = plain_rules_.max_client_memory = limit(all.max_client_memory.bytes);
  seat_->set_maxima(maxima_of(*settings));
  permits_.set_minimum((static_cast<std::uint32_t>(std::max(settings->min_pool_size, 0)) + parts - 1) / parts);
  limits_.clear();
  for (list_link* link = clients_.next(); link != &clients_; link = link->next()) {
    client& who = static_cast<owned_link<client>*>(link)->owner;
    who.set_limits(limits_for(who.user()));
  }
  if (seen_settings_ && seen_settings_->server_secret != settings->server_secret) forget_failure();
  if (seen_settings_ && !same_target(*seen_settings_, *settings)) {
    welcomes_.clear();
    forget_failure();
    for (auto& [what, entry] : servers_) // those in use finish first
      if (entry.arriving)
        entry.outdated = true; // it is still another reactor's
      else
        what->want_reconnect();
    close_idle("the settings of its target changed");
  }
  seen_settings_ = settings;
  end_interrupted_sessions();
  check_unused(home().now());
  act();
}

/// server_fast_close: a session whose server is to be closed ends with its transaction, not when the client likes.
/// Replication ends at once, as in pgbouncer: it is never released, and its clients come again by themselves.
void share::end_interrupted_sessions() {
  const bool fast = node_.settings()->values->server_fast_close;
  for (auto& [what, entry] : servers_) {
    client* whose = entry.state == server_state::busy ? what->linked() : nullptr;
    if (whose == nullptr || !what->reconnect_wanted || what->client_told) continue;
    if (!fast && !what->replication()) continue;
    what->client_told = true;
    if (what->replication()) {
      send(caf::actor_cast<caf::actor>(whose),
           end_client{protocol::make_error(protocol::error_code::server_replaced), false});
      continue;
    }
    if (whose->limits().mode != config::pool_mode::session) continue; // goes at its check-in, which is near
    send(caf::actor_cast<caf::actor>(whose),
         end_client{protocol::make_error(protocol::error_code::server_replaced), true});
  }
}

void share::on_end_clients(const end_clients& message) {
  for (list_link* link = clients_.next(); link != &clients_; link = link->next()) {
    client& who = static_cast<owned_link<client>*>(link)->owner;
    const bool stands_still = paused_ && who.step() == client_step::waiting; // it would wait for ever, and sent nothing
    send(caf::actor_cast<caf::actor>(&who), end_client{message.error, message.at_transaction_end && !stands_still});
  }
}

// -- for the console
// ---------------------------------------------------------------------------------------------------------

server_row share::row_of(const server& what) const {
  server_row row;
  row.id = what.number();
  row.tenant = pool_->name.tenant;
  row.user = pool_->name.user;
  row.database = pool_->name.database;
  const auto [peer, local] = what.addresses();
  row.addr = peer.host;
  row.port = peer.port;
  row.local_addr = local.host;
  row.local_port = local.port;
  row.connect_time = what.connect_time();
  const auto since = home().now() - std::max(what.assigned_at(), what.idle_since());
  row.request_time =
      std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(since);
  row.remote_pid = what.process_id();
  row.link = what.linked() == nullptr ? 0 : what.linked()->number();
  row.tls = what.tls_info();
  if (what.replication()) row.replication = what.logical_replication() ? "logical" : "physical";
  row.close_needed = what.reconnect_wanted || what.step() == server_step::closing;
  row.prepared_statements = const_cast<server&>(what).session().statements.size();
  if (const auto values = const_cast<server&>(what).session().values)
    row.application_name = values->get("application_name");
  row.values = const_cast<server&>(what).session().values;
  row.fd = what.descriptor();
  row.unread_bytes = what.unread_bytes();
  row.unsent_bytes = what.unsent_bytes();
  switch (what.step()) {
  case server_step::idle: {
    const auto settings = pool_->settings();
    const bool check_due =
        !settings->server_check_query.empty() && home().now() - what.idle_since() >= settings->server_check_delay;
    row.state = check_due ? "used" : "idle";
    break;
  }
  case server_step::moving:
    row.state = "idle";
    break;
  case server_step::assigned:
  case server_step::restoring:
    row.state = what.cancel_under_way() ? "being_canceled" : "active";
    break;
  case server_step::awaiting_cancels:
    row.state = "being_canceled";
    break;
  case server_step::rolling_back:
  case server_step::resetting:
  case server_step::checking:
    row.state = "tested";
    break;
  case server_step::closing:
  case server_step::gone:
    row.state = "closing";
    break;
  default:
    row.state = "login";
  }
  return row;
}

std::vector<statement_use> share::statements_in_use() const {
  std::unordered_map<std::uint64_t, statement_use> by_id;
  for (const auto& [one, entry] : servers_)
    for (const auto& known : one->session().statements.entries()) {
      if (known.what == nullptr || known.batch != 0) continue;
      statement_use& sum = by_id[known.what->id];
      sum.what = known.what;
      ++sum.servers;
      sum.uses += known.uses;
    }
  std::vector<statement_use> result;
  result.reserve(by_id.size());
  for (auto& [id, sum] : by_id)
    result.push_back(std::move(sum));
  return result;
}

share_snapshot share::snapshot(const take_snapshot& what) {
  share_snapshot result;
  result.pool = pool_;
  result.reactor = home().index();
  result.permits = permits_.held();
  for (const auto& [one, entry] : servers_) {
    const server_row row = row_of(*one);
    auto& count = row.state == "idle"             ? result.sv_idle
                  : row.state == "active"         ? result.sv_active
                  : row.state == "being_canceled" ? result.sv_being_canceled
                  : row.state == "tested"         ? result.sv_tested
                  : row.state == "login"          ? result.sv_login
                  : row.state == "used"           ? result.sv_used
                                                  : result.sv_closing;
    ++count;
    if (what.servers) result.servers.push_back(row);
  }
  if (what.statements) result.statements = statements_in_use();
  result.sv_active_cancel = cancels_open_;
  result.cl_active_cancel_req = cancels_open_;
  result.cl_waiting_cancel_req = static_cast<std::uint32_t>(cancel_queue_.size());
  result.cl_waiting = static_cast<std::uint32_t>(waiters_.size());
  result.cl_active = client_count_ - std::min(client_count_, result.cl_waiting);
  if (!waiters_.empty())
    result.maxwait = std::chrono::duration_cast<std::chrono::microseconds>(home().now() - waiters_.front().since);
  result.counts = all_counts();
  if (what.clients)
    for (list_link* link = clients_.next(); link != &clients_; link = link->next())
      result.clients.push_back(static_cast<owned_link<client>*>(link)->owner.row());
  return result;
}

} // namespace pg_edge::actors
