// Limits over several pools: who may open a server, who waits, who gives one up. The last test is a simulation.
#include "cluster/limit_group.hpp"
#include "cluster/reserve.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

using namespace pg_edge::cluster;
using namespace std::chrono_literals;

namespace {

constexpr limit_time turn = limit_group::turn_length;

} // namespace

BOOST_AUTO_TEST_SUITE(limit_group_test)

BOOST_AUTO_TEST_CASE(without_limits_everybody_may_open) {
  limit_group group;
  const auto one = group.join("d", "u", {});
  for (int i = 0; i < 100; ++i)
    BOOST_TEST(group.ask(one, 0s));
  BOOST_TEST(group.held(one) == 100u);
  BOOST_TEST(group.count(limit_kind::database, "d") == 100u);
  BOOST_TEST(group.count(limit_kind::user, "u") == 100u);
  BOOST_TEST(group.count(limit_kind::tenant, "") == 100u);
}

BOOST_AUTO_TEST_CASE(all_limits_at_once_and_none_held_in_part) {
  limit_group group;
  const limit_maxima maxima{10, 2, 1};
  const auto a = group.join("d", "u", maxima), b = group.join("d", "v", maxima), c = group.join("e", "u", maxima);
  BOOST_TEST(group.ask(a, 0s));
  BOOST_TEST(!group.ask(c, 0s)); // the user's
  BOOST_TEST((group.blocked_by(c) == limit_kind::user));
  BOOST_TEST(group.count(limit_kind::database, "e") == 0u);
  BOOST_TEST(group.ask(b, 0s));
  BOOST_TEST(group.count(limit_kind::database, "d") == 2u);
  group.gone(a, false, 0s);
  BOOST_TEST((group.take_news() == std::vector{c}));
  BOOST_TEST(group.ask(c, 0s));
}

BOOST_AUTO_TEST_CASE(first_come_first_served_and_a_place_is_kept_for_who_was_granted_it) {
  limit_group group;
  std::vector<limit_group::member_id> pools;
  for (int i = 0; i < 4; ++i)
    pools.push_back(group.join("d", "u" + std::to_string(i), {0, 1, 0}));
  BOOST_TEST(group.ask(pools[0], 0s));
  for (const int i : {2, 1, 3})
    BOOST_TEST(!group.ask(pools[static_cast<std::size_t>(i)], 0s));
  for (const int i : {2, 1, 3}) {
    const auto next = pools[static_cast<std::size_t>(i)];
    for (const auto one : pools)
      if (group.held(one) > 0) {
        group.gone(one, false, 0s);
        break;
      }
    BOOST_TEST((group.take_news() == std::vector{next}));
    BOOST_TEST(!group.ask(pools[0], 0s)); // not before the others
    group.withdraw(pools[0], 0s);
    BOOST_TEST(group.ask(next, 0s));
  }
}

BOOST_AUTO_TEST_CASE(a_place_granted_and_not_wanted_goes_to_the_next) {
  limit_group group;
  const auto a = group.join("d", "u", {0, 1, 0}), b = group.join("d", "v", {0, 1, 0}),
             c = group.join("d", "w", {0, 1, 0});
  BOOST_TEST(group.ask(a, 0s));
  BOOST_TEST(!group.ask(b, 0s));
  BOOST_TEST(!group.ask(c, 0s));
  group.gone(a, false, 0s);
  group.withdraw(b, 0s);
  (void)group.take_news();
  BOOST_TEST(group.ask(c, 0s));
}

BOOST_AUTO_TEST_CASE(the_longest_idle_server_is_asked_for_at_once) {
  limit_group group;
  const limit_maxima two{0, 2, 0};
  const auto a = group.join("d", "u", two), b = group.join("d", "v", two), c = group.join("d", "w", two);
  BOOST_TEST(group.ask(a, 0s));
  BOOST_TEST(group.ask(b, 0s));
  group.note_idle(a, 5s);
  group.note_idle(b, 4s);
  BOOST_TEST(!group.ask(c, 10s));
  BOOST_TEST((group.take_news() == std::vector{b}));
  BOOST_TEST(group.owed(a) == 0u);
  BOOST_TEST(group.pay(b, 10s));
  BOOST_TEST(!group.pay(b, 10s)); // one was enough
  BOOST_TEST(!group.ask(c, 10s)); // until Postgres has closed it
  group.gone(b, true, 11s);
  BOOST_TEST(group.ask(c, 11s));
}

