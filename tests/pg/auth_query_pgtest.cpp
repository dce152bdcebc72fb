// Users who stand in no file and are looked up with auth_query: behaviours 15, 23 to 26 and 35.
#include "tests/pg/edges_support.hpp"

#include <algorithm>

using namespace pg_edge::test;

namespace {

/// Looks users up in pg_authid as the superuser, who is trusted; servers are logged in to as trust_user, so that these
/// tests are about clients alone.
std::string looking_up(const std::string& settings, const std::string& of_database = "", const std::string& tables = "",
                       const std::string& auth_user = "postgres") {
  return simple_toml("auth_user = \"" + auth_user + "\"\n" + settings,
                     "[databases.forced]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"app\"\n"
                     "user = \"trust_user\"\n" +
                         of_database + "\n" + tables);
}

std::vector<wire_message> attempt(const pg_edge_process& node, const std::string& user, const std::string& password,
                                  const std::string& database = "forced") {
  wire_client client(node.port());
  return client.try_startup({{"user", user}, {"database", database}}, password);
}

bool logs_in(const pg_edge_process& node, const std::string& user, const std::string& password,
             const std::string& database = "forced") {
  const auto messages = attempt(node, user, password, database);
  return !messages.empty() && messages.back().type == 'Z';
}

/// The last message: Z(I), or the error.
std::string outcome(const pg_edge_process& node, const std::string& user, const std::string& password,
                    const std::string& database = "forced") {
  const auto messages = attempt(node, user, password, database);
  return messages.empty() ? "closed" : summary(messages.back());
}

void make_role(const std::string& user, const std::string& password, const std::string& method = "scram-sha-256") {
  pq admin = postgres::shared().admin();
  admin.exec("drop role if exists " + user);
  admin.exec("set password_encryption = '" + method + "'");
  admin.exec("create role " + user + " login password '" + password + "'");
}

/// A table of logins in the database `other`, and a note of every look-up there.
void make_logins(const std::string& rows) {
  pq admin = postgres::shared().admin("other");
  admin.exec("drop table if exists logins; create table logins(name text, secret text);"
             "drop table if exists asked; create table asked(name text, as_whom text, app text, zone text, path text);"
             "grant all on logins, asked to public;"
             "create or replace function look(who text) returns table(n text, s text) language sql volatile as $$"
             "  insert into public.asked values (who, current_user, current_setting('application_name'),"
             "    current_setting('timezone'), current_setting('search_path'));"
             "  select name, secret from public.logins where name = who $$");
  admin.exec("insert into logins values " + rows);
}

int times_asked(const std::string& who) {
  return std::stoi(postgres::shared().query("select count(*) from asked where name = '" + who + "'", "other"));
}

const std::string by_look = "auth_dbname = \"other\"\nauth_query = \"select n, s from look($1)\"\n";

struct running_again { // whatever a test does, the next one finds Postgres running
  ~running_again() {
    if (!postgres::shared().running()) postgres::shared().start();
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(auth_query_pgtest)

BOOST_AUTO_TEST_CASE(B023_users_are_looked_up_for_every_method) {
  make_role("looked_scram", "its password");
  make_role("looked_md5", "its password", "md5");
  const struct {
    const char* type;
    const char* user;
    const char* good;
  } rows[] = {
      {"plain", "looked_scram", "R(3) R(0)"},
      {"plain", "looked_md5", "R(3) R(0)"},
      {"md5", "looked_scram", "R(10) R(11) R(12) R(0)"},
      {"md5", "looked_md5", "R(5) R(0)"},
      {"scram-sha-256", "looked_scram", "R(10) R(11) R(12) R(0)"},
  };
  for (const char* type : {"plain", "md5", "scram-sha-256"}) {
    pg_edge_process node(looking_up("auth_type = \"" + std::string(type) + "\"\n"));
    for (const auto& row : rows) {
      if (std::string(row.type) != type) continue;
      BOOST_TEST_CONTEXT(type << " for " << row.user) {
        auto messages = attempt(node, row.user, "its password");
        BOOST_TEST_REQUIRE(!messages.empty());
        BOOST_TEST(summary(messages.back()) == "Z(I)");
        messages.erase(
            std::find_if(messages.begin(), messages.end(), [](const wire_message& one) { return one.type == 'S'; }),
            messages.end());
        BOOST_TEST(summary(messages) == row.good);
        BOOST_TEST(outcome(node, row.user, "not it") == "E(28P01)");
        pq client(node.conninfo(row.user, "forced") + " password='its password'");
        BOOST_TEST(client.value("select current_user") == "trust_user");
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(servers_are_logged_in_to_as_the_user_who_was_looked_up) {
  make_role("looked_scram", "its password");
  in_every_set_up("auth_type = \"scram-sha-256\"\nauth_user = \"postgres\"\n", [](pg_edge_process& node) {
    pq client(node.conninfo("looked_scram") + " password='its password'");
    BOOST_TEST(client.value("select current_user") == "looked_scram");
  });
}

BOOST_AUTO_TEST_CASE(B023_an_unknown_user_looks_like_a_wrong_password) {
  make_role("looked_scram", "its password");
  postgres::shared().query("drop role if exists no_password; create role no_password login");
  for (const char* type : {"plain", "md5", "scram-sha-256"}) {
    BOOST_TEST_CONTEXT(type) {
      pg_edge_process node(looking_up("auth_type = \"" + std::string(type) + "\"\n"));
      const auto wrong = attempt(node, "looked_scram", "wrong");
      const std::vector<std::string> nobodies{"nobody_at_all", "no_password", "caf\xe9", std::string(70, 'n')};
      for (const std::string& user : nobodies)
        BOOST_TEST(summary(attempt(node, user, "wrong")) == summary(wrong), user);
    }
  }
}

BOOST_AUTO_TEST_CASE(B023_the_query_runs_in_the_chosen_database_as_the_chosen_role) {
  make_logins("('table_user', 'from the table')");
  pg_edge_process node(looking_up("auth_type = \"scram-sha-256\"\n" + by_look, "", "", "scram_user"));
  BOOST_TEST(logs_in(node, "table_user", "from the table"));
  BOOST_TEST(outcome(node, "table_user", "not it") == "E(28P01)");
  BOOST_TEST(postgres::shared().query("select as_whom from asked limit 1", "other") == "scram_user");
  // Another database of the same node asks elsewhere: what is found in one place is not known in the other.
  pg_edge_process two(simple_toml("auth_type = \"scram-sha-256\"\nauth_user = \"postgres\"\n",
                                  "[databases.by_table]\nhost = \"127.0.0.1\"\nport = {postgres_port}\n"
                                  "dbname = \"app\"\nuser = \"trust_user\"\n" +
                                      by_look));
  BOOST_TEST(logs_in(two, "table_user", "from the table", "by_table"));
  BOOST_TEST(outcome(two, "table_user", "from the table", "app") == "E(28P01)");
}

BOOST_AUTO_TEST_CASE(B023_an_error_of_the_query_is_logged_and_the_client_gets_a_generic_one) {
  const struct {
    const char* query;
    const char* logged;
  } rows[] = {
      {"select secret_thing from nowhere_at_all where $1 = ''", "nowhere_at_all"},
      {"select 1/0, $1", "division by zero"},
      {"select $1::text", "1 columns"},
      {"select $1::text, 'a', 'b'", "3 columns"},
      {"select $1::text, 'a' from generate_series(1, 2)", "2 rows"},
      {"select from where $1", "syntax error"},
      {"select 1; select $1", "cannot insert multiple commands"},
  };
  for (const auto& row : rows) {
    BOOST_TEST_CONTEXT(row.query) {
      pg_edge_process node(
          looking_up("auth_type = \"scram-sha-256\"\nauth_query = \"" + std::string(row.query) + "\"\n"));
      const auto said = attempt(node, "some_user", "x");
      BOOST_TEST_REQUIRE(!said.empty());
      BOOST_TEST(summary(said) == "E(58000)");
      BOOST_TEST(error_field(said.back(), 'M') == "could not check user \"some_user\"");
      BOOST_TEST(said.back().body.find(row.logged) == std::string::npos);
      BOOST_TEST(node.wait_for_log("user_lookup_failed"));
      BOOST_TEST(node.log_contains(row.logged));
      // The configured are not affected.
      BOOST_TEST(logs_in(node, "scram_user", scram_user.password));
    }
  }
  // A stranger hears the name he gave, or he would learn which end of it is a tenant.
  pg_edge_process tenants(looking_up("auth_type = \"scram-sha-256\"\nauth_query = \"select 1/0, $1\"\n", "",
                                     "[tenants.acme.databases.forced]\nhost = \"127.0.0.1\"\n"
                                     "port = {postgres_port}\ndbname = \"app\"\n[tenants.acme.users.postgres]\n"));
  const auto strange = attempt(tenants, "some_user.acme", "x");
  BOOST_TEST_REQUIRE(!strange.empty());
  BOOST_TEST(error_field(strange.back(), 'M') == "could not check user \"some_user.acme\"");
  pg_edge_process other(
      looking_up("auth_type = \"scram-sha-256\"\nauth_query = \"select 'x' || $1::text, 'secret'\"\n"));
  BOOST_TEST(outcome(other, "some_user", "secret") == "E(28P01)");
  BOOST_TEST(other.wait_for_log("another user"));
}

BOOST_AUTO_TEST_CASE(B023_a_login_of_auth_user_that_is_refused_is_told_at_once) {
  const std::string by_scram = "auth_type = \"scram-sha-256\"\n";
  std::string toml = looking_up(by_scram + by_look, "", "", "scram_user");
  const std::string secret = scram_user.password;
  toml.replace(toml.find(secret), secret.size(), "not the secret");
  pg_edge_process node(toml);
  const auto took = time_of([&] { BOOST_TEST(outcome(node, "some_user", "x") == "E(58000)"); });
  BOOST_TEST(took.count() < 3000);
  BOOST_TEST(node.wait_for_log("password authentication failed for user"));
  // A verifier is no password: nothing to log in with.
  const std::string verifier =
      postgres::shared().query("select rolpassword from pg_authid where rolname = 'scram_user'");
  toml.replace(toml.find("not the secret"), std::string("not the secret").size(), verifier);
  pg_edge_process with_verifier(toml);
  BOOST_TEST(outcome(with_verifier, "some_user", "x") == "E(58000)");
  BOOST_TEST(with_verifier.wait_for_log("plain text"));
  pg_edge_process nowhere(looking_up(by_scram + "auth_dbname = \"not_configured\"\n"));
  BOOST_TEST(outcome(nowhere, "some_user", "x") == "E(58000)");
  BOOST_TEST(nowhere.wait_for_log("not configured"));
}

BOOST_AUTO_TEST_CASE(a_database_that_is_not_there_is_told_after_the_proof_only) {
  make_role("looked_scram", "its password");
  pg_edge_process node(looking_up("auth_type = \"scram-sha-256\"\nauth_dbname = \"app\"\n"));
  BOOST_TEST(outcome(node, "looked_scram", "wrong", "no_such") == "E(28P01)");
  BOOST_TEST(outcome(node, "looked_scram", "its password", "no_such") == "E(3D000)");
  pg_edge_process there(looking_up("auth_type = \"scram-sha-256\"\n"));
  BOOST_TEST(outcome(there, "looked_scram", "its password", "no_such") == "E(28P01)");
}

BOOST_AUTO_TEST_CASE(a_role_that_has_expired_is_nobody) {
  make_role("looked_expired", "its password");
  postgres::shared().query("alter role looked_expired valid until '2020-01-01'");
  make_role("looked_valid", "its password");
  postgres::shared().query("alter role looked_valid valid until '2099-01-01'");
  pg_edge_process node(looking_up("auth_type = \"scram-sha-256\"\n"));
  BOOST_TEST(outcome(node, "looked_expired", "its password") == "E(28P01)");
  BOOST_TEST(logs_in(node, "looked_valid", "its password"));
}

BOOST_AUTO_TEST_CASE(B024_no_setting_of_the_client_reaches_the_connection_of_auth_query) {
  make_logins("('table_user', 'from the table')");
  pg_edge_process node(looking_up("auth_type = \"scram-sha-256\"\n" + by_look));
  wire_client client(node.port());
  client.startup({{"user", "table_user"},
                  {"database", "forced"},
                  {"application_name", "of the client"},
                  {"TimeZone", "Asia/Tokyo"},
                  {"options", "-c search_path=elsewhere"}},
                 "from the table");
  BOOST_TEST(client.value("show search_path") == "elsewhere");
  BOOST_TEST(postgres::shared().query("select app || '/' || zone || '/' || path from asked", "other") ==
             "pg_edge auth_query/Etc/UTC/\"$user\", public");
}

BOOST_AUTO_TEST_CASE(B025_a_user_of_the_file_wins) {
  make_role("in_both", "of the server");
  pg_edge_process node(looking_up("auth_type = \"scram-sha-256\"\n", "",
                                  "[users.in_both]\npassword = \"of the file\"\n[users.without]\n"));
  BOOST_TEST(logs_in(node, "in_both", "of the file"));
  BOOST_TEST(outcome(node, "in_both", "of the server") == "E(28P01)");
  make_role("without", "of the server");
  BOOST_TEST(logs_in(node, "without", "of the server")); // a section that holds no secret is about limits
  BOOST_TEST(outcome(node, "without", "of nobody") == "E(28P01)");
}

BOOST_AUTO_TEST_CASE(B026_a_changed_password_is_fetched_when_the_kept_one_fails) {
  const struct {
    const char* type;
    bool at_once; // SCRAM: the first attempt still meets the old verifier
  } rows[] = {{"plain", true}, {"md5", true}, {"scram-sha-256", false}};
  for (const auto& row : rows) {
    BOOST_TEST_CONTEXT(row.type) {
      make_role("changes", "first", std::string(row.type) == "md5" ? "md5" : "scram-sha-256");
      pg_edge_process node(looking_up("auth_type = \"" + std::string(row.type) + "\"\nauth_cache_time = 3600\n"));
      pq old(node.conninfo("changes", "forced") + " password=first");
      {
        pq admin = postgres::shared().admin();
        if (std::string(row.type) == "md5") admin.exec("set password_encryption = 'md5'");
        admin.exec("alter role changes password 'second'");
      }
      BOOST_TEST(logs_in(node, "changes", "second") == row.at_once);
      BOOST_TEST(logs_in(node, "changes", "second"));
      BOOST_TEST(outcome(node, "changes", "first") == "E(28P01)");
      BOOST_TEST(logs_in(node, "changes", "second"));
      BOOST_TEST(old.value("select 1") == "1");
    }
  }
}

BOOST_AUTO_TEST_CASE(what_was_found_is_kept_for_auth_cache_time) {
  make_logins("('table_user', 'from the table')");
  {
    pg_edge_process node(
        looking_up("auth_type = \"scram-sha-256\"\nauth_cache_time = 3600\nauth_failure_limit = 0\n" + by_look));
    for (int i = 0; i < 3; ++i)
      BOOST_TEST(logs_in(node, "table_user", "from the table"));
    BOOST_TEST(times_asked("table_user") == 1);
    for (int i = 0; i < 3; ++i)
      BOOST_TEST(outcome(node, "nobody", "x") == "E(28P01)");
    BOOST_TEST(times_asked("nobody") == 1);
    postgres::shared().query("insert into logins values ('nobody', 'is somebody')", "other");
    BOOST_TEST(wait_for([&] { return logs_in(node, "nobody", "is somebody"); }));
  }
  pg_edge_process node(looking_up("auth_type = \"scram-sha-256\"\nauth_cache_time = 0\n" + by_look));
  for (int i = 0; i < 3; ++i)
    BOOST_TEST(logs_in(node, "table_user", "from the table"));
  BOOST_TEST(times_asked("table_user") == 4);
}

BOOST_AUTO_TEST_CASE(logins_of_one_user_ask_once_and_by_one_connection) {
  make_logins("('table_user', 'from the table'), ('second_user', 'from the table')");
  pg_edge_process node(looking_up("auth_type = \"scram-sha-256\"\nreactors = 2\nauth_dbname = \"other\"\n"
                                  "auth_query = \"select n, s from look($1), pg_sleep(0.5)\"\n"));
  backend_watcher watcher(postgres::shared(), "postgres", "other");
  std::atomic<int> in = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i)
    threads.emplace_back([&, i] {
      if (logs_in(node, i % 2 == 0 ? "table_user" : "second_user", "from the table")) ++in;
    });
  for (std::thread& one : threads)
    one.join();
  BOOST_TEST(in == 20);
  BOOST_TEST(times_asked("table_user") == 1);
  BOOST_TEST(times_asked("second_user") == 1);
  BOOST_TEST(watcher.samples() > 10);
  BOOST_TEST(watcher.max() == 1);
}

BOOST_AUTO_TEST_CASE(two_tenants_with_the_same_names_never_meet) {
  std::string tables;
  for (const std::string name : {"app", "other"}) {
    postgres::shared().query("drop table if exists same_names; create table same_names(name text, secret text);"
                             "insert into same_names values ('ann', 'her password in " +
                                 name + "'); grant all on same_names to public",
                             name);
    tables += "[tenants.of_" + name + ".databases.db]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"" +
              name + "\"\nuser = \"trust_user\"\n[tenants.of_" + name + ".users.postgres]\n";
  }
  pg_edge_process node(simple_toml("auth_type = \"scram-sha-256\"\nauth_user = \"postgres\"\nauth_cache_time = 3600\n"
                                   "auth_query = \"select name, secret from same_names where name = $1\"\n",
                                   tables));
  for (int i = 0; i < 2; ++i) { // asked, and then kept
    BOOST_TEST(logs_in(node, "ann.of_app", "her password in app", "db"));
    BOOST_TEST(logs_in(node, "ann.of_other", "her password in other", "db"));
    BOOST_TEST(outcome(node, "ann.of_app", "her password in other", "db") == "E(28P01)");
    BOOST_TEST(outcome(node, "ann.of_other", "her password in app", "db") == "E(28P01)");
  }
  BOOST_TEST(outcome(node, "ann.of_nobody", "her password in app", "db") == "E(28P01)");
}

BOOST_AUTO_TEST_CASE(B015_a_large_answer_of_auth_query) {
  make_logins("('large', repeat('a', 200000))");
  pg_edge_process node(looking_up("auth_type = \"scram-sha-256\"\n" + by_look));
  BOOST_TEST(logs_in(node, "large", std::string(200000, 'a')));
  BOOST_TEST(outcome(node, "large", std::string(199999, 'a')) == "E(28P01)");
}

BOOST_AUTO_TEST_CASE(with_trust_a_user_must_exist_somewhere) {
  make_role("looked_scram", "its password");
  pg_edge_process node(looking_up("auth_type = \"trust\"\n"));
  BOOST_TEST(logs_in(node, "looked_scram", ""));
  BOOST_TEST(outcome(node, "nobody_at_all", "") == "E(28P01)");
}

BOOST_AUTO_TEST_CASE(B035_members_of_a_role_come_in_as_long_as_they_are_members) {
  make_role("member", "its password");
  postgres::shared().query("drop role if exists team; create role team");
  pg_edge_process node(
      looking_up("auth_type = \"scram-sha-256\"\nauth_cache_time = 0\nauth_failure_limit = 0\n"
                 "auth_query = \"select rolname, rolpassword from pg_authid where rolname = $1 and rolcanlogin and "
                 "pg_has_role(oid, 'team', 'member')\"\n"));
  BOOST_TEST(outcome(node, "member", "its password") == "E(28P01)");
  postgres::shared().query("grant team to member");
  BOOST_TEST(wait_for([&] { return logs_in(node, "member", "its password"); }));
  postgres::shared().query("revoke team from member");
  BOOST_TEST(outcome(node, "member", "its password") == "E(28P01)");
}

BOOST_AUTO_TEST_CASE(B173_looked_up_users_log_in_while_postgres_is_away) {
  running_again after;
  make_role("looked_scram", "its password");
  for (const char* mode : {"transaction", "session"}) {
    pg_edge_process node(looking_up("auth_type = \"scram-sha-256\"\nauth_cache_time = 0\nserver_login_retry = 1\n"
                                    "pool_mode = \"" +
                                    std::string(mode) + "\"\n"));
    BOOST_TEST(logs_in(node, "looked_scram", "its password"));
    postgres::shared().stop();
    for (int i = 0; i < 3; ++i)
      BOOST_TEST(logs_in(node, "looked_scram", "its password"));
    BOOST_TEST(outcome(node, "looked_scram", "wrong") == "E(28P01)");
    pq client(node.conninfo("looked_scram", "forced") + " password='its password'");
    client.send_query("select 7");
    // Nothing is known about a user who was never here: that login waits.
    wire_client stranger(node.port());
    stranger.send(startup_bytes({{"user", "never_here"}, {"database", "forced"}}));
    BOOST_TEST(stranger.silent_for(milliseconds(1500)));
    postgres::shared().start();
    BOOST_TEST(client.results().back().value() == "7");
    stranger.expect("R(10)");
    BOOST_TEST(logs_in(node, "looked_scram", "its password"));
  }
}

BOOST_AUTO_TEST_CASE(a_server_that_hangs_keeps_nobody_waiting_who_is_known) {
  make_role("looked_scram", "its password");
  tcp_proxy proxy(postgres::shared().port());
  const std::string hanging = by_proxy(proxy, "hanging", "user = \"trust_user\"\n");
  pg_edge_process node(looking_up("auth_type = \"scram-sha-256\"\nauth_cache_time = 0\n", "", hanging));
  BOOST_TEST(logs_in(node, "looked_scram", "its password", "hanging"));
  proxy.stall(true);
  const auto took = time_of([&] { BOOST_TEST(logs_in(node, "looked_scram", "its password", "hanging")); });
  BOOST_TEST(took.count() < 5000);
  // Other databases are asked meanwhile.
  const auto other = time_of([&] { BOOST_TEST(logs_in(node, "looked_scram", "its password")); });
  BOOST_TEST(other.count() < 900);
}

BOOST_AUTO_TEST_CASE(the_connection_goes_by_tls_and_the_password_of_auth_user) {
  make_logins("('table_user', 'from the table')");
  // tls_user is refused without TLS, and needs its password.
  const std::string verified = "server_tls_sslmode = \"verify-ca\"\nserver_tls_ca_file = \"{postgres_ca}\"\n";
  pg_edge_process node(looking_up("auth_type = \"scram-sha-256\"\n" + by_look + verified, "", "", "tls_user"));
  BOOST_TEST(logs_in(node, "table_user", "from the table"));
  pg_edge_process plain(
      looking_up("auth_type = \"scram-sha-256\"\nserver_tls_sslmode = \"disable\"\n" + by_look, "", "", "tls_user"));
  BOOST_TEST(outcome(plain, "table_user", "from the table") == "E(58000)");
  // Another authority: the server is not the one that is meant.
  pg_edge_process wrong(looking_up("auth_type = \"scram-sha-256\"\nclient_login_timeout = 2\n"
                                   "server_tls_sslmode = \"verify-ca\"\nserver_tls_ca_file = \"{ca}\"\n" +
                                       by_look,
                                   "", "", "tls_user"));
  BOOST_TEST(!logs_in(wrong, "table_user", "from the table"));
  BOOST_TEST(wrong.log_contains("certificate verify failed"));
}

BOOST_AUTO_TEST_SUITE_END()
