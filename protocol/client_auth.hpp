// How a client proves who it is: one method chosen from what is stored for its user, run to its end with every outcome
// looking the same from outside. Pure; the slow key derivation is asked for and its result handed back.
//
//   begin() --> (trust) accepted
//           --> awaits_answer --(outside)----> ask --> told() --> accepted | refused
//                             --(cleartext)--> derive, once a verifier --> keys() --> accepted | refused
//                             --(md5)--------> accepted | refused
//                             --(SCRAM)------> derive, once a plain secret --> keys() --> awaits_final
//               awaits_final --> accepted | refused
//
// Whoever does not exist or has no password goes the same way with the same messages: what is derived for him is
// thrown away. For that reason every SCRAM login and every wrong cleartext password asks for at least one derivation.
#pragma once

#include "protocol/errors.hpp"
#include "protocol/scram.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pg_edge::protocol {

/// `outside`: the client sends its password in clear, and somebody else is asked whether it is right.
enum class auth_method { trust, outside, cleartext, md5, scram };

class client_auth {
public:
  struct identity {
    std::string user;
    /// As stored; any of them will do, the first is the present one. None: no such user, or one without a password.
    std::vector<std::string> secrets;
    auth_method method = auth_method::scram;
    int iterations = scram_default_iterations; // for secrets that are no verifiers
  };
  /// `nonce`: fresh random text; `salt4`: four fresh random bytes; `node_secret`: see salt_secret(); `end_point`: the
  /// hash of our TLS certificate, which offers SCRAM-SHA-256-PLUS; empty: not over TLS.
  client_auth(identity who, std::string nonce, bytes salt4, bytes node_secret, bytes end_point = {});
  ~client_auth();
  client_auth(const client_auth&) = delete;
  client_auth& operator=(const client_auth&) = delete;

  enum class verdict { more, derive, ask, accepted, refused, violated };
  struct step {
    verdict now = verdict::more;
    bytes send;
    std::string why;                                      // refused, violated: for the log
    error_code error = error_code::invalid_auth_response; // violated: what the client is told
  };

  step begin();
  /// The body of the client's 'p' message.
  step answer(bytes_view body);
  /// After `derive`: salted_password(password(), salt(), iterations()), empty if it could not be computed.
  step keys(bytes_view salted_password);
  /// After `ask`: whether password() is right. `why`: if not, for the log.
  step told(bool right, std::string why);

  const std::string& password() const { return password_; }
  const bytes& salt() const { return salt_; }
  int iterations() const { return iterations_; }

  // -- after `accepted`
  // ------------------------------------------------------------------------------------------------

  /// Which of the secrets it was.
  std::size_t matched() const { return matched_; }
  const std::string& matched_secret() const { return who_.secrets[matched_]; }
  /// What the proof has revealed, when that secret is a SCRAM verifier: enough to log in to a server that has the same
  /// one. Empty otherwise.
  const client_keys& revealed() const { return revealed_; }

private:
  enum class state { awaits_answer, awaits_word, awaits_keys, awaits_verifiers, awaits_final, over };
  struct candidate {
    scram_verifier verifier;
    std::size_t secret = 0; // its place among who_.secrets
  };

  step answer_outside(bytes_view body);
  step answer_cleartext(bytes_view body);
  step answer_md5(bytes_view body);
  step next_cleartext_check();
  step begin_scram(bytes_view body);
  void choose_salt();
  step derive(std::string_view password);
  step derive_decoy();
  step next_derivation();
  step send_challenge();
  step scram_final(bytes_view body);
  step accept(std::size_t secret);
  step refuse(std::string why);
  step violated(std::string why, error_code error = error_code::invalid_auth_response);
  step violated(scram_error error);
  bool usable() const;

  identity who_;
  std::string nonce_;
  bytes salt4_, node_secret_, end_point_;
  state state_ = state::awaits_answer;
  std::string password_; // of a pending derivation or question
  bytes salt_;
  int iterations_ = 0;
  bool decoy_ = false; // the derivation is for the time it takes
  std::string given_;  // a password that came in clear
  bytes client_first_;
  bool plus_ = false;
  std::vector<candidate> candidates_; // what the proof may be of; for cleartext: verifiers still to be tried
  std::vector<std::size_t> plain_;    // secrets still to be derived
  std::optional<scram_server> scram_;
  std::size_t matched_ = 0;
  client_keys revealed_;
};

} // namespace pg_edge::protocol
