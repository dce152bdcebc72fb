#include "tests/support/certificates.hpp"

#include "tests/support/process.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

namespace pg_edge::test {

namespace {

constexpr long seconds_per_day = 86400;

struct free_openssl {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using key_ptr = std::unique_ptr<EVP_PKEY, free_openssl>;
using x509_ptr = std::unique_ptr<X509, free_openssl>;

void require(bool fine, const char* what) {
  if (!fine) throw test_failure(std::string("cannot make a certificate: ") + what);
}

template <typename writer>
std::string to_pem(writer write) {
  std::unique_ptr<BIO, free_openssl> bio(BIO_new(BIO_s_mem()));
  require(write(bio.get()) == 1, "PEM");
  char* text = nullptr;
  long length = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(length)};
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  require(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, value.c_str());
  X509_EXTENSION_free(extension);
}

x509_ptr make(const std::string& common_name, EVP_PKEY* key, int days) {
  x509_ptr certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  unsigned serial = 0;
  require(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1, "serial number");
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), static_cast<long>(serial >> 1));
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -seconds_per_day * (days < 0 ? 60 : 1));
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), seconds_per_day * days);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
  require(X509_set_pubkey(certificate.get(), key) == 1, "public key");
  return certificate;
}

} // namespace

struct certificate_authority::material {
  key_ptr key;
  x509_ptr certificate;
};

certificate_authority::certificate_authority(const std::string& common_name) : material_(new material) {
  material_->key.reset(EVP_EC_gen("P-256"));
  require(material_->key != nullptr, "key");
  material_->certificate = make(common_name, material_->key.get(), 30);
  X509* own = material_->certificate.get();
  X509_set_issuer_name(own, X509_get_subject_name(own));
  add_extension(own, own, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(own, own, NID_subject_key_identifier, "hash");
  require(X509_sign(own, material_->key.get(), EVP_sha256()) != 0, "signature");
}

certificate_authority::~certificate_authority() = default;

std::string certificate_authority::certificate() const {
  return to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, material_->certificate.get()); });
}

certificate_authority::leaf certificate_authority::issue(const std::string& common_name,
                                                         const std::string& alternative_names, bool rsa,
                                                         int days) const {
  key_ptr key(rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"));
  require(key != nullptr, "key");
  x509_ptr certificate = make(common_name, key.get(), days);
  X509* issuer = material_->certificate.get();
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer));
  if (!alternative_names.empty()) add_extension(certificate.get(), issuer, NID_subject_alt_name, alternative_names);
  require(X509_sign(certificate.get(), material_->key.get(), EVP_sha256()) != 0, "signature");
  return {to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); }), to_pem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

} // namespace pg_edge::test
