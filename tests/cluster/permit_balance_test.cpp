#include "cluster/permit_balance.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <random>

using namespace pg_edge::cluster;

BOOST_AUTO_TEST_SUITE(permit_balance_test)

BOOST_AUTO_TEST_CASE(nothing_is_given_that_nobody_wants) {
  permit_balance ours(5);
  BOOST_TEST(!ours.look({0, 3, false}));
  BOOST_TEST(ours.allowed() == 5u);
  BOOST_TEST(ours.give(3) == 0u);
}

BOOST_AUTO_TEST_CASE(what_is_wanted_is_given_when_nothing_uses_it) {
  permit_balance ours(5);
  ours.other_wants(2);
  BOOST_TEST(ours.look({0, 5, false}));
  BOOST_TEST(ours.allowed() == 3u);
  BOOST_TEST(ours.give(5) == 0u); // servers are still there
  BOOST_TEST(ours.give(4) == 1u);
  BOOST_TEST(ours.give(3) == 1u);
  BOOST_TEST(ours.give(3) == 0u);
  BOOST_TEST(ours.has() == 3);
}

BOOST_AUTO_TEST_CASE(a_deserted_process_gives_all) {
  permit_balance ours(5);
  ours.look({0, 2, true});
  BOOST_TEST(ours.allowed() == 0u);
  BOOST_TEST(ours.give(2) == 3u);
  BOOST_TEST(ours.give(0) == 2u);
  BOOST_TEST(ours.has() == 0);
}

BOOST_AUTO_TEST_CASE(a_wish_that_is_taken_back_takes_nothing) {
  permit_balance ours(5);
  ours.other_wants(2);
  ours.look({0, 5, false});
  ours.other_wants(0);
  BOOST_TEST(ours.look({0, 5, false}));
  BOOST_TEST(ours.allowed() == 5u);
}

BOOST_AUTO_TEST_CASE(a_smaller_size_is_a_debt_first) {
  permit_balance ours(3 - 5); // of a size of 3, the other has 5
  BOOST_TEST(ours.allowed() == 0u);
  ours.receive(2);
  BOOST_TEST(ours.allowed() == 0u);
  ours.receive(1);
  BOOST_TEST(ours.allowed() == 1u);
}

// Two processes with clients that come and go, frames that take their time: the sum holds at every step, and nobody
// waits for ever, not even for a pool's only permit.
BOOST_AUTO_TEST_CASE(two_of_them_keep_the_sum_and_starve_nobody) {
  struct side {
    permit_balance balance{0};
    std::uint32_t waiting = 0, busy = 0, applied = 0, longest = 0, since = 0;
  };
  for (unsigned seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](unsigned n) { return static_cast<std::uint32_t>(random() % n); };
    const std::uint32_t size = 1 + below(6);
    side sides[2];
    sides[0].balance = permit_balance(size);
    std::uint32_t under_way[2] = {0, 0};
    const bool crowded = seed % 2 == 0;
    for (int turn = 0; turn < 3000; ++turn) {
      for (int i = 0; i < 2; ++i) {
        side& here = sides[i];
        here.waiting = std::min(here.waiting + (crowded ? 1 : below(2)), 8U);
        if (here.busy > 0 && below(3) == 0) --here.busy;
        const std::uint32_t free = here.applied > here.busy ? here.applied - here.busy : 0;
        const std::uint32_t served = std::min(free, here.waiting);
        here.busy += served;
        here.waiting -= served;
        here.since = served > 0 || here.waiting == 0 ? 0 : here.since + 1;
        here.longest = std::max(here.longest, here.since);
        sides[1 - i].balance.other_wants(std::min(here.waiting, size));
        here.balance.look({here.waiting, here.busy, false});
        here.applied = here.balance.allowed();
        under_way[1 - i] += here.balance.give(std::max(here.busy, here.applied));
        if (below(2) == 0) here.balance.receive(std::exchange(under_way[i], 0));
        here.applied = here.balance.allowed();
      }
      const auto sum = sides[0].balance.has() + sides[1].balance.has() + under_way[0] + under_way[1];
      BOOST_TEST_REQUIRE(sum == size);
      BOOST_TEST_REQUIRE(sides[0].busy + sides[1].busy <= size);
    }
    BOOST_TEST(std::max(sides[0].longest, sides[1].longest) < 120u, "seed " << seed);
  }
}

BOOST_AUTO_TEST_SUITE_END()
