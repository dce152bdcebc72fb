// TOML as a plain tree with line numbers. It keeps toml++ (slow to compile, throws) inside one source file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace pg_edge::config {

struct toml_entry;

struct toml_node {
  using array = std::vector<toml_node>;
  using table = std::vector<toml_entry>; // in the order of the keys' bytes
  /// monostate: a date or a time, which no setting takes.
  std::variant<std::monostate, bool, std::int64_t, double, std::string, array, table> value;
  int line = 0;

  /// "an integer", "a table"...: for messages.
  std::string_view type_name() const;
};

struct toml_entry {
  std::string key;
  int line = 0; // of the key
  toml_node node;
};

struct toml_result {
  toml_node root;    // always a table
  std::string error; // empty: success
  int error_line = 0;
};

/// Parses a document. Errors are in the result; never throws but for want of memory.
toml_result parse_toml(std::string_view text);

} // namespace pg_edge::config
