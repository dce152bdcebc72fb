// Every message of the Postgres manual ("Message Formats"), each body declared once as the list of its fields in the
// manual's words: the same list encodes and decodes. Meant for rare messages; the data path forwards DataRow and
// CopyData as frames and never decodes them. Start-up packets have no type byte and live in startup.hpp.
#pragma once

#include "protocol/fields.hpp"
#include "protocol/frame.hpp"

namespace pg_edge::protocol {

enum class direction : std::uint8_t { frontend, backend };

/// What is known of a message without its body: `max_length` is the longest length its header may state.
struct message_info {
  char type;
  direction from;
  std::string_view name; // as the manual spells it
  std::uint32_t max_length = max_frame_length;
};

// Lengths of a cancel key (protocol 3.2); in 3.0 it is always four bytes.
constexpr std::size_t min_cancel_key = 4;
constexpr std::size_t max_cancel_key = 256;

// The items of lists, as they appear in more than one message.
constexpr auto int16_item = [](auto& f, auto& item) { f.int16(item); };
constexpr auto int32_item = [](auto& f, auto& item) { f.int32(item); };
constexpr auto value_item = [](auto& f, auto& item) { f.sized(item); };

// -- frontend: simple and extended query
// -------------------------------------------------------------------------------

struct query {
  static constexpr message_info info{'Q', direction::frontend, "Query"};
  bytes_view text;

  static void body(auto& f, auto& m) { f.string(m.text); }
  bool operator==(const query&) const = default;
};

struct parse {
  static constexpr message_info info{'P', direction::frontend, "Parse"};
  bytes_view statement;
  bytes_view text;
  std::vector<std::uint32_t> parameter_types; // OIDs; 0 leaves the type to the server

  static void body(auto& f, auto& m) {
    f.string(m.statement);
    f.string(m.text);
    f.list16(m.parameter_types, int32_item);
  }
  bool operator==(const parse&) const = default;
};

struct bind {
  static constexpr message_info info{'B', direction::frontend, "Bind"};
  bytes_view portal;
  bytes_view statement;
  std::vector<std::int16_t> parameter_formats; // none: all text; one: for all; else one each
  std::vector<value> parameters;
  std::vector<std::int16_t> result_formats;

  static void body(auto& f, auto& m) {
    f.string(m.portal);
    f.string(m.statement);
    f.list16(m.parameter_formats, int16_item);
    f.list16(m.parameters, value_item);
    f.list16(m.result_formats, int16_item);
  }
  bool operator==(const bind&) const = default;
};

struct describe {
  static constexpr message_info info{'D', direction::frontend, "Describe", max_small_frame_length};
  char kind = 'S'; // 'S' a prepared statement, 'P' a portal; anything else is for the server to refuse
  bytes_view name;

  static void body(auto& f, auto& m) {
    f.byte1(m.kind);
    f.string(m.name);
  }
  bool operator==(const describe&) const = default;
};

struct execute {
  static constexpr message_info info{'E', direction::frontend, "Execute", max_small_frame_length};
  bytes_view portal;
  std::int32_t max_rows = 0; // 0: no limit

  static void body(auto& f, auto& m) {
    f.string(m.portal);
    f.int32(m.max_rows);
  }
  bool operator==(const execute&) const = default;
};

struct close {
  static constexpr message_info info{'C', direction::frontend, "Close", max_small_frame_length};
  char kind = 'S'; // as in describe
  bytes_view name;

  static void body(auto& f, auto& m) {
    f.byte1(m.kind);
    f.string(m.name);
  }
  bool operator==(const close&) const = default;
};

struct flush {
  static constexpr message_info info{'H', direction::frontend, "Flush", max_small_frame_length};
  static void body(auto&, auto&) {}
  bool operator==(const flush&) const = default;
};

struct sync {
  static constexpr message_info info{'S', direction::frontend, "Sync", max_small_frame_length};
  static void body(auto&, auto&) {}
  bool operator==(const sync&) const = default;
};

struct function_call {
  static constexpr message_info info{'F', direction::frontend, "FunctionCall"};
  std::uint32_t function = 0; // OID
  std::vector<std::int16_t> argument_formats;
  std::vector<value> arguments;
  std::int16_t result_format = 0;

