// Prepared statements of the extended protocol in transaction mode: behaviours 77 to 98.
#include "tests/pg/both_ways.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

#include <csignal>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

using namespace pg_edge::test;

namespace {

std::string pool_of(int size, const std::string& more = "") {
  return simple_toml("default_pool_size = " + std::to_string(size) + "\n" + more);
}

/// What the only server of a pool has prepared whose text is like this.
std::string prepared_like(wire_client& client, const std::string& pattern) {
  return client.value("select count(*) from pg_prepared_statements where statement like '" + pattern +
                      "' and statement not like '%pg_prepared_statements%'");
}

std::string answer(wire_client& client, const std::string& bytes) {
  client.send(bytes);
  return summary(client.read_until_ready());
}

/// Drops a table on leaving, so that no test finds another's.
struct table {
  table(const std::string& name, const std::string& columns) : name_(name) {
    postgres::shared().query("drop table if exists " + name_);
    postgres::shared().query("create table " + name_ + " (" + columns + ")");
    postgres::shared().query("grant all on " + name_ + " to public");
  }
  ~table() {
    try {
      postgres::shared().query("drop table if exists " + name_);
    } catch (const test_failure&) {
      // The next test that wants the name drops it first.
    }
  }
  std::string name_;
};

void check_heard(wire_client& client, const conversation& steps, const std::string& wanted) {
  BOOST_TEST(summary(hold(client, steps)) == wanted);
}

long resident_kilobytes(pid_t pid) {
  std::istringstream status(read_file("/proc/" + std::to_string(pid) + "/status"));
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmRSS:", 0) == 0) return std::stol(line.substr(6));
  return 0;
}

} // namespace

BOOST_AUTO_TEST_SUITE(prepared_pgtest)

// -- names -------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B077_parse_on_one_server_bind_on_another) {
  pg_edge_process node(pool_of(2));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  a.send(whole_batch("pid", "select pg_backend_pid(), $1::text", {"x"}));
  auto first = row_values(a.expect("1 2 T D C(SELECT 1) Z(I)")[3]);
  // The other client keeps that server in a transaction, or the other one, until both were had.
  bool another = false;
  for (int i = 0; i < 10 && !another; ++i) {
    b.query("begin", "C(BEGIN) Z(T)");
    a.send(run_batch("pid", {"y"}));
    auto second = row_values(a.expect("2 D C(SELECT 1) Z(I)")[1]);
    BOOST_TEST((second[1] == "y"));
    another = second[0] != first[0];
    b.query("commit", "C(COMMIT) Z(I)");
  }
  BOOST_TEST(another);
}

BOOST_AUTO_TEST_CASE(B077_description_is_the_same_on_another_server) {
  pg_edge_process node(pool_of(2));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  std::string describe = describe_bytes('S', "d") + sync_bytes();
  a.send(parse_bytes("d", "select $1::int as one, $2::text as two") + describe);
  std::string wanted = wire_bytes_of(a.expect("1 t T(one,two) Z(I)")).substr(5);
  for (int i = 0; i < 4; ++i) {
    b.query("begin", "C(BEGIN) Z(T)");
    a.send(describe);
    BOOST_TEST((wire_bytes_of(a.expect("t T(one,two) Z(I)")) == wanted));
    b.query("commit", "C(COMMIT) Z(I)");
  }
}

BOOST_AUTO_TEST_CASE(B078_same_name_different_text) {
  pg_edge_process node(pool_of(1));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  BOOST_TEST(answer(a, parse_bytes("s", "select 'of a'") + sync_bytes()) == "1 Z(I)");
  BOOST_TEST(answer(b, parse_bytes("s", "select 'of b'") + sync_bytes()) == "1 Z(I)");
  for (int i = 0; i < 3; ++i) {
    BOOST_TEST(answer(a, run_batch("s")) == "2 D(of a) C(SELECT 1) Z(I)");
    BOOST_TEST(answer(b, run_batch("s")) == "2 D(of b) C(SELECT 1) Z(I)");
  }
}

