#include "cluster/cancel_key.hpp"

namespace pg_edge::cluster {

std::optional<cancel_key> make_cancel_key(std::uint32_t node, std::uint32_t process, std::uint32_t slot,
                                          protocol::bytes_view secret) {
  const bool fits = node < cancel_max_nodes && process < cancel_max_processes && slot < cancel_max_slots;
  const bool size_known = secret.size() == cancel_secret_size_3_0 || secret.size() == cancel_secret_size_3_2;
  const auto process_id = (node << (cancel_process_bits + cancel_slot_bits)) | (process << cancel_slot_bits) | slot;
  if (!fits || !size_known || process_id == 0) return std::nullopt;
  return cancel_key{static_cast<std::int32_t>(process_id), protocol::bytes(secret)};
}

bool same_key(const cancel_key& key, std::int32_t process_id, protocol::bytes_view secret) {
  if (key.process_id != process_id || key.secret.size() != secret.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < secret.size(); ++i)
    difference |=
        static_cast<unsigned char>(key.secret[i]) ^ static_cast<unsigned>(static_cast<unsigned char>(secret[i]));
  return difference == 0 && !secret.empty();
}

} // namespace pg_edge::cluster
