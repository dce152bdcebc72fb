// A store asked by a thread that may wait for the answer, at most store_timeout; never one of the store's own.
#pragma once

#include "cluster/store.hpp"

#include <future>
#include <memory>

namespace pg_edge::actors {

/// `ask` gets the handler that the store is to call.
template <class Ask>
cluster::store_answer wait_for_store(Ask ask) {
  auto got = std::make_shared<std::promise<cluster::store_answer>>();
  auto answer = got->get_future();
  ask([got](cluster::store_answer what) { got->set_value(std::move(what)); });
  return answer.get();
}

} // namespace pg_edge::actors
