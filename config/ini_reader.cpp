#include "config/ini_reader.hpp"

#include "config/value_text.hpp"

#include <algorithm>

namespace pg_edge::config {

namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr std::string_view include_word = "%include";

/// The next line without its end; false when there is none.
bool next_line(std::string_view& rest, std::string_view& line) {
  if (rest.empty()) return false;
  const auto end = std::min(rest.find('\n'), rest.size());
  line = trim(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return true;
}

/// Where the key of "key = value" ends: at the first '=' outside double quotes.
std::size_t find_equals(std::string_view line) {
  bool quoted = false;
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] == '"')
      quoted = !quoted;
    else if (line[at] == '=' && !quoted)
      return at;
  }
  return std::string_view::npos;
}

class reader {
public:
  explicit reader(const file_reader& read_file) : read_file_{read_file} {}

  void read(std::string_view text, const std::string& file, int depth) {
    if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
    std::string_view line;
    for (int number = 1; next_line(text, line); ++number)
      if (!line.empty() && line.front() != ';' && line.front() != '#') read_line(line, file, number, depth);
  }

  ini_result out;

private:
  void read_line(std::string_view line, const std::string& file, int number, int depth) {
    if (line.starts_with(include_word)) {
      include(std::string{trim(line.substr(include_word.size()))}, file, number, depth);
    } else if (line.front() == '[' && line.back() == ']') {
      section_ = trim(line.substr(1, line.size() - 2));
    } else if (const auto at = find_equals(line); at != std::string_view::npos) {
      out.entries.push_back(
          {section_, std::string{trim(line.substr(0, at))}, std::string{trim(line.substr(at + 1))}, file, number});
    } else {
      out.problems.push_back({file, number, "is neither a section, a comment nor key = value", true});
    }
  }

  void include(const std::string& name, const std::string& file, int number, int depth) {
    if (depth == deepest_include) {
      out.problems.push_back({file, number, "%include: the files include each other too deeply", true});
      return;
    }
    const auto path = beside(file, name);
    const auto text = read_file_ ? read_file_(path) : std::nullopt;
    // Two lines that include their own file twice would double the work with every level.
    if (text.has_value() && ++included_ <= most_includes)
      read(*text, path, depth + 1);
    else
      out.problems.push_back(
          {file, number,
           text.has_value() ? "%include: there are too many included files" : "%include: cannot read " + path, true});
  }

  static constexpr int most_includes = 1000;

  const file_reader& read_file_;
  std::string section_;
  int included_ = 0;
};

/// A quoted token at the start of `rest`, doubled quotes undone; false when there is none or it does not end.
bool take_quoted(std::string_view& rest, char quote, std::string& out) {
  if (rest.empty() || rest.front() != quote) return false;
  out.clear();
  for (std::size_t at = 1; at < rest.size(); ++at) {
    if (rest[at] != quote) {
      out += rest[at];
      continue;
    }
    if (at + 1 < rest.size() && rest[at + 1] == quote) {
      out += rest[at++];
      continue;
    }
    rest.remove_prefix(at + 1);
    return true;
  }
  return false;
}

} // namespace

ini_result read_ini(std::string_view text, const std::string& file_name, const file_reader& read_file) {
  reader all{read_file};
  all.read(text, file_name, 0);
  return std::move(all.out);
}

std::optional<key_values> parse_connection_string(std::string_view text) {
  key_values out;
  for (text = trim(text); !text.empty(); text = trim(text)) {
    const auto at = text.find('=');
    if (at == std::string_view::npos) return std::nullopt;
    std::string key{trim(text.substr(0, at))};
    text = trim(text.substr(at + 1));
    std::string value;
    if (key.empty() || key.find_first_of(" \t'") != std::string::npos) return std::nullopt;
    if (text.starts_with('\'')) {
      if (!take_quoted(text, '\'', value)) return std::nullopt;
    } else {
      const auto end = std::min(text.find_first_of(" \t"), text.size());
      value = text.substr(0, end);
      text.remove_prefix(end);
    }
    out.emplace_back(std::move(key), std::move(value));
  }
  return out;
}

std::vector<auth_file_line> parse_auth_file(std::string_view text) {
  std::vector<auth_file_line> out;
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  std::string_view line;
  for (int number = 1; next_line(text, line); ++number) {
    if (line.empty() || line.front() == ';' || line.front() == '#') continue;
    auto& one = out.emplace_back();
    one.line = number;
    if (!take_quoted(line, '"', one.name)) continue;
    line = trim(line);
    one.well_formed = take_quoted(line, '"', one.secret);
  }
  return out;
}

std::string unquoted_name(std::string_view name) {
  std::string out;
  auto rest = name;
  return take_quoted(rest, '"', out) && rest.empty() ? out : std::string{name};
}

std::string beside(const std::string& file_name, const std::string& path) {
  const auto slash = file_name.rfind('/');
  return path.starts_with('/') || slash == std::string::npos ? path : file_name.substr(0, slash + 1) + path;
}

} // namespace pg_edge::config
