// Where the other nodes of a cluster are to be found that only share its store, without `listen`: with it the members'
// records say so (cluster/membership, actors/cluster_places). This node writes its own place under a lease and
// reads those of the others, a step a second, on a thread of its own, and tells node_links.
//
//   nothing <──(the lease has ended)── granted ──(written)──> known; kept alive and read again each second
//
// A store that is away changes nothing: links find out by themselves who does not answer.
#pragma once

#include "actors/node_links.hpp"
#include "cluster/peer_record.hpp"
#include "config/settings.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace pg_edge::actors {

/// The number of this node, claimed at its first start and kept for ever; 0: `why` says why there is none now.
cluster::peer_number claim_number(cluster::store& store, const std::string& root, const std::string& node,
                                  std::string& why);

class peer_registry {
public:
  static constexpr std::chrono::seconds time_to_live{10}, step_time{1};

  peer_registry(node_links& links, std::unique_ptr<cluster::store> store, std::string root, cluster::peer_number number,
                cluster::peer_record own);
  /// Its place is given up, if the store can be reached.
  ~peer_registry();
  peer_registry(const peer_registry&) = delete;
  peer_registry& operator=(const peer_registry&) = delete;

private:
  void loop();
  void step();
  bool write_own();
  void tell(const std::map<cluster::peer_number, cluster::peer_record>& now);

  node_links& links_;
  const std::unique_ptr<cluster::store> store_;
  const std::string root_;
  const cluster::peer_number number_;
  const cluster::peer_record own_;
  cluster::store_lease lease_ = 0;
  bool heard_ = false; // the store, at the last step
  std::map<cluster::peer_number, cluster::peer_record> known_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

} // namespace pg_edge::actors
