// The calls on plain sockets that stream.hpp declares: options, and addresses as text.
#include "actors/stream.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>

namespace pg_edge::actors {

namespace {

bool set_option(int fd, int level, int option, int value) {
  return ::setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/// Zero leaves what the kernel has.
bool set_if_positive(int fd, int option, std::int64_t value) {
  const auto bounded = static_cast<int>(std::min<std::int64_t>(value, std::numeric_limits<int>::max()));
  return value <= 0 || set_option(fd, IPPROTO_TCP, option, bounded);
}

std::optional<socket_address> to_text(const sockaddr_storage& storage, socklen_t size) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(storage);
    if (inet_ntop(AF_INET, &in.sin_addr, text.data(), text.size()) == nullptr) return std::nullopt;
    return socket_address{text.data(), ntohs(in.sin_port)};
  }
  if (storage.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(storage);
    if (inet_ntop(AF_INET6, &in.sin6_addr, text.data(), text.size()) == nullptr) return std::nullopt;
    // A listener for both families sees IPv4 clients like this; rules and logs are about their IPv4 address.
    constexpr std::string_view mapped = "::ffff:";
    const std::string_view host = text.data();
    const bool is_mapped = IN6_IS_ADDR_V4MAPPED(&in.sin6_addr) != 0;
    return socket_address{std::string(is_mapped ? host.substr(mapped.size()) : host), ntohs(in.sin6_port)};
  }
  if (storage.ss_family != AF_UNIX) return std::nullopt;
  const auto& in = reinterpret_cast<const sockaddr_un&>(storage);
  const auto length = static_cast<std::size_t>(size) - std::min<std::size_t>(size, offsetof(sockaddr_un, sun_path));
  return socket_address{std::string(in.sun_path, ::strnlen(in.sun_path, length)), 0};
}

template <class Function>
std::optional<socket_address> ask(Function function, int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (function(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return std::nullopt;
  return to_text(storage, size);
}

} // namespace

bool set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

bool set_no_delay(int fd) {
  return set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

bool set_keepalive(int fd, const keepalive_options& options) {
  if (!set_if_positive(fd, TCP_USER_TIMEOUT, options.user_timeout.count())) return false;
  if (!set_option(fd, SOL_SOCKET, SO_KEEPALIVE, options.enabled ? 1 : 0)) return false;
  if (!options.enabled) return true;
  return set_if_positive(fd, TCP_KEEPIDLE, options.idle.count()) &&
         set_if_positive(fd, TCP_KEEPINTVL, options.interval.count()) &&
         set_if_positive(fd, TCP_KEEPCNT, options.count);
}

keepalive_options read_keepalive(int fd) {
  const auto option = [fd](int which) {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(fd, IPPROTO_TCP, which, &value, &size) == 0 ? value : 0;
  };
  keepalive_options found;
  found.idle = std::chrono::seconds(option(TCP_KEEPIDLE));
  found.interval = std::chrono::seconds(option(TCP_KEEPINTVL));
  found.count = option(TCP_KEEPCNT);
  return found;
}

int accept_from(int listening, std::optional<socket_address>& peer) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  const int fd = ::accept4(listening, reinterpret_cast<sockaddr*>(&storage), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) peer = to_text(storage, size);
  return fd;
}
std::optional<socket_address> peer_address(int fd) {
  return ask(::getpeername, fd);
}
std::optional<socket_address> local_address(int fd) {
  return ask(::getsockname, fd);
}

} // namespace pg_edge::actors
