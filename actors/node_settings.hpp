// The settings of a node with what is made of them once and for all who look: TLS contexts from certificates, an index
// of server names. What cannot be made is an error before anything has changed.
#pragma once

#include "actors/tls_context.hpp"
#include "config/load.hpp"
#include "config/objects.hpp"
#include "config/settings.hpp"
#include "config/tenant_name.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace pg_edge::actors {

/// TLS towards the clients of one door.
struct door_tls {
  config::tls_mode mode = config::tls_mode::disable;
  tls_context_ptr context; // null: TLS is not offered
};

/// Settings and what is made of them; replaced as a whole by a reload.
struct node_settings {
  std::shared_ptr<const config::settings> values; // of the file and of the store's objects
  std::shared_ptr<const config::load_result> of_file;
  std::shared_ptr<const config::stored_objects> objects = std::make_shared<const config::stored_objects>();
  std::shared_ptr<const config::ban_list> bans = std::make_shared<const config::ban_list>();
  std::vector<config::drift> left_out; // objects that do not count
  config::server_name_index server_names;
  door_tls client_tls;                                // of the door of the global settings
  std::map<std::string, door_tls, std::less<>> doors; // of [listeners] that have TLS settings of their own
  tls_context_ptr admin_tls;                          // of the admin API; null: it speaks plain HTTP

  const door_tls& tls_of(const std::string& door) const {
    const auto found = doors.find(door);
    return found == doors.end() ? client_tls : found->second;
  }
};

/// Settings with what is made of them; `error` is set when a certificate cannot be used.
std::shared_ptr<const node_settings> make_node_settings(std::shared_ptr<const config::settings> values,
                                                        std::string& error);

} // namespace pg_edge::actors
