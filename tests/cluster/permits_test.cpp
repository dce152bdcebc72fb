// Each transition of a share and of a steward by itself. How they get on together is permits_simulation_test.cpp.
#include "cluster/permits.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::cluster;
using enum server_state;

namespace {

constexpr share_key here{0, 1};
constexpr share_key there{1, 1};
constexpr share_key third{2, 1};

permit_order order(std::uint64_t granted, std::uint64_t recalled = 0, std::uint64_t urgent = 0) {
  permit_order o;
  o.to = here;
  o.granted = granted;
  o.recalled = recalled;
  o.urgent = urgent;
  return o;
}

permit_report report(share_key from, std::uint64_t granted, std::uint64_t returned, std::uint32_t wanted) {
  permit_report r;
  r.from = from;
  r.granted = granted;
  r.returned = returned;
  r.wanted = wanted;
  return r;
}

/// A share with so many permits, each with an idle server.
permit_share share_with_idle(std::uint32_t servers) {
  permit_share share(here);
  BOOST_REQUIRE(share.on_order(order(servers)));
  for (std::uint32_t i = 0; i < servers; ++i)
    BOOST_REQUIRE(share.server_moved(none, opening) && share.server_moved(opening, idle));
  BOOST_REQUIRE((share.next() == share_step::none));
  (void)share.take_report();
  return share;
}

/// The order for one share among those a call made; its totals are 0 if there is none.
permit_order to(share_key key, const permit_steward::orders& orders) {
  for (const auto& o : orders)
    if (o.to == key) return o;
  return {};
}

permit_steward steward_with_two(std::uint32_t size, std::uint32_t first, std::uint32_t second) {
  permit_steward steward(size);
  (void)steward.share_joined(here, 0);
  (void)steward.share_joined(there, 0);
  (void)steward.on_report(report(here, 0, 0, first));
  (void)steward.on_report(report(there, 0, 0, second));
  (void)steward.on_report(report(here, steward.out_at(0), 0, 0));
  (void)steward.on_report(report(there, steward.out_at(1), 0, 0));
  BOOST_REQUIRE(steward.out_at(0) == first);
  BOOST_REQUIRE(steward.out_at(1) == second);
  return steward;
}

} // namespace

BOOST_AUTO_TEST_SUITE(permit_share_test)

BOOST_AUTO_TEST_CASE(a_waiter_makes_it_ask_once_and_a_grant_makes_it_open) {
  permit_share share(here);
  share.set_waiters(1);
  BOOST_TEST((share.next() == share_step::none));
  const auto asked = share.take_report();
  BOOST_REQUIRE(asked.has_value());
  BOOST_TEST(asked->wanted == 1U);
  BOOST_TEST(!share.take_report().has_value());
  BOOST_TEST(share.on_order(order(1)));
  BOOST_TEST((share.next() == share_step::open));
  BOOST_TEST(share.server_moved(none, opening));
  BOOST_TEST((share.next() == share_step::none));
  BOOST_TEST(share.server_moved(opening, idle));
  BOOST_TEST((share.next() == share_step::hand_out));
  BOOST_TEST(share.handed_out());
  share.set_waiters(0);
  BOOST_TEST((share.next() == share_step::none));
  BOOST_TEST(share.count(busy) == 1U);
  BOOST_TEST(!share.take_report().has_value());
}

BOOST_AUTO_TEST_CASE(it_asks_again_when_it_wants_twice_as_much) {
  permit_share share(here);
  share.set_waiters(2);
  BOOST_TEST(share.take_report()->wanted == 2U);
  share.set_waiters(3);
  BOOST_TEST(!share.take_report().has_value());
  share.set_waiters(4);
  BOOST_TEST(share.take_report()->wanted == 4U);
}

BOOST_AUTO_TEST_CASE(it_takes_its_request_back_when_it_has_a_permit_to_spare) {
  auto share = share_with_idle(1);
  share.set_waiters(2);
  BOOST_TEST(share.handed_out());
  share.set_waiters(1);
  BOOST_TEST(share.take_report()->wanted == 1U);
  share.set_waiters(0); // the client gave up, but the only server is busy: no word
  BOOST_TEST(!share.take_report().has_value());
  BOOST_TEST(share.server_moved(busy, idle));
  BOOST_TEST(share.take_report()->wanted == 0U);
}

