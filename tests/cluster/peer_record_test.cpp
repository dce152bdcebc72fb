// Numbers of nodes and where they are: as the store has them, and what is made of it.
#include "cluster/cancel_key.hpp"
#include "cluster/peer_record.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::cluster;

namespace {

const std::string root = "/pg_edge/blue/";

store_entry number(peer_number which, const std::string& node) {
  return {number_key(root, which), node, 1, 0};
}

} // namespace

BOOST_AUTO_TEST_SUITE(peer_record_test)

BOOST_AUTO_TEST_CASE(records_are_read_as_they_were_written) {
  for (const std::string host : {"10.0.0.1", "fd00::1", "::1"}) {
    const peer_record one{"node-a", {host, 7433}, 17};
    const auto read = parse_peer_record(to_text(one));
    BOOST_REQUIRE(read.has_value());
    BOOST_TEST(read->node == "node-a");
    BOOST_TEST(read->at.host == host);
    BOOST_TEST(read->at.port == 7433);
    BOOST_TEST(read->incarnation == 17U);
  }
  for (const auto* wrong : {"", "a", "a 10.0.0.1:1", "a 10.0.0.1 1", "a 10.0.0.1:1 x", "a 10.0.0.1:1 0", " 1:1 1"})
    BOOST_TEST(!parse_peer_record(wrong).has_value(), wrong);
}

BOOST_AUTO_TEST_CASE(a_node_keeps_its_number_and_a_new_one_gets_the_lowest) {
  BOOST_TEST(choose_number({}, root, "a").number == 1);
  const std::vector<store_entry> some{number(1, "a"), number(3, "c"), {number_prefix(root) + "x", "y", 1, 0}};
  BOOST_TEST(choose_number(some, root, "c").number == 3);
  BOOST_TEST(choose_number(some, root, "c").claimed);
  BOOST_TEST(choose_number(some, root, "b").number == 2);
  BOOST_TEST(!choose_number(some, root, "b").claimed);
  std::vector<store_entry> full;
  for (peer_number i = 1; i < cancel_max_nodes; ++i)
    full.push_back(number(i, "n" + std::to_string(i)));
  BOOST_TEST(choose_number(full, root, "b").number == 0);
  BOOST_TEST(choose_number(full, root, "n1023").number == 1023); // fits a cancel key
}

BOOST_AUTO_TEST_CASE(who_asks_is_not_its_own_peer) {
  const std::vector<store_entry> all{{link_key(root, 1), "a 10.0.0.1:1 1", 1, 5},
                                     {link_key(root, 2), "b 10.0.0.2:1 1", 1, 6},
                                     {link_key(root, 3), "rubbish", 1, 7},
                                     {link_prefix(root) + "5000", "c 10.0.0.3:1 1", 1, 7}};
  const auto peers = read_peers(all, root, 1);
  BOOST_REQUIRE(peers.size() == 1U);
  BOOST_TEST(peers.at(2).node == "b");
}

BOOST_AUTO_TEST_SUITE_END()
