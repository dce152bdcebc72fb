// The commands of pg_edgectl that look: lists as tables, and the state of the node.
#include "tools/edgectl/commands.hpp"

#include <algorithm>
#include <iostream>

namespace pg_edge::edgectl {

namespace {

/// Filters come as they go over the wire: "state=active", "wait_us>1000".
std::string query_of(const call& what) {
  std::string query;
  const auto add = [&](const std::string& part) { query += (query.empty() ? "" : "&") + part; };
  if (what.has("--sort")) add("sort=" + escaped(what.option("--sort")));
  for (const std::string& one : what.arguments) {
    const auto mark = one.find_first_of("=<>");
    if (mark == std::string::npos)
      throw usage_error("\"" + one + "\" is no filter such as tenant=acme or wait_us>1000");
    if (one[mark] == '=')
      add(escaped(one.substr(0, mark)) + "=" + escaped(one.substr(mark + 1)));
    else if (mark + 1 < one.size() && one[mark + 1] == '=')
      add(escaped(one.substr(0, mark + 1)) + "=" + escaped(one.substr(mark + 2)));
    else
      add(escaped(one));
  }
  return query;
}

int show_list(call& what, const std::string& path, std::span<const std::string_view> columns) {
  print_rows(what, what.node.list(path, query_of(what)), columns);
  return fine;
}

constexpr std::string_view tenant_columns[] = {"tenant",  "origin",  "databases", "users",       "pools",
                                               "clients", "servers", "banned",    "banned_until"};
constexpr std::string_view database_columns[] = {"tenant",    "database",  "origin",  "host",    "port",   "dbname",
                                                 "pool_mode", "pool_size", "servers", "clients", "paused", "disabled"};
constexpr std::string_view user_columns[] = {"tenant",    "user",    "origin", "pool_mode",
                                             "pool_size", "servers", "clients"};
constexpr std::string_view pool_columns[] = {"tenant",    "database",  "user",       "pool_mode",
                                             "pool_size", "cl_active", "cl_waiting", "sv_active",
                                             "sv_idle",   "sv_login",  "maxwait_us", "paused"};
constexpr std::string_view connection_columns[] = {"id",      "tenant", "database", "user",         "state",
                                                   "address", "port",   "wait_us",  "connected_at", "application_name"};
constexpr std::string_view session_columns[] = {"client",         "server",         "tenant",      "database",  "user",
                                                "client_address", "server_address", "backend_pid", "request_at"};
constexpr std::string_view node_columns[] = {"name",       "state",    "here",    "connected",    "epoch", "lease_ms",
                                             "steward_of", "backends", "address", "link_address", "id",    "error"};
constexpr std::string_view ban_columns[] = {"kind", "tenant", "name", "reason", "until", "by"};

} // namespace

std::string cell_text(const json& value) {
  if (value.is_null()) return "-";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void print_rows(const call& what, const std::vector<json>& rows, std::span<const std::string_view> columns) {
  if (what.as_json) {
    std::cout << json(rows).dump(1) << "\n";
    return;
  }
  std::vector<std::string_view> shown;
  for (const std::string_view column : columns)
    if (rows.empty() || rows[0].contains(std::string(column))) shown.push_back(column);
  std::vector<std::vector<std::string>> cells{{}};
  for (const std::string_view column : shown)
    cells[0].emplace_back(column);
  for (const json& row : rows) {
    cells.emplace_back();
    for (const std::string_view column : shown)
      cells.back().push_back(cell_text(row.value(std::string(column), json())));
  }
  std::vector<std::size_t> widths(shown.size());
  for (const auto& line : cells)
    for (std::size_t i = 0; i < line.size(); ++i)
      widths[i] = std::max(widths[i], line[i].size());
  for (const auto& line : cells) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i)
      text += line[i] + (i + 1 < line.size() ? std::string(widths[i] - line[i].size() + 2, ' ') : std::string());
    std::cout << text << "\n";
  }
}

int show_status(call& what) {
  json state = what.node.get("/v1/node");
  const std::vector<json> pools = what.node.list("/v1/pools");
  const auto sum = [&](const char* name) {
    std::int64_t all = 0;
    for (const json& one : pools)
      all += one.value(name, std::int64_t{0});
    return all;
  };
  state["pools"] = pools.size();
  for (const char* name : {"cl_active", "cl_waiting", "sv_active", "sv_idle"})
    state[name] = sum(name);
  if (what.as_json) {
    std::cout << state.dump(1) << "\n";
    return fine;
  }
  for (const auto& [name, value] : state.items())
    std::cout << name << std::string(name.size() < 14 ? 14 - name.size() : 1, ' ') << cell_text(value) << "\n";
  return fine;
}

int show_tenants(call& what) {
  return show_list(what, "/v1/tenants", tenant_columns);
}
int show_databases(call& what) {
  return show_list(what, "/v1/databases", database_columns);
}
int show_users(call& what) {
  return show_list(what, "/v1/users", user_columns);
}
int show_pools(call& what) {
  return show_list(what, "/v1/pools", pool_columns);
}
int show_clients(call& what) {
  return show_list(what, "/v1/clients", connection_columns);
}
int show_servers(call& what) {
  return show_list(what, "/v1/servers", connection_columns);
}
int show_sessions(call& what) {
  return show_list(what, "/v1/sessions", session_columns);
}
int show_nodes(call& what) {
  return show_list(what, "/v1/nodes", node_columns);
}
int show_bans(call& what) {
  return show_list(what, "/v1/bans", ban_columns);
}

} // namespace pg_edge::edgectl
