// Tenants as clients meet them: how they are named, what keeps a client out, and that two of them never meet.
#include "tests/pg/edges_support.hpp"

#include <boost/test/unit_test.hpp>

#include <fstream>
#include <random>

using namespace pg_edge::test;

namespace {

/// Two tenants with the same names for everything; acme's "app" is Postgres's app, beta's is Postgres's other.
std::string tenants_toml(const std::string& settings = "", const std::string& of_acme = "",
                         const std::string& more = "") {
  const auto tenant = [](const std::string& name, const std::string& own, const std::string& dbname) {
    const std::string section = "[tenants." + name;
    return section + "]\nserver_names = [\"" + name + ".db.example.com\", \"*." + name + ".example.com\"]\n" + own +
           section + ".databases.app]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"" + dbname +
           "\"\nuser = \"trust_user\"\n" + section +
           ".databases.\"*\"]\nhost = \"127.0.0.1\"\nport = {postgres_port}\n" + "user = \"trust_user\"\n" + section +
           ".users.app]\npassword = \"" + name + "'s\"\n" + section + ".users.\"first.last\"]\npassword = \"" + name +
           "'s\"\n";
  };
  return simple_toml("auth_type = \"scram-sha-256\"\nadmin_users = [\"password_user\", \"app\"]\n" + settings,
                     tenant("acme", of_acme, "app") + tenant("beta", "", "other") + more);
}

/// libpq takes quotes of one kind only, and backslashes in them.
std::string login(const pg_edge_process& node, const std::string& user, const std::string& options = "",
                  const std::string& password = "acme\\'s", const std::string& more = "dbname=app") {
  return "host=127.0.0.1 port=" + std::to_string(node.port()) + " user='" + user + "' password='" + password +
         "' options='" + options + "' " + more;
}

std::string refusal(const std::string& conninfo) {
  const pq client = pq::attempt(conninfo);
  return client.ok() ? "it was let in" : client.message();
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<wire_message> attempt(const pg_edge_process& node, const std::string& user, const std::string& options,
                                  const std::string& password) {
  wire_client client(node.port());
  return client.try_startup({{"user", user}, {"database", "app"}, {"options", options}}, password);
}

std::string without(std::string text, const std::string& word) {
  for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos;)
    text.replace(at, word.size(), "?");
  return text;
}

void reload(pg_edge_process& node, const std::string& toml) {
  const auto count = [&node] {
    const std::string log = node.log();
    int times = 0;
    for (std::size_t at = 0; (at = log.find("event=settings_reloaded", at)) != std::string::npos; ++at)
      ++times;
    return times;
  };
  const int before = count();
  node.rewrite_config(toml);
  node.signal(SIGHUP);
  BOOST_TEST_REQUIRE(wait_for([&] { return count() > before; }));
}

/// A cell of the console: of the row whose column `key` is `is`.
std::string shown(const pg_edge_process& node, const std::string& command, const std::string& key,
                  const std::string& is, const std::string& column) {
  return pq(node.conninfo("password_user", "pgbouncer")).exec(command).cell(key, is, column);
}

const char* const tls_settings = "client_tls_sslmode = \"allow\"\nclient_tls_cert_file = \"{cert}\"\n"
                                 "client_tls_key_file = \"{key}\"\n";

} // namespace

BOOST_AUTO_TEST_SUITE(tenants_pgtest)

