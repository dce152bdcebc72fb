#include "cluster/backend_search.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::cluster;

namespace {

/// A node whose last roster, heard 12 s ago, named pid 10; it was seen to have departed 10 s ago.
dead_life_backends dead_node() {
  return {{{10, 60'000}}, {20}, 12'000, 10'000};
}

} // namespace

BOOST_AUTO_TEST_SUITE(backend_search_test)

BOOST_AUTO_TEST_CASE(what_the_roster_names_is_ended) {
  const auto found = search_backends({{10, 61'000}}, dead_node());
  BOOST_TEST(found.to_end == std::vector<std::int32_t>{10});
  BOOST_TEST(found.to_wait_for.empty());
  BOOST_TEST(!found.none_left());
}

BOOST_AUTO_TEST_CASE(a_pid_used_again_is_left_alone) {
  const auto found = search_backends({{10, 500}}, dead_node());
  BOOST_TEST(found.to_end.empty());
  BOOST_TEST(found.none_left()); // it began after the node was gone
}

BOOST_AUTO_TEST_CASE(backends_of_living_nodes_and_old_sessions_of_others_do_not_count) {
  BOOST_TEST(search_backends({{20, 4000}, {30, 3'600'000}}, dead_node()).none_left());
}

BOOST_AUTO_TEST_CASE(what_may_have_been_opened_after_the_last_roster_is_waited_for_and_not_ended) {
  const auto found = search_backends({{40, 11'000}}, dead_node());
  BOOST_TEST(found.to_end.empty());
  BOOST_TEST(found.to_wait_for == std::vector<std::int32_t>{40});
}

BOOST_AUTO_TEST_CASE(without_any_roster_everything_older_than_the_death_is_waited_for) {
  dead_life_backends dead;
  dead.departed_ms = 5000;
  const auto found = search_backends({{40, 4000}, {41, 2000}, {42, 3'600'000}}, dead);
  BOOST_TEST((found.to_wait_for == std::vector<std::int32_t>{40, 42}));
}

BOOST_AUTO_TEST_SUITE_END()
