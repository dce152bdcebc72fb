// What a client needs only until it is logged in; an idle client must not carry it.
#pragma once

#include "actors/client.hpp"

namespace pg_edge::actors {

struct client::login_state {
  explicit login_state(std::shared_ptr<const node_settings> in_force) : settings(std::move(in_force)) {}

  std::shared_ptr<const node_settings> settings; // as they were when the client came
  protocol::startup_message start_up;
  protocol::negotiated version;
  std::unique_ptr<protocol::client_auth> auth;
  std::vector<protocol::name_value> gucs; // start-up settings without application_name, canonical, sorted
  std::optional<std::string> application_name;
  std::string welcome_key; // the same as one string; empty: none
  bool busy = false;       // something else must answer before more is read
  bool asked_encryption = false;
  bool learning = false; // a server is asked what it makes of the start-up settings
};

} // namespace pg_edge::actors
