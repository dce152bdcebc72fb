// Random legal and illegal protocol sequences, sent to Postgres itself and through pg_edge by several clients that
// share a small pool: what each client sees must be the same. What is normalised stands in model_runner.hpp, what the
// shared modes legitimately do otherwise is either not made up (model_sequence.hpp) or listed in `documented` here. A
// sequence that fails is made short before it is shown.
//   PG_EDGE_SEED=n          that seed alone
//   PG_EDGE_FIRST_SEED=n    from there on
//   PG_EDGE_MODEL_ROUNDS=n  so many seeds a mode (default: as many as fit into five seconds)
//   PG_EDGE_MODEL_SECONDS=n as many as fit into that
//   PG_EDGE_MODEL_MODE=...  session, transaction or statement only
#include "tests/pg/model_runner.hpp"
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <iostream>

using namespace pg_edge::test;
using namespace pg_edge::test::model;

namespace {

constexpr int clients_limit = 4;

struct set_up {
  const char* name;
  mode which;
  const char* settings;
};
constexpr set_up set_ups[] = {
    {"session", mode::session, "pool_mode = \"session\"\ndefault_pool_size = 2\n"},
    {"transaction", mode::transaction, "pool_mode = \"transaction\"\ndefault_pool_size = 2\n"},
    {"transaction, two statements a server", mode::transaction,
     "pool_mode = \"transaction\"\ndefault_pool_size = 2\nmax_prepared_statements = 2\nreactors = 1\n"},
    {"statement", mode::statement, "pool_mode = \"statement\"\ndefault_pool_size = 2\n"},
};

void make_tables() {
  for (int i = 0; i < clients_limit; ++i) {
    const std::string table = "m" + std::to_string(i);
    postgres::shared().query("drop table if exists " + table + "; create table " + table +
                             " (n int, w text); grant all on " + table + " to public");
  }
}

void empty_tables() {
  postgres::shared().query("truncate m0, m1, m2, m3"); // waits for the sessions before
}

/// The fields of an error that are compared. Errors of pg_edge's own have no place in Postgres's source, and a hint of
/// their own. In the shared modes statements have other names on servers: they are in some of Postgres's errors, and
/// positions count in the text that was sent.
std::string comparable(const std::string& line, mode which, bool own) {
  if (!line.starts_with("E ") && !line.starts_with("N ")) return line;
  const bool cancelled = line.find("\\00C57014\\00Mcanceling") != std::string::npos;           // somewhere in its query
  const bool refused = which != mode::session && line.find("\\00C25P02") != std::string::npos; // of a Parse, or later
  std::string result;
  std::size_t at = 2;
  while (at < line.size()) {
    const std::size_t end = std::min(line.find("\\00", at), line.size());
    std::string field = line.substr(at, end - at);
    at = end + 3;
    if (field.empty() || (own && std::string_view("FLRH").find(field[0]) != std::string_view::npos)) continue;
    if (cancelled && field[0] == 'W') continue;
    if (refused && std::string_view("FLR").find(field[0]) != std::string_view::npos) continue;
    if (which != mode::session && (field[0] == 'P' || field[0] == 'p' || field[0] == 'q')) continue;
    if (const std::size_t quote = field.find("prepared statement \""); which != mode::session && quote < field.size()) {
      const std::size_t name = quote + 20, close = field.find('"', name);
      if (close < field.size()) field.replace(name, close - name, "?");
    }
    result += field + "|";
  }
  return line.substr(0, 2) + result;
}

bool same(const std::string& direct, const std::string& through, mode which) {
  if (direct == through) return true;
  const bool own = through.find("\\00R") == std::string::npos;
  return comparable(direct, which, own) == comparable(through, which, own);
}

/// Differences that are pg_edge's documented behaviour; what such a client sees afterwards is not compared, since it is
/// in another state.
bool documented(const std::string& direct, const std::string& through, mode which) {
  const auto has = [](const std::string& line, const char* text) { return line.find(text) != std::string::npos; };
  // B195: Postgres says it as an ERROR and closes with a FATAL of its own; and what pg_edge has to tell the server
  // first may be of another type.
  if (has(direct, "unexpected message type 0x") && has(through, "unexpected message type 0x") &&
      (has(through, "SFATAL") || which != mode::session))
    return true;
  if (which == mode::session) return false;
  // PREPARE of a name in use behind the end of an aborted transaction, in one query string: nothing could be sent ahead
  // that would have it refused.
  if (has(direct, "already exists") && has(through, "C PREPARE")) return true;
  // docs/behaviours.md, "An aborted transaction": Postgres describes a statement without rows in one, and a server that
  // has not got the statement cannot.
  if (has(through, "C25P02") && !direct.empty() && (direct[0] == 't' || direct[0] == 'n')) return true;
  return false;
}

/// Empty if they are the same.
std::string difference(const transcript& direct, const transcript& through, mode which) {
  std::size_t at = 0;
  while (at < direct.size() && at < through.size() && same(direct[at], through[at], which))
    ++at;
  if (at == direct.size() && at == through.size()) return {};
  const std::string one = at < direct.size() ? direct[at] : "", other = at < through.size() ? through[at] : "";
  if (documented(one, other, which)) return {};
  std::string text;
  const auto show = [&](const char* title, const transcript& lines) {
    text += std::string("--- ") + title + "\n";
    for (std::size_t i = at < 3 ? 0 : at - 3; i < lines.size() && i < at + 5; ++i)
      text += (i == at ? "> " : "  ") + lines[i].substr(0, 400) + "\n";
  };
  show("Postgres", direct);
  show("pg_edge", through);
  return text;
}

std::string shown(const std::vector<script>& scripts) {
  std::string text;
  for (std::size_t i = 0; i < scripts.size(); ++i) {
    if (scripts[i].items.empty()) continue;
    text += "client " + std::to_string(i) + ":";
    for (const auto& [name, value] : scripts[i].startup)
      text += " " + name + "=" + value;
    for (const item& one : scripts[i].items)
      text += "\n    " + one.text.substr(0, 200);
    text += "\n";
  }
  return text;
}

class comparison {
public:
  comparison(const pg_edge_process& node, mode which) : node_(node), mode_(which) {}

