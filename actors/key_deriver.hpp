// SCRAM's slow key derivation, away from the reactors: a login on a reactor asks, CAF's scheduler works. Several derive
// at the same time; results are kept for a while, so that a storm of logins with one password costs one derivation.
#pragma once

#include "protocol/bytes.hpp"

#include <caf/all.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace pg_edge::actors {

enum class derive_outcome {
  ok,
  refused, // iterations or salt outside the limits of protocol/scram.hpp
  busy,    // too many derivations wait
};

struct derive_request {
  std::uint64_t token = 0; // comes back in the answer
  protocol::bytes password, salt;
  int iterations = 0;
};

struct derived_key {
  std::uint64_t token = 0;
  derive_outcome outcome = derive_outcome::refused;
  protocol::bytes salted_password; // empty unless ok
};

/// derive_request -> derived_key: PBKDF2 of a password, from the cache or computed.
using key_deriver_actor = caf::typed_actor<caf::replies_to<derive_request>::with<derived_key>>;

struct key_deriver_options {
  /// Results to keep; 0 keeps none.
  std::size_t cache_capacity = 10'000;
  /// Derivations that may run at the same time; 0: one less than the scheduler has threads, at least one.
  std::size_t workers = 0;
  /// Different derivations that may wait; one more is answered busy.
  std::size_t max_waiting = 10'000;
  /// Counts what was really computed, for who wants to know what the cache saves; may be null.
  std::shared_ptr<std::atomic<std::uint64_t>> computed;
};

/// Names a (password, salt, iterations) without telling it: HMAC-SHA-256 with a key that only this process has.
using derivation_id = std::array<char, 32>;

struct derivation_id_hash {
  std::size_t operator()(const derivation_id& id) const noexcept;
};

/// The most recently used results. Forgotten ones are wiped from memory.
class derivation_cache {
public:
  explicit derivation_cache(std::size_t capacity) : capacity_(capacity) {}
  derivation_cache(const derivation_cache&) = delete;
  derivation_cache& operator=(const derivation_cache&) = delete;
  ~derivation_cache();

  /// The result, now the most recently used, or null.
  const protocol::bytes* find(const derivation_id& id);
  void insert(const derivation_id& id, protocol::bytes result);
  std::size_t size() const { return places_.size(); }

private:
  using entries = std::list<std::pair<derivation_id, protocol::bytes>>; // most recently used first

  std::size_t capacity_;
  entries entries_;
  std::unordered_map<derivation_id, entries::iterator, derivation_id_hash> places_;
};

struct key_deriver_state;

key_deriver_actor::behavior_type key_deriver(key_deriver_actor::stateful_pointer<key_deriver_state> self,
                                             key_deriver_options options);

/// Starts one; the handle is all that callers need.
key_deriver_actor spawn_key_deriver(caf::actor_system& system, key_deriver_options options = {});

} // namespace pg_edge::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::derive_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::derived_key)
