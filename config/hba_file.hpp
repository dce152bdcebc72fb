// The common syntax of pg_hba.conf and pg_ident.conf, before anything has a meaning: lines of fields of tokens, with
// quotes, comma lists, @files, continued lines and include directives resolved as Postgres 16 does it.
#pragma once

#include "config/load.hpp"

#include <string>
#include <vector>

namespace pg_edge::config {

struct hba_token {
  std::string text;
  bool quoted = false; // began with a quote: no keyword, whatever it says
  bool is(std::string_view keyword) const { return !quoted && text == keyword; }
};

/// The tokens between two blanks: one, or a comma list.
using hba_field = std::vector<hba_token>;

struct hba_line {
  std::string file;
  int line = 0;
  std::vector<hba_field> fields; // never empty, and none of them is
};

/// All lines that say something, in order, those of included files in place. What is wrong is added to `problems`.
std::vector<hba_line> read_hba_lines(const std::string& file, const outside& world, std::vector<problem>& problems);

} // namespace pg_edge::config
