// The audit log's entries as they stand in the store: who did what, when, from where, with what result. Names of
// settings that changed, never their values: some are secrets.
#pragma once

#include "actors/messages.hpp"

#include <chrono>
#include <string>

namespace pg_edge::actors {

/// "2026-11-28T12:00:00Z", now.
std::string now_text();
/// The end of a key that sorts by time; `count` tells entries of one moment apart.
std::string audit_key_part(std::uint64_t count);

std::string audit_text(const audit_entry& entry);
/// What cannot be read is shown as it stands.
audit_entry parse_audit(std::string key, const std::string& text);

/// Whether it is a ban whose time is over.
bool ban_has_ended(const config::object_id& id, const config::stored_object& object,
                   std::chrono::system_clock::time_point now);

/// A ban as it is shown.
struct ban_row {
  std::string kind; // tenant, user, address
  std::string tenant, name, reason, until, by, at;
  std::uint64_t revision = 0;
};
/// Those that hold, by kind and name.
std::vector<ban_row> ban_rows(const config::stored_objects& objects, std::chrono::system_clock::time_point now);

} // namespace pg_edge::actors
