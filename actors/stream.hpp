// One non-blocking socket, plain or TLS, or a stream that a link carries to another node, behind one interface:
// connections read and write without asking which it is.
// Made for edge-triggered epoll (read and write until would_block) and for a million idle ones: 16 bytes, and what TLS
// needs stands behind one pointer. Not thread-safe; it moves with its connection from reactor to reactor.
#pragma once

#include "config/settings.hpp"

#include <openssl/ssl.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <sys/uio.h>

namespace pg_edge::actors {

enum class io_status {
  ok,          // read: `bytes` > 0 came in; write: everything was taken
  would_block, // wait for the socket; write: `bytes` (perhaps 0) were taken before
  closed,      // the peer closed in an orderly way (TLS: or was gone after we had closed our half)
  failed,      // see last_error()
};

struct io_result {
  io_status status = io_status::ok;
  std::size_t bytes = 0;
};

class carried_stream;

class stream {
public:
  stream() noexcept;
  /// Takes over `fd`, which must be non-blocking and connected (or connecting).
  explicit stream(int fd) noexcept;
  /// No socket at all. Its fd() is a number that no descriptor has.
  explicit stream(std::shared_ptr<carried_stream> over_a_link);
  stream(stream&& other) noexcept;
  stream& operator=(stream&& other) noexcept;
  ~stream();

  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

  /// Reads up to `size` bytes. Repeat until it does not say ok; epoll will not speak again before.
  io_result read(char* out, std::size_t size);

  /// Writes the pieces in order, as many as the socket takes. After would_block with TLS the next call must begin with
  /// the very bytes that were not taken (at any address, in any pieces) and offer at least as many.
  io_result write(const iovec* pieces, int count);

  bool tls() const;
  /// Not a plain socket: epoll does not know of all that may be read.
  bool more_than_a_socket() const { return tls_ != nullptr; }
  /// What it is, if it is carried by a link; else null.
  carried_stream* carried() const;

  /// Whether decrypted or half-decrypted bytes wait inside of TLS, which epoll knows nothing about. Only of interest to
  /// who stopped reading before would_block; a read() may still find that a record is not complete.
  bool read_pending() const;

  /// Whether the last read() can only go on when the socket is writable (TLS has to answer a key update first).
  bool read_wants_write() const;
  /// Whether the last write() can only go on when the socket is readable: call it again after the next read().
  bool write_wants_read() const;

  /// Begins TLS as the side that was connected to. `direct`: no SSLRequest came before, so ALPN "postgresql" is
  /// required. The context must outlive nothing: OpenSSL counts references to it.
  void start_tls_accept(SSL_CTX& context, bool direct);

  /// Begins TLS as the side that connected. `host` is sent as SNI unless it is an address, and with verify_full the
  /// server's certificate must be for it; verify_ca is a matter of the context alone.
  void start_tls_connect(SSL_CTX& context, const std::string& host, config::tls_mode mode, bool direct = false);

  /// After one of the two: many records at a time will come, and memory for them is no matter.
  void expect_bulk();

  /// Goes on with the handshake: ok when it is done (then read() at once: data may be buffered), would_block when it
  /// waits for the socket in either direction (call it again on each event), else the connection is lost.
  io_status handshake();

  /// close_notify, then the end of our half of the connection; best effort, never waits.
  void shutdown_write();

  /// Says close_notify if nothing was said yet and closes the socket. Harmless when closed already.
  void close();

  /// Why the last call said failed (or closed during a handshake): one sentence without full stop.
  std::string last_error() const;
  /// errno of the last failure; 0 when TLS itself failed.
  int error_code() const { return error_; }

  // -- what logins want to know about TLS; all empty without TLS or before the handshake is done
  // ---------------------------

  /// The channel binding data tls-server-end-point of the server's certificate (RFC 5929): ours when we accepted.
  std::string channel_end_point() const;
  /// The common name in the verified certificate of the peer; empty when there was none or it was not verified.
  std::string peer_common_name() const;
  /// The whole subject of that certificate as in RFC 2253: "CN=alice,O=example".
  std::string peer_subject() const;
  /// Whether the peer showed a certificate that was verified.
  bool peer_verified() const;
  /// For example "TLSv1.3".
  std::string tls_version() const;
  std::string tls_cipher() const;
  /// The name by which the peer called us (SNI), when we accepted.
  std::string tls_server_name() const;

private:
  struct tls_state;

  io_result read_plain(char* out, std::size_t size);
  io_result write_plain(const iovec* pieces, int count);
  io_result write_rest(const iovec* pieces, int count, std::size_t taken);
  io_result read_tls(char* out, std::size_t size);
  io_result write_tls(const iovec* pieces, int count);
  io_status wait_for_end_of_transport();
  io_status after_our_end(io_status status) const;
  void send_close_notify();
  void start_tls(SSL_CTX& context, bool accepts, bool direct);
  io_status fail_with_errno();
  io_status fail_with_text(std::string text);
  io_status judge(int result, std::string_view what);

  int fd_ = -1;
  int error_ = 0;
  std::unique_ptr<tls_state> tls_;
};

static_assert(sizeof(stream) <= 24, "a million idle connections have one each");

// -- socket helpers
// ----------------------------------------------------------------------------------------------------

/// Each says false with errno set when the kernel refused.
bool set_nonblocking(int fd);
bool set_no_delay(int fd);

/// Zero (or less) leaves the kernel's default.
struct keepalive_options {
  bool enabled = true;
  std::chrono::seconds idle{0}, interval{0};
  int count = 0;
  std::chrono::milliseconds user_timeout{0}; // TCP_USER_TIMEOUT; set even when keepalive is off
};
bool set_keepalive(int fd, const keepalive_options& options);
/// The three that count seconds and probes; zero where the socket has none.
keepalive_options read_keepalive(int fd);

/// `host` is an address in text, or the path of a Unix socket (empty for an unnamed one), whose port is 0.
struct socket_address {
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const socket_address&) const = default;
};
std::optional<socket_address> peer_address(int fd);
/// accept4(), non-blocking and with close-on-exec, and who has come. -1: errno says why.
int accept_from(int listening, std::optional<socket_address>& peer);
std::optional<socket_address> local_address(int fd);

} // namespace pg_edge::actors
