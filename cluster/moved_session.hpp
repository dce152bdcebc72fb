// A client's half of its conversation as a record for another process, and back. Only what is true between two
// transactions with nothing sent and nothing owed travels; the rest is as after a login.
#pragma once

#include "cluster/handover.hpp"
#include "protocol/sessions.hpp"

namespace pg_edge::cluster {

/// Nothing is open, begun or half read, so that the record says all there is.
[[nodiscard]] bool can_move(const protocol::client_session& session);

[[nodiscard]] moved_session record_of(protocol::client_session& session);

/// `into` is new; its rules are set already, and `cache` is the pool's. Texts are shared with other clients at once.
/// The client counts as having parsed its statements now: no server of this process may show it an older plan's error.
void restore(const moved_session& record, protocol::statement_cache& cache, protocol::client_session& into);

} // namespace pg_edge::cluster
