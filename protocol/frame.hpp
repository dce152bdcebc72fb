// A Postgres message after the start-up is a type byte, a length that counts itself, and a body. This reads only
// those five bytes, so that the data path can forward a message of any size without decoding or holding its body.
#pragma once

#include "protocol/bytes.hpp"

namespace pg_edge::protocol {

constexpr std::size_t frame_header_size = 5;

/// The smallest and largest length a header may state. The upper one is Postgres's PQ_LARGE_MESSAGE_LIMIT
/// (MaxAllocSize - 1, a little under 1 GB): a longer message would be refused by the server anyway.
constexpr std::uint32_t min_frame_length = 4;
constexpr std::uint32_t max_frame_length = 0x3fffffff - 1;

/// Postgres's PQ_SMALL_MESSAGE_LIMIT: the length of messages that hold only names or numbers (Describe, Execute, ...).
constexpr std::uint32_t max_small_frame_length = 10'000;

/// Postgres's PG_MAX_AUTH_TOKEN_LENGTH: the longest answer in a login.
constexpr std::uint32_t max_auth_frame_length = 65'535;

static_assert(max_small_frame_length < max_auth_frame_length && max_auth_frame_length < max_frame_length);

struct frame_header {
  char type = 0;
  std::uint32_t length = min_frame_length; // as on the wire: counts itself, not the type byte

  /// Bytes of the whole message, header included.
  std::size_t total() const { return std::size_t{length} + 1; }
  /// Bytes that follow the header.
  std::size_t body() const { return std::size_t{length} - min_frame_length; }

  bool operator==(const frame_header&) const = default;
};

enum class header_status { need_more, ok, invalid };

/// Reads the header at the start of `in`. `out` is set on ok and on invalid (so that the error can name the type), and
/// untouched on need_more. invalid: the length is below 4 or above max_frame_length; the stream cannot be followed
/// any further and the connection has to be closed.
inline header_status read_header(bytes_view in, frame_header& out) {
  if (in.size() < frame_header_size) return header_status::need_more;
  out.type = in[0];
  out.length = load_u32(in.data() + 1);
  const bool valid = out.length >= min_frame_length && out.length <= max_frame_length;
  return valid ? header_status::ok : header_status::invalid;
}

} // namespace pg_edge::protocol
