#include "config/hba_file.hpp"

#include <algorithm>

namespace pg_edge::config {

namespace {

constexpr int deepest_nesting = 10; // Postgres's own
/// Includes can multiply; these stop a file that includes itself before the depth does.
constexpr std::size_t most_lines = 200'000;
constexpr std::size_t most_tokens = 2'000'000;
constexpr int most_files = 10'000;

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

/// A path as it is meant in `file`.
std::string relative_to(const std::string& file, const std::string& path) {
  if (path.starts_with('/')) return path;
  const auto slash = file.rfind('/');
  return slash == std::string::npos ? path : file.substr(0, slash + 1) + path;
}

class line_reader {
public:
  line_reader(const outside& world, std::vector<problem>& problems, std::vector<hba_line>& out)
      : world_{world}, problems_{problems}, out_{out} {}

  void read_file(const std::string& file, int depth, const hba_line* from, bool may_lack);

private:
  void read_text(const std::string& file, std::string_view text, int depth);
  bool include(const hba_line& line, int depth);
  void include_folder(const hba_line& line, const std::string& folder, int depth);
  void read_fields(hba_line& line, std::string_view text, int depth);
  bool next_token(std::string_view& rest, hba_token& token, bool& comma_follows) const;
  void expand_list(hba_field& into, const hba_line& line, const std::string& name, int depth);

  void error(const hba_line& at, std::string text) { problems_.push_back({at.file, at.line, std::move(text), false}); }
  bool too_much(const hba_line& at);

  const outside& world_;
  std::vector<problem>& problems_;
  std::vector<hba_line>& out_;
  std::size_t tokens_ = 0;
  int files_ = 0;
  bool stopped_ = false;
};

/// Says once that the limits are reached; from then on nothing more is read.
bool line_reader::too_much(const hba_line& at) {
  if (!stopped_ && (out_.size() > most_lines || tokens_ > most_tokens || files_ > most_files)) {
    error(at, "too much is included: the limits are " + std::to_string(most_lines) + " lines, " +
                  std::to_string(most_tokens) + " words and " + std::to_string(most_files) + " files");
    stopped_ = true;
  }
  return stopped_;
}

void line_reader::read_file(const std::string& file, int depth, const hba_line* from, bool may_lack) {
  const hba_line whole{file, 0, {}};
  const hba_line& blamed = from != nullptr ? *from : whole;
  ++files_;
  if (too_much(blamed)) return;
  if (depth > deepest_nesting)
    return error(blamed, "could not open file \"" + file + "\": maximum nesting depth exceeded");
  const auto text = world_.file ? world_.file(file) : std::nullopt;
  if (text)
    read_text(file, *text, depth);
  else if (!may_lack)
    error(blamed, "could not open file \"" + file + "\"");
}

void line_reader::read_text(const std::string& file, std::string_view text, int depth) {
  for (int number = 1; !text.empty() && !stopped_;) {
    hba_line line{file, number, {}};
    std::string joined;
    for (bool more = true; more && !text.empty();) {
      const auto end = text.find('\n');
      auto part = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      ++number;
      while (part.ends_with('\r'))
        part.remove_suffix(1);
      more = part.ends_with('\\');
      if (more) part.remove_suffix(1);
      joined += part;
    }
    // Postgres's lines end at a zero byte.
    if (joined.find('\0') != std::string::npos) {
      error(line, "holds a zero byte");
      continue;
    }
    read_fields(line, joined, depth);
    if (line.fields.empty() || include(line, depth) || too_much(line)) continue;
    out_.push_back(std::move(line));
  }
}

void line_reader::read_fields(hba_line& line, std::string_view text, int depth) {
  while (!text.empty() && !stopped_) {
    hba_field field;
    hba_token token;
    for (bool more = true; more && next_token(text, token, more);) {
      ++tokens_;
      if (!token.quoted && token.text.size() > 1 && token.text.front() == '@')
        expand_list(field, line, token.text.substr(1), depth);
      else
        field.push_back(token);
    }
    if (!field.empty()) line.fields.push_back(std::move(field));
  }
}

/// False at the end of the line. A quote may stand anywhere in a token; "" inside of quotes is one quote.
bool line_reader::next_token(std::string_view& rest, hba_token& token, bool& comma_follows) const {
  token = {};
  comma_follows = false;
  std::size_t at = 0;
  while (at < rest.size() && (is_blank(rest[at]) || rest[at] == ','))
    ++at;
  bool in_quotes = false, was_quote = false, saw_quote = false;
  for (; at < rest.size() && (in_quotes || !is_blank(rest[at])); ++at) {
    const char c = rest[at];
    if (c == '#' && !in_quotes) {
      at = rest.size();
      break;
    }
    if (c == ',' && !in_quotes) {
      comma_follows = true;
      break;
    }
    if (c != '"' || was_quote) token.text += c;
    was_quote = in_quotes && c == '"' && !was_quote;
    if (c != '"') continue;
    in_quotes = !in_quotes;
    saw_quote = true;
    if (token.text.empty()) token.quoted = true;
  }
  rest.remove_prefix(at);
  return saw_quote || !token.text.empty();
}

/// "@names": all tokens of that file become part of the list.
void line_reader::expand_list(hba_field& into, const hba_line& line, const std::string& name, int depth) {
  std::vector<hba_line> lines;
  line_reader inner{world_, problems_, lines};
  inner.files_ = files_;
  inner.tokens_ = tokens_;
  inner.read_file(relative_to(line.file, name), depth + 1, &line, false);
  files_ = inner.files_;
  tokens_ = inner.tokens_;
  stopped_ = stopped_ || inner.stopped_;
  for (auto& one : lines)
    for (auto& field : one.fields)
      for (auto& token : field)
        into.push_back(std::move(token));
}

/// True when the line is a directive, which is then done.
bool line_reader::include(const hba_line& line, int depth) {
  if (line.fields.size() != 2) return false;
  const std::string& word = line.fields[0].front().text;
  const std::string path = relative_to(line.file, line.fields[1].front().text);
  if (word == "include")
    read_file(path, depth + 1, &line, false);
  else if (word == "include_if_exists")
    read_file(path, depth + 1, &line, true);
  else if (word == "include_dir")
    include_folder(line, path, depth);
  else
    return false;
  return true;
}

void line_reader::include_folder(const hba_line& line, const std::string& folder, int depth) {
  auto names = world_.folder ? world_.folder(folder) : std::nullopt;
  if (!names) return error(line, "could not open directory \"" + folder + "\"");
  std::sort(names->begin(), names->end());
  for (const auto& name : *names)
    if (name.size() > 5 && name.ends_with(".conf") && !name.starts_with('.'))
      read_file(folder + "/" + name, depth + 1, &line, false);
}

} // namespace

std::vector<hba_line> read_hba_lines(const std::string& file, const outside& world, std::vector<problem>& problems) {
  std::vector<hba_line> out;
  line_reader{world, problems, out}.read_file(file, 0, nullptr, false);
  return out;
}

} // namespace pg_edge::config
