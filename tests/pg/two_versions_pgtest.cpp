// Processes of this version beside those of an earlier one, which tests/earlier_version has built from the repository's
// history: PG_EDGE_EARLIER names it. Every upgrade has such an hour, and so has every way back.
#include "tests/pg/cluster_support.hpp"
#include "tests/pg/edges_support.hpp"
#include "tests/pg/takeover_support.hpp"

#include <cstdlib>

using namespace pg_edge::test;

namespace {

pg_edge_options earlier() {
  const char* program = std::getenv("PG_EDGE_EARLIER");
  if (program == nullptr) throw test_failure("PG_EDGE_EARLIER is not set: run tests/earlier_version");
  pg_edge_options how;
  how.program = program;
  return how;
}

/// What one node is told, every node knows: written through each, read from each.
void expect_one_store(nodes& all, int round) {
  for (std::size_t written = 0; written < all.size(); ++written) {
    const std::string name = "made_" + std::to_string(round) + "_" + std::to_string(written);
    const answer made = ask(all.api(written), "POST", "/v1/databases",
                            R"({"database": ")" + name + R"(", "host": "127.0.0.1", "port": 1})");
    BOOST_TEST(made.status == 201, made.body);
    for (std::size_t read = 0; read < all.size(); ++read)
      BOOST_TEST(wait_for([&] { return ask(all.api(read), "GET", "/v1/databases/default/" + name).status == 200; }),
                 name << " at n" << read);
  }
}

/// Each node in turn is drained and started again as `next`, while clients work on all of them.
void restart_each_as(nodes& all, roaming_clients& clients, const pg_edge_options& next, int round) {
  for (std::size_t victim = 0; victim < all.size(); ++victim) {
    const std::size_t asked = (victim + 1) % all.size();
    all.drain(victim);
    BOOST_TEST(clients.progress(100), clients.wrong());
    all[victim].start(next);
    all.require_agreement();
    BOOST_TEST(all.all_connected());
    const std::string mark = "versions " + std::to_string(round) + std::to_string(victim);
    sleep_and_cancel(all[victim], all[asked], protocol_3_0, mark);
    sleep_and_cancel(all[asked], all[victim], protocol_3_0, mark);
    BOOST_TEST(clients.progress(200), clients.wrong());
    for (std::size_t i = 0; i < all.size(); ++i)
      BOOST_TEST(!all[i].log_contains("event=node_refused"), all[i].log());
    expect_one_store(all, round * 10 + static_cast<int>(victim));
  }
}

void back_and_forth(int size) {
  nodes all(drained_nodes(size));
  all.require_agreement();
  const backend_watcher watcher(postgres::shared(), "trust_user");
  roaming_clients clients(all.conninfos(), std::vector<long>(9, 0));
  BOOST_REQUIRE_MESSAGE(clients.progress(100), clients.wrong());
  restart_each_as(all, clients, earlier(), 1);
  restart_each_as(all, clients, {}, 2);
  clients.expect_no_loss(watcher, size);
}

} // namespace

BOOST_AUTO_TEST_SUITE(two_versions_pgtest)

BOOST_AUTO_TEST_CASE(nodes_of_a_small_pool_go_back_to_the_earlier_version_and_forth_again) {
  back_and_forth(2);
}

BOOST_AUTO_TEST_CASE(nodes_of_a_pool_that_is_everywhere_go_back_to_the_earlier_version_and_forth_again) {
  back_and_forth(12);
}

BOOST_AUTO_TEST_CASE(processes_of_both_versions_take_over_from_each_other) {
  takeover_node node;
  busy_clients clients;
  clients.start(node, 8);
  for (int round = 0; round < 3; ++round)
    for (const pg_edge_options& next : {earlier(), pg_edge_options{}}) {
      BOOST_TEST(clients.progress(200), clients.last_error());
      node.take_over(next);
      BOOST_TEST_REQUIRE(node.former_ends());
    }
  BOOST_TEST(clients.progress(200), clients.last_error());
  clients.stop();
  BOOST_TEST(clients.errors() == 0, clients.last_error());
}

BOOST_AUTO_TEST_SUITE_END()
