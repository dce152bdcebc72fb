// The relay of clients between nodes, as a whole: this node serves the clients that others bring, and passes on cancel
// requests that mean a client of another node. Who decides which node that is gives it to node_links.
#pragma once

#include "actors/node_context.hpp"

#include <caf/allowed_unsafe_message_type.hpp>

#include <string>
#include <vector>

namespace pg_edge::actors {

/// Opens the address for the links of other nodes and serves what comes on them. Returns who listens (close_server ends
/// it), or nobody, and why. The identity is in force from now on, also for links that this node dials.
std::vector<caf::actor> serve_other_nodes(node_context& node, link_identity self, const std::string& address, int port,
                                          std::string& error);

/// To the surveyor of each reactor while the node stops: the clients of other nodes there are to go on elsewhere; those
/// of this node that are relayed are ended, too, if `own`.
struct end_relayed_clients {
  bool own = false;
};

/// To the surveyor of each reactor: pools may live elsewhere now, so clients that are relayed look where theirs does.
struct places_changed {};

} // namespace pg_edge::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::places_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::end_relayed_clients)
