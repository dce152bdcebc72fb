// The thread that talks to name servers, with c-ares: any number of look-ups are under way at once, and nobody waits in
// a getaddrinfo(). /etc/hosts comes first. resolv.conf is read again when it has changed, so a container whose name
// servers move is not stuck with the old ones.
#pragma once

#include "cluster/name_cache.hpp"

#include <ares.h>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace pg_edge::actors {

struct dns_question {
  std::uint64_t id = 0;
  std::string name;                          // to addresses, or
  std::optional<config::ip_address> address; // to a name
};

struct dns_result {
  std::uint64_t id = 0;
  cluster::family_answer v4, v6; // of a name
  std::string name;              // of an address; empty: it has none that anybody knows
  bool partial = false;          // one family is found, the other one's answer follows with the whole
};

class dns_thread {
public:
  using report = std::function<void(dns_result)>;

  /// One name server is given so long for its first answer; it is asked so often, with twice the time each time.
  static constexpr int first_try_ms = 1000;
  static constexpr int tries = 3;

  /// `resolv_conf`: empty means the system's. `on_result` is called on the thread, once for each question and before
  /// that perhaps with a part of the answer, but not for questions under way when the thread ends.
  dns_thread(std::string resolv_conf, report on_result);
  ~dns_thread();
  dns_thread(const dns_thread&) = delete;
  dns_thread& operator=(const dns_thread&) = delete;

  /// From any thread.
  void ask(dns_question what);

private:
  class channel;
  struct file_state {
    std::int64_t seconds = 0, nanoseconds = 0, size = -1;
    std::uint64_t inode = 0;
    friend bool operator==(const file_state&, const file_state&) = default;
  };

  void run();
  void wake();
  bool take_inbox(std::list<dns_question>& out);
  file_state look_at_file() const;
  channel& current();
  void watch();

  const std::string file_;
  report on_result_;
  int wake_up_ = -1; // an eventfd
  std::mutex mutex_;
  std::list<dns_question> inbox_;
  bool stopping_ = false;
  file_state read_;                              // this and what follows is the thread's own
  std::list<std::unique_ptr<channel>> channels_; // the last one takes questions, the others finish theirs
  std::thread thread_;
};

} // namespace pg_edge::actors
