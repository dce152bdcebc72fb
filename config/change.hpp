// One global setting given another value while the node runs (SET on the console): the same rules as in the file, on a
// copy of the settings in force.
#pragma once

#include "config/settings.hpp"

namespace pg_edge::config {

struct changed_settings {
  std::shared_ptr<const settings> value; // null: refused
  std::string why;                       // then: what is wrong and what to do
};

/// `text` as pgbouncer's SET takes it, without quotes. Only what a reload can change is taken.
changed_settings with_setting(const settings& now, std::string_view key, std::string_view text);

} // namespace pg_edge::config
