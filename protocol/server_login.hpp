// Our login to a Postgres server, from the start-up packet's first answer to the first ReadyForQuery. Pure: bytes in,
// bytes out; the slow key derivation is asked for and its result handed back.
//
//   awaits_request --(cleartext, md5)--> awaits_ok --AuthenticationOk--> awaits_ready --ReadyForQuery--> done
//         |                                  ^
//         '--(SASL)--> awaits_challenge --> awaits_keys --> awaits_final
//   an ErrorResponse or anything unexpected in any state --> failed
#pragma once

#include "protocol/scram.hpp"
#include "protocol/session_parameters.hpp"

#include <optional>
#include <string>

namespace pg_edge::protocol {

class server_login {
public:
  struct identity {
    std::string user;
    /// The plain password, an md5 secret (which serves md5 only), a SCRAM verifier (which serves SCRAM together with
    /// `keys`), or empty: servers that ask for nothing can still be logged in to.
    std::string secret;
    /// Of a proof of the verifier; empty: not known. The stored key is taken from the verifier.
    bytes client_key, server_key;
  };
  /// How the server is reached.
  struct channel {
    bool tls = false;
    bytes end_point;             // hash of the server's certificate; empty: no channel binding
    bool cleartext_safe = false; // nobody can listen, or one may: the password may be sent as it is
  };
  /// `nonce`: see scram_nonce_size.
  server_login(identity who, std::string nonce, channel over);
  ~server_login();
  server_login(const server_login&) = delete;
  server_login& operator=(const server_login&) = delete;

  enum class verdict {
    more,   // send `send`, then wait for the next message
    derive, // compute salted_password(secret, salt(), iterations()) and call keys()
    done,
    failed,     // `why` for the log; `error_body` if the server sent one
    impossible, // failed, and trying again with the same secret will not help
  };
  struct step {
    verdict now = verdict::more;
    bytes send;
    std::string why;
  };

  step message(char type, bytes_view body);
  step keys(bytes_view salted_password);

  const std::string& secret() const { return who_.secret; }
  const bytes& salt() const;
  int iterations() const;

  // -- results
  // ---------------------------------------------------------------------------------------------------------
  const parameter_values_ptr& values() const { return values_; }
  std::int32_t process_id() const { return process_id_; }
  const bytes& cancel_secret() const { return cancel_secret_; }
  /// Body of the server's ErrorResponse; empty if it sent none.
  const bytes& error_body() const { return error_body_; }

private:
  enum class state { awaits_request, awaits_challenge, awaits_keys, awaits_final, awaits_ok, awaits_ready, over };

  step authentication(bytes_view body);
  step answer_request(std::uint32_t what, bytes_view rest);
  step begin_sasl(bytes_view mechanisms);
  step take_challenge(bytes_view challenge);
  step prove(const client_keys& keys);
  step fail(std::string why);
  step cannot(std::string why);

  identity who_;
  std::string nonce_;
  channel over_;
  state state_ = state::awaits_request;
  std::optional<scram_client> scram_;
  parameter_values_ptr values_;
  std::int32_t process_id_ = 0;
  bytes cancel_secret_;
  bytes error_body_;
};

} // namespace pg_edge::protocol
