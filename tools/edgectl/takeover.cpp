// pg_edgectl cluster take-over: one cluster takes over another's tenants. The node that is asked begins it, and all
// nodes of its cluster see it through, so this command only tells how it goes: ended by Ctrl-C or a node's death, it is
// given again, to any of them.
#include "config/value_text.hpp"
#include "tools/edgectl/commands.hpp"

#include <chrono>
#include <iostream>
#include <thread>
#include <utility>

namespace pg_edge::edgectl {

namespace {

using clock = std::chrono::steady_clock;

constexpr const char* path = "/v1/cluster/takeover";
constexpr std::int64_t usual_wait = 300;
constexpr std::chrono::milliseconds look{100};

std::string text_of(const json& body, const char* name) {
  const auto found = body.find(name);
  return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string line_of(const json& body) {
  const std::string detail = text_of(body, "detail");
  return text_of(body, "step") + (detail.empty() ? "" : ": " + detail);
}

int show(call& what, const json& body) {
  if (what.as_json) {
    std::cout << body.dump(2) << "\n";
    return fine;
  }
  const std::string role = text_of(body, "role"), other = text_of(body, "cluster");
  if (role == "none") std::cout << "no take-over\n";
  if (role == "to") std::cout << "this cluster takes over " << other << ": " << line_of(body) << "\n";
  if (role == "from") std::cout << "this cluster is taken over by " << other << ": " << line_of(body) << "\n";
  if (const std::string last = text_of(body, "last"); !last.empty()) std::cout << "the last one was " << last << "\n";
  return fine;
}

std::int64_t wait_of(const call& what) {
  const auto seconds = config::parse_integer(what.option("--wait", std::to_string(usual_wait)));
  if (!seconds || *seconds < 0) throw usage_error("--wait takes a number of seconds");
  return *seconds;
}

/// A node that does not answer for a moment is asked again: it may be the one that restarts.
json look_again(call& what, clock::time_point limit) {
  while (true) {
    try {
      return what.node.get(path);
    } catch (const api_error& error) {
      if ((error.status != 0 && error.status != 503) || clock::now() >= limit) throw;
    }
    std::this_thread::sleep_for(look);
  }
}

int take_over(call& what, const std::string& from) {
  const std::int64_t wait = wait_of(what);
  const auto limit = clock::now() + std::chrono::seconds(wait);
  json now = what.node.ask("POST", path, json{{"cluster", from}}).body;
  for (std::string told; wait > 0;) {
    const std::string step = text_of(now, "step");
    if (step == "done") break;
    if (step == "none" && !text_of(now, "last").empty()) {
      std::cerr << "the take-over of " << from << " was " << text_of(now, "last")
                << "\nboth clusters are as they were\n";
      return failed;
    }
    if (const std::string line = line_of(now); !what.as_json && std::exchange(told, line) != line)
      std::cout << line << "\n" << std::flush;
    if (clock::now() >= limit) {
      std::cerr << "not done after " << wait << " s (" << line_of(now)
                << "); it goes on by itself: pg_edgectl cluster take-over --status\n";
      return failed;
    }
    std::this_thread::sleep_for(look);
    now = look_again(what, limit);
  }
  return show(what, now);
}

} // namespace

int run_take_over(call& what) {
  const bool named = what.arguments.size() == 2;
  if (named + what.has("--status") + what.has("--abort") != 1)
    throw usage_error("cluster take-over takes the name of a cluster, --status or --abort");
  if (what.has("--status")) return show(what, what.node.get(path));
  if (what.has("--abort")) return show(what, what.node.ask("DELETE", path).body);
  return take_over(what, what.arguments[1]);
}

} // namespace pg_edge::edgectl