BOOST_AUTO_TEST_CASE(every_way_of_naming_a_tenant) {
  pg_edge_process node(tenants_toml(tls_settings));
  const auto where = [](const std::string& conninfo) { return pq(conninfo).value("select current_database()"); };
  BOOST_TEST(where(login(node, "app.acme")) == "app");
  BOOST_TEST(where(login(node, "app.beta", "", "beta\\'s")) == "other");
  BOOST_TEST(where(login(node, "first.last.beta", "", "beta\\'s")) == "other");
  for (const char* option : {"-c tenant=beta", "-ctenant=beta", "--tenant=beta", "reference=beta", "endpoint=beta"}) {
    BOOST_TEST(where(login(node, "app", option, "beta\\'s")) == "other");
    BOOST_TEST(where(login(node, "app.beta", option, "beta\\'s")) == "other"); // said twice
    BOOST_TEST(where(login(node, "first.last", option, "beta\\'s")) == "other");
    pq with_more(login(node, "app", std::string("-c work_mem=5MB ") + option + " -c geqo=off", "beta\\'s"));
    BOOST_TEST(with_more.value("show work_mem") == "5MB");
    BOOST_TEST(with_more.value("show geqo") == "off");
  }
  const auto by_tls = [&](const std::string& host, const std::string& user, const std::string& password) {
    return login(node, user, "", password, "dbname=app sslmode=require host=" + host + " hostaddr=127.0.0.1");
  };
  BOOST_TEST(where(by_tls("beta.db.example.com", "app", "beta\\'s")) == "other");
  BOOST_TEST(where(by_tls("x.acme.example.com", "app", "acme\\'s")) == "app");
  BOOST_TEST(where(by_tls("elsewhere.example.com", "app.acme", "acme\\'s")) == "app");
  // The default tenant is there for those who name none, or it.
  BOOST_TEST(pq(node.conninfo("password_user")).value("select current_user") == "password_user");
  BOOST_TEST(pq(node.conninfo("password_user") + " options='-c tenant=default'").value("select 1") == "1");
  BOOST_TEST(has(refusal(login(node, "app", "-c tenant=acme", "beta\\'s")), "password authentication failed"));
}

BOOST_AUTO_TEST_CASE(two_tenants_named_at_once_are_refused_and_both_told) {
  pg_edge_process node(tenants_toml(tls_settings));
  const auto open = attempt(node, "app", "-c tenant=acme -c tenant=beta", "acme's");
  BOOST_TEST(summary(open.back()) == "E(28000)");
  BOOST_TEST(error_field(open.back(), 'M') ==
             "connection names two tenants: \"acme\" in the options and \"beta\" in the options");
  const std::string by_user = refusal(login(node, "app.beta", "-c tenant=acme"));
  BOOST_TEST(has(by_user, "\"acme\" in the options, \"beta\" at the end of the user name"), by_user);
  BOOST_TEST(has(refusal(login(node, "app.beta", "-c tenant=acme", "beta\\'s")), "password authentication failed"));
  const std::string by_tls = refusal(login(node, "app", "tenant=acme", "acme\\'s",
                                           "dbname=app sslmode=require host=beta.db.example.com hostaddr=127.0.0.1"));
  BOOST_TEST(has(by_tls, "\"acme\" in the options, \"beta.db.example.com\" as the server's name in TLS"), by_tls);
  BOOST_TEST(node.wait_for_log("perhaps two tenants"));
}

BOOST_AUTO_TEST_CASE(a_stranger_cannot_tell_which_tenants_there_are) {
  pg_edge_process node(tenants_toml());
  const struct {
    const char *user, *options; // with ? for the tenant
  } rows[] = {{"app.?", ""}, {"nobody.?", ""}, {"app", "-c tenant=?"}, {"nobody", "tenant=?"}, {"app.?", "tenant=?"}};
  for (const auto& row : rows) {
    BOOST_TEST_CONTEXT(row.user << " with " << row.options) {
      const auto with = [&](const std::string& tenant) {
        const auto fill = [&](std::string text) {
          const auto at = text.find('?');
          return at == std::string::npos ? text : text.replace(at, 1, tenant);
        };
        return attempt(node, fill(row.user), fill(row.options), "wrong");
      };
      const auto there = with("acme"), missing = with("nope");
      BOOST_TEST(summary(there) == "R(10) R(11) E(28P01)");
      BOOST_TEST(summary(missing) == "R(10) R(11) E(28P01)");
      BOOST_TEST(without(there.back().body, "acme") == without(missing.back().body, "nope"));
    }
  }
  // The salt of nobody hangs on what the client wrote, not on where that leads.
  const auto salt = [&](const std::string& user, const std::string& options) {
    const std::string body = attempt(node, user, options, "wrong").at(1).body;
    return body.substr(body.find(",s="));
  };
  BOOST_TEST(salt("nobody.acme", "") != salt("nobody", ""));
  BOOST_TEST(salt("nobody", "tenant=acme") != salt("nobody", "tenant=nope"));
  BOOST_TEST(salt("nobody", "tenant=nope") != salt("nobody", "tenant=nay")); // as of two tenants
  BOOST_TEST(salt("nobody", "tenant=nope") == salt("nobody", "tenant=nope"));
}

