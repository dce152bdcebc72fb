// What the process and its service manager (systemd) tell each other, by libsystemd: that it serves, reads its settings
// anew, stops, that another process is the service now; sockets that were opened for it; and that its reactors turn.
// Without a service manager nothing happens.
#pragma once

#include "actors/handover_channel.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

namespace pg_edge::actors {

class node_context;

namespace service_manager {

/// "READY=1", after the start and after a reload.
void ready(const std::string& status);
/// The settings are being read again; ready() follows.
void reloading();
void stopping(const std::string& status);
void status(const std::string& status);
/// Another process is the service from now on; what it says counts.
void main_process(pid_t other);

/// A listening socket that was there before us (LISTEN_FDS).
struct passed_socket {
  owned_fd fd;
  std::string door; // its FileDescriptorName, if that is the key of one of [listeners]; else empty: the global settings
  std::string name; // "127.0.0.1:6432", or a path
};
/// `doors`: the keys in [listeners]. Each socket is given once.
std::vector<passed_socket> passed_sockets(const std::vector<std::string>& doors);

/// How often the service manager wants to hear of us; 0: it does not.
std::chrono::microseconds watchdog_interval();

} // namespace service_manager

/// Tells the service manager, twice in the interval it wants, that each reactor has answered a message since the last
/// time. A reactor that hangs is so found by whoever can end the process.
class watchdog {
public:
  /// `interval`: 0 turns it off.
  void start(node_context& node, std::chrono::microseconds interval);
  /// Called a few times a second by the main thread.
  void look();
  std::chrono::microseconds interval() const { return interval_; }
  /// Rounds in which every reactor has answered.
  std::uint64_t rounds() const { return round_; }

private:
  using clock = std::chrono::steady_clock;
  node_context* node_ = nullptr;
  std::chrono::microseconds interval_{0};
  clock::time_point next_{};
  std::uint64_t round_ = 0;
  std::shared_ptr<std::atomic<std::uint64_t>> answers_; // of the present round
};

} // namespace pg_edge::actors
