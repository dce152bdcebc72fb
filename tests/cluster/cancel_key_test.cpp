#include "cluster/cancel_key.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

using namespace pg_edge::cluster;

BOOST_AUTO_TEST_SUITE(cancel_key_test)

// The layout is on the wire between nodes of different versions, hence the literal number.
BOOST_AUTO_TEST_CASE(the_layout_is_node_process_slot_from_the_top) {
  const auto key = make_cancel_key(5, 1, 9, "abcd");
  BOOST_REQUIRE(key.has_value());
  BOOST_TEST(key->process_id == 5 * 2097152 + 1048576 + 9);
  BOOST_TEST(key->secret == "abcd");
}

BOOST_AUTO_TEST_CASE(the_parts_come_back_at_every_limit_and_the_number_stays_positive) {
  for (std::uint32_t node : {0U, 1U, 512U, 1023U})
    for (std::uint32_t process : {0U, 1U})
      for (std::uint32_t slot : {1U, 524288U, 1048575U}) {
        const auto key = make_cancel_key(node, process, slot, "abcd");
        BOOST_REQUIRE(key.has_value());
        BOOST_TEST(key->process_id > 0);
        BOOST_TEST(node_of(key->process_id) == node);
        BOOST_TEST(process_of(key->process_id) == process);
        BOOST_TEST(slot_of(key->process_id) == slot);
      }
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_makes_no_key) {
  BOOST_TEST(!make_cancel_key(1024, 0, 1, "abcd").has_value());
  BOOST_TEST(!make_cancel_key(0, 2, 1, "abcd").has_value());
  BOOST_TEST(!make_cancel_key(0, 0, 1048576, "abcd").has_value());
  BOOST_TEST(!make_cancel_key(0, 0, 0, "abcd").has_value());
  BOOST_TEST(!make_cancel_key(0, 0, 1, "abc").has_value());
  BOOST_TEST(!make_cancel_key(0, 0, 1, std::string(31, 'x')).has_value());
  BOOST_TEST(make_cancel_key(0, 0, 1, std::string(32, 'x')).has_value());
}

BOOST_AUTO_TEST_CASE(a_hostile_process_id_decodes_within_bounds) {
  BOOST_TEST(node_of(-1) == 1023);
  BOOST_TEST(process_of(-1) == 1);
  BOOST_TEST(slot_of(-1) == 1048575);
}

BOOST_AUTO_TEST_CASE(only_the_whole_key_matches) {
  const auto key = *make_cancel_key(1, 0, 7, "abcd");
  BOOST_TEST(same_key(key, key.process_id, "abcd"));
  BOOST_TEST(!same_key(key, key.process_id, "abce"));
  BOOST_TEST(!same_key(key, key.process_id,
                       "\xe1"
                       "bcd"));
  BOOST_TEST(!same_key(key, key.process_id, "abc"));
  BOOST_TEST(!same_key(key, key.process_id, ""));
  BOOST_TEST(!same_key(key, key.process_id + 1, "abcd"));
  BOOST_TEST(!same_key(cancel_key{}, 0, ""));
}

BOOST_AUTO_TEST_SUITE_END()
