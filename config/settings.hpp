// The settings of a node as immutable, typed values: what a TOML file (load.hpp) turns into and what every actor reads.
// The defaults stand here and nowhere else: SHOW CONFIG, docs/settings.md and the examples print a fresh `settings{}`.
// Names, units and meaning are pgbouncer's unless the help sentence in setting_table.cpp says otherwise.
#pragma once

#include "config/network.hpp"

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::config {

/// When a server connection goes back to its pool.
enum class pool_mode { session, transaction, statement };

/// How clients prove who they are; pgbouncer's names. `any` is trust without looking at the user name; `hba` asks the
/// rules of auth_hba_file; `peer` is for Unix sockets.
enum class auth_type { any, trust, plain, md5, scram_sha_256, cert, hba, peer, pam };

/// libpq's sslmode, on either side.
enum class tls_mode { disable, allow, prefer, require, verify_ca, verify_full };

/// Which host of a comma list a new server connection tries first.
enum class host_balance { disable, round_robin };

/// What a node of a cluster does with its permits while it cannot reach the store: give them up, or go on with them.
enum class cluster_budget { strict, available };

/// How lines of the log are written.
enum class log_format { logfmt, json };

/// Every time span in the settings. Zero means "off" wherever pgbouncer says so.
using duration = std::chrono::microseconds;

/// An amount of memory. Zero means "no limit".
struct byte_size {
  std::uint64_t bytes = 0;
  friend auto operator<=>(const byte_size&, const byte_size&) = default;
};

/// The name of the tenant that `[databases]` and `[users]` belong to.
inline constexpr std::string_view default_tenant_name = "default";

/// The key of the database that answers for names without a section of their own.
inline constexpr std::string_view fallback_database_name = "*";

/// The names of the admin console, which no database can have.
inline constexpr std::string_view console_names[] = {"pgbouncer", "pg_edge"};

constexpr bool is_console_name(std::string_view name) {
  return name == console_names[0] || name == console_names[1];
}

/// The rules of one auth_hba_file and its ident maps, see hba.hpp.
struct hba_rules;

/// Settings that a tenant, a database or a user may set for itself; which of them may stand where is in the table.
struct overrides {
  std::optional<config::pool_mode> pool_mode;
  std::optional<int> pool_size; // `default_pool_size` in [pg_edge] and [tenants.T]
  std::optional<int> min_pool_size;
  std::optional<bool> server_round_robin;
  std::optional<int> max_prepared_statements;
  std::optional<host_balance> load_balance_hosts;
  std::optional<std::string> server_reset_query;
  std::optional<bool> server_reset_query_always;
  std::optional<std::string> server_check_query;
  std::optional<duration> server_check_delay;
  std::optional<duration> server_lifetime;
  std::optional<duration> server_idle_timeout;
  std::optional<duration> server_connect_timeout;
  std::optional<duration> server_login_retry;
  std::optional<duration> client_idle_timeout;
  std::optional<duration> idle_transaction_timeout;
  std::optional<duration> transaction_timeout;
  std::optional<duration> query_timeout;
  std::optional<duration> query_wait_timeout;
  std::optional<duration> query_wait_notify;
  std::optional<duration> cancel_wait_timeout;
  std::optional<duration> pool_idle_timeout;
  std::optional<tls_mode> server_tls_sslmode;
  std::optional<std::string> server_tls_ca_file;
  std::optional<std::string> server_tls_cert_file;
  std::optional<std::string> server_tls_key_file;
  std::optional<bool> server_allow_cleartext;
  std::optional<int> reserve_pool_size;
  std::optional<duration> reserve_pool_timeout;
  std::optional<int> max_tenant_connections; // 0 in all of these: no limit
  std::optional<int> max_tenant_client_connections;
  std::optional<int> max_db_connections;
  std::optional<int> max_db_client_connections;
  std::optional<int> max_user_connections;
  std::optional<int> max_user_client_connections;
  std::optional<int> max_tenant_pools;
  std::optional<int> max_waiting_clients;
  std::optional<config::auth_type> auth_type;
  std::optional<std::string> auth_user;
  std::optional<std::string> auth_query;
  std::optional<std::string> auth_dbname;
  bool operator==(const overrides&) const = default;
};

/// `[databases.NAME]`: where clients that ask for NAME are sent.
struct database : overrides {
  std::string name;          // the key; "*" is the fallback
  std::string host;          // comma list; an entry starting with '/' is a Unix socket directory; empty = 127.0.0.1
  std::uint16_t port = 5432; //
  std::string dbname;        // empty: the name the client asked for
  std::string user;          // forced server user; empty: the client's own
  std::string password;      // the forced user's secret, resolved; empty: the secret of the `users` entry of that name
  std::optional<std::string> connect_query;
  std::optional<std::string> client_encoding;
  std::optional<std::string> datestyle;
  std::optional<std::string> timezone;
  std::optional<std::string> application_name;
  int line = 0; // where it stands in settings::file; no part of comparisons
  bool operator==(const database& other) const;
};

/// `[users.NAME]`: who may log in, and what differs for them.
struct user : overrides {
  std::string name;
  std::string secret; // plain text, "md5" + 32 hex digits, "SCRAM-SHA-256$...", or empty: cannot log in by password
  std::vector<std::string> old_passwords; // secrets that are accepted too, while passwords are rotated
  int line = 0;
  bool operator==(const user& other) const;
};

/// `[tenants.NAME]`, or the default tenant made of the file's top-level databases and users.
struct tenant : overrides {
  std::string name;
  std::vector<std::string> server_names;  // TLS SNI that means this tenant; "*.example.com" for one label
  std::vector<network> allowed_addresses; // empty: from anywhere
  bool client_tls_required = false;
  std::string banned;           // why nobody may log in; empty: not banned
  std::string banned_until;     // "2026-12-31T00:00:00Z"; empty: for ever
  std::string default_database; // of clients that name none; empty: their user name
  std::string auth_hba_file;
  std::string auth_ident_file;
  std::shared_ptr<const hba_rules> hba; // of auth_hba_file; null: the global ones
  std::map<std::string, database, std::less<>> databases;
  std::map<std::string, user, std::less<>> users;
  int line = 0;
  bool operator==(const tenant& other) const;
};

inline tenant make_default_tenant() {
  tenant out;
  out.name = default_tenant_name;
  return out;
}

/// `[listeners.NAME]`: a door beside the one that the global settings describe.
struct listener {
  std::string name;
  std::vector<std::string> listen_addr;
  int listen_port = 6432;
  std::string unix_socket_dir;
  int unix_socket_mode = 0777;
  std::string unix_socket_group;
  std::optional<config::auth_type> auth_type;
  std::string tenant;                       // whose door it is; empty: the client says
  bool proxy_protocol = false;              // every connection begins with a PROXY v2 header
  std::vector<network> proxy_protocol_from; // of the proxies that are believed; a Unix socket's are always
  std::optional<tls_mode> client_tls_sslmode;
  std::optional<std::string> client_tls_ca_file;
  std::optional<std::string> client_tls_cert_file;
  std::optional<std::string> client_tls_key_file;
  int line = 0;
  bool operator==(const listener& other) const;
};

/// What a request to the admin API may do: look; run commands that pass (pause, kill); change what lasts. Each may do
/// what stands before it.
enum class admin_role { none, viewer, operator_, admin };

/// `[admin.tokens.NAME]`: a bearer token of the admin API, and what it is good for.
struct admin_token {
  std::string name; // who it is, in the logs
  admin_role role = admin_role::viewer;
  std::string token;        // the secret itself, or empty ...
  std::string token_sha256; // ... and its SHA-256 as 64 hex digits
  int line = 0;
  bool operator==(const admin_token& other) const;
};

/// `[admin]`: the HTTP listener of the admin API, of /metrics and of the health checks.
struct admin_settings {
  bool served = false; // [admin] stands in the file
  std::vector<std::string> listen{"127.0.0.1:9632"};
  std::string tls_cert_file;
  std::string tls_key_file;
  admin_role anonymous_role = admin_role::viewer; // of requests without a token, at loopback addresses
  int max_connections = 256;
  duration request_timeout = std::chrono::seconds{30};
  int metrics_tenants = 100; // with series of their own in /metrics
  int metrics_pools = 1000;  // of theirs
  std::map<std::string, admin_token, std::less<>> tokens;
  int line = 0;
};

/// `[cluster]`: what makes this node one of several. Nothing of it changes with a reload.
struct cluster_settings {
  bool joined = false;              // [cluster] stands in the file
  std::string name;                 // of the cluster
  std::string node;                 // of this node in it; the loader fills in the host's name
  std::string listen;               // "10.0.0.1:7432": where other nodes reach this one ...
  std::string advertise;            // ... unless it is this address, as behind NAT; empty: listen
  std::vector<std::string> store;   // of etcd: "https://10.0.0.1:2379"
  std::string certificate, key, ca; // for nodes and for etcd; all or none of them
  std::string link_listen;          // "10.0.0.1:7433": for links of other nodes; empty: there are none
  std::string succeeds;             // a cluster whose pools this one waits to take over; empty: none
  duration failure_timeout = std::chrono::seconds{2};
  cluster_budget budget = cluster_budget::strict;
  std::string etcd_listen, etcd_peer_listen; // of the etcd that this node runs; empty: it runs none
  std::string etcd_folder = "/var/lib/pg_edge/etcd";
  std::string etcd_program = "etcd";
  int line = 0;

  /// What other nodes are told to connect to.
  const std::string& address() const { return advertise.empty() ? listen : advertise; }
};

struct settings {
  // -- ours ---------------------------------------------------------------------------------------------------------
  int reactors = 0; // 0: one per core

  // -- listening ----------------------------------------------------------------------------------------------------
  std::vector<std::string> listen_addr; // "*" = all addresses; empty = no TCP
  int listen_port = 6432;
  int listen_backlog = 128;
  std::string unix_socket_dir = "/tmp"; // empty = no Unix socket
  int unix_socket_mode = 0777;
  std::string unix_socket_group;
  std::string takeover_socket; // empty = no other process can take over
  int max_packet_size = std::numeric_limits<int>::max();
  bool tcp_keepalive = true;
  int tcp_keepcnt = 0;
  duration tcp_keepidle{0};
  duration tcp_keepintvl{0};
  duration tcp_user_timeout{0}; // pgbouncer counts this one in milliseconds: so do plain numbers in the file

  // -- pools --------------------------------------------------------------------------------------------------------
  config::pool_mode pool_mode = config::pool_mode::session;
  int default_pool_size = 20;
  int min_pool_size = 0;
  int max_client_conn = 100;
  bool server_round_robin = false;
  int max_prepared_statements = 200; // 0: protocol-level statements are not tracked
  std::vector<std::string> ignore_startup_parameters;
  bool application_name_add_host = false;
  int reserve_pool_size = 0;
  duration reserve_pool_timeout = std::chrono::seconds{5};
  int max_tenant_connections = 0; // 0 in all of these: no limit
  int max_tenant_client_connections = 0;
  int max_db_connections = 0;
  int max_db_client_connections = 0;
  int max_user_connections = 0;
  int max_user_client_connections = 0;
  int max_tenant_pools = 0;
  int max_waiting_clients = 0;
  int max_client_statements = 10'000; // prepared by protocol; 0: no limit
  byte_size max_client_memory{64ULL * 1024 * 1024};
  byte_size memory_limit;
  std::string login_notify_message; // empty: none
  host_balance load_balance_hosts = host_balance::round_robin;

  // -- servers ------------------------------------------------------------------------------------------------------
  std::string server_reset_query = "DISCARD ALL";
  bool server_reset_query_always = false;
  std::string server_check_query;
  duration server_check_delay = std::chrono::seconds{30};
  duration server_lifetime = std::chrono::seconds{3600};
  duration server_idle_timeout = std::chrono::seconds{600};
  duration server_connect_timeout = std::chrono::seconds{15};
  duration server_login_retry = std::chrono::seconds{15};
  int max_server_logins = 16; // to one address at a time; 0: no limit
  duration dns_max_ttl = std::chrono::seconds{15};
  duration dns_nxdomain_ttl = std::chrono::seconds{15};
  std::string resolv_conf; // empty: the system's
  bool server_allow_cleartext = false;
  bool server_fast_close = false;

  // -- time-outs ----------------------------------------------------------------------------------------------------
  duration client_login_timeout = std::chrono::seconds{60};
  duration client_idle_timeout{0};
  duration idle_transaction_timeout{0};
  duration transaction_timeout{0};
  duration query_timeout{0};
  duration query_wait_timeout = std::chrono::seconds{120};
  duration query_wait_notify = std::chrono::seconds{5};
  duration cancel_wait_timeout = std::chrono::seconds{10};
  duration suspend_timeout = std::chrono::seconds{10};
  duration takeover_timeout = std::chrono::seconds{3600};
  duration autodb_idle_timeout = std::chrono::seconds{3600};
  duration pool_idle_timeout{0};

  // -- authentication -----------------------------------------------------------------------------------------------
  config::auth_type auth_type = config::auth_type::md5;
  int scram_iterations = 4096;
  std::vector<std::string> admin_users;
  std::vector<std::string> stats_users;
  std::string auth_file;
  std::string auth_hba_file;
  std::string auth_ident_file;
  std::shared_ptr<const hba_rules> hba; // of auth_hba_file; null: there is none
  std::string auth_user;
  std::string auth_query = "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END "
                           "FROM pg_authid WHERE rolname = $1 AND rolcanlogin";
  std::string auth_dbname;
  duration auth_cache_time = std::chrono::seconds{60};
  int auth_failure_limit = 10; // 0: no limit
  duration auth_failure_window = std::chrono::seconds{60};
  std::string auth_pam_service = "pgbouncer";
  std::string mock_authentication_nonce; // empty: made from the machine's identity

  // -- TLS ----------------------------------------------------------------------------------------------------------
  tls_mode client_tls_sslmode = tls_mode::disable;
  std::string client_tls_ca_file;
  std::string client_tls_cert_file;
  std::string client_tls_key_file;
  std::string client_tls_protocols = "secure"; // validated names, comma separated
  std::string client_tls_ciphers;              // empty = OpenSSL's own list, as in the three below
  std::string client_tls13_ciphers;
  std::string client_tls_ecdhcurve = "auto";
  tls_mode server_tls_sslmode = tls_mode::prefer;
  std::string server_tls_ca_file;
  std::string server_tls_cert_file;
  std::string server_tls_key_file;
  std::string server_tls_protocols = "secure";
  std::string server_tls_ciphers;
  std::string server_tls13_ciphers;

  // -- log ----------------------------------------------------------------------------------------------------------
  bool log_connections = true;
  bool log_disconnections = true;
  bool log_pooler_errors = true;
  bool log_stats = true;
  duration stats_period = std::chrono::seconds{60};
  int verbose = 0;
  std::string logfile; // empty: standard error
  config::log_format log_format = config::log_format::logfmt;
  int log_rate_limit = 1000; // lines of one event a second; 0: no limit

  // -- who and where ------------------------------------------------------------------------------------------------
  tenant default_tenant = make_default_tenant();
  std::map<std::string, tenant, std::less<>> tenants; // without the default one
  std::map<std::string, listener, std::less<>> listeners;
  admin_settings admin;
  cluster_settings cluster;
  std::string file;
  std::string store_path; // of objects made at run time; empty: what store_of() says
};

/// The tenant of that name; empty and "default" mean the default tenant; null when there is none.
const tenant* find_tenant(const settings& all, std::string_view name);

} // namespace pg_edge::config
