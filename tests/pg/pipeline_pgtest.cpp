// Pipelines and portals in transaction mode: behaviours 94 to 96 and 99 to 105; bytes in any splitting, 189 to 191; and
// two rarer things drivers do, 198 and 199.
#include "tests/pg/both_ways.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>
#include <libpq/libpq-fs.h>

#include <arpa/inet.h>
#include <atomic>
#include <netinet/in.h>
#include <random>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace pg_edge::test;

namespace {

std::string pool_of(int size, const std::string& more = "") {
  return simple_toml("default_pool_size = " + std::to_string(size) + "\n" + more);
}

std::string answer(wire_client& client, const std::string& bytes, int readies = 1) {
  return summary(hold(client, {{bytes, readies}}));
}

/// Threads that each do the same with their number; what one throws is the test's failure.
void in_parallel(int count, const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  std::vector<std::string> failures(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      try {
        work(i);
      } catch (const std::exception& failure) {
        failures[static_cast<std::size_t>(i)] = failure.what();
      }
    });
  for (std::thread& one : threads)
    one.join();
  for (const std::string& failure : failures)
    BOOST_TEST(failure == "");
}

/// Stands before Postgres and delivers every chunk of bytes late, either way: a server far away.
class far_postgres {
public:
  explicit far_postgres(milliseconds delay) : delay_(delay), port_(free_port()) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address = local(port_);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener_, 16) != 0)
      throw test_failure("cannot listen");
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~far_postgres() {
    stopping_ = true;
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join(); // from here on nobody adds to the lists
    for (int fd : sockets_)
      shutdown(fd, SHUT_RDWR);
    for (std::thread& one : threads_)
      one.join();
    for (int fd : sockets_)
      ::close(fd);
    ::close(listener_);
  }
  std::uint16_t port() const { return port_; }

private:
  static sockaddr_in local(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void accept_all() {
    while (!stopping_) {
      int near = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (near < 0) return;
      int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in address = local(postgres::shared().port());
      if (connect(far, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) shutdown(near, SHUT_RDWR);
      sockets_.insert(sockets_.end(), {near, far});
      threads_.emplace_back([=, this] { pass(near, far); });
      threads_.emplace_back([=, this] { pass(far, near); });
    }
  }

  void pass(int from, int to) {
    std::string chunk(1 << 20, '\0');
    while (true) {
      ssize_t got = recv(from, chunk.data(), chunk.size(), 0);
      if (got <= 0) break;
      std::this_thread::sleep_for(delay_);
      for (ssize_t sent = 0; sent < got;) {
        ssize_t now = ::send(to, chunk.data() + sent, static_cast<std::size_t>(got - sent), MSG_NOSIGNAL);
        if (now <= 0) return;
        sent += now;
      }
    }
    shutdown(to, SHUT_WR);
  }

  milliseconds delay_;
  std::uint16_t port_;
  int listener_ = -1;
  std::atomic<bool> stopping_ = false;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

std::string unnamed(const std::string& sql, const bind_values& values = {}) {
  return parse_bytes("", sql) + bind_bytes("", "", values) + execute_bytes();
}

} // namespace

BOOST_AUTO_TEST_SUITE(pipeline_pgtest)

// -- many clients over few servers ---------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B094_200_clients_over_10_servers_prepare_once_and_run_twice) {
  pg_edge_process node(pool_of(10, "max_client_conn = 400\n"));
  backend_watcher watcher(postgres::shared(), "trust_user", "app");
  in_parallel(200, [&](int i) {
    pq client(node.conninfo());
    std::string number = std::to_string(i % 50);
    client.prepare("s", "select $1::int + " + number);
    for (int run = 0; run < 2; ++run)
      if (client.exec_prepared("s", {"1000"}).value() != std::to_string(1000 + i % 50))
        throw test_failure("another's answer");
  });
  BOOST_TEST(watcher.samples() > 0);
  BOOST_TEST(watcher.max() <= 10);
}

