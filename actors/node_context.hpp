// What every actor of the node may look at: the settings in force, the reactors, who derives keys, and the few tables
// that connections on different reactors share. It exists so that actors need no global variables.
#pragma once

#include "actors/cancel_registry.hpp"
#include "actors/client_limits.hpp"
#include "actors/credentials.hpp"
#include "actors/dns_board.hpp"
#include "actors/handover.hpp"
#include "actors/host_table.hpp"
#include "actors/key_deriver.hpp"
#include "actors/login_gates.hpp"
#include "actors/login_throttle.hpp"
#include "actors/messages.hpp"
#include "actors/node_links.hpp"
#include "actors/node_settings.hpp"
#include "actors/pam.hpp"
#include "actors/pool_gates.hpp"
#include "actors/pool_places.hpp"
#include "actors/published.hpp"
#include "actors/reactor.hpp"
#include "actors/server_limits.hpp"
#include "actors/succession_board.hpp"
#include "actors/welcome_cache.hpp"
#include "cluster/memory_guard.hpp"

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace pg_edge::actors {

/// What memory_watch has found last.
struct memory_level {
  std::atomic<cluster::memory_state> state{cluster::memory_state::calm};
  std::atomic<std::uint64_t> used{0}; // bytes
};

/// How far the process's descriptors may be used up, by the number of the next one: the system gives the lowest that is
/// free. The rest is for connections to Postgres, which those clients that are in cannot do without.
struct descriptor_limits {
  int all = 0;     // RLIMIT_NOFILE
  int clients = 0; // from here on only the console and cancel requests are let in ...
  int accepts = 0; // ... and from here on nobody is

  static descriptor_limits of(int all);
};

class node_context {
public:
  std::shared_ptr<const node_settings> settings() const { return settings_.get(); }
  void set_settings(std::shared_ptr<const node_settings> now) { settings_.set(std::move(now)); }

  std::vector<std::unique_ptr<reactor>> reactors;
  tenants_actor tenants;
  resolver_actor resolver;
  key_deriver_actor deriver;
  user_lookup_actor lookup;
  console_actor console;
  gatherer_actor gatherer;
  objects_actor objects;
  node_actor node;
  caf::actor memory_watch;
  std::vector<caf::actor> surveyors; // one a reactor, to be asked who lives there
  cancel_registry cancels;
  actors::handover handover{*this};      // to another process of this node, or from one
  node_links links;                      // to other nodes; a node that is alone has none
  pool_places places;                    // which of them serves the clients of a pool
  server_limits limits;                  // over several pools of a tenant
  login_gates logins;                    // under way to servers
  pool_gates gates;                      // what is paused or disabled
  actors::credentials credentials;       // of users whose secrets the file does not tell
  client_seats seats;                    // who counts in which limit of clients
  login_throttle throttle;               // failed logins
  dns_board dns;                         // what the resolver knows
  host_table hosts;                      // of all pools: which work, who is where, what their names mean
  pam_threads pam;                       // who asks PAM
  welcome_cache welcomes;                // what sessions began with, for when Postgres is away
  protocol::bytes secret;                // of this machine; salts hang on it unless mock_authentication_nonce is set
  std::atomic<std::uint64_t> next_id{1}; // ids of clients, servers and pools: unique and rising
  std::atomic<std::int64_t> clients{0};  // connected, logins under way included
  std::atomic<std::int64_t> sessions{0}; // of those, the ones that have shown who they are
  memory_level memory;
  descriptor_limits descriptors;
  std::atomic<int> listeners_paused{0}; // for want of descriptors
  std::atomic<bool> draining{false};    // no new client is let in
  std::atomic<bool> leaving{false};     // it will be so soon: clients had better go elsewhere
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();

  // -- one cluster takes over another
  caf::actor succession_actor; // null: not here
  succession_board succession; // what the other cluster still has, or has by now

private:
  published<node_settings> settings_;
};

} // namespace pg_edge::actors
