#include "config/bans.hpp"

#include "config/timestamp.hpp"

namespace pg_edge::config {

namespace {

std::optional<std::string> text_of(const ban& what, ban_list::time now) {
  if (!holds(what, now)) return std::nullopt;
  return (what.until.empty() ? "" : " until " + what.until) + (what.reason.empty() ? "" : ": " + what.reason);
}

} // namespace

bool holds(const ban& what, ban_list::time now) {
  if (what.until.empty()) return true;
  const auto end = parse_timestamp(what.until);
  return !end || now < *end;
}

std::optional<std::string> ban_list::of_tenant(std::string_view tenant, time now) const {
  const auto found = tenants_.find(tenant);
  return found == tenants_.end() ? std::nullopt : text_of(found->second, now);
}

std::optional<std::string> ban_list::of_user(std::string_view tenant, std::string_view user, time now) const {
  if (users_.empty()) return std::nullopt;
  const auto found = users_.find({std::string{tenant}, std::string{user}});
  return found == users_.end() ? std::nullopt : text_of(found->second, now);
}

std::optional<std::string> ban_list::of_address(std::string_view address, time now) const {
  if (networks_.empty()) return std::nullopt;
  const auto parsed = parse_address(address);
  if (!parsed) return std::nullopt;
  for (const auto& [network, what] : networks_)
    if (network.contains(*parsed))
      if (auto text = text_of(what, now)) return text;
  return std::nullopt;
}

} // namespace pg_edge::config
