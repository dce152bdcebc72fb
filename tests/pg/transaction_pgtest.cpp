// Transaction pooling (B048-B070): what a transaction is to the pool, what follows a client from server to server, and
// what never reaches the next client.
#include "tests/pg/pools_support.hpp"

#include <algorithm>
#include <functional>
#include <set>

using namespace pg_edge::test;

namespace {

using node = pool_node;

/// The two servers of a pool of two, by turns the only one that is free.
class two_servers {
public:
  explicit two_servers(node& pool) : first_(pool.client()), second_(pool.client()) {}
  /// Runs the function while only the one server is free, and then while only the other is.
  void on_each(const std::function<void()>& what) {
    std::string one = hold(first_), other = hold(second_);
    if (one == other) throw test_failure("two transactions at a time on one server");
    first_.query("commit", "C Z(I)");
    what();
    hold(first_);
    second_.query("commit", "C Z(I)");
    what();
    first_.query("commit", "C Z(I)");
  }

private:
  static std::string hold(wire_client& client) {
    client.query("begin", "C Z(T)");
    return pid(client);
  }
  wire_client first_, second_;
};

std::string show(wire_client& client, const std::string& name) {
  return client.value("select current_setting('" + name + "')");
}

/// Statements that pg_edge itself has prepared may stay.
void expect_clean(wire_client& client) {
  expect_untouched(client, " where from_sql");
}

} // namespace

BOOST_AUTO_TEST_SUITE(transaction_pgtest)

BOOST_AUTO_TEST_CASE(B048_a_transaction_stays_on_one_server_which_is_free_afterwards) {
  {
    node pool("default_pool_size = 1\n");
    wire_client a = pool.client(), b = pool.client();
    a.query("begin", "C(BEGIN) Z(T)");
    const std::string server = pid(a);
    b.send(query_bytes("select 'b', pg_backend_pid()"));
    for (int i = 0; i < 10; ++i)
      BOOST_TEST(pid(a) == server);
    BOOST_TEST(b.silent_for(a_while));
    a.query("commit", "C(COMMIT) Z(I)");
    b.expect("T D(b," + server + ") C Z(I)");
  }
  node two("default_pool_size = 2\n");
  wire_client c = two.client(), d = two.client();
  c.query("begin", "C Z(T)");
  d.query("begin", "C Z(T)");
  const std::string of_c = pid(c), of_d = pid(d);
  BOOST_TEST(of_c != of_d);
  for (int i = 0; i < 10; ++i) {
    BOOST_TEST(pid(d) == of_d);
    BOOST_TEST(pid(c) == of_c);
  }
}

BOOST_AUTO_TEST_CASE(B049_300_clients_over_one_server_all_finish) {
  node pool("default_pool_size = 1\nmax_client_conn = 400\n");
  backend_watcher watcher(postgres::shared(), "trust_user");
  std::vector<wire_client> clients;
  for (int i = 0; i < 300; ++i)
    clients.push_back(pool.client());
  for (int i = 0; i < 300; ++i)
    clients[i].send(query_bytes("begin") + query_bytes("select " + std::to_string(i)) + query_bytes("commit"));
  for (int i = 0; i < 300; ++i)
    clients[i].expect("C(BEGIN) Z(T) T D(" + std::to_string(i) + ") C Z(T) C(COMMIT) Z(I)");
  std::set<std::string> servers;
  for (wire_client& client : clients)
    servers.insert(pid(client));
  BOOST_TEST(servers.size() == 1U);
  BOOST_TEST(watcher.max() == 1);
  BOOST_TEST(watcher.samples() > 2);
}

