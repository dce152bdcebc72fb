// Turns a pgbouncer configuration into ours. Whatever cannot be carried over stays in the result as a comment and is
// reported, so that nothing is lost in silence.
#pragma once

#include "config/ini_reader.hpp"

namespace pg_edge::config {

struct import_result {
  std::string toml;              // loads without errors where the files it names are there and in order
  std::vector<problem> problems; // all of them warnings
};

/// `read_file` is asked for %include files, and, to try the result, for every file it names. Paths are relative to the
/// folder of the ini. A warning tells the place in pgbouncer's file; what is wrong inside a file that the result names,
/// a line of the auth_file say, is told at its place there.
import_result import_pgbouncer(std::string_view ini, const std::string& file_name, const file_reader& read_file);

} // namespace pg_edge::config
