#include "actors/console_stats.hpp"

#include <algorithm>
#include <unordered_set>

namespace pg_edge::actors {

namespace {

constexpr std::uint64_t microseconds_per_second = 1'000'000;

void add(share_counts& to, const share_counts& what) {
  for (const count_row& row : count_rows)
    to.*row.member += what.*row.member;
}

/// Counters only grow; a share that is briefly not known must not make a huge number of it.
std::uint64_t growth(std::uint64_t now, std::uint64_t before) {
  return now > before ? now - before : 0;
}

share_counts averages(const share_counts& now, const share_counts& before, std::chrono::microseconds span) {
  share_counts result;
  for (const count_row& row : count_rows) {
    const std::uint64_t grown = growth(now.*row.member, before.*row.member);
    std::uint64_t over = 0;
    std::uint64_t scale = 1;
    switch (row.over) {
    case average_over::seconds:
      over = static_cast<std::uint64_t>(std::max<std::int64_t>(span.count(), 0));
      scale = microseconds_per_second;
      break;
    case average_over::transactions:
      over = growth(now.xact_count, before.xact_count);
      break;
    case average_over::queries:
      over = growth(now.query_count, before.query_count);
      break;
    case average_over::assignments:
      over = growth(now.server_assignment_count, before.server_assignment_count);
      break;
    }
    if (over > 0) // as a long double: bytes times a million do not fit in 64 bits for long
      result.*row.member = static_cast<std::uint64_t>(static_cast<long double>(grown) *
                                                      static_cast<long double>(scale) / static_cast<long double>(over));
  }
  return result;
}

share_counts find(const std::map<database_key, share_counts>& in, const database_key& key) {
  const auto found = in.find(key);
  return found == in.end() ? share_counts{} : found->second;
}

std::chrono::microseconds since(stats_ledger::clock::time_point then, stats_ledger::clock::time_point now) {
  return std::chrono::duration_cast<std::chrono::microseconds>(now - then);
}

} // namespace

void stats_ledger::note(const std::vector<sample>& answers, std::span<const caf::actor_id> listed, bool complete) {
  for (const sample& one : answers)
    living_[one.share] = one;
  if (!complete) return;
  const std::unordered_set<caf::actor_id> there(listed.begin(), listed.end());
  for (auto place = living_.begin(); place != living_.end();) {
    if (there.contains(place->first)) {
      ++place;
    } else {
      add(ended_[place->second.database], place->second.counts);
      place = living_.erase(place);
    }
  }
}

void stats_ledger::tick(clock::time_point now) {
  older_ = std::move(newer_);
  newer_ = {now, current()};
}

stats_ledger::totals stats_ledger::current() const {
  totals result = ended_;
  for (const auto& [share, one] : living_)
    add(result[one.database], one.counts);
  return result;
}

std::map<database_key, stats_ledger::line> stats_ledger::lines(clock::time_point now) const {
  std::map<database_key, line> result;
  for (const auto& [key, counts] : current())
    result[key] = {counts, averages(counts, find(older_.counts, key), since(older_.at, now))};
  return result;
}

stats_ledger::line stats_ledger::sum(clock::time_point now) const {
  share_counts total, before;
  for (const auto& [key, counts] : current())
    add(total, counts);
  for (const auto& [key, counts] : older_.counts)
    add(before, counts);
  return {total, averages(total, before, since(older_.at, now))};
}

} // namespace pg_edge::actors
