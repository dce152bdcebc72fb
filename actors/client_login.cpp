// A client's way in: first bytes, TLS, the start-up packet, authentication, and the parameters its session begins with.
#include "actors/client_login_state.hpp"
#include "actors/log.hpp"
#include "actors/random.hpp"
#include "actors/share.hpp"
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"
#include "protocol/password.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>

namespace pg_edge::actors {

namespace {

constexpr protocol::bytes_view http_answer =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    "This port speaks the PostgreSQL protocol, not HTTP.\r\n";

/// Postgres cuts an application_name off behind this many bytes.
constexpr std::size_t max_application_name = 63;

/// A login message longer than this is none.
constexpr std::size_t auth_message_limit = protocol::max_auth_frame_length;

protocol::auth_method method_for(config::auth_type type, protocol::secret_kind stored) {
  switch (type) {
  case config::auth_type::any:
  case config::auth_type::trust:
    return protocol::auth_method::trust;
  case config::auth_type::plain:
    return protocol::auth_method::cleartext;
  case config::auth_type::md5: // pgbouncer: a SCRAM verifier is used as such
    return stored == protocol::secret_kind::scram ? protocol::auth_method::scram : protocol::auth_method::md5;
  case config::auth_type::scram_sha_256:
    break;
  }
  return protocol::auth_method::scram;
}

bool is_yes(std::string_view text) {
  return text == "true" || text == "on" || text == "yes" || text == "1" || text == "t" || text == "y";
}

/// What every session begins with once the client has proved who it is. `values`: pairs of name and value; `notice`:
/// login_notify_message.
protocol::bytes session_opening(const auto& values, const cluster::cancel_key& key, const std::string& notice) {
  protocol::bytes out;
  append(out, protocol::authentication_ok{});
  for (const auto& [name, value] : values)
    append(out, protocol::parameter_status{name, value});
  append(out, protocol::backend_key_data{key.process_id, key.secret});
  if (!notice.empty()) out += protocol::make_notice(notice);
  append(out, protocol::ready_for_query{'I'});
  return out;
}

} // namespace

// -- first bytes
// -----------------------------------------------------------------------------------------------------------

bool client::on_first_bytes() {
  char first[8];
  const ssize_t got = ::recv(socket_.fd(), first, sizeof first, MSG_PEEK);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return false;
  if (got <= 0) {
    leave(""); // health checks of load balancers connect and go: not worth a line
    return false;
  }
  switch (protocol::classify_first_bytes({first, static_cast<std::size_t>(got)})) {
  case protocol::first_bytes::need_more:
    return false; // looked at again when more has come
  case protocol::first_bytes::direct_tls:
    if (login_->settings->client_tls == nullptr) {
      leave("direct TLS, and client_tls_sslmode is disable");
      return false;
    }
    set_step(client_step::handshaking);
    begin_accept_tls(*login_->settings->client_tls, true);
    return false;
  case protocol::first_bytes::http:
    write(http_answer);
    // Closing with bytes unread sends a reset, which can overtake the answer.
    char unread[16 * 1024];
    static_cast<void>(::recv(socket_.fd(), unread, sizeof unread, MSG_DONTWAIT));
    leave("HTTP on the Postgres port");
    return false;
  default:
    return true;
  }
}

void client::on_handshake() {
  set_step(client_step::starting);
}

std::size_t client::read_start_up(protocol::bytes_view in) {
  std::size_t used = 0;
  while (step_ == client_step::starting) {
    const protocol::bytes_view rest = in.substr(used);
    std::size_t length = 0;
    const auto status = protocol::read_startup_length(rest, length);
    if (status == protocol::header_status::need_more) return used;
    if (status == protocol::header_status::invalid) {
      const protocol::startup_error error = protocol::startup_length_error(length);
      fail(error.response(), error.text());
      return in.size();
    }
    if (rest.size() < length) return used;
    used += start_up_packet(rest.substr(0, length), rest.size() > length);
  }
  return step_ == client_step::leaving || step_ == client_step::gone ? in.size() : used;
}

std::size_t client::start_up_packet(protocol::bytes_view packet, bool more_behind) {
  protocol::startup_packet parsed = protocol::parse_startup(packet);
  if (auto* error = std::get_if<protocol::startup_error>(&parsed)) {
    fail(error->response(), error->text());
  } else if (std::holds_alternative<protocol::ssl_request>(parsed)) {
    answer_ssl_request(more_behind);
  } else if (std::holds_alternative<protocol::gssenc_request>(parsed)) {
    if (more_behind)
      fail(protocol::error_code::startup_packet_invalid, {"unencrypted data after GSSAPI encryption request"});
    else
      write("N");
  } else if (auto* request = std::get_if<protocol::cancel_request>(&parsed)) {
    begin_cancel(*request);
  } else {
    begin_login(std::get<protocol::startup_message>(std::move(parsed)));
  }
  return packet.size();
}

void client::answer_ssl_request(bool more_behind) {
  if (more_behind || socket_.tls() || login_->asked_encryption)
    return fail(protocol::error_code::startup_packet_invalid,
                {more_behind ? "unencrypted data after SSL request" : "a second SSL request"});
  login_->asked_encryption = true;
  const bool offered = login_->settings->client_tls != nullptr;
  write(offered ? "S" : "N");
  if (!offered) return;
  set_step(client_step::handshaking);
  begin_accept_tls(*login_->settings->client_tls, false);
}

/// The connection exists only to cancel somebody's query, and is closed when that has been passed on.
void client::begin_cancel(const protocol::cancel_request& request) {
  set_step(client_step::cancelling);
  const caf::actor whom = node_.cancels.find(request.process_id, request.key);
  if (!whom) return leave("cancel request with a wrong key");
  const auto limit = login_->settings->values->cancel_wait_timeout;
  if (limit.count() > 0) home().schedule(deadline_, home().now() + limit);
  send(whom, cancel_client{caf::actor_cast<caf::actor>(this)});
}

// -- who it is
// -------------------------------------------------------------------------------------------------------------

void client::begin_login(protocol::startup_message message) {
  const config::settings& settings = *login_->settings->values;
  user_.assign(message.user());
  database_.assign(message.database());
  login_->version = protocol::negotiate(message);
  login_->start_up = std::move(message);
  if (login_->version.must_answer) {
    protocol::bytes answer;
    protocol::append_negotiation(answer, login_->version);
    write(answer);
  }
  if (const auto wanted = login_->start_up.find("replication")) {
    logical_replication_ = *wanted == "database";
    replication_ = logical_replication_ || is_yes(*wanted);
  }
  const tls_mode_row& tls = describe(settings.client_tls_sslmode);
  if (tls.tls_required && !socket_.tls()) return fail(protocol::error_code::ssl_required);
  if (!admitted()) return;
  begin_auth();
}

/// Limits that come before the password, as in pgbouncer: checking passwords is what a flood would cost.
bool client::admitted() {
  const config::settings& settings = *login_->settings->values;
  const bool console_user = config::is_console_name(database_);
  if (node_.draining.load(std::memory_order_relaxed)) {
    fail(protocol::error_code::not_accepting);
    return false;
  }
  if (!console_user && node_.clients.load(std::memory_order_relaxed) > settings.max_client_conn) {
    fail(protocol::error_code::too_many_clients,
         {"max_client_conn", std::to_string(settings.max_client_conn), "[pg_edge]"});
    return false;
  }
  return true;
}

void client::begin_auth() {
  const config::settings& settings = *login_->settings->values;
  const config::tenant& tenant = settings.default_tenant;
  const auto found = tenant.users.find(user_);
  const bool known = found != tenant.users.end();
  const std::string secret = known ? found->second.secret : std::string();
  const protocol::auth_method method = method_for(settings.auth_type, protocol::classify_secret(secret));
  if (method == protocol::auth_method::trust && !known && settings.auth_type != config::auth_type::any)
    return fail(protocol::error_code::password_failed, {user_});
  login_->auth = std::make_unique<protocol::client_auth>(
      protocol::client_auth::identity{user_, secret, method, settings.scram_iterations}, random_nonce(),
      random_bytes(protocol::md5_salt_size), node_.secret);
  set_step(client_step::authenticating);
  auth_step(login_->auth->begin());
}

std::size_t client::read_auth(protocol::bytes_view in) {
  std::size_t used = 0;
  while (step_ == client_step::authenticating && !login_->busy) {
    protocol::frame_header header;
    const auto status = protocol::read_header(in.substr(used), header);
    if (status == protocol::header_status::need_more) return used;
    if (status == protocol::header_status::invalid || header.total() > auth_message_limit || header.type != 'p') {
      if (header.type == 'X')
        leave("the client said goodbye during login");
      else
        fail(protocol::error_code::invalid_auth_response, {"expected a password message"});
      return in.size();
    }
    if (in.size() - used < header.total()) return used;
    const protocol::bytes_view body = in.substr(used + protocol::frame_header_size, header.body());
    used += header.total();
    auth_step(login_->auth->answer(body));
  }
  return step_ == client_step::leaving || step_ == client_step::gone ? in.size() : used;
}

void client::auth_step(protocol::client_auth::step step) {
  using verdict = protocol::client_auth::verdict;
  if (!step.send.empty()) write(step.send);
  switch (step.now) {
  case verdict::more:
    return;
  case verdict::derive:
    return derive_keys();
  case verdict::accepted:
    return authenticated();
  case verdict::refused:
    return fail(protocol::make_error(protocol::error_code::password_failed, {user_}), step.why);
  case verdict::violated:
    return fail(protocol::error_code::invalid_auth_response, {step.why});
  }
}

void client::derive_keys() {
  login_->busy = true;
  const protocol::client_auth& auth = *login_->auth;
  request(node_.deriver, caf::infinite, derive_request{0, auth.password(), auth.salt(), auth.iterations()})
      .then(
          [this](derived_key& key) {
            if (step_ != client_step::authenticating) return;
            login_->busy = false;
            auth_step(login_->auth->keys(key.salted_password));
            use_input();
            read_later();
          },
          [this](caf::error&) { fail(protocol::error_code::internal, {"key derivation failed"}); });
}

void client::authenticated() {
  const config::settings& settings = *login_->settings->values;
  login_->auth.reset();
  if (config::is_console_name(database_)) {
    const auto listed = [this](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), user_) != names.end();
    };
    const bool admin = listed(settings.admin_users) || settings.auth_type == config::auth_type::any;
    if (!admin && !listed(settings.stats_users)) return fail(protocol::error_code::not_allowed, {user_, database_});
    return begin_console(admin);
  }
  const auto route = config::find_route(settings, {}, database_, user_);
  if (!route) return fail(protocol::error_code::no_such_database, {database_});
  if (!read_parameters()) return;
  set_step(client_step::joining);
  send(node_.tenants, join_pool{caf::actor_cast<caf::actor>(this), route->tenant->name, route->database_name, user_,
                                route->server_user(user_)});
}

