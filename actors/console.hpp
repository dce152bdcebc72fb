// The admin console: the databases "pgbouncer" and "pg_edge". It answers the commands of console_commands.hpp with
// figures it asks the tree of tenants, stewards and shares for, so that no counter exists twice.
#pragma once

#include "actors/messages.hpp"
#include "actors/node_context.hpp"

namespace pg_edge::actors {

/// How long a part of the tree may take to answer; what does not is missing from the figures.
inline constexpr std::chrono::seconds console_patience{2};

/// Starts it. `node` must outlive it; node.tenants and node.node are looked at when they are needed.
console_actor spawn_console(caf::actor_system& system, node_context& node);

} // namespace pg_edge::actors
