// What the admin API answers and takes, as tables of fields: each answer is made from its table, and so is its schema
// in /openapi.json.
#pragma once

#include "actors/admin_list.hpp"
#include "actors/view_rows.hpp"

#include <span>
#include <string_view>
#include <vector>

namespace pg_edge::actors {

/// An empty text is told as null.
inline json or_null(const std::string& text) {
  return text.empty() ? json() : json(text);
}
template <class T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json();
}

/// "2026-11-28T17:00:00.123Z".
std::string time_text(std::chrono::system_clock::time_point when);

struct admin_schema {
  std::string_view name;
  std::string_view help;
  const std::vector<admin_field>& (*fields)();
};
/// Every schema, of all files that have some.
const std::vector<admin_schema>& admin_schemas();
const admin_schema* find_schema(std::string_view name);

// One function a file with schemas.
std::span<const admin_schema> admin_view_schemas();
std::span<const admin_schema> admin_command_schemas();
std::span<const admin_schema> admin_object_schemas();
std::span<const admin_schema> admin_audit_schemas();
std::span<const admin_schema> admin_cluster_schemas();
std::span<const admin_schema> admin_plain_schemas();

} // namespace pg_edge::actors
