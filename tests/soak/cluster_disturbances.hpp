// What disturbs the soak of a cluster: nodes that are killed, frozen, drained or cut off, a Postgres and a store that
// go away, reloads.
#pragma once

#include "tests/soak/cluster_world.hpp"

namespace pg_edge::soak {

/// One disturbance after the other, some two at a time, with a pause and a look at all promises behind each; until the
/// run stops, or something does not come back.
void disturb_cluster(cluster_run& all);

} // namespace pg_edge::soak
