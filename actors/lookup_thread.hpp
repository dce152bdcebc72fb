// The thread on which auth_query runs: every connection of lookup_connection is watched here with poll(), so that
// neither reactors nor CAF's scheduler wait for a server. There is one thread a node, made at the first question.
#pragma once

#include "actors/lookup_connection.hpp"

#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

namespace pg_edge::actors {

class lookup_thread {
public:
  using clock = lookup_connection::clock;
  using report = std::function<void(lookup_result)>;

  /// Connections that may be open at the same time; a question for one more waits until an idle one is closed.
  static constexpr std::size_t max_connections = 256;

  /// `on_result` is called on the thread, once for each job, except for those under way when the thread ends.
  explicit lookup_thread(report on_result);
  /// Closes everything and waits for the thread, which is never far from its end.
  ~lookup_thread();
  lookup_thread(const lookup_thread&) = delete;
  lookup_thread& operator=(const lookup_thread&) = delete;

  /// From any thread.
  void ask(lookup_job job);

private:
  using connections = std::unordered_map<std::string, lookup_connection>;

  void run();
  void wake();
  bool take_inbox(std::list<lookup_job>& out);
  void assign(std::list<lookup_job>& jobs, clock::time_point now);
  bool make_room();
  void watch(bool jobs_wait);
  void tell();

  report on_result_;
  int wake_up_ = -1; // an eventfd
  std::mutex mutex_;
  std::list<lookup_job> inbox_;
  bool stopping_ = false;
  connections open_; // this and what follows is the thread's own
  lookup_connection::results results_;
  std::thread thread_;
};

} // namespace pg_edge::actors
