#include "actors/admin_schemas.hpp"

#include "actors/admin_metrics.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace pg_edge::actors {

namespace {

using fields = std::vector<admin_field>;

const fields& problem_fields() {
  static const fields all{
      {"type", "string", "A URI reference that names the kind of problem."},
      {"title", "string", "The status in words."},
      {"status", "integer", "The HTTP status."},
      {"detail", "string", "What is wrong, why, and what to do."},
      {"errors", "array", "The parts of the request that are wrong.", false, false, "problem_detail", true},
  };
  return all;
}

const fields& problem_detail_fields() {
  static const fields all{
      {"field", "string", "A field of the body, \"query: NAME\", \"path: NAME\", or the name of a header."},
      {"detail", "string", "What is wrong with it."},
  };
  return all;
}

const fields& health_fields() {
  static const fields all{{"status", "string", "\"ok\"."}};
  return all;
}

const fields& readiness_fields() {
  static const fields all{
      {"status", "string", "\"ready\" or \"not ready\"."},
      {"reasons", "array", "Why new clients are refused: draining, paused, suspended, memory_limit, descriptors.",
       false, false, "string"},
  };
  return all;
}

const fields& node_fields() {
  static const fields all{
      {"version", "string", "Of pg_edge."},
      {"state", "string", "active, paused, suspended or draining."},
      {"uptime_s", "integer", "Seconds since the start."},
      {"pid", "integer", "Its process."},
      {"file", "string", "Its configuration file."},
      {"reactors", "integer", "Threads that serve connections."},
      {"clients", "integer", "Client connections, logins under way included."},
      {"sessions", "integer", "Those of them that are logged in."},
      {"memory_bytes", "integer", "Memory of the process, as measured last; 0 without memory_limit."},
      {"memory_state", "string", "calm, refusing or shedding."},
      {"tenants", "integer", "Tenants, the default one included."},
  };
  return all;
}

constexpr admin_schema plain[] = {
    {"problem", "What is wrong with a request, as RFC 9457 has it.", problem_fields},
    {"problem_detail", "One part of a request that is wrong.", problem_detail_fields},
    {"health", "The process runs.", health_fields},
    {"readiness", "Whether new clients are taken.", readiness_fields},
    {"node", "A node.", node_fields},
};

using schema_group = std::span<const admin_schema> (*)();

/// One line a file with schemas.
constexpr schema_group schema_groups[] = {
    admin_plain_schemas, admin_view_schemas,    admin_command_schemas, admin_object_schemas,
    admin_audit_schemas, admin_cluster_schemas, admin_metrics_schemas,
};

} // namespace

std::span<const admin_schema> admin_plain_schemas() {
  return plain;
}

const std::vector<admin_schema>& admin_schemas() {
  static const std::vector<admin_schema> all = [] {
    std::vector<admin_schema> out;
    for (const schema_group group : schema_groups)
      out.insert(out.end(), group().begin(), group().end());
    return out;
  }();
  return all;
}

const admin_schema* find_schema(std::string_view name) {
  const auto& all = admin_schemas();
  const auto found = std::find_if(all.begin(), all.end(), [&](const admin_schema& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::string time_text(std::chrono::system_clock::time_point when) {
  const auto since = when.time_since_epoch();
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(since).count() % 1000;
  const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::tm parts{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return {};
  char text[64];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  const int more = std::snprintf(text + size, sizeof text - size, ".%03dZ", static_cast<int>(milliseconds));
  return {text, size + static_cast<std::size_t>(more)};
}

} // namespace pg_edge::actors
