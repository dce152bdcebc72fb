// Which objects of one cluster another one lacks when it takes it over, and which stand in the way: the same name with
// other content. Pure.
#pragma once

#include "cluster/store.hpp"

#include <string>
#include <vector>

namespace pg_edge::cluster {

struct object_copy {
  std::vector<store_write> missing;   // to be created in the root `to`
  std::vector<std::string> conflicts; // "database acme/app", for people
};

[[nodiscard]] object_copy compare_objects(const std::vector<store_entry>& from, const std::string& from_root,
                                          const std::vector<store_entry>& to, const std::string& to_root);

/// So many of them as go into one commit, beside `others` more writes; they are taken off the end of the list.
[[nodiscard]] std::vector<store_write> take_batch(std::vector<store_write>& all, std::size_t others);

} // namespace pg_edge::cluster
