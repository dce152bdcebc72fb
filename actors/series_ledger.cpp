#include "actors/series_ledger.hpp"

#include "actors/console_stats.hpp"

#include <algorithm>
#include <vector>

namespace pg_edge::actors {

void add(share_counts& to, const share_counts& what) {
  for (const count_row& row : count_rows)
    to.*row.member += what.*row.member;
}

void series_totals::add(const pool_growth& grown) {
  actors::add(counts, grown.counts);
  for (std::size_t i = 0; i < timed_count; ++i)
    times[i].merge(grown.times[i]);
  for (const protocol::error_count& one : grown.errors)
    errors += one.count;
}

void series_ledger::configure(const limits& most) {
  if (most == most_) return;
  most_ = most;
  std::vector<std::pair<std::uint64_t, std::string>> by_age;
  for (const auto& [tenant, last] : named_)
    by_age.emplace_back(last, tenant);
  if (by_age.size() > most_.tenants) {
    std::sort(by_age.begin(), by_age.end());
    for (std::size_t i = 0; i < by_age.size() - most_.tenants; ++i)
      unname(by_age[i].second);
  }
  while (named_pools_.size() > most_.pools) {
    const pool_name gone = named_pools_.begin()->first;
    named_pools_.erase(named_pools_.begin());
    std::erase_if(series_, [&](const auto& one) { return one.first.name == gone; });
  }
}

series_key series_ledger::key_of(const pool_name& name, config::pool_mode mode) const {
  const std::string rest(other);
  if (!named_.contains(name.tenant)) return {{rest, rest, rest}, mode};
  if (!named_pools_.contains(name)) return {{name.tenant, rest, rest}, mode};
  return {name, mode};
}

series_key series_ledger::place(const pool_name& name, config::pool_mode mode) {
  auto tenant = named_.find(name.tenant);
  if (tenant == named_.end() && named_.size() < most_.tenants) tenant = named_.emplace(name.tenant, tick_).first;
  if (tenant != named_.end()) {
    tenant->second = tick_;
    const auto pool = named_pools_.find(name);
    if (pool != named_pools_.end())
      pool->second = tick_;
    else if (named_pools_.size() < most_.pools)
      named_pools_.emplace(name, tick_);
  }
  return key_of(name, mode);
}

void series_ledger::take(const pool_growth& grown) {
  node_.add(grown);
  series_[place(grown.name, grown.mode)].add(grown);
}

void series_ledger::unname(const std::string& tenant) {
  named_.erase(tenant);
  std::erase_if(named_pools_, [&](const auto& one) { return one.first.tenant == tenant; });
  if (tenant != other) std::erase_if(series_, [&](const auto& one) { return one.first.name.tenant == tenant; });
}

void series_ledger::tick() {
  ++tick_;
  if (tick_ % 60 != 0) return;
  std::vector<std::string> quiet;
  for (const auto& [tenant, last] : named_)
    if (last + forget_after < tick_) quiet.push_back(tenant);
  for (const std::string& tenant : quiet)
    unname(tenant);
  std::vector<pool_name> unused;
  for (const auto& [name, last] : named_pools_)
    if (last + forget_after < tick_) unused.push_back(name);
  for (const pool_name& name : unused) {
    named_pools_.erase(name);
    std::erase_if(series_, [&](const auto& one) { return one.first.name == name; });
  }
}

/// Two that are about equally busy do not take each other's name in turns: the new one has to do twice as much.
void series_ledger::rank(const std::map<std::string, std::uint64_t>& queries) {
  if (most_.tenants == 0) return;
  std::vector<std::pair<std::uint64_t, std::string>> inside, outside;
  for (const auto& [tenant, last] : named_) {
    const auto found = queries.find(tenant);
    inside.emplace_back(found == queries.end() ? 0 : found->second, tenant);
  }
  for (const auto& [tenant, count] : queries)
    if (!named_.contains(tenant)) outside.emplace_back(count, tenant);
  std::sort(inside.begin(), inside.end());
  std::sort(outside.rbegin(), outside.rend());
  for (std::size_t i = 0; i < outside.size(); ++i) {
    if (named_.size() >= most_.tenants) {
      if (i >= inside.size() || outside[i].first <= 2 * inside[i].first) return;
      unname(inside[i].second);
    }
    named_.emplace(outside[i].second, tick_);
  }
}

} // namespace pg_edge::actors
