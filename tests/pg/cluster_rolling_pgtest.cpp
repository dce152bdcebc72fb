// A rolling restart of all nodes of a cluster, under load, behind HAProxy: no transaction fails, and the pool's size
// holds throughout.
#include "tests/pg/cluster_support.hpp"

using namespace pg_edge::test;

namespace {

void roll(int size) {
  nodes all(drained_nodes(size));
  all.require_agreement();
  balancer front({&all});
  const backend_watcher watcher(postgres::shared(), "trust_user");
  // Some stay connected until they are told to go, some make a connection for each transaction or every few.
  roaming_clients clients({front.conninfo()}, {0, 0, 0, 0, 0, 0, 1, 1, 3, 3});
  BOOST_REQUIRE_MESSAGE(clients.progress(100), clients.wrong());
  for (std::size_t victim = 0; victim < 3; ++victim) {
    all.drain(victim, {"--notice", "2"});
    BOOST_TEST(clients.progress(100), clients.wrong());
    all[victim].start();
    all.require_agreement();
    BOOST_TEST(wait_for([&] { return ask(all.api(victim), "GET", "/readyz").status == 200; }));
    BOOST_TEST(clients.progress(100), clients.wrong());
  }
  clients.expect_no_loss(watcher, size);
  BOOST_TEST(front.running());
  BOOST_TEST(watcher.samples() > 100);
}

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_rolling_pgtest)

BOOST_AUTO_TEST_CASE(B162_all_nodes_are_restarted_behind_haproxy_with_a_small_pool) {
  roll(3);
}

BOOST_AUTO_TEST_CASE(B162_all_nodes_are_restarted_behind_haproxy_with_a_pool_that_is_everywhere) {
  roll(12);
}

BOOST_AUTO_TEST_SUITE_END()
