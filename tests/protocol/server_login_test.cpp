// Our logins to Postgres, against a server played with scram_server: what we can prove with which secret, and what we
// refuse to do.
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"
#include "protocol/password.hpp"
#include "protocol/server_login.hpp"

#include <boost/test/unit_test.hpp>

#include <optional>
#include <string>

using namespace pg_edge::protocol;
using verdict = server_login::verdict;

namespace {

const bytes salt = "0123456789abcdef";
const bytes end_point(32, 'e');
constexpr int iterations = 8;

scram_verifier verifier(std::string_view password, int count = iterations) {
  return make_verifier(salted_password(password, salt, count), salt, count);
}

server_login::identity with(std::string secret) {
  return {"bob", std::move(secret), {}, {}};
}

server_login::identity with_keys(std::string_view password) {
  const auto keys = derive_keys(salted_password(password, salt, iterations));
  return {"bob", format_verifier(verifier(password)), keys.client_key, keys.server_key};
}

bytes body(const bytes& frame) {
  return frame.substr(frame_header_size);
}

template <class M>
server_login::step tell(server_login& login, const M& message) {
  return login.message('R', body(encode(message)));
}

struct outcome {
  verdict end = verdict::failed;
  std::string why;
  int derivations = 0;
  std::string mechanism;
};

/// A server that offers SCRAM (PLUS when it has an end point) and stores `stored`.
outcome log_in_by_scram(server_login& login, const scram_verifier& stored, const std::optional<bytes>& ours = {},
                        bool offer_plain = true) {
  outcome seen;
  scram_server server(stored, "snonce", ours);
  authentication_sasl offer;
  if (ours) offer.mechanisms.push_back(scram_plus_mechanism);
  if (offer_plain) offer.mechanisms.push_back(scram_mechanism);
  auto step = tell(login, offer);
  if (step.now != verdict::more) return {step.now, step.why, 0, ""};
  const bytes initial_body = body(step.send);
  const auto initial = decode<sasl_initial_response>(initial_body);
  seen.mechanism = std::string(initial->mechanism);
  auto reply = server.client_first(*initial->response, initial->mechanism == scram_plus_mechanism);
  if (reply.error != scram_error::none) return {verdict::failed, std::string(explain(reply.error).text), 0, ""};
  step = tell(login, authentication_sasl_continue{reply.reply});
  if (step.now == verdict::derive) {
    ++seen.derivations;
    step = login.keys(salted_password(login.secret(), login.salt(), login.iterations()));
  }
  if (step.now != verdict::more) return {step.now, step.why, seen.derivations, seen.mechanism};
  reply = server.client_final(body(step.send));
  if (reply.error != scram_error::none)
    return {verdict::failed, std::string(explain(reply.error).text), seen.derivations, seen.mechanism};
  step = tell(login, authentication_sasl_final{reply.reply});
  if (step.now == verdict::more) step = tell(login, authentication_ok{});
  if (step.now == verdict::more) step = login.message('Z', "I");
  return {step.now, step.why, seen.derivations, seen.mechanism};
}

outcome log_in_by_scram(server_login::identity who, const scram_verifier& stored, server_login::channel over = {},
                        const std::optional<bytes>& ours = {}) {
  server_login login(std::move(who), "cnonce", std::move(over));
  return log_in_by_scram(login, stored, ours);
}

} // namespace

BOOST_AUTO_TEST_SUITE(server_login_test)

BOOST_AUTO_TEST_CASE(a_plain_password_serves_scram_after_one_derivation) {
  const auto seen = log_in_by_scram(with("pass"), verifier("pass"));
  BOOST_TEST((seen.end == verdict::done));
  BOOST_TEST(seen.derivations == 1);
  BOOST_TEST((log_in_by_scram(with("wrong"), verifier("pass")).end == verdict::failed));
}

BOOST_AUTO_TEST_CASE(B021_keys_of_a_clients_proof_log_in_without_a_derivation) {
  const auto seen = log_in_by_scram(with_keys("pass"), verifier("pass"));
  BOOST_TEST((seen.end == verdict::done));
  BOOST_TEST(seen.derivations == 0);
  const server_login::channel tls{true, end_point, true};
  BOOST_TEST((log_in_by_scram(with_keys("pass"), verifier("pass"), tls, end_point).end == verdict::done));
  // Same salt, another password: the server finds out.
  BOOST_TEST((log_in_by_scram(with_keys("other"), verifier("pass")).end == verdict::failed));
}

BOOST_AUTO_TEST_CASE(B021_a_verifier_that_is_not_the_servers_is_named_as_the_reason) {
  auto other_salt =
      make_verifier(salted_password("pass", "another salt 012", iterations), "another salt 012", iterations);
  for (const auto& stored : {other_salt, verifier("pass", iterations + 1)}) {
    const auto seen = log_in_by_scram(with_keys("pass"), stored);
    BOOST_TEST((seen.end == verdict::impossible));
    BOOST_TEST(seen.why == "the server's verifier for user bob differs from pg_edge's (salt or iterations); give "
                           "pg_edge the same verifier or the plain password");
  }
}

