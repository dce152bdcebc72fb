#include "protocol/session_parameters.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace pg_edge::protocol {

namespace {

// Postgres cuts names to this many bytes (NAMEDATALEN - 1).
constexpr std::size_t max_name_bytes = 63;

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

constexpr bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

int compare_without_case(std::string_view a, std::string_view b) {
  const auto common = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < common; ++i) {
    const auto x = static_cast<unsigned char>(lower(a[i]));
    const auto y = static_cast<unsigned char>(lower(b[i]));
    if (x != y) return x < y ? -1 : 1;
  }
  if (a.size() == b.size()) return 0;
  return a.size() < b.size() ? -1 : 1;
}

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && compare_without_case(a, b) == 0;
}

constexpr std::string_view hex_digits = "0123456789abcdef";

void append_hex(std::string& out, char c) {
  out += hex_digits[static_cast<unsigned char>(c) >> 4];
  out += hex_digits[static_cast<unsigned char>(c) & 15];
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// -- tables ---------------------------------------------------------------------------------------------------------

// Parameters that no client can SET, and session_authorization, which belongs to the server connection: a client that
// could carry it along would choose whom it is on every server.
constexpr auto not_settable = std::to_array<std::string_view>({
    "block_size",
    "data_checksums",
    "data_directory_mode",
    "debug_assertions",
    "huge_pages_status",
    "in_hot_standby",
    "integer_datetimes",
    "is_superuser",
    "lc_collate",
    "lc_ctype",
    "max_function_args",
    "max_identifier_length",
    "max_index_keys",
    "num_os_semaphores",
    "segment_size",
    "server_encoding",
    "server_version",
    "server_version_num",
    "session_authorization",
    "shared_memory_size",
    "shared_memory_size_in_huge_pages",
    "ssl_library",
    "wal_block_size",
    "wal_segment_size",
});

// Parameters that are lists of identifiers: SET x TO 'a,b' would make one identifier "a,b" of it, where a start-up
// packet, set_config() and ParameterStatus mean two.
constexpr auto identifier_lists = std::to_array<std::string_view>({
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "temp_tablespaces",
});

struct renamed_parameter {
  std::string_view old_name;
  std::string_view name;
};
constexpr auto renamed_parameters = std::to_array<renamed_parameter>({
    {"sort_mem", "work_mem"},
    {"vacuum_mem", "maintenance_work_mem"},
});

struct startup_row {
  std::string_view name;
  startup_parameter_kind kind;
};
constexpr auto startup_rows = std::to_array<startup_row>({
    {"user", startup_parameter_kind::user},
    {"database", startup_parameter_kind::database},
    {"options", startup_parameter_kind::options},
    {"replication", startup_parameter_kind::replication},
});
constexpr std::string_view protocol_extension_prefix = "_pq_.";

template <class Table>
bool contains(const Table& table, std::string_view name) {
  return std::any_of(table.begin(), table.end(), [&](std::string_view row) { return same_name(row, name); });
}

} // namespace

// -- parameter values -----------------------------------------------------------------------------------------------

namespace {

template <class Entries>
auto lower_bound_of(Entries& entries, std::string_view name) {
  return std::lower_bound(entries.begin(), entries.end(), name, [](const parameter& entry, std::string_view wanted) {
    return compare_without_case(entry.first, wanted) < 0;
  });
}

} // namespace

const std::string* parameter_values::find(std::string_view name) const {
  const auto at = lower_bound_of(entries_, name);
  return at != entries_.end() && same_name(at->first, name) ? &at->second : nullptr;
}

std::string_view parameter_values::get(std::string_view name) const {
  const auto* value = find(name);
  return value ? std::string_view{*value} : std::string_view{};
}

void parameter_values::set(std::string_view name, std::string_view value) {
  const auto at = lower_bound_of(entries_, name);
  if (at != entries_.end() && same_name(at->first, name)) {
    at->second = value;
    return;
  }
  entries_.emplace(at, std::string{name}, std::string{value});
}

bool operator==(const parameter_values& a, const parameter_values& b) {
  return std::equal(
      a.entries_.begin(), a.entries_.end(), b.entries_.begin(), b.entries_.end(),
      [](const parameter& x, const parameter& y) { return x.second == y.second && same_name(x.first, y.first); });
}

std::size_t parameter_values::hash() const {
  std::size_t result = entries_.size();
  const auto mix = [&](std::size_t part) {
    result ^= part + std::size_t{0x9e3779b97f4a7c15} + (result << 6) + (result >> 2);
  };
  for (const auto& [name, value] : entries_) {
    // Names differ in case at most between equal sets, so their length is all that may count.
    mix(name.size());
    mix(std::hash<std::string>{}(value));
  }
  return result;
}

