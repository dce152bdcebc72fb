#include "actors/tls_socket.hpp"

#include <openssl/bio.h>

#include <cerrno>
#include <sys/socket.h>

namespace pg_edge::actors {

namespace {

bool is_would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

tls_socket& bio_of(BIO* bio) {
  return *static_cast<tls_socket*>(BIO_get_data(bio));
}
int bio_fd(BIO* bio) {
  return bio_of(bio).fd;
}

void note_message(int is_sent, int, int content, const void* bytes, std::size_t size, SSL*, void* socket) {
  const bool key_update = is_sent == 0 && content == SSL3_RT_HANDSHAKE && size > 0 &&
                          *static_cast<const unsigned char*>(bytes) == SSL3_MT_KEY_UPDATE;
  if (key_update) ++static_cast<tls_socket*>(socket)->key_updates;
}

int bio_read(BIO* bio, char* out, int size) {
  BIO_clear_retry_flags(bio);
  if (bio_of(bio).too_many()) {
    errno = EPROTO;
    return -1;
  }
  ssize_t n = 0;
  do
    n = ::recv(bio_fd(bio), out, static_cast<std::size_t>(size), 0);
  while (n < 0 && errno == EINTR);
  if (n < 0 && is_would_block(errno)) BIO_set_retry_read(bio);
  if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(n);
}

int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const int flags = MSG_NOSIGNAL | (bio_of(bio).more_follows ? MSG_MORE : 0);
  ssize_t n = 0;
  do
    n = ::send(bio_fd(bio), data, static_cast<std::size_t>(size), flags);
  while (n < 0 && errno == EINTR);
  if (n < 0 && is_would_block(errno)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return 0;
}

const BIO_METHOD* socket_bio_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pg_edge socket");
    if (made == nullptr) return made;
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

} // namespace

bool tls_socket::attach(SSL& ssl) {
  const BIO_METHOD* method = socket_bio_method();
  BIO* bio = method != nullptr ? BIO_new(method) : nullptr;
  if (bio == nullptr) return false;
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(&ssl, bio, bio);
  SSL_set_msg_callback(&ssl, note_message);
  SSL_set_msg_callback_arg(&ssl, this);
  return true;
}

} // namespace pg_edge::actors
