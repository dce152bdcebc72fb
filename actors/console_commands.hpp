// The commands of the admin console, a row each: words, who may, what is asked of the tree, columns, function, help.
// HELP, the checks and the descriptions that drivers ask for follow from the rows. A file of commands has a table of
// its own and a line in console_commands.cpp.
#pragma once

#include "actors/messages.hpp"
#include "actors/node_view.hpp"
#include "protocol/console_result.hpp"
#include "protocol/console_statement.hpp"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace pg_edge::actors {

using console_view = node_view;
using console_need = view_need;

/// Commands that do something else than show rows. The console has a function for each.
enum class console_act : std::uint8_t {
  none,
  help,
  show_parameter,
  set_parameter,
  set_setting,
  reload,
  shut_down,
  // of pools: console_control
  pause,
  resume,
  reconnect,
  disable,
  enable,
  kill,
  kill_client,
  wait_close,
  suspend,
};

using console_words = std::vector<std::string>;
using console_rows = std::vector<protocol::console_row>;

/// How a command with a function of its own (`run`) has ended.
struct console_outcome {
  protocol::bytes error;   // a whole ErrorResponse; empty: it went well
  protocol::bytes notices; // whole NoticeResponses, told before all else
  console_rows rows;       // of a command that has columns
};

/// Such a command as it was given. `answer` is to be called once, now or later, on any thread.
struct console_task {
  node_context& node;
  console_words arguments;
  caf::actor client;
  author by;
  std::function<void(console_outcome)> answer;
};

/// Exactly one of `rows`, `act` and `run` says what it does.
struct console_command {
  std::string_view words{};     // lower case
  std::string_view arguments{}; // for HELP; empty: none are taken
  bool admin = false;           // changes something, or shows what is not for all: only admin_users may
  console_need need = console_need::nothing;
  std::span<const protocol::console_column> columns{};
  console_rows (*rows)(const console_view&) = nullptr; // of one without arguments
  console_act act = console_act::none;
  std::string_view help{};
  bool (*takes)(const console_words&) = nullptr; // whether it has such arguments; null: it has none
  void (*run)(const console_view&, const console_task&) = nullptr;
};

/// The same of one whose function asks others than the view.
constexpr console_command asked_table(std::string_view words, console_need need,
                                      std::span<const protocol::console_column> columns,
                                      void (*run)(const console_view&, const console_task&), std::string_view help) {
  return {.words = words, .need = need, .columns = columns, .help = help, .run = run};
}

/// The row of a SHOW without arguments.
constexpr console_command table(std::string_view words, console_need need,
                                std::span<const protocol::console_column> columns,
                                console_rows (*rows)(const console_view&), std::string_view help) {
  return {.words = words, .need = need, .columns = columns, .rows = rows, .help = help};
}

const std::vector<console_command>& console_commands();

// -- the files of commands
// -----------------------------------------------------------------------------------------------------

std::span<const console_command> console_act_commands();
std::span<const console_command> console_object_commands();
std::span<const console_command> console_own_commands();
std::span<const console_command> console_show_commands();

/// What drivers SHOW and SET without asking whether it makes sense here. SET is accepted and does nothing.
struct console_parameter {
  protocol::console_column column; // its name
  std::string_view value;
};
std::span<const console_parameter> console_parameters();
const console_parameter* find_parameter(std::string_view name);

/// A statement understood: null if there is no such command, or not with these arguments.
struct console_match {
  const console_command* command = nullptr;
  console_words arguments; // the words behind those of the command, as they were written
};
console_match match(const protocol::console_statement& statement);

/// The columns of the answer; empty if it has none.
std::span<const protocol::console_column> columns_of(const console_match& what);

/// One line a command, for HELP.
std::string console_help();

// -- the functions of SHOW: console_*tables.cpp
// ------------------------------------------------------------------------------

console_rows show_active_sockets(const console_view& view);
console_rows show_actors(const console_view& view);
void show_actors_of_kind(const console_view& view, const console_task& task);
console_rows show_clients(const console_view& view);
console_rows show_config(const console_view& view);
console_rows show_databases(const console_view& view);
void show_dns_hosts(const console_view& view, const console_task& task);
console_rows show_fds(const console_view& view);
void show_lists(const console_view& view, const console_task& task);
console_rows show_mem(const console_view& view);
console_rows show_nothing(const console_view& view);
console_rows show_pools(const console_view& view);
console_rows show_prepared_statements(const console_view& view);
console_rows show_servers(const console_view& view);
console_rows show_shares(const console_view& view);
console_rows show_sockets(const console_view& view);
console_rows show_state(const console_view& view);
console_rows show_stats(const console_view& view);
console_rows show_stats_averages(const console_view& view);
console_rows show_stats_totals(const console_view& view);
console_rows show_tenants(const console_view& view);
console_rows show_totals(const console_view& view);
console_rows show_users(const console_view& view);
console_rows show_version(const console_view& view);

} // namespace pg_edge::actors
