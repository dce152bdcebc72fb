// GET /openapi.json: the OpenAPI 3.1 document of the admin API, made from the tables of routes and schemas.
#include "actors/admin_schemas.hpp"
#include "config/value_text.hpp"

#include <map>

namespace pg_edge::actors {

namespace {

std::string reference(std::string_view schema) {
  return "#/components/schemas/" + std::string(schema);
}

bool is_plain_type(std::string_view name) {
  return name == "string" || name == "integer" || name == "number" || name == "boolean" || name == "object";
}

json schema_of(const admin_field& field) {
  json out = json::object();
  if (field.type == "any") // whatever the setting takes
    return json{{"description", field.help}};
  if (field.nullable)
    out["type"] = json::array({field.type, "null"});
  else if (field.type == "object" && !field.schema.empty())
    return json{{"$ref", reference(field.schema)}, {"description", field.help}};
  else
    out["type"] = field.type;
  if (field.type == "array")
    out["items"] = is_plain_type(field.schema) ? json{{"type", field.schema}} : json{{"$ref", reference(field.schema)}};
  out["description"] = field.help;
  return out;
}

json schema_of(const admin_schema& schema, bool taken) {
  json properties = json::object();
  json required = json::array();
  for (const admin_field& field : schema.fields()) {
    properties[std::string(field.name)] = schema_of(field);
    if (!taken && !field.optional) required.push_back(field.name);
  }
  json out{{"type", "object"}, {"description", schema.help}, {"properties", std::move(properties)}};
  if (!required.empty()) out["required"] = std::move(required);
  return out;
}

json list_schema(std::string_view of) {
  return json{
      {"type", "object"},
      {"description", "A page of a list."},
      {"properties",
       {{"items", {{"type", "array"}, {"items", {{"$ref", reference(of)}}}}},
        {"total", {{"type", "integer"}, {"description", "How many fit the filter, on all pages."}}},
        {"next", {{"type", {"string", "null"}}, {"description", "cursor of the next page; null: the last."}}},
        {"complete", {{"type", "boolean"}, {"description", "false: a part of the node did not answer in time."}}}}},
      {"required", {"items", "total", "next", "complete"}}};
}

json parameter(std::string_view name, std::string_view where, json schema, std::string_view help) {
  json out{{"name", name}, {"in", where}, {"schema", std::move(schema)}, {"description", help}};
  if (where == "path") out["required"] = true;
  return out;
}

json parameters_of(const admin_route& route) {
  json out = json::array();
  for (std::string_view rest = route.path; rest.find('{') != std::string_view::npos;) {
    const std::size_t begin = rest.find('{') + 1;
    const std::size_t end = rest.find('}');
    out.push_back(parameter(rest.substr(begin, end - begin), "path", {{"type", "string"}}, "Percent-encoded."));
    rest.remove_prefix(end + 1);
  }
  for (const admin_query& one : route.query)
    out.push_back(parameter(one.name, "query", {{"type", one.type}}, one.help));
  if (route.columns != nullptr) {
    out.push_back(
        parameter("sort", "query", {{"type", "string"}}, "Columns with commas; with a - before: descending."));
    out.push_back(parameter("limit", "query",
                            {{"type", "integer"}, {"minimum", 1}, {"maximum", largest_page}, {"default", usual_page}},
                            "Items of a page."));
    out.push_back(parameter("cursor", "query", {{"type", "string"}}, "The next of the page before."));
    for (const admin_field& field : route.columns())
      out.push_back(parameter(field.name, "query", {{"type", "string"}},
                              "Values with commas, any of which. Also NAME!=VALUE, NAME~=PATTERN with * and ?, and for "
                              "numbers NAME>VALUE, NAME>=VALUE, NAME<VALUE, NAME<=VALUE."));
  }
  if (route.conditional)
    out.push_back(parameter(route.method == http_method::get ? "If-None-Match" : "If-Match", "header",
                            {{"type", "string"}}, "The ETag of the object as it was read."));
  return out;
}

json answers_of(const admin_route& route) {
  json success{{"description", route.summary}};
  if (!route.answers.empty()) {
    const std::string name = std::string(route.answers) + (route.columns != nullptr ? "_list" : "");
    const json schema = is_plain_type(route.answers) ? json{{"type", route.answers}} : json{{"$ref", reference(name)}};
    success["content"][std::string(route.content_type)]["schema"] = schema;
  }
  json out = json::object();
  out[std::to_string(route.status)] = success;
  if (route.answers == "done" && route.status == 200) out["202"] = success;
  if (route.answers == "readiness") out["503"] = success;
  out["default"] = {{"description", "What is wrong."},
                    {"content", {{"application/problem+json", {{"schema", {{"$ref", reference("problem")}}}}}}}};
  return out;
}

json operation_of(const admin_route& route) {
  json out{{"operationId", route.name}, {"summary", route.summary}, {"tags", {route.tag}}};
  if (json parameters = parameters_of(route); !parameters.empty()) out["parameters"] = std::move(parameters);
  if (!route.takes.empty())
    out["requestBody"] = {{"required", !route.body_optional},
                          {"content", {{"application/json", {{"schema", {{"$ref", reference(route.takes)}}}}}}}};
  out["responses"] = answers_of(route);
  if (route.role == config::admin_role::none)
    out["security"] = json::array();
  else
    out["x-role"] = config::to_string(route.role);
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

json document() {
  json paths = json::object();
  json schemas = json::object();
  std::map<std::string_view, bool> taken;
  for (const admin_route* route : admin_routes())
    if (!route->takes.empty()) taken[route->takes] = true;
  for (const admin_schema& one : admin_schemas())
    schemas[std::string(one.name)] = schema_of(one, taken.contains(one.name));
  for (const admin_route* route : admin_routes()) {
    paths[std::string(route->path)][lower(to_string(route->method))] = operation_of(*route);
    if (route->columns != nullptr) schemas[std::string(route->answers) + "_list"] = list_schema(route->answers);
  }
  return json{
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "pg_edge admin API"},
        {"version", PG_EDGE_VERSION},
        {"description", "Looks at a node of pg_edge and steers it."}}},
      {"servers", {{{"url", "/"}}}},
      {"security", {{{"token", json::array()}}}},
      {"paths", std::move(paths)},
      {"components",
       {{"schemas", std::move(schemas)}, {"securitySchemes", {{"token", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
}

void get_document(const admin_call_ptr& call) {
  static const std::string text = document().dump(1);
  call->reply(admin_reply{200, "application/json", text, {}});
}

constexpr admin_route routes[] = {
    {.method = http_method::get,
     .path = "/openapi.json",
     .role = config::admin_role::none,
     .name = "getOpenapi",
     .tag = "documents",
     .answers = "object",
     .summary = "This document.",
     .handle = get_document},
};

} // namespace

std::span<const admin_route> admin_openapi_routes() {
  return routes;
}

} // namespace pg_edge::actors
