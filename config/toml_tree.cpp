#include "config/toml_tree.hpp"

#include <toml++/toml.h>

#include <algorithm>

namespace pg_edge::config {

namespace {

// A configuration this large is a mistake (a core file, a device): 64 MB hold some 100,000 tenants.
constexpr std::size_t longest_document = std::size_t{64} * 1024 * 1024;
// Settings are five tables deep. toml++ and its destructors recurse, so far deeper text must not reach them; the limit
// is generous because lines of strings are counted too.
constexpr int deepest_table = 1000;

int line_of(const toml::source_region& region) {
  return static_cast<int>(region.begin.line);
}

toml_node convert(const toml::node& from);

toml_node::table convert_table(const toml::table& from) {
  toml_node::table out;
  out.reserve(from.size());
  for (const auto& [key, child] : from) {
    auto node = convert(child);
    const int line = line_of(key.source()) > 0 ? line_of(key.source()) : node.line;
    out.push_back({std::string{key.str()}, line, std::move(node)});
  }
  return out;
}

toml_node convert(const toml::node& from) {
  toml_node out;
  out.line = line_of(from.source());
  if (const auto* table = from.as_table())
    out.value = convert_table(*table);
  else if (const auto* array = from.as_array()) {
    toml_node::array items;
    items.reserve(array->size());
    for (const auto& item : *array)
      items.push_back(convert(item));
    out.value = std::move(items);
  } else if (const auto* text = from.as_string())
    out.value = text->get();
  else if (const auto* integer = from.as_integer())
    out.value = integer->get();
  else if (const auto* number = from.as_floating_point())
    out.value = number->get();
  else if (const auto* truth = from.as_boolean())
    out.value = truth->get();
  return out;
}

/// The first line that may nest deeper than any setting, or 0. A key nests by its dots, in front of '=' or in braces.
int too_deep_line(std::string_view text) {
  for (int line = 1; !text.empty(); ++line) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto row = text.substr(0, end);
    const bool whole = row.find_first_of("[{") != std::string_view::npos;
    const auto key = row.substr(0, whole ? row.size() : row.find('='));
    if (std::count(key.begin(), key.end(), '.') > deepest_table) return line;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return 0;
}

toml_result failed(std::string error, int line) {
  toml_result out;
  out.root.value = toml_node::table{};
  out.error = std::move(error);
  out.error_line = line;
  return out;
}

} // namespace

std::string_view toml_node::type_name() const {
  constexpr std::string_view names[] = {"a date or time", "a boolean", "an integer", "a number",
                                        "a string",       "a list",    "a section"};
  static_assert(std::size(names) == std::variant_size_v<decltype(value)>);
  return names[value.index()];
}

toml_result parse_toml(std::string_view text) {
  if (text.size() > longest_document) return failed("the file is larger than 64 MB", 0);
  if (text.find('\0') != std::string_view::npos) return failed("the file holds a zero byte: it is not TOML", 0);
  if (const int line = too_deep_line(text); line != 0) return failed("this key is nested too deeply", line);
  // toml++ as packaged is built with exceptions; they end here.
  try {
    toml_result out;
    out.root.value = convert_table(toml::parse(text));
    return out;
  } catch (const toml::parse_error& error) {
    return failed(std::string{error.description()}, line_of(error.source()));
  }
}

} // namespace pg_edge::config
