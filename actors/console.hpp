// The admin console: the databases "pgbouncer" and "pg_edge". It answers the commands of console_commands.hpp with
// figures that the gatherer asks the tree of tenants, stewards and shares for.
#pragma once

#include "actors/messages.hpp"
#include "actors/node_context.hpp"

namespace pg_edge::actors {

/// Starts it. `node` must outlive it; node.gatherer and node.node are looked at when they are needed.
console_actor spawn_console(caf::actor_system& system, node_context& node);

} // namespace pg_edge::actors
