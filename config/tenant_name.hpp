// Which tenant a client means: what it says by its listener, in its options, by TLS (SNI) and in its user name becomes
// one tenant and one user, or a reason why not. Also whether a tenant is banned at a moment. docs/tenants.md has the
// rules in an operator's words.
#pragma once

#include "config/settings.hpp"

#include <chrono>
#include <unordered_map>

namespace pg_edge::config {

/// Where a tenant's name can stand, the strongest first.
enum class tenant_source : std::uint8_t { listener, options, server_name, user };

/// "by its listener", "in the options" ...
std::string_view describe(tenant_source source);

/// The tenants by their server_names, for look-ups at every login.
class server_name_index {
public:
  server_name_index() = default;
  explicit server_name_index(const settings& all);

  /// The tenant that a name in TLS means: an exact name wins over "*.rest", which stands for one label. Letters of
  /// either case are the same. Empty: none.
  std::string_view find(std::string_view server_name) const;

private:
  std::unordered_map<std::string, std::string> names_; // lower case, to the tenant's name
};

/// "db.example.com" or "*.example.com": labels of letters, digits, '-' and '_'.
bool is_server_name_pattern(std::string_view text);

// -- in the options
// ------------------------------------------------------------------------------------------------------------

/// What is left of a start-up packet's `options` without the names of tenants, byte for byte, and these names.
struct stripped_options {
  std::string rest;
  std::vector<std::string> tenants;
};

/// Takes `-c tenant=NAME`, `-ctenant=NAME`, `--tenant=NAME` and the bare word `tenant=NAME` out; `reference` (as
/// Supavisor has it) and `endpoint` (as Neon has it) mean the same.
stripped_options strip_tenant_options(std::string_view options);

// -- which tenant
// --------------------------------------------------------------------------------------------------------------

/// What a connection says. Empty: nothing.
struct tenant_signs {
  std::string_view listener;
  std::vector<std::string> options;
  std::string_view server_name; // as the client sent it
  std::string_view user;
};

struct tenant_choice {
  const tenant* found = nullptr; // null: no such tenant, or signs that contradict each other
  std::string user;              // without the tenant's name
  std::string asked;             // the name it was asked for by; empty: nothing named a tenant
  tenant_source source = tenant_source::user;

  struct named {
    std::string name;
    tenant_source source;
  };
  /// Two texts that differ, both known without looking at the configured tenants: may be told to anybody.
  std::optional<std::pair<named, named>> open_conflict;
  /// For the log only: to tell a stranger would show which tenants there are.
  std::string hidden_reason;
  /// "\"acme\" in the options, ..." if more than one thing could name a tenant; the same whether they do or not.
  std::string signs;
};

/// The user name counts from its last dot behind which a configured tenant's name stands, unless the whole name is a
/// configured user: of the default tenant, or of the tenant that something else names. A file without tenants has the
/// default tenant for everybody, and its user names are left alone.
tenant_choice choose_tenant(const settings& all, const server_name_index& names, const tenant_signs& signs);

/// The tenant of clients that named none which exists: nobody's. It has no databases and no users, and no route leads
/// to its name.
const tenant& nobody();

// -- banned
// --------------------------------------------------------------------------------------------------------------------

/// " until 2030-01-01T00:00:00Z: unpaid" or ": unpaid"; nullopt when a tenant with these settings is not
/// banned at that moment.
std::optional<std::string> ban_text(const std::string& banned, const std::string& banned_until,
                                    std::chrono::system_clock::time_point now);

} // namespace pg_edge::config
