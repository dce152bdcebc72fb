// What sessions of a pool began with when a server last said so, kept beyond the pool's own life: while Postgres is
// away clients can still log in with it. One a node, in memory only.
#pragma once

#include "protocol/session_parameters.hpp"

#include <list>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

namespace pg_edge::actors {

/// May be used by every thread.
class welcome_cache {
public:
  /// Pools that are remembered; beyond that the one that was told of longest ago is forgotten.
  static constexpr std::size_t default_capacity = 10'000;

  explicit welcome_cache(std::size_t capacity = default_capacity) : capacity_(capacity) {}

  /// A server of this pool has logged in and reported these values. `pool` names the pool and its target, so that
  /// values of another server are never used.
  void remember(const std::string& pool, protocol::parameter_values_ptr values);
  /// Null: nothing is known.
  protocol::parameter_values_ptr find(const std::string& pool) const;
  std::size_t size() const;

private:
  using entries = std::list<std::pair<std::string, protocol::parameter_values_ptr>>; // last told of first

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  entries entries_;
  std::unordered_map<std::string, entries::iterator> places_;
};

} // namespace pg_edge::actors
