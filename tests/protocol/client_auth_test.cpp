// A client's proof, every method against every kind of secret: who gets in, and that nobody who does not can tell why.
#include "protocol/client_auth.hpp"
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"
#include "protocol/password.hpp"

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

using namespace pg_edge::protocol;
using verdict = client_auth::verdict;

namespace {

const bytes node_secret = "what salts hang on";
const bytes salt_a = "0123456789abcdef", salt_b = "fedcba9876543210";
const bytes end_point(32, 'e');
constexpr int iterations = 8;

std::string verifier(std::string_view password, bytes_view salt = salt_a, int count = iterations) {
  return format_verifier(make_verifier(salted_password(password, salt, count), salt, count));
}

bytes body_of_first(const bytes& frame) {
  return frame.substr(frame_header_size);
}

/// What one login looked like from outside, and what it cost.
struct outcome {
  verdict end = verdict::violated;
  std::string shape; // an "R<number>(<size>)" for each message, "derive" is not seen from outside
  int derivations = 0;
  std::size_t matched = 0;
  client_keys revealed;
  std::string why;
  bytes salt; // that the client saw
  error_code error{};
};

void note(outcome& seen, const bytes& sent) {
  for (std::size_t at = 0; at < sent.size();) {
    frame_header header;
    BOOST_REQUIRE((read_header(bytes_view(sent).substr(at), header) == header_status::ok));
    seen.shape += (seen.shape.empty() ? "" : " ") + std::string(1, header.type) +
                  std::to_string(static_cast<unsigned char>(sent[at + 8])) + "(" + std::to_string(header.body()) + ")";
    at += header.total();
  }
}

/// Does the derivations that are asked for; returns the step after them.
client_auth::step settle(client_auth& auth, client_auth::step step, outcome& seen) {
  while (step.now == verdict::derive) {
    ++seen.derivations;
    note(seen, step.send);
    step = auth.keys(salted_password(auth.password(), auth.salt(), auth.iterations()));
  }
  note(seen, step.send);
  return step;
}

outcome finish(client_auth& auth, const client_auth::step& step, outcome seen) {
  seen.end = step.now;
  seen.why = step.why;
  seen.error = step.error;
  if (step.now == verdict::accepted) {
    seen.matched = auth.matched();
    seen.revealed = auth.revealed();
  }
  return seen;
}

/// A whole login with this password.
outcome log_in(auth_method method, std::vector<std::string> secrets, const std::string& password,
               channel_binding binding = {}, const bytes& ours = {}, std::string_view mechanism = {}) {
  outcome seen;
  client_auth auth({"user", std::move(secrets), method, iterations}, "snonce", "salt", node_secret, ours);
  auto step = settle(auth, auth.begin(), seen);
  if (step.now != verdict::more) return finish(auth, step, seen);
  if (method != auth_method::scram) {
    const bytes given = method == auth_method::md5 ? md5_response(password, "user", "salt") : bytes(password);
    step = settle(auth, auth.answer(body_of_first(encode(password_message{given}))), seen);
    return finish(auth, step, seen);
  }
  scram_client client("cnonce", binding);
  const bytes first = client.client_first();
  const sasl_initial_response initial{mechanism.empty() ? client.mechanism() : mechanism, first};
  step = settle(auth, auth.answer(body_of_first(encode(initial))), seen);
  if (step.now != verdict::more) return finish(auth, step, seen);
  BOOST_REQUIRE((client.server_first(bytes_view(step.send).substr(frame_header_size + 4)) == scram_error::none));
  seen.salt = client.salt();
  const auto proof = client.client_final(derive_keys(salted_password(password, client.salt(), client.iterations())));
  step = settle(auth, auth.answer(body_of_first(encode(sasl_response{proof.reply}))), seen);
  if (step.now == verdict::accepted)
    BOOST_TEST((client.server_final(bytes_view(step.send).substr(frame_header_size + 4)) == scram_error::none));
  return finish(auth, step, seen);
}

} // namespace

BOOST_AUTO_TEST_SUITE(client_auth_test)

BOOST_AUTO_TEST_CASE(B020_every_method_with_every_kind_of_secret) {
  const std::string plain = "pass", md5 = md5_secret("pass", "user"), scram = verifier("pass");
  const struct {
    auth_method method;
    std::string secret;
    bool possible;
  } rows[] = {
      {auth_method::cleartext, plain, true}, {auth_method::cleartext, md5, true}, {auth_method::cleartext, scram, true},
      {auth_method::md5, plain, true},       {auth_method::md5, md5, true},       {auth_method::md5, scram, false},
      {auth_method::scram, plain, true},     {auth_method::scram, md5, false},    {auth_method::scram, scram, true},
  };
  for (const auto& row : rows) {
    BOOST_TEST_CONTEXT(static_cast<int>(row.method) << " with " << row.secret) {
      BOOST_TEST(
          (log_in(row.method, {row.secret}, "pass").end == (row.possible ? verdict::accepted : verdict::refused)));
      BOOST_TEST((log_in(row.method, {row.secret}, "not it").end == verdict::refused));
      BOOST_TEST((log_in(row.method, {}, "pass").end == verdict::refused));
      BOOST_TEST((log_in(row.method, {""}, "").end != verdict::accepted));
    }
  }
  BOOST_TEST((log_in(auth_method::trust, {}, "").end == verdict::accepted));
}

