// The supervised etcd: founded only by word, started again, found again by the next node when this one was killed, one
// process a data folder, members that join and leave.
#include "actors/etcd_child.hpp"
#include "actors/etcd_store.hpp"
#include "store_conformance.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/process.hpp"

#include <boost/test/unit_test.hpp>

#include <csignal>
#include <memory>
#include <sys/wait.h>
#include <unistd.h>

using namespace pg_edge::actors;
using namespace pg_edge::cluster;
using namespace std::chrono_literals;
using pg_edge::test::wait_for;

namespace {

etcd_child_options options_of(const std::string& folder, const std::string& name = "a") {
  etcd_child_options options;
  options.folder = folder;
  options.name = name;
  options.cluster = "blue";
  options.client_address = "127.0.0.1:" + std::to_string(pg_edge::test::free_port());
  options.peer_address = "127.0.0.1:" + std::to_string(pg_edge::test::free_port());
  return options;
}

bool serves(const etcd_child& child) {
  return wait_for([&] { return child.status().state == etcd_child_state::serving; }, 60s);
}

std::unique_ptr<etcd_store> store_of(const etcd_child& child) {
  return std::make_unique<etcd_store>(etcd_access{{child.endpoint()}, {}, {}, {}});
}

/// How many processes have this data folder.
int processes_on(const std::string& folder) {
  const auto found = pg_edge::test::run({"pgrep", "-c", "-f", "--", "--data-dir=" + folder + "/data"});
  return std::atoi(found.out.c_str());
}

} // namespace

BOOST_AUTO_TEST_SUITE(etcd_child_test)

BOOST_AUTO_TEST_CASE(it_is_founded_by_word_only_and_once) {
  const pg_edge::test::temp_dir folder;
  const auto options = options_of(folder / "etcd");
  std::string error;
  {
    etcd_child child(options);
    std::this_thread::sleep_for(300ms);
    BOOST_TEST((child.status().state == etcd_child_state::unfounded));
    BOOST_TEST(child.status().pid == 0);
    BOOST_REQUIRE_MESSAGE(child.found(error), error);
    BOOST_REQUIRE(serves(child));
    BOOST_TEST(set_now(*store_of(child), "/a", "kept", 0).ok());
    BOOST_TEST(!child.found(error));
    BOOST_TEST(error.find("already") != std::string::npos, error);
    BOOST_TEST(!child.leave(error));
    BOOST_TEST(error.find("last member") != std::string::npos, error);
    BOOST_TEST(processes_on(options.folder) == 1);
  }
  BOOST_TEST(processes_on(options.folder) == 0); // it went with its node
  etcd_child again(options);
  BOOST_REQUIRE(serves(again));
  BOOST_TEST(get_now(*store_of(again), "/a").entries.at(0).value == "kept");
}

BOOST_AUTO_TEST_CASE(one_that_ends_is_started_again) {
  const pg_edge::test::temp_dir folder;
  etcd_child child(options_of(folder / "etcd"));
  std::string error;
  BOOST_REQUIRE_MESSAGE(child.found(error), error);
  for (std::uint64_t round = 1; round <= 2; ++round) {
    BOOST_REQUIRE(serves(child));
    BOOST_TEST(child.status().starts == round);
    ::kill(child.status().pid, SIGKILL);
    BOOST_TEST(wait_for([&] { return child.status().starts == round + 1; }, 30s));
  }
  BOOST_REQUIRE(serves(child));
}

BOOST_AUTO_TEST_CASE(one_that_cannot_start_is_tried_again_and_says_why) {
  const pg_edge::test::temp_dir folder;
  auto options = options_of(folder / "etcd");
  options.program = "/nowhere/etcd";
  etcd_child child(options);
  std::string error;
  BOOST_REQUIRE_MESSAGE(child.found(error), error);
  BOOST_TEST(wait_for([&] { return child.status().state == etcd_child_state::pausing; }, 10s));
  BOOST_TEST(child.status().why.find("/nowhere/etcd") != std::string::npos, child.status().why);
}

