#include "cluster/memory_guard.hpp"

#include <algorithm>
#include <numeric>

namespace pg_edge::cluster {

namespace {

constexpr std::string_view names[] = {"calm", "refusing", "shedding"};

} // namespace

std::string_view to_string(memory_state state) {
  return names[static_cast<std::size_t>(state)];
}

bool memory_guard::sample(std::uint64_t used) {
  const memory_state before = state_;
  const bool above = limit_ > 0 && used >= limit_;
  grown_ = above && used > used_ ? grown_ + 1 : 0;
  used_ = used;
  const bool far_above = above && used - limit_ >= limit_ / 20;
  if (limit_ == 0 || used < limit_ - limit_ / 10)
    state_ = memory_state::calm;
  else if (far_above || grown_ >= growing_samples)
    state_ = memory_state::shedding;
  else if (state_ == memory_state::shedding ? !above : above)
    state_ = memory_state::refusing;
  return state_ != before;
}

std::vector<std::size_t> memory_guard::choose(const std::vector<memory_holder>& all) const {
  std::vector<std::size_t> chosen;
  if (state_ != memory_state::shedding || used_ <= limit_) return chosen;
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return all[i].bytes < least_held; });
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (all[a].waits != all[b].waits) return all[a].waits;
    if (all[a].bytes != all[b].bytes) return all[a].bytes > all[b].bytes;
    return all[a].client < all[b].client;
  });
  std::uint64_t over = used_ - limit_;
  for (const std::size_t i : order) {
    if (over == 0 || chosen.size() == most_ended) break;
    chosen.push_back(i);
    over -= std::min(over, all[i].bytes);
  }
  return chosen;
}

bool memory_guard::trim_due(std::uint64_t used, std::uint64_t in_use) {
  return used > in_use && used - in_use > std::max(least_trimmed, used / 4);
}

} // namespace pg_edge::cluster
