#include "cluster/pool_books.hpp"

#include <algorithm>
#include <limits>

namespace pg_edge::cluster {

namespace {

/// Stands in the books for whatever unknown lives hold.
constexpr share_key unknown_share{std::numeric_limits<share_id>::max(), 1};

constexpr node_id node_of_share(share_id id) {
  return id / shares_of_a_node;
}

permit_report as_report(const share_state& state) {
  return {state.key, state.seen, state.returned, state.wanted, state.draining, {}};
}

} // namespace

pool_books::pool_books(pool_key pool, node_id own, std::uint32_t size, std::uint32_t reserve)
    : pool_(std::move(pool)), own_(own), permits_(size), reserve_(size, reserve) {}

void pool_books::add(words& to, const permit_steward::orders& orders) {
  for (const permit_order& order : orders) {
    const auto share = served_.find(order.to);
    if (share == served_.end()) continue;
    permit_order real = order;
    real.granted += share->second.base;
    real.recalled += share->second.base;
    real.urgent += share->second.base;
    granted_ += real.granted - std::max(share->second.order.granted, share->second.base);
    share->second.order = real;
    to.push_back({node_of_share(real.to.share), pool_order{pool_, view_.epoch, real}});
  }
}

permit_steward::orders pool_books::report(const permit_report& real) {
  const auto share = served_.find(real.from);
  if (share == served_.end() || real.granted < share->second.base || real.returned < share->second.base) return {};
  permit_report ours = real;
  ours.granted -= share->second.base;
  ours.returned -= share->second.base;
  return permits_.on_report(ours).value_or(permit_steward::orders{});
}

permit_steward::orders pool_books::lose(share_key key, bool clean) {
  served_.erase(key);
  return permits_.share_lost(key, {}, clean);
}

// -- views -----------------------------------------------------------------------------------------------------------

pool_books::words pool_books::on_view(const view& now) {
  if (now.epoch <= view_.epoch) return {};
  const bool follows = !gathering_ && now.epoch == view_.epoch + 1;
  const view before = std::exchange(view_, now);
  if (!follows) return begin();
  words result;
  for (const member& one : before.members) { // who is neither there nor dead has left, with nothing in its hands
    const departed_member life{one.id, one.name, one.incarnation};
    const auto told = states_.find(one.id);
    if (has_member(now, one.name, one.incarnation) || told == states_.end() ||
        told->second.incarnation != one.incarnation ||
        std::find(now.departed.begin(), now.departed.end(), life) != now.departed.end())
      continue;
    for (const share_state& share : told->second.shares)
      add(result, lose(share.key, true));
    states_.erase(told);
  }
  for (const departed_member& life : now.departed) {
    const bool new_one = std::find(before.departed.begin(), before.departed.end(), life) == before.departed.end();
    const auto told = states_.find(life.id);
    if (!new_one || told == states_.end() || told->second.incarnation != life.incarnation) continue;
    for (const share_state& share : told->second.shares) {
      add(result, lose(share.key, false));
      lost_[life].push_back(share.key);
    }
    states_.erase(told);
  }
  return result;
}

pool_books::words pool_books::note_dead_elsewhere(const std::vector<departed_member>& lives) {
  dead_elsewhere_ = lives;
  const bool news = std::any_of(lives.begin(), lives.end(), [&](const departed_member& life) {
    return !lost_.contains(life) && !cleared_.contains({life.name, life.incarnation});
  });
  return gathering_ || !news ? words{} : begin();
}

pool_books::words pool_books::restart() {
  return begin();
}

pool_books::words pool_books::begin() {
  gathering_ = true;
  states_.clear();
  lost_.clear();
  return ask_again();
}

std::set<node_id> pool_books::awaited() const {
  std::set<node_id> result;
  if (!gathering_) return result;
  for (const member& one : view_.members)
    if (const auto told = states_.find(one.id); told == states_.end() || told->second.incarnation != one.incarnation)
      result.insert(one.id);
  return result;
}

pool_books::words pool_books::ask_again() const {
  words result;
  for (const node_id node : awaited())
    result.push_back({node, pool_ask{pool_, view_.epoch}});
  return result;
}

/// In the new books it has what it holds. The caller has seen to it that so many permits are free.
void pool_books::take_over(const share_state& share, node_id node) {
  const auto held = static_cast<std::uint32_t>(share.granted - share.returned);
  served_[share.key] = {share.returned, {}};
  (void)permits_.share_joined(share.key, node);
  (void)permits_.on_report({share.key, 0, 0, held, false, {}});
}

/// Everybody has answered: from here on the books are complete, but for what dead lives hold.
pool_books::words pool_books::begin_serving() {
  gathering_ = false;
  const std::uint64_t granted_before = granted_;
  served_.clear();
  std::uint32_t held = 0;
  for (const auto& [node, state] : states_)
    for (const share_state& share : state.shares)
      held += static_cast<std::uint32_t>(share.granted - share.returned);
  permits_ = permit_steward(std::max(held, reserve_.total()));
  for (const auto& [node, state] : states_)
    for (const share_state& share : state.shares)
      take_over(share, node);
  for (const auto* lives : {&view_.departed, &dead_elsewhere_})
    for (const departed_member& life : *lives)
      if (life.incarnation != left_clean && !cleared_.contains({life.name, life.incarnation})) lost_[life] = {};
  if (!lost_.empty() && permits_.free() > 0) { // nobody knows what they hold: everything that no share has
    (void)permits_.share_joined(unknown_share, own_);
    (void)permits_.on_report({unknown_share, 0, 0, permits_.free(), false, {}});
    (void)permits_.share_lost(unknown_share, {}, false);
  }
  words ignored, result;
  add(ignored, permits_.resize(reserve_.total()));
  for (const auto& [node, state] : states_)
    for (const share_state& share : state.shares)
      add(ignored, share.crashed ? lose(share.key, false) : report(as_report(share)));
  granted_ = granted_before;
  // Each is told where it stands: also that what the last steward recalled is wanted no more.
  for (auto& [key, share] : served_) {
    if (share.order.to != key) share.order = standing_order(key, share.base);
    result.push_back({node_of_share(key.share), pool_order{pool_, view_.epoch, share.order}});
  }
  return result;
}

/// Of a share that no order has been made for since the books were begun.
permit_order pool_books::standing_order(share_key key, std::uint64_t base) const {
  permit_order order;
  order.to = key;
  order.granted = base + permits_.out_at(key.share);
  order.recalled = order.urgent = base;
  return order;
}

// -- words of nodes --------------------------------------------------------------------------------------------------

pool_books::words pool_books::on_state(const pool_state& state) {
  const member* from = find_member(view_, state.node);
  if (state.epoch != view_.epoch || from == nullptr || from->incarnation != state.incarnation) return {};
  if (!gathering_) return compare(state);
  states_[state.node] = state;
  return awaited().empty() ? begin_serving() : words{};
}

/// A node that tells it all again: shares have begun or ended, or words were lost.
pool_books::words pool_books::compare(const pool_state& state) {
  words result;
  const pool_state before = std::exchange(states_[state.node], state);
  const auto listed = [](const pool_state& where, share_key key) {
    return std::any_of(where.shares.begin(), where.shares.end(),
                       [&](const share_state& one) { return one.key == key && !one.crashed; });
  };
  for (const share_state& share : before.shares)
    if (!listed(state, share.key)) {
      const bool crashed = std::any_of(state.shares.begin(), state.shares.end(),
                                       [&](const share_state& one) { return one.key == share.key && one.crashed; });
      add(result, lose(share.key, !crashed)); // without a crash it had nothing left
    }
  for (const share_state& share : state.shares) {
    if (share.crashed) continue;
    if (!served_.contains(share.key)) {
      if (share.granted > 0) return begin(); // it holds what these books do not know of
      served_[share.key] = {};
      add(result, permits_.share_joined(share.key, state.node));
    }
    add(result, report(as_report(share)));
    served_share& known = served_[share.key];
    if (known.order.to != share.key) known.order = standing_order(share.key, known.base);
    if (known.order.granted != share.granted || known.order.recalled != share.recalled ||
        known.order.urgent != share.urgent || known.order.draining != share.draining)
      result.push_back({state.node, pool_order{pool_, view_.epoch, known.order}});
  }
  return result;
}

pool_books::words pool_books::on_report(const pool_report& report) {
  if (report.epoch != view_.epoch) return {};
  const auto told = states_.find(report.node);
  if (told == states_.end()) return {};
  for (share_state& share : told->second.shares)
    if (share.key == report.report.from) {
      share.seen = std::max(share.seen, report.report.granted);
      share.returned = std::max(share.returned, report.report.returned);
      share.wanted = report.report.wanted;
      share.draining = report.report.draining;
    }
  words result;
  if (gathering_) return result;
  add(result, this->report(report.report));
  return result;
}

pool_books::words pool_books::on_reserve(const pool_reserve& wish) {
  if (gathering_ || wish.epoch != view_.epoch) return {};
  if (wish.lacking > 0) reserve_.lacking(wish.lacking, permits_.free());
  reserve_.spare(wish.spare);
  words result;
  add(result, permits_.resize(reserve_.total()));
  return result;
}

pool_books::words pool_books::configure(std::uint32_t size, std::uint32_t reserve) {
  reserve_.configure(size, reserve);
  words result;
  if (!gathering_ && permits_.size() != reserve_.total()) add(result, permits_.resize(reserve_.total()));
  return result;
}

// -- dead lives ------------------------------------------------------------------------------------------------------

std::vector<departed_member> pool_books::to_clear() const {
  std::vector<departed_member> result;
  if (!gathering_)
    for (const auto& [life, shares] : lost_)
      result.push_back(life);
  return result;
}

pool_books::words pool_books::cleared(const departed_member& life) {
  cleared_.insert({life.name, life.incarnation});
  const auto found = lost_.find(life);
  if (gathering_ || found == lost_.end()) return {};
  const std::vector<share_key> shares = std::move(found->second);
  lost_.erase(found);
  words result;
  for (const share_key key : shares)
    add(result, permits_.roster_settled(key));
  const bool all_known = std::none_of(lost_.begin(), lost_.end(), [](const auto& one) { return one.second.empty(); });
  if (all_known) add(result, permits_.roster_settled(unknown_share));
  return result;
}

// -- books -----------------------------------------------------------------------------------------------------------

bool pool_books::unused() const {
  return !gathering_ && lost_.empty() && permits_.shares() == 0 && permits_.lost() == 0 &&
         std::all_of(states_.begin(), states_.end(), [](const auto& one) { return one.second.shares.empty(); });
}

std::uint32_t pool_books::out_at_node(node_id node) const {
  std::uint32_t sum = 0;
  const auto told = states_.find(node);
  if (told == states_.end()) return 0;
  for (const share_state& share : told->second.shares)
    sum += permits_.out_at(share.key.share);
  return sum;
}

} // namespace pg_edge::cluster