BOOST_AUTO_TEST_CASE(B094_random_pipelines_of_100_statements_over_a_cache_of_66) {
  pg_edge_process node(pool_of(2, "max_prepared_statements = 66\n"));
  in_parallel(4, [&](int thread) {
    std::mt19937 random(static_cast<unsigned>(94 + thread));
    wire_client client = client_of(node.port());
    std::vector<bool> prepared(150);
    for (int round = 0; round < 20; ++round) {
      std::string bytes, wanted;
      bool failed = false;
      auto expects = [&](const std::string& text) {
        if (!failed) wanted += text;
      };
      std::vector<bool> before = prepared;
      for (int i = 0; i < 100; ++i) {
        std::size_t which = random() % prepared.size();
        std::string name = "s" + std::to_string(which), value = std::to_string(which);
        if (!prepared[which]) {
          bytes += parse_bytes(name, "select " + value + ", $1::text");
          expects("1 ");
          if (!failed) prepared[which] = true;
        }
        bytes += bind_bytes("", name, {{std::to_string(thread)}}) + execute_bytes();
        expects("2 D(" + value + "," + std::to_string(thread) + ") C(SELECT 1) ");
        if (random() % 20 == 0 && prepared[which]) {
          bytes += close_bytes('S', name);
          expects("3 ");
          if (!failed) prepared[which] = false;
        }
        if (random() % 150 == 0 && !failed) {
          bytes += unnamed("select 1/0");
          expects("1 E(22012) "); // while it is planned, at Bind
          failed = true;
        }
        if (random() % 25 == 0) {
          bytes += sync_bytes();
          wanted += "Z(I) ";
          failed = false;
        }
      }
      bytes += sync_bytes();
      wanted += "Z(I) ";
      int readies = static_cast<int>(std::count(wanted.begin(), wanted.end(), 'Z'));
      std::string got = answer(client, bytes, readies) + " ";
      // While a batch has failed, what it would have prepared is not: the next use of such a name parses it again.
      if (got != wanted)
        throw test_failure("round " + std::to_string(round) + "\nwanted " + wanted + "\ngot    " + got);
    }
  });
}

// -- Flush and portals ---------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B095_parse_describe_flush_is_answered_without_a_sync) {
  pg_edge_process node(pool_of(1));
  conversation steps = {
      {parse_bytes("s", "select $1::int as n") + describe_bytes('S', "s") + flush_bytes(), 0, 3},
      {bind_bytes("", "s", {"1"}) + flush_bytes(), 0, 1},
      {execute_bytes() + flush_bytes(), 0, 2},
      {sync_bytes()},
      {describe_bytes('S', "s") + flush_bytes(), 0, 2},
      {run_batch("s", {"2"})},
      {parse_bytes("", "select 95") + flush_bytes(), 0, 1},
      {bind_bytes("", "") + describe_bytes('P', "") + execute_bytes() + close_bytes('P', "") + flush_bytes(), 0, 5},
      {sync_bytes()}};
  BOOST_TEST(
      same_both_ways(node, steps) ==
      "1 t T(n) 2 D(1) C(SELECT 1) Z(I) t T(n) 2 D(2) C(SELECT 1) Z(I) 1 2 T(?column?) D(95) C(SELECT 1) 3 Z(I)");
  // The same statement again, now that a server knows it and the answer to Parse is the pool's own.
  same_both_ways(node, steps);
}

BOOST_AUTO_TEST_CASE(B096_portals_with_a_row_limit) {
  pg_edge_process node(pool_of(1));
  std::string rows = parse_bytes("", "select * from generate_series(1, 5) n") + bind_bytes("p", "");
  BOOST_TEST(same_both_ways(node, {{rows + execute_bytes("p", 2) + execute_bytes("p", 2) + execute_bytes("p", 2) +
                                    sync_bytes()}}) == "1 2 D(1) D(2) s D(3) D(4) s D(5) C(SELECT 1) Z(I)");
  // With Flush, over several Syncs in a transaction, closed early, and gone after the transaction.
  BOOST_TEST(same_both_ways(node, {{rows + execute_bytes("p", 1) + flush_bytes(), 0, 4},
                                   {execute_bytes("p", 2) + flush_bytes(), 0, 3},
                                   {sync_bytes()},
                                   {query_bytes("begin")},
                                   {rows + execute_bytes("p", 2) + sync_bytes()},
                                   {execute_bytes("p", 2) + sync_bytes()},
                                   {bind_bytes("q", "") + execute_bytes("q", 1) + execute_bytes("p", 0) + sync_bytes()},
                                   {close_bytes('P', "q") + execute_bytes("q") + sync_bytes()},
                                   {query_bytes("rollback")},
                                   {execute_bytes("p") + sync_bytes()}}) ==
             "1 2 D(1) s D(2) D(3) s Z(I) C(BEGIN) Z(T) 1 2 D(1) D(2) s Z(T) D(3) D(4) s Z(T) "
             "2 D(1) s D(5) C(SELECT 1) Z(T) 3 E(34000) Z(E) C(ROLLBACK) Z(I) E(34000) Z(I)");
}

