// What is counted on reactors and how it leaves them: each share and client counts into plain members of its own, and
// once a second the meter of their reactor (actors/meter) reads what has grown and sends it away. Nothing is shared
// between threads, and a pool or client without traffic costs nothing but a look.
#pragma once

#include "actors/histogram.hpp"
#include "actors/messages.hpp"
#include "actors/reactor.hpp"
#include "protocol/error_tally.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pg_edge::actors {

// -- pools
// ------------------------------------------------------------------------------------------------------------------

/// What is measured of a pool.
enum class timed : std::uint8_t {
  wait,         // from a client's check-out to its server
  query,        // from what a client sends to the last answer owed for it
  transaction,  // a client has its server
  login,        // from a client's connection to its first ReadyForQuery
  server_login, // from the beginning of a connection to Postgres until it can be handed out
};
inline constexpr std::size_t timed_count = 5;

using timed_histograms = std::array<sparse_histogram, timed_count>;

/// What has grown in a share since it was last read.
struct pool_growth {
  pool_name name;
  config::pool_mode mode = config::pool_mode::session;
  share_counts counts;
  timed_histograms times;
  std::vector<protocol::error_count> errors;
};

/// How a share stands now.
struct pool_state {
  pool_name name;
  config::pool_mode mode = config::pool_mode::session;
  std::uint32_t size = 0; // pool_size
  std::uint32_t permits = 0;
  std::uint32_t clients_idle = 0, clients_active = 0, clients_waiting = 0;
  std::uint32_t servers_idle = 0, servers_active = 0, servers_login = 0, servers_closing = 0;
  std::chrono::microseconds max_wait{};
};

/// The durations counted in one share. Most shares of a large node are idle, so the buckets are there only while they
/// are used: allocated with the first of them, freed after a minute without any.
class share_times {
public:
  /// What a duration is counted as: worked out once, for the share and its client.
  struct measured {
    std::uint64_t us = 0;
    std::size_t bucket = 0;
  };
  static measured measure(std::chrono::steady_clock::duration span) noexcept {
    if (span <= std::chrono::steady_clock::duration::zero()) return {}; // begun and over in one turn
    const auto us = static_cast<std::uint64_t>(span.count()) / clock_ticks_per_us;
    return {us, duration_bucket::of(us)};
  }

  void note(timed what, const measured& took) noexcept {
    const auto place = static_cast<std::size_t>(what);
    if (buckets_ == nullptr && !make_buckets()) return;
    sums_[place] += took.us;
    (*buckets_)[place].note(took.bucket);
  }
  void drain(timed_histograms& into);
  /// Of all ever noted, in microseconds.
  std::uint64_t sum(timed what) const noexcept { return sums_[static_cast<std::size_t>(what)]; }

private:
  static constexpr std::uint64_t clock_ticks_per_us =
      static_cast<std::uint64_t>(std::chrono::steady_clock::period::den / std::micro::den);
  static_assert(std::chrono::steady_clock::period::num == 1 && clock_ticks_per_us > 0);

  static constexpr unsigned quiet_readings = 60;
  bool make_buckets() noexcept;

  std::unique_ptr<std::array<duration_histogram, timed_count>> buckets_;
  std::array<std::uint64_t, timed_count> sums_{}, drained_{}; // ever; as of the last reading
  unsigned quiet_ = 0;                                        // readings that found nothing
};

// -- clients
// ----------------------------------------------------------------------------------------------------------------

/// Of the queries of one client's second only so many durations are kept.
inline constexpr std::size_t kept_durations = 16;

/// What a client counts.
struct client_counts {
  std::uint64_t received = 0, sent = 0; // bytes from and to it
  std::uint64_t query_time = 0;         // microseconds
  std::uint32_t answered = 0;           // queries with a duration, modulo 2^32
  std::array<std::uint8_t, kept_durations>
      recent{}; // duration_bucket of the last ones; answered % 16 is the next place
  // as of the last reading:
  std::uint32_t read_answered = 0;
  std::uint32_t told_at = 0; // number of the reading in which its name was last told; 0: never
  std::uint64_t read_bytes = 0;

  void note_query(const share_times::measured& took) noexcept {
    query_time += took.us;
    recent[answered++ % kept_durations] = static_cast<std::uint8_t>(took.bucket);
  }
};

/// Who a client is.
struct client_identity {
  pool_name name; // its pool, with the client's own user
  std::string addr, application_name;
  std::uint16_t port = 0;
};

struct client_growth {
  std::uint64_t id = 0;
  std::uint64_t queries = 0, transactions = 0, received = 0, sent = 0, query_time = 0; // since it logged in
  std::uint8_t durations = 0;
  std::array<std::uint8_t, kept_durations> recent{}; // the first `durations` of them
  std::shared_ptr<const client_identity> who;        // now and then, see client_counts::told_at
};

// -- a reactor's reading
// ----------------------------------------------------------------------------------------------------

/// To the meter of a reactor.
struct read_meter {
  std::uint64_t round = 0;
  bool states = false; // of pools: for who wants to know how things stand
  caf::actor to;       // is sent meter_reading
};

struct meter_reading {
  std::uint64_t round = 0;
  unsigned reactor = 0;
  reactor_counters counters;
  std::vector<pool_growth> pools;
  bool has_states = false;
  std::vector<pool_state> states; // of every share
  std::vector<client_growth> clients;
  std::vector<std::uint64_t> gone;           // clients that have left
  std::vector<protocol::error_count> errors; // sent to clients that belong to no pool yet
};

} // namespace pg_edge::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::read_meter)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::meter_reading)
