// SQL that names prepared statements inside a Parse with a name: its names are the client's, on whatever server it is
// run. What drivers do that prepare every text they see (psycopg behind prepare_threshold, asyncpg, pgjdbc).
#include "tests/pg/both_ways.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::test;

namespace {

std::string pool_of(int size, const std::string& more = "") {
  return simple_toml("default_pool_size = " + std::to_string(size) + "\n" + more);
}

std::string answer(wire_client& client, const std::string& bytes) {
  client.send(bytes);
  return summary(client.read_until_ready());
}

std::string parse_batch(const std::string& name, const std::string& sql) {
  return parse_bytes(name, sql) + sync_bytes();
}

/// Which server the client has, told by a batch of its own.
std::string server_of(wire_client& client) {
  return client.value("select pg_backend_pid()");
}

/// Opens a transaction of `other` on the server that `client` would have, so that `client` gets another.
void take_server(wire_client& client, wire_client& other) {
  for (int i = 0; i < 10; ++i) {
    const std::string his = server_of(client);
    other.query("begin", "C(BEGIN) Z(T)");
    if (server_of(other) == his) return;
    other.query("commit", "C(COMMIT) Z(I)");
  }
  BOOST_FAIL("the two clients never had the same server");
}

/// The same as Postgres but for the words of errors: those may have a shared name, or another place in the text.
void same_heard(const pg_edge_process& node, const conversation& steps) {
  wire_client direct = direct_client(), through = client_of(node.port());
  const std::string wanted = summary(hold(direct, steps));
  BOOST_TEST(summary(hold(through, steps)) == wanted);
}

} // namespace

BOOST_AUTO_TEST_SUITE(prepared_sql_pgtest)

BOOST_AUTO_TEST_CASE(B058_B084_execute_in_a_named_parse_on_another_server) {
  pg_edge_process node(pool_of(2));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  // Prepared by the protocol and by SQL, named in a statement with a name.
  answer(a, parse_batch("p", "select $1::int + 1"));
  a.query("prepare q(int) as select $1 + 2", "C(PREPARE) Z(I)");
  BOOST_TEST(answer(a, parse_batch("s1", "EXECUTE p(1)") + parse_bytes("s2", "EXECUTE q(1)")) == "1 Z(I)");
  a.send(sync_bytes());
  a.expect("1 Z(I)");
  take_server(a, b);
  const std::string described = bind_bytes("", "s1") + describe_bytes('P', "") + execute_bytes() + sync_bytes();
  BOOST_TEST(answer(a, described) == "2 T(?column?) D(2) C(SELECT 1) Z(I)");
  BOOST_TEST(answer(a, run_batch("s2")) == "2 D(3) C(SELECT 1) Z(I)");
  BOOST_TEST(answer(a, describe_bytes('S', "s1") + sync_bytes()) == "t T(?column?) Z(I)");
  b.query("commit", "C(COMMIT) Z(I)");
  BOOST_TEST(answer(b, parse_batch("s1", "EXECUTE p(1)")) == "1 Z(I)");
  BOOST_TEST(answer(b, run_batch("s1")) == "2 E(26000) Z(I)"); // a's p is none of b's
}

BOOST_AUTO_TEST_CASE(B084_deallocate_in_a_named_parse_on_another_server) {
  pg_edge_process node(pool_of(2));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  answer(a, parse_batch("p", "select 'p of a'"));
  answer(a, parse_batch("gone", "DEALLOCATE p"));
  answer(b, parse_batch("p", "select 'p of a'"));
  for (int i = 0; i < 3; ++i) {
    BOOST_TEST(answer(a, run_batch("p")) == "2 D(p of a) C(SELECT 1) Z(I)");
    take_server(a, b);
    BOOST_TEST(answer(a, run_batch("gone")) == "2 C(DEALLOCATE) Z(I)");
    BOOST_TEST(answer(a, run_batch("p")) == "E(26000) Z(I)");
    b.query("commit", "C(COMMIT) Z(I)");
    BOOST_TEST(answer(a, run_batch("p")) == "E(26000) Z(I)");
    BOOST_TEST(answer(a, run_batch("gone")) == "2 E(26000) Z(I)");
    BOOST_TEST(answer(b, run_batch("p")) == "2 D(p of a) C(SELECT 1) Z(I)");
    BOOST_TEST(answer(a, parse_batch("p", "select 'p of a'")) == "1 Z(I)");
  }
}

