// pgbouncer's three file formats as plain data: the ini file with %include, connection strings, and the auth_file.
#pragma once

#include "config/load.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pg_edge::config {

using file_reader = std::function<std::optional<std::string>(const std::string& path)>;

struct ini_entry {
  std::string section;
  std::string key;
  std::string value;
  std::string file;
  int line = 0;
};

struct ini_result {
  std::vector<ini_entry> entries; // in the order of the file; the last of a name counts
  std::vector<problem> problems;
};

/// Files included deeper than this include each other.
inline constexpr int deepest_include = 10;

ini_result read_ini(std::string_view text, const std::string& file_name, const file_reader& read_file);

using key_values = std::vector<std::pair<std::string, std::string>>;

/// "host=a port=1 password='it''s'"; nullopt when it is malformed.
std::optional<key_values> parse_connection_string(std::string_view text);

/// A line of an auth_file. Where it is not well-formed, name and secret mean nothing.
struct auth_file_line {
  std::string name;
  std::string secret;
  int line = 0;
  bool well_formed = false;

  bool operator==(const auth_file_line&) const = default;
};

/// The "user" "secret" lines, with whatever stands behind them ignored. Empty lines and those that start with ; or #
/// are left out.
std::vector<auth_file_line> parse_auth_file(std::string_view text);

/// A name with SQL's double quotes taken off; names without them are as they are.
std::string unquoted_name(std::string_view name);

/// Relative paths mean the folder of the file they stand in.
std::string beside(const std::string& file_name, const std::string& path);

} // namespace pg_edge::config
