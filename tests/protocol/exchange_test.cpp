// What clients see through the exchange, rule by rule. Most scenarios are compared with a backend of the client's own,
// in every splitting and order of delivery, with another client at work on the same servers.
#include "tests/protocol/exchange_rig.hpp"

#include <boost/test/unit_test.hpp>

#include <iostream>

namespace pg_edge::test {

namespace {

using bursts = std::vector<std::string>;

struct scenario {
  bursts sent;               // the client waits for its answers between two
  toy_settings startup = {}; // of the client
  bool together = true;      // must be the same when all is sent at once
  bool noise = true;         // another client works on the servers in between
  std::size_t statements = 200;
};

std::string whole(const bursts& sent) {
  std::string result;
  for (const std::string& one : sent)
    result += one;
  return result;
}

/// Another client: its unnamed statement and its "s1" must never be what the first one gets.
void make_noise(rig& all, rig_client& other, int round) {
  const std::string tag = "'noise" + std::to_string(round) + "'";
  all.send(other, p("", "SELECT " + tag) + p("s" + std::to_string(round), "SELECT 'other'") + s());
  all.send(other, b("") + e() + s());
  all.send(other, q("SET work_mem TO 'noise'"));
}

/// One run; empty if the client got what a backend of its own would have answered.
std::string difference(const scenario& what, rig_options options, delivery how, bool together) {
  options.max_server_statements = what.statements;
  rig all(options, how);
  rig_client& other = all.client();
  rig_client& client = all.client(what.startup);
  int round = 0;
  if (what.noise) make_noise(all, other, ++round);
  for (const std::string& burst : together ? bursts{whole(what.sent)} : what.sent) {
    all.send(client, burst);
    if (what.noise && client.server == nullptr) make_noise(all, other, ++round);
  }
  toy_database database;
  const toy_settings reported = toy_server(database, what.startup).reported();
  const std::string expected = straight(whole(what.sent), what.startup);
  const std::string had = comparable(client.output, reported);
  std::string result = all.problems();
  if (!client.broken.empty()) result += "broken: " + client.broken + "\n";
  if (!client.input.empty() || !client.outgoing.empty()) result += "bytes of the client are left\n";
  if (had != expected) result += "--- expected\n" + expected + "--- had\n" + had;
  return result;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true; // ten times slower: not every size of pieces
#else
constexpr bool sanitized = false;
#endif

/// Every splitting and order; reports the first difference of each kind.
void check(const scenario& what) {
  const std::size_t size = whole(what.sent).size();
  std::vector<std::size_t> pieces{0};
  for (std::size_t n = 1; n <= std::min<std::size_t>(size, 400); n += sanitized && n >= 8 ? 1 + n / 4 : 1)
    pieces.push_back(n);
  for (const bool together : {false, true}) {
    if (together && !what.together) continue;
    for (const std::size_t servers : {1, 2})
      for (const auto in : {delivery::order::eager, delivery::order::lazy})
        for (const std::size_t piece : pieces) {
          const rig_options options{.servers = servers, .spread = true};
          const std::string found = difference(what, options, {.in = in, .piece = piece}, together);
          BOOST_TEST(found == "", (together ? "all at once, " : "one by one, ")
                                      << (in == delivery::order::lazy ? "lazy, " : "eager, ") << servers
                                      << " servers, pieces of " << piece << "\n"
                                      << found);
          if (!found.empty()) return;
        }
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      std::mt19937_64 random(seed);
      const std::string found = difference(what, {.servers = 1 + seed % 2, .spread = true},
                                           {.in = delivery::order::random, .random = &random}, together);
      BOOST_TEST(found == "", "seed " << seed << (together ? ", all at once\n" : ", one by one\n") << found);
      if (!found.empty()) return;
    }
  }
}

void check(bursts sent) {
  check(scenario{.sent = std::move(sent)});
}

const std::string in_transaction = q("BEGIN");

} // namespace

BOOST_AUTO_TEST_SUITE(exchange_test)

// -- prepared statements by protocol ----------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B077_parse_on_one_server_bind_on_another) {
  check({p("s1", "SELECT 'a'") + s(), b("s1") + e() + s(), b("s1") + e() + s(), ds("s1") + s()});
  check({p("s1", "SELECT $1") + ds("s1") + s(), b("s1", {"x"}) + dp() + e() + s(), q("BEGIN"),
         b("s1", {"y"}) + e() + s(), q("COMMIT"), b("s1", {"z"}) + e() + s()});
}

