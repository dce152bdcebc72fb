// Helpers of the configuration tests: load a text with a made-up world, look for a problem.
#pragma once

#include "config/load.hpp"

#include <map>
#include <stdexcept>

namespace config_text {

using namespace pg_edge::config;

/// A world of two maps; what is not in them is unset or unreadable.
struct world {
  std::map<std::string, std::string> environment;
  std::map<std::string, std::string> files;

  outside view() const {
    const auto look = [](const auto& map) {
      return [&map](const std::string& name) -> std::optional<std::string> {
        const auto found = map.find(name);
        return found == map.end() ? std::nullopt : std::optional<std::string>{found->second};
      };
    };
    return {look(environment), look(files)};
  }
};

inline load_result load(std::string_view text, const world& around = {}) {
  return load_text(text, "test.toml", around.view());
}

/// The settings of a text that must load.
inline settings loaded(std::string_view text, const world& around = {}) {
  const auto result = load(text, around);
  if (result.value == nullptr)
    throw std::runtime_error(result.problems.empty() ? "no problems" : to_string(result.problems.front()));
  return *result.value;
}

/// "line: text" of the errors (or of the warnings), one a line.
inline std::string listed(const load_result& result, bool warnings = false) {
  std::string out;
  for (const auto& one : result.problems)
    if (one.warning == warnings) out += std::to_string(one.line) + ": " + one.text + '\n';
  return out;
}

inline std::string errors_of(std::string_view text, const world& around = {}) {
  return listed(load(text, around));
}
inline std::string warnings_of(std::string_view text, const world& around = {}) {
  return listed(load(text, around), true);
}

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

} // namespace config_text
