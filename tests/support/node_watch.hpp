// What a pg_edge process holds: descriptors, actors, memory. Tests compare it before and after, for nothing may leak.
#pragma once

#include "tests/support/pg_edge_process.hpp"

#include <map>
#include <string>

namespace pg_edge::test {

/// Open descriptors of a process.
int descriptors(pid_t process);
/// Its resident memory.
long resident_kilobytes(pid_t process);
/// Living actors by kind, as SHOW ACTORS says; the user must be one of admin_users. Throws pq_error.
std::map<std::string, long> actors(const pg_edge_process& node, const std::string& admin = "trust_user");
/// The sum of those that come and go with connections: clients, servers, cancellers. The one who asks is not counted.
long connection_actors(const pg_edge_process& node, const std::string& admin = "trust_user");

} // namespace pg_edge::test
