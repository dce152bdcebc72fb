#include "config/network.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstring>

namespace pg_edge::config {

namespace {

constexpr std::uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

void clear_behind(ip_address& address, int prefix) {
  for (int bit = prefix; bit < address.size_bits(); ++bit)
    address.bytes[static_cast<std::size_t>(bit / 8)] &= static_cast<std::uint8_t>(~(0x80U >> (bit % 8)));
}

/// What may follow the % of an IPv6 address: a name or number of an interface, without what ends an address elsewhere.
bool names_interface(std::string_view text) {
  constexpr std::size_t longest_name = 15; // IFNAMSIZ less its zero byte
  return !text.empty() && text.size() <= longest_name && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < '\x7f' && std::string_view("%,/:[]").find(c) == std::string_view::npos;
  });
}

} // namespace

std::optional<ip_address> parse_address(std::string_view text) {
  const auto zone = text.find('%');
  if (zone != std::string_view::npos && !names_interface(text.substr(zone + 1))) return std::nullopt;
  text = text.substr(0, zone);
  if (text.find('\0') != std::string_view::npos) return std::nullopt; // inet_pton would stop there
  const std::string zero_terminated{text};
  ip_address out;
  if (::inet_pton(AF_INET, zero_terminated.c_str(), out.bytes.data()) == 1)
    return zone == std::string_view::npos ? std::optional(out) : std::nullopt;
  if (::inet_pton(AF_INET6, zero_terminated.c_str(), out.bytes.data()) != 1) return std::nullopt;
  out.v6 = true;
  if (std::memcmp(out.bytes.data(), mapped_prefix, sizeof mapped_prefix) != 0) return out;
  ip_address v4;
  std::copy_n(out.bytes.begin() + sizeof mapped_prefix, 4, v4.bytes.begin());
  return v4;
}

bool network::contains(const ip_address& one) const {
  if (one.v6 != address.v6) return false;
  ip_address cut = one;
  clear_behind(cut, prefix);
  return cut == address;
}

std::optional<network> parse_network(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = parse_address(text.substr(0, slash));
  if (!address) return std::nullopt;
  network out{*address, address->size_bits()};
  if (slash != std::string_view::npos) {
    const auto number = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), out.prefix);
    if (error != std::errc{} || end != number.data() + number.size()) return std::nullopt;
    if (out.prefix < 0 || out.prefix > address->size_bits()) return std::nullopt;
  }
  clear_behind(out.address, out.prefix);
  return out;
}

std::optional<network> make_network(const ip_address& address, const ip_address& mask) {
  if (address.v6 != mask.v6) return std::nullopt;
  network out{address, 0};
  const auto bit_set = [&](int bit) {
    return (mask.bytes[static_cast<std::size_t>(bit / 8)] & (0x80U >> (bit % 8))) != 0;
  };
  while (out.prefix < mask.size_bits() && bit_set(out.prefix))
    ++out.prefix;
  for (int bit = out.prefix; bit < mask.size_bits(); ++bit)
    if (bit_set(bit)) return std::nullopt;
  clear_behind(out.address, out.prefix);
  return out;
}

std::optional<endpoint> parse_endpoint(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = parse_address(host);
  const bool name = host == "*" || host == "localhost";
  if (bracketed ? !address || !address->v6 : !name && (!address || address->v6)) return std::nullopt;
  endpoint out{std::string{host}, 0};
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc{} || end != port.data() + port.size() || out.port == 0) return std::nullopt;
  return out;
}

bool any_contains(std::span<const network> networks, std::string_view address) {
  const auto one = parse_address(address);
  return one && std::any_of(networks.begin(), networks.end(), [&](const network& each) { return each.contains(*one); });
}

} // namespace pg_edge::config
