// The settings of the log put into force, at the start and by each reload: where it goes, how lines look, how many.
#pragma once

#include "config/settings.hpp"

#include <string>

namespace pg_edge::actors {

/// Opens `logfile` anew, also if its name is the same: who rotates logs has moved the old one away. False, with the
/// reason, if it cannot be opened; then the log goes on where it went before, and all else is in force.
bool set_up_log(const config::settings& settings, std::string& error);

/// Whether the journal reads standard error, as it says itself in JOURNAL_STREAM.
bool journal_reads_stderr();

} // namespace pg_edge::actors
