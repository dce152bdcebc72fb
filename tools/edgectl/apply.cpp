// pg_edgectl apply and ban: what shall be there is said in a file, or in words, and made so.
//
//   read the file -> look at each object -> plan -> (nothing: 0 | --plan: 2 | refused: 1) -> one request a change
//
// The file has the sections of a configuration: [tenants.T], [databases.D], [users.U], [tenants.T.databases.D],
// [tenants.T.users.U], and [settings] for global ones. Each object is changed under the ETag it was planned by, so what
// somebody else has changed meanwhile is not overwritten.
#include "config/toml_tree.hpp"
#include "config/value_text.hpp"
#include "tools/edgectl/commands.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <unistd.h>

namespace pg_edge::edgectl {

namespace {

using config::toml_entry;
using config::toml_node;

/// Their values cannot be read back: an object that has them is left as it is.
constexpr std::string_view secrets[] = {"password", "old_passwords"};

bool is_secret(std::string_view name) {
  return std::find(std::begin(secrets), std::end(secrets), name) != std::end(secrets);
}

struct object {
  std::string kind, tenant, name; // kind: tenant, database, user or setting
  json body;
  std::string path() const {
    if (kind == "tenant") return "/v1/tenants/" + escaped(name);
    if (kind == "setting") return "/v1/settings/" + escaped(name);
    return "/v1/" + kind + "s/" + escaped(tenant) + "/" + escaped(name);
  }
  std::string text() const { return kind + " " + (tenant.empty() ? "" : tenant + "/") + name; }
};

struct step {
  char sign = '+'; // + make, ~ change, - remove
  object what;
  std::string etag;
  std::vector<std::string> lines; // what differs
};

// -- the file
// ----------------------------------------------------------------------------------------------------------------

[[noreturn]] void wrong(int line, const std::string& what) {
  throw usage_error("line " + std::to_string(line) + ": " + what);
}

/// ${NAME} is the environment's, as in a configuration.
std::string substituted(const std::string& text, int line) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text.compare(at, 3, "$${") == 0) {
      out += "${";
      at += 3;
    } else if (text.compare(at, 2, "${") == 0) {
      const auto end = text.find('}', at);
      if (end == std::string::npos) wrong(line, "\"${\" without \"}\"");
      const std::string name = text.substr(at + 2, end - at - 2);
      const char* value = std::getenv(name.c_str());
      if (value == nullptr) wrong(line, "the environment variable " + name + " is not set");
      out += value;
      at = end + 1;
    } else {
      out += text[at++];
    }
  }
  return out;
}

json json_of(const toml_node& node) {
  if (const auto* truth = std::get_if<bool>(&node.value)) return *truth;
  if (const auto* number = std::get_if<std::int64_t>(&node.value)) return *number;
  if (const auto* number = std::get_if<double>(&node.value)) return *number;
  if (const auto* text = std::get_if<std::string>(&node.value)) return substituted(*text, node.line);
  if (const auto* list = std::get_if<toml_node::array>(&node.value)) {
    json out = json::array();
    for (const toml_node& one : *list)
      out.push_back(json_of(one));
    return out;
  }
  wrong(node.line, "expected a value, not " + std::string(node.type_name()));
}

const toml_node::table& table_of(const toml_entry& entry) {
  const auto* table = std::get_if<toml_node::table>(&entry.node.value);
  if (table == nullptr) wrong(entry.line, entry.key + ": expected a section");
  return *table;
}

json body_of(const toml_node::table& table, std::initializer_list<std::string_view> but = {}) {
  json out = json::object();
  for (const toml_entry& entry : table)
    if (std::find(but.begin(), but.end(), entry.key) == but.end()) out[entry.key] = json_of(entry.node);
  return out;
}

void read_members(const toml_entry& section, const std::string& tenant, std::vector<object>& out) {
  const std::string kind = section.key.substr(0, section.key.size() - 1);
  for (const toml_entry& entry : table_of(section))
    out.push_back({kind, tenant, entry.key, body_of(table_of(entry))});
}

