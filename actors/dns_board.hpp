// What the resolver knows and does, where SHOW DNS_HOSTS and SHOW LISTS can look without asking it. The resolver
// writes.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace pg_edge::actors {

class dns_board {
public:
  using clock = std::chrono::steady_clock;

  struct name {
    clock::time_point until{}; // when it is asked for again
    std::string addresses;     // comma list
  };

  void set(const std::string& host, name now) {
    const std::lock_guard guard(mutex_);
    names_[host] = std::move(now);
    if (names_.size() > most) names_.erase(names_.begin());
  }
  std::map<std::string, name, std::less<>> names() const {
    const std::lock_guard guard(mutex_);
    return names_;
  }

  std::atomic<std::uint64_t> queries{0}; // asked of name servers since the node started
  std::atomic<std::uint64_t> pending{0}; // of those, without an answer yet

private:
  static constexpr std::size_t most = 10'000;

  mutable std::mutex mutex_;
  std::map<std::string, name, std::less<>> names_;
};

} // namespace pg_edge::actors
