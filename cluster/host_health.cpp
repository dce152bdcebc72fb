#include "cluster/host_health.hpp"

#include <algorithm>
#include <tuple>
#include <vector>

namespace pg_edge::cluster {

std::chrono::milliseconds host_health::with_jitter(std::chrono::milliseconds span) {
  return span * std::uniform_int_distribution<int>{75, 125}(random_) / 100;
}

/// `now` for a host that may be tried.
moment host_health::avoided_until(const std::string& name, moment now) const {
  const auto found = troubles_.find(name);
  return found == troubles_.end() ? now : std::max(found->second.until, now);
}

bool host_health::avoided(const std::string& name, moment now) const {
  return avoided_until(name, now) > now;
}

std::size_t host_health::choose(std::span<const candidate> among, bool balance, moment now) {
  const auto rank = [&](const candidate& one) {
    return std::tuple{avoided_until(one.name, now), balance ? one.load : 0U};
  };
  auto best = rank(among.front());
  std::vector<std::size_t> ties{0};
  for (std::size_t i = 1; i < among.size(); ++i) {
    const auto here = rank(among[i]);
    if (here < best) {
      best = here;
      ties.clear();
    }
    if (here == best) ties.push_back(i);
  }
  const std::size_t chosen = balance ? ties[turn_++ % ties.size()] : ties.front();
  const auto in_trouble = troubles_.find(among[chosen].name);
  // Its back-off is over: this login finds out, the others go elsewhere until it has.
  if (in_trouble != troubles_.end() && in_trouble->second.until <= now)
    in_trouble->second.until = now + with_jitter(in_trouble->second.back_off);
  return chosen;
}

bool host_health::failed(const std::string& name, moment now) {
  if (troubles_.size() >= remembered)
    std::erase_if(troubles_, [&](const auto& one) { return one.second.until <= now; });
  if (troubles_.size() >= remembered) return false;
  auto& trouble = troubles_[name];
  const bool was_well = trouble.back_off.count() == 0;
  trouble.back_off = was_well ? first_back_off : std::min(trouble.back_off * 2, longest_back_off);
  trouble.until = now + with_jitter(trouble.back_off);
  return was_well;
}

bool host_health::succeeded(const std::string& name) {
  return troubles_.erase(name) > 0;
}

} // namespace pg_edge::cluster
