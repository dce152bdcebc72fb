// What passes per second and how long it takes: of each pool and each client over the last second, ten seconds and
// minute, summed by tenant, database, user or pool for who asks. Pure; the metrics actor feeds it what the reactors'
// meters have read. What was idle for a minute is forgotten, so its size follows the traffic and not the number of
// connections: about 2 KiB a busy pool, 1 KiB a busy client.
#pragma once

#include "actors/meter_reading.hpp"
#include "actors/window_ring.hpp"

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pg_edge::actors {

/// What happened in a pool during a slot of time.
struct pool_figures {
  std::uint64_t queries = 0, transactions = 0, received = 0, sent = 0;
  sparse_histogram query, transaction, wait;

  bool empty() const { return queries == 0 && received == 0 && sent == 0 && transactions == 0 && wait.empty(); }
  void merge(const pool_figures& other);
  void fold(const pool_figures& other, std::uint64_t) { merge(other); }
};

/// The same of a client. It keeps some of its durations; the others are taken to be like them.
struct client_figures {
  std::uint32_t queries = 0, transactions = 0;
  std::uint64_t received = 0, sent = 0, query_time = 0;
  std::uint8_t durations = 0;
  std::array<std::uint8_t, kept_durations> recent{};

  bool empty() const { return queries == 0 && received == 0 && sent == 0 && transactions == 0; }
  void fold(const client_figures& other, std::uint64_t part);
};

/// By what throughput is summed.
enum class throughput_by : std::uint8_t { tenant, database, user, pool, client };

struct throughput_row {
  pool_name name;                     // what is summed over is empty
  std::uint64_t client = 0;           // its id
  std::string addr, application_name; // of a client
  window over = window::ten_seconds;
  double queries = 0, transactions = 0, received = 0, sent = 0; // a second
  std::uint64_t query_time = 0;                                 // microseconds, the mean
  sparse_histogram query, transaction, wait;                    // of a client: only `query`, from a sample
};

/// A column of SHOW THROUGHPUT, and what ORDER BY sorts by; descending unless said otherwise.
struct throughput_column {
  std::string_view name;
  std::string_view help;
  std::string (*text)(const throughput_row&) = nullptr;     // of a name
  std::uint64_t (*number)(const throughput_row&) = nullptr; // of a figure
  double (*exact)(const throughput_row&) = nullptr;         // to sort by, where the figure is rounded
  bool (*known)(const throughput_row&) = nullptr;           // null: always; else where it is not there is NULL
};
std::span<const throughput_column> throughput_columns();
/// Null: there is none.
const throughput_column* find_throughput_column(std::string_view name);

struct throughput_question {
  throughput_by by = throughput_by::tenant;
  window over = window::ten_seconds;
  const throughput_column* order = nullptr; // null: queries a second
  bool ascending = false;
  std::size_t limit = 0; // 0: all
};
/// "TENANT|DATABASE|USER|POOL|CLIENT", "OVER 1|10|60", "ORDER BY column [ASC|DESC]", "LIMIT n", each once at most and
/// in any order; not a value: `fault` says why.
struct throughput_request {
  throughput_question question;
  std::string fault;
};
throughput_request read_throughput_question(const std::vector<std::string>& words);

class throughput_ledger {
public:
  using clock = window_clock::clock;
  /// Clients beyond these are not told apart until others have been idle for a minute; their pools count them all the
  /// same.
  static constexpr std::size_t most_clients = 20'000;

  explicit throughput_ledger(clock::time_point started) : clock_(started) {}

  void take(const meter_reading& reading);
  /// About every second: what was taken since the last time makes a slot.
  void tick(clock::time_point now);

  std::vector<throughput_row> rows(const throughput_question& question) const;
  /// Queries in the last minute, by tenant: who is the busiest.
  std::map<std::string, std::uint64_t> busiest() const;
  const window_clock& times() const { return clock_; }
  std::size_t pools() const { return pools_.size(); }
  std::size_t clients() const { return clients_.size(); }

private:
  struct client_record {
    std::shared_ptr<const client_identity> who;
    std::uint64_t queries = 0, transactions = 0, received = 0, sent = 0, query_time = 0; // as last read
    window_ring<client_figures> ring;
  };

  void take_client(const client_growth& grown);
  std::vector<throughput_row> pool_rows(throughput_by by, window over) const;
  std::vector<throughput_row> client_rows(window over) const;

  window_clock clock_;
  std::map<pool_name, window_ring<pool_figures>> pools_;
  std::unordered_map<std::uint64_t, client_record> clients_;
};

} // namespace pg_edge::actors
