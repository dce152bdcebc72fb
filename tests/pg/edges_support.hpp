// What the tests of start-up, cancel, time-outs, authentication and TLS share: the set-ups in which they run, and a
// TCP proxy that can stop relaying, to play a peer that hangs.
#pragma once

#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/pq.hpp"
#include "tests/support/wire_client.hpp"

#include <boost/test/unit_test.hpp>

#include <arpa/inet.h>
#include <atomic>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <list>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace pg_edge::test {

struct set_up {
  const char* mode;
  int reactors;
};
inline constexpr set_up every_set_up[] = {{"transaction", 1}, {"session", 1}, {"transaction", 2}, {"session", 2}};

inline std::string set_up_toml(const set_up& how, const std::string& settings = "", const std::string& tables = "") {
  return simple_toml("pool_mode = \"" + std::string(how.mode) + "\"\nreactors = " + std::to_string(how.reactors) +
                         "\n" + settings,
                     tables);
}

/// Runs the body with a node in each mode on one and on two reactors; a failure says in which.
template <class F>
void in_every_set_up(const std::string& settings, F body) {
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      pg_edge_process node(set_up_toml(how, settings));
      body(node);
      BOOST_TEST(node.running());
    }
  }
}

inline wire_client log_in(const pg_edge_process& node, const std::string& user = "trust_user",
                          const start_parameters& more = {}, std::int32_t protocol = protocol_3_0) {
  wire_client client(node.port());
  start_parameters parameters{{"user", user}, {"database", "app"}};
  parameters.insert(parameters.end(), more.begin(), more.end());
  client.startup(parameters, "", protocol);
  return client;
}

/// How long the body takes.
template <class F>
milliseconds time_of(F body) {
  const auto began = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began);
}

/// Backends of the shared Postgres that now run a statement which contains the text.
inline int running_like(const std::string& text, const postgres& server = postgres::shared()) {
  return std::stoi(server.query("select count(*) from pg_stat_activity where state = 'active' and pid <> "
                                "pg_backend_pid() and query like '%" +
                                text + "%'"));
}

inline bool waits_for_running(const std::string& text, int count, const postgres& server = postgres::shared()) {
  return wait_for([&] { return running_like(text, server) == count; });
}

/// Relays connections to a port of 127.0.0.1. While stalled it accepts, but neither reads nor writes.
class tcp_proxy {
public:
  explicit tcp_proxy(std::uint16_t to, const char* address = "127.0.0.1", int receive_buffer = 0) : to_(to) {
    listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (receive_buffer > 0) ::setsockopt(listening_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    ::inet_pton(AF_INET, address, &here.sin_addr);
    socklen_t length = sizeof here;
    if (::bind(listening_, reinterpret_cast<sockaddr*>(&here), length) != 0 || ::listen(listening_, 64) != 0 ||
        ::getsockname(listening_, reinterpret_cast<sockaddr*>(&here), &length) != 0)
      throw test_failure(std::string("the proxy cannot listen: ") + std::strerror(errno));
    port_ = ntohs(here.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~tcp_proxy() {
    stopping_ = true;
    thread_.join();
    for (link& one : links_) {
      ::close(one.ends[0]);
      ::close(one.ends[1]);
    }
    ::close(listening_);
  }
  tcp_proxy(const tcp_proxy&) = delete;
  tcp_proxy& operator=(const tcp_proxy&) = delete;

  std::uint16_t port() const { return port_; }
  void stall(bool on) { stalled_ = on; }
  /// Connections present now stay stalled for ever; those to come are relayed.
  void forget_present() { generation_ = ++newest_; }
  int accepted() const { return accepted_; }

private:
  struct link {
    int ends[2]; // the client's, the server's
    int born;
  };

  void take_new() {
    const int from = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (from < 0) return;
    ++accepted_;
    const int there = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in target{};
    target.sin_family = AF_INET;
    target.sin_port = htons(to_);
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(there, reinterpret_cast<sockaddr*>(&target), sizeof target) != 0) {
      ::close(from);
      ::close(there);
      return;
    }
    links_.push_back({{from, there}, newest_});
  }

  /// False at the end of either side.
  static bool relay(int from, int to) {
    char buffer[16384];
    const ssize_t got = ::recv(from, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    for (ssize_t sent = 0; sent < got;) {
      const ssize_t now = ::send(to, buffer + sent, static_cast<std::size_t>(got - sent), MSG_NOSIGNAL);
      if (now > 0) sent += now;
      if (now < 0 && errno != EAGAIN && errno != EINTR) return false;
    }
    return got > 0;
  }

  void serve() {
    while (!stopping_) {
      std::vector<pollfd> watched{{listening_, POLLIN, 0}};
      std::vector<std::list<link>::iterator> of;
      for (auto one = links_.begin(); one != links_.end(); ++one) {
        if (stalled_ || one->born < generation_) continue;
        for (const int fd : one->ends)
          watched.push_back({fd, POLLIN, 0});
        of.push_back(one);
      }
      ::poll(watched.data(), watched.size(), 5);
      for (std::size_t i = 0; i < of.size(); ++i) {
        bool alive = true;
        for (std::size_t side = 0; side < 2; ++side)
          if (watched[1 + 2 * i + side].revents != 0) alive = alive && relay(of[i]->ends[side], of[i]->ends[1 - side]);
        if (alive) continue;
        ::close(of[i]->ends[0]);
        ::close(of[i]->ends[1]);
        links_.erase(of[i]);
      }
      if (watched[0].revents != 0) take_new();
    }
  }

  std::uint16_t to_, port_ = 0;
  int listening_ = -1;
  std::atomic<bool> stopping_ = false, stalled_ = false;
  std::atomic<int> accepted_ = 0, newest_ = 0, generation_ = 0;
  std::list<link> links_; // the thread's own
  std::thread thread_;
};

/// A [databases] table that goes by the proxy.
inline std::string by_proxy(const tcp_proxy& proxy, const std::string& name = "proxied", const std::string& more = "") {
  return "[databases." + name + "]\nhost = \"127.0.0.1\"\nport = " + std::to_string(proxy.port()) +
         "\ndbname = \"app\"\n" + more + "\n";
}

/// A query of a client of one node, and its cancel request by another.
inline void sleep_and_cancel(const pg_edge_process& of, const pg_edge_process& by, std::int32_t version,
                             const std::string& mark) {
  wire_client client = log_in(of, "trust_user", {}, version);
  client.send(query_bytes("select pg_sleep(60), '" + mark + "'"));
  BOOST_TEST(waits_for_running(mark, 1));
  // A link that is being made may not carry the first request yet, as one may be lost on the way to any server.
  BOOST_TEST(wait_for(
      [&] {
        send_cancel(by.port(), client.backend_pid(), client.secret());
        return wait_for([&] { return running_like(mark) == 0; }, milliseconds(2000));
      },
      milliseconds(60000)));
  client.expect("T* E(57014) Z(I)");
  BOOST_TEST(client.value("select 1") == "1");
}

} // namespace pg_edge::test
