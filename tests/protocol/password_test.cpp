// Secrets as Postgres stores them, the md5 method, and the form in which passwords enter SCRAM.
#include "protocol/password.hpp"
#include "protocol/scram.hpp"

#include <boost/test/unit_test.hpp>

#include <array>
#include <random>

using namespace pg_edge::protocol;

BOOST_AUTO_TEST_SUITE(password_test)

// Made by Postgres 15: create role carol password 'md5 word' with password_encryption = md5.
constexpr std::string_view carol_secret = "md55e0fdfd05143963d94a08fc093e55afe";
constexpr std::string_view scram_secret =
    "SCRAM-SHA-256$4096:pCVOYAuFlhyTYPBWb4U9sQ==$B3Whgu/5trHLrYdAgHr+tBcgWXS9nx9u+HZV05+fTGI=:"
    "x0Pr3tiRr1/qD/3C8ubXmUe7faYB4JjEvXpPGzL3lDc=";
constexpr std::string_view salt("\x01\xff\x00\x7f", 4);

BOOST_AUTO_TEST_CASE(kinds_of_secrets) {
  struct row {
    std::string_view secret;
    secret_kind kind;
  };
  const std::array<row, 10> rows{{
      {"", secret_kind::none},
      {"secret", secret_kind::plain},
      {"md5", secret_kind::plain},
      {"md5isgreat", secret_kind::plain},
      {carol_secret, secret_kind::md5},
      {"md55E0FDFD05143963D94A08FC093E55AFE", secret_kind::plain}, // Postgres writes and reads lower case only
      {"md55e0fdfd05143963d94a08fc093e55afe0", secret_kind::plain},
      {scram_secret, secret_kind::scram},
      {"SCRAM-SHA-256", secret_kind::plain},
      {"SCRAM-SHA-256$4096:half", secret_kind::none}, // half a verifier must never work as a password
  }};
  for (const auto& row : rows)
    BOOST_TEST((classify_secret(row.secret) == row.kind), "classify_secret(\"" << row.secret << "\")");
}

BOOST_AUTO_TEST_CASE(md5_secret_is_what_postgres_stores) {
  BOOST_TEST((md5_secret("md5 word", "carol") == carol_secret));
  BOOST_TEST((md5_secret("md5 word", "Carol") != carol_secret));
}

BOOST_AUTO_TEST_CASE(md5_response_is_the_documented_formula) {
  // concat('md5', md5(concat(md5(concat(password, username)), salt))) with salt 'abcd', computed apart from this code.
  BOOST_TEST((md5_response("md5 word", "carol", "abcd") == "md5274f07228774da17c5b54b23ed7cd1a3"));
  BOOST_TEST((md5_response(carol_secret, "carol", "abcd") == md5_response("md5 word", "carol", "abcd")));
}

BOOST_AUTO_TEST_CASE(B020_md5_logs_in_where_the_secret_allows) {
  const auto answer = md5_response("md5 word", "carol", salt);
  BOOST_TEST((answer.size() == md5_secret_size));
  BOOST_TEST(verify_md5("md5 word", "carol", salt, answer));
  BOOST_TEST(verify_md5(carol_secret, "carol", salt, answer));
  BOOST_TEST(!verify_md5(carol_secret, "carol", "abcd", answer));
  BOOST_TEST(!verify_md5("md5 worD", "carol", salt, answer));
  BOOST_TEST(!verify_md5("md5 word", "carla", salt, answer));
  BOOST_TEST(!verify_md5(carol_secret, "carol", salt, ""));
  BOOST_TEST(!verify_md5(carol_secret, "carol", salt, carol_secret)); // the stored form is not the answer
  BOOST_TEST(!verify_md5(carol_secret, "carol", salt, answer + std::string(1, '\0')));
}

BOOST_AUTO_TEST_CASE(md5_with_unfit_input_gives_nothing_and_verifies_nothing) {
  BOOST_TEST(md5_response("", "carol", salt).empty());
  BOOST_TEST(md5_response(scram_secret, "carol", salt).empty());
  BOOST_TEST(md5_response("md5 word", "carol", "abc").empty());
  BOOST_TEST(md5_response("md5 word", "carol", "abcde").empty());
  BOOST_TEST(!verify_md5("", "carol", salt, ""));
  BOOST_TEST(!verify_md5(scram_secret, "carol", salt, ""));
}

