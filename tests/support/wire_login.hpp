// What a client answers to a server's authentication requests, worked out with OpenSSL alone: for wire_client, which
// must not share code with protocol/.
#pragma once

#include <string>
#include <string_view>

namespace pg_edge::test {

/// The body of the answer to AuthenticationMD5Password, without its closing zero.
std::string md5_answer(std::string_view user, std::string_view password, std::string_view salt);

/// One SCRAM-SHA-256 exchange without channel binding; the password is taken as it is (ASCII).
class scram_client {
public:
  explicit scram_client(std::string password);
  std::string first() const { return "n,," + first_bare_; }
  /// The client-final-message; throws test_failure when the server's first makes no sense.
  std::string final(const std::string& server_first);
  /// Whether the server proved that it knows the password.
  bool verify(const std::string& server_final) const;

private:
  std::string password_, first_bare_, nonce_, server_signature_;
};

} // namespace pg_edge::test
