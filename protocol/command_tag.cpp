#include "protocol/command_tag.hpp"

#include <array>
#include <cstring>

namespace pg_edge::protocol {

namespace {

struct tag_row {
  std::string_view tag;
  tag_effect effect;
};
// Whole tags; of several that begin alike each stands for itself alone.
constexpr auto tags = std::to_array<tag_row>({
    {"SET", tag_effect::set},
    {"SET CONSTRAINTS", tag_effect::none}, // ends with the transaction
    {"RESET", tag_effect::reset},
    {"LISTEN", tag_effect::listen},
    {"UNLISTEN", tag_effect::unlisten},
    {"PREPARE", tag_effect::prepare},
    {"PREPARE TRANSACTION", tag_effect::prepare_transaction},
    {"DEALLOCATE", tag_effect::deallocate},
    {"DEALLOCATE ALL", tag_effect::deallocate_all},
    {"DISCARD ALL", tag_effect::discard_all},
    {"DISCARD", tag_effect::discard},
    {"DISCARD PLANS", tag_effect::discard},
    {"DISCARD SEQUENCES", tag_effect::discard},
    {"DISCARD TEMP", tag_effect::discard},
    {"DECLARE CURSOR", tag_effect::declare_cursor},
    {"CLOSE CURSOR", tag_effect::close_cursor},
    {"CLOSE CURSOR ALL", tag_effect::close_cursor},
    {"LOAD", tag_effect::load},
    {"BEGIN", tag_effect::begin},
    {"START TRANSACTION", tag_effect::begin},
    {"COMMIT", tag_effect::commit},
    {"ROLLBACK", tag_effect::rollback},
    {"SAVEPOINT", tag_effect::savepoint},
    {"RELEASE", tag_effect::savepoint},
    {"DO", tag_effect::procedural},
    {"CALL", tag_effect::procedural},
});
// Tags by their first word, the blank included.
constexpr auto tag_families = std::to_array<tag_row>({
    {"CREATE ", tag_effect::ddl},
    {"ALTER ", tag_effect::ddl},
    {"DROP ", tag_effect::ddl},
});
// The tags of nearly every query.
constexpr auto common_tags = std::to_array<std::string_view>({"SELECT ", "INSERT ", "UPDATE ", "DELETE "});

} // namespace

tag_effect classify_tag(std::string_view command_tag) {
  constexpr std::size_t common_length = common_tags.front().size();
  if (command_tag.size() > common_length)
    for (const auto common : common_tags)
      if (std::memcmp(command_tag.data(), common.data(), common_length) == 0) return tag_effect::none;
  for (const auto& row : tags)
    if (row.tag == command_tag) return row.effect;
  for (const auto& row : tag_families)
    if (command_tag.starts_with(row.tag)) return row.effect;
  return tag_effect::none;
}

} // namespace pg_edge::protocol
