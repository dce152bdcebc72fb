#include "protocol/console_result.hpp"
#include "protocol/console_session.hpp"
#include "protocol/console_statement.hpp"
#include "protocol/errors.hpp"
#include "protocol/messages.hpp"
#include "tests/protocol/golden.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::protocol;
using pg_edge::protocol::tests::wire;

BOOST_AUTO_TEST_SUITE(console_result_test)

// -- results ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B153_columns_carry_their_types) {
  const console_column columns[] = {
      {"a"}, {"b", console_type::int4}, {"c", console_type::int8}, {"d", console_type::numeric}};
  bytes out;
  append_description(out, columns);
  const bytes expected = wire({"'T' 00000056 0004",                                  //
                               "'a' 00 00000000 0000 00000019 ffff ffffffff 0000",   // text, 25
                               "'b' 00 00000000 0000 00000017 0004 ffffffff 0000",   // int4, 23
                               "'c' 00 00000000 0000 00000014 0008 ffffffff 0000",   // int8, 20
                               "'d' 00 00000000 0000 000006a4 ffff ffffffff 0000"}); // numeric, 1700
  BOOST_TEST((out == expected));
}

BOOST_AUTO_TEST_CASE(rows_are_text_and_null) {
  const console_column columns[] = {{"a"}, {"b", console_type::int4}, {"c"}};
  bytes out;
  append_row(out, columns, {"x", "7"});
  BOOST_TEST((out == wire({"'D' 00000014 0003", "00000001 'x'", "00000001 '7'", "ffffffff"})));
}

BOOST_AUTO_TEST_CASE(B153_rows_in_binary_formats) {
  const console_column columns[] = {{"a"}, {"b", console_type::int4}, {"c", console_type::int8}};
  bytes out;
  append_row(out, columns, {"x", "-2", "258"}, {1});
  BOOST_TEST((out == wire({"'D' 0000001f 0003", "00000001 'x'", "00000004 fffffffe", "00000008 0000000000000102"})));
  out.clear();
  append_row(out, columns, {"x", "5", "6"}, {0, 1, 0});
  BOOST_TEST((out == wire({"'D' 00000018 0003", "00000001 'x'", "00000004 00000005", "00000001 '6'"})));
}

BOOST_AUTO_TEST_CASE(numerics_are_groups_of_four_digits) {
  const auto numeric = [](std::string_view text) { return binary_value(console_type::numeric, text); };
  BOOST_TEST((numeric("0") == wire({"0000 0000 0000 0000"})));
  BOOST_TEST((numeric("7") == wire({"0001 0000 0000 0000", "0007"})));
  BOOST_TEST((numeric("12345678") == wire({"0002 0001 0000 0000", "04d2 162e"})));
  BOOST_TEST((numeric("10000") == wire({"0001 0001 0000 0000", "0001"})));
  BOOST_TEST((numeric("-100000001") == wire({"0003 0002 4000 0000", "0001 0000 0001"})));
  BOOST_TEST((numeric("1.5") == std::nullopt));
  BOOST_TEST((numeric("") == std::nullopt));
  BOOST_TEST((binary_value(console_type::int4, "2147483648") == std::nullopt));
}

BOOST_AUTO_TEST_CASE(formats_that_do_not_fit) {
  BOOST_TEST(format_fault(2, {}).empty());
  BOOST_TEST(format_fault(2, {1}).empty());
  BOOST_TEST(format_fault(2, {0, 1}).empty());
  BOOST_TEST(!format_fault(2, {0, 1, 0}).empty());
  BOOST_TEST(!format_fault(2, {2}).empty());
}

// -- statements
// ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(statements_are_words) {
  const auto script =
      read_console_script(" show  Pools ; -- comment ; here\n/* and /* nested */ */ SET a TO 'it''s';;");
  BOOST_TEST(script.fault.empty());
  BOOST_TEST_REQUIRE(script.statements.size() == 2u);
  BOOST_TEST((script.statements[0].words == std::vector<std::string>{"show", "Pools"}));
  BOOST_TEST(script.statements[0].text == "show  Pools");
  BOOST_TEST((script.statements[1].words == std::vector<std::string>{"SET", "a", "TO", "it's"}));
}

BOOST_AUTO_TEST_CASE(empty_scripts_and_open_quotes) {
  BOOST_TEST(read_console_script(" ; -- nothing").statements.empty());
  const auto open = read_console_script("SHOW POOLS; PAUSE \"x");
  BOOST_TEST(open.statements.size() == 1u);
  BOOST_TEST(!open.fault.empty());
  BOOST_TEST((read_console_script("PAUSE \"My \"\"db\"").statements.at(0).words.at(1) == "My \"db"));
}

// -- the extended protocol
// ------------------------------------------------------------------------------------------------

namespace {

template <class M>
console_session::step give(console_session& to, const M& message) {
  const bytes frame = encode(message);
  return to.take(frame[0], bytes_view(frame).substr(frame_header_size));
}

} // namespace