BOOST_AUTO_TEST_CASE(a_busy_pool_gives_one_up_when_another_has_waited_a_turn) {
  limit_group group;
  const limit_maxima two{0, 2, 0};
  const auto busy = group.join("d", "u", two), poor = group.join("d", "v", two);
  BOOST_TEST(group.ask(busy, 0s));
  BOOST_TEST(group.ask(busy, 0s));
  BOOST_TEST(!group.ask(poor, 10s));
  BOOST_TEST(group.owed(busy) == 0u);
  BOOST_TEST(!group.ask(poor, 10s + turn));
  BOOST_TEST(group.owed(busy) == 1u);
  BOOST_TEST(group.pay(busy, 10s + turn));
  group.gone(busy, true, 10s + turn);
  BOOST_TEST(group.ask(poor, 10s + turn));
  // One each: the one that had more takes nothing back while the other's server is in use.
  BOOST_TEST(!group.ask(busy, 20s));
  BOOST_TEST(!group.ask(busy, 30s));
  BOOST_TEST(group.owed(poor) == 0u);
  group.note_idle(poor, 30s);
  BOOST_TEST(!group.ask(busy, 30s + turn));
  BOOST_TEST(group.owed(poor) == 1u); // idle for a turn: not needed
}

BOOST_AUTO_TEST_CASE(the_last_server_goes_round_but_not_before_its_turn_is_over) {
  limit_group group;
  const auto a = group.join("d", "u", {0, 1, 0}), b = group.join("d", "v", {0, 1, 0});
  BOOST_TEST(group.ask(a, 10s));
  BOOST_TEST(!group.ask(b, 10s));
  BOOST_TEST(!group.ask(b, 10s + turn / 2));
  BOOST_TEST(group.owed(a) == 0u);
  BOOST_TEST(!group.ask(b, 10s + turn));
  BOOST_TEST(group.owed(a) == 1u);
}

BOOST_AUTO_TEST_CASE(min_pool_size_takes_free_places_only) {
  limit_group group;
  const auto a = group.join("d", "u", {0, 2, 0}), b = group.join("d", "v", {0, 2, 0});
  BOOST_TEST(group.ask_if_spare(a));
  BOOST_TEST(group.ask_if_spare(b));
  BOOST_TEST(!group.ask_if_spare(a));
  BOOST_TEST(!group.anybody_waits());
}

BOOST_AUTO_TEST_CASE(a_lowered_limit_is_paid_by_who_has_most) {
  limit_group group;
  const auto a = group.join("d", "u", {}), b = group.join("d", "v", {});
  for (int i = 0; i < 5; ++i)
    BOOST_TEST(group.ask(a, 0s));
  BOOST_TEST(group.ask(b, 0s));
  group.set_maxima(a, {0, 2, 0}, 1s);
  BOOST_TEST(group.owed(a) + group.owed(b) == 4u);
  BOOST_TEST(group.owed(a) == 4u);
  for (int i = 0; i < 4; ++i) {
    BOOST_TEST(group.pay(a, 1s));
    group.gone(a, true, 1s);
  }
  BOOST_TEST(group.owed(a) == 0u);
  group.set_maxima(b, {}, 1s); // and raised again
  BOOST_TEST(group.ask(a, 1s));
}

BOOST_AUTO_TEST_CASE(who_left_counts_until_its_servers_are_gone) {
  limit_group group;
  const auto a = group.join("d", "u", {1, 0, 0}), b = group.join("e", "v", {1, 0, 0});
  BOOST_TEST(group.ask(a, 0s));
  group.leave(a, 0s);
  BOOST_TEST(!group.ask(b, 10s));
  BOOST_TEST(group.members() == 2u);
  group.gone(a, false, 10s);
  BOOST_TEST(group.members() == 1u);
  BOOST_TEST(group.ask(b, 10s));
  BOOST_TEST(group.count(limit_kind::database, "d") == 0u);
}

BOOST_AUTO_TEST_CASE(a_carried_server_is_counted_once) {
  limit_group group;
  const auto a = group.join("d", "u", {0, 1, 0}), b = group.join("d", "u", {0, 1, 0});
  BOOST_TEST(group.ask(a, 0s));
  group.carried(a, b);
  BOOST_TEST(group.held(a) == 0u);
  BOOST_TEST(group.held(b) == 1u);
  BOOST_TEST(group.count(limit_kind::database, "d") == 1u);
}

