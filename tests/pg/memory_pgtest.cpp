// Limits on what clients may take: places in the queue, statements, memory of their own and of the node. Each refusal
// says which limit it was, how large it is and where it is set.
#include "tests/pg/hostile_support.hpp"

#include <cstdlib>

using namespace pg_edge::test;

namespace {

constexpr long mb = 1024; // of the kilobytes that resident_kb counts

std::string told(const wire_message& message) {
  return error_field(message, 'S') + " " + error_field(message, 'C') + " " + error_field(message, 'M');
}

/// The beginning of a Parse that will be so long: as much of it as pg_edge will keep until the rest comes.
void hoard(wire_client& client, std::size_t size) {
  client.send("P" + int32_bytes(static_cast<std::int64_t>(size) + 1000) + c_string("hoard") + std::string(size, 'x'));
}

bool settles_below(const pg_edge_process& node, long kilobytes) {
  return wait_for([&] { return resident_kb(node.pid()) < kilobytes; }, milliseconds(30'000));
}

} // namespace

BOOST_AUTO_TEST_SUITE(memory_pgtest)

BOOST_AUTO_TEST_CASE(max_waiting_clients_refuses_the_next_and_its_session_goes_on) {
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      pg_edge_process node(set_up_toml(how, "default_pool_size = 1\nmax_waiting_clients = 2\n"));
      wire_client holder = log_in(node);
      holder.query("begin", "C Z(T)");
      std::vector<wire_client> waiting;
      for (int i = 0; i < 2; ++i) {
        waiting.push_back(log_in(node));
        waiting.back().send(query_bytes("select 'waited'"));
      }
      wire_client refused = log_in(node);
      std::this_thread::sleep_for(milliseconds(200));
      refused.send(query_bytes("select 1"));
      const auto answer = refused.read_until_ready();
      BOOST_TEST(summary(answer) == "E(53300) Z(I)");
      BOOST_TEST(told(answer.at(0)) ==
                 "ERROR 53300 too many clients wait for a server connection of pool app/trust_user: "
                 "max_waiting_clients is 2");
      BOOST_TEST(error_field(answer.at(0), 'H') ==
                 "Nothing was sent to the server. Try again in a moment; max_waiting_clients is set in [pg_edge].");
      refused.send(parse_bytes("", "select 2") + bind_bytes("", "") + execute_bytes() + sync_bytes());
      BOOST_TEST(summary(refused.read_until_ready()) == "E(53300) Z(I)"); // once for the whole batch
      holder.query("commit", "C Z(I)");
      holder.close();
      for (wire_client& one : waiting) { // in session mode they keep the server until they go
        one.expect("T D(waited) C Z(I)");
        one.close();
      }
      BOOST_TEST(refused.value("select 'served'") == "served");
    }
  }
}

BOOST_AUTO_TEST_CASE(max_waiting_clients_of_a_database) {
  pg_edge_process node(
      simple_toml("default_pool_size = 1\n",
                  "[databases.narrow]\nhost = \"{postgres_socket}\"\nport = {postgres_port}\ndbname = \"app\"\n"
                  "max_waiting_clients = 1\n"));
  wire_client holder(node.port()), first(node.port()), second(node.port());
  for (wire_client* one : {&holder, &first, &second})
    one->login("trust_user", "narrow");
  holder.query("begin", "C Z(T)");
  first.send(query_bytes("select 'waited'"));
  std::this_thread::sleep_for(milliseconds(200));
  second.send(query_bytes("select 1"));
  const auto answer = second.read_until_ready();
  BOOST_TEST(error_field(answer.at(0), 'H').ends_with("max_waiting_clients is set in [databases.narrow]."));
  holder.query("commit", "C Z(I)");
  first.expect("T D(waited) C Z(I)");
}

BOOST_AUTO_TEST_CASE(who_has_not_logged_in_takes_no_place_of_max_client_conn) {
  for (const int reactors : {1, 2}) {
    const auto guarded = free_port(); // asks for a password
    pg_edge_process node(simple_toml("max_client_conn = 3\nreactors = " + std::to_string(reactors) + "\n",
                                     "[listeners.guarded]\nlisten_addr = \"127.0.0.1\"\nlisten_port = " +
                                         std::to_string(guarded) + "\nauth_type = \"scram-sha-256\"\n"));
    BOOST_REQUIRE(node.wait_for_log("node_started"));
    std::list<wire_client> silent;
    for (int i = 0; i < 30; ++i) {
      silent.emplace_back(i % 3 == 0 ? guarded : node.port());
      if (i % 3 == 0) silent.back().send(startup_bytes({{"user", "scram_user"}, {"database", "app"}}));
    }
    std::vector<wire_client> clients;
    for (int i = 0; i < 3; ++i)
      clients.push_back(log_in(node));
    wire_client refused(node.port());
    const auto answer = refused.try_startup({{"user", "trust_user"}, {"database", "app"}});
    BOOST_TEST(told(answer.at(0)) == "FATAL 53300 sorry, too many clients already: max_client_conn is 3");
    clients.pop_back();
    BOOST_TEST(wait_for([&] {
      wire_client again(node.port());
      const auto said = again.try_startup({{"user", "trust_user"}, {"database", "app"}});
      return !said.empty() && said.back().type == 'Z';
    }));
    BOOST_TEST(clients.front().value("select 1") == "1");
  }
}