BOOST_AUTO_TEST_CASE(no_permit_no_server_and_no_arrow_no_move) {
  permit_share share(here);
  BOOST_TEST(!share.server_moved(none, opening));
  BOOST_TEST(!share.server_moved(idle, busy));
  BOOST_TEST(!share.handed_out());
  BOOST_TEST(!share.carry_away(7));
  BOOST_TEST(share.on_order(order(1)));
  BOOST_TEST(!share.server_moved(none, idle));
  BOOST_TEST(share.server_moved(none, opening));
  BOOST_TEST(!share.server_moved(none, opening));
  BOOST_TEST(!share.server_moved(opening, busy));
  BOOST_TEST(share.server_moved(opening, idle));
  BOOST_TEST(!share.server_moved(idle, carried));
  BOOST_TEST(share.used() == 1U);
}

BOOST_AUTO_TEST_CASE(a_closing_server_uses_its_permit_until_eof) {
  auto share = share_with_idle(1);
  BOOST_TEST(share.server_moved(idle, closing));
  share.set_waiters(1);
  BOOST_TEST((share.next() == share_step::none));
  BOOST_TEST(share.free() == 0U);
  BOOST_TEST(share.server_moved(closing, none));
  BOOST_TEST((share.next() == share_step::open));
}

BOOST_AUTO_TEST_CASE(another_incarnations_order_changes_nothing) {
  permit_share share(here);
  auto stale = order(5);
  stale.to.incarnation = 0;
  BOOST_TEST(!share.on_order(stale));
  BOOST_TEST(share.held() == 0U);
}

BOOST_AUTO_TEST_CASE(a_recall_takes_what_is_spare_and_waits_for_the_rest) {
  auto share = share_with_idle(2);
  BOOST_TEST(share.handed_out());
  BOOST_TEST(share.on_order(order(2, 2)));
  BOOST_TEST((share.next() == share_step::give_up));
  BOOST_TEST(share.server_moved(idle, leaving));
  BOOST_TEST((share.next() == share_step::none));
  BOOST_TEST(share.held() == 2U); // the EOF rule
  BOOST_TEST(share.server_moved(leaving, none));
  BOOST_TEST((share.next() == share_step::none));
  BOOST_TEST(share.take_report()->returned == 1U);
  BOOST_TEST(share.debt() == 1U);
  share.set_waiters(1); // it is not urgent: the waiter comes first
  BOOST_TEST(share.server_moved(busy, idle));
  BOOST_TEST((share.next() == share_step::hand_out));
}

BOOST_AUTO_TEST_CASE(a_server_that_is_leaving_pays_already_so_the_next_one_stays) {
  auto share = share_with_idle(2);
  BOOST_TEST(share.on_order(order(2, 1)));
  BOOST_TEST((share.next() == share_step::give_up));
  BOOST_TEST(share.server_moved(idle, leaving));
  BOOST_TEST((share.next() == share_step::none));
  BOOST_TEST(share.count(idle) == 1U);
}

BOOST_AUTO_TEST_CASE(an_urgent_recall_takes_the_next_to_come_free_from_waiting_clients) {
  auto share = share_with_idle(1);
  BOOST_TEST(share.handed_out());
  share.set_waiters(3);
  BOOST_TEST(share.on_order(order(1, 1, 1)));
  BOOST_TEST((share.next() == share_step::none));
  BOOST_TEST(share.server_moved(busy, idle));
  BOOST_TEST((share.next() == share_step::give_up));
  BOOST_TEST(share.carry_away(7));
  BOOST_TEST((share.next() == share_step::none));
  const auto told = share.take_report();
  BOOST_REQUIRE(told.has_value());
  BOOST_TEST(told->returned == 1U);
  BOOST_TEST((told->carried == std::vector<backend_id>{7}));
  BOOST_TEST(told->wanted == 3U);
  BOOST_TEST(share.held() == 0U);
}

BOOST_AUTO_TEST_CASE(a_fresh_permit_serves_one_waiter_before_an_urgent_recall_takes_it) {
  permit_share share(here);
  share.set_waiters(2);
  BOOST_TEST(share.on_order(order(1, 1, 1)));
  BOOST_TEST((share.next() == share_step::open));
  BOOST_TEST(share.server_moved(none, opening));
  BOOST_TEST((share.next() == share_step::none));
  BOOST_TEST(share.server_moved(opening, idle));
  BOOST_TEST((share.next() == share_step::hand_out));
  BOOST_TEST(share.handed_out());
  share.set_waiters(1);
  BOOST_TEST(share.server_moved(busy, idle));
  BOOST_TEST((share.next() == share_step::give_up));
}

