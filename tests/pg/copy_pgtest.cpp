// COPY in transaction mode: behaviours 106 to 111.
#include "tests/pg/both_ways.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

#include <random>
#include <thread>

using namespace pg_edge::test;

namespace {

std::string pool_of(int size, const std::string& more = "") {
  return simple_toml("default_pool_size = " + std::to_string(size) + "\n" + more);
}

/// A table for one test, empty, dropped at its end.
struct copied_table {
  copied_table() {
    postgres::shared().query("drop table if exists copied; create table copied (n int primary key, t text)");
    postgres::shared().query("grant all on copied to public");
  }
  ~copied_table() {
    try {
      postgres::shared().query("drop table if exists copied");
    } catch (const test_failure&) {
      // The next test drops it first.
    }
  }
  std::string rows() const { return postgres::shared().query("select count(*) from copied"); }
};

std::string line(int n) {
  return std::to_string(n) + "\trow " + std::to_string(n) + "\n";
}

std::string lines(int first, int last) {
  std::string text;
  for (int n = first; n <= last; ++n)
    text += line(n);
  return text;
}

std::string unnamed(const std::string& sql) {
  return parse_bytes("", sql) + bind_bytes("", "") + execute_bytes();
}

const std::string copy_in = "copy copied from stdin";
const std::string copy_out = "copy (select n, t from copied order by n) to stdout";
const std::string empty_it = query_bytes("truncate copied");

} // namespace

BOOST_AUTO_TEST_SUITE(copy_pgtest)

BOOST_AUTO_TEST_CASE(B106_in_and_out_simple_extended_and_prepared) {
  copied_table copied;
  pg_edge_process node(pool_of(1));
  // Drivers send no Sync behind Execute of COPY ... FROM until CopyDone; libpq sends one at once, which is ignored.
  conversation steps = {
      {empty_it},
      {query_bytes(copy_in), 0, 1},
      {copy_data_bytes(line(1)) + copy_data_bytes(line(2)) + copy_done_bytes()},
      {query_bytes(copy_out)},
      {unnamed(copy_in) + flush_bytes(), 0, 3},
      {copy_data_bytes(lines(3, 4)) + copy_done_bytes() + sync_bytes()},
      {unnamed(copy_in) + sync_bytes(), 0, 3},
      {copy_data_bytes(lines(5, 6)) + copy_done_bytes() + sync_bytes()},
      {unnamed(copy_out) + sync_bytes()},
      {parse_bytes("in", copy_in) + parse_bytes("out", copy_out) + sync_bytes()},
      {bind_bytes("", "in") + execute_bytes() + flush_bytes(), 0, 2},
      {copy_data_bytes(lines(7, 8)) + copy_done_bytes() + bind_bytes("", "out") + execute_bytes() + sync_bytes()},
      {query_bytes("copy copied from stdin binary"), 0, 1},
      {copy_data_bytes(std::string("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\377\377", 21)) + copy_done_bytes()},
      {query_bytes("copy copied to stdout binary")}};
  std::string heard = same_both_ways(node, steps);
  BOOST_TEST(heard.find("C(COPY 8)") != std::string::npos);
  BOOST_TEST(copied.rows() == "8");
}

BOOST_AUTO_TEST_CASE(B106_by_libpq) {
  copied_table copied;
  pg_edge_process node(pool_of(1));
  pq client(node.conninfo()), other(node.conninfo());
  BOOST_TEST(client.copy_in(copy_in, lines(1, 1000), 777).tag() == "COPY 1000");
  BOOST_TEST((other.copy_out(copy_out) == lines(1, 1000)));
  BOOST_TEST(other.copy_in(copy_in, line(1), 1).sqlstate() == "23505");
  BOOST_TEST(client.value("select count(*) from copied") == "1000");
}

BOOST_AUTO_TEST_CASE(B107_in_that_fails_before_copydone_swallows_what_is_late) {
  copied_table copied;
  pg_edge_process node(pool_of(1));
  wire_client b = client_of(node.port());
  std::string bad = copy_data_bytes("not a number\tx\n"), late = copy_data_bytes(line(1));
  // Simple: the server answers and is ready; what the client sends then until it knows is swallowed.
  same_both_ways(node, {{empty_it},
                        {query_bytes(copy_in), 0, 1},
                        {bad},
                        {late + late + copy_done_bytes() + query_bytes("select 'after'")},
                        {query_bytes(copy_in), 0, 1},
                        {bad},
                        {copy_fail_bytes("changed my mind") + query_bytes("select 'after'")}});
  // Extended: skipped up to Sync, and in a transaction.
  same_both_ways(node, {{unnamed(copy_in) + flush_bytes(), 0, 3},
                        {bad, 0, 1},
                        {late + copy_done_bytes() + sync_bytes()},
                        {query_bytes("begin")},
                        {unnamed(copy_in) + flush_bytes(), 0, 3},
                        {bad, 0, 1},
                        {late + late + copy_done_bytes() + sync_bytes()},
                        {query_bytes("select 1")},
                        {query_bytes("rollback")},
                        {query_bytes("begin") + query_bytes(copy_in), 1, 0},
                        {"", 0, 1},
                        {bad},
                        {late + copy_done_bytes() + query_bytes("rollback")}});
  BOOST_TEST(b.ask("select 'free'") == "T(?column?) D(free) C(SELECT 1) Z(I)");
  BOOST_TEST(copied.rows() == "0");
}

