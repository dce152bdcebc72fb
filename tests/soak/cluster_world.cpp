#include "tests/soak/cluster_world.hpp"

#include "tests/soak/evidence.hpp"

#include <csignal>

namespace pg_edge::soak {

namespace {

// Commits must outlive kill -9 of Postgres, or the ledger would blame pg_edge for what Postgres lost. A backend whose
// node was killed notices in its query.
constexpr const char* postgres_settings = "synchronous_commit = on\nlog_connections = off\nlog_disconnections = off\n"
                                          "client_connection_check_interval = 1s\n";

constexpr const char* node_settings = "query_wait_timeout = 60\nquery_wait_notify = 0\nserver_connect_timeout = 5\n"
                                      "server_login_retry = 1\nserver_idle_timeout = 20\nserver_lifetime = 30\n"
                                      "log_connections = false\nlog_disconnections = false\n"
                                      "log_pooler_errors = false\n";

postgres& prepared_server() {
  postgres& server = postgres::shared();
  server.set_configuration(postgres_settings);
  server.reload();
  make_pools(server, shared_pools);
  return server;
}

} // namespace

cluster_world::cluster_world(std::size_t count, std::string logs)
    : server(prepared_server()), hosts(count), nodes(options(count)), rows(server, "soak_rows"), logs_(std::move(logs)),
      lives_(count) {}

cluster_options cluster_world::options(std::size_t count) const {
  cluster_options how;
  how.nodes = count;
  how.settings = node_settings;
  how.more = "budget = \"strict\"\n";
  how.tls = how.links = how.api = true;
  how.hosts = &hosts;
  how.tables = tables(false);
  return how;
}

std::string cluster_world::tables(bool small) const {
  std::string text;
  for (const pool_row& pool : shared_pools)
    text += std::string("[databases.") + pool.database + "]\n" +
            database_settings(pool, server.socket_dir(), server.port(), small);
  return text;
}

std::optional<int> cluster_world::bury(std::size_t node, milliseconds limit) {
  const std::optional<int> status = nodes[node].wait(limit);
  const std::string log = nodes[node].log();
  for (const std::string& line : log_failures(log, {"node_fenced", "store_failed"}))
    log_lines_.push_back("n" + std::to_string(node) + ": " + line);
  if (!logs_.empty())
    write_file(logs_ + "/n" + std::to_string(node) + ".life" + std::to_string(lives_[node]) + ".log", log);
  return status;
}

void cluster_world::start(std::size_t node) {
  const auto there = nodes.at(node);
  nodes[node].start({.wait_until_listening = false});
}

void cluster_world::reload(bool small) {
  small_ = small;
  nodes.change_tables(tables(small));
  for (std::size_t i = 0; i < nodes.size(); ++i)
    nodes[i].signal(SIGHUP);
}

int cluster_world::size_of(const pool_row& pool) const {
  return small_ && pool.size_by_reload > 0 ? pool.size_by_reload : pool.size;
}

} // namespace pg_edge::soak
