// A new process takes over from the running one: no client notices, permits are never doubled, and whatever dies on the
// way leaves every client with exactly one process. PG_EDGE_PRINT=1 prints figures.
#include "tests/pg/takeover_support.hpp"

#include <cstdlib>
#include <iostream>
#include <signal.h>
#include <sys/stat.h>

using namespace pg_edge::test;

namespace {

/// pgbench in a thread of its own.
class bench {
public:
  bench(const pg_edge_process& node, const std::string& protocol, int clients, int seconds, bool tls = false)
      : thread_([=, this, port = node.port()] {
          process_options how;
          how.environment = {std::string("PGSSLMODE=") + (tls ? "require" : "disable")};
          result_ = run({postgres::program("pgbench"), "-h", "127.0.0.1", "-p", std::to_string(port), "-U",
                         "trust_user", "-M", protocol, "-c", std::to_string(clients), "-j", "2", "-T",
                         std::to_string(seconds), "-n", "-S", "app"},
                        milliseconds(120'000), how);
        }) {}
  ~bench() {
    if (thread_.joinable()) thread_.join();
  }
  /// No transaction failed and no client was lost.
  void expect_no_loss() {
    thread_.join();
    BOOST_TEST(result_.status == 0, result_.out << result_.err);
    BOOST_TEST(result_.err.find("error") == std::string::npos, result_.err);
    BOOST_TEST(result_.err.find("aborted") == std::string::npos, result_.err);
    const auto label = result_.out.find("number of failed transactions: ");
    BOOST_TEST((label == std::string::npos || result_.out.substr(label + 31, 2) == "0 "), result_.out);
    if (std::getenv("PG_EDGE_PRINT") != nullptr) std::cout << result_.out;
  }

private:
  run_result result_;
  std::thread thread_;
};

void initialise() {
  static const bool done = [] {
    const run_result result = run({postgres::program("pgbench"), "-h", postgres::shared().socket_dir(), "-p",
                                   std::to_string(postgres::shared().port()), "-U", "trust_user", "-i", "-q", "app"},
                                  milliseconds(120'000));
    BOOST_TEST(result.status == 0, result.err);
    return true;
  }();
  static_cast<void>(done);
}

void sleep_for(int ms) {
  std::this_thread::sleep_for(milliseconds(ms));
}

/// As the process sees it that listens now.
int clients_of(const pg_edge_process& node, const std::string& database) {
  pq console(node.conninfo("trust_user", "pgbouncer"));
  const pq_result clients = console.exec("show clients");
  int count = 0;
  for (int row = 0; row < clients.rows(); ++row)
    for (int column = 0; column < clients.columns(); ++column)
      if (clients.column_name(column) == "database" && clients.value(row, column) == database) ++count;
  return count;
}

void under_load(const std::string& protocol, int takeovers) {
  initialise();
  takeover_node node;
  surviving_watcher watcher(postgres::shared(), "trust_user");
  bench load(node, protocol, 20, 2 + 3 * takeovers);
  sleep_for(500);
  for (int i = 0; i < takeovers; ++i) {
    node.take_over();
    node.former_ends();
    sleep_for(200);
  }
  load.expect_no_loss();
  BOOST_TEST(watcher.max() <= permits_of_pool);
  BOOST_TEST(watcher.samples() > 20);
  BOOST_TEST(node.running());
}

} // namespace

BOOST_AUTO_TEST_SUITE(takeover_pgtest)

// -- under load
// ----------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B160_five_takeovers_in_a_row_under_simple_queries) {
  under_load("simple", 5);
}

BOOST_AUTO_TEST_CASE(B160_takeovers_under_extended_queries) {
  under_load("extended", 2);
}

BOOST_AUTO_TEST_CASE(B160_takeovers_under_prepared_statements) {
  under_load("prepared", 2);
}

BOOST_AUTO_TEST_CASE(over_TLS_the_old_process_serves_until_its_clients_leave) {
  initialise();
  takeover_node node("client_tls_sslmode = \"allow\"\nclient_tls_cert_file = \"{cert}\"\n"
                     "client_tls_key_file = \"{key}\"\ndefault_pool_size = 4\n");
  surviving_watcher watcher(postgres::shared(), "trust_user");
  bench secret(node, "simple", 6, 6, true);
  bench plain(node, "simple", 6, 6);
  sleep_for(500);
  node.take_over();
  sleep_for(2000);
  BOOST_TEST(node.former().running()); // six of its clients cannot move
  pq fresh(node.conninfo());           // and who comes now is served beside them
  BOOST_TEST(fresh.value("select 'served'") == "served");
  secret.expect_no_loss();
  plain.expect_no_loss();
  node.former_ends();
  BOOST_TEST(watcher.max() <= 4);
}

namespace {

std::string changing_settings(int round) {
  return "client_tls_sslmode = \"allow\"\nclient_tls_cert_file = \"{cert}\"\nclient_tls_key_file = \"{key}\"\n"
         "default_pool_size = 4\nadmin_users = \"postgres\"\nquery_timeout = " +
         std::to_string(100 + round) + "\n";
}

void rotate_certificate(const pg_edge_process& node, int round) {
  const auto leaf = certificate_authority("authority " + std::to_string(round)).issue("localhost");
  write_file(node.folder() + "/server.crt", leaf.certificate);
  write_file(node.folder() + "/server.key", leaf.key);
}

} // namespace

/// What an operator does in a year, in seconds: of the plain clients and of those over TLS nobody loses anything.
BOOST_AUTO_TEST_CASE(B160_a_hundred_reloads_new_certificates_and_a_takeover_under_plain_and_TLS_load) {
  constexpr int reloads = 100;
  initialise();
  takeover_node node(changing_settings(0));
  surviving_watcher watcher(postgres::shared(), "trust_user");
  bench plain(node, "simple", 10, 20);
  bench secret(node, "simple", 4, 20, true);
  sleep_for(500);
  for (int round = 1; round <= reloads; ++round) {
    node.rewrite_config(takeover_toml(changing_settings(round)));
    if (round % 25 == 0) rotate_certificate(node, round);
    if (round == reloads / 2) node.take_over(); // the clients over TLS stay with the process they have
    pq console(node.conninfo("postgres", "pgbouncer"));
    console.exec("RELOAD");
    BOOST_TEST(console.exec("SHOW CONFIG").cell("key", "query_timeout", "value") == std::to_string(100 + round));
  }
  plain.expect_no_loss();
  secret.expect_no_loss();
  node.former_ends();
  BOOST_TEST(watcher.max() <= 4);
}

// -- what moves
// ----------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(idle_clients_keep_their_sessions) {
  takeover_node node;
  std::vector<pq> clients;
  for (int i = 0; i < 40; ++i) {
    clients.emplace_back(node.conninfo() + " application_name=client_" + std::to_string(i));
    pq& one = clients.back();
    one.exec("set DateStyle to 'German'");
    one.exec("set search_path to 'place_" + std::to_string(i) + "'"); // Postgres does not report this one before 18
    one.exec("reset search_path");
    one.prepare("mine", "select " + std::to_string(i) + ", $1::int");
    one.exec("prepare by_sql(int) as select $1 + " + std::to_string(i));
  }
  for (int round = 0; round < 3; ++round) {
    node.take_over();
    BOOST_TEST_REQUIRE(node.former_ends());
    for (int i = 0; i < 40; ++i) {
      pq& one = clients[static_cast<std::size_t>(i)];
      BOOST_TEST(one.value("show DateStyle").find("German") == 0u);
      BOOST_TEST(one.value("show application_name") == "client_" + std::to_string(i));
      BOOST_TEST(one.exec_prepared("mine", {"7"}).value() == std::to_string(i));
      BOOST_TEST(one.value("execute by_sql(100)") == std::to_string(100 + i));
    }
  }
  pq& one = clients.front(); // what was said at login is still known: RESET goes back to it
  one.exec("set application_name to 'another'");
  one.exec("reset application_name");
  BOOST_TEST(one.value("show application_name") == "client_0");
  one.exec("deallocate by_sql");
  BOOST_TEST(one.try_exec("execute by_sql(1)").sqlstate() == "26000");
}

BOOST_AUTO_TEST_CASE(the_unnamed_statement_moves_too) {
  takeover_node node;
  wire_client client(node.port());
  client.login("trust_user", "app");
  client.send(parse_bytes("", "select 'kept'") + sync_bytes());
  client.expect("1 Z(I)");
  node.take_over();
  BOOST_TEST_REQUIRE(node.former_ends());
  client.send(bind_bytes("", "") + execute_bytes("") + sync_bytes());
  client.expect("2 D(kept) C Z(I)");
}

BOOST_AUTO_TEST_CASE(a_client_in_a_transaction_follows_at_its_end) {
  takeover_node node;
  pq busy(node.conninfo());
  busy.exec("begin");
  const std::string backend = busy.value("select pg_backend_pid()");
  node.take_over();
  sleep_for(500);
  BOOST_TEST(node.former().running());
  BOOST_TEST(busy.value("select pg_backend_pid()") == backend);
  busy.exec("commit");
  BOOST_TEST(node.former_ends());
  BOOST_TEST(busy.value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(a_session_stays_with_its_server_until_it_ends) {
  takeover_node node("pool_mode = \"session\"\ndefault_pool_size = 2\n");
  surviving_watcher watcher(postgres::shared(), "trust_user");
  auto held = std::make_unique<pq>(node.conninfo());
  held->exec("create temporary table mine(n int)");
  pq unused(node.conninfo());
  node.take_over();
  sleep_for(500);
  held->exec("insert into mine values (1)"); // the same server
  BOOST_TEST(node.former().running());
  BOOST_TEST(unused.value("select 2") == "2"); // it had none yet, and has moved: the other permit is there for it
  held.reset();
  BOOST_TEST(node.former_ends());
  BOOST_TEST(watcher.max() <= 2);
}

BOOST_AUTO_TEST_CASE(takeover_timeout_ends_who_stays) {
  takeover_node node("pool_mode = \"session\"\ntakeover_timeout = 1\n");
  wire_client held(node.port());
  held.login("trust_user", "app");
  held.query("select 1", "T D(1) C Z(I)");
  node.take_over();
  held.expect("E(57P01)");
  BOOST_TEST(held.closed_within(milliseconds(5'000)));
  BOOST_TEST(node.former_ends());
}

BOOST_AUTO_TEST_CASE(new_clients_are_never_refused) {
  takeover_node node;
  std::atomic<bool> stop = false;
  std::atomic<int> logins = 0, refused = 0;
  std::string why;
  std::thread comes([&] {
    while (!stop) {
      const pq one = pq::attempt(node.conninfo());
      ++logins;
      if (one.ok()) continue;
      ++refused;
      why = one.message();
    }
  });
  for (int i = 0; i < 3; ++i) {
    sleep_for(200);
    node.take_over();
    BOOST_TEST(node.former_ends());
  }
  stop = true;
  comes.join();
  BOOST_TEST(refused == 0, why);
  BOOST_TEST(logins > 10);
}

BOOST_AUTO_TEST_CASE(a_pool_of_one_serves_both_processes_in_turn) {
  takeover_node node("client_tls_sslmode = \"allow\"\nclient_tls_cert_file = \"{cert}\"\n"
                     "client_tls_key_file = \"{key}\"\ndefault_pool_size = 1\n");
  surviving_watcher watcher(postgres::shared(), "trust_user");
  pq stays(node.conninfo() + " sslmode=require"), moves(node.conninfo());
  stays.exec("select 1");
  node.take_over();
  for (int i = 0; i < 5; ++i) {
    BOOST_TEST(moves.value("select 'new'") == "new");
    BOOST_TEST(stays.value("select 'old'") == "old");
  }
  BOOST_TEST(node.former().running());
  BOOST_TEST(watcher.max() <= 1);
}

// -- cancel requests
// -----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(cancel_keys_stay_valid_on_both_sides) {
  takeover_node node("client_tls_sslmode = \"allow\"\nclient_tls_cert_file = \"{cert}\"\n"
                     "client_tls_key_file = \"{key}\"\ndefault_pool_size = 4\n");
  pq moves(node.conninfo()), stays(node.conninfo() + " sslmode=require");
  moves.exec("select 1");
  node.take_over();
  BOOST_TEST(wait_for([&] { return node.former_log().find("event=handover_begun") != std::string::npos; }));
  sleep_for(500);
  for (pq* one : {&stays, &moves}) { // its key came from the old process, and so does the new one's connection
    one->send_query("select pg_sleep(20)");
    sleep_for(300);
    one->cancel();
    const auto results = one->results();
    BOOST_TEST_REQUIRE(!results.empty());
    BOOST_TEST(results.back().sqlstate() == "57014");
  }
}

// -- what goes wrong
// -----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B161_a_broken_configuration_leaves_the_old_process_serving) {
  takeover_node node;
  pq client(node.conninfo());
  const std::string good = read_file(node.config_file());
  const std::vector<std::string> broken{
      "[pg_edge]\nlisten_prot = 1\n", // unknown
      good + "\n[users.x]\npassword = 7\n",
      takeover_toml("client_tls_sslmode = \"require\"\nclient_tls_cert_file = \"/nonexistent\"\n"
                    "client_tls_key_file = \"/nonexistent\"\n"),
      takeover_toml("unix_socket_dir = \"/nonexistent\"\n"),
      takeover_toml("", "[listeners.elsewhere]\nlisten_addr = \"203.0.113.1\"\nlisten_port = {port}\n")};
  for (const std::string& text : broken) {
    node.rewrite_config(text);
    const run_result result = run({pg_edge_process::binary(), "--config", node.config_file(), "--takeover"});
    BOOST_TEST(result.status == 1, result.err);
    BOOST_TEST(!result.err.empty());
    BOOST_TEST(client.value("select 1") == "1");
    BOOST_TEST(pq(node.conninfo()).value("select 2") == "2"); // and it accepts
    BOOST_TEST(pq(node.conninfo() + " host=/tmp").value("select 3") == "3");
  }
  node.rewrite_config(takeover_toml());
  node.take_over();
  BOOST_TEST(node.former_ends());
  BOOST_TEST(client.value("select 3") == "3");
}

BOOST_AUTO_TEST_CASE(another_version_is_refused_in_plain_words) {
  takeover_node node;
  const std::string path = node.folder() + "/takeover.sock";
  struct stat file {};
  BOOST_TEST_REQUIRE(wait_for([&] { return ::stat(path.c_str(), &file) == 0; })); // it comes behind the others
  BOOST_TEST((file.st_mode & 0777) == 0600u);
  {
    stranger other(path);
    other.say(hello_bytes(99));
    const std::string answer = other.hear();
    BOOST_TEST(answer.find("takes over by version 99") != std::string::npos, answer);
  }
  BOOST_TEST(node.wait_for_log("takes over by version 99"));
  {
    stranger other(path);
    other.say("GET / HTTP/1.0\r\n\r\n");
    other.hear();
  }
  {
    stranger other(path); // it says hello, and goes before it serves
    other.say(hello_bytes(1));
    BOOST_TEST(other.hear().find("takeover.sock") != std::string::npos);
  }
  BOOST_TEST(pq(node.conninfo()).value("select 1") == "1");
  node.take_over();
  BOOST_TEST(node.former_ends());
}

BOOST_AUTO_TEST_CASE(a_second_takeover_waits_for_the_first) {
  takeover_node node;
  pq busy(node.conninfo());
  busy.exec("begin");
  node.take_over();
  const run_result result = run({pg_edge_process::binary(), "--config", node.config_file(), "--takeover"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(result.err.find("the takeover before this one is not over") != std::string::npos, result.err);
  busy.exec("commit");
  BOOST_TEST(node.former_ends());
  node.take_over();
  BOOST_TEST(node.former_ends());
  BOOST_TEST(busy.value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(nobody_to_take_over_from) {
  takeover_node node;
  BOOST_TEST(node.stop() == 0);
  const run_result result = run({pg_edge_process::binary(), "--config", node.config_file(), "--takeover"});
  BOOST_TEST(result.status == 1);
  BOOST_TEST(result.err.find("takeover.sock") != std::string::npos, result.err);
}

// -- deaths
// --------------------------------------------------------------------------------------------------------------------

/// Between two words: it has said that it serves, and no more.
BOOST_AUTO_TEST_CASE(a_new_process_that_dies_with_its_first_word_is_no_obstacle_to_the_next) {
  takeover_node node;
  pq client(node.conninfo());
  {
    process stands_for_it({"sleep", "300"}, {});
    stranger other(node.folder() + "/takeover.sock");
    other.say(hello_bytes(1, stands_for_it.pid()));
    BOOST_TEST_REQUIRE(other.hear_frame('E').has_value());
    other.say(frame_bytes('s'));
    BOOST_TEST(node.wait_for_log("event=handover_begun"));
    stands_for_it.kill_tree();
  }
  BOOST_TEST(node.wait_for_log("dead=true"), node.log());
  BOOST_TEST(client.value("select 1") == "1");
  node.take_over();
  BOOST_TEST(node.former_ends());
  BOOST_TEST(client.value("select 2") == "2");
}

BOOST_AUTO_TEST_CASE(the_new_process_dies_and_the_old_one_goes_on) {
  takeover_node node("admin_users = \"trust_user\"\ndefault_pool_size = " + std::to_string(permits_of_pool) + "\n");
  surviving_watcher watcher(postgres::shared(), "trust_user");
  pq busy(node.conninfo()), idle(node.conninfo());
  idle.exec("select 1");
  busy.exec("begin");
  node.take_over();
  BOOST_TEST(wait_for([&] { return clients_of(node, "app") == 1; })); // on a busy machine it takes its time to move
  BOOST_TEST(idle.value("select 'moved'") == "moved");
  node.signal(SIGKILL);
  BOOST_TEST(node.wait().has_value());
  BOOST_TEST(busy.value("select 'still here'") == "still here");
  busy.exec("commit");
  BOOST_TEST(busy.value("select 'and again'") == "and again");
  BOOST_TEST(!idle.try_exec("select 1").ok()); // it had moved, so it went with the new process
  BOOST_TEST(wait_for([&] { return pq::attempt(node.conninfo()).ok(); })); // the old one listens again
  std::vector<pq> crowd;
  for (int i = 0; i < permits_of_pool; ++i) { // with all of its permits
    crowd.emplace_back(node.conninfo());
    crowd.back().exec("begin");
    BOOST_TEST(crowd.back().value("select 1") == "1");
  }
  BOOST_TEST(watcher.max() <= permits_of_pool);
  crowd.clear();
  BOOST_TEST(node.former().running());
  node.former().signal(SIGINT);
  BOOST_TEST(node.former().wait(milliseconds(15'000)).value_or(-1) == 0);
}

BOOST_AUTO_TEST_CASE(the_old_process_is_killed_and_the_new_one_gets_its_permits) {
  takeover_node node;
  surviving_watcher watcher(postgres::shared(), "trust_user");
  pq idle(node.conninfo());
  idle.exec("select 1");
  std::vector<pq> busy;
  for (int i = 0; i < permits_of_pool; ++i) {
    busy.emplace_back(node.conninfo());
    busy.back().exec("begin");
  }
  busy.front().send_query("select pg_sleep(3)"); // its backend outlives its process
  node.take_over();
  BOOST_TEST(wait_for([&] { return node.former_log().find("event=handover_begun") != std::string::npos; }));
  sleep_for(4500); // until the new process has heard of every server of the old one
  busy[1].send_query("select pg_sleep(4)");
  sleep_for(300);
  node.former().signal(SIGKILL);
  BOOST_TEST(idle.value("select 'served'") == "served");
  std::vector<pq> crowd;
  for (int i = 0; i < permits_of_pool; ++i) {
    crowd.emplace_back(node.conninfo());
    crowd.back().exec("begin");
    BOOST_TEST(crowd.back().value("select 1") == "1");
  }
  BOOST_TEST(watcher.max() <= permits_of_pool);
  BOOST_TEST(node.wait_for_log("event=handover_ended"));
}

// Whichever process is killed, the other goes on with what it has: nothing runs twice or is called safe that may have
// run, and the pool's size holds. Clients of the killed one come again.
namespace {

void kills_at_any_moment(bool kill_the_old_one) {
  takeover_node node;
  book notes;
  postgres& server = postgres::shared();
  server.query("drop table if exists ids; create table ids (id bigint); grant all on ids to public");
  surviving_watcher watcher(server, "trust_user");
  const auto confirmed = [&] {
    const std::lock_guard lock(notes.mutex);
    return notes.confirmed.size();
  };
  {
    retrying_clients clients(node.conninfo(), notes, 12);
    BOOST_TEST(wait_for([&] { return confirmed() > 20; }));
    for (const int delay : {0, 1, 3, 10, 30, 100}) {
      wire_client holder(node.port()); // keeps the old process from ending before it is time
      holder.login("trust_user", "app");
      holder.query("begin", "C Z(T)");
      const std::size_t logged = kill_the_old_one ? 0 : node.log().size(); // by the one that will be left
      node.begin_takeover();
      wait_for([&] { return node.log_contains("event=handover_begun") || !node.running(); });
      sleep_for(delay);
      if (kill_the_old_one) {
        node.former().signal(SIGKILL);
        node.former().wait(milliseconds(5'000));
      } else {
        node.signal(SIGKILL);
        node.wait();
        node.adopt_former();
        holder.query("commit", "C Z(I)");
      }
      const std::size_t before = confirmed();
      BOOST_TEST(wait_for([&] { return confirmed() > before + 20; }, milliseconds(30'000)), node.log());
      BOOST_TEST_REQUIRE(node.running());
      const bool over = wait_for([&] {
        const std::string log = node.log().substr(logged);
        return log.find("event=handover_ended") != std::string::npos ||
               log.find("level=warning event=handover_failed") != std::string::npos;
      });
      BOOST_TEST(over, delay << " ms: " << node.log().substr(logged));
    }
  }
  BOOST_TEST(watcher.max() <= permits_of_pool);
  BOOST_TEST(server.query("select count(*) - count(distinct id) from ids") == "0");
  BOOST_TEST(notes.lies.empty());
}

} // namespace

BOOST_AUTO_TEST_CASE(the_new_process_is_killed_at_any_moment_under_load) {
  kills_at_any_moment(false);
}

BOOST_AUTO_TEST_CASE(the_old_process_is_killed_at_any_moment_under_load) {
  kills_at_any_moment(true);
}

BOOST_AUTO_TEST_SUITE_END()