BOOST_AUTO_TEST_CASE(B050_settings_of_a_transaction_end_as_the_server_says) {
  node pool("default_pool_size = 2\n");
  two_servers servers(pool);
  wire_client a = pool.client({{"TimeZone", "UTC"}});
  const std::string work_mem = show(a, "work_mem");

  a.query("begin", "C Z(T)");
  a.query("set local timezone to 'Asia/Tokyo'", "C(SET) S(TimeZone=Asia/Tokyo) Z(T)");
  a.query("set local work_mem to '1MB'", "C(SET) Z(T)");
  BOOST_TEST(show(a, "timezone") == "Asia/Tokyo");
  BOOST_TEST(show(a, "work_mem") == "1MB");
  a.query("commit", "C(COMMIT) S(TimeZone=UTC) Z(I)");
  servers.on_each([&] {
    BOOST_TEST(show(a, "timezone") == "UTC");
    BOOST_TEST(show(a, "work_mem") == work_mem);
  });

  a.query("begin", "C Z(T)");
  a.query("set timezone to 'Asia/Tokyo'", "C(SET) S(TimeZone=Asia/Tokyo) Z(T)");
  a.query("set work_mem to '1MB'", "C(SET) Z(T)");
  BOOST_TEST(show(a, "work_mem") == "1MB");
  a.query("rollback", "C(ROLLBACK) S(TimeZone=UTC) Z(I)");
  servers.on_each([&] {
    BOOST_TEST(show(a, "timezone") == "UTC");
    BOOST_TEST(show(a, "work_mem") == work_mem);
  });

  a.query("begin", "C Z(T)");
  a.query("set timezone to 'Asia/Tokyo'", "C(SET) S(TimeZone=Asia/Tokyo) Z(T)");
  a.query("commit", "C(COMMIT) Z(I)");
  servers.on_each([&] { BOOST_TEST(show(a, "timezone") == "Asia/Tokyo"); });
}

BOOST_AUTO_TEST_CASE(B051_tracked_settings_follow_the_client_to_every_server) {
  node pool("default_pool_size = 2\n");
  two_servers servers(pool);
  wire_client a = pool.client(), b = pool.client();
  const std::pair<std::string, std::string> values[] = {{"client_encoding", "LATIN1"},
                                                        {"DateStyle", "German, DMY"},
                                                        {"TimeZone", "Asia/Tokyo"},
                                                        {"standard_conforming_strings", "off"},
                                                        {"application_name", "a's own \\ name"},
                                                        {"IntervalStyle", "iso_8601"},
                                                        {"default_transaction_read_only", "on"}};
  std::vector<std::string> of_b;
  for (const auto& [name, value] : values)
    of_b.push_back(show(b, name));
  for (const auto& [name, value] : values) {
    const std::string text = name == "application_name" ? "E'a''s own \\\\ name'" : "'" + value + "'";
    a.query("set " + name + " to " + text, "C(SET) S(" + name + "=" + value + ") Z(I)");
  }
  servers.on_each([&] {
    for (const auto& [name, value] : values)
      BOOST_TEST(show(a, name) == value);
    for (std::size_t i = 0; i < of_b.size(); ++i)
      BOOST_TEST(show(b, values[i].first) == of_b[i]);
    a.query("select '2026-12-31'::date, 'x\\\\y', interval '1 day'", "N(22P06) T D(31.12.2026,x\\y,P1D) C Z(I)");
    a.send(query_bytes("select '\xe4'")); // ä in LATIN1
    a.expect("T D(\xe4) C Z(I)");
  });
}

BOOST_AUTO_TEST_CASE(B052_other_settings_end_with_the_transaction_and_reach_nobody_else) {
  node pool("default_pool_size = 1\n");
  wire_client a = pool.client(), b = pool.client();
  const std::string work_mem = show(b, "work_mem");
  for (const char* set : {"set work_mem to '1MB'", "set session work_mem = '1MB'", "/* c */ SET work_mem TO '1MB'",
                          "begin; set work_mem to '1MB'; commit"}) {
    a.query(set, std::string(set).starts_with("begin") ? "C C C Z(I)" : "C(SET) Z(I)");
    BOOST_TEST(show(b, "work_mem") == work_mem);
    BOOST_TEST(show(a, "work_mem") == work_mem);
  }
  a.send(parse_bytes("", "set work_mem to '1MB'") + bind_bytes("", "") + execute_bytes() + sync_bytes());
  a.expect("1 2 C(SET) Z(I)");
  BOOST_TEST(show(b, "work_mem") == work_mem);
  a.query("set my.tenant to 'a'", "C(SET) Z(I)");
  BOOST_TEST(b.value("select coalesce(current_setting('my.tenant', true), '')") == "");
  a.query("set session characteristics as transaction isolation level serializable, read only",
          "C(SET) S(default_transaction_read_only=on) Z(I)");
  BOOST_TEST(show(b, "transaction_read_only") == "off");
  BOOST_TEST(show(b, "transaction_isolation") == "read committed");
  a.query("set search_path to nowhere", "C(SET) Z(I)");
  BOOST_TEST(show(b, "search_path") == "\"$user\", public");

  wire_client boss = pool.client({}, "postgres"), other = pool.client({}, "postgres");
  boss.query("set role trust_user", "C(SET) S(is_superuser=off) Z(I)");
  other.query("select current_user, session_user", "T D(postgres,postgres) C Z(I)");
  boss.query("set session authorization trust_user", "C(SET) S* Z(I)");
  other.query("select current_user, session_user", "T D(postgres,postgres) C Z(I)");
}

