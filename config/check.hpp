// The checks that look at more than one setting: contradictions are errors, risky combinations are warnings.
#pragma once

#include "config/settings.hpp"
#include "config/value_reader.hpp"

namespace pg_edge::config {

/// The lines that global settings stand at; those left to their default are missing.
using setting_lines = std::map<std::string, int, std::less<>>;

/// What a tree says, without a look at how it fits together: for objects that stand elsewhere than in a file.
settings read_sections(const toml_node& root, const outside& world, problem_list& problems);

void check_settings(const settings& all, const setting_lines& lines, problem_list& problems);

} // namespace pg_edge::config
