// A client that is let in: its start-up settings, the way to its pool, and what its session begins with.
#include "actors/client_login_state.hpp"
#include "actors/log.hpp"
#include "actors/share.hpp"
#include "protocol/messages.hpp"

#include <algorithm>

namespace pg_edge::actors {

namespace {

/// Postgres cuts an application_name off behind this many bytes.
constexpr std::size_t max_application_name = 63;

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
  auto* const joined = static_cast<class share*>(caf::actor_cast<caf::abstract_actor*>(message.share));
  const bool here = message.home == &home();
  const bool leaves = step_ == client_step::leaving;
  // A new share's first turn may be behind ours, and until then nothing of it may be called. (Who moves to its home
  // comes there behind it.)
  if (here && !leaves && !joined->begun()) return send(caf::actor_cast<caf::actor>(this), message);
  share_ref_ = message.share;
  if (leaves) return finish_leaving(); // for the counts of the steward and the share
  share_ = joined;
  pool_ = message.pool;
  if (here) return begin_welcome();
  unwatch();
  home().cancel(deadline_);
  move_home(*message.home);
}

void client::on_arrival() {
  if (login_->moved) return settle_in();
  arm_login_deadline();
  if (!watch()) return leave("out of descriptors");
  begin_welcome();
}

void client::begin_welcome() {
  if (login_->moved) return settle_in();
  set_step(client_step::welcoming);
  share_->attach(*this);
  if (!tenant_lets_in()) return;
  limits_ = share_->limits_for(user_);
  session_.rules = share_->rules_for(*limits_);
  if (login_->session) return take_up_session();
  if (replication_) return check_out_server();
  send(share_ref_, attach_client{self_ptr(), login_->welcome_key});
}

bool client::awaits_welcome() const {
  return step_ == client_step::waiting && login_ != nullptr && login_->learning;
}

void client::take_welcome(const welcome& message) {
  if (message.epoch != 0) { // instead of a server
    if (message.epoch != epoch_) return;
    if (step_ == client_step::leaving) return finish_leaving();
    if (!awaits_welcome()) return;
    set_step(client_step::welcoming);
  }
  if (step_ != client_step::welcoming) return;
  if (message.values == nullptr) {
    login_->learning = true;
    return check_out_server();
  }
  unconfirmed_ = message.unconfirmed;
  if (unconfirmed_) {
    want_values(message.values);
  } else {
    session_.values = message.values;
    session_.profile = message.profile;
  }
  finish_login();
}

/// A server is at hand: what the client asked for becomes what the server is to be given. Which of it Postgres reports
/// is known from what the server reported at its own login.
void client::learn_from(class server& from) {
  if (!replication_) want_values(from.initial_values());
}

void client::want_values(protocol::parameter_values_ptr initial) {
  protocol::parameter_values_ptr want = std::move(initial);
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

/// The first server since a login without one has taken what the client asked for: the client hears what differs from
/// what it was told then.
void client::confirm_values() {
  unconfirmed_ = false;
  const protocol::parameter_values_ptr& now = server_->session().values;
  if (!now) return;
  protocol::bytes news;
  for (const auto& [name, value] : *now) {
    const std::string* told = session_.startup_values ? session_.startup_values->find(name) : nullptr;
    if (told == nullptr || *told != value) append(news, protocol::parameter_status{name, value});
  }
  if (!news.empty()) write(news);
  session_.values = share_->intern(now);
  session_.startup_values = session_.values;
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
  begin_session();
}

/// Its half of the conversation is complete: it is told, and may speak.
void client::begin_session() {
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
  share_->note_time(timed::login, last_active_ - connected_at_);
  arm_idle_deadline();
  if (settings->values->log_connections) log_own(log_event::client_connected, field("tls", socket_.tls()));
  use_input();
  read_later();
  if (node_.handover.giving()) send(caf::actor_cast<caf::actor>(this), hand_over_now{});
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
