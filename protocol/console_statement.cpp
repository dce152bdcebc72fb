#include "protocol/console_statement.hpp"

#include "protocol/sql_lexer.hpp"

namespace pg_edge::protocol {

namespace {

/// What stands between the quotes of a name or of a plain string; other strings stay as they are.
std::string unquoted(std::string_view text) {
  const char quote = text.empty() ? '\0' : text.front();
  if ((quote != '"' && quote != '\'') || text.size() < 2 || text.back() != quote) return std::string(text);
  std::string out;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    out.push_back(text[i]);
    if (text[i] == quote) ++i; // a doubled quote stands for one
  }
  return out;
}

} // namespace

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return sql::lower(x) == sql::lower(y); });
}

console_script read_console_script(std::string_view sql) {
  console_script script;
  sql::lexer lexer(sql, true);
  console_statement statement;
  const char* begin = nullptr;
  const char* end = nullptr;
  const auto finish = [&] {
    if (!statement.words.empty()) {
      const std::string_view text(begin, static_cast<std::size_t>(end - begin));
      statement.text = text.substr(0, console_text_limit);
      script.statements.push_back(std::move(statement));
    }
    statement = {};
  };
  while (true) {
    const sql::token token = lexer.next();
    if (token.kind == sql::token_kind::end) break;
    if (token.is_char(';')) {
      finish();
      continue;
    }
    if (statement.words.empty()) begin = token.text.data();
    end = token.text.data() + token.text.size();
    statement.words.push_back(unquoted(token.text));
  }
  if (lexer.open())
    script.fault = "a quote or comment does not end";
  else
    finish();
  return script;
}

} // namespace pg_edge::protocol
