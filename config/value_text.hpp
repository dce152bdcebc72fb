// Values as text, both ways: names of enumerations, durations, booleans, numbers. Used by the loader, SHOW CONFIG, the
// generated documents and the pgbouncer import, so that all of them agree.
#pragma once

#include "config/settings.hpp"

#include <span>

namespace pg_edge::config {

template <class Enum>
struct enum_name {
  std::string_view name;
  Enum value;
};

/// The names of each enumeration, pgbouncer's own first; a later row for the same value is an alias.
std::span<const enum_name<pool_mode>> names_of(pool_mode);
std::span<const enum_name<auth_type>> names_of(auth_type);
std::span<const enum_name<tls_mode>> names_of(tls_mode);
std::span<const enum_name<host_balance>> names_of(host_balance);
std::span<const enum_name<admin_role>> names_of(admin_role);
std::span<const enum_name<log_format>> names_of(log_format);
std::span<const enum_name<cluster_budget>> names_of(cluster_budget);

std::string_view to_string(pool_mode mode);
std::string_view to_string(auth_type type);
std::string_view to_string(tls_mode mode);
std::string_view to_string(host_balance balance);
std::string_view to_string(admin_role role);
std::string_view to_string(log_format format);
std::string_view to_string(cluster_budget budget);

template <class Enum>
std::optional<Enum> parse_enum(std::string_view text) {
  for (const auto& row : names_of(Enum{}))
    if (row.name == text) return row.value;
  return std::nullopt;
}

/// "a, b or c", without aliases.
template <class Enum>
std::string listed_names() {
  std::string out;
  const auto rows = names_of(Enum{});
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (i == 0 || rows[i].value != rows[i - 1].value) out += (out.empty() ? "" : ", ") + std::string{rows[i].name};
  return out;
}

/// No time span in the settings is longer.
inline constexpr duration longest_duration = std::chrono::seconds{std::numeric_limits<std::int32_t>::max()};

/// "250ms", "5s", "2m", "1h", "1d", "10us", or a plain number counted in `plain_unit`. nullopt: not a time span from
/// zero to longest_duration.
std::optional<duration> parse_duration(std::string_view text, duration plain_unit = std::chrono::seconds{1});

/// A number of `plain_unit`s; nullopt when negative, not finite or too long.
std::optional<duration> to_duration(double count, duration plain_unit = std::chrono::seconds{1});

/// "64kB", "512MB", "8GB", "1TB" (powers of 1024), or a plain number of bytes. nullopt: not an amount of memory.
std::optional<byte_size> parse_byte_size(std::string_view text);

std::optional<std::int64_t> parse_integer(std::string_view text, int base = 10);

/// 0/1, true/false, yes/no, on/off.
std::optional<bool> parse_boolean(std::string_view text);

/// Splits at commas, trims blanks, leaves empty entries out.
std::vector<std::string> split_list(std::string_view text);

std::string_view trim(std::string_view text);

// -- as SHOW CONFIG prints them: seconds, 0 and 1, comma lists ------------------------------------------------------
std::string value_text(bool value);
std::string value_text(int value);
std::string value_text(duration value);
std::string value_text(byte_size value);
std::string value_text(const std::string& value);
std::string value_text(const std::vector<std::string>& value);
std::string value_text(pool_mode value);
std::string value_text(auth_type value);
std::string value_text(tls_mode value);
std::string value_text(host_balance value);
std::string value_text(admin_role value);
std::string value_text(log_format value);
std::string value_text(cluster_budget value);

/// A TOML basic string with its quotes.
std::string toml_quoted(std::string_view text);

/// A TOML key: bare if it can be, else quoted.
std::string toml_key(std::string_view name);

/// The candidate with the smallest edit distance to `name`, or empty when none is near enough to be a slip.
std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates);

} // namespace pg_edge::config
