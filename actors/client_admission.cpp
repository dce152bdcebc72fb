// Whether a client may come in at all, before it is asked for a password: what it asks for, and the limits.
#include "actors/client_login_state.hpp"
#include "actors/tls_context.hpp"

namespace pg_edge::actors {

namespace {

bool is_yes(std::string_view text) {
  return text == "true" || text == "on" || text == "yes" || text == "1" || text == "t" || text == "y";
}

} // namespace

void client::begin_login(protocol::startup_message message) {
  const config::settings& settings = *login_->settings->values;
  user_.assign(message.user());
  database_.assign(message.database());
  login_->tenant = &settings.default_tenant;
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
  const tls_mode_row& tls = describe(login_->tls->mode);
  if (tls.tls_required && !socket_.tls()) return fail(protocol::error_code::ssl_required);
  if (!admitted()) return;
  set_step(client_step::authenticating);
  if (choose_method()) find_secret();
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

} // namespace pg_edge::actors
