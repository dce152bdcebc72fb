#include "actors/node_settings.hpp"

#include "actors/admin_http.hpp"

namespace pg_edge::actors {

namespace {

/// TLS for one door; the context stays null, and `error` says why, when a file cannot be used.
door_tls make_door_tls(const tls_settings& parts, config::tls_mode mode, const std::string& what, std::string& error) {
  door_tls result{mode, nullptr};
  if (mode == config::tls_mode::disable) return result;
  tls_context_result made = make_client_tls_context(parts, mode);
  if (!made.context) error = what + ": " + made.error;
  result.context = std::move(made.context);
  return result;
}

bool has_tls_of_its_own(const config::listener& door) {
  return door.client_tls_sslmode || door.client_tls_ca_file || door.client_tls_cert_file || door.client_tls_key_file;
}

} // namespace

std::shared_ptr<const node_settings> make_node_settings(std::shared_ptr<const config::settings> values,
                                                        std::string& error) {
  auto result = std::make_shared<node_settings>();
  const tls_settings shared_parts = client_tls_settings(*values);
  result->client_tls = make_door_tls(shared_parts, values->client_tls_sslmode, "client_tls", error);
  for (const auto& [name, door] : values->listeners) {
    if (!has_tls_of_its_own(door)) continue;
    tls_settings parts = shared_parts;
    parts.ca_file = door.client_tls_ca_file.value_or(parts.ca_file);
    parts.cert_file = door.client_tls_cert_file.value_or(parts.cert_file);
    parts.key_file = door.client_tls_key_file.value_or(parts.key_file);
    result->doors[name] = make_door_tls(parts, door.client_tls_sslmode.value_or(values->client_tls_sslmode),
                                        "listener " + name + ": client_tls", error);
  }
  tls_context_result admin = make_admin_tls_context(values->admin);
  if (!admin.error.empty()) error = "admin: " + admin.error;
  result->admin_tls = std::move(admin.context);
  if (!error.empty()) return nullptr;
  result->server_names = config::server_name_index(*values);
  result->values = std::move(values);
  return result;
}

} // namespace pg_edge::actors
