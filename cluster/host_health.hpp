// Which of several hosts, or of several addresses of a host, a new server goes to. One that failed lately is tried last
// until its back-off ends; then one login tries it first, while all others still avoid it. Pure: actors/host_table
// keeps it behind a mutex for all pools of the node.
//
//   well --failed()--> avoided --back-off ends--> the next choose() may pick it, and it is avoided again meanwhile
//     ^                   ^                          |
//     '---succeeded()-----+------------failed()------'   each failure doubles the back-off
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <random>
#include <span>
#include <string>

namespace pg_edge::cluster {

/// A moment, on a clock that only goes forward.
using moment = std::chrono::steady_clock::time_point;

class host_health {
public:
  /// How long a host is avoided after its first failure and at most; each time a quarter more or less.
  static constexpr std::chrono::milliseconds first_back_off{1000};
  static constexpr std::chrono::milliseconds longest_back_off{30'000};
  /// Failing hosts that are remembered; beyond it those whose back-off has ended are forgotten.
  static constexpr std::size_t remembered = 10'000;

  explicit host_health(std::uint64_t seed) : random_(static_cast<std::mt19937::result_type>(seed)) {}

  struct candidate {
    std::string name;
    std::uint32_t load = 0; // servers that the pool has there
  };
  /// Which to try next. `balance`: where the pool has the fewest servers, in turn where that is the same; otherwise the
  /// first. Those that failed lately come after all others. `among` is not empty.
  [[nodiscard]] std::size_t choose(std::span<const candidate> among, bool balance, moment now);

  /// Nobody could log in there. True: it was well before.
  bool failed(const std::string& name, moment now);
  /// Somebody has logged in there. True: it had failed before.
  bool succeeded(const std::string& name);
  bool avoided(const std::string& name, moment now) const;

private:
  struct trouble {
    std::chrono::milliseconds back_off{0};
    moment until{};
  };
  std::chrono::milliseconds with_jitter(std::chrono::milliseconds span);
  moment avoided_until(const std::string& name, moment now) const;

  std::map<std::string, trouble, std::less<>> troubles_;
  std::mt19937 random_;
  std::uint32_t turn_ = 0;
};

} // namespace pg_edge::cluster
