#include "config/value_text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace pg_edge::config {

namespace {

constexpr enum_name<pool_mode> pool_mode_names[] = {
    {"session", pool_mode::session},
    {"transaction", pool_mode::transaction},
    {"statement", pool_mode::statement},
};
constexpr enum_name<auth_type> auth_type_names[] = {
    {"any", auth_type::any},        {"trust", auth_type::trust}, {"plain", auth_type::plain},
    {"password", auth_type::plain}, {"md5", auth_type::md5},     {"scram-sha-256", auth_type::scram_sha_256},
    {"cert", auth_type::cert},      {"hba", auth_type::hba},     {"peer", auth_type::peer},
    {"pam", auth_type::pam},
};
constexpr enum_name<tls_mode> tls_mode_names[] = {
    {"disable", tls_mode::disable}, {"allow", tls_mode::allow},         {"prefer", tls_mode::prefer},
    {"require", tls_mode::require}, {"verify-ca", tls_mode::verify_ca}, {"verify-full", tls_mode::verify_full},
};
constexpr enum_name<host_balance> host_balance_names[] = {
    {"disable", host_balance::disable},
    {"round-robin", host_balance::round_robin},
};
constexpr enum_name<log_format> log_format_names[] = {
    {"logfmt", log_format::logfmt},
    {"json", log_format::json},
};

constexpr enum_name<cluster_budget> cluster_budget_names[] = {
    {"strict", cluster_budget::strict},
    {"available", cluster_budget::available},
};

constexpr enum_name<admin_role> admin_role_names[] = {
    {"none", admin_role::none},
    {"viewer", admin_role::viewer},
    {"operator", admin_role::operator_},
    {"admin", admin_role::admin},
};

struct time_unit {
  std::string_view name;
  duration length;
};
constexpr time_unit time_units[] = {
    {"us", std::chrono::microseconds{1}}, {"ms", std::chrono::milliseconds{1}}, {"s", std::chrono::seconds{1}},
    {"m", std::chrono::minutes{1}},       {"min", std::chrono::minutes{1}},     {"h", std::chrono::hours{1}},
    {"d", std::chrono::hours{24}},
};

/// The largest first; kB as Postgres writes it.
struct byte_unit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr byte_unit byte_units[] = {
    {"TB", 1ULL << 40}, {"GB", 1ULL << 30}, {"MB", 1ULL << 20}, {"kB", 1ULL << 10}, {"B", 1}, {"", 1},
};

template <class Enum>
std::string_view name_of(Enum value) {
  for (const auto& row : names_of(value))
    if (row.value == value) return row.name;
  return "?";
}

constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

} // namespace

std::span<const enum_name<pool_mode>> names_of(pool_mode) {
  return pool_mode_names;
}
std::span<const enum_name<auth_type>> names_of(auth_type) {
  return auth_type_names;
}
std::span<const enum_name<tls_mode>> names_of(tls_mode) {
  return tls_mode_names;
}
std::span<const enum_name<host_balance>> names_of(host_balance) {
  return host_balance_names;
}
std::span<const enum_name<log_format>> names_of(log_format) {
  return log_format_names;
}

std::span<const enum_name<cluster_budget>> names_of(cluster_budget) {
  return cluster_budget_names;
}

std::span<const enum_name<admin_role>> names_of(admin_role) {
  return admin_role_names;
}

std::string_view to_string(pool_mode mode) {
  return name_of(mode);
}
std::string_view to_string(auth_type type) {
  return name_of(type);
}
std::string_view to_string(tls_mode mode) {
  return name_of(mode);
}
std::string_view to_string(host_balance balance) {
  return name_of(balance);
}
std::string_view to_string(log_format format) {
  return name_of(format);
}

std::string_view to_string(cluster_budget budget) {
  return name_of(budget);
}

std::string_view to_string(admin_role role) {
  return name_of(role);
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back()))
    text.remove_suffix(1);
  return text;
}

std::optional<duration> to_duration(double count, duration plain_unit) {
  const double micros = count * static_cast<double>(plain_unit.count());
  // The comparison is false for NaN too.
  if (!(micros >= 0 && micros <= static_cast<double>(longest_duration.count()))) return std::nullopt;
  return duration{std::llround(micros)};
}

