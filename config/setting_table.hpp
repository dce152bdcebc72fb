// The one list of settings: a row each. Parsing, `check`, SHOW CONFIG, docs/settings.md, the commented example and the
// "did you mean" hints all walk it.
#pragma once

#include "config/settings.hpp"

#include <span>
#include <variant>

namespace pg_edge::config {

/// The sections a setting may stand in, as bits.
enum section : unsigned {
  in_global = 1,    // [pg_edge]
  in_tenant = 2,    // [tenants.T]
  in_database = 4,  // [databases.D] and [tenants.T.databases.D]
  in_user = 8,      // [users.U] and [tenants.T.users.U]
  in_listener = 16, // [listeners.L]
  in_admin = 32,    // [admin]
  in_token = 64,    // [admin.tokens.N]
  in_cluster = 128, // [cluster]
};

/// The member a row fills, per section. Its type is the setting's type.
using settings_member =
    std::variant<std::monostate, bool settings::*, int settings::*, duration settings::*, std::string settings::*,
                 std::vector<std::string> settings::*, pool_mode settings::*, auth_type settings::*,
                 tls_mode settings::*, host_balance settings::*, log_format settings::*, byte_size settings::*>;
using overrides_member = std::variant<std::monostate, std::optional<bool> overrides::*, std::optional<int> overrides::*,
                                      std::optional<duration> overrides::*, std::optional<std::string> overrides::*,
                                      std::optional<pool_mode> overrides::*, std::optional<tls_mode> overrides::*,
                                      std::optional<auth_type> overrides::*, std::optional<host_balance> overrides::*>;
using database_member = std::variant<std::monostate, std::string database::*, std::optional<std::string> database::*,
                                     std::uint16_t database::*>;
using tenant_member = std::variant<std::monostate, std::string tenant::*, std::vector<std::string> tenant::*,
                                   std::vector<network> tenant::*, bool tenant::*>;
using listener_member = std::variant<std::monostate, bool listener::*, int listener::*, std::string listener::*,
                                     std::vector<std::string> listener::*, std::vector<network> listener::*,
                                     std::optional<auth_type> listener::*, std::optional<tls_mode> listener::*,
                                     std::optional<std::string> listener::*>;

using admin_member =
    std::variant<std::monostate, int admin_settings::*, duration admin_settings::*, std::string admin_settings::*,
                 std::vector<std::string> admin_settings::*, admin_role admin_settings::*>;
using token_member = std::variant<std::monostate, std::string admin_token::*, admin_role admin_token::*>;

using cluster_member = std::variant<std::monostate, duration cluster_settings::*, std::string cluster_settings::*,
                                    std::vector<std::string> cluster_settings::*, cluster_budget cluster_settings::*>;

/// How the text of a value is checked beyond its type.
enum class value_rule {
  none,
  octal_mode,    // an integer or an octal string
  milliseconds,  // a duration whose plain numbers are milliseconds
  host_list,     // comma list without empty entries
  tls_protocols, // names of TLS versions
  readable_file, // must exist when the configuration is loaded
  secret,        // never shown
  secret_file,   // a path whose first line is the secret
  url,           // postgres://..., filling several members
  secrets,       // several, never shown
  timestamp,     // 2026-12-31T00:00:00Z
};

struct setting_row {
  std::string_view name;
  unsigned sections = 0;
  settings_member global = {};
  overrides_member override_ = {};
  database_member of_database = {};
  tenant_member of_tenant = {};
  listener_member of_listener = {};
  admin_member of_admin = {};
  token_member of_token = {};
  cluster_member of_cluster = {};
  bool reloadable = true;
  int low = 0; // range of integers
  int high = std::numeric_limits<int>::max();
  value_rule rule = value_rule::none;
  std::string_view example = {}; // TOML, where no default can stand in the example file
  std::string_view group = {};   // heading in the docs
  std::string_view help = {};    // one sentence
};

/// Every setting, in the order of the documentation.
std::span<const setting_row> setting_rows();
/// The part of them that stands in setting_table_access.cpp.
std::span<const setting_row> access_rows();
/// The part of them that stands in setting_table_admin.cpp.
std::span<const setting_row> admin_rows();
/// The part of them that stands in setting_table_cluster.cpp.
std::span<const setting_row> cluster_rows();

/// A pgbouncer setting that pg_edge knows but does not have, and what to do about it.
struct absent_row {
  std::string_view name;
  unsigned sections = 0;
  std::string_view reason;
};
std::span<const absent_row> absent_rows();

/// A global setting's value as SHOW CONFIG prints it.
std::string global_text(const setting_row& row, const settings& all);

/// The same of a setting of [admin].
std::string admin_text(const setting_row& row, const admin_settings& all);
/// The same of a setting of [cluster].
std::string cluster_text(const setting_row& row, const cluster_settings& all);

/// One line of SHOW CONFIG. Durations are in seconds, booleans 0 or 1, as pgbouncer shows them.
struct shown_setting {
  std::string key;
  std::string value;
  std::string default_value;
  bool changeable = false;
};

/// SHOW CONFIG: the global settings, sorted by name. No secrets.
std::vector<shown_setting> show(const settings& all);

/// The row of that name which may stand in that section, or null.
const setting_row* find_row(std::string_view name, section where);
const absent_row* find_absent(std::string_view name, section where);

} // namespace pg_edge::config
