// Who gave which command, with what result: console, admin API, signals and takeovers leave lines in the audit log.
#include "tests/support/http.hpp"
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/pq.hpp"
#include "tests/support/process.hpp"

#include <boost/test/unit_test.hpp>

#include <optional>
#include <signal.h>

using namespace pg_edge::test;

namespace {

const std::string boss = "token-of-the-boss-1";

std::string toml_of(std::uint16_t api, const std::string& store, const std::string& more = "") {
  return simple_toml("admin_users = \"trust_user\"\ntakeover_socket = \"{dir}/takeover.sock\"\n" + store + more,
                     "[admin]\nlisten = \"127.0.0.1:" + std::to_string(api) + "\"\n[admin.tokens.boss]\ntoken = \"" +
                         boss + "\"\nrole = \"admin\"\n");
}

struct entry {
  std::string who, from, what, fields, result;
};

struct fixture {
  std::uint16_t api = free_port();
  pg_edge_process node;
  std::optional<pq> link;
  pq& console = *link;

  explicit fixture(const std::string& store = "store_path = \"{dir}/store.db\"\n")
      : node(toml_of(api, store)), link(node.conninfo("trust_user", "pgbouncer")) {
    if (!wait_for([&] { return node.log_contains("event=admin_listening"); }))
      throw test_failure("the admin API does not come up");
  }
  http_answer post(const std::string& path, const std::string& body = "") {
    http_ask what;
    what.method = "POST";
    what.path = path;
    what.token = boss;
    what.body = body;
    return http_once(api, what);
  }
  /// Oldest first.
  std::vector<entry> entries() {
    pq fresh(node.conninfo("trust_user", "pgbouncer"));
    const pq_result all = fresh.exec("SHOW AUDIT");
    std::vector<entry> out;
    for (int row = all.rows(); row-- > 0;)
      out.push_back({all.value(row, 1), all.value(row, 2), all.value(row, 3), all.value(row, 4), all.value(row, 5)});
    return out;
  }
  /// The last entry when there are so many.
  entry last_of(std::size_t count) {
    std::vector<entry> all;
    BOOST_TEST(wait_for([&] { return (all = entries()).size() >= count; }));
    BOOST_TEST(all.size() == count, all.size() << " entries, the last: " << (all.empty() ? "" : all.back().what));
    return all.empty() ? entry{} : all.back();
  }
  void expect(std::size_t count, const std::string& who, const std::string& what, const std::string& result) {
    const entry one = last_of(count);
    BOOST_TEST(one.who == who);
    BOOST_TEST(one.what == what);
    BOOST_TEST(one.result.starts_with(result), one.result);
    BOOST_TEST(one.from == (who.starts_with("signal") || who.starts_with("process") ? "" : "127.0.0.1"));
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(audit_pgtest)

BOOST_FIXTURE_TEST_CASE(commands_of_the_api_are_kept_with_their_result, fixture) {
  const std::string who = "token boss";
  BOOST_TEST(post("/v1/databases/default/app/pause").status == 200);
  expect(1, who, "PAUSE app", "done");
  BOOST_TEST(post("/v1/node/resume").status == 409);
  expect(2, who, "RESUME", "refused: pooler is not paused/suspended");
  BOOST_TEST(post("/v1/databases/default/app/resume").status == 200);
  expect(3, who, "RESUME app", "done");
  BOOST_TEST(post("/v1/node/reconnect").status == 200);
  expect(4, who, "RECONNECT", "done");
  BOOST_TEST(post("/v1/clients/123456789/kill").status == 404);
  expect(5, who, "KILL_CLIENT 123456789", "refused: client not found");
  BOOST_TEST(post("/v1/tenants/nobody/disable").status == 404);
  expect(6, who, "DISABLE TENANT nobody", "refused: ");
  BOOST_TEST(post("/v1/node/reload").status == 200);
  expect(7, who, "RELOAD", "done");
  pq client(node.conninfo());
  const std::string id = console.exec("SHOW CLIENTS").cell("database", "app", "id");
  BOOST_TEST(post("/v1/clients/" + id + "/kill").status == 200);
  expect(8, who, "KILL_CLIENT " + id, "done");
  // What is wrong in itself never was a command.
  BOOST_TEST(post("/v1/node/shutdown", R"({"mode":"slowly"})").status == 400);
  BOOST_TEST(entries().size() == 8U);
}

BOOST_FIXTURE_TEST_CASE(commands_of_the_console_and_signals_are_kept, fixture) {
  const std::string who = "console trust_user";
  console.exec("PAUSE");
  expect(1, who, "PAUSE", "done");
  console.exec("RESUME");
  expect(2, who, "RESUME", "done");
  BOOST_TEST(!console.try_exec("RESUME").ok());
  expect(3, who, "RESUME", "refused: ");
  console.exec("SET query_timeout = 7");
  expect(4, who, "SET", "done");
  BOOST_TEST(last_of(4).fields == "query_timeout"); // by name; values may be secrets
  BOOST_TEST(!console.try_exec("SET query_timeout = 'long'").ok());
  expect(5, who, "SET", "refused: ");
  console.exec("DISABLE app");
  expect(6, who, "DISABLE app", "done");
  console.exec("KILL app");
  expect(7, who, "KILL app", "done");
  node.rewrite_config("nonsense");
  BOOST_TEST(!console.try_exec("RELOAD").ok());
  expect(8, who, "RELOAD", "refused: ");
  node.signal(SIGHUP);
  expect(9, "signal SIGHUP", "RELOAD", "refused: ");
  node.signal(SIGUSR1);
  expect(10, "signal SIGUSR1", "PAUSE", "done");
  node.signal(SIGUSR2);
  expect(11, "signal SIGUSR2", "RESUME", "done");
  // Looking is no command.
  console.exec("SHOW POOLS");
  console.exec("WAIT_CLOSE");
  console.exec("SET client_encoding = 'UTF8'");
  BOOST_TEST(entries().size() == 11U);
}

BOOST_FIXTURE_TEST_CASE(a_takeover_and_a_shutdown_are_in_the_log_of_the_next_process, fixture) {
  const auto former = node.pid();
  link.reset(); // or the former process would live on with it
  node.take_over();
  const auto now = node.pid();
  BOOST_TEST(now != former);
  BOOST_TEST(node.former().wait(milliseconds(20000)).has_value()); // who asks it, as it ends, is told only that
  expect(1, "process " + std::to_string(now), "TAKEOVER", "done");
  BOOST_TEST_REQUIRE(node.wait_for_log("event=admin_listening")); // the former one has left its address
  BOOST_TEST(post("/v1/node/shutdown", R"({"mode":"at_once"})").status == 202);
  BOOST_TEST(node.wait().has_value());
  node.start();
  expect(2, "token boss", "SHUTDOWN, at once", "done");
}

BOOST_AUTO_TEST_CASE(without_a_store_the_log_has_them) {
  fixture at("");
  at.console.exec("RECONNECT app");
  BOOST_TEST(wait_for([&] {
    return at.node.log_contains("event=audit_not_kept what=\"RECONNECT app\" result=done by=\"console trust_user\" "
                                "from=127.0.0.1");
  }));
  BOOST_TEST(at.entries().empty());
}

BOOST_AUTO_TEST_SUITE_END()
