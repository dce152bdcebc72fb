// The counters of pools as /metrics shows them: a bounded number of them by name, the rest summed as "other". Pure.
//
// What a pool grows by counts in one series only, the one that it has at that time, so that no counter ever falls and a
// tenant that gets a name of its own takes nothing out of "other": its series begins at nothing then. The sums of the
// node are kept apart and are exact. A series that disappears and comes back begins anew, which Prometheus knows as the
// reset of a counter.
//
//   tenant: seen, room --> named <--- more than twice as busy as the least busy named one
//                 '-> other  '----> other when it is that one, or after an hour without traffic
#pragma once

#include "actors/meter_reading.hpp"

#include <map>
#include <set>
#include <string>

namespace pg_edge::actors {

struct series_key {
  pool_name name;
  config::pool_mode mode = config::pool_mode::session;
  friend auto operator<=>(const series_key&, const series_key&) = default;
};

struct series_totals {
  share_counts counts;
  timed_histograms times;
  std::uint64_t errors = 0;

  void add(const pool_growth& grown);
};

class series_ledger {
public:
  /// The label of what has no name of its own.
  static constexpr std::string_view other = "other";
  static constexpr std::uint64_t forget_after = 3600; // ticks

  struct limits {
    std::size_t tenants = 100; // by name
    std::size_t pools = 1000;  // of those
    friend bool operator==(const limits&, const limits&) = default;
  };

  void configure(const limits& most);
  void take(const pool_growth& grown);
  void tick();
  /// Now and then: the busiest shall have names. `queries` of late, by tenant.
  void rank(const std::map<std::string, std::uint64_t>& queries);

  /// Where a pool's figures belong at present.
  series_key key_of(const pool_name& name, config::pool_mode mode) const;
  const std::map<series_key, series_totals>& series() const { return series_; }
  const series_totals& node() const { return node_; }

private:
  /// As key_of(), and gives the pool a name if there is room.
  series_key place(const pool_name& name, config::pool_mode mode);
  void unname(const std::string& tenant);

  limits most_;
  std::uint64_t tick_ = 0;
  std::map<std::string, std::uint64_t, std::less<>> named_; // tenants, and the tick of their last traffic
  std::map<pool_name, std::uint64_t> named_pools_;          // likewise
  std::map<series_key, series_totals> series_;
  series_totals node_;
};

void add(share_counts& to, const share_counts& what);

} // namespace pg_edge::actors
