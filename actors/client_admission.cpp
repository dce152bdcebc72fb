// Whether a client may come in: whose it is and what it asks for, what keeps it out before it is asked for a password,
// and what only those may learn who have proved who they are. docs/tenants.md says why which comes when.
#include "actors/client_login_state.hpp"
#include "actors/client_relay_state.hpp"
#include "actors/tls_context.hpp"
#include "config/network.hpp"

namespace pg_edge::actors {

namespace {

bool is_yes(std::string_view text) {
  return text == "true" || text == "on" || text == "yes" || text == "1" || text == "t" || text == "y";
}

} // namespace

void client::begin_login(protocol::startup_message message) {
  login_->version = protocol::negotiate(message);
  login_->start_up = std::move(message);
  if (login_->version.must_answer) {
    protocol::bytes answer;
    protocol::append_negotiation(answer, login_->version);
    write(answer);
  }
  if (!choose_tenant()) return;
  choose_database();
  note_replication();
  const tls_mode_row& tls = actors::describe(login_->tls->mode);
  if (tls.tls_required && !socket_.tls()) return fail(protocol::error_code::ssl_required);
  if (!admitted() || throttled()) return;
  set_step(client_step::authenticating);
  choose_method();
}

// -- whose it is
// ---------------------------------------------------------------------------------------------------------------

void client::note_replication() {
  const auto wanted = login_->start_up.find("replication");
  if (!wanted) return;
  logical_replication_ = *wanted == "database";
  replication_ = logical_replication_ || is_yes(*wanted);
}

/// Takes the tenant's name out of the start-up packet: Postgres must not see it. False: refused. A tenant that does not
/// exist is nobody's, where a login goes as for a user who does not exist.
bool client::choose_tenant() {
  const config::settings& settings = *login_->settings->values;
  login_->asked_user = login_->start_up.user();
  config::tenant_signs signs;
  if (login_->door != nullptr) signs.listener = login_->door->tenant;
  signs.server_name = login_->tls_server_name;
  signs.user = login_->asked_user;
  if (!settings.tenants.empty())
    for (auto& [name, value] : login_->start_up.parameters)
      if (name == "options") {
        auto stripped = config::strip_tenant_options(value);
        value = std::move(stripped.rest);
        signs.options = std::move(stripped.tenants); // the last one counts, as in Postgres
      }
  config::tenant_choice choice = config::choose_tenant(settings, login_->settings->server_names, signs);
  login_->tenant = choice.found == nullptr ? &config::nobody() : choice.found;
  login_->tenant_signs = std::move(choice.signs);
  login_->tenant_problem = std::move(choice.hidden_reason);
  if (choice.source != config::tenant_source::user) login_->tenant_asked = std::move(choice.asked);
  user_ = std::move(choice.user);
  if (!choice.open_conflict) return true;
  const auto text = [](const config::tenant_choice::named& one) {
    return "\"" + one.name + "\" " + std::string(config::describe(one.source));
  };
  fail(protocol::error_code::tenant_conflict, {text(choice.open_conflict->first), text(choice.open_conflict->second)});
  return false;
}

void client::choose_database() {
  const auto asked = login_->start_up.find("database");
  database_ = asked && !asked->empty()                   ? std::string(*asked)
              : login_->tenant->default_database.empty() ? user_
                                                         : login_->tenant->default_database;
}

std::string_view client::tenant_name() const {
  if (pool_ != nullptr) return pool_->name.tenant;
  if (relay_ != nullptr) return relay_->request.tenant;
  if (login_ == nullptr || login_->tenant == nullptr) return config::default_tenant_name; // the console's
  return login_->tenant == &config::nobody() ? std::string_view(login_->tenant_asked) : login_->tenant->name;
}

// -- before the password
// -------------------------------------------------------------------------------------------------------

/// Limits that come before the password, as in pgbouncer: checking passwords is what a flood would cost. A Unix socket
/// crosses no network, so neither TLS nor an address is asked of it.
bool client::admitted() {
  const config::settings& settings = *login_->settings->values;
  const config::tenant& tenant = *login_->tenant;
  const bool local = !config::parse_address(peer_.host).has_value();
  const auto refuse = [this](protocol::error_code code, std::initializer_list<std::string_view> args = {}) {
    fail(code, args);
    return false;
  };
  if (const auto ban = node_.settings()->bans->of_address(peer_.host, std::chrono::system_clock::now()))
    return refuse(protocol::error_code::tenant_banned, {"address " + peer_.host, *ban});
  if (!local && tenant.client_tls_required && !socket_.tls()) return refuse(protocol::error_code::ssl_required);
  if (!local && !tenant.allowed_addresses.empty() && !config::any_contains(tenant.allowed_addresses, peer_.host))
    return refuse(protocol::error_code::address_not_allowed, {peer_.host, login_->asked_user, database_});
  if (node_.draining.load(std::memory_order_relaxed)) return refuse(protocol::error_code::not_accepting);
  const bool console_user = config::is_console_name(database_) && &tenant == &settings.default_tenant;
  return console_user || room_for_one_more();
}

/// In the node as a whole. Not asked of the console, which is needed most when there is none.
bool client::room_for_one_more() {
  const config::settings& settings = *login_->settings->values;
  if (node_.sessions.load(std::memory_order_relaxed) >= settings.max_client_conn) {
    fail(protocol::error_code::too_many_clients,
         {"max_client_conn", std::to_string(settings.max_client_conn), "[pg_edge]"});
    return false;
  }
  if (node_.descriptors.clients > 0 && socket_.fd() >= node_.descriptors.clients) {
    fail(protocol::error_code::too_many_clients,
         {"the limit of open files, RLIMIT_NOFILE,", std::to_string(node_.descriptors.all), "what starts pg_edge"});
    return false;
  }
  if (node_.memory.state.load(std::memory_order_relaxed) == cluster::memory_state::calm) return true;
  fail(protocol::error_code::memory_refused, {std::to_string(settings.memory_limit.bytes),
                                              std::to_string(node_.memory.used.load(std::memory_order_relaxed))});
  return false;
}

/// Too many failures before: refused without looking at the password, right or wrong.
bool client::throttled() {
  if (login_->settings->values->auth_failure_limit == 0) return false;
  const auto key = login_throttle::key(peer_.host, login_->tenant_asked, login_->asked_user);
  const auto left = node_.throttle.refused_for(key, home().now());
  if (!left) return false;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(*left).count();
  fail(protocol::error_code::too_many_failures, {login_->asked_user, peer_.host, std::to_string(seconds)});
  return true;
}

// -- logins under way
// -----------------------------------------------------------------------------------------------------------

namespace {

/// Of this thread's reactor, oldest first.
struct under_way {
  list_link all;
  std::size_t count = 0;
};
under_way& logins_here() {
  thread_local under_way here;
  return here;
}

} // namespace

/// Who has not shown who he is does not count in max_client_conn, or silence would keep others out. There are no more
/// of these than a reactor has room for: a login takes moments, so the one that has had longest goes.
void client::login_begins() {
  under_way& here = logins_here();
  const auto reactors = static_cast<int>(std::max<std::size_t>(node_.reactors.size(), 1));
  const int spare = node_.descriptors.all > 0 ? std::max(4, node_.descriptors.all / 8 / reactors) : 1'000'000;
  const std::size_t most = std::min(login_state::most_under_way, static_cast<std::size_t>(spare));
  if (here.count >= most)
    static_cast<owned_link<client>*>(here.all.next())
        ->owner.fail(protocol::error_code::too_many_logins, {std::to_string(most)});
  here.all.push_back(attachment_);
  ++here.count;
  login_listed_ = true;
}

void client::login_is_over() {
  if (!std::exchange(login_listed_, false)) return;
  attachment_.unlink();
  --logins_here().count;
}

/// A place among max_client_conn.
bool client::take_session() {
  const int most = node_.settings()->values->max_client_conn;
  if (node_.sessions.fetch_add(1, std::memory_order_relaxed) < most) {
    session_counted_ = true;
    return true;
  }
  node_.sessions.fetch_sub(1, std::memory_order_relaxed);
  fail(protocol::error_code::too_many_clients, {"max_client_conn", std::to_string(most), "[pg_edge]"});
  return false;
}

void client::note_login(bool succeeded) {
  const config::settings& settings = *login_->settings->values;
  const auto key = login_throttle::key(peer_.host, login_->tenant_asked, login_->asked_user);
  if (succeeded) return node_.throttle.succeeded(key);
  node_.throttle.failed(key, home().now(), settings.auth_failure_limit, settings.auth_failure_window);
}

/// The same for a wrong password, an unknown user, an unknown tenant and signs of two tenants. It names the user as the
/// client did, since what is left of the name would show that its end is a tenant.
protocol::bytes client::password_refusal() const {
  if (login_->method == config::auth_type::pam)
    return protocol::make_error(protocol::error_code::pam_failed, {login_->asked_user});
  if (login_->tenant_signs.empty())
    return protocol::make_error(protocol::error_code::password_failed, {login_->asked_user});
  return protocol::make_error(protocol::error_code::password_failed_signs, {login_->asked_user, login_->tenant_signs});
}

// -- behind the password
// -------------------------------------------------------------------------------------------------------

/// As the settings are now, not as they were when the client came: nobody slips in past a reload. Asked again when the
/// client is where end_clients finds it.
bool client::tenant_lets_in() {
  if (login_->tenant == &config::nobody()) return true; // it has no database to go to
  const auto settings = node_.settings();
  const config::tenant* now = config::find_tenant(*settings->values, login_->tenant->name);
  if (now == nullptr) {
    fail(protocol::error_code::tenant_closed, {"its tenant has been removed"});
    return false;
  }
  const auto ban = config::ban_text(now->banned, now->banned_until, std::chrono::system_clock::now());
  if (ban) fail(protocol::error_code::tenant_banned, {"tenant \"" + now->name + "\"", *ban});
  if (ban) return false;
  const auto other = ban_now();
  if (other) fail(protocol::error_code::tenant_banned, {other->first, other->second});
  return !other;
}

/// By BAN or the API: who is banned, and until when and why.
std::optional<std::pair<std::string, std::string>> client::ban_now() const {
  const auto bans = node_.settings()->bans;
  if (bans->empty()) return std::nullopt;
  const auto now = std::chrono::system_clock::now();
  const std::string tenant{tenant_name()};
  if (auto text = bans->of_tenant(tenant, now)) return std::pair{"tenant \"" + tenant + "\"", std::move(*text)};
  if (auto text = bans->of_user(tenant, user_, now)) return std::pair{"user \"" + user_ + "\"", std::move(*text)};
  if (auto text = bans->of_address(peer_.host, now)) return std::pair{"address " + peer_.host, std::move(*text)};
  return std::nullopt;
}

void client::look_at_bans() {
  const auto ban = ban_now();
  if (!ban) return;
  fail(between_transactions() ? protocol::error_code::tenant_closed : protocol::error_code::tenant_closed_unknown,
       {ban->first + " is banned" + ban->second});
}

/// The limits of clients, as the settings are now.
bool client::take_seat(const config::route& way) {
  const auto settings = node_.settings();
  const auto now = config::find_route(*settings->values, way.tenant->name, way.database_name, user_);
  const config::route& use = now ? *now : way;
  client_limit_reached reached;
  seat_ =
      node_.seats.take({use.tenant->name, use.database_name, user_},
                       config::resolve_client_limits(*settings->values, *use.tenant, *use.database, use.user), reached);
  if (!seat_)
    fail(protocol::error_code::client_limit,
         {reached.setting, std::to_string(reached.value), where_set(use, reached.setting)});
  return static_cast<bool>(seat_);
}

} // namespace pg_edge::actors
