#include "cluster/permits.hpp"

#include <algorithm>

namespace pg_edge::cluster {

namespace {

constexpr std::uint32_t above(std::uint64_t value, std::uint64_t floor) {
  return value > floor ? static_cast<std::uint32_t>(value - floor) : 0;
}

} // namespace

// -- planning --------------------------------------------------------------------------------------------------------

// What everybody should get and owe, computed anew from the books at every input, so that no plan can go stale. Only
// what differs from the last order is sent.
//
// Demand of a share = permits out at it + permits it wants. Its fair part is the pool size in proportion to its demand.
// Its wealth is what it has above that part, in units of 1/total demand so that everything stays an integer.
struct permit_steward::plan {
  struct row {
    share_id id = 0;
    share_entry* share = nullptr;
    std::uint32_t demand = 0;
    std::uint32_t has = 0;      // permits, once what is planned here has happened
    std::uint32_t wants = 0;    // more permits than it has been granted
    std::uint32_t promised = 0; // of those wanted, the ones that urgent recalls from others will bring
    std::uint32_t urgent = 0;   // to be taken even if clients wait there
    std::uint32_t granted = 0;
    std::vector<backend_id> carried;
    [[nodiscard]] bool may_get() const { return wants > promised && urgent == 0; }
    [[nodiscard]] bool may_owe() const { return urgent < share->out() + granted && promised == 0; }
  };

  explicit plan(permit_steward& steward);
  [[nodiscard]] std::int64_t wealth(const row& r) const;
  [[nodiscard]] bool needier(const row& a, const row& b) const;
  row* neediest();
  row* richest(std::uint32_t at_least);
  row* longest_served();
  void grant(row& r);
  void pass_on(const permit_report& report);
  void grant_free();
  void take_excess();
  void take_for_fairness();
  orders write_orders();

