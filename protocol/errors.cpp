#include "protocol/errors.hpp"

#include "protocol/messages.hpp"

namespace pg_edge::protocol {

namespace {

using enum error_code;

constexpr std::string_view error = "ERROR";
constexpr std::string_view fatal = "FATAL";

// Where Postgres or pgbouncer has an error for the same thing, its wording and SQLSTATE are kept: drivers and people
// know them. A SQLSTATE that drivers retry on (53300, 57P01, 57P03, 25P0x, 57014) is used only where it is certain that
// nothing was or will be committed; 08006 says that nobody knows.
constexpr error_row rows[] = {
    // -- start-up
    {startup_packet_invalid, "startup_packet_invalid", "08P01", fatal, "invalid startup packet: {0}",
     "The peer does not speak the Postgres protocol as pg_edge knows it; check that host and port are meant for it."},
    {startup_packet_too_long, "startup_packet_too_long", "08P01", fatal,
     "invalid length of startup packet: {0} bytes, the limit is {1}",
     "Shorten the start-up parameters, \"options\" above all, or SET them after connecting."},
    {unsupported_protocol, "unsupported_protocol", "0A000", fatal,
     "unsupported frontend protocol {0}: server supports 3.0 to 3.2",
     "Use a driver that speaks protocol 3 (Postgres 7.4 or newer)."},
    {invalid_options, "invalid_options", "42601", fatal, "{0}",
     "The start-up parameter \"options\" takes settings as -c name=value or --name=value."},
    {ssl_required, "ssl_required", "28000", fatal, "SSL required",
     "This listener takes encrypted connections only; connect with sslmode=require or stronger."},
    {proxy_not_trusted, "proxy_not_trusted", "28000", fatal,
     "connections from {0} are not accepted by listener \"{1}\": it takes them from its proxies only",
     "Connect to the proxy, or add the address to proxy_protocol_from in [listeners.{1}]."},
    {proxy_header_missing, "proxy_header_missing", "08P01", fatal,
     "listener \"{0}\" expects a PROXY protocol version 2 header first",
     "Turn on \"send-proxy-v2\" in the proxy, or take proxy_protocol out of [listeners.{0}]."},
    // -- login
    {no_user_name, "no_user_name", "28000", fatal, "no PostgreSQL user name specified in startup packet",
     "Give a user in the connection string."},
    {no_such_database, "no_such_database", "3D000", fatal, "database \"{0}\" does not exist",
     "Add it to the [databases] of pg_edge, or connect to one that is there."},
    // The same for a wrong password and an unknown user: the answer must not tell which users exist.
    {password_failed, "password_failed", "28P01", fatal, "password authentication failed for user \"{0}\"",
     "Check user name and password as pg_edge knows them."},
    // The same whether the tenants exist or not, and whether they are two: it must not tell that either.
    {password_failed_signs, "password_failed_signs", "28P01", fatal, "password authentication failed for user \"{0}\"",
     "Check user name and password. The tenant could be told by more than one thing: {1}. Where these mean different "
     "tenants the connection is refused; name only one."},
    {tenant_conflict, "tenant_conflict", "28000", fatal, "connection names two tenants: {0} and {1}",
     "Name only one of them."},
    {address_not_allowed, "address_not_allowed", "28000", fatal,
     "no entry in allowed_addresses for host \"{0}\", user \"{1}\", database \"{2}\"",
     "Connect from a network that the tenant's allowed_addresses contains, or have yours added."},
    {tenant_banned, "tenant_banned", "28000", fatal, "{0} is banned{1}",
     "Nobody gets in until the ban ends. Ask those who run pg_edge; SHOW BANS on its console lists bans."},
    {too_many_failures, "too_many_failures", "28000", fatal,
     "too many failed logins for user \"{0}\" from {1}: try again in {2} s",
     "The password was not looked at. Correct it before the next attempt; the limit is auth_failure_limit."},
    {not_allowed, "not_allowed", "28000", fatal, "user \"{0}\" is not allowed to connect to database \"{1}\"",
     "The configuration of pg_edge does not let this user in here."},
    {hba_no_entry, "hba_no_entry", "28000", fatal,
     "no pg_hba.conf entry for host \"{0}\", user \"{1}\", database \"{2}\", {3}",
     "The rules are those of pg_edge's auth_hba_file; the first one that fits decides."},
    {hba_no_entry_replication, "hba_no_entry_replication", "28000", fatal,
     "no pg_hba.conf entry for replication connection from host \"{0}\", user \"{1}\", {2}",
     "The rules are those of pg_edge's auth_hba_file; only the database field \"replication\" means this."},
    {hba_reject, "hba_reject", "28000", fatal,
     "pg_hba.conf rejects connection for host \"{0}\", user \"{1}\", database \"{2}\", {3}",
     "The rules are those of pg_edge's auth_hba_file; the first one that fits decides."},
    {hba_reject_replication, "hba_reject_replication", "28000", fatal,
     "pg_hba.conf rejects replication connection for host \"{0}\", user \"{1}\", {2}",
     "The rules are those of pg_edge's auth_hba_file; the first one that fits decides."},
    {certificate_required, "certificate_required", "28000", fatal, "connection requires a valid client certificate",
     "Connect over TLS with sslcert and sslkey, with a certificate signed by the authority in client_tls_ca_file."},
    {certificate_failed, "certificate_failed", "28000", fatal, "certificate authentication failed for user \"{0}\"",
     "The name in the client certificate must be the user, or be mapped to it in auth_ident_file."},
    {peer_failed, "peer_failed", "28000", fatal, "Peer authentication failed for user \"{0}\"",
     "On the Unix socket the system user must be the user, or be mapped to it in auth_ident_file."},
    {trust_failed, "trust_failed", "28000", fatal, "\"trust\" authentication failed for user \"{0}\"",
     "The name in the client certificate must be the user."},
    {invalid_auth_response, "invalid_auth_response", "08P01", fatal, "malformed authentication message: {0}",
     "The client's answer does not follow the protocol; suspect the driver."},
    {scram_binding_negotiation, "scram_binding_negotiation", "28000", fatal, "SCRAM channel binding negotiation error",
     "The client supports SCRAM channel binding but thinks the server does not.  However, this server does support "
     "channel binding. Somebody may stand between the two."},
    {scram_binding_failed, "scram_binding_failed", "28000", fatal, "SCRAM channel binding check failed",
     "The client has seen another certificate than pg_edge's: it reached pg_edge through something that ends TLS."},
    {pam_failed, "pam_failed", "28000", fatal, "PAM authentication failed for user \"{0}\"",
     "Check user name and password. What PAM said stands in the log of pg_edge, at the event client_login_failed."},
    // Not 57014, which Postgres has for this: drivers take it for a query that was cancelled.
    {client_login_timeout, "client_login_timeout", "57P05", fatal,
     "terminating connection because the login was not finished within {0} s",
     "The limit is client_login_timeout; look for a client that hangs between start-up and password."},
    // What went wrong with auth_query is the operator's to know, and stands in the log.
    {lookup_failed, "lookup_failed", "58000", fatal, "could not check user \"{0}\"",
     "The log of pg_edge says what was wrong with its auth_query, at the event user_lookup_failed."},
    // Postgres's SQLSTATE for a database whose datallowconn is off, with pgbouncer's text.
    {database_disabled, "database_disabled", "55000", fatal, "database \"{0}\" is disabled",
     "DISABLE was given on the admin console of pg_edge; ENABLE lets clients in again."},
    // -- limits and the queue
    {too_many_clients, "too_many_clients", "53300", fatal, "sorry, too many clients already: {0} is {1}",
     "Close idle clients, or raise {0} in {2}."},
    {client_limit, "client_limit", "53300", fatal, "client connections exceeded ({0} is {1})",
     "Close idle clients, or raise {0} in {2}."},
    {too_many_pools, "too_many_pools", "53300", fatal, "too many pools already: {0} is {1}",
     "Each database and server user of a tenant has a pool of its own, and every pool has clients. Close those of one "
     "that is not needed, or raise {0} in {2}."},
    {pam_busy, "pam_busy", "53300", fatal, "too many logins are waiting for PAM: the limit is {0}",
     "Try again. If it lasts, look for a PAM module that is slow: its service is named by auth_pam_service or in the "
     "HBA rule."},
    // 53300, not pgbouncer's 08P01: no server connection was free, which is nobody's protocol error, and since the
    // query
    // never left pg_edge a retry is safe. FATAL since the client's later messages depend on the one that was refused.
    {query_wait_timeout, "query_wait_timeout", "53300", fatal,
     "query_wait_timeout: no server connection of pool {1} became free within {0} s",
     "Nothing was sent to the server. query_wait_timeout is set in {2}; servers are limited by {3}, set in {4}. Look "
     "for long transactions there before raising either."},
    // What Postgres itself says while it starts or stops. Nothing has reached it, so a retry is safe here too.
    {query_wait_timeout_away, "query_wait_timeout_away", "57P03", fatal,
     "query_wait_timeout: no server connection of pool {1} became free within {0} s",
     "Nothing was sent to the server: no further connection to it can be opened, {3}. query_wait_timeout is set in "
     "{2}."},
    {query_wait_timeout_paused, "query_wait_timeout_paused", "53300", fatal,
     "query_wait_timeout: database \"{1}\" is paused and was not resumed within {0} s",
     "Nothing was sent to the server. query_wait_timeout is set in {2}; PAUSE or KILL was given on the admin console "
     "of "
     "pg_edge, and RESUME lets queries go on."},
    {canceled_while_waiting, "canceled_while_waiting", "57014", error, "canceling statement due to user request",
     "The statement was still waiting for a server connection; it was not run."},
    {prepared_statement_too_large, "prepared_statement_too_large", "54000", error,
     "prepared statement of {0} bytes is too large, the limit is {1}",
     "Send large values as parameters, or the statement without a name."},
    {names_too_long, "names_too_long", "54000", error, "the names in a Bind message are longer than {0} bytes",
     "Give portals and statements shorter names."},
    {message_too_long, "message_too_long", "54000", fatal, "message of {0} bytes is too long: max_packet_size is {1}",
     "Raise max_packet_size in [pg_edge], or send the value in parts."},
    {too_many_logins, "too_many_logins", "53300", fatal,
     "terminating connection: too many connections are logging in, and this one has taken longest",
     "At most {0} may be under way on one reactor. Look for clients that connect and say nothing."},
    // 53300: the statement never left pg_edge, and a moment later there may be room.
    {too_many_waiting, "too_many_waiting", "53300", error,
     "too many clients wait for a server connection of pool {0}: max_waiting_clients is {1}",
     "Nothing was sent to the server. Try again in a moment; max_waiting_clients is set in {2}."},
    {too_many_waiting_at_login, "too_many_waiting_at_login", "53300", fatal,
     "too many clients wait for a server connection of pool {0}: max_waiting_clients is {1}",
     "Nothing was sent to the server. Connect again in a moment; max_waiting_clients is set in {2}."},
    {too_many_statements, "too_many_statements", "53400", error,
     "too many prepared statements: max_client_statements is {0}",
     "Close statements that are not needed any more, or raise max_client_statements in [pg_edge]."},
    {statements_too_large, "statements_too_large", "53200", error,
     "out of memory: with this statement the client would need {0} bytes, and max_client_memory is {1}",
     "Close statements that are not needed any more, or raise max_client_memory in [pg_edge]."},
    {client_memory, "client_memory", "53200", fatal,
     "out of memory: the client needs {0} bytes, and max_client_memory is {1}",
     "Send large statements without a name, or raise max_client_memory in [pg_edge]."},
    {memory_refused, "memory_refused", "53200", fatal, "out of memory: no new clients while memory_limit is reached",
     "pg_edge uses {1} bytes; memory_limit is {0}, set in [pg_edge]. Connect again later, or to another node."},
    {memory_shed, "memory_shed", "53200", fatal,
     "terminating connection because of memory shortage: the client needs {0} bytes, more than others",
     "No statement was running and no transaction was open. pg_edge is above its memory_limit of {1} bytes, set in "
     "[pg_edge]."},
    {memory_shed_unknown, "memory_shed_unknown", "08006", fatal,
     "terminating connection because of memory shortage: the client needs {0} bytes, more than others; whether its "
     "last statement took effect is unknown",
     "A statement or transaction was under way. pg_edge is above its memory_limit of {1} bytes, set in [pg_edge]."},
    // -- time-outs
    // pg_edge cancels the statement and closes the server, but may not see which of the two came first.
    {query_timeout, "query_timeout", "08006", fatal,
     "query_timeout: no answer within {0} s; whether the statement took effect is unknown",
     "Check before repeating it. The limit is query_timeout; prefer statement_timeout, which Postgres enforces "
     "exactly."},
    {idle_transaction_timeout, "idle_transaction_timeout", "25P03", fatal,
     "terminating connection due to idle-in-transaction timeout",
     "The transaction was idle for {0} s and is rolled back. The limit is idle_transaction_timeout."},
    {transaction_timeout, "transaction_timeout", "25P04", fatal, "terminating connection due to transaction timeout",
     "The transaction was open for {0} s and is rolled back. The limit is transaction_timeout."},
    // While a statement runs it may be the COMMIT itself, so a rollback cannot be promised.
    {transaction_timeout_unknown, "transaction_timeout_unknown", "08006", fatal,
     "transaction_timeout: the transaction lasted over {0} s; whether it was committed is unknown",
     "A statement was running when the limit, transaction_timeout, was reached. Check before repeating it."},
    {client_idle_timeout, "client_idle_timeout", "57P05", fatal, "terminating connection due to idle-session timeout",
     "The client was idle for {0} s, outside a transaction. The limit is client_idle_timeout."},
    // -- the server's side
    {server_connect_failed, "server_connect_failed", "08001", fatal, "cannot connect to server {0}: {1}",
     "Nothing was sent to the server. Check that it runs and is reachable from the pg_edge host."},
    // 28000: it is the configuration that has to change, or somebody has to log in first.
    {server_login_failed, "server_login_failed", "28000", fatal, "login to server {0} failed: {1}",
     "No query was sent to the server. Check the user and password pg_edge has for this database."},
    {server_lost_idle, "server_lost_idle", "57P01", fatal, "server connection lost: {0}",
     "No statement was running and no transaction was open; connect again."},
    {server_replaced, "server_replaced", "57P01", fatal,
     "terminating connection because its server connection is to be replaced",
     "The target of the pool changed or RECONNECT was given, and server_fast_close is on or this is replication. "
     "Connect again."},
    {server_lost, "server_lost", "08006", fatal,
     "server connection lost while a statement or transaction was open: {0}; whether it took effect is unknown",
     "Check before repeating it; look in the server's log for the reason."},
    {server_protocol, "server_protocol", "08006", fatal,
     "server broke the protocol: {0}; whether the statement took effect is unknown",
     "Check before repeating it, and report this: pg_edge did not understand the server."},
    // -- the client's messages
    {invalid_message_type, "invalid_message_type", "08P01", fatal, "invalid frontend message type {0}",
     "Client and pg_edge lost step, so the connection is closed; suspect the driver."},
    {invalid_message_length, "invalid_message_length", "08P01", fatal, "invalid message length",
     "{0} states {1} bytes: client and pg_edge lost step, so the connection is closed; suspect the driver."},
    {invalid_message_format, "invalid_message_format", "08P01", error, "invalid message format",
     "The body of {0} does not have the fields the protocol lists; suspect the driver."},
    {unexpected_in_copy, "unexpected_in_copy", "08P01", fatal, "unexpected message type 0x{0} during COPY from stdin",
     "Only the data and the end of a COPY can come while it runs; suspect the driver."},
    // pgbouncer's text with a SQLSTATE that says what it is: not a protocol error, a feature this mode lacks.
    {transaction_in_statement_mode, "transaction_in_statement_mode", "0A000", fatal,
     "transaction blocks not allowed in statement pooling mode",
     "Use pool_mode = \"transaction\" for this database or user."},
    {no_such_statement, "no_such_statement", "26000", error, "prepared statement \"{0}\" does not exist",
     "Parse it on this connection first; names are each client's own."},
    {no_unnamed_statement, "no_unnamed_statement", "26000", error, "unnamed prepared statement does not exist",
     "Send Parse with an empty name first."},
    {statement_exists, "statement_exists", "42P05", error, "prepared statement \"{0}\" already exists",
     "Close it first, or use another name."},
    // -- the node and its console
    {shutting_down, "shutting_down", "57P01", fatal, "terminating connection due to administrator command",
     "pg_edge is shutting down; no transaction was open. Connect again."},
    {tenant_closed, "tenant_closed", "57P01", fatal, "terminating connection due to administrator command: {0}",
     "No transaction was open. Ask those who run pg_edge."},
    {tenant_closed_unknown, "tenant_closed_unknown", "08006", fatal,
     "terminating connection due to administrator command: {0}; whether its last statement took effect is unknown",
     "A statement or transaction was under way. Ask those who run pg_edge."},
    {killed, "killed", "57P01", fatal, "terminating connection due to administrator command",
     "KILL or KILL_CLIENT was given on the admin console of pg_edge. No statement was running; an open transaction is "
     "rolled back."},
    // As Postgres's 57P01, this would invite drivers to run the statement once more.
    {killed_unknown, "killed_unknown", "08006", fatal,
     "terminating connection due to administrator command; whether its last statement took effect is unknown",
     "KILL or KILL_CLIENT was given on the admin console of pg_edge while a statement was running. Check before "
     "repeating it."},
    {not_accepting, "not_accepting", "57P03", fatal, "pg_edge is shutting down and takes no new connections",
     "Connect again in a moment, or to another node."},
    {console_syntax, "console_syntax", "42601", error, "invalid command: {0}", "SHOW HELP lists the commands."},
    {console_permission, "console_permission", "42501", error, "user \"{0}\" may not run {1}",
     "Log in as one of admin_users; stats_users may only SHOW."},
    {console_unsupported, "console_unsupported", "0A000", error, "the console does not support {0}",
     "Send console commands without parameters, one at a time."},
    {console_failed, "console_failed", "F0000", error, "{0} failed: {1}", "Nothing was changed."},
    {console_no_such, "console_no_such", "3D000", error, "no such {0}: {1}",
     "SHOW DATABASES lists databases and their tenants. A name alone is a database of the default tenant; those of "
     "others are meant by: database TENANT tenant."},
    {console_refused, "console_refused", "55000", error, "{0}", "Nothing was changed."},
    {console_ended, "console_ended", "57014", error, "{0}",
     "{1}; SHOW STATE and SHOW DATABASES tell what is paused now."},
    {internal, "internal", "XX000", fatal, "internal error: {0}",
     "This is a defect of pg_edge; please report it with the log around this moment."},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < std::size(rows); ++i)
    if (static_cast<std::size_t>(rows[i].code) != i) return false;
  return std::size(rows) == static_cast<std::size_t>(internal) + 1;
}
static_assert(in_order(), "row_of() uses the code as an index");

} // namespace

