// Several clients with random sessions on a small pool, in random orders and pieces. Each must get what a backend of
// its own would have answered, and each query carries a word of its client's own. PG_EDGE_SEED=n runs that seed
// alone, PG_EDGE_SEEDS=n that many, PG_EDGE_FIRST_SEED=n from there on.
#include "tests/protocol/exchange_rig.hpp"

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstdlib>

namespace pg_edge::test {

namespace {

using std::chrono::steady_clock;

/// Makes up the session of one client. It knows what is legal only as far as COPY goes: everything else may fail.
class random_session {
public:
  random_session(std::mt19937_64& random, std::string word) : random_(random), word_(std::move(word)) {}

  /// What a client sends before it waits for its answers; nearly always a whole number of batches.
  std::string burst() {
    std::string out;
    for (std::uint64_t n = 1 + pick(4); n > 0; --n)
      out += pick(3) == 0 ? simple() : batch();
    return out;
  }

  std::string end() { return s() + q("ROLLBACK"); }

private:
  std::uint64_t pick(std::uint64_t n) { return random_() % n; }
  std::string name() { return pick(4) == 0 ? "" : "s" + std::to_string(pick(4)); }
  std::string named() { return "s" + std::to_string(pick(4)); }
  std::string portal() { return pick(3) == 0 ? "c" + std::to_string(pick(2)) : ""; }
  std::string tag() { return "'" + word_ + std::to_string(++count_) + "'"; }

  std::string sql() {
    switch (pick(14)) {
    case 0:
      return "SELECT generate_series(3)";
    case 1:
      return "SELECT $1";
    case 2:
      return "SELECT 'shared by all'";
    case 3:
      return "INSERT";
    case 4:
      return "FAIL";
    case 5:
      return "SELECT * FROM nowhere";
    case 6:
      return "SET TimeZone TO " + tag();
    case 7:
      return "SHOW TimeZone";
    case 8:
      return "SET TimeZone TO 'shared'";
    case 9:
      return "COPY t TO STDOUT";
    default:
      return "SELECT " + tag();
    }
  }

  /// A statement with a name of its own kind, since one that executes itself has no end.
  std::string about_names() {
    const std::string what = "x" + std::to_string(pick(3));
    const std::string run = b(what) + e();
    switch (pick(8)) {
    case 0:
      return p(what, "EXECUTE " + named()) + run;
    case 1:
      return p(what, "DEALLOCATE " + named()) + run;
    case 2:
      return p(what, "PREPARE " + named() + " AS SELECT " + (pick(2) == 0 ? tag() : "'shared by all'")) + run;
    case 3:
      return ds(what) + run;
    case 4:
      return cs(what);
    default:
      return run;
    }
  }

  std::string simple() {
    switch (pick(23)) {
    case 0:
    case 1:
      return q("BEGIN");
    case 2:
    case 3:
      return q("COMMIT");
    case 4:
      return q("ROLLBACK");
    case 5:
      return q("PREPARE " + named() + " AS SELECT " + tag());
    case 6:
      return q("PREPARE " + named() + " AS SELECT 'shared by all'");
    case 7:
      return q("EXECUTE " + named());
    case 8:
      return q("DEALLOCATE " + named());
    case 9:
      return q(pick(2) == 0 ? "DEALLOCATE ALL" : "DISCARD ALL");
    case 10:
      return q("BEGIN; SELECT " + tag() + "; COMMIT; SELECT " + tag());
    case 11:
      return q("SELECT " + tag() + "; FAIL; SELECT 1");
    case 12:
      return q("COPY t FROM STDIN") + copy();
    case 13:
      return q("COPY nowhere FROM STDIN") + copy();
    case 14:
      return exec_params("COPY t FROM STDIN").substr(0, exec_params("COPY t FROM STDIN").size() - 5) + copy() + s() +
             cs("") + s(); // what follows a COPY that was not meant ends the connection
    case 15:
      return q("SET LOCAL TimeZone TO 'local'");
    case 16:
      return raw('F', "call");
    case 17:
      return q(pick(2) == 0 ? "" : "SELEC");
    case 18:
      return q("SET application_name TO " + tag() + "; SHOW application_name");
    case 19: // in a query of its own: start-up values come back at its end
      return q(pick(2) == 0 ? "RESET TimeZone" : "RESET ALL");
    default: {
      const std::string one = sql();
      return q(one == "SELECT $1" ? "SHOW application_name" : one);
    }
    }
  }

  std::string copy() {
    std::string out;
    for (std::uint64_t n = pick(4); n > 0; --n)
      out += copy_data(pick(5) == 0 ? "bad" : "row");
    return out + (pick(4) == 0 ? copy_fail("why") : copy_done());
  }

  std::string batch() {
    if (pick(4) == 0) return exec_params(sql());
    // The names in an unnamed statement are looked up when it is bound, and by Postgres when it is run: not kept.
    if (pick(6) == 0) return exec_params(pick(2) == 0 ? "DEALLOCATE " + named() : "DEALLOCATE ALL") + cs("") + s();
    std::string out;
    for (std::uint64_t n = pick(8); n > 0; --n)
      out += extended();
    return out + s();
  }

