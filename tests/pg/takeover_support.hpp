// What the tests of takeovers share: a pg_edge that can be taken over from, and processes of other versions on either
// side of the hand-over, played byte by byte (cluster/handover.hpp has the frames).
#pragma once

#include "tests/pg/restart_support.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace pg_edge::test {

inline constexpr int permits_of_pool = 4;

inline std::string takeover_toml(const std::string& settings = "", const std::string& tables = "") {
  return simple_toml("takeover_socket = \"{dir}/takeover.sock\"\nmax_client_conn = 1000\n" + settings, tables);
}

struct takeover_node : pg_edge_process {
  explicit takeover_node(const std::string& settings = "default_pool_size = " + std::to_string(permits_of_pool) + "\n",
                         const std::string& tables = "")
      : pg_edge_process((postgres::shared().wait_until_left(), takeover_toml(settings, tables))) {}
  bool former_ends(milliseconds limit = milliseconds(20'000)) {
    const auto status = former().wait(limit);
    BOOST_TEST((status && *status == 0), "the old process did not end by itself; its log:\n" << former_log());
    return status && *status == 0;
  }
};

// -- the other side
// ----------------------------------------------------------------------------------------------------------------

inline std::string text_bytes(const std::string& text) {
  return int32_bytes(static_cast<std::int32_t>(text.size())) + text;
}

/// A frame; with a descriptor it must be sent by send_with().
inline std::string frame_bytes(char type, const std::string& body = {}, bool descriptor = false) {
  return int32_bytes(static_cast<std::int32_t>(body.size()) + 2) + type + std::string(1, descriptor ? '\1' : '\0') +
         body;
}

inline std::string hello_bytes(int version, pid_t process = ::getpid()) {
  return frame_bytes('h', text_bytes("pg_edge hand-over") + int32_bytes(version) + text_bytes("9.9") +
                              int32_bytes(static_cast<std::int32_t>(process)));
}

struct handover_words {
  char type = 0;
  std::string body;
};

inline sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path.c_str());
  return address;
}

/// Somebody at one end of a socket of takeovers who says what a test wants. Descriptors that come along are dropped.
class stranger {
public:
  explicit stranger(int fd) : fd_(fd) {}
  /// As a new process, once the running one listens there.
  explicit stranger(const std::string& path) : stranger(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_un address = address_of(path);
    if (!wait_for([&] { return ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0; }))
      throw test_failure("cannot connect to " + path);
  }
  ~stranger() { ::close(fd_); }
  stranger(const stranger&) = delete;
  stranger& operator=(const stranger&) = delete;

  void say(const std::string& bytes) { fake_server::send_bytes(fd_, bytes); }
  void say_with(const std::string& bytes, int descriptor) {
    std::string copy = bytes;
    iovec piece{copy.data(), copy.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    if (::sendmsg(fd_, &message, MSG_NOSIGNAL) != static_cast<ssize_t>(copy.size()))
      throw test_failure("cannot send a descriptor");
  }
  /// What comes until it closes, or for a while.
  std::string hear() {
    wait_at_most(2);
    std::string all = std::exchange(heard_, {});
    for (std::string some = fake_server::take(fd_); !some.empty(); some = fake_server::take(fd_))
      all += some;
    return all;
  }
  /// The next frame; nothing if it closes, or says nothing for long.
  std::optional<handover_words> hear_frame() {
    wait_at_most(20);
    for (;;) {
      if (heard_.size() >= 6) {
        std::uint32_t length = 0;
        for (int i = 0; i < 4; ++i)
          length = length << 8 | static_cast<unsigned char>(heard_[static_cast<std::size_t>(i)]);
        if (heard_.size() >= 4 + length) {
          handover_words words{heard_[4], heard_.substr(6, length - 2)};
          heard_.erase(0, 4 + length);
          return words;
        }
      }
      const std::string some = fake_server::take(fd_);
      if (some.empty()) return std::nullopt;
      heard_ += some;
    }
  }
  /// Passes over frames until one of this type has come.
  std::optional<handover_words> hear_frame(char type) {
    auto words = hear_frame();
    while (words && words->type != type)
      words = hear_frame();
    return words;
  }

private:
  void wait_at_most(int seconds) {
    timeval limit{seconds, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }

  int fd_;
  std::string heard_;
};

} // namespace pg_edge::test
