// The timer wheel against a model: a std::multimap from tick to timer.
#include "actors/timer_wheel.hpp"

#include <boost/test/unit_test.hpp>

#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

using namespace pg_edge::actors;
using namespace std::chrono_literals;

namespace {

using time_point = timer_wheel::time_point;
const time_point start{std::chrono::hours(1000) + 123456ns};

struct probe {
  int fired = 0;
  std::vector<int>* order = nullptr;
  int name = 0;
  timer t = timer::calling<&probe::fire>(*this);
  void fire() {
    ++fired;
    if (order != nullptr) order->push_back(name);
  }
};

// Arms, re-arms, cancels and advances at random over `span`, in steps of up to `step`; the wheel must fire exactly what
// the model says, never early, within a millisecond of the deadline, and must ask to be called in time.
void compare_with_model(unsigned seed, std::chrono::nanoseconds span, std::chrono::nanoseconds step) {
  std::mt19937_64 random(seed);
  auto below = [&](std::int64_t n) { return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n)); };
  timer_wheel wheel(start);
  std::vector<probe> probes(200);
  std::vector<std::multimap<std::int64_t, int>::iterator> where(probes.size());
  std::multimap<std::int64_t, int> model; // tick -> probe
  std::vector<bool> armed(probes.size(), false);
  std::vector<int> expected(probes.size(), 0);
  auto now = start;
  auto forget = [&](std::size_t i) {
    if (armed[i]) model.erase(where[i]);
    armed[i] = false;
  };
  for (int round = 0; round < 3000; ++round) {
    auto i = static_cast<std::size_t>(below(static_cast<std::int64_t>(probes.size())));
    switch (below(4)) {
    case 0:
    case 1: {
      // Mostly near, sometimes far, sometimes past: all magnitudes, so that all levels are used.
      auto reach = span.count() >> below(30);
      auto deadline = now + std::chrono::nanoseconds(below(reach + 2) - reach / 16);
      wheel.schedule(probes[i].t, deadline);
      forget(i);
      where[i] = model.emplace(std::chrono::ceil<std::chrono::milliseconds>(deadline - start).count(), int(i));
      armed[i] = true;
      break;
    }
    case 2:
      wheel.cancel(probes[i].t);
      forget(i);
      break;
    default: {
      auto wanted = wheel.next_deadline();
      BOOST_TEST_REQUIRE((wanted.has_value() || model.empty()));
      if (!model.empty())
        BOOST_TEST_REQUIRE((*wanted <= start + std::chrono::milliseconds(model.begin()->first) ||
                            start + std::chrono::milliseconds(model.begin()->first) <= now));
      now += std::chrono::nanoseconds(below(step.count()));
      wheel.advance(now);
      auto tick = std::chrono::floor<std::chrono::milliseconds>(now - start).count();
      while (!model.empty() && model.begin()->first <= tick) {
        auto due = static_cast<std::size_t>(model.begin()->second);
        ++expected[due];
        forget(due);
      }
    }
    }
    bool same = true;
    for (std::size_t p = 0; p < probes.size(); ++p)
      same = same && probes[p].fired == expected[p] && probes[p].t.armed() == armed[p];
    BOOST_TEST_REQUIRE(same);
  }
}

} // namespace

BOOST_AUTO_TEST_SUITE(timer_wheel_test)

BOOST_AUTO_TEST_CASE(fires_what_the_model_fires) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      compare_with_model(seed, 200ms, 20ms);
      compare_with_model(seed, 24h, 10min);
      compare_with_model(seed, std::chrono::hours(24 * 365 * 20), std::chrono::hours(24 * 30));
    }
  }
}

// A reactor that sleeps until next_deadline() fires each timer in its millisecond, however far away it was.
BOOST_AUTO_TEST_CASE(sleeping_until_next_deadline_is_never_late) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 500; ++i) {
    timer_wheel wheel(start);
    wheel.advance(start + std::chrono::milliseconds(random() % 100000));
    probe p;
    auto deadline = start + std::chrono::nanoseconds(random() >> (random() % 40 + 8));
    wheel.schedule(p.t, deadline);
    int wake_ups = 0;
    while (auto next = wheel.next_deadline()) {
      BOOST_TEST_REQUIRE((p.fired == 0));
      wheel.advance(*next);
      BOOST_TEST_REQUIRE((++wake_ups <= 8));
      if (p.fired != 0 && *next > start + 100s) BOOST_TEST((*next - deadline < 1ms));
    }
    BOOST_TEST((p.fired == 1));
  }
}

