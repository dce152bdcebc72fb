#include "actors/console_commands.hpp"

#include "actors/console_control.hpp"

#include <array>

namespace pg_edge::actors {

namespace {

using protocol::console_column;
using enum protocol::console_type;

// -- columns: pgbouncer's, in its order and with its types; our own only behind them
// -----------------------------------------

constexpr console_column config_columns[] = {{"key"}, {"value"}, {"default"}, {"changeable"}};
constexpr console_column version_columns[] = {{"version"}};
constexpr console_column state_columns[] = {{"key"}, {"value"}};
constexpr console_column lists_columns[] = {{"list"}, {"items", int4}};
constexpr console_column totals_columns[] = {{"name"}, {"value", numeric}};
constexpr console_column peers_columns[] = {{"peer_id", int4}, {"host"}, {"port", int4}, {"pool_size", int4}};
constexpr console_column peer_pools_columns[] = {{"peer_id", int4},
                                                 {"cl_active_cancel_req", int4},
                                                 {"cl_waiting_cancel_req", int4},
                                                 {"sv_active_cancel", int4},
                                                 {"sv_login", int4}};

constexpr console_column pools_columns[] = {{"database"},
                                            {"user"},
                                            {"cl_active", int4},
                                            {"cl_waiting", int4},
                                            {"cl_active_cancel_req", int4},
                                            {"cl_waiting_cancel_req", int4},
                                            {"sv_active", int4},
                                            {"sv_active_cancel", int4},
                                            {"sv_being_canceled", int4},
                                            {"sv_idle", int4},
                                            {"sv_used", int4},
                                            {"sv_tested", int4},
                                            {"sv_login", int4},
                                            {"maxwait", int4},
                                            {"maxwait_us", int4},
                                            {"pool_mode"},
                                            {"load_balance_hosts"},
                                            {"tenant"},
                                            {"sv_closing", int4},
                                            {"shares", int4},
                                            {"permits", int4}};

constexpr console_column databases_columns[] = {{"name"},
                                                {"host"},
                                                {"port", int4},
                                                {"database"},
                                                {"force_user"},
                                                {"pool_size", int4},
                                                {"min_pool_size", int4},
                                                {"reserve_pool_size", int4},
                                                {"server_lifetime", int4},
                                                {"pool_mode"},
                                                {"load_balance_hosts"},
                                                {"max_connections", int4},
                                                {"current_connections", int4},
                                                {"max_client_connections", int4},
                                                {"current_client_connections", int4},
                                                {"paused", int4},
                                                {"disabled", int4},
                                                {"tenant"}};

constexpr console_column users_columns[] = {{"name"},
                                            {"pool_size"},
                                            {"reserve_pool_size"},
                                            {"pool_mode"},
                                            {"max_user_connections", int4},
                                            {"current_connections", int4},
                                            {"max_user_client_connections", int4},
                                            {"current_client_connections", int4},
                                            {"tenant"}};

// `id` is int4 in pgbouncer; ours counts every connection there ever was, which a busy node brings beyond 31 bits.
constexpr console_column sockets_columns[] = {{"type"},
                                              {"user"},
                                              {"database"},
                                              {"replication"},
                                              {"state"},
                                              {"addr"},
                                              {"port", int4},
                                              {"local_addr"},
                                              {"local_port", int4},
                                              {"connect_time"},
                                              {"request_time"},
                                              {"wait", int4},
                                              {"wait_us", int4},
                                              {"close_needed", int4},
                                              {"ptr"},
                                              {"link"},
                                              {"remote_pid", int4},
                                              {"tls"},
                                              {"application_name"},
                                              {"prepared_statements", int4},
                                              {"id", int8},
                                              {"reactor", int4},
                                              {"tenant"}};

constexpr console_column actors_columns[] = {{"kind"},          {"alive", int8},         {"handled", int8},
                                             {"mailbox", int8}, {"deepest", int8},       {"deepest_actor", int8},
                                             {"busiest", int8}, {"busiest_actor", int8}, {"description"}};
constexpr console_column reactors_columns[] = {{"reactor", int4}, {"turns", int8},    {"events", int8},
                                               {"resumes", int8}, {"messages", int8}, {"wake_ups", int8},
                                               {"busy_us", int8}};

template <std::size_t Names>
constexpr auto count_columns(const std::array<std::string_view count_row::*, Names>& names) {
  std::array<console_column, 2 + Names * std::size(count_rows)> result;
  std::size_t next = 0;
  result[next++] = {"database", text};
  for (const auto name : names)
    for (const count_row& row : count_rows)
      result[next++] = {row.*name, numeric};
  result[next++] = {"tenant", text};
  return result;
}
constexpr auto stats_columns = count_columns(std::array{&count_row::total, &count_row::average});
constexpr auto stats_totals_columns = count_columns(std::array{&count_row::totals_name});
constexpr auto stats_averages_columns = count_columns(std::array{&count_row::averages_name});

// -- commands
// ---------------------------------------------------------------------------------------------------------------

using need = console_need;
using act = console_act;

constexpr console_command commands[] = {
    {"show help", "", false, need::nothing, {}, nullptr, act::help, "this list"},
    {"show pools", "", false, need::counts, pools_columns, show_pools, act::none,
     "every pool: its clients, its servers, how long the first has waited"},
    {"show clients", "", false, need::clients, sockets_columns, show_clients, act::none, "every client connection"},
    {"show servers", "", false, need::servers, sockets_columns, show_servers, act::none,
     "every connection to Postgres"},
    {"show databases", "", false, need::counts, databases_columns, show_databases, act::none,
     "every database clients may ask for, and where it is"},
    {"show users", "", false, need::clients, users_columns, show_users, act::none,
     "every user, limits and connections"},
    {"show stats", "", false, need::counts, stats_columns, show_stats, act::none,
     "per database: totals since the start and averages; times in microseconds"},
    {"show stats_totals", "", false, need::counts, stats_totals_columns, show_stats_totals, act::none,
     "the totals alone"},
    {"show stats_averages", "", false, need::counts, stats_averages_columns, show_stats_averages, act::none,
     "the averages alone"},
    {"show totals", "", false, need::counts, totals_columns, show_totals, act::none,
     "totals and averages over all databases"},
    {"show lists", "", false, need::counts, lists_columns, show_lists, act::none, "how many there are of what"},
    {"show config", "", false, need::nothing, config_columns, show_config, act::none, "the settings in force"},
    {"show state", "", false, need::nothing, state_columns, show_state, act::none, "whether the node is active"},
    {"show actors", "", false, need::nothing, actors_columns, show_actors, act::none,
     "per kind of actor: how many, what they did, what waits"},
    {"show reactors", "", false, need::nothing, reactors_columns, show_reactors, act::none,
     "per reactor: what its loop has done"},
    {"show peers", "", false, need::nothing, peers_columns, show_nothing, act::none,
     "pgbouncer's peers: there are none"},
    {"show peer_pools", "", false, need::nothing, peer_pools_columns, show_nothing, act::none,
     "their pools: there are none"},
    {"show version", "", false, need::nothing, version_columns, show_version, act::none, "the version of pg_edge"},
    {"show",
     "client_encoding|datestyle|...",
     false,
     need::nothing,
     {},
     nullptr,
     act::show_parameter,
     "a parameter drivers ask for"},
    {"set",
     "client_encoding|datestyle|... = value",
     false,
     need::nothing,
     {},
     nullptr,
     act::set_parameter,
     "accepted, so that drivers log in, and ignored"},
    {"reload", "", true, need::nothing, {}, nullptr, act::reload, "read the configuration file again"},
    {"pause",
     "[db] [TENANT name]",
     true,
     need::nothing,
     {},
     nullptr,
     act::pause,
     "hand out no servers, and answer when all of them are closed; queries wait"},
    {"resume",
     "[db] [TENANT name]",
     true,
     need::nothing,
     {},
     nullptr,
     act::resume,
     "end a PAUSE or KILL of the same name"},
    {"reconnect",
     "[db] [TENANT name]",
     true,
     need::nothing,
     {},
     nullptr,
     act::reconnect,
     "close each server when it is next released"},
    {"wait_close",
     "[db] [TENANT name]",
     true,
     need::counts,
     {},
     nullptr,
     act::wait_close,
     "answer when the servers that RECONNECT or RELOAD replaces are closed"},
    {"kill",
     "[db] [TENANT name]",
     true,
     need::nothing,
     {},
     nullptr,
     act::kill,
     "drop clients and servers at once, then as PAUSE"},
    {"kill_client", "id", true, need::clients, {}, nullptr, act::kill_client, "drop one client, see SHOW CLIENTS"},
    {"disable", "db|[db] TENANT name", true, need::nothing, {}, nullptr, act::disable, "refuse new clients"},
    {"enable", "db|[db] TENANT name", true, need::nothing, {}, nullptr, act::enable, "let new clients in again"},
    {"suspend", "", true, need::nothing, {}, nullptr, act::suspend, "not there yet: says what to use instead"},
    {"shutdown",
     "[WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]",
     true,
     need::nothing,
     {},
     nullptr,
     act::shut_down,
     "end the node: at once, at the end of transactions, or when the last client has gone"},
};

constexpr console_parameter parameters[] = {
    {{"client_encoding"}, "UTF8"},
    {{"default_transaction_isolation"}, "read committed"},
    {{"standard_conforming_strings"}, "on"},
    {{"datestyle"}, "ISO"},
    {{"timezone"}, "GMT"},
};

/// How many words of the statement the command's name takes; 0 if it is another command.
std::size_t words_matched(std::string_view name, const std::vector<std::string>& words) {
  std::size_t count = 0;
  while (!name.empty()) {
    const std::string_view word = name.substr(0, name.find(' '));
    name.remove_prefix(std::min(word.size() + 1, name.size()));
    // SELECT is an alias of SHOW, as in pgbouncer.
    const bool same =
        count < words.size() && (protocol::same_word(words[count], word) ||
                                 (count == 0 && word == "show" && protocol::same_word(words[count], "select")));
    if (!same) return 0;
    ++count;
  }
  return count;
}

/// "name = value", "name TO value".
bool is_assignment(const std::vector<std::string>& words) {
  return words.size() >= 3 && (words[1] == "=" || protocol::same_word(words[1], "to"));
}

bool takes(const console_command& command, const std::vector<std::string>& arguments) {
  switch (command.act) {
  case act::show_parameter:
    return arguments.size() == 1 && find_parameter(arguments[0]) != nullptr;
  case act::set_parameter:
    return is_assignment(arguments) && find_parameter(arguments[0]) != nullptr;
  case act::shut_down:
    return arguments.empty() || (arguments.size() == 1 && (protocol::same_word(arguments[0], "wait_for_servers") ||
                                                           protocol::same_word(arguments[0], "wait_for_clients")));
  case act::pause:
  case act::resume:
  case act::reconnect:
  case act::disable:
  case act::enable:
  case act::kill:
  case act::wait_close:
    return read_scope(arguments).has_value();
  case act::kill_client:
    return arguments.size() <= 1;
  default:
    return arguments.empty();
  }
}

} // namespace

std::span<const console_command> console_commands() {
  return commands;
}

std::span<const console_parameter> console_parameters() {
  return parameters;
}

const console_parameter* find_parameter(std::string_view name) {
  for (const console_parameter& one : parameters)
    if (protocol::same_word(one.column.name, name)) return &one;
  return nullptr;
}

console_match match(const protocol::console_statement& statement) {
  for (const console_command& command : commands) {
    const std::size_t count = words_matched(command.words, statement.words);
    if (count == 0) continue;
    std::vector<std::string> arguments(statement.words.begin() + static_cast<std::ptrdiff_t>(count),
                                       statement.words.end());
    if (takes(command, arguments)) return {&command, std::move(arguments)};
  }
  return {};
}

std::span<const console_column> columns_of(const console_match& what) {
  if (what.command->act == act::show_parameter) return {&find_parameter(what.arguments[0])->column, 1};
  return what.command->columns;
}

std::string console_help() {
  std::string text = "Console usage";
  for (const console_command& command : commands) {
    text += "\n\t";
    for (const char c : command.words)
      text.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
    if (!command.arguments.empty()) text.append(" ").append(command.arguments);
    text.append(": ").append(command.help);
  }
  return text;
}

} // namespace pg_edge::actors
