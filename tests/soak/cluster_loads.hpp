// The loads of the soak of a cluster, spread over its nodes.
#pragma once

#include "tests/soak/cluster_world.hpp"

#include <memory>
#include <thread>
#include <vector>

namespace pg_edge::soak {

/// Clients of every pool by every node, who check all answers and come again after an error. Their rows have unique
/// ids.
std::vector<std::unique_ptr<crowd>> gather_crowds(cluster_run& all, unsigned round);

/// Threads until the run stops: pgbench at every node, with a connection for each transaction or with lasting ones; and
/// clients whose cancel requests reach another node than they did.
std::vector<std::thread> start_loads(cluster_run& all, unsigned round);

} // namespace pg_edge::soak
