#include "cluster/memory_guard.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::cluster;

namespace {

constexpr std::uint64_t mb = 1024 * 1024;

memory_guard limited(std::uint64_t limit) {
  memory_guard guard;
  guard.configure(limit);
  return guard;
}

using positions = std::vector<std::size_t>;

} // namespace

BOOST_AUTO_TEST_SUITE(memory_guard_test)

BOOST_AUTO_TEST_CASE(without_a_limit_it_is_calm) {
  memory_guard guard;
  BOOST_TEST(!guard.sample(1'000'000 * mb));
  BOOST_TEST((guard.state() == memory_state::calm));
  BOOST_TEST(guard.choose({{1, 1'000 * mb, true}}).empty());
}

BOOST_AUTO_TEST_CASE(B196_at_the_limit_it_refuses_and_beyond_it_sheds) {
  memory_guard guard = limited(100 * mb);
  BOOST_TEST(!guard.sample(99 * mb));
  BOOST_TEST(guard.sample(100 * mb));
  BOOST_TEST((guard.state() == memory_state::refusing));
  BOOST_TEST(!guard.sample(104 * mb));
  BOOST_TEST(guard.sample(105 * mb));
  BOOST_TEST((guard.state() == memory_state::shedding));
}

BOOST_AUTO_TEST_CASE(it_does_not_go_to_and_fro) {
  memory_guard guard = limited(100 * mb);
  guard.sample(106 * mb);
  BOOST_TEST(!guard.sample(101 * mb)); // sheds until the limit is kept ...
  BOOST_TEST(guard.sample(99 * mb));
  BOOST_TEST((guard.state() == memory_state::refusing));
  BOOST_TEST(!guard.sample(91 * mb)); // ... and lets nobody in before there is some room
  BOOST_TEST(!guard.sample(102 * mb));
  BOOST_TEST((guard.state() == memory_state::refusing));
  BOOST_TEST(guard.sample(89 * mb));
  BOOST_TEST((guard.state() == memory_state::calm));
  BOOST_TEST(!guard.sample(95 * mb)); // from below, refusing begins at the limit
}

BOOST_AUTO_TEST_CASE(growing_on_and_on_above_the_limit_is_too_much) {
  memory_guard guard = limited(1000 * mb);
  guard.sample(1000 * mb);
  for (unsigned i = 1; i + 1 < memory_guard::growing_samples; ++i) // the first one counts: it was above the one before
    BOOST_TEST(!guard.sample((1000 + i) * mb), i);
  BOOST_TEST(guard.sample((1000 + memory_guard::growing_samples) * mb));
  BOOST_TEST((guard.state() == memory_state::shedding));

  memory_guard steady = limited(1000 * mb);
  for (unsigned i = 0; i < 10 * memory_guard::growing_samples; ++i)
    steady.sample((1000 + i % 7) * mb);
  BOOST_TEST((steady.state() == memory_state::refusing));
}

BOOST_AUTO_TEST_CASE(a_limit_may_be_taken_away_or_changed) {
  memory_guard guard = limited(100 * mb);
  guard.sample(200 * mb);
  guard.configure(1000 * mb);
  BOOST_TEST(guard.sample(200 * mb));
  BOOST_TEST((guard.state() == memory_state::calm));
  guard.configure(100 * mb);
  BOOST_TEST(guard.sample(200 * mb));
  guard.configure(0);
  BOOST_TEST(guard.sample(200 * mb));
  BOOST_TEST((guard.state() == memory_state::calm));
}

BOOST_AUTO_TEST_CASE(B196_the_largest_that_wait_go_first_and_no_more_than_needed) {
  memory_guard guard = limited(100 * mb);
  guard.sample(120 * mb);
  const std::vector<memory_holder> all{
      {1, 10 * mb, true}, {2, 15 * mb, true}, {3, 50 * mb, false}, {4, 1 * mb, true}, {5, 15 * mb, true}};
  BOOST_TEST((guard.choose(all) == positions{1, 4})); // 30 MB of the 20 that are too many
  BOOST_TEST((guard.choose({all[0], all[2], all[3]}) == positions{0, 2, 1}));
  BOOST_TEST(guard.choose({}).empty());
}

BOOST_AUTO_TEST_CASE(who_holds_next_to_nothing_is_left_alone_and_few_go_at_a_time) {
  memory_guard guard = limited(100 * mb);
  guard.sample(1000 * mb);
  BOOST_TEST(guard.choose({{1, memory_guard::least_held - 1, true}}).empty());
  const std::vector<memory_holder> many(1000, memory_holder{1, memory_guard::least_held, true});
  BOOST_TEST(guard.choose(many).size() == memory_guard::most_ended);
}

BOOST_AUTO_TEST_CASE(nobody_is_ended_unless_shedding) {
  memory_guard guard = limited(100 * mb);
  guard.sample(101 * mb);
  BOOST_TEST(guard.choose({{1, 50 * mb, true}}).empty());
}

BOOST_AUTO_TEST_CASE(the_allocator_gives_back_what_is_a_burst_and_keeps_what_is_small_change) {
  BOOST_TEST(!memory_guard::trim_due(40 * mb, 20 * mb));
  BOOST_TEST(memory_guard::trim_due(100 * mb, 20 * mb));
  BOOST_TEST(!memory_guard::trim_due(1000 * mb, 800 * mb));
  BOOST_TEST(memory_guard::trim_due(1000 * mb, 700 * mb));
  BOOST_TEST(!memory_guard::trim_due(100 * mb, 200 * mb)); // counted a moment later, or not counted at all
}

BOOST_AUTO_TEST_SUITE_END()
