#include "cluster/placement.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::cluster;

BOOST_AUTO_TEST_SUITE(placement_test)

BOOST_AUTO_TEST_CASE(a_pool_has_a_share_for_every_four_permits_and_no_more_than_reactors) {
  BOOST_TEST(shares_for(1, 8) == 1);
  BOOST_TEST(shares_for(7, 8) == 1);
  BOOST_TEST(shares_for(8, 8) == 2);
  BOOST_TEST(shares_for(20, 2) == 2);
  BOOST_TEST(shares_for(1000, 8) == 8);
  BOOST_TEST(shares_for(0, 0) == 1);
}

BOOST_AUTO_TEST_CASE(a_client_joins_the_share_with_the_fewest_clients_per_permit) {
  BOOST_TEST(!place({}).has_value());
  BOOST_TEST(place({{9, 2}}).value() == 0U);
  BOOST_TEST(place({{10, 2}, {20, 8}}).value() == 1U);
  BOOST_TEST(place({{10, 4}, {12, 4}}).value() == 0U);
}

BOOST_AUTO_TEST_CASE(the_clients_of_an_empty_pool_spread) {
  std::vector<share_load> shares(3);
  for (int i = 0; i < 9; ++i)
    ++shares[*place(shares)].clients;
  for (const auto& share : shares)
    BOOST_TEST(share.clients == 3U);
  BOOST_TEST(place({{1, 1}, {0, 0}}).value() == 1U);
}

BOOST_AUTO_TEST_SUITE_END()
