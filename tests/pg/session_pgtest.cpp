// Session pooling (B071-B075): one client, one server until it leaves, and a clean server for the next.
#include "tests/pg/pools_support.hpp"

using namespace pg_edge::test;

namespace {

struct node : pool_node {
  explicit node(const std::string& settings) : pool_node("pool_mode = \"session\"\n" + settings) {}
};

/// What a client must find on a server that another had for its session.
void expect_clean(wire_client& client) {
  expect_untouched(client);
  client.query("select count(*) from pg_settings where source = 'session' and name not in ('application_name', "
               "'client_encoding', 'DateStyle', 'TimeZone', 'IntervalStyle', 'standard_conforming_strings')",
               "T D(0) C Z(I)");
}

} // namespace

BOOST_AUTO_TEST_SUITE(session_pgtest)

BOOST_AUTO_TEST_CASE(B071_one_client_one_server_until_it_leaves) {
  node pool("default_pool_size = 2\n");
  backend_watcher watcher(postgres::shared(), "trust_user");
  wire_client a = pool.client(), b = pool.client();
  const std::string of_a = pid(a), of_b = pid(b);
  BOOST_TEST(of_a != of_b);
  a.query("set work_mem to '1MB'", "C(SET) Z(I)");
  a.query("create temp table mine (n int)", "C Z(I)");
  for (int i = 0; i < 10; ++i) {
    b.query("begin", "C Z(T)");
    BOOST_TEST(pid(b) == of_b);
    b.query("commit", "C Z(I)");
    BOOST_TEST(pid(a) == of_a);
  }
  BOOST_TEST(a.value("show work_mem") == "1MB");
  a.query("insert into mine values (1)", "C(INSERT 0 1) Z(I)");
  BOOST_TEST(b.value("show work_mem") != "1MB");
  a.send(terminate_bytes());
  wire_client c = pool.client();
  BOOST_TEST(pid(c) == of_a);
  BOOST_TEST(watcher.max() == 2);
}

BOOST_AUTO_TEST_CASE(B072_on_leaving_all_state_is_discarded) {
  node pool("default_pool_size = 1\n");
  postgres& server = postgres::shared();
  server.query("drop table if exists b072; create table b072 (n int); grant all on b072 to public");
  std::string first;
  const char* const states[] = {"begin; insert into b072 values (1)",
                                "begin; insert into b072 values (1); select 1/0",
                                "set work_mem to '1MB'",
                                "select set_config('work_mem', '1MB', false)",
                                "set my.tenant to 'a'",
                                "set timezone to 'Asia/Tokyo'; set application_name to 'a'; set search_path to nowhere",
                                "create temp table mine (n int)",
                                "prepare mine as select 1",
                                "select pg_advisory_lock(1)",
                                "listen news",
                                "declare mine cursor with hold for select 1",
                                "set session characteristics as transaction isolation level serializable",
                                "set default_transaction_read_only to on; set statement_timeout to 1000"};
  for (const char* state : states) {
    for (int how = 0; how < 3; ++how) {
      wire_client a = pool.client();
      a.ask(state);
      if (how == 0) a.send(terminate_bytes());
      if (how == 1) a.close();
      if (how == 2) a.close_abruptly();
      wire_client next = pool.client();
      BOOST_TEST_CONTEXT(state << ", left in way " << how) {
        expect_clean(next);
        BOOST_TEST(next.value("show timezone") == server.query("show timezone"));
        BOOST_TEST(next.value("show application_name") == "");
        BOOST_TEST(next.value("show transaction_isolation") == "read committed");
        BOOST_TEST(next.value("select count(*) from b072") == "0");
        server.query("notify news, 'x'");
        BOOST_TEST(next.ask("select 'quiet'") == "T(?column?) D(quiet) C(SELECT 1) Z(I)");
        if (first.empty()) first = pid(next);
        BOOST_TEST(pid(next) == first); // it is the same server: it was cleaned, not replaced
      }
    }
  }
  wire_client boss = pool.client({}, "postgres");
  boss.query("set role trust_user", "C S* Z(I)");
  boss.query("set session authorization trust_user", "C S* Z(I)");
  boss.close();
  wire_client next = pool.client({}, "postgres");
  next.query("select current_user, session_user", "T D(postgres,postgres) C Z(I)");
}