  static void body(auto& f, auto& m) {
    f.int32(m.function);
    f.list16(m.argument_formats, int16_item);
    f.list16(m.arguments, value_item);
    f.int16(m.result_format);
  }
  bool operator==(const function_call&) const = default;
};

struct copy_fail {
  static constexpr message_info info{'f', direction::frontend, "CopyFail", max_small_frame_length};
  bytes_view reason;

  static void body(auto& f, auto& m) { f.string(m.reason); }
  bool operator==(const copy_fail&) const = default;
};

struct terminate {
  static constexpr message_info info{'X', direction::frontend, "Terminate", max_small_frame_length};
  static void body(auto&, auto&) {}
  bool operator==(const terminate&) const = default;
};

// -- frontend: answers in a login. All four have type byte 'p'; which one it is follows from what was asked.
// -----------

struct password_message {
  static constexpr message_info info{'p', direction::frontend, "PasswordMessage", max_auth_frame_length};
  bytes_view password;

  static void body(auto& f, auto& m) { f.string(m.password); }
  bool operator==(const password_message&) const = default;
};

struct sasl_initial_response {
  static constexpr message_info info{'p', direction::frontend, "SASLInitialResponse", max_auth_frame_length};
  bytes_view mechanism;
  value response; // nullopt: the client sends no initial response

  static void body(auto& f, auto& m) {
    f.string(m.mechanism);
    f.sized(m.response);
  }
  bool operator==(const sasl_initial_response&) const = default;
};

struct sasl_response {
  static constexpr message_info info{'p', direction::frontend, "SASLResponse", max_auth_frame_length};
  bytes_view data;

  static void body(auto& f, auto& m) { f.byten(m.data); }
  bool operator==(const sasl_response&) const = default;
};

struct gss_response {
  static constexpr message_info info{'p', direction::frontend, "GSSResponse", max_auth_frame_length};
  bytes_view data;

  static void body(auto& f, auto& m) { f.byten(m.data); }
  bool operator==(const gss_response&) const = default;
};

// -- both directions: COPY. The type byte and body are the same each way; the table lists them once for each.
// ----------

struct copy_data {
  static constexpr message_info info{'d', direction::frontend, "CopyData"};
  bytes_view data;

  static void body(auto& f, auto& m) { f.byten(m.data); }
  bool operator==(const copy_data&) const = default;
};

struct copy_done {
  static constexpr message_info info{'c', direction::frontend, "CopyDone", max_small_frame_length};
  static void body(auto&, auto&) {}
  bool operator==(const copy_done&) const = default;
};

// -- backend: login. All authentication requests have type byte 'R' and differ in their first Int32.
// -------------------

struct authentication_ok {
  static constexpr message_info info{'R', direction::backend, "AuthenticationOk"};
  static void body(auto& f, auto&) { f.constant32(0); }
  bool operator==(const authentication_ok&) const = default;
};

struct authentication_kerberos_v5 { // named only to be refused
  static constexpr message_info info{'R', direction::backend, "AuthenticationKerberosV5"};
  static void body(auto& f, auto&) { f.constant32(2); }
  bool operator==(const authentication_kerberos_v5&) const = default;
};

struct authentication_cleartext_password {
  static constexpr message_info info{'R', direction::backend, "AuthenticationCleartextPassword"};
  static void body(auto& f, auto&) { f.constant32(3); }
  bool operator==(const authentication_cleartext_password&) const = default;
};

struct authentication_md5_password {
  static constexpr message_info info{'R', direction::backend, "AuthenticationMD5Password"};
  std::array<char, 4> salt{};

