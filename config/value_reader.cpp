#include "config/value_reader.hpp"

#include "config/timestamp.hpp"
#include "config/value_text.hpp"

#include <algorithm>
#include <tuple>

namespace pg_edge::config {

namespace {

constexpr std::string_view protocol_names[] = {"secure", "all", "legacy", "tlsv1.0", "tlsv1.1", "tlsv1.2", "tlsv1.3"};

const std::string* text_of(const toml_node& node) {
  return std::get_if<std::string>(&node.value);
}

/// ", did you mean x?" or nothing.
std::string hint(std::string_view name, std::span<const std::string_view> candidates) {
  const auto best = nearest(name, candidates);
  return best.empty() ? std::string{} : ", did you mean " + std::string{best} + "?";
}

} // namespace

// -- problems ---------------------------------------------------------------------------------------------------------

std::vector<problem> problem_list::take() {
  const auto place = [this](const problem& one) {
    return std::tuple(one.file != file_, std::string_view{one.file}, one.line);
  };
  std::stable_sort(problems_.begin(), problems_.end(),
                   [&](const auto& a, const auto& b) { return place(a) < place(b); });
  return std::move(problems_);
}

bool value_reader::fail(const toml_entry& entry, const std::string& text) {
  problems_.error(entry.line, entry.key + ": " + text);
  return false;
}

bool value_reader::wrong_type(const toml_entry& entry, std::string_view expected) {
  return fail(entry, "expected " + std::string{expected} + ", not " + std::string{entry.node.type_name()});
}

// -- text and substitution --------------------------------------------------------------------------------------------

bool value_reader::substitute(const toml_entry& entry, const std::string& raw, std::string& out) {
  out.clear();
  for (std::size_t at = 0; at < raw.size();) {
    if (raw.compare(at, 3, "$${") == 0) {
      out += "${";
      at += 3;
      continue;
    }
    if (raw.compare(at, 2, "${") != 0) {
      out += raw[at++];
      continue;
    }
    const auto end = raw.find('}', at);
    if (end == std::string::npos)
      return fail(entry, "\"${\" without \"}\"; write \"$${\" for the characters themselves");
    const auto name = raw.substr(at + 2, end - at - 2);
    const auto value = world_.environment ? world_.environment(name) : std::nullopt;
    if (!value.has_value()) return fail(entry, "the environment variable " + name + " is not set");
    out += *value;
    at = end + 1;
  }
  // Every text ends up in a zero-terminated string, of Postgres or of the system.
  return out.find('\0') == std::string::npos || fail(entry, "holds a zero byte");
}

bool value_reader::read_text(const toml_entry& entry, std::string& out) {
  const auto* raw = text_of(entry.node);
  return raw == nullptr ? wrong_type(entry, "a string") : substitute(entry, *raw, out);
}

std::string value_reader::absolute(const std::string& path) const {
  const auto slash = problems_.file().rfind('/');
  if (path.starts_with('/') || slash == std::string::npos) return path;
  return problems_.file().substr(0, slash + 1) + path;
}

bool value_reader::read_secret_file(const toml_entry& entry, const setting_row&, std::string& out) {
  std::string path;
  if (!read_text(entry, path)) return false;
  path = absolute(path);
  const auto content = world_.file ? world_.file(path) : std::nullopt;
  if (!content.has_value()) return fail(entry, "cannot read " + path);
  out = content->substr(0, content->find_first_of("\r\n"));
  if (out.empty()) return fail(entry, "the first line of " + path + " is empty");
  return out.find('\0') == std::string::npos || fail(entry, path + " holds a zero byte");
}

bool value_reader::check_protocols(const toml_entry& entry, const std::string& text) {
  const auto names = split_list(text);
  if (names.empty()) return fail(entry, "names no TLS version");
  for (const auto& name : names)
    if (std::find(std::begin(protocol_names), std::end(protocol_names), name) == std::end(protocol_names))
      return fail(entry, "\"" + name + "\" is not one of secure, all, legacy, tlsv1.0, tlsv1.1, tlsv1.2, tlsv1.3");
  return true;
}

/// One file, or several with commas: a certificate of each kind.
bool value_reader::check_files(const toml_entry& entry, std::string& text) {
  std::string all;
  for (const auto& name : split_list(text)) {
    const std::string file = absolute(name);
    if (!world_.file || !world_.file(file)) return fail(entry, "cannot read " + file);
    all += (all.empty() ? "" : ",") + file;
  }
  text = all;
  return true;
}

bool value_reader::check_text(const toml_entry& entry, const setting_row& row, std::string& text) {
  switch (row.rule) {
  case value_rule::readable_file:
    return check_files(entry, text);
  case value_rule::tls_protocols:
    return check_protocols(entry, text);
  case value_rule::host_list: {
    const auto hosts = split_list(text);
    if (hosts.empty() || static_cast<std::ptrdiff_t>(hosts.size()) != std::count(text.begin(), text.end(), ',') + 1)
      return fail(entry, "holds an empty host");
    text.clear();
    for (const auto& host : hosts)
      text += (text.empty() ? "" : ",") + host;
    return true;
  }
  case value_rule::timestamp:
    return parse_timestamp(text).has_value() ||
           fail(entry, "\"" + text + "\" is not a point in time such as \"2030-01-01T00:00:00Z\"");
  default:
    return true;
  }
}

bool value_reader::read(const toml_entry& entry, const setting_row& row, std::string& out) {
  std::string text;
  if (!read_text(entry, text) || !check_text(entry, row, text)) return false;
  out = std::move(text);
  return true;
}

bool value_reader::read(const toml_entry& entry, const setting_row&, std::vector<std::string>& out) {
  std::string text;
  if (text_of(entry.node) != nullptr) {
    if (!read_text(entry, text)) return false;
    out = split_list(text);
    return true;
  }
  const auto* items = std::get_if<toml_node::array>(&entry.node.value);
  if (items == nullptr) return wrong_type(entry, "a list of strings or a string with commas");
  std::vector<std::string> list;
  for (const auto& item : *items) {
    if (text_of(item) == nullptr)
      return fail(entry, "expected strings in the list, not " + std::string{item.type_name()});
    if (!substitute(entry, *text_of(item), text)) return false;
    list.push_back(text);
  }
  out = std::move(list);
  return true;
}

bool value_reader::read(const toml_entry& entry, const setting_row& row, std::vector<network>& out) {
  std::vector<std::string> texts;
  if (!read(entry, row, texts)) return false;
  std::vector<network> list;
  for (const auto& text : texts) {
    const auto one = parse_network(text);
    if (!one) return fail(entry, "\"" + text + "\" is not a network such as 10.0.0.0/8 or ::1/128");
    list.push_back(*one);
  }
  out = std::move(list);
  return true;
}

// -- numbers ----------------------------------------------------------------------------------------------------------

/// A string where something else is expected is taken only for what stands in the environment.
template <class T, class Parse>
bool value_reader::read_substituted(const toml_entry& entry, std::string_view expected, T& out, Parse parse) {
  const auto* raw = text_of(entry.node);
  if (raw == nullptr || raw->find("${") == std::string::npos) return wrong_type(entry, expected);
  std::string text;
  if (!substitute(entry, *raw, text)) return false;
  const auto value = parse(text);
  if (!value.has_value()) return fail(entry, "expected " + std::string{expected} + " from " + *raw);
  out = *value;
  return true;
}

bool value_reader::read(const toml_entry& entry, const setting_row&, bool& out) {
  if (const auto* truth = std::get_if<bool>(&entry.node.value)) {
    out = *truth;
    return true;
  }
  // pgbouncer's files say 0 and 1.
  if (const auto* number = std::get_if<std::int64_t>(&entry.node.value); number && (*number == 0 || *number == 1)) {
    out = *number == 1;
    return true;
  }
  return read_substituted(entry, "true or false", out, parse_boolean);
}

bool value_reader::read(const toml_entry& entry, const setting_row& row, int& out) {
  const bool octal = row.rule == value_rule::octal_mode;
  std::int64_t number = 0;
  if (const auto* integer = std::get_if<std::int64_t>(&entry.node.value)) {
    number = *integer;
  } else if (const auto* text = text_of(entry.node); octal && text != nullptr && parse_integer(*text, 8)) {
    number = *parse_integer(*text, 8);
  } else if (octal) {
    return wrong_type(entry, "an octal mode such as \"0770\" or 0o770");
  } else if (!read_substituted(entry, "an integer", number, [](const auto& t) { return parse_integer(t); })) {
    return false;
  }
  if (number < row.low || number > row.high)
    return fail(entry, octal ? "the mode is not between 0000 and 0777; in TOML an octal number is written 0o770"
                             : std::to_string(number) + " is not between " + std::to_string(row.low) + " and " +
                                   std::to_string(row.high));
  out = static_cast<int>(number);
  return true;
}

bool value_reader::read(const toml_entry& entry, const setting_row& row, std::uint16_t& out) {
  int number = 0;
  if (!read(entry, row, number)) return false;
  out = static_cast<std::uint16_t>(number);
  return true;
}

bool value_reader::read(const toml_entry& entry, const setting_row& row, duration& out) {
  const duration unit = row.rule == value_rule::milliseconds ? std::chrono::milliseconds{1} : std::chrono::seconds{1};
  std::optional<duration> value;
  if (const auto* integer = std::get_if<std::int64_t>(&entry.node.value)) {
    value = to_duration(static_cast<double>(*integer), unit);
  } else if (const auto* number = std::get_if<double>(&entry.node.value)) {
    value = to_duration(*number, unit);
  } else if (text_of(entry.node) != nullptr) {
    std::string text;
    if (!read_text(entry, text)) return false;
    value = parse_duration(text, unit);
  } else {
    return wrong_type(entry, "a time span such as 5, 0.5, \"250ms\" or \"2m\"");
  }
  if (!value.has_value())
    return fail(entry, "not a time span; write a number of " +
                           std::string{unit == std::chrono::seconds{1} ? "seconds" : "milliseconds"} +
                           ", at least 0, or \"250ms\", \"5s\", \"2m\", \"1h\", \"1d\"");
  out = *value;
  return true;
}

bool value_reader::read(const toml_entry& entry, const setting_row&, byte_size& out) {
  std::optional<byte_size> value;
  if (const auto* integer = std::get_if<std::int64_t>(&entry.node.value)) {
    if (*integer >= 0) value = byte_size{static_cast<std::uint64_t>(*integer)};
  } else if (text_of(entry.node) != nullptr) {
    std::string text;
    if (!read_text(entry, text)) return false;
    value = parse_byte_size(text);
  } else {
    return wrong_type(entry, "an amount of memory such as 1048576 or \"512MB\"");
  }
  if (!value.has_value())
    return fail(entry, "not an amount of memory; write a number of bytes, at least 0, or \"64kB\", \"512MB\", \"8GB\"");
  out = *value;
  return true;
}

// -- enumerations -----------------------------------------------------------------------------------------------------

template <class Enum>
bool value_reader::read_enum(const toml_entry& entry, Enum& out) {
  if (text_of(entry.node) == nullptr) return wrong_type(entry, "one of " + listed_names<Enum>());
  std::string text;
  if (!read_text(entry, text)) return false;
  const auto value = parse_enum<Enum>(text);
  if (!value.has_value()) {
    std::vector<std::string_view> names;
    for (const auto& row : names_of(Enum{}))
      names.push_back(row.name);
    return fail(entry, "\"" + text + "\" is not one of " + listed_names<Enum>() + hint(text, names));
  }
  out = *value;
  return true;
}

bool value_reader::read(const toml_entry& e, const setting_row&, pool_mode& out) {
  return read_enum(e, out);
}
bool value_reader::read(const toml_entry& e, const setting_row&, auth_type& out) {
  return read_enum(e, out);
}
bool value_reader::read(const toml_entry& e, const setting_row&, tls_mode& out) {
  return read_enum(e, out);
}
bool value_reader::read(const toml_entry& e, const setting_row&, host_balance& out) {
  return read_enum(e, out);
}
bool value_reader::read(const toml_entry& e, const setting_row&, admin_role& out) {
  return read_enum(e, out);
}
bool value_reader::read(const toml_entry& e, const setting_row&, log_format& out) {
  return read_enum(e, out);
}
bool value_reader::read(const toml_entry& e, const setting_row&, cluster_budget& out) {
  return read_enum(e, out);
}

} // namespace pg_edge::config
