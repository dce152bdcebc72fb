// postgres:// URLs as libpq takes them, split into their parts. Used by the `url` key of databases.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pg_edge::config {

struct postgres_url {
  std::string host; // comma list; empty if not given
  std::string port; // one for all hosts; empty if not given
  std::string dbname;
  std::string user;
  std::string password;
  std::vector<std::pair<std::string, std::string>> parameters; // the query part, decoded
  std::string_view error;                                      // a literal; empty: success
};

/// Splits and decodes. The error shows nothing of the text, since a password may stand in it.
postgres_url parse_postgres_url(std::string_view text);

} // namespace pg_edge::config
