#include "config/resolve.hpp"

namespace pg_edge::config {

namespace {

/// The levels above the global settings, the narrowest first.
class levels {
public:
  levels(const user* who, const database& target, const tenant& owner) : list_{who, &target, &owner} {}

  template <class T, class U>
  U pick(std::optional<T> overrides::*member, const U& fallback) const {
    for (const auto* level : list_)
      if (level != nullptr && (level->*member).has_value()) return *(level->*member);
    return fallback;
  }

private:
  const overrides* list_[3];
};

void resolve_sizes(pool_settings& out, const settings& all, const levels& narrow) {
  out.mode = narrow.pick(&overrides::pool_mode, all.pool_mode);
  out.pool_size = narrow.pick(&overrides::pool_size, all.default_pool_size);
  out.min_pool_size = narrow.pick(&overrides::min_pool_size, all.min_pool_size);
  out.server_round_robin = narrow.pick(&overrides::server_round_robin, all.server_round_robin);
  out.max_prepared_statements = narrow.pick(&overrides::max_prepared_statements, all.max_prepared_statements);
  out.reserve_pool_size = narrow.pick(&overrides::reserve_pool_size, all.reserve_pool_size);
  out.reserve_pool_timeout = narrow.pick(&overrides::reserve_pool_timeout, all.reserve_pool_timeout);
  out.max_tenant_connections = narrow.pick(&overrides::max_tenant_connections, all.max_tenant_connections);
  out.max_db_connections = narrow.pick(&overrides::max_db_connections, all.max_db_connections);
  out.max_user_connections = narrow.pick(&overrides::max_user_connections, all.max_user_connections);
  out.max_tenant_pools = narrow.pick(&overrides::max_tenant_pools, all.max_tenant_pools);
  out.max_waiting_clients = narrow.pick(&overrides::max_waiting_clients, all.max_waiting_clients);
}

void resolve_timeouts(pool_settings& out, const settings& all, const levels& narrow, const database& target) {
  out.query_wait_timeout = narrow.pick(&overrides::query_wait_timeout, all.query_wait_timeout);
  out.query_wait_notify = narrow.pick(&overrides::query_wait_notify, all.query_wait_notify);
  out.query_timeout = narrow.pick(&overrides::query_timeout, all.query_timeout);
  out.idle_transaction_timeout = narrow.pick(&overrides::idle_transaction_timeout, all.idle_transaction_timeout);
  out.transaction_timeout = narrow.pick(&overrides::transaction_timeout, all.transaction_timeout);
  out.client_idle_timeout = narrow.pick(&overrides::client_idle_timeout, all.client_idle_timeout);
  out.cancel_wait_timeout = narrow.pick(&overrides::cancel_wait_timeout, all.cancel_wait_timeout);
  // Pools behind "*" come into being by themselves, so they also go by themselves.
  out.pool_idle_timeout = narrow.pick(&overrides::pool_idle_timeout, all.pool_idle_timeout);
  if (target.name == fallback_database_name && out.pool_idle_timeout == duration::zero())
    out.pool_idle_timeout = all.autodb_idle_timeout;
}

void resolve_servers(pool_settings& out, const settings& all, const levels& narrow) {
  out.server_lifetime = narrow.pick(&overrides::server_lifetime, all.server_lifetime);
  out.server_idle_timeout = narrow.pick(&overrides::server_idle_timeout, all.server_idle_timeout);
  out.server_connect_timeout = narrow.pick(&overrides::server_connect_timeout, all.server_connect_timeout);
  out.server_login_retry = narrow.pick(&overrides::server_login_retry, all.server_login_retry);
  out.server_check_delay = narrow.pick(&overrides::server_check_delay, all.server_check_delay);
  out.server_reset_query = narrow.pick(&overrides::server_reset_query, all.server_reset_query);
  out.server_reset_query_always = narrow.pick(&overrides::server_reset_query_always, all.server_reset_query_always);
  out.server_check_query = narrow.pick(&overrides::server_check_query, all.server_check_query);
  out.load_balance_hosts = narrow.pick(&overrides::load_balance_hosts, all.load_balance_hosts);
  out.server_tls_sslmode = narrow.pick(&overrides::server_tls_sslmode, all.server_tls_sslmode);
  out.server_tls_ca_file = narrow.pick(&overrides::server_tls_ca_file, all.server_tls_ca_file);
  out.server_tls_cert_file = narrow.pick(&overrides::server_tls_cert_file, all.server_tls_cert_file);
  out.server_tls_key_file = narrow.pick(&overrides::server_tls_key_file, all.server_tls_key_file);
  out.server_allow_cleartext = narrow.pick(&overrides::server_allow_cleartext, all.server_allow_cleartext);
  out.server_tls_protocols = all.server_tls_protocols;
  out.server_tls_ciphers = all.server_tls_ciphers;
  out.server_tls13_ciphers = all.server_tls13_ciphers;
}

/// The password of a forced user stands with the database; else the tenant's entry of that name may have one.
std::string server_secret(const tenant& owner, const database& target, std::string_view server_user) {
  if (!target.password.empty() && (target.user.empty() || target.user == server_user)) return target.password;
  const auto found = owner.users.find(server_user);
  return found == owner.users.end() ? std::string{} : found->second.secret;
}

void resolve_target(pool_settings& out, const tenant& owner, const database& target, std::string_view database_name,
                    std::string_view server_user) {
  out.host = target.host.empty() ? "127.0.0.1" : target.host;
  out.port = target.port;
  out.dbname = target.dbname.empty() ? std::string{database_name} : target.dbname;
  out.server_user = server_user;
  out.server_secret = server_secret(owner, target, server_user);
  out.connect_query = target.connect_query.value_or("");
  const auto add = [&](const char* name, const std::optional<std::string>& value) {
    if (value.has_value()) out.server_parameters.emplace_back(name, *value);
  };
  add("client_encoding", target.client_encoding);
  add("datestyle", target.datestyle);
  add("timezone", target.timezone);
  add("application_name", target.application_name);
}

} // namespace

std::string route::server_user(std::string_view client_user) const {
  return database != nullptr && !database->user.empty() ? database->user : std::string{client_user};
}

std::optional<route> find_route(const settings& all, std::string_view tenant, std::string_view database,
                                std::string_view user) {
  route out;
  out.tenant = find_tenant(all, tenant);
  if (out.tenant == nullptr) return std::nullopt;
  out.database_name = database.empty() ? user : database;
  // The consoles are never databases, not even behind "*".
  if (is_console_name(out.database_name)) return std::nullopt;
  auto found = out.tenant->databases.find(out.database_name);
  if (found == out.tenant->databases.end()) found = out.tenant->databases.find(fallback_database_name);
  if (found == out.tenant->databases.end()) return std::nullopt;
  out.database = &found->second;
  if (const auto who = out.tenant->users.find(user); who != out.tenant->users.end()) out.user = &who->second;
  return out;
}

pool_settings resolve_pool(const settings& all, const tenant& owner, const database& target,
                           std::string_view database_name, std::string_view server_user, const user* who) {
  const levels narrow{who, target, owner};
  pool_settings out;
  resolve_sizes(out, all, narrow);
  resolve_timeouts(out, all, narrow, target);
  resolve_servers(out, all, narrow);
  resolve_target(out, owner, target, database_name, server_user);
  return out;
}

client_limits resolve_client_limits(const settings& all, const tenant& owner, const database& target, const user* who) {
  const levels narrow{who, target, owner};
  return {narrow.pick(&overrides::max_tenant_client_connections, all.max_tenant_client_connections),
          narrow.pick(&overrides::max_db_client_connections, all.max_db_client_connections),
          narrow.pick(&overrides::max_user_client_connections, all.max_user_client_connections)};
}

std::string setting_place(bool user_has, bool database_has, bool tenant_has, const tenant& owner,
                          const database& target, const user* who) {
  const std::string inside = owner.name == default_tenant_name ? "[" : "[tenants." + owner.name + ".";
  if (user_has && who != nullptr) return inside + "users." + who->name + "]";
  if (database_has) return inside + "databases." + target.name + "]";
  if (tenant_has) return "[tenants." + owner.name + "]";
  return "[pg_edge]";
}

login_rules resolve_login(const settings& all, const tenant& owner, const database* target, const listener* door) {
  const database none;
  const levels narrow{nullptr, target == nullptr ? none : *target, owner};
  login_rules out;
  out.auth_type = narrow.pick(&overrides::auth_type, all.auth_type);
  if (door != nullptr && door->auth_type) out.auth_type = *door->auth_type;
  out.hba = owner.hba ? owner.hba.get() : all.hba.get();
  out.auth_user = narrow.pick(&overrides::auth_user, all.auth_user);
  out.auth_query = narrow.pick(&overrides::auth_query, all.auth_query);
  out.auth_dbname = narrow.pick(&overrides::auth_dbname, all.auth_dbname);
  return out;
}

} // namespace pg_edge::config
