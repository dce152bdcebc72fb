// The actor that makes a node one of several. cluster::node_core decides; this actor asks the store for it, speaks with
// the same actor on other nodes by CAF's network-transparent messages, looks for the backends of dead nodes in
// Postgres, and passes orders to the shares of this node. It has a thread of its own, and so has its store; what the
// store says overtakes everything else in its mailbox: nothing that the node is busy with delays its lease.
//
//   an address:  unknown --(probe: somebody listens)--> connecting --(CAF)--> greeting --(hello answered)--> connected
//                   ^                |                       |                   |                              |
//                   '-- a pause -----'-----------------------'-------------------'---(refused, down or silent) -'
#pragma once

#include "actors/cluster_words.hpp"
#include "actors/node_context.hpp"
#include "cluster/peer_record.hpp"

#include <caf/all.hpp>

#include <string>

namespace pg_edge::actors {

/// What CAF has to know before the actor system is made.
void configure_cluster(caf::actor_system_config& config, const config::cluster_settings& settings);

/// Starts it, and listens for other nodes. Null, and `error` set: nothing runs. `number` is that of this node on links;
/// if it has any, it joins when it is told that they are open.
caf::actor spawn_cluster_node(caf::actor_system& system, node_context& node, const config::cluster_settings& settings,
                              cluster::peer_number number, std::string& error);

/// On a thread of its own: whether somebody accepts connections there; the caller is told address_probed.
void probe_address(caf::event_based_actor* self, const std::string& address);

/// On a thread of its own: asks Postgres for the backends of a dead life, ends those it can name, and tells
/// backends_searched.
struct backend_question {
  cluster::node_core::clearing what;
  std::vector<std::pair<std::int32_t, std::int64_t>> roster; // pid, age in ms
  std::vector<std::int32_t> of_others;
  std::int64_t roster_age_ms = -1; // -1: no roster of it was heard
  std::int64_t departed_ms = 0;
};
void search_backends(caf::event_based_actor* self, node_context& node, backend_question question);

} // namespace pg_edge::actors
