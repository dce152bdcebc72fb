// Turns the TLS settings of either side into OpenSSL contexts. A context is made at start and at each reload and shared
// by all connections made since; connections keep the one they began with, so a reload never touches them.
#pragma once

#include "config/settings.hpp"

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

namespace pg_edge::actors {

using tls_context_ptr = std::shared_ptr<SSL_CTX>;

/// The protocol name that Postgres registered for ALPN.
inline constexpr std::string_view tls_alpn_name = "postgresql";

/// Where the parts of one side come from. Empty means: not given, OpenSSL's own choice.
struct tls_settings {
  std::string ca_file;
  /// Comma lists of equal length: an RSA and an ECDSA certificate may stand side by side.
  std::string cert_file, key_file;
  /// secure (TLS 1.2 and later), all, legacy, or a comma list of tlsv1.0 .. tlsv1.3.
  std::string protocols = "secure";
  std::string ciphers; // for TLS 1.2 and before
  std::string tls13_ciphers;
  std::string ecdh_curve; // a curve, or "auto"
};

tls_settings client_tls_settings(const config::settings& settings);
tls_settings server_tls_settings(const config::settings& settings);

/// Either a context or why there is none: the file (or setting) and the reason.
struct tls_context_result {
  tls_context_ptr context;
  std::string error;
};

/// What a mode means on the server side, one row a mode.
struct tls_mode_row {
  config::tls_mode mode;
  bool plain_first;  // try without TLS first (allow)
  bool tls_allowed;  // may use TLS at all
  bool tls_required; // a connection without TLS is refused
  bool verifies_ca;
  bool verifies_name;
};
const tls_mode_row& describe(config::tls_mode mode);

/// For connections that clients open to us. Needs a certificate; verify_ca and verify_full also need a CA, and then
/// every client must show a certificate that it signed. A CA with a weaker mode: a client may show one, or none.
/// Selects ALPN "postgresql" and refuses clients that only offer others.
tls_context_result make_client_tls_context(const tls_settings& settings, config::tls_mode mode);

/// For connections that we open to Postgres. The mode decides what is verified, see tls_mode_row; without ca_file the
/// system's certificates are trusted. The name to verify is given for each connection, see stream::start_tls_connect().
tls_context_result make_server_tls_context(const tls_settings& settings, config::tls_mode mode);

/// The reason of the oldest error in this thread's OpenSSL queue, which is emptied; `otherwise` when there is none.
std::string take_tls_error(std::string_view otherwise);

} // namespace pg_edge::actors
