// Which node of a cluster serves the clients of a pool: the one seam between the relay, which asks it at each login,
// and whoever knows where pools live. A node that is alone has nobody to ask, and everything is here.
#pragma once

#include "actors/node_links.hpp"
#include "actors/published.hpp"

#include <atomic>
#include <functional>
#include <memory>

namespace pg_edge::actors {

struct pool_name;

class pool_places {
public:
  /// The number of a node; 0, or this node's own: here. Asked by any reactor, so it must not wait.
  using finder = std::function<node_number(const pool_name&)>;

  void set(finder how) {
    finder_.set(std::make_shared<const finder>(std::move(how)));
    asked_.store(true, std::memory_order_release);
  }
  /// Lets go of what the finder holds; when the reactors have ended.
  void close() {
    asked_.store(false, std::memory_order_release);
    finder_.set(nullptr);
  }
  /// Whether there can be other places than this node.
  bool asked() const { return asked_.load(std::memory_order_acquire); }
  node_number of(const pool_name& pool) const {
    const auto how = asked() ? finder_.get() : nullptr;
    return how ? (*how)(pool) : node_number{0};
  }

private:
  published<finder> finder_;
  std::atomic<bool> asked_{false};
};

} // namespace pg_edge::actors
