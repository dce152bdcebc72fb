#include "config/settings.hpp"

#include <tuple>

namespace pg_edge::config {

bool database::operator==(const database& other) const {
  const auto parts = [](const database& d) {
    return std::tie(static_cast<const overrides&>(d), d.name, d.host, d.port, d.dbname, d.user, d.password,
                    d.connect_query, d.client_encoding, d.datestyle, d.timezone, d.application_name);
  };
  return parts(*this) == parts(other);
}

bool user::operator==(const user& other) const {
  const auto parts = [](const user& u) {
    return std::tie(static_cast<const overrides&>(u), u.name, u.secret, u.old_passwords);
  };
  return parts(*this) == parts(other);
}

bool tenant::operator==(const tenant& other) const {
  const auto parts = [](const tenant& t) {
    return std::tie(static_cast<const overrides&>(t), t.name, t.server_names, t.allowed_addresses,
                    t.client_tls_required, t.banned, t.banned_until, t.default_database, t.auth_hba_file,
                    t.auth_ident_file, t.databases, t.users);
  };
  return parts(*this) == parts(other);
}

bool listener::operator==(const listener& other) const {
  const auto parts = [](const listener& l) {
    return std::tie(l.name, l.listen_addr, l.listen_port, l.unix_socket_dir, l.unix_socket_mode, l.unix_socket_group,
                    l.auth_type, l.tenant, l.proxy_protocol, l.proxy_protocol_from, l.client_tls_sslmode,
                    l.client_tls_ca_file, l.client_tls_cert_file, l.client_tls_key_file);
  };
  return parts(*this) == parts(other);
}

bool admin_token::operator==(const admin_token& other) const {
  return std::tie(name, role, token, token_sha256) == std::tie(other.name, other.role, other.token, other.token_sha256);
}

const tenant* find_tenant(const settings& all, std::string_view name) {
  if (name.empty() || name == default_tenant_name) return &all.default_tenant;
  const auto found = all.tenants.find(name);
  return found == all.tenants.end() ? nullptr : &found->second;
}

} // namespace pg_edge::config
