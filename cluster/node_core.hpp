// All that a node of a cluster decides, in one place without sockets or threads: its membership, what its own shares
// hold of each pool (pool_agent), and the books of the pools whose steward it is (pool_books). The owner passes in what
// happens, then carries out what the take_...() functions return: actors/cluster_node does in a node, the simulator in
// tests/cluster.
#pragma once

#include "cluster/membership.hpp"
#include "cluster/pool_agent.hpp"
#include "cluster/pool_books.hpp"

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace pg_edge::cluster {

/// A pool's size and reserve as this node's settings have it; nothing: it is not configured here.
struct pool_size {
  std::uint32_t size = 0, reserve = 0;
};
using pool_sizes = std::function<std::optional<pool_size>(const pool_key&)>;

class node_core {
public:
  struct outgoing {
    std::string to;                // an address
    std::uint64_t incarnation = 0; // of the life that says it: goes with it
    node_message what;
  };
  /// Who has sent a message, as the envelope says.
  struct sender {
    std::string name;
    std::uint64_t incarnation = 0;
  };
  struct local_order {
    pool_key pool;
    permit_order order; // to.share: the index on this node
  };
  struct clearing {
    pool_key pool;
    departed_member life;
    friend auto operator<=>(const clearing&, const clearing&) = default;
  };

  node_core(membership_settings settings, node_time now, std::uint64_t seed, pool_sizes sizes);

  void tick(node_time now);
  /// What the store says to a question of take_questions(), or tells of a watch.
  void on_answer(node_time now, std::uint64_t question, const store_answer& answer);
  void on_event(node_time now, std::uint64_t watch, const store_event& event);
  /// Dropped unless it is of a life that the view has: a node that thaws after it was given up is not heard.
  void on_message(node_time now, const sender& from, const node_message& what);
  /// The connection to that address is a new one: what was under way on the old one may be lost.
  void reconnected(node_time now, const std::string& address);
  void surrender(node_time now);
  void link_is_open() { members_.link_is_open(); }
  void announce_leaving(node_time now) { members_.announce_leaving(now); }
  /// As surrender(), but nothing is left in Postgres.
  void leave(node_time now);

  // -- the node's own pools; `key.share` is the index of a share on this node
  void share_joined(node_time now, const pool_key& pool, share_key key);
  void share_left(node_time now, const pool_key& pool, share_key key, bool clean);
  void share_reported(node_time now, const pool_key& pool, const permit_report& report);
  void reserve_wished(node_time now, const pool_key& pool, std::uint32_t lacking, std::uint32_t spare);
  void settings_changed(node_time now);
  /// See pool_books.
  void note_dead_elsewhere(node_time now, std::vector<departed_member> lives);
  /// Postgres has no backend of that life in that pool any more.
  void cleared(node_time now, const clearing& what);

  [[nodiscard]] std::vector<store_question> take_questions() { return members_.take_questions(); }
  [[nodiscard]] std::vector<outgoing> take_outgoing();
  [[nodiscard]] std::vector<local_order> take_orders();
  /// What shares hold is not theirs any more: they close every server, then join again as new lives.
  [[nodiscard]] bool take_fenced();
  [[nodiscard]] std::vector<clearing> to_clear() const;

  /// Permits that this node, as a steward, has granted to shares of any node since it began: how much they travel.
  [[nodiscard]] std::uint64_t granted() const { return granted_; }
  [[nodiscard]] const membership& members() const { return members_; }
  [[nodiscard]] const std::map<pool_key, pool_books>& books() const { return books_; }
  [[nodiscard]] const std::map<pool_key, pool_agent>& agents() const { return agents_; }

private:
  void take(node_time now, const node_message& what);
  void on(node_time now, const pool_ask& what);
  void on(node_time now, const pool_state& what);
  void on(node_time now, const pool_report& what);
  void on(node_time now, const pool_order& what);
  void on(node_time now, const pool_reserve& what);
  void on(node_time now, const pool_known& what);
  template <class Other>
  void on(node_time now, const Other& what);

  void look_at_view(node_time now);
  void tell_steward(pool_agent& agent);
  void send(node_id to, node_message what);
  void send(const std::vector<pool_books::outgoing>& words);
  void deliver_own(node_time now);
  pool_books* books_of(const pool_key& pool, std::uint64_t epoch, node_time now, bool make);

  membership members_;
  pool_sizes sizes_;
  std::map<pool_key, pool_agent> agents_;
  std::map<pool_key, pool_books> books_;
  std::vector<departed_member> dead_elsewhere_;
  std::uint64_t seen_epoch_ = 0;
  bool fenced_ = false;
  bool books_stale_ = false; // the lease was over meanwhile
  node_time repeat_at_{0};
  std::uint64_t granted_ = 0;
  std::vector<outgoing> outgoing_;
  std::vector<node_message> to_self_;
  std::vector<local_order> orders_;
};

} // namespace pg_edge::cluster
