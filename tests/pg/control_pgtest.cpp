// PAUSE, RESUME, RECONNECT, KILL, DISABLE and their like on the admin console, and the signals that mean the same.
#include "tests/pg/edges_support.hpp"

#include <atomic>
#include <csignal>
#include <set>
#include <thread>

using namespace pg_edge::test;

namespace {

const std::string settings = "admin_users = \"trust_user\"\nstats_users = \"replication_user\"\ndefault_pool_size = 4\n"
                             "server_login_retry = 1\n";

struct running_again { // whatever a test does, the next one finds Postgres running
  ~running_again() {
    if (!postgres::shared().running()) postgres::shared().start();
  }
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

int backends(const std::string& database = "app") {
  return postgres::shared().backends("trust_user", database);
}

/// A cell of the console: of the first row whose column `key` is `is`.
std::string cell(pq& console, const std::string& command, const std::string& key, const std::string& is,
                 const std::string& column) {
  return console.exec(command).cell(key, is, column);
}

struct one_node {
  pg_edge_process node{simple_toml("reactors = 2\n" + settings)};
  pq console{node.conninfo("trust_user", "pgbouncer")};

  std::string state(const std::string& key) { return cell(console, "SHOW STATE", "key", key, "value"); }
  std::string database(const std::string& name, const std::string& column) {
    return cell(console, "SHOW DATABASES", "name", name, column);
  }
  std::string pool(const std::string& column, const std::string& name = "app") {
    return cell(console, "SHOW POOLS", "database", name, column);
  }
  std::string refused(const std::string& command) {
    const pq_result result = console.try_exec(command);
    return result.ok() ? "it was done" : result.field(PG_DIAG_MESSAGE_PRIMARY);
  }
};

/// Clients that ask for the numbers 1, 2, 3 ... in transactions of their own until they are stopped.
class load {
public:
  load(const pg_edge_process& node, int clients, const std::string& database = "app") {
    for (int i = 0; i < clients; ++i)
      threads_.emplace_back([this, conninfo = node.conninfo("trust_user", database), i] { run(conninfo, i); });
  }
  ~load() { stop(); }
  void stop() {
    stopping_ = true;
    for (std::thread& one : threads_)
      if (one.joinable()) one.join();
  }
  int done() const { return done_; }
  int errors() const { return errors_; }
  bool goes_on() const {
    const int before = done_;
    return wait_for([&] { return done_ > before + 20; }, milliseconds(20000));
  }

private:
  void run(const std::string& conninfo, int which) {
    try {
      pq client(conninfo);
      for (int i = 0; !stopping_; ++i) {
        const std::string number = std::to_string(1000 * which + i);
        if (i % 3 == 0) client.exec("begin");
        if (client.exec_params("select $1::int", {number}).value() != number) ++errors_;
        if (i % 3 == 0) client.exec("commit");
        ++done_;
        std::this_thread::sleep_for(milliseconds(2));
      }
    } catch (const std::exception& failed) {
      ++errors_;
      BOOST_TEST_MESSAGE("a client of the load: " << failed.what());
    }
  }

  std::atomic<bool> stopping_ = false;
  std::atomic<int> done_ = 0, errors_ = 0;
  std::vector<std::thread> threads_;
};

std::set<std::string> pids(const std::string& database = "app") {
  std::set<std::string> found;
  pq admin = postgres::shared().admin();
  const pq_result rows =
      admin.exec("select pid from pg_stat_activity where usename = 'trust_user' and datname = '" + database + "'");
  for (int i = 0; i < rows.rows(); ++i)
    found.insert(rows.value(i));
  return found;
}

} // namespace

BOOST_AUTO_TEST_SUITE(control_pgtest)

// -- PAUSE and RESUME
// ------------------------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(B143_pause_under_load_five_times_without_an_error, one_node) {
  load clients(node, 8);
  for (int round = 0; round < 5; ++round) {
    BOOST_TEST(clients.goes_on());
    BOOST_TEST(console.exec("PAUSE").tag() == "PAUSE");
    BOOST_TEST(backends() == 0);
    const int then = clients.done();
    BOOST_TEST(state("paused") == "yes");
    BOOST_TEST(state("active") == "no");
    BOOST_TEST(wait_for([&] { return pool("cl_waiting") == "8"; }));
    BOOST_TEST(backends() == 0);
    BOOST_TEST(clients.done() <= then + 8); // those whose answer was on its way
    BOOST_TEST(console.exec("RESUME").tag() == "RESUME");
  }
  BOOST_TEST(clients.goes_on());
  clients.stop();
  BOOST_TEST(clients.errors() == 0);
  BOOST_TEST(state("paused") == "no");
}

