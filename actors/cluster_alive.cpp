// Whether the nodes that this one speaks with are still there. A machine that is unplugged closes nothing, and TCP
// takes many minutes to find that out: so nodes say at intervals that they are alive, and one that is silent for
// failure_timeout is lost. Its connection belongs to CAF, which gives no way to end one: its socket is shut down, and
// CAF finds it at its end.
#include "actors/cluster_state.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <fcntl.h>
#include <filesystem>
#include <sys/socket.h>
#include <unistd.h>

namespace pg_edge::actors {

namespace {

/// CAF has so long to say by which connection a node is reached.
constexpr std::chrono::seconds lookup_limit{5};

/// Whether the other end of that socket is there.
bool leads_to(int fd, const std::string& host, std::uint16_t port) {
  sockaddr_storage raw{};
  socklen_t length = sizeof raw;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&raw), &length) != 0) return false;
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(raw);
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(raw);
  if (raw.ss_family != AF_INET && raw.ss_family != AF_INET6) return false;
  const bool six = raw.ss_family == AF_INET6;
  if (ntohs(six ? v6.sin6_port : v4.sin_port) != port) return false;
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(raw.ss_family, six ? static_cast<const void*>(&v6.sin6_addr) : &v4.sin_addr, text, sizeof text);
  return host == text;
}

/// A number may mean another socket from one moment to the next, so what is shut down is a duplicate that was looked
/// at.
void shut_down_socket(int fd, const std::string& host, std::uint16_t port) {
  if (!leads_to(fd, host, port)) return;
  const int same = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (same < 0) return;
  if (leads_to(same, host, port)) ::shutdown(same, SHUT_RDWR);
  ::close(same);
}

/// Every connection of this process to that port of that host.
void shut_down_connections(const std::string& host, std::uint16_t port) {
  std::error_code ignored;
  for (std::filesystem::directory_iterator one("/proc/self/fd", ignored), end; one != end; one.increment(ignored)) {
    const std::string name = one->path().filename();
    int fd = -1;
    std::from_chars(name.data(), name.data() + name.size(), fd);
    shut_down_socket(fd, host, port);
  }
}

} // namespace

/// Several times within the time after which silence counts.
std::chrono::milliseconds alive_period(std::chrono::milliseconds failure_timeout) {
  return failure_timeout / 4;
}

void cluster_state::say_alive() {
  const auto now = clock::now();
  for (auto& [address, whom] : peers)
    if (whom.state == way::connected && now - whom.told >= alive_period(failure_timeout())) {
      whom.told = now;
      send_raw(whom.handle, cluster::node_alive{});
    }
}

void cluster_state::listen_for_silence() {
  const auto now = clock::now();
  const auto pause = now - std::exchange(listened, now);
  for (auto& [address, whom] : peers) {
    if (pause > failure_timeout() / 2)
      whom.heard += pause; // it was us who stood still: what they said is still to come
    if (whom.state != way::connected || whom.alive_every == whom.alive_every.zero()) continue;
    const auto silence = std::chrono::duration_cast<std::chrono::milliseconds>(now - whom.heard);
    if (silence < std::max(failure_timeout(), 4 * whom.alive_every)) continue;
    end_connection(whom.handle.node());
    lose(address, whom, "silent for " + std::to_string(silence.count()) + " ms");
  }
}

/// CAF keeps one connection to each process, and until it has ended CAF has no other.
void cluster_state::end_connection(const caf::node_id& process) {
  self->request(middleman(), lookup_limit, caf::get_atom::value, process)
      .then(
          [this](const caf::node_id&, const std::string& host, std::uint16_t port) {
            self->spawn<caf::detached>([host, port](caf::event_based_actor*) { shut_down_connections(host, port); });
          },
          [](caf::error&) {}); // it has ended meanwhile, or who greets in vain asks again
}

} // namespace pg_edge::actors