  /// What the first client that saw something else saw, and its number; empty: none.
  std::string run_both(const std::vector<script>& scripts, std::uint64_t seed, std::size_t* who = nullptr) {
    empty_tables();
    const std::vector<transcript> direct = model::run(postgres::shared().port(), scripts, seed, false);
    empty_tables();
    const std::vector<transcript> through = model::run(node_.port(), scripts, seed, true);
    for (std::size_t i = 0; i < scripts.size(); ++i) {
      const std::string found = difference(direct[i], through[i], mode_);
      if (found.empty()) continue;
      if (who != nullptr) *who = i;
      return found;
    }
    return {};
  }

  /// Leaves out clients and items as long as it still differs.
  std::string shrunk(std::vector<script> scripts, std::uint64_t seed) {
    shrink_until_ = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    std::string found = run_both(scripts, seed);
    if (found.empty()) return "not again with the same seed\n" + shown(scripts);
    for (auto& one : scripts) { // whole clients first: an empty one says nothing
      script kept = one;
      one.items.clear();
      one.startup.clear();
      if (std::string still = differs(scripts, seed); still.empty())
        one = kept;
      else
        found = still;
    }
    for (script& one : scripts)
      for (std::size_t chunk = std::max<std::size_t>(1, one.items.size() / 2); chunk > 0; chunk /= 2)
        for (std::size_t at = 0; at < one.items.size();) {
          const sequence kept = one.items;
          const auto from = one.items.begin() + static_cast<std::ptrdiff_t>(at);
          one.items.erase(from, from + static_cast<std::ptrdiff_t>(std::min(chunk, one.items.size() - at)));
          if (std::string still = differs(scripts, seed); !still.empty()) {
            found = still;
          } else {
            one.items = kept;
            at += chunk;
          }
        }
    return found + shown(scripts);
  }

private:
  std::string differs(const std::vector<script>& scripts, std::uint64_t seed) {
    for (std::uint64_t turn = 0; turn < 2 && std::chrono::steady_clock::now() < shrink_until_; ++turn)
      if (std::string found = run_both(scripts, seed + turn * 1'000'000); !found.empty()) return found;
    return {};
  }

  const pg_edge_process& node_;
  mode mode_;
  std::chrono::steady_clock::time_point shrink_until_{};
};

std::vector<script> scripts_of(std::uint64_t seed, mode which) {
  std::mt19937_64 random(seed);
  std::vector<script> all(1 + random() % clients_limit);
  for (std::size_t i = 0; i < all.size(); ++i) {
    generator one(seed * 8 + i, which, static_cast<int>(i));
    all[i].startup = one.startup();
    all[i].items = one.make();
  }
  return all;
}

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* given = std::getenv(variable);
  return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_pgtest)

BOOST_AUTO_TEST_CASE(B094_B195_B200_a_client_sees_what_postgres_would_have_said) {
  using clock = std::chrono::steady_clock;
  make_tables();
  const char* only = std::getenv("PG_EDGE_MODEL_MODE");
  const bool one_seed = std::getenv("PG_EDGE_SEED") != nullptr;
  const std::uint64_t first = number_of("PG_EDGE_SEED", number_of("PG_EDGE_FIRST_SEED", 1));
  const std::uint64_t rounds = one_seed ? 1 : number_of("PG_EDGE_MODEL_ROUNDS", 0);
  for (const set_up& how : set_ups) {
    if (only != nullptr && name_of(how.which) != std::string(only)) continue;
    pg_edge_process node(simple_toml(std::string(how.settings) + "query_wait_notify = 0\n"));
    comparison compared(node, how.which);
    const auto until = clock::now() + std::chrono::seconds(number_of("PG_EDGE_MODEL_SECONDS", 5));
    std::uint64_t done = 0;
    int failed = 0;
    for (std::uint64_t seed = first; failed < 3; ++seed, ++done) {
      if (rounds > 0 ? done >= rounds : done >= 10 && clock::now() > until) break;
      const std::vector<script> scripts = scripts_of(seed, how.which);
      if (const std::string found = compared.run_both(scripts, seed); !found.empty()) {
        ++failed;
        BOOST_ERROR("PG_EDGE_SEED=" << seed << ", " << how.name << "\n" << compared.shrunk(scripts, seed) << found);
      }
    }
    BOOST_TEST(node.running());
    BOOST_TEST_MESSAGE(how.name << ": " << done << " seeds");
  }
}

BOOST_AUTO_TEST_SUITE_END()
