// A TLS client whose OpenSSL and socket are within a test's reach, to do what a decent one would not.
#pragma once

#include "tests/pg/hostile_support.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace pg_edge::test {

/// A TLS session behind an SSLRequest, where the test can reach OpenSSL and the socket.
class tls_peer {
public:
  tls_peer(std::uint16_t port, int version) : client_(port, patient()), context_(SSL_CTX_new(TLS_client_method())) {
    client_.send(ssl_request_bytes());
    if (client_.read_raw(1) != "S") throw test_failure("no TLS");
    SSL_CTX_set_min_proto_version(context_, version);
    SSL_CTX_set_max_proto_version(context_, version);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, client_.descriptor());
    const int flags = ::fcntl(client_.descriptor(), F_GETFL);
    ::fcntl(client_.descriptor(), F_SETFL, flags & ~O_NONBLOCK);
    timeval limit{15, 0};
    ::setsockopt(client_.descriptor(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (SSL_connect(ssl_) != 1) throw test_failure("no TLS handshake");
  }
  ~tls_peer() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ERR_clear_error();
  }
  SSL* ssl() { return ssl_; }
  int fd() const { return client_.descriptor(); }
  void send(const std::string& bytes) { SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())); }
  /// Reads to the end of the connection, within the limit of the socket.
  std::string end() {
    char buffer[4096];
    while (true) {
      const ssize_t got = ::recv(fd(), buffer, sizeof buffer, 0);
      if (got == 0 || (got < 0 && errno == ECONNRESET)) return "closed";
      if (got < 0) return "open";
    }
  }

private:
  wire_client client_;
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
};

} // namespace pg_edge::test