BOOST_AUTO_TEST_CASE(B079_same_text_is_prepared_once_a_server) {
  pg_edge_process node(pool_of(1));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  BOOST_TEST(answer(a, whole_batch("of_a", "select 79")) == "1 2 T(?column?) D(79) C(SELECT 1) Z(I)");
  BOOST_TEST(answer(b, whole_batch("of_b", "select 79")) == "1 2 T(?column?) D(79) C(SELECT 1) Z(I)");
  BOOST_TEST(answer(a, whole_batch("again", "select 79")) == "1 2 T(?column?) D(79) C(SELECT 1) Z(I)");
  BOOST_TEST(prepared_like(a, "select 79") == "1");
}

BOOST_AUTO_TEST_CASE(B080_close_then_describe_is_an_error_close_of_unknown_is_none) {
  pg_edge_process node(pool_of(1));
  BOOST_TEST(same_both_ways(node, {{parse_bytes("c", "select 80") + sync_bytes()},
                                   {close_bytes('S', "c") + sync_bytes()},
                                   {describe_bytes('S', "c") + sync_bytes()},
                                   {close_bytes('S', "never was") + close_bytes('P', "nor this") + sync_bytes()},
                                   {parse_bytes("c", "select 'anew'") + sync_bytes()},
                                   {run_batch("c")}}) ==
             "1 Z(I) 3 Z(I) E(26000) Z(I) 3 3 Z(I) 1 Z(I) 2 D(anew) C(SELECT 1) Z(I)");
  // In one batch, too.
  BOOST_TEST(same_both_ways(node, {{parse_bytes("c", "select 80") + close_bytes('S', "c") + describe_bytes('S', "c") +
                                    execute_bytes() + sync_bytes()},
                                   {query_bytes("select 1")}}) ==
             "1 3 E(26000) Z(I) T(?column?) D(1) C(SELECT 1) Z(I)");
}

BOOST_AUTO_TEST_CASE(B081_unknown_name_is_an_error_and_the_session_goes_on) {
  pg_edge_process node(pool_of(1));
  conversation steps;
  for (const std::string& name : {std::string("unknown"), std::string()})
    for (const std::string& first : {describe_bytes('S', name), bind_bytes("", name), execute_bytes("no portal")}) {
      steps.push_back({first + execute_bytes() + sync_bytes()});
      steps.push_back({query_bytes("begin")});
      steps.push_back({first + sync_bytes()});
      steps.push_back({query_bytes("select 'in a failed transaction'")});
      steps.push_back({query_bytes("rollback")});
    }
  same_both_ways(node, steps);
  wire_client a = client_of(node.port());
  BOOST_TEST(answer(a, bind_bytes("", "unknown") + execute_bytes() + sync_bytes()) == "E(26000) Z(I)");
  BOOST_TEST(answer(a, whole_batch("known", "select 81")) == "1 2 T(?column?) D(81) C(SELECT 1) Z(I)");
}

BOOST_AUTO_TEST_CASE(B082_second_parse_of_a_used_name) {
  pg_edge_process node(pool_of(1));
  BOOST_TEST(same_both_ways(node, {{parse_bytes("s", "select 'first'") + sync_bytes()},
                                   {parse_bytes("s", "select 'second'") + sync_bytes()},
                                   {parse_bytes("s", "select 'first'") + sync_bytes()},
                                   {run_batch("s")},
                                   {query_bytes("begin")},
                                   {parse_bytes("s", "select 'third'") + sync_bytes()},
                                   {query_bytes("rollback")},
                                   {run_batch("s")}}) ==
             "1 Z(I) E(42P05) Z(I) E(42P05) Z(I) 2 D(first) C(SELECT 1) Z(I) "
             "C(BEGIN) Z(T) E(42P05) Z(E) C(ROLLBACK) Z(I) 2 D(first) C(SELECT 1) Z(I)");
  // A name that SQL gave counts, too.
  BOOST_TEST(same_both_ways(node, {{query_bytes("prepare q as select 'by sql'")},
                                   {parse_bytes("q", "select 'by protocol'") + sync_bytes()},
                                   {run_batch("q")}}) == "C(PREPARE) Z(I) E(42P05) Z(I) 2 D(by sql) C(SELECT 1) Z(I)");
}