BOOST_AUTO_TEST_CASE(B019_who_does_not_exist_goes_the_same_way_at_the_same_cost) {
  for (const auto method : {auth_method::cleartext, auth_method::md5, auth_method::scram}) {
    BOOST_TEST_CONTEXT(static_cast<int>(method)) {
      const auto unknown = log_in(method, {}, "guess");
      BOOST_TEST((unknown.end == verdict::refused));
      // A verifier under md5 makes the method SCRAM, see actors/client_proof.cpp.
      std::vector<std::string> kinds{"pass"};
      if (method != auth_method::md5) kinds.push_back(verifier("pass"));
      for (const auto& secret : kinds) {
        const auto wrong = log_in(method, {secret}, "guess");
        BOOST_TEST((wrong.end == verdict::refused));
        BOOST_TEST(wrong.shape == unknown.shape);
        BOOST_TEST(wrong.derivations == unknown.derivations);
      }
      BOOST_TEST(unknown.derivations == (method == auth_method::md5 ? 0 : 1));
    }
  }
  // The salt of nobody is always the same, and as long as anybody's.
  const auto salt = log_in(auth_method::scram, {}, "a").salt;
  BOOST_TEST((salt == log_in(auth_method::scram, {}, "b").salt));
  BOOST_TEST((salt == log_in(auth_method::scram, {"plain"}, "b").salt));
  BOOST_TEST(salt.size() == scram_salt_size);
}

BOOST_AUTO_TEST_CASE(salts_hang_on_nonce_tenant_and_user_only) {
  const bytes one = salt_secret("nonce", "tenant");
  BOOST_TEST((one == salt_secret("nonce", "tenant")));
  BOOST_TEST((one != salt_secret("other", "tenant")));
  BOOST_TEST((one != salt_secret("nonce", "other")));
  BOOST_TEST((user_salt(one, "a") == user_salt(one, "a")));
  BOOST_TEST((user_salt(one, "a") != user_salt(one, "b")));
}

BOOST_AUTO_TEST_CASE(B028_any_of_several_passwords_will_do) {
  const std::vector<std::vector<std::string>> rotations{
      {"new", "old"},
      {"new", verifier("old")},
      {verifier("new"), "old"},
      {verifier("new"), verifier("old")}, // one salt
      {md5_secret("new", "user"), md5_secret("old", "user")},
      {"new", md5_secret("old", "user")},
  };
  for (const auto& secrets : rotations)
    for (const auto method : {auth_method::cleartext, auth_method::md5, auth_method::scram}) {
      const std::string passwords[] = {"new", "old"};
      for (std::size_t i = 0; i < secrets.size(); ++i) {
        const auto kind = classify_secret(secrets[i]);
        if (method == auth_method::md5 && kind == secret_kind::scram) continue;
        if (method == auth_method::scram && kind == secret_kind::md5) continue;
        const auto seen = log_in(method, secrets, passwords[i]);
        BOOST_TEST((seen.end == verdict::accepted), passwords[i] << " by " << static_cast<int>(method));
        BOOST_TEST(seen.matched == i);
      }
      BOOST_TEST((log_in(method, secrets, "never").end == verdict::refused));
    }
}

BOOST_AUTO_TEST_CASE(of_verifiers_with_different_salts_the_first_is_the_challenge) {
  const std::vector<std::string> secrets{verifier("new"), verifier("old", salt_b), verifier("older")};
  BOOST_TEST((log_in(auth_method::scram, secrets, "new").end == verdict::accepted));
  BOOST_TEST((log_in(auth_method::scram, secrets, "old").end == verdict::refused));
  BOOST_TEST((log_in(auth_method::scram, secrets, "older").end == verdict::accepted));
  BOOST_TEST(log_in(auth_method::scram, secrets, "older").matched == 2);
  // In clear each can be tried.
  BOOST_TEST(log_in(auth_method::cleartext, secrets, "old").matched == 1);
}

BOOST_AUTO_TEST_CASE(B021_a_proof_of_a_verifier_reveals_its_keys_and_no_other_does) {
  const auto expected = derive_keys(salted_password("pass", salt_a, iterations));
  for (const auto method : {auth_method::cleartext, auth_method::scram}) {
    const auto seen = log_in(method, {verifier("pass")}, "pass");
    BOOST_TEST((seen.revealed.client_key == expected.client_key));
    BOOST_TEST((seen.revealed.server_key == expected.server_key));
    BOOST_TEST(log_in(method, {"pass"}, "pass").revealed.client_key.empty());
    BOOST_TEST(log_in(method, {verifier("pass")}, "wrong").revealed.client_key.empty());
  }
}