BOOST_AUTO_TEST_CASE(B020_cleartext_against_every_kind) {
  BOOST_TEST(verify_cleartext("md5 word", "carol", "md5 word"));
  BOOST_TEST(verify_cleartext(carol_secret, "carol", "md5 word"));
  BOOST_TEST(!verify_cleartext("md5 word", "carol", "md5 worD"));
  BOOST_TEST(!verify_cleartext("md5 word", "carol", "md5 wor"));
  BOOST_TEST(!verify_cleartext("md5 word", "carol", ""));
  BOOST_TEST(!verify_cleartext(carol_secret, "carol", carol_secret)); // knowing the hash is not knowing the password
  BOOST_TEST(!verify_cleartext(carol_secret, "carla", "md5 word"));
  BOOST_TEST(!verify_cleartext("", "carol", ""));
  BOOST_TEST(!verify_cleartext(scram_secret, "alice", "correct horse")); // needs the slow derivation
  BOOST_TEST(!verify_cleartext(scram_secret, "alice", scram_secret));
}

BOOST_AUTO_TEST_CASE(constant_time_comparison_compares) {
  BOOST_TEST(equal_in_constant_time("", ""));
  BOOST_TEST(equal_in_constant_time("abc", "abc"));
  BOOST_TEST(!equal_in_constant_time("abc", "abd"));
  BOOST_TEST(!equal_in_constant_time("abc", "abcd"));
  BOOST_TEST(!equal_in_constant_time("abc", ""));
  BOOST_TEST(!equal_in_constant_time(std::string_view("a\0b", 3), std::string_view("a\0c", 3)));
}

BOOST_AUTO_TEST_CASE(normalisation_follows_saslprep_as_far_as_promised) {
  struct row {
    std::string_view typed, normal;
  };
  const std::array<row, 13> rows{{
      {"", ""},
      {"plain ASCII\a\x7f", "plain ASCII\a\x7f"}, // ASCII is not even looked at
      {"p\xc3\xa4ss", "p\xc3\xa4ss"},
      {"a\xc2\xa0"
       "b",
       "a b"}, // no-break space
      {"a\xe2\x80\x8b"
       "b",
       "a b"}, // U+200B counts as a space before it counts as nothing
      {"a\xc2\xad"
       "b",
       "ab"},                                                     // soft hyphen
      {"\xc2\xad", "\xc2\xad"},                                   // nothing would be left
      {"a\xc2\xa0\a", "a\xc2\xa0\a"},                             // a control character prohibits: raw bytes
      {"x\xc2\xa0\xf0\x9f\x98\x80", "x\xc2\xa0\xf0\x9f\x98\x80"}, // so does an emoji, unassigned in Unicode 3.2
      {"\xff\xc2\xa0", "\xff\xc2\xa0"},                           // not UTF-8
      {"\xc2\xa0\xe2\x82", "\xc2\xa0\xe2\x82"},                   // cut short
      {"\xc2\xa0\xc0\x80", "\xc2\xa0\xc0\x80"},                   // overlong
      {"\xc2\xa0\xed\xa0\x80", "\xc2\xa0\xed\xa0\x80"},           // a surrogate
  }};
  for (const auto& row : rows)
    BOOST_TEST((normalise_password(row.typed) == row.normal));
}

BOOST_AUTO_TEST_CASE(random_bytes_are_never_lengthened) {
  std::mt19937 random(20240607); // NOLINT: the same bytes every time
  for (int round = 0; round < 20'000; ++round) {
    bytes text(random() % 12, '\0');
    for (auto& c : text)
      c = static_cast<char>(random());
    BOOST_TEST_REQUIRE(normalise_password(text).size() <= text.size());
    BOOST_TEST_REQUIRE((classify_secret(text) == (text.empty() ? secret_kind::none : secret_kind::plain)));
  }
}

BOOST_AUTO_TEST_SUITE_END()