// -- SQL about names -----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B083_deallocate_all_and_discard_all_forget_this_clients_only) {
  pg_edge_process node(pool_of(1));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  for (const std::string& sql : {std::string("deallocate all"), std::string("DISCARD ALL")}) {
    for (wire_client* client : {&a, &b})
      answer(*client, parse_bytes("s", "select 83") + parse_bytes("t", "select 'other'") + sync_bytes());
    std::string tag = sql == "deallocate all" ? "C(DEALLOCATE ALL) Z(I)" : "C(DISCARD ALL) Z(I)";
    BOOST_TEST(a.ask(sql) == tag);
    BOOST_TEST(answer(a, run_batch("s")) == "E(26000) Z(I)");
    BOOST_TEST(answer(a, run_batch("t")) == "E(26000) Z(I)");
    BOOST_TEST(answer(b, run_batch("s")) == "2 D(83) C(SELECT 1) Z(I)");
    BOOST_TEST(answer(b, run_batch("t")) == "2 D(other) C(SELECT 1) Z(I)");
    BOOST_TEST(answer(a, whole_batch("s", "select 83")) == "1 2 T(?column?) D(83) C(SELECT 1) Z(I)");
    answer(a, close_bytes('S', "s") + sync_bytes());
  }
}

BOOST_AUTO_TEST_CASE(B084_deallocate_by_sql_acts_on_the_clients_own_name) {
  pg_edge_process node(pool_of(1));
  wire_client b = client_of(node.port());
  answer(b, parse_bytes("s", "select 84") + sync_bytes());
  BOOST_TEST(
      same_both_ways(node, {{parse_bytes("s", "select 84") + parse_bytes("Mixed Case", "select 1") + sync_bytes()},
                            {query_bytes("deallocate s")},
                            {run_batch("s")},
                            {query_bytes("deallocate s")},
                            {query_bytes("begin; deallocate prepare \"Mixed Case\"; commit")},
                            {run_batch("Mixed Case")},
                            {parse_bytes("s", "select 'anew'") + sync_bytes()},
                            {whole_batch("", "deallocate s")},
                            {run_batch("s")},
                            {parse_bytes("s", "select 'last'") + sync_bytes()},
                            {run_batch("s")}}) ==
      "1 1 Z(I) C(DEALLOCATE) Z(I) E(26000) Z(I) E(26000) Z(I) C(BEGIN) C(DEALLOCATE) C(COMMIT) Z(I) "
      "E(26000) Z(I) 1 Z(I) 1 2 n C(DEALLOCATE) Z(I) E(26000) Z(I) 1 Z(I) 2 D(last) C(SELECT 1) Z(I)");
  BOOST_TEST(answer(b, run_batch("s")) == "2 D(84) C(SELECT 1) Z(I)");
}

BOOST_AUTO_TEST_CASE(B084_execute_by_sql_of_what_protocol_prepared_and_the_reverse) {
  pg_edge_process node(pool_of(2));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  answer(a, parse_bytes("s", "select $1::int + 1") + sync_bytes());
  BOOST_TEST(a.ask("prepare q(int) as select $1 + 2") == "C(PREPARE) Z(I)");
  for (int i = 0; i < 4; ++i) {
    b.query("begin", "C(BEGIN) Z(T)");
    BOOST_TEST(a.ask("execute s(1)") == "T(?column?) D(2) C(SELECT 1) Z(I)");
    BOOST_TEST(a.ask("execute q(1)") == "T(?column?) D(3) C(SELECT 1) Z(I)");
    BOOST_TEST(answer(a, run_batch("q", {"5"})) == "2 D(7) C(SELECT 1) Z(I)");
    b.query("commit", "C(COMMIT) Z(I)");
    BOOST_TEST(b.ask("execute q(1)") == "E(26000) Z(I)");
  }
}

