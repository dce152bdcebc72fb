// OpenSSL's way to a socket. Its own socket BIO writes without MSG_NOSIGNAL, and a SIGPIPE would end the process; and
// it knows no limit on what a peer may make OpenSSL do within one call.
#pragma once

#include <openssl/ssl.h>

namespace pg_edge::actors {

/// What the BIO of one connection knows; must outlive its SSL, and not move.
struct tls_socket {
  /// Key updates that a peer may send between two pieces of data. OpenSSL answers one after the other within one call,
  /// as long as there are any, at some microseconds each: a reactor would have time for nobody else.
  static constexpr int most_key_updates = 16;

  int fd = -1;
  int key_updates = 0; // since there was data
  /// What is sent now is not the end of what will be sent at once, so that the kernel need not make a segment of its
  /// own of each record.
  bool more_follows = false;
  bool too_many() const { return key_updates > most_key_updates; }

  /// Makes `ssl` use it; false: out of memory.
  bool attach(SSL& ssl);
};

} // namespace pg_edge::actors
