// pg_edgectl cert: a private authority for a cluster, and certificates of its nodes. Files are made here and nowhere
// sent; none is ever overwritten.
#include "config/network.hpp"
#include "config/value_text.hpp"
#include "tools/edgectl/commands.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace pg_edge::edgectl {

namespace {

using key_ptr = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;
using x509_ptr = std::unique_ptr<X509, void (*)(X509*)>;
using bio_ptr = std::unique_ptr<BIO, int (*)(BIO*)>;

constexpr int usual_ca_days = 3650, usual_node_days = 825;
/// Clocks of nodes may differ by this.
constexpr long early_seconds = 3600;

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("OpenSSL cannot make a ") + what);
}

struct files {
  std::string certificate, key;
};

files files_of(const call& what, const std::string& name) {
  const std::string folder = what.option("--folder", ".");
  return {folder + "/" + name + ".crt", folder + "/" + name + ".key"};
}

/// Of its owner alone, and only if there is none.
void write_new(const std::string& file, const std::string& text, mode_t mode) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0 && errno == EEXIST) throw std::runtime_error(file + " is there already; move it away to make another");
  if (fd < 0) throw std::runtime_error("cannot write " + file + ": " + std::strerror(errno));
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  const int why = errno;
  ::close(fd);
  if (!written) throw std::runtime_error("cannot write " + file + ": " + std::strerror(why));
}

std::string read_pem(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error("cannot read " + file + ": make the authority first, with pg_edgectl cert ca");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

template <class Write>
std::string to_pem(Write write) {
  const bio_ptr bio(BIO_new(BIO_s_mem()), BIO_free);
  require(bio && write(bio.get()) == 1, "PEM text");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string certificate_text(X509* certificate) {
  return to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

std::string key_text(EVP_PKEY* key) {
  return to_pem(
      [&](BIO* bio) { return PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
}

key_ptr make_key() {
  key_ptr key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  require(key != nullptr, "key");
  return key;
}

x509_ptr make_certificate(const std::string& common_name, EVP_PKEY* key, int days) {
  x509_ptr out(X509_new(), X509_free);
  require(out != nullptr, "certificate");
  X509_set_version(out.get(), X509_VERSION_3);
  unsigned char serial[16];
  require(RAND_bytes(serial, sizeof serial) == 1, "serial number");
  serial[0] &= 0x7F;
  const std::unique_ptr<BIGNUM, void (*)(BIGNUM*)> number(BN_bin2bn(serial, sizeof serial, nullptr), BN_free);
  require(number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(out.get())) != nullptr, "serial number");
  X509_gmtime_adj(X509_getm_notBefore(out.get()), -early_seconds);
  X509_time_adj_ex(X509_getm_notAfter(out.get()), days, 0, nullptr);
  X509_NAME* name = X509_get_subject_name(out.get());
  require(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                     reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0) == 1,
          "name");
  require(X509_set_pubkey(out.get(), key) == 1, "certificate");
  return out;
}

void add_extension(X509* to, X509* issuer, int which, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, void (*)(X509_EXTENSION*)> one(
      X509V3_EXT_conf_nid(nullptr, &context, which, value.c_str()), X509_EXTENSION_free);
  require(one && X509_add_ext(to, one.get(), -1) == 1, "certificate's extension");
}

int days_of(const call& what, int usual) {
  const std::string text = what.option("--days", std::to_string(usual));
  const auto days = config::parse_integer(text);
  if (!days || *days < 1 || *days > 36'500) throw usage_error("--days: " + text + " is no number from 1 to 36500");
  return static_cast<int>(*days);
}

int make_authority(const call& what) {
  const int days = days_of(what, usual_ca_days);
  const files to = files_of(what, "cluster-ca");
  const key_ptr key = make_key();
  const x509_ptr own = make_certificate("pg_edge cluster authority", key.get(), days);
  X509_set_issuer_name(own.get(), X509_get_subject_name(own.get()));
  add_extension(own.get(), own.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(own.get(), own.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(own.get(), own.get(), NID_subject_key_identifier, "hash");
  require(X509_sign(own.get(), key.get(), EVP_sha256()) != 0, "signature");
  write_new(to.key, key_text(key.get()), 0600);
  write_new(to.certificate, certificate_text(own.get()), 0644);
  std::cout << to.certificate << ": the authority; copy it to every node\n"
            << to.key << ": its key; whoever has it can make nodes: keep it off the nodes\n";
  return fine;
}

/// "DNS:a,IP:10.0.0.1": where the node is, and what it connects from, for etcd compares both.
std::string alternative_names(const std::string& node, const std::string& hosts) {
  std::string out = "DNS:" + node + ",DNS:localhost,IP:127.0.0.1,IP:::1";
  for (const std::string& host : config::split_list(hosts)) {
    if (host.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_*") !=
        std::string::npos)
      throw usage_error("--hosts: \"" + host + "\" is neither an address nor a name");
    out += (config::parse_address(host) ? ",IP:" : ",DNS:") + host;
  }
  return out;
}

int make_node(const call& what) {
  if (what.arguments.size() != 2) throw usage_error("cert node takes the name of the node");
  const std::string& name = what.arguments[1];
  if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
          std::string::npos ||
      name.empty() || name[0] == '.' || name[0] == '-' || name == "cluster-ca")
    throw usage_error("cert node: \"" + name + "\" is no name of a node");
  const int days = days_of(what, usual_node_days);
  const std::string names = alternative_names(name, what.option("--hosts"));
  const files authority = files_of(what, "cluster-ca"), to = files_of(what, name);
  const std::string ca_text = read_pem(authority.certificate), ca_key_text = read_pem(authority.key);
  const bio_ptr ca_bio(BIO_new_mem_buf(ca_text.data(), static_cast<int>(ca_text.size())), BIO_free);
  const bio_ptr key_bio(BIO_new_mem_buf(ca_key_text.data(), static_cast<int>(ca_key_text.size())), BIO_free);
  const x509_ptr issuer(PEM_read_bio_X509(ca_bio.get(), nullptr, nullptr, nullptr), X509_free);
  const key_ptr issuer_key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (!issuer || !issuer_key || X509_check_private_key(issuer.get(), issuer_key.get()) != 1)
    throw std::runtime_error(authority.certificate + " and " + authority.key + " are no certificate and its key");
  const key_ptr key = make_key();
  const x509_ptr own = make_certificate(name, key.get(), days);
  X509_set_issuer_name(own.get(), X509_get_subject_name(issuer.get()));
  add_extension(own.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(own.get(), issuer.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(own.get(), issuer.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  add_extension(own.get(), issuer.get(), NID_subject_alt_name, names);
  add_extension(own.get(), issuer.get(), NID_subject_key_identifier, "hash");
  add_extension(own.get(), issuer.get(), NID_authority_key_identifier, "keyid:always");
  require(X509_sign(own.get(), issuer_key.get(), EVP_sha256()) != 0, "signature");
  write_new(to.key, key_text(key.get()), 0600);
  write_new(to.certificate, certificate_text(own.get()), 0644);
  std::cout << to.certificate << " and " << to.key << ": certificate and key in [cluster] of " << name << " (" << names
            << ")\n";
  return fine;
}

} // namespace

int run_cert(call& what) {
  if (what.arguments[0] == "ca" && what.arguments.size() == 1) return make_authority(what);
  if (what.arguments[0] == "node") return make_node(what);
  throw usage_error("cert takes ca, or node and a name");
}

} // namespace pg_edge::edgectl
