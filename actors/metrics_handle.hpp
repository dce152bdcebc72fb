// The handle of the metrics actor, apart from what it answers with: nearly everything includes it, few ask.
#pragma once

#include <caf/typed_actor.hpp>

namespace pg_edge::actors {

struct ask_throughput;
struct throughput_answer;
struct ask_figures;
struct figures_answer;
struct ask_metrics_page;
struct metrics_page;
struct meter_reading;

/// ask_throughput  : rows of SHOW THROUGHPUT
/// ask_figures     : of errors and reactors
/// ask_metrics_page: what Prometheus reads, of this moment
/// meter_reading   : from a reactor
using metrics_actor =
    caf::typed_actor<caf::replies_to<ask_throughput>::with<throughput_answer>,
                     caf::replies_to<ask_figures>::with<figures_answer>,
                     caf::replies_to<ask_metrics_page>::with<metrics_page>, caf::reacts_to<meter_reading>>;

} // namespace pg_edge::actors
