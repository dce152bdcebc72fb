#include "actors/stream.hpp"

#include "actors/carried_stream.hpp"
#include "actors/tls_context.hpp"
#include "actors/tls_socket.hpp"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstring>
#include <limits>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace pg_edge::actors {

namespace {

/// One TLS record's worth: what is handed to OpenSSL at a time.
constexpr std::size_t record_size = SSL3_RT_MAX_PLAIN_LENGTH;
/// What is read at a time where much is expected: some four records.
constexpr std::size_t bulk_read_size = std::size_t{72} * 1024;

bool is_would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

struct ssl_deleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

/// Walks over pieces, giving at most a record's worth at a time as one contiguous range.
class record_cutter {
public:
  record_cutter(const iovec* pieces, int count) : piece_(pieces), end_(pieces + count) { skip_done(); }

  bool done() const { return piece_ == end_; }

  /// The next min(everything left, record_size) bytes. The size must depend on nothing else: after a would-block
  /// OpenSSL wants to be offered at least as many bytes as before. `scratch` has record_size bytes.
  std::pair<const char*, std::size_t> next(char* scratch) const {
    if (left_in_piece() >= record_size || piece_ + 1 == end_) return {start(), std::min(left_in_piece(), record_size)};
    std::size_t filled = 0;
    for (auto cutter = *this; !cutter.done() && filled < record_size;) {
      const auto take = std::min(cutter.left_in_piece(), record_size - filled);
      std::memcpy(scratch + filled, cutter.start(), take);
      filled += take;
      cutter.advance(take);
    }
    return {scratch, filled};
  }

  /// Whether there is more than so many bytes.
  bool left_after(std::size_t size) const {
    auto rest = *this;
    rest.advance(size);
    return !rest.done();
  }

  void advance(std::size_t size) {
    while (size > 0 && !done()) {
      const auto step = std::min(size, left_in_piece());
      offset_ += step;
      size -= step;
      skip_done();
    }
  }

private:
  const char* start() const { return static_cast<const char*>(piece_->iov_base) + offset_; }
  std::size_t left_in_piece() const { return piece_->iov_len - offset_; }
  void skip_done() {
    while (piece_ != end_ && offset_ == piece_->iov_len) {
      ++piece_;
      offset_ = 0;
    }
  }

  const iovec* piece_;
  const iovec* end_;
  std::size_t offset_ = 0;
};

} // namespace

struct stream::tls_state {
  tls_socket socket; // outlives `ssl`, which uses it
  std::unique_ptr<SSL, ssl_deleter> ssl;
  std::shared_ptr<carried_stream> carried; // instead of all the rest
  std::string error;
  io_status held = io_status::ok; // what read() found after bytes it returned; told by the next read()
  bool accepts = false;
  bool direct = false;
  bool established = false;
  bool dead = false;          // nothing may be sent any more, not even close_notify
  bool notified = false;      // we have sent close_notify
  bool peer_notified = false; // the peer has
  bool drained = false;       // OpenSSL has asked for more than it holds
  bool read_wants_write = false;
  bool write_wants_read = false;
};

// -- life
// --------------------------------------------------------------------------------------------------------------

stream::stream() noexcept = default;
stream::stream(int fd) noexcept : fd_(fd) {}
stream::stream(std::shared_ptr<carried_stream> over_a_link)
    : fd_(std::numeric_limits<int>::max()), tls_(std::make_unique<tls_state>()) {
  tls_->carried = std::move(over_a_link);
}
stream::stream(stream&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), error_(std::exchange(other.error_, 0)), tls_(std::move(other.tls_)) {}

stream& stream::operator=(stream&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    error_ = std::exchange(other.error_, 0);
    tls_ = std::move(other.tls_);
  }
  return *this;
}

stream::~stream() {
  close();
}

void stream::close() {
  if (fd_ < 0) return;
  if (tls_ && tls_->carried) {
    tls_->carried->finish(true);
    tls_.reset();
    fd_ = -1;
    return;
  }
  send_close_notify();
  if (tls_) tls_->ssl.reset();
  ::close(std::exchange(fd_, -1));
}

void stream::shutdown_write() {
  if (fd_ < 0) return;
  if (tls_ && tls_->carried) return tls_->carried->finish(false);
  send_close_notify();
  ::shutdown(fd_, SHUT_WR);
}

void stream::send_close_notify() {
  if (!tls_ || !tls_->established || tls_->dead || tls_->notified) return;
  tls_->notified = true;
  ERR_clear_error();
  SSL_shutdown(tls_->ssl.get());
  ERR_clear_error();
}

// -- errors
// ------------------------------------------------------------------------------------------------------------

io_status stream::fail_with_errno() {
  error_ = errno;
  if (tls_) {
    tls_->dead = true;
    tls_->error.clear();
  }
  return io_status::failed;
}

