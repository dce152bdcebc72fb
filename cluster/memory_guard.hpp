// What a node does about its memory: when it lets no new client in, whom it ends when that is not enough, and when what
// the allocator keeps should go back to the system. Decided from numbers alone, so that it can be tested without them.
//
//           used >= limit              used >= 105% of the limit, or it grows on and on
//   calm ------------------> refusing ------------------------------------------------> shedding
//        <------------------          <------------------------------------------------
//           used < 90%                 used < limit
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace pg_edge::cluster {

enum class memory_state : std::uint8_t { calm, refusing, shedding };
std::string_view to_string(memory_state state);

/// A client that might be ended, and the bytes that this would give back.
struct memory_holder {
  std::uint64_t client = 0;
  std::uint64_t bytes = 0;
  bool waits = false; // nothing of it is under way on a server
};

class memory_guard {
public:
  /// Ends nobody who holds less: it would help nobody.
  static constexpr std::uint64_t least_held = 64 * 1024;
  /// How many are ended after one sample; then it is looked at what that has done.
  static constexpr std::size_t most_ended = 32;
  /// So many samples in a row above the limit, each above the one before, count as growing on and on.
  static constexpr unsigned growing_samples = 20;
  /// What an allocator may keep for itself before it is asked to give it back.
  static constexpr std::uint64_t least_trimmed = 32 * 1024 * 1024;

  /// `limit`: bytes, 0: none. May be called again.
  void configure(std::uint64_t limit) { limit_ = limit; }
  std::uint64_t limit() const { return limit_; }
  memory_state state() const { return state_; }

  /// The process uses so many bytes now. Returns whether the state has changed.
  bool sample(std::uint64_t used);

  /// Who is to be ended now, of `all`: positions, those that wait first, then by what they hold; until the limit would
  /// be kept. Empty unless shedding.
  std::vector<std::size_t> choose(const std::vector<memory_holder>& all) const;

  /// Whether to trim: `in_use` are the bytes that the allocator has given out of those that the process uses.
  static bool trim_due(std::uint64_t used, std::uint64_t in_use);

private:
  std::uint64_t limit_ = 0;
  std::uint64_t used_ = 0;
  unsigned grown_ = 0;
  memory_state state_ = memory_state::calm;
};

} // namespace pg_edge::cluster
