#include "config/difference.hpp"

#include "config/hba.hpp"
#include "config/setting_table.hpp"

namespace pg_edge::config {

namespace {

/// Of a row that has no such member nothing can differ.
template <class Member, class Settings>
bool same_member(const Member& of, const Settings& a, const Settings& b) {
  return std::visit(
      [&](auto member) {
        if constexpr (std::is_same_v<decltype(member), std::monostate>)
          return true;
        else
          return a.*member == b.*member;
      },
      of);
}

/// Walks two sorted maps side by side.
template <class Map, class Same>
void compare(const Map& before, const Map& now, const std::string& prefix, name_changes& out, Same same) {
  for (const auto& [name, value] : before)
    if (const auto found = now.find(name); found == now.end())
      out.removed.push_back(prefix + name);
    else if (!same(value, found->second))
      out.changed.push_back(prefix + name);
  for (const auto& [name, value] : now)
    if (before.find(name) == before.end()) out.added.push_back(prefix + name);
}

/// [admin] and its tokens; these by name alone.
void compare_admin(const admin_settings& before, const admin_settings& now, difference& out) {
  if (before.served != now.served)
    out.needs_restart.push_back(std::string("admin: ") + (now.served ? "off -> on" : "on -> off"));
  for (const auto& row : admin_rows())
    if (!same_member(row.of_admin, before, now))
      (row.reloadable ? out.changed : out.needs_restart)
          .push_back("admin." + std::string{row.name} + ": " + admin_text(row, before) + " -> " + admin_text(row, now));
  name_changes tokens;
  compare(before.tokens, now.tokens, "", tokens, std::equal_to<admin_token>{});
  for (const auto& [names, word] : {std::pair{&tokens.added, "added"}, std::pair{&tokens.removed, "removed"},
                                    std::pair{&tokens.changed, "changed"}})
    for (const std::string& name : *names)
      out.changed.push_back("admin token " + name + ": " + word);
}

void compare_cluster(const cluster_settings& before, const cluster_settings& now, difference& out) {
  if (before.joined != now.joined)
    out.needs_restart.push_back(std::string("cluster: ") + (now.joined ? "off -> on" : "on -> off"));
  for (const auto& row : cluster_rows())
    if (!same_member(row.of_cluster, before, now))
      out.needs_restart.push_back("cluster." + std::string{row.name} + ": " + cluster_text(row, before) + " -> " +
                                  cluster_text(row, now));
}

void compare_insides(const tenant& before, const tenant& now, const std::string& prefix, difference& out) {
  compare(before.databases, now.databases, prefix, out.databases, std::equal_to<database>{});
  compare(before.users, now.users, prefix, out.users, std::equal_to<user>{});
}

} // namespace

bool difference::empty() const {
  return changed.empty() && needs_restart.empty() && databases.empty() && users.empty() && tenants.empty() &&
         listeners.empty();
}

difference diff(const settings& old_settings, const settings& new_settings) {
  difference out;
  for (const auto& row : setting_rows())
    if (!same_member(row.global, old_settings, new_settings))
      (row.reloadable ? out.changed : out.needs_restart)
          .push_back(std::string{row.name} + ": " + global_text(row, old_settings) + " -> " +
                     global_text(row, new_settings));
  if (!hba_rules::same(old_settings.hba.get(), new_settings.hba.get()))
    out.changed.push_back("auth_hba_file: its rules are others");
  compare_admin(old_settings.admin, new_settings.admin, out);
  compare_cluster(old_settings.cluster, new_settings.cluster, out);
  compare(old_settings.listeners, new_settings.listeners, "", out.listeners, std::equal_to<listener>{});
  compare_insides(old_settings.default_tenant, new_settings.default_tenant, "", out);
  compare(old_settings.tenants, new_settings.tenants, "", out.tenants, [](const tenant& a, const tenant& b) {
    return static_cast<const overrides&>(a) == static_cast<const overrides&>(b) &&
           hba_rules::same(a.hba.get(), b.hba.get());
  });
  // A tenant that came or went is named once, not with all that is in it.
  for (const auto& [name, before] : old_settings.tenants)
    if (const auto found = new_settings.tenants.find(name); found != new_settings.tenants.end())
      compare_insides(before, found->second, name + "/", out);
  return out;
}

std::vector<std::string> report(const difference& changes) {
  std::vector<std::string> out = changes.changed;
  const auto tell = [&](std::string_view kind, const name_changes& names) {
    for (const auto& [list, word] :
         {std::pair{&names.added, "added"}, std::pair{&names.removed, "removed"}, std::pair{&names.changed, "changed"}})
      for (const std::string& name : *list)
        out.push_back(std::string{kind} + " " + name + ": " + word);
  };
  tell("tenant", changes.tenants);
  tell("database", changes.databases);
  tell("user", changes.users);
  for (const std::string& line : changes.needs_restart)
    out.push_back(line + " (needs a restart)");
  for (const auto* names : {&changes.listeners.added, &changes.listeners.removed, &changes.listeners.changed})
    for (const std::string& name : *names)
      out.push_back("listener " + name + ": what it listens on changes with a restart");
  return out;
}

} // namespace pg_edge::config
