// The log of a running node: where it goes, how it looks, what is switched, and what is never in it.
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

#include <csignal>
#include <cstdio>
#include <regex>
#include <sstream>
#include <thread>

using namespace pg_edge::test;

namespace {

const std::string base = "admin_users = \"trust_user\"\npool_mode = \"transaction\"\n";

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++found;
  return found;
}

} // namespace

BOOST_AUTO_TEST_SUITE(log_pgtest)

BOOST_AUTO_TEST_CASE(a_logfile_is_opened_anew_by_sighup) {
  pg_edge_process node(simple_toml(base + "logfile = \"{dir}/events.log\"\n"), {.wait_until_listening = false});
  const std::string file = node.folder() + "/events.log";
  const auto contains = [&](const std::string& path, const std::string& text) {
    return read_file(path).find(text) != std::string::npos;
  };
  BOOST_TEST_REQUIRE(wait_for([&] { return pq::attempt(node.conninfo()).ok(); }));
  BOOST_TEST(wait_for([&] { return contains(file, "event=client_connected"); }));
  BOOST_TEST(node.log().find("event=") == std::string::npos); // nothing of it on standard error
  const std::string rotated = file + ".1";
  BOOST_TEST_REQUIRE(std::rename(file.c_str(), rotated.c_str()) == 0);
  node.signal(SIGHUP);
  BOOST_TEST(wait_for([&] { return contains(file, "event=settings_reloaded"); }));
  const std::string before = read_file(rotated);
  BOOST_TEST(pq::attempt(node.conninfo()).ok());
  BOOST_TEST(wait_for([&] { return contains(file, "event=client_disconnected"); }));
  BOOST_TEST(read_file(rotated) == before);
}

BOOST_AUTO_TEST_CASE(a_logfile_that_cannot_be_opened_is_told) {
  pg_edge_process node(simple_toml(base));
  pq admin(node.conninfo("trust_user", "pgbouncer"));
  admin.exec("SET logfile = '/no/such/folder/events.log'");
  BOOST_TEST(wait_for([&] { return node.log_contains("event=logfile_failed file=/no/such/folder/events.log"); }));
  BOOST_TEST(!admin.notices().empty());
  BOOST_TEST(pq::attempt(node.conninfo()).ok());
}

BOOST_AUTO_TEST_CASE(lines_become_json_while_the_node_runs) {
  pg_edge_process node(simple_toml(base));
  pq admin(node.conninfo("trust_user", "pgbouncer"));
  admin.exec("SET log_format = json");
  pq::attempt(node.conninfo());
  BOOST_TEST(wait_for([&] { return node.log_contains("\"event\":\"client_disconnected\""); }));
  std::istringstream lines(node.log());
  const std::regex object(R"re(\{"time":"[^"]+Z","level":"(debug|info|warning|error)","event":"[a-z_]+")re"
                          R"re((,"[a-z_]+":("([^"\\]|\\.)*"|-?[0-9.]+|true|false))*\})re");
  int seen = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("{")) continue;
    BOOST_TEST(std::regex_match(line, object), line);
    ++seen;
  }
  BOOST_TEST(seen >= 2);
}

BOOST_AUTO_TEST_CASE(connection_lines_and_levels_are_switched_live) {
  pg_edge_process node(simple_toml(base + "log_connections = false\nlog_disconnections = false\n"
                                          "log_pooler_errors = false\n"));
  pq admin(node.conninfo("trust_user", "pgbouncer"));
  { pq one(node.conninfo()); }
  pq::attempt(node.conninfo("nobody_known"));
  admin.exec("SHOW VERSION");
  BOOST_TEST(count(node.log(), "event=client_connected client=") <= 1u); // the admin's own
  BOOST_TEST(!node.log_contains("event=client_disconnected"));
  BOOST_TEST(!node.log_contains("event=client_login_failed"));
  admin.exec("SET log_connections = 1; SET log_disconnections = on; SET log_pooler_errors = yes");
  const std::size_t before = count(node.log(), "event=client_connected");
  { pq one(node.conninfo()); }
  pq::attempt(node.conninfo("nobody_known"));
  BOOST_TEST(node.wait_for_log("event=client_disconnected"));
  BOOST_TEST(node.wait_for_log("event=client_login_failed"));
  BOOST_TEST(count(node.log(), "event=client_connected") > before);
  BOOST_TEST(!node.log_contains("level=debug"));
  admin.exec("SET verbose = 2");
  pq one(node.conninfo());
  one.send_query("select pg_sleep(60)");
  BOOST_TEST(wait_for([&] { return admin.exec("SHOW POOLS").cell("database", "app", "sv_active") == "1"; }));
  one.cancel();
  BOOST_TEST(node.wait_for_log("level=debug event=cancel_forwarded"));
}

