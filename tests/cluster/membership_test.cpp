// Single steps of membership; what it does among others, and when things go wrong, is cluster_simulation_test's.
#include "cluster/membership.hpp"

#include <boost/test/unit_test.hpp>

#include <map>
#include <memory>

using namespace pg_edge::cluster;
using std::chrono::milliseconds;

namespace {

/// Nodes that hear each other at once, on one clock. Those in `deaf` neither hear nor speak.
struct village {
  std::vector<std::string> seeds;
  std::map<std::string, std::unique_ptr<membership>> nodes; // by address, which is the name
  std::set<std::string> deaf;
  node_time now{1000};

  explicit village(std::vector<std::string> names) : seeds(names) {
    for (const std::string& name : names)
      add(name);
  }
  membership& add(const std::string& name, voter_memory kept = {}, budget_rule budget = budget_rule::strict) {
    nodes[name] = std::make_unique<membership>(membership_settings{name, name, seeds, milliseconds(2000), budget}, kept,
                                               static_cast<std::uint64_t>(now.count()), now, nodes.size() + 1);
    return *nodes[name];
  }
  void pass(milliseconds span) {
    for (const node_time end = now + span; now < end;) {
      now += milliseconds(50);
      for (auto& [name, one] : nodes)
        if (!deaf.contains(name)) one->tick(now);
      for (bool more = true; more;) {
        more = false;
        for (auto& [name, one] : nodes)
          for (const auto& word : one->take_outgoing())
            if (!deaf.contains(name) && !deaf.contains(word.to) && nodes.contains(word.to)) {
              nodes[word.to]->on_message(now, word.what);
              more = true;
            }
      }
    }
  }
  std::string members(const std::string& of) {
    std::string text;
    for (const member& one : nodes.at(of)->current().members)
      text += one.name;
    return text;
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(membership_test)

BOOST_AUTO_TEST_CASE(a_majority_of_the_seeds_makes_the_first_view_and_one_seed_alone_none) {
  village all({"a", "b", "c"});
  all.deaf = {"b", "c"};
  all.pass(milliseconds(5000));
  BOOST_TEST(all.members("a") == "");
  BOOST_TEST((all.nodes["a"]->lease_end() == node_time{0}));
  all.deaf = {"c"};
  all.pass(milliseconds(2000));
  BOOST_TEST(all.members("a") == "ab");
  BOOST_TEST((all.nodes["a"]->lease_end() > all.now));
}

BOOST_AUTO_TEST_CASE(who_is_silent_for_failure_timeout_leaves_the_view_and_comes_back_as_another_life) {
  village all({"a", "b", "c"});
  all.pass(milliseconds(2000));
  BOOST_TEST(all.members("a") == "abc");
  const auto life = all.nodes["c"]->incarnation();
  all.deaf = {"c"};
  all.pass(milliseconds(1500));
  BOOST_TEST(all.members("a") == "abc");
  all.pass(milliseconds(1500));
  BOOST_TEST(all.members("a") == "ab");
  BOOST_REQUIRE(all.nodes["a"]->current().departed.size() == 1U);
  BOOST_TEST(all.nodes["a"]->current().departed[0].incarnation == life);
  // Its lease was over before it was given up.
  BOOST_TEST((all.nodes["c"]->lease_end() < all.now - milliseconds(500)));
  all.deaf.clear();
  all.pass(milliseconds(1500));
  BOOST_TEST(all.nodes["c"]->take_fenced());
  BOOST_TEST(all.nodes["c"]->incarnation() > life);
  BOOST_TEST(all.members("a") == "abc");
  BOOST_TEST(find_member(all.nodes["a"]->current(), "c")->id == 3U); // the number stays with the name
}

BOOST_AUTO_TEST_CASE(who_surrenders_is_gone_at_once) {
  village all({"a", "b", "c"});
  all.pass(milliseconds(2000));
  all.nodes["b"]->surrender(all.now);
  all.pass(milliseconds(600));
  BOOST_TEST(all.members("a") == "ac");
}

BOOST_AUTO_TEST_CASE(an_available_node_keeps_its_permits_without_a_majority_but_knows_that_it_has_none) {
  village all({"a", "b", "c"});
  all.nodes.clear();
  for (const std::string name : {"a", "b", "c"})
    all.add(name, {}, budget_rule::available);
  all.pass(milliseconds(2000));
  all.deaf = {"b", "c"};
  all.pass(milliseconds(5000));
  membership& left = *all.nodes["a"];
  BOOST_TEST(!left.take_fenced());
  BOOST_TEST((left.lease_end() > all.now));
  BOOST_TEST((left.majority_lease_end() < all.now));
}

BOOST_AUTO_TEST_CASE(a_voters_memory_survives_the_disk) {
  voter_memory memory{513, 257, {7, {{1, "a", "h:1", 5}}, {{2, "b", 4}}}, {{"b", 4}}};
  const auto read = decode_voter_memory(encode(memory));
  BOOST_REQUIRE(read.has_value());
  BOOST_TEST((*read == memory));
  BOOST_TEST(!decode_voter_memory("").has_value());
  BOOST_TEST(!decode_voter_memory(encode(memory).substr(0, 30)).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
