#include "protocol/client_auth.hpp"

#include "protocol/messages.hpp"
#include "protocol/password.hpp"

namespace pg_edge::protocol {

client_auth::client_auth(identity who, std::string nonce, bytes salt4, bytes node_secret)
    : who_(std::move(who)), nonce_(std::move(nonce)), salt4_(std::move(salt4)), node_secret_(std::move(node_secret)) {}

client_auth::step client_auth::finish(bool right, std::string why) {
  state_ = state::over;
  return {right ? verdict::accepted : verdict::refused, {}, right ? std::string() : std::move(why)};
}

client_auth::step client_auth::violated(std::string why) {
  state_ = state::over;
  return {verdict::violated, {}, std::move(why)};
}

client_auth::step client_auth::begin() {
  step result;
  switch (who_.method) {
  case auth_method::trust:
    return finish(true, {});
  case auth_method::cleartext:
    append(result.send, authentication_cleartext_password{});
    break;
  case auth_method::md5:
    append(result.send, authentication_md5_password{{salt4_[0], salt4_[1], salt4_[2], salt4_[3]}});
    break;
  case auth_method::scram:
    append(result.send, authentication_sasl{{scram_mechanism}});
    break;
  }
  return result;
}

client_auth::step client_auth::answer(bytes_view body) {
  if (state_ == state::awaits_final) return scram_final(body);
  if (state_ != state::awaits_answer) return violated("an answer that nothing asked for");
  switch (who_.method) {
  case auth_method::cleartext:
    return answer_cleartext(body);
  case auth_method::md5:
    return answer_md5(body);
  default:
    return begin_scram(body);
  }
}

client_auth::step client_auth::answer_cleartext(bytes_view body) {
  const auto given = decode<password_message>(body);
  if (!given || given->password.empty())
    return given ? finish(false, "empty password") : violated("malformed password message");
  const secret_kind kind = classify_secret(who_.secret);
  if (kind != secret_kind::scram)
    return finish(kind != secret_kind::none && verify_cleartext(who_.secret, who_.user, given->password),
                  kind == secret_kind::none ? "no such user" : "wrong password");
  const auto verifier = parse_verifier(who_.secret);
  if (!verifier) return finish(false, "malformed verifier");
  password_.assign(given->password);
  salt_ = verifier->salt;
  iterations_ = verifier->iterations;
  state_ = state::awaits_keys;
  return {verdict::derive, {}, {}};
}

client_auth::step client_auth::answer_md5(bytes_view body) {
  const auto given = decode<password_message>(body);
  if (!given) return violated("malformed password message");
  const secret_kind kind = classify_secret(who_.secret);
  if (kind == secret_kind::scram) return finish(false, "md5 asked for, SCRAM verifier stored");
  // An unknown user costs the same hash as a known one.
  const std::string secret = kind == secret_kind::none ? std::string("unknown") : who_.secret;
  const bool right = verify_md5(secret, who_.user, salt4_, given->password);
  return finish(right && kind != secret_kind::none, kind == secret_kind::none ? "no such user" : "wrong password");
}

client_auth::step client_auth::begin_scram(bytes_view body) {
  const auto first = decode<sasl_initial_response>(body);
  if (!first || !first->response) return violated("malformed SASL initial response");
  if (first->mechanism != scram_mechanism) return violated("SASL mechanism that was not offered");
  client_first_.assign(*first->response);
  switch (classify_secret(who_.secret)) {
  case secret_kind::scram:
    return scram_first(*parse_verifier(who_.secret));
  case secret_kind::plain:
    password_ = who_.secret;
    salt_ = user_salt(node_secret_, who_.user);
    iterations_ = who_.iterations;
    state_ = state::awaits_verifier;
    return {verdict::derive, {}, {}};
  default:
    return scram_first(mock_verifier(node_secret_, who_.user, who_.iterations));
  }
}

client_auth::step client_auth::keys(bytes_view salted_password) {
  if (state_ == state::awaits_keys) {
    const auto verifier = parse_verifier(who_.secret);
    return finish(verifier && matches_verifier(*verifier, salted_password), "wrong password");
  }
  if (state_ != state::awaits_verifier) return violated("keys that nothing asked for");
  password_.clear();
  if (salted_password.empty()) return scram_first(mock_verifier(node_secret_, who_.user, who_.iterations));
  return scram_first(make_verifier(salted_password, salt_, iterations_));
}

client_auth::step client_auth::scram_first(scram_verifier verifier) {
  scram_.emplace(std::move(verifier), nonce_);
  const scram_step reply = scram_->client_first(client_first_);
  if (reply.error != scram_error::none) return violated(std::string(explain(reply.error).text));
  state_ = state::awaits_final;
  step result;
  append(result.send, authentication_sasl_continue{reply.reply});
  return result;
}

client_auth::step client_auth::scram_final(bytes_view body) {
  const auto given = decode<sasl_response>(body);
  if (!given) return violated("malformed SASL response");
  const scram_step reply = scram_->client_final(given->data);
  if (reply.error == scram_error::wrong_proof)
    return finish(false, classify_secret(who_.secret) == secret_kind::none ? "no such user" : "wrong password");
  if (reply.error != scram_error::none) return violated(std::string(explain(reply.error).text));
  step result = finish(true, {});
  append(result.send, authentication_sasl_final{reply.reply});
  return result;
}

} // namespace pg_edge::protocol