BOOST_AUTO_TEST_CASE(B053_set_config_acts_as_set_does) {
  node pool("default_pool_size = 2\n");
  two_servers servers(pool);
  wire_client a = pool.client(), b = pool.client();
  const std::string work_mem = show(b, "work_mem"), zone = show(b, "timezone");
  a.query("select set_config('TimeZone', 'Asia/Tokyo', false)", "T D(Asia/Tokyo) C S(TimeZone=Asia/Tokyo) Z(I)");
  servers.on_each([&] {
    a.query("select set_config('work_mem', '1MB', false)", "T D(1MB) C Z(I)");
    BOOST_TEST(show(b, "work_mem") == work_mem);
    BOOST_TEST(show(b, "timezone") == zone);
    BOOST_TEST(show(a, "timezone") == "Asia/Tokyo");
    a.send(parse_bytes("", "select set_config('work_mem', $1, false)") + bind_bytes("", "", {"1MB"}) + execute_bytes() +
           sync_bytes());
    a.expect("1 2 D(1MB) C Z(I)");
    BOOST_TEST(show(b, "work_mem") == work_mem);
  });
  a.query("begin", "C Z(T)");
  a.query("select set_config('work_mem', '1MB', true)", "T D(1MB) C Z(T)");
  BOOST_TEST(show(a, "work_mem") == "1MB");
  a.query("commit", "C Z(I)");
  servers.on_each([&] { BOOST_TEST(show(a, "work_mem") == work_mem); });
}

BOOST_AUTO_TEST_CASE(B054_several_settings_in_one_simple_query) {
  node pool("default_pool_size = 2\n");
  two_servers servers(pool);
  wire_client a = pool.client(), b = pool.client();
  const std::string work_mem = show(b, "work_mem"), zone = show(b, "timezone");
  a.query("set timezone to 'Asia/Tokyo'; set work_mem to '1MB'; set datestyle to 'SQL, DMY'; show work_mem",
          "C(SET) C(SET) C(SET) T D(1MB) C(SHOW) S S Z(I)");
  servers.on_each([&] {
    BOOST_TEST(show(a, "timezone") == "Asia/Tokyo");
    BOOST_TEST(show(a, "datestyle") == "SQL, DMY");
    BOOST_TEST(show(b, "timezone") == zone);
    BOOST_TEST(show(b, "work_mem") == work_mem);
  });
  // One that fails takes those before it with it, as the server says.
  a.query("set timezone to 'Europe/Rome'; set datestyle to 'nonsense'", "C(SET) E(22023) Z(I)");
  servers.on_each([&] { BOOST_TEST(show(a, "timezone") == "Asia/Tokyo"); });
}

BOOST_AUTO_TEST_CASE(B055_reset_and_discard_go_back_to_the_clients_own_start) {
  node pool("default_pool_size = 2\n");
  two_servers servers(pool);
  const start_parameters own = {{"TimeZone", "Asia/Tokyo"},
                                {"application_name", "mine"},
                                {"options", "-c work_mem=5MB -c search_path=pg_catalog -c DateStyle=German"}};
  wire_client a = pool.client(own), b = pool.client();
  const auto expect_own = [&] {
    BOOST_TEST(show(a, "timezone") == "Asia/Tokyo");
    BOOST_TEST(show(a, "application_name") == "mine");
    BOOST_TEST(show(a, "datestyle") == "German, DMY");
    BOOST_TEST(show(a, "work_mem") == "5MB");
    BOOST_TEST(show(a, "search_path") == "pg_catalog");
    BOOST_TEST(show(b, "application_name") == "");
    BOOST_TEST(show(b, "work_mem") != "5MB");
  };
  servers.on_each(expect_own);
  for (const std::string back : {"reset timezone; reset application_name; reset datestyle", "reset all", "discard all",
                                 "set timezone to default; set application_name to default; set datestyle = default"}) {
    a.query("set timezone to 'Europe/Rome'; set application_name to 'x'; set datestyle to 'SQL, DMY'",
            "C C C S S S Z(I)");
    BOOST_TEST(show(a, "timezone") == "Europe/Rome");
    BOOST_TEST(a.ask(back).find("E(") == std::string::npos);
    BOOST_TEST(a.parameter("TimeZone") == "Asia/Tokyo");
    BOOST_TEST(a.parameter("DateStyle") == "German, DMY");
    servers.on_each(expect_own);
  }
  a.query("begin", "C Z(T)");
  a.query("set timezone to 'Europe/Rome'", "C S Z(T)");
  BOOST_TEST(a.ask("reset timezone").find("E(") == std::string::npos);
  BOOST_TEST(show(a, "timezone") == "Asia/Tokyo");
  a.query("commit", "C(COMMIT) Z(I)");
  servers.on_each(expect_own);
}

