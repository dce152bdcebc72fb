// Host names to addresses, and clients' addresses to names, away from the reactors. Answers are kept for dns_max_ttl at
// most and names of hosts that have servers are looked up again when that ends; when nobody answers, the last known
// addresses go on being used. Addresses in numbers and Unix sockets need no resolver: literal_address().
//
//   resolve_host -> known and young? answer at once
//                -> else wait for the look-up, which all who ask for the name share; the addresses known from before
//                   serve when it takes long
//   its result   -> cluster/name_cache says what changed -> the log, and host_table, where shares see it
#pragma once

#include "actors/messages.hpp"
#include "actors/node_context.hpp"

namespace pg_edge::actors {

/// The address if `host` is one, in numbers or as the folder of a Unix socket; nothing if it is a name.
std::optional<server_address> literal_address(const std::string& host, std::uint16_t port);

/// Starts one, with a thread of its own for the name servers.
resolver_actor spawn_resolver(caf::actor_system& system, node_context& node);

} // namespace pg_edge::actors
