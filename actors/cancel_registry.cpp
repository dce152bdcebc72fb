#include "actors/cancel_registry.hpp"

#include <openssl/rand.h>

namespace pg_edge::actors {

std::optional<cluster::cancel_key> cancel_registry::add(caf::actor client, bool long_secret) {
  protocol::bytes secret(long_secret ? cluster::cancel_secret_size_3_2 : cluster::cancel_secret_size_3_0, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(secret.data()), static_cast<int>(secret.size())) != 1)
    return std::nullopt;
  std::lock_guard guard(mutex_);
  if (slots_.empty()) slots_.emplace_back(); // slot 0 is never given out: a process id of 0 would mean nobody
  std::uint32_t slot = 0;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else if (slots_.size() < cluster::cancel_max_slots) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    return std::nullopt;
  }
  auto key = cluster::make_cancel_key(node_, process_, slot, secret);
  if (key) slots_[slot] = {std::move(client), *key};
  return key;
}

void cancel_registry::adopt(const cluster::cancel_key& key, caf::actor client) {
  std::lock_guard guard(mutex_);
  adopted_.emplace(key.process_id, entry{std::move(client), key});
}

void cancel_registry::remove(const cluster::cancel_key& key) {
  caf::actor last; // released behind the lock: it may be the client's last handle
  std::lock_guard guard(mutex_);
  const std::uint32_t slot = cluster::slot_of(key.process_id);
  if (slot != 0 && slot < slots_.size() && cluster::same_key(slots_[slot].key, key.process_id, key.secret)) {
    last = std::move(slots_[slot].client);
    slots_[slot] = {};
    free_.push_back(slot);
    return;
  }
  const auto [first, end] = adopted_.equal_range(key.process_id);
  for (auto one = first; one != end; ++one) {
    if (!cluster::same_key(one->second.key, key.process_id, key.secret)) continue;
    last = std::move(one->second.client);
    adopted_.erase(one);
    return;
  }
}

caf::actor cancel_registry::find(std::int32_t process_id, protocol::bytes_view secret) const {
  std::lock_guard guard(mutex_);
  const std::uint32_t slot = cluster::slot_of(process_id);
  if (slot != 0 && slot < slots_.size() && slots_[slot].client &&
      cluster::same_key(slots_[slot].key, process_id, secret))
    return slots_[slot].client;
  const auto [first, end] = adopted_.equal_range(process_id);
  for (auto one = first; one != end; ++one)
    if (cluster::same_key(one->second.key, process_id, secret)) return one->second.client;
  return {};
}

} // namespace pg_edge::actors
