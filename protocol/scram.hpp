// SCRAM-SHA-256 (RFC 5802, 7677) as Postgres speaks it, both sides: scram_server for clients that log in to us,
// scram_client for our logins to Postgres. Pure: nonces come from the caller, and the slow part (salted_password) is a
// function of its own so that it can run away from the reactors.
#pragma once

#include "protocol/bytes.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::protocol {

inline constexpr std::string_view scram_mechanism = "SCRAM-SHA-256";
inline constexpr std::string_view scram_plus_mechanism = "SCRAM-SHA-256-PLUS";
inline constexpr std::string_view scram_verifier_prefix = "SCRAM-SHA-256$";
/// Bytes of every key and hash here.
inline constexpr std::size_t scram_key_size = 32;
/// Bytes of the salts that we make; Postgres uses as many.
inline constexpr std::size_t scram_salt_size = 16;
/// Random bytes to put (base64) into a nonce; as many as Postgres uses.
inline constexpr std::size_t scram_nonce_size = 18;
inline constexpr int scram_default_iterations = 4096;
/// More iterations than this (about half a second of work) are an attack, not a setting.
inline constexpr int scram_max_iterations = 1'000'000;
/// No honest message of this exchange is longer, in bytes.
inline constexpr std::size_t scram_max_message = 2048;

/// What is stored of a password: enough to check a proof, not enough to log in anywhere.
struct scram_verifier {
  int iterations = 0;
  bytes salt, stored_key, server_key;
};

/// What somebody who knows the password (or has seen a proof of it) can compute; enough to log in with.
struct client_keys {
  bytes client_key, stored_key, server_key;
};

/// Reads SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>; nothing when any part is malformed.
std::optional<scram_verifier> parse_verifier(std::string_view text);

/// The text form that Postgres stores in pg_authid.rolpassword.
std::string format_verifier(const scram_verifier& verifier);

/// The slow one: PBKDF2 over the normalised password, about 1 ms for 4096 iterations. Never call it on a reactor.
/// Empty when the iterations are outside 1..scram_max_iterations or the salt is empty.
bytes salted_password(std::string_view password, bytes_view salt, int iterations);

/// The keys of a salted password; all empty when it is not scram_key_size bytes, and empty keys match nothing.
client_keys derive_keys(bytes_view salted_password);

scram_verifier make_verifier(bytes_view salted_password, bytes_view salt, int iterations);

/// Whether a password that came in clear, salted with the verifier's salt and iterations, is the right one.
bool matches_verifier(const scram_verifier& verifier, bytes_view salted_password);

/// What the salts of a tenant's users hang on. `nonce`: the same on all nodes that clients take for one server.
bytes salt_secret(bytes_view nonce, std::string_view tenant);

/// A salt that is always the same for one user, for users without a verifier of their own: those whose password is
/// stored in clear, and those who do not exist, who therefore look alike. `node_secret`: see salt_secret().
bytes user_salt(bytes_view node_secret, std::string_view user);

/// A verifier for a user who does not exist: the exchange runs to its end and no proof fits (it has no stored key).
scram_verifier mock_verifier(bytes_view node_secret, std::string_view user, int iterations = scram_default_iterations);

std::string base64_encode(bytes_view data);
/// Strict: no white space, padding where it belongs and zero bits in it. Nothing otherwise.
std::optional<bytes> base64_decode(std::string_view text);

enum class scram_error {
  none,
  out_of_order,
  malformed,
  unsupported,
  binding_downgrade,
  binding_unexpected,
  binding_mismatch,
  nonce_mismatch,
  too_many_iterations,
  wrong_proof,
  wrong_server,
  refused_by_server,
};

struct scram_error_row {
  scram_error error;
  std::string_view sqlstate, text;
};

/// SQLSTATE and a sentence for the log for an error. Only 28P01 is the user's mistake; 08P01 is the peer's.
const scram_error_row& explain(scram_error error);

/// One step's result: the body to send (when there is no error), or why the exchange is over.
struct scram_step {
  scram_error error = scram_error::none;
  bytes reply;
};

/// The side that checks a client: client_first(), then client_final(). After any error every call is out_of_order.
class scram_server {
public:
  /// `server_nonce` is fresh random printable text, see scram_nonce_size. `end_point` is the hash of our certificate
  /// (tls-server-end-point) when SCRAM-SHA-256-PLUS was offered, else nothing.
  scram_server(scram_verifier verifier, std::string server_nonce, std::optional<bytes> end_point = std::nullopt);

  /// A proof of this one will do too. False, and it is not taken, unless salt and iterations are those of the first:
  /// a client hears of one salt only.
  bool accept_also(scram_verifier verifier);

  /// Takes client-first-message, gives server-first-message. `plus`: the client chose SCRAM-SHA-256-PLUS.
  scram_step client_first(bytes_view message, bool plus = false);

  /// Takes client-final-message, gives server-final-message. wrong_proof means: wrong password or unknown user.
  scram_step client_final(bytes_view message);

  /// After client_final() succeeded: the keys that the proof revealed, which log in to every server that has the same
  /// verifier (same salt and iterations), without anybody knowing the password. Empty before.
  const client_keys& keys() const { return keys_; }
  /// Of which verifier, counted from 0 in the order in which they were given.
  std::size_t matched() const { return matched_; }

private:
  enum class state { awaits_client_first, awaits_client_final, done };

  scram_step fail(scram_error error);
  scram_error check_gs2_header(bytes_view& message, bool plus);
  bytes expected_binding() const;

  std::vector<scram_verifier> verifiers_; // never empty; one salt, one number of iterations
  std::size_t matched_ = 0;
  std::string nonce_;
  std::optional<bytes> end_point_;
  bytes gs2_header_, client_first_bare_, server_first_;
  client_keys keys_;
  state state_ = state::awaits_client_first;
};

/// How a scram_client binds to its TLS channel.
struct channel_binding {
  enum class use { not_supported, not_offered_by_server, used };
  use how = use::not_supported;
  /// The hash of the server's certificate; only when used.
  bytes end_point;
};

/// The side that logs in: client_first(), server_first(), derive keys elsewhere, client_final(), server_final().
class scram_client {
public:
  /// `client_nonce` is fresh random printable text, see scram_nonce_size.
  explicit scram_client(std::string client_nonce, channel_binding binding = {});

  /// The mechanism to name in SASLInitialResponse.
  std::string_view mechanism() const;
  /// client-first-message. The user name is empty in it: Postgres takes it from the start-up packet.
  bytes client_first() const;
  /// Takes server-first-message; then salt() and iterations() say what to derive the keys from.
  scram_error server_first(bytes_view message);
  const bytes& salt() const { return salt_; }
  int iterations() const { return iterations_; }
  /// Gives client-final-message. Empty keys are an error (wrong_proof): they would prove nothing.
  scram_step client_final(const client_keys& keys);
  /// Checks that the server knows the verifier too; none means that both sides are who they say.
  scram_error server_final(bytes_view message);

private:
  enum class state { awaits_server_first, awaits_keys, awaits_server_final, done };

  scram_error fail(scram_error error);
  bytes gs2_header() const;
  bytes client_first_bare() const { return "n=,r=" + client_nonce_; }

  std::string client_nonce_, nonce_;
  channel_binding binding_;
  bytes salt_, server_first_, server_signature_;
  int iterations_ = 0;
  state state_ = state::awaits_server_first;
};

} // namespace pg_edge::protocol