BOOST_AUTO_TEST_CASE(B056_a_clean_server_goes_back_without_a_reset) {
  postgres& server = postgres::shared();
  server.set_configuration("log_statement = all\nlog_line_prefix = '%u '\n");
  server.reload();
  {
    node pool("default_pool_size = 1\n");
    wire_client a = pool.client(), b = pool.client();
    a.ask("select 'first'");
    const std::size_t from = server.log().size();
    const auto logged = [&] {
      const std::string text = server.log().substr(from);
      std::size_t lines = 0;
      for (std::size_t at = text.find("trust_user LOG:"); at != std::string::npos;
           at = text.find("trust_user LOG:", at + 1))
        ++lines;
      return lines;
    };
    for (int i = 0; i < 10; ++i) {
      a.query("select 'a'", "T D C Z(I)");
      b.query("begin", "C Z(T)");
      b.query("set local work_mem to '1MB'", "C Z(T)");
      b.query("commit", "C Z(I)");
    }
    BOOST_TEST(wait_for([&] { return logged() >= 40; }));
    BOOST_TEST(logged() == 40U);
    a.query("set work_mem to '1MB'", "C Z(I)"); // and here it is needed: the log shows resets
    b.query("select 'b'", "T D C Z(I)");
    BOOST_TEST(wait_for([&] { return logged() > 42; }));
    BOOST_TEST(server.log().substr(from).find("RESET ALL") != std::string::npos);
  }
  server.set_configuration("");
  server.reload();
}

BOOST_AUTO_TEST_CASE(B057_sql_prepare_does_not_break_the_next_client) {
  node pool("default_pool_size = 1\n");
  wire_client a = pool.client(), b = pool.client();
  a.query("prepare s as select 'of a'", "C(PREPARE) Z(I)");
  b.query("prepare s as select 'of b'", "C(PREPARE) Z(I)");
  a.query("execute s", "T D(of a) C Z(I)");
  b.query("execute s", "T D(of b) C Z(I)");
  wire_client c = pool.client();
  c.query("execute s", "E(26000) Z(I)");
  c.query("prepare s as select 'of c'", "C(PREPARE) Z(I)");
  c.query("execute s", "T D(of c) C Z(I)");
}

BOOST_AUTO_TEST_CASE(B058_sql_prepared_statements_work_on_every_server) {
  node pool("default_pool_size = 2\n");
  two_servers servers(pool);
  wire_client a = pool.client();
  a.query("prepare twice (int) as select $1 * 2", "C(PREPARE) Z(I)");
  servers.on_each([&] {
    a.query("execute twice(21)", "T D(42) C Z(I)");
    a.query("EXECUTE twice (2); select 'then'", "T D(4) C T D(then) C Z(I)");
    a.query("explain (costs off) execute twice(3)", "T D C(EXPLAIN) Z(I)");
    a.query("prepare twice as select 1", "E(42P05) Z(I)");
  });
  a.query("deallocate twice", "C(DEALLOCATE) Z(I)");
  servers.on_each([&] { a.query("execute twice(1)", "E(26000) Z(I)"); });
  a.query("prepare one as select 1", "C Z(I)");
  a.query("prepare two as select 2", "C Z(I)");
  a.query("deallocate all", "C(DEALLOCATE ALL) Z(I)");
  servers.on_each([&] {
    a.query("execute one", "E(26000) Z(I)");
    a.query("execute two", "E(26000) Z(I)");
  });
  a.query("prepare one as select 11", "C Z(I)");
  servers.on_each([&] { a.query("execute one", "T D(11) C Z(I)"); });
}

