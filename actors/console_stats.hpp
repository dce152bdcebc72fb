// The counters of shares over time: totals that never go back when a share ends, and averages over the last period.
// Pure; the console feeds it.
#pragma once

#include "actors/messages.hpp"

#include <chrono>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace pg_edge::actors {

/// What an average is taken over.
enum class average_over : std::uint8_t { seconds, transactions, queries, assignments };

/// A counter and its names in the commands that show it, as pgbouncer has them.
struct count_row {
  std::uint64_t share_counts::*member;
  average_over over;
  std::string_view total;         // SHOW STATS
  std::string_view average;       // SHOW STATS
  std::string_view totals_name;   // SHOW STATS_TOTALS
  std::string_view averages_name; // SHOW STATS_AVERAGES
  std::string_view short_name;    // SHOW TOTALS, behind "total_" and "avg_"
};

// One row a counter, in pgbouncer's order.
inline constexpr count_row count_rows[] = {
    {&share_counts::server_assignment_count, average_over::seconds, "total_server_assignment_count",
     "avg_server_assignment_count", "server_assignment_count", "server_assignment_count", "server_assignment_count"},
    {&share_counts::xact_count, average_over::seconds, "total_xact_count", "avg_xact_count", "xact_count", "xact_count",
     "xact_count"},
    {&share_counts::query_count, average_over::seconds, "total_query_count", "avg_query_count", "query_count",
     "query_count", "query_count"},
    {&share_counts::received, average_over::seconds, "total_received", "avg_recv", "bytes_received", "bytes_received",
     "client_bytes"},
    {&share_counts::sent, average_over::seconds, "total_sent", "avg_sent", "bytes_sent", "bytes_sent", "server_bytes"},
    {&share_counts::xact_time, average_over::transactions, "total_xact_time", "avg_xact_time", "xact_time", "xact_time",
     "xact_time"},
    {&share_counts::query_time, average_over::queries, "total_query_time", "avg_query_time", "query_time", "query_time",
     "query_time"},
    {&share_counts::wait_time, average_over::assignments, "total_wait_time", "avg_wait_time", "wait_time", "wait_time",
     "wait_time"},
    {&share_counts::client_parse_count, average_over::seconds, "total_client_parse_count", "avg_client_parse_count",
     "client_parse_count", "avg_client_parse_count", "ps_client_parse_count"},
    {&share_counts::server_parse_count, average_over::seconds, "total_server_parse_count", "avg_server_parse_count",
     "server_parse_count", "avg_server_parse_count", "ps_server_parse_count"},
    {&share_counts::bind_count, average_over::seconds, "total_bind_count", "avg_bind_count", "bind_count",
     "avg_bind_count", "ps_bind_count"},
    {&share_counts::client_login_count, average_over::seconds, "total_client_login_count", "avg_client_login_count",
     "client_login_count", "avg_client_login_count", "client_login_count"},
};

/// tenant and database.
using database_key = std::pair<std::string, std::string>;

class stats_ledger {
public:
  using clock = std::chrono::steady_clock;

  /// What a share answered; `share` is never used again for another.
  struct sample {
    caf::actor_id share = 0;
    database_key database;
    share_counts counts;
  };
  struct line {
    share_counts total, average;
  };

  explicit stats_ledger(clock::time_point started) : older_{started, {}}, newer_{started, {}} {}

  /// Takes in what shares answered. `listed` are all shares there are, whether they answered or not, if `complete`:
  /// those that are not there any more count with what they said last.
  void note(const std::vector<sample>& answers, std::span<const caf::actor_id> listed, bool complete);
  /// A period has passed.
  void tick(clock::time_point now);

  /// Per database, since the node started; averages from the beginning of the last whole period to now.
  std::map<database_key, line> lines(clock::time_point now) const;
  /// Over all databases.
  line sum(clock::time_point now) const;

private:
  using totals = std::map<database_key, share_counts>;
  struct moment {
    clock::time_point at;
    totals counts;
  };

  totals current() const;

  std::map<caf::actor_id, sample> living_;
  totals ended_; // of shares that are gone
  moment older_, newer_;
};

} // namespace pg_edge::actors
