// Any bytes through the keyword scan: no crash, views inside the text, and the quick look never passes over what the
// full scan finds. The first byte chooses how the text is read.
#include "protocol/sql_scan.hpp"

#include <cstdint>
#include <cstdlib>
#include <vector>

using namespace pg_edge::protocol;

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

bool plain(const scanned_statement& statement) {
  switch (statement.kind) {
  case statement_kind::other:
  case statement_kind::begin:
  case statement_kind::commit:
  case statement_kind::rollback:
  case statement_kind::savepoint:
    return !statement.leaves_state;
  default:
    return false;
  }
}

void check_inside(std::string_view part, std::string_view whole) {
  if (!part.empty()) check(part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view sql{reinterpret_cast<const char*>(data) + 1, size - 1};
  const auto result = scan(sql, (data[0] & 1) != 0, (data[0] & 2) != 0);
  bool worth_it = result.statements.size() > 1;
  std::vector<name_replacement> replacements;
  for (const auto& statement : result.statements) {
    check(!statement.text.empty());
    check_inside(statement.text, sql);
    check_inside(statement.name_token, statement.text);
    check_inside(statement.body, statement.text);
    check_inside(statement.types, statement.text);
    worth_it = worth_it || !plain(statement);
    replacements.push_back({statement.name_token, statement.name});
  }
  check(!worth_it || look(sql).interesting);
  const auto replaced = replace_names(sql, replacements);
  // A name in place of itself leaves the statements what they are. (A U&"" name is written in another spelling.)
  if (result.complete && sql.find('&') == std::string_view::npos)
    check(scan(replaced, false, (data[0] & 2) != 0).statements.size() == result.statements.size());
  classify_tag(sql);
  return 0;
}
