// SCRAM-SHA-256: the RFC's own exchange, verifiers that Postgres made, round trips, and everything a peer can do wrong.
#include "protocol/password.hpp"
#include "protocol/scram.hpp"

#include <boost/test/unit_test.hpp>

#include <array>
#include <random>

using namespace pg_edge::protocol;

namespace {

// RFC 7677, section 3: user "user", password "pencil".
constexpr std::string_view rfc_client_nonce = "rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view rfc_server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr std::string_view rfc_salt = "W22ZaJ0SNY7soEsUEjb6gQ==";
constexpr std::string_view rfc_client_first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view rfc_server_first =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr std::string_view rfc_client_final = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                              "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
constexpr std::string_view rfc_server_final = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

struct stored_password {
  std::string_view password, verifier;
};

// Made by Postgres 15 (create role ... password ... with password_encryption = 'scram-sha-256').
const std::array<stored_password, 6> postgres_made{{
    {"correct horse", "SCRAM-SHA-256$4096:pCVOYAuFlhyTYPBWb4U9sQ==$B3Whgu/5trHLrYdAgHr+tBcgWXS9nx9u+HZV05+fTGI=:"
                      "x0Pr3tiRr1/qD/3C8ubXmUe7faYB4JjEvXpPGzL3lDc="},
    {"p\xc3\xa4ssw\xc3\xb6rd", "SCRAM-SHA-256$4096:IGVTqxLl5opZtrFFfPb7Ig==$"
                               "PPr6clkr/mB2zq4VF39cczpeUnAg7wAP0tdNYUv55s4=:"
                               "+5fNgKKxpQ2L5EWtO4N9y4cK1Is93uTSVkmruCv4POM="},
    {"a\xc2\xa0"
     "b\xc2\xad"
     "c",
     "SCRAM-SHA-256$4096:S/8YsgpuxszP6zjU0s8yKg==$Vnt0nchjkemtt6aHwAqJ1uw0SQ9YKGPYsw2yegmI//M=:"
     "ZWEieCz6XEh8iA2A3LjOz/lM+u3viYetTwZYkDEjafQ="},
    {"x\xc2\xa0\xf0\x9f\x98\x80", "SCRAM-SHA-256$4096:9CioT9pVOLLIbQUSibBrvQ==$"
                                  "HSSh2IXqyg32i7kLklnfC+SLoRaNacAPeoHxAKbKfkg=:"
                                  "h0sBB9y211p5OGKNeJsoNmb3QbD5A+H+c1P0J0ccAmM="},
    {"\xc3\xa9\a", "SCRAM-SHA-256$4096:CU2w43HPX2r0cvrKU5Bpsw==$d+AfMKAY+yZQJ4C1CFHrlgproW/28dTJME29pthNCpw=:"
                   "VJb+mkPZqrnfaBRejWJktFJTSPSW/yp2VmNt/gJf8JU="},
    {"pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
     "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
     "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp",
     "SCRAM-SHA-256$4096:lk69UUDNSDB3IeYlbUyqTQ==$D3+6sTdoqYwCdHLdZuUJOZT7n0qtX6kaXpsImGEJSVg=:"
     "a291AYD0czGWYOiw9g6EeTZrNUn2mdWW5i2WhIHpLwM="},
}};

// Few iterations keep the tests fast; only vectors use 4096.
constexpr int few = 3;
const bytes salt = "0123456789abcdef";
const bytes end_point(32, '\x17');

scram_verifier rfc_verifier() {
  const auto raw_salt = base64_decode(rfc_salt).value();
  return make_verifier(salted_password("pencil", raw_salt, 4096), raw_salt, 4096);
}

scram_verifier verifier_of(std::string_view password) {
  return make_verifier(salted_password(password, salt, few), salt, few);
}

client_keys keys_for(const scram_client& client, std::string_view password) {
  return derive_keys(salted_password(password, client.salt(), client.iterations()));
}

/// A server that has answered client_first and waits for client_final with nonce "cnonce" + "snonce".
scram_server waiting_server(const scram_verifier& verifier) {
  scram_server server(verifier, "snonce");
  BOOST_TEST_REQUIRE((server.client_first("n,,n=,r=cnonce").error == scram_error::none));
  return server;
}

bytes replaced(bytes_view text, bytes_view what, bytes_view with) {
  bytes out(text);
  const auto at = out.find(what);
  BOOST_TEST_REQUIRE(at != bytes::npos);
  return out.replace(at, what.size(), with);
}

} // namespace