std::span<const error_row> error_rows() {
  return rows;
}

const error_row& row_of(error_code code) {
  return rows[static_cast<std::size_t>(code)];
}

std::string fill_in(std::string_view text, std::initializer_list<std::string_view> args) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool placeholder =
        text[i] == '{' && i + 2 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '9' && text[i + 2] == '}';
    if (!placeholder) {
      out.push_back(text[i]);
      continue;
    }
    // Arguments are copied, never looked into: a user named "{1}" stays that.
    const auto index = static_cast<std::size_t>(text[i + 1] - '0');
    out.append(index < args.size() ? args.begin()[index] : std::string_view("?"));
    i += 2;
  }
  return out;
}

std::string error_text(error_code code, std::initializer_list<std::string_view> args) {
  return fill_in(row_of(code).message, args);
}

std::string refusal::text() const {
  return error_text(code, {args.empty() ? "" : args[0], args.size() < 2 ? "" : args[1]});
}

bytes refusal::response() const {
  return make_error(code, {args.empty() ? "" : args[0], args.size() < 2 ? "" : args[1]});
}

bytes make_error(error_code code, std::initializer_list<std::string_view> args) {
  const error_row& row = row_of(code);
  const std::string message = fill_in(row.message, args);
  const std::string hint = fill_in(row.hint, args);
  return encode(
      error_response{{{'S', row.severity}, {'V', row.severity}, {'C', row.sqlstate}, {'M', message}, {'H', hint}}});
}

bytes make_notice(std::string_view message, std::string_view hint) {
  notice_response notice{{{'S', "NOTICE"}, {'V', "NOTICE"}, {'C', "00000"}, {'M', message}}};
  if (!hint.empty()) notice.fields.emplace_back('H', hint);
  return encode(notice);
}

} // namespace pg_edge::protocol