// -- clients that vanish -----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B059_a_client_that_vanishes_in_a_transaction) {
  node pool("default_pool_size = 1\n");
  table("b059");
  backend_watcher watcher(postgres::shared(), "trust_user");
  wire_client next = pool.client();
  for (int how = 0; how < 5; ++how) {
    wire_client a = pool.client();
    a.query("begin", "C Z(T)");
    a.query("insert into b059 values (1)", "C(INSERT 0 1) Z(T)");
    if (how == 4) a.query("select 1/0", "T* E(22012) Z(E)");
    if (how == 0) a.send(terminate_bytes());
    if (how == 1) a.shutdown_write();
    if (how == 2) a.close();
    if (how >= 3) a.close_abruptly();
    expect_clean(next);
    next.query("select count(*) from b059", "T D(0) C Z(I)");
    next.query("select pg_current_xact_id_if_assigned() is null", "T D(t) C Z(I)");
  }
  next.query("insert into b059 values (2)", "C(INSERT 0 1) Z(I)");
  BOOST_TEST(count("b059") == "1");
  BOOST_TEST(watcher.max() <= 1);
}

BOOST_AUTO_TEST_CASE(B060_a_client_that_vanishes_in_the_midst_of_a_message) {
  node pool("default_pool_size = 1\n");
  table("b060");
  backend_watcher watcher(postgres::shared(), "trust_user");
  wire_client next = pool.client();
  const std::string insert = parse_bytes("", "insert into b060 values (1)") + bind_bytes("", "") + execute_bytes();
  const std::string query = query_bytes("insert into b060 values (1)");
  const std::string parse = parse_bytes("s", "select 1");
  const std::string sent[] = {query.substr(0, 3),
                              query.substr(0, query.size() / 2),
                              parse,
                              parse.substr(0, parse.size() - 1),
                              parse + flush_bytes(),
                              insert,
                              insert + flush_bytes(),
                              insert + flush_bytes() + query.substr(0, 7),
                              insert.substr(0, insert.size() - 2),
                              query_bytes("begin") + insert.substr(0, insert.size() - 2),
                              query_bytes("begin") + query.substr(0, query.size() - 1),
                              query_bytes("begin") + insert + sync_bytes() + parse};
  for (const std::string& bytes : sent) {
    for (bool abruptly : {false, true}) {
      wire_client a = pool.client();
      a.send(bytes);
      std::this_thread::sleep_for(milliseconds(20)); // so that it has a server, where it takes one
      if (abruptly)
        a.close_abruptly();
      else
        a.close();
      expect_clean(next);
    }
  }
  next.query("select count(*) from b060", "T D(0) C Z(I)");
  BOOST_TEST(watcher.max() == 1);
}

BOOST_AUTO_TEST_CASE(B061_a_client_that_vanishes_in_a_copy_or_a_long_query) {
  node pool("default_pool_size = 1\n");
  table("b061", "(t text)");
  backend_watcher watcher(postgres::shared(), "trust_user");
  wire_client next = pool.client();
  const std::string sent[] = {query_bytes("copy b061 from stdin"),
                              query_bytes("select pg_sleep(60)"),
                              query_bytes("copy (select repeat('x', 1000) from generate_series(1, 1000000)) to stdout"),
                              query_bytes("select repeat('x', 1000) from generate_series(1, 1000000)"),
                              query_bytes("begin") + query_bytes("select pg_sleep(60)"),
                              parse_bytes("", "select pg_sleep(60)") + bind_bytes("", "") + execute_bytes() +
                                  sync_bytes()};
  for (const std::string& bytes : sent) {
    for (bool abruptly : {false, true}) {
      wire_client a = pool.client();
      a.send(bytes);
      if (&bytes == &sent[0]) a.send(copy_data_bytes("lost\n"));
      std::this_thread::sleep_for(milliseconds(50));
      if (abruptly)
        a.close_abruptly();
      else
        a.close();
      next.query("select 'next'", "T D(next) C Z(I)"); // well within its ten seconds
    }
  }
  BOOST_TEST(count("b061") == "0");
  BOOST_TEST(postgres::shared().query("select count(*) from pg_stat_activity where usename = 'trust_user' and "
                                      "state <> 'idle'") == "0");
  BOOST_TEST(watcher.max() == 1);
}