BOOST_AUTO_TEST_SUITE(scram_test)

// -- base64 and verifiers
// ----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(base64_vectors_of_rfc_4648) {
  const std::array<std::pair<std::string_view, std::string_view>, 7> rows{{{"", ""},
                                                                           {"f", "Zg=="},
                                                                           {"fo", "Zm8="},
                                                                           {"foo", "Zm9v"},
                                                                           {"foob", "Zm9vYg=="},
                                                                           {"fooba", "Zm9vYmE="},
                                                                           {"foobar", "Zm9vYmFy"}}};
  for (const auto& [raw, text] : rows) {
    BOOST_TEST((base64_encode(raw) == text));
    BOOST_TEST((base64_decode(text) == bytes(raw)));
  }
  BOOST_TEST((base64_encode("\xfb\xff\xfe") == "+//+"));
}

BOOST_AUTO_TEST_CASE(base64_is_strict) {
  for (const std::string_view text : {"Z", "Zg", "Zg=", "Zg===", "====", "=Zg=", "Z===", "Zm9v=", "Zh==", "Zm9=",
                                      "Zm 9v", "Zm9v\n", "Zm9-", "Zm9_", "Zg==Zg=="})
    BOOST_TEST(!base64_decode(text).has_value(), "base64_decode(\"" << text << "\") must refuse");
}

BOOST_AUTO_TEST_CASE(base64_round_trip_of_random_bytes) {
  std::mt19937 random(1); // NOLINT: the same bytes every time
  for (int round = 0; round < 500; ++round) {
    bytes raw(static_cast<std::size_t>(round) % 70, '\0');
    for (auto& c : raw)
      c = static_cast<char>(random());
    BOOST_TEST_REQUIRE((base64_decode(base64_encode(raw)) == raw));
  }
}

BOOST_AUTO_TEST_CASE(verifiers_made_by_postgres_are_read_and_reproduced) {
  for (const auto& row : postgres_made) {
    const auto read = parse_verifier(row.verifier);
    BOOST_TEST_REQUIRE(read.has_value());
    BOOST_TEST((format_verifier(*read) == row.verifier));
    const auto salted = salted_password(row.password, read->salt, read->iterations);
    BOOST_TEST((format_verifier(make_verifier(salted, read->salt, read->iterations)) == row.verifier));
    BOOST_TEST(matches_verifier(*read, salted));
    BOOST_TEST(!matches_verifier(*read, salted_password("wrong", read->salt, read->iterations)));
  }
}

BOOST_AUTO_TEST_CASE(malformed_verifiers) {
  const bytes good(postgres_made[0].verifier);
  BOOST_TEST_REQUIRE(parse_verifier(good).has_value());
  const std::array<bytes, 18> bad{
      "",
      "SCRAM-SHA-256",
      "SCRAM-SHA-256$",
      replaced(good, "SCRAM-SHA-256", "SCRAM-SHA-1"),
      replaced(good, "SCRAM", "scram"),
      replaced(good, "4096", "0"),
      replaced(good, "4096", "-1"),
      replaced(good, "4096", "+4096"),
      replaced(good, "4096", "04096"),
      replaced(good, "4096", "4096x"),
      replaced(good, "4096", ""),
      replaced(good, "4096", "99999999999"),
      replaced(good, "pCVOYAuFlhyTYPBWb4U9sQ==", ""),
      replaced(good, "sQ==", "sQ"),
      replaced(good, "B3Wh", ""),
      replaced(good, "$B3Wh", ":B3Wh"),
      replaced(good, "x0Pr", "!0Pr"),
      good + "A",
  };
  for (const auto& text : bad)
    BOOST_TEST(!parse_verifier(text).has_value(), "parse_verifier must refuse " << text);
  for (std::size_t size = 0; size < good.size(); ++size)
    BOOST_TEST(!parse_verifier(bytes_view(good).substr(0, size)).has_value());
}

