#include "actors/tls_context.hpp"

#include <openssl/err.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <vector>

namespace pg_edge::actors {

namespace {

using config::tls_mode;

constexpr std::array<tls_mode_row, 6> mode_rows{{
    {tls_mode::disable, false, false, false, false, false},
    {tls_mode::allow, true, true, false, false, false},
    {tls_mode::prefer, false, true, false, false, false},
    {tls_mode::require, false, true, true, false, false},
    {tls_mode::verify_ca, false, true, true, true, false},
    {tls_mode::verify_full, false, true, true, true, true},
}};

struct protocol_row {
  std::string_view name;
  int version;
  std::uint64_t switched_off_by;
};
constexpr std::array<protocol_row, 4> protocol_rows{{
    {"tlsv1.0", TLS1_VERSION, SSL_OP_NO_TLSv1},
    {"tlsv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1},
    {"tlsv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2},
    {"tlsv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3},
}};
struct protocol_set_row {
  std::string_view name, members;
};
constexpr std::array<protocol_set_row, 4> protocol_sets{{
    {"", "tlsv1.2,tlsv1.3"},
    {"secure", "tlsv1.2,tlsv1.3"},
    {"all", "tlsv1.0,tlsv1.1,tlsv1.2,tlsv1.3"},
    {"legacy", "tlsv1.0,tlsv1.1,tlsv1.2,tlsv1.3"},
}};

// The wire form of ALPN: a length byte before each name.
constexpr std::array<unsigned char, 11> alpn_wire{10, 'p', 'o', 's', 't', 'g', 'r', 'e', 's', 'q', 'l'};
static_assert(alpn_wire.size() == tls_alpn_name.size() + 1 && alpn_wire[0] == tls_alpn_name.size());

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    auto part = list.substr(0, list.find(','));
    list.remove_prefix(std::min(part.size() + 1, list.size()));
    while (!part.empty() && part.front() == ' ')
      part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ')
      part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

/// OpenSSL's reasons for unreadable files are poor, so the file is opened here first. Empty when it can be read.
std::string why_unreadable(const std::string& file) {
  errno = 0;
  const std::ifstream in(file);
  return in ? std::string{} : file + ": " + std::strerror(errno != 0 ? errno : EIO);
}

std::string explain(const std::string& what) {
  return what + ": " + take_tls_error("OpenSSL gives no reason");
}

// Without this OpenSSL would ask for the passphrase of an encrypted key on the terminal.
int no_passphrase(char*, int, int, void*) {
  return 0;
}

std::string load_certificates(SSL_CTX* context, const tls_settings& settings) {
  const auto certificates = split(settings.cert_file);
  const auto keys = split(settings.key_file);
  if (certificates.size() != keys.size())
    return "a key file is needed for each certificate file: " + std::to_string(certificates.size()) +
           " certificates (" + settings.cert_file + "), " + std::to_string(keys.size()) + " keys (" +
           settings.key_file + ")";
  SSL_CTX_set_default_passwd_cb(context, no_passphrase);
  for (std::size_t i = 0; i < certificates.size(); ++i) {
    for (const auto& file : {certificates[i], keys[i]})
      if (auto why = why_unreadable(file); !why.empty()) return why;
    if (SSL_CTX_use_certificate_chain_file(context, certificates[i].c_str()) != 1) return explain(certificates[i]);
    if (SSL_CTX_use_PrivateKey_file(context, keys[i].c_str(), SSL_FILETYPE_PEM) != 1) return explain(keys[i]);
    if (SSL_CTX_check_private_key(context) != 1) return explain(keys[i]) + " (with " + certificates[i] + ")";
  }
  return {};
}

std::string load_ca(SSL_CTX* context, const std::string& file) {
  if (auto why = why_unreadable(file); !why.empty()) return why;
  if (SSL_CTX_load_verify_locations(context, file.c_str(), nullptr) != 1) return explain(file);
  return {};
}

std::string set_protocols(SSL_CTX* context, std::string_view wanted) {
  for (const auto& set : protocol_sets)
    if (set.name == wanted) {
      wanted = set.members;
      break;
    }
  std::uint64_t off = SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3;
  int lowest = 0;
  for (const auto& name : split(wanted)) {
    const protocol_row* found = nullptr;
    for (const auto& row : protocol_rows)
      if (row.name == name) found = &row;
    if (found == nullptr) return "tls_protocols: unknown protocol \"" + name + "\"";
    off &= ~found->switched_off_by;
    if (lowest == 0 || found->version < lowest) lowest = found->version;
  }
  if (lowest == 0) return "tls_protocols: no protocol is left";
  SSL_CTX_set_options(context, off);
  SSL_CTX_set_min_proto_version(context, lowest);
  return {};
}

std::string set_ciphers(SSL_CTX* context, const tls_settings& settings) {
  const auto chosen = [](const std::string& value) { return !value.empty() && value != "default" && value != "auto"; };
  if (chosen(settings.ciphers) && SSL_CTX_set_cipher_list(context, settings.ciphers.c_str()) != 1)
    return explain("tls_ciphers \"" + settings.ciphers + "\"");
  if (chosen(settings.tls13_ciphers) && SSL_CTX_set_ciphersuites(context, settings.tls13_ciphers.c_str()) != 1)
    return explain("tls13_ciphers \"" + settings.tls13_ciphers + "\"");
  if (chosen(settings.ecdh_curve) && SSL_CTX_set1_groups_list(context, settings.ecdh_curve.c_str()) != 1)
    return explain("tls_ecdhcurve \"" + settings.ecdh_curve + "\"");
  return {};
}

/// What both sides have in common.
std::string set_up(SSL_CTX* context, const tls_settings& settings) {
  // RELEASE_BUFFERS: an idle connection holds no 16 KB buffers. The write modes let a caller offer the rest of its data
  // from another address after a partial write.
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Many peers close without close_notify. Postgres messages have lengths, so a cut stream is found without it.
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // One system call for a record's header and body, and for several small records.
  SSL_CTX_set_read_ahead(context, 1);
  // No session is ever resumed (libpq never does, and neither does Postgres offer it), so none is kept or sent.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  if (auto why = set_protocols(context, settings.protocols); !why.empty()) return why;
  if (auto why = set_ciphers(context, settings); !why.empty()) return why;
  return load_certificates(context, settings);
}

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                unsigned int offered_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, alpn_wire.data(), alpn_wire.size(), offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

} // namespace

const tls_mode_row& describe(tls_mode mode) {
  return mode_rows[static_cast<std::size_t>(mode)];
}

tls_settings client_tls_settings(const config::settings& settings) {
  return {settings.client_tls_ca_file,   settings.client_tls_cert_file, settings.client_tls_key_file,
          settings.client_tls_protocols, settings.client_tls_ciphers,   settings.client_tls13_ciphers,
          settings.client_tls_ecdhcurve};
}

tls_settings server_tls_settings(const config::settings& settings) {
  return {settings.server_tls_ca_file,
          settings.server_tls_cert_file,
          settings.server_tls_key_file,
          settings.server_tls_protocols,
          settings.server_tls_ciphers,
          settings.server_tls13_ciphers,
          {}};
}

std::string take_tls_error(std::string_view otherwise) {
  const auto code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return std::string(otherwise);
  if (const char* reason = ERR_reason_error_string(code)) return reason;
  return "OpenSSL error " + std::to_string(code);
}

tls_context_result make_client_tls_context(const tls_settings& settings, tls_mode mode) {
  ERR_clear_error();
  tls_context_ptr context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) return {nullptr, explain("TLS context")};
  if (split(settings.cert_file).empty()) return {nullptr, "TLS for clients needs a certificate file and a key file"};
  if (auto why = set_up(context.get(), settings); !why.empty()) return {nullptr, why};
  SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_dh_auto(context.get(), 1);
  SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, nullptr);
  const bool required = describe(mode).verifies_ca;
  if (settings.ca_file.empty())
    return required ? tls_context_result{nullptr, "verifying clients' certificates needs a CA file"}
                    : tls_context_result{std::move(context), {}};
  if (auto why = load_ca(context.get(), settings.ca_file); !why.empty()) return {nullptr, why};
  // Tells clients that have several certificates which one to show.
  SSL_CTX_set_client_CA_list(context.get(), SSL_load_client_CA_file(settings.ca_file.c_str()));
  // With a weaker mode a client is asked all the same, since a rule may want its certificate; it may have none, but not
  // a bad one.
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  return {std::move(context), {}};
}

tls_context_result make_server_tls_context(const tls_settings& settings, tls_mode mode) {
  ERR_clear_error();
  tls_context_ptr context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (!context) return {nullptr, explain("TLS context")};
  if (auto why = set_up(context.get(), settings); !why.empty()) return {nullptr, why};
  if (SSL_CTX_set_alpn_protos(context.get(), alpn_wire.data(), alpn_wire.size()) != 0)
    return {nullptr, explain("ALPN")};
  if (!describe(mode).verifies_ca) return {std::move(context), {}};

  if (settings.ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(context.get()) != 1) return {nullptr, explain("the system's certificates")};
  } else if (auto why = load_ca(context.get(), settings.ca_file); !why.empty()) {
    return {nullptr, why};
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return {std::move(context), {}};
}

} // namespace pg_edge::actors
