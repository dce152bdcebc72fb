#include "actors/console_commands.hpp"

#include "actors/console_cluster.hpp"
#include "actors/console_figures.hpp"

namespace pg_edge::actors {

namespace {

// One line a file of commands; HELP lists them in this order.
constexpr std::span<const console_command> (*groups[])() = {
    console_act_commands,     console_show_commands,   console_own_commands,
    console_cluster_commands, console_object_commands, console_figure_commands,
};

constexpr console_parameter parameters[] = {
    {{"client_encoding"}, "UTF8"},
    {{"default_transaction_isolation"}, "read committed"},
    {{"standard_conforming_strings"}, "on"},
    {{"datestyle"}, "ISO"},
    {{"timezone"}, "GMT"},
};

/// How many words of the statement the command's name takes; 0 if it is another command.
std::size_t words_matched(std::string_view name, const std::vector<std::string>& words) {
  std::size_t count = 0;
  while (!name.empty()) {
    const std::string_view word = name.substr(0, name.find(' '));
    name.remove_prefix(std::min(word.size() + 1, name.size()));
    // SELECT is an alias of SHOW, as in pgbouncer.
    const bool same =
        count < words.size() && (protocol::same_word(words[count], word) ||
                                 (count == 0 && word == "show" && protocol::same_word(words[count], "select")));
    if (!same) return 0;
    ++count;
  }
  return count;
}

bool takes(const console_command& command, const std::vector<std::string>& arguments) {
  return command.takes != nullptr ? command.takes(arguments) : arguments.empty();
}

} // namespace

const std::vector<console_command>& console_commands() {
  static const std::vector<console_command> all = [] {
    std::vector<console_command> result;
    for (const auto group : groups)
      result.insert(result.end(), group().begin(), group().end());
    return result;
  }();
  return all;
}

std::span<const console_parameter> console_parameters() {
  return parameters;
}

const console_parameter* find_parameter(std::string_view name) {
  for (const console_parameter& one : parameters)
    if (protocol::same_word(one.column.name, name)) return &one;
  return nullptr;
}

console_match match(const protocol::console_statement& statement) {
  for (const console_command& command : console_commands()) {
    const std::size_t count = words_matched(command.words, statement.words);
    if (count == 0) continue;
    std::vector<std::string> arguments(statement.words.begin() + static_cast<std::ptrdiff_t>(count),
                                       statement.words.end());
    if (takes(command, arguments)) return {&command, std::move(arguments)};
  }
  return {};
}

std::span<const protocol::console_column> columns_of(const console_match& what) {
  if (what.command->act == console_act::show_parameter) return {&find_parameter(what.arguments[0])->column, 1};
  return what.command->columns;
}

std::string console_help() {
  std::string text = "Console usage";
  for (const console_command& command : console_commands()) {
    text += "\n\t";
    for (const char c : command.words)
      text.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
    if (!command.arguments.empty()) text.append(" ").append(command.arguments);
    text.append(": ").append(command.help);
  }
  return text;
}

} // namespace pg_edge::actors
