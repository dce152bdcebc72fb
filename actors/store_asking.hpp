// What a pure core has to ask of the store (cluster/store_question), carried out for the actor that runs the core. It
// is answered by store_answered and store_told.
#pragma once

#include "cluster/store.hpp"
#include "cluster/store_question.hpp"

#include <caf/actor.hpp>

#include <cstdint>
#include <map>

namespace pg_edge::actors {

/// By the core's number.
using store_watches = std::map<std::uint64_t, cluster::store_watch_id>;

void put_to_store(cluster::store& store, store_watches& watches, const cluster::store_question& asked,
                  const caf::actor& whom);

} // namespace pg_edge::actors