parameter_values_ptr with(const parameter_values_ptr& base, std::string_view name, std::string_view value) {
  if (base) {
    const auto* present = base->find(name);
    if (present && *present == value) return base;
  }
  auto changed = base ? std::make_shared<parameter_values>(*base) : std::make_shared<parameter_values>();
  changed->set(name, value);
  return changed;
}

parameter_values_ptr parameter_interner::intern(const parameter_values_ptr& values) {
  if (!values) return values;
  const auto key = values->hash();
  const auto [first, last] = known_.equal_range(key);
  for (auto at = first; at != last;) {
    auto candidate = at->second.lock();
    if (!candidate) {
      at = known_.erase(at);
      continue;
    }
    if (candidate == values || *candidate == *values) return candidate;
    ++at;
  }
  if (known_.size() >= sweep_at_) drop_expired();
  known_.emplace(key, values);
  return values;
}

// Runs when the table has doubled since the last time, so that its cost is spread over the entries.
void parameter_interner::drop_expired() {
  std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
  sweep_at_ = std::max<std::size_t>(64, known_.size() * 2);
}

bool follows_client(std::string_view name) {
  return !contains(not_settable, name);
}

// -- start-up -------------------------------------------------------------------------------------------------------

std::string canonical_parameter_name(std::string_view name) {
  std::string result{name};
  std::transform(result.begin(), result.end(), result.begin(), lower);
  for (const auto& row : renamed_parameters)
    if (row.old_name == result) return std::string{row.name};
  return result;
}

startup_profile make_startup_profile(const std::vector<parameter>& settings) {
  startup_profile profile;
  for (const auto& [given, value] : settings) {
    auto name = canonical_parameter_name(given);
    const auto at = lower_bound_of(profile.gucs, name);
    if (at != profile.gucs.end() && at->first == name)
      at->second = value;
    else
      profile.gucs.emplace(at, std::move(name), value);
  }
  return profile;
}

startup_parameter_kind classify_startup_parameter(std::string_view name) {
  // The keys of the protocol itself are compared exactly, as Postgres does.
  for (const auto& row : startup_rows)
    if (row.name == name) return row.kind;
  if (name.starts_with(protocol_extension_prefix)) return startup_parameter_kind::protocol_extension;
  return follows_client(name) ? startup_parameter_kind::guc : startup_parameter_kind::not_settable;
}

bool in_list(std::string_view comma_list, std::string_view name) {
  while (!comma_list.empty()) {
    const auto comma = comma_list.find(',');
    auto entry = comma_list.substr(0, comma);
    comma_list.remove_prefix(comma == std::string_view::npos ? comma_list.size() : comma + 1);
    while (!entry.empty() && is_blank(entry.front()))
      entry.remove_prefix(1);
    while (!entry.empty() && is_blank(entry.back()))
      entry.remove_suffix(1);
    if (!entry.empty() && same_name(entry, name)) return true;
  }
  return false;
}

std::string canonical_application_name(std::string_view value, int server_version_num) {
  if (value.size() > max_name_bytes) {
    std::size_t cut = max_name_bytes;
    while (cut > 0 && (static_cast<unsigned char>(value[cut]) & 0xc0) == 0x80)
      --cut;
    value = value.substr(0, cut);
  }
  std::string result;
  result.reserve(value.size());
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 32 && byte <= 126) {
      result += c;
    } else if (server_version_num < 160000) {
      result += '?';
    } else {
      result += "\\x";
      append_hex(result, c);
    }
  }
  return result;
}

std::optional<int> server_version_number(std::string_view server_version) {
  const auto* at = server_version.data();
  const auto* const last = at + server_version.size();
  const auto number = [&]() -> std::optional<int> {
    int result = 0;
    const auto [next, problem] = std::from_chars(at, last, result);
    if (problem != std::errc{} || result < 0 || result > 9999) return std::nullopt;
    at = next;
    return result;
  };
  const auto dotted = [&]() -> int {
    if (at == last || *at != '.') return 0;
    ++at;
    return number().value_or(0);
  };
  const auto major = number();
  if (!major) return std::nullopt;
  const auto second = dotted();
  if (*major >= 10) return *major * 10000 + second;
  // Until 9.6 a major version had two parts.
  return *major * 10000 + second * 100 + dotted();
}

// -- SQL ------------------------------------------------------------------------------------------------------------

namespace {

// Between two of `quote`, with every quote inside doubled.
void append_quoted(std::string& out, std::string_view text, char quote, bool double_backslashes) {
  out += quote;
  for (const char c : text) {
    if (c == quote || (double_backslashes && c == '\\')) out += c;
    out += c;
  }
  out += quote;
}

std::string hex(std::string_view value) {
  std::string result;
  result.reserve(value.size() * 2);
  for (const char c : value)
    append_hex(result, c);
  return result;
}

// Postgres takes letters beyond ASCII in the name of a parameter of one's own. What they are depends on the encoding of
// the moment, so that what one client sets could escape the RESET before the next: they become \xHH, which Postgres
// refuses from version 14 on and before it is a name like any other.
std::string ascii_name(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x80) {
      result += c;
    } else {
      result += "\\x";
      append_hex(result, c);
    }
  }
  return result;
}