BOOST_FIXTURE_TEST_CASE(B143_postgres_restarts_during_a_pause_and_nobody_notices, one_node) {
  running_again after;
  load clients(node, 6);
  BOOST_TEST(clients.goes_on());
  console.exec("PAUSE");
  postgres::shared().restart(postgres::shutdown::smart); // waits for backends: there are none
  pq newcomer(node.conninfo());                          // logs in while everything is paused
  newcomer.send_query("select 42");
  console.exec("RESUME");
  BOOST_TEST(newcomer.results().at(0).value() == "42");
  BOOST_TEST(clients.goes_on());
  clients.stop();
  BOOST_TEST(clients.errors() == 0);
}

BOOST_FIXTURE_TEST_CASE(B143_a_transaction_under_way_finishes_first, one_node) {
  pq client(node.conninfo());
  client.exec("begin");
  client.exec("select 1");
  console.send_query("PAUSE app");
  pq second(node.conninfo("trust_user", "pgbouncer"));
  BOOST_TEST(wait_for([&] { return cell(second, "SHOW DATABASES", "name", "app", "paused") == "1"; }));
  BOOST_TEST(client.value("select 2") == "2");
  BOOST_TEST(backends() == 1);
  client.exec("commit");
  BOOST_TEST(console.results().at(0).tag() == "PAUSE");
  BOOST_TEST(backends() == 0);
  client.send_query("select 3");
  BOOST_TEST(wait_for([&] { return pool("cl_waiting") == "1"; }));
  console.exec("RESUME app");
  BOOST_TEST(client.results().at(0).value() == "3");
}

BOOST_AUTO_TEST_CASE(B143_in_session_mode_it_waits_for_the_sessions_end) {
  pg_edge_process node(set_up_toml({"session", 2}, settings));
  pq console(node.conninfo("trust_user", "pgbouncer"));
  auto holder = std::make_unique<pq>(node.conninfo());
  BOOST_TEST(holder->value("select 1") == "1");
  pq idle(node.conninfo()); // has no server
  console.send_query("PAUSE");
  BOOST_TEST(wait_for([&] { return node.log_contains("event=pools_controlled command=PAUSE"); }));
  idle.send_query("select 2");
  std::this_thread::sleep_for(milliseconds(300));
  BOOST_TEST(holder->value("select 1") == "1"); // its session goes on
  BOOST_TEST(PQisBusy(console.raw()) == 1);
  holder.reset();
  BOOST_TEST(console.results().at(0).tag() == "PAUSE");
  BOOST_TEST(backends() == 0);
  console.exec("RESUME");
  BOOST_TEST(idle.results().at(0).value() == "2");
}

BOOST_FIXTURE_TEST_CASE(B144_only_the_named_database_stands_still, one_node) {
  load app(node, 3), other(node, 3, "other");
  BOOST_TEST((app.goes_on() && other.goes_on()));
  console.exec("PAUSE \"app\"");
  BOOST_TEST(database("app", "paused") == "1");
  BOOST_TEST(database("other", "paused") == "0");
  BOOST_TEST(state("paused") == "no");
  BOOST_TEST(backends("app") == 0);
  BOOST_TEST(wait_for([&] { return pool("cl_waiting") == "3"; }));
  BOOST_TEST(cell(console, "SHOW CLIENTS", "database", "app", "state") == "waiting");
  BOOST_TEST(other.goes_on());
  console.exec("RESUME app");
  BOOST_TEST(app.goes_on());
  app.stop();
  other.stop();
  BOOST_TEST(app.errors() + other.errors() == 0);
}

