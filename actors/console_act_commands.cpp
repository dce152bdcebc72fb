// The commands that do something else than show rows, a row each.
#include "actors/console_commands.hpp"
#include "actors/console_control.hpp"

namespace pg_edge::actors {

namespace {

using act = console_act;
using words = std::vector<std::string>;

// -- which arguments they take
// -------------------------------------------------------------------------------------------------

bool names_parameter(const words& arguments) {
  return arguments.size() == 1 && find_parameter(arguments[0]) != nullptr;
}

/// "name = value", "name TO value".
bool sets_parameter(const words& arguments) {
  return arguments.size() >= 3 && (arguments[1] == "=" || protocol::same_word(arguments[1], "to")) &&
         find_parameter(arguments[0]) != nullptr;
}

bool sets_setting(const words& arguments) {
  return arguments.size() >= 2 && (arguments[1] == "=" || protocol::same_word(arguments[1], "to")) &&
         find_parameter(arguments[0]) == nullptr;
}

bool says_how_to_end(const words& arguments) {
  return arguments.empty() || (arguments.size() == 1 && (protocol::same_word(arguments[0], "wait_for_servers") ||
                                                         protocol::same_word(arguments[0], "wait_for_clients")));
}

bool names_pools(const words& arguments) {
  return read_scope(arguments).has_value();
}

bool names_client(const words& arguments) {
  return arguments.size() <= 1;
}

// -- the rows
// ------------------------------------------------------------------------------------------------------------------

constexpr std::string_view pools = "[db] [TENANT name]";
constexpr std::string_view some_pools = "db|[db] TENANT name";

constexpr console_command commands[] = {
    {.words = "show help", .act = act::help, .help = "this list"},
    {.words = "show",
     .arguments = "client_encoding|datestyle|...",
     .act = act::show_parameter,
     .help = "a parameter drivers ask for",
     .takes = names_parameter},
    {.words = "set",
     .arguments = "client_encoding|datestyle|... = value",
     .act = act::set_parameter,
     .help = "accepted, so that drivers log in, and ignored",
     .takes = sets_parameter},
    {.words = "set",
     .arguments = "key = value",
     .admin = true,
     .act = act::set_setting,
     .help = "a setting of SHOW CONFIG that is changeable, until the next RELOAD",
     .takes = sets_setting},
    {.words = "reload", .admin = true, .act = act::reload, .help = "read the configuration file again"},
    {.words = "pause",
     .arguments = pools,
     .admin = true,
     .act = act::pause,
     .help = "hand out no servers, and answer when all of them are closed; queries wait",
     .takes = names_pools},
    {.words = "resume",
     .arguments = pools,
     .admin = true,
     .act = act::resume,
     .help = "end a PAUSE or KILL of the same name",
     .takes = names_pools},
    {.words = "reconnect",
     .arguments = pools,
     .admin = true,
     .act = act::reconnect,
     .help = "close each server when it is next released",
     .takes = names_pools},
    {.words = "wait_close",
     .arguments = pools,
     .admin = true,
     .need = console_need::counts,
     .act = act::wait_close,
     .help = "answer when the servers that RECONNECT or RELOAD replaces are closed",
     .takes = names_pools},
    {.words = "kill",
     .arguments = pools,
     .admin = true,
     .act = act::kill,
     .help = "drop clients and servers at once, then as PAUSE",
     .takes = names_pools},
    {.words = "kill_client",
     .arguments = "id",
     .admin = true,
     .need = console_need::clients,
     .act = act::kill_client,
     .help = "drop one client, see SHOW CLIENTS",
     .takes = names_client},
    {.words = "disable",
     .arguments = some_pools,
     .admin = true,
     .act = act::disable,
     .help = "refuse new clients",
     .takes = names_pools},
    {.words = "enable",
     .arguments = some_pools,
     .admin = true,
     .act = act::enable,
     .help = "let new clients in again",
     .takes = names_pools},
    {.words = "suspend",
     .admin = true,
     .act = act::suspend,
     .help = "send what is on its way and read nothing more from clients, until RESUME"},
    {.words = "shutdown",
     .arguments = "[WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]",
     .admin = true,
     .act = act::shut_down,
     .help = "end the node: at once, at the end of transactions, or when the last client has gone",
     .takes = says_how_to_end},
};

} // namespace

std::span<const console_command> console_act_commands() {
  return commands;
}

} // namespace pg_edge::actors
