// From TOML text to settings, or to every error in it at once. load_text is pure: the environment and secret files come
// through callbacks; load_file is the thin impure edge.
#pragma once

#include "config/settings.hpp"

#include <functional>
#include <map>

namespace pg_edge::config {

/// Something wrong (or, as a warning, risky) in a configuration, with the place it stands at.
struct problem {
  std::string file;
  int line = 0; // from 1; 0 when the whole file is meant
  std::string text;
  bool warning = false;

  bool operator==(const problem&) const = default;
};

/// "file:line: error: text".
std::string to_string(const problem& what);

/// What the outside world holds; nullopt = not set, or not readable.
struct outside {
  std::function<std::optional<std::string>(const std::string& name)> environment;
  std::function<std::optional<std::string>(const std::string& path)> file;
  std::function<std::optional<std::vector<std::string>>(const std::string& path)> folder = {}; // names of its files
  std::function<std::string()> host_name = {}; // of this machine; empty: it has none
};

struct load_result {
  std::shared_ptr<const settings> value; // null if there are errors
  std::vector<problem> problems;         // errors and warnings, sorted by line
  /// The lines that global settings stand at; those left to their default are missing.
  std::map<std::string, int, std::less<>> lines = {};
};

/// Parses and checks a whole configuration. Never throws; all problems are in the result.
load_result load_text(std::string_view toml, std::string file_name, const outside& world = {});

/// nullopt when it cannot be read.
std::optional<std::string> read_whole_file(const std::string& path);

/// The names in a folder; nullopt when it cannot be read.
std::optional<std::vector<std::string>> list_folder(const std::string& path);

/// The process's environment and the file system.
outside real_outside();

/// Reads the file, with secrets from the process environment and from files (relative to the file's own folder).
load_result load_file(const std::string& path);

} // namespace pg_edge::config
