// What is written from the table of settings: docs/settings.md and examples/commented.toml. A test keeps the files
// equal to these texts.
#pragma once

#include <string>

namespace pg_edge::config {

/// docs/settings.md.
std::string settings_page();

/// examples/commented.toml: every setting with its help and default; it loads with and without the '#' before the keys,
/// given the environment variable APP_PASSWORD.
std::string commented_example();

} // namespace pg_edge::config
