#include "config/pgbouncer_value.hpp"

#include "config/value_text.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace pg_edge::config {

namespace {

struct alias {
  std::string_view theirs;
  std::string_view ours;
  section where;
};
constexpr alias aliases[] = {
    {"reserve_pool", "reserve_pool_size", in_database}, // its name before 1.24
};

/// Values that stand for another text here, or for none (then `why` is not empty).
struct word {
  std::string_view key;
  std::string_view theirs; // in lower case
  std::string_view ours;
  std::string_view why = {};
};

constexpr std::string_view openssl_own = "";
constexpr std::string_view every_cipher = "ALL:!aNULL:!eNULL";
constexpr std::string_view no_unlimited_pool = "0 means no limit there, and a pool has one here";

constexpr word words[] = {
    {"server_check_query", "<empty>", ";"},
    {"client_tls_ciphers", "default", openssl_own},
    {"client_tls_ciphers", "secure", openssl_own},
    {"client_tls_ciphers", "normal", openssl_own},
    {"client_tls_ciphers", "fast", openssl_own},
    {"client_tls_ciphers", "all", every_cipher},
    {"client_tls_ciphers", "legacy", every_cipher},
    {"server_tls_ciphers", "default", openssl_own},
    {"server_tls_ciphers", "secure", openssl_own},
    {"server_tls_ciphers", "normal", openssl_own},
    {"server_tls_ciphers", "fast", openssl_own},
    {"server_tls_ciphers", "all", every_cipher},
    {"server_tls_ciphers", "legacy", every_cipher},
    {"client_tls_ecdhcurve", "none", {}, "key exchange cannot be turned off; the default, auto, holds"},
    {"auth_type", "ldap", {}, "LDAP is asked through PAM (pam_ldap); the default, md5, holds"},
    {"default_pool_size", "0", {}, no_unlimited_pool},
    {"pool_size", "0", {}, no_unlimited_pool},
};

/// Keys of [databases] and [users] whose 0 is pgbouncer's word for "not set".
constexpr std::string_view zero_is_unset[] = {
    "max_db_connections",       "max_db_client_connections",   "server_lifetime",
    "max_user_connections",     "max_user_client_connections", "query_timeout",
    "idle_transaction_timeout", "transaction_timeout",         "client_idle_timeout",
};

std::string lower_case(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

bool is_number(const setting_row& row) {
  const auto holds = [](const auto& member, auto... types) {
    return (std::holds_alternative<decltype(types)>(member) || ...);
  };
  return holds(row.global, (int settings::*){}, (duration settings::*){}) ||
         holds(row.override_, (std::optional<int> overrides::*){}, (std::optional<duration> overrides::*){});
}

bool is_truth(const setting_row& row) {
  return std::holds_alternative<bool settings::*>(row.global) ||
         std::holds_alternative<std::optional<bool> overrides::*>(row.override_);
}

/// A whole number as C writes it: 0x10, 010 and 8.
std::optional<std::int64_t> c_integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const int base = hex ? 16 : text.starts_with('0') ? 8 : 10;
  if (hex) text.remove_prefix(2);
  if (text.starts_with('-')) return std::nullopt;
  const auto value = parse_integer(text, base);
  return value.has_value() && negative ? -*value : value;
}

/// In [databases] and [users] numbers below zero, and some zeros, leave the outer setting in force.
bool means_unset(const setting_row& row, std::string_view raw) {
  double number = 0;
  const auto [rest, error] = std::from_chars(raw.data(), raw.data() + raw.size(), number);
  if (error != std::errc{} || rest != raw.data() + raw.size()) return false;
  const bool zero_too =
      std::find(std::begin(zero_is_unset), std::end(zero_is_unset), row.name) != std::end(zero_is_unset);
  return number < 0 || (number == 0 && zero_too);
}

bool names_abstract_socket(std::string_view raw) {
  const auto hosts = split_list(raw);
  return std::any_of(hosts.begin(), hosts.end(), [](const auto& host) { return host.starts_with('@'); });
}

std::string octal_text(std::int64_t mode) {
  char text[32];
  std::snprintf(text, sizeof text, "%04llo", static_cast<unsigned long long>(mode));
  return text;
}

/// The numbers of [pgbouncer] are C's; those of connection strings are plain.
std::string global_number(const setting_row& row, std::string_view raw) {
  const auto number = c_integer(raw);
  if (!number.has_value()) return std::string{raw};
  if (row.rule == value_rule::octal_mode) return *number < 0 ? std::string{raw} : octal_text(*number);
  if (is_truth(row)) return *number != 0 ? "1" : "0";
  // "010" seconds are ten: time spans are no whole numbers.
  return std::holds_alternative<int settings::*>(row.global) ? std::to_string(*number) : std::string{raw};
}

} // namespace

std::string_view our_name(std::string_view key, section where) {
  for (const auto& row : aliases)
    if (row.theirs == key && row.where == where) return row.ours;
  return key;
}

pgbouncer_value translate(const setting_row& row, section where, std::string_view raw) {
  const auto lower = lower_case(raw);
  for (const auto& one : words)
    if (one.key == row.name && one.theirs == lower) return {std::string{one.ours}, std::string{one.why}};
  if ((row.name == "unix_socket_dir" || row.rule == value_rule::host_list) && names_abstract_socket(raw))
    return {{}, "sockets in the abstract namespace are not supported"};
  if (row.name == "logfile")
    return {{}, "it is pgbouncer's own file; name one for pg_edge, or leave the log to standard error and the journal"};
  if (row.rule == value_rule::readable_file && raw.find(',') != std::string_view::npos)
    return {{}, "a comma in a path would part two files here"};
  if (row.rule == value_rule::tls_protocols) {
    std::string names = lower;
    std::replace(names.begin(), names.end(), ':', ',');
    return {names, {}};
  }
  if (where == in_global) return {is_number(row) || is_truth(row) ? global_number(row, raw) : std::string{raw}, {}};
  if (is_number(row) && means_unset(row, raw))
    return {{}, "pgbouncer takes it for \"not set\", so what holds outside of this section stays"};
  return {std::string{raw}, {}};
}

} // namespace pg_edge::config