BOOST_AUTO_TEST_CASE(B107_late_data_does_not_reach_who_gets_the_server_next) {
  copied_table copied;
  pg_edge_process node(pool_of(1));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  for (int i = 0; i < 20; ++i) {
    a.send(query_bytes(copy_in));
    a.expect("G");
    a.send(copy_data_bytes("not a number\tx\n"));
    a.expect("E(22P02) Z(I)");
    // The server is free, and the other uses it while the rest of the first one's data arrive.
    b.send(query_bytes("begin"));
    b.expect("C(BEGIN) Z(T)");
    a.send(copy_data_bytes(line(i)) + copy_done_bytes());
    BOOST_TEST(b.ask("select 'mine'") == "T(?column?) D(mine) C(SELECT 1) Z(T)");
    b.query("commit", "C(COMMIT) Z(I)");
    BOOST_TEST(a.ask("select 'also mine'") == "T(?column?) D(also mine) C(SELECT 1) Z(I)");
  }
}

BOOST_AUTO_TEST_CASE(B108_failing_after_copydone_copyfail_and_amid_other_things) {
  copied_table copied;
  pg_edge_process node(pool_of(1));
  std::string data = copy_data_bytes(line(1));
  same_both_ways(node, {{empty_it},
                        // Fails only when the end is known: a row without its end.
                        {query_bytes(copy_in), 0, 1},
                        {data + copy_data_bytes("2") + copy_done_bytes()},
                        // The client gives up.
                        {query_bytes(copy_in), 0, 1},
                        {data + copy_fail_bytes("gave up")},
                        {unnamed(copy_in) + flush_bytes(), 0, 3},
                        {data + copy_fail_bytes("gave up again") + sync_bytes()},
                        // Within a transaction.
                        {query_bytes("begin")},
                        {query_bytes(copy_in), 0, 1},
                        {data + copy_done_bytes()},
                        {query_bytes("select count(*) from copied")},
                        {query_bytes(copy_in), 0, 1},
                        {data + copy_done_bytes()}, // the key is there already
                        {query_bytes("select 1")},
                        {query_bytes("rollback")},
                        // Amid a query of several statements.
                        {query_bytes("select 1; copy copied from stdin; copy copied to stdout; select 2"), 0, 4},
                        {data + copy_done_bytes()},
                        {query_bytes("begin; copy copied from stdin; commit"), 0, 2},
                        {copy_fail_bytes("no")},
                        {query_bytes("rollback")},
                        // Everything in one write, before the server has asked for data.
                        {query_bytes("delete from copied; copy copied from stdin") + data + copy_done_bytes() +
                             query_bytes("select count(*) from copied"),
                         2},
                        {unnamed(copy_in) + copy_data_bytes(line(2)) + copy_done_bytes() + sync_bytes() +
                             query_bytes("table copied"),
                         2},
                        {empty_it}});
}

BOOST_AUTO_TEST_CASE(B108_messages_that_do_not_belong_into_a_copy) {
  copied_table copied;
  pg_edge_process node(pool_of(1));
  // Outside COPY they are ignored; inside it, a query ends it with the server's own error.
  same_both_ways(node, {{empty_it},
                        {copy_data_bytes("x") + copy_done_bytes() + copy_fail_bytes("y") + query_bytes("select 1")},
                        {query_bytes(copy_in), 0, 1},
                        {flush_bytes() + sync_bytes() + copy_data_bytes(line(1)) + sync_bytes() + copy_done_bytes()},
                        {query_bytes("table copied")}});
  wire_client b = client_of(node.port());
  BOOST_TEST(b.ask("select 'well'") == "T(?column?) D(well) C(SELECT 1) Z(I)");
}