// -- what a transaction is ---------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B062_an_error_in_a_transaction_keeps_the_server_until_rollback) {
  node pool("default_pool_size = 1\n");
  wire_client a = pool.client(), b = pool.client();
  a.query("begin", "C Z(T)");
  a.query("select 1/0", "T* E(22012) Z(E)");
  b.send(query_bytes("select 'b'"));
  BOOST_TEST(b.silent_for(a_while));
  a.query("select 1", "E(25P02) Z(E)");
  a.send(parse_bytes("", "select 1") + sync_bytes());
  a.expect("E(25P02) Z(E)");
  BOOST_TEST(b.silent_for(a_while));
  a.query("commit", "C(ROLLBACK) Z(I)");
  b.expect("T D(b) C Z(I)");
}

BOOST_AUTO_TEST_CASE(B063_savepoints_nested_and_in_error) {
  node pool("default_pool_size = 1\n");
  table("b063");
  wire_client a = pool.client(), b = pool.client();
  a.query("begin", "C Z(T)");
  a.query("insert into b063 values (1)", "C Z(T)");
  a.query("savepoint outer_one", "C(SAVEPOINT) Z(T)");
  a.query("insert into b063 values (2)", "C Z(T)");
  a.query("savepoint inner_one", "C(SAVEPOINT) Z(T)");
  b.send(query_bytes("select count(*) from b063"));
  a.query("insert into b063 values ('x')", "E(22P02) Z(E)");
  BOOST_TEST(b.silent_for(a_while));
  a.query("rollback to inner_one", "C(ROLLBACK) Z(T)");
  a.query("insert into b063 values (3)", "C Z(T)");
  a.query("release inner_one", "C(RELEASE) Z(T)");
  a.query("savepoint other", "C(SAVEPOINT) Z(T)");
  a.query("nonsense", "E(42601) Z(E)");
  a.query("rollback to outer_one", "C(ROLLBACK) Z(T)");
  a.query("insert into b063 values (4)", "C Z(T)");
  BOOST_TEST(b.silent_for(a_while));
  a.query("commit", "C(COMMIT) Z(I)");
  b.expect("T D(2) C Z(I)");
  BOOST_TEST(postgres::shared().query("select string_agg(n::text, ',' order by n) from b063") == "1,4");
}

BOOST_AUTO_TEST_CASE(B064_a_simple_query_of_many_statements_with_its_own_transactions) {
  node pool("default_pool_size = 1\n");
  table("b064");
  wire_client a = pool.client(), b = pool.client();
  a.query("begin; insert into b064 values (1); commit; select 'done'", "C(BEGIN) C C(COMMIT) T D(done) C Z(I)");
  b.query("select count(*) from b064", "T D(1) C Z(I)");
  a.query("select 'open'; begin; insert into b064 values (2)", "T D(open) C C(BEGIN) C Z(T)");
  b.send(query_bytes("select count(*) from b064"));
  BOOST_TEST(b.silent_for(a_while));
  a.query("commit; begin", "C(COMMIT) C(BEGIN) Z(T)");
  BOOST_TEST(b.silent_for(a_while));
  a.query("insert into b064 values (3); rollback; select 'after'", "C C(ROLLBACK) T D(after) C Z(I)");
  b.expect("T D(2) C Z(I)");
  a.query("begin; insert into b064 values (4); select 1/0; commit", "C C T* E(22012) Z(E)");
  b.send(query_bytes("select count(*) from b064"));
  BOOST_TEST(b.silent_for(a_while));
  a.query("rollback", "C(ROLLBACK) Z(I)");
  b.expect("T D(2) C Z(I)");
  a.query("insert into b064 values (5); select 1/0", "C T* E(22012) Z(I)"); // one implicit transaction
  b.query("select count(*) from b064", "T D(2) C Z(I)");
}

