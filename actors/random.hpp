// Random bytes for nonces, salts and keys. It exists so that a failing source of randomness is handled once: the
// process must not go on with predictable secrets.
#pragma once

#include "protocol/bytes.hpp"
#include "protocol/scram.hpp"

#include <openssl/rand.h>

#include <cstdlib>

namespace pg_edge::actors {

inline protocol::bytes random_bytes(std::size_t count) {
  protocol::bytes result(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(result.data()), static_cast<int>(count)) != 1)
    std::abort(); // no randomness: every key made from here on could be guessed
  return result;
}

/// Printable, for SCRAM.
inline std::string random_nonce() {
  return protocol::base64_encode(random_bytes(protocol::scram_nonce_size));
}

} // namespace pg_edge::actors
