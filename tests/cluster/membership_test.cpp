// Single steps of membership; what it does among others, and when things go wrong, is cluster_simulation_test's.
#include "cluster/membership.hpp"
#include "cluster/store_keys.hpp"
#include "simulated_store.hpp"

#include <boost/test/unit_test.hpp>

#include <map>
#include <memory>

using namespace pg_edge::cluster;
using pg_edge::cluster::simulation::simulated_store;
using std::chrono::milliseconds;

namespace {

/// Nodes on one clock whose questions the store answers at once. Those in `away` do not reach it.
struct village {
  std::unique_ptr<simulated_store> store = std::make_unique<simulated_store>(1.0);
  std::map<std::string, std::unique_ptr<membership>> nodes;
  std::map<std::pair<std::string, std::uint64_t>, std::size_t> watches; // what each has been told
  std::set<std::string> away;
  std::set<std::string> answers_lost; // carried out, but the node hears "unknown"
  node_time now{1000};

  explicit village(const std::vector<std::string>& names) {
    for (const std::string& name : names)
      add(name);
  }
  membership& add(const std::string& name, budget_rule budget = budget_rule::strict) {
    nodes[name] = std::make_unique<membership>(
        membership_settings{store_root("test"), name, name + ":1", milliseconds(2000), budget}, now, nodes.size() + 1);
    return *nodes[name];
  }
  void serve(const std::string& name, membership& one) {
    for (const store_question& asked : one.take_questions()) {
      if (const auto* watch = std::get_if<ask_watch>(&asked.what)) {
        watches[{name, asked.number}] = watch->after;
        continue;
      }
      store_answer answer;
      if (!away.contains(name)) answer = store->answer(now.count(), asked);
      if (answers_lost.contains(name)) answer = {store_outcome::unknown, "lost", 0, {}, 0};
      one.on_answer(now, asked.number, answer);
    }
    for (auto& [watch, told] : watches)
      while (watch.first == name && !away.contains(name) && told < store->history().size())
        one.on_event(now, watch.second, store->history()[told++]);
  }
  void pass(milliseconds span) {
    for (const node_time end = now + span; now < end;) {
      now += milliseconds(50);
      store->expire(now.count());
      for (auto& [name, one] : nodes) {
        one->tick(now);
        serve(name, *one);
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

BOOST_AUTO_TEST_CASE(who_registers_is_in_the_view_and_has_a_lease) {
  village all({"a"});
  all.pass(milliseconds(500));
  BOOST_TEST(all.members("a") == "a");
  BOOST_TEST(all.nodes["a"]->problem() == "");
  BOOST_TEST((all.nodes["a"]->lease_end() > all.now));
  all.add("b");
  all.add("c");
  all.pass(milliseconds(500));
  for (const std::string name : {"a", "b", "c"})
    BOOST_TEST(all.members(name) == "abc");
  BOOST_TEST((all.nodes["a"]->current() == all.nodes["c"]->current()));
  all.pass(milliseconds(20'000)); // it stays so
  BOOST_TEST(!all.nodes["b"]->take_fenced());
  BOOST_TEST(all.nodes["a"]->current().epoch <= 3U);
}

BOOST_AUTO_TEST_CASE(without_the_store_there_is_no_view_and_the_reason_is_told) {
  village all({"a"});
  all.away = {"a"};
  all.pass(milliseconds(3000));
  BOOST_TEST(all.members("a") == "");
  BOOST_TEST((all.nodes["a"]->lease_end() == node_time{0}));
  BOOST_TEST(all.nodes["a"]->problem().find("grants no lease") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(who_does_not_reach_the_store_lets_go_before_the_others_go_on_and_comes_back_as_another_life) {
  village all({"a", "b", "c"});
  all.pass(milliseconds(1000));
  const auto life = all.nodes["c"]->incarnation();
  all.away = {"c"};
  all.pass(milliseconds(1500));
  BOOST_TEST(all.members("a") == "abc");
  BOOST_TEST(!all.nodes["c"]->take_fenced());
  for (bool fenced = false; !fenced;) {
    BOOST_REQUIRE(all.members("a") == "abc");
    all.pass(milliseconds(50));
    fenced = all.nodes["c"]->take_fenced();
  }
  all.pass(milliseconds(1000));
  BOOST_TEST(all.members("a") == "ab");
  BOOST_REQUIRE(all.nodes["a"]->current().departed.size() == 1U);
  BOOST_TEST(all.nodes["a"]->current().departed[0].incarnation == life);
  all.away.clear();
  all.pass(milliseconds(2500));
  BOOST_TEST(all.nodes["c"]->incarnation() > life);
  BOOST_TEST(all.members("a") == "abc");
  BOOST_TEST(find_member(all.nodes["a"]->current(), "c")->id == 3U); // the number stays with the name
}

BOOST_AUTO_TEST_CASE(a_frozen_node_finds_its_lease_over_before_it_believes_anything) {
  village all({"a", "b"});
  all.pass(milliseconds(1000));
  membership& frozen = *all.nodes["b"];
  frozen.look_at_lease(all.now + milliseconds(1500));
  BOOST_TEST(!frozen.take_fenced());
  frozen.on_event(all.now + milliseconds(1950), 0, {});
  BOOST_TEST(frozen.take_fenced());
  BOOST_TEST((frozen.lease_end() == node_time{0}));
}

BOOST_AUTO_TEST_CASE(who_surrenders_is_gone_at_once) {
  village all({"a", "b", "c"});
  all.pass(milliseconds(1000));
  all.nodes["b"]->surrender(all.now);
  all.pass(milliseconds(300));
  BOOST_TEST(all.members("a") == "ac");
  BOOST_TEST(!all.nodes["b"]->take_fenced()); // nothing is left to let go of
}

BOOST_AUTO_TEST_CASE(who_leaves_in_good_order_is_no_dead_life_and_keeps_its_number) {
  village all({"a", "b", "c"});
  all.pass(milliseconds(1000));
  all.nodes["b"]->announce_leaving(all.now);
  all.pass(milliseconds(200));
  BOOST_TEST(all.nodes["a"]->is_leaving("b"));
  BOOST_TEST(all.members("a") == "abc");
  BOOST_TEST((all.nodes["b"]->lease_end() > all.now));
  all.nodes["b"]->leave(all.now);
  BOOST_TEST((all.nodes["b"]->lease_end() == node_time{0})); // with this call
  all.nodes["c"]->surrender(all.now);                        // the view changes at the same time
  all.pass(milliseconds(500));
  BOOST_TEST((all.nodes["b"]->state() == membership::phase::left));
  BOOST_TEST(all.members("a") == "a");
  BOOST_TEST(!all.nodes["a"]->is_leaving("b"));
  BOOST_TEST(!all.nodes["b"]->take_fenced());
  const auto& departed = all.nodes["a"]->current().departed;
  BOOST_REQUIRE(departed.size() == 2U);
  for (const departed_member& one : departed)
    BOOST_TEST((one.incarnation == left_clean) == (one.name == "b"));
  for (int i = 0; i < 3; ++i) { // again and again: one entry is enough
    all.add("b");
    all.pass(milliseconds(500));
    BOOST_TEST(all.members("a") == "ab");
    BOOST_TEST(find_member(all.nodes["a"]->current(), "b")->id == 2U);
    all.nodes["b"]->leave(all.now);
    all.pass(milliseconds(500));
  }
  BOOST_TEST(all.nodes["a"]->current().departed.size() == 2U);
}

BOOST_AUTO_TEST_CASE(who_cannot_say_that_it_leaves_has_left_all_the_same) {
  village all({"a", "b"});
  all.pass(milliseconds(1000));
  all.away = {"b"};
  all.nodes["b"]->leave(all.now);
  all.pass(milliseconds(3500));
  BOOST_TEST((all.nodes["b"]->state() == membership::phase::left));
  BOOST_TEST(all.members("a") == "a");
  BOOST_TEST(all.nodes["a"]->current().departed[0].incarnation != left_clean); // its lease has ended: it is looked for
}

BOOST_AUTO_TEST_CASE(who_has_links_waits_until_they_are_open) {
  village all({"a"});
  membership_settings settings{store_root("test"), "l", "l:1", milliseconds(2000), budget_rule::strict, "l:2", 7};
  all.nodes["l"] = std::make_unique<membership>(settings, all.now, 9);
  all.pass(milliseconds(1000));
  BOOST_TEST(all.members("a") == "a");
  BOOST_TEST(all.nodes["l"]->problem().find("l:2") != std::string::npos);
  all.nodes["l"]->link_is_open();
  all.pass(milliseconds(1000));
  BOOST_TEST(all.members("a") == "al");
  BOOST_TEST(all.nodes["a"]->registered().at("l").record.link_number == 7U);
}

BOOST_AUTO_TEST_CASE(a_lost_answer_is_asked_for_again) {
  village all({"a"});
  all.answers_lost = {"a"};
  all.pass(milliseconds(100)); // a lease is granted, and nobody knows
  all.answers_lost.clear();
  all.pass(milliseconds(1000));
  BOOST_TEST(all.members("a") == "a");
  all.add("b");
  for (int i = 0; i < 3 && all.nodes["b"]->state() != membership::phase::registering; ++i) { // granted, not registered
    all.now += milliseconds(50);
    all.nodes["b"]->tick(all.now);
    auto asked = all.nodes["b"]->take_questions();
    for (const auto& one : asked)
      if (std::holds_alternative<ask_grant>(one.what))
        all.nodes["b"]->on_answer(all.now, one.number, all.store->answer(all.now.count(), one));
  }
  BOOST_REQUIRE((all.nodes["b"]->state() == membership::phase::registering));
  all.answers_lost = {"b"};
  all.pass(milliseconds(50)); // it is registered, and does not know
  all.answers_lost.clear();
  all.pass(milliseconds(1500));
  BOOST_TEST(all.members("a") == "ab");
  BOOST_TEST(!all.nodes["b"]->take_fenced());
}

BOOST_AUTO_TEST_CASE(two_processes_of_one_name_are_told_and_only_one_is_in) {
  village all({"a"});
  all.pass(milliseconds(500));
  auto first = std::move(all.nodes["a"]);
  membership& twin = all.add("a");
  for (int i = 0; i < 100; ++i) { // the first one goes on
    all.now += milliseconds(50);
    first->tick(all.now);
    all.serve("a", *first);
    twin.tick(all.now);
    all.serve("a", twin);
  }
  BOOST_TEST((first->self() != nullptr));
  BOOST_TEST((twin.self() == nullptr));
  BOOST_TEST(twin.problem().find("another process is registered as node \"a\"") != std::string::npos);
  first.reset(); // killed: its lease ends
  all.pass(milliseconds(4000));
  BOOST_TEST((twin.self() != nullptr));
}

BOOST_AUTO_TEST_CASE(a_store_that_was_founded_anew_ends_every_life) {
  village all({"a", "b"});
  all.pass(milliseconds(2000));
  for (int i = 0; i < 5; ++i) { // revisions grow
    all.nodes["b"] = nullptr;
    all.add("b");
    all.pass(milliseconds(3000));
  }
  const auto epoch = all.nodes["a"]->current().epoch;
  all.store = std::make_unique<simulated_store>(1.0);
  all.watches.clear();
  all.pass(milliseconds(8000));
  BOOST_TEST(all.nodes["a"]->take_fenced());
  BOOST_TEST(all.members("a") == "ab");
  BOOST_TEST(all.members("b") == "ab");
  BOOST_TEST(all.nodes["a"]->current().epoch < epoch);
}

BOOST_AUTO_TEST_CASE(an_available_node_keeps_its_permits_without_the_store_but_knows_that_it_has_none) {
  village all({});
  for (const std::string name : {"a", "b", "c"})
    all.add(name, budget_rule::available);
  all.pass(milliseconds(1000));
  all.away = {"a"};
  all.pass(milliseconds(5000));
  membership& left = *all.nodes["a"];
  BOOST_TEST(!left.take_fenced());
  BOOST_TEST((left.lease_end() > all.now));
  BOOST_TEST((left.granted_until() < all.now));
  all.away.clear(); // now the store says that it was given up
  all.pass(milliseconds(500));
  BOOST_TEST(left.take_fenced());
  all.pass(milliseconds(2000));
  BOOST_TEST(all.members("b") == "abc");
}

BOOST_AUTO_TEST_SUITE_END()
