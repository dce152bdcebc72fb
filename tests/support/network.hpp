// Networks of a test's own: hosts that are network namespaces of Linux, joined by a switch, and parted from it as by a
// pulled cable: what is sent is lost without a word. They have no names and are gone with the test, however it ends.
// Needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN); the tests run as root.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace pg_edge::test {

class network {
public:
  explicit network(std::size_t hosts);
  ~network();
  network(const network&) = delete;
  network& operator=(const network&) = delete;

  /// The calling thread is on that host until the object ends, and with it what it starts and connects meanwhile:
  /// processes, threads, sockets. 127.0.0.1 is the host's own.
  class visit {
  public:
    ~visit();
    visit(visit&& other) noexcept : before_(std::exchange(other.before_, -1)) {}

  private:
    friend class network;
    explicit visit(int where);
    int before_;
  };
  [[nodiscard]] visit on(std::size_t host) const { return visit(hosts_.at(host)); }
  /// Where the switch is; no host can be parted from what runs there by isolate().
  [[nodiscard]] visit on_switch() const { return visit(switch_); }

  static std::string address(std::size_t host) { return "10.77.0." + std::to_string(host + 2); }
  static std::string switch_address() { return "10.77.0.1"; }

  /// Moves the host to a second switch, where it meets those that were moved too and nobody else.
  void part(std::size_t host) const;
  void join(std::size_t host) const;
  /// No host reaches another any more; each still reaches the switch.
  void isolate(bool isolated) const;

private:
  std::string port(std::size_t host) const { return "port" + std::to_string(host); }

  int switch_ = -1;
  std::vector<int> hosts_;
};

} // namespace pg_edge::test