BOOST_AUTO_TEST_CASE(B065_the_implicit_transaction_of_a_pipeline_ends_at_sync) {
  node pool("default_pool_size = 1\n");
  table("b065");
  wire_client a = pool.client(), b = pool.client();
  const auto insert = [](const char* value) {
    return parse_bytes("", "insert into b065 values ($1::int)") + bind_bytes("", "", {value}) + execute_bytes();
  };
  a.send(insert("1") + flush_bytes());
  a.expect("1 2 C(INSERT 0 1)");
  b.send(query_bytes("select count(*) from b065"));
  BOOST_TEST(b.silent_for(a_while));
  BOOST_TEST(count("b065") == "0");
  a.send(insert("2") + flush_bytes());
  a.expect("1 2 C(INSERT 0 1)");
  BOOST_TEST(b.silent_for(a_while));
  a.send(sync_bytes());
  a.expect("Z(I)");
  b.expect("T D(2) C Z(I)");
  // An error takes the whole pipeline with it, up to Sync and no further.
  a.send(insert("3") + insert("x") + insert("4") + sync_bytes() + insert("5") + sync_bytes());
  a.expect("1 2 C 1 E(22P02) Z(I) 1 2 C Z(I)");
  b.query("select string_agg(n::text, ',' order by n) from b065", "T D(1,2,5) C Z(I)");
}

// -- LISTEN, NOTIFY, locks, cursors, temporary tables --------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B066_listen_pins_its_client) {
  node pool("default_pool_size = 2\n");
  wire_client a = pool.client(), b = pool.client(), c = pool.client();
  a.query("listen news", "C(LISTEN) Z(I)");
  const std::string server = pid(a);
  for (int i = 0; i < 5; ++i) {
    BOOST_TEST(pid(b) != server);
    BOOST_TEST(pid(a) == server);
  }
  b.query("notify news, 'first'", "C(NOTIFY) Z(I)");
  a.expect("A(news:first)"); // while it is idle, without asking
  a.query("select 1", "T D(1) C Z(I)");
  b.query("begin", "C Z(T)");
  c.send(query_bytes("select pg_backend_pid()")); // one server is pinned, the other in a transaction
  BOOST_TEST(c.silent_for(a_while));
  a.query("unlisten *", "C(UNLISTEN) Z(I)");
  c.expect("T D(" + server + ") C Z(I)");
  b.query("notify news, 'second'; commit", "C C(COMMIT) Z(I)");
  BOOST_TEST(a.silent_for(a_while));
  expect_clean(a);

  a.query("listen news", "C(LISTEN) Z(I)"); // a pinned client that leaves
  a.close();
  two_servers servers(pool);
  servers.on_each([&] { expect_clean(c); });
  b.query("notify news, 'third'", "C(NOTIFY) Z(I)");
  BOOST_TEST(c.silent_for(a_while));

  c.query("begin; listen news; rollback", "C C C Z(I)"); // a LISTEN that was rolled back, pinned or not
  b.query("notify news, 'fourth'", "C(NOTIFY) Z(I)");
  BOOST_TEST(c.silent_for(a_while));
}

BOOST_AUTO_TEST_CASE(B067_notifications_come_after_commit_only) {
  node pool("default_pool_size = 2\n");
  table("b067", "(n int unique deferrable initially deferred)");
  wire_client listener = pool.client(), a = pool.client();
  listener.query("listen news", "C Z(I)");
  a.query("begin", "C Z(T)");
  a.query("notify news, 'committed'", "C Z(T)");
  BOOST_TEST(listener.silent_for(a_while));
  a.query("commit", "C(COMMIT) Z(I)");
  listener.expect("A(news:committed)");
  a.query("begin; notify news, 'rolled back'; rollback", "C C C Z(I)");
  a.query("notify news, 'error'; select 1/0", "C T* E Z(I)");
  a.query("begin; notify news, 'constraint'; insert into b067 values (1), (1)", "C C C Z(T)");
  a.query("commit", "E(23505) Z(I)");
  BOOST_TEST(listener.silent_for(a_while));
  a.query("select pg_notify('news', 'last')", "T D C Z(I)");
  listener.expect("A(news:last)");
}

