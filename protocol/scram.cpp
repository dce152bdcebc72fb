#include "protocol/scram.hpp"

#include "protocol/password.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace pg_edge::protocol {

namespace {

constexpr std::string_view binding_header = "p=tls-server-end-point,,";

// OpenSSL fails here only without memory or without SHA-256. Then the results are empty, and empty keys, signatures and
// proofs match nothing, so a failure refuses a login and never grants one.
bytes hmac(bytes_view key, bytes_view data) {
  bytes out(scram_key_size, '\0');
  unsigned int size = 0;
  const auto* raw = reinterpret_cast<const unsigned char*>(data.data());
  const bool done = HMAC(EVP_sha256(), key.empty() ? "" : key.data(), static_cast<int>(key.size()), raw, data.size(),
                         reinterpret_cast<unsigned char*>(out.data()), &size) != nullptr;
  return done && size == scram_key_size ? out : bytes{};
}

bytes sha256(bytes_view data) {
  bytes out(scram_key_size, '\0');
  auto* raw = reinterpret_cast<unsigned char*>(out.data());
  return EVP_Digest(data.data(), data.size(), raw, nullptr, EVP_sha256(), nullptr) == 1 ? out : bytes{};
}

/// Both must be of scram_key_size; otherwise the result is empty.
bytes exclusive_or(bytes_view a, bytes_view b) {
  if (a.size() != scram_key_size || b.size() != scram_key_size) return {};
  bytes out(a);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<char>(out[i] ^ b[i]);
  return out;
}

bool same_key(bytes_view a, bytes_view b) {
  return a.size() == scram_key_size && equal_in_constant_time(a, b);
}

/// A positive decimal number without sign, leading zero or anything after it.
std::optional<int> parse_iterations(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 1 || text.front() == '0') return std::nullopt;
  return value;
}

/// Takes everything up to `mark` off the front of `rest`, and the mark; nothing when there is no mark.
std::optional<std::string_view> take_until(std::string_view& rest, char mark) {
  const auto at = rest.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  const auto taken = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  return taken;
}

/// Takes the attribute "<name>=<value>" off the front of `rest`, and the comma after it if there is one.
std::optional<std::string_view> take_attribute(std::string_view& rest, char name) {
  if (rest.size() < 2 || rest[0] != name || rest[1] != '=') return std::nullopt;
  const auto end = std::min(rest.find(','), rest.size());
  const auto value = rest.substr(2, end - 2);
  // A comma must be followed by another attribute.
  if (end + 1 == rest.size()) return std::nullopt;
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return value;
}

/// What the RFC allows in a nonce: printable ASCII without the comma.
bool is_nonce(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127 && c != ','; });
}

/// Optional extensions "<letter>=<value>" that we may ignore, until nothing is left. `m` is never optional.
bool only_ignorable_extensions(std::string_view rest) {
  while (!rest.empty()) {
    const char name = rest.front();
    const bool letter = (name >= 'a' && name <= 'z') || (name >= 'A' && name <= 'Z');
    if (!letter || name == 'm' || !take_attribute(rest, name)) return false;
  }
  return true;
}

constexpr std::array<scram_error_row, 12> error_rows{{
    {scram_error::none, "00000", "no error"},
    {scram_error::out_of_order, "08P01", "SCRAM message out of order"},
    {scram_error::malformed, "08P01", "malformed SCRAM message"},
    {scram_error::unsupported, "0A000", "SCRAM message asks for something that is not supported"},
    {scram_error::binding_downgrade, "28000", "the client says that channel binding was not offered, but it was"},
    {scram_error::binding_unexpected, "08P01", "SCRAM mechanism and channel binding flag do not fit each other"},
    {scram_error::binding_mismatch, "28000", "SCRAM channel binding check failed"},
    {scram_error::nonce_mismatch, "08P01", "SCRAM nonce does not match"},
    {scram_error::too_many_iterations, "08P01", "the server asks for too many SCRAM iterations"},
    {scram_error::wrong_proof, "28P01", "password authentication failed"},
    {scram_error::wrong_server, "28000", "the server could not prove that it knows the password's verifier"},
    {scram_error::refused_by_server, "28P01", "the server refused the SCRAM exchange"},
}};

constexpr bool rows_in_order() {
  for (std::size_t i = 0; i < error_rows.size(); ++i)
    if (static_cast<std::size_t>(error_rows[i].error) != i) return false;
  return error_rows.size() == static_cast<std::size_t>(scram_error::refused_by_server) + 1;
}
static_assert(rows_in_order(), "explain() indexes the table by the error");

} // namespace

