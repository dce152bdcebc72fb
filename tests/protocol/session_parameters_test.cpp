#include "protocol/session_parameters.hpp"
#include "protocol/sql_scan.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <initializer_list>

using namespace pg_edge::protocol;

namespace {

parameter_values values(std::initializer_list<parameter> entries) {
  parameter_values result;
  for (const auto& [name, value] : entries)
    result.set(name, value);
  return result;
}

startup_profile profile(std::initializer_list<parameter> entries) {
  return make_startup_profile(std::vector<parameter>{entries});
}

std::string restore(const parameter_values& have, const parameter_values& want) {
  return restore_sql(&have, nullptr, &want, nullptr);
}

std::string restore(const startup_profile& have, const startup_profile& want) {
  return restore_sql(nullptr, &have, nullptr, &want);
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

} // namespace

BOOST_AUTO_TEST_SUITE(session_parameters)

// -- values
// ------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(values_are_found_whatever_the_case_of_the_name) {
  auto some = values({{"TimeZone", "UTC"}, {"application_name", ""}, {"DateStyle", "ISO, MDY"}});
  BOOST_TEST((some.get("timezone") == "UTC"));
  BOOST_TEST((some.get("DATESTYLE") == "ISO, MDY"));
  BOOST_TEST((some.get("nothing") == ""));
  BOOST_TEST(some.find("application_name") != nullptr);
  BOOST_TEST(some.find("nothing") == nullptr);
  some.set("timezone", "GMT");
  BOOST_TEST(some.size() == 3u);
  BOOST_TEST((some.get("TimeZone") == "GMT"));
}

BOOST_AUTO_TEST_CASE(order_and_equality_do_not_depend_on_how_a_set_was_built) {
  const auto a = values({{"TimeZone", "UTC"}, {"application_name", "x"}, {"DateStyle", "ISO"}});
  const auto b = values({{"datestyle", "ISO"}, {"timezone", "UTC"}, {"application_name", "x"}});
  BOOST_TEST((a == b));
  BOOST_TEST(a.hash() == b.hash());
  BOOST_TEST(!(a == values({{"TimeZone", "utc"}, {"application_name", "x"}, {"DateStyle", "ISO"}})));
  BOOST_TEST(!(a == values({{"TimeZone", "UTC"}, {"application_name", "x"}})));
  std::vector<std::string> names;
  for (const auto& [name, value] : a)
    names.push_back(name);
  BOOST_TEST((names == std::vector<std::string>{"application_name", "DateStyle", "TimeZone"}));
}

BOOST_AUTO_TEST_CASE(with_copies_only_on_change) {
  const auto first = with(nullptr, "TimeZone", "UTC");
  const auto same = with(first, "timezone", "UTC");
  const auto changed = with(first, "timezone", "GMT");
  BOOST_TEST(same.get() == first.get());
  BOOST_TEST(changed.get() != first.get());
  BOOST_TEST((first->get("TimeZone") == "UTC"));
  BOOST_TEST((changed->get("TimeZone") == "GMT"));
  BOOST_TEST((changed->begin()->first == "TimeZone"));
  // A value that is absent is not one that is empty.
  BOOST_TEST(with(first, "application_name", "")->size() == 2u);
}

BOOST_AUTO_TEST_CASE(equal_sets_become_one_object) {
  parameter_interner interner;
  BOOST_TEST(interner.intern(nullptr) == nullptr);
  const auto first = interner.intern(with(nullptr, "TimeZone", "UTC"));
  BOOST_TEST(interner.intern(with(nullptr, "timezone", "UTC")).get() == first.get());
  BOOST_TEST(interner.intern(with(nullptr, "timezone", "GMT")).get() != first.get());
  // Sets that nobody has any more do not pile up.
  for (int i = 0; i < 10'000; ++i)
    interner.intern(with(nullptr, "application_name", std::to_string(i)));
  BOOST_TEST(interner.size() < 200u);
  BOOST_TEST(interner.intern(with(nullptr, "TimeZone", "UTC")).get() == first.get());
}

BOOST_AUTO_TEST_CASE(B051_what_follows_the_client) {
  for (const auto* name :
       {"client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings", "application_name", "IntervalStyle",
        "search_path", "default_transaction_read_only", "scram_iterations"})
    BOOST_TEST(follows_client(name), name);
  for (const auto* name : {"server_version", "server_encoding", "integer_datetimes", "is_superuser",
                           "session_authorization", "in_hot_standby", "SERVER_VERSION"})
    BOOST_TEST(!follows_client(name), name);
}

// -- start-up
// ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B008_the_last_of_a_name_wins) {
  const auto some = profile({{"Work_Mem", "1MB"}, {"statement_timeout", "5"}, {"sort_mem", "2MB"}});
  BOOST_TEST((some.gucs == std::vector<parameter>{{"statement_timeout", "5"}, {"work_mem", "2MB"}}));
  BOOST_TEST((some == profile({{"WORK_MEM", "2MB"}, {"statement_timeout", "5"}})));
}

