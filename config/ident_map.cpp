#include "config/ident_map.hpp"

namespace pg_edge::config {

namespace {

enum class answer { no, yes, broken };

/// Whether the line's third column means the user, after \1 of the second was put in.
answer fits(const hba_name& name, std::string_view user) {
  if (name.regex != nullptr) {
    const auto found = name.regex->search(user).is;
    return found == pattern::outcome::yes ? answer::yes : found == pattern::outcome::no ? answer::no : answer::broken;
  }
  return name.token.is("all") || name.token.text == user ? answer::yes : answer::no;
}

answer fits(const ident_line& line, std::string_view system_user, std::string_view user) {
  if (line.system_user.regex == nullptr)
    return line.system_user.token.text == system_user ? fits(line.database_user, user) : answer::no;
  const auto found = line.system_user.regex->search(system_user);
  if (found.is == pattern::outcome::no) return answer::no;
  if (found.is == pattern::outcome::too_much) return answer::broken;
  const std::string& wanted = line.database_user.token.text;
  const auto hole = wanted.find("\\1");
  if (line.database_user.regex != nullptr || hole == std::string::npos) return fits(line.database_user, user);
  if (!found.has_group) return answer::broken;
  // What was put in is a name, even if it reads "all".
  const std::string whole = wanted.substr(0, hole) + found.group + wanted.substr(hole + 2);
  return whole == user ? answer::yes : answer::no;
}

} // namespace

bool is_role_membership(const hba_token& token) {
  return !token.quoted && token.text.starts_with('+');
}

hba_name hba_name::make(const hba_token& token, const hba_line& at, std::vector<problem>& problems) {
  hba_name out{token, nullptr};
  if (!token.text.starts_with('/')) return out;
  const std::string text = token.text.substr(1);
  auto compiled = pattern::compile(text);
  if (compiled.value == nullptr)
    problems.push_back({at.file, at.line, "invalid regular expression \"" + text + "\": " + compiled.error, false});
  out.regex = std::move(compiled.value);
  return out;
}

ident_map read_ident_map(const std::vector<hba_line>& lines, std::vector<problem>& problems) {
  ident_map out;
  for (const auto& line : lines) {
    const auto wrong = [&](const std::string& text) { problems.push_back({line.file, line.line, text, false}); };
    if (line.fields.size() < 3) {
      wrong("missing entry at end of line: a line is map, system user, database user");
      continue;
    }
    bool single = true;
    for (std::size_t i = 0; i < 3; ++i)
      single = single && line.fields[i].size() == 1;
    if (!single) {
      wrong("multiple values in ident field");
      continue;
    }
    if (is_role_membership(line.fields[2].front())) {
      wrong(line.fields[2].front().text + role_membership_error);
      continue;
    }
    out.push_back({line.fields[0].front().text, hba_name::make(line.fields[1].front(), line, problems),
                   hba_name::make(line.fields[2].front(), line, problems)});
  }
  return out;
}

bool may_log_in(const ident_map& lines, std::string_view map, std::string_view system_user, std::string_view user) {
  if (map.empty()) return system_user == user;
  for (const auto& line : lines) {
    if (line.map != map) continue;
    // A broken line ends the search, as in Postgres: better nobody than somebody by mistake.
    if (const auto is = fits(line, system_user, user); is != answer::no) return is == answer::yes;
  }
  return false;
}

} // namespace pg_edge::config
