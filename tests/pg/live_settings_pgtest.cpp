// Settings that change while the node runs: SET on the console, servers and users that come and go by a reload, and
// that nothing changes when a command fails.
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

#include <csignal>

using namespace pg_edge::test;

namespace {

const std::string base = "admin_users = \"trust_user\"\npool_mode = \"transaction\"\ndefault_pool_size = 3\n";
const std::string second = "[databases.second]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"app\"\n";

struct fixture {
  pg_edge_process node{simple_toml(base)};
  pq console{node.conninfo("trust_user", "pgbouncer")};

  std::string setting(const std::string& key) { return console.exec("SHOW CONFIG").cell("key", key, "value"); }
  /// Every setting with its value, as one text.
  std::string all_settings() {
    std::string text;
    const pq_result result = console.exec("SHOW CONFIG");
    for (int row = 0; row < result.rows(); ++row)
      text += result.value(row, 0) + "=" + result.value(row, 1) + "\n";
    return text;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(live_settings_pgtest, fixture)

BOOST_AUTO_TEST_CASE(B151_set_takes_effect_and_reload_goes_back_to_the_file) {
  console.exec("SET default_pool_size = 5");
  BOOST_TEST(setting("default_pool_size") == "5");
  BOOST_TEST(console.exec("SHOW DATABASES").cell("name", "app", "pool_size") == "5");
  console.exec("SET query_timeout = '2m'");
  BOOST_TEST(setting("query_timeout") == "120");
  console.exec("set pool_mode to session");
  BOOST_TEST(setting("pool_mode") == "session");
  console.exec("SET server_reset_query = ''");
  BOOST_TEST(setting("server_reset_query").empty());
  console.exec("SET query_wait_timeout = 1.5");
  BOOST_TEST(setting("query_wait_timeout") == "1.5");
  console.exec("RELOAD");
  BOOST_TEST(setting("default_pool_size") == "3");
  BOOST_TEST(setting("pool_mode") == "transaction");
  BOOST_TEST(setting("query_timeout") == "0");
}

BOOST_AUTO_TEST_CASE(B151_a_pool_grows_at_once) {
  std::vector<std::unique_ptr<pq>> holders;
  for (int i = 0; i < 3; ++i) {
    holders.push_back(std::make_unique<pq>(node.conninfo()));
    holders.back()->exec("begin");
    holders.back()->exec("select 1");
  }
  pq waiting(node.conninfo());
  waiting.send_query("select 1");
  BOOST_TEST(wait_for([&] { return console.exec("SHOW POOLS").cell("database", "app", "cl_waiting") == "1"; }));
  console.exec("SET default_pool_size = 4");
  BOOST_TEST(waiting.results().at(0).value() == "1");
}

BOOST_AUTO_TEST_CASE(B151_every_changeable_setting_can_be_set_to_what_it_is) {
  const pq_result config = console.exec("SHOW CONFIG");
  int set = 0;
  for (int row = 0; row < config.rows(); ++row) {
    const bool secret = config.value(row, 1) == "********" || config.value(row, 0) == "mock_authentication_nonce";
    if (config.value(row, 3) != "yes" || secret) continue; // a secret stands in the file, never in a command
    std::string quoted;
    for (const char c : config.value(row, 1))
      quoted.append(c == '\'' ? 2 : 1, c);
    const pq_result done = console.try_exec("SET " + config.value(row, 0) + " = '" + quoted + "'");
    BOOST_TEST(done.ok(), config.value(row, 0) << ": " << done.message());
    ++set;
  }
  BOOST_TEST(set > 40);
}

BOOST_AUTO_TEST_CASE(a_command_that_fails_changes_nothing) {
  pq client(node.conninfo());
  client.exec("select 1");
  const std::string before = all_settings();
  const std::string state = console.exec("SHOW STATE").value(0, 1);
  for (const char* command : {"SET default_pool_size = many", "SET default_pool_size = -1", "SET listen_port = 7",
                              "SET no_such_key = 1", "SET pool_mode = sometimes", "SET client_tls_sslmode = require",
                              "PAUSE nowhere", "RESUME", "DISABLE", "KILL nowhere", "KILL_CLIENT 999999",
                              "RECONNECT nowhere", "SHUTDOWN maybe", "SET = 3", "SET default_pool_size"}) {
    const pq_result refused = console.try_exec(command);
    BOOST_TEST(!refused.ok(), command);
    BOOST_TEST(!refused.sqlstate().empty(), command);
  }
  BOOST_TEST(all_settings() == before);
  BOOST_TEST(console.exec("SHOW STATE").value(0, 1) == state);
  BOOST_TEST(client.value("select 2") == "2");
  const pq_result near = console.try_exec("SET pool_moed = session");
  BOOST_TEST(near.message().find("did you mean \"pool_mode\"") != std::string::npos, near.message());
}

BOOST_AUTO_TEST_CASE(B150_databases_come_and_go_by_reload) {
  pq present(node.conninfo());
  present.exec("select 1");
  BOOST_TEST(!pq::attempt(node.conninfo("trust_user", "second")).ok());
  node.rewrite_config(simple_toml(base, second));
  console.exec("RELOAD");
  pq added(node.conninfo("trust_user", "second"));
  BOOST_TEST(added.value("select current_database()") == "app");
  BOOST_TEST(console.exec("SHOW DATABASES").cell("name", "second", "port") ==
             std::to_string(postgres::shared().port()));
  node.rewrite_config(simple_toml(base));
  console.exec("RELOAD");
  BOOST_TEST(!pq::attempt(node.conninfo("trust_user", "second")).ok());
  BOOST_TEST(console.exec("SHOW DATABASES").cell("name", "second", "port") == "no such row");
  BOOST_TEST(present.value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(B150_a_second_host_serves_after_a_reload) {
  const std::string settings = base + "server_connect_timeout = 5\nserver_login_retry = 1\n";
  const auto at = [](const std::string& host) {
    return "[databases.many]\nhost = \"" + host + "\"\nport = {postgres_port}\ndbname = \"app\"\n";
  };
  node.rewrite_config(simple_toml(settings, at("127.0.0.1")));
  console.exec("RELOAD");
  pq client(node.conninfo("trust_user", "many"));
  client.exec("select 1");
  node.rewrite_config(simple_toml(settings, at("127.0.0.1,localhost")));
  console.exec("RELOAD");
  BOOST_TEST(client.value("select 1") == "1"); // the one it had, or one of the two
  BOOST_TEST(console.exec("SHOW DATABASES").cell("name", "many", "host") == "127.0.0.1,localhost");
  node.rewrite_config(simple_toml(settings, at("localhost")));
  console.exec("RELOAD");
  BOOST_TEST(client.value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(B167_present_clients_live_on_when_their_password_changes) {
  const auto with_password = [](const std::string& secret) {
    return simple_toml(base + "auth_type = \"plain\"\n") + "[users.changing]\npassword = \"" + secret + "\"\n";
  };
  const auto conninfo = [&](const std::string& secret) {
    return node.conninfo("changing", "by_trust") + " password=" + secret;
  };
  const std::string database = "[databases.by_trust]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"app\"\n"
                               "user = \"trust_user\"\n";
  node.rewrite_config(with_password("old-secret") + database);
  console.exec("RELOAD");
  pq present(conninfo("old-secret"));
  BOOST_TEST(present.value("select 1") == "1");
  node.rewrite_config(with_password("new-secret") + database);
  console.exec("RELOAD");
  BOOST_TEST(present.value("select 1") == "1");
  BOOST_TEST(!pq::attempt(conninfo("old-secret")).ok());
  pq later(conninfo("new-secret"));
  BOOST_TEST(later.value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(B156_who_is_an_admin_changes_by_reload) {
  BOOST_TEST(!pq::attempt(node.conninfo("replication_user", "pgbouncer")).ok());
  console.exec("SET stats_users = 'replication_user'");
  pq looks(node.conninfo("replication_user", "pgbouncer"));
  BOOST_TEST(looks.exec("SHOW POOLS").ok());
  BOOST_TEST(looks.try_exec("RELOAD").sqlstate() == "42501");
  console.exec("SET stats_users = ''");
  BOOST_TEST(!pq::attempt(node.conninfo("replication_user", "pgbouncer")).ok());
}

BOOST_AUTO_TEST_SUITE_END()