BOOST_AUTO_TEST_CASE(B068_session_locks_end_with_the_transaction) {
  postgres& server = postgres::shared();
  server.query("create or replace function hidden_lock() returns void language plpgsql as "
               "$$ begin execute 'select pg_adv' || 'isory_lock(2)'; end $$");
  const std::string locks = "select count(*) from pg_locks where locktype = 'advisory'";
  {
    node pool("default_pool_size = 2\n");
    wire_client a = pool.client(), b = pool.client();
    for (const char* lock : {"select pg_advisory_lock(1)", "select pg_try_advisory_lock_shared(1)",
                             "do $$ begin perform pg_advisory_lock(1); end $$"}) {
      a.send(query_bytes(lock));
      BOOST_TEST(summary(a.read_until_ready()).find("E(") == std::string::npos);
      BOOST_TEST(wait_for([&] { return server.query(locks) == "0"; }));
    }
    a.query("begin", "C Z(T)");
    a.query("select pg_advisory_lock(1)", "T D C Z(T)");
    b.query("select pg_try_advisory_lock(1)", "T D(f) C Z(I)");
    a.query("commit", "C Z(I)");
    BOOST_TEST(wait_for([&] { return server.query(locks) == "0"; }));
    b.query("begin", "C Z(T)");
    b.query("select pg_try_advisory_lock(1)", "T D(t) C Z(T)");
    b.query("rollback", "C Z(I)");
  }
  // A lock that no text shows is covered by server_reset_query_always.
  node careful("default_pool_size = 1\nserver_reset_query_always = true\n");
  wire_client a = careful.client();
  a.query("select hidden_lock()", "T D C Z(I)");
  BOOST_TEST(wait_for([&] { return server.query(locks) == "0"; }));
}

BOOST_AUTO_TEST_CASE(B069_show_clients_tells_that_a_begin_has_a_server) {
  node pool("default_pool_size = 1\nadmin_users = [\"postgres\"]\n");
  wire_client a = pool.client({{"application_name", "beginner"}}), b = pool.client({{"application_name", "waiter"}});
  pq console(pool.conninfo("postgres", "pgbouncer"));
  const auto state = [&](const std::string& name) {
    pq_result clients = console.exec("show clients");
    int state_column = PQfnumber(clients.raw(), "state"), name_column = PQfnumber(clients.raw(), "application_name");
    for (int row = 0; row < clients.rows(); ++row)
      if (clients.value(row, name_column) == name) return clients.value(row, state_column);
    return std::string("absent");
  };
  BOOST_TEST(state("beginner") == "idle");
  a.query("begin", "C Z(T)");
  BOOST_TEST(state("beginner") == "active");
  b.send(query_bytes("select 1"));
  BOOST_TEST(wait_for([&] { return state("waiter") == "waiting"; }));
  a.query("commit", "C Z(I)");
  b.expect("T D(1) C Z(I)");
  BOOST_TEST(wait_for([&] { return state("beginner") == "idle" && state("waiter") == "idle"; }));
}

BOOST_AUTO_TEST_CASE(B070_held_cursors_and_temporary_tables_never_reach_the_next_client) {
  postgres& server = postgres::shared();
  server.query("create or replace function hidden_table() returns void language plpgsql as "
               "$$ begin execute 'create te' || 'mp table hidden (n int)'; end $$");
  {
    node pool("default_pool_size = 1\n");
    wire_client a = pool.client(), b = pool.client();
    const char* const leavers[] = {"create temp table mine (n int)",
                                   "create temporary table mine as select 1",
                                   "select 1 as n into temp mine",
                                   "create table pg_temp.mine (n int)",
                                   "create temporary view mine as select 1",
                                   "create temp sequence mine",
                                   "declare mine cursor with hold for select 1",
                                   "begin; declare mine cursor with hold for select 1; commit",
                                   "begin; create temp table mine (n int); commit",
                                   "do $$ begin create temp table mine (n int); end $$"};
    for (const char* sql : leavers) {
      const std::string answer = a.ask(sql);
      BOOST_TEST(answer.find("E(") == std::string::npos, sql << ": " << answer);
      expect_clean(b);
      const std::string again = a.ask(sql); // nor does the client meet it again itself
      BOOST_TEST(again.find("E(") == std::string::npos, sql << ": " << again);
      expect_clean(b);
    }
    a.query("begin; create temp table mine (n int) on commit drop; insert into mine values (7)", "C C C Z(T)");
    a.query("select n from mine", "T D(7) C Z(T)"); // inside its transaction it works
    a.query("commit", "C Z(I)");
    expect_clean(b);
    a.send(parse_bytes("", "create temp table mine (n int)") + bind_bytes("", "") + execute_bytes() + sync_bytes());
    a.expect("1 2 C Z(I)");
    expect_clean(b);
  }
  node careful("default_pool_size = 1\nserver_reset_query_always = true\n");
  wire_client a = careful.client(), b = careful.client();
  a.query("select hidden_table()", "T D C Z(I)");
  expect_clean(b);
}

BOOST_AUTO_TEST_SUITE_END()
