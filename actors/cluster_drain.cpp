// A node is asked to drain at any node of its cluster, which passes it on. The word may be lost with the connection to
// that node; then it is said again on the next one, until the node is seen to leave.
#include "actors/cluster_log.hpp"
#include "actors/cluster_state.hpp"
#include "actors/node_context.hpp"

namespace pg_edge::actors {

namespace {

/// Nobody waits for longer: what is wished by then is to be asked for again.
constexpr std::chrono::seconds drain_patience{60};

} // namespace

void cluster_state::drain_here(const author& by, std::chrono::seconds notice) {
  caf::anon_send(node->node, shut_down{shutdown_mode::wait_for_servers, by, notice});
}

/// Heard twice it must not end the time for which clients are still let in.
void cluster_state::on_drain(const cluster::node_drain& word, const std::string& from) {
  if (word.notice_s > 0 && node->leaving.load(std::memory_order_relaxed)) return;
  drain_here({word.by + " by node " + from, word.from}, std::chrono::seconds(word.notice_s));
}

member_drains cluster_state::drain(const drain_member& wanted) {
  member_drains result;
  if (wanted.node == settings.node) {
    drain_here(wanted.by, wanted.notice);
    result.known = true;
    return result;
  }
  const cluster::member* whom = cluster::find_member(core->members().current(), wanted.node);
  const cluster::member* own = core->members().self();
  result.known = whom != nullptr;
  if (whom == nullptr) return result;
  const auto way_there = peers.find(whom->address);
  if (own == nullptr) {
    result.error = "this node is not in the cluster at present";
  } else if (way_there == peers.end() || way_there->second.state != way::connected) {
    result.error = "there is no connection to it at present" +
                   (way_there == peers.end() || way_there->second.error.empty() ? "" : ": " + way_there->second.error);
  } else {
    const cluster::node_drain word{wanted.by.who, wanted.by.from, static_cast<std::uint32_t>(wanted.notice.count())};
    send_raw(way_there->second.handle, word, own->incarnation);
    asked_drains[wanted.node] = {whom->incarnation, word, clock::now() + drain_patience};
  }
  return result;
}

/// There is a new connection to that node.
void cluster_state::repeat_drain(const std::string& name) {
  look_after_drains();
  const auto found = asked_drains.find(name);
  const cluster::member* own = core->members().self();
  if (found == asked_drains.end() || own == nullptr) return;
  const cluster::member* whom = cluster::find_member(core->members().current(), name);
  if (whom == nullptr) return; // by its new life it is not meant
  send_raw(peers.at(whom->address).handle, found->second.word, own->incarnation);
}

void cluster_state::look_after_drains() {
  const cluster::membership& members = core->members();
  std::erase_if(asked_drains, [&](const auto& one) {
    const auto& [name, asked] = one;
    if (members.is_leaving(name) || !cluster::has_member(members.current(), name, asked.incarnation)) return true;
    if (clock::now() < asked.until) return false;
    log(level::warning, cluster_events::drain_unheard, {{"node", name}, {"seconds", drain_patience.count()}});
    return true;
  });
}

} // namespace pg_edge::actors
