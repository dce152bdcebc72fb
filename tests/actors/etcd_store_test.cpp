// The etcd engine against a real etcd: every promise of the store, and what is its own: members that are away or do not
// answer, TLS on both sides, a history that was compacted, and answers that make no sense.
#include "actors/etcd_json.hpp"
#include "actors/etcd_store.hpp"
#include "etcd_process.hpp"
#include "store_conformance.hpp"
#include "tests/support/certificates.hpp"

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <future>
#include <mutex>

using namespace pg_edge::actors;
using namespace pg_edge::cluster;
using namespace std::chrono_literals;

namespace {

std::unique_ptr<etcd_store> opened(std::vector<std::string> endpoints) {
  return std::make_unique<etcd_store>(etcd_access{std::move(endpoints), {}, {}, {}});
}

/// Where nobody listens.
std::string nowhere() {
  return "http://127.0.0.1:" + std::to_string(pg_edge::test::free_port());
}

} // namespace

BOOST_AUTO_TEST_SUITE(etcd_store_test)

BOOST_DATA_TEST_CASE(conforms, boost::unit_test::data::make(store_conformance())) {
  const etcd_process server;
  sample.check({[&server] { return opened({server.url()}); }});
}

BOOST_AUTO_TEST_CASE(an_endpoint_that_is_away_is_passed_over) {
  const etcd_process server;
  const auto one = opened({nowhere(), server.url(), nowhere()});
  for (int i = 0; i < 3; ++i)
    BOOST_TEST(set_now(*one, "/a" + std::to_string(i), "1", 0).ok());
  BOOST_TEST(get_now(*one, "/a2").entries.at(0).value == "1");
}

BOOST_AUTO_TEST_CASE(nobody_there_is_an_answer_and_when_somebody_is_it_works) {
  etcd_process server;
  const auto one = opened({server.url()});
  BOOST_TEST(set_now(*one, "/a", "1", 0).ok());
  server.kill();
  const auto write = set_now(*one, "/b", "1", 0);
  BOOST_TEST((write.outcome == store_outcome::unavailable));
  BOOST_TEST(write.why.find(server.url()) != std::string::npos, write.why);
  BOOST_TEST((get_now(*one, "/a").outcome == store_outcome::unavailable));
  server.restart();
  BOOST_TEST(get_now(*one, "/a").entries.size() == 1U);
  BOOST_TEST(set_now(*one, "/b", "1", 0).ok());
}

BOOST_AUTO_TEST_CASE(a_write_that_was_sent_and_is_not_answered_is_unknown_and_a_read_is_unavailable) {
  etcd_process server;
  const auto one = opened({server.url()});
  BOOST_TEST(set_now(*one, "/a", "1", 0).ok());
  server.signal(SIGSTOP);
  const auto begin = std::chrono::steady_clock::now();
  BOOST_TEST((set_now(*one, "/b", "1", 0).outcome == store_outcome::unknown));
  BOOST_TEST((get_now(*one, "/a").outcome == store_outcome::unavailable));
  BOOST_TEST((std::chrono::steady_clock::now() - begin < 3 * store_timeout));
  server.signal(SIGCONT);
}

BOOST_AUTO_TEST_CASE(a_watch_goes_on_behind_a_restart_without_a_gap) {
  etcd_process server;
  std::mutex mutex; // these outlive the store, which may tell its watcher until it closes
  std::vector<std::string> values;
  const auto one = opened({server.url()});
  one->watch("/w", 0, [&](const store_event& event) {
    const std::lock_guard held(mutex);
    for (const store_change& change : event.changes)
      values.push_back(event.lost ? "lost" : change.value.value_or("gone"));
  });
  std::vector<std::string> expected;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 5; ++i) {
      expected.push_back(std::to_string(round * 5 + i));
      BOOST_TEST(commit_now(*one, {{"/w", expected.back(), std::nullopt, 0, false}}).ok());
    }
    server.restart();
  }
  BOOST_TEST(pg_edge::test::wait_for(
      [&] {
        const std::lock_guard held(mutex);
        return values.size() >= expected.size();
      },
      30s));
  const std::lock_guard held(mutex);
  BOOST_TEST(values == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_watch_behind_a_compaction_says_that_it_is_lost) {
  const etcd_process server;
  std::promise<store_event> told; // outlives the store
  const auto one = opened({server.url()});
  for (int i = 0; i < 5; ++i)
    BOOST_TEST(commit_now(*one, {{"/w", std::to_string(i), std::nullopt, 0, false}}).ok());
  const auto now = get_now(*one, "/w").revision;
  pg_edge::test::process_options options;
  options.environment = {"ETCDCTL_API=3"};
  const auto done =
      pg_edge::test::run({"etcdctl", "--endpoints=" + server.url(), "compact", std::to_string(now)}, 30s, options);
  BOOST_REQUIRE_MESSAGE(done.status == 0, done.err);
  one->watch("/w", 1, [&](store_event event) { told.set_value(std::move(event)); });
  const store_event event = told.get_future().get();
  BOOST_TEST(event.lost);
  BOOST_TEST(event.why.find("history") != std::string::npos, event.why);
}

