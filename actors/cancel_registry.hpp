// Which client a cancel key belongs to. A CancelRequest arrives on a connection, and so perhaps a reactor, of its own;
// this is the one table that finds the client it means.
#pragma once

#include "cluster/cancel_key.hpp"

#include <caf/actor.hpp>
#include <caf/actor_control_block.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

namespace pg_edge::actors {

class cancel_registry {
public:
  /// Of this node in its cluster: keys say it from now on. Before anybody has one.
  void set_node(std::uint32_t number) { node_ = number; }
  std::uint32_t node() const { return node_; }
  /// Gives the client a key of its own, with a secret for protocol 3.2 or 3.0. Nothing when every slot is taken.
  std::optional<cluster::cancel_key> add(caf::actor client, bool long_secret);
  void remove(const cluster::cancel_key& key);
  /// A client that came from another process keeps its key.
  void adopt(const cluster::cancel_key& key, caf::actor client);
  /// Which of the two processes this one is while there are two; told before any key is given.
  void set_process(std::uint32_t bit) { process_ = bit; }
  std::uint32_t process() const { return process_; }
  /// The client with that key; null for a wrong secret as for an unknown process id.
  caf::actor find(std::int32_t process_id, protocol::bytes_view secret) const;

private:
  struct entry {
    caf::actor client;
    cluster::cancel_key key;
  };

  std::atomic<std::uint32_t> node_{0};
  mutable std::mutex mutex_;
  std::vector<entry> slots_;
  std::vector<std::uint32_t> free_;
  std::uint32_t process_ = 0;
  // By process_id, which two of them may share: those who came by different takeovers. Their secrets differ.
  std::unordered_multimap<std::int32_t, entry> adopted_;
};

} // namespace pg_edge::actors
