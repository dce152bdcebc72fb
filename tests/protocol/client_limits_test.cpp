// Client messages that are none, or that are beyond a limit: the row of the error table that answers them, and when.
#include "protocol/messages.hpp"
#include "tests/protocol/exchange_rig.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge;
using namespace pg_edge::test;
using protocol::client_verdict;
using protocol::error_code;

namespace {

/// A client and its server, without a pool.
struct pair {
  protocol::statement_cache cache;
  protocol::exchange_counts counts;
  protocol::exchange_rules rules{.cache = &cache, .counts = &counts};
  protocol::client_session client;
  protocol::server_session server;
  std::string sent, told; // to the server, to the client
  protocol::client_step step;

  explicit pair(bool sharing = true) {
    rules.share_statements = sharing;
    client.rules = server.rules = &rules;
  }
  client_verdict say(const std::string& bytes, bool linked = true) {
    protocol::gather to_server, to_client;
    step = protocol::from_client(client, linked ? &server : nullptr, bytes, to_server, to_client);
    to_server.move_to(sent, 0);
    to_client.move_to(told, 0);
    return step.verdict;
  }
  void hear(const std::string& bytes) {
    protocol::gather to_server, to_client;
    const auto heard = protocol::from_server(server, &client, bytes, to_client, to_server);
    BOOST_TEST(!heard.broken);
    to_client.move_to(told, 0);
    to_server.move_to(sent, 0);
  }
};

std::string error_bytes(const std::string& sqlstate) {
  return protocol::encode(
      protocol::error_response{{{'S', "ERROR"}, {'V', "ERROR"}, {'C', sqlstate}, {'M', "its own"}}});
}

} // namespace

BOOST_AUTO_TEST_SUITE(client_limits_test)

BOOST_AUTO_TEST_CASE(B195_each_fault_has_its_row) {
  const struct {
    std::string bytes;
    protocol::refusal why;
  } table[] = {
      {raw('q', ""), {error_code::invalid_message_type, {"113"}}},
      {raw('\xff', ""), {error_code::invalid_message_type, {"255"}}},
      {std::string("q\0\0\0\0", 5), {error_code::invalid_message_type, {"113"}}}, // the type is looked at first
      {std::string("Q\0\0\0\3", 5), {error_code::invalid_message_length, {"Query", "3"}}},
      {std::string("Q\xff\xff\xff\xff", 5), {error_code::invalid_message_length, {"Query", "4294967295"}}},
      {raw('D', "S" + std::string(10'000, 'x')), {error_code::invalid_message_length, {"Describe", "10005"}}},
      {raw('C', "S" + std::string(10'000, 'x')), {error_code::invalid_message_length, {"Close", "10005"}}},
      {raw('S', std::string(10'000, 'x')), {error_code::invalid_message_length, {"Sync", "10004"}}},
  };
  for (const bool sharing : {false, true})
    for (const bool linked : {false, true})
      for (const auto& row : table) {
        pair all(sharing);
        BOOST_TEST((all.say(row.bytes, linked) == client_verdict::broken));
        BOOST_TEST((all.step.why == row.why), all.step.why.text());
        BOOST_TEST(all.told == "");
        BOOST_TEST(all.sent == "");
      }
}

BOOST_AUTO_TEST_CASE(B195_the_longest_small_message_passes) {
  pair all(false);
  BOOST_TEST((all.say(raw('D', "S" + std::string(9'994, 'x') + '\0')) == client_verdict::more));
  BOOST_TEST(all.sent.size() == 10'001u);
}

BOOST_AUTO_TEST_CASE(what_was_sent_before_is_answered_first) {
  pair all(false);
  BOOST_TEST((all.say(q("SELECT 1") + raw('q', "")) == client_verdict::wait));
  all.hear(raw('I', "") + raw('Z', "I"));
  BOOST_TEST((all.say(raw('q', "")) == client_verdict::broken));
}

BOOST_AUTO_TEST_CASE(in_a_copy_the_server_waits_for_the_client_so_the_error_does_not_wait) {
  pair all(false);
  BOOST_TEST((all.say(q("COPY t FROM STDIN")) == client_verdict::more));
  all.hear(raw('G', std::string("\0\0\0", 3)));
  BOOST_TEST((all.say(raw('q', "")) == client_verdict::broken));
  BOOST_TEST((all.step.why == protocol::refusal{error_code::unexpected_in_copy, {"71"}}));
  BOOST_TEST(all.step.why.text() == "unexpected message type 0x71 during COPY from stdin");
}

BOOST_AUTO_TEST_CASE(max_packet_size_names_itself) {
  pair all;
  all.rules.max_message = 100;
  BOOST_TEST((all.say(q(std::string(200, ' '))) == client_verdict::broken));
  BOOST_TEST(all.step.why.text() == "message of 206 bytes is too long: max_packet_size is 100");
}

BOOST_AUTO_TEST_CASE(a_statement_or_name_beyond_the_limit_is_an_error_at_its_place_and_no_end) {
  const std::string long_name(2 * protocol::name_limit, 'n');
  const struct {
    std::string bytes;
    std::string_view text;
  } table[] = {
      {p("big", std::string(protocol::named_parse_limit, ' ')), "prepared statement of 16777228 bytes is too large"},
      {b(long_name), "the names in a Bind message are longer than 65536 bytes"},
  };
  for (const auto& row : table) {
    pair all;
    BOOST_TEST((all.say(row.bytes, false) == client_verdict::need_server));
    // None of it reaches the server, and it is not kept until it is whole.
    const std::size_t most = row.bytes.size() - 1;
    BOOST_TEST((all.say(row.bytes.substr(0, most)) == client_verdict::more));
    BOOST_TEST(all.step.consumed == most);
    BOOST_TEST((all.say(row.bytes.substr(most) + s()) == client_verdict::more));
    BOOST_TEST((all.sent == p("pg_edge_refused", "refused by pg_edge") + s()));
    all.hear(error_bytes("42601") + raw('Z', "I"));
    const std::string heard = joined(lines_of(all.told));
    BOOST_TEST(heard.starts_with("E 54000 " + std::string(row.text)), heard);
    BOOST_TEST(heard.ends_with("; Z I"), heard);
    BOOST_TEST(all.server.settled());
    BOOST_TEST(!all.client.in_batch);
    all.told.clear();
    all.say(q("SELECT 1"));
    all.hear(error_bytes("42601") + raw('Z', "I"));
    BOOST_TEST(joined(lines_of(all.told)) == "E 42601 its own; Z I"); // only that one error was replaced
  }
}

BOOST_AUTO_TEST_CASE(an_error_before_the_refused_one_keeps_its_own_words) {
  pair all;
  all.say(p("", "nonsense") + p("big", std::string(protocol::named_parse_limit, ' ')) + s());
  all.hear(error_bytes("42601") + raw('Z', "I"));
  BOOST_TEST(joined(lines_of(all.told)) == "E 42601 its own; Z I");
  BOOST_TEST(all.server.settled());
}

BOOST_AUTO_TEST_SUITE_END()
