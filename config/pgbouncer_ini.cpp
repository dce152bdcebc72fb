#include "config/pgbouncer_ini.hpp"

#include "config/pgbouncer_value.hpp"
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

/// The place in pgbouncer's files that a line of the result came from.
struct origin {
  std::string file;
  int line = 0;
};

/// The result while it is being written: a text, and for each of its lines where it came from.
struct traced_text {
  std::string text;
  std::vector<origin> origins;

  void line(const std::string& content, const origin& from = {}) {
    text += content + '\n';
    origins.push_back(from);
  }
};

/// The lines of one TOML section. A key given twice keeps its last value, as in pgbouncer.
class toml_section {
public:
  explicit toml_section(std::string header) : header_{std::move(header)} {}

  void set(const std::string& key, std::string value, const ini_entry& from) {
    for (auto& line : lines_)
      if (!line.comment && line.key == key) {
        line.value = std::move(value);
        line.from = {from.file, from.line};
        return;
      }
    lines_.push_back({key, std::move(value), false, {from.file, from.line}});
  }

  bool has(const std::string& key) const {
    return std::any_of(lines_.begin(), lines_.end(),
                       [&](const auto& line) { return !line.comment && line.key == key; });
  }

  void comment(const std::string& text) { lines_.push_back({{}, comment_text(text), true, {}}); }

  /// Makes all of it a comment, the header too.
  void leave_out() { left_out_ = true; }

  void write(traced_text& out) const {
    // What is wrong with a section as a whole is told at its first line.
    out.line(left_out_ ? "# " + comment_text(header_) : header_, lines_.empty() ? origin{} : lines_.front().from);
    for (const auto& line : lines_)
      out.line(line.comment ? "# " + line.value : (left_out_ ? "# " : "") + line.key + " = " + line.value, line.from);
  }

private:
  struct line {
    std::string key;
    std::string value;
    bool comment;
    origin from;
  };
  std::string header_;
  std::vector<line> lines_;
  bool left_out_ = false;
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

  void write(traced_text& out) const {
    for (const auto& section : sections_) {
      out.line("");
      section.write(out);
    }
  }

private:
  toml_section fresh(const std::string& name) const {
    return toml_section{'[' + kind_ + (kind_.empty() ? "" : ".") + toml_key(name) + ']'};
  }

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
  void one_entry(const ini_entry& entry);
  void database_line(const ini_entry& entry);
  void user_line(const ini_entry& entry);
  void database_password(const ini_entry& entry, const std::string& value, toml_section& into);
  void one_setting(const ini_entry& entry, const std::string& key, const std::string& value, section where,
                   toml_section& into);
  std::optional<toml_value> checked(const setting_row& row, section where, const std::string& value,
                                    const std::string& file, std::string& why);
  bool good_name(const ini_entry& entry, const std::string& name);
  void drop(const ini_entry& entry, const std::string& what, const std::string& why, toml_section& into);
  void foreign_line(const ini_entry& entry);
  void check_result();

  const file_reader& read_file_;
  import_result out_;
  toml_section globals_{"[pg_edge]"};
  section_list databases_{"databases"};
  section_list users_{"users"};
  section_list foreign_{""}; // sections that we have nothing for
  traced_text written_;
  std::string socket_folder_ = "/tmp"; // pgbouncer's own default
};

void importer::drop(const ini_entry& entry, const std::string& what, const std::string& why, toml_section& into) {
  into.comment(what + "  -- " + why);
  const auto name = comment_text(entry.key);
  out_.problems.push_back({entry.file, entry.line, why.starts_with(name) ? why : name + ": " + why, true});
}