BOOST_AUTO_TEST_CASE(B042_channel_binding_is_offered_with_a_certificate_only_and_checked) {
  using use = channel_binding::use;
  const channel_binding bound{use::used, end_point}, elsewhere{use::used, bytes(32, 'x')},
      downgraded{use::not_offered_by_server, {}};
  const std::vector<std::string> secrets{"pass"};
  const auto plain = log_in(auth_method::scram, secrets, "pass");
  BOOST_TEST(plain.shape.substr(0, 7) == "R10(19)"); // SCRAM-SHA-256 alone
  const auto offered = log_in(auth_method::scram, secrets, "pass", {}, end_point);
  BOOST_TEST(offered.shape.substr(0, 7) == "R10(38)"); // PLUS before it
  BOOST_TEST((offered.end == verdict::accepted));
  BOOST_TEST((log_in(auth_method::scram, secrets, "pass", bound, end_point).end == verdict::accepted));
  BOOST_TEST((log_in(auth_method::scram, secrets, "wrong", bound, end_point).end == verdict::refused));

  const auto moved = log_in(auth_method::scram, secrets, "pass", elsewhere, end_point);
  BOOST_TEST((moved.end == verdict::violated));
  BOOST_TEST((moved.error == error_code::scram_binding_failed));
  const auto lowered = log_in(auth_method::scram, secrets, "pass", downgraded, end_point);
  BOOST_TEST((lowered.end == verdict::violated));
  BOOST_TEST((lowered.error == error_code::scram_binding_negotiation));
  // Without TLS there is nothing to bind to.
  const auto impossible = log_in(auth_method::scram, secrets, "pass", bound);
  BOOST_TEST((impossible.end == verdict::violated));
  BOOST_TEST((impossible.error == error_code::invalid_auth_response));
  BOOST_TEST((log_in(auth_method::scram, secrets, "pass", {}, end_point, "GS2-KRB5").end == verdict::violated));
}

BOOST_AUTO_TEST_CASE(answers_out_of_place_and_malformed_are_violations) {
  const auto fresh = [](auth_method method) {
    return std::make_unique<client_auth>(client_auth::identity{"user", {"pass"}, method, iterations}, "snonce", "salt",
                                         node_secret);
  };
  for (const auto method : {auth_method::cleartext, auth_method::md5, auth_method::scram}) {
    const auto auth = fresh(method);
    auth->begin();
    BOOST_TEST((auth->answer("no zero at its end").now == verdict::violated));
    BOOST_TEST((auth->answer(bytes_view("pass\0", 5)).now == verdict::violated)); // over is over
    BOOST_TEST((auth->keys(bytes(32, 'k')).now == verdict::violated));
  }
  BOOST_TEST((fresh(auth_method::scram)->keys(bytes(32, 'k')).now == verdict::violated));
}

BOOST_AUTO_TEST_CASE(a_derivation_that_fails_lets_nobody_in) {
  for (const auto& secret : {std::string("pass"), verifier("pass")}) {
    client_auth auth({"user", {secret}, auth_method::cleartext, iterations}, "snonce", "salt", node_secret);
    auth.begin();
    auto step = auth.answer(bytes_view("wrong\0", 6));
    BOOST_REQUIRE((step.now == verdict::derive));
    BOOST_TEST((auth.keys({}).now == verdict::refused));
  }
  client_auth auth({"user", {"pass"}, auth_method::scram, iterations}, "snonce", "salt", node_secret);
  auth.begin();
  BOOST_REQUIRE((auth.answer(body_of_first(encode(sasl_initial_response{scram_mechanism, "n,,n=,r=cnonce"}))).now ==
                 verdict::derive));
  BOOST_TEST((auth.keys({}).now == verdict::more));
  scram_client client("cnonce");
  BOOST_TEST(
      (auth.answer(body_of_first(encode(sasl_response{"c=biws,r=cnoncesnonce,p=" + base64_encode(bytes(32, 'p'))})))
           .now == verdict::refused));
}

BOOST_AUTO_TEST_CASE(B032_somebody_else_decides_about_a_password) {
  const auto asked = [](client_auth& auth, const std::string& password) {
    BOOST_TEST((auth.begin().now == verdict::more));
    return auth.answer(body_of_first(encode(password_message{password}))).now;
  };
  for (const bool right : {true, false}) {
    client_auth auth({"user", {}, auth_method::outside, iterations}, "snonce", "salt", node_secret);
    BOOST_TEST((asked(auth, "its password") == verdict::ask));
    BOOST_TEST(auth.password() == "its password");
    const auto end = auth.told(right, "the reason");
    BOOST_TEST((end.now == (right ? verdict::accepted : verdict::refused)));
    BOOST_TEST(end.why == (right ? "" : "the reason"));
    BOOST_TEST(auth.password().empty());
    BOOST_TEST((auth.told(true, "").now == verdict::violated));
  }
  client_auth empty({"user", {}, auth_method::outside, iterations}, "snonce", "salt", node_secret);
  BOOST_TEST((asked(empty, "") == verdict::refused));
  client_auth unasked({"user", {}, auth_method::outside, iterations}, "snonce", "salt", node_secret);
  BOOST_TEST((unasked.told(true, "").now == verdict::violated));
}

BOOST_AUTO_TEST_SUITE_END()
