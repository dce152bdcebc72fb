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
  /// `secret`: the plain password, or an md5 secret (which serves md5 only). `nonce`: see scram_nonce_size.
  server_login(std::string user, std::string secret, std::string nonce);

  enum class verdict {
    more,   // send `send`, then wait for the next message
    derive, // compute salted_password(secret, salt(), iterations()) and call keys()
    done,
    failed, // `why` for the log; `error_body` if the server sent one
  };
  struct step {
    verdict now = verdict::more;
    bytes send;
    std::string why;
  };

  step message(char type, bytes_view body);
  step keys(bytes_view salted_password);

  const std::string& secret() const { return secret_; }
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
  step begin_sasl(bytes_view mechanisms);
  step fail(std::string why);

  std::string user_, secret_, nonce_;
  state state_ = state::awaits_request;
  std::optional<scram_client> scram_;
  parameter_values_ptr values_;
  std::int32_t process_id_ = 0;
  bytes cancel_secret_;
  bytes error_body_;
};

} // namespace pg_edge::protocol
