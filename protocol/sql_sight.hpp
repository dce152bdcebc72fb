// One fast pass over the raw bytes of a query for the few words whose effect no command tag shows. It looks into
// strings and comments too: it must never miss a word, and sees one too many at times. Private to
// protocol/sql_scan.cpp.
#pragma once

#include <cstddef>
#include <string_view>

namespace pg_edge::protocol::sql {

struct sighting {
  bool state_word = false; // a function that changes the session, or an identifier in U&"" spelling
  bool temporary = false;  // TEMP, TEMPORARY, pg_temp: only the tokens around it tell what it means
  std::size_t semicolon = std::string_view::npos; // the first one
};

/// With `first_only` it stops soon after the first of what it looks for; otherwise it looks for words to the end.
sighting sight(std::string_view text, bool first_only);

} // namespace pg_edge::protocol::sql
