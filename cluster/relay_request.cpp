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

// -- a session
// --------------------------------------------------------------------------------------------------------------------

/// Behind everything else, and only if there is one: nodes of before do not look at it.
constexpr std::uint8_t has_session = 1;
enum session_bits : std::uint8_t { unconfirmed_bit = 1, in_batch_bit = 2, custom_bit = 4, unnamed_names_bit = 8 };
enum statement_bits : std::uint8_t { sql_types_bit = 1, verified_bit = 2, written_bit = 4 };

void put_values(protocol::bytes& out, const std::optional<moved_values>& values) {
  protocol::put_u8(out, values ? 1 : 0);
  if (!values) return;
  protocol::put_u32(out, static_cast<std::uint32_t>(values->size()));
  for (const auto& [name, value] : *values) {
    put_text(out, name);
    put_text(out, value);
  }
}

std::optional<moved_values> take_values(protocol::reader& in) {
  if (in.u8() == 0) return std::nullopt;
  moved_values result;
  for (std::uint32_t left = in.u32(); left > 0 && in.ok(); --left) {
    std::string name = take_text(in);
    result.emplace_back(std::move(name), take_text(in));
  }
  return result;
}

void put_session(protocol::bytes& out, const relayed_session& session) {
  const moved_session& state = session.state;
  protocol::put_u8(out, static_cast<std::uint8_t>(
                            (session.unconfirmed ? unconfirmed_bit : 0) | (session.in_batch ? in_batch_bit : 0) |
                            (state.custom_startup ? custom_bit : 0) | (state.unnamed_names ? unnamed_names_bit : 0)));
  for (const auto* values : {&state.values, &state.startup_values, &state.profile})
    put_values(out, *values);
  put_text(out, state.unnamed);
  protocol::put_u32(out, static_cast<std::uint32_t>(state.statements.size()));
  for (const moved_statement& one : state.statements) {
    protocol::put_u8(out,
                     static_cast<std::uint8_t>((one.has_sql_types ? sql_types_bit : 0) |
                                               (one.verified ? verified_bit : 0) | (one.written ? written_bit : 0)));
    put_text(out, one.name);
    put_text(out, one.text);
    put_text(out, one.sql_types);
    if (one.written) put_text(out, *one.written);
  }
}

relayed_session take_session(protocol::reader& in) {
  relayed_session result;
  moved_session& state = result.state;
  const std::uint8_t bits = in.u8();
  result.unconfirmed = (bits & unconfirmed_bit) != 0;
  result.in_batch = (bits & in_batch_bit) != 0;
  state.custom_startup = (bits & custom_bit) != 0;
  state.unnamed_names = (bits & unnamed_names_bit) != 0;
  for (auto* values : {&state.values, &state.startup_values, &state.profile})
    *values = take_values(in);
  state.unnamed = take_text(in);
  for (std::uint32_t left = in.u32(); left > 0 && in.ok(); --left) {
    moved_statement& one = state.statements.emplace_back();
    const std::uint8_t kind = in.u8();
    one.has_sql_types = (kind & sql_types_bit) != 0;
    one.verified = (kind & verified_bit) != 0;
    one.name = take_text(in);
    one.text = take_text(in);
    one.sql_types = take_text(in);
    if ((kind & written_bit) != 0) one.written = take_text(in);
  }
  return result;
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
  if (!request.session) return out;
  protocol::put_u8(out, has_session);
  put_session(out, *request.session);
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
  if (in.ok() && !in.at_end() && in.u8() == has_session) result.session = take_session(in);
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
