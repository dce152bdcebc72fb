// Objects of the store as JSON: to the tree that the loader reads, merged with a patch, without secrets. The only place
// in config that sees the JSON library.
#pragma once

#include "config/toml_tree.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::config {

/// A JSON object as a table. Members that are null are as if they were not there, and "${" stays what it is: the
/// environment is the file's. Errors are in the result; never throws.
toml_result parse_json_object(std::string_view text);

/// The patch's members replace those of `base`, null takes them away (RFC 7396). Both are JSON objects; what is null or
/// a null of `base` is left out. nullopt: one of them is not an object.
std::optional<std::string> merge_json(std::string_view base, std::string_view patch);

/// `body` with those members of `before` that it does not name, of the names given.
std::string keep_members(std::string_view body, std::string_view before, std::span<const std::string_view> names);
/// `body` without them; `found`: those it had.
std::string drop_members(std::string_view body, std::span<const std::string_view> names,
                         std::vector<std::string>& found);
/// The names of members that differ.
std::vector<std::string> differing_members(std::string_view before, std::string_view now);
std::vector<std::string> member_names(std::string_view body);

/// {"name": value, ...} of a tree.
std::string json_text(const toml_node::table& table);

} // namespace pg_edge::config
