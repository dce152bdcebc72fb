// New logins while Postgres is down: behaviour 173. What a session begins with is known from before; queries wait.
#include "tests/pg/edges_support.hpp"

using namespace pg_edge::test;

namespace {

struct running_again { // whatever a test does, the next one finds Postgres running
  ~running_again() {
    if (!postgres::shared().running()) postgres::shared().start();
  }
};

const std::string quick_retry = "server_login_retry = 1\n";

/// Makes its pool known, and then has no server and no client.
void use(const pg_edge_process& node, const std::string& user = "trust_user") {
  pq client(node.conninfo(user));
  BOOST_TEST(client.value("select 1") == "1");
}

} // namespace

BOOST_AUTO_TEST_SUITE(away_pgtest)

BOOST_AUTO_TEST_CASE(B173_clients_log_in_while_postgres_is_down_and_their_queries_wait) {
  running_again after;
  in_every_set_up(quick_retry, [](pg_edge_process& node) {
    use(node);
    postgres::shared().stop();
    pq client(node.conninfo());
    BOOST_TEST(!client.parameter("server_version").empty());
    wire_client raw(node.port());
    const auto said = raw.try_startup({{"user", "trust_user"}, {"database", "app"}});
    BOOST_TEST_REQUIRE(!said.empty());
    BOOST_TEST(said.back().type == 'Z');
    BOOST_TEST(raw.parameter("client_encoding") == "UTF8");
    client.send_query("select 42");
    raw.send(query_bytes("select 43"));
    BOOST_TEST(raw.silent_for(milliseconds(700)));
    postgres::shared().start();
    BOOST_TEST(client.results().back().value() == "42");
    raw.expect("T D C(SELECT 1) Z(I)", "SN");
  });
}

BOOST_AUTO_TEST_CASE(B173_the_pool_may_be_gone) {
  running_again after;
  in_every_set_up(quick_retry + "pool_idle_timeout = 1\n", [](pg_edge_process& node) {
    use(node);
    BOOST_TEST_REQUIRE(node.wait_for_log("pool_removed"));
    postgres::shared().stop();
    const auto took = time_of([&] {
      pq client(node.conninfo());
      client.send_query("select 42");
      postgres::shared().start();
      BOOST_TEST(client.results().back().value() == "42");
    });
    BOOST_TEST(took.count() < 10000);
  });
}

BOOST_AUTO_TEST_CASE(B173_psql_logs_in_too) {
  running_again after;
  pg_edge_process node(simple_toml(quick_retry));
  use(node);
  postgres::shared().stop();
  temp_dir folder;
  process_options options;
  options.stdout_file = options.stderr_file = folder / "out";
  process psql({postgres::program("psql"), "-XAt", "-d", node.conninfo(), "-c", "select 'from ' || 'psql'"}, options);
  BOOST_TEST(node.wait_for_log("client_connected", milliseconds(5000)));
  BOOST_TEST(wait_for([&] { // the first was use()
    const std::string log = node.log();
    const auto first = log.find("client_connected");
    return log.find("client_connected", first + 1) != std::string::npos;
  }));
  BOOST_TEST(psql.running());
  postgres::shared().start();
  BOOST_TEST((psql.wait(milliseconds(15000)) == 0));
  BOOST_TEST(read_file(folder / "out") == "from psql\n");
}

BOOST_AUTO_TEST_CASE(B173_the_first_login_of_all_waits) {
  running_again after;
  in_every_set_up(quick_retry, [](pg_edge_process& node) {
    postgres::shared().stop();
    wire_client client(node.port());
    client.send(startup_bytes({{"user", "trust_user"}, {"database", "app"}}));
    BOOST_TEST(client.silent_for(milliseconds(1500)));
    postgres::shared().start();
    const auto said = client.read_until_ready();
    BOOST_TEST(summary(said.front()) == "R(0)");
    BOOST_TEST(client.value("select 1") == "1");
  });
}