BOOST_AUTO_TEST_CASE(B021_a_verifier_without_keys_must_wait_for_a_clients_login) {
  const auto seen = log_in_by_scram(with(format_verifier(verifier("pass"))), verifier("pass"));
  BOOST_TEST((seen.end == verdict::impossible));
  BOOST_TEST(seen.why.find("a client must log in as that user") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(B042_bound_to_the_channel_when_both_can) {
  const server_login::channel tls{true, end_point, true};
  const auto bound = log_in_by_scram(with("pass"), verifier("pass"), tls, end_point);
  BOOST_TEST((bound.end == verdict::done));
  BOOST_TEST(bound.mechanism == scram_plus_mechanism);
  // A server that does not offer it hears that we could have (the 'y' flag), which one that does takes for an attack.
  const auto unbound = log_in_by_scram(with("pass"), verifier("pass"), tls);
  BOOST_TEST((unbound.end == verdict::done));
  BOOST_TEST(unbound.mechanism == scram_mechanism);
  // Certificates that no hash is defined for, and connections without TLS.
  for (const auto& over : {server_login::channel{true, {}, true}, server_login::channel{}}) {
    const auto plain = log_in_by_scram(with("pass"), verifier("pass"), over, end_point);
    BOOST_TEST((plain.end == verdict::done));
    BOOST_TEST(plain.mechanism == scram_mechanism);
  }
  const auto attacked = log_in_by_scram(with("pass"), verifier("pass"), tls, bytes(32, 'x'));
  BOOST_TEST((attacked.end == verdict::failed));
  BOOST_TEST(attacked.why == explain(scram_error::binding_mismatch).text);
  server_login only_plus(with("pass"), "cnonce", {});
  BOOST_TEST((log_in_by_scram(only_plus, verifier("pass"), end_point, false).end == verdict::impossible));
}

BOOST_AUTO_TEST_CASE(the_server_must_prove_that_it_knows_the_verifier) {
  server_login login(with_keys("pass"), "cnonce", {});
  auto step = tell(login, authentication_sasl{{scram_mechanism}});
  scram_server server(verifier("pass"), "snonce");
  const bytes initial = body(step.send);
  step =
      tell(login,
           authentication_sasl_continue{server.client_first(*decode<sasl_initial_response>(initial)->response).reply});
  BOOST_REQUIRE((step.now == verdict::more));
  const bytes lie = "v=" + base64_encode(bytes(32, 'l'));
  BOOST_TEST((tell(login, authentication_sasl_final{lie}).now == verdict::failed));

  server_login hurried(with("pass"), "cnonce", {});
  tell(hurried, authentication_sasl{{scram_mechanism}});
  BOOST_TEST((tell(hurried, authentication_ok{}).now == verdict::failed)); // in the midst of the exchange
}

BOOST_AUTO_TEST_CASE(a_cleartext_password_is_sent_only_where_nobody_listens) {
  const auto asked = [](server_login::channel over, std::string secret) {
    server_login login(with(std::move(secret)), "cnonce", std::move(over));
    return tell(login, authentication_cleartext_password{});
  };
  BOOST_TEST((asked({true, {}, true}, "pass").send == encode(password_message{"pass"})));
  const auto refused = asked({}, "pass");
  BOOST_TEST((refused.now == verdict::impossible));
  BOOST_TEST(refused.send.empty());
  BOOST_TEST(refused.why.find("server_allow_cleartext") != std::string::npos);
  for (const auto& secret : {md5_secret("pass", "bob"), format_verifier(verifier("pass")), std::string()})
    BOOST_TEST((asked({true, {}, true}, secret).now == verdict::impossible), secret);
}

BOOST_AUTO_TEST_CASE(md5_takes_plain_and_md5_secrets) {
  const auto asked = [](std::string secret) {
    server_login login(with(std::move(secret)), "cnonce", {});
    return tell(login, authentication_md5_password{{'s', 'a', 'l', 't'}});
  };
  const bytes right = md5_response("pass", "bob", "salt");
  BOOST_TEST((asked("pass").send == encode(password_message{right})));
  BOOST_TEST((asked(md5_secret("pass", "bob")).send == encode(password_message{right})));
  BOOST_TEST((asked(format_verifier(verifier("pass"))).now == verdict::impossible));
  BOOST_TEST((asked("").now == verdict::impossible));
  const auto scram = log_in_by_scram(with(md5_secret("pass", "bob")), verifier("pass"));
  BOOST_TEST((scram.end == verdict::impossible));
}

BOOST_AUTO_TEST_CASE(methods_that_need_more_than_a_password_are_refused_by_name) {
  const auto says = [](const auto& request) {
    server_login login(with("pass"), "cnonce", {});
    const auto step = tell(login, request);
    BOOST_TEST((step.now == verdict::impossible));
    BOOST_TEST(step.send.empty());
    return step.why;
  };
  BOOST_TEST(says(authentication_gss{}).find("GSSAPI, which pg_edge cannot do") != std::string::npos);
  BOOST_TEST(says(authentication_sspi{}).find("SSPI") != std::string::npos);
  BOOST_TEST(says(authentication_kerberos_v5{}).find("Kerberos V5") != std::string::npos);
  BOOST_TEST(says(authentication_scm_credential{}).find("SCM") != std::string::npos);
  server_login login(with("pass"), "cnonce", {});
  BOOST_TEST(login.message('R', bytes_view("\0\0\0\x63", 4)).why.find("method 99") != std::string::npos);
  server_login gssenc(with("pass"), "cnonce", {});
  BOOST_TEST((gssenc.message('R', "x").now == verdict::failed));
}

BOOST_AUTO_TEST_CASE(trust_needs_no_secret) {
  server_login login(with(""), "cnonce", {});
  BOOST_TEST((tell(login, authentication_ok{}).now == verdict::more));
  BOOST_TEST((login.message('Z', "I").now == verdict::done));
}

BOOST_AUTO_TEST_SUITE_END()
