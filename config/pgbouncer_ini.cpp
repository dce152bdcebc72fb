#include "config/pgbouncer_ini.hpp"

#include "config/secret.hpp"
#include "config/setting_table.hpp"
#include "config/value_reader.hpp"
#include "config/value_text.hpp"

#include <algorithm>
#include <map>

namespace pg_edge::config {

namespace {

/// Bytes that make one UTF-8 character at the start of the text; 0 when they make none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(0);
  const std::size_t length = lead < 0x80                   ? 1
                             : lead >= 0xc2 && lead < 0xe0 ? 2
                             : (lead & 0xf0) == 0xe0       ? 3
                             : lead >= 0xf0 && lead < 0xf5 ? 4
                                                           : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t at = 1; at < length; ++at)
    if ((byte(at) & 0xc0) != 0x80) return 0;
  if (length == 3 && ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) >= 0xa0))) return 0;
  if (length == 4 && ((lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) >= 0x90))) return 0;
  return length;
}

/// TOML is UTF-8 and our strings hold no zero byte.
bool can_stand_in_toml(std::string_view text) {
  while (!text.empty()) {
    const auto length = text.front() == '\0' ? 0 : utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

/// The text with everything replaced that a TOML comment cannot hold.
std::string comment_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto length = utf8_length(text);
    const bool control = static_cast<unsigned char>(text.front()) < 0x20 || text.front() == 0x7f;
    out += length == 0 || control ? std::string_view{"?"} : text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::string escaped_reference(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at)
    out += text.compare(at, 2, "${") == 0 ? "$$" : std::string(1, text[at]);
  return out;
}

/// A value as TOML writes it and as the loader would see it.
struct toml_value {
  std::string text;
  toml_node node;
};

toml_value text_value(const std::string& raw) {
  const auto text = escaped_reference(raw);
  return {toml_quoted(text), {text, 0}};
}

toml_value list_value(const std::string& raw) {
  toml_value out{"[", {toml_node::array{}, 0}};
  for (const auto& entry : split_list(raw)) {
    auto item = text_value(entry);
    out.text += (out.text.size() > 1 ? ", " : "") + item.text;
    std::get<toml_node::array>(out.node.value).push_back(std::move(item.node));
  }
  out.text += ']';
  return out;
}

std::optional<toml_value> number_value(const std::string& raw) {
  if (const auto integer = parse_integer(raw)) return toml_value{std::to_string(*integer), {*integer, 0}};
  return std::nullopt;
}

/// By the type of the member: a template on the member's type keeps it in step with the table.
template <class T>
toml_value convert(const std::string& raw, const setting_row& row) {
  if constexpr (std::is_same_v<T, bool>) {
    if (const auto truth = parse_boolean(raw)) return {*truth ? "true" : "false", {*truth, 0}};
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    return list_value(raw);
  } else if constexpr (std::is_same_v<T, int> || std::is_same_v<T, std::uint16_t> || std::is_same_v<T, duration>) {
    if (const auto number = number_value(raw); number.has_value() && row.rule != value_rule::octal_mode) return *number;
  } else if constexpr (std::is_enum_v<T>) {
    std::string lower = raw;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return text_value(lower);
  }
  return text_value(raw);
}

template <class T>
struct bare {
  using type = T;
};
template <class T>
struct bare<std::optional<T>> {
  using type = T;
};

/// The lines of one TOML section. A key given twice keeps its last value, as in pgbouncer.
class toml_section {
public:
  explicit toml_section(std::string header) : header_{std::move(header)} {}

  void set(const std::string& key, std::string value) {
    for (auto& line : lines_)
      if (!line.comment && line.key == key) {
        line.value = std::move(value);
        return;
      }
    lines_.push_back({key, std::move(value), false});
  }

  bool has(const std::string& key) const {
    return std::any_of(lines_.begin(), lines_.end(),
                       [&](const auto& line) { return !line.comment && line.key == key; });
  }

  void comment(const std::string& text) { lines_.push_back({{}, comment_text(text), true}); }

  std::string text() const {
    std::string out = header_ + '\n';
    for (const auto& line : lines_)
      out += line.comment ? "# " + line.value + '\n' : line.key + " = " + line.value + '\n';
    return out;
  }

private:
  struct line {
    std::string key;
    std::string value;
    bool comment;
  };
  std::string header_;
  std::vector<line> lines_;
};

/// Sections by name, in the order in which the names first came.
class section_list {
public:
  explicit section_list(std::string kind) : kind_{std::move(kind)} {}

  toml_section& operator[](const std::string& name) {
    const auto [found, is_new] = index_.try_emplace(name, sections_.size());
    if (is_new) sections_.push_back(fresh(name));
    return sections_[found->second];
  }

  /// As operator[], but empty even if the name was there.
  toml_section& start_over(const std::string& name) {
    auto& section = (*this)[name];
    section = fresh(name);
    return section;
  }

  std::string text() const {
    std::string out;
    for (const auto& section : sections_)
      out += '\n' + section.text();
    return out;
  }

private:
  toml_section fresh(const std::string& name) const { return toml_section{'[' + kind_ + '.' + toml_key(name) + ']'}; }

  std::string kind_;
  std::map<std::string, std::size_t> index_;
  std::vector<toml_section> sections_;
};

// -- the import -------------------------------------------------------------------------------------------------------

class importer {
public:
  explicit importer(const file_reader& read_file) : read_file_{read_file} {}

  import_result run(std::string_view ini, const std::string& file_name);

private:
  void global(const ini_entry& entry);
  void database_line(const ini_entry& entry);
  void user_line(const ini_entry& entry);
  void auth_file(const ini_entry& entry);
  void database_password(const ini_entry& entry, const std::string& value, toml_section& into);
  void one_setting(const ini_entry& entry, const std::string& key, const std::string& value, section where,
                   toml_section& into);
  std::optional<toml_value> checked(const setting_row& row, section where, const std::string& value,
                                    const std::string& file, std::string& why);
  bool good_name(const ini_entry& entry, const std::string& name);
  void drop(const ini_entry& entry, const std::string& what, const std::string& why, toml_section& into);
  void check_result();

  const file_reader& read_file_;
  import_result out_;
  toml_section globals_{"[pg_edge]"};
  section_list databases_{"databases"};
  section_list users_{"users"};
  std::string socket_folder_ = "/tmp"; // pgbouncer's own default
};

void importer::drop(const ini_entry& entry, const std::string& what, const std::string& why, toml_section& into) {
  into.comment(what + "  -- " + why);
  out_.problems.push_back({entry.file, entry.line, entry.key + ": " + why, true});
}

/// The value as TOML if the loader would take it; else `why` says what is wrong.
std::optional<toml_value> importer::checked(const setting_row& row, section where, const std::string& raw,
                                            const std::string& file, std::string& why) {
  if (!can_stand_in_toml(raw)) {
    why = "is not UTF-8";
    return std::nullopt;
  }
  const bool is_file = row.rule == value_rule::readable_file;
  const std::string value = is_file && !raw.empty() ? beside(file, raw) : raw;
  problem_list problems{file};
  const outside world{};
  value_reader reader{world, problems};
  std::optional<toml_value> out;
  const auto attempt = [&](auto& object, auto member) {
    using type = typename bare<std::decay_t<decltype(object.*member)>>::type;
    auto converted = convert<type>(value, row);
    // Files are looked at when the result is loaded as a whole.
    if (is_file || reader.read(toml_entry{std::string{row.name}, 0, converted.node}, row, object.*member))
      out = std::move(converted);
  };
  settings scratch;
  database scratch_database;
  const auto visit = [&](auto& object, const auto& variant) {
    std::visit(
        [&](auto member) {
          if constexpr (!std::is_same_v<decltype(member), std::monostate>) attempt(object, member);
        },
        variant);
  };
  if (where == in_global)
    visit(scratch, row.global);
  else if (row.of_database.index() != 0)
    visit(scratch_database, row.of_database);
  else
    visit(static_cast<overrides&>(scratch_database), row.override_);
  for (const auto& found : problems.take())
    why = found.text;
  return out;
}

void importer::one_setting(const ini_entry& entry, const std::string& key, const std::string& value, section where,
                           toml_section& into) {
  const auto what = key + " = " + value;
  const auto* row = find_row(key, where);
  if (row == nullptr) {
    const auto* absent = find_absent(key, where);
    drop(entry, what, key + " is " + (absent ? "not carried over: " + std::string{absent->reason} : "not known"), into);
    return;
  }
  std::string why;
  const auto converted = checked(*row, where, value, entry.file, why);
  if (converted.has_value())
    into.set(key, converted->text);
  else
    drop(entry, what, why, into);
}

void importer::global(const ini_entry& entry) {
  if (entry.key == "auth_file")
    auth_file(entry);
  else
    one_setting(entry, entry.key, entry.value, in_global, globals_);
}

void importer::auth_file(const ini_entry& entry) {
  const auto path = beside(entry.file, entry.value);
  const auto text = read_file_ ? read_file_(path) : std::nullopt;
  if (!text.has_value()) {
    drop(entry, "auth_file = " + entry.value, "cannot read " + path + ", so no users came from it", globals_);
    return;
  }
  for (const auto& [name, secret] : parse_auth_file(*text)) {
    if (!good_name(entry, name)) continue;
    auto& section = users_[name];
    if (secret.empty()) continue;
    if (!can_stand_in_toml(secret))
      drop(entry, "password", "the secret of " + comment_text(name) + " is not UTF-8", section);
    else if (looks_like_broken_verifier(secret))
      drop(entry, "password", "the verifier of " + comment_text(name) + " is malformed", section);
    else
      section.set("password", text_value(secret).text);
  }
}

bool importer::good_name(const ini_entry& entry, const std::string& name) {
  const bool good =
      !name.empty() && can_stand_in_toml(name) && !(entry.section == "databases" && is_console_name(name));
  if (!good)
    out_.problems.push_back({entry.file, entry.line, comment_text(name) + ": the name cannot be used here", true});
  return good;
}

void importer::database_password(const ini_entry& entry, const std::string& value, toml_section& into) {
  if (!can_stand_in_toml(value) || value.empty() || kind_of_secret(value) == secret_kind::scram)
    drop(entry, "password", "the password cannot be used to log in to a server", into);
  else
    into.set("password", text_value(value).text);
}

void importer::database_line(const ini_entry& entry) {
  const auto name = unquoted_name(entry.key);
  if (!good_name(entry, name)) return;
  const auto keys = parse_connection_string(entry.value);
  auto& section = databases_.start_over(name);
  if (!keys.has_value()) {
    drop(entry, "the connection string", "the connection string is malformed", section);
    return;
  }
  for (const auto& [key, value] : *keys)
    if (key == "password")
      database_password(entry, value, section);
    else
      one_setting(entry, key, value, in_database, section);
  // Without a host pgbouncer goes through the Unix socket; our own default is 127.0.0.1.
  if (!section.has("host")) section.set("host", text_value(socket_folder_).text);
}

void importer::user_line(const ini_entry& entry) {
  const auto name = unquoted_name(entry.key);
  if (!good_name(entry, name)) return;
  auto& section = users_[name];
  const auto keys = parse_connection_string(entry.value);
  if (!keys.has_value()) {
    drop(entry, "the settings", "the settings are malformed", section);
    return;
  }
  for (const auto& [key, value] : *keys)
    if (key == "password")
      drop(entry, "password", "users have their passwords from the auth_file", section);
    else
      one_setting(entry, key, value, in_user, section);
}

/// Loads the result, so that what only shows as a whole (a certificate without its key) is reported too.
void importer::check_result() {
  outside world;
  world.file = read_file_;
  for (const auto& found : load_text(out_.toml, "", world).problems)
    if (!found.warning) out_.problems.push_back({"the result", found.line, found.text, true});
}

import_result importer::run(std::string_view ini, const std::string& file_name) {
  auto read = read_ini(ini, file_name, read_file_);
  out_.problems = std::move(read.problems);
  // The last value counts, so only the last is converted; databases need the socket's folder first.
  std::map<std::pair<std::string, std::string>, std::size_t> last;
  for (std::size_t i = 0; i < read.entries.size(); ++i) {
    const auto& entry = read.entries[i];
    last[{entry.section, entry.key}] = i;
    if (entry.section == "pgbouncer" && entry.key == "unix_socket_dir" && entry.value.starts_with('/') &&
        can_stand_in_toml(entry.value))
      socket_folder_ = entry.value;
  }
  for (std::size_t i = 0; i < read.entries.size(); ++i) {
    const auto& entry = read.entries[i];
    if (last[{entry.section, entry.key}] != i) continue;
    if (entry.section == "pgbouncer")
      global(entry);
    else if (entry.section == "databases")
      database_line(entry);
    else if (entry.section == "users")
      user_line(entry);
    else
      out_.problems.push_back(
          {entry.file, entry.line, "[" + comment_text(entry.section) + "] is not carried over", true});
  }
  out_.toml = "# Made from " + comment_text(file_name) + " by pg_edge import-pgbouncer.\n" + globals_.text() +
              databases_.text() + users_.text();
  check_result();
  return std::move(out_);
}

} // namespace

import_result import_pgbouncer(std::string_view ini, const std::string& file_name, const file_reader& read_file) {
  return importer{read_file}.run(ini, file_name);
}

} // namespace pg_edge::config
