// Objects made at run time, beside those of the file: tenants, databases, users, global settings and bans. They live in
// the store as JSON objects with the file's own names, are read by the same tables, and are merged with the file by one
// rule:
//
//   What the file names is the file's, as a whole. The store adds what the file does not name.
//
// So an object of the store can never change one of the file, whichever came first; one that the file has taken over
// since, or that does not fit the file any more, is left out and told as drift. Everything here is pure.
#pragma once

#include "config/bans.hpp"
#include "config/load.hpp"

#include <compare>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::config {

enum class object_kind : std::uint8_t { tenant, database, user, setting, ban_tenant, ban_user, ban_address };

struct object_kind_row {
  object_kind kind;
  std::string_view name;   // "tenant", for people
  std::string_view folder; // in the store's keys
  unsigned section;        // whose settings it may have; 0: a ban's own
  bool of_tenant;          // it stands in a tenant, which is part of its name
};
std::span<const object_kind_row> object_kinds();
const object_kind_row& row_of(object_kind kind);

struct object_id {
  object_kind kind = object_kind::tenant;
  std::string tenant; // of databases, users and bans of users; "default" for the default one
  std::string name;
  friend auto operator<=>(const object_id&, const object_id&) = default;
};
/// "database acme/app", as people are told.
std::string to_string(const object_id& id);

struct stored_object {
  std::string body; // a JSON object: settings by name, secrets included
  std::uint64_t revision = 0;
  std::string changed_by; // "token deploy", "console admin"
  std::string changed_at; // 2026-11-28T12:00:00Z
};
/// By kind, so that a tenant comes before what is in it.
using stored_objects = std::map<object_id, stored_object>;

/// How it stands in the store, who and when included; nullopt when the text is none of ours.
std::string stored_text(const stored_object& object);
std::optional<stored_object> parse_stored_object(std::string_view text);

// -- file and store together
// ----------------------------------------------------------------------------------------------------

/// An object of the store that does not count, and why.
struct drift {
  object_id id;
  std::string why;
};

struct merged_settings {
  std::shared_ptr<const settings> values;
  std::shared_ptr<const ban_list> bans;
  std::vector<drift> left_out;
};

/// `file` as load_file() made it. What cannot be is left out; the rest counts.
merged_settings merge(const load_result& file, const stored_objects& objects, const outside& world);

/// Where the file names the object: "pg_edge.toml:12"; nullopt when it does not.
std::optional<std::string> place_in_file(const load_result& file, const object_id& id);

// -- changing them
// ----------------------------------------------------------------------------------------------------------------

enum class object_verb : std::uint8_t { create, replace, patch, remove };

/// What is wrong with a wish; `field` names the setting, if it is one.
struct object_fault {
  enum class kind : std::uint8_t {
    none,
    invalid,       // the body, or what it says
    missing,       // there is no such object, in the file neither
    exists,        // it is there already
    of_file,       // the file has it; `where` says the place
    still_used,    // something else would break
    needs_restart, // the setting cannot change in a running node
  };
  kind is = kind::none;
  std::string field, what, where;
};

struct object_change {
  object_verb verb = object_verb::replace;
  object_id id;
  std::string body;     // JSON object, of create, replace and patch
  bool cascade = false; // remove what is in a tenant too
};

/// What a change would make of the objects; nothing happens unless `fault` says none.
struct planned_change {
  object_fault fault;
  std::string body;                        // the object afterwards, secrets included; empty when it goes
  std::vector<object_id> gone;             // of a removal: all that go
  std::vector<std::string> changed_fields; // names only, for the audit log
};
planned_change plan(const load_result& file, const stored_objects& now, const object_change& change,
                    const outside& world);

/// The settings of an object without its secrets, and the names of those it has.
struct shown_object {
  std::string body; // JSON
  std::vector<std::string> secrets;
};
shown_object show_object(const object_id& id, const stored_object& object);
/// The same of an object of the file; nullopt when there is none.
std::optional<shown_object> show_file_object(const settings& file, const object_id& id);

} // namespace pg_edge::config
