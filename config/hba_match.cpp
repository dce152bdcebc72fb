#include "config/hba.hpp"

#include <algorithm>

namespace pg_edge::config {

namespace {

enum class match { no, yes, unknown };

match search(const hba_name& name, std::string_view text) {
  switch (name.regex->search(text).is) {
  case pattern::outcome::no:
    return match::no;
  case pattern::outcome::yes:
    return match::yes;
  case pattern::outcome::too_much:
    break;
  }
  return match::unknown;
}

bool fits_kind(hba_kind kind, const hba_connection& who) {
  if (kind == hba_kind::local || !who.address) return kind == hba_kind::local && !who.address;
  switch (kind) {
  case hba_kind::hostssl:
    return who.tls;
  case hba_kind::hostnossl:
    return !who.tls;
  case hba_kind::hostgssenc:
    return who.gss;
  case hba_kind::hostnogssenc:
    return !who.gss;
  default:
    return true;
  }
}

/// But for host names, which are looked up only when the rest of their rule fits.
bool may_fit_address(const hba_rule& rule, const hba_connection& who) {
  if (rule.kind == hba_kind::local) return true;
  const auto on_interface = [&](bool whole_net) {
    return std::any_of(who.interfaces.begin(), who.interfaces.end(), [&](const masked_address& one) {
      return whole_net ? one.contains(*who.address) : one.address == *who.address;
    });
  };
  switch (rule.address) {
  case hba_address::all:
  case hba_address::name:
    return true;
  case hba_address::same_host:
    return on_interface(false);
  case hba_address::same_net:
    return on_interface(true);
  case hba_address::masked:
    break;
  }
  return rule.range.contains(*who.address);
}

match fits_database(const hba_name& name, const hba_connection& who) {
  const auto when = [](bool yes) { return yes ? match::yes : match::no; };
  // Physical replication is of no database, so nothing but its keyword means it.
  if (who.physical_replication) return when(name.token.is("replication"));
  if (name.token.is("all")) return match::yes;
  if (name.token.is("sameuser")) return when(who.database == who.user);
  if (name.token.is("replication")) return match::no;
  if (name.regex != nullptr) return search(name, who.database);
  return when(name.token.text == who.database);
}

match fits_user(const hba_name& name, const hba_connection& who) {
  if (name.token.is("all")) return match::yes;
  if (name.regex != nullptr) return search(name, who.user);
  return name.token.text == who.user ? match::yes : match::no;
}

template <class Fits>
match any_of(const std::vector<hba_name>& names, const hba_connection& who, Fits fits) {
  for (const auto& name : names)
    if (const auto is = fits(name, who); is != match::no) return is;
  return match::no;
}

} // namespace

bool masked_address::contains(const ip_address& one) const {
  if (one.v6 != address.v6) return false;
  for (std::size_t i = 0; i < static_cast<std::size_t>(address.size_bits() / 8); ++i)
    if (((one.bytes[i] ^ address.bytes[i]) & mask.bytes[i]) != 0) return false;
  return true;
}

bool host_name_fits(std::string_view rule, std::string_view client) {
  const bool whole = !rule.starts_with('.');
  if (client.size() < rule.size() || (whole && client.size() != rule.size()) || rule.empty()) return false;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  const auto end = client.substr(client.size() - rule.size());
  return std::equal(rule.begin(), rule.end(), end.begin(), [&](char a, char b) { return lower(a) == lower(b); });
}

hba_decision decide(const hba_rules& rules, const hba_connection& who) {
  for (const auto& rule : rules.rules) {
    if (!fits_kind(rule.kind, who) || !may_fit_address(rule, who)) continue;
    const match database = any_of(rule.databases, who, fits_database);
    if (database == match::no) continue;
    const match user = any_of(rule.users, who, fits_user);
    if (user == match::no) continue;
    if (rule.kind != hba_kind::local && rule.address == hba_address::name) {
      if (who.name == nullptr) return {nullptr, true};
      if (!who.name->confirmed || !host_name_fits(rule.host_name, who.name->name)) continue;
    }
    if (database == match::yes && user == match::yes) return {&rule, false};
    return {};
  }
  return {};
}

} // namespace pg_edge::config
