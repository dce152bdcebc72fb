#include "config/setting_table.hpp"
#include "config/value_text.hpp"

#include <algorithm>
#include <cstdio>

namespace pg_edge::config {

namespace {

std::string octal(int mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode));
  return text;
}

/// Of a section that has settings of its own; empty if the row is not one of them.
template <class Member, class Section>
std::string section_text(const Member& of, const Section& all) {
  return std::visit(
      [&](auto member) -> std::string {
        if constexpr (std::is_same_v<decltype(member), std::monostate>)
          return {};
        else
          return value_text(all.*member);
      },
      of);
}

} // namespace

std::string global_text(const setting_row& row, const settings& all) {
  return std::visit(
      [&](auto member) -> std::string {
        if constexpr (std::is_same_v<decltype(member), std::monostate>)
          return {};
        else if constexpr (std::is_same_v<decltype(member), std::string settings::*>)
          return row.rule == value_rule::secret && !(all.*member).empty() ? "********" : all.*member;
        else if constexpr (std::is_same_v<decltype(member), int settings::*>)
          return row.rule == value_rule::octal_mode ? octal(all.*member) : value_text(all.*member);
        else if constexpr (std::is_same_v<decltype(member), duration settings::*>)
          return value_text(row.rule == value_rule::milliseconds ? all.*member * 1000 : all.*member);
        else
          return value_text(all.*member);
      },
      row.global);
}

std::string admin_text(const setting_row& row, const admin_settings& all) {
  return section_text(row.of_admin, all);
}

std::string cluster_text(const setting_row& row, const cluster_settings& all) {
  return section_text(row.of_cluster, all);
}

std::vector<shown_setting> show(const settings& all) {
  const settings fresh;
  std::vector<shown_setting> out;
  for (const auto& row : setting_rows())
    if ((row.sections & in_global) != 0)
      out.push_back({std::string{row.name}, global_text(row, all), global_text(row, fresh), row.reloadable});
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return out;
}

} // namespace pg_edge::config
