// SHUTDOWN on the console in its three ways: who may go on, who is told, who gets in, and when the node ends.
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/pq.hpp"
#include "tests/support/wire_client.hpp"

#include <boost/test/unit_test.hpp>

#include <memory>

using namespace pg_edge::test;

namespace {

struct fixture {
  pg_edge_process node{simple_toml("admin_users = \"trust_user\"\ndefault_pool_size = 1\nserver_login_retry = 1\n")};
  std::unique_ptr<pq> console = std::make_unique<pq>(node.conninfo("trust_user", "pgbouncer"));

  bool nobody_gets_in() {
    return wait_for([&] { return !pq::attempt(node.conninfo()).ok(); });
  }
};

/// The next result of a query that was sent, be it an error; the SQLSTATE of that, empty if it went well.
std::string outcome(pq& client) {
  std::string state;
  for (const pq_result& result : client.results())
    state = result.ok() ? state : result.sqlstate();
  return state;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(shutdown_pgtest, fixture)

BOOST_AUTO_TEST_CASE(B158_wait_for_clients_lets_them_go_on_until_they_leave) {
  auto busy = std::make_unique<pq>(node.conninfo());
  auto idle = std::make_unique<pq>(node.conninfo());
  busy->exec("begin");
  busy->exec("select 1");
  idle->send_query("select 2"); // waits for the only server
  BOOST_TEST(wait_for([&] { return console->exec("SHOW POOLS").cell("database", "app", "cl_waiting") == "1"; }));
  BOOST_TEST(console->exec("SHUTDOWN WAIT_FOR_CLIENTS").tag() == "SHUTDOWN");
  BOOST_TEST(nobody_gets_in());
  BOOST_TEST(busy->value("select 3") == "3");
  busy->exec("commit");
  BOOST_TEST(idle->results().at(0).value() == "2");
  BOOST_TEST(busy->value("select 4") == "4"); // a new transaction, too
  BOOST_TEST(console->exec("SHOW STATE").cell("key", "draining", "value") == "yes");
  console.reset();
  busy.reset();
  BOOST_TEST(!node.wait(milliseconds(300)).has_value()); // one is still there
  idle.reset();
  BOOST_TEST((node.wait() == 0));
}

BOOST_AUTO_TEST_CASE(B158_wait_for_servers_ends_each_client_with_its_transaction) {
  pq busy(node.conninfo());
  pq waiting(node.conninfo());
  wire_client idle(node.port()); // libpq takes what comes unasked for a notice
  idle.login("trust_user", "app");
  busy.exec("begin");
  busy.exec("select 1");
  waiting.send_query("select 2");
  BOOST_TEST(wait_for([&] { return console->exec("SHOW POOLS").cell("database", "app", "cl_waiting") == "1"; }));
  console->try_exec("SHUTDOWN WAIT_FOR_SERVERS");
  BOOST_TEST(nobody_gets_in());
  const wire_message told = idle.read_message();
  BOOST_TEST(told.type == 'E');
  BOOST_TEST(error_field(told, 'C') == "57P01");
  BOOST_TEST(busy.value("select 3") == "3"); // its transaction is under way
  busy.exec("commit");
  const std::string state = outcome(waiting);
  BOOST_TEST((state.empty() || state == "57P01"), state); // served as it had asked before, or told
  BOOST_TEST(!busy.try_exec("begin").ok());
  BOOST_TEST((node.wait() == 0));
}

BOOST_AUTO_TEST_CASE(B158_at_once_ends_what_runs) {
  pq busy(node.conninfo());
  busy.send_query("select pg_sleep(60)");
  BOOST_TEST(wait_for([&] { return console->exec("SHOW POOLS").cell("database", "app", "sv_active") == "1"; }));
  console->try_exec("SHUTDOWN");
  BOOST_TEST((node.wait() == 0));
}

BOOST_AUTO_TEST_SUITE_END()
