// Errors counted by SQLSTATE and by who sent them, in a place of fixed size: nothing a server or a client says may make
// it grow. Whoever reads it empties it, so few codes meet in it; one that finds no room is counted as "other".
#pragma once

#include "protocol/bytes.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace pg_edge::protocol {

/// Who made an error: Postgres, whose answer was passed on, or pg_edge itself.
enum class error_origin : std::uint8_t { server, pg_edge };

constexpr std::string_view to_string(error_origin origin) {
  return origin == error_origin::server ? "server" : "pg_edge";
}

/// A SQLSTATE and an origin in one number. A code that is none (five digits or capitals) becomes `other_code`.
class error_key {
public:
  static constexpr std::string_view other_code = "other";

  constexpr error_key() = default;
  constexpr error_key(std::string_view sqlstate, error_origin origin)
      : packed_(pack(sqlstate) | (origin == error_origin::pg_edge ? own_bit : 0)) {}

  constexpr error_origin origin() const {
    return (packed_ & own_bit) != 0 ? error_origin::pg_edge : error_origin::server;
  }
  std::string sqlstate() const {
    std::uint32_t rest = packed_ & ~own_bit;
    if (rest == other) return std::string(other_code);
    std::string text(length, '0');
    for (std::size_t i = length; i-- > 0; rest /= base)
      text[i] = letters[rest % base];
    return text;
  }
  /// The same origin, without the code.
  constexpr error_key as_other() const {
    error_key result;
    result.packed_ = other | (packed_ & own_bit);
    return result;
  }
  friend constexpr auto operator<=>(const error_key&, const error_key&) = default;

private:
  static constexpr std::string_view letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  static constexpr std::uint32_t base = 36, other = 36 * 36 * 36 * 36 * 36, own_bit = 1U << 31;
  static constexpr std::size_t length = 5;
  static_assert(other < own_bit);

  static constexpr std::uint32_t pack(std::string_view sqlstate) {
    if (sqlstate.size() != length) return other;
    std::uint32_t result = 0;
    for (const char c : sqlstate) {
      const std::size_t digit = letters.find(c);
      if (digit == std::string_view::npos) return other;
      result = result * base + static_cast<std::uint32_t>(digit);
    }
    return result;
  }

  std::uint32_t packed_ = other;
};

struct error_count {
  error_key key;
  std::uint32_t count = 0;
};

class error_tally {
public:
  /// Different ones between two readings; the rest counts as `other_code`.
  static constexpr std::size_t most = 16;

  void note(error_key key) {
    for (error_count& one : counts_) {
      if (one.count == 0) one.key = key;
      if (one.key != key) continue;
      ++one.count;
      return;
    }
    ++(key.origin() == error_origin::pg_edge ? other_own_ : other_server_);
  }
  void note(bytes_view sqlstate, error_origin origin) { note(error_key(sqlstate, origin)); }

  bool empty() const { return counts_[0].count == 0; }
  /// Gives each count to `take` and forgets it.
  template <class Take>
  void drain(Take take) {
    for (error_count& one : counts_) {
      if (one.count == 0) break;
      take(one);
      one = {};
    }
    const auto rest = [&](std::uint32_t& count, error_origin origin) {
      if (count > 0) take(error_count{error_key({}, origin), count});
      count = 0;
    };
    rest(other_own_, error_origin::pg_edge);
    rest(other_server_, error_origin::server);
  }

private:
  std::array<error_count, most> counts_{}; // those in use stand in front
  std::uint32_t other_own_ = 0, other_server_ = 0;
};

} // namespace pg_edge::protocol
