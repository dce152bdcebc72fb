#include "protocol/sql_scan.hpp"

#include "protocol/session_parameters.hpp"
#include "protocol/sql_lexer.hpp"
#include "protocol/sql_sight.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>

namespace pg_edge::protocol {

using namespace sql;

namespace {

// -- state that no tag shows -----------------------------------------------------------------------------------------

// Words that tell a DO block which leaves state behind. It is told too often (UPDATE ... SET), which costs a reset.
constexpr auto block_words = std::to_array<std::string_view>(
    {"set", "reset", "listen", "unlisten", "temp", "temporary", "prepare", "deallocate", "discard", "load", "declare"});

bool block_leaves_state(std::string_view text) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!is(text[at], word_start_char)) continue;
    const auto end = word_end(text, at);
    const auto word = text.substr(at, end - at);
    if (std::any_of(block_words.begin(), block_words.end(), [&](auto known) { return same_word(word, known); }))
      return true;
    at = end;
  }
  return false;
}

// CREATE [OR REPLACE] [LOCAL] TEMP ..., INTO [TEMPORARY], anything in the schema pg_temp. A table that is dropped on
// commit leaves nothing, and is what most temporary tables behind a pooler are.
bool makes_temporary(lexer in) {
  enum { nothing, create, into } after = nothing;
  bool found = false;
  bool dropped_on_commit = false;
  bool query_began = false; // what stands after AS is no clause of CREATE TABLE
  std::array<token, 2> before;
  for (auto now = in.next(); now.kind != token_kind::end; now = in.next()) {
    if (now.is_name() && fold_identifier(now.text).starts_with("pg_temp")) return true;
    if (now.is_word("create")) {
      after = create;
    } else if (now.is_word("into")) {
      after = before[1].is_word("insert") || before[1].is_word("merge") ? nothing : into;
    } else if (now.is_word("temp") || now.is_word("temporary")) {
      if (after == into) return true;
      found = found || after == create;
      after = nothing;
    } else if (!now.is_word("or") && !now.is_word("replace") && !now.is_word("local") && !now.is_word("global")) {
      after = nothing;
      query_began = query_began || now.is_word("as");
      if (!query_began && before[0].is_word("on") && before[1].is_word("commit") && now.is_word("drop"))
        dropped_on_commit = true;
    }
    before = {before[1], now};
  }
  return found && !dropped_on_commit;
}

// -- statements -----------------------------------------------------------------------------------------------------

std::string_view trimmed_from(std::string_view text, const char* from) {
  return text.substr(static_cast<std::size_t>(from - text.data()));
}

const char* end_of(std::string_view text) {
  return text.data() + text.size();
}

// The rest of a statement, from the next token on (the text of a statement ends with a token).
std::string_view rest_of(const scanned_statement& statement, const lexer& in) {
  return trimmed_from(statement.text, in.peek().text.data());
}

bool take_name(scanned_statement& statement, lexer& in) {
  const auto name = in.peek();
  if (!name.is_name()) return false;
  in.next();
  statement.name_token = name.text;
  statement.name = fold_identifier(name.text);
  return true;
}

// A parameter name may have dots: plpgsql.check_asserts.
void take_parameter_name(scanned_statement& statement, lexer& in) {
  if (!take_name(statement, in)) return;
  while (in.peek().is_char('.')) {
    in.next();
    const auto part = in.peek();
    if (!part.is_name()) break;
    in.next();
    statement.name += '.' + fold_identifier(part.text);
    statement.name_token = {statement.name_token.data(),
                            static_cast<std::size_t>(end_of(part.text) - statement.name_token.data())};
  }
  statement.name = canonical_parameter_name(statement.name);
}

void name_by_syntax(scanned_statement& statement, const token& first, const token& last, std::string_view name) {
  statement.name_token = {first.text.data(), static_cast<std::size_t>(end_of(last.text) - first.text.data())};
  statement.name = name;
}

// Parameters that SET and RESET know by words of their own.
struct parameter_syntax {
  std::string_view first;
  std::string_view second; // empty: one word
  std::string_view name;
  std::string_view default_word; // stands for DEFAULT
  bool value_may_lack;           // ... and then it is the default
};
constexpr auto parameter_syntaxes = std::to_array<parameter_syntax>({
    {"time", "zone", "timezone", "local", false},
    {"names", "", "client_encoding", "", true},
    {"schema", "", "search_path", "", false},
    {"role", "", "role", "", false},
    {"session", "authorization", "session_authorization", "", false},
    {"xml", "option", "xmloption", "", false},
    {"transaction", "isolation", "transaction_isolation", "", false}, // RESET TRANSACTION ISOLATION LEVEL
});