// -- pipelines -----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B099_B100_50_simple_queries_in_one_write_then_the_server_is_free) {
  pg_edge_process node(pool_of(1));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  std::string bytes, wanted;
  for (int i = 0; i < 50; ++i) {
    bytes += query_bytes("select " + std::to_string(i));
    wanted += std::string(i == 0 ? "" : " ") + "T(?column?) D(" + std::to_string(i) + ") C(SELECT 1) Z(I)";
  }
  BOOST_TEST(answer(a, bytes, 50) == wanted);
  BOOST_TEST(b.ask("select 'free'") == "T(?column?) D(free) C(SELECT 1) Z(I)");
  // Both at once, and each gets its own.
  a.send(bytes);
  b.send(bytes);
  BOOST_TEST(answer(b, "", 50) == wanted);
  BOOST_TEST(answer(a, "", 50) == wanted);
}

BOOST_AUTO_TEST_CASE(B101_a_server_is_not_given_away_between_syncs_of_one_client) {
  pg_edge_process node(pool_of(1));
  postgres::shared().query("drop table if exists between_syncs; create table between_syncs (who text)");
  postgres::shared().query("grant all on between_syncs to public");
  wire_client a = client_of(node.port()), b = client_of(node.port());
  // What stands behind the Sync is on its way to the server, and not committed; the other must wait for its Sync.
  a.send(unnamed("select 1") + sync_bytes() + unnamed("insert into between_syncs values ('a')") + flush_bytes());
  a.expect("1 2 D(1) C(SELECT 1) Z(I) 1 2 C(INSERT 0 1)");
  b.send(query_bytes("select count(*) from between_syncs"));
  BOOST_TEST(b.silent_for(milliseconds(300)));
  a.send(unnamed("select who from between_syncs") + sync_bytes());
  a.expect("1 2 D(a) C(SELECT 1) Z(I)");
  b.expect("T D(1) C(SELECT 1) Z(I)");
  postgres::shared().query("drop table between_syncs");

  // Under load: each of a pipeline's halves is one transaction on one server, whatever the others do.
  in_parallel(4, [&](int i) {
    wire_client client = client_of(node.port());
    std::string me = std::to_string(i), key = "pg_edge_test.who";
    for (int round = 0; round < 50; ++round) {
      std::string set = unnamed("select set_config('" + key + "', '" + me + "', true)");
      std::string get = unnamed("select current_setting('" + key + "')");
      std::string got = answer(client, set + get + sync_bytes() + set + get + sync_bytes(), 2);
      std::string half = "1 2 D(" + me + ") C(SELECT 1) 1 2 D(" + me + ") C(SELECT 1) Z(I)";
      if (got != half + " " + half) throw test_failure(got);
    }
  });
}

BOOST_AUTO_TEST_CASE(B102_named_and_unnamed_statements_in_one_pipeline) {
  pg_edge_process node(pool_of(1));
  conversation steps;
  std::string mixed;
  for (int i = 0; i < 10; ++i) {
    std::string name = "n" + std::to_string(i % 4), number = std::to_string(i);
    if (i < 4) mixed += parse_bytes(name, "select 'named', $1::int + " + number);
    mixed += bind_bytes("", name, {"100"}) + describe_bytes('P', "") + execute_bytes();
    mixed += unnamed("select 'unnamed', $1::int * 2", {number});
    mixed += bind_bytes("again", "", {"7"}) + execute_bytes("again") + close_bytes('P', "again");
    if (i % 3 == 0) mixed += sync_bytes();
    if (i % 3 == 1) mixed += flush_bytes();
  }
  steps.push_back({mixed + sync_bytes(), 5});
  steps.push_back({query_bytes("begin") + run_batch("n1", {"5"}) + unnamed("select 'in it'") + run_batch("n2", {"6"}) +
                       query_bytes("commit"),
                   4});
  same_both_ways(node, steps);
  same_both_ways(node, steps, 100);
}

