// The two soaks, of one node and of a cluster, and what each is asked for.
#pragma once

#include <cstddef>
#include <string>

namespace pg_edge::soak {

struct options {
  double minutes = 1;
  unsigned seed = 1;
  std::size_t nodes = 0; // of a cluster; 0: a node by itself
  std::string reports;   // a folder: what a sanitizer puts there counts as a failure
  std::string logs;      // a folder for the logs of a cluster's nodes
};

/// Each prints its figures and "N passed, M failed"; the exit status.
int soak_node(const options& wanted);
int soak_cluster(const options& wanted);

} // namespace pg_edge::soak