BOOST_AUTO_TEST_CASE(B109_many_rows_in_chunks_that_split_messages_anywhere) {
  copied_table copied;
  pg_edge_process node(pool_of(1));
  std::mt19937 random(109);
  std::string bytes = query_bytes(copy_in);
  constexpr int rows = 50000;
  // Rows cut over messages, messages cut over writes.
  std::string text = lines(1, rows);
  for (std::size_t at = 0; at < text.size();) {
    std::size_t size = 1 + random() % 2000;
    bytes += copy_data_bytes(std::string_view(text).substr(at, size));
    at += size;
  }
  bytes += copy_done_bytes();
  wire_client a = client_of(node.port());
  for (std::size_t at = 0; at < bytes.size();) {
    std::size_t size = 1 + random() % 5000;
    a.send(std::string_view(bytes).substr(at, size));
    at += size;
  }
  a.expect("G C(COPY 50000) Z(I)");
  a.send(query_bytes(copy_out));
  std::string out;
  for (const wire_message& message : a.expect("H d* c C(COPY 50000) Z(I)"))
    if (message.type == 'd') out += message.body;
  BOOST_TEST((out == text));
  // A thousand rows byte by byte.
  postgres::shared().query("truncate copied");
  a.send_in_pieces(query_bytes(copy_in) + copy_data_bytes(lines(1, 1000)) + copy_done_bytes(), 1);
  a.expect("G C(COPY 1000) Z(I)");
}

BOOST_AUTO_TEST_CASE(B110_after_an_error_of_copy_the_same_server_serves_on) {
  copied_table copied;
  pg_edge_process node(pool_of(2));
  wire_client a = client_of(node.port());
  std::string pid = a.value("select pg_backend_pid()");
  a.send(query_bytes(copy_in));
  a.expect("G");
  a.send(copy_data_bytes("bad\n"));
  a.expect("E Z(I)");
  BOOST_TEST(a.value("select pg_backend_pid()") == pid);
  a.send(query_bytes(copy_in));
  a.expect("G");
  a.send(copy_fail_bytes("no"));
  a.expect("E(57014) Z(I)");
  BOOST_TEST(a.value("select pg_backend_pid()") == pid);
  BOOST_TEST(a.ask("copy (select 1 / (n - 2) from generate_series(1, 3) n) to stdout") == "H d E(22012) Z(I)");
  BOOST_TEST(a.value("select pg_backend_pid()") == pid);
  BOOST_TEST(postgres::shared().backends("trust_user") == 1);
}

BOOST_AUTO_TEST_CASE(B110_a_client_that_vanishes_in_copy_leaves_no_server_behind) {
  copied_table copied;
  pg_edge_process node(pool_of(1));
  for (bool in : {true, false})
    for (bool abruptly : {true, false}) {
      {
        wire_client a = client_of(node.port());
        if (in) {
          a.send(query_bytes(copy_in));
          a.expect("G");
          a.send(copy_data_bytes(line(1)));
        } else {
          a.send(query_bytes("copy (select generate_series(1, 100000000)) to stdout"));
          a.expect("H d");
        }
        if (abruptly) a.close_abruptly();
      }
      wire_client b = client_of(node.port());
      BOOST_TEST(b.ask("select count(*) from copied") == "T(count) D(0) C(SELECT 1) Z(I)");
      BOOST_TEST(postgres::shared().backends("trust_user") <= 2);
    }
}

BOOST_AUTO_TEST_CASE(B111_copies_of_many_clients_end_in_time_with_a_small_pool) {
  copied_table copied;
  pg_edge_process node(pool_of(2));
  constexpr int clients = 12, rows = 3000;
  std::vector<std::string> failures(clients);
  std::vector<std::thread> threads;
  for (int i = 0; i < clients; ++i)
    threads.emplace_back([&, i] {
      try {
        pq client(node.conninfo());
        int first = i * rows + 1;
        std::string tag = client.copy_in(copy_in, lines(first, first + rows - 1), 1000).tag();
        std::string mine = "copy (select n, t from copied where n between " + std::to_string(first) + " and " +
                           std::to_string(first + rows - 1) + " order by n) to stdout";
        if (tag != "COPY 3000" || client.copy_out(mine) != lines(first, first + rows - 1))
          throw test_failure("not its own: " + tag);
      } catch (const std::exception& failure) {
        failures[static_cast<std::size_t>(i)] = failure.what();
      }
    });
  for (std::thread& one : threads)
    one.join();
  for (const std::string& failure : failures)
    BOOST_TEST(failure == "");
  BOOST_TEST(copied.rows() == std::to_string(clients * rows));
  BOOST_TEST(postgres::shared().backends("trust_user") <= 2);
}

BOOST_AUTO_TEST_SUITE_END()
