// pg_edge's own SHOW commands, a row each with its columns.
#include "actors/console_commands.hpp"

namespace pg_edge::actors {

namespace {

using protocol::console_column;
using enum protocol::console_type;
using need = console_need;

constexpr console_column actors_columns[] = {{"kind"},          {"alive", int8},         {"handled", int8},
                                             {"mailbox", int8}, {"deepest", int8},       {"deepest_actor", int8},
                                             {"busiest", int8}, {"busiest_actor", int8}, {"description"},
                                             {"reactor", int4}};
constexpr console_column tenants_columns[] = {{"name"},
                                              {"databases", int4},
                                              {"users", int4},
                                              {"pools", int4},
                                              {"cl_active", int4},
                                              {"cl_waiting", int4},
                                              {"servers", int4},
                                              {"sv_idle", int4},
                                              {"maxwait", int4},
                                              {"max_client_connections", int4},
                                              {"max_connections", int4},
                                              {"total_xact_count", numeric},
                                              {"total_query_count", numeric},
                                              {"total_received", numeric},
                                              {"total_sent", numeric},
                                              {"banned"},
                                              {"banned_until"}};
constexpr console_column shares_columns[] = {{"tenant"},
                                             {"database"},
                                             {"user"},
                                             {"reactor", int4},
                                             {"permits", int4},
                                             {"cl_active", int4},
                                             {"cl_waiting", int4},
                                             {"sv_active", int4},
                                             {"sv_idle", int4},
                                             {"sv_login", int4},
                                             {"sv_closing", int4},
                                             {"maxwait", int4},
                                             {"maxwait_us", int4},
                                             {"server_assignment_count", numeric},
                                             {"xact_count", numeric},
                                             {"query_count", numeric}};
constexpr console_column statements_columns[] = {{"tenant"},        {"database"},   {"user"}, {"name"},
                                                 {"servers", int4}, {"uses", int8}, {"text"}};

bool names_kind(const console_words& arguments) {
  return arguments.size() <= 1;
}

constexpr console_command commands[] = {
    table("show tenants", need::counts, tenants_columns, show_tenants, "every tenant: what it has, does and may do"),
    table("show shares", need::counts, shares_columns, show_shares,
          "every part of a pool that lives on one reactor, with its permits"),
    {.words = "show actors",
     .arguments = "[listener|client|server|share|canceller]",
     .columns = actors_columns,
     .help = "per kind of actor: how many, what they did, what waits; or each of that kind, the busiest first",
     .takes = names_kind,
     .run = show_actors_of_kind},
    {.words = "show prepared statements",
     .admin = true,
     .need = need::statements,
     .columns = statements_columns,
     .rows = show_prepared_statements,
     .help = "every statement that some server has prepared: its text, how many have it, how often it was used"},
};

} // namespace

std::span<const console_command> console_own_commands() {
  return commands;
}

} // namespace pg_edge::actors