const parameter_syntax* take_parameter_syntax(scanned_statement& statement, lexer& in) {
  auto ahead = in;
  const auto first = ahead.next();
  for (const auto& row : parameter_syntaxes) {
    if (!first.is_word(row.first)) continue;
    auto after = ahead;
    const auto last = row.second.empty() ? first : after.next();
    if (!row.second.empty() && !last.is_word(row.second)) continue;
    // SET role TO x is the plain syntax.
    if (after.peek().assigns() || after.peek().is_char('.')) continue;
    name_by_syntax(statement, first, last, row.name);
    in = after;
    return &row;
  }
  return nullptr;
}

// Whether the next word means something of its own; in SET local.x TO 1 it is but the name of a parameter.
bool keyword_ahead(lexer in, std::string_view lower_word) {
  return in.next().is_word(lower_word) && !in.peek().assigns() && !in.peek().is_char('.');
}

bool keywords_ahead(lexer in, std::string_view first, std::string_view second) {
  return in.next().is_word(first) && in.peek().is_word(second);
}

void parse_set(scanned_statement& statement, lexer in) {
  statement.kind = keyword_ahead(in, "local") ? statement_kind::set_local : statement_kind::set;
  const bool scope =
      keyword_ahead(in, "local") || (keyword_ahead(in, "session") && !keywords_ahead(in, "session", "authorization") &&
                                     !keywords_ahead(in, "session", "characteristics"));
  if (scope) in.next();
  if (keyword_ahead(in, "transaction") || keyword_ahead(in, "constraints")) {
    statement.kind = statement_kind::set_local;
    return;
  }
  if (keywords_ahead(in, "session", "characteristics")) {
    statement.kind = statement_kind::set;
    statement.leaves_state = true;
    return;
  }
  const auto* syntax = take_parameter_syntax(statement, in);
  if (!syntax) {
    take_parameter_name(statement, in);
    if (in.peek().assigns()) in.next();
  }
  statement.body = rest_of(statement, in);
  const auto value = in.next();
  const bool single = in.peek().kind == token_kind::end;
  statement.to_default = single && (value.is_word("default") ||
                                    (syntax && !syntax->default_word.empty() && value.is_word(syntax->default_word)) ||
                                    (syntax && syntax->value_may_lack && value.kind == token_kind::end));
}

void parse_reset(scanned_statement& statement, lexer in) {
  statement.kind = statement_kind::reset;
  if (in.peek().is_word("all"))
    statement.kind = statement_kind::reset_all;
  else if (!take_parameter_syntax(statement, in))
    take_parameter_name(statement, in);
}

void parse_prepare(scanned_statement& statement, lexer in) {
  auto ahead = in;
  if (ahead.next().is_word("transaction") && ahead.peek().kind == token_kind::string) {
    statement.kind = statement_kind::prepare_transaction;
    return;
  }
  statement.kind = statement_kind::prepare;
  if (!take_name(statement, in)) return;
  if (in.peek().is_char('(')) {
    const auto* from = end_of(in.next().text);
    std::size_t depth = 1;
    auto now = in.next();
    for (; now.kind != token_kind::end; now = in.next()) {
      if (now.is_char('(')) ++depth;
      if (now.is_char(')') && --depth == 0) break;
    }
    statement.types = {from, static_cast<std::size_t>(now.text.data() - from)};
  }
  if (in.next().is_word("as")) statement.body = rest_of(statement, in);
}

void parse_execute(scanned_statement& statement, lexer in) {
  statement.kind = statement_kind::execute;
  if (take_name(statement, in)) statement.body = rest_of(statement, in);
}

void parse_deallocate(scanned_statement& statement, lexer in) {
  statement.kind = statement_kind::deallocate;
  auto ahead = in;
  if (ahead.next().is_word("prepare") && ahead.peek().kind != token_kind::end) in = ahead;
  if (in.peek().is_word("all"))
    statement.kind = statement_kind::deallocate_all;
  else
    take_name(statement, in);
}

void parse_discard(scanned_statement& statement, lexer in) {
  statement.kind = in.peek().is_word("all") ? statement_kind::discard_all : statement_kind::discard;
}

void parse_listen(scanned_statement& statement, lexer in) {
  statement.kind = statement_kind::listen;
  take_name(statement, in);
}

void parse_unlisten(scanned_statement& statement, lexer in) {
  statement.kind = in.peek().is_char('*') ? statement_kind::unlisten_all : statement_kind::unlisten;
  take_name(statement, in);
}

