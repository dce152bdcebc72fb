// Who may log in to one address now. The last test is a simulation of many pools and a server that comes and goes;
// PG_EDGE_SEED=<seed> runs one of its seeds again, PG_EDGE_SEEDS=<n> more of them.
#include "cluster/login_gate.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace pg_edge::cluster;
using namespace std::chrono_literals;

namespace {

using outcome = login_outcome;
constexpr gate_time most = 15s;

} // namespace

BOOST_AUTO_TEST_SUITE(login_gate_test)

BOOST_AUTO_TEST_CASE(failures_have_classes) {
  for (const auto* state : {"28000", "28P01", "3D000", "42501"})
    BOOST_TEST((classify_login_failure(state, true) == login_trouble::refused));
  for (const auto* state : {"57P01", "57P02", "57P03"})
    BOOST_TEST((classify_login_failure(state, true) == login_trouble::away));
  BOOST_TEST((classify_login_failure("53300", true) == login_trouble::full));
  for (const auto* state : {"57P04", "57P05", "55000", "08006", "22023", "XX000", ""})
    BOOST_TEST((classify_login_failure(state, true) == login_trouble::other));
  for (const auto* state : {"28000", "53300", "08001", ""}) // our own words for a server that said nothing
    BOOST_TEST((classify_login_failure(state, false) == login_trouble::away));
}

BOOST_AUTO_TEST_CASE(without_a_limit_everybody_may) {
  login_gate gate(1);
  for (login_gate::member_id who = 1; who <= 1000; ++who)
    BOOST_TEST(gate.ask(who, 0s).has_value());
  BOOST_TEST(gate.under_way() == 1000u);
}

BOOST_AUTO_TEST_CASE(first_come_first_served_up_to_the_limit) {
  login_gate gate(1);
  gate.set_limit(2, 0s);
  const auto first = gate.ask(1, 0s), second = gate.ask(1, 0s);
  BOOST_TEST_REQUIRE((first && second));
  for (const login_gate::member_id who : {5u, 3u, 4u, 5u, 3u})
    BOOST_TEST(!gate.ask(who, 0s));
  BOOST_TEST(gate.waiting() == 3u);
  BOOST_TEST(gate.take_news().empty());
  BOOST_TEST(!gate.done(*first, outcome::answered, most, 0s));
  BOOST_TEST((gate.take_news() == std::vector<login_gate::member_id>{5}));
  BOOST_TEST(!gate.ask(3, 0s)); // the place is kept for 5
  BOOST_TEST(gate.ask(5, 0s).has_value());
  gate.done(*second, outcome::given_up, most, 0s);
  BOOST_TEST((gate.take_news() == std::vector<login_gate::member_id>{3}));
  gate.withdraw(3, 0s); // invited, and does not want any more
  BOOST_TEST((gate.take_news() == std::vector<login_gate::member_id>{4}));
  gate.withdraw(4, 0s);
  BOOST_TEST(gate.ask(9, 0s).has_value());
}

BOOST_AUTO_TEST_CASE(a_larger_limit_lets_more_in) {
  login_gate gate(1);
  gate.set_limit(1, 0s);
  BOOST_TEST(gate.ask(1, 0s).has_value());
  BOOST_TEST(!gate.ask(2, 0s));
  BOOST_TEST(!gate.ask(3, 0s));
  gate.set_limit(0, 0s);
  BOOST_TEST((gate.take_news() == std::vector<login_gate::member_id>{2, 3}));
}

BOOST_AUTO_TEST_CASE(a_server_that_is_away_is_tried_by_one_less_and_less_often) {
  login_gate gate(7);
  gate.set_limit(4, 0s);
  gate_time now = 10s;
  std::vector<login_gate::round> begun;
  for (login_gate::member_id who = 1; who <= 4; ++who)
    begun.push_back(*gate.ask(who, now));
  for (std::size_t i = 0; i < begun.size(); ++i) // all of them fail, which counts once
    BOOST_TEST(gate.done(begun[i], outcome::away, most, now) == (i == 0));
  BOOST_TEST(gate.away());
  BOOST_TEST(gate.failures() == 1u);
  gate_time expected = login_gate::first_pause;
  for (int i = 0; i < 10; ++i) {
    const gate_time pause = gate.retry_at() - now;
    BOOST_TEST((pause <= expected && pause >= expected * 3 / 4));
    BOOST_TEST(!gate.ask(1, gate.retry_at() - 1us));
    now = gate.retry_at();
    const auto trial = gate.ask(1, now);
    BOOST_TEST_REQUIRE(trial.has_value());
    BOOST_TEST(!gate.ask(2, now)); // one at a time
    BOOST_TEST(!gate.done(*trial, outcome::away, most, now));
    gate.withdraw(2, now);
    expected = std::min(expected * 2, login_gate::longest_pause);
  }
  BOOST_TEST(gate.failures() == 11u);
  BOOST_TEST((gate.away_since() == std::optional<gate_time>(10s)));
}

BOOST_AUTO_TEST_CASE(the_first_success_lets_all_go_oldest_first) {
  login_gate gate(1);
  gate.set_limit(2, 0s);
  BOOST_TEST(gate.done(*gate.ask(1, 0s), outcome::away, most, 0s));
  for (const login_gate::member_id who : {4u, 2u, 3u})
    BOOST_TEST(!gate.ask(who, 1ms));
  const gate_time now = gate.retry_at();
  BOOST_TEST(!gate.ask(1, now)); // it is not 1's turn, but 4's
  BOOST_TEST((gate.take_news() == std::vector<login_gate::member_id>{4}));
  const auto trial = gate.ask(4, now);
  BOOST_TEST_REQUIRE(trial.has_value());
  BOOST_TEST(gate.take_news().empty());
  BOOST_TEST(gate.done(*trial, outcome::answered, most, now));
  BOOST_TEST(!gate.away());
  BOOST_TEST((gate.take_news() == std::vector<login_gate::member_id>{2, 3})); // at once, and two at a time
}

