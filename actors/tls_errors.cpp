// OpenSSL keeps the errors of all connections of a thread in one list, and SSL_get_error takes an error that stands
// there for the last call's. So the list must be empty before each call. CAF does not see to that: when one connection
// between nodes ended without a goodbye, or a probe of an address left without a handshake, CAF took the others on its
// thread, where nothing was wrong, for failed ones as well, and ended them. CAF is a package of the distribution, so
// the calls that it makes are taken here: the program's own definitions come before those of a library.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <dlfcn.h>

namespace {

/// OpenSSL's own, behind the one defined here.
template <class Function>
Function* of_openssl(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

} // namespace

extern "C" {

int SSL_read(SSL* ssl, void* into, int most) {
  static const auto call = of_openssl<decltype(SSL_read)>("SSL_read");
  ERR_clear_error();
  return call(ssl, into, most);
}

int SSL_write(SSL* ssl, const void* from, int size) {
  static const auto call = of_openssl<decltype(SSL_write)>("SSL_write");
  ERR_clear_error();
  return call(ssl, from, size);
}

int SSL_connect(SSL* ssl) {
  static const auto call = of_openssl<decltype(SSL_connect)>("SSL_connect");
  ERR_clear_error();
  return call(ssl);
}

int SSL_accept(SSL* ssl) {
  static const auto call = of_openssl<decltype(SSL_accept)>("SSL_accept");
  ERR_clear_error();
  return call(ssl);
}

} // extern "C"
