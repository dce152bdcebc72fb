#include "tests/support/postgres.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pg_edge::test {

namespace {

constexpr milliseconds start_limit{60000};
constexpr milliseconds stop_limit{30000};

// Postgres refuses to run as root. The package's user is there wherever Postgres is.
std::string server_user() {
  return geteuid() == 0 ? "postgres" : "";
}

void give_to_server(const std::string& path, mode_t mode) {
  if (chmod(path.c_str(), mode) != 0) throw test_failure("chmod " + path);
  if (geteuid() != 0) return;
  const passwd* user = getpwnam("postgres");
  if (user == nullptr) throw test_failure("no user postgres on this machine: is Postgres installed?");
  if (chown(path.c_str(), user->pw_uid, user->pw_gid) != 0) throw test_failure("chown " + path);
}

// An empty name matches any; E'' strings keep quotes in names harmless.
/// Those that were there when the question came: Postgres looks at one after the other, so who has come since may stand
/// beside one that had gone by then. Without this program's own, and without what a node asks Postgres with about a
/// dead one: control connections do not count in a pool.
std::string count_sql(const std::string& user, const std::string& database) {
  std::string sql = "select count(*) from pg_stat_activity where backend_type in ('client backend', 'walsender') "
                    "and backend_start <= now() and pid <> pg_backend_pid() and application_name not in ('test "
                    "support', 'pg_edge cluster')";
  if (!user.empty()) sql += " and usename = '" + user + "'";
  if (!database.empty()) sql += " and datname = '" + database + "'";
  return sql;
}

/// A test may want a second server on the port of the first, at another address.
std::optional<std::uint16_t> configured_port(const std::string& configuration) {
  const std::string key = "port = ";
  const auto at = configuration.find(key);
  if (at == std::string::npos) return std::nullopt;
  return static_cast<std::uint16_t>(std::stoi(configuration.substr(at + key.size())));
}

} // namespace

// -- set up ------------------------------------------------------------------------------------------------------

std::string postgres::program(const std::string& name) {
  static const std::string folder = [] {
    if (const char* given = std::getenv("PG_EDGE_POSTGRES_BIN")) return std::string(given);
    std::string best;
    int best_version = 0;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored)) {
      int version = std::atoi(entry.path().filename().c_str());
      if (version <= best_version || access((entry.path() / "bin/initdb").c_str(), X_OK) != 0) continue;
      best_version = version;
      best = entry.path() / "bin";
    }
    if (best.empty()) throw test_failure("no Postgres under /usr/lib/postgresql: run tools/setup test");
    return best;
  }();
  return folder + "/" + name;
}

postgres& postgres::shared() {
  static postgres server;
  return server;
}

