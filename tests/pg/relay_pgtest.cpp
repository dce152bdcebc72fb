// Clients whose pool lives on another node: behaviours 119, 163 and 165. Two nodes (tests/relay/relay_node.cpp),
// clients on the first, the pools on the second until a test moves them.
#include "tests/support/certificates.hpp"
#include "tests/support/fault_proxy.hpp"
#include "tests/support/folders.hpp"
#include "tests/support/node_watch.hpp"
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/pq.hpp"
#include "tests/support/wire_client.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

using namespace pg_edge::test;

namespace {

constexpr int pool_size = 4;

int count(const std::string& text, const std::string& what) {
  int result = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++result;
  return result;
}

/// The first node reaches the second by a proxy that can cut the link; links have mutual TLS.
class two_nodes {
public:
  explicit two_nodes(const std::string& settings = "") {
    const certificate_authority authority("relay_pgtest");
    const auto own = authority.issue("node");
    write_file(folder_ / "node.crt", own.certificate);
    write_file(folder_ / "node.key", own.key);
    write_file(folder_ / "ca.crt", authority.certificate());
    // What a killed node left running there.
    postgres::shared().query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'trust_user'");
    postgres::shared().wait_until_left();
    toml_ = simple_toml("reactors = 2\ndefault_pool_size = " + std::to_string(pool_size) +
                        "\nmax_client_conn = 500\nadmin_users = [\"trust_user\"]\n" +
                        (settings.empty() ? "query_wait_timeout = 20\n" : settings));
    pools_live_on(2);
    second_ = start(2);
    first_ = start(1);
  }

  ~two_nodes() {
    if (std::uncaught_exceptions() > 0) BOOST_TEST_MESSAGE(first_->log() << second_->log());
  }
  two_nodes(const two_nodes&) = delete;
  two_nodes& operator=(const two_nodes&) = delete;

  pg_edge_process& first() { return *first_; }
  pg_edge_process& second() { return *second_; }
  pq client(const std::string& more = "") { return pq(first_->conninfo() + " " + more); }
  void pools_live_on(int node) { write_file(folder_ / "home", std::to_string(node)); }
  void kill_second() {
    second_->signal(SIGKILL);
    second_->wait();
    await_loss();
  }
  /// Until the first node knows: what is sent before that is lost, and said to be.
  void await_loss() {
    BOOST_TEST(wait_for([&] {
      const std::string log = first_->log();
      return count(log, "event=link_lost") >= count(log, "event=link_up");
    }));
  }
  void second_again() { second_ = start(2); }
  fault_proxy& link() { return link_; }

private:
  std::unique_ptr<pg_edge_process> start(int number) {
    const std::string one = std::to_string(ports_[0]), two = std::to_string(ports_[1]);
    pg_edge_options options;
    options.arguments = {std::to_string(number),
                         number == 1 ? one : two,
                         folder_ / "home",
                         "tls=" + folder_.path(),
                         "1=" + one,
                         "2=" + (number == 1 ? std::to_string(link_.port()) : two)};
    ::setenv("PG_EDGE_BINARY", (std::string(build_folder) + "/tests/relay_node").c_str(), 1);
    auto made = std::make_unique<pg_edge_process>(toml_, options);
    ::unsetenv("PG_EDGE_BINARY");
    if (!made->wait_for_log("listener=links")) throw test_failure("no links: " + made->log());
    return made;
  }

