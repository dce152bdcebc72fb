#include "actors/admin_routes.hpp"

#include "actors/admin_list.hpp"
#include "actors/admin_metrics.hpp"
#include "config/value_text.hpp"

#include <algorithm>
#include <cctype>

namespace pg_edge::actors {

namespace {

using route_group = std::span<const admin_route> (*)();

/// One line a file with routes.
constexpr route_group route_groups[] = {
    admin_health_routes, admin_view_routes,    admin_command_routes, admin_object_routes,
    admin_audit_routes,  admin_cluster_routes, admin_metrics_routes, admin_openapi_routes,
};

/// Splits at the next slash.
std::string_view take_segment(std::string_view& path) {
  const std::size_t end = std::min(path.find('/'), path.size());
  const std::string_view segment = path.substr(0, end);
  path.remove_prefix(std::min(end + 1, path.size()));
  return segment;
}

/// Whether the path is the route's, with the parameters in it.
bool fits(std::string_view pattern, std::string_view path,
          std::map<std::string, std::string, std::less<>>& parameters) {
  if (std::count(pattern.begin(), pattern.end(), '/') != std::count(path.begin(), path.end(), '/')) return false;
  while (!pattern.empty() || !path.empty()) {
    const std::string_view wanted = take_segment(pattern);
    const std::string_view there = take_segment(path);
    const auto decoded = percent_decoded(there);
    if (!decoded) return false;
    if (wanted.starts_with('{')) {
      if (decoded->empty()) return false;
      parameters[std::string(wanted.substr(1, wanted.size() - 2))] = *decoded;
    } else if (wanted != *decoded) {
      return false;
    }
  }
  return true;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const int lower = std::tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::optional<admin_problem> check_query(const admin_route& route, const admin_request& request) {
  if (route.columns != nullptr) return check_list_query(route.columns(), request);
  for (const auto& [name, value] : request.query) {
    const auto row =
        std::find_if(route.query.begin(), route.query.end(),
                     [&, wanted = std::string_view(name)](const admin_query& one) { return one.name == wanted; });
    if (row != route.query.end()) continue;
    std::vector<std::string_view> names;
    for (const admin_query& one : route.query)
      names.push_back(one.name);
    const std::string_view near = config::nearest(name, names);
    return admin_problem{400,
                         "query: " + name + ": unknown parameter" +
                             (near.empty() ? "" : ", did you mean " + std::string(near) + "?"),
                         {{"query: " + name, "unknown parameter"}},
                         {}};
  }
  return std::nullopt;
}

/// "application/json; charset=utf-8" is JSON, and so is "application/merge-patch+json".
bool is_json_type(std::string_view content_type) {
  const std::string_view type = config::trim(content_type.substr(0, content_type.find(';')));
  return type == "application/json" || (type.starts_with("application/") && type.ends_with("+json"));
}

std::optional<admin_problem> check_body(const admin_route& route, admin_request& request) {
  const auto wrong = [](unsigned status, std::string what) {
    return admin_problem{status, "body: " + what, {{"body", what}}, {}};
  };
  if (route.takes.empty()) {
    if (!request.text.empty()) return wrong(400, "none is expected here");
    return std::nullopt;
  }
  if (request.text.empty()) {
    if (route.body_optional) {
      request.body = json::object();
      return std::nullopt;
    }
    return wrong(400, "a JSON object is expected");
  }
  if (!is_json_type(request.header("content-type")))
    return admin_problem{415,
                         "Content-Type: application/json is expected",
                         {{"Content-Type", "application/json is expected"}},
                         {{"Accept", "application/json"}}};
  // Depth is limited by the parser's own stack use only, so deep nesting is refused before.
  constexpr int deepest = 64;
  const auto too_deep = [](int depth, json::parse_event_t, json&) {
    if (depth > deepest) throw std::length_error("nested too deeply");
    return true;
  };
  try {
    request.body = json::parse(request.text, too_deep);
  } catch (const std::exception& error) {
    std::string why = error.what();
    if (const auto end = why.find("] "); end != std::string::npos) why = why.substr(end + 2);
    return wrong(400, "is not JSON: " + why);
  }
  if (!request.body.is_object()) return wrong(400, "a JSON object is expected");
  return std::nullopt;
}

} // namespace

const std::vector<const admin_route*>& admin_routes() {
  static const std::vector<const admin_route*> all = [] {
    std::vector<const admin_route*> out;
    for (const route_group group : route_groups)
      for (const admin_route& one : group())
        out.push_back(&one);
    return out;
  }();
  return all;
}

admin_match match_route(http_method method, std::string_view path) {
  admin_match result;
  for (const admin_route* one : admin_routes()) {
    std::map<std::string, std::string, std::less<>> parameters;
    if (!fits(one->path, path, parameters)) continue;
    result.allow += (result.allow.empty() ? "" : ", ") + std::string(to_string(one->method));
    if (one->method == http_method::get) result.allow += ", HEAD";
    if (one->method != method || result.route != nullptr) continue;
    result.route = one;
    result.parameters = std::move(parameters);
  }
  return result;
}

std::optional<std::string> percent_decoded(std::string_view text, bool plus_is_blank) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    char c = text[at];
    if (c == '%') {
      if (at + 2 >= text.size()) return std::nullopt;
      const int high = hex_value(text[at + 1]);
      const int low = hex_value(text[at + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      at += 2;
    } else if (c == '+' && plus_is_blank) {
      c = ' ';
    }
    if (c == '\0') return std::nullopt;
    out.push_back(c);
  }
  return out;
}

std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('&'), text.size());
    const std::string_view part = text.substr(0, end);
    text = text.substr(std::min(end + 1, text.size()));
    if (part.empty()) continue;
    const std::size_t equals = std::min(part.find('='), part.size());
    const auto name = percent_decoded(part.substr(0, equals), true);
    const auto value = percent_decoded(part.substr(std::min(equals + 1, part.size())), true);
    if (!name || !value) return std::nullopt;
    out.emplace_back(*name, *value);
  }
  return out;
}

std::optional<admin_problem> check_request(const admin_route& route, admin_request& request) {
  if (auto problem = check_query(route, request)) return problem;
  return check_body(route, request);
}

} // namespace pg_edge::actors
