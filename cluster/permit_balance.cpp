#include "cluster/permit_balance.hpp"

#include <algorithm>

namespace pg_edge::cluster {

/// What is not given away. Without a client that waits here nothing is kept from one that waits there; otherwise both
/// sides keep what is in proportion to what they use and want, and at least one permit for a while in turn.
std::int64_t permit_balance::keep(const sight& now) const {
  if (now.deserted) return 0;
  if (other_wants_ == 0) return has_;
  const std::int64_t at_most_wanted = std::max<std::int64_t>(has_ - other_wants_, 0);
  if (now.waiting == 0) return at_most_wanted;
  if (rested_ < rest) return has_;
  const std::int64_t ours = std::int64_t{now.out} + now.waiting;
  const std::int64_t fair = has_ * ours / (ours + other_wants_);
  return std::max(at_most_wanted, std::min(fair, has_ - 1));
}

bool permit_balance::look(const sight& now) {
  const std::uint32_t before = allowed();
  if (has_ <= 0) {
    asked_ = 0;
    return allowed() != before;
  }
  rested_ = std::min(rested_ + 1, rest);
  asked_ = has_ - std::clamp<std::int64_t>(keep(now), 0, has_);
  return allowed() != before;
}

std::uint32_t permit_balance::allowed() const {
  return static_cast<std::uint32_t>(std::max<std::int64_t>(has_ - asked_, 0));
}

std::uint32_t permit_balance::give(std::uint32_t out) {
  const std::int64_t count = std::min(asked_, has_ - std::int64_t{out});
  if (count <= 0) return 0;
  asked_ -= count;
  has_ -= count;
  other_wants_ -= static_cast<std::uint32_t>(std::min<std::int64_t>(other_wants_, count));
  return static_cast<std::uint32_t>(count);
}

void permit_balance::receive(std::int64_t count) {
  has_ += count;
  if (count > 0) rested_ = 0;
}

} // namespace pg_edge::cluster
