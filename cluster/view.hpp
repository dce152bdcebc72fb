// Who is in the cluster: a numbered view that a majority of the voters has agreed on, and the nodes that have left it.
// Everything that must exist once is placed by it: two nodes with the same view always name the same steward.
#pragma once

#include "cluster/permits.hpp"

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::cluster {

/// Nodes fit into a cancel key (cancel_node_bits), and a share of a node into a share_id.
inline constexpr node_id max_node_id = 1023;
inline constexpr share_id shares_of_a_node = 1024;

/// One life of a node. A node that comes back, from a restart or from being given up, takes a larger incarnation.
struct member {
  node_id id = 0; // stays with the name
  std::string name;
  std::string address; // host:port where the others reach it
  std::uint64_t incarnation = 0;
  friend auto operator<=>(const member&, const member&) = default;
};

/// A life that is over. Its lease has ended; its Postgres backends may still be there. Of a node that has left of its
/// own will, with nothing left in Postgres, only the name and the number are kept: the incarnation is left_clean.
inline constexpr std::uint64_t left_clean = 0;
struct departed_member {
  node_id id = 0;
  std::string name;
  std::uint64_t incarnation = 0;
  friend auto operator<=>(const departed_member&, const departed_member&) = default;
};

struct view {
  std::uint64_t epoch = 0; // 0: there has been none yet
  std::vector<member> members;
  std::vector<departed_member> departed; // the last max_departed, oldest first
  friend bool operator==(const view&, const view&) = default;
};
inline constexpr std::size_t max_departed = 64;

[[nodiscard]] const member* find_member(const view& all, const std::string& name);
[[nodiscard]] const member* find_member(const view& all, node_id id);
/// That very life of it.
[[nodiscard]] bool has_member(const view& all, const std::string& name, std::uint64_t incarnation);

/// tenant + database + server user, as everywhere; here it is what places a pool.
struct pool_key {
  std::string tenant, database, user;
  friend auto operator<=>(const pool_key&, const pool_key&) = default;
};

/// How much that pool wants to be on the node of that name, as seen by the node `from` or by all.
[[nodiscard]] std::uint64_t place_weight(const pool_key& pool, std::string_view name, std::string_view from = {});

/// Rendezvous hashing: the member that carries the pool's steward. When a member comes or goes, only the pools that
/// it gets or had change their place. Null when the view is empty.
[[nodiscard]] const member* steward_of(const view& all, const pool_key& pool);

} // namespace pg_edge::cluster