// -- base64
// ------------------------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr auto base64_values = [] {
  std::array<std::int16_t, 256> values{};
  for (auto& value : values)
    value = -1;
  for (std::size_t i = 0; i < base64_digits.size(); ++i)
    values[static_cast<unsigned char>(base64_digits[i])] = static_cast<std::int16_t>(i);
  return values;
}();

} // namespace

std::string base64_encode(bytes_view data) {
  std::string out;
  out.reserve((data.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < data.size(); i += 3) {
    const auto part = data.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (k < part.size() ? static_cast<unsigned char>(part[k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k)
      out += k <= part.size() ? base64_digits[bits >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::optional<bytes> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && !text.empty() && text.back() == '=') {
    text.remove_suffix(1);
    ++padding;
  }
  bytes out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char c : text) {
    const int value = base64_values[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out += static_cast<char>(bits >> held & 0xff);
  }
  // The bits that padding cuts off must be zero: otherwise one value would have several spellings.
  if ((bits & ((1u << held) - 1)) != 0) return std::nullopt;
  return out;
}

// -- verifiers and keys
// ------------------------------------------------------------------------------------------------

std::optional<scram_verifier> parse_verifier(std::string_view text) {
  if (text.substr(0, scram_verifier_prefix.size()) != scram_verifier_prefix) return std::nullopt;
  text.remove_prefix(scram_verifier_prefix.size());
  const auto iterations_text = take_until(text, ':');
  const auto salt_text = take_until(text, '$');
  const auto stored_text = take_until(text, ':');
  if (!iterations_text || !salt_text || !stored_text) return std::nullopt;
  const auto iterations = parse_iterations(*iterations_text);
  auto salt = base64_decode(*salt_text);
  auto stored_key = base64_decode(*stored_text);
  auto server_key = base64_decode(text);
  if (!iterations || !salt || salt->empty() || !stored_key || stored_key->size() != scram_key_size || !server_key ||
      server_key->size() != scram_key_size)
    return std::nullopt;
  return scram_verifier{*iterations, std::move(*salt), std::move(*stored_key), std::move(*server_key)};
}

std::string format_verifier(const scram_verifier& verifier) {
  std::string text(scram_verifier_prefix);
  text.append(std::to_string(verifier.iterations)).append(":").append(base64_encode(verifier.salt));
  text.append("$").append(base64_encode(verifier.stored_key));
  return text.append(":").append(base64_encode(verifier.server_key));
}

bytes salted_password(std::string_view password, bytes_view salt, int iterations) {
  if (iterations < 1 || iterations > scram_max_iterations || salt.empty()) return {};
  bytes normal = normalise_password(password);
  bytes out(scram_key_size, '\0');
  const int done =
      PKCS5_PBKDF2_HMAC(normal.data(), static_cast<int>(normal.size()),
                        reinterpret_cast<const unsigned char*>(salt.data()), static_cast<int>(salt.size()), iterations,
                        EVP_sha256(), static_cast<int>(out.size()), reinterpret_cast<unsigned char*>(out.data()));
  OPENSSL_cleanse(normal.data(), normal.size());
  return done == 1 ? out : bytes{};
}

client_keys derive_keys(bytes_view salted_password) {
  if (salted_password.size() != scram_key_size) return {};
  client_keys keys;
  keys.client_key = hmac(salted_password, "Client Key");
  if (keys.client_key.empty()) return {};
  keys.stored_key = sha256(keys.client_key);
  keys.server_key = hmac(salted_password, "Server Key");
  return keys;
}

scram_verifier make_verifier(bytes_view salted_password, bytes_view salt, int iterations) {
  auto keys = derive_keys(salted_password);
  return {iterations, bytes(salt), std::move(keys.stored_key), std::move(keys.server_key)};
}

bool matches_verifier(const scram_verifier& verifier, bytes_view salted_password) {
  return same_key(derive_keys(salted_password).stored_key, verifier.stored_key);
}

bytes salt_secret(bytes_view nonce, std::string_view tenant) {
  return hmac(nonce, bytes("pg_edge salts of tenant ").append(tenant));
}

bytes user_salt(bytes_view node_secret, std::string_view user) {
  return hmac(node_secret, bytes("pg_edge scram salt ").append(user)).substr(0, scram_salt_size);
}

scram_verifier mock_verifier(bytes_view node_secret, std::string_view user, int iterations) {
  return {iterations, user_salt(node_secret, user), {}, hmac(node_secret, bytes("pg_edge mock key ").append(user))};
}

const scram_error_row& explain(scram_error error) {
  return error_rows[static_cast<std::size_t>(error)];
}

// -- the server's side
// -------------------------------------------------------------------------------------------------

scram_server::scram_server(scram_verifier verifier, std::string server_nonce, std::optional<bytes> end_point)
    : nonce_(std::move(server_nonce)), end_point_(std::move(end_point)) {
  verifiers_.push_back(std::move(verifier));
}

bool scram_server::accept_also(scram_verifier verifier) {
  const scram_verifier& first = verifiers_.front();
  if (verifier.salt != first.salt || verifier.iterations != first.iterations) return false;
  verifiers_.push_back(std::move(verifier));
  return true;
}

scram_step scram_server::fail(scram_error error) {
  state_ = state::done;
  return {error, {}};
}

/// Takes the gs2 header ("n,,", "y,," or "p=tls-server-end-point,,") off the message and keeps it for the binding
/// check.
scram_error scram_server::check_gs2_header(bytes_view& message, bool plus) {
  const auto whole = message;
  const auto flag = take_until(message, ',');
  const auto identity = take_until(message, ',');
  if (!flag || !identity) return scram_error::malformed;
  // Logging in as one user with another's password is not for a pooler to allow.
  if (!identity->empty()) return identity->substr(0, 2) == "a=" ? scram_error::unsupported : scram_error::malformed;
  gs2_header_ = bytes(whole.substr(0, whole.size() - message.size()));
  if (*flag == "n") return plus ? scram_error::binding_unexpected : scram_error::none;
  if (*flag == "y") {
    if (plus) return scram_error::binding_unexpected;
    return end_point_ ? scram_error::binding_downgrade : scram_error::none;
  }
  if (flag->substr(0, 2) != "p=") return scram_error::malformed;
  if (!plus || !end_point_) return scram_error::binding_unexpected;
  return gs2_header_ == binding_header ? scram_error::none : scram_error::unsupported;
}

scram_step scram_server::client_first(bytes_view message, bool plus) {
  if (state_ != state::awaits_client_first) return fail(scram_error::out_of_order);
  if (message.size() > scram_max_message) return fail(scram_error::malformed);
  if (const auto error = check_gs2_header(message, plus); error != scram_error::none) return fail(error);
  client_first_bare_ = bytes(message);
  // RFC 5802: a mandatory extension that is not understood must fail the exchange.
  if (message.substr(0, 2) == "m=") return fail(scram_error::unsupported);
  const auto user = take_attribute(message, 'n'); // the start-up packet has the name that counts
  const auto nonce = take_attribute(message, 'r');
  if (!user || !nonce || !is_nonce(*nonce) || !only_ignorable_extensions(message)) return fail(scram_error::malformed);
  nonce_.insert(0, *nonce);
  server_first_ = "r=" + nonce_ + ",s=" + base64_encode(verifiers_.front().salt) +
                  ",i=" + std::to_string(verifiers_.front().iterations);
  state_ = state::awaits_client_final;
  return {scram_error::none, server_first_};
}

bytes scram_server::expected_binding() const {
  return base64_encode(gs2_header_.front() == 'p' ? gs2_header_ + *end_point_ : gs2_header_);
}

scram_step scram_server::client_final(bytes_view message) {
  if (state_ != state::awaits_client_final) return fail(scram_error::out_of_order);
  if (message.size() > scram_max_message) return fail(scram_error::malformed);
  const auto proof_at = message.rfind(",p=");
  if (proof_at == bytes_view::npos) return fail(scram_error::malformed);
  const auto without_proof = message.substr(0, proof_at);
  const auto proof = base64_decode(message.substr(proof_at + 3));
  auto rest = without_proof;
  const auto binding = take_attribute(rest, 'c');
  const auto nonce = take_attribute(rest, 'r');
  if (!binding || !nonce || !proof || proof->size() != scram_key_size || !only_ignorable_extensions(rest))
    return fail(scram_error::malformed);
  if (!equal_in_constant_time(*binding, expected_binding())) return fail(scram_error::binding_mismatch);
  if (!equal_in_constant_time(*nonce, nonce_)) return fail(scram_error::nonce_mismatch);

  const bytes signed_text = client_first_bare_ + "," + server_first_ + "," + bytes(without_proof);
  for (matched_ = 0; matched_ < verifiers_.size(); ++matched_) {
    const scram_verifier& verifier = verifiers_[matched_];
    bytes client_key = exclusive_or(*proof, hmac(verifier.stored_key, signed_text));
    const bytes server_signature = hmac(verifier.server_key, signed_text);
    if (client_key.empty() || !same_key(sha256(client_key), verifier.stored_key)) continue;
    keys_ = {std::move(client_key), verifier.stored_key, verifier.server_key};
    state_ = state::done;
    return {scram_error::none, "v=" + base64_encode(server_signature)};
  }
  return fail(scram_error::wrong_proof);
}

// -- the client's side
// -------------------------------------------------------------------------------------------------

scram_client::scram_client(std::string client_nonce, channel_binding binding)
    : client_nonce_(std::move(client_nonce)), binding_(std::move(binding)) {}

scram_error scram_client::fail(scram_error error) {
  state_ = state::done;
  return error;
}

bytes scram_client::gs2_header() const {
  switch (binding_.how) {
  case channel_binding::use::used:
    return bytes(binding_header);
  case channel_binding::use::not_offered_by_server:
    return "y,,";
  case channel_binding::use::not_supported:
    break;
  }
  return "n,,";
}

std::string_view scram_client::mechanism() const {
  return binding_.how == channel_binding::use::used ? scram_plus_mechanism : scram_mechanism;
}

bytes scram_client::client_first() const {
  return gs2_header() + client_first_bare();
}

scram_error scram_client::server_first(bytes_view message) {
  if (state_ != state::awaits_server_first) return fail(scram_error::out_of_order);
  if (message.size() > scram_max_message) return fail(scram_error::malformed);
  server_first_ = bytes(message);
  if (message.substr(0, 2) == "m=") return fail(scram_error::unsupported);
  const auto nonce = take_attribute(message, 'r');
  const auto salt_text = take_attribute(message, 's');
  const auto iterations_text = take_attribute(message, 'i');
  if (!nonce || !salt_text || !iterations_text || !only_ignorable_extensions(message))
    return fail(scram_error::malformed);
  auto salt = base64_decode(*salt_text);
  const auto iterations = parse_iterations(*iterations_text);
  if (!is_nonce(*nonce) || !salt || salt->empty() || !iterations) return fail(scram_error::malformed);
  // The server must add something of its own, otherwise an old exchange could be played again.
  if (nonce->size() <= client_nonce_.size() || nonce->substr(0, client_nonce_.size()) != client_nonce_)
    return fail(scram_error::nonce_mismatch);
  if (*iterations > scram_max_iterations) return fail(scram_error::too_many_iterations);
  nonce_ = bytes(*nonce);
  salt_ = std::move(*salt);
  iterations_ = *iterations;
  state_ = state::awaits_keys;
  return scram_error::none;
}

scram_step scram_client::client_final(const client_keys& keys) {
  if (state_ != state::awaits_keys) return {fail(scram_error::out_of_order), {}};
  const bool used = binding_.how == channel_binding::use::used;
  const bytes binding = base64_encode(used ? gs2_header() + binding_.end_point : gs2_header());
  const bytes without_proof = "c=" + binding + ",r=" + nonce_;
  const bytes signed_text = client_first_bare() + "," + server_first_ + "," + without_proof;
  const bytes proof = exclusive_or(keys.client_key, hmac(keys.stored_key, signed_text));
  if (proof.empty() || keys.server_key.size() != scram_key_size) return {fail(scram_error::wrong_proof), {}};
  server_signature_ = hmac(keys.server_key, signed_text);
  state_ = state::awaits_server_final;
  return {scram_error::none, without_proof + ",p=" + base64_encode(proof)};
}

scram_error scram_client::server_final(bytes_view message) {
  if (state_ != state::awaits_server_final) return fail(scram_error::out_of_order);
  if (message.size() > scram_max_message) return fail(scram_error::malformed);
  if (message.substr(0, 2) == "e=") return fail(scram_error::refused_by_server);
  const auto signature_text = take_attribute(message, 'v');
  if (!signature_text || !only_ignorable_extensions(message)) return fail(scram_error::malformed);
  const auto signature = base64_decode(*signature_text);
  if (!signature) return fail(scram_error::malformed);
  if (!same_key(server_signature_, *signature)) return fail(scram_error::wrong_server);
  state_ = state::done;
  return scram_error::none;
}

} // namespace pg_edge::protocol
