// The functions of SHOW for connections: clients, servers, sockets and their descriptors. The columns stand in
// console_show_commands.cpp.
#include "actors/console_cells.hpp"
#include "actors/console_commands.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace pg_edge::actors {

namespace {

/// Of a connection to Postgres: pgbouncer counts it as being at work in these states.
constexpr std::array<std::string_view, 4> working_states{"active", "being_canceled", "tested", "login"};

struct found_socket {
  std::string_view type; // "C" or "S"
  const client_row* one = nullptr;
  const share_snapshot* share = nullptr; // null: a client of the console
};

void take(std::vector<found_socket>& into, const console_view& view, std::string_view type,
          std::vector<client_row> share_snapshot::*which) {
  for (const share_snapshot& share : view.shares)
    for (const client_row& one : share.*which)
      into.push_back({type, &one, &share});
}

std::vector<found_socket> clients_in(const console_view& view) {
  std::vector<found_socket> found;
  take(found, view, "C", &share_snapshot::clients);
  for (const client_row& one : view.console_clients)
    found.push_back({"C", &one, nullptr});
  return found;
}

std::vector<found_socket> servers_in(const console_view& view) {
  std::vector<found_socket> found;
  take(found, view, "S", &share_snapshot::servers);
  return found;
}

std::vector<found_socket> sockets_in(const console_view& view) {
  std::vector<found_socket> found = clients_in(view);
  take(found, view, "S", &share_snapshot::servers);
  return found;
}

/// pgbouncer's columns of CLIENTS and SERVERS, with which those of SOCKETS begin.
console_row first_cells(const found_socket& socket) {
  const client_row& one = *socket.one;
  return {cell(socket.type),
          cell(one.user),
          cell(one.database),
          cell(one.replication),
          cell(one.state),
          cell(one.addr),
          cell(one.port),
          cell(one.local_addr),
          cell(one.local_port),
          cell(time_text(one.connect_time)),
          cell(time_text(one.request_time)),
          cell(one.wait.count() / million),
          cell(one.wait.count() % million),
          cell(one.close_needed ? 1 : 0),
          cell(pointer_text(one.id)),
          cell(one.link == 0 ? std::string() : pointer_text(one.link)),
          cell(one.remote_pid),
          cell(one.tls),
          cell(one.application_name),
          cell(one.prepared_statements),
          cell(one.id)};
}

void put_own(console_row& row, const found_socket& socket) {
  row.push_back(socket.share == nullptr ? console_cell() : cell(socket.share->reactor));
  row.push_back(or_null(socket.one->tenant));
}

console_cell int4_cell(std::size_t number) {
  return cell(std::min<std::size_t>(number, std::numeric_limits<std::int32_t>::max()));
}

/// The positions in pgbouncer's buffers. Ours hold only what could not be used or sent yet, and begin with it.
void put_buffers(console_row& row, const client_row& one) {
  row.push_back(int4_cell(one.unread_bytes)); // recv_pos
  row.push_back(cell(0));                     // pkt_pos
  row.push_back(cell(0));                     // pkt_remain
  row.push_back(cell(0));                     // send_pos
  row.push_back(int4_cell(one.unsent_bytes)); // send_remain
  row.push_back(int4_cell(one.unread_bytes)); // pkt_avail
  row.push_back(int4_cell(one.unsent_bytes)); // send_avail
}

console_rows socket_rows(std::vector<found_socket> found, bool buffers) {
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.one->id < b.one->id; });
  console_rows rows;
  rows.reserve(found.size());
  for (const found_socket& socket : found) {
    console_row row = first_cells(socket);
    if (buffers) put_buffers(row, *socket.one);
    put_own(row, socket);
    rows.push_back(std::move(row));
  }
  return rows;
}

bool at_work(const found_socket& socket) {
  if (socket.type == "C") return true; // pgbouncer lists every client that is logged in
  return std::find(working_states.begin(), working_states.end(), socket.one->state) != working_states.end();
}

console_cell value_of(const client_row& one, std::string_view parameter) {
  return one.values ? or_null(one.values->get(parameter)) : console_cell();
}

} // namespace

console_rows show_clients(const console_view& view) {
  return socket_rows(clients_in(view), false);
}

console_rows show_servers(const console_view& view) {
  return socket_rows(servers_in(view), false);
}

console_rows show_sockets(const console_view& view) {
  return socket_rows(sockets_in(view), true);
}

console_rows show_active_sockets(const console_view& view) {
  std::vector<found_socket> found = sockets_in(view);
  std::erase_if(found, [](const found_socket& socket) { return !at_work(socket); });
  return socket_rows(std::move(found), true);
}

/// The columns with secrets (cancel keys, passwords, SCRAM keys) are always NULL.
console_rows show_fds(const console_view& view) {
  std::vector<found_socket> found = sockets_in(view);
  std::erase_if(found, [](const found_socket& socket) { return socket.one->fd < 0; });
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.one->fd < b.one->fd; });
  console_rows rows;
  for (const found_socket& socket : found) {
    const client_row& one = *socket.one;
    rows.push_back({cell(one.fd),
                    cell(socket.type == "C" ? "client" : "server"),
                    cell(one.user),
                    cell(one.database),
                    cell(one.addr),
                    cell(one.port),
                    {},
                    int4_cell(one.link),
                    value_of(one, "client_encoding"),
                    value_of(one, "standard_conforming_strings"),
                    value_of(one, "datestyle"),
                    value_of(one, "timezone"),
                    {},
                    {},
                    {},
                    cell(one.id),
                    or_null(one.tenant)});
  }
  return rows;
}

} // namespace pg_edge::actors
