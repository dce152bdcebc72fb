// Turns a pgbouncer configuration into ours. Whatever cannot be carried over stays in the result as a comment and is
// reported, so that nothing is lost in silence.
#pragma once

#include "config/ini_reader.hpp"

namespace pg_edge::config {

struct import_result {
  std::string toml;              // loads without errors wherever the files it names can be read
  std::vector<problem> problems; // all of them warnings
};

/// `read_file` is asked for %include files, the auth_file and TLS files; paths are relative to the ini's folder.
import_result import_pgbouncer(std::string_view ini, const std::string& file_name, const file_reader& read_file);

} // namespace pg_edge::config
