#include "cluster/succession_record.hpp"

#include "cluster/store_keys.hpp"
#include "config/value_text.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace pg_edge::cluster {

namespace {

constexpr std::array<std::string_view, 5> step_names{"none", "sealing", "copying", "moving", "done"};

std::optional<succession_step> step_of(std::string_view name) {
  const auto found = std::find(step_names.begin() + 1, step_names.end(), name);
  if (found == step_names.end()) return std::nullopt;
  return static_cast<succession_step>(found - step_names.begin());
}

/// Up to the next blank, which goes too.
std::string_view take_word(std::string_view& text) {
  const auto end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

std::string_view take_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::optional<std::uint64_t> take_number(std::string_view& text) {
  const auto number = config::parse_integer(take_word(text));
  if (!number || *number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

} // namespace

std::string_view to_string(succession_step step) {
  return step_names[static_cast<std::size_t>(step)];
}

std::string to_text(const succession_record& one) {
  return std::string(to_string(one.step)) + " " + one.from + " " + one.to + " " + std::to_string(one.moved) + " " +
         one.by;
}

std::optional<succession_record> parse_succession_record(std::string_view text) {
  text = take_line(text);
  const auto step = step_of(take_word(text));
  succession_record result;
  result.from = take_word(text);
  result.to = take_word(text);
  const auto moved = take_number(text);
  if (!step || result.from.empty() || result.to.empty() || result.from == result.to || !moved) return std::nullopt;
  result.step = *step;
  result.moved = *moved;
  result.by = text;
  return result;
}

std::string why_sealed(const std::optional<succession_record>& record, const std::string& cluster) {
  if (!record) return {};
  const bool moved = record->step >= succession_step::moving;
  if (moved && record->from == cluster)
    return "cluster " + record->to + " has taken over cluster " + cluster + ": make the change on a node of " +
           record->to;
  if (moved) return {};
  return "cluster " + record->to + " takes over cluster " + record->from + ": make the change on a node of " +
         record->to + " when that is done, or give the take-over up";
}

std::string to_text(const held_report& one) {
  std::string text = std::string(to_string(one.step)) + " " + std::to_string(one.incarnation);
  for (const auto& [name, count] : one.held)
    text += "\n" + std::to_string(count) + " " + key_part(name.first) + " " + key_part(name.second);
  return text;
}

std::optional<held_report> parse_held_report(std::string_view text) {
  std::string_view first = take_line(text);
  held_report result;
  const auto step = step_of(take_word(first));
  const auto incarnation = take_number(first);
  if (!step || !incarnation) return std::nullopt;
  result.step = *step;
  result.incarnation = *incarnation;
  while (!text.empty()) {
    std::string_view line = take_line(text);
    const auto count = take_number(line);
    const auto tenant = name_of_part(take_word(line)), database = name_of_part(take_word(line));
    if (!count || !tenant || !database || *count > UINT32_MAX) return std::nullopt;
    result.held[{*tenant, *database}] += static_cast<std::uint32_t>(*count);
  }
  return result;
}

std::string succession_state_key(const std::string& root) {
  return root + std::string(succession_folder) + std::string(succession_state);
}

} // namespace pg_edge::cluster
