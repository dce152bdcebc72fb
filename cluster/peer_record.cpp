#include "cluster/peer_record.hpp"

#include "cluster/cancel_key.hpp"
#include "config/value_text.hpp"

namespace pg_edge::cluster {

namespace {

std::optional<peer_number> number_of(std::string_view key, const std::string& prefix) {
  if (!key.starts_with(prefix)) return std::nullopt;
  const auto number = config::parse_integer(key.substr(prefix.size()));
  if (!number || *number < 1 || *number >= static_cast<std::int64_t>(cancel_max_nodes)) return std::nullopt;
  return static_cast<peer_number>(*number);
}

} // namespace

std::string to_text(const peer_record& one) {
  const bool v6 = one.at.host.find(':') != std::string::npos;
  return one.node + " " + (v6 ? "[" + one.at.host + "]" : one.at.host) + ":" + std::to_string(one.at.port) + " " +
         std::to_string(one.incarnation);
}

std::optional<peer_record> parse_peer_record(std::string_view text) {
  const auto first = text.find(' '), last = text.rfind(' ');
  if (first == std::string_view::npos || first == last || first == 0) return std::nullopt;
  const auto at = config::parse_endpoint(text.substr(first + 1, last - first - 1));
  const auto incarnation = config::parse_integer(text.substr(last + 1));
  if (!at || !incarnation || *incarnation < 1) return std::nullopt;
  return peer_record{std::string{text.substr(0, first)}, *at, static_cast<std::uint64_t>(*incarnation)};
}

std::string number_key(const std::string& root, peer_number number) {
  return number_prefix(root) + std::to_string(number);
}

std::string link_key(const std::string& root, peer_number number) {
  return link_prefix(root) + std::to_string(number);
}

number_choice choose_number(const std::vector<store_entry>& entries, const std::string& root, const std::string& node) {
  std::set<peer_number> taken;
  for (const store_entry& one : entries)
    if (const auto number = number_of(one.key, number_prefix(root))) {
      if (one.value == node) return {*number, true};
      taken.insert(*number);
    }
  for (peer_number number = 1; number < cancel_max_nodes; ++number)
    if (!taken.contains(number)) return {number, false};
  return {};
}

std::map<peer_number, peer_record> read_peers(const std::vector<store_entry>& entries, const std::string& root,
                                              peer_number own) {
  std::map<peer_number, peer_record> out;
  for (const store_entry& one : entries) {
    const auto number = number_of(one.key, link_prefix(root));
    auto record = parse_peer_record(one.value);
    if (number && record && *number != own) out.emplace(*number, std::move(*record));
  }
  return out;
}

} // namespace pg_edge::cluster
