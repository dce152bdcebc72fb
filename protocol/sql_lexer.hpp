// The words, names and strings of SQL as Postgres's own lexer tells them apart. Private to protocol/sql_scan.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pg_edge::protocol::sql {

// -- characters -----------------------------------------------------------------------------------------------------

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

inline constexpr std::uint8_t blank_char = 1;
inline constexpr std::uint8_t word_start_char = 2; // also starts the tag of a dollar quote
inline constexpr std::uint8_t digit_char = 4;
inline constexpr std::uint8_t dollar_char = 8;
inline constexpr std::uint8_t word_char = word_start_char | digit_char | dollar_char;
inline constexpr std::uint8_t tag_char = word_start_char | digit_char;

inline constexpr auto char_classes = [] {
  std::array<std::uint8_t, 256> table{};
  for (int c = '\t'; c <= '\r'; ++c)
    table[static_cast<std::size_t>(c)] = blank_char;
  table[' '] = blank_char;
  for (int c = 'a'; c <= 'z'; ++c)
    table[static_cast<std::size_t>(c)] = word_start_char;
  for (int c = 'A'; c <= 'Z'; ++c)
    table[static_cast<std::size_t>(c)] = word_start_char;
  for (int c = '0'; c <= '9'; ++c)
    table[static_cast<std::size_t>(c)] = digit_char;
  for (std::size_t c = 128; c < 256; ++c)
    table[c] = word_start_char;
  table['_'] = word_start_char;
  table['$'] = dollar_char;
  return table;
}();

constexpr bool is(char c, std::uint8_t classes) {
  return (char_classes[static_cast<unsigned char>(c)] & classes) != 0;
}

// `lower_word` is in lower case.
inline bool same_word(std::string_view text, std::string_view lower_word) {
  return text.size() == lower_word.size() &&
         std::equal(text.begin(), text.end(), lower_word.begin(), [](char a, char b) { return lower(a) == b; });
}

inline bool starts_with_word(std::string_view text, std::string_view lower_word) {
  return text.size() >= lower_word.size() && same_word(text.substr(0, lower_word.size()), lower_word);
}

// The position after blanks and comments; npos if a comment does not end.
inline std::size_t skip_blanks(std::string_view sql, std::size_t at) {
  while (at < sql.size()) {
    if (is(sql[at], blank_char)) {
      ++at;
    } else if (sql.compare(at, 2, "--") == 0) {
      at = std::min(sql.find_first_of("\r\n", at), sql.size());
    } else if (sql.compare(at, 2, "/*") == 0) {
      std::size_t depth = 0;
      do {
        at = sql.find_first_of("*/", at);
        if (at == std::string_view::npos || at + 1 >= sql.size()) return std::string_view::npos;
        const bool opens = sql[at] == '/' && sql[at + 1] == '*';
        const bool closes = sql[at] == '*' && sql[at + 1] == '/';
        depth = opens ? depth + 1 : closes ? depth - 1 : depth;
        at += opens || closes ? 2 : 1;
      } while (depth > 0);
    } else {
      break;
    }
  }
  return at;
}

inline std::size_t word_end(std::string_view sql, std::size_t at) {
  while (at < sql.size() && is(sql[at], word_char))
    ++at;
  return at;
}

// -- lexer ----------------------------------------------------------------------------------------------------------

enum class token_kind {
  end,
  word,   // identifier or keyword
  quoted, // "identifier"
  string, // any string constant
  other,  // one byte, or a number
};

struct token {
  token_kind kind = token_kind::end;
  std::string_view text;

  bool is_word(std::string_view lower_word) const { return kind == token_kind::word && same_word(text, lower_word); }
  bool is_char(char c) const { return kind == token_kind::other && text.front() == c; }
  bool is_name() const { return kind == token_kind::word || kind == token_kind::quoted; }
  bool assigns() const { return is_char('=') || is_word("to"); }
};

// Small enough to be copied, which is how one looks ahead.
class lexer {
public:
  lexer(std::string_view sql, bool standard_strings) : sql_{sql}, standard_strings_{standard_strings} {}