// -- failures ------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B085_a_failed_parse_leaves_nothing) {
  pg_edge_process node(pool_of(1));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  postgres::shared().query("drop table if exists comes_later");
  std::string batch = whole_batch("s", "select * from comes_later");
  BOOST_TEST(answer(a, batch) == "E(42P01) Z(I)");
  BOOST_TEST(answer(b, batch) == "E(42P01) Z(I)");
  BOOST_TEST(answer(a, run_batch("s")) == "E(26000) Z(I)");
  table later("comes_later", "n int");
  BOOST_TEST(answer(a, batch) == "1 2 T(n) C(SELECT 0) Z(I)");
  BOOST_TEST(answer(b, batch) == "1 2 T(n) C(SELECT 0) Z(I)");
}

BOOST_AUTO_TEST_CASE(B086_a_failed_parse_in_a_pipeline) {
  pg_edge_process node(pool_of(1));
  std::string good = parse_bytes("good", "select 86") + bind_bytes("", "good") + execute_bytes();
  std::string bad = parse_bytes("bad", "select * from no_such_table");
  std::string after = parse_bytes("after", "select 'after'") + bind_bytes("", "after") + execute_bytes();
  conversation steps = {{good + bad + after + close_bytes('S', "good") + sync_bytes()},
                        {run_batch("good")},
                        {run_batch("bad")},
                        {run_batch("after")},
                        {after + sync_bytes() + bad + good + sync_bytes() + run_batch("after") + run_batch("good"), 4},
                        {query_bytes("begin")},
                        {parse_bytes("in_failed", "select 1") + bad + sync_bytes()},
                        {parse_bytes("never", "select 1") + sync_bytes()},
                        {query_bytes("rollback")},
                        {run_batch("in_failed") + run_batch("never"), 2}};
  BOOST_TEST(same_both_ways(node, steps) ==
             "1 2 D(86) C(SELECT 1) E(42P01) Z(I) 2 D(86) C(SELECT 1) Z(I) E(26000) Z(I) E(26000) Z(I) "
             "1 2 D(after) C(SELECT 1) Z(I) E(42P01) Z(I) 2 D(after) C(SELECT 1) Z(I) 2 D(86) C(SELECT 1) Z(I) "
             "C(BEGIN) Z(T) 1 E(42P01) Z(E) E(25P02) Z(E) C(ROLLBACK) Z(I) 2 D(1) C(SELECT 1) Z(I) E(26000) Z(I)");
  same_both_ways(node, steps, 7);
}

BOOST_AUTO_TEST_CASE(B087_late_messages_of_an_aborted_pipeline) {
  pg_edge_process node(pool_of(1));
  std::string late = parse_bytes("late", "select 'late'") + bind_bytes("", "late") + execute_bytes();
  std::string error = parse_bytes("bad", "select * from no_such_table") + flush_bytes();
  BOOST_TEST(
      same_both_ways(node, {{error, 0, 1}, {late + flush_bytes(), 0, 0}, {late + sync_bytes()}, {run_batch("late")}}) ==
      "E(42P01) Z(I) E(26000) Z(I)");
  // Nobody else gets the server while its Sync is due, and that client is not answered with what is late.
  wire_client a = client_of(node.port()), b = client_of(node.port());
  a.send(error);
  a.expect("E(42P01)");
  b.send(query_bytes("select 'b'"));
  a.send(late);
  BOOST_TEST(b.silent_for(milliseconds(200)));
  a.send(late + sync_bytes());
  a.expect("Z(I)");
  b.expect("T D(b) C(SELECT 1) Z(I)");
}

// -- sizes ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B088_messages_around_the_size_of_the_buffer) {
  pg_edge_process node(pool_of(2));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  std::vector<std::size_t> sizes;
  for (std::size_t buffer : {2048u, 4096u, 8192u, 16384u, 32768u, 65536u, 131072u, 262144u, 655360u})
    for (int off : {-64, -6, -5, -4, -1, 0, 1, 5, 64})
      sizes.push_back(buffer + static_cast<std::size_t>(static_cast<std::ptrdiff_t>(off)));
  for (std::size_t size : sizes) {
    BOOST_TEST_INFO_SCOPE("size " << size);
    std::string text(size, 'x');
    std::string name = "s" + std::to_string(size);
    bool with_setting = size % 2 == 0; // a change of setting is then due before the client's own bytes
    if (with_setting) a.ask("set application_name = 'a" + std::to_string(size) + "'");
    b.query("begin", "C(BEGIN) Z(T)"); // takes the server that knows nothing of it, or leaves it
    a.send(parse_bytes(name, "select length($1::text), '" + text + "'::text") + bind_bytes("", name, {text}) +
           execute_bytes() + close_bytes('S', name) + sync_bytes());
    auto row = row_values(a.expect("1 2 D C(SELECT 1) 3 Z(I)")[2]);
    BOOST_TEST((row[0] == std::to_string(size) && row[1] == text));
    b.query("commit", "C(COMMIT) Z(I)");
    if (with_setting) BOOST_TEST(a.value("show application_name") == "a" + std::to_string(size));
  }
}

