#include "config/postgres_url.hpp"

#include <algorithm>
#include <optional>

namespace pg_edge::config {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    // Postgres's strings end at a zero byte.
    if (low < 0 || high * 16 + low == 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

/// What stands before the separator; `rest` becomes what stands after it.
std::string_view cut(std::string_view& rest, char separator) {
  const auto at = std::min(rest.find(separator), rest.size());
  const auto head = rest.substr(0, at);
  rest.remove_prefix(std::min(at + 1, rest.size()));
  return head;
}

bool decode(std::string_view text, std::string& out) {
  auto decoded = percent_decoded(text);
  if (decoded.has_value()) out = std::move(*decoded);
  return decoded.has_value();
}

struct host_port {
  std::string_view host;
  std::string_view port;
};

/// "host", "host:port", "[::1]:port".
std::optional<host_port> split_host(std::string_view text) {
  if (text.empty() || text.front() != '[') {
    const auto host = cut(text, ':');
    return host_port{host, text};
  }
  const auto end = text.find(']');
  if (end == std::string_view::npos || (end + 1 < text.size() && text[end + 1] != ':')) return std::nullopt;
  return host_port{text.substr(1, end - 1), text.substr(std::min(end + 2, text.size()))};
}

std::string_view parse_hosts(std::string_view list, postgres_url& out) {
  while (!list.empty()) {
    const auto one = split_host(cut(list, ','));
    std::string host;
    if (!one.has_value() || !decode(one->host, host)) return "the url's host is malformed";
    if (host.empty()) return "the url has an empty host";
    out.host += (out.host.empty() ? "" : ",") + host;
    if (one->port.empty()) continue;
    if (!out.port.empty() && out.port != one->port)
      return "the url's hosts have different ports; one port serves all hosts of a database";
    out.port = one->port;
  }
  return {};
}

std::string_view parse_parameters(std::string_view query, postgres_url& out) {
  while (!query.empty()) {
    auto value = cut(query, '&');
    const auto key = cut(value, '=');
    std::pair<std::string, std::string> parameter;
    if (key.empty() || !decode(key, parameter.first) || !decode(value, parameter.second))
      return "the url's parameters are malformed";
    out.parameters.push_back(std::move(parameter));
  }
  return {};
}

std::string_view parse_parts(std::string_view text, postgres_url& out) {
  const auto scheme = text.find("://");
  if (scheme == std::string_view::npos ||
      (text.substr(0, scheme) != "postgres" && text.substr(0, scheme) != "postgresql"))
    return "the url does not start with postgres://";
  text.remove_prefix(scheme + 3);
  std::string_view query = text;
  std::string_view path = cut(query, '?');
  std::string_view authority = cut(path, '/');
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    auto password = authority.substr(0, at);
    const auto name = cut(password, ':');
    authority.remove_prefix(at + 1);
    if (!decode(name, out.user) || !decode(password, out.password)) return "the url's user or password is malformed";
  }
  if (!decode(path, out.dbname)) return "the url's database name is malformed";
  if (const auto error = parse_hosts(authority, out); !error.empty()) return error;
  return parse_parameters(query, out);
}

} // namespace

postgres_url parse_postgres_url(std::string_view text) {
  postgres_url out;
  out.error = parse_parts(text, out);
  return out;
}

} // namespace pg_edge::config
