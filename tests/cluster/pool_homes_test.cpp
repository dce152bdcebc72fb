// Where pools live: by size and by who is there, and as few of them as can be move when that changes.
#include "cluster/pool_homes.hpp"

#include <boost/test/unit_test.hpp>

#include <map>
#include <set>

using namespace pg_edge::cluster;

namespace {

std::vector<home_candidate> village(int nodes) {
  std::vector<home_candidate> all;
  for (int i = 1; i <= nodes; ++i)
    all.push_back({"n" + std::to_string(i), static_cast<std::uint16_t>(i)});
  return all;
}

pool_key pool(int i) {
  return {"t", "db" + std::to_string(i), "u"};
}

/// The nodes at which clients of any node are served.
std::set<std::string> homes(const std::vector<home_candidate>& all, const pool_key& key, std::uint32_t size) {
  std::set<std::string> result;
  for (const home_candidate& from : all)
    result.insert(home_for(all, key, size, from.name)->name);
  return result;
}

} // namespace

BOOST_AUTO_TEST_SUITE(pool_homes_test)

BOOST_AUTO_TEST_CASE(a_pool_lives_on_as_many_nodes_as_it_has_permits_for) {
  BOOST_TEST(homes_wanted(0, 3) == 1U);
  BOOST_TEST(homes_wanted(2, 3) == 1U);
  BOOST_TEST(homes_wanted(7, 3) == 1U);
  BOOST_TEST(homes_wanted(8, 3) == 2U);
  BOOST_TEST(homes_wanted(20, 3) == 3U);
  BOOST_TEST(homes_wanted(20, 30) == 5U);
  BOOST_TEST(homes_wanted(20, 1) == 1U);
  BOOST_TEST(homes_wanted(20, 0) == 0U);
  const auto all = village(6);
  for (int i = 0; i < 100; ++i) {
    BOOST_TEST(homes(all, pool(i), 2).size() == 1U);
    BOOST_TEST(homes(all, pool(i), 100).size() == 6U);
    for (const std::string& home : homes(all, pool(i), 12))
      BOOST_TEST(home_for(all, pool(i), 12, home)->name == home); // who is a home serves its own clients
  }
  BOOST_TEST(home_for({}, pool(1), 2, "n1") == nullptr);
}

BOOST_AUTO_TEST_CASE(small_pools_and_those_that_are_relayed_spread_over_the_nodes) {
  const auto all = village(5);
  std::map<std::string, int> small, relayed;
  for (int i = 0; i < 1000; ++i) {
    ++small[home_for(all, pool(i), 2, "n1")->name];
    const home_candidate* there = home_for(all, pool(i), 8, "n1");
    if (there->name != "n1") ++relayed[there->name];
  }
  for (const auto& [name, count] : small)
    BOOST_TEST((count > 140 && count < 260), name << " has " << count);
  for (const auto& [name, count] : relayed)
    BOOST_TEST((count > 90 && count < 210), name << " has " << count);
  BOOST_TEST(small.size() == 5U);
  BOOST_TEST(relayed.size() == 4U);
}

BOOST_AUTO_TEST_CASE(a_small_pool_moves_only_with_the_node_it_was_on) {
  const auto all = village(5);
  auto fewer = all;
  fewer.erase(fewer.begin() + 2);
  for (int i = 0; i < 1000; ++i) {
    const std::string before = home_for(all, pool(i), 2, "n1")->name, after = home_for(fewer, pool(i), 2, "n1")->name;
    BOOST_TEST((before == after || before == "n3"));
  }
}

BOOST_AUTO_TEST_CASE(the_home_of_a_small_pool_is_the_node_of_its_steward) {
  const auto all = village(5);
  view now{1, {}, {}};
  for (const home_candidate& one : all)
    now.members.push_back({one.number, one.name, "", 1});
  for (int i = 0; i < 100; ++i)
    BOOST_TEST(home_for(all, pool(i), 2, "n4")->name == steward_of(now, pool(i))->name);
}

BOOST_AUTO_TEST_SUITE_END()
