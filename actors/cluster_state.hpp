// The state of the cluster's actor (cluster_node.hpp), with its member functions in a file for each reason: what it is
// told and what the core has decided (cluster_node.cpp), the way to the other nodes (cluster_peers.cpp), whether they
// are still there (cluster_alive.cpp), rosters and what dead lives have left in Postgres (cluster_rosters.cpp).
#pragma once

#include "actors/cluster_link.hpp"
#include "actors/cluster_list.hpp"
#include "actors/cluster_log.hpp"
#include "actors/cluster_node.hpp"
#include "actors/cluster_places.hpp"
#include "actors/store_asking.hpp"

#include <caf/all.hpp>
#include <caf/io/middleman_actor.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pg_edge::actors {

/// Rosters are sent at most this often; short ones with each login at once.
inline constexpr std::chrono::milliseconds roster_pause{200};

inline cluster::node_time now_ms() {
  return std::chrono::duration_cast<cluster::node_time>(std::chrono::steady_clock::now().time_since_epoch());
}

/// How often a node says that it is there.
std::chrono::milliseconds alive_period(std::chrono::milliseconds failure_timeout);

/// Whether nodes speak TLS.
inline bool uses_tls(const config::cluster_settings& settings) {
  return !settings.certificate.empty();
}

struct cluster_state {
  using clock = std::chrono::steady_clock;
  using node_core = cluster::node_core;
  using node_time = cluster::node_time;
  using pool_key = cluster::pool_key;
  using own_backend = std::pair<cluster::roster_entry, clock::time_point>; // since when
  using self_pointer = caf::stateful_actor<cluster_state>*;

  /// Where the way to an address stands.
  enum class way : std::uint8_t { unknown, probing, connecting, greeting, connected };
  struct peer {
    way state = way::unknown;
    caf::actor handle;
    std::string name, error; // error: as the log was told
    clock::time_point next_try{}, since{};
    std::chrono::milliseconds pause{0};       // the last one
    clock::time_point heard{}, told{};        // on this connection: its last word, our last node_alive
    std::chrono::milliseconds alive_every{0}; // how often it says node_alive; 0: never
  };
  struct known_roster {
    std::uint64_t incarnation = 0;
    clock::time_point heard{};
    std::vector<cluster::roster_entry> backends;
  };
  /// Of another node that has not been seen to leave yet.
  struct asked_drain {
    std::uint64_t incarnation = 0;
    cluster::node_drain word;
    clock::time_point until{};
  };
  struct search {
    bool under_way = false;
    clock::time_point began{}, next{}, said{};
  };

  explicit cluster_state(self_pointer owner) : self(owner) {}

  void start(node_context* context, config::cluster_settings own, cluster::peer_number number);
  caf::behavior behaviour();

  // -- the others
  void dial(const std::string& address, peer& whom);
  void connect(const address_probed& result);
  void greet(const std::string& address, const caf::actor& handle);
  void on_envelope(const node_envelope& envelope);
  void on_hello(const cluster::node_hello& what, std::uint16_t version, const caf::actor& from);
  void connected(const cluster::node_hello& what, const caf::actor& handle);
  void failed(const std::string& address, const std::string& why, bool tell = false);
  void down(const caf::down_msg& message);
  caf::io::middleman_actor middleman() const;
  void look_after_peers();
  void say_alive();
  void listen_for_silence();
  void end_connection(const caf::node_id& process);
  void forget(peer& whom);
  void lose(const std::string& address, peer& whom, const std::string& why);
  std::chrono::milliseconds failure_timeout() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(settings.failure_timeout);
  }
  void send_raw(const caf::actor& to, const cluster::node_message& what, std::uint64_t incarnation = 0);
  cluster::node_hello own_hello(bool answer) const;
  const std::string* address_of(const caf::actor_addr& handle) const;

  // -- what the core has decided
  void act();
  void deliver(const node_core::outgoing& word);
  void look_at_view();
  void publish_lease();
  void note_life();
  void note_fence();

  // -- rosters and dead lives
  void note_backend(const backend_noted& what);
  void send_roster();
  void search_for_lost();
  backend_question question_about(const node_core::clearing& what);
  void searched(const backends_searched& result);

  node_list list() const;
  void publish_list();

  // -- drains
  member_drains drain(const drain_member& wanted);
  void drain_here(const author& by, std::chrono::seconds notice);
  void on_drain(const cluster::node_drain& word, const std::string& from);
  void repeat_drain(const std::string& name);
  void look_after_drains();

  self_pointer self;
  node_context* node = nullptr;
  config::cluster_settings settings;
  std::optional<node_core> core;
  std::optional<cluster_places> places; // if this node has links
  std::map<std::string, peer> peers;    // by address, without this node's own
  clock::time_point listened{};         // for their silence
  std::map<std::pair<pool_key, cluster::share_id>, std::pair<caf::actor, cluster::share_key>> shares; // of this node
  std::shared_ptr<const config::settings> seen_settings;
  std::map<cluster::node_id, known_roster> rosters;  // of present and departed lives
  std::map<std::uint64_t, own_backend> own_backends; // by server
  bool roster_changed = false;
  clock::time_point roster_sent{};
  std::map<cluster::departed_member, clock::time_point> departed_seen;
  std::map<node_core::clearing, search> searches;
  std::map<std::string, asked_drain> asked_drains; // by node
  cluster::departed_member life;                   // of this node: the last one that was in a view
  std::uint64_t logged_epoch = 0, fences = 0;
  std::string logged_problem;
  clock::time_point listed{};
  bool leaving = false, leaves_clean = false;
  caf::typed_response_promise<left_cluster> leave_promise;
  store_watches watches;
  std::unique_ptr<cluster::store> store; // the first to go: it calls this actor
};

/// With its age by now.
cluster::roster_entry aged(const cluster_state::own_backend& one);

} // namespace pg_edge::actors