  token next() {
    const auto start = skip_blanks(sql_, at_);
    if (start == std::string_view::npos) open_ = true;
    if (start >= sql_.size()) {
      at_ = sql_.size();
      return {token_kind::end, sql_.substr(sql_.size())};
    }
    at_ = start;
    const auto kind = advance();
    return {kind, sql_.substr(start, at_ - start)};
  }

  token peek() const {
    auto ahead = *this;
    return ahead.next();
  }

  // A quote or comment was open at the end.
  bool open() const { return open_; }

private:
  token_kind advance() {
    const char c = sql_[at_];
    const char following = at_ + 1 < sql_.size() ? sql_[at_ + 1] : '\0';
    if (is(c, word_start_char)) {
      if (lower(c) == 'e' && following == '\'') return string_from(at_ + 1, true);
      if (lower(c) == 'u' && following == '&' && at_ + 2 < sql_.size()) {
        if (sql_[at_ + 2] == '\'') return string_from(at_ + 2, false);
        if (sql_[at_ + 2] == '"') return quoted_from(at_ + 2);
      }
      at_ = word_end(sql_, at_);
      return token_kind::word;
    }
    if (c == '\'') return string_from(at_, !standard_strings_);
    if (c == '"') return quoted_from(at_);
    if (c == '$' && dollar_string()) return token_kind::string;
    // Digits only: Postgres reads 1e'...' as a number and a string.
    if (is(c, digit_char))
      while (at_ < sql_.size() && is(sql_[at_], digit_char))
        ++at_;
    else
      ++at_;
    return token_kind::other;
  }

  token_kind string_from(std::size_t quote, bool backslashes) {
    auto at = quote + 1;
    while (true) {
      at = sql_.find_first_of(backslashes ? std::string_view{"'\\"} : std::string_view{"'"}, at);
      if (at == std::string_view::npos) break;
      if (sql_[at] == '\\') {
        at += 2;
        continue;
      }
      if (at + 1 < sql_.size() && sql_[at + 1] == '\'') {
        at += 2;
        continue;
      }
      at_ = at + 1;
      const auto continued = continuation(at_);
      if (continued == std::string_view::npos) return token_kind::string;
      at = continued + 1;
    }
    return leave_open(token_kind::string);
  }

  // A string goes on, with its kind of escapes, in a further quote after a line break: the position of that quote.
  std::size_t continuation(std::size_t at) const {
    bool line_break = false;
    while (at < sql_.size()) {
      if (is(sql_[at], blank_char)) {
        line_break = line_break || sql_[at] == '\n' || sql_[at] == '\r';
        ++at;
      } else if (sql_.compare(at, 2, "--") == 0) {
        at = std::min(sql_.find_first_of("\r\n", at), sql_.size());
      } else {
        break;
      }
    }
    return line_break && at < sql_.size() && sql_[at] == '\'' ? at : std::string_view::npos;
  }

  token_kind quoted_from(std::size_t quote) {
    auto at = quote + 1;
    while ((at = sql_.find('"', at)) != std::string_view::npos) {
      if (at + 1 >= sql_.size() || sql_[at + 1] != '"') {
        at_ = at + 1;
        return token_kind::quoted;
      }
      at += 2;
    }
    return leave_open(token_kind::quoted);
  }

  bool dollar_string() {
    auto at = at_ + 1;
    if (at < sql_.size() && is(sql_[at], word_start_char))
      while (at < sql_.size() && is(sql_[at], tag_char))
        ++at;
    if (at >= sql_.size() || sql_[at] != '$') return false;
    const auto delimiter = sql_.substr(at_, at + 1 - at_);
    const auto closing = sql_.find(delimiter, at + 1);
    if (closing == std::string_view::npos)
      leave_open(token_kind::string);
    else
      at_ = closing + delimiter.size();
    return true;
  }

  token_kind leave_open(token_kind kind) {
    open_ = true;
    at_ = sql_.size();
    return kind;
  }

  std::string_view sql_;
  std::size_t at_ = 0;
  bool standard_strings_;
  bool open_ = false;
};

} // namespace pg_edge::protocol::sql
