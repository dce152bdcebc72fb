// A whole node in one process: reactors, listeners, the tree of tenants, and the actor that reloads and stops it.
#pragma once

#include "actors/admin_http.hpp"
#include "actors/etcd_child.hpp"
#include "actors/handover.hpp"
#include "actors/listener.hpp"
#include "actors/node_context.hpp"
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
  bool take_over(const config::settings& settings, std::vector<std::string>& errors);
  bool open_listeners(const config::settings& settings, std::vector<std::string>& errors);
  bool take_passed(const std::string& door);
  void look_at_links();
  void await_membership() const;
  void await_closed_doors();
  void end_system_in_time();
  bool open_links(std::string& error);
  void open_door(const config::listener& door, int backlog, std::vector<std::string>& errors);

  struct opened_store;

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

/// Settings with what is made of them; `error` is set when a certificate cannot be used.
std::shared_ptr<const node_settings> make_node_settings(std::shared_ptr<const config::settings> values,
                                                        std::string& error);

} // namespace pg_edge::actors
