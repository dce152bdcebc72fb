#include "cluster/relay_request.hpp"

namespace pg_edge::cluster {

namespace {

constexpr std::uint8_t kind_client = 'c', kind_cancel = 'x';

void put_text(protocol::bytes& out, protocol::bytes_view text) {
  protocol::put_u32(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

std::string take_text(protocol::reader& in) {
  const std::uint32_t size = in.u32();
  return std::string(in.take(size));
}

} // namespace

protocol::bytes encode(const relay_request& request) {
  protocol::bytes out;
  protocol::put_u8(out, kind_client);
  for (const std::string* one : {&request.tenant, &request.database, &request.user, &request.asked_user,
                                 &request.peer_host, &request.secret, &request.client_key, &request.server_key})
    put_text(out, *one);
  protocol::put_u16(out, request.peer_port);
  protocol::put_u8(out, request.again ? 1 : 0);
  protocol::put_u16(out, static_cast<std::uint16_t>(request.parameters.size()));
  for (const auto& [name, value] : request.parameters) {
    put_text(out, name);
    put_text(out, value);
  }
  return out;
}

std::optional<relay_request> decode_relay_request(protocol::bytes_view body) {
  protocol::reader in(body);
  relay_request result;
  if (in.u8() != kind_client) return std::nullopt;
  for (std::string* one : {&result.tenant, &result.database, &result.user, &result.asked_user, &result.peer_host,
                           &result.secret, &result.client_key, &result.server_key})
    *one = take_text(in);
  result.peer_port = in.u16();
  result.again = in.u8() != 0;
  for (std::uint16_t left = in.u16(); left > 0 && in.ok(); --left) {
    std::string name = take_text(in);
    result.parameters.emplace_back(std::move(name), take_text(in));
  }
  if (!in.ok()) return std::nullopt;
  return result;
}

protocol::bytes encode(const relayed_cancel& cancel) {
  protocol::bytes out;
  protocol::put_u8(out, kind_cancel);
  protocol::put_i32(out, cancel.process_id);
  put_text(out, cancel.secret);
  return out;
}

std::optional<relayed_cancel> decode_relayed_cancel(protocol::bytes_view body) {
  protocol::reader in(body);
  relayed_cancel result;
  if (in.u8() != kind_cancel) return std::nullopt;
  result.process_id = in.i32();
  result.secret = take_text(in);
  if (!in.ok()) return std::nullopt;
  return result;
}

} // namespace pg_edge::cluster
