// The etcd process of this node: started, looked at, started again when it ends, and found again when this node itself
// was killed and has come back. One thread does it all.
//
//   unfounded ──(found, join)──> starting ──> serving <──> silent
//       ^                          ^  │          │
//       └─(leave)                  │  └──────────┴──(it ends)──> pausing ──> starting ...
//
// - A data folder belongs to one process: it holds a lock on a file from its start to its end, whoever its parent is.
//   A node that finds the lock taken looks after the process that has it.
// - A cluster is founded by somebody who says so, never by itself, so two nodes can never found two of one name.
// - Members come by join() and go by leave(), not because one of them does not answer.
#pragma once

#include "actors/etcd_members.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <sys/types.h>
#include <thread>
#include <vector>

namespace pg_edge::actors {

enum class etcd_child_state : std::uint8_t { unfounded, starting, serving, silent, pausing };
std::string_view to_string(etcd_child_state state);

struct etcd_child_status {
  etcd_child_state state = etcd_child_state::unfounded;
  std::string why; // of silent and pausing
  pid_t pid = 0;
  bool adopted = false; // it was there before this node
  std::uint64_t starts = 0;
};

class etcd_child {
public:
  /// Starts it if it was founded before, or finds it running.
  /// `tell` is called with each change of its state, on its thread; for the log.
  explicit etcd_child(etcd_child_options options, std::function<void(const etcd_child_status&)> tell = {});
  /// Ends it, unless leave_running() was called: for a process that takes over.
  ~etcd_child();
  etcd_child(const etcd_child&) = delete;
  etcd_child& operator=(const etcd_child&) = delete;

  std::string endpoint() const { return scheme() + "://" + options_.client_address; }
  etcd_child_status status() const;
  bool founded() const;

  // -- these wait for etcd, so not for reactors; false: `error` says why
  // ---------------------------------------------------------

  /// A cluster of its own, with this member alone.
  bool found(std::string& error);
  /// A member of the cluster that is at these endpoints, with which it shares the authority.
  bool join(const std::vector<std::string>& endpoints, std::string& error);
  /// No member any more, with its data set aside. Not of the last member.
  bool leave(std::string& error);
  void leave_running() { stays_ = true; }

private:
  std::string scheme() const { return options_.scheme(); }
  std::string data_folder() const { return options_.folder + "/data"; }
  void loop();
  void step();
  void look();
  void set_state(etcd_child_state now, std::string why = {});
  bool take_lock();
  bool spawn(std::string& error);
  void adopt();
  void it_ended(const std::string& how);
  void end_it();
  bool gone();
  void set_aside();

  const etcd_child_options options_;
  const std::function<void(const etcd_child_status&)> tell_;
  mutable std::mutex mutex_; // of status_
  etcd_child_status status_;
  std::mutex doing_; // found, join and leave, one at a time, against a step of the thread
  int lock_ = -1;    // while no process has it
  std::chrono::steady_clock::time_point again_at_{}, look_at_{}, started_{}, heard_{};
  std::chrono::milliseconds pause_{0};
  std::atomic<bool> stopping_{false}, stays_{false};
  std::thread thread_;
};

} // namespace pg_edge::actors