BOOST_AUTO_TEST_CASE(max_client_statements_is_an_error_in_its_place) {
  pg_edge_process node(simple_toml("max_client_statements = 3\n"));
  wire_client client = log_in(node);
  for (int i = 0; i < 3; ++i)
    client.send(parse_bytes("s" + std::to_string(i), "select " + std::to_string(i)) + sync_bytes());
  client.expect("1 Z(I) 1 Z(I) 1 Z(I)");
  client.send(query_bytes("select 'before'") + parse_bytes("s3", "select 3") + bind_bytes("", "s3") + execute_bytes() +
              sync_bytes() + query_bytes("select 'behind'"));
  const auto answer = client.expect("T D(before) C Z(I) E(53400) Z(I) T D(behind) C Z(I)");
  BOOST_TEST(told(answer.at(4)) == "ERROR 53400 too many prepared statements: max_client_statements is 3");
  BOOST_TEST(error_field(answer.at(4), 'H') ==
             "Close statements that are not needed any more, or raise max_client_statements in [pg_edge].");
  client.send(parse_bytes("", "select 'unnamed'") + bind_bytes("", "") + execute_bytes() + sync_bytes());
  client.expect("1 2 D(unnamed) C Z(I)"); // one that is never kept for long does not count
  client.send(close_bytes('S', "s1") + parse_bytes("s3", "select 3") + bind_bytes("", "s3") + execute_bytes() +
              sync_bytes());
  client.expect("3 1 2 D(3) C Z(I)");
  wire_client other = log_in(node); // a limit of each client; this text needs no server to be known
  other.send(parse_bytes("t", "select 3") + sync_bytes());
  other.expect("1 Z(I)");
}

