// CAF connects synchronously and without a limit. So that no address can hold it up, each is tried first, by a thread
// that ends with the try.
#include "actors/cluster_node.hpp"
#include "config/network.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace pg_edge::actors {

namespace {

constexpr int probe_limit_ms = 1000;

std::string try_one(const addrinfo& where) {
  const int fd = ::socket(where.ai_family, where.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, where.ai_protocol);
  if (fd < 0) return std::strerror(errno);
  std::string error;
  if (::connect(fd, where.ai_addr, where.ai_addrlen) != 0) {
    int code = errno;
    if (code == EINPROGRESS) {
      pollfd wait{fd, POLLOUT, 0};
      socklen_t length = sizeof code;
      if (::poll(&wait, 1, probe_limit_ms) <= 0)
        code = ETIMEDOUT;
      else if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) != 0)
        code = errno;
    }
    if (code != 0) error = std::strerror(code);
  }
  ::close(fd);
  return error;
}

std::string probe(const std::string& address) {
  const auto parts = config::parse_endpoint(address);
  if (!parts) return "not host:port";
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(parts->host.c_str(), std::to_string(parts->port).c_str(), &hints, &found);
  if (code != 0) return ::gai_strerror(code);
  std::string error = "no address";
  for (const addrinfo* one = found; one != nullptr && !error.empty(); one = one->ai_next)
    error = try_one(*one);
  ::freeaddrinfo(found);
  return error;
}

} // namespace

void probe_address(caf::event_based_actor* self, const std::string& address) {
  self->spawn<caf::detached>([to = caf::actor_cast<caf::weak_actor_ptr>(self), address](caf::event_based_actor*) {
    const std::string error = probe(address);
    if (const auto here = caf::actor_cast<caf::actor>(to)) caf::anon_send(here, address_probed{address, error});
  });
}

} // namespace pg_edge::actors
