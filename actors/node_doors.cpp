// The addresses of a node: taken over from the process before, passed by the service manager, or opened anew.
#include "actors/node.hpp"

namespace pg_edge::actors {

/// Everything that could be wrong with the settings has been found by now: what follows is the other process's yes.
bool node::take_over(const config::settings& settings, std::vector<std::string>& errors) {
  std::string error;
  if (settings.takeover_socket.empty())
    error = "--takeover: the settings have no takeover_socket";
  else if (!settings.cluster.listen.empty()) // both would be the same member of it, with the same permits
    error =
        "--takeover: a node of a cluster (listen in [cluster]) cannot be taken over; have it drained by `pg_edgectl "
        "node drain " +
        settings.cluster.node + "` and start it again: the other nodes serve meanwhile";
  else if (!context_.handover.take_over(settings.takeover_socket, error))
    error = "--takeover: refused: " + error;
  if (!error.empty()) errors.push_back(error);
  return error.empty();
}

/// Sockets for this door that a service manager has opened, for us or for the process before us.
bool node::take_passed(const std::string& door) {
  const std::size_t before = sockets_.size();
  for (auto& socket : context_.handover.inherited_passed(door))
    sockets_.push_back({std::move(socket), door});
  for (service_manager::passed_socket& one : passed_)
    if (one.fd && one.door == door)
      sockets_.push_back({listening_socket::adopt(one.fd.release(), one.name, {}, true), door});
  return sockets_.size() > before;
}

void node::open_door(const config::listener& door, int backlog, std::vector<std::string>& errors) {
  std::string error;
  const auto keep = [&](std::shared_ptr<listening_socket> socket) {
    if (socket)
      sockets_.push_back({std::move(socket), door.name});
    else
      errors.push_back((door.name.empty() ? "" : "listener " + door.name + ": ") + "cannot listen on " + error);
  };
  if (take_passed(door.name)) return; // they stand for the addresses in the settings
  for (const std::string& address : door.listen_addr) {
    auto there = context_.handover.inherited(door.name, address + ":" + std::to_string(door.listen_port));
    keep(there ? there : listening_socket::tcp(address, door.listen_port, backlog, error));
  }
  if (door.unix_socket_dir.empty()) return;
  const std::string file = door.unix_socket_dir + "/.s.PGSQL." + std::to_string(door.listen_port);
  if (auto there = context_.handover.inherited(door.name, file))
    keep(there);
  else
    keep(listening_socket::local(door.unix_socket_dir, door.listen_port, door.unix_socket_mode, door.unix_socket_group,
                                 backlog, error));
}

bool node::open_listeners(const config::settings& settings, std::vector<std::string>& errors) {
  config::listener first;
  first.listen_addr = settings.listen_addr;
  first.listen_port = settings.listen_port;
  first.unix_socket_dir = settings.unix_socket_dir;
  first.unix_socket_mode = settings.unix_socket_mode;
  first.unix_socket_group = settings.unix_socket_group;
  std::vector<std::string> doors;
  for (const auto& [name, door] : settings.listeners)
    doors.push_back(name);
  passed_ = service_manager::passed_sockets(doors);
  open_door(first, settings.listen_backlog, errors);
  for (const auto& [name, door] : settings.listeners)
    open_door(door, settings.listen_backlog, errors);
  std::string error;
  if (errors.empty() && !context_.handover.listen(settings.takeover_socket, error)) errors.push_back(error);
  if (sockets_.empty() && errors.empty()) errors.push_back("nothing to listen on: set listen_addr or unix_socket_dir");
  return errors.empty();
}

} // namespace pg_edge::actors
