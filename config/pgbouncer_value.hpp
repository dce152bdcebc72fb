// What pgbouncer's names and values mean in our terms, where the same text would mean something else here.
#pragma once

#include "config/setting_table.hpp"

#include <string>
#include <string_view>

namespace pg_edge::config {

/// Our name of pgbouncer's key; most are the same.
std::string_view our_name(std::string_view key, section where);

struct pgbouncer_value {
  std::string value; // as text that our reader understands
  std::string why;   // not empty: the value has no equivalent
};

/// A value of pgbouncer's in the section it stands in. Whether it is a good one is for the reader to say.
pgbouncer_value translate(const setting_row& row, section where, std::string_view raw);

} // namespace pg_edge::config
