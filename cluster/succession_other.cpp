// What a take-over knows of the other cluster: its nodes and lives, what they have said, and what follows for the
// servers.
#include "cluster/store_keys.hpp"
#include "cluster/succession.hpp"

#include <algorithm>

namespace pg_edge::cluster {

namespace {

constexpr std::string_view nodes_part = "nodes/", leaving_part = "leaving/";

} // namespace

std::optional<view> succession::others_view() const {
  const store_mirror::entry* there = other_cluster_ ? other_cluster_->find("view") : nullptr;
  const auto record = there != nullptr ? decode_record<view_record>(there->value) : std::nullopt;
  return record ? std::optional(record->now) : std::nullopt;
}

std::vector<succession::life> succession::lives() const {
  std::vector<life> result;
  if (!other_cluster_) return result;
  for (const auto& [key, entry] : other_cluster_->entries())
    if (key.starts_with(nodes_part))
      if (const auto name = name_of_part(key.substr(nodes_part.size()))) result.push_back({*name, entry.revision});
  return result;
}

std::vector<succession::other_node> succession::other_nodes() const {
  std::vector<other_node> result;
  if (!other_cluster_) return result;
  for (const auto& [key, entry] : other_cluster_->entries()) {
    if (!key.starts_with(nodes_part)) continue;
    const std::string part = key.substr(nodes_part.size());
    const auto name = name_of_part(part);
    const auto record = decode_record<node_record>(entry.value);
    if (!name || !record || record->link.empty() || record->link_number == 0) continue;
    const bool leaving = other_cluster_->find(std::string(leaving_part) + part) != nullptr;
    result.push_back({*name, record->link, record->link_number, leaving});
  }
  return result;
}

/// Reports written before say nothing of this step: they may be of a take-over that was given up, or of one long done.
store_revision succession::reports_since() const {
  return step() >= succession_step::moving ? moved_at() : record_revision_;
}

/// Of that very life.
std::optional<held_report> succession::report_of(const std::string& name, std::uint64_t incarnation) const {
  const store_mirror::entry* there = other_ ? other_->find(std::string(succession_held) + key_part(name)) : nullptr;
  auto report = there != nullptr ? parse_held_report(there->value) : std::nullopt;
  if (report && (report->incarnation != incarnation || there->revision <= reports_since())) report.reset();
  return report;
}

store_revision succession::moved_at() const {
  return step() == succession_step::moving ? record_revision_ : record_ ? record_->moved : 0;
}

/// Nodes of `from` that have not said yet that they obey this step. Who has registered since moving began knew it
/// before it could open a server.
std::vector<std::string> succession::unheard(succession_step wanted) const {
  std::vector<std::string> result;
  for (const life& one : lives()) {
    if (wanted >= succession_step::moving && one.incarnation > moved_at()) continue;
    const auto said = report_of(one.name, one.incarnation);
    if (!said || said->step < wanted) result.push_back(one.name);
  }
  return result;
}

std::optional<held_servers> succession::withheld() const {
  if (waits_) return std::nullopt;
  if (own_role() != role::to) return held_servers{};
  const store_revision since = moved_at();
  if (step() < succession_step::moving || other_->as_of() < since || other_cluster_->as_of() < since)
    return std::nullopt;
  if (!unheard(succession_step::moving).empty()) return std::nullopt;
  held_servers sum;
  for (const life& one : lives())
    if (const auto said = report_of(one.name, one.incarnation))
      for (const auto& [name, count] : said->held)
        sum[name] += count;
  return sum;
}

std::vector<departed_member> succession::dead_lives() const {
  std::vector<departed_member> result;
  if (own_role() != role::to || step() < succession_step::moving) return result;
  const auto last = others_view();
  if (!last) return result;
  const auto living = lives();
  const auto add = [&](const std::string& name, std::uint64_t incarnation) {
    const bool lives_on = std::any_of(living.begin(), living.end(), [&](const life& one) {
      return one.name == name && one.incarnation == incarnation;
    });
    if (lives_on || incarnation == left_clean || incarnation > moved_at()) return;
    const auto said = report_of(name, incarnation);
    if (said && said->step >= succession_step::moving && said->held.empty()) return;
    result.push_back({0, other_name_ + "/" + name, incarnation});
  };
  for (const departed_member& one : last->departed)
    add(one.name, one.incarnation);
  for (const member& one : last->members)
    add(one.name, one.incarnation);
  return result;
}

std::optional<succession_record> succession::others_record() const {
  const store_mirror::entry* there = other_ ? other_->find(std::string(succession_state)) : nullptr;
  return there != nullptr ? parse_succession_record(there->value) : std::nullopt;
}

} // namespace pg_edge::cluster
