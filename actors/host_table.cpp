#include "actors/host_table.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <random>

namespace pg_edge::actors {

// -- seats
// -----------------------------------------------------------------------------------------------------------------

host_seat& host_seat::operator=(host_seat&& other) noexcept {
  if (this == &other) return *this;
  leave();
  table_ = std::exchange(other.table_, nullptr);
  pool_ = other.pool_;
  place_ = std::exchange(other.place_, {});
  return *this;
}

void host_seat::leave() {
  if (host_table* table = std::exchange(table_, nullptr)) table->leave(pool_, place_);
  place_.clear();
}

host_table::host_table() : health_(std::random_device{}()) {}

std::pair<std::size_t, host_seat> host_table::choose(std::uint64_t pool, const std::vector<std::string>& places,
                                                     bool balance, clock::time_point now) {
  std::pair<std::size_t, host_seat> result;
  const std::lock_guard<std::mutex> hold(mutex_);
  std::vector<cluster::host_health::candidate> among;
  for (const std::string& place : places) {
    const auto found = servers_.find({place, pool});
    among.push_back({place, found == servers_.end() ? 0 : found->second});
  }
  result.first = health_.choose(among, balance, now);
  const std::string& chosen = places[result.first];
  ++servers_[{chosen, pool}];
  result.second.table_ = this;
  result.second.pool_ = pool;
  result.second.place_ = chosen;
  return result;
}

void host_table::leave(std::uint64_t pool, const std::string& place) {
  const std::lock_guard<std::mutex> hold(mutex_);
  const auto found = servers_.find({place, pool});
  if (found != servers_.end() && --found->second == 0) servers_.erase(found);
}

bool host_table::failed(const std::string& place, clock::time_point now) {
  if (place.empty()) return false;
  const std::lock_guard<std::mutex> hold(mutex_);
  return health_.failed(place, now);
}

bool host_table::succeeded(const std::string& place) {
  const std::lock_guard<std::mutex> hold(mutex_);
  return health_.succeeded(place);
}

// -- host names
// ------------------------------------------------------------------------------------------------------------

void host_table::set_addresses(const std::string& name, std::vector<config::ip_address> addresses) {
  const std::lock_guard<std::mutex> hold(mutex_);
  auto& now = names_[name];
  const bool gone = std::any_of(now.begin(), now.end(), [&](const auto& one) {
    return std::find(addresses.begin(), addresses.end(), one) == addresses.end();
  });
  now = std::move(addresses);
  if (gone) version_.fetch_add(1, std::memory_order_release);
}

bool host_table::moved(const server_address& address) const {
  const auto ip = ip_of(address.address);
  const std::lock_guard<std::mutex> hold(mutex_);
  const auto found = names_.find(address.host);
  return ip && found != names_.end() &&
         std::find(found->second.begin(), found->second.end(), *ip) == found->second.end();
}

bool host_table::in_use(const std::string& name) const {
  const std::string start = name + ":"; // then the port
  const std::lock_guard<std::mutex> hold(mutex_);
  const auto found = servers_.lower_bound({start, 0});
  return found != servers_.end() && found->first.first.starts_with(start);
}

std::string host_table::place_of(const std::string& host, std::uint16_t port) {
  return host + ":" + std::to_string(port);
}

std::string host_table::place_of(const server_address& address) {
  const auto ip = ip_of(address.address);
  char text[INET6_ADDRSTRLEN] = "";
  if (ip) ::inet_ntop(ip->v6 ? AF_INET6 : AF_INET, ip->bytes.data(), text, sizeof text);
  return std::string("at ") + text + " of " + place_of(address.host, address.port);
}

std::optional<config::ip_address> ip_of(const sockaddr_storage& address) {
  config::ip_address out;
  out.v6 = address.ss_family == AF_INET6;
  if (out.v6)
    std::memcpy(out.bytes.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, sizeof(in6_addr));
  else if (address.ss_family == AF_INET)
    std::memcpy(out.bytes.data(), &reinterpret_cast<const sockaddr_in&>(address).sin_addr, sizeof(in_addr));
  else
    return std::nullopt;
  return out;
}

} // namespace pg_edge::actors
