// The only place of this layer that touches files and the environment.
#include "config/load.hpp"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <unistd.h>

namespace pg_edge::config {

namespace {

// A device such as /dev/zero never ends.
constexpr std::size_t longest_file = std::size_t{256} * 1024 * 1024;

} // namespace

std::optional<std::string> read_whole_file(const std::string& path) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> in{std::fopen(path.c_str(), "rbe"), close};
  if (in == nullptr) return std::nullopt;
  std::string text;
  char piece[65'536];
  while (const auto count = std::fread(piece, 1, sizeof piece, in.get())) {
    text.append(piece, count);
    if (text.size() > longest_file) return std::nullopt;
  }
  // A folder opens, but cannot be read.
  if (std::ferror(in.get()) != 0) return std::nullopt;
  return text;
}

std::optional<std::vector<std::string>> list_folder(const std::string& path) {
  std::error_code failed;
  std::vector<std::string> names;
  std::filesystem::directory_iterator at{path, failed};
  for (; !failed && at != std::filesystem::directory_iterator{}; at.increment(failed))
    names.push_back(at->path().filename().string());
  if (failed) return std::nullopt;
  return names;
}

outside real_outside() {
  outside out;
  out.environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>{value};
  };
  out.file = read_whole_file;
  out.folder = list_folder;
  out.host_name = [] {
    char name[256] = {}; // longer than Linux allows, so there is always a zero at its end
    return ::gethostname(name, sizeof name - 1) == 0 ? std::string{name} : std::string{};
  };
  return out;
}

load_result load_file(const std::string& path) {
  const auto text = read_whole_file(path);
  if (!text.has_value()) return {nullptr, {{path, 0, "cannot be read", false}}};
  return load_text(*text, path, real_outside());
}

} // namespace pg_edge::config
