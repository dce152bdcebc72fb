#include "config/change.hpp"

#include "config/load.hpp"
#include "config/pgbouncer_value.hpp"
#include "config/setting_table.hpp"
#include "config/value_text.hpp"

#include <algorithm>

namespace pg_edge::config {

namespace {

/// Numbers and truths bare, lists as lists, all else quoted.
std::string toml_of(const setting_row& row, const std::string& text) {
  const auto is = [&](auto member) { return std::holds_alternative<decltype(member)>(row.global); };
  if (is((bool settings::*){})) {
    const auto truth = parse_boolean(text);
    return truth ? (*truth ? "true" : "false") : toml_quoted(text);
  }
  if (is((std::vector<std::string> settings::*){})) {
    std::string out;
    for (const std::string& one : split_list(text))
      out += (out.empty() ? "" : ", ") + toml_quoted(one);
    return "[" + out + "]";
  }
  const bool counted = is((int settings::*){}) || is((duration settings::*){}) || is((byte_size settings::*){});
  const bool digits =
      !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  return counted && digits && row.rule != value_rule::octal_mode ? text : toml_quoted(text);
}

/// Those beside it in the documentation hang together: a TLS mode needs its certificate.
std::string neighbours(const setting_row& row, const settings& now) {
  const settings fresh;
  std::string out;
  for (const setting_row& other : setting_rows()) {
    if (other.group != row.group || other.name == row.name || (other.sections & in_global) == 0) continue;
    if (other.rule == value_rule::secret) continue;
    const std::string text = global_text(other, now);
    if (text != global_text(other, fresh)) out += std::string{other.name} + " = " + toml_of(other, text) + "\n";
  }
  return out;
}

std::string unknown(std::string_view key) {
  std::vector<std::string_view> names;
  for (const setting_row& row : setting_rows())
    if ((row.sections & in_global) != 0) names.push_back(row.name);
  const std::string_view near = nearest(key, names);
  return "there is no setting \"" + std::string{key} + "\"" +
         (near.empty() ? std::string{"; see SHOW CONFIG"} : "; did you mean \"" + std::string{near} + "\"?");
}

} // namespace

changed_settings with_setting(const settings& now, std::string_view key, std::string_view text) {
  const setting_row* row = find_row(our_name(key, in_global), in_global);
  if (row == nullptr) {
    const absent_row* absent = find_absent(key, in_global);
    return {nullptr, absent != nullptr ? std::string{key} + ": " + std::string{absent->reason} : unknown(key)};
  }
  const std::string name{row->name};
  if (!row->reloadable) return {nullptr, name + " cannot be changed while the node runs: change the file and restart"};
  if (std::holds_alternative<std::monostate>(row->global) || row->rule == value_rule::secret)
    return {nullptr, name + " cannot be set here: change the file and RELOAD"};
  // The import leaves pgbouncer's own logfile alone; here one is meant.
  const pgbouncer_value wanted =
      row->name == "logfile" ? pgbouncer_value{std::string{text}, {}} : translate(*row, in_global, text);
  if (!wanted.why.empty()) return {nullptr, name + ": " + wanted.why};
  const std::string toml = "[pg_edge]\n" + name + " = " + toml_of(*row, wanted.value) + "\n" + neighbours(*row, now);
  const load_result loaded = load_text(toml, "SET", real_outside());
  for (const problem& one : loaded.problems)
    if (!one.warning && one.line == 2) return {nullptr, one.text};
  if (!loaded.value) return {nullptr, loaded.problems.empty() ? name + ": refused" : loaded.problems.front().text};
  auto result = std::make_shared<settings>(now);
  std::visit(
      [&](auto member) {
        if constexpr (!std::is_same_v<decltype(member), std::monostate>) (*result).*member = (*loaded.value).*member;
      },
      row->global);
  if (row->name == "auth_hba_file" || row->name == "auth_ident_file") result->hba = loaded.value->hba;
  return {result, {}};
}

} // namespace pg_edge::config
