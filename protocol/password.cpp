#include "protocol/password.hpp"

#include "protocol/scram.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace pg_edge::protocol {

namespace {

constexpr std::string_view md5_prefix = "md5";
constexpr std::string_view hex_digits = "0123456789abcdef";

bytes digest(const EVP_MD* kind, std::string_view a, std::string_view b = {}) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned int size = 0;
  bytes input;
  input.reserve(a.size() + b.size());
  input.append(a).append(b);
  const bool done = EVP_Digest(input.data(), input.size(), out.data(), &size, kind, nullptr) == 1;
  OPENSSL_cleanse(input.data(), input.size());
  return done ? bytes(reinterpret_cast<const char*>(out.data()), size) : bytes{};
}

/// "md5" and the hex of md5(a + b), or empty.
bytes md5_hex(std::string_view a, std::string_view b) {
  const bytes raw = digest(EVP_md5(), a, b);
  if (raw.empty()) return {};
  bytes text(md5_prefix);
  for (const char c : raw) {
    text += hex_digits[static_cast<unsigned char>(c) >> 4];
    text += hex_digits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

bool is_md5_secret(std::string_view secret) {
  return secret.size() == md5_secret_size && secret.substr(0, md5_prefix.size()) == md5_prefix &&
         secret.find_first_not_of(hex_digits, md5_prefix.size()) == std::string_view::npos;
}

struct code_range {
  char32_t first, last;
};

template <std::size_t size>
bool contains(const std::array<code_range, size>& ranges, char32_t code) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](auto range) { return code >= range.first && code <= range.last; });
}

// RFC 3454 table C.1.2: spaces other than ASCII's, which become U+0020. U+200B is here and in B.1; like Postgres we
// look here first.
constexpr std::array<code_range, 6> other_spaces{
    {{0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200B}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}}};

// RFC 3454 table B.1: characters that are dropped.
constexpr std::array<code_range, 8> mapped_to_nothing{{{0xAD, 0xAD},
                                                       {0x34F, 0x34F},
                                                       {0x1806, 0x1806},
                                                       {0x180B, 0x180D},
                                                       {0x200C, 0x200D},
                                                       {0x2060, 0x2060},
                                                       {0xFE00, 0xFE0F},
                                                       {0xFEFF, 0xFEFF}}};

// RFC 3454 tables C.2.1 to C.9, as RFC 4013 asks, without what the mappings above have already removed and without the
// last two code points of each plane, which a mask finds.
constexpr std::array<code_range, 17> prohibited{{{0x0, 0x1F},
                                                 {0x7F, 0x9F},
                                                 {0x6DD, 0x6DD},
                                                 {0x70F, 0x70F},
                                                 {0x180E, 0x180E},
                                                 {0x200E, 0x200F},
                                                 {0x2028, 0x202E},
                                                 {0x2061, 0x2063},
                                                 {0x206A, 0x206F},
                                                 {0x2FF0, 0x2FFB},
                                                 {0xD800, 0xF8FF},
                                                 {0xFDD0, 0xFDEF},
                                                 {0xFFF9, 0xFFFF},
                                                 {0x1D173, 0x1D17A},
                                                 {0xE0001, 0xE0001},
                                                 {0xE0020, 0xE007F},
                                                 {0xF0000, 0x10FFFF}}};

// Beyond the first plane Unicode 3.2 had few characters; RFC 4013 prohibits what it had not assigned, so emoji too.
constexpr std::array<code_range, 6> unassigned{{{0x10000, 0x102FF},
                                                {0x1034B, 0x103FF},
                                                {0x1044E, 0x1CFFF},
                                                {0x1D800, 0x1FFFF},
                                                {0x2A6D7, 0x2F7FF},
                                                {0x2FA1E, 0xE0000}}};

bool is_prohibited(char32_t code) {
  return (code & 0xFFFE) == 0xFFFE || contains(prohibited, code) || contains(unassigned, code);
}

/// Takes one code point off the front of `text`; nothing when it does not begin with valid UTF-8.
std::optional<char32_t> take_code_point(std::string_view& text) {
  struct form {
    unsigned char mask, lead;
    char32_t smallest;
    std::size_t size;
  };
  static constexpr std::array<form, 4> forms{
      {{0x80, 0x00, 0, 1}, {0xE0, 0xC0, 0x80, 2}, {0xF0, 0xE0, 0x800, 3}, {0xF8, 0xF0, 0x10000, 4}}};
  const auto lead = static_cast<unsigned char>(text.front());
  for (const auto& form : forms) {
    if ((lead & form.mask) != form.lead) continue;
    if (text.size() < form.size) return std::nullopt;
    char32_t code = lead & static_cast<unsigned char>(~form.mask);
    for (std::size_t i = 1; i < form.size; ++i) {
      const auto next = static_cast<unsigned char>(text[i]);
      if ((next & 0xC0) != 0x80) return std::nullopt;
      code = (code << 6) | (next & 0x3F);
    }
    if (code < form.smallest || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return std::nullopt;
    text.remove_prefix(form.size);
    return code;
  }
  return std::nullopt;
}

} // namespace

secret_kind classify_secret(std::string_view secret) {
  if (secret.empty()) return secret_kind::none;
  if (is_md5_secret(secret)) return secret_kind::md5;
  if (secret.substr(0, scram_verifier_prefix.size()) == scram_verifier_prefix)
    return parse_verifier(secret) ? secret_kind::scram : secret_kind::none;
  return secret_kind::plain;
}

bytes md5_secret(std::string_view password, std::string_view user) {
  return md5_hex(password, user);
}

bytes md5_response(std::string_view secret_or_plain, std::string_view user, bytes_view salt) {
  const auto kind = classify_secret(secret_or_plain);
  if (salt.size() != md5_salt_size || (kind != secret_kind::plain && kind != secret_kind::md5)) return {};
  const bytes secret = kind == secret_kind::md5 ? bytes(secret_or_plain) : md5_secret(secret_or_plain, user);
  if (secret.empty()) return {};
  return md5_hex(bytes_view(secret).substr(md5_prefix.size()), salt);
}

bool verify_md5(std::string_view secret, std::string_view user, bytes_view salt, bytes_view response) {
  const bytes expected = md5_response(secret, user, salt);
  return !expected.empty() && equal_in_constant_time(expected, response);
}

bool verify_cleartext(std::string_view secret, std::string_view user, std::string_view password) {
  const auto kind = classify_secret(secret);
  if (kind == secret_kind::md5) {
    const bytes given = md5_secret(password, user);
    return !given.empty() && equal_in_constant_time(secret, given);
  }
  if (kind != secret_kind::plain) return false;
  // Hashes have one length, so not even the password's length shows in the time.
  const bytes expected = digest(EVP_sha256(), secret);
  const bytes given = digest(EVP_sha256(), password);
  return !expected.empty() && equal_in_constant_time(expected, given);
}

bool equal_in_constant_time(bytes_view a, bytes_view b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

bytes normalise_password(std::string_view password) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(password.begin(), password.end(), is_ascii)) return bytes(password);
  bytes mapped;
  for (auto rest = password; !rest.empty();) {
    const auto before = rest;
    const auto code = take_code_point(rest);
    if (!code) return bytes(password);
    if (contains(other_spaces, *code)) {
      mapped += ' ';
    } else if (!contains(mapped_to_nothing, *code)) {
      if (is_prohibited(*code)) return bytes(password);
      mapped.append(before.substr(0, before.size() - rest.size()));
    }
  }
  return mapped.empty() ? bytes(password) : mapped;
}

} // namespace pg_edge::protocol
