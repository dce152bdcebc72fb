#include "protocol/client_auth.hpp"

#include "protocol/messages.hpp"
#include "protocol/password.hpp"

#include <openssl/crypto.h>

#include <algorithm>

namespace pg_edge::protocol {

namespace {

void wipe(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

bool serves(auth_method method, secret_kind kind) {
  switch (method) {
  case auth_method::trust:
  case auth_method::outside:
    return true;
  case auth_method::cleartext:
    return kind != secret_kind::none;
  case auth_method::md5:
    return kind == secret_kind::plain || kind == secret_kind::md5;
  case auth_method::scram:
    return kind == secret_kind::plain || kind == secret_kind::scram;
  }
  return false;
}

} // namespace

client_auth::client_auth(identity who, std::string nonce, bytes salt4, bytes node_secret, bytes end_point)
    : who_(std::move(who)), nonce_(std::move(nonce)), salt4_(std::move(salt4)), node_secret_(std::move(node_secret)),
      end_point_(std::move(end_point)) {}

client_auth::~client_auth() {
  for (std::string* secret : {&password_, &given_, &revealed_.client_key, &revealed_.server_key})
    wipe(*secret);
  for (std::string& secret : who_.secrets)
    wipe(secret);
}

// -- outcomes
// ------------------------------------------------------------------------------------------------------------

/// Whether there is a secret that the method can check.
bool client_auth::usable() const {
  return std::any_of(who_.secrets.begin(), who_.secrets.end(),
                     [&](const auto& secret) { return serves(who_.method, classify_secret(secret)); });
}

client_auth::step client_auth::accept(std::size_t secret) {
  state_ = state::over;
  matched_ = secret;
  return {verdict::accepted, {}, {}};
}

client_auth::step client_auth::refuse(std::string why) {
  state_ = state::over;
  if (who_.method == auth_method::outside) return {verdict::refused, {}, std::move(why)};
  if (who_.secrets.empty())
    why = "no such user, or one without a password";
  else if (!usable())
    why = "what is stored for the user does not serve this method";
  return {verdict::refused, {}, std::move(why)};
}

client_auth::step client_auth::violated(std::string why, error_code error) {
  state_ = state::over;
  return {verdict::violated, {}, std::move(why), error};
}

client_auth::step client_auth::violated(scram_error error) {
  const error_code told = error == scram_error::binding_downgrade  ? error_code::scram_binding_negotiation
                          : error == scram_error::binding_mismatch ? error_code::scram_binding_failed
                                                                   : error_code::invalid_auth_response;
  return violated(std::string(explain(error).text), told);
}

// -- messages
// ------------------------------------------------------------------------------------------------------------

client_auth::step client_auth::begin() {
  step result;
  switch (who_.method) {
  case auth_method::trust:
    return accept(0);
  case auth_method::outside:
  case auth_method::cleartext:
    append(result.send, authentication_cleartext_password{});
    break;
  case auth_method::md5:
    append(result.send, authentication_md5_password{{salt4_[0], salt4_[1], salt4_[2], salt4_[3]}});
    break;
  case auth_method::scram:
    if (end_point_.empty())
      append(result.send, authentication_sasl{{scram_mechanism}});
    else // the better one first, as Postgres does
      append(result.send, authentication_sasl{{scram_plus_mechanism, scram_mechanism}});
    break;
  }
  return result;
}

client_auth::step client_auth::answer(bytes_view body) {
  if (state_ == state::awaits_final) return scram_final(body);
  if (state_ != state::awaits_answer) return violated("an answer that nothing asked for");
  switch (who_.method) {
  case auth_method::outside:
    return answer_outside(body);
  case auth_method::cleartext:
    return answer_cleartext(body);
  case auth_method::md5:
    return answer_md5(body);
  default:
    return begin_scram(body);
  }
}

client_auth::step client_auth::keys(bytes_view salted_password) {
  wipe(password_);
  if (state_ == state::awaits_keys) {
    if (decoy_) return refuse("wrong password");
    const candidate tried = std::move(candidates_.front());
    candidates_.erase(candidates_.begin());
    if (!matches_verifier(tried.verifier, salted_password)) return next_cleartext_check();
    revealed_ = derive_keys(salted_password);
    return accept(tried.secret);
  }
  if (state_ != state::awaits_verifiers) return violated("keys that nothing asked for");
  if (!decoy_ && !salted_password.empty())
    candidates_.push_back({make_verifier(salted_password, salt_, iterations_), plain_.front()});
  if (!decoy_) plain_.erase(plain_.begin());
  return next_derivation();
}

client_auth::step client_auth::derive(std::string_view password) {
  password_.assign(password);
  return {verdict::derive, {}, {}};
}

/// A derivation that only costs what that of an ordinary user would.
client_auth::step client_auth::derive_decoy() {
  decoy_ = true;
  iterations_ = who_.iterations;
  return derive(who_.method == auth_method::cleartext ? given_ : base64_encode(node_secret_) + who_.user);
}

// -- a password that is checked elsewhere
// ----------------------------------------------------------------------------------------------------------------

client_auth::step client_auth::answer_outside(bytes_view body) {
  const auto message = decode<password_message>(body);
  if (!message) return violated("malformed password message");
  if (message->password.empty()) return refuse("empty password"); // some that could be asked take it for anonymous
  password_.assign(message->password);
  state_ = state::awaits_word;
  return {verdict::ask, {}, {}};
}

client_auth::step client_auth::told(bool right, std::string why) {
  wipe(password_);
  if (state_ != state::awaits_word) return violated("a word that nobody asked for");
  return right ? accept(0) : refuse(std::move(why));
}

// -- cleartext and md5
// ---------------------------------------------------------------------------------------------------

client_auth::step client_auth::answer_cleartext(bytes_view body) {
  const auto message = decode<password_message>(body);
  if (!message) return violated("malformed password message");
  if (message->password.empty()) return refuse("empty password");
  given_.assign(message->password);
  for (std::size_t i = 0; i < who_.secrets.size(); ++i) {
    if (verify_cleartext(who_.secrets[i], who_.user, given_)) return accept(i);
    if (auto verifier = parse_verifier(who_.secrets[i])) candidates_.push_back({std::move(*verifier), i});
  }
  state_ = state::awaits_keys;
  if (!candidates_.empty()) return next_cleartext_check();
  salt_ = user_salt(node_secret_, who_.user);
  iterations_ = who_.iterations;
  return derive_decoy();
}

client_auth::step client_auth::next_cleartext_check() {
  if (candidates_.empty()) return refuse("wrong password");
  salt_ = candidates_.front().verifier.salt;
  iterations_ = candidates_.front().verifier.iterations;
  return derive(given_);
}

client_auth::step client_auth::answer_md5(bytes_view body) {
  const auto given = decode<password_message>(body);
  if (!given) return violated("malformed password message");
  for (std::size_t i = 0; i < who_.secrets.size(); ++i)
    if (verify_md5(who_.secrets[i], who_.user, salt4_, given->password)) return accept(i);
  // Who has nothing to compare with costs the same hashes.
  if (!usable()) static_cast<void>(verify_md5("nothing", who_.user, salt4_, given->password));
  return refuse("wrong password");
}

// -- SCRAM
// ---------------------------------------------------------------------------------------------------------------

/// The client hears of one salt. A verifier cannot have another than its own, a plain password any: so the first
/// verifier's is taken, if there is one.
void client_auth::choose_salt() {
  salt_.clear();
  for (std::size_t i = 0; i < who_.secrets.size(); ++i) {
    if (classify_secret(who_.secrets[i]) == secret_kind::plain) plain_.push_back(i);
    auto verifier = parse_verifier(who_.secrets[i]);
    if (!verifier) continue;
    if (salt_.empty()) {
      salt_ = verifier->salt;
      iterations_ = verifier->iterations;
    }
    if (verifier->salt == salt_ && verifier->iterations == iterations_)
      candidates_.push_back({std::move(*verifier), i});
  }
  if (!salt_.empty()) return;
  salt_ = user_salt(node_secret_, who_.user);
  iterations_ = who_.iterations;
}

client_auth::step client_auth::begin_scram(bytes_view body) {
  const auto first = decode<sasl_initial_response>(body);
  if (!first || !first->response) return violated("malformed SASL initial response");
  plus_ = first->mechanism == scram_plus_mechanism;
  if (plus_ ? end_point_.empty() : first->mechanism != scram_mechanism)
    return violated("client selected an invalid SASL authentication mechanism");
  client_first_.assign(*first->response);
  choose_salt();
  state_ = state::awaits_verifiers;
  return plain_.empty() ? derive_decoy() : next_derivation();
}

client_auth::step client_auth::next_derivation() {
  return plain_.empty() ? send_challenge() : derive(who_.secrets[plain_.front()]);
}

client_auth::step client_auth::send_challenge() {
  // The present secret first; a stable order also keeps the proof's meaning when two secrets are equal.
  std::stable_sort(candidates_.begin(), candidates_.end(),
                   [](const candidate& a, const candidate& b) { return a.secret < b.secret; });
  const std::optional<bytes> end_point = end_point_.empty() ? std::nullopt : std::optional(end_point_);
  if (candidates_.empty()) { // the exchange runs to its end, and no proof fits
    scram_verifier mock = mock_verifier(node_secret_, who_.user, iterations_);
    mock.salt = salt_;
    scram_.emplace(std::move(mock), nonce_, end_point);
  } else {
    scram_.emplace(candidates_.front().verifier, nonce_, end_point);
    for (std::size_t i = 1; i < candidates_.size(); ++i)
      scram_->accept_also(candidates_[i].verifier); // they have one salt: choose_salt()
  }
  const scram_step reply = scram_->client_first(client_first_, plus_);
  if (reply.error != scram_error::none) return violated(reply.error);
  state_ = state::awaits_final;
  step result;
  append(result.send, authentication_sasl_continue{reply.reply});
  return result;
}

client_auth::step client_auth::scram_final(bytes_view body) {
  const auto given = decode<sasl_response>(body);
  if (!given) return violated("malformed SASL response");
  const scram_step reply = scram_->client_final(given->data);
  if (reply.error == scram_error::wrong_proof) return refuse("wrong password");
  if (reply.error != scram_error::none) return violated(reply.error);
  step result = accept(candidates_[scram_->matched()].secret);
  if (classify_secret(who_.secrets[matched_]) == secret_kind::scram) revealed_ = scram_->keys();
  append(result.send, authentication_sasl_final{reply.reply});
  return result;
}

} // namespace pg_edge::protocol
