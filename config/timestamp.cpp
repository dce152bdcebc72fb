#include "config/timestamp.hpp"

#include <cstdio>

namespace pg_edge::config {

namespace {

/// Takes `digits` digits off the front; nullopt when there are not that many or the value is out of range.
std::optional<int> take_number(std::string_view& text, std::size_t digits, int low, int high) {
  if (text.size() < digits) return std::nullopt;
  int value = 0;
  for (const char c : text.substr(0, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(digits);
  return value < low || value > high ? std::nullopt : std::optional<int>{value};
}

bool take(std::string_view& text, char wanted) {
  if (text.empty() || text.front() != wanted) return false;
  text.remove_prefix(1);
  return true;
}

/// "Z", "+02", "+02:00", or nothing; nullopt when it is something else.
std::optional<std::chrono::minutes> take_zone(std::string_view& text) {
  if (text.empty() || text == "Z" || text == "z") {
    text = {};
    return std::chrono::minutes{0};
  }
  const bool east = text.front() == '+';
  if (!east && text.front() != '-') return std::nullopt;
  text.remove_prefix(1);
  const auto hours = take_number(text, 2, 0, 15);
  take(text, ':');
  const auto minutes = text.empty() ? std::optional<int>{0} : take_number(text, 2, 0, 59);
  if (!hours || !minutes) return std::nullopt;
  const std::chrono::minutes offset{*hours * 60 + *minutes};
  return east ? offset : -offset;
}

} // namespace

std::optional<std::chrono::system_clock::time_point> parse_timestamp(std::string_view text) {
  using namespace std::chrono;
  const auto y = take_number(text, 4, 1970, 2200);
  if (!y || !take(text, '-')) return std::nullopt;
  const auto m = take_number(text, 2, 1, 12);
  if (!m || !take(text, '-')) return std::nullopt;
  const auto d = take_number(text, 2, 1, 31);
  if (!d) return std::nullopt;
  const year_month_day date{year{*y}, month{static_cast<unsigned>(*m)}, day{static_cast<unsigned>(*d)}};
  if (!date.ok()) return std::nullopt;
  system_clock::time_point out = sys_days{date};
  if (text.empty()) return out;
  if (!take(text, 'T') && !take(text, ' ')) return std::nullopt;
  const auto hour = take_number(text, 2, 0, 23);
  if (!hour || !take(text, ':')) return std::nullopt;
  const auto minute = take_number(text, 2, 0, 59);
  if (!minute) return std::nullopt;
  out += hours{*hour} + minutes{*minute};
  if (take(text, ':')) {
    const auto second = take_number(text, 2, 0, 59);
    if (!second) return std::nullopt;
    out += seconds{*second};
  }
  const auto offset = take_zone(text);
  if (!offset || !text.empty()) return std::nullopt;
  return out - *offset;
}

std::string timestamp_text(std::chrono::system_clock::time_point when) {
  using namespace std::chrono;
  const auto day_of = floor<days>(when);
  const year_month_day date{day_of};
  const hh_mm_ss time{floor<seconds>(when - day_of)};
  char out[64];
  std::snprintf(out, sizeof out, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return out;
}

} // namespace pg_edge::config
