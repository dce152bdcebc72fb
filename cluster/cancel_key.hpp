// The key that a client gets in BackendKeyData and sends back to cancel its query. It says by itself which node,
// process and slot the client is on, so that any node can pass a CancelRequest on; its secret is what makes it
// unguessable.
#pragma once

#include "protocol/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace pg_edge::cluster {

// process_id, from the highest bit: 0 (stays positive, as clients print it) | node | process | slot
inline constexpr unsigned cancel_node_bits = 10;
inline constexpr unsigned cancel_process_bits = 1; // the old and the new process of a node during a takeover
inline constexpr unsigned cancel_slot_bits = 20;   // clients of one process
static_assert(cancel_node_bits + cancel_process_bits + cancel_slot_bits == 31, "an Int32 without its sign");

inline constexpr std::uint32_t cancel_max_nodes = 1U << cancel_node_bits;
inline constexpr std::uint32_t cancel_max_processes = 1U << cancel_process_bits;
inline constexpr std::uint32_t cancel_max_slots = 1U << cancel_slot_bits;

inline constexpr std::size_t cancel_secret_size_3_0 = 4;  // protocol 3.0 has an Int32
inline constexpr std::size_t cancel_secret_size_3_2 = 32; // protocol 3.2 allows 4 to 256 bytes; Postgres sends 32

struct cancel_key {
  std::int32_t process_id = 0;
  protocol::bytes secret;
};

/// The parts of process_id.
[[nodiscard]] constexpr std::uint32_t node_of(std::int32_t process_id) {
  return (static_cast<std::uint32_t>(process_id) >> (cancel_process_bits + cancel_slot_bits)) % cancel_max_nodes;
}
[[nodiscard]] constexpr std::uint32_t process_of(std::int32_t process_id) {
  return (static_cast<std::uint32_t>(process_id) >> cancel_slot_bits) % cancel_max_processes;
}
[[nodiscard]] constexpr std::uint32_t slot_of(std::int32_t process_id) {
  return static_cast<std::uint32_t>(process_id) % cancel_max_slots;
}

/// Makes a key. `secret` is random bytes from the caller, cancel_secret_size_3_0 or _3_2 of them and all used.
/// Nothing if a part does not fit its bits, the secret has another size, or the process_id would be 0.
[[nodiscard]] std::optional<cancel_key> make_cancel_key(std::uint32_t node, std::uint32_t process, std::uint32_t slot,
                                                        protocol::bytes_view secret);

/// Whether a CancelRequest's key is this one. Takes the same time wherever the secrets differ.
[[nodiscard]] bool same_key(const cancel_key& key, std::int32_t process_id, protocol::bytes_view secret);

} // namespace pg_edge::cluster
