// What a node keeps of a pool whose steward may be on another node: where its own shares stand, as they and the steward
// last said. It passes reports on, lets through only orders of the view it has promised to obey, and can tell a new
// steward everything. Pure.
//
// A share is known here by its index on the node; the steward sees node and index in one number.
#pragma once

#include "cluster/messages.hpp"

#include <map>
#include <optional>

namespace pg_edge::cluster {

class pool_agent {
public:
  explicit pool_agent(pool_key pool) : pool_(std::move(pool)) {}

  /// In all of these `key.share` is the index on the node.
  void share_joined(share_key key);
  /// It has ended. `clean`: with nothing left, no server and no permit.
  void share_left(share_key key, bool clean);
  /// This node's life has ended: every share begins anew, or has to, before it counts again.
  void fenced();

  /// What to pass on; nothing while no steward has been told where we stand.
  [[nodiscard]] std::optional<pool_report> on_report(const permit_report& report);
  /// What to give to the share; nothing: the order is of another epoch or life.
  [[nodiscard]] std::optional<permit_order> on_order(const pool_order& order);
  /// Everything, and from here on orders of this epoch only.
  [[nodiscard]] pool_state tell(std::uint64_t epoch, node_id node, std::uint64_t incarnation);

  [[nodiscard]] std::uint64_t epoch() const { return epoch_; }
  /// Whether the steward of that epoch has heard where we stand.
  [[nodiscard]] bool known(std::uint64_t epoch) const { return known_ == epoch; }
  void note_known(const pool_known& word) {
    if (word.serial == serial_) known_ = word.epoch;
  }
  [[nodiscard]] bool empty() const { return shares_.empty() && crashed_.empty(); }
  /// A share has crashed here, and what it held is not known to be gone.
  [[nodiscard]] bool has_crashed() const { return !crashed_.empty(); }
  [[nodiscard]] std::uint32_t held() const;
  [[nodiscard]] const pool_key& pool() const { return pool_; }

private:
  pool_key pool_;
  std::uint64_t epoch_ = 0; // promised; 0: to nobody yet
  std::uint64_t known_ = 0;
  std::uint64_t serial_ = 0; // of the last pool_state
  node_id node_ = 0;
  std::map<share_id, share_state> shares_;   // by index
  std::map<share_key, share_state> crashed_; // by index too
};

} // namespace pg_edge::cluster
