// Points in time as people write them in settings and commands.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace pg_edge::config {

/// "2030-01-01", "2030-01-01T12:00Z", "2030-01-01 12:00:00+02:00"; without a zone it is UTC. nullopt: none of these.
std::optional<std::chrono::system_clock::time_point> parse_timestamp(std::string_view text);

/// "2030-01-01T12:00:00Z".
std::string timestamp_text(std::chrono::system_clock::time_point when);

} // namespace pg_edge::config
