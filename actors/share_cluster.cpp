// What a share does as part of a cluster: it notes its backends for the other nodes, sends its clients to the pool's
// home when that is another node, and lets go of everything when this one has been given up. Without [cluster] nothing
// of it is ever called for.
#include "actors/cluster_link.hpp"
#include "actors/cluster_words.hpp"
#include "actors/share.hpp"

namespace pg_edge::actors {

/// The other nodes know which backends this one has, in case that it dies.
void share::note_backend(const class server& what, bool there) {
  if (const caf::actor& cluster = this_cluster().node; cluster && what.process_id() != 0)
    caf::anon_send(cluster, backend_noted{cluster_key(pool_->name), what.process_id(), what.number(), there});
}

bool share::lease_is_over() const {
  return !this_cluster().may_open_servers();
}

/// The pool has moved to another node, to one that has joined perhaps. Its clients here would take permits back from
/// there again and again, and each one's way is a connection to Postgres closed and another opened; so they are relayed
/// from now on, as those are that log in now. Who has a server goes when it needs the next one.
void share::look_at_place() {
  if (!node_.places.asked()) return;
  const node_number home = node_.places.of(pool_->name);
  lives_elsewhere_ = home != 0 && home != node_.links.self()->node;
  if (lives_elsewhere_) send_waiters_elsewhere();
}

/// The others take care of what was held here, so it is only let go of. Clients between transactions do not notice; who
/// had a server is told that it was lost. The share begins a new life at once, without a permit.
void share::on_voided() {
  if (ended_) return;
  for (const auto& [what, entry] : servers_) // each tells its client
    send(caf::actor_cast<caf::actor>(entry.ref), close_server{"this node was given up by the cluster"});
  servers_.clear();
  idle_.clear();
  checked_in_.clear();
  slot_.reset();
  for (waiter& one : waiters_)
    one.opening = nullptr;
  permits_ = cluster::permit_share({permits_.key().share, this_cluster().next_incarnation.fetch_add(1)});
  send(this_cluster().node,
       pool_share_joined{cluster_key(pool_->name), permits_.key(), caf::actor_cast<caf::actor>(this)});
  act();
}

} // namespace pg_edge::actors
