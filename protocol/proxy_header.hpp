// The header of version 2 of the PROXY protocol, by which a load balancer tells whose connection it passes on. Format:
// haproxy's doc/proxy-protocol.txt, section 2.2.
#pragma once

#include "protocol/bytes.hpp"

#include <string>

namespace pg_edge::protocol {

/// What comes before the addresses: a signature of twelve bytes, version and command, family, length.
constexpr std::size_t proxy_header_start = 16;
/// Longer ones are refused: addresses take at most 216 bytes, the rest are a proxy's own notes.
constexpr std::size_t max_proxy_header = 2048;

struct proxy_header {
  std::size_t length = 0; // all of it, to be taken off the connection
  /// False: the proxy speaks for itself (a health check), or names no address; the connection's own holds.
  bool has_source = false;
  std::string source; // an address, or "unix"
  std::uint16_t source_port = 0;
};

enum class proxy_status { need_more, invalid, complete };

/// Reads the header at the beginning of `in`, which may be longer or shorter than it.
proxy_status read_proxy_header(bytes_view in, proxy_header& out);

} // namespace pg_edge::protocol