std::optional<duration> parse_duration(std::string_view text, duration plain_unit) {
  text = trim(text);
  double count = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), count, std::chars_format::fixed);
  if (error != std::errc{} || text.front() == '-') return std::nullopt;
  const auto unit = trim(text.substr(static_cast<std::size_t>(rest - text.data())));
  if (unit.empty()) return to_duration(count, plain_unit);
  for (const auto& row : time_units)
    if (row.name == unit) return to_duration(count, row.length);
  return std::nullopt;
}

std::optional<byte_size> parse_byte_size(std::string_view text) {
  text = trim(text);
  std::uint64_t count = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{}) return std::nullopt;
  const auto unit = trim(text.substr(static_cast<std::size_t>(rest - text.data())));
  for (const auto& row : byte_units)
    if (row.name == unit && count <= std::numeric_limits<std::int64_t>::max() / row.bytes)
      return byte_size{count * row.bytes};
  return std::nullopt;
}

std::optional<std::int64_t> parse_integer(std::string_view text, int base) {
  text = trim(text);
  std::int64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || rest != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> parse_boolean(std::string_view text) {
  std::string word{trim(text)};
  std::transform(word.begin(), word.end(), word.begin(), lower);
  if (word == "1" || word == "true" || word == "yes" || word == "on") return true;
  if (word == "0" || word == "false" || word == "no" || word == "off") return false;
  return std::nullopt;
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    if (const auto entry = trim(text.substr(0, comma)); !entry.empty()) out.emplace_back(entry);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

// -- as SHOW CONFIG prints them ---------------------------------------------------------------------------------------

std::string value_text(bool value) {
  return value ? "1" : "0";
}
std::string value_text(int value) {
  return std::to_string(value);
}
std::string value_text(const std::string& value) {
  return value;
}
std::string value_text(pool_mode value) {
  return std::string{to_string(value)};
}
std::string value_text(auth_type value) {
  return std::string{to_string(value)};
}
std::string value_text(tls_mode value) {
  return std::string{to_string(value)};
}
std::string value_text(host_balance value) {
  return std::string{to_string(value)};
}
std::string value_text(admin_role value) {
  return std::string{to_string(value)};
}
std::string value_text(log_format value) {
  return std::string{to_string(value)};
}
std::string value_text(cluster_budget value) {
  return std::string{to_string(value)};
}

std::string value_text(duration value) {
  constexpr std::int64_t second = 1'000'000;
  std::string out = std::to_string(value.count() / second);
  if (const auto fraction = value.count() % second; fraction != 0) {
    out += '.' + std::to_string(second + fraction).substr(1);
    out.erase(out.find_last_not_of('0') + 1);
  }
  return out;
}

std::string value_text(byte_size value) {
  for (const auto& row : byte_units)
    if (value.bytes != 0 && row.bytes > 1 && value.bytes % row.bytes == 0)
      return std::to_string(value.bytes / row.bytes) + std::string{row.name};
  return std::to_string(value.bytes);
}

std::string value_text(const std::vector<std::string>& value) {
  std::string out;
  for (const auto& entry : value)
    out += (out.empty() ? "" : ", ") + entry;
  return out;
}

std::string toml_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (code < 0x20 || code == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04X", static_cast<unsigned>(code));
      out += escaped;
    } else
      out += c;
  }
  return out + '"';
}

std::string toml_key(std::string_view name) {
  const bool bare = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return bare ? std::string{name} : toml_quoted(name);
}

namespace {

/// Levenshtein's distance, with neighbours swapped counted as one step.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

} // namespace

std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates) {
  // Longer names than any key's are not slips, and the distance costs the product of both lengths.
  constexpr std::size_t longest_slip = 64;
  if (name.size() > longest_slip) return {};
  std::string wanted{name};
  std::transform(wanted.begin(), wanted.end(), wanted.begin(), [](char c) { return c == '-' ? '_' : lower(c); });
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(name.size() / 3, 1) + 1;
  for (const auto candidate : candidates)
    if (const auto distance = edit_distance(wanted, candidate); distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  return best;
}

} // namespace pg_edge::config