BOOST_AUTO_TEST_CASE(derivation_limits) {
  BOOST_TEST(salted_password("x", salt, 0).empty());
  BOOST_TEST(salted_password("x", salt, -1).empty());
  BOOST_TEST(salted_password("x", salt, scram_max_iterations + 1).empty());
  BOOST_TEST(salted_password("x", "", few).empty());
  BOOST_TEST((salted_password("x", salt, 1).size() == scram_key_size));
  BOOST_TEST((salted_password("", salt, 1).size() == scram_key_size));
  BOOST_TEST(derive_keys("").client_key.empty());
  BOOST_TEST(derive_keys("short").stored_key.empty());
  BOOST_TEST(!matches_verifier(verifier_of("x"), ""));
  BOOST_TEST(!matches_verifier(scram_verifier{}, ""));
}

// -- the whole exchange
// ------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(exchange_of_rfc_7677) {
  scram_server server(rfc_verifier(), std::string(rfc_server_nonce));
  const auto first = server.client_first(rfc_client_first);
  BOOST_TEST((first.error == scram_error::none));
  BOOST_TEST((first.reply == rfc_server_first));
  const auto final = server.client_final(rfc_client_final);
  BOOST_TEST((final.error == scram_error::none));
  BOOST_TEST((final.reply == rfc_server_final));
}

BOOST_AUTO_TEST_CASE(client_messages_are_libpqs) {
  scram_client client{std::string(rfc_client_nonce)};
  BOOST_TEST((client.client_first() == "n,,n=,r=rOprNGfwEbeRWgbNEkqO"));
  BOOST_TEST((client.mechanism() == "SCRAM-SHA-256"));
  BOOST_TEST((client.server_first(rfc_server_first) == scram_error::none));
  BOOST_TEST((client.salt() == base64_decode(rfc_salt)));
  BOOST_TEST((client.iterations() == 4096));
  // Proof and signature for an empty user name, computed apart from this code.
  const auto final = client.client_final(keys_for(client, "pencil"));
  BOOST_TEST((final.error == scram_error::none));
  BOOST_TEST(
      (final.reply ==
       "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=qvT2SWdEH5Q06albL+hjSYuUhCG7VndFyzIb7CK4n9k="));
  BOOST_TEST((client.server_final("v=3HO6Qt1M4MKJrmlKaoOqLAI0/0TV0HZe7J9H3MBtSOg=") == scram_error::none));
}

BOOST_AUTO_TEST_CASE(B020_round_trips_with_and_without_channel_binding) {
  using use = channel_binding::use;
  struct row {
    channel_binding binding;
    std::optional<bytes> server_end_point;
    scram_error expected;
  };
  const std::array<row, 7> rows{{
      {{use::not_supported, {}}, std::nullopt, scram_error::none},
      {{use::not_supported, {}}, end_point, scram_error::none}, // the client cannot, and may say so
      {{use::not_offered_by_server, {}}, std::nullopt, scram_error::none},
      {{use::not_offered_by_server, {}}, end_point, scram_error::binding_downgrade}, // somebody removed our offer
      {{use::used, end_point}, end_point, scram_error::none},
      {{use::used, end_point}, std::nullopt, scram_error::binding_unexpected},
      {{use::used, bytes(32, '\x18')}, end_point, scram_error::binding_mismatch}, // somebody in the middle
  }};
  for (const auto& row : rows) {
    scram_client client("cnonce", row.binding);
    scram_server server(verifier_of("secret"), "snonce", row.server_end_point);
    auto step = server.client_first(client.client_first(), client.mechanism() == scram_plus_mechanism);
    if (step.error == scram_error::none) {
      BOOST_TEST_REQUIRE((client.server_first(step.reply) == scram_error::none));
      step = server.client_final(client.client_final(keys_for(client, "secret")).reply);
    }
    BOOST_TEST((step.error == row.expected));
    BOOST_TEST((step.reply.empty() == (row.expected != scram_error::none)));
    if (step.error == scram_error::none) BOOST_TEST((client.server_final(step.reply) == scram_error::none));
  }
}