BOOST_AUTO_TEST_CASE(B088_long_names) {
  pg_edge_process node(pool_of(1));
  for (std::size_t size : {10u, 62u, 63u, 64u, 200u, 4096u, 20000u}) {
    std::string name(size, 'n');
    BOOST_TEST(same_both_ways(node, {{whole_batch(name, "select 88"), 1}, {run_batch(name)}}) ==
               "1 2 T(?column?) D(88) C(SELECT 1) Z(I) 2 D(88) C(SELECT 1) Z(I)");
  }
}

// -- the unnamed statement -----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B089_unnamed_parse_in_one_sync_bind_in_another) {
  pg_edge_process node(pool_of(1));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  BOOST_TEST(answer(a, parse_bytes("", "select 'of a', $1::int") + sync_bytes()) == "1 Z(I)");
  BOOST_TEST(answer(b, parse_bytes("", "select 'of b', $1::int") + sync_bytes()) == "1 Z(I)");
  for (int i = 0; i < 3; ++i) {
    BOOST_TEST(answer(a, run_batch("", {"1"})) == "2 D(of a,1) C(SELECT 1) Z(I)");
    BOOST_TEST(answer(b, describe_bytes('S', "") + run_batch("", {"2"})) ==
               "t T(?column?,int4) 2 D(of b,2) C(SELECT 1) Z(I)");
  }
  // A simple query ends the unnamed statement, as in Postgres; so does a failed Parse and a Close.
  same_both_ways(node, {{parse_bytes("", "select 1") + sync_bytes()},
                        {parse_bytes("", "select 'other text'") + sync_bytes()},
                        {run_batch("")},
                        {query_bytes("select 2")},
                        {run_batch("")},
                        {parse_bytes("", "select 3") + sync_bytes()},
                        {parse_bytes("", "select * from no_such_table") + sync_bytes()},
                        {run_batch("")},
                        {parse_bytes("", "select 4") + sync_bytes()},
                        {close_bytes('S', "") + sync_bytes()},
                        {run_batch("")}});
}

// -- limits --------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B090_least_recently_used_statements_are_closed) {
  pg_edge_process node(pool_of(1, "max_prepared_statements = 3\n"));
  wire_client a = client_of(node.port());
  for (int i = 0; i < 5; ++i)
    answer(a, parse_bytes("s" + std::to_string(i), "select " + std::to_string(900 + i)) + sync_bytes());
  BOOST_TEST(prepared_like(a, "select 90%") == "3");
  BOOST_TEST(prepared_like(a, "select 900") == "0");
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < 5; ++i)
      BOOST_TEST(answer(a, run_batch("s" + std::to_string(i))) ==
                 "2 D(" + std::to_string(900 + i) + ") C(SELECT 1) Z(I)");
  // s4 and s3 were used last; what is used now stays, what was not goes.
  answer(a, run_batch("s2"));
  answer(a, run_batch("s0"));
  BOOST_TEST(prepared_like(a, "select 902") == "1");
  BOOST_TEST(prepared_like(a, "select 903") == "0");
  BOOST_TEST(prepared_like(a, "select 90%") == "3");
  // All in one batch: more than may stay.
  std::string all;
  for (int i = 0; i < 5; ++i)
    all += bind_bytes("", "s" + std::to_string(i)) + execute_bytes();
  BOOST_TEST(answer(a, all + sync_bytes()) == "2 D(900) C(SELECT 1) 2 D(901) C(SELECT 1) 2 D(902) C(SELECT 1) "
                                              "2 D(903) C(SELECT 1) 2 D(904) C(SELECT 1) Z(I)");
  answer(a, run_batch("s0"));
  BOOST_TEST(std::stoi(prepared_like(a, "select 90%")) <= 3);
}

