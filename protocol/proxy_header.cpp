#include "protocol/proxy_header.hpp"

#include <array>
#include <cstdio>

namespace pg_edge::protocol {

namespace {

constexpr bytes_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr unsigned version = 2;
enum command : unsigned { local = 0, proxied = 1 };
enum family : unsigned { unspecified = 0x0, ipv4 = 0x1, ipv6 = 0x2, unix_socket = 0x3 };

/// Source, destination and two ports; or two paths.
constexpr std::size_t ipv4_size = 12, ipv6_size = 36, unix_size = 216;

unsigned byte_at(bytes_view in, std::size_t at) {
  return static_cast<unsigned char>(in[at]);
}

unsigned number_at(bytes_view in, std::size_t at) {
  return byte_at(in, at) << 8 | byte_at(in, at + 1);
}

std::string ipv4_text(bytes_view in) {
  char text[16];
  std::snprintf(text, sizeof text, "%u.%u.%u.%u", byte_at(in, 0), byte_at(in, 1), byte_at(in, 2), byte_at(in, 3));
  return text;
}

std::string ipv6_text(bytes_view in) {
  constexpr bytes_view mapped{"\0\0\0\0\0\0\0\0\0\0\xff\xff", 12};
  if (in.substr(0, mapped.size()) == mapped) return ipv4_text(in.substr(mapped.size()));
  // As RFC 5952 writes it: the longest run of zero groups, the first of equals, is left out.
  std::array<unsigned, 8> groups{};
  for (std::size_t i = 0; i < groups.size(); ++i)
    groups[i] = number_at(in, 2 * i);
  std::size_t run_at = 0, run = 1; // a single zero group is written
  for (std::size_t i = 0; i < groups.size(); ++i) {
    std::size_t zeros = 0;
    while (i + zeros < groups.size() && groups[i + zeros] == 0)
      ++zeros;
    if (zeros > run) run_at = i, run = zeros;
    i += zeros;
  }
  std::string out;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (run > 1 && i == run_at) {
      out += "::";
      i += run - 1;
      continue;
    }
    char text[8];
    std::snprintf(text, sizeof text, "%x", groups[i]);
    out += (out.empty() || out.back() == ':' ? "" : ":") + std::string{text};
  }
  return out;
}

/// The address in the body. False: the body is too short for the family it names.
bool read_source(unsigned family_code, bytes_view body, proxy_header& out) {
  switch (family_code) {
  case ipv4:
    if (body.size() < ipv4_size) return false;
    out.source = ipv4_text(body);
    out.source_port = static_cast<std::uint16_t>(number_at(body, 8));
    break;
  case ipv6:
    if (body.size() < ipv6_size) return false;
    out.source = ipv6_text(body);
    out.source_port = static_cast<std::uint16_t>(number_at(body, 32));
    break;
  case unix_socket:
    if (body.size() < unix_size) return false;
    out.source = "unix";
    break;
  default: // as the format demands: what is not known is as if nothing were said
    return true;
  }
  out.has_source = true;
  return true;
}

} // namespace

proxy_status read_proxy_header(bytes_view in, proxy_header& out) {
  const bytes_view begun = in.substr(0, signature.size());
  if (begun != signature.substr(0, begun.size())) return proxy_status::invalid;
  if (in.size() < proxy_header_start) return proxy_status::need_more;
  const unsigned version_and_command = byte_at(in, 12);
  const unsigned asked = version_and_command & 0xf;
  if (version_and_command >> 4 != version || asked > proxied) return proxy_status::invalid;
  const std::size_t body_size = number_at(in, 14);
  if (proxy_header_start + body_size > max_proxy_header) return proxy_status::invalid;
  if (in.size() < proxy_header_start + body_size) return proxy_status::need_more;
  out = {};
  out.length = proxy_header_start + body_size;
  if (asked == local) return proxy_status::complete;
  const bool good = read_source(byte_at(in, 13) >> 4, in.substr(proxy_header_start, body_size), out);
  return good ? proxy_status::complete : proxy_status::invalid;
}

} // namespace pg_edge::protocol