BOOST_AUTO_TEST_CASE(startup_packet_keys) {
  using kind = startup_parameter_kind;
  const std::pair<const char*, kind> cases[] = {
      {"user", kind::user},
      {"database", kind::database},
      {"options", kind::options},
      {"replication", kind::replication},
      {"_pq_.command_tag", kind::protocol_extension},
      {"_pq_.", kind::protocol_extension},
      {"_pq_", kind::guc},
      {"application_name", kind::guc},
      {"User", kind::guc}, // as Postgres has it: the key of the protocol is lower case
      {"plpgsql.check_asserts", kind::guc},
      {"server_version", kind::not_settable},
      {"Session_Authorization", kind::not_settable},
      {"", kind::guc},
  };
  for (const auto& [name, expected] : cases)
    BOOST_TEST((classify_startup_parameter(name) == expected), name);
}

BOOST_AUTO_TEST_CASE(comma_lists) {
  BOOST_TEST(in_list("extra_float_digits, options", "options"));
  BOOST_TEST(in_list(" Extra_Float_Digits\t,options", "extra_float_digits"));
  BOOST_TEST(in_list("a", "A"));
  for (const auto* list : {"", ",", "options2", "my options", "option,s"})
    BOOST_TEST(!in_list(list, "options"), list);
  BOOST_TEST(!in_list(",,", ""));
}

BOOST_AUTO_TEST_CASE(B011_application_name_as_postgres_keeps_it) {
  BOOST_TEST((canonical_application_name("psql", 150000) == "psql"));
  BOOST_TEST((canonical_application_name("", 150000) == ""));
  BOOST_TEST((canonical_application_name("a\tb\x7f\xc3\xa4~ ", 150000) == "a?b???~ "));
  BOOST_TEST((canonical_application_name("a\tb\x7f\xc3\xa4~ ", 160000) == "a\\x09b\\x7f\\xc3\\xa4~ "));
  BOOST_TEST((canonical_application_name(std::string(70, 'a'), 150000) == std::string(63, 'a')));
  // Cut before the bytes are replaced, and never within a character.
  std::string cut_within(62, 'a');
  cut_within += "\xc3\xa4";
  BOOST_TEST((canonical_application_name(cut_within, 150000) == std::string(62, 'a')));
  BOOST_TEST((canonical_application_name(std::string(63, '\n'), 170000).size() == 63 * 4));
  // Only continuation bytes: nothing to keep, and no loop without an end.
  BOOST_TEST((canonical_application_name(std::string(70, '\x80'), 150000) == ""));
}

BOOST_AUTO_TEST_CASE(B013_versions_as_numbers) {
  BOOST_TEST((server_version_number("15.3 (Debian 15.3-1)") == 150003));
  BOOST_TEST((server_version_number("17beta1") == 170000));
  BOOST_TEST((server_version_number("9.6.24") == 90624));
  BOOST_TEST((server_version_number("10") == 100000));
  BOOST_TEST((server_version_number("16.") == 160000));
  BOOST_TEST((server_version_number("") == std::nullopt));
  BOOST_TEST((server_version_number("CockroachDB") == std::nullopt));
  BOOST_TEST((server_version_number("99999999999") == std::nullopt));
  BOOST_TEST((server_version_number("-1") == std::nullopt));
}