/// The value as TOML if the loader would take it; else `why` says what is wrong.
std::optional<toml_value> importer::checked(const setting_row& row, section where, const std::string& raw,
                                            const std::string& file, std::string& why) {
  const bool is_file = row.rule == value_rule::readable_file;
  const std::string value = is_file && !raw.empty() ? beside(file, raw) : raw; // the folder's name is looked at too
  if (!can_stand_in_toml(value)) {
    why = "is not UTF-8";
    return std::nullopt;
  }
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

void importer::one_setting(const ini_entry& entry, const std::string& key, const std::string& raw, section where,
                           toml_section& into) {
  const auto what = key + " = " + raw;
  const auto name = our_name(key, where);
  const auto* row = find_row(name, where);
  if (row == nullptr) {
    const auto* absent = find_absent(key, where);
    drop(entry, what,
         comment_text(key) + " is " + (absent ? "not carried over: " + std::string{absent->reason} : "not known"),
         into);
    return;
  }
  const auto meant = translate(*row, where, raw);
  std::string why = key + ": " + meant.why;
  const auto converted =
      meant.why.empty() ? checked(*row, where, meant.value, entry.file, why) : std::optional<toml_value>{};
  if (converted.has_value())
    into.set(std::string{name}, converted->text, entry);
  else
    drop(entry, what, why, into);
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
    into.set("password", text_value(value).text, entry);
}

void importer::database_line(const ini_entry& entry) {
  const auto name = unquoted_name(entry.key);
  if (!good_name(entry, name)) return;
  const auto keys = parse_connection_string(entry.value);
  auto& section = databases_.start_over(name);
  if (!keys.has_value()) {
    drop(entry, "the connection string", "the connection string is malformed, so the database is left out", section);
    section.leave_out();
    return;
  }
  std::optional<std::string> host;
  for (const auto& [key, value] : *keys)
    if (key == "host") host = value;
  // Without a host pgbouncer goes through the Unix socket; our own default is 127.0.0.1.
  if (host.has_value() && !host->empty())
    one_setting(entry, "host", *host, in_database, section);
  else if (socket_folder_.starts_with('/'))
    one_setting(entry, "host", socket_folder_, in_database, section);
  for (const auto& [key, value] : *keys)
    if (key == "password")
      database_password(entry, value, section);
    else if (key != "host")
      one_setting(entry, key, value, in_database, section);
  // Clients must not end up at another server than the one that was meant.
  if (section.has("host")) return;
  drop(entry, "the database", "without a host or the folder of its Unix socket the database is left out", section);
  section.leave_out();
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

void importer::foreign_line(const ini_entry& entry) {
  auto& section = foreign_[entry.section];
  section.leave_out();
  const bool peers = entry.section == "peers";
  drop(entry, entry.key + " = " + entry.value,
       '[' + comment_text(entry.section) + "] is not carried over" + (peers ? ": peers are not supported yet" : ""),
       section);
}

void importer::one_entry(const ini_entry& entry) {
  if (entry.section == "pgbouncer")
    one_setting(entry, entry.key, entry.value, in_global, globals_);
  else if (entry.section == "databases")
    database_line(entry);
  else if (entry.section == "users")
    user_line(entry);
  else
    foreign_line(entry);
}

/// Loads the result, so that what only shows as a whole (a certificate without its key) is reported too, at the line of
/// pgbouncer's file that it came from.
void importer::check_result() {
  outside world;
  world.file = read_file_;
  for (const auto& found : load_text(out_.toml, "", world).problems) {
    if (found.warning) continue;
    const auto at = static_cast<std::size_t>(found.line);
    if (!found.file.empty())
      out_.problems.push_back({found.file, found.line, found.text, true});
    else if (at >= 1 && at <= written_.origins.size() && written_.origins[at - 1].line > 0)
      out_.problems.push_back({written_.origins[at - 1].file, written_.origins[at - 1].line, found.text, true});
    else
      out_.problems.push_back({"the result", found.line, found.text, true});
  }
}

import_result importer::run(std::string_view ini, const std::string& file_name) {
  auto read = read_ini(ini, file_name, read_file_);
  out_.problems = std::move(read.problems);
  // The last value counts, so only the last is converted; databases need the socket's folder first.
  std::map<std::pair<std::string, std::string>, std::size_t> last;
  for (std::size_t i = 0; i < read.entries.size(); ++i) {
    const auto& entry = read.entries[i];
    last[{entry.section, entry.key}] = i;
    if (entry.section == "pgbouncer" && entry.key == "unix_socket_dir") socket_folder_ = entry.value;
  }
  for (std::size_t i = 0; i < read.entries.size(); ++i)
    if (const auto& entry = read.entries[i]; last[{entry.section, entry.key}] == i) one_entry(entry);
  written_.line("# Made from " + comment_text(file_name) + " by pg_edge import-pgbouncer.");
  globals_.write(written_);
  for (const auto* list : {&databases_, &users_, &foreign_})
    list->write(written_);
  out_.toml = written_.text;
  check_result();
  return std::move(out_);
}

} // namespace

import_result import_pgbouncer(std::string_view ini, const std::string& file_name, const file_reader& read_file) {
  return importer{read_file}.run(ini, file_name);
}

} // namespace pg_edge::config