BOOST_AUTO_TEST_CASE(B090_the_limit_changes_while_running) {
  pg_edge_process node(pool_of(1, "max_prepared_statements = 10\n"));
  wire_client a = client_of(node.port());
  auto prepare_and_run = [&] {
    for (int i = 0; i < 10; ++i) {
      std::string name = "r" + std::to_string(i);
      answer(a, close_bytes('S', name) + parse_bytes(name, "select " + std::to_string(9900 + i)) + sync_bytes());
      answer(a, run_batch(name));
    }
  };
  prepare_and_run();
  BOOST_TEST(prepared_like(a, "select 99%") == "10");
  node.rewrite_config(pool_of(1, "max_prepared_statements = 4\n"));
  node.signal(SIGHUP);
  int more = 0;
  BOOST_TEST(wait_for([&] {
    // The new limit is kept from the next statement on that the server must learn.
    answer(a, whole_batch("more" + std::to_string(more), "select " + std::to_string(99100 + more)));
    ++more;
    return prepared_like(a, "select 99%") == "4";
  }));
}

BOOST_AUTO_TEST_CASE(B091_a_statement_too_large_to_keep_is_a_clear_error_and_the_session_goes_on) {
  pg_edge_process node(pool_of(1));
  const std::string filler(16 * 1024 * 1024, ' ');
  wire_client client = client_of(node.port());
  client.send(parse_bytes("small", "select 'small'") + sync_bytes());
  client.expect("1 Z(I)");
  const std::string big = parse_bytes("big", "select 1" + filler);
  client.send(big + bind_bytes("", "big") + execute_bytes() + sync_bytes());
  const wire_message error = client.read_message();
  BOOST_TEST(summary(error) == "E(54000)");
  BOOST_TEST(error_field(error, 'S') == "ERROR");
  BOOST_TEST(error_field(error, 'M') ==
             "prepared statement of " + std::to_string(big.size()) + " bytes is too large, the limit is 16777216");
  BOOST_TEST(error_field(error, 'H') == "Send large values as parameters, or the statement without a name.");
  client.expect("Z(I)");
  client.send(run_batch("small"));
  client.expect("2 D(small) C Z(I)");
  client.query("begin", "C Z(T)"); // as any error it ends the transaction
  client.send(big + sync_bytes());
  client.expect("E(54000) Z(E)");
  client.query("rollback", "C Z(I)");
  client.send(parse_bytes("", "select 'nameless'" + filler) + bind_bytes("", "") + execute_bytes() + sync_bytes());
  client.expect("1 2 D(nameless) C Z(I)");
  client.send(run_batch("small") + big + sync_bytes() + run_batch("small")); // its place among the answers
  client.expect("2 D(small) C Z(I) E(54000) Z(I) 2 D(small) C Z(I)");
}

BOOST_AUTO_TEST_CASE(B092_other_parameter_types_make_another_statement) {
  pg_edge_process node(pool_of(1));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  constexpr std::int32_t int4 = 23, text = 25;
  std::string sql = "select pg_typeof($1)::text";
  BOOST_TEST(answer(a, parse_bytes("s", sql, {int4}) + sync_bytes()) == "1 Z(I)");
  BOOST_TEST(answer(b, parse_bytes("s", sql, {text}) + sync_bytes()) == "1 Z(I)");
  BOOST_TEST(answer(a, run_batch("s", {"1"})) == "2 D(integer) C(SELECT 1) Z(I)");
  BOOST_TEST(answer(b, run_batch("s", {"1"})) == "2 D(text) C(SELECT 1) Z(I)");
  BOOST_TEST(answer(a, run_batch("s", {"x"})) == "E(22P02) Z(I)");
}

