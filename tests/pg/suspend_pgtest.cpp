// SUSPEND: nothing is read from clients until RESUME, what was on its way arrives, and who takes nothing is cut off.
#include "tests/pg/edges_support.hpp"

#include <chrono>
#include <csignal>
#include <string>
#include <vector>

using namespace pg_edge::test;

namespace {

const std::string settings = "admin_users = \"trust_user\"\ndefault_pool_size = 4\n";

struct suspended_node {
  explicit suspended_node(const std::string& more = {}) : node(simple_toml("reactors = 2\n" + settings + more)) {
    for (int i = 0; i < 6; ++i)
      clients.emplace_back(node.conninfo());
  }

  std::string state(const std::string& key) { return console.exec("SHOW STATE").cell("key", key, "value"); }
  std::string refused(const std::string& command) {
    const pq_result result = console.try_exec(command);
    return result.ok() ? "it was done" : result.field(PG_DIAG_MESSAGE_PRIMARY);
  }
  void ask_all() {
    for (std::size_t i = 0; i < clients.size(); ++i)
      clients[i].send_query("select " + std::to_string(i));
  }
  bool all_wait() {
    for (pq& one : clients)
      if (PQconsumeInput(one.raw()) != 1 || PQisBusy(one.raw()) == 0) return false;
    return true;
  }
  void check_all() {
    for (std::size_t i = 0; i < clients.size(); ++i)
      BOOST_TEST(clients[i].results().at(0).value() == std::to_string(i));
  }

  pg_edge_process node;
  pq console{node.conninfo("trust_user", "pgbouncer")};
  std::vector<pq> clients;
};

/// Has a big answer coming and takes none of it: when this is made, pg_edge keeps bytes that it could not send.
struct deaf_client {
  explicit deaf_client(suspended_node& all) : wire(all.node.port()) {
    wire.login("trust_user", "app").send(query_bytes("select repeat('x', 50000000)"));
    BOOST_TEST(wait_for([&] {
      const pq_result sockets = all.console.exec("SHOW SOCKETS");
      for (int row = 0; row < sockets.rows(); ++row)
        if (sockets.value(row, PQfnumber(sockets.raw(), "send_avail")) != "0") return true;
      return false;
    }));
  }
  wire_client wire;
};

} // namespace

BOOST_AUTO_TEST_SUITE(suspend_pgtest)

BOOST_AUTO_TEST_CASE(B146_nothing_is_read_until_resume) {
  suspended_node all;
  pq in_transaction(all.node.conninfo());
  in_transaction.exec("begin");
  BOOST_TEST(all.refused("SUSPEND") == "it was done");
  BOOST_TEST((all.state("suspended") == "yes" && all.state("active") == "no" && all.state("paused") == "no"));
  all.ask_all();
  in_transaction.send_query("select 'still mine'");
  // Who comes now gets in, and waits like everyone.
  pq late(all.node.conninfo());
  late.send_query("select 'late'");
  for (int i = 0; i < 50; ++i)
    all.console.exec("SHOW POOLS");
  BOOST_TEST(all.all_wait());
  BOOST_TEST((PQconsumeInput(late.raw()) == 1 && PQisBusy(late.raw()) == 1));
  BOOST_TEST((PQconsumeInput(in_transaction.raw()) == 1 && PQisBusy(in_transaction.raw()) == 1));
  BOOST_TEST(all.refused("RESUME") == "it was done");
  BOOST_TEST((all.state("suspended") == "no" && all.state("active") == "yes"));
  all.check_all();
  BOOST_TEST(in_transaction.results().at(0).value() == "still mine");
  BOOST_TEST(late.results().at(0).value() == "late");
  in_transaction.exec("commit");
}

BOOST_AUTO_TEST_CASE(B146_suspend_and_pause_exclude_each_other) {
  suspended_node all;
  all.console.exec("SUSPEND");
  for (const char* command : {"SUSPEND", "PAUSE", "PAUSE app", "KILL"})
    BOOST_TEST(all.refused(command) == "already suspended/paused", command);
  all.ask_all();
  all.node.signal(SIGUSR2);
  all.check_all();
  BOOST_TEST(all.refused("RESUME") == "pooler is not paused/suspended");
  all.console.exec("PAUSE");
  BOOST_TEST(all.refused("SUSPEND") == "already suspended/paused");
  all.console.exec("RESUME");
  all.ask_all();
  all.check_all();
}

BOOST_AUTO_TEST_CASE(B146_suspend_waits_for_bytes_on_their_way_and_then_cuts_them_off) {
  suspended_node all("suspend_timeout = 1\n");
  deaf_client deaf(all);
  const auto began = std::chrono::steady_clock::now();
  all.console.exec("SUSPEND");
  BOOST_TEST((std::chrono::steady_clock::now() - began >= milliseconds(1000)));
  BOOST_TEST(all.console.exec("SHOW CLIENTS").rows() == 7); // without the deaf one, with the console
  all.ask_all();
  BOOST_TEST(all.all_wait());
  all.console.exec("RESUME");
  all.check_all();
}

BOOST_AUTO_TEST_CASE(B146_a_pending_suspend_ends_with_resume_and_with_a_cancel) {
  suspended_node all("suspend_timeout = 600\n");
  deaf_client deaf(all);
  pq second(all.node.conninfo("trust_user", "pgbouncer"));
  const auto suspended = [&] { return second.exec("SHOW STATE").cell("key", "suspended", "value"); };
  all.console.send_query("SUSPEND");
  BOOST_TEST(wait_for([&] { return suspended() == "yes"; }));
  second.exec("RESUME");
  BOOST_TEST(all.console.results().at(0).sqlstate() == "57014");
  all.console.send_query("SUSPEND");
  BOOST_TEST(wait_for([&] { return suspended() == "yes"; }));
  all.console.cancel();
  BOOST_TEST(all.console.results().at(0).sqlstate() == "57014");
  BOOST_TEST(suspended() == "no");
  all.ask_all();
  all.check_all();
  BOOST_TEST(deaf.wire.read_until_ready().at(1).size() > 50000000U);
}

BOOST_AUTO_TEST_CASE(a_takeover_and_a_shutdown_end_it) {
  suspended_node all("takeover_socket = \"{dir}/takeover.sock\"\n");
  all.console.exec("SUSPEND");
  all.ask_all();
  all.node.take_over();
  all.check_all();
  all.ask_all();
  all.check_all();
  pq console(all.node.conninfo("trust_user", "pgbouncer"));
  console.exec("SUSPEND");
  all.ask_all();
  all.node.signal(SIGINT); // answered first: at the end of transactions
  for (pq& one : all.clients)
    one.results();
  BOOST_TEST(all.node.wait().value_or(-1) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
