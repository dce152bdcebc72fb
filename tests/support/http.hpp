// A blocking HTTP/1.1 client for tests of the admin API: plain or TLS, a connection a request or one kept, and raw
// bytes for what no proper client would send.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pg_edge::test {

struct http_answer {
  int status = 0;                             // 0: the connection ended before an answer
  std::map<std::string, std::string> headers; // names in lower case
  std::string body;

  /// Throws test_failure when it is none.
  nlohmann::json json() const;
};

struct http_ask {
  std::string method = "GET";
  std::string path = "/";
  std::string token; // empty: none is sent
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers; // Content-Type is added for a body unless it is here
};

class http_connection {
public:
  /// `authority_file`: speaks TLS and verifies for "localhost"; empty: plain. Throws test_failure when it cannot
  /// connect.
  explicit http_connection(std::uint16_t port, const std::string& authority_file = "");
  ~http_connection();
  http_connection(const http_connection&) = delete;
  http_connection& operator=(const http_connection&) = delete;

  http_answer ask(const http_ask& what);
  void send(std::string_view bytes);
  /// The next answer, to a request of that method. Status 0 when the other side closes or `limit` passes first.
  http_answer read(const std::string& method = "GET",
                   std::chrono::milliseconds limit = std::chrono::milliseconds(30000));
  /// Whether the other side has closed, within the limit.
  bool closed(std::chrono::milliseconds limit);

private:
  struct wire;
  bool fill(std::chrono::steady_clock::time_point until);
  /// These throw test_failure when the bytes do not come in time.
  std::string take(std::size_t size, std::chrono::steady_clock::time_point until);
  std::string take_line(std::chrono::steady_clock::time_point until);
  std::string read_chunks(const std::string& coding, std::chrono::steady_clock::time_point until);

  std::unique_ptr<wire> wire_;
  std::string buffer_;
};

/// One request on a connection of its own.
http_answer http_once(std::uint16_t port, const http_ask& what, const std::string& authority_file = "");

} // namespace pg_edge::test