BOOST_AUTO_TEST_CASE(what_began_before_the_change_does_not_change_it_again) {
  login_gate gate(1);
  const auto early = gate.ask(1, 0s), late = gate.ask(2, 0s), third = gate.ask(3, 0s);
  BOOST_TEST(gate.done(*early, outcome::away, most, 0s));
  BOOST_TEST(!gate.done(*late, outcome::answered, most, 0s)); // let in before it went
  BOOST_TEST(gate.away());
  const auto trial = gate.ask(4, gate.retry_at());
  BOOST_TEST_REQUIRE(trial.has_value()); // though the third hangs
  BOOST_TEST(gate.done(*trial, outcome::answered, most, 1s));
  BOOST_TEST(!gate.done(*third, outcome::away, most, 1s)); // it hung since before
  BOOST_TEST(!gate.away());
}

BOOST_AUTO_TEST_CASE(a_short_server_login_retry_shortens_the_pause) {
  login_gate gate(1);
  gate_time now{};
  BOOST_TEST(gate.done(*gate.ask(1, now), outcome::away, 50ms, now));
  for (int i = 0; i < 5; ++i) {
    BOOST_TEST((gate.retry_at() - now <= 50ms));
    now = gate.retry_at();
    gate.done(*gate.ask(1, now), outcome::away, 50ms, now);
  }
}

BOOST_AUTO_TEST_CASE(pools_do_not_come_back_in_step) {
  std::set<gate_time> moments;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    login_gate gate(seed);
    gate.done(*gate.ask(1, 0s), outcome::away, most, 0s);
    moments.insert(gate.retry_at());
  }
  BOOST_TEST(moments.size() > 10u);
}

namespace {

/// Pools that want logins, and a server that is there or not; every login takes a while.
class simulation {
public:
  explicit simulation(unsigned seed) : random_(seed), gate_(seed), limit_(1 + seed % 5) {
    gate_.set_limit(limit_, now_);
  }

  void run() {
    for (int i = 0; i < 4000; ++i) {
      now_ += gate_time(of(20'000));
      if (of(200) == 0) up_ = !up_;
      step();
      check();
    }
    up_ = true; // in the end the server is back: everybody is served, in bounded time
    for (int i = 0; i < 20'000 && unserved() > 0; ++i) {
      now_ += gate_time(5'000);
      step();
      check();
    }
    BOOST_TEST(unserved() == 0u);
    BOOST_TEST(gate_.under_way() == under_way_.size());
  }

private:
  struct login {
    login_gate::round begun;
    gate_time ends;
    bool counts_up;
  };
  unsigned of(unsigned n) { return static_cast<unsigned>(random_() % n); }
  std::size_t unserved() const {
    std::size_t sum = 0;
    for (const auto& [who, count] : wanted_)
      sum += count;
    return sum + under_way_.size();
  }
  void begin(login_gate::member_id who) {
    while (wanted_[who] > 0) {
      const auto begun = gate_.ask(who, now_);
      if (!begun) return;
      --wanted_[who];
      if (gate_.away()) ++tries_while_away_;
      under_way_.push_back({*begun, now_ + gate_time(1'000 + of(30'000)), up_});
    }
    gate_.withdraw(who, now_);
  }
  void step() {
    const login_gate::member_id who = of(8);
    switch (of(4)) {
    case 0:
      if (wanted_[who] + under_way_.size() < 40) ++wanted_[who];
      break;
    case 1:
      if (of(10) == 0) {
        wanted_[who] = 0;
        gate_.withdraw(who, now_);
      }
      break;
    default:
      break;
    }
    finish_due();
    for (const auto one : gate_.take_news())
      begin(one);
    begin(who); // its tick
  }
  void finish_due() {
    for (std::size_t i = 0; i < under_way_.size();) {
      const login one = under_way_[i];
      if (one.ends > now_) {
        ++i;
        continue;
      }
      under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(i));
      const bool lost = !up_ || !one.counts_up;
      const auto what = of(20) == 0 ? outcome::given_up : lost ? outcome::away : outcome::answered;
      gate_.done(one.begun, what, most, now_);
    }
  }
  void check() {
    BOOST_REQUIRE(gate_.under_way() == under_way_.size());
    BOOST_REQUIRE(gate_.under_way() <= limit_ + 1); // one that tries may come on top of those that hang
    if (gate_.away()) BOOST_REQUIRE((gate_.retry_at() <= now_ + login_gate::longest_pause));
  }

  std::mt19937 random_;
  login_gate gate_;
  std::uint32_t limit_;
  gate_time now_{};
  bool up_ = true;
  std::map<login_gate::member_id, std::uint32_t> wanted_;
  std::vector<login> under_way_;
  std::uint64_t tries_while_away_ = 0;
};

unsigned number_from(const char* name, unsigned otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<unsigned>(std::stoul(text));
}

} // namespace

BOOST_AUTO_TEST_CASE(whatever_happens_the_limit_holds_and_everybody_is_served) {
  const unsigned only = number_from("PG_EDGE_SEED", 0), last = number_from("PG_EDGE_SEEDS", 300);
  for (unsigned seed = only == 0 ? 1 : only; seed <= (only == 0 ? last : only); ++seed)
    BOOST_TEST_CONTEXT("PG_EDGE_SEED=" << seed) {
      simulation(seed).run();
    }
}

BOOST_AUTO_TEST_SUITE_END()
