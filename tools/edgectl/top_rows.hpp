// The rows of pg_edgectl top: what the node has counted over its last second, ten seconds or minute (/v1/throughput),
// with how pools stand now (/v1/pools) beside it. Columns are a table: heading, key that sorts by it, value.
#pragma once

#include "tools/edgectl/api.hpp"

#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::edgectl::top {

/// A row has figures by column; what is not known of it (a client's waits) is not there.
struct line {
  std::string name;
  std::map<std::string_view, double> figures;

  std::optional<double> value(std::string_view column) const {
    const auto found = figures.find(column);
    return found == figures.end() ? std::nullopt : std::optional(found->second);
  }
};

enum class source : std::uint8_t { throughput, pools };

struct column_row {
  std::string_view name; // in --sort and --json
  std::string_view heading;
  char key;
  int digits;
  source from;
  std::string_view field;     // of the API
  double unit;                // so many of the field's are one of the column's
  bool longest = false;       // over several pools the greatest counts, not the sum
  std::string_view also = {}; // a field that is added
};
std::span<const column_row> columns();

struct grouping_row {
  std::string_view name; // in --by
  std::string_view path; // of /v1/throughput
};
std::span<const grouping_row> groupings();

inline constexpr std::array<std::string_view, 3> windows{"1", "10", "60"};

struct wish {
  std::size_t sort = 0; // of columns()
  bool reversed = false;
  std::size_t by = 0;     // of groupings()
  std::size_t window = 0; // of windows
};

/// In the order wished for. Pools without traffic are there too; clients only if they had some.
std::vector<line> look(api& node, const wish& what);

json json_of(const std::vector<line>& lines);

/// As wide and as high as fits; 0: no limit.
std::string drawn(const std::vector<line>& lines, const wish& how, std::size_t width, std::size_t height, bool colours);

} // namespace pg_edge::edgectl::top
