// A connection of our own to Postgres for auth_query, through libpq and never waiting: lookup_thread says when its
// socket is ready or its time is up. It asks one question at a time and stays open for the next.
//
//   connecting --> idle <--> asking          over: from anywhere; whoever waits has been answered
#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pg_edge::actors {

/// What libpq is told: names and values of its connection parameters.
using libpq_options = std::vector<std::pair<std::string, std::string>>;

struct lookup_job {
  std::uint64_t id = 0;
  std::string connection; // jobs with the same text share a connection: it tells everything that matters for one
  libpq_options options;  // for when there is none yet
  std::chrono::steady_clock::duration connect_limit{};
  std::string query;
  std::string user; // $1
};

enum class lookup_answer : std::uint8_t {
  row,         // the user is there
  no_row,      // there is no such user
  unreachable, // Postgres is away, or not ready: worth trying again
  failed,      // it refused us, or the query is wrong
};

struct lookup_result {
  std::uint64_t id = 0;
  lookup_answer answer = lookup_answer::failed;
  std::string secret; // empty: NULL
  std::string why;    // unreachable, failed: with the server's own message; no_row: if that is strange
};

class lookup_connection {
public:
  using clock = std::chrono::steady_clock;
  using results = std::vector<lookup_result>;

  /// A connection without a question for so long is closed.
  static constexpr std::chrono::seconds idle_limit{60};
  /// An answer that takes longer will not come.
  static constexpr std::chrono::seconds query_limit{10};
  /// Questions that may wait for one connection.
  static constexpr std::size_t max_queue = 10'000;

  /// Begins to connect.
  lookup_connection(const lookup_job& first, clock::time_point now);

  /// One more question; answered at once, in `out`, when too many wait.
  void ask(lookup_job job, clock::time_point now, results& out);
  /// Goes on as far as it can. `ready`: the socket has what wanted_events() asked for.
  void step(bool ready, clock::time_point now, results& out);

  int descriptor() const { return PQsocket(handle_.get()); }
  short wanted_events() const { return events_; }
  /// When step() is due even if nothing comes.
  clock::time_point deadline() const { return deadline_; }
  bool idle() const { return state_ == state::idle; }
  bool over() const { return state_ == state::over; }
  clock::time_point idle_since() const { return idle_since_; }

private:
  enum class state : std::uint8_t { connecting, idle, asking, over };

  void go_on_connecting(clock::time_point now, results& out);
  void ask_next(clock::time_point now, results& out);
  void go_on_asking(clock::time_point now, results& out);
  void answer(clock::time_point now, results& out);
  lookup_result judge(const PGresult* result) const;
  void fail(lookup_answer how, const std::string& why, results& out);

  std::unique_ptr<PGconn, void (*)(PGconn*)> handle_;
  std::unique_ptr<PGresult, void (*)(PGresult*)> result_;
  std::deque<lookup_job> queue_; // the first is being asked
  state state_ = state::connecting;
  short events_ = 0;
  clock::time_point deadline_, idle_since_{};
};

/// The SQLSTATE in what libpq says about a failed connection, in its verbose form; empty if the server gave none.
std::string sqlstate_in(const std::string& message);

} // namespace pg_edge::actors
