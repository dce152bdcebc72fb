// What disturbs a soak while its loads run: networks that fail, Postgres that restarts, settings that change.
#pragma once

#include "tests/soak/run.hpp"

namespace pg_edge::soak {

/// Switches faults of both proxies on and off at random until the run stops.
void disturb_networks(run& all);
/// Restarts Postgres in every way until the run stops, and leaves it running.
void disturb_postgres(run& all);
/// Changes a pool's size by reloads.
void disturb_settings(run& all);

} // namespace pg_edge::soak
