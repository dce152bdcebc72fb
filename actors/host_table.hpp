// What all pools of the node know about the hosts of their databases: which failed lately, how many servers each pool
// has where, and which addresses a host name has now. It exists so that shares on all reactors spread their servers
// together, and learn without a message each that a name has moved. What is decided stands in cluster/host_health.
#pragma once

#include "actors/messages.hpp"
#include "cluster/host_health.hpp"
#include "config/network.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace pg_edge::actors {

class host_table;

/// That a pool has, or is about to have, a server at some place; given back by the destructor. Any thread.
class host_seat {
public:
  host_seat() = default;
  host_seat(host_seat&& other) noexcept { *this = std::move(other); }
  host_seat& operator=(host_seat&& other) noexcept;
  ~host_seat() { leave(); }
  void leave();
  const std::string& place() const { return place_; }

private:
  friend class host_table;
  host_table* table_ = nullptr;
  std::uint64_t pool_ = 0;
  std::string place_;
};

class host_table {
public:
  using clock = std::chrono::steady_clock;

  host_table();

  /// Which of `places` a pool's next server tries, and its seat there. See cluster::host_health::choose().
  std::pair<std::size_t, host_seat> choose(std::uint64_t pool, const std::vector<std::string>& places, bool balance,
                                           clock::time_point now);
  /// True: it was well before.
  bool failed(const std::string& place, clock::time_point now);
  /// True: it had failed before.
  bool succeeded(const std::string& place);

  // -- host names
  /// The addresses that a name has from now on.
  void set_addresses(const std::string& name, std::vector<config::ip_address> addresses);
  /// Changes whenever an address of some name has gone.
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  /// Whether the name by which this address was found has it no more.
  bool moved(const server_address& address) const;
  /// Whether some pool has servers at this host.
  bool in_use(const std::string& name) const;

  /// As choose() and the log call a host, and one of its addresses.
  static std::string place_of(const std::string& host, std::uint16_t port);
  static std::string place_of(const server_address& address);

private:
  friend class host_seat;
  void leave(std::uint64_t pool, const std::string& place);

  mutable std::mutex mutex_;
  cluster::host_health health_;
  std::map<std::pair<std::string, std::uint64_t>, std::uint32_t> servers_; // by place and pool
  std::map<std::string, std::vector<config::ip_address>, std::less<>> names_;
  std::atomic<std::uint64_t> version_{1};
};

/// The number of an IPv4 or IPv6 address; nothing for a Unix socket.
std::optional<config::ip_address> ip_of(const sockaddr_storage& address);

} // namespace pg_edge::actors
