// The commands of pg_edgectl that do something at once.
#include "tools/edgectl/commands.hpp"

#include <chrono>
#include <iostream>
#include <thread>

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

namespace {

std::int64_t seconds_of(const call& what, std::string_view option, std::int64_t otherwise) {
  if (!what.has(option)) return otherwise;
  const std::string text = what.option(option);
  const bool digits = !text.empty() && text.size() < 6 && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits) throw usage_error(std::string(option) + " takes a number of seconds");
  return std::stoll(text);
}

/// Whether the node that is asked has that one for a member; if it is that one itself, it may have ended.
bool still_there(call& what, const std::string& name, bool asked_itself) {
  try {
    for (const json& one : what.node.list("/v1/nodes"))
      if (const std::string state = one.value("state", std::string());
          one.value("name", std::string()) == name && state != "left" && state != "departed" && state != "joining")
        return true;
    return false;
  } catch (const api_error& error) {
    if (error.status == 0 && asked_itself) return false;
    throw;
  }
}

} // namespace

int run_node(call& what) {
  if (what.arguments[0] != "drain") throw usage_error("node: drain NAME");
  const std::string name = what.arguments[1];
  const std::int64_t wait = seconds_of(what, "--wait", 60), notice = seconds_of(what, "--notice", 0);
  bool here = false;
  for (const json& one : what.node.list("/v1/nodes", "here=true"))
    here = here || one.value("name", std::string()) == name;
  const api_answer answer = what.node.ask("POST", "/v1/nodes/" + escaped(name) + "/drain", json{{"notice", notice}});
  if (wait == 0) return print_answer(what, answer);
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(wait);
  while (still_there(what, name, here)) {
    if (std::chrono::steady_clock::now() >= limit) {
      std::cerr << "node " << name << " is still there after " << wait
                << " s: it waits for transactions of its clients\n";
      return failed;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  if (what.as_json) return print_answer(what, answer);
  std::cout << "Node " << name << " has left the cluster.\n";
  return fine;
}

} // namespace pg_edge::edgectl
