// Tables that change while many clients prepare and run: who prepares afresh must never meet what a statement shared
// with others was before (PG_EDGE_STRESS_SECONDS=n for longer than a moment).
#include "tests/pg/both_ways.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <thread>

using namespace pg_edge::test;
using std::chrono::steady_clock;

namespace {

const std::string sql = "select * from stressed";
const std::string stale_text = "cached plan must not change result type";

/// Counts of changes of the table: those begun and those done.
struct changes {
  std::atomic<int> begun{0}, done{0};
};

/// What all clients found, and how much they did.
struct findings {
  std::mutex mutex;
  std::vector<std::string> wrong;
  std::atomic<int> loops{0}, stale{0};

  void add(const std::string& who, const std::string& what) {
    std::lock_guard guard(mutex);
    if (wrong.size() < 10) wrong.push_back(who + ": " + what);
  }
};

/// The error among the messages, empty if there is none: SQLSTATE and text.
std::string error_in(const std::vector<wire_message>& messages) {
  for (const wire_message& message : messages)
    if (message.type == 'E') return error_field(message, 'C') + " " + error_field(message, 'M');
  return {};
}

std::string ask(wire_client& client, const std::string& bytes, int readies = 1) {
  client.send(bytes);
  std::string error;
  for (int i = 0; i < readies; ++i)
    if (const std::string found = error_in(client.read_until_ready()); error.empty()) error = found;
  return error;
}

/// A way to use a statement; returns the error it got.
using way = std::function<std::string(wire_client&, int round)>;

std::string fresh_named(wire_client& client, int) {
  return ask(client, close_bytes('S', "s") + whole_batch("s", sql));
}

std::string fresh_unnamed(wire_client& client, int) {
  return ask(client, whole_batch("", sql));
}

/// Parse and Describe, and then a format for each column that was described.
std::string fresh_with_formats(wire_client& client, int) {
  client.send(close_bytes('S', "s") + parse_bytes("s", sql) + describe_bytes('S', "s") + flush_bytes());
  std::vector<wire_message> heard;
  while (heard.empty() || std::string_view("TnE").find(heard.back().type) == std::string_view::npos)
    heard.push_back(client.read_message());
  if (heard.back().type != 'T') {
    ask(client, sync_bytes());
    return error_in(heard).empty() ? "no columns" : error_in(heard);
  }
  const std::string& body = heard.back().body;
  const int columns = static_cast<unsigned char>(body[0]) * 256 + static_cast<unsigned char>(body[1]);
  return ask(client, bind_bytes("", "s", {}, {}, std::vector<int>(static_cast<std::size_t>(columns), 1)) +
                         execute_bytes() + sync_bytes());
}

std::string fresh_in_a_transaction(wire_client& client, int round) {
  const std::string close = close_bytes('S', "s");
  if (round % 2 == 0)
    return ask(client, query_bytes("begin") + close + whole_batch("s", sql) + run_batch("s") + query_bytes("commit"),
               4);
  std::string error = ask(client, query_bytes("begin"));
  for (const std::string& one : {close + whole_batch("s", sql), run_batch("s"), query_bytes("commit")})
    if (const std::string found = ask(client, one); error.empty()) error = found;
  return error;
}

std::string fresh_in_a_pipeline(wire_client& client, int) {
  const std::string run = bind_bytes("", "s") + describe_bytes('P', "") + execute_bytes();
  return ask(client, close_bytes('S', "s") + parse_bytes("s", sql) + run + run + sync_bytes());
}

/// Parsed in a batch of its own: a change may come between, and then Postgres refuses.
std::string parsed_before(wire_client& client, int) {
  const std::string error = ask(client, close_bytes('S', "s") + parse_bytes("s", sql) + sync_bytes());
  return error.empty() ? ask(client, run_batch("s")) : error;
}

/// Kept until it is refused, and for a while after that.
std::string long_lived(wire_client& client, int round) {
  if (round % 50 == 0) return ask(client, close_bytes('S', "old") + parse_bytes("old", sql) + sync_bytes());
  return ask(client, run_batch("old"));
}

enum class may { never, when_changed, always }; // be refused because the plan is stale

void work(std::uint16_t port, const std::string& who, const way& use, may be_refused, const changes& changed,
          findings& found, steady_clock::time_point until) {
  try {
    wire_client client = client_of(port);
    for (int round = 0; steady_clock::now() < until; ++round, ++found.loops) {
      const int done = changed.done;
      const std::string error = use(client, round);
      const bool in_between = changed.begun > done;
      if (error.empty()) continue;
      const bool allowed = be_refused == may::always || (be_refused == may::when_changed && in_between);
      if (error == "0A000 " + stale_text && allowed)
        ++found.stale;
      else
        found.add(who, error);
    }
  } catch (const test_failure& failure) {
    found.add(who, failure.what());
  }
}

} // namespace

BOOST_AUTO_TEST_SUITE(stale_plan_pgtest)

BOOST_AUTO_TEST_CASE(B093_clients_that_prepare_while_a_table_changes) {
  pg_edge_process node(simple_toml("default_pool_size = 3\n"));
  postgres::shared().query("drop table if exists stressed");
  postgres::shared().query("create table stressed as select 1 as one, 2 as two");
  postgres::shared().query("grant all on stressed to public");
  const char* wanted = std::getenv("PG_EDGE_STRESS_SECONDS");
  const auto until = steady_clock::now() + std::chrono::seconds(wanted != nullptr ? std::atoi(wanted) : 4);
  changes changed;
  findings found;
  std::vector<std::thread> threads;
  const auto start = [&](const std::string& who, const way& use, may be_refused) {
    threads.emplace_back([&, who, use, be_refused] { work(node.port(), who, use, be_refused, changed, found, until); });
  };
  start("fresh, named", fresh_named, may::never);
  start("fresh, unnamed", fresh_unnamed, may::never);
  start("fresh, with formats", fresh_with_formats, may::never);
  start("fresh, in a transaction", fresh_in_a_transaction, may::never);
  start("fresh, in a pipeline", fresh_in_a_pipeline, may::never);
  for (int i = 0; i < 2; ++i)
    start("parsed before", parsed_before, may::when_changed);
  for (int i = 0; i < 5; ++i)
    start("long-lived", long_lived, may::always);
  {
    wire_client owner(postgres::shared().port());
    owner.login("postgres", "app");
    for (int i = 0; steady_clock::now() < until && i < 3'000; ++i) { // a table has 1,600 columns, dropped ones too
      ++changed.begun;
      owner.query(i % 2 == 0 ? "alter table stressed add column three int" : "alter table stressed drop column three",
                  "C(ALTER TABLE) Z(I)");
      ++changed.done;
      std::this_thread::sleep_for(milliseconds(i % 3 * 5));
    }
  }
  for (std::thread& thread : threads)
    thread.join();
  postgres::shared().query("drop table stressed");
  for (const std::string& one : found.wrong)
    BOOST_ERROR(one);
  BOOST_TEST(changed.done > 20);
  BOOST_TEST(found.loops > 200);
  BOOST_TEST_MESSAGE(changed.done << " changes, " << found.loops << " loops, " << found.stale << " refused");
}

BOOST_AUTO_TEST_SUITE_END()
