#include "actors/welcome_cache.hpp"

namespace pg_edge::actors {

void welcome_cache::remember(const std::string& pool, protocol::parameter_values_ptr values) {
  const std::lock_guard<std::mutex> hold(mutex_);
  if (capacity_ == 0 || !values) return;
  if (const auto place = places_.find(pool); place != places_.end()) {
    place->second->second = std::move(values);
    entries_.splice(entries_.begin(), entries_, place->second);
    return;
  }
  if (entries_.size() >= capacity_) {
    places_.erase(entries_.back().first);
    entries_.pop_back();
  }
  entries_.emplace_front(pool, std::move(values));
  places_.emplace(pool, entries_.begin());
}

protocol::parameter_values_ptr welcome_cache::find(const std::string& pool) const {
  const std::lock_guard<std::mutex> hold(mutex_);
  const auto place = places_.find(pool);
  return place == places_.end() ? nullptr : place->second->second;
}

std::size_t welcome_cache::size() const {
  const std::lock_guard<std::mutex> hold(mutex_);
  return entries_.size();
}

} // namespace pg_edge::actors
