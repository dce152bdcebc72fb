// The cluster's events in the log: a row each. Operators search for these names: they do not change.
#pragma once

#include "actors/log.hpp"

#include <array>
#include <initializer_list>

namespace pg_edge::actors {

struct cluster_event {
  std::string_view name, help, fields;
};

using cluster_event_list = std::array<const cluster_event*, 10>;

namespace cluster_events {
inline constexpr cluster_event view{"cluster_view", "the nodes have agreed on who is in the cluster", "epoch members"};
inline constexpr cluster_event connected{"node_connected", "another node and this one can speak to each other",
                                         "address node"};
inline constexpr cluster_event lost{"node_lost", "the connection to another node has ended", "address node reason"};
inline constexpr cluster_event refused{"node_refused", "another node cannot be in this cluster, or says so of us",
                                       "address node reason"};
inline constexpr cluster_event fenced{
    "node_fenced", "this node's life in the cluster has ended: it closes every server and begins anew", "reason"};
inline constexpr cluster_event awaited{"permits_awaited", "a dead node's permits stay out for the time being",
                                       "node tenant database user ended unknown reason"};
inline constexpr cluster_event recovered{"permits_recovered", "a dead node's backends are gone",
                                         "node tenant database user seconds"};
inline constexpr cluster_event waits{"node_waits", "this node is not in the cluster for the time being, and why",
                                     "reason"};
inline constexpr cluster_event drain_unheard{
    "drain_unheard", "a node that was asked to drain has not begun to: ask again", "node seconds"};
inline constexpr cluster_event takeover{"cluster_takeover", "one cluster takes over another's tenants, step by step",
                                        "from to step detail by"};
inline constexpr cluster_event_list all{&view,    &connected, &lost,  &refused,       &fenced,
                                        &awaited, &recovered, &waits, &drain_unheard, &takeover};
} // namespace cluster_events

/// As log(); defined beside it.
void log(level severity, const cluster_event& event, std::initializer_list<field> fields) noexcept;

} // namespace pg_edge::actors