BOOST_AUTO_TEST_CASE(B144_a_paused_tenant_never_delays_another) {
  const auto tenant = [](const std::string& name) {
    return "[tenants." + name + "]\n[tenants." + name + ".databases.app]\nhost = \"127.0.0.1\"\n" +
           "port = {postgres_port}\nuser = \"trust_user\"\n[tenants." + name + ".users.u]\n";
  };
  pg_edge_process node(simple_toml("reactors = 2\n" + settings, tenant("a") + tenant("b")));
  pq console(node.conninfo("trust_user", "pgbouncer"));
  pq a(node.conninfo("u.a")), b(node.conninfo("u.b")), own(node.conninfo());
  for (pq* one : {&a, &b, &own})
    BOOST_TEST(one->value("select 1") == "1");
  console.exec("PAUSE TENANT a");
  BOOST_TEST(cell(console, "SHOW DATABASES", "tenant", "a", "paused") == "1");
  BOOST_TEST(cell(console, "SHOW DATABASES", "tenant", "b", "paused") == "0");
  a.send_query("select 2");
  BOOST_TEST(wait_for([&] { return cell(console, "SHOW POOLS", "tenant", "a", "cl_waiting") == "1"; }));
  for (int i = 0; i < 50; ++i)
    BOOST_TEST(b.value("select 3") == "3");
  BOOST_TEST(own.value("select 3") == "3");
  BOOST_TEST(PQisBusy(a.raw()) == 1);
  // Its databases are of their own, and so is the pause of one.
  console.exec("PAUSE app TENANT a");
  console.exec("RESUME TENANT a");
  BOOST_TEST(cell(console, "SHOW DATABASES", "tenant", "a", "paused") == "1");
  console.exec("RESUME app TENANT a");
  BOOST_TEST(a.results().at(0).value() == "2");
  BOOST_TEST(console.try_exec("PAUSE TENANT c").field(PG_DIAG_MESSAGE_PRIMARY) == "no such tenant: c");
  BOOST_TEST(console.try_exec("PAUSE x TENANT a").field(PG_DIAG_MESSAGE_PRIMARY) == "no such database: x");
}

BOOST_FIXTURE_TEST_CASE(B145_a_second_word_is_an_error_not_a_hang, one_node) {
  BOOST_TEST(refused("RESUME") == "pooler is not paused/suspended");
  BOOST_TEST(refused("RESUME app") == "database app is not paused");
  BOOST_TEST(refused("PAUSE nowhere") == "no such database: nowhere");
  BOOST_TEST(refused("PAUSE pgbouncer") == "cannot pause admin db: pgbouncer");
  BOOST_TEST(refused("DISABLE") == "a database is required");
  BOOST_TEST(refused("PAUSE app") == "it was done");
  BOOST_TEST(refused("PAUSE app") == "it was done"); // as in pgbouncer
  BOOST_TEST(refused("PAUSE") == "it was done");
  BOOST_TEST(refused("PAUSE") == "already suspended/paused");
  BOOST_TEST(refused("PAUSE other") == "already suspended/paused");
  BOOST_TEST(refused("KILL") == "already suspended/paused");
  BOOST_TEST(refused("RESUME") == "it was done");
  BOOST_TEST(database("app", "paused") == "1");
  BOOST_TEST(refused("RESUME app") == "it was done");
  for (const char* text : {"PAUSE a b", "PAUSE a of b", "PAUSE a TENANT", "PAUSE ,", "KILL_CLIENT 1 2"})
    BOOST_TEST(console.try_exec(text).ok() == false, text);
  // By drivers that prepare everything, and by nobody but admins.
  BOOST_TEST(console.exec_params("PAUSE", {}).tag() == "PAUSE");
  console.prepare("again", "RESUME");
  BOOST_TEST(console.exec_prepared("again").tag() == "RESUME");
  pq looker(node.conninfo("replication_user", "pgbouncer"));
  for (const char* command :
       {"PAUSE", "RESUME", "KILL", "RECONNECT", "KILL_CLIENT 1", "DISABLE app", "WAIT_CLOSE", "SUSPEND"})
    BOOST_TEST(looker.try_exec(command).sqlstate() == "42501", command);
}

