#include "tests/soak/world.hpp"

#include <csignal>

namespace pg_edge::soak {

namespace {

// Commits must outlive kill -9 of Postgres, or the ledger would blame pg_edge for what Postgres lost. Peers that vanish
// are missed in seconds, by Postgres too.
constexpr const char* postgres_settings = "synchronous_commit = on\nlog_connections = off\nlog_disconnections = off\n"
                                          "tcp_keepalives_idle = 3\ntcp_keepalives_interval = 1\n"
                                          "tcp_keepalives_count = 4\ntcp_user_timeout = 6000\n"
                                          "client_connection_check_interval = 2s\n";

std::string tenant_of(const pool_row& pool) {
  const std::string login = pool.login;
  const std::size_t dot = login.find('.');
  return dot == std::string::npos ? "" : login.substr(dot + 1);
}

} // namespace

world::world(unsigned seed) : server({postgres_settings, 300}), behind(server.port(), seed) {
  make_pools(server, pools);
  server.query("create table churned (tag text); grant all on churned to public; alter table churned owner to "
               "soak_trans");
  rows = std::make_unique<ledger>(server, "soak_rows");
  node = std::make_unique<pg_edge_process>(toml(false));
  before = std::make_unique<fault_proxy>(node->port(), seed + 1);
}

std::string world::toml(bool small) const {
  std::string text =
      "[pg_edge]\nlisten_addr = \"127.0.0.1\"\nlisten_port = {port}\nunix_socket_dir = \"\"\n"
      "reactors = 2\nauth_type = \"trust\"\nadmin_users = [\"trust_user\"]\nmax_client_conn = 2000\n"
      "tcp_keepidle = 2\ntcp_keepintvl = 1\ntcp_keepcnt = 3\ntcp_user_timeout = 4000\n"
      "server_connect_timeout = 5\nserver_login_retry = 1\nquery_wait_timeout = 60\nquery_wait_notify = 0\n"
      "cancel_wait_timeout = 5\nserver_idle_timeout = 20\nserver_lifetime = 30\n"
      "client_login_timeout = 15\nserver_check_query = \"select 1\"\nserver_check_delay = 5\n"
      "client_tls_sslmode = \"allow\"\nclient_tls_cert_file = \"{cert}\"\n"
      "client_tls_key_file = \"{key}\"\nlog_connections = false\nlog_disconnections = false\n"
      "log_pooler_errors = false\n";
  for (const pool_row& pool : pools) {
    const std::string tenant = tenant_of(pool);
    const std::string prefix = tenant.empty() ? "[" : "[tenants." + tenant + ".";
    if (!tenant.empty())
      text += "[tenants." + tenant + "]\nclient_tls_required = " + (pool.tls ? "true" : "false") + "\n" + prefix +
              "users.trust_user]\n";
    text += prefix + "databases." + pool.database + "]\n" +
            database_settings(pool, "127.0.0.1", pool.by_proxy ? behind.port() : server.port(), small);
  }
  return text + "[users.trust_user]\n";
}

void world::reload(bool small) {
  node->rewrite_config(toml(small));
  node->signal(SIGHUP);
}

} // namespace pg_edge::soak
