#include "config/value_text.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::config;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(value_text_test)

BOOST_AUTO_TEST_CASE(durations_have_units) {
  BOOST_TEST((parse_duration("250ms") == 250ms));
  BOOST_TEST((parse_duration("5s") == 5s));
  BOOST_TEST((parse_duration("0.5s") == 500ms));
  BOOST_TEST((parse_duration("2m") == 2min));
  BOOST_TEST((parse_duration("2 min") == 2min));
  BOOST_TEST((parse_duration("1h") == 1h));
  BOOST_TEST((parse_duration("1d") == 24h));
  BOOST_TEST((parse_duration("10us") == 10us));
  BOOST_TEST((parse_duration("7") == 7s));
  BOOST_TEST((parse_duration("7", 1ms) == 7ms));
  BOOST_TEST((parse_duration("0") == 0us));
}

BOOST_AUTO_TEST_CASE(what_is_no_duration_is_refused) {
  for (const auto* text :
       {"", "s", "-1", "-1s", "5 parsecs", "1e3", "nan", "inf", "5s5", "99999999999", "1000000d", "--"})
    BOOST_TEST(!parse_duration(text).has_value(), text);
}

BOOST_AUTO_TEST_CASE(durations_are_shown_in_seconds) {
  BOOST_TEST(value_text(duration{120s}) == "120");
  BOOST_TEST(value_text(duration{250ms}) == "0.25");
  BOOST_TEST(value_text(duration{1us}) == "0.000001");
  BOOST_TEST(value_text(duration{0}) == "0");
}

BOOST_AUTO_TEST_CASE(durations_survive_text_both_ways) {
  for (const duration value : {duration{0}, duration{1}, duration{1500ms}, duration{3600s}, longest_duration})
    BOOST_TEST((parse_duration(value_text(value)) == value));
}

BOOST_AUTO_TEST_CASE(booleans_as_pgbouncer_writes_them) {
  for (const auto* text : {"1", "true", "YES", "on", " On "})
    BOOST_TEST((parse_boolean(text) == true), text);
  for (const auto* text : {"0", "false", "no", "OFF"})
    BOOST_TEST((parse_boolean(text) == false), text);
  BOOST_TEST(!parse_boolean("2").has_value());
  BOOST_TEST(!parse_boolean("").has_value());
}

BOOST_AUTO_TEST_CASE(integers_are_whole_texts) {
  BOOST_TEST((parse_integer("42") == 42));
  BOOST_TEST((parse_integer(" -7 ") == -7));
  BOOST_TEST((parse_integer("0777", 8) == 0777));
  BOOST_TEST(!parse_integer("").has_value());
  BOOST_TEST(!parse_integer("4x").has_value());
  BOOST_TEST(!parse_integer("0888", 8).has_value());
  BOOST_TEST(!parse_integer("99999999999999999999").has_value());
}

BOOST_AUTO_TEST_CASE(every_name_of_an_enumeration_is_read_and_written) {
  const auto check = [](auto example) {
    for (const auto& row : names_of(example)) {
      BOOST_TEST((parse_enum<decltype(example)>(row.name) == row.value));
      BOOST_TEST((parse_enum<decltype(example)>(to_string(row.value)) == row.value));
    }
    BOOST_TEST(!parse_enum<decltype(example)>("nonsense").has_value());
  };
  check(pool_mode{});
  check(auth_type{});
  check(tls_mode{});
  check(host_balance{});
  check(log_format{});
  BOOST_TEST(to_string(auth_type::plain) == "plain");
  BOOST_TEST(to_string(tls_mode::verify_full) == "verify-full");
  BOOST_TEST(listed_names<auth_type>() == "any, trust, plain, md5, scram-sha-256, cert, hba, peer, pam");
}

BOOST_AUTO_TEST_CASE(lists_are_split_and_trimmed) {
  BOOST_TEST((split_list(" a, b ,,c,") == std::vector<std::string>{"a", "b", "c"}));
  BOOST_TEST(split_list("").empty());
}

BOOST_AUTO_TEST_CASE(toml_strings_are_escaped) {
  BOOST_TEST(toml_quoted("a\"b\\c\n\t\x01\x7f") == "\"a\\\"b\\\\c\\n\\t\\u0001\\u007F\"");
  BOOST_TEST(toml_key("app_1-x") == "app_1-x");
  BOOST_TEST(toml_key("a.b") == "\"a.b\"");
  BOOST_TEST(toml_key("*") == "\"*\"");
  BOOST_TEST(toml_key("") == "\"\"");
}

BOOST_AUTO_TEST_CASE(the_nearest_name_is_a_slip_away) {
  constexpr std::string_view names[] = {"pool_mode", "pool_size", "host"};
  BOOST_TEST(nearest("pool_mod", names) == "pool_mode");
  BOOST_TEST(nearest("pool_szie", names) == "pool_size");
  BOOST_TEST(nearest("Pool-Mode", names) == "pool_mode");
  BOOST_TEST(nearest("hsot", names) == "host");
  BOOST_TEST(nearest("entirely_else", names) == "");
  BOOST_TEST(nearest(std::string(100'000, 'x'), names) == "");
}

BOOST_AUTO_TEST_SUITE_END()