BOOST_AUTO_TEST_CASE(the_reserve_grows_with_need_and_shrinks_without) {
  reserve_pool pool(3, 2);
  pool.lacking(1, 1); // a permit is free: no need
  BOOST_TEST(pool.total() == 3u);
  pool.lacking(5, 1);
  BOOST_TEST(pool.total() == 5u);
  pool.spare(1);
  BOOST_TEST(pool.total() == 4u);
  pool.configure(10, 0);
  BOOST_TEST(pool.total() == 10u);
}

// Pools with random wants under random limits. Always: no count above its maximum, books equal to the servers there
// are. In the end: everybody who wanted a server has had one within a bounded time, so nobody starves.
BOOST_AUTO_TEST_CASE(random_pools_never_exceed_a_limit_and_never_starve) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](std::uint32_t low, std::uint32_t high) {
      return low + static_cast<std::uint32_t>(random()) % (high - low + 1);
    };
    const limit_maxima maxima{pick(0, 6), pick(0, 4), pick(0, 3)};
    struct server {
      int state; // ticks of use left; 0 idle; below 0: closing so long
      limit_time idle_since{};
    };
    struct pool {
      limit_group::member_id id;
      std::string database, user;
      std::vector<server> servers;
      bool wants = false;
      int waited = 0;
      bool busy; // reuses its servers without a pause
    };
    limit_group group;
    std::vector<pool> pools;
    for (std::uint32_t i = pick(2, 6); i > 0; --i) {
      pool one{0, "d" + std::to_string(pick(0, 1)), "u" + std::to_string(pick(0, 1)), {}, false, 0, pick(0, 1) == 1};
      one.id = group.join(one.database, one.user, maxima);
      pools.push_back(std::move(one));
    }
    for (int tick = 0; tick < 3000; ++tick) {
      const limit_time now = 10ms * tick;
      for (pool& one : pools) {
        for (std::size_t i = 0; i < one.servers.size(); ++i) {
          server& s = one.servers[i];
          if (s.state > 0 && --s.state == 0) s.idle_since = now;
          if (s.state < 0 && ++s.state == 0) {
            one.servers.erase(one.servers.begin() + static_cast<std::ptrdiff_t>(i--));
            group.gone(one.id, true, now);
          }
        }
        if (!one.wants && (one.busy || pick(0, 20) == 0)) one.wants = true;
        std::optional<limit_time> idle;
        for (server& s : one.servers)
          if (s.state == 0 && (!idle || s.idle_since < *idle)) idle = s.idle_since;
        group.note_idle(one.id, idle);
        for (server& s : one.servers)
          if (s.state == 0 && group.pay(one.id, now)) s.state = -static_cast<int>(pick(1, 3));
        for (server& s : one.servers)
          if (s.state == 0 && one.wants) {
            s.state = static_cast<int>(pick(1, 5));
            one.wants = one.busy;
            one.waited = 0;
          }
        const bool all_in_use =
            std::none_of(one.servers.begin(), one.servers.end(), [](auto& s) { return s.state == 0; });
        if (one.wants && all_in_use && one.servers.size() < 4) {
          if (group.ask(one.id, now)) one.servers.push_back({static_cast<int>(pick(1, 5)), {}});
        } else {
          group.withdraw(one.id, now);
        }
        one.waited = one.wants && one.servers.empty() ? one.waited + 1 : 0;
        BOOST_REQUIRE_MESSAGE(one.waited < 1000, "seed " << seed << ": a pool starves");
      }
      std::map<std::string, std::uint32_t> databases, users;
      std::uint32_t all = 0;
      for (const pool& one : pools) {
        const auto here = static_cast<std::uint32_t>(one.servers.size());
        databases[one.database] += here;
        users[one.user] += here;
        all += here;
      }
      const auto kept = [](std::uint32_t count, std::uint32_t most) { return most == 0 || count <= most; };
      bool right = kept(all, maxima.tenant) && all <= group.count(limit_kind::tenant, "");
      for (const auto& [name, count] : databases)
        right = right && kept(count, maxima.database) && count <= group.count(limit_kind::database, name);
      for (const auto& [name, count] : users)
        right = right && kept(count, maxima.user) && count <= group.count(limit_kind::user, name);
      BOOST_REQUIRE_MESSAGE(right, "seed " << seed << ": a limit is exceeded or the books are wrong");
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