// -- stale plans ---------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B093_parsed_before_a_change_gets_postgres_own_error) {
  pg_edge_process node(pool_of(1));
  table changed("changed", "one int");
  wire_client direct = direct_client(), a = client_of(node.port());
  conversation prepare = {{parse_bytes("s", "select * from changed") + sync_bytes()}, {run_batch("s")}};
  check_same(direct, a, prepare);
  postgres::shared().query("alter table changed add column two int");
  // Outside a transaction, inside one, described first, and amid a pipeline: as Postgres answers each.
  conversation after = {{run_batch("s")},
                        {bind_bytes("", "s") + describe_bytes('P', "") + execute_bytes() + sync_bytes()},
                        {query_bytes("begin")},
                        {run_batch("s")},
                        {query_bytes("rollback")},
                        {query_bytes("begin") + run_batch("s") + query_bytes("rollback"), 3},
                        {describe_bytes('S', "s") + run_batch("s")}};
  check_same(direct, a, after);
  BOOST_TEST(answer(a, run_batch("s")) == "E(0A000) Z(I)");
  // A new Parse heals it, under another name or the same.
  check_same(direct, a,
             {{whole_batch("t", "select * from changed")},
              {close_bytes('S', "s") + sync_bytes()},
              {whole_batch("s", "select * from changed")},
              {run_batch("s")}});
  BOOST_TEST(answer(a, whole_batch("u", "select * from changed")) == "1 2 T(one,two) C(SELECT 0) Z(I)");
}

BOOST_AUTO_TEST_CASE(B093_parsed_after_a_change_never_sees_that_error) {
  pg_edge_process node(pool_of(1));
  std::string sql = "select * from changed_after";
  std::string fresh_in_transaction = "C(BEGIN) Z(T) 1 2 T(one,two) D(1,2) C(SELECT 1) Z(T) C(COMMIT) Z(I)";
  std::string flush_parse = parse_bytes("s", sql) + describe_bytes('S', "s") + flush_bytes();
  // Each way starts with a server whose plan is stale, made so by a client that is still there.
  auto stale = [&](bool seen, auto&& way) {
    table changed("changed_after", "one int");
    wire_client before = client_of(node.port());
    answer(before, parse_bytes("old", sql) + sync_bytes() + run_batch("old"));
    before.read_until_ready();
    postgres::shared().query("alter table changed_after add column two int");
    postgres::shared().query("insert into changed_after values (1, 2)");
    wire_client after = client_of(node.port());
    way(after, before);
    // Who parsed before still has what Postgres gives it, as far as the pool has seen that the plan is stale.
    if (seen) BOOST_TEST(answer(before, run_batch("old")) == "E(0A000) Z(I)");
  };
  stale(true, [&](wire_client& after, wire_client&) {
    BOOST_TEST(answer(after, whole_batch("s", sql)) == "1 2 T(one,two) D(1,2) C(SELECT 1) Z(I)");
  });
  stale(true, [&](wire_client& after, wire_client&) {
    BOOST_TEST(answer(after, parse_bytes("s", sql) + sync_bytes()) == "1 Z(I)");
    BOOST_TEST(answer(after, run_batch("s")) == "2 D(1,2) C(SELECT 1) Z(I)");
  });
  stale(true, [&](wire_client& after, wire_client&) {
    BOOST_TEST(answer(after, parse_bytes("s", sql) + describe_bytes('S', "s") + sync_bytes()) == "1 t T(one,two) Z(I)");
    BOOST_TEST(answer(after, run_batch("s")) == "2 D(1,2) C(SELECT 1) Z(I)");
  });
  stale(true, [&](wire_client& after, wire_client&) {
    after.send(flush_parse);
    after.expect("1 t T(one,two)");
    BOOST_TEST(answer(after, run_batch("s")) == "2 D(1,2) C(SELECT 1) Z(I)");
  });
  stale(false, [&](wire_client& after, wire_client&) {
    check_heard(after, {{query_bytes("begin")}, {whole_batch("s", sql)}, {query_bytes("commit")}},
                fresh_in_transaction);
  });
  stale(false, [&](wire_client& after, wire_client&) {
    // The whole transaction in one write, Parse first of all.
    check_heard(after, {{query_bytes("begin") + whole_batch("s", sql) + query_bytes("commit"), 3}},
                fresh_in_transaction);
  });
  stale(true, [&](wire_client& after, wire_client& before) {
    // The first one has already met the error.
    BOOST_TEST(answer(before, run_batch("old")) == "E(0A000) Z(I)");
    BOOST_TEST(answer(after, whole_batch("s", sql)) == "1 2 T(one,two) D(1,2) C(SELECT 1) Z(I)");
  });
  stale(false, [&](wire_client& after, wire_client&) {
    // A pipeline with work before it, which must not be done twice.
    BOOST_TEST(answer(after, parse_bytes("", "insert into changed_after values (3, 4)") + bind_bytes("", "") +
                                 execute_bytes() + whole_batch("s", sql)) ==
               "1 2 C(INSERT 0 1) 1 2 T(one,two) D(1,2) D(3,4) C(SELECT 2) Z(I)");
  });
}

