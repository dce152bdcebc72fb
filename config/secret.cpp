#include "config/secret.hpp"

#include <algorithm>

namespace pg_edge::config {

namespace {

constexpr std::string_view md5_prefix = "md5";
constexpr std::string_view scram_prefix = "SCRAM-SHA-256$";
constexpr std::size_t md5_digits = 32;
constexpr std::size_t key_base64 = 44; // 32 bytes of SHA-256

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_base64(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '/' || c == '=';
}

bool all_of(std::string_view text, bool (*test)(char)) {
  return std::all_of(text.begin(), text.end(), test);
}

bool is_md5(std::string_view secret) {
  return secret.size() == md5_prefix.size() + md5_digits && secret.starts_with(md5_prefix) &&
         all_of(secret.substr(md5_prefix.size()), is_hex);
}

bool is_scram(std::string_view secret) {
  if (!secret.starts_with(scram_prefix)) return false;
  secret.remove_prefix(scram_prefix.size());
  const auto colon = secret.find(':');
  const auto dollar = secret.find('$');
  if (colon == std::string_view::npos || dollar == std::string_view::npos || dollar < colon) return false;
  const auto iterations = secret.substr(0, colon);
  const auto salt = secret.substr(colon + 1, dollar - colon - 1);
  const auto keys = secret.substr(dollar + 1);
  return !iterations.empty() && iterations.size() < 10 && all_of(iterations, is_digit) && !salt.empty() &&
         all_of(salt, is_base64) && keys.size() == 2 * key_base64 + 1 && keys[key_base64] == ':' &&
         all_of(keys.substr(0, key_base64), is_base64) && all_of(keys.substr(key_base64 + 1), is_base64);
}

} // namespace

secret_kind kind_of_secret(std::string_view secret) {
  if (secret.empty()) return secret_kind::none;
  if (is_md5(secret)) return secret_kind::md5;
  return is_scram(secret) ? secret_kind::scram : secret_kind::plain;
}

bool looks_like_broken_verifier(std::string_view secret) {
  if (kind_of_secret(secret) != secret_kind::plain) return false;
  if (secret.starts_with(scram_prefix)) return true;
  return secret.size() >= md5_prefix.size() + md5_digits - 2 && secret.size() <= md5_prefix.size() + md5_digits + 2 &&
         secret.starts_with(md5_prefix) && all_of(secret.substr(md5_prefix.size()), is_hex);
}

} // namespace pg_edge::config