// -- start-up settings
// -----------------------------------------------------------------------------------------------------

bool client::read_parameters() {
  const config::settings& settings = *login_->settings->values;
  const auto ignored = [&](const std::string& name) {
    const auto& list = settings.ignore_startup_parameters;
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  std::vector<protocol::parameter> gucs;
  const auto add = [&](std::string_view raw, const std::string& value) {
    std::string name = protocol::canonical_parameter_name(raw);
    if (ignored(name)) return;
    if (name == "application_name")
      login_->application_name = value;
    else
      gucs.emplace_back(std::move(name), value);
  };
  // As in Postgres: `options` first, so that a start-up parameter of its own wins.
  if (const auto options = login_->start_up.find("options"); options && !options->empty() && !ignored("options")) {
    std::string error;
    const auto parsed = protocol::parse_options(*options, error);
    if (!error.empty()) {
      fail(protocol::error_code::invalid_options, {error});
      return false;
    }
    for (const auto& [name, value] : parsed)
      add(name, value);
  }
  for (const auto& [name, value] : login_->start_up.parameters) {
    const auto kind = protocol::classify_startup_parameter(name);
    if (kind == protocol::startup_parameter_kind::guc || kind == protocol::startup_parameter_kind::not_settable)
      add(name, value);
  }
  if (settings.application_name_add_host) add_host_to_name();
  login_->gucs = protocol::make_startup_profile(gucs).gucs;
  for (const auto& [name, value] : login_->gucs) {
    login_->welcome_key.append(name).push_back('\0');
    login_->welcome_key.append(value).push_back('\0');
  }
  return true;
}

/// As in pgbouncer: a client without a name is "app". The name gives way where Postgres cuts names off. Replication
/// keeps its own name, which synchronous_standby_names looks for.
void client::add_host_to_name() {
  const std::string from = " - " + peer_.host + (peer_.port == 0 ? "" : ":" + std::to_string(peer_.port));
  std::string name = login_->application_name.value_or("app");
  name.resize(std::min(name.size(), max_application_name - std::min(max_application_name, from.size())));
  login_->application_name = name + from;
}

std::vector<std::pair<std::string, std::string>> client::replication_start_up() const {
  std::vector<std::pair<std::string, std::string>> result;
  if (login_ != nullptr)
    for (const auto& [name, value] : login_->start_up.parameters)
      if (name != "user" && name != "database") result.emplace_back(name, value);
  return result;
}

// -- the pool
// --------------------------------------------------------------------------------------------------------------

void client::join(const pool_joined& message) {
  share_ref_ = message.share;
  if (step_ == client_step::leaving) return finish_leaving(); // for the counts of the steward and the share
  share_ = static_cast<class share*>(caf::actor_cast<caf::abstract_actor*>(message.share));
  pool_ = message.pool;
  if (message.home == &home()) return begin_welcome();
  unwatch();
  home().cancel(deadline_);
  move_home(*message.home);
}

void client::on_arrival() {
  const auto limit = login_->settings->values->client_login_timeout;
  if (limit.count() > 0) home().schedule(deadline_, connected_at_ + limit);
  if (!watch()) return leave("out of descriptors");
  begin_welcome();
}

void client::begin_welcome() {
  set_step(client_step::welcoming);
  share_->attach(*this);
  limits_ = share_->limits_for(user_);
  session_.rules = share_->rules_for(*limits_);
  if (replication_) return check_out_server();
  send(share_ref_, attach_client{self_ptr(), login_->welcome_key});
}

void client::take_welcome(const welcome& message) {
  if (step_ != client_step::welcoming) return;
  if (message.values == nullptr) {
    login_->learning = true;
    return check_out_server();
  }
  session_.values = message.values;
  session_.profile = message.profile;
  finish_login();
}

/// A server is at hand: what the client asked for becomes what the server is to be given. Which of it Postgres reports
/// is known from what the server reported at its own login.
void client::learn_from(class server& from) {
  if (replication_) return;
  protocol::parameter_values_ptr want = from.initial_values();
  protocol::startup_profile profile;
  for (const auto& [name, value] : login_->gucs) {
    if (want->find(name) != nullptr)
      want = protocol::with(want, name, value);
    else
      profile.gucs.emplace_back(name, value);
  }
  session_.values = want;
  session_.profile =
      profile.gucs.empty() ? nullptr : std::make_shared<const protocol::startup_profile>(std::move(profile));
}

/// The server has taken the settings and reported them in its own spelling.
void client::learned() {
  if (replication_) {
    session_.values = server_->initial_values();
    finish_login();
    if (step_ != client_step::idle) return;
    set_step(client_step::active);
    use_input();
    return read_later();
  }
  session_.values = server_->session().values;
  share_->learn({login_->welcome_key, session_.values, session_.profile});
  class server* had = server_;
  const caf::strong_actor_ptr alive = server_ref_;
  unlink_server();
  had->release(false);
  finish_login();
}

void client::finish_login() {
  if (login_->application_name && session_.values && !replication_) {
    const auto version = protocol::server_version_number(session_.values->get("server_version"));
    session_.values =
        protocol::with(session_.values, "application_name",
                       protocol::canonical_application_name(*login_->application_name, version.value_or(150000)));
  }
  session_.values = share_->intern(session_.values);
  session_.startup_values = session_.values;
  session_.custom_startup = !login_->gucs.empty() || login_->application_name.has_value();
  const bool long_key = login_->version.minor >= protocol::long_cancel_key_minor;
  const auto key = node_.cancels.add(caf::actor_cast<caf::actor>(this), long_key);
  if (!key) return fail(protocol::error_code::too_many_clients, {"cancel keys", "1048575", "this node"});
  key_ = *key;
  const auto settings = login_->settings;
  write(session_opening(session_.values ? *session_.values : protocol::parameter_values{}, key_,
                        settings->values->login_notify_message));
  login_.reset();
  home().cancel(deadline_);
  set_step(client_step::idle);
  last_active_ = home().now();
  ++share_->counts().client_login_count;
  arm_idle_deadline();
  if (settings->values->log_connections) log_own(log_event::client_connected, field("tls", socket_.tls()));
  use_input();
  read_later();
}

void client::begin_console(bool admin) {
  admin_ = admin;
  const auto key = node_.cancels.add(caf::actor_cast<caf::actor>(this), false);
  if (!key) return fail(protocol::error_code::too_many_clients, {"cancel keys", "1048575", "this node"});
  key_ = *key;
  const std::pair<std::string_view, std::string_view> values[] = {{"server_version", PG_EDGE_VERSION "/pg_edge"},
                                                                  {"client_encoding", "UTF8"},
                                                                  {"server_encoding", "UTF8"},
                                                                  {"DateStyle", "ISO"},
                                                                  {"TimeZone", "GMT"},
                                                                  {"standard_conforming_strings", "on"},
                                                                  {"is_superuser", "on"},
                                                                  {"integer_datetimes", "on"}};
  write(session_opening(values, key_, login_->settings->values->login_notify_message));
  login_.reset();
  home().cancel(deadline_);
  set_step(client_step::console);
  console_ = std::make_unique<protocol::console_session>();
  send(node_.console, console_joined{caf::actor_cast<caf::actor>(this)});
  log_own(log_event::client_connected, field("tls", socket_.tls()));
  use_input();
  read_later();
}

} // namespace pg_edge::actors
