// The commands of pg_edgectl, a row each: name, arguments, options, help, function. The usage text, the completion of
// shells and the man page are made from the rows.
#pragma once

#include "tools/edgectl/api.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::edgectl {

/// What scripts see.
enum exit_code { fine = 0, failed = 1, changes = 2 };

struct call {
  api& node;
  bool as_json = false;
  std::vector<std::string> arguments;
  std::map<std::string, std::string, std::less<>> options; // without the dashes; "" for those without a value

  bool has(std::string_view option) const { return options.find(option) != options.end(); }
  std::string option(std::string_view name, const std::string& otherwise = "") const {
    const auto found = options.find(name);
    return found == options.end() ? otherwise : found->second;
  }
};

struct option_row {
  std::string_view name;  // "--sort"
  std::string_view value; // what it takes, for people; empty: nothing
  std::string_view help;
  std::string_view choices = {}; // with blanks, for completion
};

struct command_row {
  std::string_view name;
  std::string_view arguments;      // for people: "[DATABASE] [--tenant T]"
  std::size_t least = 0, most = 0; // how many
  std::span<const option_row> options{};
  std::string_view help;
  int (*run)(call&) = nullptr;
};

/// Wrong use, for people.
struct usage_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::span<const command_row> commands();
/// Those that stand before the command.
std::span<const option_row> global_options();
std::string usage();
std::string completion(std::string_view shell);
std::string man_page();

// -- the functions of commands
// --------------------------------------------------------------------------------------------

int show_status(call& what);
int show_tenants(call& what);
int show_databases(call& what);
int show_users(call& what);
int show_pools(call& what);
int show_clients(call& what);
int show_servers(call& what);
int show_sessions(call& what);
int show_bans(call& what);
int show_nodes(call& what);
int run_top(call& what);
int run_pause(call& what);
int run_resume(call& what);
int run_reconnect(call& what);
int run_kill(call& what);
int run_kill_client(call& what);
int run_disable(call& what);
int run_enable(call& what);
int run_reload(call& what);
int run_drain(call& what);
int run_node(call& what);
int run_ban(call& what);
int run_unban(call& what);
int run_apply(call& what);
int run_cluster(call& what);
int run_take_over(call& what); // of run_cluster
int run_cert(call& what);

/// Prints rows as a table, or as JSON. Columns that are not there are left out.
void print_rows(const call& what, const std::vector<json>& rows, std::span<const std::string_view> columns);
/// A JSON value as a cell.
std::string cell_text(const json& value);

} // namespace pg_edge::edgectl
