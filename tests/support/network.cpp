#include "tests/support/network.hpp"

#include "tests/support/process.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sched.h>
#include <thread>
#include <unistd.h>

namespace pg_edge::test {

namespace {

constexpr const char* own_namespace = "/proc/thread-self/ns/net";

int open_own_namespace() {
  const int fd = open(own_namespace, O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw test_failure(std::string(own_namespace) + ": " + std::strerror(errno));
  return fd;
}

/// A namespace that nobody is in lives as long as its descriptor.
int new_namespace() {
  int fd = -1, error = 0;
  std::thread([&] {
    if (unshare(CLONE_NEWNET) == 0)
      fd = open_own_namespace();
    else
      error = errno;
  }).join();
  if (fd < 0)
    throw test_failure("a network of its own needs root (CAP_SYS_ADMIN): " + std::string(std::strerror(error)));
  return fd;
}

/// Words separated by single spaces.
void command(const std::string& line) {
  std::vector<std::string> argv;
  for (std::size_t at = 0, end = 0; end != std::string::npos; at = end + 1) {
    end = line.find(' ', at);
    argv.push_back(line.substr(at, end == std::string::npos ? end : end - at));
  }
  const run_result result = run(argv);
  if (result.status != 0) throw test_failure(line + ": " + result.err);
}

} // namespace

network::visit::visit(int where) : before_(open_own_namespace()) {
  if (setns(where, CLONE_NEWNET) == 0) return;
  close(before_);
  throw test_failure("setns: " + std::string(std::strerror(errno)));
}

network::visit::~visit() {
  if (before_ < 0) return; // moved from
  setns(before_, CLONE_NEWNET);
  close(before_);
}

network::network(std::size_t hosts) : switch_(new_namespace()) {
  for (std::size_t i = 0; i < hosts; ++i)
    hosts_.push_back(new_namespace());
  {
    const visit here = on_switch();
    command("ip link set lo up");
    for (const char* bridge : {"main", "other"}) {
      command(std::string("ip link add ") + bridge + " type bridge");
      command(std::string("ip link set ") + bridge + " up");
    }
    command("ip address add " + switch_address() + "/24 dev main");
    for (std::size_t i = 0; i < hosts; ++i) {
      // By a path, since the namespace has no name.
      const std::string peer = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(hosts_[i]);
      command("ip link add " + port(i) + " type veth peer name eth0 netns " + peer);
      command("ip link set " + port(i) + " master main up");
    }
  }
  for (std::size_t i = 0; i < hosts; ++i) {
    const visit here = on(i);
    command("ip link set lo up");
    command("ip address add " + address(i) + "/24 dev eth0");
    command("ip link set eth0 up");
  }
}

network::~network() {
  for (const int host : hosts_)
    close(host);
  close(switch_);
}

void network::part(std::size_t host) const {
  const visit here = on_switch();
  command("ip link set " + port(host) + " master other");
}

void network::join(std::size_t host) const {
  const visit here = on_switch();
  command("ip link set " + port(host) + " master main");
}

void network::isolate(bool isolated) const {
  const visit here = on_switch();
  for (std::size_t i = 0; i < hosts_.size(); ++i)
    command("bridge link set dev " + port(i) + " isolated " + (isolated ? "on" : "off"));
}

} // namespace pg_edge::test
