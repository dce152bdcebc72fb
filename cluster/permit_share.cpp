#include "cluster/permits.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace pg_edge::cluster {

namespace {

using enum server_state;

struct arrow {
  server_state from;
  server_state to;
};

// The arrows of the diagram above server_state that server_moved() may take. Those to and from `carried` belong to
// carry_away() and on_order().
constexpr arrow arrows[] = {
    {none, opening}, {opening, idle}, {idle, busy},    {busy, idle},    {opening, closing},
    {idle, closing}, {busy, closing}, {idle, leaving}, {busy, leaving}, {opening, none},
    {idle, none},    {busy, none},    {closing, none}, {leaving, none}, {idle, carried},
};

// For each state the set of those it may become; two of these are looked up in every transaction.
constexpr std::array<std::uint8_t, server_state_count> heads_of_arrows() {
  std::array<std::uint8_t, server_state_count> heads{};
  for (const arrow a : arrows)
    heads[static_cast<std::size_t>(a.from)] |= static_cast<std::uint8_t>(1U << static_cast<unsigned>(a.to));
  return heads;
}
constexpr auto heads = heads_of_arrows();

constexpr bool has_arrow(server_state from, server_state to) {
  return (heads[static_cast<std::size_t>(from)] >> static_cast<unsigned>(to) & 1U) != 0;
}

constexpr std::uint32_t above(std::uint64_t value, std::uint64_t floor) {
  return value > floor ? static_cast<std::uint32_t>(value - floor) : 0;
}

} // namespace

bool permit_share::on_order(const permit_order& order) {
  if (order.to != key_ || order.granted < granted_) return false;
  fresh_ += static_cast<std::uint32_t>(order.granted - granted_);
  granted_ = order.granted;
  recalled_ = order.recalled;
  urgent_ = order.urgent;
  carry_ = order.carry;
  drain_seen_ = drain_seen_ || order.draining;
  servers_[static_cast<std::size_t>(idle)] += static_cast<std::uint32_t>(order.carried.size());
  return true;
}

bool permit_share::server_moved(server_state from, server_state to) {
  if (to == carried || !has_arrow(from, to)) return false;
  if (from == none ? free() == 0 : count(from) == 0) return false;
  if (from != none) --servers_[static_cast<std::size_t>(from)];
  if (to != none) ++servers_[static_cast<std::size_t>(to)];
  // A fresh permit stays fresh while its server is opened, and has served once the server is handed out.
  if (from == none || to == busy) fresh_ -= fresh_ > 0 ? 1 : 0;
  if (from == opening && to == idle) ++fresh_;
  return true;
}

bool permit_share::carry_away(backend_id server) {
  if (count(idle) == 0) return false;
  --servers_[static_cast<std::size_t>(idle)];
  ++returned_;
  carried_.push_back(server);
  return true;
}

std::uint32_t permit_share::used() const {
  return count(opening) + count(idle) + count(busy) + count(closing) + count(leaving);
}

std::uint32_t permit_share::unserved() const {
  return draining_ ? 0 : above(waiters_, count(opening));
}

std::uint32_t permit_share::missing() const {
  return draining_ ? 0 : above(minimum_, count(opening) + count(idle) + count(busy));
}

std::uint32_t permit_share::wanted() const {
  return std::max(above(unserved(), count(idle) + free()), above(missing(), free()));
}

std::uint32_t permit_share::debt() const {
  return above(recalled_, returned_);
}

std::uint32_t permit_share::urgent_debt() const {
  return above(urgent_, returned_);
}

// How many idle servers and free permits have to go now. Servers that are already leaving pay first; and a fresh permit
// serves somebody before an urgent recall takes it on, or a permit that two shares fight for would only travel.
std::uint32_t permit_share::payable() const {
  const auto here = count(idle) + free();
  if (draining_) return here;
  if (debt() == 0 && urgent_debt() == 0) return 0; // at nearly every transaction
  const auto spare = std::min(above(here, unserved()), above(debt(), count(leaving)));
  const auto urgent = fresh_ == 0 ? std::min(here, above(urgent_debt(), count(leaving))) : 0;
  return std::max(spare, urgent);
}

void permit_share::give_back_free_permits() {
  returned_ += std::min(free(), payable());
}

share_step permit_share::next() {
  if (unserved() == 0 && count(opening) == 0) fresh_ = 0;
  give_back_free_permits();
  const auto must_go = payable();
  const auto may_stay = count(idle) + free() - must_go;
  const auto waiting = draining_ ? 0 : waiters_;
  if (waiting > 0 && may_stay > 0) {
    if (count(idle) > 0) return share_step::hand_out;
    if (unserved() > 0) return share_step::open;
  }
  if (must_go > 0 && count(idle) > 0) return share_step::give_up;
  if (missing() > 0 && free() > 0) return share_step::open;
  return share_step::none;
}

std::uint32_t permit_share::believed_wanted() const {
  return above(sent_.wanted, granted_ - sent_.granted);
}

std::optional<permit_report> permit_share::take_report() {
  const auto now = wanted();
  const auto believed = believed_wanted();
  const bool gave = returned_ != sent_.returned || draining_ != sent_.draining;
  const bool more = now > believed && now >= 2 * believed;
  // A share whose queue has just become empty keeps its request until it has a permit to spare: under full load the
  // queue is empty and not empty again at every transaction.
  const bool less = now < believed && ((believed > 1 && 2 * now < believed) || count(idle) + free() > 0);
  if (!gave && !more && !less) return std::nullopt;
  permit_report report{key_, granted_, returned_, now, draining_, {}};
  sent_ = report;
  report.carried.swap(carried_);
  return report;
}

bool permit_share::drained() const {
  return draining_ && drain_seen_ && held() == 0 && sent_.returned == returned_;
}

} // namespace pg_edge::cluster
