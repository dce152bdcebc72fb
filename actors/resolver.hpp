// Host names to addresses, away from the reactors because getaddrinfo() waits. Addresses in numbers and Unix sockets
// need no resolver: literal_address().
#pragma once

#include "actors/messages.hpp"

namespace pg_edge::actors {

/// The address if `host` is one, in numbers or as the folder of a Unix socket; nothing if it is a name.
std::optional<server_address> literal_address(const std::string& host, std::uint16_t port);

/// A blocking look-up; `error` says why there is nothing.
resolved_host look_up(const std::string& host, std::uint16_t port);

/// Starts one, with a thread of its own.
resolver_actor spawn_resolver(caf::actor_system& system);

} // namespace pg_edge::actors
