// A TCP proxy that does to connections what networks do: it delays, throttles, splits, merges, cuts, resets and
// swallows, steered while it runs and repeatable by a seed. It stands on either side of pg_edge: before it (client ->
// proxy -> pg_edge) or behind it (pg_edge -> proxy -> Postgres).
#pragma once

#include "tests/support/process.hpp"

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace pg_edge::test {

/// Which bytes: those that the connecting side sends, those that it gets, or all.
enum class heading { to_target, to_origin, both };

/// In which pieces bytes go on. Every piece is a segment of its own.
enum class pieces {
  as_read,
  single_bytes,
  random_sizes, // 1 to 1,400 bytes, small ones more often
  merged,       // held for fault_proxy::merge_time, then sent at once
};

/// How a connection ends for the side that is named with it.
enum class ending {
  fin,    // closed in order, perhaps in the midst of a message
  reset,  // RST: what it has not read yet is lost
  vanish, // neither FIN nor RST nor an acknowledgement ever again, as when the peer's machine loses its power
};

/// The two ends of a connection: who connected to the proxy, and what the proxy connected to.
enum class side { origin, target };

/// How the bytes of one heading travel.
struct way {
  milliseconds delay{0};
  std::size_t bytes_per_second = 0; // 0: as fast as it goes
  pieces in = pieces::as_read;
  bool stopped = false; // taken from the sender's socket no more; acknowledged by the kernel as long as it has room
  std::size_t end_after = 0; // bytes from now on, after which it ends as the two below say; 0: never
  ending how = ending::fin;
  side whose = side::origin;
};

class fault_proxy {
public:
  static constexpr milliseconds merge_time{20};

  /// Relays connections to a port of 127.0.0.1, bytes as they come. A small receive buffer makes a stopped connection
  /// block its sender soon. Throws test_failure when it cannot listen.
  explicit fault_proxy(std::uint16_t to, unsigned seed = 1, int receive_buffer = 0);
  ~fault_proxy();
  fault_proxy(const fault_proxy&) = delete;
  fault_proxy& operator=(const fault_proxy&) = delete;

  std::uint16_t port() const { return port_; }
  /// Connections taken ever, and those open now (those that vanished are not).
  int accepted() const { return accepted_; }
  int open() const { return open_; }
  /// Far ends of ended connections that have not closed their side yet: backends that do not know it, for example.
  int orphans() const { return orphans_; }
  /// Connections that vanished so long ago or less: their far ends may still be there.
  int vanished_within(milliseconds time) const;
  std::uint64_t bytes() const { return bytes_; }

  // -- for all connections, those to come included
  void set(heading which, const way& how);
  /// Bytes as they come again, on all connections that are still there; nothing is refused any more.
  void clear();
  /// New connections are reset at once.
  void refuse(bool on);
  /// New connections are accepted and heard, and never relayed or answered.
  void ignore_new(bool on);

  // -- for single ones
  /// Numbers of the open connections, oldest first; they count from 1.
  std::vector<int> connections() const;
  void set(int connection, heading which, const way& how);

  // -- ends
  /// Ends a connection for one side. The other side gets a FIN and is heard, without an answer, until it closes;
  /// `vanish` is for both.
  void end(int connection, ending how, side whose);
  void end_all(ending how, side whose);

private:
  using clock = std::chrono::steady_clock;
  struct flow;
  struct link;

  void serve();
  void take_new();
  link* find(int connection);
  void end_link(link& which, ending how, side whose);
  void finish_if_done(link& which);
  void pump(link& which, flow& one, clock::time_point now);
  void read_some(link& which, flow& one, clock::time_point now);
  bool send_piece(link& which, flow& one, clock::time_point now);
  std::size_t piece_size(const flow& one);
  void hear_orphans();
  int wait_milliseconds(clock::time_point now);
  void wake();

  std::uint16_t to_, port_ = 0;
  int listening_ = -1, waker_ = -1;
  mutable std::mutex lock_; // over all below
  std::mt19937 random_;
  std::list<link> links_;
  way ways_[2];
  bool refusing_ = false, ignoring_ = false;
  std::vector<int> far_ends_; // see orphans()
  std::vector<int> gone_;     // vanished: kept, so that nobody answers for them
  std::vector<clock::time_point> vanished_at_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> accepted_ = 0, open_ = 0, orphans_ = 0;
  std::atomic<std::uint64_t> bytes_ = 0;
  std::thread thread_;
};

} // namespace pg_edge::test
