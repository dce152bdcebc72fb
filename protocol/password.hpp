// Passwords and what is stored of them: which kind of secret a user has, the md5 method, and the form in which a
// password enters SCRAM. Kept apart from scram.hpp because every login looks here first to choose its method.
#pragma once

#include "protocol/bytes.hpp"

#include <string>
#include <string_view>

namespace pg_edge::protocol {

enum class secret_kind { none, plain, md5, scram };

/// Length of the random salt in AuthenticationMD5Password.
inline constexpr std::size_t md5_salt_size = 4;
/// "md5" and 32 lower-case hex digits.
inline constexpr std::size_t md5_secret_size = 35;

/// Tells what a stored secret is. Empty is none; "md5" + 32 hex digits is md5; a well-formed SCRAM verifier is scram.
/// A string that claims to be a SCRAM verifier and is not one is none, so that half a verifier is never a password.
secret_kind classify_secret(std::string_view secret);

/// The stored md5 form: "md5" + hex(md5(password + user)). Empty when OpenSSL refuses MD5 (FIPS mode).
bytes md5_secret(std::string_view password, std::string_view user);

/// What a client sends after AuthenticationMD5Password: "md5" + hex(md5(hex part of the md5 secret + salt)).
/// `secret_or_plain` is an md5 secret or the password itself. Empty for any other secret, a salt that is not four
/// bytes, or when OpenSSL refuses MD5.
bytes md5_response(std::string_view secret_or_plain, std::string_view user, bytes_view salt);

/// Checks a client's md5 answer in constant time. False for secrets that are neither plain nor md5.
bool verify_md5(std::string_view secret, std::string_view user, bytes_view salt, bytes_view response);

/// Checks a password that came in clear against a plain or md5 secret, in constant time. False for other secrets: a
/// SCRAM verifier needs the slow key derivation first, see matches_verifier() in scram.hpp.
bool verify_cleartext(std::string_view secret, std::string_view user, std::string_view password);

/// Compares without telling by its run time where the difference is. Lengths are not secret here.
bool equal_in_constant_time(bytes_view a, bytes_view b);

/// The form in which a password enters SCRAM (SASLprep, RFC 4013). As in Postgres, ASCII passes unchanged, and what is
/// not valid UTF-8 or has prohibited characters is used as the raw bytes. Spaces and invisible characters are mapped.
/// NFKC, the bidirectional rule and unassigned characters of the first plane are not looked at, so a password typed in
/// compatibility characters (ligatures, full-width letters, combining marks) is hashed as it was typed.
bytes normalise_password(std::string_view password);

} // namespace pg_edge::protocol
