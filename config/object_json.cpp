#include "config/object_json.hpp"

#include "config/objects.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace pg_edge::config {

namespace {

using json = nlohmann::json; // members in the order of their bytes, as toml_node has them

constexpr int deepest = 8; // no setting nests more than a list

json read(std::string_view text) {
  return json::parse(text, nullptr, false);
}

json read_object(std::string_view text) {
  json out = read(text);
  return out.is_object() ? out : json::object();
}

/// Texts that are no UTF-8 cannot come in: the parser refuses them.
std::string write(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// The loader replaces ${NAME} by the environment; a text that came by the API means itself.
std::string literal(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at)
    out += text.compare(at, 2, "${") == 0 ? "$$" : std::string(1, text[at]);
  return out;
}

/// Empty: fine.
std::string convert(const json& from, toml_node& into, int depth) {
  if (depth > deepest) return "is nested too deeply";
  switch (from.type()) {
  case json::value_t::boolean:
    into.value = from.get<bool>();
    return {};
  case json::value_t::number_integer:
    into.value = from.get<std::int64_t>();
    return {};
  case json::value_t::number_unsigned:
    if (from.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return "holds a number that is too large";
    into.value = static_cast<std::int64_t>(from.get<std::uint64_t>());
    return {};
  case json::value_t::number_float:
    into.value = from.get<double>();
    return {};
  case json::value_t::string:
    into.value = literal(from.get_ref<const std::string&>());
    return {};
  case json::value_t::array: {
    toml_node::array items;
    for (const auto& item : from) {
      if (auto error = convert(item, items.emplace_back(), depth + 1); !error.empty()) return error;
    }
    into.value = std::move(items);
    return {};
  }
  case json::value_t::object: {
    toml_node::table table;
    for (const auto& [name, item] : from.items()) {
      if (item.is_null()) continue;
      table.push_back({name, 0, {}});
      if (auto error = convert(item, table.back().node, depth + 1); !error.empty()) return name + ": " + error;
    }
    into.value = std::move(table);
    return {};
  }
  default:
    return "holds a null in a list";
  }
}

json of_node(const toml_node& node) {
  return std::visit(
      [](const auto& value) -> json {
        using type = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<type, std::monostate>) {
          return nullptr;
        } else if constexpr (std::is_same_v<type, toml_node::array>) {
          json out = json::array();
          for (const auto& item : value)
            out.push_back(of_node(item));
          return out;
        } else if constexpr (std::is_same_v<type, toml_node::table>) {
          json out = json::object();
          for (const auto& item : value)
            out[item.key] = of_node(item.node);
          return out;
        } else {
          return value;
        }
      },
      node.value);
}

void drop_nulls(json& object) {
  for (auto one = object.begin(); one != object.end();)
    one = one->is_null() ? object.erase(one) : std::next(one);
}

} // namespace

toml_result parse_json_object(std::string_view text) {
  toml_result out;
  out.root.value = toml_node::table{};
  const json value = read(text);
  if (value.is_discarded())
    out.error = "is not JSON";
  else if (!value.is_object())
    out.error = "is not a JSON object";
  else
    out.error = convert(value, out.root, 0);
  return out;
}

std::optional<std::string> merge_json(std::string_view base, std::string_view patch) {
  json out = read(base);
  const json change = read(patch);
  if (!out.is_object() || !change.is_object()) return std::nullopt;
  for (const auto& [name, value] : change.items())
    out[name] = value;
  drop_nulls(out);
  return write(out);
}

std::string keep_members(std::string_view body, std::string_view before, std::span<const std::string_view> names) {
  json out = read_object(body);
  const json old = read_object(before);
  for (const std::string_view name : names)
    if (const std::string key{name}; out.find(key) == out.end() && old.find(key) != old.end()) out[key] = old[key];
  drop_nulls(out);
  return write(out);
}

std::string drop_members(std::string_view body, std::span<const std::string_view> names,
                         std::vector<std::string>& found) {
  json out = read_object(body);
  for (const std::string_view name : names)
    if (out.erase(std::string{name}) > 0) found.emplace_back(name);
  return write(out);
}

std::vector<std::string> differing_members(std::string_view before, std::string_view now) {
  const json a = read_object(before), b = read_object(now);
  std::vector<std::string> out;
  for (const auto& [name, value] : a.items())
    if (const auto found = b.find(name); found == b.end() || *found != value) out.push_back(name);
  for (const auto& [name, value] : b.items())
    if (a.find(name) == a.end()) out.push_back(name);
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> member_names(std::string_view body) {
  std::vector<std::string> out;
  const json object = read_object(body);
  for (const auto& [name, value] : object.items())
    out.push_back(name);
  return out;
}

std::string json_text(const toml_node::table& table) {
  toml_node node;
  node.value = table;
  return write(of_node(node));
}

// -- as it stands in the store
// ----------------------------------------------------------------------------------------------------

std::string stored_text(const stored_object& object) {
  json out;
  out["body"] = read_object(object.body);
  out["changed_by"] = object.changed_by;
  out["changed_at"] = object.changed_at;
  return write(out);
}

std::optional<stored_object> parse_stored_object(std::string_view text) {
  const json value = read(text);
  const auto text_of = [&](const char* name) {
    const auto found = value.find(name);
    return found != value.end() && found->is_string() ? found->get<std::string>() : std::string{};
  };
  if (!value.is_object() || !value.contains("body") || !value["body"].is_object()) return std::nullopt;
  return stored_object{write(value["body"]), 0, text_of("changed_by"), text_of("changed_at")};
}

} // namespace pg_edge::config