  std::uint64_t& turn;
  std::vector<row> rows;
  std::int64_t usable = 0; // the pool size without what lost shares hold
  std::int64_t free = 0;   // below 0: so many are out above the size
  std::int64_t total_demand = 0;
  const row* next_served = nullptr; // who is granted the next permit that comes back
};

permit_steward::plan::plan(permit_steward& steward) : turn(steward.turn_) {
  usable = above(steward.size_, steward.lost());
  free = std::int64_t{steward.size_} - steward.out() - steward.lost();
  for (auto& [id, share] : steward.shares_) {
    row r;
    r.id = id;
    r.share = &share;
    r.has = share.out();
    r.wants = share.want();
    r.demand = share.heard.draining ? 0 : r.has + r.wants;
    total_demand += r.demand;
    rows.push_back(std::move(r));
  }
}

std::int64_t permit_steward::plan::wealth(const row& r) const {
  return std::int64_t{r.has} * total_demand - usable * std::int64_t{r.demand};
}

// Who has nothing comes first, the longest waiting of them at the head; then who is furthest below its fair part.
bool permit_steward::plan::needier(const row& a, const row& b) const {
  if ((a.has == 0) != (b.has == 0)) return a.has == 0;
  if (a.has > 0 && wealth(a) != wealth(b)) return wealth(a) < wealth(b);
  return a.share->hungry_since < b.share->hungry_since;
}

permit_steward::plan::row* permit_steward::plan::neediest() {
  row* best = nullptr;
  for (auto& r : rows)
    if (r.may_get() && (!best || needier(r, *best))) best = &r;
  return best;
}

// Of those that would have at least so many and can be asked for one more.
permit_steward::plan::row* permit_steward::plan::richest(std::uint32_t at_least) {
  row* best = nullptr;
  for (auto& r : rows)
    if (r.has >= at_least && r.may_owe() && (!best || wealth(r) > wealth(*best))) best = &r;
  return best;
}

// More hungry shares than permits: the one that has had its last permit for longest passes it on.
permit_steward::plan::row* permit_steward::plan::longest_served() {
  row* best = nullptr;
  for (auto& r : rows)
    if (r.has > 0 && r.may_owe() && (!best || r.share->granted_at < best->share->granted_at)) best = &r;
  return best;
}

void permit_steward::plan::grant(row& r) {
  --free;
  ++r.granted;
  ++r.has;
  if (r.wants > 0) {
    --r.wants;
  } else {
    ++r.demand;
    ++total_demand;
  }
  r.share->granted_at = ++turn;
  r.share->hungry = r.wants > 0;
  if (r.share->hungry) r.share->hungry_since = ++turn;
}

// A live server needs a home at once. It goes to whoever is served next if that share is on the same node, otherwise
// back to where it came from; what this plan then says about `carry` makes the sender close it next time.
void permit_steward::plan::pass_on(const permit_report& report) {
  const auto sender = std::find_if(rows.begin(), rows.end(), [&](const row& r) { return r.id == report.from.share; });
  for (auto server : report.carried) {
    row* next = free > 0 ? neediest() : nullptr;
    row& home = next && next->share->node == sender->share->node ? *next : *sender;
    grant(home);
    home.carried.push_back(server);
  }
}

void permit_steward::plan::grant_free() {
  while (free > 0) {
    row* next = neediest();
    if (!next) return;
    grant(*next);
  }
  next_served = free == 0 ? neediest() : nullptr;
}

void permit_steward::plan::take_excess() {
  for (auto left = -free; left > 0; --left) {
    row* from = richest(1);
    if (!from) return;
    ++from->urgent;
    --from->has;
  }
}

// A permit is taken from waiting clients only for a share that has none, or if the two shares' distance from their fair
// parts differs by 2 or more: after the move it does not differ the other way round, so nothing travels to and fro.
void permit_steward::plan::take_for_fairness() {
  while (row* to = neediest()) {
    row* from = richest(2);
    if (to->has == 0 && !from) from = longest_served();
    if (!from || from == to) return;
    if (to->has > 0 && wealth(*from) - wealth(*to) < 2 * total_demand) return;
    ++from->urgent;
    --from->has;
    ++to->has;
    ++to->promised;
  }
}

permit_steward::orders permit_steward::plan::write_orders() {
  auto missing = static_cast<std::uint64_t>(std::max<std::int64_t>(-free, 0));
  for (const auto& r : rows)
    missing += r.wants;
  orders result;
  for (auto& r : rows) {
    auto& share = *r.share;
    const auto returned = share.heard.returned;
    auto order = share.sent;
    order.granted += r.granted;
    order.draining = share.heard.draining;
    // Whatever is spare goes to those who want it, wherever it turns up first.
    const auto spare = order.draining ? 0 : std::min(order.granted - returned, missing - r.wants);
    const auto debt = std::max<std::uint64_t>(spare, r.urgent);
    if (above(order.recalled, returned) != debt) order.recalled = returned + debt;
    if (above(order.urgent, returned) != r.urgent) order.urgent = returned + r.urgent;
    if (debt > 0) order.carry = next_served && next_served->share->node == share.node;
    if (order == share.sent) continue;
    share.sent = order;
    order.carried = std::move(r.carried);
    result.push_back(std::move(order));
  }
  return result;
}

permit_steward::orders permit_steward::decide(const permit_report* report) {
  plan p(*this);
  if (report) p.pass_on(*report);
  p.grant_free();
  p.take_excess();
  if (p.free >= 0) p.take_for_fairness();
  return p.write_orders();
}

// -- inputs ----------------------------------------------------------------------------------------------------------

std::uint32_t permit_steward::share_entry::want() const {
  return heard.draining ? 0 : above(heard.wanted, sent.granted - heard.granted);
}

permit_steward::share_entry* permit_steward::find(share_key key) {
  const auto found = shares_.find(key.share);
  return found != shares_.end() && found->second.sent.to == key ? &found->second : nullptr;
}

permit_steward::orders permit_steward::share_joined(share_key key, node_id node) {
  auto [newest, first] = newest_.try_emplace(key.share, key.incarnation);
  if (!first && key.incarnation <= newest->second) return {};
  newest->second = key.incarnation;
  if (const auto old = shares_.find(key.share); old != shares_.end()) lose(old->second.sent.to, {}, false);
  auto& share = shares_[key.share];
  share.node = node;
  share.sent.to = key;
  share.heard.from = key;
  return decide();
}

// Its last report has been heard, so nothing is out. Only if its successor was heard of first, that report was ignored,
// and what is still out is what it carried along in vain. Whoever leaves with permits has not drained: it is lost.
permit_steward::orders permit_steward::share_left(share_key key) {
  const auto* share = find(key);
  return share_lost(key, {}, !share || share->out() == 0);
}

permit_steward::orders permit_steward::share_lost(share_key key, const std::vector<backend_id>& roster,
                                                  bool roster_complete) {
  lose(key, roster, roster_complete);
  return decide();
}

// Moves a live share to the lost ones, or completes what is known of one already there.
void permit_steward::lose(share_key key, const std::vector<backend_id>& roster, bool complete) {
  auto& newest = newest_[key.share];
  newest = std::max(newest, key.incarnation); // should its share_joined() come late, it is too late
  if (const auto* share = find(key)) {
    lost_[key].out = share->out();
    shares_.erase(key.share);
  }
  const auto lost = lost_.find(key);
  if (lost == lost_.end()) return;
  lost->second.roster.insert(roster.begin(), roster.end());
  lost->second.complete = lost->second.complete || complete;
  settle(lost);
}

// With a complete roster, permits beyond it have no backend and are free; one more is with every backend that goes.
void permit_steward::settle(std::map<share_key, lost_share>::iterator lost) {
  auto& [out, roster, complete] = lost->second;
  if (complete) out = std::min(out, static_cast<std::uint32_t>(roster.size()));
  if (out == 0) lost_.erase(lost);
}

permit_steward::orders permit_steward::roster_settled(share_key key) {
  return share_lost(key, {}, true);
}

permit_steward::orders permit_steward::backend_gone(share_key key, backend_id backend) {
  const auto lost = lost_.find(key);
  if (lost == lost_.end()) return {};
  lost->second.roster.erase(backend);
  settle(lost);
  return decide();
}

std::optional<permit_steward::orders> permit_steward::on_report(const permit_report& report) {
  auto* share = find(report.from);
  if (const auto lost = lost_.find(report.from); lost != lost_.end() && !lost->second.complete)
    lost->second.roster.insert(report.carried.begin(), report.carried.end());
  if (!share) return std::nullopt;
  const auto& heard = share->heard;
  const bool sane = report.returned >= heard.returned && report.returned <= share->sent.granted &&
                    report.granted >= heard.granted && report.granted <= share->sent.granted &&
                    report.carried.size() <= report.returned - heard.returned;
  if (!sane) return std::nullopt;
  const bool gave = report.returned > heard.returned;
  share->heard = report;
  share->heard.carried.clear();
  const bool hungry = share->want() > 0;
  // Who has just given a permit back stands at the end of the line for the next one.
  if (hungry && (gave || !share->hungry)) share->hungry_since = ++turn_;
  share->hungry = hungry;
  return decide(&report);
}

permit_steward::orders permit_steward::resize(std::uint32_t size) {
  size_ = size;
  return decide();
}

// -- books -----------------------------------------------------------------------------------------------------------

std::uint32_t permit_steward::out() const {
  std::uint32_t sum = 0;
  for (const auto& [id, share] : shares_)
    sum += share.out();
  return sum;
}

std::uint32_t permit_steward::lost() const {
  std::uint32_t sum = 0;
  for (const auto& [key, share] : lost_)
    sum += share.out;
  return sum;
}

std::uint32_t permit_steward::free() const {
  return above(size_, out() + lost());
}

std::uint32_t permit_steward::out_at(share_id id) const {
  const auto found = shares_.find(id);
  return found == shares_.end() ? 0 : found->second.out();
}

} // namespace pg_edge::cluster
