// The commands of pg_edgectl that do something at once.
#include "tools/edgectl/commands.hpp"

#include <iostream>

namespace pg_edge::edgectl {

namespace {

/// The node, a tenant (--tenant alone) or a database, as a path.
std::string scope_of(const call& what) {
  const std::string tenant = what.option("--tenant", "default");
  if (!what.arguments.empty()) return "/v1/databases/" + escaped(tenant) + "/" + escaped(what.arguments[0]);
  return what.has("--tenant") ? "/v1/tenants/" + escaped(tenant) : "/v1/node";
}

int print_answer(const call& what, const api_answer& answer) {
  if (what.as_json)
    std::cout << answer.body.dump(1) << "\n";
  else
    std::cout << answer.body.value("detail", std::string("Done.")) << "\n";
  return fine;
}

int order(call& what, const std::string& verb) {
  const std::string wait = what.has("--wait") ? "?wait=" + escaped(what.option("--wait")) : "";
  return print_answer(what, what.node.ask("POST", scope_of(what) + "/" + verb + wait));
}

} // namespace

int run_pause(call& what) {
  return order(what, "pause");
}
int run_resume(call& what) {
  return order(what, "resume");
}
int run_reconnect(call& what) {
  return order(what, "reconnect");
}
int run_kill(call& what) {
  if (what.arguments.empty() && !what.has("--tenant") && !what.has("--all"))
    throw usage_error("kill drops every client; name a database or --tenant, or say --all");
  return order(what, "kill");
}
int run_disable(call& what) {
  return order(what, "disable");
}
int run_enable(call& what) {
  return order(what, "enable");
}

int run_kill_client(call& what) {
  return print_answer(what, what.node.ask("POST", "/v1/clients/" + escaped(what.arguments[0]) + "/kill"));
}

int run_reload(call& what) {
  const api_answer answer = what.node.ask("POST", "/v1/node/reload");
  if (what.as_json) return print_answer(what, answer);
  for (const json& line : answer.body.value("lines", json::array()))
    std::cout << cell_text(line) << "\n";
  std::cout << "Reloaded.\n";
  return fine;
}

int run_drain(call& what) {
  const std::string mode = what.option("--mode", "wait_for_clients");
  return print_answer(what, what.node.ask("POST", "/v1/node/shutdown", json{{"mode", mode}}));
}

} // namespace pg_edge::edgectl
