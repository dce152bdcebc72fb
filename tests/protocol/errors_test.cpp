// The table of errors: every row says what, why and what to do, with a SQLSTATE that does not promise too much.
#include "protocol/errors.hpp"
#include "protocol/messages.hpp"
#include "tests/protocol/golden.hpp"

#include <boost/test/unit_test.hpp>

#include <set>

using namespace pg_edge::protocol;
using pg_edge::protocol::tests::wire;

namespace {

bytes_view body_of(bytes_view frame) {
  return frame.substr(frame_header_size);
}

} // namespace

BOOST_AUTO_TEST_SUITE(errors_test)

BOOST_AUTO_TEST_CASE(rows_are_complete) {
  std::set<std::string_view> names;
  for (const error_row& row : error_rows()) {
    BOOST_TEST_CONTEXT(row.name) {
      BOOST_TEST(names.insert(row.name).second);
      BOOST_TEST(&row_of(row.code) == &row);
      BOOST_TEST(row.sqlstate.size() == 5u);
      BOOST_TEST(row.sqlstate.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string_view::npos);
      BOOST_TEST((row.severity == "ERROR" || row.severity == "FATAL"));
      BOOST_TEST(is_fatal(row.code) == (row.severity == "FATAL"));
      BOOST_TEST(!row.message.empty());
      BOOST_TEST(row.hint.size() > 10u);
      BOOST_TEST(row.hint.ends_with('.'));
      BOOST_TEST(!row.message.ends_with('.')); // as Postgres writes messages and hints
    }
  }
}

BOOST_AUTO_TEST_CASE(an_unknown_outcome_is_08006_and_says_so_and_nothing_else_does) {
  for (const error_row& row : error_rows()) {
    const bool says_unknown = row.message.find(" is unknown") != std::string_view::npos;
    BOOST_TEST((row.sqlstate == "08006") == says_unknown, row.name);
  }
}

BOOST_AUTO_TEST_CASE(every_row_makes_a_whole_frame_without_open_placeholders) {
  for (const error_row& row : error_rows()) {
    BOOST_TEST_CONTEXT(row.name) {
      const bytes frame = make_error(row.code, {"first", "second", "third", "fourth", "fifth"});
      frame_header header;
      BOOST_TEST((read_header(frame, header) == header_status::ok));
      BOOST_TEST(header.type == 'E');
      BOOST_TEST(header.total() == frame.size());
      const auto decoded = decode<error_response>(body_of(frame));
      BOOST_REQUIRE(decoded.has_value());
      bytes order;
      for (const auto& [code, text] : decoded->fields) {
        order += code;
        BOOST_TEST(text.find('{') == bytes_view::npos);
        BOOST_TEST(text.find('?') == bytes_view::npos); // what fill_in puts for a missing argument
      }
      BOOST_TEST(order == "SVCMH");
      BOOST_TEST(error_field(body_of(frame), 'C') == row.sqlstate);
    }
  }
}

BOOST_AUTO_TEST_CASE(golden_bytes_of_an_error_and_a_notice) {
  BOOST_TEST((make_error(error_code::canceled_while_waiting) ==
              wire({"45",                                                                        // type 'E'
                    "0000008d",                                                                  // length
                    "'SERROR' 00",                                                               // severity, localised
                    "'VERROR' 00",                                                               // severity
                    "'C57014' 00",                                                               // SQLSTATE
                    "'Mcanceling statement due to user request' 00",                             // message
                    "'HThe statement was still waiting for a server '",                          // hint
                    "'connection; it was not run.' 00",                                          //
                    "00"})));                                                                    // end
  BOOST_TEST((make_notice("hello") == wire({"4e",                                                // type 'N'
                                            "00000023",                                          // length
                                            "'SNOTICE' 00 'VNOTICE' 00 'C00000' 00 'Mhello' 00", // no hint
                                            "00"})));                                            // end
  BOOST_TEST(error_field(body_of(make_notice("hello", "wave")), 'H') == "wave");
}

BOOST_AUTO_TEST_CASE(arguments_are_text_and_nothing_more) {
  BOOST_TEST(fill_in("{0} and {1}, {0}", {"a", "b"}) == "a and b, a");
  BOOST_TEST(fill_in("{0}{2}", {"{1}", "x"}) == "{1}?");
  BOOST_TEST(fill_in("{", {"x"}) == "{");
  BOOST_TEST(fill_in("{0", {"x"}) == "{0");
  BOOST_TEST(fill_in("{a}{}{00}", {"x"}) == "{a}{}{00}");
  // A user name with a zero byte ends the message there; it cannot forge a SQLSTATE.
  const bytes frame = make_error(error_code::password_failed, {std::string_view("x\0C00000", 8)});
  BOOST_TEST(error_field(body_of(frame), 'M') == "password authentication failed for user \"x");
  BOOST_TEST(error_field(body_of(frame), 'C') == "28P01");
  BOOST_TEST(decode<error_response>(body_of(frame)).has_value());
}

BOOST_AUTO_TEST_CASE(texts_that_people_and_drivers_know) {
  const auto is = [](error_code code, std::string_view sqlstate, std::string_view text) {
    const bytes frame = make_error(code, {"a", "b", "c"});
    BOOST_TEST(error_field(body_of(frame), 'C') == sqlstate);
    BOOST_TEST(error_field(body_of(frame), 'M') == text);
    BOOST_TEST(error_text(code, {"a", "b", "c"}) == text);
  };
  is(error_code::no_such_database, "3D000", "database \"a\" does not exist");
  is(error_code::password_failed, "28P01", "password authentication failed for user \"a\"");
  is(error_code::no_user_name, "28000", "no PostgreSQL user name specified in startup packet");
  is(error_code::unsupported_protocol, "0A000", "unsupported frontend protocol a: server supports 3.0 to 3.2");
  is(error_code::invalid_message_type, "08P01", "invalid frontend message type a");
  is(error_code::too_many_clients, "53300", "sorry, too many clients already: a is b");
  is(error_code::idle_transaction_timeout, "25P03", "terminating connection due to idle-in-transaction timeout");
  is(error_code::transaction_timeout, "25P04", "terminating connection due to transaction timeout");
  is(error_code::client_idle_timeout, "57P05", "terminating connection due to idle-session timeout");
  is(error_code::shutting_down, "57P01", "terminating connection due to administrator command");
  is(error_code::no_such_statement, "26000", "prepared statement \"a\" does not exist");
  is(error_code::statement_exists, "42P05", "prepared statement \"a\" already exists");
  is(error_code::transaction_in_statement_mode, "0A000", "transaction blocks not allowed in statement pooling mode");
}

BOOST_AUTO_TEST_CASE(B134_a_refused_client_is_told_which_limit_its_value_and_where_it_is_set) {
  const bytes frame = make_error(error_code::too_many_clients, {"max_client_conn", "100", "/etc/pg_edge.toml:7"});
  BOOST_TEST(error_field(body_of(frame), 'M') == "sorry, too many clients already: max_client_conn is 100");
  BOOST_TEST(error_field(body_of(frame), 'H') ==
             "Close idle clients, or raise max_client_conn in /etc/pg_edge.toml:7.");
}

BOOST_AUTO_TEST_SUITE_END()