std::vector<object> read_objects(const toml_node::table& root) {
  std::vector<object> out;
  for (const toml_entry& section : root)
    if (section.key == "tenants")
      for (const toml_entry& entry : table_of(section)) {
        out.push_back({"tenant", "", entry.key, body_of(table_of(entry), {"databases", "users"})});
        for (const toml_entry& inner : table_of(entry))
          if (inner.key == "databases" || inner.key == "users") read_members(inner, entry.key, out);
      }
    else if (section.key == "databases" || section.key == "users")
      read_members(section, "default", out);
    else if (section.key == "settings")
      for (const toml_entry& entry : table_of(section))
        out.push_back({"setting", "", entry.key, json{{"value", json_of(entry.node)}}});
    else
      wrong(section.line, section.key + ": expected tenants, databases, users or settings");
  return out;
}

std::vector<object> read_file(const std::string& name) {
  std::ostringstream text;
  if (name == "-") {
    text << std::cin.rdbuf();
  } else {
    std::ifstream in(name, std::ios::binary);
    if (!in) throw usage_error("cannot read " + name);
    text << in.rdbuf();
  }
  const config::toml_result parsed = config::parse_toml(text.str());
  if (!parsed.error.empty()) wrong(parsed.error_line, parsed.error);
  return read_objects(std::get<toml_node::table>(parsed.root.value));
}

// -- the plan
// ----------------------------------------------------------------------------------------------------------------

/// "pool_size: 5 -> 10" for all that differs.
std::vector<std::string> differences(const json& before, const json& secrets_there, const json& wanted, bool anew) {
  std::vector<std::string> out;
  for (const auto& [name, value] : wanted.items()) {
    if (is_secret(name)) {
      const bool there = std::find(secrets_there.begin(), secrets_there.end(), json(name)) != secrets_there.end();
      if (!there || anew) out.push_back(name + ": " + (there ? "set anew" : "set"));
    } else if (!before.contains(name)) {
      out.push_back(name + ": " + cell_text(value));
    } else if (before[name] != value) {
      out.push_back(name + ": " + cell_text(before[name]) + " -> " + cell_text(value));
    }
  }
  for (const auto& [name, value] : before.items())
    if (!wanted.contains(name)) out.push_back(name + ": " + cell_text(value) + " -> (taken away)");
  return out;
}

void plan_object(call& what, const object& wanted, std::vector<step>& plan) {
  api_answer there;
  try {
    there = what.node.ask("GET", wanted.path() + "/definition");
  } catch (const api_error& error) {
    if (error.status != 404) throw;
    plan.push_back({'+', wanted, "", differences({}, json::array(), wanted.body, false)});
    return;
  }
  const auto lines = differences(there.body.value("settings", json::object()),
                                 there.body.value("secrets", json::array()), wanted.body, what.has("--set-secrets"));
  if (lines.empty()) return;
  if (there.body.value("origin", std::string()) == "file")
    throw api_error(409, wanted.text() + " is of the node's configuration file (" +
                             cell_text(there.body.value("place", json())) + ") and differs: " + lines[0]);
  plan.push_back({'~', wanted, there.etag, lines});
}

/// What the store has and the file does not; what is in a tenant goes before it.
void plan_removals(call& what, const std::vector<object>& wanted, std::vector<step>& plan) {
  std::set<std::string> names;
  for (const object& one : wanted)
    names.insert(one.text());
  std::vector<step> tenants;
  for (const json& row : what.node.list("/v1/definitions", "origin=store&kind=tenant,database,user,setting")) {
    object one{
        row.at("kind"), row.at("tenant").is_null() ? "" : row.at("tenant").get<std::string>(), row.at("name"), {}};
    if (names.contains(one.text())) continue;
    step remove{'-', one, "\"" + cell_text(row.at("revision")) + "\"", {}};
    (one.kind == "tenant" ? tenants : plan).push_back(std::move(remove));
  }
  plan.insert(plan.end(), tenants.begin(), tenants.end());
}

