// Which Postgres backends of a pool belong to a dead life of a node, and whether any is left. Pure: what Postgres lists
// comes in as rows; times are ages, since clocks of machines are not compared.
//
// A backend is the dead life's if its roster names it: same pid, and not younger than the roster says (a pid that was
// used again belongs to a younger backend). One that nobody's roster names may have been opened by the dead life after
// its last roster: such a one is waited for, not ended, since it may as well be a person's session.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

namespace pg_edge::cluster {

struct listed_backend {
  std::int32_t pid = 0;
  std::int64_t age_ms = 0;
};

struct dead_life_backends {
  std::vector<listed_backend> roster;        // ages as of now
  std::set<std::int32_t> of_others;          // pids in the rosters of living nodes
  std::optional<std::int64_t> roster_age_ms; // since its last roster was heard; nothing: none was
  std::int64_t departed_ms = 0;              // since it was seen to have departed
};

struct backend_search {
  std::vector<std::int32_t> to_end;
  std::vector<std::int32_t> to_wait_for;
  [[nodiscard]] bool none_left() const { return to_end.empty() && to_wait_for.empty(); }
};

/// `listed`: the client backends of the pool's user in the pool's database, without the one that asks.
[[nodiscard]] backend_search search_backends(const std::vector<listed_backend>& listed, const dead_life_backends& dead);

} // namespace pg_edge::cluster