BOOST_AUTO_TEST_CASE(B073_more_clients_than_servers_wait_and_are_told_after_query_wait_timeout) {
  {
    node pool("default_pool_size = 1\n");
    wire_client a = pool.client();
    a.query("select 1", "T D C Z(I)");
    wire_client b = pool.client(); // the login needs no server of its own
    b.send(query_bytes("select 'b'"));
    BOOST_TEST(b.silent_for(a_while));
    a.query("begin; commit", "C C Z(I)");
    BOOST_TEST(b.silent_for(a_while));
    a.close();
    b.expect("T D(b) C Z(I)");
  }
  node impatient("default_pool_size = 1\nquery_wait_timeout = \"300ms\"\n");
  wire_client a = impatient.client();
  a.query("select 1", "T D C Z(I)");
  wire_client b = impatient.client();
  b.send(query_bytes("select 'b'"));
  BOOST_TEST(b.closed_within(milliseconds(10000)));
  BOOST_TEST(summary(b.last_message()) == "E(53300)");
  a.query("select 'a'", "T D(a) C Z(I)");
}

BOOST_AUTO_TEST_CASE(B074_listen_locks_temporary_tables_held_cursors_and_sql_prepare_work) {
  node pool("default_pool_size = 2\n");
  wire_client a = pool.client(), b = pool.client();
  a.query("listen news", "C(LISTEN) Z(I)");
  b.query("notify news, 'to a'", "C(NOTIFY) Z(I)");
  a.expect("A(news:to a)"); // while it is idle
  a.query("select pg_advisory_lock(1)", "T D C Z(I)");
  b.query("select pg_try_advisory_lock(1)", "T D(f) C Z(I)");
  a.query("select pg_advisory_unlock(1)", "T D(t) C Z(I)");
  b.query("select pg_try_advisory_lock(1)", "T D(t) C Z(I)");
  a.query("create temp table mine as select generate_series(1, 3) as n", "C(SELECT 3) Z(I)");
  a.query("select sum(n) from mine", "T D(6) C Z(I)");
  a.query("begin; declare held cursor with hold for select n from mine order by n; fetch held; commit",
          "C C(DECLARE CURSOR) T D(1) C C Z(I)");
  a.query("fetch 2 from held", "T D(2) D(3) C(FETCH 2) Z(I)");
  a.query("prepare p (int) as select $1 + 1", "C(PREPARE) Z(I)");
  a.query("execute p(41)", "T D(42) C Z(I)");
  a.query("select name, statement like 'prepare%' from pg_prepared_statements", "T D(p,t) C Z(I)"); // not renamed
  a.query("discard all", "C(DISCARD ALL) Z(I)");
  a.query("execute p(41)", "E(26000) Z(I)");
  b.query("notify news, 'late'", "C Z(I)");
  BOOST_TEST(a.silent_for(a_while));
  a.query("set statement_timeout to '50ms'", "C Z(I)");
  a.query("select pg_sleep(5)", "T* E(57014) Z(I)");
}

BOOST_AUTO_TEST_CASE(B075_named_prepared_statements_pass_through_and_end_with_the_client) {
  node pool("default_pool_size = 1\n");
  {
    wire_client a = pool.client();
    a.send(parse_bytes("mine", "select $1::int * 2") + sync_bytes());
    a.expect("1 Z(I)");
    a.query("select name from pg_prepared_statements", "T D(mine) C Z(I)"); // under its own name
    for (int i = 0; i < 3; ++i) {
      a.send(bind_bytes("", "mine", {"21"}) + execute_bytes() + sync_bytes());
      a.expect("2 D(42) C Z(I)");
    }
    a.query("execute mine(4)", "T D(8) C Z(I)");
    a.send(parse_bytes("mine", "select 1") + sync_bytes());
    a.expect("E(42P05) Z(I)");
    a.send(parse_bytes("", "select 'unnamed'") + sync_bytes());
    a.expect("1 Z(I)");
    a.send(bind_bytes("", "") + execute_bytes() + sync_bytes());
    a.expect("2 D(unnamed) C Z(I)");
  }
  wire_client b = pool.client();
  b.send(bind_bytes("", "mine", {"1"}) + execute_bytes() + sync_bytes());
  b.expect("E(26000) Z(I)");
  b.send(parse_bytes("mine", "select 'of b'") + bind_bytes("", "mine") + execute_bytes() + sync_bytes());
  b.expect("1 2 D(of b) C Z(I)");
}

BOOST_AUTO_TEST_SUITE_END()
