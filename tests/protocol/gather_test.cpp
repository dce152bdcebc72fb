#include "protocol/gather.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::protocol;

BOOST_AUTO_TEST_SUITE(gather_test)

BOOST_AUTO_TEST_CASE(pieces_are_joined_where_they_touch) {
  const bytes buffer = "abcdefgh";
  gather out;
  BOOST_TEST(out.empty());
  out.borrow(bytes_view(buffer).substr(0, 2));
  out.borrow(bytes_view(buffer).substr(2, 2));
  BOOST_TEST(out.pieces() == 1u);
  BOOST_TEST((out.at(0).data() == buffer.data()));
  out.borrow({});
  out.copy({});
  BOOST_TEST(out.pieces() == 1u);
  out.copy("12");
  out.copy("3");
  BOOST_TEST(out.pieces() == 2u);
  out.borrow(bytes_view(buffer).substr(4));
  out.copy("4");
  BOOST_TEST(out.pieces() == 4u);
  BOOST_TEST(out.size() == 12u);
  BOOST_TEST(out.at(1) == "123");
}

BOOST_AUTO_TEST_CASE(what_a_socket_did_not_take_is_moved) {
  const bytes buffer = "abcdefgh";
  for (std::size_t taken = 0; taken <= 11; ++taken) {
    gather out;
    out.borrow(bytes_view(buffer).substr(0, 4));
    out.copy("123");
    out.borrow(bytes_view(buffer).substr(4));
    bytes left = "<";
    out.move_to(left, taken);
    BOOST_TEST(left == "<" + bytes("abcd123efgh").substr(taken));
    BOOST_TEST(out.empty());
    BOOST_TEST(out.pieces() == 0u);
  }
}

BOOST_AUTO_TEST_CASE(own_bytes_may_move_while_it_grows) {
  gather out;
  out.copy("first");
  const bytes other(1, '|');
  out.borrow(other);
  out.copy(bytes(100'000, 'x'));
  BOOST_TEST(out.at(0) == "first");
  BOOST_TEST(out.at(2).size() == 100'000u);
}

BOOST_AUTO_TEST_SUITE_END()
