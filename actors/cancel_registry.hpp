// Which client a cancel key belongs to. A CancelRequest arrives on a connection, and so perhaps a reactor, of its own;
// this is the one table that finds the client it means.
#pragma once

#include "cluster/cancel_key.hpp"

#include <caf/actor.hpp>
#include <caf/actor_control_block.hpp>

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace pg_edge::actors {

class cancel_registry {
public:
  /// Gives the client a key of its own, with a secret for protocol 3.2 or 3.0. Nothing when every slot is taken.
  std::optional<cluster::cancel_key> add(caf::actor client, bool long_secret);
  void remove(const cluster::cancel_key& key);
  /// The client with that key; null for a wrong secret as for an unknown process id.
  caf::actor find(std::int32_t process_id, protocol::bytes_view secret) const;

private:
  struct entry {
    caf::actor client;
    cluster::cancel_key key;
  };

  mutable std::mutex mutex_;
  std::vector<entry> slots_;
  std::vector<std::uint32_t> free_;
};

} // namespace pg_edge::actors
