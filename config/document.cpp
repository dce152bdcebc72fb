#include "config/document.hpp"

#include "config/setting_table.hpp"
#include "config/value_text.hpp"

#include <algorithm>

namespace pg_edge::config {

namespace {

template <class T>
std::string type_name() {
  if constexpr (std::is_same_v<T, bool>)
    return "boolean";
  else if constexpr (std::is_same_v<T, int> || std::is_same_v<T, std::uint16_t>)
    return "integer";
  else if constexpr (std::is_same_v<T, duration>)
    return "time span";
  else if constexpr (std::is_same_v<T, byte_size>)
    return "memory";
  else if constexpr (std::is_same_v<T, std::string>)
    return "text";
  else if constexpr (std::is_same_v<T, std::vector<std::string>>)
    return "list of texts";
  else if constexpr (std::is_same_v<T, std::vector<network>>)
    return "list of networks";
  else
    return listed_names<T>();
}

template <class Object, class T>
std::string member_type(T Object::*) {
  return type_name<T>();
}
template <class Object, class T>
std::string member_type(std::optional<T> Object::*) {
  return type_name<T>();
}
std::string member_type(std::monostate) {
  return {};
}

std::string type_of(const setting_row& row) {
  const auto name = [](auto member) { return member_type(member); };
  for (const auto& found :
       {std::visit(name, row.global), std::visit(name, row.override_), std::visit(name, row.of_database),
        std::visit(name, row.of_tenant), std::visit(name, row.of_listener), std::visit(name, row.of_admin),
        std::visit(name, row.of_token), std::visit(name, row.of_cluster)})
    if (!found.empty()) return found;
  return "text";
}

std::string toml_text(const setting_row&, bool value) {
  return value ? "true" : "false";
}
std::string toml_text(const setting_row& row, int value) {
  return row.rule == value_rule::octal_mode ? toml_quoted(global_text(row, {})) : value_text(value);
}
std::string toml_text(const setting_row& row, duration) {
  return global_text(row, {});
}
std::string toml_text(const setting_row&, byte_size value) {
  return value.bytes == 0 ? "0" : toml_quoted(value_text(value));
}
std::string toml_text(const setting_row&, const std::string& value) {
  return toml_quoted(value);
}
std::string toml_text(const setting_row&, const std::vector<std::string>& value) {
  std::string out;
  for (const auto& entry : value)
    out += (out.empty() ? "" : ", ") + toml_quoted(entry);
  return '[' + out + ']';
}
template <class Enum>
requires std::is_enum_v<Enum> std::string toml_text(const setting_row&, Enum value) {
  return toml_quoted(to_string(value));
}

/// The default as TOML: from a fresh `settings`, for narrower rows from the global row that they override.
std::string default_toml(const setting_row& row) {
  if (!row.example.empty()) return std::string{row.example};
  if (row.name == "pool_size") return default_toml(*find_row("default_pool_size", in_global));
  const settings fresh;
  return std::visit(
      [&](auto member) -> std::string {
        if constexpr (std::is_same_v<decltype(member), std::monostate>)
          return std::string{row.example};
        else
          return toml_text(row, fresh.*member);
      },
      row.global);
}

std::string wrapped_comment(std::string_view text) {
  constexpr std::size_t width = 118;
  std::string out;
  while (text.size() > width) {
    const auto space = text.rfind(' ', width);
    out += "# " + std::string{text.substr(0, space)} + '\n';
    text.remove_prefix(space + 1);
  }
  return out + "# " + std::string{text} + '\n';
}

std::string markdown_cell(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

std::string places_text(unsigned sections) {
  constexpr std::pair<section, const char*> names[] = {
      {in_global, "global"},     {in_tenant, "tenant"}, {in_database, "database"}, {in_user, "user"},
      {in_listener, "listener"}, {in_admin, "admin"},   {in_token, "token"},       {in_cluster, "cluster"}};
  std::string out;
  for (const auto& [bit, name] : names)
    if ((sections & bit) != 0) out += (out.empty() ? "" : ", ") + std::string{name};
  return out;
}

std::vector<std::string_view> groups() {
  std::vector<std::string_view> out;
  for (const auto& row : setting_rows())
    if (std::find(out.begin(), out.end(), row.group) == out.end()) out.push_back(row.group);
  return out;
}

constexpr std::string_view page_head = R"(# Settings

<!-- Written from config/setting_table.cpp; config_test says how to renew it. -->

A configuration is one TOML file. `pg_edge check FILE` names every mistake in it with its line. Names and meaning are
pgbouncer's.

| Section | What stands there |
|---|---|
| `[pg_edge]` | global settings |
| `[databases.NAME]` | where clients that ask for NAME are sent; `[databases."*"]` answers for all other names |
| `[users.NAME]` | who may log in, and what differs for them |
| `[tenants.T]`, `[tenants.T.databases.NAME]`, `[tenants.T.users.NAME]` | the same for a tenant of its own |
| `[listeners.NAME]` | an address to listen on beside the one that the global settings describe |
| `[admin]`, `[admin.tokens.NAME]` | the admin HTTP API, see [api.md](api.md), and who may use it |
| `[cluster]` | what makes this node one of several, see [cluster.md](cluster.md) |

- A setting that may stand in several places is taken from the user, else the database, else the tenant, else
  `[pg_edge]`.
- Time spans are numbers of seconds (`5`, `0.5`) or texts such as `"250ms"`, `"5s"`, `"2m"`, `"1h"`, `"1d"`.
- `${NAME}` in a text is replaced by that environment variable; `$${` stands for the characters `${`. A text made of
  `${NAME}` may also stand where a number or a boolean is expected.
- Relative paths mean the folder of the configuration file.
- "restart" marks settings that a reload does not change.
)";

void add_page_group(std::string& out, std::string_view group) {
  out += "\n## " + std::string{group} + "\n\n| Setting | Type | Default | Where | | |\n|---|---|---|---|---|---|\n";
  for (const auto& row : setting_rows()) {
    if (row.group != group) continue;
    // An example is no default.
    const auto value = row.global.index() == 0 && row.name != "pool_size" ? std::string{} : default_toml(row);
    const auto shown = row.name == "pool_size" ? "`default_pool_size`" : value.empty() ? "" : '`' + value + '`';
    out += "| `" + std::string{row.name} + "` | " + markdown_cell(type_of(row)) + " | " + markdown_cell(shown) + " | " +
           places_text(row.sections) + " | " + (row.reloadable ? "" : "restart") + " | " + markdown_cell(row.help) +
           " |\n";
  }
}

constexpr std::string_view example_head =
    "# Every setting of pg_edge with its default. Written from config/setting_table.cpp; config_test says how to renew "
    "it.\n"
    "# Take the # away before a key to set it. Time spans are in seconds, or texts such as \"250ms\" and \"2m\".\n";

void add_example_rows(std::string& out, section where, std::string_view group) {
  for (const auto& row : setting_rows()) {
    if ((row.sections & where) == 0 || (!group.empty() && row.group != group)) continue;
    const auto line = std::string{row.name} + " = " + default_toml(row) + '\n';
    // These two exclude the keys beside them.
    if (row.rule == value_rule::url || row.rule == value_rule::secret_file) {
      out += wrapped_comment(row.help) + "# Instead: " + line;
      continue;
    }
    if (where == in_global || row.global.index() == 0) out += wrapped_comment(row.help);
    const bool active = where == in_listener || where == in_admin || where == in_token || where == in_cluster ? false
                        : row.name == "host" || row.name == "password" ? where != in_database || row.name == "host"
                                                                       : row.name == "listen_addr";
    if (row.name == "listen_addr" && where == in_global)
      out += "listen_addr = [\"127.0.0.1\"]\n";
    else
      out += (active ? "" : "#") + line;
  }
}

} // namespace

std::string settings_page() {
  std::string out{page_head};
  for (const auto group : groups())
    add_page_group(out, group);
  out += "\n## Settings of pgbouncer that pg_edge does not have\n\n| Setting | Why |\n|---|---|\n";
  for (const auto& row : absent_rows())
    out += "| `" + std::string{row.name} + "` | " + markdown_cell(row.reason) + " |\n";
  return out;
}

std::string commented_example() {
  std::string out{example_head};
  out += "\n[pg_edge]\n";
  for (const auto group : groups())
    if (std::any_of(setting_rows().begin(), setting_rows().end(),
                    [&](const auto& row) { return row.group == group && (row.sections & in_global) != 0; })) {
      out += "\n# -- " + std::string{group} + " --\n";
      add_example_rows(out, in_global, group);
    }
  out +=
      "\n# Where clients that ask for the database \"app\" are sent; [databases.\"*\"] answers for all other names.\n"
      "[databases.app]\n";
  add_example_rows(out, in_database, {});
  out += "\n# Who may log in, and what differs for them.\n[users.app]\n";
  add_example_rows(out, in_user, {});
  out += "\n# A tenant has databases and users of its own, with the keys above, and its own defaults for them.\n"
         "[tenants.acme]\n";
  add_example_rows(out, in_tenant, {});
  out += "\n[tenants.acme.databases.app]\nurl = \"postgres://acme@127.0.0.1:5432/acme\"\n"
         "\n[tenants.acme.users.app]\npassword = \"${APP_PASSWORD}\"\n";
  out += "\n# Another address to listen on, with its own rules.\n#[listeners.local]\n";
  add_example_rows(out, in_listener, {});
  out += "\n# The admin HTTP API, /metrics and health checks: served if this section is there. docs/api.md\n#[admin]\n";
  add_example_rows(out, in_admin, {});
  out += "\n# Who may use it.\n#[admin.tokens.deploy]\n";
  add_example_rows(out, in_token, {});
  out += "\n# What makes this node one of several. docs/cluster.md\n#[cluster]\n";
  add_example_rows(out, in_cluster, {});
  return out;
}

} // namespace pg_edge::config
