// The commands of the admin console as words: "SHOW POOLS; -- and then" becomes a list of statements, each a list of
// words. It exists so that quotes, comments and semicolons are understood as in SQL and the console sees words only.
#pragma once

#include "protocol/bytes.hpp"

#include <string>
#include <vector>

namespace pg_edge::protocol {

struct console_statement {
  /// Names and keywords as they were written, quoted ones and strings without their quotes, other characters each
  /// alone.
  std::vector<std::string> words;
  std::string text; // as it was written, without the semicolon; cut at console_text_limit
};

/// Of a statement that is repeated in an error.
inline constexpr std::size_t console_text_limit = 200;

struct console_script {
  std::vector<console_statement> statements; // empty statements are left out
  std::string fault;                         // what cannot be read in the rest; empty: nothing
};

console_script read_console_script(std::string_view sql);

/// Whether two words are the same but for the case of ASCII letters.
bool same_word(std::string_view a, std::string_view b);

} // namespace pg_edge::protocol
