#include "protocol/server_login.hpp"

#include "protocol/messages.hpp"
#include "protocol/password.hpp"

#include <openssl/crypto.h>

namespace pg_edge::protocol {

namespace {

// What AuthenticationXxx says, by its number.
constexpr std::uint32_t auth_ok = 0;
constexpr std::uint32_t auth_cleartext = 3;
constexpr std::uint32_t auth_md5 = 5;
constexpr std::uint32_t auth_sasl = 10;
constexpr std::uint32_t auth_sasl_continue = 11;
constexpr std::uint32_t auth_sasl_final = 12;

/// Methods that need more than a password or a certificate.
struct foreign_method {
  std::uint32_t number;
  std::string_view name;
};
constexpr foreign_method foreign_methods[] = {
    {2, "Kerberos V5"}, {4, "crypt"}, {6, "SCM credentials"}, {7, "GSSAPI"}, {8, "GSSAPI"}, {9, "SSPI"},
};

std::string name_of(std::uint32_t method) {
  for (const auto& one : foreign_methods)
    if (one.number == method) return std::string(one.name);
  return "authentication method " + std::to_string(method);
}

const bytes nothing;

void wipe(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

} // namespace

server_login::server_login(identity who, std::string nonce, channel over)
    : who_(std::move(who)), nonce_(std::move(nonce)), over_(std::move(over)),
      values_(std::make_shared<parameter_values>()) {}

server_login::~server_login() {
  for (std::string* secret : {&who_.secret, &who_.client_key, &who_.server_key})
    wipe(*secret);
}

const bytes& server_login::salt() const {
  return scram_ ? scram_->salt() : nothing;
}

int server_login::iterations() const {
  return scram_ ? scram_->iterations() : 0;
}

server_login::step server_login::fail(std::string why) {
  state_ = state::over;
  return {verdict::failed, {}, std::move(why)};
}

server_login::step server_login::cannot(std::string why) {
  state_ = state::over;
  return {verdict::impossible, {}, std::move(why)};
}

server_login::step server_login::message(char type, bytes_view body) {
  switch (type) {
  case 'R':
    return authentication(body);
  case 'E':
    error_body_.assign(body);
    if (error_field(body, 'M').empty()) return fail("the server refused the login without a reason");
    return fail(std::string(error_field(body, 'M')));
  case 'N':
  case 'v':
    return {};
  case 'S':
    if (const auto status = decode<parameter_status>(body); status && state_ == state::awaits_ready) {
      values_ = with(values_, status->name, status->value);
      return {};
    }
    return fail("ParameterStatus out of place");
  case 'K':
    if (const auto key = decode<backend_key_data>(body); key && state_ == state::awaits_ready) {
      process_id_ = key->process_id;
      cancel_secret_.assign(key->key);
      return {};
    }
    return fail("BackendKeyData out of place");
  case 'Z':
    if (state_ != state::awaits_ready) return fail("ReadyForQuery out of place");
    state_ = state::over;
    return {verdict::done, {}, {}};
  default:
    return fail("unexpected message type '" + std::string(1, type) + "' during login");
  }
}

server_login::step server_login::authentication(bytes_view body) {
  reader in(body);
  const std::uint32_t what = in.u32();
  const bytes_view rest = in.rest();
  if (!in.ok()) return fail("malformed authentication request");
  if (what == auth_ok && (state_ == state::awaits_request || state_ == state::awaits_ok)) {
    state_ = state::awaits_ready;
    return {};
  }
  if (what == auth_sasl_continue && state_ == state::awaits_challenge) return take_challenge(rest);
  if (what == auth_sasl_final && state_ == state::awaits_final) {
    if (const scram_error error = scram_->server_final(rest); error != scram_error::none)
      return fail(std::string(explain(error).text));
    state_ = state::awaits_ok;
    return {};
  }
  if (state_ != state::awaits_request) return fail("authentication request out of place");
  return answer_request(what, rest);
}

server_login::step server_login::answer_request(std::uint32_t what, bytes_view rest) {
  if (what != auth_cleartext && what != auth_md5 && what != auth_sasl)
    return cannot("the server asks user \"" + who_.user + "\" for " + name_of(what) +
                  ", which pg_edge cannot do; let its pg_hba.conf ask for scram-sha-256, md5, password, cert or trust");
  const secret_kind kind = classify_secret(who_.secret);
  if (kind == secret_kind::none)
    return cannot("the server asks for a password and none is known for user \"" + who_.user + "\"");
  if (what == auth_sasl) return begin_sasl(rest);
  if (kind == secret_kind::scram)
    return cannot("the server asks for " + std::string(what == auth_md5 ? "an md5" : "a cleartext") +
                  " password of user \"" + who_.user + "\", and pg_edge has a SCRAM verifier only");
  step result;
  state_ = state::awaits_ok;
  if (what == auth_cleartext) {
    if (kind != secret_kind::plain)
      return cannot("the server asks for the password of user \"" + who_.user +
                    "\" in clear, and only an md5 secret is known");
    if (!over_.cleartext_safe)
      return cannot("the server asks for the password of user \"" + who_.user +
                    "\" in clear, over a connection without TLS; use TLS, or set server_allow_cleartext");
    append(result.send, password_message{who_.secret});
    return result;
  }
  const bytes response = md5_response(who_.secret, who_.user, rest);
  if (response.empty()) return fail("the md5 answer could not be made; OpenSSL may refuse md5");
  append(result.send, password_message{response});
  return result;
}

// -- SCRAM
// ---------------------------------------------------------------------------------------------------------------

server_login::step server_login::begin_sasl(bytes_view mechanisms) {
  const secret_kind kind = classify_secret(who_.secret);
  if (kind == secret_kind::md5)
    return cannot("the server asks for SCRAM, and only an md5 secret is known for user \"" + who_.user + "\"");
  if (kind == secret_kind::scram && (who_.client_key.empty() || who_.server_key.empty()))
    return cannot("pg_edge has only a SCRAM verifier for user \"" + who_.user +
                  "\": a client must log in as that user by SCRAM (or with its password) first, or give pg_edge the "
                  "plain password");
  reader in(mechanisms);
  bool plain = false, plus = false;
  for (bytes_view name = in.cstring(); in.ok() && !name.empty(); name = in.cstring()) {
    plain |= name == scram_mechanism;
    plus |= name == scram_plus_mechanism;
  }
  // As libpq with channel_binding=prefer: bound when both can, and the server is told when it seems not to know how.
  const bool able = over_.tls && !over_.end_point.empty();
  if (!in.ok() || !(plain || (plus && able))) return cannot("the server offers no SASL mechanism that is supported");
  using use = channel_binding::use;
  const use how = !able ? use::not_supported : plus ? use::used : use::not_offered_by_server;
  scram_.emplace(nonce_, channel_binding{how, how == use::used ? over_.end_point : bytes{}});
  const bytes first = scram_->client_first();
  step result;
  append(result.send, sasl_initial_response{scram_->mechanism(), first});
  state_ = state::awaits_challenge;
  return result;
}

server_login::step server_login::take_challenge(bytes_view challenge) {
  if (const scram_error error = scram_->server_first(challenge); error != scram_error::none)
    return fail(std::string(explain(error).text));
  state_ = state::awaits_keys;
  const auto verifier = parse_verifier(who_.secret);
  if (!verifier) return {verdict::derive, {}, {}};
  if (verifier->salt != scram_->salt() || verifier->iterations != scram_->iterations())
    return cannot("the server's verifier for user " + who_.user +
                  " differs from pg_edge's (salt or iterations); give pg_edge the same verifier or the plain password");
  return prove({who_.client_key, verifier->stored_key, who_.server_key});
}

server_login::step server_login::keys(bytes_view salted_password) {
  if (state_ != state::awaits_keys) return fail("keys out of place");
  return prove(derive_keys(salted_password));
}

server_login::step server_login::prove(const client_keys& keys) {
  const scram_step reply = scram_->client_final(keys);
  if (reply.error != scram_error::none) return fail(std::string(explain(reply.error).text));
  state_ = state::awaits_final;
  step result;
  append(result.send, sasl_response{reply.reply});
  return result;
}

} // namespace pg_edge::protocol
