// The settings of a node that runs: what the file says and what the store holds, merged; and the one way in which a
// change of either takes effect. SIGHUP, RELOAD, the API and other nodes all come here, through the node's actor.
#pragma once

#include "actors/node_context.hpp"

#include <memory>
#include <string>

namespace pg_edge::actors {

class live_settings {
public:
  live_settings(node_context& node, std::string file) : node_(node), file_(std::move(file)) {}

  /// Reads the file again. What is wrong in it changes nothing.
  reload_result reload();
  /// A global setting of the file has another value, until the file is read again.
  reload_result set(const std::string& key, const std::string& value);
  /// The objects of the store are these now.
  reload_result take(std::shared_ptr<const config::stored_objects> objects);

private:
  reload_result apply(std::shared_ptr<const config::load_result> file,
                      std::shared_ptr<const config::stored_objects> objects);
  reload_result refuse(reload_result result);

  node_context& node_;
  const std::string file_;
};

/// The settings that hold with these, and what is made of them; null: `error` says why, as of a certificate.
std::shared_ptr<node_settings> merge_settings(std::shared_ptr<const config::load_result> file,
                                              std::shared_ptr<const config::stored_objects> objects,
                                              std::string& error);

} // namespace pg_edge::actors
