// Who is kept out until when: tenants, users and addresses, as BAN and the API set them (tenants can also be banned in
// the file: see tenant_name.hpp). Looked at by every login.
#pragma once

#include "config/network.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pg_edge::config {

struct ban {
  std::string reason; // told to those it keeps out; may be empty
  std::string until;  // "2030-01-01T00:00:00Z"; empty: for ever
  std::string by, at; // who set it, and when
};

class ban_list {
public:
  using time = std::chrono::system_clock::time_point;

  void add_tenant(const std::string& tenant, ban what) { tenants_[tenant] = std::move(what); }
  void add_user(const std::string& tenant, const std::string& user, ban what) {
    users_[{tenant, user}] = std::move(what);
  }
  void add_network(const network& of, ban what) { networks_.emplace_back(of, std::move(what)); }
  bool empty() const { return tenants_.empty() && users_.empty() && networks_.empty(); }

  /// " until 2030-01-01T00:00:00Z: unpaid", ": unpaid" or "", as it stands in a message; nullopt: not banned then.
  std::optional<std::string> of_tenant(std::string_view tenant, time now) const;
  std::optional<std::string> of_user(std::string_view tenant, std::string_view user, time now) const;
  /// What is no address (a Unix socket) is never banned, so an operator on the machine always gets in.
  std::optional<std::string> of_address(std::string_view address, time now) const;

private:
  std::map<std::string, ban, std::less<>> tenants_;
  std::map<std::pair<std::string, std::string>, ban> users_;
  std::vector<std::pair<network, ban>> networks_;
};

/// Whether it still holds at that moment.
bool holds(const ban& what, ban_list::time now);

} // namespace pg_edge::config