postgres::postgres(const postgres_options& options) {
  for (const char* name : {"data", "socket"})
    if (mkdir((folder_ / name).c_str(), 0755) != 0) throw test_failure("mkdir " + (folder_ / name));
  give_to_server(data_dir(), 0700);
  give_to_server(socket_dir(), 0755);
  write_file(folder_ / "log", "");
  give_to_server(folder_ / "log", 0644);

  process_options as_server;
  as_server.user = server_user();
  run_result made = run({program("initdb"), "-D", data_dir(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale",
                         "C.UTF-8", "--no-sync", "--no-instructions"},
                        start_limit, as_server);
  if (made.status != 0) throw test_failure("initdb failed:\n" + made.out + made.err);
  port_ = configured_port(options.configuration).value_or(free_port());
  write_configuration(options);
  start();
  make_users();
}

postgres::~postgres() {
  // The data are deleted next: there is nothing an orderly shutdown would save.
  try {
    postmaster_.kill_tree();
  } catch (const test_failure&) {
    // The janitor sees to it.
  }
}

void postgres::write_configuration(const postgres_options& options) {
  write_file(data_dir() + "/postgresql.conf", "listen_addresses = '127.0.0.1'\n"
                                              "port = " +
                                                  std::to_string(port_) +
                                                  "\n"
                                                  "unix_socket_directories = '" +
                                                  socket_dir() +
                                                  "'\n"
                                                  "max_connections = " +
                                                  std::to_string(options.max_connections) +
                                                  "\n"
                                                  "shared_buffers = 64MB\n"
                                                  "fsync = off\n"
                                                  "synchronous_commit = off\n"
                                                  "full_page_writes = off\n"
                                                  "autovacuum = off\n"
                                                  "wal_level = logical\n"
                                                  "max_wal_senders = 10\n"
                                                  "max_prepared_transactions = 50\n"
                                                  "ssl = on\n"
                                                  "ssl_cert_file = 'server.crt'\n"
                                                  "ssl_key_file = 'server.key'\n"
                                                  "log_connections = on\n"
                                                  "log_disconnections = on\n"
                                                  "log_line_prefix = '%m [%p] %q%u@%d '\n"
                                                  "log_timezone = 'UTC'\n"
                                                  "timezone = 'Etc/UTC'\n"
                                                  "include_if_exists = 'test.conf'\n" +
                                                  options.configuration + "\n");
  std::string rules = "local all all trust\n"
                      "host all postgres 127.0.0.0/8 trust\n"
                      "host replication postgres,replication_user,trust_user 127.0.0.0/8 trust\n"
                      "local replication all trust\n"
                      "hostssl all tls_user 127.0.0.0/8 scram-sha-256\n"
                      "host all tls_user 127.0.0.0/8 reject\n";
  for (const known_user& user : known_users)
    rules += "host all " + std::string(user.name) + " 127.0.0.0/8 " + user.method + "\n";
  rules += "host all all 127.0.0.0/8 scram-sha-256\n"
           "host replication all 127.0.0.0/8 scram-sha-256\n";
  write_file(data_dir() + "/pg_hba.conf", rules);

  certificate_authority::leaf leaf = authority_.issue("localhost");
  write_file(data_dir() + "/server.crt", leaf.certificate);
  write_file(data_dir() + "/server.key", leaf.key);
  write_file(authority_file(), authority_.certificate());
  for (const char* name : {"postgresql.conf", "pg_hba.conf", "server.crt", "server.key"})
    give_to_server(data_dir() + "/" + name, 0600);
}

void postgres::make_users() const {
  pq connection = admin("postgres");
  for (const known_user& user : known_users) {
    bool md5 = std::string_view(user.method) == "md5";
    connection.exec(std::string("set password_encryption = '") + (md5 ? "md5" : "scram-sha-256") + "'");
    std::string password = *user.password != '\0' ? std::string(" password '") + user.password + "'" : "";
    connection.exec(std::string("create user ") + user.name + password);
  }
  connection.exec("alter user replication_user replication");
  for (const char* database : known_databases) {
    connection.exec(std::string("create database ") + database);
    connection.exec(std::string("grant all on database ") + database + " to public");
    admin(database).exec("grant all on schema public to public");
  }
}

// -- life --------------------------------------------------------------------------------------------------------

void postgres::launch() {
  process_options as_server;
  as_server.user = server_user();
  as_server.stdout_file = as_server.stderr_file = folder_ / "log";
  postmaster_ = process({program("postgres"), "-D", data_dir()}, as_server);
  wait_for([&] { return accepts() || !postmaster_.running(); }, start_limit);
}

void postgres::start() {
  if (postmaster_.running()) return;
  // A port may be taken between free_port() and now, and a killed server's shared memory may linger a while: a backend
  // that was being forked at that moment lives until it notices.
  for (int attempt = 0; attempt < 40; ++attempt) {
    launch();
    if (postmaster_.running() && accepts()) return;
    postmaster_.kill_tree();
    std::this_thread::sleep_for(milliseconds(300));
  }
  throw test_failure("Postgres does not start; its log:\n" + log());
}

bool postgres::accepts() const {
  return PQping(
             ("host=" + socket_dir() + " port=" + std::to_string(port_) + " dbname=postgres user=postgres").c_str()) ==
         PQPING_OK;
}

void postgres::stop(shutdown how) {
  postmaster_.signal_tree(SIGCONT);
  postmaster_.signal(static_cast<int>(how));
  if (postmaster_.running() && !postmaster_.wait(stop_limit))
    throw test_failure("Postgres does not stop; its log:\n" + log());
}

void postgres::restart(shutdown how) {
  stop(how);
  start();
}

void postgres::kill() {
  postmaster_.kill_tree();
}
void postgres::freeze() {
  postmaster_.signal_tree(SIGSTOP);
}
void postgres::thaw() {
  postmaster_.signal_tree(SIGCONT);
}

void postgres::reload() {
  std::string before = query("select pg_conf_load_time()");
  postmaster_.signal(SIGHUP);
  // Each new backend inherits the postmaster's time of loading.
  if (!wait_for([&] { return query("select pg_conf_load_time()") != before; }))
    throw test_failure("Postgres does not reload");
}

void postgres::set_configuration(const std::string& lines) {
  write_file(data_dir() + "/test.conf", lines + "\n");
  give_to_server(data_dir() + "/test.conf", 0600);
}

// -- questions ---------------------------------------------------------------------------------------------------

std::string postgres::conninfo(const std::string& user, const std::string& database) const {
  std::string text =
      "host=127.0.0.1 port=" + std::to_string(port_) + " dbname=" + database + " user=" + user + " gssencmode=disable";
  for (const known_user& known : known_users)
    if (user == known.name && *known.password != '\0') text += " password='" + std::string(known.password) + "'";
  return text;
}

pq postgres::admin(const std::string& database) const {
  return pq("host=" + socket_dir() + " port=" + std::to_string(port_) + " dbname=" + database +
            " user=postgres application_name='test support'");
}

std::string postgres::query(const std::string& sql, const std::string& database) const {
  pq_result result = admin(database).exec(sql);
  return result.rows() > 0 && result.columns() > 0 ? result.value() : "";
}

int postgres::version() const {
  return std::atoi(query("show server_version_num", "postgres").c_str());
}

int postgres::backends(const std::string& user, const std::string& database) const {
  return std::atoi(query(count_sql(user, database), "postgres").c_str());
}

void postgres::wait_until_left(const std::string& user, milliseconds limit) const {
  if (!wait_for([&] { return backends(user) == 0; }, limit))
    throw test_failure("backends of " + user + " of the last pg_edge do not leave");
}

// -- backend_watcher ---------------------------------------------------------------------------------------------

backend_watcher::backend_watcher(const postgres& server, std::string user, std::string database, milliseconds interval)
    : thread_([this, &server, sql = count_sql(user, database), interval] { watch(server, sql, interval); }) {
  wait_for([&] { return samples_ > 0; });
}

backend_watcher::~backend_watcher() {
  stopping_ = true;
  thread_.join();
}

void backend_watcher::watch(const postgres& server, const std::string& sql, milliseconds interval) {
  while (!stopping_) {
    try {
      pq connection = server.admin("postgres");
      while (!stopping_) {
        last_ = std::atoi(connection.value(sql).c_str());
        max_ = std::max<int>(max_, last_);
        ++samples_;
        std::this_thread::sleep_for(interval);
      }
    } catch (const test_failure&) {
      // The test stopped the server; it may start it again.
      std::this_thread::sleep_for(milliseconds(20));
    }
  }
}

} // namespace pg_edge::test