BOOST_AUTO_TEST_CASE(wrong_password_is_refused) {
  scram_client client("cnonce");
  auto server = waiting_server(verifier_of("secret"));
  scram_server other(verifier_of("secret"), "snonce");
  BOOST_TEST_REQUIRE((client.server_first(other.client_first(client.client_first()).reply) == scram_error::none));
  const auto step = server.client_final(client.client_final(keys_for(client, "Secret")).reply);
  BOOST_TEST((step.error == scram_error::wrong_proof));
  BOOST_TEST(step.reply.empty());
  BOOST_TEST(server.keys().client_key.empty());
  BOOST_TEST((explain(step.error).sqlstate == "28P01"));
}

BOOST_AUTO_TEST_CASE(B021_keys_of_a_clients_proof_log_in_to_the_server_with_the_same_verifier) {
  const auto verifier = verifier_of("secret");
  scram_client client("cnonce");
  scram_server pooler(verifier, "snonce");
  BOOST_TEST(pooler.keys().client_key.empty());
  BOOST_TEST_REQUIRE((client.server_first(pooler.client_first(client.client_first()).reply) == scram_error::none));
  BOOST_TEST_REQUIRE(
      (pooler.client_final(client.client_final(keys_for(client, "secret")).reply).error == scram_error::none));

  scram_client second("other");
  scram_server postgres(verifier, "nonce");
  BOOST_TEST_REQUIRE((second.server_first(postgres.client_first(second.client_first()).reply) == scram_error::none));
  const auto proven = postgres.client_final(second.client_final(pooler.keys()).reply);
  BOOST_TEST((proven.error == scram_error::none));
  BOOST_TEST((second.server_final(proven.reply) == scram_error::none));
}

BOOST_AUTO_TEST_CASE(B019_unknown_users_run_to_the_end_and_look_the_same_each_time) {
  const auto mock = mock_verifier("node secret", "nobody");
  BOOST_TEST((mock.salt.size() == scram_salt_size));
  BOOST_TEST((mock.iterations == scram_default_iterations));
  BOOST_TEST((mock.salt == mock_verifier("node secret", "nobody").salt));
  BOOST_TEST((mock.salt != mock_verifier("node secret", "somebody").salt));
  BOOST_TEST((mock.salt != mock_verifier("another secret", "nobody").salt));
  BOOST_TEST((mock.salt == user_salt("node secret", "nobody"))); // as for users whose password is stored in clear

  scram_server server(mock, "snonce");
  scram_client client("cnonce");
  const auto first = server.client_first(client.client_first());
  BOOST_TEST_REQUIRE((first.error == scram_error::none));
  BOOST_TEST_REQUIRE((client.server_first(first.reply) == scram_error::none));
  const auto final = server.client_final(client.client_final(keys_for(client, "")).reply);
  BOOST_TEST((final.error == scram_error::wrong_proof));
}

BOOST_AUTO_TEST_CASE(no_proof_fits_a_mock_or_an_empty_verifier) {
  for (const auto& verifier : {mock_verifier("node secret", "nobody"), scram_verifier{1, salt, {}, {}}}) {
    for (const auto& proof : {bytes(32, '\0'), bytes(32, '\xff')}) {
      auto server = waiting_server(verifier);
      const auto step = server.client_final("c=biws,r=cnoncesnonce,p=" + base64_encode(proof));
      BOOST_TEST((step.error == scram_error::wrong_proof));
    }
  }
}

