// The only place of this layer that touches files and the environment.
#include "config/load.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>

namespace pg_edge::config {

std::optional<std::string> read_whole_file(const std::string& path) {
  std::ifstream in{path, std::ios::binary};
  if (!in) return std::nullopt;
  std::string text{std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
  // A folder opens but cannot be read.
  if (in.bad()) return std::nullopt;
  return text;
}

outside real_outside() {
  outside out;
  out.environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>{value};
  };
  out.file = read_whole_file;
  return out;
}

load_result load_file(const std::string& path) {
  const auto text = read_whole_file(path);
  if (!text.has_value()) return {nullptr, {{path, 0, "cannot be read", false}}};
  return load_text(*text, path, real_outside());
}

} // namespace pg_edge::config
