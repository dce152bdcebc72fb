// What the cluster's actor is told within its own node, and the one message that it sends to those of other nodes.
#pragma once

#include "actors/messages.hpp"
#include "cluster/node_core.hpp"

#include <caf/all.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::actors {

/// Between nodes: a message of cluster/messages.hpp as bytes. CAF carries it and knows no more of it, so that a message
/// of a later release is a value to handle and not a reason for CAF to close the connection. The name under which it is
/// registered is on the wire and never changes.
struct node_envelope {
  std::string raw;
  std::uint64_t incarnation = 0; // the sender's life; 0: what it says does not hang on one
};
template <class Inspector>
auto inspect(Inspector& f, node_envelope& x) {
  return f(x.raw, x.incarnation);
}
inline constexpr const char* node_envelope_name = "pg_edge.node_envelope";

inline cluster::pool_key cluster_key(const pool_name& name) {
  return {name.tenant, name.database, name.user};
}

// -- from stewards and shares of this node; `key.share` is the index of a share in its pool
// -----------------------------

/// Also when a share begins a new life: then it says so itself.
struct pool_share_joined {
  cluster::pool_key pool;
  cluster::share_key key;
  caf::actor share; // for the orders to come
};
struct pool_share_left {
  cluster::pool_key pool;
  cluster::share_id share = 0;
  bool clean = false; // it had neither server nor permit
};
struct pool_share_report {
  cluster::pool_key pool;
  cluster::permit_report report;
};
struct pool_reserve_wish {
  cluster::pool_key pool;
  std::uint32_t lacking = 0, spare = 0;
};
/// A backend of Postgres is there, or has gone.
struct backend_noted {
  cluster::pool_key pool;
  std::int32_t pid = 0;
  std::uint64_t server = 0; // our number of it
  bool there = false;
};

/// To a share: this node was given up by the others, so what it holds is not its own any more.
struct void_permits {};

// -- from the console, and from the node when it ends
// ---------------------------------------------------------------------

struct store_answered {
  std::uint64_t question = 0;
  cluster::store_answer answer;
};
struct store_told {
  std::uint64_t watch = 0;
  cluster::store_event event;
};

/// From the node: other nodes can open links to this one from now on, and its reactors can be told things.
struct links_opened {};

/// From the actor of take-overs: what the pools of this cluster must do without is another now (succession_board).
struct succession_moved {};

struct list_nodes {};
struct node_row {
  std::uint32_t id = 0;
  std::string name, address, state; // "member", "draining", "unreachable", "joining", "departed", "left"
  std::string link;                 // the address of its links
  std::uint32_t link_number = 0;
  std::uint64_t incarnation = 0, epoch = 0;
  bool here = false, connected = false;
  std::uint32_t backends = 0; // of its last roster
  std::uint32_t stewards = 0; // pools whose permits are decided there; of this node only
  std::string error;          // why there is no connection, or why this node is no member
};
/// Every state that a row may have.
inline constexpr std::string_view node_states[] = {"member", "draining", "unreachable", "joining", "departed", "left"};

struct node_list {
  std::vector<node_row> nodes;
  std::uint64_t epoch = 0;
  std::uint64_t granted = 0; // permits that stewards of this node have ever granted to shares of any node
  std::string cluster;
  std::int64_t lease_ms = 0; // left of this node's; negative: over
  std::uint64_t fences = 0;
};
/// This node will leave soon: the others are to know, and nothing more is placed on it.
struct announce_leaving {};
/// Leave the cluster: the lease is given back. Answered when that has been said to the others.
struct leave_cluster {
  bool clean = false; // no backend of this node is left in Postgres, and none will come
};
struct left_cluster {};
/// A node, this one or another, is to drain and stop.
struct drain_member {
  std::string node;
  author by;
  std::chrono::seconds notice{0};
};
struct member_drains {
  bool known = false; // a member has that name
  std::string error;  // why it could not be told; empty: it was
};

// -- from its own helpers
// ----------------------------------------------------------------------------------------------

struct address_probed {
  std::string address;
  std::string error; // empty: somebody listens there
};
struct backends_searched {
  cluster::node_core::clearing what;
  bool gone = false;
  std::uint32_t ended = 0, waiting_for = 0;
  std::string error;
};

} // namespace pg_edge::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::pool_share_joined)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::pool_share_left)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::pool_share_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::pool_reserve_wish)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::backend_noted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::void_permits)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::store_answered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::store_told)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::links_opened)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::succession_moved)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::list_nodes)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::node_list)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::announce_leaving)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::drain_member)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::member_drains)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::leave_cluster)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::left_cluster)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::address_probed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::backends_searched)
