// What networks do between clients, pg_edge and Postgres (B174): whatever it is, at most the queries under way fail,
// they fail with the truth, everybody else goes on, and when it is over nothing is left of it.
//   PG_EDGE_LONG=1    every fault lasts five times as long
#include "tests/pg/edges_support.hpp"
#include "tests/support/crowd.hpp"
#include "tests/support/fault_proxy.hpp"
#include "tests/support/node_watch.hpp"

#include <cstdlib>
#include <functional>

using namespace pg_edge::test;

namespace {

constexpr int pool_size = 4;

milliseconds fault_time() {
  return milliseconds(std::getenv("PG_EDGE_LONG") != nullptr ? 3000 : 300);
}

/// Peers that vanish are noticed in seconds. All waits of pg_edge are short, so that the tests are.
const std::string short_waits = "tcp_keepidle = 1\ntcp_keepintvl = 1\ntcp_keepcnt = 2\ntcp_user_timeout = 2500\n"
                                "server_connect_timeout = 2\nserver_login_retry = \"200ms\"\n"
                                "cancel_wait_timeout = 2\nquery_wait_timeout = 20\nadmin_users = \"trust_user\"\n"
                                "log_connections = false\nlog_disconnections = false\n";

std::string sized(int size, const std::string& more = "") {
  return "default_pool_size = " + std::to_string(size) + "\n" + short_waits + more;
}

/// One thing that a network does for a while.
struct fault {
  const char* name;
  std::function<void(fault_proxy&)> begin;
  bool cuts;   // connections end
  bool silent; // answers may not come at all
};

/// `near`: the side of the proxy on which pg_edge is.
std::vector<fault> faults(side near) {
  return {
      {"delay", [](fault_proxy& p) { p.set(heading::both, {.delay = milliseconds(30)}); }, false, false},
      {"bandwidth", [](fault_proxy& p) { p.set(heading::both, {.bytes_per_second = 300'000}); }, false, false},
      {"single bytes", [](fault_proxy& p) { p.set(heading::both, {.in = pieces::single_bytes}); }, false, false},
      {"random pieces", [](fault_proxy& p) { p.set(heading::both, {.in = pieces::random_sizes}); }, false, false},
      {"merged", [](fault_proxy& p) { p.set(heading::both, {.in = pieces::merged}); }, false, false},
      {"cut", [near](fault_proxy& p) { p.end_all(ending::fin, near); }, true, false},
      {"reset", [near](fault_proxy& p) { p.end_all(ending::reset, near); }, true, false},
      {"cut after some bytes",
       [near](fault_proxy& p) { p.set(heading::to_origin, {.end_after = 777, .how = ending::fin, .whose = near}); },
       true, false},
      {"reset after some bytes",
       [near](fault_proxy& p) { p.set(heading::to_target, {.end_after = 333, .how = ending::reset, .whose = near}); },
       true, false},
      {"refused", [](fault_proxy& p) { p.refuse(true); }, false, false},
      {"refused and reset",
       [near](fault_proxy& p) {
         p.refuse(true);
         p.end_all(ending::reset, near);
       },
       true, false},
      {"stopped", [](fault_proxy& p) { p.set(heading::both, {.stopped = true}); }, false, true},
      {"vanished", [near](fault_proxy& p) { p.end_all(ending::vanish, near); }, true, true},
  };
}

void must_be_empty(const std::vector<std::string>& sentences) {
  for (std::size_t i = 0; i < sentences.size() && i < 5; ++i)
    BOOST_ERROR(sentences[i]);
}

/// A connection, not logged in, on which answers may take as long as peers take to be missed.
wire_client patient(const pg_edge_process& node) {
  wire_options how;
  how.timeout = milliseconds(30000);
  return wire_client(node.port(), how);
}

/// A [databases] table that goes by the proxy.
std::string through(const fault_proxy& proxy) {
  return "[databases.proxied]\nhost = \"127.0.0.1\"\nport = " + std::to_string(proxy.port()) + "\ndbname = \"app\"\n";
}

/// What the node held before anybody came, for comparing at the end.
struct held {
  int files;
  explicit held(const pg_edge_process& node) : files(warmed(node)) {}
  /// The first log-in makes what stays.
  static int warmed(const pg_edge_process& node) {
    log_in(node).ask("select 1");
    connection_actors(node);
    return descriptors(node.pid());
  }
  /// `servers`: most that may be pooled now.
  void check_returned(const pg_edge_process& node, int servers) const {
    BOOST_TEST(wait_for([&] { return connection_actors(node) <= servers; }, milliseconds(30000)),
               connection_actors(node) << " actors of connections are left");
    BOOST_TEST(wait_for([&] { return descriptors(node.pid()) <= files + servers; }, milliseconds(10000)),
               descriptors(node.pid()) << " descriptors, " << files << " before");
  }
};

/// Waits until the crowd has had so many right answers more.
bool flows(const crowd& who, long more = 50) {
  const long before = who.answers();
  return wait_for([&] { return who.answers() >= before + more; }, milliseconds(60000));
}

void check_crowd(const crowd& who) {
  must_be_empty(who.failures());
  BOOST_TEST(who.answers() > 0);
}

} // namespace

BOOST_AUTO_TEST_SUITE(faults_pgtest)

/// client -> proxy -> pg_edge. Clients behind the proxy lose connections; the others notice nothing.
BOOST_AUTO_TEST_CASE(B174_faults_between_clients_and_the_node_harm_only_those_clients) {
  for (const set_up& how : {every_set_up[2]}) {
    pg_edge_process node(set_up_toml(how, sized(2 * pool_size + 4)));
    const held before(node);
    fault_proxy proxy(node.port(), 1);
    ledger rows(postgres::shared(), "faults_clients");
    backend_watcher watcher(postgres::shared(), "trust_user", "app");
    {
      crowd there({.name = "there",
                   .port = proxy.port(),
                   .clients = pool_size,
                   .silence = milliseconds(3000),
                   .may_be_silent = true},
                  rows);
      crowd here({.name = "here", .port = node.port(), .clients = pool_size}, rows);
      for (const fault& one : faults(side::target)) {
        BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", " << one.name) {
          const long others = here.answers(), errors = there.error_count();
          one.begin(proxy);
          std::this_thread::sleep_for(fault_time());
          if (!one.cuts && !one.silent && std::string_view(one.name) != "refused")
            BOOST_TEST(there.error_count() == errors, joined(there.errors()));
          BOOST_TEST(wait_for([&] { return here.answers() > others; }));
          proxy.clear();
          BOOST_TEST(flows(there), joined(there.errors()));
        }
      }
      there.stop();
      here.stop();
      check_crowd(there);
      check_crowd(here);
      BOOST_TEST(here.error_count() == 0, joined(here.errors()));
    }
    must_be_empty(rows.disagreements());
    BOOST_TEST(watcher.samples() > 20);
    BOOST_TEST(watcher.max() <= 2 * pool_size + 4);
    before.check_returned(node, 2 * pool_size + 4);
    BOOST_TEST(node.running());
  }
}

/// pg_edge -> proxy -> Postgres. Clients of that pool lose what was under way, and are told the truth.
BOOST_AUTO_TEST_CASE(B174_faults_between_the_node_and_postgres_take_the_running_queries_at_most) {
  for (const set_up& how : {every_set_up[0], every_set_up[3]}) {
    fault_proxy proxy(postgres::shared().port(), 1);
    const std::string table = "[databases.proxied]\nhost = \"127.0.0.1\"\nport = " + std::to_string(proxy.port()) +
                              "\ndbname = \"app\"\nuser = \"replication_user\"\n";
    pg_edge_process node(set_up_toml(how, sized(pool_size), table));
    const held before(node);
    ledger rows(postgres::shared(), "faults_servers");
    backend_watcher others(postgres::shared(), "trust_user", "app");
    {
      // In session mode as many clients as servers, or some would only ever wait.
      const int clients = std::string_view(how.mode) == "session" ? pool_size : 3 * pool_size;
      crowd there({.name = "there", .port = node.port(), .database = "proxied", .clients = clients}, rows);
      crowd here({.name = "here", .port = node.port(), .clients = pool_size}, rows);
      for (const fault& one : faults(side::origin)) {
        BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", " << one.name) {
          const long steady = here.answers(), broken = there.broken_queries();
          const int connections = proxy.accepted();
          one.begin(proxy);
          std::this_thread::sleep_for(fault_time());
          BOOST_TEST(wait_for([&] { return here.answers() > steady; }));
          if (one.silent) std::this_thread::sleep_for(milliseconds(3000));
          proxy.clear();
          BOOST_TEST(flows(there), joined(there.errors()));
          // At most what ran on the connections that there were, each of which broke once.
          if (!one.cuts && !one.silent && std::string_view(one.name) != "refused")
            BOOST_TEST(there.broken_queries() == broken, joined(there.errors()));
          else
            BOOST_TEST(there.broken_queries() - broken <= pool_size + proxy.accepted() - connections,
                       joined(there.errors()));
        }
      }
      there.stop();
      here.stop();
      check_crowd(there);
      check_crowd(here);
      BOOST_TEST(here.error_count() == 0, joined(here.errors()));
      // Unknown outcomes are called so; what ended idle or never began has a code that says that.
      for (const auto& [state, count] : there.errors())
        BOOST_TEST((state == "08006" || state == "57P01" || state == "08001" || state == "lost"),
                   state << ", " << count << " times");
      BOOST_TEST_MESSAGE(there.answers() << " answers; errors: " << joined(there.errors()));
    }
    must_be_empty(rows.disagreements());
    BOOST_TEST(others.max() <= pool_size);
    // Backends whose connection vanished know nothing of it; the rest are the pool's.
    before.check_returned(node, 2 * pool_size);
    BOOST_TEST(node.running());
  }
}

/// Whatever pieces bytes come in, on both sides, everything works: no error at all.
BOOST_AUTO_TEST_CASE(B174_single_bytes_and_random_segments_on_both_sides_change_nothing) {
  struct row {
    const char* mode;
    pieces clients, servers;
  };
  for (const row& how : {row{"transaction", pieces::single_bytes, pieces::random_sizes},
                         row{"session", pieces::random_sizes, pieces::single_bytes},
                         row{"transaction", pieces::merged, pieces::single_bytes}}) {
    fault_proxy behind(postgres::shared().port(), 2);
    behind.set(heading::both, {.in = how.servers});
    const std::string table = through(behind) +
                              "[databases.tls]\nhost = \"127.0.0.1\"\nport = " + std::to_string(behind.port()) +
                              "\ndbname = \"app\"\nserver_tls_sslmode = \"require\"\nuser = \"replication_user\"\n";
    pg_edge_process node(set_up_toml({how.mode, 2},
                                     sized(pool_size, "server_tls_sslmode = \"disable\"\nclient_tls_sslmode = "
                                                      "\"allow\"\nclient_tls_cert_file = \"{cert}\"\n"
                                                      "client_tls_key_file = \"{key}\"\n"),
                                     table));
    fault_proxy before(node.port(), 3);
    before.set(heading::both, {.in = how.clients});
    ledger rows(postgres::shared(), "faults_pieces");
    {
      crowd plain({.name = "plain", .port = before.port(), .database = "proxied", .clients = 3, .large_rows = 200},
                  rows);
      crowd tls({.name = "tls", .port = before.port(), .database = "tls", .tls = true, .clients = 3, .large_rows = 200},
                rows);
      BOOST_TEST(wait_for([&] { return plain.answers() >= 60 && tls.answers() >= 60; }, milliseconds(120000)));
      plain.stop();
      tls.stop();
      check_crowd(plain);
      check_crowd(tls);
      BOOST_TEST(plain.error_count() + tls.error_count() == 0, joined(plain.errors())
                                                                   << "; with TLS " << joined(tls.errors()));
    }
    must_be_empty(rows.disagreements());
    BOOST_TEST(rows.size(ledger::fate::unknown) == 0U);
  }
}

/// However a client goes, what it ran is cancelled, and its permit serves the next.
BOOST_AUTO_TEST_CASE(B174_a_client_that_vanishes_in_a_query_has_it_cancelled) {
  for (const set_up& how : {every_set_up[0], every_set_up[3]}) {
    pg_edge_process node(set_up_toml(how, sized(1)));
    const held before(node);
    for (const ending end : {ending::fin, ending::reset, ending::vanish}) {
      for (const bool in_transaction : {false, true}) {
        BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", ending " << static_cast<int>(end)) {
          fault_proxy proxy(node.port());
          wire_client lost(proxy.port());
          lost.login("trust_user", "app");
          if (in_transaction) lost.query("begin", "C Z(T)");
          lost.send(query_bytes("select pg_sleep(600), 'vanishing'"));
          BOOST_TEST(waits_for_running("vanishing", 1));
          wire_client next = patient(node);
          proxy.end_all(end, side::target);
          BOOST_TEST(wait_for([] { return running_like("vanishing") == 0; }, milliseconds(30000)));
          next.login("trust_user", "app");
          BOOST_TEST(next.value("select 'served'") == "served");
        }
      }
    }
    before.check_returned(node, 1);
  }
}

/// Rows that nobody reads: the client's machine is gone while an answer is on its way to it.
BOOST_AUTO_TEST_CASE(B132_a_client_that_vanishes_while_it_is_answered_frees_its_server) {
  for (const int reactors : {1, 2}) {
    pg_edge_process node(set_up_toml({"transaction", reactors}, sized(1)));
    fault_proxy proxy(node.port());
    wire_client lost(proxy.port());
    lost.login("trust_user", "app");
    proxy.end_all(ending::vanish, side::target);
    // The question was asked just before, by a client that reads nothing.
    wire_options small;
    small.receive_buffer = 4096;
    fault_proxy narrow(node.port(), 1, 4096);
    wire_client reader(narrow.port(), small);
    reader.login("trust_user", "app");
    reader.send(query_bytes("select repeat('x', 100000) from generate_series(1, 100000), (select 'unread') s"));
    BOOST_TEST(waits_for_running("unread", 1));
    narrow.end_all(ending::vanish, side::target);
    wire_client next = patient(node);
    next.login("trust_user", "app");
    BOOST_TEST(next.value("select 'served'") == "served");
    BOOST_TEST(waits_for_running("unread", 0));
  }
}

/// A server that is gone without a word is found before a client's statement is lost to it.
BOOST_AUTO_TEST_CASE(B129_a_vanished_server_is_found_by_the_check_and_nothing_is_lost) {
  for (const set_up& how : {every_set_up[0], every_set_up[3]}) {
    fault_proxy proxy(postgres::shared().port());
    pg_edge_process node(set_up_toml(how,
                                     sized(1, "server_check_query = \"select 1\"\nserver_check_delay = 0\n"
                                              "server_tls_sslmode = \"disable\"\n"),
                                     through(proxy)));
    ledger rows(postgres::shared(), "faults_half_open");
    {
      wire_client client = patient(node);
      client.login("trust_user", "proxied");
      BOOST_TEST(client.value("select 1") == "1");
      client.send(terminate_bytes());
      BOOST_TEST(client.closed_within(milliseconds(5000)));
      proxy.end_all(ending::vanish, side::origin);
      wire_client next = patient(node);
      next.login("trust_user", "proxied");
      const std::int64_t id = rows.next();
      next.query("insert into faults_half_open values (" + std::to_string(id) + ")", "C(INSERT 0 1) Z(I)");
      rows.tell(id, ledger::fate::written);
    }
    must_be_empty(rows.disagreements());
  }
}

/// Without a check the statement meets the silence: it ends by the TCP user time-out, and its outcome is unknown.
BOOST_AUTO_TEST_CASE(B130_a_statement_sent_to_a_vanished_server_is_unknown_and_the_pool_recovers) {
  fault_proxy proxy(postgres::shared().port());
  pg_edge_process node(set_up_toml({"transaction", 1}, sized(1, "server_tls_sslmode = \"disable\"\n"), through(proxy)));
  wire_client client = patient(node);
  client.login("trust_user", "proxied");
  client.query("begin", "C Z(T)");
  proxy.end_all(ending::vanish, side::origin);
  client.query("select 1", "E(08006)");
  BOOST_TEST(client.closed_within(milliseconds(5000)));
  wire_client next = patient(node);
  next.login("trust_user", "proxied");
  BOOST_TEST(next.value("select 'served'") == "served");
}

/// An answer cut anywhere: whole messages and then the truth, or the connection's end. Never a row that Postgres did
/// not send.
BOOST_AUTO_TEST_CASE(B174_an_answer_cut_at_any_byte_never_becomes_another_answer) {
  fault_proxy proxy(postgres::shared().port());
  pg_edge_process node(set_up_toml(
      {"transaction", 1}, sized(1, "server_tls_sslmode = \"disable\"\nlog_pooler_errors = false\n"), through(proxy)));
  const std::string row = "D(" + std::string(40, 'x') + "," + std::string(150, 'y') + ")";
  const std::string sql = "select repeat('x', 40), repeat('y', 150)";
  int told = 0, ended = 0;
  for (std::size_t bytes = 1; bytes < 290; ++bytes) {
    wire_client client = patient(node);
    client.login("trust_user", "proxied");
    client.query(sql, "T " + row + " C Z(I)");
    proxy.set(proxy.connections().back(), heading::to_origin, {.end_after = bytes});
    client.send(query_bytes(sql));
    std::string seen;
    bool ready = false;
    while (auto message = client.try_read_message(milliseconds(30000))) {
      seen += summary(*message) + " ";
      ready = message->type == 'Z';
      if (ready) break;
    }
    const std::string whole = "T(repeat,repeat) " + row + " C(SELECT 1) Z(I) ";
    const std::string error = "E(08006) ";
    if (ready) { // the cut comes behind the answer
      BOOST_TEST(seen == whole);
      break;
    }
    const bool with_error = seen.size() >= error.size() && seen.substr(seen.size() - error.size()) == error;
    const std::string good = with_error ? seen.substr(0, seen.size() - error.size()) : seen;
    BOOST_TEST(whole.substr(0, good.size()) == good, bytes << " bytes: " << seen);
    (with_error ? told : ended) += 1;
  }
  BOOST_TEST(told > 20);
  BOOST_TEST(ended > 20);
}

BOOST_AUTO_TEST_SUITE_END()
