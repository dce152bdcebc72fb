// Durations in buckets.
#include "actors/meter_reading.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <random>

using namespace pg_edge::actors;

BOOST_AUTO_TEST_SUITE(histogram_test)

BOOST_AUTO_TEST_CASE(buckets_meet_without_gap_and_are_narrow) {
  for (std::size_t i = 0; i + 1 < duration_bucket::count; ++i) {
    const std::uint64_t low = duration_bucket::lower(i), high = duration_bucket::upper(i);
    BOOST_TEST(low < high);
    BOOST_TEST(duration_bucket::of(low) == i);
    BOOST_TEST(duration_bucket::of(high - 1) == i);
    BOOST_TEST(duration_bucket::of(high) == i + 1);
    BOOST_TEST((high - low) * 4 <= std::max<std::uint64_t>(low, 4));
  }
  BOOST_TEST(duration_bucket::of(~std::uint64_t{0}) == duration_bucket::count - 1);
}

BOOST_AUTO_TEST_CASE(quantiles_are_right_within_a_quarter) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> spread(7, 2);
  duration_histogram dense;
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 20000; ++i) {
    const auto us = static_cast<std::uint64_t>(spread(random));
    dense.note(duration_bucket::of(us));
    all.push_back(us);
  }
  std::sort(all.begin(), all.end());
  sparse_histogram sparse;
  BOOST_TEST(dense.drain(sparse));
  sparse_histogram none;
  BOOST_TEST(!dense.drain(none)); // what was read is gone
  BOOST_TEST(none.empty());
  BOOST_TEST(sparse.total() == all.size());
  for (const double part : {0.01, 0.5, 0.95, 0.99, 0.999}) {
    const auto exact = static_cast<double>(all[static_cast<std::size_t>(part * 20000.0) - 1]);
    const auto said = static_cast<double>(sparse.quantile(part));
    BOOST_TEST(said >= exact * 0.79 - 1, part << ": " << said << " for " << exact);
    BOOST_TEST(said <= exact * 1.26 + 1, part << ": " << said << " for " << exact);
  }
}

BOOST_AUTO_TEST_CASE(the_parts_of_a_sum_are_merged_exactly) {
  duration_histogram a, b, both;
  for (std::uint64_t us = 0; us < 5000; us += 7) {
    (us % 2 == 0 ? a : b).note(duration_bucket::of(us));
    both.note(duration_bucket::of(us));
  }
  sparse_histogram merged, second, whole;
  a.drain(merged);
  b.drain(second);
  both.drain(whole);
  merged.merge(second);
  BOOST_TEST((merged.counts() == whole.counts()));
}

BOOST_AUTO_TEST_CASE(counts_below_a_border_are_exact) {
  duration_histogram dense;
  for (std::uint64_t us = 0; us < 1000; ++us)
    dense.note(duration_bucket::of(us));
  sparse_histogram sparse;
  dense.drain(sparse);
  BOOST_TEST(sparse.below(128) == 128u);
  BOOST_TEST(sparse.below(512) == 512u);
  BOOST_TEST(sparse.below(1024) == 1000u);
}

BOOST_AUTO_TEST_CASE(the_durations_of_a_share_are_read_with_their_sums) {
  share_times times;
  using std::chrono::microseconds;
  times.note(timed::query, share_times::measure(microseconds(1500)));
  times.note(timed::query, share_times::measure(microseconds(500)));
  times.note(timed::wait, share_times::measure(microseconds(-3))); // a clock that stood still
  timed_histograms read;
  times.drain(read);
  const auto& query = read[static_cast<std::size_t>(timed::query)];
  BOOST_TEST(query.total() == 2U);
  BOOST_TEST(query.sum() == 2000U);
  BOOST_TEST(read[static_cast<std::size_t>(timed::wait)].below(1) == 1U);
  times.note(timed::query, share_times::measure(microseconds(70)));
  timed_histograms more;
  times.drain(more);
  BOOST_TEST(more[static_cast<std::size_t>(timed::query)].sum() == 70U); // what was read is not read again
  BOOST_TEST(times.sum(timed::query) == 2070U);
}

BOOST_AUTO_TEST_CASE(nothing_has_no_quantile) {
  BOOST_TEST(sparse_histogram().quantile(0.5) == 0u);
  sparse_histogram one;
  one.add(static_cast<std::uint8_t>(duration_bucket::of(1000)), 1);
  BOOST_TEST(one.quantile(0.0) == one.quantile(1.0));
}

BOOST_AUTO_TEST_SUITE_END()