// -- what clients can do wrong
// -----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(malformed_client_first) {
  struct row {
    bytes message;
    scram_error expected;
  };
  const std::array<row, 25> rows{{
      {"", scram_error::malformed},
      {"n", scram_error::malformed},
      {"n,", scram_error::malformed},
      {"n,,", scram_error::malformed},
      {"x,,n=,r=cnonce", scram_error::malformed},
      {"N,,n=,r=cnonce", scram_error::malformed},
      {"nn,,n=,r=cnonce", scram_error::malformed},
      {",,n=,r=cnonce", scram_error::malformed},
      {"n,a=other,n=,r=cnonce", scram_error::unsupported},
      {"n,b=other,n=,r=cnonce", scram_error::malformed},
      {"n,,m=x,n=,r=cnonce", scram_error::unsupported},
      {"n,,r=cnonce", scram_error::malformed},
      {"n,,n=", scram_error::malformed},
      {"n,,n=,", scram_error::malformed},
      {"n,,n=,r=", scram_error::malformed},
      {"n,,n=,r=cnonce,", scram_error::malformed},
      {"n,,r=cnonce,n=", scram_error::malformed},
      {"n,,n=,r=c nonce", scram_error::malformed},
      {"n,,n=,r=c\x01", scram_error::malformed},
      {"n,,n=,r=\xc3\xa4", scram_error::malformed},
      {bytes("n,,n=,r=c\0d", 11), scram_error::malformed},
      {"n,,n=,r=cnonce,1=x", scram_error::malformed},
      {"n,,n=,r=cnonce,m=x", scram_error::malformed},
      {"p=tls-server-end-point,,n=,r=cnonce", scram_error::binding_unexpected},
      {"n,,n=,r=" + bytes(scram_max_message, 'x'), scram_error::malformed},
  }};
  for (const auto& row : rows) {
    scram_server server(verifier_of("secret"), "snonce");
    const auto step = server.client_first(row.message);
    BOOST_TEST((step.error == row.expected), "client-first \"" << row.message << "\": " << explain(step.error).text);
    BOOST_TEST(step.reply.empty());
    // The exchange is over; nothing revives it.
    BOOST_TEST((server.client_first("n,,n=,r=cnonce").error == scram_error::out_of_order));
    BOOST_TEST((server.client_final("c=biws,r=cnoncesnonce,p=").error == scram_error::out_of_order));
  }
}

BOOST_AUTO_TEST_CASE(B042_channel_binding_flags_that_do_not_fit) {
  struct row {
    bytes_view message;
    bool plus;
    std::optional<bytes> offered;
    scram_error expected;
  };
  const std::array<row, 8> rows{{
      {"n,,n=,r=c", true, end_point, scram_error::binding_unexpected},
      {"y,,n=,r=c", true, end_point, scram_error::binding_unexpected},
      {"y,,n=,r=c", false, end_point, scram_error::binding_downgrade},
      {"y,,n=,r=c", false, std::nullopt, scram_error::none},
      {"p=tls-server-end-point,,n=,r=c", false, end_point, scram_error::binding_unexpected},
      {"p=tls-server-end-point,,n=,r=c", true, std::nullopt, scram_error::binding_unexpected},
      {"p=tls-unique,,n=,r=c", true, end_point, scram_error::unsupported},
      {"p=tls-server-end-point,,n=,r=c", true, end_point, scram_error::none},
  }};
  for (const auto& row : rows) {
    scram_server server(verifier_of("secret"), "snonce", row.offered);
    BOOST_TEST((server.client_first(row.message, row.plus).error == row.expected));
  }
}

BOOST_AUTO_TEST_CASE(malformed_client_final) {
  const bytes proof = base64_encode(bytes(32, 'x'));
  struct row {
    bytes message;
    scram_error expected;
  };
  const std::array<row, 21> rows{{
      {"", scram_error::malformed},
      {"c=biws,r=cnoncesnonce", scram_error::malformed},
      {"c=biws,r=cnoncesnonce,p=", scram_error::malformed},
      {"c=biws,r=cnoncesnonce,p=" + base64_encode(bytes(31, 'x')), scram_error::malformed},
      {"c=biws,r=cnoncesnonce,p=" + base64_encode(bytes(33, 'x')), scram_error::malformed},
      {"c=biws,r=cnoncesnonce,p=!" + proof, scram_error::malformed},
      {"c=biws,r=cnoncesnonce,p=" + proof + ",", scram_error::malformed},
      {"c=biws,r=cnoncesnonce,p=" + proof + ",x=y", scram_error::malformed},
      {",p=" + proof, scram_error::malformed},
      {"p=" + proof, scram_error::malformed},
      {"r=cnoncesnonce,c=biws,p=" + proof, scram_error::malformed},
      {"r=cnoncesnonce,p=" + proof, scram_error::malformed},
      {"c=biws,p=" + proof, scram_error::malformed},
      {"c=biws,r=cnoncesnonce,m=x,p=" + proof, scram_error::malformed},
      {"c=,r=cnoncesnonce,p=" + proof, scram_error::binding_mismatch},
      {"c=eSws,r=cnoncesnonce,p=" + proof, scram_error::binding_mismatch}, // "y,," after "n,,"
      {"c=biws,r=cnonce,p=" + proof, scram_error::nonce_mismatch},
      {"c=biws,r=cnoncesnoncE,p=" + proof, scram_error::nonce_mismatch},
      {"c=biws,r=,p=" + proof, scram_error::nonce_mismatch},
      {"c=biws,r=cnoncesnonce,x=" + bytes(scram_max_message, 'y') + ",p=" + proof, scram_error::malformed},
      {"c=biws,r=cnoncesnonce,p=" + proof, scram_error::wrong_proof},
  }};
  for (const auto& row : rows) {
    auto server = waiting_server(verifier_of("secret"));
    const auto step = server.client_final(row.message);
    BOOST_TEST((step.error == row.expected), "client-final \"" << row.message << "\": " << explain(step.error).text);
    BOOST_TEST(step.reply.empty());
    BOOST_TEST((server.client_final(row.message).error == scram_error::out_of_order));
  }
}

