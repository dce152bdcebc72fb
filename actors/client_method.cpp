// Which method a client must prove itself by: auth_type of its listener, tenant or node, or what a rule of the HBA file
// says about it.
#include "actors/client_login_state.hpp"

namespace pg_edge::actors {

/// Sets login_->method. False: the client may not come in, and has been told so.
bool client::choose_method() {
  const config::settings& settings = *login_->settings->values;
  const auto route = config::find_route(settings, login_->tenant->name, database_, user_);
  login_->rules = config::resolve_login(settings, *login_->tenant, route ? route->database : nullptr, login_->door);
  login_->method = login_->rules.auth_type;
  return true;
}

} // namespace pg_edge::actors
