// Who has failed to log in too often: counted by user and address, so that nobody can lock out a user who comes from
// elsewhere. Bounded: a flood of names pushes out the oldest failures, never more memory in.
#pragma once

#include <chrono>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace pg_edge::actors {

class login_throttle {
public:
  using clock = std::chrono::steady_clock;

  /// Users and addresses whose failures are remembered.
  static constexpr std::size_t default_capacity = 20'000;
  explicit login_throttle(std::size_t capacity = default_capacity) : capacity_(capacity) {}

  /// The key of a login. `address` in text: an IPv6 address counts by its /64, which is what one host can choose from.
  /// `user` as the client wrote it and `tenant` as it named it elsewhere, whether they exist or not: a throttle must
  /// not show that. Empty for what is no address: local sockets are not throttled.
  static std::string key(std::string_view address, std::string_view tenant, std::string_view user);

  /// How long that login is refused for, if it is.
  std::optional<clock::duration> refused_for(const std::string& key, clock::time_point now);
  /// One more failure. At the `limit`th within `window` the key is refused for another window.
  void failed(const std::string& key, clock::time_point now, int limit, clock::duration window);
  void succeeded(const std::string& key);
  std::size_t size() const;

private:
  struct entry {
    std::string key;
    int failures = 0;
    clock::time_point since{}, refused_until{};
  };
  using entries = std::list<entry>; // the one that failed last in front

  mutable std::mutex lock_;
  std::size_t capacity_;
  entries entries_;
  std::unordered_map<std::string_view, entries::iterator> by_key_; // views of the entries' own keys
};

} // namespace pg_edge::actors