BOOST_AUTO_TEST_CASE(B077_the_second_server_is_given_the_statement) {
  rig all({.servers = 2, .spread = true});
  rig_client& client = all.client();
  all.send(client, p("mine", "SELECT 'a'") + s());
  all.requests(all.server(0));
  all.send(client, b("mine") + e() + s());
  BOOST_TEST(all.requests(all.server(1)).find("SELECT 'a'") != std::string::npos);
  all.send(client, b("mine") + e() + s());
  BOOST_TEST(all.requests(all.server(0)).find("SELECT") == std::string::npos);
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(B078_the_same_name_with_different_text) {
  rig all;
  rig_client& one = all.client();
  rig_client& two = all.client();
  all.send(one, p("s1", "SELECT 'one'") + s());
  all.send(two, p("s1", "SELECT 'two'") + s());
  all.got(one), all.got(two);
  all.send(one, b("s1") + e() + s());
  all.send(two, b("s1") + e() + s());
  BOOST_TEST(all.got(one) == "2; D one; C SELECT 1; Z I");
  BOOST_TEST(all.got(two) == "2; D two; C SELECT 1; Z I");
}

BOOST_AUTO_TEST_CASE(B079_different_names_with_the_same_text_are_prepared_once) {
  rig all;
  for (int i = 0; i < 10; ++i) {
    rig_client& client = all.client();
    all.send(client, p("name" + std::to_string(i), "SELECT 'same'") + s());
    all.send(client, b("name" + std::to_string(i)) + e() + s());
    BOOST_TEST(all.got(client) == "1; Z I; 2; D same; C SELECT 1; Z I");
  }
  BOOST_TEST(all.counts().server_parses == 1u);
  BOOST_TEST(all.counts().client_parses == 10u);
  BOOST_TEST(all.counts().binds == 10u);
}

BOOST_AUTO_TEST_CASE(B080_close) {
  check({p("s1", "SELECT 'a'") + s(), cs("s1") + s(), ds("s1") + s(), b("s1") + e() + s()});
  check({cs("nothing") + s(), cp("nothing") + s(), cs("") + s()});
  check({p("s1", "SELECT 'a'") + cs("s1") + p("s1", "SELECT 'b'") + b("s1") + e() + s(), b("s1") + e() + s()});
  check({p("", "SELECT 'a'") + s(), cs("") + s(), b("") + e() + s()});
}

BOOST_AUTO_TEST_CASE(B081_unknown_names) {
  check({b("nothing") + e() + s(), ds("nothing") + s(), q("SELECT 'on'")});
  check({q("BEGIN"), ds("nothing") + s(), q("ROLLBACK"), q("SELECT 'on'")});
  check({b("pg_edge_1") + e() + s(), ds("pg_edge_1") + s(), cs("pg_edge_1") + s()});
  rig all;
  rig_client& client = all.client();
  all.send(client, b("nothing") + e() + s());
  BOOST_TEST(all.got(client) == "E 26000 prepared statement \"nothing\" does not exist; Z I");
}

BOOST_AUTO_TEST_CASE(the_poolers_own_names_cannot_be_reached) {
  rig all;
  rig_client& owner = all.client();
  rig_client& thief = all.client();
  all.send(owner, p("s1", "SELECT 'secret'") + s());
  const std::string name = all.server(0).toy->statements().begin()->first;
  BOOST_TEST(name.starts_with("pg_edge_"));
  const std::string portal(70'000, 'p');
  for (const std::string& attempt :
       {b(name) + e() + s(), ds(name) + s(), cs(name) + s(), q("EXECUTE " + name), q("DEALLOCATE " + name),
        p("", "EXECUTE " + name) + b("") + e() + s(), p("", "DEALLOCATE " + name) + b("") + e() + s(),
        p(name, "SELECT 1") + p(name, "SELECT 2") + s(), q("EXECUTE \"" + name + "\""), q("BEGIN; DEALLOCATE " + name),
        q("ROLLBACK"), p("n", "DEALLOCATE " + name) + b("n") + e() + s(), b(name, {}, portal) + s()}) {
    all.send(thief, attempt);
    BOOST_TEST(thief.output.find("secret") == std::string::npos);
    thief.output.clear();
    rig_client& fresh = all.client();
    all.send(fresh, p("x", "SELECT 'secret'") + s());
    all.got(fresh);
    if (thief.server == nullptr) {
      all.send(owner, b("s1") + e() + s());
      BOOST_TEST(all.got(owner).ends_with("2; D secret; C SELECT 1; Z I"));
    }
  }
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(B082_parse_of_a_name_in_use) {
  check({p("s1", "SELECT 'a'") + s(), p("s1", "SELECT 'b'") + s(), b("s1") + e() + s()});
  check({p("s1", "SELECT 'a'") + s(), q("BEGIN"), p("s1", "SELECT 'b'") + b("s1") + e() + s(), q("SELECT 'x'"),
         q("ROLLBACK"), b("s1") + e() + s()});
  check({p("pg_edge_1", "SELECT 'a'") + s(), p("pg_edge_1", "SELECT 'b'") + s(), b("pg_edge_1") + e() + s()});
  rig all;
  rig_client& client = all.client();
  all.send(client, p("s1", "SELECT 'a'") + s() + p("s1", "SELECT 'b'") + s());
  BOOST_TEST(all.got(client) == "1; Z I; E 42P05 prepared statement \"s1\" already exists; Z I");
}

BOOST_AUTO_TEST_CASE(B082_the_name_is_free_when_it_is_closed) {
  check({p("s1", "SELECT 'a'") + s() + p("s1", "SELECT 'b'") + s() + cs("s1") + s() + ds("s1") + s()});
  check({q("BEGIN"), p("s1", "SELECT 'a'") + s(), p("s1", "SELECT 'b'") + s(),
         q("ROLLBACK") + q("DEALLOCATE s1") + ds("s1") + s(), q("EXECUTE s1")});
}

BOOST_AUTO_TEST_CASE(B083_deallocate_all_and_discard_all) {
  for (const char* sql : {"DEALLOCATE ALL", "DISCARD ALL"}) {
    check({p("s1", "SELECT 'a'") + p("s2", "SELECT 'b'") + s(), q(sql), b("s1") + e() + s(),
           p("s1", "SELECT 'c'") + s(), b("s1") + e() + s()});
    check({p("s1", "SELECT 'a'") + s(), exec_params(sql), b("s1") + e() + s(),
           p("s1", "SELECT 'a'") + b("s1") + e() + s()});
    check({p("s1", "SELECT 'a'") + s() + p("", sql) + b("") + e() + p("s1", "SELECT 'b'") + b("s1") + e() + s(),
           b("s1") + e() + s()});
    check({p("s1", "SELECT 'a'") + s(), p("n", sql) + b("n") + e() + p("s1", "SELECT 'b'") + b("s1") + e() + s(),
           b("s1") + e() + s()});
  }
}

BOOST_AUTO_TEST_CASE(B083_deallocate_all_of_one_client_is_not_felt_by_another) {
  rig all;
  rig_client& one = all.client();
  rig_client& two = all.client();
  all.send(one, p("s1", "SELECT 'one'") + s());
  all.send(two, p("s1", "SELECT 'two'") + s() + q("DEALLOCATE ALL"));
  all.got(one);
  all.send(one, b("s1") + e() + s());
  BOOST_TEST(all.got(one) == "2; D one; C SELECT 1; Z I");
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(B084_deallocate_by_sql) {
  check({p("s1", "SELECT 'a'") + s(), q("DEALLOCATE s1"), b("s1") + e() + s(), q("DEALLOCATE s1")});
  check({p("s1", "SELECT 'a'") + s(), exec_params("DEALLOCATE s1"), b("s1") + e() + s()});
  check({p("s1", "SELECT 'a'") + s() + q("DEALLOCATE s1") + p("s1", "SELECT 'b'") + b("s1") + e() + s(),
         b("s1") + e() + s()});
  check({p("s1", "SELECT 'a'") + s(),
         p("", "DEALLOCATE s1") + b("") + e() + p("s1", "SELECT 'b'") + b("s1") + e() + s()});
  check({p("S1", "SELECT 'a'") + s(), q("DEALLOCATE \"S1\""), b("S1") + e() + s()});
  check({q("BEGIN"), p("s1", "SELECT 'a'") + s(), q("FAIL"), q("DEALLOCATE s1"), q("ROLLBACK"), b("s1") + e() + s(),
         q("DEALLOCATE PREPARE s1"), b("s1") + e() + s()});
  check({p("s1", "SELECT 'a'") + p("s2", "SELECT 'b'") + s(), q("DEALLOCATE s1; FAIL; DEALLOCATE s2"),
         b("s1") + e() + s(), b("s2") + e() + s()});
}

BOOST_AUTO_TEST_CASE(B084_names_are_those_of_when_it_is_bound) {
  check({p("", "DEALLOCATE s1") + s(), p("s1", "SELECT 'a'") + s(), b("") + e() + s(), b("s1") + e() + s()});
  check({p("s1", "SELECT 'a'") + s(), p("", "EXECUTE s1") + s(), cs("s1") + p("s1", "SELECT 'b'") + s(),
         b("") + e() + s(), b("") + e() + s()});
}

BOOST_AUTO_TEST_CASE(B058_B084_names_in_the_text_of_a_named_statement) {
  const std::string run = b("x") + e() + s();
  check({q("PREPARE s1 AS SELECT 'a'"), p("x", "EXECUTE s1") + s(), run, run});
  check({p("s1", "SELECT 'a'") + s(), p("x", "EXECUTE s1") + ds("x") + b("x") + dp() + e() + s(), run,
         ds("x") + b("x") + dp() + e() + s()});
  check({p("s1", "SELECT 'a'") + p("x", "EXECUTE s1") + b("x") + e() + s(), cs("s1") + p("s1", "SELECT 'b'") + s(), run,
         q("DEALLOCATE s1"), run, q("PREPARE s1 AS SELECT 'c'"), run});
  check({p("s1", "SELECT 'a'") + s(), p("x", "DEALLOCATE s1") + s(), b("s1") + e() + s(), run, b("s1") + e() + s(), run,
         p("s1", "SELECT 'b'") + b("x") + e() + b("s1") + e() + s()});
  check({p("x", "DEALLOCATE s1") + s(), p("s1", "SELECT 'a'") + b("x") + e() + b("x") + e() + s(), b("s1") + e() + s(),
         q("BEGIN"), q("FAIL"), run, ds("x") + s(), q("ROLLBACK"), run});
  check({p("x", "PREPARE s1 AS SELECT 'a'") + s(), run, b("s1") + e() + s(), run, q("EXECUTE s1"), q("DEALLOCATE s1"),
         run, q("EXECUTE s1"), p("x", "PREPARE s2 AS SELECT 'a'") + s(), cs("x") + s(), run});
  check({p("x", "DEALLOCATE x") + s(), run, run, p("x", "DEALLOCATE ALL") + s(), run, run});
}

BOOST_AUTO_TEST_CASE(B084_named_texts_with_the_same_names_of_two_clients) {
  rig all({.servers = 2, .spread = true});
  rig_client& one = all.client();
  rig_client& two = all.client();
  all.send(one, p("s1", "SELECT 'one'") + p("x", "EXECUTE s1") + p("gone", "DEALLOCATE s1") + s());
  all.send(two, p("x", "EXECUTE s1") + p("gone", "DEALLOCATE s1") + s());
  all.got(one);
  all.got(two);
  all.send(two, b("x") + e() + s() + b("gone") + e() + s());
  BOOST_TEST(all.got(two) == "2; E 26000 prepared statement \"s1\" does not exist; Z I; "
                             "2; E 26000 prepared statement \"s1\" does not exist; Z I");
  all.send(two, p("s1", "SELECT 'two'") + s() + b("x") + e() + s());
  BOOST_TEST(all.got(two) == "1; Z I; 2; D two; C SELECT 1; Z I");
  all.send(one, b("x") + e() + s());
  BOOST_TEST(all.got(one) == "2; D one; C SELECT 1; Z I");
  all.send(two, b("gone") + e() + s() + b("s1") + e() + s());
  BOOST_TEST(all.got(two) == "2; C DEALLOCATE; Z I; E 26000 prepared statement \"s1\" does not exist; Z I");
  all.send(one, b("x") + e() + s());
  BOOST_TEST(all.got(one) == "2; D one; C SELECT 1; Z I");
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(B089_what_follows_an_unnamed_parse_that_fails) {
  check({p("", "SELECT 'a'") + s(), p("", "SELEC 1") + p("", "SELECT 'b'") + s(), b("") + e() + s()});
  check({p("", "SELECT 'a'") + s(), b("nothing") + cs("") + p("", "SELECT 'b'") + s() + b("") + e() + s()});
}

BOOST_AUTO_TEST_CASE(B086_a_pipelined_parse_in_a_transaction_that_has_failed) {
  check({p("s1", "SELECT 'a'") + s(), q("BEGIN"),
         q("FAIL") + p("s2", "SELECT 'a'") + p("", "COMMIT") + b("") + e() + s() + q("SELECT 'x'"), q("ROLLBACK")});
}

BOOST_AUTO_TEST_CASE(B084_deallocate_when_the_table_is_gone) {
  check({q("CREATE TABLE gone"), p("s1", "SELECT * FROM gone") + s(), q("DROP TABLE gone"), q("DEALLOCATE s1"),
         p("s1", "SELECT 'b'") + b("s1") + e() + s()});
}

BOOST_AUTO_TEST_CASE(B085_a_failed_parse_leaves_nothing) {
  check({p("s1", "SELECT * FROM later") + s(), b("s1") + e() + s(), q("CREATE TABLE later"),
         p("s1", "SELECT * FROM later") + s(), b("s1") + e() + s()});
  check({p("", "SELECT * FROM later") + s(), b("") + e() + s(), q("CREATE TABLE later"), b("") + e() + s(),
         p("", "SELECT * FROM later") + s(), b("") + e() + s()});
}

BOOST_AUTO_TEST_CASE(B086_a_failed_parse_in_a_pipeline) {
  check({p("bad", "SELEC 1") + p("s1", "SELECT 'a'") + b("s1") + e() + s(), b("s1") + e() + s(),
         p("s1", "SELECT 'b'") + s(), b("s1") + e() + s(), p("bad", "SELECT 'c'") + b("bad") + e() + s()});
  check({p("s1", "SELECT 'a'") + p("bad", "SELEC 1") + p("s2", "SELECT 'b'") + cs("s1") + s(), b("s1") + e() + s(),
         b("s2") + e() + s()});
  check({p("s1", "SELECT 'a'") + s(), b("nothing") + cs("s1") + p("s1", "SELECT 'b'") + s(), b("s1") + e() + s()});
  check({p("s1", "SELECT 'a'") + s() + b("nothing") + cs("s1") + s() + cs("s1") + p("s1", "SELECT 'b'") + s(),
         b("s1") + e() + s()});
  check({b("nothing") + p("s1", "SELECT 'a'") + s() + p("s1", "SELECT 'b'") + s() + b("s1") + e() + s(),
         b("s1") + e() + s()});
}

BOOST_AUTO_TEST_CASE(B086_eviction_in_a_batch_that_fails) {
  check(
      scenario{.sent = {p("s1", "SELECT 'a'") + p("s2", "SELECT 'b'") + s(), b("nothing") + p("s3", "SELECT 'c'") + s(),
                        b("s1") + e() + s(), b("s2") + e() + s(), b("s3") + e() + s()},
               .statements = 2});
  check(scenario{.sent = {p("s1", "SELECT 'a'") + s(), b("nothing") + p("s2", "SELECT 'b'") + s(),
                          b("s1") + e() + s() + b("s1") + e() + s()},
                 .statements = 1});
  check(scenario{.sent = {p("s1", "SELECT 'a'") + s(), p("s2", "SELECT 'b'") + b("s1") + e() + b("s2") + e() +
                                                           b("nothing") + b("s1") + s() + b("s2") + e() + b("s1") +
                                                           e() + s()},
                 .statements = 1});
}

BOOST_AUTO_TEST_CASE(B086_prepared_evicted_and_prepared_again_in_a_batch_that_fails) {
  check(scenario{
      .sent = {p("s1", "SELECT 'a'") + p("s2", "SELECT 'b'") + b("nothing") + b("s1") + s() + b("s1") + e() + s(),
               b("s1") + e() + s(), b("s2") + e() + s()},
      .statements = 1});
}

BOOST_AUTO_TEST_CASE(B087_late_messages_of_an_aborted_pipeline) {
  check({b("nothing") + e(), p("s1", "SELECT 'a'"), b("s1") + e(), q("SELECT 'skipped'"), h(), s(), b("s1") + e() + s(),
         q("SELECT 'on'")});
}

BOOST_AUTO_TEST_CASE(B088_large_messages) {
  const std::string name(9'000, 'n');
  const std::string text = "SELECT '" + std::string(70'000, 'x') + "'";
  const std::string big(300'000, 'y');
  for (const std::size_t piece : {0, 1'000, 4'096, 65'536})
    for (const auto in : {delivery::order::eager, delivery::order::lazy}) {
      const scenario what{.sent = {p(name, text) + s(), b(name) + e() + s(), p("", text) + s(), b("") + e() + s(),
                                   p("s1", "SELECT $1") + s(), b("s1", {big}) + e() + s(), q(text),
                                   q("SELECT '" + big + "'"), cs(name) + s(), ds(name) + s(),
                                   p("", "SELECT '" + big + "'") + b("") + e() + s()}};
      BOOST_TEST(difference(what, {.servers = 2, .spread = true}, {.in = in, .piece = piece}, true) == "");
    }
}

// -- the unnamed statement --------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B089_the_unnamed_statement_follows_its_client) {
  check({p("", "SELECT 'mine'") + s(), b("") + e() + s(), b("") + e() + s(), ds("") + s()});
  check({p("", "SELECT 'a'") + s(), p("", "SELECT 'b'") + s(), b("") + e() + s()});
  check({p("", "SELECT $1", {23}) + ds("") + s(), b("", {"7"}) + e() + s()});
  check({p("", "SELECT 'a'") + s(), q("SELECT 'b'"), b("") + e() + s()});
}

BOOST_AUTO_TEST_CASE(B089_another_clients_unnamed_statement_is_never_run) {
  check({b("") + e() + s(), ds("") + s()});
  // The Parse is skipped, so that the server still holds what another client left there.
  check({b("nothing") + p("", "SELECT 'a'") + s(), b("") + e() + s()});
  check({b("nothing") + p("", "SELECT 'a'") + s() + b("") + e() + s()});
  check({p("", "SELECT 'a'") + s(), b("nothing") + p("", "SELECT 'b'") + s() + b("") + e() + s(), b("") + e() + s()});
  check({p("", "SELECT 'a'") + s(), b("nothing") + cs("") + s(), b("nothing") + s(), ds("nothing") + s()});
  check({p("", "SELEC 1") + s() + b("") + e() + s(), b("") + e() + s()});
  check({p("", "SELECT 'a'") + s() + p("", "SELEC 1") + s() + b("") + e() + s()});
  check({p("", "SELEC 1") + s() + p("", "SELECT 'a'") + b("nothing") + p("", "SELECT 'b'") + s() + b("nothing") +
         p("", "SELECT 'c'") + s() + b("") + e() + s()});
}

/// Postgres still describes the statement it has, if that returns no rows, but refuses to be told it once more.
BOOST_AUTO_TEST_CASE(B089_a_skipped_parse_leaves_the_statement_an_aborted_transaction_has) {
  const std::string begin = p("", "BEGIN") + b("") + e();
  const std::string commit = p("", "COMMIT") + b("") + e();
  const std::string look = ds("") + commit + s();
  check({p("s1", "SELECT 'a'") + begin + b("", {"too many"}) + p("", "SELECT 'b'") + b("") + e() + s(), look,
         q("SELECT 'c'")}); // seed 22513
  check({begin + e("nothing") + p("", "INSERT") + commit + s(), s() + ds("") + commit + ds("s1") + s(),
         q("SELECT 'c'")}); // seed 41949
  check({h() + begin + b("") + e() + dp("nothing") + p("", "SELECT 'a'") + p("s2", "SELECT 'b'") + s(), look,
         p("", "FAIL") + b("") + e() + s()}); // seed 45141
  check({begin + e("nothing") + cs("") + s(), look, q("SELECT 'c'")});
  check({begin + e("nothing") + p("", "SELECT 'a'") + q("SELECT 'skipped'") + s(), q("COMMIT"), b("") + e() + s()});
  check({begin + e("nothing") + p("", "SELECT 'a'") + s() + q("COMMIT"), b("") + e() + s(), ds("") + s()});
}

BOOST_AUTO_TEST_CASE(B089_skipped_parse_of_one_client_then_another) {
  rig all;
  rig_client& one = all.client();
  rig_client& two = all.client();
  rig_client& three = all.client();
  all.send(one, p("", "SELECT 'secret'") + s());
  all.send(two, b("nothing") + p("", "SELECT 'two'") + s());
  all.send(three, b("") + e() + s());
  BOOST_TEST(all.got(three) == "E 26000 unnamed prepared statement does not exist; Z I");
  all.send(two, b("nothing") + cs("") + s());
  all.send(one, b("") + e() + s());
  all.send(two, b("nothing") + cs("") + s());
  all.send(three, ds("") + s() + b("") + e() + s());
  BOOST_TEST(all.got(three) == "E 26000 unnamed prepared statement does not exist; Z I; E 26000 unnamed prepared "
                               "statement does not exist; Z I");
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(B089_a_typed_sql_prepare_leaves_no_unnamed_statement) {
  rig all({.servers = 2, .spread = true});
  rig_client& client = all.client();
  all.send(client, q("PREPARE s1 (int) AS SELECT $1"));
  all.send(client, b("s1", {"1"}) + e() + b("") + e() + s());
  BOOST_TEST(all.got(client).ends_with("E 26000 unnamed prepared statement does not exist; Z I"));
}

// -- the cache of a server --------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B090_eviction) {
  bursts sent;
  std::string first;
  std::string second;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "s" + std::to_string(i);
    first += p(name, "SELECT '" + name + "'") + b(name) + e();
    second += b(name) + e();
  }
  const scenario what{.sent = {first + s(), second + s(), second + s()}, .statements = 66};
  for (const auto in : {delivery::order::eager, delivery::order::lazy})
    for (const std::size_t piece : {0, 1, 7, 1000})
      for (const bool together : {false, true})
        BOOST_TEST(difference(what, {.servers = 2, .spread = true}, {.in = in, .piece = piece}, together) == "");
  rig all({.max_server_statements = 66});
  rig_client& client = all.client();
  for (const std::string& burst : what.sent)
    all.send(client, burst);
  BOOST_TEST(all.server(0).toy->statements().size() == 66u);
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(B092_the_same_text_with_other_types) {
  check({p("s1", "SELECT $1", {23}) + p("s2", "SELECT $1", {25}) + p("s3", "SELECT $1") + s(),
         ds("s1") + ds("s2") + ds("s3") + s(), q("SELECT 1"), ds("s1") + ds("s2") + ds("s3") + s()});
}

// -- stale plans ------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B093_who_parsed_before_the_change_sees_it) {
  check({p("s1", "SELECT * FROM t") + s(), b("s1") + e() + s()});
  rig all;
  rig_client& client = all.client();
  all.send(client, p("s1", "SELECT * FROM t") + s());
  all.elsewhere("ALTER TABLE t");
  all.got(client);
  all.send(client, b("s1") + e() + s());
  BOOST_TEST(all.got(client) == "E 0A000 cached plan must not change result type; Z I");
  all.send(client, ds("s1") + s());
  BOOST_TEST(all.got(client) == "t; E 0A000 cached plan must not change result type; Z I");
  all.send(client, cs("s1") + p("s1", "SELECT * FROM t") + s());
  BOOST_TEST(all.got(client) == "3; 1; Z I");
  all.send(client, b("s1") + dp() + e() + s());
  BOOST_TEST(all.got(client) == "2; T 2; D t; C SELECT 1; Z I");
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(B093_who_parses_after_the_change_does_not) {
  const std::string fresh = p("mine", "SELECT * FROM t");
  struct row {
    bursts sent;
    std::string expected;
  };
  const std::string rows = "T 2; D t; C SELECT 1";
  const row table[] = {
      {{fresh + s(), b("mine") + dp() + e() + s()}, "1; Z I; 2; " + rows + "; Z I"},
      {{fresh + b("mine") + dp() + e() + s()}, "1; 2; " + rows + "; Z I"},
      {{fresh + ds("mine") + s(), b("mine") + e() + s()}, "1; t; T 2; Z I; 2; D t; C SELECT 1; Z I"},
      {{fresh + ds("mine") + h(), b("mine") + e() + s()}, "1; t; T 2; 2; D t; C SELECT 1; Z I"},
      {{fresh + ds("mine") + b("mine") + dp() + e() + s()}, "1; t; T 2; 2; " + rows + "; Z I"},
      {{q("BEGIN"), fresh + s(), b("mine") + dp() + e() + s(), q("COMMIT")},
       "C BEGIN; Z T; 1; Z T; 2; " + rows + "; Z T; C COMMIT; Z I"},
      {{q("BEGIN"), fresh + b("mine") + dp() + e() + b("mine") + e() + s()},
       "C BEGIN; Z T; 1; 2; " + rows + "; 2; D t; C SELECT 1; Z T"},
      {{exec_params("SELECT 'x'") + fresh + b("mine") + e() + s()},
       "1; 2; T 1; D x; C SELECT 1; Z I; 1; 2; D t; C SELECT 1; Z I"},
      {{q("PREPARE mine AS SELECT * FROM t"), q("EXECUTE mine")}, "C PREPARE; Z I; T 2; D t; C SELECT 1; Z I"},
      {{p("", "SELECT * FROM t") + b("") + dp() + e() + s()}, "1; 2; " + rows + "; Z I"},
  };
  for (const auto in : {delivery::order::eager, delivery::order::lazy})
    for (const std::size_t piece : {0, 1, 2, 3, 5, 11, 29})
      for (const row& one : table) {
        rig all({.servers = 2}, {.in = in, .piece = piece});
        rig_client& before = all.client();
        rig_client& after = all.client();
        all.send(before, p("s1", "SELECT * FROM t") + b("s1") + e() + s());
        all.elsewhere("ALTER TABLE t");
        for (const std::string& burst : one.sent)
          all.send(after, burst);
        BOOST_TEST(all.got(after) == one.expected);
        BOOST_TEST(all.problems() == "");
      }
}

BOOST_AUTO_TEST_CASE(B093_a_second_try_runs_nothing_twice) {
  rig all;
  rig_client& before = all.client();
  rig_client& after = all.client();
  all.send(before, p("s1", "SELECT * FROM t") + s());
  all.elsewhere("ALTER TABLE t");
  all.send(after, p("mine", "SELECT * FROM t") + s());
  all.got(after);
  all.server(0).toy->executed.clear();
  all.send(after, b("mine") + e() + s());
  BOOST_TEST(all.got(after) == "2; D t; C SELECT 1; Z I");
  BOOST_TEST(all.server(0).toy->executed.size() == 1u);
  // However many Executes follow: nothing is run before what is in doubt.
  all.elsewhere("ALTER TABLE t");
  all.send(after, cs("mine") + p("mine", "SELECT * FROM t") + s());
  all.got(after);
  all.server(0).toy->executed.clear();
  all.send(after, b("mine") + e() + b("mine") + e() + s());
  BOOST_TEST(all.got(after) == "2; D t; C SELECT 1; 2; D t; C SELECT 1; Z I");
  BOOST_TEST(all.server(0).toy->executed.size() == 2u);
}

/// A second try from the middle of a batch would lose what came before: it is rolled back with the first try.
BOOST_AUTO_TEST_CASE(B093_no_second_try_behind_work_of_the_same_batch) {
  rig all;
  rig_client& before = all.client();
  rig_client& after = all.client();
  all.send(before, p("s1", "SELECT * FROM t") + s());
  all.send(after, p("work", "INSERT") + s());
  all.elsewhere("ALTER TABLE t");
  all.send(after, p("mine", "SELECT * FROM t") + s());
  all.got(after);
  all.server(0).toy->executed.clear();
  all.send(after, b("work") + e() + h());
  BOOST_TEST(all.got(after) == "2; C INSERT 0 1");
  all.send(after, b("mine") + e() + s());
  BOOST_TEST(all.got(after) == "2; D t; C SELECT 1; Z I");
  BOOST_TEST(all.server(0).toy->executed.size() == 2u);
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(B093_a_batch_too_large_to_be_kept) {
  const std::string big(70'000, 'x');
  for (const std::string& more :
       {e() + p("", "SELECT '" + big + "'") + b("") + e() + s(), e() + q("SELECT 'second'") + s()}) {
    rig all;
    rig_client& before = all.client();
    rig_client& after = all.client();
    all.send(before, p("s1", "SELECT * FROM t") + s());
    all.elsewhere("ALTER TABLE t");
    all.send(after, p("mine", "SELECT * FROM t") + s());
    all.got(after);
    all.send(after, b("mine") + more);
    const std::string had = all.got(after);
    BOOST_TEST(had.starts_with("2; D t; C SELECT 1; "), had.substr(0, 200));
    BOOST_TEST(all.problems() == "");
  }
}

BOOST_AUTO_TEST_CASE(B093_a_second_try_keeps_the_order) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    rig all({}, {.in = delivery::order::random, .random = &random});
    rig_client& before = all.client();
    rig_client& after = all.client();
    all.send(before, p("s1", "SELECT * FROM t") + s());
    all.elsewhere("ALTER TABLE t");
    all.send(after, p("mine", "SELECT * FROM t") + s());
    all.got(after);
    all.send(after, b("mine") + dp() + e() + s() + q("SELECT 'second'") + exec_params("SELECT 'third'"));
    const std::string had = all.got(after);
    const std::string rest = "Z I; T 1; D second; C SELECT 1; Z I; 1; 2; T 1; D third; C SELECT 1; Z I";
    BOOST_TEST(had == "2; T 2; D t; C SELECT 1; " + rest);
    BOOST_TEST(all.problems() == "");
  }
}

// -- pipelines --------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B095_flush_without_sync) {
  check({p("s1", "SELECT 'a'") + ds("s1") + h(), b("s1") + e() + h(), s()});
  check({p("", "SELECT 'a'") + h(), ds("") + h(), b("") + h(), e() + h(), s(), h()});
}

BOOST_AUTO_TEST_CASE(B096_portals_with_row_limits) {
  check({p("", "SELECT generate_series(5)") + b("") + dp() + e("", 2) + e("", 2) + e("", 2) + e("", 2) + s()});
  check({q("BEGIN"), p("s1", "SELECT generate_series(5)") + b("s1", {}, "c1") + e("c1", 2) + s(), e("c1", 2) + s(),
         b("s1", {}, "c2") + e("c2", 1) + s(), e("c1", 9) + s(), cp("c1") + e("c2", 9) + s(), e("c1") + s(),
         q("ROLLBACK")});
  check({p("s1", "SELECT generate_series(3)") + b("s1", {}, "c1") + e("c1", 1) + h(), e("c1", 1) + h(), s(),
         e("c1", 1) + s()});
}

BOOST_AUTO_TEST_CASE(B099_many_simple_queries_at_once) {
  std::string all_of_them;
  for (int i = 0; i < 50; ++i)
    all_of_them += q("SELECT '" + std::to_string(i) + "'");
  check({all_of_them});
}

BOOST_AUTO_TEST_CASE(B100_the_server_is_free_afterwards) {
  rig all({}, {.in = delivery::order::lazy});
  rig_client& one = all.client();
  rig_client& two = all.client();
  std::string fifty;
  for (int i = 0; i < 50; ++i)
    fifty += q("SELECT 'x'") + exec_params("SELECT 'y'");
  all.send(one, fifty);
  BOOST_TEST((one.server == nullptr));
  all.send(two, q("SELECT 'z'"));
  BOOST_TEST(all.got(two) == "T 1; D z; C SELECT 1; Z I");
}

BOOST_AUTO_TEST_CASE(B101_not_given_away_while_more_is_on_its_way) {
  rig all({}, {.in = delivery::order::lazy});
  rig_client& one = all.client();
  rig_client& two = all.client();
  all.send(one, p("", "SELECT 'a'") + b("") + e() + s() + b(""));
  all.send(two, q("SELECT 'z'"));
  BOOST_TEST((one.server != nullptr));
  BOOST_TEST(all.got(two) == "");
  all.send(one, e() + s());
  BOOST_TEST(all.got(one) == "1; 2; D a; C SELECT 1; Z I; 2; D a; C SELECT 1; Z I");
  BOOST_TEST(all.got(two) == "T 1; D z; C SELECT 1; Z I");
}

BOOST_AUTO_TEST_CASE(B102_named_and_unnamed_mixed) {
  std::string batch;
  for (int i = 0; i < 6; ++i) {
    const std::string name = "s" + std::to_string(i % 3);
    batch += (i < 3 ? p(name, "SELECT '" + name + "'") : "") + b(name) + e() + exec_params("SELECT 'u" + name + "'");
  }
  check({batch, batch});
}

BOOST_AUTO_TEST_CASE(B103_what_is_prepared_is_not_waited_for) {
  rig all({}, {.in = delivery::order::lazy});
  rig_client& client = all.client();
  std::string batch;
  for (int i = 0; i < 20; ++i)
    batch += p("s" + std::to_string(i), "SELECT '" + std::to_string(i) + "'") + b("s" + std::to_string(i)) + e() + s();
  all.queue(client, batch);
  while (!client.outgoing.empty() || client.wants_server)
    all.step();
  BOOST_TEST(client.output == "");
  BOOST_TEST(client.input == "");
  all.run();
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(B104_a_check_out_that_fails) {
  protocol::client_session client;
  protocol::exchange_counts counts;
  protocol::statement_cache cache;
  const protocol::exchange_rules rules{.cache = &cache, .counts = &counts};
  client.rules = &rules;
  const std::string error = raw('E', std::string("C53300\0Mno\0\0", 12));
  struct row {
    std::string sent;
    std::string expected;
  };
  const row table[] = {
      {q("SELECT 1"), "E 53300 no; Z I"},
      {exec_params("SELECT 1"), "E 53300 no; Z I"},
      {p("", "SELECT 1") + h() + b("") + e() + s() + s(), "E 53300 no; Z I; Z I"},
      {b("x") + q("SELECT 1") + s(), "E 53300 no; Z I"},
      {raw('F', "body"), "E 53300 no; Z I"},
  };
  for (const row& one : table)
    for (std::size_t piece = 1; piece <= one.sent.size(); ++piece) {
      std::string input;
      std::string output;
      for (std::size_t at = 0; at < one.sent.size(); at += piece) {
        input.append(one.sent, at, piece);
        for (bool again = true; again;) {
          protocol::gather to_server;
          protocol::gather to_client;
          const protocol::client_step step = protocol::from_client(client, nullptr, input, to_server, to_client);
          input.erase(0, step.consumed);
          again = step.verdict == protocol::client_verdict::need_server;
          if (again) input.erase(0, protocol::refuse_next(client, input, error, to_client));
          for (std::size_t i = 0; i < to_client.pieces(); ++i)
            output.append(to_client.at(i));
          BOOST_TEST(to_server.empty());
        }
      }
      BOOST_TEST(joined(lines_of(output)) == one.expected);
      BOOST_TEST(!client.in_batch);
    }
}

BOOST_AUTO_TEST_CASE(B105_flush_and_sync_anywhere) {
  check({s(), s() + s() + s(), h() + s(), q("SELECT 'a'") + s() + s() + h() + q("SELECT 'b'"), h(), s()});
  check({p("", "SELECT 'a'") + s() + s() + b("") + h() + h() + e() + s() + s()});
  check({q(""), q(";"), p("", "") + b("") + dp() + e() + s(), q("SELECT 1;;SELECT 2;")});
}

BOOST_AUTO_TEST_CASE(B105_sync_with_nothing_needs_no_server) {
  rig all({.servers = 0});
  rig_client& client = all.client();
  all.send(client, s() + h() + s() + copy_data("late") + copy_done() + cs("nothing") + s());
  BOOST_TEST(all.got(client) == "Z I; Z I; 3; Z I");
}

BOOST_AUTO_TEST_CASE(B062_B063_transactions_and_errors) {
  check({q("BEGIN"), q("FAIL"), q("SELECT 'x'"), exec_params("SELECT 'x'"), q("ROLLBACK"), q("SELECT 'y'")});
  check({q("BEGIN; SELECT 1; COMMIT; SELECT 2"), q("BEGIN; SELECT 1"), q("FAIL; SELECT 1"), q("COMMIT")});
  check({exec_params("BEGIN"), exec_params("SELECT 'x'"), exec_params("FAIL"), exec_params("COMMIT")});
  check({q("SELECT 'a'; FAIL; SELECT 'b'"), q("SELEC"), q("SELECT 'c'")});
}

BOOST_AUTO_TEST_CASE(a_simple_query_ends_a_batch) {
  check({p("", "SELECT 'a'") + b("") + e() + q("SELECT 'b'"), q("SELECT 'c'")});
  check({p("s1", "SELECT 'a'") + s(), b("s1") + e() + q("DEALLOCATE s1"), s()});
  rig all;
  rig_client& client = all.client();
  all.send(client, p("s1", "SELECT 'a'") + q("SELECT 'b'"));
  BOOST_TEST((client.server == nullptr));
}

BOOST_AUTO_TEST_CASE(function_calls) {
  check({raw('F', "body"), q("BEGIN") + raw('F', "body"), q("COMMIT")});
}

// -- SQL PREPARE ------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B057_B058_sql_prepare_and_execute_anywhere) {
  check({q("PREPARE s1 AS SELECT 'a'"), q("EXECUTE s1"), q("EXECUTE s1"), b("s1") + e() + s(), q("DEALLOCATE s1"),
         q("EXECUTE s1")});
  check({q("PREPARE s1 (int) AS SELECT $1"), q("EXECUTE s1(1)"), q("EXECUTE s1(2)"), q("DEALLOCATE s1"),
         q("EXECUTE s1(3)")});
  check({q("PREPARE s1 AS SELECT $1"), q("EXECUTE s1('x')"), b("s1", {"y"}) + e() + s(), cs("s1") + s(),
         q("EXECUTE s1('z')")});
  check({q("PREPARE s1 AS SELECT 'a'"), q("PREPARE s1 AS SELECT 'b'"), q("EXECUTE s1")});
  check({p("s1", "SELECT 'a'") + s(), q("PREPARE s1 AS SELECT 'b'"), q("EXECUTE s1")});
  check({q("PREPARE s1 AS SELECT 'a'; EXECUTE s1; DEALLOCATE s1; PREPARE s1 AS SELECT 'b'"), q("EXECUTE s1")});
  check({q("PREPARE s1 AS SELECT 'a'; FAIL"), q("EXECUTE s1")});
  check({q("PREPARE s1 AS SELECT * FROM nowhere"), q("EXECUTE s1"), q("PREPARE s1 AS SELECT 'b'"), q("EXECUTE s1")});
  check({q("BEGIN"), q("PREPARE s1 AS SELECT 'a'"), q("FAIL"), q("EXECUTE s1"), q("ROLLBACK"), q("EXECUTE s1")});
  check({q("PREPARE \"Mixed Name\" AS SELECT 'a'"), q("EXECUTE \"Mixed Name\""), q("EXECUTE mixed")});
  check({exec_params("PREPARE s1 AS SELECT 'a'"), exec_params("EXECUTE s1"), exec_params("DEALLOCATE s1"),
         exec_params("EXECUTE s1")});
}

BOOST_AUTO_TEST_CASE(B058_statements_without_a_name) {
  for (const char* sql :
       {"PREPARE", "EXECUTE", "DEALLOCATE", "PREPARE AS SELECT 1", "PREPARE x", "PREPARE (int) AS SELECT 1",
        "EXECUTE;PREPARE;DEALLOCATE", "PREPARE \"\" AS SELECT 1", "DEALLOCATE PREPARE"})
    for (const std::string& sent : {q(sql), p("", sql) + b("") + e() + s()}) {
      protocol::statement_cache cache;
      protocol::exchange_counts counts;
      const protocol::exchange_rules rules{.cache = &cache, .counts = &counts};
      protocol::client_session client;
      client.rules = &rules;
      protocol::server_session server;
      server.rules = &rules;
      protocol::gather to_server;
      protocol::gather to_client;
      const protocol::client_step step = protocol::from_client(client, &server, sent, to_server, to_client);
      BOOST_TEST(step.consumed == sent.size());
      std::string out;
      to_server.move_to(out, 0);
      // Without a name there is nothing to replace.
      if (std::string_view(sql) != "PREPARE x" && std::string_view(sql) != "PREPARE AS SELECT 1")
        BOOST_TEST(out.find(sql) != std::string::npos);
    }
}

BOOST_AUTO_TEST_CASE(B057_one_client_prepares_what_another_has) {
  rig all;
  rig_client& one = all.client();
  rig_client& two = all.client();
  for (rig_client* client : {&one, &two, &one}) {
    all.send(*client, q("PREPARE s1 AS SELECT '" + std::to_string(client->session.id) + "'"));
    all.send(*client, q("EXECUTE s1"));
    BOOST_TEST(all.got(*client) ==
               "C PREPARE; Z I; T 1; D " + std::to_string(client->session.id) + "; C SELECT 1; Z I");
    all.send(*client, q("DEALLOCATE s1"));
    all.got(*client);
  }
  BOOST_TEST(all.problems() == "");
}

// -- COPY -------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B106_copy_out) {
  check({q("COPY t TO STDOUT"), exec_params("COPY t TO STDOUT"), p("s1", "COPY t TO STDOUT") + s(), b("s1") + e() + s(),
         q("COPY t TO STDOUT; SELECT 'x'")});
}

BOOST_AUTO_TEST_CASE(B106_copy_in) {
  const std::string data = copy_data("1") + copy_data("2") + copy_done();
  check({q("COPY t FROM STDIN"), data, q("SELECT 'x'")});
  check({q("COPY t FROM STDIN") + data, q("SELECT 'x'")});
  check({q("COPY t FROM STDIN; SELECT 'y'; COPY t FROM STDIN"), data, copy_data("3"), copy_done(), q("SELECT 'x'")});
  check({p("", "COPY t FROM STDIN") + b("") + e() + data + s(), q("SELECT 'x'")});
  check({p("s1", "COPY t FROM STDIN") + s(), b("s1") + e() + h(), data + s(), q("SELECT 'x'")});
  // libpq: a Sync behind Execute, which the server ignores, and another behind CopyDone.
  check({exec_params("COPY t FROM STDIN"), data + s(), q("SELECT 'x'")});
  check({q("BEGIN"), exec_params("COPY t FROM STDIN"), copy_data("1"), copy_data("2"), copy_done() + s(), q("COMMIT")});
  check({q("COPY t FROM STDIN") + copy_data("1") + s() + h() + copy_done(), q("SELECT 'x'")});
}

BOOST_AUTO_TEST_CASE(B107_copy_in_that_fails_before_its_end) {
  const std::string data = copy_data("1") + copy_data("bad") + copy_data("2") + copy_done();
  check({q("COPY t FROM STDIN"), copy_data("bad"), copy_data("2") + copy_done(), q("SELECT 'x'")});
  check({q("COPY t FROM STDIN"), data, q("SELECT 'x'")});
  check({q("COPY t FROM STDIN") + data, q("COPY t FROM STDIN"), copy_data("3") + copy_done()});
  check({q("BEGIN"), q("COPY t FROM STDIN"), data, q("SELECT 'x'"), q("ROLLBACK")});
  check({q("COPY nowhere FROM STDIN") + data, q("COPY t FROM STDIN"), copy_data("3") + copy_done()});
  check({q("COPY refusing FROM STDIN") + data, q("SELECT 'x'")});
  check({p("", "COPY t FROM STDIN") + b("") + e() + data + s(), q("SELECT 'x'")});
  check({p("", "COPY t FROM STDIN") + b("") + e() + h(), data + s(), q("SELECT 'x'")});
  check({p("", "COPY nowhere FROM STDIN") + b("") + e() + data + s(), q("SELECT 'x'")});
  check({exec_params("COPY t FROM STDIN"), data + s(), q("SELECT 'x'")});
  check({exec_params("COPY t FROM STDIN"), copy_data("bad"), copy_data("1"), copy_done() + s(), q("SELECT 'x'")});
  check({q("BEGIN"), exec_params("COPY t FROM STDIN"), copy_data("bad"), copy_done() + s(), q("ROLLBACK")});
  check({q("COPY nowhere FROM STDIN") + data + p("", "COPY t FROM STDIN") + b("") + e() + h(),
         copy_data("1") + copy_done() + s(), q("SELECT 'x'")});
}

BOOST_AUTO_TEST_CASE(B107_late_copy_data_needs_no_server) {
  rig all;
  rig_client& client = all.client();
  rig_client& other = all.client();
  all.send(client, q("COPY t FROM STDIN"));
  all.send(client, copy_data("bad"));
  BOOST_TEST(all.got(client) == "G; E 22P02 invalid input syntax; Z I");
  all.send(other, q("BEGIN"));
  all.send(client, copy_data("2") + copy_data(std::string(100'000, 'x')) + copy_done());
  BOOST_TEST((client.server == nullptr));
  BOOST_TEST(client.input == "");
  all.send(other, q("COMMIT"));
  all.send(client, q("SELECT 'x'"));
  BOOST_TEST(all.got(client) == "T 1; D x; C SELECT 1; Z I");
}

BOOST_AUTO_TEST_CASE(B108_copy_fail) {
  check({q("COPY t FROM STDIN"), copy_data("1") + copy_fail("no more"), q("SELECT 'x'")});
  check({exec_params("COPY t FROM STDIN"), copy_data("1") + copy_fail("no more") + s(), q("SELECT 'x'")});
  check({q("BEGIN"), q("SELECT 'a'; COPY t FROM STDIN; SELECT 'b'"), copy_fail("why"), q("ROLLBACK")});
  check({p("", "COPY t FROM STDIN") + b("") + e() + copy_fail("why") + s(), q("SELECT 'x'")});
}

BOOST_AUTO_TEST_CASE(B107_copy_that_fails_before_it_reads) {
  // A BEFORE STATEMENT trigger: the Sync behind Execute is answered after all, and so is the second one.
  toy_database database;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    rig all({}, {.in = delivery::order::random, .random = &random});
    all.elsewhere("CREATE TABLE refusing");
    rig_client& client = all.client();
    rig_client& other = all.client();
    all.queue(client, exec_params("COPY refusing FROM STDIN"));
    while (client.output.find('G') == std::string::npos)
      all.step();
    all.queue(client, copy_data("1") + copy_done() + s());
    all.queue(other, q("SELECT 'mine'"));
    all.run();
    const std::string had = all.got(client);
    BOOST_TEST(had == "1; 2; n; G; E P0001 a trigger refuses; Z I; Z I", "seed " << seed << ": " << had);
    BOOST_TEST(all.got(other) == "T 1; D mine; C SELECT 1; Z I");
    BOOST_TEST(all.problems() == "");
    all.send(client, q("SELECT 'x'"));
    BOOST_TEST(all.got(client) == "T 1; D x; C SELECT 1; Z I");
  }
}

BOOST_AUTO_TEST_CASE(B109_many_rows_in_any_chunks) {
  std::string rows;
  for (int i = 0; i < 1'000; ++i)
    rows += copy_data("row " + std::to_string(i));
  const scenario what{.sent = {q("COPY t FROM STDIN"), rows, copy_done(), q("SELECT 'x'")}};
  for (const std::size_t piece : {0, 1, 3, 1'000})
    for (const auto in : {delivery::order::eager, delivery::order::lazy})
      BOOST_TEST(difference(what, {}, {.in = in, .piece = piece}, true) == "");
}

BOOST_AUTO_TEST_CASE(B110_the_same_server_serves_on_after_an_error_of_copy) {
  rig all;
  rig_client& client = all.client();
  for (const std::string& start : {q("COPY t FROM STDIN"), exec_params("COPY t FROM STDIN")})
    for (const std::string& end : {copy_data("bad") + copy_done(), copy_fail("x"), copy_data("1") + copy_data("bad")}) {
      all.send(client, start);
      all.send(client, end + s());
      all.got(client);
      all.send(client, q("SELECT 'x'"));
      BOOST_TEST(all.got(client) == "T 1; D x; C SELECT 1; Z I");
    }
  BOOST_TEST(all.server(0).closed == 0);
  BOOST_TEST(all.problems() == "");
}

BOOST_AUTO_TEST_CASE(a_copy_without_its_second_sync_keeps_the_server) {
  rig all;
  rig_client& client = all.client();
  all.send(client, exec_params("COPY t FROM STDIN"));
  all.send(client, copy_data("1") + copy_done());
  BOOST_TEST((client.server != nullptr));
  BOOST_TEST(!protocol::releasable(client.server->session, client.session));
  all.send(client, s());
  BOOST_TEST((client.server == nullptr));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace pg_edge::test
