// Everything there is to see of a node, gathered at one moment: what console, admin API and metrics show. It never
// changes once it is there, so all of them, on whatever threads, may read the same one.
#pragma once

#include "actors/console_stats.hpp"
#include "actors/messages.hpp"
#include "actors/pool_gates.hpp"
#include "actors/reactor.hpp"
#include "config/settings.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace pg_edge::actors {

struct node_view {
  view_need need = view_need::nothing; // what was asked for: the rest is empty
  bool complete = true;                // false: some part of the tree has not answered in time
  std::shared_ptr<const config::settings> settings;
  std::vector<share_snapshot> shares;
  std::vector<client_row> console_clients; // only if clients were asked for
  std::size_t console_client_count = 0;
  std::int64_t clients = 0; // connected, logins under way included
  bool draining = false;
  std::vector<reactor_counters> reactors;
  const pool_gates* gates = nullptr;         // what is paused or disabled, as it is when one looks; null: nothing
  std::shared_ptr<const stats_ledger> stats; // a copy, taken with the rest
  stats_ledger::clock::time_point now{};
};

using node_view_ptr = std::shared_ptr<const node_view>;

} // namespace pg_edge::actors
