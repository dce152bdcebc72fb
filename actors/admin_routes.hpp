// The routes of the admin API: a row each says method, path, who may, what it takes and what it answers. Dispatch, the
// refusals (404, 405, 401, 403, 415, 400), /openapi.json and the tests follow from the rows. To add some: a table in a
// file of its own, a function for each row there, and a line in route_groups (admin_routes.cpp).
#pragma once

#include "actors/admin_call.hpp"
#include "config/settings.hpp"

#include <span>
#include <string_view>

namespace pg_edge::actors {

/// What may stand behind the "?".
struct admin_query {
  std::string_view name;
  std::string_view type; // of JSON Schema: "string", "integer", "boolean"
  std::string_view help;
};

/// A field of a schema.
struct admin_field {
  std::string_view name;
  std::string_view type; // of JSON Schema: "string", "integer", "number", "boolean", "object", "array", or "any"
  std::string_view help;
  bool nullable = false;
  bool key = false;             // of a list: tells its rows apart, with the other keys
  std::string_view schema = {}; // of an object, or of an array's elements; also a plain type
  bool optional = false;        // not in every answer
};

struct admin_route {
  http_method method = http_method::get;
  std::string_view path;                               // "/v1/clients/{id}"
  config::admin_role role = config::admin_role::admin; // none: no token is asked for
  std::string_view name;                               // unique: operationId, and the name in logs
  std::string_view tag;                                // group in the documents
  std::span<const admin_query> query{};
  std::string_view takes{};   // schema of the body; empty: none is taken
  bool body_optional = false; // it may be left out all the same
  std::string_view answers{}; // schema of the answer; empty: none
  unsigned status = 200;      // of success
  std::string_view content_type = "application/json";
  const std::vector<admin_field>& (*columns)() = nullptr; // of a list: what it can be filtered and sorted by
  bool conditional = false;                               // knows ETag, If-Match and If-None-Match
  std::string_view summary{};                             // one line
  void (*handle)(const admin_call_ptr& call) = nullptr;
};

/// All of them.
const std::vector<const admin_route*>& admin_routes();

// One function a file with routes.
std::span<const admin_route> admin_health_routes();
std::span<const admin_route> admin_view_routes();
std::span<const admin_route> admin_command_routes();
std::span<const admin_route> admin_object_routes();
std::span<const admin_route> admin_audit_routes();
std::span<const admin_route> admin_cluster_routes();
std::span<const admin_route> admin_openapi_routes();

/// A request matched with a row, or why not.
struct admin_match {
  const admin_route* route = nullptr;
  std::map<std::string, std::string, std::less<>> parameters;
  std::string allow; // methods of the path, if it is there at all
};
/// `path`: as it came, without what stands behind the "?".
admin_match match_route(http_method method, std::string_view path);

/// "a%20b" -> "a b"; nullopt when it is malformed or holds a zero byte.
std::optional<std::string> percent_decoded(std::string_view text, bool plus_is_blank = false);

/// Splits the target; nullopt when its query is malformed.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view text);

/// What is wrong with a request before its handler runs, apart from who asks; checked once the body is there, which is
/// parsed into request.body.
std::optional<admin_problem> check_request(const admin_route& route, admin_request& request);

} // namespace pg_edge::actors
