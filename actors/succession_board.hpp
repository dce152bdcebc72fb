// What the rest of a node has to know while one cluster takes over another (cluster/succession.hpp decides, the actor
// in succession.cpp tells). Any thread.
#pragma once

#include "actors/pool_places.hpp"
#include "actors/published.hpp"
#include "cluster/node_core.hpp"
#include "cluster/succession_record.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace pg_edge::actors {

class succession_board {
public:
  /// What the pools of this cluster must do without.
  struct claim {
    bool everything = false; // they may open no server at all
    cluster::held_servers withheld;
    std::vector<cluster::departed_member> dead; // lives of the other cluster
    friend bool operator==(const claim&, const claim&) = default;
  };

  /// This cluster waits for another one's pools; before anything else runs.
  void wait_for_predecessor() {
    set(claim{true, {}, {}});
    awaits = true;
    objects_known = false;
  }
  void set(claim now) { claim_.set(std::make_shared<const claim>(std::move(now))); }
  std::shared_ptr<const claim> now() const { return claim_.get(); }
  std::vector<cluster::departed_member> dead() const {
    const auto all = now();
    return all ? all->dead : std::vector<cluster::departed_member>{};
  }

  /// A pool's size and reserve without what the other cluster still has of its database.
  cluster::pool_size left_of(const cluster::pool_key& pool, cluster::pool_size whole) const {
    const auto all = now();
    if (!all) return whole;
    if (all->everything) return {0, 0};
    const auto found = all->withheld.find({pool.tenant, pool.database});
    if (found == all->withheld.end()) return whole;
    return {whole.size - std::min(whole.size, found->second), 0};
  }

  /// From now on the other cluster serves all pools of this one, on the nodes that this says.
  void give_away(pool_places::finder how) {
    heirs_.set(std::make_shared<const pool_places::finder>(std::move(how)));
    given_away_.store(true, std::memory_order_release);
  }
  /// Whether no client can be served here any more.
  bool given_away() const { return given_away_.load(std::memory_order_acquire); }
  node_number heir_of(const pool_name& pool) const { return (*heirs_.get())(pool); }

  std::atomic<bool> awaits{false};       // clients are better off elsewhere as yet
  std::atomic<bool> objects_known{true}; // what was the other cluster's is in force here
  std::atomic<bool> taken_over{false};   // clients are better off in the other cluster, which has had time to be found

private:
  published<claim> claim_; // null: nothing is withheld
  published<pool_places::finder> heirs_;
  std::atomic<bool> given_away_{false};
};

} // namespace pg_edge::actors
