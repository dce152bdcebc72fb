// The rules of relaying: which bytes of a client go to its server, what the server owes for them, and which bytes of
// the server go to the client. It exists so that pooling, prepared statements, pipelines, COPY and the pooler's own
// queries are decided in one pure place, tested with bytes.
//
//   client bytes --> from_client --> to_server        client without a server: from_client answers what needs none and
//        ^                |                            says `need_server` at the first message that does
//        |                v
//   to_client <-- from_server <-- server bytes        server.owed: one entry for each reply still to come, in order
//
// A server is `ready` to be given back when it owes nothing, is outside a transaction, and no part of a message is on
// its way to it.
#pragma once

#include "protocol/errors.hpp"
#include "protocol/gather.hpp"
#include "protocol/sessions.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pg_edge::protocol {

enum class client_verdict {
  more,        // all is used up but perhaps the beginning of a message: feed again, with more behind it
  need_server, // the next message needs a server
  wait,        // the next message must wait until the server owes nothing
  terminate,   // the client said goodbye
  broken       // not the protocol, or beyond a limit: `why` says what, and the connection ends
};

struct client_step {
  std::size_t consumed = 0;
  client_verdict verdict = client_verdict::more;
  refusal why;
};

/// Takes what the client sent. `server` is null while none is checked out. Bytes are borrowed from `in`.
client_step from_client(client_session& client, server_session* server, bytes_view in, gather& to_server,
                        gather& to_client);

/// Whether the first message is all here and of the kinds that most transactions begin with, all of which need a
/// server: then from_client need not be asked without one first.
bool begins_with_query(const client_session& client, bytes_view in);

struct server_step {
  std::size_t consumed = 0;
  bool ready = false;               // the server can be given back; the rest of `in` was not looked at
  bool own_done = false;            // the pooler's own query is answered; own_error tells whether it failed
  bool replied = false;             // at least one ReadyForQuery went to the client
  bool transaction_refused = false; // one is open in statement mode; the client has not been told yet
  bool drained = false;             // the server owes nothing now: a client that was told to wait may go on
  bool broken = false;              // the server said what it cannot: close it
  std::string reason;
};

/// Takes what the server sent. `client` is null while the server is nobody's.
server_step from_server(server_session& server, client_session* client, bytes_view in, gather& to_client,
                        gather& to_server);

/// Sends what tells whether the server has ignored a Sync during a COPY or will still answer it. For the rules' own
/// use.
void probe_stray_sync(server_session& server, gather& to_server);

/// Whether the server may be given back as far as both halves know.
bool releasable(const server_session& server, const client_session& client);

/// Sends a query of the pooler's own; from_server says `own_done` when it is answered.
void ask(server_session& server, std::string_view sql, gather& to_server);

/// Whether the server has the client's parameters, as nearly always: restoring_sql() would be empty.
inline bool same_parameters(const server_session& server, const client_session& client) {
  return server.values == client.values && server.profile == client.profile;
}

/// The SQL that gives the server the client's parameters; empty if it has them.
std::string restoring_sql(server_session& server, const client_session& client);

/// To be called when that query has succeeded.
void note_restored(server_session& server, client_session& client);

/// The query that takes away what was done to the server, empty if there is nothing to do, nullopt if only closing the
/// server does it. `reset_query` is server_reset_query; `always`: even if nothing is known to have been done.
std::optional<std::string> resetting_sql(const server_session& server, std::string_view reset_query, bool always);

/// To be called when that query has succeeded.
void note_reset(server_session& server);

/// Answers the client's next message with an error instead of a server's reply, and skips what belongs to it. `in`
/// starts at that message; returns the bytes used up. `error` is a whole ErrorResponse.
std::size_t refuse_next(client_session& client, bytes_view in, bytes_view error, gather& to_client);

} // namespace pg_edge::protocol