void parse_declare(scanned_statement& statement, lexer in) {
  statement.kind = statement_kind::declare_cursor;
  take_name(statement, in);
  token before;
  // WITH HOLD stands before FOR; a query may have the words too, at worst one reset too many.
  for (auto now = in.next(); now.kind != token_kind::end; before = now, now = in.next())
    if (now.is_word("hold") && before.is_word("with")) statement.leaves_state = true;
}

void parse_load(scanned_statement& statement, lexer) {
  statement.kind = statement_kind::load;
}

void parse_do(scanned_statement& statement, lexer) {
  statement.leaves_state = statement.leaves_state || block_leaves_state(statement.text);
}

// CREATE TABLE name ... AS EXECUTE name: the first AS outside of parentheses.
void parse_create(scanned_statement& statement, lexer in) {
  std::size_t depth = 0;
  for (auto now = in.next(); now.kind != token_kind::end; now = in.next()) {
    if (now.is_char('(')) ++depth;
    if (now.is_char(')') && depth > 0) --depth;
    if (depth > 0 || !now.is_word("as")) continue;
    if (in.next().is_word("execute")) parse_execute(statement, in);
    return;
  }
}

void parse_explain(scanned_statement& statement, lexer in) {
  if (in.peek().is_char('(')) {
    std::size_t depth = 0;
    for (auto now = in.next(); now.kind != token_kind::end; now = in.next()) {
      if (now.is_char('(')) ++depth;
      if (now.is_char(')') && --depth == 0) break;
    }
  }
  auto now = in.next();
  while (now.is_word("analyze") || now.is_word("analyse") || now.is_word("verbose"))
    now = in.next();
  if (now.is_word("execute")) parse_execute(statement, in);
  if (now.is_word("create")) parse_create(statement, in);
}

void parse_begin(scanned_statement& statement, lexer) {
  statement.kind = statement_kind::begin;
}

void parse_start(scanned_statement& statement, lexer in) {
  if (in.peek().is_word("transaction")) statement.kind = statement_kind::begin;
}

void parse_commit(scanned_statement& statement, lexer in) {
  if (!in.peek().is_word("prepared")) statement.kind = statement_kind::commit;
}

void parse_rollback(scanned_statement& statement, lexer in) {
  if (in.peek().is_word("prepared")) return;
  if (in.peek().is_word("work") || in.peek().is_word("transaction")) in.next();
  statement.kind = in.peek().is_word("to") ? statement_kind::savepoint : statement_kind::rollback;
}

void parse_savepoint(scanned_statement& statement, lexer) {
  statement.kind = statement_kind::savepoint;
}

// The statements that are known by their first word, by the length of that word.
struct head_row {
  std::string_view word;
  bool interesting; // to look()
  void (*parse)(scanned_statement&, lexer);
};
constexpr auto heads = std::to_array<head_row>({
    {"do", true, parse_do},
    {"set", true, parse_set},
    {"end", false, parse_commit},
    {"load", true, parse_load},
    {"reset", true, parse_reset},
    {"begin", false, parse_begin},
    {"start", false, parse_start},
    {"abort", false, parse_rollback},
    {"listen", true, parse_listen},
    {"create", true, parse_create},
    {"commit", false, parse_commit},
    {"prepare", true, parse_prepare},
    {"execute", true, parse_execute},
    {"discard", true, parse_discard},
    {"declare", true, parse_declare},
    {"explain", true, parse_explain},
    {"release", false, parse_savepoint},
    {"unlisten", true, parse_unlisten},
    {"rollback", false, parse_rollback},
    {"savepoint", false, parse_savepoint},
    {"deallocate", true, parse_deallocate},
});
static_assert(std::is_sorted(heads.begin(), heads.end(),
                             [](const head_row& a, const head_row& b) { return a.word.size() < b.word.size(); }),
              "head_of looks only at the rows of the right length");

constexpr std::size_t longest_head = heads.back().word.size();

// first_head_of_length[n] is the first row whose word has n letters or more.
constexpr auto first_head_of_length = [] {
  std::array<std::uint8_t, longest_head + 2> table{};
  for (std::size_t length = 0; length < table.size(); ++length)
    for (const auto& row : heads)
      if (row.word.size() < length) ++table[length];
  return table;
}();

const head_row* head_of(std::string_view word) {
  if (word.size() > longest_head) return nullptr;
  for (std::size_t i = first_head_of_length[word.size()]; i < first_head_of_length[word.size() + 1]; ++i)
    if (lower(word.front()) == heads[i].word.front() && same_word(word, heads[i].word)) return &heads[i];
  return nullptr;
}

