// The actor that changes what lives in the store: tenants, databases, users, settings and bans made at run time, and
// the audit log of who did what. One change at a time:
//
//   change_object -> waiting -> looked at (config::plan) -> written, with its line in the audit log, in one commit
//                                  '-> refused                 |-> ok: into force (take_objects to the node) -> done
//                                                              |-> conflict: read anew -> lost
//                                                              '-> unavailable or unknown: nothing changes in the node
//
// Changes by others (another node of the cluster) come by a watch and take effect the same way. A store that cannot be
// used keeps nobody from being served: what is known stays in force, changes are refused with the reason, and it is
// tried again until it works.
//
// While one cluster takes over another (cluster/succession) objects of neither can be changed: a commit holds only if
// the record of the take-over is the one that this actor knows. Once the pools move, the nodes of the cluster that was
// taken over have the objects of the other one.
#pragma once

#include "actors/node_context.hpp"
#include "cluster/store.hpp"
#include "cluster/store_keys.hpp"
#include "cluster/succession_record.hpp"

#include <memory>
#include <string>

namespace pg_edge::actors {

/// So many lines of the audit log are kept.
inline constexpr std::size_t kept_audit_entries = 2000;

/// What a store holds, read at once.
struct store_content {
  bool read = false;
  std::string why; // not read
  cluster::store_revision revision = 0;
  std::shared_ptr<const config::stored_objects> objects = std::make_shared<const config::stored_objects>();
  std::vector<std::string> audit_keys;            // oldest first
  std::optional<cluster::store_entry> succession; // the record of a take-over, as it stands
};
store_content read_content(const cluster::store_answer& listed, const std::string& root);
/// Waits for it: a node must know its users before it lets them in. At most store_timeout.
store_content read_store_now(cluster::store& from, const std::string& root);

/// `first`: what read_store_now() said. `store` may be null; then every change is refused with the reason.
objects_actor spawn_objects(caf::actor_system& system, node_context& node, std::unique_ptr<cluster::store> store,
                            store_content first);

} // namespace pg_edge::actors
