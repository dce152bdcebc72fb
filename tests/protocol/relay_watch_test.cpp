// What a node knows of a session that another one serves: when nothing is under way, and what would move with it; the
// same for bytes in any pieces.
#include "golden.hpp"
#include "protocol/relay_watch.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::protocol;

namespace {

bytes message(char type, bytes_view body) {
  bytes out;
  put_u8(out, static_cast<std::uint8_t>(type));
  put_u32(out, static_cast<std::uint32_t>(body.size() + 4));
  return out.append(body);
}

const bytes ask_it = message('Q', bytes_view("select 1\0", 9)), is_ready = message('Z', "I"),
            is_open = message('Z', "T"), sync_it = message('S', ""), parsed = message('1', ""),
            closed = message('3', "");

bytes parse(const bytes& name, const bytes& text) {
  return message('P', name + '\0' + text + '\0' + bytes(2, '\0'));
}
bytes complete(const bytes& tag) {
  return message('C', tag + '\0');
}
bytes error(const bytes& severity) {
  return message('E', "S" + severity + '\0' + "CXX000" + '\0' + "Mtext" + '\0' + '\0');
}
bytes status(const bytes& name, const bytes& value) {
  return message('S', name + '\0' + value + '\0');
}

} // namespace

BOOST_AUTO_TEST_SUITE(relay_watch_test)

BOOST_AUTO_TEST_CASE(it_is_idle_when_every_answer_has_come_and_no_transaction_is_open) {
  relay_watch watch;
  BOOST_TEST(watch.idle());
  watch.from_client(ask_it + ask_it);
  BOOST_TEST(!watch.idle());
  BOOST_TEST(watch.doubtful());
  watch.from_node(is_ready);
  BOOST_TEST(!watch.idle());
  watch.from_node(is_ready);
  BOOST_TEST(watch.idle());
  watch.from_client(ask_it);
  watch.from_node(is_open);
  BOOST_TEST(!watch.idle());
}

BOOST_AUTO_TEST_CASE(a_session_that_was_served_here_before_is_told_to_the_next_node_with_what_it_had) {
  const bytes old = parse("old", "select 1"), young = parse("young", "select 2");
  relay_watch watch;
  watch.resume(with(nullptr, "TimeZone", "UTC"), {{"old", old}}, false, true);
  BOOST_TEST(watch.idle());
  BOOST_TEST(watch.can_move());
  watch.begin(watch.told());
  watch.from_client(young + sync_it);
  watch.from_node(parsed + is_ready);
  BOOST_TEST((watch.statements() == std::map<std::string, bytes>{{"old", old}, {"young", young}}));
  BOOST_TEST(watch.told()->get("TimeZone") == "UTC");
  relay_watch in_batch;
  in_batch.resume(nullptr, {}, true, true);
  BOOST_TEST(!in_batch.idle());
  in_batch.from_client(sync_it);
  in_batch.from_node(is_ready);
  BOOST_TEST(in_batch.idle());
  relay_watch more; // than can be told
  more.resume(nullptr, {{"old", old}}, false, false);
  BOOST_TEST(!more.can_move());
  BOOST_TEST(more.statements().empty());
}

BOOST_AUTO_TEST_CASE(in_the_midst_of_a_message_it_is_not_idle) {
  relay_watch watch;
  watch.from_client(bytes_view(ask_it).substr(0, 3));
  BOOST_TEST(!watch.idle());
  watch.from_client(bytes_view(ask_it).substr(3));
  const bytes row = message('D', bytes(100, 'x'));
  watch.from_node(bytes_view(row).substr(0, 50));
  BOOST_TEST(watch.in_midst_of_reply());
  watch.from_node(bytes_view(row).substr(50));
  BOOST_TEST(!watch.in_midst_of_reply());
  watch.from_node(is_ready);
  BOOST_TEST(watch.idle());
}

BOOST_AUTO_TEST_CASE(a_batch_is_under_way_from_its_first_message_to_the_answer_to_sync) {
  relay_watch watch;
  watch.from_client(parse("", "select 1"));
  BOOST_TEST(!watch.idle());
  watch.from_client(sync_it);
  BOOST_TEST(!watch.idle());
  watch.from_node(is_ready);
  BOOST_TEST(watch.idle());
}

BOOST_AUTO_TEST_CASE(a_copy_in_a_batch_ends_with_its_sync) {
  relay_watch watch;
  watch.from_client(parse("", "copy t from stdin") + message('B', bytes(8, '\0')) + message('E', bytes(5, '\0')) +
                    sync_it);
  watch.from_node(message('1', "") + message('2', "") + message('G', bytes(3, '\0')));
  watch.from_client(message('d', "1\n") + message('c', "") + sync_it);
  watch.from_node(message('C', bytes("COPY 1") + '\0') + is_ready);
  BOOST_TEST(!watch.idle());
  watch.from_node(is_ready);
  BOOST_TEST(watch.idle());
  BOOST_TEST(watch.can_move());
}

