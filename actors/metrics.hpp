// The metrics actor: once a second it has the reactors' meters read and keeps what they say over time, for the console,
// the admin API and Prometheus. It runs on CAF's scheduler and asks nothing of the tree of pools.
//
//            .------------- a second later ------------.
//   resting -'--> reading --(every reactor has said)--> ledgers ticked, questions answered --> resting
//   a question reads the meters at once, so that its answer is of now; a reactor that does not say is not waited for
//   longer than metrics_patience
#pragma once

#include "actors/metrics_handle.hpp"
#include "actors/node_figures.hpp"
#include "actors/throughput_ledger.hpp"

#include <caf/actor_system.hpp>

namespace pg_edge::actors {

class node_context;

inline constexpr std::chrono::milliseconds metrics_patience{2000};

struct ask_throughput {
  throughput_question question;
};
struct throughput_answer {
  std::vector<throughput_row> rows;
};

struct ask_figures {};
struct figures_answer {
  std::vector<error_figures> errors;
  std::vector<reactor_figures> reactors;
};

struct ask_metrics_page {};
/// In Prometheus's text format, see metrics_content_type.
struct metrics_page {
  std::string text;
};

/// Starts it. `node` must outlive it and have its reactors.
metrics_actor spawn_metrics(caf::actor_system& system, node_context& node);

/// The one of this node, from the registry of its actor system; null: it has none, or not any more.
metrics_actor find_metrics(const node_context& node);
/// Ends it.
void stop_metrics(const node_context& node);

} // namespace pg_edge::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::ask_throughput)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::throughput_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::ask_figures)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::figures_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::ask_metrics_page)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::metrics_page)