void print_plan(const call& what, const std::vector<step>& plan) {
  if (what.as_json) {
    json out = json::array();
    for (const step& one : plan)
      out.push_back({{"change", one.sign == '+'   ? "create"
                                : one.sign == '~' ? "change"
                                                  : "remove"},
                     {"object", one.what.text()},
                     {"differences", one.lines}});
    std::cout << out.dump(1) << "\n";
    return;
  }
  for (const step& one : plan) {
    std::cout << one.sign << " " << one.what.text() << "\n";
    for (const std::string& line : one.lines)
      std::cout << "    " << line << "\n";
  }
  std::cout << (plan.empty() ? std::string("Nothing to do.") : std::to_string(plan.size()) + " changes.") << "\n";
}

void carry_out(api& node, const step& one) {
  const std::string condition = one.sign == '+' ? "If-None-Match: *" : "If-Match: " + one.etag;
  if (one.sign == '-')
    node.ask("DELETE", one.what.path(), {}, {condition});
  else
    node.ask("PUT", one.what.path(), one.what.body, {condition});
}

bool agreed() {
  if (::isatty(STDIN_FILENO) == 0) return false;
  std::cout << "Apply? [y/N] " << std::flush;
  std::string answer;
  return std::getline(std::cin, answer) && (answer == "y" || answer == "yes");
}

// -- bans
// --------------------------------------------------------------------------------------------------------------------

std::string ban_path(const call& what) {
  const std::string& kind = what.arguments[0];
  const std::string name = escaped(what.arguments[1]);
  if (kind == "tenant" || kind == "address") return "/v1/bans/" + kind + "/" + name;
  if (kind == "user") return "/v1/bans/user/" + escaped(what.option("--tenant", "default")) + "/" + name;
  throw usage_error("\"" + kind + "\" is none of tenant, user and address");
}

std::string time_after(const std::string& span) {
  const auto length = config::parse_duration(span);
  if (!length) throw usage_error("--for: \"" + span + "\" is no time span such as 90s, 2h or 7d");
  const auto end = std::chrono::system_clock::now() + *length;
  const std::time_t seconds = std::chrono::system_clock::to_time_t(end);
  std::tm parts{};
  char text[64];
  ::gmtime_r(&seconds, &parts);
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

} // namespace

int run_apply(call& what) {
  if (!what.has("--file")) throw usage_error("apply needs -f FILE");
  const std::vector<object> wanted = read_file(what.option("--file"));
  std::vector<step> plan;
  for (const object& one : wanted) // a tenant stands before what is in it
    plan_object(what, one, plan);
  if (what.has("--prune")) plan_removals(what, wanted, plan);
  print_plan(what, plan);
  if (plan.empty()) return fine;
  if (what.has("--plan")) return changes;
  if (!what.has("--yes") && !agreed()) {
    std::cerr << "pg_edgectl: nothing was changed; say --yes to apply\n";
    return changes;
  }
  std::size_t done = 0;
  for (const step& one : plan) {
    try {
      carry_out(what.node, one);
    } catch (const api_error& error) {
      throw api_error(error.status, one.what.text() + ": " + error.what() + "\n" + std::to_string(done) + " of " +
                                        std::to_string(plan.size()) + " changes were made; apply again to go on");
    }
    ++done;
  }
  if (!what.as_json) std::cout << "Applied.\n";
  return fine;
}

int run_ban(call& what) {
  json terms = json::object();
  if (what.has("--reason")) terms["reason"] = what.option("--reason");
  if (what.has("--until")) terms["until"] = what.option("--until");
  if (what.has("--for")) terms["until"] = time_after(what.option("--for"));
  const api_answer answer = what.node.ask("PUT", ban_path(what), terms);
  if (what.as_json)
    std::cout << answer.body.dump(1) << "\n";
  else
    std::cout << "Banned" << (terms.contains("until") ? " until " + cell_text(terms["until"]) : std::string()) << ".\n";
  return fine;
}

int run_unban(call& what) {
  what.node.ask("DELETE", ban_path(what));
  if (!what.as_json) std::cout << "The ban is ended.\n";
  return fine;
}

} // namespace pg_edge::edgectl