BOOST_AUTO_TEST_CASE(max_client_memory_refuses_a_statement_and_the_session_goes_on) {
  pg_edge_process node(simple_toml("max_client_memory = \"1MB\"\n"));
  wire_client client = log_in(node);
  const std::string large = "select '" + std::string(600'000, 'x') + "'";
  client.send(parse_bytes("a", large) + sync_bytes());
  client.expect("1 Z(I)");
  client.send(parse_bytes("b", large + " as b") + sync_bytes());
  const auto answer = client.expect("E(53200) Z(I)");
  BOOST_TEST(error_field(answer.at(0), 'M').find("max_client_memory is 1048576") != std::string::npos);
  BOOST_TEST(error_field(answer.at(0), 'H').ends_with("raise max_client_memory in [pg_edge]."));
  client.send(close_bytes('S', "a") + parse_bytes("b", large + " as b") + sync_bytes());
  client.expect("3 1 Z(I)");
  // What has no name is not kept, and a large value is passed on as it comes.
  client.send(close_bytes('S', "b") + parse_bytes("", "select length($1)") +
              bind_bytes("", "", {std::string(5'000'000, 'y')}) + execute_bytes() + sync_bytes());
  client.expect("3 1 2 D(5000000) C Z(I)");
}

/// SQL's PREPARE is no message that could be refused in its place.
BOOST_AUTO_TEST_CASE(max_client_memory_ends_a_client_that_takes_it_by_sql) {
  pg_edge_process node(simple_toml("max_client_memory = \"256kB\"\n"));
  wire_client client = log_in(node);
  std::string answer;
  for (int i = 0; i < 20 && answer.empty(); ++i) {
    client.send(query_bytes("prepare p" + std::to_string(i) + " as select '" + std::string(40'000, 'x') + "'"));
    const wire_message first = client.read_message();
    if (first.type == 'E')
      answer = told(first);
    else
      client.expect("Z(I)");
  }
  BOOST_TEST(answer.starts_with("FATAL 53200 out of memory: the client needs "), answer);
  BOOST_TEST(client.closed_within(milliseconds(10'000)));
  BOOST_TEST(log_in(node).value("select 1") == "1");
}

/// What an error would bring back must be kept until it is known that there is none: not without a limit.
BOOST_AUTO_TEST_CASE(statements_under_way_are_kept_within_bounds) {
  pg_edge_process node(simple_toml("default_pool_size = 1\n"));
  wire_client client = log_in(node);
  client.value("select 1");
  const long before = resident_kb(node.pid());
  std::thread reader;
  std::string all;
  for (int i = 0; i < 20; ++i)
    all += parse_bytes("", "select '" + std::string(200'000, static_cast<char>('a' + i)) + "'");
  long most = 0;
  for (int i = 0; i < 15; ++i) { // 60 MB, and nobody has asked for an answer
    client.send(all);
    most = std::max(most, resident_kb(node.pid()));
  }
  client.send(sync_bytes());
  const auto answers = client.read_until_ready(milliseconds(60'000));
  BOOST_TEST(answers.size() == 301u);
  BOOST_TEST(most - before < 30 * mb, "grew by " << most - before << " kB");
}

BOOST_AUTO_TEST_CASE(B196_big_rows_for_many_clients_and_memory_returns) {
  pg_edge_process node(simple_toml("default_pool_size = 4\n"));
  log_in(node).value("select 1");
  const long before = resident_kb(node.pid());
  long most = 0;
  for (const int count : {5, 32}) {
    std::list<wire_client> clients;
    for (int i = 0; i < count; ++i) {
      clients.push_back(log_in(node));
      clients.back().send(query_bytes("select repeat('x', 50000000)"));
    }
    for (int i = 0; i < 10; ++i) { // nobody reads yet
      std::this_thread::sleep_for(milliseconds(50));
      most = std::max(most, resident_kb(node.pid()));
    }
    int read = 0;
    for (wire_client& one : clients) {
      if (++read > 5) break;
      one.expect("T D C Z(I)");
      most = std::max(most, resident_kb(node.pid()));
    }
  }
  BOOST_TEST(most - before < 60 * mb, "grew by " << most - before << " kB");
  const long kept = std::getenv("PG_EDGE_SANITIZED") == nullptr ? 20 * mb : 40 * mb; // its allocator keeps more
  BOOST_TEST(settles_below(node, before + kept), resident_kb(node.pid()) - before << " kB are left");
}

BOOST_AUTO_TEST_CASE(B196_at_memory_limit_new_clients_are_refused_and_the_largest_ended) {
  if (std::getenv("PG_EDGE_SANITIZED") != nullptr) return; // most of the process's memory is the sanitizer's then
  pg_edge_process plain(simple_toml());
  log_in(plain).value("select 1");
  const long own = resident_kb(plain.pid()) / mb; // of a node at rest, in this build
  const long limit = own + 60;
  pg_edge_process node(
      simple_toml("reactors = 2\nadmin_users = \"trust_user\"\nmemory_limit = \"" + std::to_string(limit) + "MB\"\n"));
  const bystander other(node);
  wire_client idle = log_in(node);
  BOOST_REQUIRE(wait_for([&] { return other.done() > 10; }));
  std::vector<wire_client> hoarders, greedy;
  for (int i = 0; i < 6; ++i)
    greedy.push_back(log_in(node));
  // Up to the limit and a little beyond: nobody new.
  for (int i = 0; i < 60 && !node.log_contains("event=memory_changed state=refusing"); ++i) {
    hoarders.push_back(log_in(node));
    hoard(hoarders.back(), 2'000'000);
    std::this_thread::sleep_for(milliseconds(250));
  }
  BOOST_TEST(node.log_contains("event=memory_changed state=refusing"));
  wire_client late(node.port());
  const auto refusal = late.try_startup({{"user", "trust_user"}, {"database", "app"}});
  BOOST_TEST(summary(refusal) == "E(53200)");
  BOOST_TEST(told(refusal.at(0)) == "FATAL 53200 out of memory: no new clients while memory_limit is reached");
  BOOST_TEST(error_field(refusal.at(0), 'H').find("memory_limit is " + std::to_string(limit * 1024 * 1024)) !=
             std::string::npos);
  BOOST_TEST(pq(node.conninfo("trust_user", "pgbouncer")).exec("show version").ok()); // whoever can help gets in
  BOOST_TEST(idle.value("select 'served'") == "served");
  // Far beyond it: the largest go.
  for (wire_client& one : greedy) {
    try {
      hoard(one, 14'000'000);
    } catch (const test_failure&) { // ended already
    }
  }
  BOOST_TEST(node.wait_for_log("event=memory_changed state=shedding", milliseconds(20'000)));
  BOOST_TEST(node.wait_for_log("event=client_shed", milliseconds(20'000)));
  const bool one_was_told = wait_for([&] {
    return std::any_of(greedy.begin(), greedy.end(), [](wire_client& one) {
      const auto message = one.try_read_message(milliseconds(50));
      return message && message->type == 'E' && error_field(*message, 'S') == "FATAL";
    });
  });
  BOOST_TEST(one_was_told);
  BOOST_TEST(idle.value("select 'still'") == "still");
  greedy.clear();
  hoarders.clear();
  BOOST_TEST(node.wait_for_log("event=memory_changed state=calm", milliseconds(30'000)));
  BOOST_TEST(log_in(node).value("select 'let in'") == "let in");
  // The bystander logs in now and then, which is refused while memory is short; nothing else may have hit him.
  BOOST_TEST((other.errors() == 0 || other.first_error().find("memory_limit") != std::string::npos),
             other.first_error());
  BOOST_TEST(settles_below(node, (own + 50) * mb), resident_kb(node.pid()) / mb - own << " MB are left");
}

BOOST_AUTO_TEST_SUITE_END()