BOOST_AUTO_TEST_CASE(a_file_without_tenants_is_a_plain_pooler) {
  pg_edge_process node(simple_toml("", "[users.\"app.acme\"]\n[databases.forced]\nhost = \"127.0.0.1\"\n"
                                       "port = {postgres_port}\ndbname = \"app\"\nuser = \"trust_user\"\n"));
  BOOST_TEST(pq(node.conninfo("app.acme", "forced")).value("select 1") == "1");
  BOOST_TEST(has(refusal(node.conninfo("trust_user") + " options='-c tenant=acme'"), "tenant"));
  BOOST_TEST(has(refusal(node.conninfo("trust_user") + " options='reference=acme'"), "invalid command-line argument"));
}

BOOST_AUTO_TEST_CASE(B003_without_a_database_it_is_the_tenants_default) {
  pg_edge_process node(tenants_toml("", "default_database = \"app\"\n"));
  const auto where = [&](const std::string& user, const std::string& password) {
    wire_client client(node.port());
    client.startup({{"user", user}}, password);
    return client.value("select current_database()");
  };
  BOOST_TEST(where("app.acme", "acme's") == "app");
  BOOST_TEST(where("first.last.acme", "acme's") == "app");
  BOOST_TEST(where("app.beta", "beta's") == "other"); // the user's own name, which is "app" too
  // Behind "*" any name is one of Postgres's.
  BOOST_TEST(pq(login(node, "app.beta", "", "beta\\'s", "dbname=postgres")).value("select current_database()") ==
             "postgres");
}