// "a"."b" for a.b, so that each part may have the full length of an identifier.
std::string parameter_as_identifier(std::string_view given) {
  const auto ascii = ascii_name(given);
  std::string_view name = ascii;
  std::string result;
  while (true) {
    const auto dot = name.find('.');
    if (!result.empty()) result += '.';
    result += quote_identifier(name.substr(0, dot));
    if (dot == std::string_view::npos) return result;
    name.remove_prefix(dot + 1);
  }
}

// Collects the settings of one restore. What it writes is ASCII: the server reads the query in the encoding that it
// has, which may not be the one in which the values are, and in which a quote may be half of a character.
class restore_writer {
public:
  explicit restore_writer(std::string_view encoding) : encoding_{encoding} {}

  void reset(std::string_view name) { sql_ += "RESET " + parameter_as_identifier(name) + ";"; }

  void set(std::string_view name, std::string_view value) {
    if (contains(identifier_lists, name) || !is_ascii(value))
      set_config(name, value);
    else
      sql_ += "SET " + parameter_as_identifier(name) + " TO " + quote_literal(value) + ";";
  }

  std::string take() { return std::move(sql_); }

private:
  // Qualified, since a search_path may put other functions of these names first.
  void set_config(std::string_view name, std::string_view value) {
    sql_ += "SELECT pg_catalog.set_config(" + quote_literal(ascii_name(name)) + ",";
    if (is_ascii(value))
      sql_ += quote_literal(value);
    else
      sql_ += "pg_catalog.convert_from(pg_catalog.decode('" + hex(value) + "','hex')," + quote_literal(encoding_) + ")";
    sql_ += ",false);";
  }

  std::string_view encoding_;
  std::string sql_;
};

std::string_view encoding_of(const parameter_values* want, const parameter_values* have) {
  constexpr std::string_view name = "client_encoding";
  for (const auto* values : {want, have})
    if (values && is_ascii(values->get(name)) && !values->get(name).empty()) return values->get(name);
  return "UTF8";
}

bool reported(std::string_view name, const parameter_values* have, const parameter_values* want) {
  return (have && have->find(name)) || (want && want->find(name));
}

const std::string* profile_value(const startup_profile* profile, std::string_view name) {
  if (!profile) return nullptr;
  const auto at = lower_bound_of(profile->gucs, name);
  return at != profile->gucs.end() && same_name(at->first, name) ? &at->second : nullptr;
}

} // namespace

std::string quote_literal(std::string_view value) {
  const bool backslash = value.find('\\') != std::string_view::npos;
  std::string result;
  result.reserve(value.size() + 3);
  if (backslash) result += 'E';
  append_quoted(result, value, '\'', backslash);
  return result;
}

std::string quote_identifier(std::string_view name) {
  std::string result;
  result.reserve(name.size() + 2);
  append_quoted(result, name, '"', false);
  return result;
}

std::string restore_sql(const parameter_values* have, const startup_profile* have_profile, const parameter_values* want,
                        const startup_profile* want_profile) {
  if ((have == want || !want) && have_profile == want_profile) return {};
  restore_writer writer{encoding_of(want, have)};
  // A role decides what may be set, so the old one goes first and the new one comes last.
  constexpr std::string_view role = "role";
  const auto profile_reset = [&](std::string_view name) {
    return profile_value(have_profile, name) && !profile_value(want_profile, name) && !reported(name, have, want);
  };
  if (profile_reset(role)) writer.reset(role);
  if (have_profile)
    for (const auto& [name, value] : have_profile->gucs)
      if (name != role && profile_reset(name)) writer.reset(name);
  if (have && want && have != want)
    for (const auto& [name, value] : *have)
      if (follows_client(name) && !want->find(name)) writer.reset(name);
  if (want && have != want)
    for (const auto& [name, value] : *want) {
      const auto* present = have ? have->find(name) : nullptr;
      if (follows_client(name) && !(present && *present == value)) writer.set(name, value);
    }
  if (!want_profile) return writer.take();
  const auto profile_set = [&](std::string_view name, std::string_view value) {
    const auto* present = profile_value(have_profile, name);
    if (!(present && *present == value) && follows_client(name) && !reported(name, have, want)) writer.set(name, value);
  };
  for (const auto& [name, value] : want_profile->gucs)
    if (name != role) profile_set(name, value);
  if (const auto* value = profile_value(want_profile, role)) profile_set(role, *value);
  return writer.take();
}

} // namespace pg_edge::protocol