BOOST_AUTO_TEST_CASE(after_kill_9_of_its_node_the_next_one_finds_it_running) {
  const pg_edge::test::temp_dir folder;
  const auto options = options_of(folder / "etcd");
  const pid_t node = ::fork();
  if (node == 0) { // a node that founds it, and is killed
    etcd_child child(options);
    std::string error;
    child.found(error);
    for (;;)
      ::pause();
  }
  const std::string serving = options.client_address;
  BOOST_TEST(wait_for(
      [&] {
        etcd_store store({{"http://" + serving}, {}, {}, {}});
        return set_now(store, "/a", "from before", 0).ok() || get_now(store, "/a").entries.size() == 1U;
      },
      60s));
  ::kill(node, SIGKILL);
  ::waitpid(node, nullptr, 0);
  BOOST_TEST(processes_on(options.folder) == 1); // it goes on
  {
    etcd_child next(options);
    BOOST_REQUIRE(serves(next));
    BOOST_TEST(next.status().adopted);
    BOOST_TEST(next.status().starts == 0U);
    BOOST_TEST(processes_on(options.folder) == 1);
    BOOST_TEST(get_now(*store_of(next), "/a").entries.at(0).value == "from before");
    // And when that one ends it is started again like any other.
    ::kill(next.status().pid, SIGKILL);
    BOOST_TEST(wait_for([&] { return next.status().starts == 1U; }, 30s));
    BOOST_REQUIRE(serves(next));
    BOOST_TEST(!next.status().adopted);
  }
  BOOST_TEST(processes_on(options.folder) == 0);
}

BOOST_AUTO_TEST_CASE(three_members_join_with_certificates_survive_the_loss_of_one_and_one_leaves) {
  const pg_edge::test::temp_dir folder;
  const pg_edge::test::certificate_authority authority;
  const auto leaf = authority.issue("node");
  pg_edge::test::write_file(folder / "ca", authority.certificate());
  pg_edge::test::write_file(folder / "crt", leaf.certificate);
  pg_edge::test::write_file(folder / "key", leaf.key);
  std::vector<std::unique_ptr<etcd_child>> members;
  std::vector<std::string> endpoints;
  std::string error;
  for (const std::string name : {"a", "b", "c"}) {
    auto options = options_of(folder / name, name);
    options.ca_file = folder / "ca";
    options.cert_file = folder / "crt";
    options.key_file = folder / "key";
    members.push_back(std::make_unique<etcd_child>(options));
    if (endpoints.empty())
      BOOST_REQUIRE_MESSAGE(members.back()->found(error), error);
    else
      BOOST_REQUIRE_MESSAGE(wait_for([&] { return members.back()->join(endpoints, error); }, 60s), error);
    BOOST_REQUIRE(serves(*members.back()));
    endpoints.push_back(members.back()->endpoint());
  }
  etcd_store store({endpoints, folder / "ca", folder / "crt", folder / "key"});
  BOOST_TEST(set_now(store, "/a", "1", 0).ok());
  BOOST_REQUIRE_MESSAGE(wait_for([&] { return members[2]->leave(error); }, 60s), error);
  BOOST_TEST((members[2]->status().state == etcd_child_state::unfounded));
  BOOST_TEST(!members[2]->founded());
  BOOST_TEST(wait_for([&] { return commit_now(store, {{"/b", "2", std::nullopt, 0, false}}).ok(); }, 60s));
  // It may come back, as a new member without data.
  BOOST_REQUIRE_MESSAGE(wait_for([&] { return members[2]->join({endpoints[0]}, error); }, 60s), error);
  BOOST_REQUIRE(serves(*members[2]));
  members[0].reset(); // its machine is gone; nobody removes it, and two of three go on
  BOOST_TEST(wait_for([&] { return commit_now(store, {{"/c", "3", std::nullopt, 0, false}}).ok(); }, 60s));
  BOOST_TEST(get_now(store, "/a").entries.at(0).value == "1");
}

BOOST_AUTO_TEST_SUITE_END()
