// Keeps the node below memory_limit. One actor on CAF's scheduler measures the process and decides (cluster/
// memory_guard); one on each reactor tells it who holds what there. Idle, it costs a read of /proc a tenth of a second.
#pragma once

#include "actors/messages.hpp"

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

namespace pg_edge::actors {

class node_context;
class reactor;

/// Ends when it is sent an exit.
caf::actor spawn_memory_watch(caf::actor_system& system, node_context& node);

} // namespace pg_edge::actors
