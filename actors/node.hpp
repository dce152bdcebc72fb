// A whole node in one process: reactors, listeners, the tree of tenants, and the actor that reloads and stops it. The
// class has a file for each reason: its start and end (node.cpp), the store (node_store.cpp), the addresses for clients
// (node_doors.cpp) and the one for other nodes (node_link_door.cpp). The actor stands in node_state.hpp.
#pragma once

#include "actors/admin_http.hpp"
#include "actors/etcd_child.hpp"
#include "actors/handover.hpp"
#include "actors/listener.hpp"
#include "actors/node_context.hpp"
#include "actors/objects.hpp"
#include "actors/peer_registry.hpp"
#include "actors/service_manager.hpp"

#include <caf/all.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace pg_edge::actors {

class node {
public:
  /// `loaded` is what stood in `file`, which a reload reads again. `takeover`: from the process that serves now.
  node(std::string file, config::load_result loaded, bool takeover = false);
  ~node();

  /// What the store holds, waiting some seconds for it. False: it is a cluster's and cannot be read now, `why` says
  /// why; try again. A node that does not know who is banned does not serve.
  bool read_store(std::string& why);
  /// Opens the addresses and serves. False: `errors` says why, and nothing runs.
  bool start(std::vector<std::string>& errors);
  /// After start(): other nodes may open links at this address. False: `error` says why.
  bool serve_other_nodes(link_identity self, const std::string& address, int port, std::string& error);
  node_links& links() { return context_.links; }
  pool_places& places() { return context_.places; }
  void reload();
  /// As PAUSE and RESUME on the console; nothing if there is nothing to pause or resume.
  void pause();
  void resume();
  void shut_down(shutdown_mode mode);
  /// Whether the last client has gone after shut_down().
  bool finished() const { return finished_; }
  /// Called a few times a second: tells the service manager that the reactors turn, and leaves the address of the admin
  /// API to the process that takes over.
  void look();
  /// Ends everything that still runs.
  void stop();

private:
  void spawn_control_actors();
  void await_membership() const;
  void await_closed_doors();
  void end_control_actors();
  void end_system_in_time();
  // node_doors.cpp
  bool take_over(const config::settings& settings, std::vector<std::string>& errors);
  bool open_listeners(const config::settings& settings, std::vector<std::string>& errors);
  bool take_passed(const std::string& door);
  void open_door(const config::listener& door, int backlog, std::vector<std::string>& errors);
  // node_link_door.cpp
  void look_at_links();
  bool open_links(std::string& error);

  /// The store, and what it held when it was read.
  struct opened_store {
    std::unique_ptr<cluster::store> store; // null: there is none
    store_content content;
    std::string told; // why it could not be read
  };

  std::string file_;
  bool takeover_;
  std::unique_ptr<etcd_child> etcd_;     // of [cluster], if this node runs one
  std::unique_ptr<opened_store> opened_; // until start() gives it away
  caf::actor_system_config system_config_;
  std::unique_ptr<caf::actor_system> system_;
  node_context context_;
  std::vector<opened_door> sockets_;
  std::vector<service_manager::passed_socket> passed_;
  std::vector<caf::actor> listeners_;
  std::unique_ptr<admin_http> admin_;
  // -- links to other nodes of the cluster, if it has any
  cluster::peer_number number_ = 0; // of this node; 0: none
  std::vector<caf::actor> link_doors_;
  std::unique_ptr<peer_registry> peers_;
  std::chrono::steady_clock::time_point links_tried_{};
  std::string links_fault_;

  watchdog watchdog_;
  std::atomic<bool> finished_{false};
};

} // namespace pg_edge::actors
