#include "tests/support/http.hpp"

#include "tests/support/process.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <cstdlib>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace pg_edge::test {

namespace {

using std::chrono::steady_clock;

bool readable(int fd, steady_clock::time_point until) {
  const auto left = std::chrono::duration_cast<milliseconds>(until - steady_clock::now()).count();
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, static_cast<int>(std::max<std::int64_t>(left, 0))) == 1;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

} // namespace

struct http_connection::wire {
  int fd = -1;
  SSL_CTX* context = nullptr;
  SSL* tls = nullptr;

  ~wire() {
    if (tls != nullptr) SSL_free(tls);
    if (context != nullptr) SSL_CTX_free(context);
    if (fd >= 0) ::close(fd);
  }
  long read(char* into, std::size_t size) const {
    return tls != nullptr ? SSL_read(tls, into, static_cast<int>(size)) : ::recv(fd, into, size, 0);
  }
  long write(std::string_view bytes) const {
    return tls != nullptr ? SSL_write(tls, bytes.data(), static_cast<int>(bytes.size()))
                          : ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
};

nlohmann::json http_answer::json() const {
  auto value = nlohmann::json::parse(body, nullptr, false);
  if (value.is_discarded())
    throw test_failure("no JSON in an answer of status " + std::to_string(status) + ": " + body);
  return value;
}

http_connection::http_connection(std::uint16_t port, const std::string& authority_file)
    : wire_(std::make_unique<wire>()) {
  wire_->fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(wire_->fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw test_failure("nobody listens on port " + std::to_string(port));
  if (authority_file.empty()) return;
  wire_->context = SSL_CTX_new(TLS_client_method());
  if (SSL_CTX_load_verify_locations(wire_->context, authority_file.c_str(), nullptr) != 1)
    throw test_failure("cannot read " + authority_file);
  SSL_CTX_set_verify(wire_->context, SSL_VERIFY_PEER, nullptr);
  wire_->tls = SSL_new(wire_->context);
  SSL_set_fd(wire_->tls, wire_->fd);
  SSL_set_tlsext_host_name(wire_->tls, "localhost");
  SSL_set1_host(wire_->tls, "localhost");
  if (SSL_connect(wire_->tls) != 1) {
    ERR_clear_error();
    throw test_failure("the TLS handshake failed");
  }
}

http_connection::~http_connection() = default;

void http_connection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const long count = wire_->write(bytes);
    if (count <= 0) return; // the answer, or its absence, says why
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

bool http_connection::fill(steady_clock::time_point until) {
  const bool waiting = wire_->tls != nullptr && SSL_pending(wire_->tls) > 0;
  if (!waiting && !readable(wire_->fd, until)) return false;
  char bytes[16384];
  const long count = wire_->read(bytes, sizeof bytes);
  if (count <= 0) return false;
  buffer_.append(bytes, static_cast<std::size_t>(count));
  return true;
}

http_answer http_connection::read(const std::string& method, milliseconds limit) {
  const auto until = steady_clock::now() + limit;
  http_answer answer;
  std::size_t head = std::string::npos;
  while ((head = buffer_.find("\r\n\r\n")) == std::string::npos)
    if (!fill(until)) return answer;
  std::size_t at = buffer_.find("\r\n") + 2;
  answer.status = std::atoi(buffer_.substr(9, 3).c_str());
  while (at < head + 2) {
    const std::size_t end = buffer_.find("\r\n", at);
    const std::string line = buffer_.substr(at, end - at);
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) answer.headers[lower(line.substr(0, colon))] = line.substr(colon + 2);
    at = end + 2;
  }
  buffer_.erase(0, head + 4);
  if (answer.status == 100) return read(method, limit);
  if (method == "HEAD") return answer;
  const auto coding = answer.headers.find("transfer-encoding");
  const auto length = answer.headers.find("content-length");
  if (coding != answer.headers.end())
    answer.body = read_chunks(coding->second, until);
  else if (length != answer.headers.end())
    answer.body = take(std::strtoull(length->second.c_str(), nullptr, 10), until);
  return answer;
}

std::string http_connection::take(std::size_t size, steady_clock::time_point until) {
  while (buffer_.size() < size)
    if (!fill(until)) throw test_failure("an answer ended before its body did");
  std::string bytes = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return bytes;
}

std::string http_connection::take_line(steady_clock::time_point until) {
  std::size_t end = std::string::npos;
  while ((end = buffer_.find("\r\n")) == std::string::npos)
    if (!fill(until)) throw test_failure("an answer ended before its body did");
  std::string line = take(end + 2, until);
  line.resize(end);
  return line;
}

std::string http_connection::read_chunks(const std::string& coding, steady_clock::time_point until) {
  if (lower(coding) != "chunked") throw test_failure("no test reads the transfer coding " + coding);
  std::string body;
  for (;;) {
    const std::string line = take_line(until); // the size in hex, and perhaps extensions behind a semicolon
    if (line.empty() || std::isxdigit(static_cast<unsigned char>(line.front())) == 0)
      throw test_failure("no size of a chunk: " + line);
    const std::size_t size = std::strtoull(line.c_str(), nullptr, 16);
    if (size == 0) break;
    body += take(size, until);
    if (!take_line(until).empty()) throw test_failure("a chunk is longer than its size");
  }
  while (!take_line(until).empty()) // trailers
    continue;
  return body;
}

http_answer http_connection::ask(const http_ask& what) {
  std::string text = what.method + " " + what.path + " HTTP/1.1\r\n";
  const auto given = [&](std::string_view name) {
    return std::any_of(what.headers.begin(), what.headers.end(),
                       [&](const auto& one) { return lower(one.first) == name; });
  };
  if (!given("host")) text += "Host: localhost\r\n";
  if (!what.token.empty()) text += "Authorization: Bearer " + what.token + "\r\n";
  if (!what.body.empty() && !given("content-type")) text += "Content-Type: application/json\r\n";
  if (!what.body.empty()) text += "Content-Length: " + std::to_string(what.body.size()) + "\r\n";
  for (const auto& [name, value] : what.headers)
    text.append(name).append(": ").append(value).append("\r\n");
  send(text + "\r\n" + what.body);
  return read(what.method);
}

bool http_connection::closed(milliseconds limit) {
  const auto until = steady_clock::now() + limit;
  while (steady_clock::now() < until) {
    if (!readable(wire_->fd, until)) return false;
    if (!fill(until)) return true;
  }
  return false;
}

http_answer http_once(std::uint16_t port, const http_ask& what, const std::string& authority_file) {
  http_connection connection(port, authority_file);
  http_ask last = what;
  last.headers.emplace_back("Connection", "close");
  return connection.ask(last);
}

} // namespace pg_edge::test
