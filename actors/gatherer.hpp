// The gatherer asks the tree of tenants, stewards and shares for what console, admin API and metrics show, so that no
// counter exists twice. It also keeps the totals of shares that have gone and the periods of averages.
//
//   gather_view -> waiting -> (tenants -> stewards -> shares, console -> its clients) -> gathered_view
//
// Who asks while a gathering of the same kind runs shares the next one with all who came by then: however many look,
// each kind is gathered once at a time, and nobody is shown what was gathered before he asked.
#pragma once

#include "actors/messages.hpp"
#include "actors/node_context.hpp"
#include "actors/node_view.hpp"

#include <chrono>

namespace pg_edge::actors {

/// How long a part of the tree may take to answer; what does not is missing from the view.
inline constexpr std::chrono::seconds gatherer_patience{2};
/// How long whoever asks the gatherer waits: for the gathering that runs, then for the own one, four steps each.
inline constexpr std::chrono::seconds view_patience = 8 * gatherer_patience;

/// The parts of a view that nobody need be asked for, but for `stats`.
void look_at_node(node_view& view, const node_context& node);

/// Starts it. `node` must outlive it; node.tenants and node.console are looked at when they are needed.
gatherer_actor spawn_gatherer(caf::actor_system& system, node_context& node);

} // namespace pg_edge::actors
