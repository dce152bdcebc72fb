#include "cluster/pool_agent.hpp"

#include <algorithm>

namespace pg_edge::cluster {

void pool_agent::share_joined(share_key key) {
  share_state fresh;
  fresh.key = key;
  shares_[key.share] = fresh;
}

void pool_agent::share_left(share_key key, bool clean) {
  const auto found = shares_.find(key.share);
  if (found == shares_.end() || found->second.key != key) return;
  if (!clean && found->second.granted > found->second.returned) {
    crashed_[key] = found->second;
    crashed_[key].crashed = true;
  }
  shares_.erase(found);
}

void pool_agent::fenced() {
  epoch_ = known_ = 0;
  shares_.clear();
  crashed_.clear(); // the survivors see to them
}

std::optional<pool_report> pool_agent::on_report(const permit_report& report) {
  const auto found = shares_.find(report.from.share);
  if (found == shares_.end() || found->second.key != report.from) return std::nullopt;
  share_state& share = found->second;
  share.seen = report.granted;
  share.returned = report.returned;
  share.wanted = report.wanted;
  share.draining = report.draining;
  if (epoch_ == 0) return std::nullopt;
  pool_report result{pool_, epoch_, node_, report};
  result.report.from.share += node_ * shares_of_a_node;
  result.report.carried.clear();
  return result;
}

std::optional<permit_order> pool_agent::on_order(const pool_order& order) {
  if (epoch_ == 0 || order.epoch != epoch_) return std::nullopt;
  permit_order result = order.order;
  if (result.to.share / shares_of_a_node != node_) return std::nullopt;
  result.to.share %= shares_of_a_node;
  const auto found = shares_.find(result.to.share);
  if (found == shares_.end() || found->second.key != result.to || result.granted < found->second.granted)
    return std::nullopt;
  found->second.granted = result.granted;
  found->second.recalled = result.recalled;
  found->second.urgent = result.urgent;
  result.carry = false; // its idle server stays: there is nobody between the shares who could bring it along
  result.carried.clear();
  return result;
}

pool_state pool_agent::tell(std::uint64_t epoch, node_id node, std::uint64_t incarnation) {
  epoch_ = std::max(epoch_, epoch);
  node_ = node;
  known_ = 0;
  pool_state result{pool_, epoch, node, incarnation, ++serial_, {}};
  for (const auto& [index, share] : shares_)
    result.shares.push_back(share);
  for (const auto& [key, share] : crashed_)
    result.shares.push_back(share);
  for (share_state& share : result.shares)
    share.key.share += node * shares_of_a_node;
  return result;
}

std::uint32_t pool_agent::held() const {
  std::uint64_t sum = 0;
  for (const auto& [index, share] : shares_)
    sum += share.granted - share.returned;
  return static_cast<std::uint32_t>(sum);
}

} // namespace pg_edge::cluster
