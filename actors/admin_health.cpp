// Health of the node, for load balancers, supervisors and orchestrators. No token is asked for, and nothing is told
// that one could not see from outside.
#include "actors/admin_routes.hpp"
#include "cluster/memory_guard.hpp"

namespace pg_edge::actors {

namespace {

/// The process runs and this thread does: nothing else is meant, or an orchestrator would kill a node for being busy.
void healthz(const admin_call_ptr& call) {
  call->reply(json{{"status", "ok"}});
}

struct readiness_row {
  std::string_view reason;
  bool (*holds)(const node_context& node);
};
/// Why new clients would be refused, or kept waiting, here and perhaps not elsewhere.
constexpr readiness_row hindrances[] = {
    {"draining",
     [](const node_context& node) {
       return node.draining.load(std::memory_order_relaxed) || node.leaving.load(std::memory_order_relaxed);
     }},
    {"awaits_takeover",
     [](const node_context& node) { return node.succession.awaits.load(std::memory_order_relaxed); }},
    {"taken_over", [](const node_context& node) { return node.succession.taken_over.load(std::memory_order_relaxed); }},
    {"paused", [](const node_context& node) { return node.gates.node_paused(); }},
    {"suspended", [](const node_context& node) { return node.gates.suspended(); }},
    {"memory_limit",
     [](const node_context& node) {
       return node.memory.state.load(std::memory_order_relaxed) != cluster::memory_state::calm;
     }},
    {"descriptors", [](const node_context& node) { return node.listeners_paused.load(std::memory_order_relaxed) > 0; }},
};

void readyz(const admin_call_ptr& call) {
  json reasons = json::array();
  for (const readiness_row& row : hindrances)
    if (row.holds(call->node())) reasons.push_back(row.reason);
  const bool ready = reasons.empty();
  call->reply(json{{"status", ready ? "ready" : "not ready"}, {"reasons", std::move(reasons)}}, ready ? 200 : 503);
}

constexpr admin_route routes[] = {
    {.method = http_method::get,
     .path = "/healthz",
     .role = config::admin_role::none,
     .name = "getHealth",
     .tag = "health",
     .answers = "health",
     .summary = "Whether the process runs.",
     .handle = healthz},
    {.method = http_method::get,
     .path = "/readyz",
     .role = config::admin_role::none,
     .name = "getReadiness",
     .tag = "health",
     .answers = "readiness",
     .summary = "Whether new clients are taken; 503 and the reasons if they are not.",
     .handle = readyz},
};

} // namespace

std::span<const admin_route> admin_health_routes() {
  return routes;
}

} // namespace pg_edge::actors