BOOST_AUTO_TEST_CASE(optional_extensions_and_user_names_are_ignored) {
  scram_server server(verifier_of("secret"), "snonce");
  BOOST_TEST((server.client_first("n,,n=anybody,r=cnonce,x=new").error == scram_error::none));
  // Far enough to check the proof: the extension here was accepted too.
  const auto step = server.client_final("c=biws,r=cnoncesnonce,x=new,p=" + base64_encode(bytes(32, 'x')));
  BOOST_TEST((step.error == scram_error::wrong_proof));
}

BOOST_AUTO_TEST_CASE(final_before_first_is_out_of_order) {
  scram_server server(verifier_of("secret"), "snonce");
  BOOST_TEST((server.client_final(rfc_client_final).error == scram_error::out_of_order));
}

// -- what servers can do wrong
// -----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(malformed_server_first) {
  struct row {
    bytes message;
    scram_error expected;
  };
  const std::array<row, 22> rows{{
      {"", scram_error::malformed},
      {"r=cnoncesnonce", scram_error::malformed},
      {"r=cnoncesnonce,s=c2FsdA==", scram_error::malformed},
      {"s=c2FsdA==,r=cnoncesnonce,i=4096", scram_error::malformed},
      {"r=cnoncesnonce,s=,i=4096", scram_error::malformed},
      {"r=cnoncesnonce,s=c2FsdA=,i=4096", scram_error::malformed},
      {"r=cnoncesnonce,s=c2FsdA==,i=", scram_error::malformed},
      {"r=cnoncesnonce,s=c2FsdA==,i=0", scram_error::malformed},
      {"r=cnoncesnonce,s=c2FsdA==,i=-5", scram_error::malformed},
      {"r=cnoncesnonce,s=c2FsdA==,i=4096x", scram_error::malformed},
      {"r=cnoncesnonce,s=c2FsdA==,i=4096,", scram_error::malformed},
      {"r=cnoncesnonce,s=c2FsdA==,i=99999999999", scram_error::malformed},
      {"r=cnoncesnonce,s=c2FsdA==,i=1000001", scram_error::too_many_iterations},
      {"m=x,r=cnoncesnonce,s=c2FsdA==,i=4096", scram_error::unsupported},
      {"r=cnoncesnonce,s=c2FsdA==,i=4096,m=x", scram_error::malformed},
      {"r=cnonce,s=c2FsdA==,i=4096", scram_error::nonce_mismatch}, // nothing added: an exchange could be replayed
      {"r=snonce,s=c2FsdA==,i=4096", scram_error::nonce_mismatch},
      {"r=xcnoncesnonce,s=c2FsdA==,i=4096", scram_error::nonce_mismatch},
      {"r=cnonce snonce,s=c2FsdA==,i=4096", scram_error::malformed},
      {"r=cnoncesnonce,s=c2FsdA==,i=4096,x=" + bytes(scram_max_message, 'y'), scram_error::malformed},
      {"e=other-error", scram_error::malformed},
      {"r=cnoncesnonce,s=c2FsdA==,i=4096,x=y", scram_error::none},
  }};
  for (const auto& row : rows) {
    scram_client client("cnonce");
    const auto error = client.server_first(row.message);
    BOOST_TEST((error == row.expected), "server-first \"" << row.message << "\": " << explain(error).text);
    if (error == scram_error::none) continue;
    BOOST_TEST((client.server_first("r=cnoncesnonce,s=c2FsdA==,i=4096") == scram_error::out_of_order));
    BOOST_TEST((client.client_final(derive_keys(bytes(32, 'k'))).error == scram_error::out_of_order));
  }
}

