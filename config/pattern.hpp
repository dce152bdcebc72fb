// Regular expressions that an operator writes and a client's name is held against (HBA rules, ident maps). They are
// Postgres's as far as PCRE2 reads them the same way; what it would read differently is refused. A match has a budget
// of steps, so that no name can keep a thread busy.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace pg_edge::config {

class pattern {
public:
  struct compiled {
    std::shared_ptr<const pattern> value; // null: see error
    std::string error;
  };
  /// The text without the slash in front.
  static compiled compile(std::string_view text);

  enum class outcome { no, yes, too_much }; // too_much: the budget ran out, nobody knows
  struct found {
    outcome is = outcome::no;
    bool has_group = false;
    std::string group; // what the first parentheses matched
  };
  /// Looks for the pattern anywhere in the text; bytes are characters.
  found search(std::string_view text) const;

private:
  pattern() = default;
  std::shared_ptr<void> code_; // PCRE2's, which no other file needs to know
};

} // namespace pg_edge::config