// -- quoting
// -----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(literals_and_identifiers) {
  BOOST_TEST((quote_literal("") == "''"));
  BOOST_TEST((quote_literal("it's") == "'it''s'"));
  BOOST_TEST((quote_literal("a\\'b") == "E'a\\\\''b'"));
  BOOST_TEST((quote_identifier("a\"b") == "\"a\"\"b\""));
  BOOST_TEST((quote_identifier("Foo") == "\"Foo\""));
  BOOST_TEST((quote_identifier("") == "\"\""));
}

// -- restoring
// ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B056_no_difference_no_query) {
  const auto some = values({{"TimeZone", "UTC"}, {"server_version", "15.1"}});
  const auto other_server = values({{"timezone", "UTC"}, {"server_version", "16.2"}, {"in_hot_standby", "on"}});
  BOOST_TEST((restore(some, some) == ""));
  BOOST_TEST((restore(some, other_server) == ""));
  BOOST_TEST((restore(other_server, some) == ""));
  BOOST_TEST((restore_sql(nullptr, nullptr, nullptr, nullptr) == ""));
  const auto set = profile({{"work_mem", "1MB"}});
  BOOST_TEST((restore(set, set) == ""));
  BOOST_TEST((restore_sql(&some, &set, &other_server, &set) == ""));
  // Nothing is wanted of the reported ones.
  BOOST_TEST((restore_sql(&some, nullptr, nullptr, nullptr) == ""));
}

BOOST_AUTO_TEST_CASE(B051_differences_are_set) {
  const auto have = values({{"TimeZone", "UTC"}, {"application_name", "a"}, {"DateStyle", "ISO, MDY"}});
  const auto want = values({{"TimeZone", "GMT"}, {"application_name", ""}, {"DateStyle", "ISO, MDY"}});
  BOOST_TEST((restore(have, want) == "SET \"application_name\" TO '';SET \"TimeZone\" TO 'GMT';"));
  // Of a server nothing is known about, all is set.
  BOOST_TEST((restore_sql(nullptr, nullptr, &want, nullptr) == "SET \"application_name\" TO '';"
                                                               "SET \"DateStyle\" TO 'ISO, MDY';"
                                                               "SET \"TimeZone\" TO 'GMT';"));
}

BOOST_AUTO_TEST_CASE(B052_what_the_last_client_had_and_this_one_has_not_is_reset) {
  BOOST_TEST((restore(values({{"search_path", "a"}}), values({})) == "RESET \"search_path\";"));
  BOOST_TEST(
      (restore(profile({{"work_mem", "1MB"}, {"jit", "off"}}), profile({{"jit", "off"}})) == "RESET \"work_mem\";"));
  const auto set = profile({{"work_mem", "1MB"}});
  BOOST_TEST((restore_sql(nullptr, &set, nullptr, nullptr) == "RESET \"work_mem\";"));
}

BOOST_AUTO_TEST_CASE(B010_lists_of_identifiers_go_through_set_config) {
  BOOST_TEST((restore(profile({}), profile({{"search_path", "a,\"B c\""}})) ==
              "SELECT pg_catalog.set_config('search_path','a,\"B c\"',false);"));
  BOOST_TEST((restore(values({}), values({{"search_path", "\"$user\", public"}})) ==
              "SELECT pg_catalog.set_config('search_path','\"$user\", public',false);"));
}

BOOST_AUTO_TEST_CASE(reported_parameters_are_left_to_their_values) {
  const auto utc = values({{"TimeZone", "UTC"}});
  const auto gmt = values({{"TimeZone", "GMT"}});
  const auto old_profile = profile({{"timezone", "UTC"}});
  const auto new_profile = profile({{"timezone", "gmt"}, {"jit", "off"}});
  BOOST_TEST(
      (restore_sql(&utc, &old_profile, &gmt, &new_profile) == "SET \"TimeZone\" TO 'GMT';SET \"jit\" TO 'off';"));
  // A RESET after the fact would undo what is right already.
  BOOST_TEST((restore_sql(&utc, &old_profile, &utc, nullptr) == ""));
}

