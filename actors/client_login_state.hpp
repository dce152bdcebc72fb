// What a client needs only until it is logged in; an idle client must not carry it.
#pragma once

#include "actors/client.hpp"
#include "config/hba.hpp"

namespace pg_edge::actors {

struct client::login_state {
  /// So many may be under way on one reactor: then the one that began first is ended for each new one.
  static constexpr std::size_t most_under_way = 1000;

  /// `door_name`: the key in [listeners]; empty: the door of the global settings.
  login_state(std::shared_ptr<const node_settings> in_force, const std::string& door_name)
      : settings(std::move(in_force)), tls(&settings->tls_of(door_name)) {
    if (const auto found = settings->values->listeners.find(door_name); found != settings->values->listeners.end())
      door = &found->second;
    proxied = door != nullptr && door->proxy_protocol;
  }

  std::shared_ptr<const node_settings> settings;     // as they were when the client came
  const config::listener* door = nullptr;            // the listener it came by; null: that of the global settings
  const door_tls* tls = nullptr;                     // of that door
  bool proxied = false;                              // a PROXY header comes first
  std::string tls_server_name;                       // what the client called us in TLS (SNI); empty: nothing
  const config::tenant* tenant = nullptr;            // whose client it is; lives as long as `settings`
  std::string asked_user;                            // as the client wrote it, perhaps with its tenant
  std::string tenant_asked;                          // the tenant it named elsewhere, known or not
  std::string tenant_problem;                        // for the log: no such tenant, or two of them
  std::string tenant_signs;                          // all of it for an error, if it was more than one thing
  std::optional<config::route> route;                // where that leads; none: there is no such database
  config::login_rules rules;                         // what holds for this login
  config::auth_type method = config::auth_type::md5; // chosen from them: never hba
  const config::hba_rule* rule = nullptr;            // that decided; null: none was asked. Lives as long as `settings`
  std::unique_ptr<cluster::relay_request> relayed;   // from another node; gone once it has begun
  protocol::startup_message start_up;
  protocol::negotiated version;
  std::unique_ptr<protocol::client_auth> auth;
  protocol::auth_method proof = protocol::auth_method::scram; // by which `auth` asks
  protocol::bytes salt;                                       // of the md5 method
  std::shared_ptr<const pam_question> pam;                    // while PAM is asked
  protocol::bytes answer;                                     // the last one, while kept_secret
  bool kept_secret = false;               // the secret was looked up before: the user may have a new one since
  std::vector<protocol::name_value> gucs; // start-up settings without application_name, canonical, sorted
  std::optional<std::string> application_name;
  std::string welcome_key; // the same as one string; empty: none
  bool busy = false;       // something else must answer before more is read
  // Each may be asked for once: so many packets may come before the one that logs in.
  bool asked_encryption = false;
  bool asked_gssapi = false;
  std::shared_ptr<cluster::moved_client> moved;      // it comes from another process: there is no login
  std::optional<bool> word;                          // ... whose word came before it had joined its pool
  bool learning = false;                             // a server is asked what it makes of the start-up settings
  std::unique_ptr<cluster::relayed_session> session; // it goes on with this one: there is no start-up
};

} // namespace pg_edge::actors