BOOST_AUTO_TEST_CASE(B173_settings_of_its_own_are_believed_until_a_server_is_there) {
  running_again after;
  in_every_set_up(quick_retry, [](pg_edge_process& node) {
    use(node);
    postgres::shared().stop();
    wire_client client = log_in(node, "trust_user",
                                {{"TimeZone", "asia/tokyo"},
                                 {"datestyle", "german"},
                                 {"application_name", "mine"},
                                 {"options", "-c search_path=elsewhere"}});
    BOOST_TEST(client.parameter("TimeZone") == "asia/tokyo");
    BOOST_TEST(client.parameter("DateStyle") == "german");
    BOOST_TEST(client.parameter("application_name") == "mine");
    wire_client wrong = log_in(node, "trust_user", {{"TimeZone", "Mars/Olympus"}});
    wire_client plain = log_in(node);
    client.send(query_bytes("show search_path"));
    wrong.send(query_bytes("select 1"));
    BOOST_TEST(client.silent_for(milliseconds(300)));
    postgres::shared().start();
    // Told in Postgres's own spelling before the answer.
    client.expect("S* T D(elsewhere) C(SHOW) Z(I)", "N");
    BOOST_TEST(client.parameter("TimeZone") == "Asia/Tokyo");
    BOOST_TEST(client.parameter("DateStyle") == "German, DMY");
    BOOST_TEST(client.value("show timezone") == "Asia/Tokyo");
    BOOST_TEST(client.value("show application_name") == "mine");
    BOOST_TEST(plain.value("show timezone") == "Etc/UTC");
    const wire_message refused = wrong.read_message();
    BOOST_TEST(summary(refused) == "E(22023)");
    BOOST_TEST(error_field(refused, 'S') == "FATAL");
    BOOST_TEST(error_field(refused, 'M').find("Mars/Olympus") != std::string::npos);
    BOOST_TEST(wrong.closed_within(milliseconds(5000)));
    // What RESET goes back to is what the client began with.
    client.ask("set timezone = 'UTC'");
    client.ask("reset timezone");
    BOOST_TEST(client.value("show timezone") == "Asia/Tokyo");
  });
}

BOOST_AUTO_TEST_CASE(B173_a_server_that_hangs_is_no_obstacle_either) {
  tcp_proxy proxy(postgres::shared().port());
  pg_edge_process node(simple_toml(quick_retry + "pool_idle_timeout = 1\n", by_proxy(proxy)));
  {
    pq client(node.conninfo("trust_user", "proxied"));
    BOOST_TEST(client.value("select 1") == "1");
  }
  BOOST_TEST_REQUIRE(node.wait_for_log("pool_removed"));
  proxy.stall(true);
  const auto took = time_of([&] { pq client(node.conninfo("trust_user", "proxied")); });
  BOOST_TEST(took.count() < 5000);
}

BOOST_AUTO_TEST_CASE(a_login_that_the_server_refuses_is_refused_here_whatever_is_known) {
  pq admin = postgres::shared().admin();
  admin.exec("drop role if exists leaves; create role leaves login password 'its own'");
  in_every_set_up(quick_retry + "pool_idle_timeout = 1\n", [](pg_edge_process& node) {
    node.rewrite_config(read_file(node.config_file()) + "\n[users.leaves]\npassword = \"its own\"\n");
    node.signal(SIGHUP);
    BOOST_TEST_REQUIRE(node.wait_for_log("settings_reloaded"));
    postgres::shared().query("alter role leaves login");
    use(node, "leaves");
    BOOST_TEST_REQUIRE(node.wait_for_log("pool_removed"));
    postgres::shared().query("alter role leaves nologin");
    wire_client client(node.port());
    const auto said = client.try_startup({{"user", "leaves"}, {"database", "app"}});
    BOOST_TEST_REQUIRE(!said.empty());
    BOOST_TEST(summary(said.back()) == "E(28000)");
  });
}

BOOST_AUTO_TEST_CASE(nobody_gets_the_values_of_another_pool) {
  running_again after;
  pg_edge_process node(simple_toml(quick_retry));
  use(node);
  postgres::shared().stop();
  wire_client other_user(node.port()), other_database(node.port());
  other_user.send(startup_bytes({{"user", "replication_user"}, {"database", "app"}}));
  other_database.send(startup_bytes({{"user", "trust_user"}, {"database", "other"}}));
  BOOST_TEST(other_user.silent_for(milliseconds(1500)));
  BOOST_TEST(other_database.silent_for(milliseconds(100)));
  postgres::shared().start();
  other_user.read_until_ready();
  BOOST_TEST(other_user.parameter("session_authorization") == "replication_user");
  other_database.read_until_ready();
}

BOOST_AUTO_TEST_SUITE_END()
