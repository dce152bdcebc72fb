// pg_edge's own SHOW commands, a row each with its columns.
#include "actors/console_commands.hpp"

namespace pg_edge::actors {

namespace {

using protocol::console_column;
using enum protocol::console_type;
using need = console_need;

constexpr console_column actors_columns[] = {{"kind"},          {"alive", int8},         {"handled", int8},
                                             {"mailbox", int8}, {"deepest", int8},       {"deepest_actor", int8},
                                             {"busiest", int8}, {"busiest_actor", int8}, {"description"}};

constexpr console_command commands[] = {
    table("show actors", need::nothing, actors_columns, show_actors,
          "per kind of actor: how many, what they did, what waits"),
};

} // namespace

std::span<const console_command> console_own_commands() {
  return commands;
}

} // namespace pg_edge::actors
