// The Unix socket between the old and the new process of a node: frames of cluster/handover with descriptors beside
// them, without waiting. Used by one thread.
#pragma once

#include "cluster/handover.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace pg_edge::actors {

/// A descriptor that is closed with its owner.
class owned_fd {
public:
  owned_fd() = default;
  explicit owned_fd(int fd) : fd_(fd) {}
  owned_fd(owned_fd&& from) noexcept : fd_(std::exchange(from.fd_, -1)) {}
  owned_fd& operator=(owned_fd&& from) noexcept {
    if (this != &from) reset(std::exchange(from.fd_, -1));
    return *this;
  }
  ~owned_fd() { reset(); }
  /// Another descriptor of the same file; empty with errno set when there is none.
  static owned_fd copy_of(int fd);
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);
  explicit operator bool() const { return fd_ >= 0; }

private:
  int fd_ = -1;
};

/// Who is at the other end of a Unix socket.
struct peer_identity {
  pid_t pid = 0;
  uid_t uid = 0;
};
std::optional<peer_identity> peer_of(int fd);

class handover_channel {
public:
  struct received {
    cluster::handover_frame frame;
    owned_fd descriptor;
  };

  /// `fd`: connected; it becomes non-blocking.
  explicit handover_channel(owned_fd fd);

  int fd() const { return fd_.get(); }
  /// `mark` comes back from flush() once the whole frame is with the kernel; 0: nobody asks.
  void send(const cluster::handover_frame& frame, owned_fd descriptor = {}, std::uint64_t mark = 0);
  bool wants_write() const { return !out_.empty(); }
  /// Writes what the socket takes. False: the connection is over. `written`: marks of frames that have gone.
  bool flush(std::vector<std::uint64_t>& written);
  /// Takes what has come. False: the connection is over, and `why` says more than that it was closed.
  bool receive(std::vector<received>& frames, std::string& why);

  /// For the opening words, before there is a thread to wait for events: everything that is to be sent goes.
  bool flush_now(std::chrono::milliseconds limit);
  /// ... and the next frame, or nothing: `why` says.
  std::optional<received> next(std::chrono::milliseconds limit, std::string& why);

private:
  struct outgoing {
    cluster::bytes bytes;
    std::size_t sent = 0;
    owned_fd descriptor;
    std::uint64_t mark = 0;
  };
  bool read_some(std::string& why);

  owned_fd fd_;
  std::deque<outgoing> out_;
  cluster::bytes in_;
  std::size_t used_ = 0; // of in_
  std::deque<owned_fd> descriptors_;
  std::deque<received> early_; // received with another one that next() gave
};

} // namespace pg_edge::actors
