#include "cluster/host_health.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

using namespace pg_edge::cluster;
using namespace std::chrono_literals;

namespace {

using candidates = std::vector<host_health::candidate>;
constexpr moment start{std::chrono::hours{1}};

} // namespace

BOOST_AUTO_TEST_SUITE(host_health_test)

BOOST_AUTO_TEST_CASE(without_balance_the_first_is_chosen) {
  host_health hosts(1);
  for (int i = 0; i < 5; ++i)
    BOOST_TEST(hosts.choose(candidates{{"a", 100}, {"b", 0}}, false, start) == 0);
}

BOOST_AUTO_TEST_CASE(with_balance_the_emptiest_is_chosen_and_equals_take_turns) {
  host_health hosts(1);
  BOOST_TEST(hosts.choose(candidates{{"a", 3}, {"b", 2}, {"c", 4}}, true, start) == 1);
  std::map<std::size_t, int> chosen;
  for (int i = 0; i < 30; ++i)
    ++chosen[hosts.choose(candidates{{"a", 0}, {"b", 0}, {"c", 0}}, true, start)];
  BOOST_TEST(chosen[0] == 10);
  BOOST_TEST(chosen[1] == 10);
  BOOST_TEST(chosen[2] == 10);
}

BOOST_AUTO_TEST_CASE(one_that_failed_is_tried_last_until_its_back_off_ends) {
  host_health hosts(1);
  BOOST_TEST(hosts.failed("a", start));
  BOOST_TEST(!hosts.failed("a", start)); // is known already
  BOOST_TEST(hosts.avoided("a", start));
  BOOST_TEST(!hosts.avoided("b", start));
  for (const bool balance : {false, true})
    BOOST_TEST(hosts.choose(candidates{{"a", 0}, {"b", 50}}, balance, start + 500ms) == 1);
  const moment over = start + 2 * 2 * host_health::first_back_off;
  BOOST_TEST(!hosts.avoided("a", over));
  BOOST_TEST(hosts.choose(candidates{{"a", 0}, {"b", 50}}, true, over) == 0);
  // One finds out; the next ones do not wait for what it finds.
  BOOST_TEST(hosts.choose(candidates{{"a", 0}, {"b", 50}}, true, over) == 1);
  BOOST_TEST(hosts.succeeded("a"));
  BOOST_TEST(!hosts.succeeded("a"));
  BOOST_TEST(hosts.choose(candidates{{"a", 0}, {"b", 50}}, true, over) == 0);
}

BOOST_AUTO_TEST_CASE(when_all_failed_the_one_whose_back_off_ends_first_is_chosen) {
  host_health hosts(1);
  for (int i = 0; i < 4; ++i)
    hosts.failed("a", start);
  hosts.failed("b", start);
  BOOST_TEST(hosts.choose(candidates{{"a", 0}, {"b", 9}}, true, start) == 1);
  BOOST_TEST(hosts.choose(candidates{{"a", 0}, {"b", 9}}, false, start) == 1);
}

BOOST_AUTO_TEST_CASE(back_offs_grow_to_a_limit_with_jitter) {
  std::vector<std::chrono::nanoseconds> firsts;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    host_health hosts(seed);
    moment now = start;
    auto nominal = host_health::first_back_off;
    for (int failure = 0; failure < 12; ++failure) {
      hosts.failed("a", now);
      moment end = now;
      while (hosts.avoided("a", end))
        end += 10ms;
      if (failure == 0) firsts.push_back(end - now);
      BOOST_TEST((end - now >= nominal * 74 / 100));
      BOOST_TEST((end - now <= nominal * 126 / 100 + 10ms));
      now = end;
      nominal = std::min(nominal * 2, host_health::longest_back_off);
    }
  }
  std::sort(firsts.begin(), firsts.end());
  BOOST_TEST((firsts.back() - firsts.front() > 100ms)); // they do not come back together
}

/// Servers come and go, hosts fail and return: the pool's servers follow.
BOOST_AUTO_TEST_CASE(B175_servers_spread_evenly_over_the_hosts_that_work) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    std::minstd_rand random(seed + 1);
    host_health hosts(seed);
    const std::size_t count = 2 + seed % 4;
    candidates all;
    for (std::size_t i = 0; i < count; ++i)
      all.push_back({"host" + std::to_string(i), 0});
    std::vector<std::size_t> servers; // the host of each
    std::size_t down = 0;
    moment now = start;
    const auto open = [&] {
      candidates left = all;
      std::vector<std::size_t> index(count);
      for (std::size_t i = 0; i < count; ++i)
        index[i] = i;
      while (!left.empty()) {
        const std::size_t at = hosts.choose(left, true, now);
        if (index[at] != down) {
          hosts.succeeded(left[at].name);
          ++all[index[at]].load;
          servers.push_back(index[at]);
          return;
        }
        hosts.failed(left[at].name, now);
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(at));
        index.erase(index.begin() + static_cast<std::ptrdiff_t>(at));
      }
    };
    const auto replace_one = [&] { // server_lifetime
      const std::size_t which = random() % servers.size();
      --all[servers[which]].load;
      servers.erase(servers.begin() + static_cast<std::ptrdiff_t>(which));
      open();
    };
    for (std::size_t i = 0; i < 12 * (count - 1); ++i)
      open();
    BOOST_TEST(all[0].load == 0U);
    for (std::size_t i = 1; i < count; ++i)
      BOOST_TEST(all[i].load == 12U);
    down = count; // it is back
    now += 2 * host_health::longest_back_off;
    for (int i = 0; i < 2000; ++i)
      replace_one();
    const auto part = static_cast<std::uint32_t>(servers.size() / count);
    for (std::size_t i = 0; i < count; ++i)
      BOOST_TEST((all[i].load >= part && all[i].load <= part + 1), "seed " << seed << ": " << all[i].load);
  }
}

BOOST_AUTO_TEST_CASE(what_is_remembered_has_a_limit) {
  host_health hosts(1);
  for (std::size_t i = 0; i < host_health::remembered + 10; ++i)
    hosts.failed("host" + std::to_string(i), start);
  BOOST_TEST(!hosts.avoided("host" + std::to_string(host_health::remembered + 5), start));
  BOOST_TEST(hosts.failed("another", start + 1h)); // the others have been forgotten
  BOOST_TEST(hosts.avoided("another", start + 1h));
  BOOST_TEST(!hosts.succeeded("host1"));
}

BOOST_AUTO_TEST_SUITE_END()
