// TLS of the admin API: the certificate of [admin], and HTTP/1.1 as the one protocol. A context is made at start and at
// each reload; connections keep the one they began with.
#include "actors/admin_http.hpp"
#include "actors/tls_context.hpp"

#include <openssl/ssl.h>

namespace pg_edge::actors {

namespace {

/// HTTP/1.1 where the other side speaks of protocols at all; who does not know it may try all the same.
int select_http(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                unsigned int offered_size, void*) {
  static constexpr unsigned char ours[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

} // namespace

tls_context_result make_admin_tls_context(const config::admin_settings& settings) {
  if (!settings.served || settings.tls_cert_file.empty()) return {};
  tls_settings parts;
  parts.cert_file = settings.tls_cert_file;
  parts.key_file = settings.tls_key_file;
  tls_context_result made = make_client_tls_context(parts, config::tls_mode::require);
  if (made.context) SSL_CTX_set_alpn_select_cb(made.context.get(), select_http, nullptr);
  return made;
}

} // namespace pg_edge::actors
