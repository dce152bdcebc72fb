// pg_ident.conf: which names of the outside (a system user, a certificate's name) may log in as which users. As in
// Postgres 16.
#pragma once

#include "config/hba_file.hpp"
#include "config/pattern.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::config {

/// A name in a rule: a keyword unless quoted, a pattern when it begins with a slash.
struct hba_name {
  hba_token token;
  std::shared_ptr<const pattern> regex; // null: none

  /// Compiles what begins with a slash; an error is added to `problems`.
  static hba_name make(const hba_token& token, const hba_line& at, std::vector<problem>& problems);
};

struct ident_line {
  std::string map;
  hba_name system_user;
  hba_name database_user;
};

using ident_map = std::vector<ident_line>;

/// Errors are added to `problems`.
ident_map read_ident_map(const std::vector<hba_line>& lines, std::vector<problem>& problems);

/// Whether `system_user` may be `user` by the lines of `map`; without a map the two must be equal.
bool may_log_in(const ident_map& lines, std::string_view map, std::string_view system_user, std::string_view user);

/// "+role" says "members of", which pg_edge cannot know: an error in rules and maps. A rule that rejects must not pass
/// over silently.
bool is_role_membership(const hba_token& token);
inline constexpr const char* role_membership_error =
    ": membership in a role is known to Postgres only; list the users, or use a regular expression";

} // namespace pg_edge::config
