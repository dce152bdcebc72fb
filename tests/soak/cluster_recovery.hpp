// After a disturbance of a cluster all must be as before, without anybody's help: every node is there and reaches every
// other, each pool has all its permits again, and clients that were idle have noticed nothing.
#pragma once

#include "tests/soak/cluster_world.hpp"

#include <memory>
#include <vector>

namespace pg_edge::soak {

/// Clients that ask only when all is calm. One may lose its connection only when we have ended the node it came by.
class idle_clients {
public:
  /// Some for each node, in the pool that lives on one node and in that which lives on all.
  explicit idle_clients(cluster_run& all);

  /// Each asks for what it has set and prepared; those whose node was ended come again.
  void ask();

private:
  struct one {
    std::size_t node;
    const pool_row* pool;
    int number;
    unsigned life = 0;
    std::unique_ptr<pq> connection{};
  };
  void connect(one& client);
  void ask(one& client);

  cluster_run& all_;
  std::vector<one> clients_;
};

/// Waits until all nodes serve and agree, and takes all permits of each pool at once, by all nodes. False when
/// something does not come back: it is among the run's sentences then.
bool recovered(cluster_run& all);

} // namespace pg_edge::soak
