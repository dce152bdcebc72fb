// A blocking login of the load generator, plain or over TLS. The salted password is derived once for each salt, so
// that what a login costs is the pooler's part.
#pragma once

#include "tools/benchmark/socket.hpp"

#include <openssl/ssl.h>

#include <string>
#include <string_view>

namespace benchmark {

struct account {
  std::uint16_t port = 0;
  std::string user, database, password;
  bool tls = false;
};

/// One connection, blocking. Not copyable: it owns the descriptor.
class session {
public:
  session() = default;
  session(session&& other) noexcept;
  session& operator=(session&& other) noexcept;
  ~session();

  /// Connects and logs in; false: refused, and `why()` says so.
  bool log_in(const account& who);
  /// Sends Terminate and closes.
  void leave();
  /// The descriptor is the caller's now.
  int release();
  const std::string& why() const { return why_; }

private:
  bool begin_tls();
  bool send_all(std::string_view what);
  bool receive(std::size_t at_least);
  bool converse(const account& who);

  int fd_ = -1;
  SSL* tls_ = nullptr;
  std::string in_;
  std::string why_;
};

} // namespace benchmark
