// On the wire between nodes of different versions, hence the literal bytes.
#include "cluster/relay_request.hpp"
#include "tests/protocol/golden.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::cluster;
using pg_edge::protocol::bytes;
using pg_edge::protocol::tests::wire;

BOOST_AUTO_TEST_SUITE(relay_request_test)

BOOST_AUTO_TEST_CASE(a_client_stands_on_the_wire_as_ever_and_what_is_cut_is_none) {
  const relay_request request{.tenant = "t",
                              .database = "app",
                              .user = "u",
                              .asked_user = "u.t",
                              .peer_host = "::1",
                              .peer_port = 258,
                              .parameters = {{"user", "u"}},
                              .secret = "s",
                              .client_key = "c",
                              .server_key = "k",
                              .again = true};
  const bytes all =
      wire({"'c'", "00000001 't'", "00000003 'app'", "00000001 'u'", "00000003 'u.t'", "00000003 '::1'", "00000001 's'",
            "00000001 'c'", "00000001 'k'", "0102", "01", "0001", "00000004 'user'", "00000001 'u'"});
  BOOST_TEST(encode(request) == all);
  BOOST_TEST((decode_relay_request(all) == request));
  BOOST_TEST((decode_relay_request(all + "of a later version") == request));
  for (std::size_t size = 0; size < all.size(); ++size)
    BOOST_TEST(!decode_relay_request(all.substr(0, size)).has_value());
  BOOST_TEST(!decode_relay_request(encode(relayed_cancel{1, "s"})).has_value());
}

BOOST_AUTO_TEST_CASE(a_session_stands_behind_everything_else) {
  relay_request request;
  request.tenant = "t";
  request.database = "d";
  request.user = "u";
  const bytes before = encode(request);
  relayed_session& session = request.session.emplace();
  session.unconfirmed = true;
  session.in_batch = true;
  session.state.values = moved_values{{"TimeZone", "UTC"}};
  session.state.custom_startup = true;
  session.state.unnamed = bytes("select 1\0\0\0", 11);
  session.state.statements = {{"s", bytes("x\0\0\0", 4), "", false, true, {}}, {"p", "y", "int", true, false, "z"}};
  const bytes all = encode(request);
  BOOST_TEST(all.substr(0, before.size()) == before);
  BOOST_TEST(all.substr(before.size()) ==
             wire({"01", "07", "01 00000001 00000008 'TimeZone' 00000003 'UTC'", "00", "00",
                   "0000000b 'select 1' 000000", "00000002", "02 00000001 's' 00000004 'x' 000000 00000000",
                   "05 00000001 'p' 00000001 'y' 00000003 'int' 00000001 'z'"}));
  BOOST_TEST((decode_relay_request(all) == request));
  for (std::size_t size = before.size() + 1; size < all.size(); ++size)
    BOOST_TEST(!decode_relay_request(all.substr(0, size)).has_value());
}

BOOST_AUTO_TEST_CASE(a_cancel_too) {
  const relayed_cancel cancel{258, "secret"};
  const bytes all = wire({"'x' 00000102 00000006 'secret'"});
  BOOST_TEST(encode(cancel) == all);
  BOOST_TEST((decode_relayed_cancel(all) == cancel));
  for (std::size_t size = 0; size < all.size(); ++size)
    BOOST_TEST(!decode_relayed_cancel(all.substr(0, size)).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
