// The console's commands about the cluster.
#pragma once

#include "actors/console_commands.hpp"

namespace pg_edge::actors {

std::span<const console_command> console_cluster_commands();

} // namespace pg_edge::actors