BOOST_AUTO_TEST_CASE(figures_are_told_once_a_period) {
  pg_edge_process node(simple_toml(base + "stats_period = 1\n"));
  pq client(node.conninfo());
  for (int i = 0; i < 20; ++i)
    client.exec("select 1");
  const std::regex line(R"(event=stats xacts_per_s=\d+ queries_per_s=\d+ .* in_bytes_per_s=\d+ out_bytes_per_s=\d+ )"
                        R"(xact_us=\d+ query_us=\d+ wait_us=\d+ clients=1 servers=1 waiting=0)");
  BOOST_TEST(wait_for([&] { return std::regex_search(node.log(), line); }));
  BOOST_TEST(wait_for([&] { return std::regex_search(node.log(), std::regex("event=stats xacts_per_s=[1-9]")); }));
  pq admin(node.conninfo("trust_user", "pgbouncer"));
  admin.exec("SET log_stats = 0");
  const std::size_t before = count(node.log(), "event=stats ");
  std::this_thread::sleep_for(milliseconds(2500));
  BOOST_TEST(count(node.log(), "event=stats ") <= before + 1);
}

BOOST_AUTO_TEST_CASE(a_flood_of_lines_is_cut_and_counted) {
  pg_edge_process node(simple_toml(base + "log_rate_limit = 5\nstats_period = 1\n"));
  for (int i = 0; i < 60; ++i)
    pq one(node.conninfo());
  BOOST_TEST(node.wait_for_log("event=log_lines_suppressed of=client_connected lines="));
  BOOST_TEST(count(node.log(), "event=client_connected") < 60u);
}

/// Right and wrong passwords of clients and servers, in messages, settings, addresses, a file with a mistake, and SET.
BOOST_AUTO_TEST_CASE(B194_no_secret_is_in_the_log_wherever_it_stood) {
  const std::vector<std::string> secrets{"s3cret-file",       "s3cret-wrong",   "s3cret-server",
                                         "s3cret-user-field", "s3cret-old",     "s3cret-reload",
                                         "s3cret-console",    "s3cret-unknown", scram_user.password};
  const auto toml = [](const std::string& more) {
    return simple_toml("admin_users = \"scram_user\"\nauth_type = \"plain\"\nverbose = 4\nserver_login_retry = 1\n"
                       "query_wait_timeout = 3\n",
                       "[users.holder]\npassword = \"s3cret-file\"\nold_passwords = [\"s3cret-old\"]\n"
                       "[databases.refused]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"app\"\n"
                       "user = \"password_user\"\npassword = \"s3cret-server\"\n" +
                           more);
  };
  pg_edge_process node(toml(""));
  const auto attempt = [&](const std::string& user, const std::string& database, const std::string& secret) {
    return pq::attempt(node.conninfo(user, database) + " password=" + secret);
  };
  BOOST_TEST(attempt("holder", "app", "s3cret-wrong").ok() == false);
  attempt("nobody_known", "app", "s3cret-unknown");
  pq by_old = attempt("holder", "refused", "s3cret-old");
  if (by_old.ok()) by_old.try_exec("select 1"); // Postgres refuses the pool's password
  pq holder = attempt("holder", "refused", "s3cret-file");
  if (holder.ok()) holder.try_exec("alter role holder password 's3cret-user-field'");
  pq admin(node.conninfo("scram_user", "pgbouncer"));
  admin.try_exec("SET auth_user = 's3cret-console' 's3cret-console'");
  node.rewrite_config(toml("[users.broken]\npassword = \"s3cret-reload\"\nno_such_key = 1\n"));
  admin.try_exec("RELOAD");
  BOOST_TEST(node.wait_for_log("event=settings_refused"));
  BOOST_TEST(node.wait_for_log("event=client_login_failed"));
  const std::string log = node.log();
  BOOST_TEST(log.find("level=debug") != std::string::npos);
  for (const std::string& secret : secrets)
    BOOST_TEST(log.find(secret) == std::string::npos, secret << " is in the log");
}

/// As under systemd: the journal says in JOURNAL_STREAM which file it reads.
BOOST_AUTO_TEST_CASE(the_journal_gets_priorities) {
  temp_dir folder;
  const std::string toml = folder / "node.toml";
  const std::string log = folder / "journal";
  write_file(log, "");
  write_file(toml, "[pg_edge]\nlisten_addr = \"127.0.0.1\"\nlisten_port = " + std::to_string(free_port()) +
                       "\nunix_socket_dir = \"\"\nauth_type = \"trust\"\n[databases.app]\n");
  const run_result place = run({"stat", "-c", "%d:%i", log});
  process_options options;
  options.stderr_file = log;
  options.environment = {"JOURNAL_STREAM=" + place.out.substr(0, place.out.find('\n'))};
  process node({pg_edge_process::binary(), "--config", toml}, options);
  BOOST_TEST(wait_for([&] { return read_file(log).find("<6>time=") != std::string::npos; }), read_file(log));
  node.signal(SIGTERM);
  BOOST_TEST((node.wait(milliseconds(15000)) == 0));
}

BOOST_AUTO_TEST_SUITE_END()
