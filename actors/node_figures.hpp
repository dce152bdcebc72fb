// What is known of the whole node over time beside its pools: errors by SQLSTATE, and how busy the reactors were. Pure.
#pragma once

#include "actors/meter_reading.hpp"
#include "actors/window_ring.hpp"

#include <array>
#include <map>
#include <string_view>
#include <vector>

namespace pg_edge::actors {

// -- errors
// --------------------------------------------------------------------------------------------------------------

/// What the first two letters of a SQLSTATE say; empty: nothing we know.
std::string_view sqlstate_class(std::string_view sqlstate);

struct error_figures {
  protocol::error_key key;
  std::uint64_t total = 0, last_minute = 0;
  std::chrono::system_clock::time_point last{};
  pool_name name; // whose client was the last to be sent it; empty: it belonged to no pool yet
};

class error_ledger {
public:
  /// Different ones; SQLSTATEs can be made up by whoever writes functions, so beyond them all count as "other".
  static constexpr std::size_t most = 200;

  void take(const pool_name& name, const protocol::error_count& one, std::chrono::system_clock::time_point now);
  void tick(std::uint64_t tick);
  /// The most frequent of the last minute first, then those of all time.
  std::vector<error_figures> rows(const window_clock& at) const;

private:
  struct counted {
    std::uint64_t count = 0;
    bool empty() const { return count == 0; }
    void fold(const counted& other, std::uint64_t) { count += other.count; }
    void merge(const counted& other) { count += other.count; }
  };
  struct record {
    std::uint64_t total = 0;
    std::chrono::system_clock::time_point last{};
    pool_name name;
    window_ring<counted> ring;
  };
  std::map<protocol::error_key, record> records_;
};

// -- reactors
// ------------------------------------------------------------------------------------------------------------

struct reactor_figures {
  unsigned reactor = 0;
  reactor_counters counters;
  std::array<double, windows.size()> busy{}; // part of the time, 0 to 1, by window
};

class reactor_ledger {
public:
  void take(const meter_reading& reading);
  void tick(const window_clock& at);
  std::vector<reactor_figures> rows(const window_clock& at) const;

private:
  static constexpr std::size_t kept = window_clock::most + window_clock::fold + 1;
  struct record {
    reactor_counters counters;
    std::array<std::chrono::nanoseconds, kept> busy{}; // at each tick
  };
  std::map<unsigned, record> records_;
};

} // namespace pg_edge::actors
