// How a client proves who it is: one method chosen from what is stored for its user, run to its end with every outcome
// looking the same from outside. Pure; the slow key derivation is asked for and its result handed back.
//
//   begin() --> (trust) accepted
//           --> awaits_answer --(cleartext of a verifier, SCRAM of a plain password)--> derive --> keys()
//           --> awaits_final (SCRAM) --> accepted | refused
#pragma once

#include "protocol/scram.hpp"

#include <optional>
#include <string>

namespace pg_edge::protocol {

enum class auth_method { trust, cleartext, md5, scram };

class client_auth {
public:
  struct identity {
    std::string user;
    std::string secret; // as stored; empty: no such user, or one that cannot log in by password
    auth_method method = auth_method::scram;
    int iterations = scram_default_iterations;
  };
  /// `nonce`: fresh random text; `salt4`: four fresh random bytes; `node_secret`: hides which users exist.
  client_auth(identity who, std::string nonce, bytes salt4, bytes node_secret);

  enum class verdict { more, derive, accepted, refused, violated };
  struct step {
    verdict now = verdict::more;
    bytes send;
    std::string why; // refused, violated: for the log
  };

  step begin();
  /// The body of the client's 'p' message.
  step answer(bytes_view body);
  /// After `derive`: salted_password(password(), salt(), iterations()), empty if it could not be computed.
  step keys(bytes_view salted_password);

  const std::string& password() const { return password_; }
  const bytes& salt() const { return salt_; }
  int iterations() const { return iterations_; }

private:
  enum class state { awaits_answer, awaits_keys, awaits_verifier, awaits_final, over };

  step answer_cleartext(bytes_view body);
  step answer_md5(bytes_view body);
  step begin_scram(bytes_view body);
  step scram_first(scram_verifier verifier);
  step scram_final(bytes_view body);
  step finish(bool right, std::string why);
  step violated(std::string why);

  identity who_;
  std::string nonce_;
  bytes salt4_, node_secret_;
  state state_ = state::awaits_answer;
  std::string password_; // of a pending derivation
  bytes salt_;
  int iterations_ = 0;
  bytes client_first_;
  std::optional<scram_server> scram_;
};

} // namespace pg_edge::protocol