BOOST_AUTO_TEST_CASE(malformed_server_final) {
  const bytes wrong = base64_encode(bytes(32, 'x'));
  struct row {
    bytes message;
    scram_error expected;
  };
  const std::array<row, 9> rows{{
      {"", scram_error::malformed},
      {"v", scram_error::malformed},
      {"v=", scram_error::wrong_server},
      {"v=!", scram_error::malformed},
      {"v=" + base64_encode("short"), scram_error::wrong_server},
      {"v=" + wrong, scram_error::wrong_server},
      {"v=" + wrong + ",", scram_error::malformed},
      {"e=invalid-proof", scram_error::refused_by_server},
      {"v=" + bytes(scram_max_message, 'x'), scram_error::malformed},
  }};
  for (const auto& row : rows) {
    scram_client client("cnonce");
    BOOST_TEST((client.server_final("v=" + wrong) == scram_error::out_of_order));
    scram_client other("cnonce");
    BOOST_TEST_REQUIRE((other.server_first("r=cnoncesnonce,s=c2FsdA==,i=3") == scram_error::none));
    BOOST_TEST_REQUIRE((other.client_final(keys_for(other, "secret")).error == scram_error::none));
    BOOST_TEST((other.server_final(row.message) == row.expected), "server-final \"" << row.message << "\"");
    BOOST_TEST((other.server_final(row.message) == scram_error::out_of_order));
  }
}

BOOST_AUTO_TEST_CASE(empty_keys_prove_nothing) {
  scram_client client("cnonce");
  BOOST_TEST_REQUIRE((client.server_first("r=cnoncesnonce,s=c2FsdA==,i=3") == scram_error::none));
  BOOST_TEST((client.client_final({}).error == scram_error::wrong_proof));
}

BOOST_AUTO_TEST_CASE(every_error_is_described) {
  for (int i = 0; i <= static_cast<int>(scram_error::refused_by_server); ++i) {
    const auto error = static_cast<scram_error>(i);
    BOOST_TEST((explain(error).error == error));
    BOOST_TEST((explain(error).sqlstate.size() == 5));
    BOOST_TEST(!explain(error).text.empty());
  }
}

// -- random input
// ------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(mutated_messages_are_refused_and_never_accepted) {
  std::mt19937 random(7677); // NOLINT: the same input every time
  const auto verifier = rfc_verifier();
  const auto mutate = [&](bytes_view text) {
    bytes out(text);
    const auto at = random() % out.size();
    switch (random() % 3) {
    case 0:
      out[at] = static_cast<char>(random());
      break;
    case 1:
      out.erase(at, 1 + random() % 4);
      break;
    default:
      out.insert(at, 1, "=,prcnsivm\0"[random() % 11]);
    }
    return out;
  };
  for (int round = 0; round < 20'000; ++round) {
    scram_server server(verifier, std::string(rfc_server_nonce));
    const auto first = mutate(rfc_client_first);
    (void)server.client_first(first);
    scram_server whole(verifier, std::string(rfc_server_nonce));
    BOOST_TEST_REQUIRE((whole.client_first(rfc_client_first).error == scram_error::none));
    const auto final = mutate(rfc_client_final);
    const bool same = final == rfc_client_final;
    BOOST_TEST_REQUIRE(((whole.client_final(final).error == scram_error::none) == same), "client-final " << final);
    scram_client client{std::string(rfc_client_nonce)};
    (void)client.server_first(mutate(rfc_server_first));
    const auto text = mutate(postgres_made[0].verifier);
    if (const auto read = parse_verifier(text)) BOOST_TEST_REQUIRE((format_verifier(*read) == text));
  }
}

BOOST_AUTO_TEST_SUITE_END()