BOOST_AUTO_TEST_CASE(a_sync_that_may_or_may_not_be_read_is_a_doubt_for_good) {
  relay_watch watch;
  watch.from_client(ask_it);
  watch.from_node(message('G', bytes(3, '\0')));
  watch.from_client(message('d', "1\n") + sync_it + message('c', ""));
  watch.from_node(is_ready);
  BOOST_TEST(!watch.can_move());
}

BOOST_AUTO_TEST_CASE(an_answer_that_nobody_asked_for_is_a_doubt) {
  for (const bytes& answer : {is_ready, parsed, message('3', "")}) {
    relay_watch watch;
    watch.from_node(answer);
    BOOST_TEST(!watch.can_move());
  }
}

BOOST_AUTO_TEST_CASE(parameters_and_statements_are_those_of_now_in_any_pieces) {
  const bytes from_client = parse("kept", "select $1") + parse("gone", "select 2") +
                            message('C', bytes_view("Sgone\0", 6)) + message('C', bytes_view("Pportal\0", 8)) + sync_it;
  const bytes from_node = parsed + parsed + closed + closed + status("TimeZone", "UTC") +
                          status("server_version", "15.1") + status("TimeZone", "Asia/Tokyo") + is_ready;
  for (std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{7}, std::size_t{10'000}}) {
    relay_watch watch;
    for (std::size_t at = 0; at < from_client.size(); at += piece)
      watch.from_client(bytes_view(from_client).substr(at, piece));
    for (std::size_t at = 0; at < from_node.size(); at += piece)
      watch.from_node(bytes_view(from_node).substr(at, piece));
    BOOST_TEST(watch.idle());
    BOOST_TEST(watch.can_move());
    BOOST_REQUIRE(watch.statements().size() == 1U);
    BOOST_TEST(watch.statements().at("kept") == parse("kept", "select $1"));
    BOOST_TEST(watch.told()->get("timezone") == "Asia/Tokyo");
    BOOST_TEST(watch.told()->get("server_version") == "15.1");
  }
}

BOOST_AUTO_TEST_CASE(only_what_postgres_has_accepted_counts) {
  relay_watch watch;
  // The first is refused; what stands behind it is skipped, up to Sync.
  watch.from_client(parse("a", "nonsense") + parse("b", "select 1") + message('C', bytes_view("Sc\0", 3)) + sync_it);
  watch.from_client(parse("a", "select 2") + sync_it);
  watch.from_node(error("ERROR") + is_ready + parsed + is_ready);
  BOOST_REQUIRE(watch.statements().size() == 1U);
  BOOST_TEST(watch.statements().at("a") == parse("a", "select 2"));
  BOOST_TEST(watch.can_move());
  BOOST_TEST(!watch.told_end());
}

BOOST_AUTO_TEST_CASE(the_statement_without_a_name_lives_until_the_next_one_or_a_simple_query) {
  relay_watch watch;
  watch.from_client(parse("", "select 1") + sync_it + parse("", "select 2") + sync_it);
  watch.from_node(parsed + is_ready + parsed + is_ready);
  BOOST_TEST(watch.statements().at("") == parse("", "select 2"));
  watch.from_client(ask_it);
  watch.from_node(is_ready);
  BOOST_TEST(watch.statements().empty());
}

BOOST_AUTO_TEST_CASE(what_cannot_be_followed_cannot_move) {
  for (const char* tag : {"PREPARE", "DEALLOCATE", "LISTEN"}) {
    relay_watch watch;
    watch.from_client(ask_it);
    watch.from_node(complete(tag) + is_ready);
    BOOST_TEST(!watch.can_move(), tag);
    watch.from_client(ask_it);
    watch.from_node(complete("DISCARD ALL") + is_ready);
    BOOST_TEST(watch.can_move(), tag);
  }
  relay_watch watch;
  for (int i = 0; i < 30; ++i) {
    watch.from_client(parse("s" + std::to_string(i), bytes(100'000, ' ')) + sync_it);
    watch.from_node(parsed + is_ready);
  }
  BOOST_TEST(!watch.can_move());
  BOOST_TEST(watch.statements().empty());
}

BOOST_AUTO_TEST_CASE(all_that_was_prepared_is_forgotten_where_sql_says_so) {
  relay_watch watch;
  watch.from_client(parse("a", "select 1") + sync_it + ask_it);
  watch.from_node(parsed + is_ready + complete("DEALLOCATE ALL") + is_ready);
  BOOST_TEST(watch.statements().empty());
  BOOST_TEST(watch.can_move());
}

BOOST_AUTO_TEST_CASE(a_session_that_keeps_its_server_moves_only_unused) {
  relay_watch watch(true);
  BOOST_TEST(watch.can_move());
  watch.from_client(ask_it);
  watch.from_node(is_ready);
  BOOST_TEST(watch.idle());
  BOOST_TEST(!watch.can_move());
}

BOOST_AUTO_TEST_CASE(the_last_word_of_its_node_and_of_the_client_are_known) {
  relay_watch watch;
  watch.from_node(error("FATAL"));
  BOOST_TEST(watch.told_end());
  BOOST_TEST(!watch.said_goodbye());
  watch.from_client(message('X', ""));
  BOOST_TEST(watch.said_goodbye());
}

BOOST_AUTO_TEST_SUITE_END()
