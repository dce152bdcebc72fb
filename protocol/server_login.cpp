#include "protocol/server_login.hpp"

#include "protocol/messages.hpp"
#include "protocol/password.hpp"

namespace pg_edge::protocol {

namespace {

// What AuthenticationXxx says, by its number.
constexpr std::uint32_t auth_ok = 0;
constexpr std::uint32_t auth_cleartext = 3;
constexpr std::uint32_t auth_md5 = 5;
constexpr std::uint32_t auth_sasl = 10;
constexpr std::uint32_t auth_sasl_continue = 11;
constexpr std::uint32_t auth_sasl_final = 12;

const bytes nothing;

} // namespace

server_login::server_login(std::string user, std::string secret, std::string nonce)
    : user_(std::move(user)), secret_(std::move(secret)), nonce_(std::move(nonce)),
      values_(std::make_shared<parameter_values>()) {}

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

server_login::step server_login::message(char type, bytes_view body) {
  switch (type) {
  case 'R':
    return authentication(body);
  case 'E':
    error_body_.assign(body);
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
  step result;
  if (what == auth_ok && (state_ == state::awaits_request || state_ == state::awaits_ok)) {
    state_ = state::awaits_ready;
    return {};
  }
  if (what == auth_sasl_continue && state_ == state::awaits_challenge) {
    if (const scram_error error = scram_->server_first(rest); error != scram_error::none)
      return fail(std::string(explain(error).text));
    state_ = state::awaits_keys;
    return {verdict::derive, {}, {}};
  }
  if (what == auth_sasl_final && state_ == state::awaits_final) {
    if (const scram_error error = scram_->server_final(rest); error != scram_error::none)
      return fail(std::string(explain(error).text));
    state_ = state::awaits_ok;
    return {};
  }
  if (state_ != state::awaits_request) return fail("authentication request out of place");
  const secret_kind kind = classify_secret(secret_);
  if (what != auth_cleartext && what != auth_md5 && what != auth_sasl)
    return fail("the server asks for authentication method " + std::to_string(what) + ", which is not supported");
  if (kind == secret_kind::none)
    return fail("the server asks for a password and none is configured for user \"" + user_ + "\"");
  if (what == auth_sasl) return begin_sasl(rest);
  state_ = state::awaits_ok;
  if (what == auth_cleartext) {
    if (kind != secret_kind::plain)
      return fail("the server asks for the password in clear, and only a hash of it is configured");
    append(result.send, password_message{secret_});
    return result;
  }
  const bytes response = md5_response(secret_, user_, rest);
  if (response.empty()) return fail("the server asks for an md5 password, which the configured secret cannot give");
  append(result.send, password_message{response});
  return result;
}

server_login::step server_login::begin_sasl(bytes_view mechanisms) {
  if (classify_secret(secret_) != secret_kind::plain)
    return fail("the server asks for SCRAM, which needs the plain password of user \"" + user_ + "\"");
  reader in(mechanisms);
  bool offered = false;
  for (bytes_view name = in.cstring(); in.ok() && !name.empty(); name = in.cstring())
    offered |= name == scram_mechanism;
  if (!in.ok() || !offered) return fail("the server offers no SASL mechanism that is supported");
  scram_.emplace(nonce_);
  const bytes first = scram_->client_first();
  step result;
  append(result.send, sasl_initial_response{scram_->mechanism(), first});
  state_ = state::awaits_challenge;
  return result;
}

server_login::step server_login::keys(bytes_view salted_password) {
  if (state_ != state::awaits_keys) return fail("keys out of place");
  const scram_step reply = scram_->client_final(derive_keys(salted_password));
  if (reply.error != scram_error::none) return fail(std::string(explain(reply.error).text));
  state_ = state::awaits_final;
  step result;
  append(result.send, sasl_response{reply.reply});
  return result;
}

} // namespace pg_edge::protocol