BOOST_AUTO_TEST_CASE(a_tenant_takes_clients_from_its_networks_only) {
  pg_edge_process node(tenants_toml("", "allowed_addresses = [\"10.0.0.0/8\", \"::1/128\"]\n"));
  const auto refused = attempt(node, "app.acme", "", "acme's");
  BOOST_TEST(summary(refused) == "E(28000)");
  BOOST_TEST(error_field(refused.back(), 'M') ==
             "no entry in allowed_addresses for host \"127.0.0.1\", user \"app.acme\", database \"app\"");
  BOOST_TEST(pq(login(node, "app.beta", "", "beta\\'s")).value("select 1") == "1");
  reload(node, tenants_toml("", "allowed_addresses = [\"127.0.0.0/8\"]\n"));
  BOOST_TEST(pq(login(node, "app.acme")).value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(B039_a_tenant_may_require_tls) {
  pg_edge_process node(tenants_toml(tls_settings, "client_tls_required = true\n"));
  BOOST_TEST(summary(attempt(node, "app.acme", "", "acme's")) == "E(28000)");
  BOOST_TEST(pq(login(node, "app.acme", "", "acme\\'s", "dbname=app sslmode=require")).value("select 1") == "1");
  BOOST_TEST(pq(login(node, "app.beta", "", "beta\\'s", "dbname=app sslmode=disable")).value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(B034_a_banned_tenant_is_refused_with_the_reason) {
  pg_edge_process node(tenants_toml("", "banned = \"unpaid\"\nbanned_until = \"2090-01-01\"\n"));
  const auto refused = attempt(node, "app.acme", "", "acme's");
  BOOST_TEST(summary(refused.back()) == "E(28000)");
  BOOST_TEST(error_field(refused.back(), 'M') == "tenant \"acme\" is banned until 2090-01-01T00:00:00Z: unpaid");
  BOOST_TEST(summary(attempt(node, "app.acme", "", "wrong").back()) == "E(28P01)"); // strangers are not told
  BOOST_TEST(pq(login(node, "app.beta", "", "beta\\'s")).value("select 1") == "1");
  reload(node, tenants_toml("", "banned = \"unpaid\"\nbanned_until = \"2020-01-01\"\n")); // over
  BOOST_TEST(pq(login(node, "app.acme")).value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(B034_a_ban_by_reload_ends_the_clients_of_that_tenant) {
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      const std::string settings =
          "pool_mode = \"" + std::string(how.mode) + "\"\nreactors = " + std::to_string(how.reactors) + "\n";
      pg_edge_process node(tenants_toml(settings));
      const auto client = [&](const std::string& tenant) {
        wire_client one(node.port());
        one.login("app." + tenant, "app", tenant + "'s");
        return one;
      };
      wire_client idle = client("acme"), busy = client("acme"), open = client("acme"), other = client("beta");
      open.query("begin", "C(BEGIN) Z(T)");
      other.query("begin", "C(BEGIN) Z(T)");
      busy.send(query_bytes("select pg_sleep(60)"));
      BOOST_TEST(waits_for_running("pg_sleep(60)", 1));
      reload(node, tenants_toml(settings, "banned = \"unpaid\"\n"));
      const auto last_word = [](wire_client& one) {
        BOOST_TEST(one.closed_within(milliseconds(10000)));
        return summary(one.last_message()) + " " + error_field(one.last_message(), 'M');
      };
      BOOST_TEST(last_word(idle) ==
                 "E(57P01) terminating connection due to administrator command: tenant \"acme\" is banned: unpaid");
      BOOST_TEST(has(last_word(busy), "E(08006)"));
      BOOST_TEST(has(last_word(open), "E(08006)"));
      other.query("commit", "C(COMMIT) Z(I)");
      BOOST_TEST(waits_for_running("pg_sleep(60)", 0));
      reload(node, tenants_toml(settings));
      wire_client back = client("acme");
      BOOST_TEST(back.value("select 1") == "1");
      // One that is taken out of the file ends the same way.
      reload(node, simple_toml("auth_type = \"scram-sha-256\"\n" + settings));
      BOOST_TEST(has(last_word(back), "has been removed"));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_console_is_the_default_tenants) {
  pg_edge_process node(tenants_toml());
  pq console(node.conninfo("password_user", "pgbouncer"));
  BOOST_TEST(console.exec("show version").rows() == 1);
  // Its "app" is no admin, though admin_users has that name.
  for (const char* name : {"pgbouncer", "pg_edge"})
    BOOST_TEST(has(refusal(login(node, "app.acme", "", "acme\\'s", "dbname=" + std::string(name))), "does not exist"));
}

BOOST_AUTO_TEST_CASE(the_console_and_the_log_tell_tenants_apart) {
  pg_edge_process node(tenants_toml());
  pq acme(login(node, "app.acme")), beta(login(node, "app.beta", "", "beta\\'s"));
  for (int i = 0; i < 3; ++i)
    acme.exec("select 1");
  beta.exec("select 1");
  const auto queries = [&](const std::string& tenant) {
    return std::atoi(shown(node, "SHOW STATS", "tenant", tenant, "total_query_count").c_str());
  };
  BOOST_TEST(wait_for([&] { return queries("acme") == 3 && queries("beta") == 1; }));
  for (const char* tenant : {"acme", "beta"}) {
    BOOST_TEST(shown(node, "SHOW POOLS", "tenant", tenant, "cl_active") == "1");
    BOOST_TEST(shown(node, "SHOW CLIENTS", "tenant", tenant, "user") == "app");
    BOOST_TEST(shown(node, "SHOW SERVERS", "tenant", tenant, "database") == "app");
    BOOST_TEST(shown(node, "SHOW STATS_TOTALS", "tenant", tenant, "database") == "app");
    BOOST_TEST(node.wait_for_log(std::string("user=app database=app tenant=") + tenant));
  }
}

// -- limits of clients
// ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B134_the_last_client_allowed_gets_in_and_an_admin_still_does) {
  pg_edge_process node(tenants_toml("max_client_conn = 2\n"));
  pq one(login(node, "app.acme")), two(login(node, "app.beta", "", "beta\\'s"));
  const auto refused = attempt(node, "app.acme", "", "acme's");
  BOOST_TEST(summary(refused) == "E(53300)");
  BOOST_TEST(has(error_field(refused.back(), 'M'), "max_client_conn is 2"));
  BOOST_TEST(has(error_field(refused.back(), 'H'), "raise max_client_conn in [pg_edge]"));
  BOOST_TEST(pq(node.conninfo("password_user", "pgbouncer")).exec("show version").rows() == 1);
  // A database of that name is no way around it: the console is the default tenant's.
  BOOST_TEST(has(refusal(login(node, "app.acme", "", "acme\\'s", "dbname=pgbouncer")), "max_client_conn"));
}

BOOST_AUTO_TEST_CASE(B135_limits_per_tenant_database_and_user_and_the_narrower_wins) {
  const auto toml = [](const std::string& acme, const std::string& tables) {
    return tenants_toml("max_user_client_connections = 50\nmax_db_client_connections = 50\n", acme, tables);
  };
  const std::string second = "[tenants.acme.databases.second]\nhost = \"127.0.0.1\"\nport = {postgres_port}\n"
                             "dbname = \"app\"\nuser = \"trust_user\"\n";
  pg_edge_process node(toml("max_tenant_client_connections = 3\n",
                            second + "max_db_client_connections = 1\n" +
                                "[tenants.acme.users.few]\npassword = \"f\"\nmax_user_client_connections = 1\n"));
  const auto says = [&](const std::string& conninfo, const std::string& limit, const std::string& where) {
    const std::string told = refusal(conninfo);
    BOOST_TEST((has(told, "client connections exceeded (" + limit + ")") && has(told, where)), told);
  };
  auto a = std::make_unique<pq>(login(node, "app.acme", "", "acme\\'s", "dbname=second"));
  says(login(node, "app.acme", "", "acme\\'s", "dbname=second"), "max_db_client_connections is 1",
       "in [tenants.acme.databases.second]");
  auto b = std::make_unique<pq>(login(node, "few.acme", "", "f"));
  says(login(node, "few.acme", "", "f"), "max_user_client_connections is 1", "in [tenants.acme.users.few]");
  pq c(login(node, "app.acme"));
  says(login(node, "app.acme"), "max_tenant_client_connections is 3", "in [tenants.acme]");
  BOOST_TEST(has(refusal(login(node, "app.acme", "", "wrong")), "password authentication failed")); // told who may know
  pq other(login(node, "app.beta", "", "beta\\'s"));
  // The count comes down when one leaves.
  a.reset();
  BOOST_TEST(wait_for([&] { return pq::attempt(login(node, "app.acme", "", "acme\\'s", "dbname=second")).ok(); }));
  b.reset();
  BOOST_TEST(wait_for([&] { return pq::attempt(login(node, "few.acme", "", "f")).ok(); }));
  // A reload holds for clients to come.
  reload(node, toml("max_tenant_client_connections = 1\n", second));
  BOOST_TEST(wait_for([&] { return has(refusal(login(node, "app.acme")), "max_tenant_client_connections is 1"); }));
  BOOST_TEST(c.value("select 1") == "1");
  reload(node, toml("", second));
  BOOST_TEST(pq(login(node, "app.acme")).value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(B135_failed_logins_hold_no_seat) {
  pg_edge_process node(simple_toml("max_user_client_connections = 1\nmax_db_client_connections = 1\n",
                                   "[databases.lacking]\nhost = \"127.0.0.1\"\nport = {postgres_port}\n"));
  for (int i = 0; i < 5; ++i) {
    const std::string told = refusal(node.conninfo("trust_user", "lacking")); // Postgres says so at the server's login
    BOOST_TEST(has(told, "database \"lacking\" does not exist"), told);
  }
  BOOST_TEST(pq(node.conninfo("trust_user")).value("select 1") == "1");
}

// -- failed logins
// --------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B033_too_many_failed_logins_are_refused_without_looking_at_the_password) {
  pg_edge_process node(tenants_toml("auth_failure_limit = 3\nauth_failure_window = \"3s\"\n"));
  const auto try_it = [&](const std::string& user, const std::string& password) {
    return summary(attempt(node, user, "", password));
  };
  const std::string failed = "R(10) R(11) E(28P01)";
  BOOST_TEST(try_it("app.acme", "wrong") == failed);
  BOOST_TEST(try_it("app.acme", "wrong") == failed);
  BOOST_TEST(pq(login(node, "app.acme")).value("select 1") == "1"); // which forgets the two
  for (int i = 0; i < 3; ++i)
    BOOST_TEST(try_it("app.acme", "wrong") == failed);
  const auto refused = attempt(node, "app.acme", "", "acme's");
  BOOST_TEST(summary(refused) == "E(28000)");
  BOOST_TEST(error_field(refused.back(), 'M') ==
             "too many failed logins for user \"app.acme\" from 127.0.0.1: try again in 3 s");
  // Others are not locked out: another user, another tenant's of that name, the same user from another address.
  BOOST_TEST(pq(login(node, "first.last.acme")).value("select 1") == "1");
  BOOST_TEST(pq(login(node, "app.beta", "", "beta\\'s")).value("select 1") == "1");
  // A user who does not exist is throttled alike.
  for (int i = 0; i < 3; ++i)
    BOOST_TEST(try_it("nobody.acme", "wrong") == failed);
  BOOST_TEST(try_it("nobody.acme", "wrong") == "E(28000)");
  BOOST_TEST(wait_for([&] { return pq::attempt(login(node, "app.acme")).ok(); }, milliseconds(10000)));
}

BOOST_AUTO_TEST_CASE(B033_guesses_made_at_once_are_no_way_around_the_limit) {
  pg_edge_process node(simple_toml("auth_type = \"plain\"\nauth_failure_limit = 2\n"));
  std::vector<wire_client> guesses;
  for (int i = 0; i < 4; ++i) {
    guesses.emplace_back(node.port());
    guesses.back().send(startup_bytes({{"user", "password_user"}, {"database", "app"}}));
    guesses.back().expect("R(3)");
  }
  const auto answer = [&](std::size_t which, const std::string& password) {
    guesses[which].send(password_bytes(password));
    return summary(guesses[which].read_message());
  };
  BOOST_TEST(answer(0, "wrong") == "E(28P01)");
  BOOST_TEST(answer(1, "wrong") == "E(28P01)");
  BOOST_TEST(answer(2, "wrong") == "E(28000)");
  BOOST_TEST(answer(3, password_user.password) == "E(28000)");
}

// -- they never meet
// ------------------------------------------------------------------------------------------------------------

namespace {

struct witness {
  std::mutex lock;
  std::vector<std::string> failures;
  std::atomic<int> answers = 0, cancelled = 0;

  void report(const std::string& what) {
    std::lock_guard guard(lock);
    failures.push_back(what);
  }
};

/// One client's random life. Texts and names are the same in both tenants; what they mean is not.
void live(const pg_edge_process& node, const std::string& tenant, unsigned seed, witness& seen) {
  std::mt19937 random(seed);
  const std::string database = tenant == "acme" ? "app" : "other";
  const auto expect = [&](const std::string& got, const std::string& want, const char* where) {
    ++seen.answers;
    if (got != want) seen.report(tenant + ": " + where + " gave " + got + " for " + want);
  };
  try {
    pq client(login(node, "app." + tenant, "", tenant + "\\'s"));
    client.prepare("mine", "select owner from who_am_i where $1 = 1");
    for (int i = 0; i < 40; ++i) {
      switch (random() % 5) {
      case 0:
        expect(client.value("select owner || current_database() from who_am_i"), tenant + database, "query");
        break;
      case 1:
        expect(client.exec_prepared("mine", {"1"}).value(), tenant, "prepared");
        break;
      case 2:
        expect(client.exec_params("select count(*)::text from who_am_i where owner = $1", {tenant}).value(), "1",
               "parameters");
        break;
      case 3: {
        client.exec("begin");
        client.exec("select set_config('my.tenant', '" + tenant + "', true)");
        expect(client.value("select current_setting('my.tenant') || current_database()"), tenant + database, "open");
        client.exec("commit");
        break;
      }
      default: { // its own query is what a cancel hits
        client.send_query("select owner from who_am_i, pg_sleep(2)");
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
        client.cancel();
        for (const pq_result& result : client.results())
          if (result.sqlstate() == "57014")
            ++seen.cancelled;
          else if (!result.ok())
            seen.report(tenant + ": cancelled query gave " + result.message());
          else // the cancel came before the query
            expect(result.value(), tenant, "a query not cancelled");
      }
      }
    }
  } catch (const std::exception& problem) {
    seen.report(tenant + ": " + problem.what());
  }
}

} // namespace

BOOST_AUTO_TEST_CASE(B200_tenants_with_the_same_names_never_meet) {
  postgres& server = postgres::shared();
  for (const auto& [database, tenant] : {std::pair{"app", "acme"}, {"other", "beta"}}) {
    server.query("drop table if exists who_am_i", database);
    // The same column with another type: a plan of the other tenant would not even fit.
    server.query(std::string("create table who_am_i as select '") + tenant +
                     "'::" + (std::string(tenant) == "acme" ? "text" : "varchar") + " as owner",
                 database);
    server.query("grant all on who_am_i to public", database);
  }
  const unsigned seed = std::random_device()();
  for (const int reactors : {1, 2}) {
    BOOST_TEST_CONTEXT("reactors " << reactors << ", seed " << seed) {
      pg_edge_process node(tenants_toml("default_pool_size = 3\nreactors = " + std::to_string(reactors) + "\n"));
      witness seen;
      std::vector<std::thread> clients;
      for (unsigned i = 0; i < 20; ++i)
        clients.emplace_back([&, i] { live(node, i % 2 == 0 ? "acme" : "beta", seed + i, seen); });
      for (auto& one : clients)
        one.join();
      for (const std::string& failure : seen.failures)
        BOOST_TEST(failure == "");
      BOOST_TEST(seen.answers > 400);
      BOOST_TEST(seen.cancelled > 20);
      // Another tenant's key cancels nothing without its secret, and never the other's.
      wire_client victim(node.port()), stranger(node.port());
      victim.login("app.acme", "app", "acme's");
      stranger.login("app.beta", "app", "beta's");
      victim.send(query_bytes("select pg_sleep(1.5)"));
      BOOST_TEST(waits_for_running("pg_sleep(1.5)", 1));
      BOOST_TEST(send_cancel(node.port(), victim.backend_pid(), stranger.secret()));
      BOOST_TEST(send_cancel(node.port(), stranger.backend_pid(), stranger.secret()));
      victim.expect("T D C(SELECT 1) Z(I)");
    }
  }
}

// -- many of them
// ---------------------------------------------------------------------------------------------------------------

namespace {

long resident_kb(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
  return 0;
}

} // namespace

BOOST_AUTO_TEST_CASE(five_thousand_tenants_cost_nothing_until_they_are_used) {
  constexpr int count = 5000;
  std::string tables;
  for (int i = 0; i < count; ++i) {
    const std::string section = "[tenants.t" + std::to_string(i);
    tables += section + "]\nserver_names = [\"t" + std::to_string(i) + ".db.example.com\"]\n" +
              "max_tenant_client_connections = 100\n" + section + ".databases.app]\nhost = \"127.0.0.1\"\n" +
              "port = {postgres_port}\nuser = \"trust_user\"\n" + section + ".users.app]\npassword = \"secret\"\n";
  }
  const std::string settings = "auth_type = \"scram-sha-256\"\nadmin_users = [\"password_user\"]\nreactors = 1\n"
                               "pool_idle_timeout = \"1s\"\nserver_idle_timeout = \"1s\"\n";
  pg_edge_process small(simple_toml(settings));
  const long before = resident_kb(small.pid());
  std::unique_ptr<pg_edge_process> node;
  const auto took = time_of([&] { node = std::make_unique<pg_edge_process>(simple_toml(settings, tables)); });
  const long each = (resident_kb(node->pid()) - before) * 1024 / count;
  BOOST_TEST_MESSAGE("started in " << took.count() << " ms, " << each << " bytes a tenant");
  BOOST_TEST(took.count() < 15000); // seconds, also on a machine that does much else
  // A sanitizer's own memory would be counted too.
  if (std::getenv("PG_EDGE_SANITIZED") == nullptr) BOOST_TEST(each < 32 * 1024);
  const auto alive = [&](const std::string& kind) { return shown(*node, "SHOW ACTORS", "kind", kind, "alive"); };
  BOOST_TEST(alive("tenant") == "1"); // the root
  BOOST_TEST(alive("steward") == "0");
  BOOST_TEST(alive("share") == "0");
  {
    pq one(login(*node, "app.t4999", "", "secret")), two(login(*node, "app", "tenant=t17", "secret"));
    BOOST_TEST(one.value("select current_database()") == "app");
    BOOST_TEST(two.value("select current_database()") == "app");
    BOOST_TEST(alive("tenant") == "3");
    BOOST_TEST(alive("steward") == "2");
  }
  // Unused again, they go: servers, shares, stewards, and the tenants' own actors.
  BOOST_TEST(wait_for([&] { return alive("tenant") == "1" && alive("steward") == "0" && alive("share") == "0"; },
                      milliseconds(20000)));
  BOOST_TEST(pq(login(*node, "app.t4999", "", "secret")).value("select 1") == "1");
  const auto reloaded = time_of([&] {
    node->signal(SIGHUP);
    BOOST_TEST(node->wait_for_log("event=settings_reloaded"));
  });
  BOOST_TEST(reloaded.count() < 15000);
}

BOOST_AUTO_TEST_SUITE_END()