  temp_dir folder_;
  std::uint16_t ports_[2] = {free_port(), free_port()};
  fault_proxy link_{ports_[1]};
  std::string toml_;
  std::unique_ptr<pg_edge_process> first_, second_;
};

int servers_of(pg_edge_process& node) {
  return pq(node.conninfo("trust_user", "pgbouncer")).exec("show servers").rows();
}

run_result pgbench(two_nodes& nodes, std::vector<std::string> options) {
  std::vector<std::string> argv{postgres::program("pgbench"),         "-h", "127.0.0.1",  "-p",
                                std::to_string(nodes.first().port()), "-U", "trust_user", "-n"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.emplace_back("app");
  return run(argv, milliseconds(180000));
}

void bench(const std::string& protocol) {
  two_nodes nodes;
  const std::string script = nodes.first().folder() + "/script.sql";
  write_file(script, "begin;\nselect 1;\nselect generate_series(1, 50);\nend;\nselect pg_sleep(0);\n");
  // pgbench prepares with a blocking call: a text that no server has seen yet would wait for its own other clients.
  BOOST_TEST(pgbench(nodes, {"-M", protocol, "-c", "1", "-t", "1", "-f", script}).status == 0);
  backend_watcher watcher(postgres::shared(), "trust_user");
  const run_result result = pgbench(nodes, {"-M", protocol, "-c", "20", "-j", "2", "-t", "50", "-f", script});
  BOOST_TEST(result.status == 0, result.out << result.err);
  BOOST_TEST(result.out.find("1000/1000") != std::string::npos, result.out);
  BOOST_TEST(watcher.max() <= pool_size);
  BOOST_TEST(watcher.samples() > 0);
}

} // namespace

BOOST_AUTO_TEST_SUITE(relay_pgtest)

BOOST_AUTO_TEST_CASE(B163_a_pool_exists_once_and_is_served_through_any_node) {
  two_nodes nodes;
  pq there = nodes.client(), here(nodes.second().conninfo());
  BOOST_TEST(there.value("select 1 + 1") == "2");
  BOOST_TEST(here.value("select 2 + 2") == "4");
  BOOST_TEST(there.parameter("server_version") == here.parameter("server_version"));
  BOOST_TEST(servers_of(nodes.first()) == 0);
  BOOST_TEST(servers_of(nodes.second()) >= 1);
  BOOST_CHECK_THROW(there.exec("select no_such_column"), pq_error);
  BOOST_TEST(there.value("select 3") == "3");
}

BOOST_AUTO_TEST_CASE(a_login_by_password_reaches_servers_that_want_the_same_proof) {
  two_nodes nodes("auth_type = \"scram-sha-256\"\nquery_wait_timeout = 20\n");
  pq client(nodes.first().conninfo("scram_user"));
  BOOST_TEST(client.value("select current_user") == "scram_user");
  const pq wrong = pq::attempt(nodes.first().conninfo("scram_user") + " password=wrong");
  BOOST_TEST(!wrong.ok());
  BOOST_TEST(wrong.message().find("password authentication failed") != std::string::npos, wrong.message());
}

BOOST_AUTO_TEST_CASE(pgbench_simple) {
  bench("simple");
}
BOOST_AUTO_TEST_CASE(pgbench_extended) {
  bench("extended");
}
BOOST_AUTO_TEST_CASE(pgbench_prepared) {
  bench("prepared");
}

BOOST_AUTO_TEST_CASE(copy_both_ways_and_a_pipeline) {
  two_nodes nodes;
  pq client = nodes.client();
  std::string rows;
  for (int n = 0; n < 100'000; ++n)
    rows += std::to_string(n) + "\trow " + std::to_string(n) + "\n";
  client.exec("begin");
  client.exec("create temporary table copied (n int, t text)");
  BOOST_TEST(client.copy_in("copy copied from stdin", rows).tag() == "COPY 100000");
  BOOST_TEST((client.copy_out("copy copied to stdout") == rows));
  client.exec("rollback");

  client.enter_pipeline();
  for (int i = 0; i < 200; ++i)
    client.send_params("select $1::int", {std::to_string(i)});
  client.sync();
  for (int i = 0; i < 200; ++i) {
    BOOST_TEST(client.next_result().value() == std::to_string(i));
    BOOST_TEST(!client.next_result());
  }
}

BOOST_AUTO_TEST_CASE(a_hundred_megabytes_cost_no_memory_even_if_the_client_is_slow) {
  two_nodes nodes;
  wire_client slow(nodes.first().port());
  slow.login("trust_user", "app");
  BOOST_TEST(slow.value("select 1") == "1");
  const long first = resident_kilobytes(nodes.first().pid()), second = resident_kilobytes(nodes.second().pid());
  slow.send(query_bytes("select repeat('x', 1000000) from generate_series(1, 100)"));
  std::this_thread::sleep_for(milliseconds(500)); // it does not read: everything on the way fills up
  pq other = nodes.client();
  BOOST_TEST(other.value("select 'not held up'") == "not held up");
  long most_first = 0, most_second = 0;
  std::size_t rows = 0;
  for (wire_message message = slow.read_message(); message.type != 'Z'; message = slow.read_message()) {
    rows += message.type == 'D' ? 1 : 0;
    most_first = std::max(most_first, resident_kilobytes(nodes.first().pid()));
    most_second = std::max(most_second, resident_kilobytes(nodes.second().pid()));
  }
  BOOST_TEST(rows == 100U);
  BOOST_TEST(most_first - first < 16 * 1024);
  BOOST_TEST(most_second - second < 16 * 1024);
}

BOOST_AUTO_TEST_CASE(B119_a_cancel_that_reaches_any_node_finds_its_query) {
  two_nodes nodes;
  for (pg_edge_process* by : {&nodes.first(), &nodes.second()}) {
    wire_client client(nodes.first().port());
    client.login("trust_user", "app");
    client.send(query_bytes("select pg_sleep(60)"));
    BOOST_TEST(wait_for([] {
      return postgres::shared().query("select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and "
                                      "state = 'active' and pid <> pg_backend_pid()") == "1";
    }));
    const auto begin = std::chrono::steady_clock::now();
    BOOST_TEST(send_cancel(by->port(), client.backend_pid(), client.secret()));
    wire_message answer = client.read_message(milliseconds(20000));
    while (answer.type == 'T')
      answer = client.read_message(milliseconds(20000));
    BOOST_TEST(answer.type == 'E');
    BOOST_TEST((std::chrono::steady_clock::now() - begin < std::chrono::seconds(20)));
    while (client.read_message().type != 'Z') {
    }
    BOOST_TEST(client.value("select 'goes on'") == "goes on");
  }
}

BOOST_AUTO_TEST_CASE(B165_the_node_of_the_pool_dies_idle_clients_move_and_a_running_query_is_told_honestly) {
  two_nodes nodes;
  pq idle = nodes.client(), running = nodes.client(), open = nodes.client();
  idle.exec("set time zone 'Asia/Tokyo'");
  idle.prepare("kept", "select $1::int * 2");
  BOOST_TEST(idle.exec_prepared("kept", {"21"}).value() == "42");
  open.exec("begin");
  running.send_query("select pg_sleep(60)");
  BOOST_TEST(wait_for([&] { return postgres::shared().backends("trust_user") >= 2; }));
  nodes.kill_second();
  const pq_result lost = running.next_result(milliseconds(20000));
  BOOST_TEST(lost.sqlstate() == "08006", lost.message());
  BOOST_TEST(lost.message().find("unknown") != std::string::npos, lost.message());
  BOOST_TEST(!open.try_exec("select 1").ok());
  nodes.pools_live_on(1);
  // The same connection, with what its session had set and prepared.
  BOOST_TEST(idle.value("show time zone") == "Asia/Tokyo");
  BOOST_TEST(idle.exec_prepared("kept", {"4"}).value() == "8");
  BOOST_TEST(idle.value("select 'still here'") == "still here");
  pq fresh = nodes.client();
  BOOST_TEST(fresh.value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(a_client_waits_while_the_node_of_its_pool_is_away) {
  two_nodes nodes;
  pq idle = nodes.client();
  BOOST_TEST(idle.value("select 1") == "1");
  nodes.kill_second();
  idle.send_query("select 'served in the end'");
  std::this_thread::sleep_for(milliseconds(500));
  nodes.second_again();
  const auto results = idle.results(milliseconds(30000));
  BOOST_REQUIRE(results.size() == 1U);
  BOOST_TEST(results[0].value() == "served in the end");
}

BOOST_AUTO_TEST_CASE(who_waits_too_long_for_the_node_is_told_why) {
  two_nodes nodes("query_wait_timeout = 2\n");
  pq idle = nodes.client();
  nodes.kill_second();
  idle.send_query("select 1");
  const pq_result result = idle.next_result();
  BOOST_TEST(result.sqlstate() == "57P03", result.message());
  BOOST_TEST(result.field(PG_DIAG_MESSAGE_HINT).find("node 2") != std::string::npos, result.message());
}

BOOST_AUTO_TEST_CASE(what_the_session_is_goes_with_it) {
  two_nodes nodes;
  pq client = nodes.client();
  client.prepare("", "select 'the one without a name'");
  BOOST_TEST(!client.try_prepare("wrong", "select from nowhere at all").ok());
  client.prepare("wrong", "select 'right now'");
  client.exec("deallocate all");
  client.prepare("wrong", "select 'right at last'");
  client.prepare("", "select 'without a name'");
  nodes.pools_live_on(1);
  nodes.kill_second();
  BOOST_TEST(client.exec_prepared("wrong").value() == "right at last");
  BOOST_TEST(client.exec_prepared("").value() == "without a name");
}

BOOST_AUTO_TEST_CASE(in_session_mode_the_session_is_its_servers) {
  two_nodes nodes("pool_mode = \"session\"\nquery_wait_timeout = 20\n");
  pq used = nodes.client(), unused = nodes.client();
  used.exec("create temporary table mine as select 42 as n");
  BOOST_TEST(used.value("select n from mine") == "42");
  nodes.pools_live_on(1);
  nodes.kill_second();
  const pq_result lost = used.try_exec("select n from mine");
  BOOST_TEST(!lost.ok());
  BOOST_TEST(!used.ok());
  BOOST_TEST(unused.value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(who_listens_is_told_that_it_does_no_more) {
  two_nodes nodes;
  pq client = nodes.client();
  client.exec("listen news");
  nodes.pools_live_on(1);
  nodes.kill_second();
  BOOST_TEST(wait_for([&] { return PQconsumeInput(client.raw()) == 0 || !client.ok(); }));
}

BOOST_AUTO_TEST_CASE(a_link_that_is_cut_costs_only_what_ran_on_it) {
  two_nodes nodes;
  for (const ending how : {ending::fin, ending::reset, ending::vanish}) {
    pq idle = nodes.client(), running = nodes.client();
    BOOST_TEST(idle.value("select 1") == "1");
    running.send_query("select pg_sleep(60)");
    BOOST_TEST(wait_for([] {
      return postgres::shared().query("select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'") ==
             "1";
    }));
    nodes.link().end_all(how, side::origin);
    BOOST_TEST(running.next_result(milliseconds(20000)).sqlstate() == "08006");
    nodes.await_loss();
    BOOST_TEST(idle.value("select 'here'") == "here");
    // Its statement is cancelled on the other node, where its client is gone.
    BOOST_TEST(wait_for(
        [] {
          return postgres::shared().query(
                     "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'") == "0";
        },
        milliseconds(20000)));
  }
}

BOOST_AUTO_TEST_CASE(a_node_that_stops_hands_its_sessions_over_without_an_error) {
  two_nodes nodes;
  const std::string script = nodes.first().folder() + "/script.sql";
  write_file(script, "begin;\nselect 1;\nselect 2;\nend;\n");
  run_result result;
  BOOST_TEST(pgbench(nodes, {"-M", "prepared", "-c", "1", "-t", "1", "-f", script}).status == 0);
  std::thread load([&] {
    result = pgbench(nodes, {"-M", "prepared", "-c", "10", "-j", "2", "-T", "6", "-f", script});
  });
  pq idle = nodes.client();
  idle.exec("set time zone 'Asia/Tokyo'");
  std::this_thread::sleep_for(milliseconds(1500));
  nodes.pools_live_on(1);
  nodes.second().signal(SIGTERM);
  const auto ended = nodes.second().wait(milliseconds(20000)); // it waits for clients: they have gone elsewhere
  load.join();
  BOOST_TEST(ended.has_value());
  BOOST_TEST(result.status == 0, result.out << result.err);
  BOOST_TEST(result.err.find("rror") == std::string::npos, result.err);
  BOOST_TEST(idle.value("show time zone") == "Asia/Tokyo");
}

BOOST_AUTO_TEST_CASE(a_node_that_stops_tells_its_own_relayed_clients) {
  two_nodes nodes;
  pq idle = nodes.client(), open = nodes.client();
  open.exec("begin");
  nodes.first().signal(SIGINT);
  BOOST_TEST(wait_for([&] { return PQconsumeInput(idle.raw()) == 0 || !idle.ok(); }));
  BOOST_TEST(open.value("select 1") == "1");
  open.try_exec("commit");
  BOOST_TEST(nodes.first().wait(milliseconds(20000)).has_value());
}

BOOST_AUTO_TEST_CASE(a_client_that_vanishes_leaves_nothing_running) {
  two_nodes nodes;
  {
    wire_client client(nodes.first().port());
    client.login("trust_user", "app");
    client.send(query_bytes("select pg_sleep(50)"));
    BOOST_TEST(wait_for([] {
      return postgres::shared().query("select count(*) from pg_stat_activity where query = 'select pg_sleep(50)'") ==
             "1";
    }));
    client.close_abruptly();
  }
  BOOST_TEST(wait_for([] {
    return postgres::shared().query("select count(*) from pg_stat_activity where query = 'select pg_sleep(50)'") == "0";
  }));
}

BOOST_AUTO_TEST_CASE(clients_that_leave_give_their_servers_back) {
  two_nodes nodes;
  for (int i = 0; i < 3 * pool_size; ++i) {
    pq client = nodes.client();
    client.exec("begin");
    client.exec("select 1"); // and it goes, in the midst of a transaction
  }
  pq client = nodes.client();
  BOOST_TEST(client.value("select 1") == "1");
  BOOST_TEST(wait_for(
      [&] { return pq(nodes.second().conninfo("trust_user", "pgbouncer")).exec("show clients").rows() <= 2; }));
}

BOOST_AUTO_TEST_SUITE_END()