BOOST_AUTO_TEST_CASE(the_role_goes_first_and_comes_last) {
  BOOST_TEST((restore(profile({{"role", "a"}, {"jit", "off"}}), profile({})) == "RESET \"role\";RESET \"jit\";"));
  BOOST_TEST((restore(profile({}), profile({{"role", "a"}, {"work_mem", "1MB"}})) ==
              "SET \"work_mem\" TO '1MB';SET \"role\" TO 'a';"));
}

BOOST_AUTO_TEST_CASE(a_profile_does_not_choose_who_the_session_is) {
  BOOST_TEST((restore(profile({}), profile({{"session_authorization", "postgres"}})) == ""));
}

BOOST_AUTO_TEST_CASE(B009_nothing_can_be_injected_by_name_or_value) {
  for (const std::string evil :
       {"x'; drop table t; --", "x\\'; drop table t; --", "x\\\\'; drop table t; --", "x\"; drop table t; --",
        "$$; drop table t; $$", "x\n; drop table t", "x to 1; drop", "/*", "--", "'", "\\", "\"", "E'\\'"}) {
    for (const bool standard : {true, false}) {
      auto result = scan(restore(profile({}), profile({{evil, "1"}})), false, standard);
      BOOST_TEST(result.complete, evil);
      BOOST_TEST(result.statements.size() == 1u, evil);
      for (const auto* name : {"a.b", "search_path"}) {
        result = scan(restore(profile({}), profile({{name, evil}})), false, standard);
        BOOST_TEST(result.complete, evil);
        BOOST_TEST(result.statements.size() == 1u, evil);
      }
      result = scan(restore(profile({{evil, "1"}}), profile({})), false, standard);
      BOOST_TEST(result.complete, evil);
      BOOST_TEST(result.statements.size() == 1u, evil);
    }
  }
  BOOST_TEST((restore(profile({}), profile({{"a\"b.c", "it's \\"}})) == "SET \"a\"\"b\".\"c\" TO E'it''s \\\\';"));
}

BOOST_AUTO_TEST_CASE(what_is_sent_is_ascii_whatever_the_encodings) {
  const auto have = values({{"client_encoding", "UTF8"}});
  const auto want = values({{"client_encoding", "SJIS"}});
  // A half-width katakana and, in SJIS, a character whose second byte is a backslash.
  const auto set = profile({{"app.label", "\x83\x5c'"}});
  const auto sql = restore_sql(&have, nullptr, &want, &set);
  BOOST_TEST((sql == "SET \"client_encoding\" TO 'SJIS';SELECT pg_catalog.set_config('app.label',"
                     "pg_catalog.convert_from(pg_catalog.decode('835c27','hex'),'SJIS'),false);"));
  for (const auto& other : {profile({{"search_path", "\xc3\xa4"}}), profile({{"\xc3\xa4.x", "\xff"}})}) {
    BOOST_TEST(is_ascii(restore_sql(&have, nullptr, &want, &other)));
    BOOST_TEST(is_ascii(restore_sql(&have, &other, &want, nullptr)));
  }
  // A name is the same in every encoding, so that what was set is what is reset.
  BOOST_TEST((restore(profile({}), profile({{"\xc3\xa4.x", "1"}})) == "SET \"\\xc3\\xa4\".\"x\" TO '1';"));
  BOOST_TEST((restore(profile({{"\xc3\xa4.x", "1"}}), profile({})) == "RESET \"\\xc3\\xa4\".\"x\";"));
  // Without a word on the encoding it is UTF-8.
  BOOST_TEST((restore(profile({}), profile({{"a.b", "\xc3\xa4"}})).find("'c3a4','hex'),'UTF8')") != std::string::npos));
}

BOOST_AUTO_TEST_CASE(the_words_of_a_restore_are_seen_by_the_scan) {
  const auto result = scan(restore(values({{"TimeZone", "a"}, {"x.y", "1"}}), values({{"TimeZone", "b"}})), false);
  BOOST_TEST_REQUIRE(result.statements.size() == 2u);
  BOOST_TEST((result.statements[0].kind == statement_kind::reset));
  BOOST_TEST((result.statements[0].name == "x.y"));
  BOOST_TEST((result.statements[1].kind == statement_kind::set));
  BOOST_TEST((result.statements[1].name == "timezone"));
}

BOOST_AUTO_TEST_SUITE_END()