BOOST_FIXTURE_TEST_CASE(B145_a_pending_pause_ends_with_resume_and_with_a_cancel, one_node) {
  pq client(node.conninfo());
  client.exec("begin");
  client.exec("select 1");
  console.send_query("PAUSE");
  pq second(node.conninfo("trust_user", "pgbouncer"));
  const auto paused = [&] { return cell(second, "SHOW STATE", "key", "paused", "value"); };
  BOOST_TEST(wait_for([&] { return paused() == "yes"; }));
  second.exec("RESUME");
  BOOST_TEST(console.results().at(0).sqlstate() == "57014");
  // Who cancels a PAUSE ends it.
  console.send_query("PAUSE");
  BOOST_TEST(wait_for([&] { return paused() == "yes"; }));
  console.cancel();
  BOOST_TEST(console.results().at(0).sqlstate() == "57014");
  BOOST_TEST(paused() == "no");
  // Who leaves does not.
  console.send_query("PAUSE");
  BOOST_TEST(wait_for([&] { return paused() == "yes"; }));
  console = pq(node.conninfo("trust_user", "pgbouncer"));
  BOOST_TEST(wait_for([&] { return second.exec("SHOW CLIENTS").rows() == 3; }));
  client.exec("commit");
  BOOST_TEST(wait_for([] { return backends() == 0; }));
  BOOST_TEST(paused() == "yes");
  client.send_query("select 7");
  second.exec("RESUME");
  BOOST_TEST(client.results().at(0).value() == "7");
}

BOOST_AUTO_TEST_CASE(a_pause_holds_across_reloads_and_for_pools_to_come) {
  const std::string more = "pool_idle_timeout = 1\nreactors = 2\nmin_pool_size = 2\nadmin_users = \"trust_user\"\n";
  pg_edge_process node(simple_toml(more));
  pq console(node.conninfo("trust_user", "pgbouncer"));
  BOOST_TEST(pq(node.conninfo()).value("select 1") == "1");
  console.exec("PAUSE");
  BOOST_TEST(backends() == 0);
  node.rewrite_config(simple_toml(more + "query_wait_timeout = 50\n"));
  console.exec("RELOAD");
  wire_client late(node.port()); // the first of its pool: nothing can be known about its session
  late.send(startup_bytes({{"user", "md5_user"}, {"database", "other"}}));
  std::this_thread::sleep_for(milliseconds(1500)); // idle pools go, and min_pool_size wants servers
  BOOST_TEST(backends() + postgres::shared().backends("md5_user") == 0);
  console.exec("RESUME");
  BOOST_TEST(summary(late.read_until_ready().back()) == "Z(I)");
  late.query("select 2", "T D(2) C Z(I)");
}

BOOST_AUTO_TEST_CASE(who_waits_in_a_pause_is_told_and_has_its_time) {
  pg_edge_process node(simple_toml(settings + "query_wait_notify = 1\nquery_wait_timeout = 3\n"));
  pq console(node.conninfo("trust_user", "pgbouncer"));
  pq client(node.conninfo());
  BOOST_TEST(client.value("select 1") == "1");
  console.exec("PAUSE app");
  client.send_query("select 2");
  const pq_result result = client.results().at(0);
  BOOST_TEST(result.sqlstate() == "53300");
  BOOST_TEST(has(result.message(), "database \"app\" is paused"));
  BOOST_TEST_REQUIRE(!client.notices().empty());
  BOOST_TEST(has(client.notices().back(), "database \"app\" is paused"));
}

BOOST_FIXTURE_TEST_CASE(signals_pause_and_resume, one_node) {
  load clients(node, 4);
  BOOST_TEST(clients.goes_on());
  node.signal(SIGUSR1);
  BOOST_TEST(wait_for([&] { return state("paused") == "yes"; }));
  BOOST_TEST(wait_for([] { return backends() == 0; }));
  node.signal(SIGUSR1); // once more is nothing
  node.signal(SIGUSR2);
  BOOST_TEST(wait_for([&] { return state("paused") == "no"; }));
  BOOST_TEST(clients.goes_on());
  clients.stop();
  BOOST_TEST(clients.errors() == 0);
}

