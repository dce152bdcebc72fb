// Values as the cells of SHOW commands, so that all tables write times, ids and NULLs alike.
#pragma once

#include "actors/messages.hpp"
#include "protocol/console_result.hpp"

#include <chrono>
#include <concepts>
#include <ctime>
#include <string>
#include <string_view>

namespace pg_edge::actors {

using protocol::console_cell;
using protocol::console_row;

inline constexpr std::int64_t million = 1'000'000;

inline console_cell cell(std::string_view text) {
  return std::string(text);
}

inline console_cell cell(std::integral auto number) {
  return std::to_string(number);
}

inline console_cell or_null(std::string_view text) {
  return text.empty() ? console_cell() : cell(text);
}

/// As pgbouncer writes times, and in the time zone the console claims to have.
inline std::string time_text(std::chrono::system_clock::time_point when) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::tm parts{};
  char text[64];
  if (::gmtime_r(&seconds, &parts) == nullptr) return {};
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

/// Stands where pgbouncer has the address of an object: a name that is the object's own as long as the node lives.
inline std::string pointer_text(std::uint64_t id) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (; id > 0; id /= digits.size())
    text.insert(text.begin(), digits[id % digits.size()]);
  return "0x" + text;
}

inline std::uint32_t servers_of(const share_snapshot& share) {
  return share.sv_active + share.sv_being_canceled + share.sv_idle + share.sv_used + share.sv_tested + share.sv_login +
         share.sv_closing;
}

inline std::uint32_t clients_of(const share_snapshot& share) {
  return share.cl_active + share.cl_waiting;
}

} // namespace pg_edge::actors
