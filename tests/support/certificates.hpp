// Certificates for tests, made in memory: an authority, and leaves signed by it for servers and clients.
#pragma once

#include <memory>
#include <string>

namespace pg_edge::test {

/// A private certificate authority of a test.
class certificate_authority {
public:
  explicit certificate_authority(const std::string& common_name = "pg_edge test authority");
  ~certificate_authority();
  certificate_authority(const certificate_authority&) = delete;
  certificate_authority& operator=(const certificate_authority&) = delete;

  /// Its certificate, PEM: what root.crt and server_tls_ca_file hold.
  std::string certificate() const;

  struct leaf {
    std::string certificate; // PEM
    std::string key;         // PEM
  };
  /// A leaf for the common name, valid for the given names, e.g. "DNS:localhost,IP:127.0.0.1"; ECDSA P-256, or RSA
  /// 2048. days may be negative: a certificate that has expired.
  leaf issue(const std::string& common_name, const std::string& alternative_names = "DNS:localhost,IP:127.0.0.1",
             bool rsa = false, int days = 30) const;

private:
  struct material;
  std::unique_ptr<material> material_;
};

} // namespace pg_edge::test