BOOST_FIXTURE_TEST_CASE(B159_resume_is_refused_in_a_shutdown, one_node) {
  pq client(node.conninfo());
  client.value("select 1");
  console.exec("PAUSE");
  pq second(node.conninfo("trust_user", "pgbouncer"));
  second.try_exec("SHUTDOWN WAIT_FOR_CLIENTS");
  BOOST_TEST(wait_for([&] { return state("draining") == "yes"; }));
  BOOST_TEST(refused("RESUME") == "pooler is shutting down");
}

BOOST_FIXTURE_TEST_CASE(B158_who_waits_in_a_pause_does_not_hold_up_a_shutdown, one_node) {
  wire_client client = log_in(node);
  client.query("select 1", "T D(1) C Z(I)");
  console.exec("PAUSE");
  client.send(query_bytes("select 2"));
  BOOST_TEST(wait_for([&] { return pool("cl_waiting") == "1"; }));
  console.try_exec("SHUTDOWN WAIT_FOR_SERVERS");
  BOOST_TEST(client.closed_within(milliseconds(10000)));
  BOOST_TEST(summary(client.last_message()) == "E(57P01)");
  BOOST_TEST((node.wait() == 0));
}

// -- RECONNECT and WAIT_CLOSE
// ----------------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(B147_reconnect_changes_every_backend, one_node) {
  load clients(node, 6);
  for (int round = 0; round < 3; ++round) {
    BOOST_TEST(clients.goes_on());
    const auto before = pids();
    console.exec("RECONNECT");
    BOOST_TEST(console.exec("WAIT_CLOSE").tag() == "WAIT_CLOSE");
    for (const std::string& pid : pids())
      BOOST_TEST(!before.contains(pid));
  }
  clients.stop();
  BOOST_TEST(clients.errors() == 0);
}

BOOST_FIXTURE_TEST_CASE(B147_wait_close_waits_for_those_in_use, one_node) {
  BOOST_TEST(console.exec("WAIT_CLOSE").tag() == "WAIT_CLOSE"); // nothing to wait for
  pq client(node.conninfo()), elsewhere(node.conninfo("trust_user", "other"));
  client.exec("begin");
  const std::string old = client.value("select pg_backend_pid()");
  elsewhere.exec("begin");
  elsewhere.exec("select 1");
  console.exec("RECONNECT app");
  BOOST_TEST(cell(console, "SHOW SERVERS", "remote_pid", old, "close_needed") == "1");
  BOOST_TEST(console.exec("WAIT_CLOSE other").tag() == "WAIT_CLOSE");
  console.send_query("WAIT_CLOSE app");
  std::this_thread::sleep_for(milliseconds(300));
  PQconsumeInput(console.raw());
  BOOST_TEST(PQisBusy(console.raw()) == 1);
  client.exec("commit");
  BOOST_TEST(console.results().at(0).tag() == "WAIT_CLOSE");
  BOOST_TEST(!pids().contains(old));
  BOOST_TEST(client.value("select pg_backend_pid()") != old);
  elsewhere.exec("commit");
}

