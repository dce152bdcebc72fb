// One cluster takes over another's tenants: the actor that runs cluster/succession on a node. It asks the store, counts
// this node's servers, and carries out what follows:
//
//   this cluster gives away   every gate is shut, clients are relayed to the other cluster's nodes
//   this cluster takes over   its pools are told what they must do without; readiness
//   both                      links between nodes of the two clusters are let in
#pragma once

#include "actors/messages.hpp"
#include "actors/objects.hpp"
#include "cluster/succession.hpp"

#include <caf/all.hpp>

#include <string>

namespace pg_edge::actors {

class node_context;

/// A person wants this cluster to take over that one. Answered with takeover_answer.
struct take_over_cluster {
  std::string from;
  author by;
};
/// ... or has changed his mind.
struct abort_takeover {
  author by;
};
struct takeover_answer {
  bool done = false; // it has begun, or was given up
  std::string text;
};
/// Answered with takeover_status.
struct ask_takeover {};
struct takeover_status {
  cluster::succession::status now;
};

/// Before anything serves: what the store said of a take-over when this node read it.
void take_up_succession(node_context& node, const store_content& content);

/// Only on a node with links, in a cluster whose nodes share their pools.
caf::actor spawn_succession(caf::actor_system& system, node_context& node);

} // namespace pg_edge::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::take_over_cluster)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::abort_takeover)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::takeover_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::ask_takeover)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::takeover_status)
