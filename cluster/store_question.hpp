// What a pure state machine asks of the store: values, so that a simulator answers them as an engine does. Each is a
// call of cluster::store; the answer comes back with the question's number, each once, in any order.
#pragma once

#include "cluster/store.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace pg_edge::cluster {

struct ask_list {
  std::string prefix;
};
struct ask_commit {
  std::vector<store_write> writes;
};
struct ask_grant {
  std::chrono::milliseconds time_to_live{0};
};
struct ask_keep_alive {
  store_lease lease = 0;
};
struct ask_revoke {
  store_lease lease = 0;
};
/// Not answered, but told of from now on, each event with the question's number.
struct ask_watch {
  std::string prefix;
  store_revision after = 0;
};
/// Nothing more of the watch with that number; not answered either.
struct ask_unwatch {
  std::uint64_t watch = 0;
};

struct store_question {
  std::uint64_t number = 0;
  std::variant<ask_keep_alive, ask_list, ask_commit, ask_grant, ask_revoke, ask_watch, ask_unwatch> what;
};

} // namespace pg_edge::cluster
