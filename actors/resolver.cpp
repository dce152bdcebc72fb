#include "actors/resolver.hpp"

#include "actors/actor_stats.hpp"

#include <arpa/inet.h>
#include <cstring>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace pg_edge::actors {

namespace {

std::optional<server_address> unix_address(const std::string& folder, std::uint16_t port) {
  server_address result;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = folder + "/.s.PGSQL." + std::to_string(port);
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  std::memcpy(&result.address, &address, sizeof address);
  result.length = sizeof address;
  return result;
}

struct resolver_state {
  actor_stats::alive_token alive{actor_kind::resolver};
};

resolver_actor::behavior_type resolver(resolver_actor::stateful_pointer<resolver_state>) {
  return {[](const resolve_host& what) {
    actor_stats::handled(actor_kind::resolver, 1);
    return look_up(what.host, what.port);
  }};
}

} // namespace

std::optional<server_address> literal_address(const std::string& host, std::uint16_t port) {
  std::optional<server_address> result;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (host.starts_with('/')) {
    result = unix_address(host, port);
  } else if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    result.emplace();
    std::memcpy(&result->address, &v4, sizeof v4);
    result->length = sizeof v4;
  } else if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    result.emplace();
    std::memcpy(&result->address, &v6, sizeof v6);
    result->length = sizeof v6;
  }
  if (result) {
    result->host = host;
    result->port = port;
  }
  return result;
}

resolved_host look_up(const std::string& host, std::uint16_t port) {
  resolved_host result;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); code != 0) {
    result.error = "could not resolve \"" + host + "\": " + ::gai_strerror(code);
    return result;
  }
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    if (one->ai_addrlen > sizeof(sockaddr_storage)) continue;
    server_address address;
    std::memcpy(&address.address, one->ai_addr, one->ai_addrlen);
    address.length = one->ai_addrlen;
    address.host = host;
    address.port = port;
    result.addresses.push_back(std::move(address));
  }
  ::freeaddrinfo(found);
  if (result.addresses.empty()) result.error = "\"" + host + "\" has no address";
  return result;
}

resolver_actor spawn_resolver(caf::actor_system& system) {
  return system.spawn<caf::detached>(resolver);
}

} // namespace pg_edge::actors