io_status stream::fail_with_text(std::string text) {
  error_ = 0;
  tls_->dead = true;
  tls_->error = std::move(text);
  return io_status::failed;
}

std::string stream::last_error() const {
  if (tls_ && !tls_->error.empty()) return tls_->error;
  return error_ != 0 ? std::strerror(error_) : "";
}

/// What an OpenSSL call's result means; `what` begins the sentence when TLS itself failed.
io_status stream::judge(int result, std::string_view what) {
  const int system_error = errno;
  SSL* ssl = tls_->ssl.get();
  switch (SSL_get_error(ssl, result)) {
  case SSL_ERROR_WANT_READ:
  case SSL_ERROR_WANT_WRITE:
    return io_status::would_block;
  case SSL_ERROR_ZERO_RETURN:
    return io_status::closed;
  case SSL_ERROR_SYSCALL:
    tls_->dead = true;
    if (tls_->socket.too_many()) return fail_with_text("TLS: too many key updates without data between them");
    if (system_error == 0) return io_status::closed;
    errno = system_error;
    return fail_with_errno();
  default:
    break;
  }
  std::string text = std::string(what).append(": ").append(take_tls_error("unknown TLS error"));
  if (const long verdict = SSL_get_verify_result(ssl); verdict != X509_V_OK)
    text.append(" (").append(X509_verify_cert_error_string(verdict)).append(")");
  return fail_with_text(std::move(text));
}

// -- system calls
// -----------------------------------------------------------------------------------------------------------
//
// The C library's recv and send can be cancelled by pthread_cancel, which nobody here uses: in a process with threads
// each of them takes two locked instructions for that. syscall() does not.

namespace {

ssize_t receive(int fd, char* out, std::size_t size) {
  return ::syscall(SYS_recvfrom, fd, out, size, 0, nullptr, nullptr);
}

/// One piece needs no list of pieces, which the kernel would copy.
ssize_t send_one(int fd, const iovec& piece) {
  return ::syscall(SYS_sendto, fd, piece.iov_base, piece.iov_len, MSG_NOSIGNAL, nullptr, 0);
}

ssize_t send_many(int fd, const iovec* pieces, int count) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces);
  message.msg_iovlen = static_cast<std::size_t>(count);
  return ::syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
}

} // namespace

// -- reading
// -----------------------------------------------------------------------------------------------------------

io_result stream::read(char* out, std::size_t size) {
  return tls_ ? read_tls(out, size) : read_plain(out, size);
}

io_result stream::read_plain(char* out, std::size_t size) {
  ssize_t n = 0;
  do
    n = receive(fd_, out, size);
  while (n < 0 && errno == EINTR);
  if (n > 0) return {io_status::ok, static_cast<std::size_t>(n)};
  if (n == 0) return {io_status::closed, 0};
  return {is_would_block(errno) ? io_status::would_block : fail_with_errno(), 0};
}

bool stream::tls() const {
  return tls_ != nullptr && !tls_->carried;
}

carried_stream* stream::carried() const {
  return tls_ ? tls_->carried.get() : nullptr;
}

io_result stream::read_tls(char* out, std::size_t size) {
  if (tls_->carried) {
    const io_result result = tls_->carried->read(out, size);
    if (result.status == io_status::failed) tls_->error = tls_->carried->why_lost();
    return result;
  }
  if (tls_->held != io_status::ok) return {tls_->held, 0};
  if (tls_->peer_notified) return {wait_for_end_of_transport(), 0};
  if (!tls_->established) return {io_status::would_block, 0};
  std::size_t filled = 0;
  tls_->read_wants_write = false;
  // One record a call is OpenSSL's rule; what it has buffered already costs no system call, so take that along.
  do {
    ERR_clear_error();
    errno = 0;
    std::size_t n = 0;
    const int result = SSL_read_ex(tls_->ssl.get(), out + filled, size - filled, &n);
    tls_->drained = result != 1;
    filled += n;
    if (result == 1) {
      tls_->socket.key_updates = 0;
      continue;
    }
    auto status = after_our_end(judge(result, "TLS read"));
    if (status == io_status::would_block) {
      tls_->read_wants_write = SSL_want_write(tls_->ssl.get());
    } else if (status == io_status::closed && !tls_->accepts) {
      tls_->peer_notified = true;
      status = filled > 0 ? io_status::ok : wait_for_end_of_transport();
    } else if (filled > 0) {
      tls_->held = status; // an end is an end: it can be told later
    }
    if (filled == 0) return {status, 0};
    break;
  } while (filled < size && SSL_has_pending(tls_->ssl.get()) == 1);
  return {io_status::ok, filled};
}

