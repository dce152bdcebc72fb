// Every error pg_edge itself sends to a client, once, as a table. An operator who meets one reads what happened, why,
// and what to do; a driver reads a SQLSTATE that never calls an unknown outcome safe to retry.
#pragma once

#include "protocol/bytes.hpp"

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace pg_edge::protocol {

/// One name a row of the table in errors.cpp, in the same order.
enum class error_code : std::uint8_t {
  // start-up
  startup_packet_invalid,  // {0} what is wrong with it
  startup_packet_too_long, // {0} its length, {1} the limit
  unsupported_protocol,    // {0} the version asked for
  invalid_options,         // {0} the text parse_options gave
  ssl_required,
  proxy_not_trusted,    // {0} address, {1} listener
  proxy_header_missing, // {0} listener
  // login
  no_user_name,
  no_such_database,         // {0} database
  password_failed,          // {0} user
  password_failed_signs,    // {0} user, {1} all that could name its tenant
  tenant_conflict,          // {0} a tenant and how it was named, {1} another one
  address_not_allowed,      // {0} address, {1} user, {2} database
  tenant_banned,            // {0} tenant, user or address, {1} until when and why
  too_many_failures,        // {0} user, {1} address, {2} seconds
  not_allowed,              // {0} user, {1} database
  hba_no_entry,             // {0} host, {1} user, {2} database, {3} encryption
  hba_no_entry_replication, // {0} host, {1} user, {2} encryption
  hba_reject,               // as hba_no_entry
  hba_reject_replication,   // as hba_no_entry_replication
  certificate_required,
  certificate_failed,    // {0} user
  peer_failed,           // {0} user
  trust_failed,          // {0} user
  invalid_auth_response, // {0} what is wrong with it
  scram_binding_negotiation,
  scram_binding_failed,
  pam_failed,           // {0} user
  client_login_timeout, // {0} seconds
  lookup_failed,        // {0} user
  database_disabled,    // {0} database
  // limits and the queue
  too_many_clients,   // {0} setting, {1} its value, {2} where it is set
  client_limit,       // the same
  too_many_pools,     // the same
  pam_busy,           // {0} logins that wait
  query_wait_timeout, // {0} seconds, {1} the pool, {2} where it is set, {3} limit in the way, {4} where that is set
  query_wait_timeout_away,   // {0} to {2} as query_wait_timeout, {3} why no server can be opened
  query_wait_timeout_paused, // {0} seconds, {1} the database, {2} where it is set
  canceled_while_waiting,
  prepared_statement_too_large, // {0} bytes, {1} the limit
  names_too_long,               // {0} the limit in bytes
  message_too_long,             // {0} bytes, {1} the limit
  too_many_logins,              // {0} the limit
  too_many_waiting,             // {0} the pool, {1} the limit, {2} where it is set
  too_many_waiting_at_login,    // the same
  too_many_statements,          // {0} the limit
  statements_too_large,         // {0} bytes, {1} the limit
  client_memory,                // {0} bytes, {1} the limit
  memory_refused,               // {0} memory_limit, {1} bytes in use
  memory_shed,                  // {0} bytes the client takes, {1} memory_limit
  memory_shed_unknown,          // the same
  // time-outs
  query_timeout,               // {0} seconds
  idle_transaction_timeout,    // {0} seconds
  transaction_timeout,         // {0} seconds
  transaction_timeout_unknown, // {0} seconds
  client_idle_timeout,         // {0} seconds
  // the server's side
  server_connect_failed, // {0} host:port, {1} reason
  server_login_failed,   // {0} host:port, {1} what is missing or refused: trying again does not mend it
  server_lost_idle,      // {0} reason or the server's own last message
  server_replaced,
  server_lost,     // {0} reason or the server's own last message
  server_protocol, // {0} what the server sent
  // the client's messages
  invalid_message_type,   // {0} the type byte as a number
  invalid_message_length, // {0} message name, {1} the length
  invalid_message_format, // {0} message name
  unexpected_in_copy,     // {0} the type byte in two hexadecimal digits
  transaction_in_statement_mode,
  no_such_statement, // {0} name
  no_unnamed_statement,
  statement_exists, // {0} name
  // the node and its console
  shutting_down,
  tenant_closed,         // {0} why
  tenant_closed_unknown, // {0} why
  killed,
  killed_unknown,
  not_accepting,
  console_syntax,      // {0} what was not understood
  console_permission,  // {0} user, {1} command
  console_unsupported, // {0} what was tried
  console_failed,      // {0} command, {1} why
  console_no_such,     // {0} "database" or "tenant", {1} its name
  console_refused,     // {0} why
  console_ended,       // {0} what ended a command that waited, {1} what that means
  internal,            // {0} what happened
};

struct error_row {
  error_code code;
  std::string_view name; // as in error_code: for logs and metrics
  std::string_view sqlstate;
  std::string_view severity; // "ERROR": the session goes on; "FATAL": pg_edge closes it after this
  std::string_view message;  // {0}, {1}, {2} stand for arguments; the same in hint
  std::string_view hint;
};

/// All rows, in the order of error_code.
std::span<const error_row> error_rows();

const error_row& row_of(error_code code);

inline bool is_fatal(error_code code) {
  return row_of(code).severity == "FATAL";
}

/// `text` with {0} to {9} replaced by the arguments; a placeholder without one becomes "?".
std::string fill_in(std::string_view text, std::initializer_list<std::string_view> args);

/// Why something is refused: a row and its arguments, for where the answer is given elsewhere than decided.
struct refusal {
  error_code code = error_code::internal;
  std::vector<std::string> args; // no such row has more than two

  std::string text() const;
  /// The whole ErrorResponse.
  bytes response() const;
  bool operator==(const refusal&) const = default;
};

/// The message of an error with its arguments in place, without the hint: for the log.
std::string error_text(error_code code, std::initializer_list<std::string_view> args = {});

/// A whole ErrorResponse frame: severity (S, V), SQLSTATE (C), message (M), hint (H).
bytes make_error(error_code code, std::initializer_list<std::string_view> args = {});

/// A whole NoticeResponse frame of severity NOTICE and SQLSTATE 00000; an empty hint is left out.
bytes make_notice(std::string_view message, std::string_view hint = {});

} // namespace pg_edge::protocol