BOOST_AUTO_TEST_CASE(a_recall_can_be_taken_back) {
  auto share = share_with_idle(1);
  BOOST_TEST(share.handed_out());
  BOOST_TEST(share.on_order(order(1, 1)));
  BOOST_TEST(share.on_order(order(1, 0)));
  BOOST_TEST(share.debt() == 0U);
  BOOST_TEST(share.server_moved(busy, idle));
  BOOST_TEST((share.next() == share_step::none));
}

BOOST_AUTO_TEST_CASE(a_carried_server_arrives_idle_with_its_permit) {
  permit_share share(here);
  share.set_waiters(1);
  auto with_server = order(1);
  with_server.carried = {7};
  BOOST_TEST(share.on_order(with_server));
  BOOST_TEST(share.count(idle) == 1U);
  BOOST_TEST((share.next() == share_step::hand_out));
}

BOOST_AUTO_TEST_CASE(whether_a_server_may_come_along_is_the_stewards_word) {
  auto share = share_with_idle(1);
  BOOST_TEST(share.may_carry());
  auto across_nodes = order(1, 1);
  across_nodes.carry = false;
  BOOST_TEST(share.on_order(across_nodes));
  BOOST_TEST((share.next() == share_step::give_up));
  BOOST_TEST(!share.may_carry());
}