BOOST_AUTO_TEST_CASE(B093_a_column_that_goes_or_changes_its_type) {
  pg_edge_process node(pool_of(1));
  for (const std::string& change :
       {std::string("alter table changing drop column two"), std::string("alter table changing alter two type bigint"),
        std::string("alter table changing rename two to three")}) {
    table changing("changing", "one int, two int");
    wire_client direct = direct_client(), a = client_of(node.port());
    check_same(direct, a, {{parse_bytes("s", "select * from changing") + sync_bytes()}, {run_batch("s")}});
    postgres::shared().query(change);
    check_same(direct, a, {{run_batch("s")}, {describe_bytes('S', "s") + run_batch("s")}});
    wire_client after = client_of(node.port()), direct_after = direct_client();
    // Two formats for results that are now one column would fail before the plan is looked at.
    check_same(direct_after, after,
               {{parse_bytes("s", "select * from changing") + bind_bytes("", "s", {}, {}, {1}) +
                 describe_bytes('P', "") + execute_bytes() + sync_bytes()},
                {run_batch("s")}});
  }
}

// -- statistics and memory -----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B097_statements_are_counted) {
  pg_edge_process node(pool_of(1, "admin_users = \"trust_user\"\n"));
  pq console(node.conninfo("trust_user", "pgbouncer"));
  auto counted = [&] {
    pq_result stats = console.exec("SHOW STATS");
    std::string text;
    for (int row = 0; row < stats.rows(); ++row)
      for (int column = 0; column < stats.columns(); ++column) {
        std::string name = stats.column_name(column);
        bool wanted =
            name == "total_client_parse_count" || name == "total_server_parse_count" || name == "total_bind_count";
        if (wanted && stats.value(row) == "app") text += name.substr(6) + "=" + stats.value(row, column) + " ";
      }
    return text;
  };
  wire_client a = client_of(node.port()), b = client_of(node.port());
  for (wire_client* client : {&a, &b}) {
    answer(*client, parse_bytes("s", "select 97") + sync_bytes());
    answer(*client, run_batch("s"));
    answer(*client, run_batch("s"));
  }
  // Two clients parsed, one server did.
  std::string wanted = "client_parse_count=2 server_parse_count=1 bind_count=4 ";
  BOOST_TEST(wait_for([&] { return counted() == wanted; }), counted());
}

BOOST_AUTO_TEST_CASE(B098_memory_of_closed_statements_is_given_back) {
  pg_edge_process node(pool_of(1, "max_prepared_statements = 5\n"));
  wire_client a = client_of(node.port());
  constexpr std::size_t size = 1024 * 1024;
  auto prepare_and_close = [&](int i) {
    std::string sql = "select " + std::to_string(i) + " /* " + std::string(size, 'x') + " */";
    a.send(parse_bytes("s", sql) + close_bytes('S', "s") + sync_bytes());
    a.expect("1 3 Z(I)");
  };
  for (int i = 0; i < 10; ++i)
    prepare_and_close(i);
  long before = resident_kilobytes(node.pid());
  for (int i = 10; i < 210; ++i)
    prepare_and_close(i);
  long grown = resident_kilobytes(node.pid()) - before;
  BOOST_TEST(before > 0);
  BOOST_TEST(grown < 80 * 1024, "200 MB were prepared and closed, and memory grew by " << grown << " kB");
}

BOOST_AUTO_TEST_SUITE_END()
