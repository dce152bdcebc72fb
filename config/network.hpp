// Addresses and networks (CIDR) as values: allow lists, trusted proxies and host-based rules ask which contains which.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::config {

/// An IPv4 or IPv6 address. An IPv4 address that came by an IPv6 socket (::ffff:10.0.0.1) is an IPv4 one.
struct ip_address {
  bool v6 = false;
  std::array<std::uint8_t, 16> bytes{}; // the first four of them for IPv4
  int size_bits() const { return v6 ? 128 : 32; }
  friend bool operator==(const ip_address&, const ip_address&) = default;
};

/// "10.0.0.1", "::1", "fe80::1%eth0" (the zone does not count); nullopt: none of these.
std::optional<ip_address> parse_address(std::string_view text);

struct network {
  ip_address address; // its bits beyond the prefix are zero
  int prefix = 0;
  friend bool operator==(const network&, const network&) = default;

  bool contains(const ip_address& one) const;
};

/// "10.0.0.0/8", "2001:db8::/32", or an address alone, which is a network of one.
std::optional<network> parse_network(std::string_view text);

/// An address with a mask as "255.255.255.0"; nullopt when the kinds differ or the mask has gaps.
std::optional<network> make_network(const ip_address& address, const ip_address& mask);

/// "127.0.0.1:9632", "[::1]:9632", "localhost:80", "*:80": a host (never empty, without brackets) and a port from 1.
struct endpoint {
  std::string host;
  std::uint16_t port = 0;
};
std::optional<endpoint> parse_endpoint(std::string_view text);

/// Whether one of the networks contains the address; what is no address is in none.
bool any_contains(std::span<const network> networks, std::string_view address);

} // namespace pg_edge::config