BOOST_AUTO_TEST_CASE(B103_the_servers_distance_is_not_paid_for_every_statement) {
  far_postgres far(milliseconds(25));
  pg_edge_process node("[pg_edge]\nlisten_addr = \"127.0.0.1\"\nlisten_port = {port}\nauth_type = \"trust\"\n"
                       "pool_mode = \"transaction\"\ndefault_pool_size = 1\n"
                       "[databases.app]\nhost = \"127.0.0.1\"\nport = " +
                       std::to_string(far.port()) + "\n[users.trust_user]\n");
  wire_client a = client_of(node.port());
  a.ask("select 1");
  auto took = [&](const std::string& bytes, int readies) {
    auto start = std::chrono::steady_clock::now();
    hold(a, {{bytes, readies}});
    return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start).count();
  };
  std::string prepared, one_sync, many_syncs, simple;
  for (int i = 0; i < 50; ++i) {
    std::string number = std::to_string(i), name = "s" + number;
    prepared += parse_bytes(name, "select " + number) + bind_bytes("", name) + execute_bytes();
    one_sync += unnamed("select " + number);
    many_syncs += unnamed("select " + number) + sync_bytes();
    simple += query_bytes("select " + number);
  }
  // 50 round trips would take 2,500 ms.
  BOOST_TEST(took(prepared + sync_bytes(), 1) < 1000);
  BOOST_TEST(took(one_sync + sync_bytes(), 1) < 1000);
  BOOST_TEST(took(many_syncs, 50) < 1000);
  BOOST_TEST(took(simple, 50) < 1000);
}

BOOST_AUTO_TEST_CASE(B104_no_server_in_time_is_one_error_for_an_extended_sequence) {
  pg_edge_process node(pool_of(1, "query_wait_timeout = \"300ms\"\n"));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  a.query("begin", "C(BEGIN) Z(T)");
  b.send(whole_batch("s", "select 104") + run_batch("s"));
  std::vector<wire_message> messages;
  while (auto message = b.try_read_message(milliseconds(3000)))
    messages.push_back(*message);
  // As pgbouncer does, the client that waited too long is told once and dropped: no ReadyForQuery follows.
  BOOST_TEST(summary(messages) == "E(53300)");
  BOOST_TEST(b.closed_within(milliseconds(1000)));
  a.query("commit", "C(COMMIT) Z(I)");
  wire_client c = client_of(node.port());
  BOOST_TEST(answer(c, whole_batch("s", "select 104")) == "1 2 T(?column?) D(104) C(SELECT 1) Z(I)");
}

BOOST_AUTO_TEST_CASE(B105_flush_in_the_middle_sync_with_nothing_before_it_many_syncs) {
  pg_edge_process node(pool_of(1));
  std::string syncs;
  for (int i = 0; i < 100; ++i)
    syncs += sync_bytes();
  BOOST_TEST(same_both_ways(node, {{sync_bytes()},
                                   {flush_bytes() + sync_bytes()},
                                   {flush_bytes(), 0},
                                   {query_bytes("select 1")},
                                   {parse_bytes("", "select 2") + flush_bytes() + bind_bytes("", "") + flush_bytes() +
                                    flush_bytes() + execute_bytes() + flush_bytes() + sync_bytes()},
                                   {query_bytes("begin") + sync_bytes() + sync_bytes() + flush_bytes(), 3},
                                   {query_bytes("select 1/0") + sync_bytes() + query_bytes("rollback"), 3}}) ==
             "Z(I) Z(I) T(?column?) D(1) C(SELECT 1) Z(I) 1 2 D(2) C(SELECT 1) Z(I) C(BEGIN) Z(T) Z(T) Z(T) "
             "E(22012) Z(E) Z(E) C(ROLLBACK) Z(I)");
  same_both_ways(node, {{syncs, 100}, {query_bytes("select 1") + syncs + query_bytes("select 2"), 102}});
  same_both_ways(node, {{query_bytes("")}, {unnamed("") + sync_bytes()}, {query_bytes(";")}});
}

// -- robustness ----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B189_a_thousand_syntax_errors) {
  pg_edge_process node(pool_of(2));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  for (int i = 0; i < 1000; ++i) {
    wire_client& client = i % 2 == 0 ? a : b;
    std::string got = i % 3 == 0   ? client.ask("selec " + std::to_string(i))
                      : i % 3 == 1 ? answer(client, whole_batch("s", "selec 1"))
                                   : answer(client, unnamed("select 1 +") + sync_bytes());
    if (got != "E(42601) Z(I)") BOOST_TEST(got == "E(42601) Z(I)");
  }
  BOOST_TEST(a.ask("select 'well'") == "T(?column?) D(well) C(SELECT 1) Z(I)");
  BOOST_TEST(postgres::shared().backends("trust_user") <= 2);
}

