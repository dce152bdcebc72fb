// pgbouncer's SHOW commands: a row each, with its columns, in its order and with its types; our own columns only behind
// them.
#include "actors/console_commands.hpp"

#include <array>

namespace pg_edge::actors {

namespace {

using protocol::console_column;
using enum protocol::console_type;
using need = console_need;

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
constexpr std::array first_columns{
    console_column{"type"},
    console_column{"user"},
    console_column{"database"},
    console_column{"replication"},
    console_column{"state"},
    console_column{"addr"},
    console_column{"port", int4},
    console_column{"local_addr"},
    console_column{"local_port", int4},
    console_column{"connect_time"},
    console_column{"request_time"},
    console_column{"wait", int4},
    console_column{"wait_us", int4},
    console_column{"close_needed", int4},
    console_column{"ptr"},
    console_column{"link"},
    console_column{"remote_pid", int4},
    console_column{"tls"},
    console_column{"application_name"},
    console_column{"prepared_statements", int4},
    console_column{"id", int8},
};
constexpr std::array buffer_columns{
    console_column{"recv_pos", int4},   console_column{"pkt_pos", int4},     console_column{"pkt_remain", int4},
    console_column{"send_pos", int4},   console_column{"send_remain", int4}, console_column{"pkt_avail", int4},
    console_column{"send_avail", int4},
};
constexpr std::array own_columns{console_column{"reactor", int4}, console_column{"tenant"}};

template <std::size_t... Sizes>
constexpr auto joined(const std::array<console_column, Sizes>&... parts) {
  std::array<console_column, (Sizes + ...)> result;
  std::size_t next = 0;
  const auto put = [&](const auto& part) {
    for (const console_column& one : part)
      result[next++] = one;
  };
  (put(parts), ...);
  return result;
}
constexpr auto connections_columns = joined(first_columns, own_columns);
constexpr auto sockets_columns = joined(first_columns, buffer_columns, own_columns);

// `id` and `tenant` are ours.
constexpr console_column fds_columns[] = {{"fd", int4},
                                          {"task"},
                                          {"user"},
                                          {"database"},
                                          {"addr"},
                                          {"port", int4},
                                          {"cancel", int8},
                                          {"link", int4},
                                          {"client_encoding"},
                                          {"std_strings"},
                                          {"datestyle"},
                                          {"timezone"},
                                          {"password"},
                                          {"scram_client_key", bytea},
                                          {"scram_server_key", bytea},
                                          {"id", int8},
                                          {"tenant"}};

constexpr console_column mem_columns[] = {{"name"}, {"size", int4}, {"used", int4}, {"free", int4}, {"memtotal", int4}};
constexpr console_column dns_hosts_columns[] = {{"hostname"}, {"ttl", int8}, {"addrs"}};
constexpr console_column dns_zones_columns[] = {{"zonename"}, {"serial", int8}, {"count", int4}};

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

constexpr console_command commands[] = {
    table("show pools", need::counts, pools_columns, show_pools,
          "every pool: its clients, its servers, how long the first has waited"),
    table("show clients", need::clients, connections_columns, show_clients, "every client connection"),
    table("show servers", need::servers, connections_columns, show_servers, "every connection to Postgres"),
    table("show databases", need::counts, databases_columns, show_databases,
          "every database clients may ask for, and where it is"),
    table("show users", need::clients, users_columns, show_users, "every user, limits and connections"),
    table("show stats", need::counts, stats_columns, show_stats,
          "per database: totals since the start and averages; times in microseconds"),
    table("show stats_totals", need::counts, stats_totals_columns, show_stats_totals, "the totals alone"),
    table("show stats_averages", need::counts, stats_averages_columns, show_stats_averages, "the averages alone"),
    table("show totals", need::counts, totals_columns, show_totals, "totals and averages over all databases"),
    asked_table("show lists", need::counts, lists_columns, show_lists, "how many there are of what"),
    table("show sockets", need::connections, sockets_columns, show_sockets,
          "every connection, with the bytes it could not use or send yet"),
    table("show active_sockets", need::connections, sockets_columns, show_active_sockets, "those that are at work"),
    {.words = "show fds",
     .admin = true,
     .need = need::connections,
     .columns = fds_columns,
     .rows = show_fds,
     .help = "the descriptors of connections; what is secret is NULL"},
    table("show mem", need::connections, mem_columns, show_mem, "what objects there are and what they take"),
    asked_table("show dns_hosts", need::nothing, dns_hosts_columns, show_dns_hosts,
                "host names and their addresses; ttl in seconds"),
    table("show dns_zones", need::nothing, dns_zones_columns, show_nothing,
          "pgbouncer's zones: there are none, names are asked for again"),
    table("show config", need::nothing, config_columns, show_config, "the settings in force"),
    table("show state", need::nothing, state_columns, show_state, "whether the node is active"),
    table("show peers", need::nothing, peers_columns, show_nothing, "pgbouncer's peers: there are none"),
    table("show peer_pools", need::nothing, peer_pools_columns, show_nothing, "their pools: there are none"),
    table("show version", need::nothing, version_columns, show_version, "the version of pg_edge"),
};

} // namespace

std::span<const console_command> console_show_commands() {
  return commands;
}

} // namespace pg_edge::actors