  static void body(auto& f, auto& m) {
    f.constant32(5);
    f.byte4(m.salt);
  }
  bool operator==(const authentication_md5_password&) const = default;
};

struct authentication_scm_credential { // gone since Postgres 9.1; named only to be refused
  static constexpr message_info info{'R', direction::backend, "AuthenticationSCMCredential"};
  static void body(auto& f, auto&) { f.constant32(6); }
  bool operator==(const authentication_scm_credential&) const = default;
};

struct authentication_gss { // named only to be refused, like the two that follow
  static constexpr message_info info{'R', direction::backend, "AuthenticationGSS"};
  static void body(auto& f, auto&) { f.constant32(7); }
  bool operator==(const authentication_gss&) const = default;
};

struct authentication_gss_continue {
  static constexpr message_info info{'R', direction::backend, "AuthenticationGSSContinue"};
  bytes_view data;

  static void body(auto& f, auto& m) {
    f.constant32(8);
    f.byten(m.data);
  }
  bool operator==(const authentication_gss_continue&) const = default;
};

struct authentication_sspi {
  static constexpr message_info info{'R', direction::backend, "AuthenticationSSPI"};
  static void body(auto& f, auto&) { f.constant32(9); }
  bool operator==(const authentication_sspi&) const = default;
};

struct authentication_sasl {
  static constexpr message_info info{'R', direction::backend, "AuthenticationSASL"};
  std::vector<bytes_view> mechanisms; // in the server's order of preference

  static void body(auto& f, auto& m) {
    f.constant32(10);
    f.strings_until_empty(m.mechanisms);
  }
  bool operator==(const authentication_sasl&) const = default;
};

struct authentication_sasl_continue {
  static constexpr message_info info{'R', direction::backend, "AuthenticationSASLContinue"};
  bytes_view data;

  static void body(auto& f, auto& m) {
    f.constant32(11);
    f.byten(m.data);
  }
  bool operator==(const authentication_sasl_continue&) const = default;
};

struct authentication_sasl_final {
  static constexpr message_info info{'R', direction::backend, "AuthenticationSASLFinal"};
  bytes_view data;

  static void body(auto& f, auto& m) {
    f.constant32(12);
    f.byten(m.data);
  }
  bool operator==(const authentication_sasl_final&) const = default;
};

struct backend_key_data {
  static constexpr message_info info{'K', direction::backend, "BackendKeyData"};
  std::int32_t process_id = 0;
  bytes_view key;

  static void body(auto& f, auto& m) {
    f.int32(m.process_id);
    f.byten(m.key, min_cancel_key, max_cancel_key);
  }
  bool operator==(const backend_key_data&) const = default;
};

struct negotiate_protocol_version {
  static constexpr message_info info{'v', direction::backend, "NegotiateProtocolVersion"};
  // The manual says "newest minor version", but servers send, and libpq reads, the whole number: 3 << 16 | minor.
  std::uint32_t newest = 0;
  std::vector<bytes_view> unknown_options;

  static void body(auto& f, auto& m) {
    f.int32(m.newest);
    f.strings32(m.unknown_options);
  }
  bool operator==(const negotiate_protocol_version&) const = default;
};

struct parameter_status {
  static constexpr message_info info{'S', direction::backend, "ParameterStatus"};
  bytes_view name;
  bytes_view value;

  static void body(auto& f, auto& m) {
    f.string(m.name);
    f.string(m.value);
  }
  bool operator==(const parameter_status&) const = default;
};

struct ready_for_query {
  static constexpr message_info info{'Z', direction::backend, "ReadyForQuery"};
  char status = 'I'; // 'I' idle, 'T' in a transaction, 'E' in a failed transaction

  static void body(auto& f, auto& m) { f.byte1(m.status); }
  bool operator==(const ready_for_query&) const = default;
};

// -- backend: results
// --------------------------------------------------------------------------------------------------

struct row_description {
  static constexpr message_info info{'T', direction::backend, "RowDescription"};

  struct field {
    bytes_view name;
    std::uint32_t table = 0;    // OID, or 0 when the column is no table's
    std::int16_t column = 0;    // attribute number in that table
    std::uint32_t type = 0;     // OID
    std::int16_t type_size = 0; // negative: variable
    std::int32_t type_modifier = -1;
    std::int16_t format = 0; // 0 text, 1 binary