BOOST_AUTO_TEST_CASE(B058_B084_the_same_as_postgres) {
  pg_edge_process node(pool_of(1));
  same_heard(node, {{parse_batch("p", "select 'a' as one")},
                    {parse_batch("x", "execute p")},
                    {describe_bytes('S', "x") + sync_bytes()},
                    {bind_bytes("", "x") + describe_bytes('P', "") + execute_bytes() + sync_bytes()},
                    {close_bytes('S', "p") + parse_batch("p", "select 'b' as two")},
                    {bind_bytes("", "x") + describe_bytes('P', "") + execute_bytes() + sync_bytes()},
                    {query_bytes("deallocate p")},
                    {run_batch("x")},
                    {query_bytes("prepare p as select 'c'")},
                    {run_batch("x")}});
  same_heard(node, {{parse_batch("d", "DEALLOCATE \"P p\"")},
                    {run_batch("d")},
                    {parse_batch("P p", "select 1")},
                    {run_batch("d")},
                    {run_batch("P p")},
                    {parse_bytes("P p", "select 2") + bind_bytes("", "d") + execute_bytes() + run_batch("P p")},
                    {query_bytes("begin")},
                    {query_bytes("select 1/0")},
                    {run_batch("d")},
                    {query_bytes("rollback")},
                    {run_batch("d")}});
  same_heard(node, {{parse_batch("make", "PREPARE made(int) AS select $1 * 2")},
                    {run_batch("make")},
                    {run_batch("made", {"21"})},
                    {run_batch("make")},
                    {query_bytes("execute made(4)")},
                    {query_bytes("deallocate made")},
                    {run_batch("make")},
                    {query_bytes("execute made(5)")},
                    {parse_batch("all", "DEALLOCATE ALL")},
                    {run_batch("all")},
                    {run_batch("made", {"1"})},
                    {run_batch("all")}});
  same_heard(node, {{parse_batch("p", "select g from generate_series(1, 5) g")},
                    {parse_batch("explained", "EXPLAIN (COSTS OFF) EXECUTE p")},
                    {bind_bytes("", "explained") + describe_bytes('P', "") + execute_bytes() + sync_bytes()},
                    {parse_batch("bad", "EXECUTE p(")},
                    {parse_batch("explained", "EXECUTE p")},
                    {parse_bytes("x", "EXECUTE p") + bind_bytes("c", "x") + execute_bytes("c", 2) +
                     execute_bytes("c", 2) + execute_bytes("c") + sync_bytes()}});
}

/// psycopg 3 with prepare_threshold = 0: every text is prepared under a name of the driver's, and the oldest is
/// deallocated by a text of its own.
BOOST_AUTO_TEST_CASE(B058_B084_a_driver_that_prepares_every_text) {
  pg_edge_process node(pool_of(2, "max_prepared_statements = 2\n"));
  wire_client b = client_of(node.port());
  pq a("host=127.0.0.1 port=" + std::to_string(node.port()) + " user=trust_user dbname=app");
  for (int round = 0; round < 8; ++round) {
    if (round % 2 == 1) b.query("begin", "C(BEGIN) Z(T)");
    const std::string name = "_pg3_" + std::to_string(round), run = name + "_run", drop = name + "_drop";
    a.prepare(name, "select " + std::to_string(round) + " + $1::int");
    a.prepare(run, "EXECUTE " + name + "(10)");
    BOOST_TEST(a.exec_prepared(name, {"1"}).value() == std::to_string(round + 1));
    BOOST_TEST(a.exec_prepared(run).value() == std::to_string(round + 10));
    a.exec("begin");
    BOOST_TEST(a.exec_prepared(run).value() == std::to_string(round + 10));
    a.prepare(drop, "DEALLOCATE " + name);
    if (round % 2 == 1) b.query("commit", "C(COMMIT) Z(I)");
    a.exec("commit");
    if (round % 4 == 3) b.query("begin", "C(BEGIN) Z(T)");
    BOOST_TEST(a.exec_prepared(drop).tag() == "DEALLOCATE");
    BOOST_TEST(a.try_exec_prepared(name, {"1"}).sqlstate() == "26000");
    BOOST_TEST(a.try_exec_prepared(run).sqlstate() == "26000");
    BOOST_TEST(a.try_exec_prepared(drop).sqlstate() == "26000");
    if (round % 4 == 3) b.query("commit", "C(COMMIT) Z(I)");
    a.exec_params("DEALLOCATE " + run, {});
    a.exec_params("DEALLOCATE " + drop, {});
  }
  BOOST_TEST(a.value("select 'done'") == "done");
}

BOOST_AUTO_TEST_SUITE_END()