/// A Postgres that got Terminate ends without reading the close_notify behind it, and its kernel then says so with a
/// reset. Once we have ended our half, that is as good an end as any: the other socket is gone.
io_status stream::after_our_end(io_status status) const {
  const bool reset = status == io_status::failed && error_ == ECONNRESET;
  return reset && tls_->notified ? io_status::closed : status;
}

/// Postgres says close_notify before its backend has ended, and a permit is free only when that has ended. So towards
/// servers `closed` means the end of the transport. We answer with our own close_notify and end, for peers that wait.
io_status stream::wait_for_end_of_transport() {
  if (!tls_->notified) shutdown_write();
  std::array<char, 512> unwanted{};
  while (true) {
    const auto got = read_plain(unwanted.data(), unwanted.size());
    if (got.status != io_status::ok) return after_our_end(got.status);
  }
}

bool stream::read_pending() const {
  if (!tls_ || !tls_->ssl) return false;
  if (tls_->held != io_status::ok) return true;
  return tls_->established && !tls_->drained && SSL_has_pending(tls_->ssl.get()) == 1;
}

bool stream::read_wants_write() const {
  return tls_ && tls_->read_wants_write;
}
bool stream::write_wants_read() const {
  return tls_ && tls_->write_wants_read;
}

// -- writing
// -----------------------------------------------------------------------------------------------------------

io_result stream::write(const iovec* pieces, int count) {
  return tls_ ? write_tls(pieces, count) : write_plain(pieces, count);
}

io_result stream::write_plain(const iovec* pieces, int count) {
  std::size_t wanted = 0;
  for (int i = 0; i < count; ++i)
    wanted += pieces[i].iov_len;
  if (wanted == 0) return {io_status::ok, 0};
  ssize_t n = 0;
  do
    n = count == 1 ? send_one(fd_, pieces[0]) : send_many(fd_, pieces, std::min(count, IOV_MAX));
  while (n < 0 && errno == EINTR);
  if (n < 0) return {is_would_block(errno) ? io_status::would_block : fail_with_errno(), 0};
  const auto taken = static_cast<std::size_t>(n);
  if (taken == wanted) return {io_status::ok, taken};
  // More pieces than the kernel takes in one call: the socket may have room for the rest.
  if (count > IOV_MAX) return write_rest(pieces, count, taken);
  return {io_status::would_block, taken};
}

io_result stream::write_rest(const iovec* pieces, int count, std::size_t taken) {
  std::size_t in_first_call = 0;
  for (int i = 0; i < IOV_MAX; ++i)
    in_first_call += pieces[i].iov_len;
  if (taken < in_first_call) return {io_status::would_block, taken};
  auto rest = write_plain(pieces + IOV_MAX, count - IOV_MAX);
  rest.bytes += taken;
  return rest;
}

io_result stream::write_tls(const iovec* pieces, int count) {
  if (tls_->carried) {
    const io_result result = tls_->carried->write(pieces, count);
    if (result.status == io_status::failed) tls_->error = tls_->carried->why_lost();
    return result;
  }
  if (!tls_->established) return {io_status::would_block, 0};
  if (tls_->dead || tls_->notified) {
    errno = EPIPE;
    return {fail_with_errno(), 0};
  }
  std::array<char, record_size> scratch; // NOLINT: not cleared, 16 KB would be cleared for nothing
  std::size_t taken = 0;
  tls_->write_wants_read = false;
  for (record_cutter cutter(pieces, count); !cutter.done();) {
    const auto [data, size] = cutter.next(scratch.data());
    tls_->socket.more_follows = cutter.left_after(size);
    ERR_clear_error();
    errno = 0;
    std::size_t n = 0;
    const int result = SSL_write_ex(tls_->ssl.get(), data, size, &n);
    tls_->socket.more_follows = false;
    if (result != 1) {
      const auto status = judge(result, "TLS write");
      if (status == io_status::would_block) tls_->write_wants_read = SSL_want_read(tls_->ssl.get());
      return {status, taken};
    }
    taken += n;
    cutter.advance(n);
  }
  return {io_status::ok, taken};
}

// -- TLS
// ---------------------------------------------------------------------------------------------------------------

void stream::start_tls(SSL_CTX& context, bool accepts, bool direct) {
  tls_ = std::make_unique<tls_state>();
  tls_->accepts = accepts;
  tls_->direct = direct;
  std::unique_ptr<SSL, ssl_deleter> ssl(SSL_new(&context));
  tls_->socket.fd = fd_;
  if (!ssl || !tls_->socket.attach(*ssl)) {
    fail_with_text("cannot start TLS: " + take_tls_error("out of memory"));
    return;
  }
  accepts ? SSL_set_accept_state(ssl.get()) : SSL_set_connect_state(ssl.get());
  tls_->ssl = std::move(ssl);
}

void stream::start_tls_accept(SSL_CTX& context, bool direct) {
  start_tls(context, true, direct);
}