BOOST_AUTO_TEST_CASE(B189_clients_that_vanish_at_random) {
  pg_edge_process node(pool_of(3));
  in_parallel(6, [&](int thread) {
    std::mt19937 random(static_cast<unsigned>(189 + thread));
    for (int i = 0; i < 30; ++i) {
      wire_client client = client_of(node.port());
      std::string bytes = query_bytes("begin") + whole_batch("s", "select pg_sleep(0.01)") +
                          unnamed("select generate_series(1, 1000)") + sync_bytes() + query_bytes("commit");
      client.send(std::string_view(bytes).substr(0, random() % bytes.size()));
      if (random() % 2 == 0) client.try_read_message(milliseconds(5));
      if (random() % 2 == 0) client.close_abruptly();
    }
  });
  wire_client last = client_of(node.port());
  BOOST_TEST(last.ask("select 'well'") == "T(?column?) D(well) C(SELECT 1) Z(I)");
  BOOST_TEST(wait_for([&] {
    return postgres::shared().query("select count(*) from pg_stat_activity where usename = 'trust_user' and "
                                    "state <> 'idle'") == "0";
  }));
}

namespace {

/// A bit of everything a client may say, with answers that are the same every time.
conversation everything() {
  return {{query_bytes("select 1, 'two'; select 3")},
          {whole_batch("s", "select $1::int, $2::text", {"1", std::nullopt})},
          {parse_bytes("", "select 2") + describe_bytes('S', "") + flush_bytes(), 0, 3},
          {bind_bytes("p", "") + execute_bytes("p", 1) + close_bytes('P', "p") + sync_bytes()},
          {query_bytes("copy (values (1, 'a'), (2, 'b')) to stdout")},
          {query_bytes("begin; create temp table split_copy (n int, t text)") +
               query_bytes("copy split_copy from stdin") + copy_data_bytes("1\tone\n2\t") + copy_data_bytes("two\n") +
               copy_done_bytes() + query_bytes("select n + 0, t || '' from split_copy") + query_bytes("rollback"),
           4},
          {run_batch("s", {"5", "five"}) + query_bytes("select 1/0") + run_batch("none") + close_bytes('S', "s") +
               sync_bytes(),
           4}};
}

} // namespace

BOOST_AUTO_TEST_CASE(B190_messages_split_at_every_byte) {
  pg_edge_process node(simple_toml("pool_mode = \"session\"\ndefault_pool_size = 3\n"));
  pg_edge_process pooled(pool_of(3));
  for (std::size_t piece : {1u, 2u, 3u, 5u, 7u, 64u}) {
    same_both_ways(node, everything(), piece);
    same_both_ways(pooled, everything(), piece);
  }
}

BOOST_AUTO_TEST_CASE(B190_one_cut_at_every_place) {
  pg_edge_process pooled(pool_of(2));
  wire_client direct = direct_client(), through = client_of(pooled.port());
  std::string bytes = whole_batch("cut", "select $1::text", {"x"}) + query_bytes("select 1") + unnamed("select 2") +
                      close_bytes('S', "cut") + sync_bytes();
  std::string wanted = answer(direct, bytes, 3);
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    through.send(std::string_view(bytes).substr(0, cut));
    std::this_thread::sleep_for(milliseconds(2));
    through.send(std::string_view(bytes).substr(cut));
    std::string got = answer(through, "", 3);
    if (got != wanted) BOOST_TEST(got == wanted, "cut at " << cut);
  }
}