BOOST_AUTO_TEST_CASE(with_certificates_on_both_sides_and_without_them_it_is_refused) {
  const pg_edge::test::temp_dir folder;
  const pg_edge::test::certificate_authority authority;
  const auto leaf = authority.issue("node");
  pg_edge::test::write_file(folder / "ca", authority.certificate());
  pg_edge::test::write_file(folder / "crt", leaf.certificate);
  pg_edge::test::write_file(folder / "key", leaf.key);
  const etcd_process server(etcd_process::tls_arguments(folder / "ca", folder / "crt", folder / "key"), "https");
  etcd_store known({{server.url()}, folder / "ca", folder / "crt", folder / "key"});
  BOOST_TEST(set_now(known, "/a", "1", 0).ok());
  BOOST_TEST(get_now(known, "/a").entries.size() == 1U);
  etcd_store stranger({{server.url()}, folder / "ca", {}, {}});
  BOOST_TEST(!set_now(stranger, "/b", "1", 0).ok());
  etcd_store distrustful({{server.url()}, {}, folder / "crt", folder / "key"});
  const auto answer = set_now(distrustful, "/b", "1", 0);
  BOOST_TEST((answer.outcome == store_outcome::unavailable));
  BOOST_TEST(get_now(known, "/b").entries.empty());
}

// -- what is answered
// ----------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(answers_that_make_no_sense_are_an_outcome) {
  for (const char* body : {"", "{", "[]", "null", "{}", "\"text\"", "{\"header\":7}",
                           "{\"header\":{\"revision\":\"x\"}}", "{\"result\":{\"header\":{}}}"}) {
    BOOST_TEST((etcd::read_range(body).outcome == store_outcome::unknown), body);
    BOOST_TEST((etcd::read_commit(body, {}).outcome == store_outcome::unknown), body);
    BOOST_TEST((etcd::read_grant(body).outcome == store_outcome::unknown), body);
    BOOST_TEST((etcd::read_keep_alive(body).outcome == store_outcome::unknown), body);
  }
  for (const char* line : {"", "{", "{\"result\":7}", "{\"error\":{\"message\":\"no leader\"}}"})
    BOOST_TEST(!etcd::read_watch(line).ended.empty(), line);
  const auto strange = etcd::read_watch("{\"result\":{\"events\":[7,{\"kv\":[]},{\"type\":5}]}}");
  BOOST_TEST(strange.ended.empty());
}

BOOST_AUTO_TEST_CASE(the_end_of_a_prefix_is_the_first_key_behind_it) {
  BOOST_TEST(etcd::end_of_prefix("/a") == "/b");
  BOOST_TEST(etcd::end_of_prefix("a\xff") == "b");
  BOOST_TEST(etcd::end_of_prefix("") == std::string(1, '\0'));
  BOOST_TEST(etcd::end_of_prefix("\xff\xff") == std::string(1, '\0'));
}

BOOST_AUTO_TEST_CASE(what_is_known_of_a_write_that_failed) {
  BOOST_TEST(!etcd::failed(200, "{}").has_value());
  BOOST_TEST(etcd::failed(404, R"({"error":"etcdserver: requested lease not found"})")->no_such_lease);
  BOOST_TEST(!etcd::failed(503, R"({"error":"etcdserver: no leader"})")->unknown);
  BOOST_TEST(etcd::failed(503, R"({"error":"etcdserver: request timed out"})")->unknown);
  BOOST_TEST(!etcd::failed(429, R"({"error":"etcdserver: mvcc: database space exceeded"})")->unknown);
  BOOST_TEST(etcd::failed(200, "<html>")->unknown);
}

BOOST_AUTO_TEST_SUITE_END()