scanned_statement classify(std::string_view text, bool standard_strings) {
  scanned_statement statement;
  statement.text = text;
  const auto seen = sight(text, false);
  statement.leaves_state = seen.state_word;
  lexer in{text, standard_strings};
  if (seen.temporary && makes_temporary(in)) statement.leaves_state = true;
  const auto first = in.next();
  if (first.kind != token_kind::word) return statement;
  if (const auto* head = head_of(first.text)) head->parse(statement, in);
  return statement;
}

// Knows where a statement ends: at a ';' outside of parentheses and of the BEGIN ATOMIC body of a routine.
class statement_border {
public:
  // Whether the token is the ';' that ends the statement.
  bool ends_with(const token& now) {
    if (now.is_char('(')) ++parentheses_;
    if (now.is_char(')') && parentheses_ > 0) --parentheses_;
    if (now.is_char(';')) return parentheses_ == 0 && blocks_ == 0;
    if (now.kind == token_kind::word && parentheses_ == 0) follow_word(now);
    before_ = now;
    ++tokens_;
    return false;
  }

private:
  // CREATE [OR REPLACE] FUNCTION
  static constexpr std::size_t routine_words = 4;

  void follow_word(const token& now) {
    if (tokens_ == 0) creates_ = now.is_word("create");
    if (creates_ && tokens_ < routine_words && (now.is_word("function") || now.is_word("procedure"))) routine_ = true;
    if (!routine_) return;
    const bool opens = blocks_ > 0 ? now.is_word("case") : now.is_word("atomic") && before_.is_word("begin");
    if (opens) ++blocks_;
    if (blocks_ > 0 && now.is_word("end")) --blocks_;
  }

  std::size_t parentheses_ = 0;
  std::size_t blocks_ = 0;
  std::size_t tokens_ = 0;
  token before_;
  bool creates_ = false;
  bool routine_ = false;
};

} // namespace

scan_result scan(std::string_view sql, bool truncated, bool standard_strings) {
  scan_result result;
  lexer in{sql, standard_strings};
  statement_border border;
  const char* from = nullptr;
  const char* to = nullptr;
  const auto finish = [&] {
    if (from) result.statements.push_back(classify({from, static_cast<std::size_t>(to - from)}, standard_strings));
    from = nullptr;
    border = {};
  };
  for (auto now = in.next(); now.kind != token_kind::end; now = in.next()) {
    if (border.ends_with(now)) {
      finish();
      continue;
    }
    if (!from) from = now.text.data();
    to = end_of(now.text);
  }
  finish();
  result.complete = !truncated && !in.open();
  return result;
}

quick_look look(std::string_view sql) {
  const auto start = skip_blanks(sql, 0);
  if (start == std::string_view::npos) return {false}; // one open comment, which Postgres refuses
  const auto text = sql.substr(start);
  if (!text.empty() && is(text.front(), word_start_char)) {
    const auto* head = head_of(text.substr(0, word_end(text, 0)));
    if (head && head->interesting) return {true};
  }
  const auto seen = sight(text, true);
  if (seen.state_word || seen.temporary) return {true};
  if (seen.semicolon == std::string_view::npos) return {false};
  // A ';' at the end is no second statement.
  auto more = text.substr(seen.semicolon);
  while (!more.empty() && (more.front() == ';' || is(more.front(), blank_char)))
    more.remove_prefix(1);
  return {!more.empty()};
}

std::string replace_names(std::string_view sql, std::span<const name_replacement> replacements) {
  std::string result;
  result.reserve(sql.size() + replacements.size() * max_identifier_bytes);
  const char* at = sql.data();
  for (const auto& replacement : replacements) {
    const auto token = replacement.name_token;
    // Through std::less, since a token of another text may be compared here.
    const std::less<const char*> before;
    if (token.empty() || before(token.data(), at) || before(end_of(sql), end_of(token))) continue;
    result.append(at, token.data());
    result += quote_identifier(replacement.identifier);
    at = end_of(token);
  }
  result.append(at, end_of(sql));
  return result;
}

std::string fold_identifier(std::string_view written) {
  std::string name;
  if (written.size() >= 2 && written.front() == '"' && written.back() == '"') {
    written = written.substr(1, written.size() - 2);
    for (std::size_t i = 0; i < written.size(); ++i) {
      name += written[i];
      if (written[i] == '"') ++i;
    }
  } else {
    name = written;
    std::transform(name.begin(), name.end(), name.begin(), lower);
  }
  if (name.size() > max_identifier_bytes) {
    std::size_t cut = max_identifier_bytes;
    while (cut > 0 && (static_cast<unsigned char>(name[cut]) & 0xc0) == 0x80)
      --cut;
    name.resize(cut);
  }
  return name;
}

} // namespace pg_edge::protocol