    static void body(auto& f, auto& m) {
      f.string(m.name);
      f.int32(m.table);
      f.int16(m.column);
      f.int32(m.type);
      f.int16(m.type_size);
      f.int32(m.type_modifier);
      f.int16(m.format);
    }
    bool operator==(const field&) const = default;
  };

  std::vector<field> fields;

  static void body(auto& f, auto& m) {
    f.list16(m.fields, [](auto& fields, auto& item) { field::body(fields, item); });
  }
  bool operator==(const row_description&) const = default;
};

struct data_row {
  static constexpr message_info info{'D', direction::backend, "DataRow"};
  std::vector<value> values;

  static void body(auto& f, auto& m) { f.list16(m.values, value_item); }
  bool operator==(const data_row&) const = default;
};

struct command_complete {
  static constexpr message_info info{'C', direction::backend, "CommandComplete"};
  bytes_view tag;

  static void body(auto& f, auto& m) { f.string(m.tag); }
  bool operator==(const command_complete&) const = default;
};

struct empty_query_response {
  static constexpr message_info info{'I', direction::backend, "EmptyQueryResponse"};
  static void body(auto&, auto&) {}
  bool operator==(const empty_query_response&) const = default;
};

struct error_response {
  static constexpr message_info info{'E', direction::backend, "ErrorResponse"};
  std::vector<response_field> fields; // in the order of the wire

  static void body(auto& f, auto& m) { f.response_fields(m.fields); }
  bool operator==(const error_response&) const = default;
};

struct notice_response {
  static constexpr message_info info{'N', direction::backend, "NoticeResponse"};
  std::vector<response_field> fields;

  static void body(auto& f, auto& m) { f.response_fields(m.fields); }
  bool operator==(const notice_response&) const = default;
};

struct notification_response {
  static constexpr message_info info{'A', direction::backend, "NotificationResponse"};
  std::int32_t process_id = 0;
  bytes_view channel;
  bytes_view payload;

  static void body(auto& f, auto& m) {
    f.int32(m.process_id);
    f.string(m.channel);
    f.string(m.payload);
  }
  bool operator==(const notification_response&) const = default;
};

struct function_call_response {
  static constexpr message_info info{'V', direction::backend, "FunctionCallResponse"};
  value result;

  static void body(auto& f, auto& m) { f.sized(m.result); }
  bool operator==(const function_call_response&) const = default;
};

// -- backend: extended query
// -------------------------------------------------------------------------------------------

struct parse_complete {
  static constexpr message_info info{'1', direction::backend, "ParseComplete"};
  static void body(auto&, auto&) {}
  bool operator==(const parse_complete&) const = default;
};

struct bind_complete {
  static constexpr message_info info{'2', direction::backend, "BindComplete"};
  static void body(auto&, auto&) {}
  bool operator==(const bind_complete&) const = default;
};

struct close_complete {
  static constexpr message_info info{'3', direction::backend, "CloseComplete"};
  static void body(auto&, auto&) {}
  bool operator==(const close_complete&) const = default;
};

struct no_data {
  static constexpr message_info info{'n', direction::backend, "NoData"};
  static void body(auto&, auto&) {}
  bool operator==(const no_data&) const = default;
};

struct portal_suspended {
  static constexpr message_info info{'s', direction::backend, "PortalSuspended"};
  static void body(auto&, auto&) {}
  bool operator==(const portal_suspended&) const = default;
};

struct parameter_description {
  static constexpr message_info info{'t', direction::backend, "ParameterDescription"};
  std::vector<std::uint32_t> types; // OIDs

  static void body(auto& f, auto& m) { f.list16(m.types, int32_item); }
  bool operator==(const parameter_description&) const = default;
};

// -- backend: COPY
// -----------------------------------------------------------------------------------------------------

/// The body CopyInResponse, CopyOutResponse and CopyBothResponse share.
struct copy_response {
  std::uint8_t format = 0; // 0 text, 1 binary
  std::vector<std::int16_t> column_formats;

