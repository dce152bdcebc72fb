// What the model-based test against Postgres (tests/pg/model_pgtest.cpp) has found, made short: each is compared with
// what a backend of the client's own answers.
#include "tests/protocol/exchange_rig.hpp"

#include <boost/test/unit_test.hpp>

namespace pg_edge::test {

namespace {

/// Sends the bursts one after the other, each when all before is answered. Both sharing statements and not.
void same_as_straight(const std::vector<std::string>& bursts) {
  for (const bool sharing : {false, true})
    for (const auto order : {delivery::order::eager, delivery::order::lazy})
      for (const std::size_t piece : {0, 1}) {
        rig all({.sharing = sharing}, {.in = order, .piece = piece});
        toy_database plain;
        rig_client& client = all.client();
        for (const std::string& burst : bursts)
          all.send(client, burst);
        BOOST_TEST(client.broken == "");
        BOOST_TEST(comparable(client.output, toy_server(plain, {}).reported()) == straight(client.sent));
        BOOST_TEST(all.problems() == "");
      }
}

} // namespace

BOOST_AUTO_TEST_SUITE(exchange_model_test)

BOOST_AUTO_TEST_CASE(B107_a_sync_behind_the_row_that_ends_a_copy_is_answered_before_what_follows) {
  same_as_straight({p("", "COPY t FROM STDIN") + b("") + e() + h(), copy_data("bad") + s() + q("SELECT 1")});
  same_as_straight(
      {p("", "COPY t FROM STDIN") + b("") + e() + h(), copy_data("bad") + s() + p("", "SELECT 1") + b("") + e() + s()});
}

BOOST_AUTO_TEST_CASE(B085_a_close_that_is_skipped_leaves_the_unnamed_statement) {
  same_as_straight({p("", "DEALLOCATE s0") + b("") + e() + cs("") + s(), b("", {"x"}) + e() + s(), b("") + e() + s()});
  same_as_straight({p("", "DEALLOCATE s0") + b("") + e() + cs("") + s() + b("") + e() + s()});
}

BOOST_AUTO_TEST_CASE(B085_a_query_that_is_skipped_leaves_the_unnamed_statement) {
  same_as_straight({p("", "SELECT 'kept'") + b("") + e() + s(), e("nowhere") + q("SELECT 2") + s(), b("") + e() + s()});
  same_as_straight(
      {p("", "SELECT 'kept'") + b("") + e() + s() + e("nowhere") + q("SELECT 2") + s() + b("") + e() + s()});
}

/// It would have to wait for the COPY to end, and the COPY waits for the client.
BOOST_AUTO_TEST_CASE(B195_sql_that_names_statements_within_a_copy_ends_the_copy) {
  for (const std::string& wrong : {q("DEALLOCATE s0"), p("", "DEALLOCATE s0") + b("") + e() + s()})
    for (const std::string& copy : {q("COPY t FROM STDIN"), p("", "COPY t FROM STDIN") + b("") + e() + h()})
      for (const bool at_once : {false, true}) {
        rig all;
        rig_client& client = all.client();
        const std::string row = copy_data("row");
        all.send(client, at_once ? copy + row + wrong : copy + row);
        if (!at_once) all.send(client, wrong);
        BOOST_TEST(client.output.find("during COPY") != std::string::npos, joined(lines_of(client.output)));
      }
}

BOOST_AUTO_TEST_CASE(B084_sql_that_names_statements_behind_a_copy_that_failed_waits_for_it) {
  same_as_straight({q("PREPARE s0 AS SELECT 'kept'"), q("COPY t FROM STDIN"), copy_data("bad") + q("EXECUTE s0")});
  same_as_straight({q("PREPARE s0 AS SELECT 'kept'"), p("", "COPY t FROM STDIN") + b("") + e() + h(),
                    copy_data("bad") + q("EXECUTE s0") + s() + q("EXECUTE s0")});
}

BOOST_AUTO_TEST_CASE(B107_a_batch_behind_a_copy_that_failed_unseen_is_answered) {
  same_as_straight({q("COPY t FROM STDIN"), copy_data("bad") + q("SELECT 1") + e("nowhere") + s() + q("SELECT 2")});
}

BOOST_AUTO_TEST_CASE(B107_what_waits_behind_a_copy_whose_sync_was_ignored_is_not_forgotten) {
  same_as_straight({p("", "COPY t FROM STDIN") + b("") + e() + s() + copy_done() + p("", "DEALLOCATE s0") + b("") +
                    e() + cs("") + s()});
}

BOOST_AUTO_TEST_CASE(B195_a_flush_with_a_body_is_passed_over_within_a_copy) {
  same_as_straight({q("COPY t FROM STDIN"), raw('H', "abc") + copy_data("row") + copy_done(), q("SELECT 1")});
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace pg_edge::test
