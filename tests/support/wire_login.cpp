#include "tests/support/wire_login.hpp"

#include "tests/support/process.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <cstdlib>

namespace pg_edge::test {

namespace {

const unsigned char* unsigned_bytes(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

std::string md5_hex(const std::string& bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_md5(), nullptr) != 1)
    throw test_failure("OpenSSL has no MD5");
  std::string hex;
  for (unsigned i = 0; i < length; ++i) {
    hex += "0123456789abcdef"[digest[i] >> 4];
    hex += "0123456789abcdef"[digest[i] & 15];
  }
  return hex;
}

std::string to_base64(const std::string& bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), unsigned_bytes(bytes),
                               static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

std::string from_base64(const std::string& text) {
  std::string bytes(text.size(), '\0');
  int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()), unsigned_bytes(text),
                               static_cast<int>(text.size()));
  if (length < 0) throw test_failure("not base64: " + text);
  for (std::size_t i = text.size(); i > 0 && text[i - 1] == '='; --i)
    --length; // EVP_DecodeBlock counts the padding as bytes
  bytes.resize(static_cast<std::size_t>(length));
  return bytes;
}

std::string hmac(const std::string& key, const std::string& text) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), unsigned_bytes(text), text.size(),
       reinterpret_cast<unsigned char*>(digest.data()), &length);
  return digest;
}

std::string attribute(const std::string& message, char name) {
  std::size_t at = message.rfind(std::string(1, name) + "=", 0) == 0
                       ? 0
                       : message.find(std::string(",") + name + "=") + 1; // npos + 1 is 0: checked below
  if (message.compare(at, 2, std::string(1, name) + "=") != 0)
    throw test_failure(std::string("no ") + name + "= in SCRAM message " + message);
  std::size_t end = message.find(',', at);
  return message.substr(at + 2, end == std::string::npos ? end : end - at - 2);
}

} // namespace

std::string md5_answer(std::string_view user, std::string_view password, std::string_view salt) {
  return "md5" + md5_hex(md5_hex(std::string(password) + std::string(user)) + std::string(salt));
}

scram_client::scram_client(std::string password) : password_(std::move(password)) {
  std::string random(18, '\0');
  RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), static_cast<int>(random.size()));
  nonce_ = to_base64(random);
  first_bare_ = "n=,r=" + nonce_;
}

std::string scram_client::final(const std::string& server_first) {
  const std::string nonce = attribute(server_first, 'r'), salt = from_base64(attribute(server_first, 's'));
  const int iterations = std::atoi(attribute(server_first, 'i').c_str());
  if (nonce.compare(0, nonce_.size(), nonce_) != 0 || nonce.size() == nonce_.size() || iterations < 1)
    throw test_failure("bad SCRAM server-first-message: " + server_first);
  std::string salted(SHA256_DIGEST_LENGTH, '\0');
  PKCS5_PBKDF2_HMAC(password_.data(), static_cast<int>(password_.size()), unsigned_bytes(salt),
                    static_cast<int>(salt.size()), iterations, EVP_sha256(), SHA256_DIGEST_LENGTH,
                    reinterpret_cast<unsigned char*>(salted.data()));
  const std::string client_key = hmac(salted, "Client Key");
  std::string stored_key(SHA256_DIGEST_LENGTH, '\0');
  SHA256(unsigned_bytes(client_key), client_key.size(), reinterpret_cast<unsigned char*>(stored_key.data()));

  const std::string without_proof = "c=biws,r=" + nonce;
  const std::string auth_message = first_bare_ + "," + server_first + "," + without_proof;
  std::string proof = hmac(stored_key, auth_message);
  for (std::size_t i = 0; i < proof.size(); ++i)
    proof[i] = static_cast<char>(proof[i] ^ client_key[i]);
  server_signature_ = hmac(hmac(salted, "Server Key"), auth_message);
  return without_proof + ",p=" + to_base64(proof);
}

bool scram_client::verify(const std::string& server_final) const {
  return server_final == "v=" + to_base64(server_signature_);
}

} // namespace pg_edge::test