  static void body(auto& f, auto& m) {
    f.int8(m.format);
    f.list16(m.column_formats, int16_item);
  }
  bool operator==(const copy_response&) const = default;
};

struct copy_in_response : copy_response {
  static constexpr message_info info{'G', direction::backend, "CopyInResponse"};
  bool operator==(const copy_in_response&) const = default;
};

struct copy_out_response : copy_response {
  static constexpr message_info info{'H', direction::backend, "CopyOutResponse"};
  bool operator==(const copy_out_response&) const = default;
};

struct copy_both_response : copy_response {
  static constexpr message_info info{'W', direction::backend, "CopyBothResponse"};
  bool operator==(const copy_both_response&) const = default;
};

// -- the table
// ---------------------------------------------------------------------------------------------------------

template <class... M>
struct message_list {
  static constexpr std::size_t size = sizeof...(M);
  static constexpr std::array<message_info, size> infos{M::info...};
  /// Calls f.template operator()<M>() for each message; tests and fuzzers use it to leave none out.
  template <class F>
  static void for_each(F&& f) {
    (f.template operator()<M>(), ...);
  }
};

/// Every message there is. Where several share a type byte and direction ('p', 'R'), the first gives the name.
using all_messages =
    message_list<query, parse, bind, describe, execute, close, flush, sync, function_call, copy_fail, terminate,
                 password_message, sasl_initial_response, sasl_response, gss_response, copy_data, copy_done,
                 authentication_ok, authentication_kerberos_v5, authentication_cleartext_password,
                 authentication_md5_password, authentication_scm_credential, authentication_gss,
                 authentication_gss_continue, authentication_sspi, authentication_sasl, authentication_sasl_continue,
                 authentication_sasl_final, backend_key_data, negotiate_protocol_version, parameter_status,
                 ready_for_query, row_description, data_row, command_complete, empty_query_response, error_response,
                 notice_response, notification_response, function_call_response, parse_complete, bind_complete,
                 close_complete, no_data, portal_suspended, parameter_description, copy_in_response, copy_out_response,
                 copy_both_response>;

inline constexpr const auto& message_infos = all_messages::infos;

/// The row of a type byte a client (or server) may send, or nullptr when there is no such message. CopyData and
/// CopyDone are found in both directions.
const message_info* frontend_info(char type);
const message_info* backend_info(char type);

/// The manual's name of a message, for logs and errors; "unknown" when there is none. 'R' and 'p' give "Authentication"
/// and "PasswordMessage", since the type byte alone does not tell more.
std::string_view frontend_name(char type);
std::string_view backend_name(char type);

// -- encode and decode
// -------------------------------------------------------------------------------------------------

template <class M>
concept message = requires {
  { M::info } -> std::convertible_to<message_info>;
};

/// Appends the whole frame: type byte, length, body. The caller keeps the body below max_frame_length.
template <message M>
void append(bytes& out, const M& m) {
  out.push_back(M::info.type);
  const std::size_t length_at = out.size();
  put_u32(out, 0);
  field_writer fields(out);
  M::body(fields, m);
  store_u32(out.data() + length_at, static_cast<std::uint32_t>(out.size() - length_at));
}

template <message M>
bytes encode(const M& m) {
  bytes out;
  append(out, m);
  return out;
}

/// Reads a body (without the five header bytes). nullopt when a field is missing or wrong, or when bytes are left over.
/// The views of the result point into `body`.
template <message M>
std::optional<M> decode(bytes_view body) {
  M m;
  field_reader fields(body);
  M::body(fields, m);
  if (!fields.complete()) return std::nullopt;
  return m;
}

/// Finds one field ('C' is the SQLSTATE, 'M' the message) of an ErrorResponse or NoticeResponse body without
/// allocating; empty when it is absent or the body is cut short before it.
bytes_view error_field(bytes_view error_body, char field);

} // namespace pg_edge::protocol
