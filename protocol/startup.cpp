#include "protocol/startup.hpp"

#include <algorithm>

namespace pg_edge::protocol {

namespace {

constexpr std::size_t startup_length_size = 4;
constexpr std::size_t min_startup_packet = 8;   // length and version, all there is in an SSLRequest
constexpr std::size_t cancel_request_size = 12; // length, code and process id; the key follows
constexpr std::string_view protocol_option_prefix = "_pq_.";

/// The methods of HTTP, each with the blank that ends it, and how an HTTP/2 connection begins.
constexpr std::string_view http_starts[] = {"GET ",     "POST ",  "PUT ",     "HEAD ",  "DELETE ",
                                            "OPTIONS ", "PATCH ", "CONNECT ", "TRACE ", "PRI * HTTP/2.0\r\n"};

startup_error invalid(std::string_view what) {
  return {error_code::startup_packet_invalid, {std::string(what)}};
}

startup_packet parse_cancel_request(bytes_view packet) {
  if (packet.size() < cancel_request_size + min_cancel_key || packet.size() > cancel_request_size + max_cancel_key)
    return invalid("invalid length of cancel request");
  reader in(packet.substr(min_startup_packet));
  cancel_request m;
  m.process_id = in.i32();
  m.key = in.rest();
  return m;
}

startup_packet parse_startup_message(bytes_view body, std::uint32_t version) {
  startup_message m;
  m.major = static_cast<std::uint16_t>(version >> 16);
  m.minor = static_cast<std::uint16_t>(version & 0xffff);
  if (m.major != protocol_major)
    return startup_error{error_code::unsupported_protocol, {std::to_string(m.major) + "." + std::to_string(m.minor)}};
  reader in(body);
  for (bytes_view name = in.cstring(); in.ok() && !name.empty(); name = in.cstring()) {
    const bytes_view value = in.cstring();
    if (in.ok()) m.parameters.emplace_back(name, value);
  }
  if (!in.ok()) return invalid("expected terminator as last byte");
  if (!in.at_end()) return invalid("bytes follow the terminator");
  if (m.user().empty()) return startup_error{error_code::no_user_name, {}};
  return m;
}

} // namespace

std::optional<std::string_view> startup_message::find(std::string_view name) const {
  const auto same_name = [name](const name_value& p) { return p.first == name; };
  const auto found = std::find_if(parameters.rbegin(), parameters.rend(), same_name);
  if (found == parameters.rend()) return std::nullopt;
  return found->second;
}

std::string_view startup_message::database() const {
  const std::string_view given = find("database").value_or("");
  return given.empty() ? user() : given;
}

// -- reading
// -----------------------------------------------------------------------------------------------------------

first_bytes classify_first_bytes(bytes_view in) {
  constexpr char tls_handshake_record = 0x16;
  if (in.empty()) return first_bytes::need_more;
  if (in[0] == '\0') return first_bytes::postgres;
  if (in[0] == tls_handshake_record) return first_bytes::direct_tls;
  for (const std::string_view start : http_starts) {
    if (in.substr(0, start.size()) == start) return first_bytes::http;
    if (start.substr(0, in.size()) == in) return first_bytes::need_more;
  }
  return first_bytes::garbage;
}

header_status read_startup_length(bytes_view in, std::size_t& length) {
  if (in.size() < startup_length_size) return header_status::need_more;
  length = load_u32(in.data());
  const bool valid = length >= min_startup_packet && length <= max_startup_packet;
  return valid ? header_status::ok : header_status::invalid;
}

startup_error startup_length_error(std::size_t length) {
  if (length > max_startup_packet)
    return {error_code::startup_packet_too_long, {std::to_string(length), std::to_string(max_startup_packet)}};
  return invalid("its length is " + std::to_string(length));
}

startup_packet parse_startup(bytes_view packet) {
  std::size_t length = 0;
  const header_status status = read_startup_length(packet, length);
  if (status == header_status::invalid) return startup_length_error(length);
  if (status == header_status::need_more || length != packet.size()) return invalid("it is not as long as it states");

  const bool only_code = packet.size() == min_startup_packet;
  const std::uint32_t code = load_u32(packet.data() + startup_length_size);
  switch (code) {
  case cancel_request_code:
    return parse_cancel_request(packet);
  case ssl_request_code:
    return only_code ? startup_packet{ssl_request{}} : invalid("bytes follow an SSLRequest");
  case gssenc_request_code:
    return only_code ? startup_packet{gssenc_request{}} : invalid("bytes follow a GSSENCRequest");
  default:
    return parse_startup_message(packet.substr(min_startup_packet), code);
  }
}

// -- writing
// -----------------------------------------------------------------------------------------------------------

namespace {

/// Runs `write_body` between a length and the end it counts to.
template <class F>
void append_packet(bytes& out, std::uint32_t code, F write_body) {
  const std::size_t start = out.size();
  put_u32(out, 0);
  put_u32(out, code);
  write_body();
  store_u32(out.data() + start, static_cast<std::uint32_t>(out.size() - start));
}

} // namespace

void append_startup(bytes& out, const startup_message& m) {
  append_packet(out, protocol_version(m.major, m.minor), [&] {
    for (const auto& [name, value] : m.parameters) {
      if (name.empty()) continue; // an empty name would end the list
      put_cstring(out, name);
      put_cstring(out, value);
    }
    put_u8(out, 0);
  });
}

void append_cancel_request(bytes& out, const cancel_request& m) {
  append_packet(out, cancel_request_code, [&] {
    put_i32(out, m.process_id);
    put_bytes(out, m.key);
  });
}

void append_ssl_request(bytes& out) {
  append_packet(out, ssl_request_code, [] {});
}

void append_gssenc_request(bytes& out) {
  append_packet(out, gssenc_request_code, [] {});
}

// -- protocol version
// --------------------------------------------------------------------------------------------------

negotiated negotiate(const startup_message& m, std::uint16_t max_minor) {
  negotiated n;
  n.minor = std::min(m.minor, max_minor);
  for (const auto& [name, value] : m.parameters)
    if (name.starts_with(protocol_option_prefix)) n.unknown_options.push_back(name);
  n.must_answer = m.minor > max_minor || !n.unknown_options.empty();
  return n;
}

void append_negotiation(bytes& out, const negotiated& n) {
  negotiate_protocol_version m{protocol_version(protocol_major, n.minor), {}};
  m.unknown_options.assign(n.unknown_options.begin(), n.unknown_options.end());
  append(out, m);
}

} // namespace pg_edge::protocol
