#include "actors/peer_registry.hpp"

#include "actors/log.hpp"
#include "actors/resolver.hpp"
#include "actors/store_wait.hpp"

namespace pg_edge::actors {

using cluster::store_answer;
using cluster::store_outcome;

cluster::peer_number claim_number(cluster::store& store, const std::string& root, const std::string& node,
                                  std::string& why) {
  for (;;) { // each try that somebody else was quicker at leaves one number less
    const store_answer listed = wait_for_store([&](auto then) {
      store.list({cluster::number_prefix(root), 0, false, {}}, then);
    });
    why = listed.why;
    if (!listed.ok()) return 0;
    const cluster::number_choice choice = cluster::choose_number(listed.entries, root, node);
    if (choice.claimed) return choice.number;
    if (choice.number == 0) {
      why = "all numbers of nodes are taken: remove names of nodes that are no more from " +
            cluster::number_prefix(root) + " in the store";
      return 0;
    }
    const store_answer written = wait_for_store(
        [&](auto then) { store.compare_and_set(cluster::number_key(root, choice.number), node, 0, then); });
    why = written.why;
    if (written.ok()) return choice.number;
    if (written.outcome != store_outcome::conflict) return 0; // if unknown: it is found, or tried again
  }
}

peer_registry::peer_registry(node_links& links, std::unique_ptr<cluster::store> store, std::string root,
                             cluster::peer_number number, cluster::peer_record own)
    : links_(links), store_(std::move(store)), root_(std::move(root)), number_(number), own_(std::move(own)) {
  thread_ = std::thread([this] { loop(); });
}

peer_registry::~peer_registry() {
  {
    std::lock_guard held(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void peer_registry::loop() {
  std::unique_lock held(mutex_);
  while (!stopping_) {
    held.unlock();
    step();
    held.lock();
    wake_.wait_for(held, step_time, [this] { return stopping_; });
  }
  held.unlock();
  // One that was away a moment ago would only hold up the end of the node; the lease ends by itself.
  if (lease_ != 0 && heard_) wait_for_store([&](auto then) { store_->revoke(lease_, then); });
}

void peer_registry::step() {
  heard_ = false;
  if (lease_ != 0) {
    const store_answer kept = wait_for_store([&](auto then) { store_->keep_alive(lease_, then); });
    if (kept.outcome == store_outcome::conflict) lease_ = 0;
    if (kept.outcome == store_outcome::unavailable || kept.outcome == store_outcome::unknown) return;
  }
  if (lease_ == 0 && !write_own()) return;
  const store_answer listed = wait_for_store([&](auto then) {
    store_->list({cluster::link_prefix(root_), 0, false, {}}, then);
  });
  heard_ = listed.ok();
  if (heard_) tell(cluster::read_peers(listed.entries, root_, number_));
}

/// Over what a process of this node that has ended, or was taken over from, has left there.
bool peer_registry::write_own() {
  const store_answer granted = wait_for_store([&](auto then) { store_->grant(time_to_live, then); });
  if (!granted.ok()) return false;
  const store_answer written = wait_for_store([&](auto then) {
    store_->commit({{cluster::link_key(root_, number_), cluster::to_text(own_), std::nullopt, granted.lease, false}},
                   then);
  });
  if (written.ok()) lease_ = granted.lease;
  return written.ok();
}

void peer_registry::tell(const std::map<cluster::peer_number, cluster::peer_record>& now) {
  for (const auto& [number, one] : known_)
    if (!now.contains(number)) {
      links_.forget_peer(number, "node " + one.node + " has left");
      log(level::info, log_event::peer_lost, {{"node", one.node}, {"number", number}});
    }
  for (const auto& [number, one] : now) {
    const auto before = known_.find(number);
    if (before != known_.end() && cluster::to_text(before->second) == cluster::to_text(one)) continue;
    const auto at = literal_address(one.at.host, one.at.port);
    if (!at) continue;
    links_.set_peer(number, {*at, one.incarnation});
    log(level::info, log_event::peer_found,
        {{"node", one.node}, {"number", number}, {"address", one.at.host + ":" + std::to_string(one.at.port)}});
  }
  known_ = now;
}

} // namespace pg_edge::actors
