// What speaks for or against the promises at the end of a soak: what its crowds have seen, what stands in logs, what
// sanitizers have reported.
#pragma once

#include "tests/soak/tally.hpp"
#include "tests/support/crowd.hpp"

#include <memory>
#include <string>
#include <vector>

namespace pg_edge::soak {

/// Their figures; what they complain of becomes a failure.
void add_up(tally& all, const std::vector<std::unique_ptr<crowd>>& crowds);
/// The fates of all rows.
void add_up(tally& all, const ledger& rows);

/// Lines that no run may log, whatever disturbs it. `expected`: events of level=error that do not count.
std::vector<std::string> log_failures(const std::string& log, const std::vector<std::string>& expected = {});

/// Files in the folder with anything in them.
std::vector<std::string> reports_in(const std::string& folder);

/// "3 after the warm-up, 4 at the end".
std::string change(long before, long after);

} // namespace pg_edge::soak