BOOST_AUTO_TEST_CASE(B153_a_command_by_the_extended_protocol) {
  console_session session;
  BOOST_TEST((give(session, parse{"s", "SHOW POOLS", {}}).reply == encode(parse_complete{})));
  auto step = give(session, describe{'S', "s"});
  BOOST_TEST((step.reply == encode(parameter_description{})));
  BOOST_TEST_REQUIRE(step.question.has_value());
  BOOST_TEST((step.question->wish == console_wish::describe));
  session.answered(false);
  BOOST_TEST((give(session, bind{"", "s", {}, {}, {1}}).reply == encode(bind_complete{})));
  step = give(session, execute{"", 3});
  BOOST_TEST_REQUIRE(step.question.has_value());
  BOOST_TEST((step.question->wish == console_wish::execute));
  BOOST_TEST(step.question->sql == "SHOW POOLS");
  BOOST_TEST((step.question->formats == result_formats{1}));
  BOOST_TEST(step.question->max_rows == 3);
  session.answered(false);
  BOOST_TEST((give(session, pg_edge::protocol::sync{}).reply == encode(ready_for_query{})));
  BOOST_TEST((give(session, execute{"", 0}).reply[0] == 'E')); // the portal ended with the Sync
}

BOOST_AUTO_TEST_CASE(B195_a_malformed_message_is_an_error_and_only_an_unknown_one_ends_the_session) {
  const auto malformed = [](bytes_view name) { return make_error(error_code::invalid_message_format, {name}); };
  for (const auto& [type, name] :
       {std::pair{'P', "Parse"}, {'B', "Bind"}, {'D', "Describe"}, {'E', "Execute"}, {'C', "Close"}}) {
    console_session session;
    BOOST_TEST((session.take(type, "x").reply == malformed(name)));
    BOOST_TEST((session.take('S', {}).reply == encode(ready_for_query{})));
  }
  console_session session;
  BOOST_TEST((session.take('Q', "x").reply == malformed("Query") + encode(ready_for_query{})));
  const bytes reply = session.take('F', {}).reply;
  BOOST_TEST(error_field(bytes_view(reply).substr(frame_header_size), 'C') == "0A000");
  BOOST_TEST(reply.ends_with(encode(ready_for_query{})));
  for (const char type : {'d', 'c', 'f', 'H'})
    BOOST_TEST((session.take(type, {}).reply.empty() && !session.take(type, {}).unknown));
  BOOST_TEST(session.take('Z', {}).unknown);
  BOOST_TEST(session.take('Q', bytes_view("SHOW POOLS", 11)).question.has_value());
}

BOOST_AUTO_TEST_CASE(after_an_error_all_is_passed_over_up_to_sync) {
  console_session session;
  BOOST_TEST((give(session, bind{"", "none", {}, {}, {}}).reply[0] == 'E'));
  BOOST_TEST(give(session, parse{"", "SHOW POOLS", {}}).reply.empty());
  BOOST_TEST((give(session, pg_edge::protocol::sync{}).reply == encode(ready_for_query{})));
  give(session, parse{"", "nonsense", {}});
  give(session, bind{"", "", {}, {}, {}});
  BOOST_TEST(give(session, execute{"", 0}).question.has_value());
  session.answered(true);
  BOOST_TEST(give(session, parse{"", "SHOW POOLS", {}}).reply.empty());
  BOOST_TEST((give(session, pg_edge::protocol::sync{}).reply == encode(ready_for_query{})));
  BOOST_TEST((give(session, parse{"", "SHOW POOLS", {}}).reply == encode(parse_complete{})));
}

BOOST_AUTO_TEST_CASE(an_error_of_a_simple_query_ends_with_it) {
  console_session session;
  BOOST_TEST(give(session, query{"nonsense"}).question.has_value());
  session.answered(true);
  BOOST_TEST(give(session, query{"SHOW POOLS"}).question.has_value());
}

BOOST_AUTO_TEST_CASE(parameters_floods_and_wrong_messages_are_refused) {
  console_session session;
  BOOST_TEST((give(session, parse{"", "SHOW $1", {25}}).reply[0] == 'E'));
  give(session, pg_edge::protocol::sync{});
  std::string reply;
  for (std::size_t i = 0; i <= console_session::most_objects && reply.empty(); ++i)
    if (const auto step = give(session, parse{std::to_string(i), "SHOW POOLS", {}}); step.reply[0] == 'E')
      reply = step.reply;
  BOOST_TEST(!reply.empty());
  give(session, pg_edge::protocol::sync{});
  BOOST_TEST((give(session, pg_edge::protocol::close{'S', "0"}).reply == encode(close_complete{})));
  BOOST_TEST((give(session, parse{"0", "SHOW POOLS", {}}).reply == encode(parse_complete{})));
  BOOST_TEST(session.take('X', "").terminate);
}

BOOST_AUTO_TEST_SUITE_END()