  std::string extended() {
    switch (pick(19)) {
    case 16:
    case 17:
    case 18:
      return about_names();
    case 0:
      return p(name(), sql());
    case 1:
    case 2: {
      const std::string what = name();
      return p(what, sql()) + b(what) + e();
    }
    case 3:
    case 4:
    case 5: {
      const std::string to = portal();
      return b(name(), {}, to) + e(to, static_cast<int>(pick(3)));
    }
    case 6:
      return b(name(), {word_}, portal());
    case 7:
      return e(portal(), static_cast<int>(pick(3)));
    case 8:
      return ds(name());
    case 9:
      return dp(portal());
    case 10:
      return cs(name());
    case 11:
      return cp(portal());
    case 12:
      return h();
    case 13: {
      const std::string what = named();
      return cs(what) + p(what, "SELECT " + tag()) + b(what) + e();
    }
    default:
      return p("", pick(3) == 0 ? "BEGIN" : "COMMIT") + b("") + e();
    }
  }

  std::mt19937_64& random_;
  std::string word_;
  int count_ = 0;
};

/// One seed; empty if every client got its own answers.
std::string run_seed(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto pick = [&](std::uint64_t n) { return random() % n; };
  rig all({.servers = 1 + pick(3), .max_server_statements = pick(2) == 0 ? 1 + pick(4) : 200, .spread = pick(2) == 0},
          {.in = pick(4) == 0 ? delivery::order::lazy : delivery::order::random, .random = &random});
  all.database().describes_when_aborted = false;
  const toy_database database = all.database();
  const std::size_t clients = 1 + pick(4);
  std::vector<rig_client*> parties;
  std::vector<random_session> sessions;
  for (std::size_t i = 0; i < clients; ++i) {
    toy_settings startup;
    if (pick(3) == 0) startup["application_name"] = "app" + std::to_string(i);
    if (pick(4) == 0) startup["TimeZone"] = "zone" + std::to_string(i);
    parties.push_back(&all.client(startup));
    sessions.emplace_back(random, "client" + std::to_string(i) + "_");
  }
  for (std::uint64_t rounds = 2 + pick(5); rounds > 0; --rounds) {
    for (std::size_t i = 0; i < clients; ++i)
      if (pick(3) != 0) all.queue(*parties[i], sessions[i].burst());
    if (pick(3) == 0)
      for (std::uint64_t steps = pick(40); steps > 0; --steps)
        all.step(); // and what comes next is sent ahead
    else
      all.run();
  }
  for (std::size_t i = 0; i < clients; ++i) // each in its turn lets go of its server
    all.queue(*parties[i], sessions[i].end());
  all.run();
  std::string result = all.problems();
  for (std::size_t i = 0; i < clients; ++i) {
    const rig_client& client = *parties[i];
    toy_database own = database;
    const std::string had = comparable(client.output, toy_server(own, client.startup).reported());
    const std::string expected = straight(client.sent, client.startup, database);
    if (!client.broken.empty()) result += "broken: " + client.broken + "\n";
    if (client.server != nullptr)
      result += "a client kept its server: " + joined(requests_of(client.sent)) + "\n" + had;
    for (std::size_t other = 0; other < clients; ++other)
      if (other != i && had.find("client" + std::to_string(other) + "_") != std::string::npos)
        result += "another client's answer\n";
    if (had != expected) {
      std::size_t same = 0;
      while (same < had.size() && same < expected.size() && had[same] == expected[same])
        ++same;
      const std::size_t from = same < 300 ? 0 : same - 300;
      result += "client " + std::to_string(i) + " sent " + joined(requests_of(client.sent)) + "\n--- expected ...\n" +
                expected.substr(from, 500) + "\n--- had ...\n" + had.substr(from, 500) + "\n";
    }
  }
  for (std::size_t i = 0; !result.empty() && i < all.servers(); ++i)
    result += "server " + std::to_string(i) + " was sent " + all.requests(all.server(i)) + "\n";
  return result;
}

} // namespace

BOOST_AUTO_TEST_SUITE(exchange_random_test)

BOOST_AUTO_TEST_CASE(B094_B200_every_answer_is_its_own) {
  if (const char* seed = std::getenv("PG_EDGE_SEED")) {
    BOOST_TEST(run_seed(std::strtoull(seed, nullptr, 10)) == "");
    return;
  }
  const char* more = std::getenv("PG_EDGE_SEEDS");
  const char* from = std::getenv("PG_EDGE_FIRST_SEED");
  const std::uint64_t first = from != nullptr ? std::strtoull(from, nullptr, 10) : 1;
  const std::uint64_t seeds = more != nullptr ? std::strtoull(more, nullptr, 10) : 4'000;
  const auto until = steady_clock::now() + std::chrono::seconds(more != nullptr ? 3'600 : 20);
  std::uint64_t done = 0;
  int failed = 0;
  for (std::uint64_t seed = first; seed - first < seeds && steady_clock::now() < until && failed < 3; ++seed, ++done) {
    const std::string found = run_seed(seed);
    BOOST_TEST(found == "", "PG_EDGE_SEED=" << seed << "\n" << found);
    failed += found.empty() ? 0 : 1;
  }
  BOOST_TEST(done > 100u);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace pg_edge::test
