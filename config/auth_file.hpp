// auth_file: pgbouncer's userlist.txt as a live source of users, read with every load of the settings, because other
// tools write it.
#pragma once

#include "config/load.hpp"
#include "config/value_reader.hpp"

namespace pg_edge::config {

/// Adds the users of all.auth_file, if one is set, to the default tenant. What [users] says of a user wins: only a
/// secret that is missing there comes from the file. Lines that are malformed become errors with the file's own name
/// and line; `line` is that of auth_file in the settings, where problems with its users are reported.
void read_auth_file(settings& all, int line, const outside& world, problem_list& problems);

} // namespace pg_edge::config
