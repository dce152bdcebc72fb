// What is written from the tables of this layer: docs/console.md and docs/logs.md. A test keeps the files equal to
// these texts.
#pragma once

#include <string>

namespace pg_edge::actors {

/// docs/console.md.
std::string console_page();

/// docs/logs.md.
std::string log_page();

} // namespace pg_edge::actors
