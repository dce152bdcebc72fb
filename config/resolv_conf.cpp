#include "config/resolv_conf.hpp"

#include "config/network.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

namespace pg_edge::config {

namespace {

constexpr std::string_view blanks = " \t\r\v\f";
constexpr std::uint16_t usual_port = 53;

struct name_server {
  std::string address; // [...] around an IPv6 one
  std::optional<std::uint16_t> port;
};

std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
  const std::string_view word = line.substr(0, std::min(line.find_first_of(blanks), line.size()));
  line.remove_prefix(word.size());
  return word;
}

std::optional<std::uint16_t> read_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

std::optional<name_server> read_server(std::string_view text) {
  name_server out;
  std::string_view address = text, port;
  if (text.starts_with('[')) { // [::1]:5353, [127.0.0.1]:5353, [::1]
    const auto end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    address = text.substr(1, end - 1);
    if (end + 1 < text.size()) {
      if (text[end + 1] != ':') return std::nullopt;
      port = text.substr(end + 2);
      if (port.empty()) return std::nullopt;
    }
  } else if (const auto colon = text.find(':'); colon != std::string_view::npos && colon == text.rfind(':')) {
    address = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return std::nullopt;
  }
  if (!parse_address(address)) return std::nullopt;
  // An IPv4 address mapped into IPv6 has colons as well.
  const bool has_colons = address.find(':') != std::string_view::npos;
  out.address = has_colons ? "[" + std::string(address) + "]" : std::string(address);
  if (port.empty()) return out;
  out.port = read_port(port);
  if (!out.port) return std::nullopt;
  return out;
}

} // namespace

std::string name_servers_with_ports(std::string_view resolv_conf) {
  std::string out;
  bool some_port = false;
  while (!resolv_conf.empty()) {
    const auto end = std::min(resolv_conf.find('\n'), resolv_conf.size());
    std::string_view line = resolv_conf.substr(0, end);
    resolv_conf.remove_prefix(std::min(end + 1, resolv_conf.size()));
    if (take_word(line) != "nameserver") continue;
    const auto server = read_server(take_word(line));
    if (!server) continue;
    some_port = some_port || server->port.has_value();
    out += (out.empty() ? "" : ",") + server->address + ":" + std::to_string(server->port.value_or(usual_port));
  }
  return some_port ? out : std::string();
}

} // namespace pg_edge::config