// -- KILL
// ------------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B146_kill_drops_clients_and_servers_and_then_it_is_paused) {
  in_every_set_up(settings, [](pg_edge_process& node) {
    pq console(node.conninfo("trust_user", "pgbouncer"));
    wire_client idle = log_in(node), open = log_in(node), running = log_in(node);
    pq other(node.conninfo("trust_user", "other"));
    other.exec("begin");
    idle.query("select 1", "T D(1) C Z(I)");
    open.query("begin", "C(BEGIN) Z(T)");
    running.send(query_bytes("select pg_sleep(60)"));
    BOOST_TEST(waits_for_running("pg_sleep(60)", 1));
    BOOST_TEST(console.exec("KILL app").tag() == "KILL");
    BOOST_TEST(backends() == 0);
    const auto last_word = [](wire_client& one) {
      BOOST_TEST(one.closed_within(milliseconds(10000)));
      return summary(one.last_message()) + " " + error_field(one.last_message(), 'M');
    };
    BOOST_TEST(last_word(idle) == "E(57P01) terminating connection due to administrator command");
    BOOST_TEST(last_word(open) == "E(57P01) terminating connection due to administrator command");
    BOOST_TEST(has(last_word(running), "E(08006) terminating connection due to administrator command"));
    BOOST_TEST(running_like("pg_sleep(60)") == 0);
    BOOST_TEST(other.value("select 1") == "1");
    BOOST_TEST(cell(console, "SHOW DATABASES", "name", "app", "paused") == "1");
    pq newcomer(node.conninfo());
    newcomer.send_query("select 5");
    BOOST_TEST(wait_for([&] { return cell(console, "SHOW POOLS", "database", "app", "cl_waiting") == "1"; }));
    console.exec("RESUME app");
    BOOST_TEST(newcomer.results().at(0).value() == "5");
    // Everything.
    BOOST_TEST(console.exec("KILL").tag() == "KILL");
    BOOST_TEST(!other.try_exec("select 1").ok());
    BOOST_TEST(backends() + backends("other") == 0);
    BOOST_TEST(console.exec("SHOW CLIENTS").rows() == 1);
    console.exec("RESUME");
    BOOST_TEST(pq(node.conninfo()).value("select 6") == "6");
    BOOST_TEST(console.try_exec("KILL nowhere").field(PG_DIAG_MESSAGE_PRIMARY) == "no such database: nowhere");
  });
}

BOOST_FIXTURE_TEST_CASE(B146_kill_under_load_gives_the_permits_back, one_node) {
  for (int round = 0; round < 3; ++round) {
    load clients(node, 12);
    BOOST_TEST(clients.goes_on());
    BOOST_TEST(console.exec("KILL app").tag() == "KILL");
    BOOST_TEST(backends() == 0);
    console.exec("RESUME app");
    clients.stop();
  }
  load clients(node, 4);
  BOOST_TEST(clients.goes_on());
  BOOST_TEST(wait_for([&] { return backends() == 4; })); // the whole pool
  clients.stop();
  BOOST_TEST(clients.errors() == 0);
}

BOOST_FIXTURE_TEST_CASE(B146_kill_client_ends_the_one_with_that_id, one_node) {
  wire_client first = log_in(node);
  pq second(node.conninfo());
  first.query("begin", "C(BEGIN) Z(T)");
  const std::string id = cell(console, "SHOW CLIENTS", "state", "active", "id");
  BOOST_TEST(console.exec("KILL_CLIENT " + id).tag() == "KILL_CLIENT");
  BOOST_TEST(first.closed_within(milliseconds(10000)));
  BOOST_TEST(summary(first.last_message()) == "E(57P01)");
  BOOST_TEST(error_field(first.last_message(), 'M') == "terminating connection due to administrator command");
  BOOST_TEST(second.value("select 1") == "1");
  BOOST_TEST(refused("KILL_CLIENT " + id) == "client not found");
  BOOST_TEST(refused("KILL_CLIENT 1000000") == "client not found");
  BOOST_TEST(refused("KILL_CLIENT nobody") == "invalid client pointer supplied");
  BOOST_TEST(refused("KILL_CLIENT") == "invalid client pointer supplied");
}

// -- DISABLE and ENABLE
// ----------------------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(B146_disable_refuses_new_clients_only, one_node) {
  pq present(node.conninfo());
  console.exec("DISABLE app");
  BOOST_TEST(database("app", "disabled") == "1");
  BOOST_TEST(present.value("select 1") == "1");
  const pq refused_one = pq::attempt(node.conninfo());
  BOOST_TEST(has(refused_one.message(), "database \"app\" is disabled"));
  BOOST_TEST(pq(node.conninfo("trust_user", "other")).value("select 1") == "1");
  node.rewrite_config(simple_toml("reactors = 2\n" + settings + "query_wait_timeout = 60\n"));
  console.exec("RELOAD");
  BOOST_TEST(!pq::attempt(node.conninfo()).ok());
  console.exec("ENABLE app");
  BOOST_TEST(database("app", "disabled") == "0");
  BOOST_TEST(pq(node.conninfo()).value("select 1") == "1");
  BOOST_TEST(refused("ENABLE nowhere") == "no such database: nowhere");
}

BOOST_AUTO_TEST_SUITE_END()