BOOST_AUTO_TEST_CASE(a_drained_share_gives_everything_back_and_ends_when_the_steward_knows) {
  auto share = share_with_idle(2);
  BOOST_TEST(share.handed_out());
  share.drain();
  share.set_waiters(5);
  BOOST_TEST((share.next() == share_step::give_up));
  BOOST_TEST(!share.may_carry());
  BOOST_TEST(share.server_moved(idle, leaving));
  BOOST_TEST((share.next() == share_step::none));
  BOOST_TEST(share.take_report()->draining);
  BOOST_TEST(share.server_moved(leaving, none));
  BOOST_TEST(share.server_moved(busy, idle));
  BOOST_TEST((share.next() == share_step::give_up));
  BOOST_TEST(share.server_moved(idle, leaving));
  BOOST_TEST(share.server_moved(leaving, none));
  BOOST_TEST((share.next() == share_step::none));
  BOOST_TEST(share.take_report()->returned == 2U);
  BOOST_TEST(!share.drained()); // a grant may still be on its way
  auto seen = order(2);
  seen.draining = true;
  BOOST_TEST(share.on_order(seen));
  BOOST_TEST(share.drained());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(permit_steward_test)

BOOST_AUTO_TEST_CASE(it_grants_what_is_free_and_no_more) {
  permit_steward steward(3);
  BOOST_TEST(steward.share_joined(here, 0).empty());
  BOOST_TEST(to(here, *steward.on_report(report(here, 0, 0, 2))).granted == 2U);
  BOOST_TEST(to(here, *steward.on_report(report(here, 2, 0, 5))).granted == 3U);
  BOOST_TEST(steward.free() == 0U);
  BOOST_TEST(steward.out() == 3U);
}

BOOST_AUTO_TEST_CASE(a_request_that_crossed_a_grant_is_not_granted_twice) {
  permit_steward steward(10);
  (void)steward.share_joined(here, 0);
  (void)steward.on_report(report(here, 0, 0, 1));
  BOOST_TEST(to(here, *steward.on_report(report(here, 0, 0, 2))).granted == 2U);
}

BOOST_AUTO_TEST_CASE(what_is_spare_elsewhere_is_recalled_and_passed_on_with_its_server) {
  auto steward = steward_with_two(4, 4, 0);
  const auto recall = to(here, *steward.on_report(report(there, 0, 0, 1)));
  BOOST_TEST(recall.recalled == 1U);
  BOOST_TEST(recall.carry);
  auto given = report(here, 4, 1, 0);
  given.carried = {7};
  const auto passed_on = to(there, *steward.on_report(given));
  BOOST_TEST(passed_on.granted == 1U);
  BOOST_TEST((passed_on.carried == std::vector<backend_id>{7}));
  BOOST_TEST(steward.out_at(0) == 3U);
}

BOOST_AUTO_TEST_CASE(a_recall_ends_when_the_want_does) {
  auto steward = steward_with_two(4, 4, 0);
  BOOST_TEST(to(here, *steward.on_report(report(there, 0, 0, 2))).recalled == 2U);
  const auto orders = *steward.on_report(report(there, 0, 0, 0));
  BOOST_REQUIRE(orders.size() == 1U);
  BOOST_TEST(to(here, orders).recalled == 0U);
}

BOOST_AUTO_TEST_CASE(a_server_nobody_wants_any_more_goes_back_where_it_came_from) {
  auto steward = steward_with_two(4, 4, 0);
  (void)steward.on_report(report(there, 0, 0, 1));
  (void)steward.on_report(report(there, 0, 0, 0));
  auto given = report(here, 4, 1, 0);
  given.carried = {7};
  const auto back = to(here, *steward.on_report(given));
  BOOST_TEST(back.granted == 5U);
  BOOST_TEST((back.carried == std::vector<backend_id>{7}));
}

BOOST_AUTO_TEST_CASE(a_server_is_not_carried_to_another_node) {
  permit_steward steward(1);
  (void)steward.share_joined(here, 0);
  (void)steward.share_joined(there, 1);
  (void)steward.on_report(report(here, 0, 0, 1));
  BOOST_TEST(!to(here, *steward.on_report(report(there, 0, 0, 1))).carry);
  auto given = report(here, 1, 1, 0);
  given.carried = {7};
  BOOST_TEST((to(here, *steward.on_report(given)).carried == std::vector<backend_id>{7}));
}

BOOST_AUTO_TEST_CASE(a_share_with_nothing_and_a_waiter_gets_one_from_the_richest) {
  auto steward = steward_with_two(6, 4, 2);
  (void)steward.on_report(report(here, 4, 0, 9));
  (void)steward.on_report(report(there, 2, 0, 9));
  (void)steward.share_joined(third, 0);
  const auto orders = *steward.on_report(report(third, 0, 0, 1));
  BOOST_TEST(to(here, orders).urgent == 1U);
  BOOST_TEST(to(there, orders).urgent == 0U);
}

BOOST_AUTO_TEST_CASE(waiting_clients_keep_their_permit_unless_the_difference_is_two) {
  auto steward = steward_with_two(4, 3, 1);
  // 13 and 11 in demand: fair would be 2.17 and 1.83, so the difference is 1.67.
  (void)steward.on_report(report(here, 3, 0, 10));
  BOOST_TEST(to(here, *steward.on_report(report(there, 1, 0, 10))).urgent == 0U);
  // 13 and 21: 1.53 and 2.47, the difference is 2.94.
  BOOST_TEST(to(here, *steward.on_report(report(there, 1, 0, 20))).urgent == 1U);
}

BOOST_AUTO_TEST_CASE(the_last_permit_rotates_when_there_are_more_shares_than_permits) {
  permit_steward steward(1);
  for (auto key : {here, there, third})
    (void)steward.share_joined(key, 0);
  (void)steward.on_report(report(here, 0, 0, 5));
  BOOST_TEST(to(here, *steward.on_report(report(there, 0, 0, 5))).urgent == 1U);
  (void)steward.on_report(report(third, 0, 0, 5));
  const auto second = to(there, *steward.on_report(report(here, 1, 1, 5)));
  BOOST_TEST(second.granted == 1U);
  BOOST_TEST(second.urgent == 1U);
  BOOST_TEST(to(third, *steward.on_report(report(there, 1, 1, 5))).granted == 1U);
  BOOST_TEST(to(here, *steward.on_report(report(third, 1, 1, 5))).granted == 2U);
}

BOOST_AUTO_TEST_CASE(of_shares_with_nothing_the_longest_waiting_is_next_however_little_it_wants) {
  permit_steward steward(1);
  for (auto key : {here, there, third})
    (void)steward.share_joined(key, 0);
  (void)steward.on_report(report(here, 0, 0, 1));
  (void)steward.on_report(report(there, 0, 0, 1));
  (void)steward.on_report(report(third, 0, 0, 50));
  BOOST_TEST(to(there, *steward.on_report(report(here, 1, 1, 0))).granted == 1U);
}

BOOST_AUTO_TEST_CASE(a_smaller_size_recalls_what_is_above_it_and_grants_nothing_until_then) {
  auto steward = steward_with_two(4, 3, 1);
  const auto orders = steward.resize(2);
  BOOST_TEST(to(here, orders).urgent + to(there, orders).urgent == 2U);
  BOOST_TEST(to(here, orders).urgent >= 1U);
  (void)steward.on_report(report(here, 3, 1, 1));
  BOOST_TEST(steward.out() == 3U);
  (void)steward.on_report(report(here, 3, 2, 0));
  BOOST_TEST(steward.out() == 2U);
  BOOST_TEST(steward.free() == 0U);
  BOOST_TEST(steward.resize(5).empty());
  BOOST_TEST(steward.free() == 3U);
}

BOOST_AUTO_TEST_CASE(a_lost_shares_permits_are_out_until_their_backends_are_gone) {
  auto steward = steward_with_two(4, 4, 0);
  (void)steward.on_report(report(there, 0, 0, 4));
  // Four permits, two backends: two permits had none and are free at once.
  BOOST_TEST(to(there, steward.share_lost(here, {7, 8}, true)).granted == 2U);
  BOOST_TEST(steward.lost() == 2U);
  BOOST_TEST(steward.backend_gone(here, 99).empty());
  BOOST_TEST(to(there, steward.backend_gone(here, 7)).granted == 3U);
  BOOST_TEST(to(there, steward.backend_gone(here, 8)).granted == 4U);
  BOOST_TEST(steward.lost() == 0U);
  BOOST_TEST(steward.backend_gone(here, 8).empty());
}

BOOST_AUTO_TEST_CASE(an_incomplete_roster_frees_nothing_until_it_is_settled) {
  auto steward = steward_with_two(4, 4, 0);
  (void)steward.share_lost(here, {7}, false);
  (void)steward.backend_gone(here, 7);
  BOOST_TEST(steward.lost() == 4U);
  (void)steward.roster_settled(here);
  BOOST_TEST(steward.lost() == 0U);
  BOOST_TEST(steward.free() == 4U);
}

BOOST_AUTO_TEST_CASE(who_leaves_without_having_drained_is_lost) {
  auto steward = steward_with_two(4, 2, 0);
  (void)steward.share_left(here);
  BOOST_TEST(steward.lost() == 2U);
  BOOST_TEST(steward.free() == 2U);
}

// The successor was heard of first. What an ignored report carried along is out until it is gone, the rest is not.
BOOST_AUTO_TEST_CASE(who_leaves_after_its_successor_came_leaves_only_what_it_carried) {
  auto steward = steward_with_two(4, 3, 0);
  (void)steward.share_joined(share_key{0, 2}, 0);
  auto ignored = report(here, 3, 1, 0);
  ignored.carried = {7};
  BOOST_TEST(!steward.on_report(ignored).has_value());
  (void)steward.share_left(here);
  BOOST_TEST(steward.lost() == 1U);
  (void)steward.backend_gone(here, 7);
  BOOST_TEST(steward.free() == 4U);
}

BOOST_AUTO_TEST_CASE(words_of_an_older_life_are_ignored) {
  auto steward = steward_with_two(4, 2, 0);
  const share_key next{0, 2};
  (void)steward.share_joined(next, 0);
  BOOST_TEST(steward.lost() == 2U);
  BOOST_TEST(!steward.on_report(report(here, 2, 2, 0)).has_value());
  BOOST_TEST(steward.share_joined(here, 0).empty());
  BOOST_TEST(steward.out_at(0) == 0U);
  (void)steward.share_lost(here, {}, true);
  BOOST_TEST(steward.free() == 4U);
  BOOST_TEST(steward.on_report(report(next, 0, 0, 1)).has_value());
}

BOOST_AUTO_TEST_CASE(a_death_heard_of_before_the_birth_still_counts) {
  permit_steward steward(4);
  (void)steward.share_lost(here, {}, true);
  (void)steward.share_joined(here, 0);
  BOOST_TEST(steward.shares() == 0U);
}

BOOST_AUTO_TEST_CASE(a_report_that_cannot_be_true_is_not_of_this_life) {
  auto steward = steward_with_two(4, 2, 0);
  BOOST_TEST(!steward.on_report(report(here, 2, 3, 0)).has_value()); // more given back than granted
  BOOST_TEST(!steward.on_report(report(here, 3, 0, 0)).has_value()); // a grant that never was
  auto carries_for_nothing = report(here, 2, 0, 0);
  carries_for_nothing.carried = {7};
  BOOST_TEST(!steward.on_report(carries_for_nothing).has_value());
  BOOST_TEST(steward.out_at(0) == 2U);
}

BOOST_AUTO_TEST_CASE(a_draining_share_is_told_that_it_is_known_and_gets_nothing_more) {
  auto steward = steward_with_two(4, 1, 0);
  auto drains = report(here, 1, 0, 3);
  drains.draining = true;
  const auto seen = to(here, *steward.on_report(drains));
  BOOST_TEST(seen.draining);
  BOOST_TEST(seen.granted == 1U);
  drains.returned = 1;
  (void)steward.on_report(drains);
  BOOST_TEST(steward.share_left(here).empty());
  BOOST_TEST(steward.shares() == 1U);
  BOOST_TEST(steward.free() == 4U);
}

BOOST_AUTO_TEST_SUITE_END()
