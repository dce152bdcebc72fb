// Who is served by what: a name to a database, and the settings that hold for one pool after precedence is applied
// (user over database over tenant over global, as in pgbouncer).
#pragma once

#include "config/settings.hpp"

#include <utility>

namespace pg_edge::config {

/// Everything a pool needs to know, resolved. Also used for a client's own time-outs and limits (see resolve_pool).
struct pool_settings {
  pool_mode mode = pool_mode::session;
  int pool_size = 0;
  int min_pool_size = 0;
  bool server_round_robin = false;
  int max_prepared_statements = 0;
  int reserve_pool_size = 0;
  duration reserve_pool_timeout{};
  int max_tenant_connections = 0; // these three hold over several pools; 0: no limit
  int max_db_connections = 0;
  int max_user_connections = 0;
  int max_tenant_pools = 0; // these two: 0: no limit
  int max_waiting_clients = 0;

  duration query_wait_timeout{};
  duration query_wait_notify{};
  duration query_timeout{};
  duration idle_transaction_timeout{};
  duration transaction_timeout{};
  duration client_idle_timeout{};
  duration cancel_wait_timeout{};
  duration
      pool_idle_timeout{}; // of a pool behind the "*" database: autodb_idle_timeout unless pool_idle_timeout is set

  duration server_lifetime{};
  duration server_idle_timeout{};
  duration server_connect_timeout{};
  duration server_login_retry{};
  duration server_check_delay{};
  std::string server_reset_query;
  bool server_reset_query_always = false;
  std::string server_check_query;
  std::string connect_query;

  // -- the target ---------------------------------------------------------------------------------------------------
  std::string host; // comma list kept; entries that start with '/' are Unix socket directories; never empty
  host_balance load_balance_hosts = host_balance::round_robin;
  std::uint16_t port = 0;
  std::string dbname;
  std::string server_user;
  std::string server_secret; // may be empty: trust, or the client's own keys
  bool server_allow_cleartext = false;
  tls_mode server_tls_sslmode = tls_mode::prefer;
  std::string server_tls_ca_file;
  std::string server_tls_cert_file;
  std::string server_tls_key_file;
  std::string server_tls_protocols;
  std::string server_tls_ciphers;
  std::string server_tls13_ciphers;
  std::vector<std::pair<std::string, std::string>> server_parameters; // start-up parameters of server logins

  bool operator==(const pool_settings&) const = default;
};

/// How many clients there may be; 0: no limit.
struct client_limits {
  int max_tenant_client_connections = 0;
  int max_db_client_connections = 0;
  int max_user_client_connections = 0;
};

/// How a login is checked.
struct login_rules {
  config::auth_type auth_type = config::auth_type::md5;
  const hba_rules* hba = nullptr; // for auth_type hba
  std::string auth_user;          // empty: users who are not configured are not looked up
  std::string auth_query;
  std::string auth_dbname; // where auth_query runs: a configured database; empty: the one the client asked for
};

/// Where a client belongs. The pointers live as long as the settings they were found in.
struct route {
  const config::tenant* tenant = nullptr;
  const config::database* database = nullptr; // the fallback "*" when no section has the name
  const config::user* user = nullptr;         // null when the tenant has no such user
  std::string database_name;                  // as the client asked; its user name when it named none

  /// The server user of the pool: forced by the database, else the client's own.
  std::string server_user(std::string_view client_user) const;
};

/// The tenant, database and user for a login; nullopt when the tenant or the database is not configured.
std::optional<route> find_route(const settings& all, std::string_view tenant, std::string_view database,
                                std::string_view user);

/// Applies precedence. For a pool, `who` is the tenant's entry for the server user (null if none); for a client's own
/// time-outs, mode and limits call it with the client's entry.
pool_settings resolve_pool(const settings& all, const tenant& owner, const database& target,
                           std::string_view database_name, std::string_view server_user, const user* who);

client_limits resolve_client_limits(const settings& all, const tenant& owner, const database& target, const user* who);

/// The table of the file in which a setting has the value that holds, the narrowest level that gives one: "[users.x]",
/// "[databases.x]", "[tenants.t]" or "[pg_edge]"; those of a tenant are "[tenants.t.users.x]" and so on.
std::string setting_place(bool user_has, bool database_has, bool tenant_has, const tenant& owner,
                          const database& target, const user* who);

template <class T>
std::string setting_place(std::optional<T> overrides::*member, const tenant& owner, const database& target,
                          const user* who) {
  return setting_place(who != nullptr && (who->*member).has_value(), (target.*member).has_value(),
                       (owner.*member).has_value(), owner, target, who);
}

/// The same by names, as find_route takes them; "[pg_edge]" when there is no such route.
template <class T>
std::string setting_place(std::optional<T> overrides::*member, const settings& all, std::string_view tenant,
                          std::string_view database, std::string_view user) {
  const auto found = find_route(all, tenant, database, user);
  return found ? setting_place(member, *found->tenant, *found->database, found->user) : "[pg_edge]";
}

/// `door` is the listener the client came by, null for the one of the global settings; `target` is null for the
/// console.
login_rules resolve_login(const settings& all, const tenant& owner, const database* target, const listener* door);

} // namespace pg_edge::config
