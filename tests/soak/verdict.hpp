// The end of a soak: the table of figures, the promises checked one by one, and the line "N passed, M failed".
#pragma once

#include "tests/soak/tally.hpp"

#include <string>
#include <vector>

namespace pg_edge::soak {

class verdict {
public:
  /// One promise: kept or not, and what was seen.
  void check(const std::string& promise, bool kept, const std::string& seen);
  /// A promise that a list of sentences disproves.
  void check_none(const std::string& promise, const std::vector<std::string>& against);
  /// Prints figures, promises and the last line; the exit status.
  int print(const tally& all) const;

private:
  struct row {
    std::string promise, seen;
    bool kept;
  };
  std::vector<row> rows_;
};

} // namespace pg_edge::soak