void stream::start_tls_connect(SSL_CTX& context, const std::string& host, config::tls_mode mode, bool direct) {
  start_tls(context, false, direct);
  SSL* ssl = tls_->ssl.get();
  if (ssl == nullptr) return;
  std::array<unsigned char, sizeof(in6_addr)> raw{};
  const bool is_address =
      inet_pton(AF_INET, host.c_str(), raw.data()) == 1 || inet_pton(AF_INET6, host.c_str(), raw.data()) == 1;
  bool prepared = true;
  if (!is_address && !host.empty()) prepared = SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
  const auto& row = describe(mode);
  // The context should say so already. If it was made for a laxer mode, this makes the handshake fail, not pass.
  if (row.verifies_ca) SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
  if (row.verifies_name && is_address) {
    prepared = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
  } else if (row.verifies_name) {
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    // An empty name would switch the check off.
    prepared = prepared && !host.empty() && SSL_set1_host(ssl, host.c_str()) == 1;
  }
  if (prepared) return;
  tls_->ssl.reset();
  fail_with_text("cannot verify a server certificate for the host name \"" + host + "\"");
}

void stream::expect_bulk() {
  if (tls_ && tls_->ssl) SSL_set_default_read_buffer_len(tls_->ssl.get(), bulk_read_size);
}

io_status stream::handshake() {
  if (!tls_ || tls_->established) return io_status::ok;
  if (tls_->dead) return io_status::failed;
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(tls_->ssl.get());
  if (result != 1) {
    const auto status = judge(result, "TLS handshake");
    if (status == io_status::closed) {
      tls_->dead = true;
      tls_->error = "the peer closed the connection during the TLS handshake";
    }
    return status;
  }
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(tls_->ssl.get(), &name, &size);
  if (tls_->direct && std::string_view(reinterpret_cast<const char*>(name), size) != tls_alpn_name)
    return fail_with_text("direct TLS without the ALPN protocol \"" + std::string(tls_alpn_name) + "\"");
  tls_->established = true;
  return io_status::ok;
}

std::string stream::channel_end_point() const {
  if (!tls_ || !tls_->established || !tls_->ssl) return {};
  SSL* ssl = tls_->ssl.get();
  const X509* certificate = tls_->accepts ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl);
  int digest_id = NID_undef;
  if (certificate == nullptr ||
      X509_get_signature_info(const_cast<X509*>(certificate), &digest_id, nullptr, nullptr, nullptr) != 1)
    return {};
  // RFC 5929: the certificate hashed as its signature was, but with SHA-256 in place of MD5 and SHA-1.
  if (digest_id == NID_md5 || digest_id == NID_sha1) digest_id = NID_sha256;
  const EVP_MD* digest = EVP_get_digestbynid(digest_id);
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
  unsigned int size = 0;
  if (digest == nullptr || X509_digest(certificate, digest, raw.data(), &size) != 1) return {};
  return {reinterpret_cast<const char*>(raw.data()), size};
}

bool stream::peer_verified() const {
  if (!tls_ || !tls_->established || !tls_->ssl) return false;
  const SSL* ssl = tls_->ssl.get();
  return SSL_get0_peer_certificate(ssl) != nullptr && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE &&
         SSL_get_verify_result(ssl) == X509_V_OK;
}

std::string stream::peer_subject() const {
  if (!peer_verified()) return {};
  const std::unique_ptr<BIO, int (*)(BIO*)> text{BIO_new(BIO_s_mem()), BIO_free};
  const X509_NAME* subject = X509_get_subject_name(SSL_get0_peer_certificate(tls_->ssl.get()));
  if (text == nullptr || X509_NAME_print_ex(text.get(), subject, 0, XN_FLAG_RFC2253) < 0) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  std::string name(data, size > 0 ? static_cast<std::size_t>(size) : 0);
  return name.find('\0') == std::string::npos ? name : std::string{};
}

std::string stream::peer_common_name() const {
  if (!peer_verified()) return {};
  X509* certificate = SSL_get0_peer_certificate(tls_->ssl.get());
  X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  // A second common name would let the certificate's owner be two people.
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return {};
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return {};
  std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return name.find('\0') == std::string::npos ? name : std::string{};
}

std::string stream::tls_version() const {
  return tls_ && tls_->established && tls_->ssl ? SSL_get_version(tls_->ssl.get()) : "";
}

std::string stream::tls_cipher() const {
  return tls_ && tls_->established && tls_->ssl ? SSL_get_cipher_name(tls_->ssl.get()) : "";
}

std::string stream::tls_server_name() const {
  const char* name =
      tls_ && tls_->established && tls_->ssl ? SSL_get_servername(tls_->ssl.get(), TLSEXT_NAMETYPE_host_name) : nullptr;
  return name == nullptr ? std::string() : name;
}

} // namespace pg_edge::actors
