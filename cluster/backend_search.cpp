#include "cluster/backend_search.hpp"

#include <algorithm>

namespace pg_edge::cluster {

namespace {
/// What a roster's age may be wrong by: it was a while under way, and the login had ended before it was noted.
constexpr std::int64_t slack_ms = 2000;
/// A roster is sent this long after a login at the latest, with the login itself.
constexpr std::int64_t roster_delay_ms = 5000;
} // namespace

backend_search search_backends(const std::vector<listed_backend>& listed, const dead_life_backends& dead) {
  backend_search result;
  for (const listed_backend& one : listed) {
    const bool known = std::any_of(dead.roster.begin(), dead.roster.end(), [&](const listed_backend& entry) {
      return entry.pid == one.pid && one.age_ms + slack_ms >= entry.age_ms;
    });
    if (known) {
      result.to_end.push_back(one.pid);
      continue;
    }
    if (dead.of_others.contains(one.pid)) continue;
    const bool too_young = one.age_ms + slack_ms < dead.departed_ms;
    const bool too_old = dead.roster_age_ms && one.age_ms > *dead.roster_age_ms + roster_delay_ms;
    if (!too_young && !too_old) result.to_wait_for.push_back(one.pid);
  }
  return result;
}

} // namespace pg_edge::cluster
