// A whole node in one process: reactors, listeners, the tree of tenants, and the actor that reloads and stops it.
#pragma once

#include "actors/admin_http.hpp"
#include "actors/listener.hpp"
#include "actors/node_context.hpp"

#include <caf/all.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace pg_edge::actors {

class node {
public:
  /// `loaded` is what stood in `file`, which a reload reads again.
  node(std::string file, config::load_result loaded);
  ~node();

  /// Opens the addresses and serves. False: `errors` says why, and nothing runs.
  bool start(std::vector<std::string>& errors);
  void reload();
  /// As PAUSE and RESUME on the console; nothing if there is nothing to pause or resume.
  void pause();
  void resume();
  void shut_down(shutdown_mode mode);
  /// Whether the last client has gone after shut_down().
  bool finished() const { return finished_; }
  /// Ends everything that still runs.
  void stop();

private:
  struct opened_door {
    std::shared_ptr<listening_socket> socket;
    std::string door; // the key in [listeners]; empty: that of the global settings
  };

  bool open_listeners(const config::settings& settings, std::vector<std::string>& errors);
  void open_door(const config::listener& door, int backlog, std::vector<std::string>& errors);

  std::string file_;
  caf::actor_system_config system_config_;
  std::unique_ptr<caf::actor_system> system_;
  node_context context_;
  std::vector<opened_door> sockets_;
  std::vector<caf::actor> listeners_;
  std::unique_ptr<admin_http> admin_;
  std::atomic<bool> finished_{false};
};

/// Settings with what is made of them; `error` is set when a certificate cannot be used.
std::shared_ptr<const node_settings> make_node_settings(std::shared_ptr<const config::settings> values,
                                                        std::string& error);

} // namespace pg_edge::actors
