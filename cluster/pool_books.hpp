// The steward of one pool across nodes: permit_steward with what it takes to begin on a node, to go on after a change
// of view, and to have the permits of dead nodes back only when Postgres says that their backends are gone. Pure.
//
//   gathering --(every member of the view has said what it holds)--> serving
//       ^                                                               |
//       '------------------(a view that does not follow on the last)----'
//
// Why two stewards never grant the same permit: views are agreed on, so each epoch has one steward a pool. It grants
// nothing before every member of its view has answered pool_ask, and who has answered obeys no order of an older epoch.
// Lives that the view has lost hold nothing they may use (their lease is over); what they held stays out until
// cleared().
#pragma once

#include "cluster/messages.hpp"
#include "cluster/reserve.hpp"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace pg_edge::cluster {

class pool_books {
public:
  struct outgoing {
    node_id to = 0;
    node_message what;
  };
  using words = std::vector<outgoing>;

  /// `own`: the node that this steward is on.
  pool_books(pool_key pool, node_id own, std::uint32_t size, std::uint32_t reserve);

  /// This node is the pool's steward in this view: begin, or go on.
  [[nodiscard]] words on_view(const view& now);
  [[nodiscard]] words on_state(const pool_state& state);
  [[nodiscard]] words on_report(const pool_report& report);
  [[nodiscard]] words on_reserve(const pool_reserve& wish);
  [[nodiscard]] words configure(std::uint32_t size, std::uint32_t reserve);
  /// Postgres has no backend of this life in this pool any more.
  [[nodiscard]] words cleared(const departed_member& life);
  /// Lives of a cluster that this one has taken over (cluster/succession), which nobody has said to have held nothing:
  /// they count as dead lives of this one. All of them; their id is 0.
  [[nodiscard]] words note_dead_elsewhere(const std::vector<departed_member>& lives);
  /// Words may have been missed: ask everybody again before anything is granted.
  [[nodiscard]] words restart();
  /// Now and then: asks again who has not answered.
  [[nodiscard]] words ask_again() const;

  /// Lives whose backends stand between the pool and its permits.
  [[nodiscard]] std::vector<departed_member> to_clear() const;
  [[nodiscard]] bool gathering() const { return gathering_; }
  /// No node has a share of it, and nothing is owed to it: it may be forgotten.
  [[nodiscard]] bool unused() const;
  /// Permits granted since it was last asked; not those that were out when these books were begun.
  [[nodiscard]] std::uint64_t take_granted() { return std::exchange(granted_, 0); }
  [[nodiscard]] std::uint64_t epoch() const { return view_.epoch; }
  [[nodiscard]] const pool_key& pool() const { return pool_; }
  [[nodiscard]] const permit_steward& permits() const { return permits_; }
  [[nodiscard]] std::uint32_t reserve_used() const { return reserve_.used(); }
  [[nodiscard]] std::uint32_t out_at_node(node_id node) const;
  [[nodiscard]] std::set<node_id> awaited() const;

private:
  [[nodiscard]] words begin();
  [[nodiscard]] words begin_serving();
  [[nodiscard]] words compare(const pool_state& state);
  void add(words& to, const permit_steward::orders& orders);
  [[nodiscard]] permit_order standing_order(share_key key, std::uint64_t base) const;
  void take_over(const share_state& share, node_id node);
  [[nodiscard]] permit_steward::orders report(const permit_report& real);
  [[nodiscard]] permit_steward::orders lose(share_key key, bool clean);

  pool_key pool_;
  node_id own_;
  // A share that was served by another steward goes on with its totals; here they begin with what it holds. What both
  // differ by stands in `served_`, with the last order in the share's own numbers.
  struct served_share {
    std::uint64_t base = 0;
    permit_order order;
  };
  permit_steward permits_;
  std::map<share_key, served_share> served_;
  reserve_pool reserve_;
  view view_;
  bool gathering_ = true;
  std::uint64_t granted_ = 0;
  std::map<node_id, pool_state> states_;                    // as last told
  std::set<std::pair<std::string, std::uint64_t>> cleared_; // lives
  std::map<departed_member, std::vector<share_key>> lost_;  // of lives to clear; empty: what they held is unknown
  std::vector<departed_member> dead_elsewhere_;
};

} // namespace pg_edge::cluster