BOOST_AUTO_TEST_CASE(B191_many_parameters_columns_rows_and_big_values) {
  pg_edge_process node(pool_of(2));
  auto sum_of = [](int count) {
    std::string sql = "select $1::int";
    for (int i = 2; i <= count; ++i)
      sql += (i % 1000 == 0 ? "\n+$" : "+$") + std::to_string(i);
    return sql;
  };
  // A flat list of parameters: a sum of so many would be too deep for Postgres.
  std::string list = "select count(*) from (values ($1::int)";
  for (int i = 2; i <= 65535; ++i)
    list += ",($" + std::to_string(i) + ")";
  std::string all = parse_bytes("many", list + ") v") + bind_bytes("", "many", bind_values(65535, "1")) +
                    execute_bytes() + sync_bytes();
  BOOST_TEST(same_both_ways(
                 node, {{all}, {bind_bytes("", "many", bind_values(65535, "2")) + execute_bytes() + sync_bytes()}}) ==
             "1 2 D(65535) C(SELECT 1) Z(I) 2 D(65535) C(SELECT 1) Z(I)");
  // One more cannot be written in a Bind; its text is the server's error.
  same_both_ways(node, {{parse_bytes("", "select $65536::int") + sync_bytes()},
                        {parse_bytes("", sum_of(100)) + bind_bytes("", "", bind_values(100, "1")) + execute_bytes() +
                         sync_bytes()},
                        {query_bytes("select n, repeat('x', n % 100) from generate_series(1, 100000) n")}});
  std::string columns = "select 1 as c1";
  for (int i = 2; i <= 1600; ++i)
    columns += ", " + std::to_string(i) + " as c" + std::to_string(i);
  same_both_ways(node, {{query_bytes(columns)}, {whole_batch("wide", columns)}, {run_batch("wide")}});
  std::string big(50 * 1024 * 1024, 'b');
  wire_client a = client_of(node.port());
  a.send(parse_bytes("", "select $1::text || '!'") + bind_bytes("", "", {big}) + execute_bytes() + sync_bytes());
  auto row = row_values(a.expect("1 2 D C(SELECT 1) Z(I)")[2]);
  BOOST_TEST((row[0] == big + "!"));
}

// -- two-phase commit and function calls ---------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B198_two_phase_commit_passes_through) {
  pg_edge_process node(pool_of(1));
  wire_client a = client_of(node.port()), b = client_of(node.port());
  BOOST_TEST(a.ask("begin; create table two_phase (n int); insert into two_phase values (198)") ==
             "C(BEGIN) C(CREATE TABLE) C(INSERT 0 1) Z(T)");
  BOOST_TEST(a.ask("prepare transaction 'pg_edge test'") == "C(PREPARE TRANSACTION) Z(I)");
  BOOST_TEST(b.ask("select n from two_phase") == "E(42P01) Z(I)");
  BOOST_TEST(b.ask("commit prepared 'pg_edge test'") == "C(COMMIT PREPARED) Z(I)");
  BOOST_TEST(a.ask("select n from two_phase") == "T(n) D(198) C(SELECT 1) Z(I)");
  BOOST_TEST(a.ask("begin; drop table two_phase; prepare transaction 'again'") ==
             "C(BEGIN) C(DROP TABLE) C(PREPARE TRANSACTION) Z(I)");
  BOOST_TEST(answer(b, whole_batch("", "rollback prepared 'again'")) == "1 2 n C(ROLLBACK PREPARED) Z(I)");
  BOOST_TEST(a.ask("drop table two_phase") == "C(DROP TABLE) Z(I)");
}

BOOST_AUTO_TEST_CASE(B199_large_objects_by_function_calls) {
  pg_edge_process node(pool_of(1));
  pq a(node.conninfo()), b(node.conninfo());
  a.exec("begin");
  Oid object = lo_creat(a.raw(), INV_READ | INV_WRITE);
  BOOST_TEST_REQUIRE(object != InvalidOid);
  std::string data;
  for (int i = 0; i < 100000; ++i)
    data += static_cast<char>(i % 251);
  int file = lo_open(a.raw(), object, INV_WRITE);
  BOOST_TEST(lo_write(a.raw(), file, data.data(), data.size()) == static_cast<int>(data.size()));
  BOOST_TEST(lo_close(a.raw(), file) == 0);
  a.exec("commit");
  b.exec("begin");
  file = lo_open(b.raw(), object, INV_READ);
  std::string read(data.size() + 10, '\0');
  int got = lo_read(b.raw(), file, read.data(), read.size());
  BOOST_TEST((read.substr(0, static_cast<std::size_t>(got)) == data));
  BOOST_TEST(lo_lseek(b.raw(), 77, file, 99) < 0); // an error of the function, within the transaction
  b.exec("rollback");
  BOOST_TEST(lo_unlink(a.raw(), object) == 1); // outside a transaction block
  BOOST_TEST(lo_unlink(b.raw(), object) < 0);
  BOOST_TEST(b.value("select 'well'") == "well");
}

BOOST_AUTO_TEST_SUITE_END()
