// What a client sends before its first typed message: which protocol its first bytes belong to, the four packets
// without a type byte, the `options` parameter, and the agreement on a protocol version.
#pragma once

#include "protocol/errors.hpp"
#include "protocol/messages.hpp"

#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace pg_edge::protocol {

/// Postgres's MAX_STARTUP_PACKET_LENGTH; as there, the four bytes of the length itself are not counted.
constexpr std::size_t max_startup_length = 10'000;
constexpr std::size_t max_startup_packet = max_startup_length + 4;

// What follows the length: a version, or a number that cannot be one.
constexpr std::uint32_t cancel_request_code = 1234u << 16 | 5678;
constexpr std::uint32_t ssl_request_code = 1234u << 16 | 5679;
constexpr std::uint32_t gssenc_request_code = 1234u << 16 | 5680;
constexpr std::uint32_t protocol_version(std::uint16_t major, std::uint16_t minor) {
  return std::uint32_t{major} << 16 | minor;
}

constexpr std::uint16_t protocol_major = 3;
constexpr std::uint16_t max_protocol_minor = 2;
/// From 3.2 on a cancel key may be longer than four bytes.
constexpr std::uint16_t long_cancel_key_minor = 2;

using name_value = std::pair<std::string, std::string>;

struct ssl_request {
  bool operator==(const ssl_request&) const = default;
};

struct gssenc_request {
  bool operator==(const gssenc_request&) const = default;
};

struct cancel_request {
  std::int32_t process_id = 0;
  bytes key; // min_cancel_key to max_cancel_key bytes
  bool operator==(const cancel_request&) const = default;
};

struct startup_message {
  std::uint16_t major = protocol_major;
  std::uint16_t minor = 0;
  std::vector<name_value> parameters; // in the order of the wire, repetitions included

  /// The value of a parameter, the last one when it was given twice (as in Postgres); nullopt when it was not given.
  std::optional<std::string_view> find(std::string_view name) const;
  /// The user's name; parse_startup never gives an empty one.
  std::string_view user() const { return find("user").value_or(""); }
  /// The database asked for: without one, or with an empty one, it is the user's name.
  std::string_view database() const;

  bool operator==(const startup_message&) const = default;
};

/// Why a start-up packet is refused; its response is sent before closing.
using startup_error = refusal;

using startup_packet = std::variant<startup_error, ssl_request, gssenc_request, cancel_request, startup_message>;

// -- reading
// -----------------------------------------------------------------------------------------------------------

/// What the first bytes of a connection say it speaks. garbage is for the start-up error and a close; a Postgres packet
/// whose stated length is above 16 MB is garbage too.
enum class first_bytes { need_more, postgres, direct_tls, http, garbage };
first_bytes classify_first_bytes(bytes_view in);

/// Reads the length at the start of `in`: bytes of the whole packet, itself included. invalid: no packet is that short
/// or that long (see startup_length_error); on need_more `length` is untouched.
header_status read_startup_length(bytes_view in, std::size_t& length);

/// The error for a length that read_startup_length called invalid.
startup_error startup_length_error(std::size_t length);

/// Reads one whole packet, its length included. Anything malformed, a version other than 3.x, and a start-up without a
/// user give a startup_error; unknown minor versions and _pq_ options do not (see negotiate).
startup_packet parse_startup(bytes_view packet);

// -- writing
// -----------------------------------------------------------------------------------------------------------

void append_startup(bytes& out, const startup_message& m);
void append_cancel_request(bytes& out, const cancel_request& m);
void append_ssl_request(bytes& out);
void append_gssenc_request(bytes& out);

// -- the `options` parameter
// -------------------------------------------------------------------------------------------

/// Reads the start-up parameter `options` as a Postgres backend reads it: split at unescaped white space, a backslash
/// takes the next character as it is, `-c a=b`, `-ca=b` and `--a-b=c` set (dashes in a name become underscores), and
/// the short switches a session may use stand for their settings. Each name comes once with its last value, names
/// compared without case. On an error `error` holds Postgres's text for it and the result is empty; else `error` is
/// empty.
std::vector<name_value> parse_options(std::string_view options, std::string& error);

// -- protocol version
// --------------------------------------------------------------------------------------------------

/// The outcome of a start-up's version and _pq_ options.
struct negotiated {
  std::uint16_t minor = 0;                  // to use from here on
  std::vector<std::string> unknown_options; // the _pq_. parameters, none of which is known
  bool must_answer = false;                 // NegotiateProtocolVersion has to be sent before anything else

  bool operator==(const negotiated&) const = default;
};

negotiated negotiate(const startup_message& m, std::uint16_t max_minor = max_protocol_minor);

/// Appends the NegotiateProtocolVersion that tells the client about `n`.
void append_negotiation(bytes& out, const negotiated& n);

} // namespace pg_edge::protocol