BOOST_AUTO_TEST_CASE(one_tick_fires_in_the_order_of_arming) {
  timer_wheel wheel(start);
  std::vector<int> order;
  std::vector<probe> probes(5);
  for (int i = 0; i < 5; ++i) {
    probes[static_cast<std::size_t>(i)].order = &order;
    probes[static_cast<std::size_t>(i)].name = i;
  }
  for (std::size_t i : {3u, 1u, 4u})
    wheel.schedule(probes[i].t, start + 500ms);
  wheel.advance(start + 490ms);
  for (std::size_t i : {0u, 2u})
    wheel.schedule(probes[i].t, start + 500ms);
  wheel.advance(start + 499ms);
  BOOST_TEST(order.empty());
  wheel.advance(start + 500ms);
  BOOST_TEST((order == std::vector{3, 1, 4, 0, 2}));
}

BOOST_AUTO_TEST_CASE(a_timer_may_arm_itself_and_cancel_its_neighbour_while_it_fires) {
  struct periodic {
    timer_wheel& wheel;
    probe& neighbour;
    int fired = 0;
    timer t = timer::calling<&periodic::fire>(*this);
    void fire() {
      ++fired;
      wheel.cancel(neighbour.t);
      wheel.schedule(t, start); // due already: not within this advance, or it would never return
    }
  };
  timer_wheel wheel(start);
  probe neighbour;
  periodic p{wheel, neighbour};
  wheel.schedule(p.t, start + 10ms);
  wheel.schedule(neighbour.t, start + 10ms);
  for (int i = 1; i <= 3; ++i) {
    wheel.advance(start + 10ms);
    BOOST_TEST((p.fired == i));
    BOOST_TEST((wheel.next_deadline() <= start + 10ms));
  }
  BOOST_TEST((neighbour.fired == 0));
}

BOOST_AUTO_TEST_CASE(after_an_exception_the_rest_is_still_due) {
  struct thrower {
    timer t = timer::calling<&thrower::fire>(*this);
    void fire() { throw std::runtime_error("fire"); }
  };
  timer_wheel wheel(start);
  thrower bad;
  probe good;
  wheel.schedule(bad.t, start + 1ms);
  wheel.schedule(good.t, start + 1ms);
  BOOST_CHECK_THROW(wheel.advance(start + 5ms), std::runtime_error);
  BOOST_TEST((good.fired == 0));
  BOOST_TEST((wheel.next_deadline() <= start + 5ms));
  wheel.advance(start + 5ms);
  BOOST_TEST((good.fired == 1));
  BOOST_TEST(!wheel.next_deadline().has_value());
}

BOOST_AUTO_TEST_CASE(timers_and_wheel_may_be_destroyed_in_any_order) {
  auto wheel = std::make_unique<timer_wheel>(start);
  probe kept;
  {
    probe gone;
    wheel->schedule(gone.t, start + 5ms);
  }
  wheel->schedule(kept.t, start + 70ms);
  wheel->advance(start + 60ms);
  BOOST_TEST((kept.fired == 0));
  wheel.reset();
  BOOST_TEST(!kept.t.armed());
}

BOOST_AUTO_TEST_CASE(the_ends_of_time) {
  timer_wheel wheel(start);
  probe never, past;
  wheel.schedule(never.t, time_point::max());
  wheel.schedule(past.t, time_point{});
  wheel.advance(start + std::chrono::hours(24 * 365));
  BOOST_TEST((never.fired == 0));
  BOOST_TEST((past.fired == 1));
  wheel.advance(start - 1h); // a clock that goes back does nothing
  BOOST_TEST(never.t.armed());
}

BOOST_AUTO_TEST_SUITE_END()
