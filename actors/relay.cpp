#include "actors/relay.hpp"

#include "actors/client.hpp"
#include "actors/listener.hpp"
#include "actors/log.hpp"
#include "actors/resolver.hpp"

namespace pg_edge::actors {

namespace {

constexpr int backlog = 128;

void serve_client(node_context& node, reactor& here, carried_stream_ptr what, protocol::bytes_view request) {
  const auto wanted = cluster::decode_relay_request(request);
  const bool ready =
      !node.draining.load(std::memory_order_relaxed) && node.succession.objects_known.load(std::memory_order_acquire);
  // An end without a word: not here, or not now. The other node asks again.
  if (!wanted || !ready) return what->finish(true);
  spawn_pinned<client>(here, node, std::move(what), *wanted);
}

void serve_cancel(node_context& node, protocol::bytes_view word) {
  const auto cancel = cluster::decode_relayed_cancel(word);
  if (!cancel) return;
  if (const caf::actor whom = node.cancels.find(cancel->process_id, cancel->secret))
    caf::anon_send(whom, cancel_client{});
}

} // namespace

std::vector<caf::actor> serve_other_nodes(node_context& node, link_identity self, const std::string& address, int port,
                                          std::string& error) {
  node.cancels.set_node(self.node);
  // A session that was relayed goes on by a link to this node itself, should its pool have come here.
  const auto own = literal_address(address, static_cast<std::uint16_t>(port));
  if (own && self.node != 0) node.links.set_peer(self.node, {*own, self.incarnation});
  node.links.become(std::move(self));
  link_service service;
  service.opened = [&node](reactor& here, node_number, carried_stream_ptr what, protocol::bytes_view request) {
    serve_client(node, here, std::move(what), request);
  };
  service.signalled = [&node](node_number, protocol::bytes_view word) { serve_cancel(node, word); };
  node.links.serve(std::move(service));
  std::vector<caf::actor> result;
  const auto socket = listening_socket::tcp(address, port, backlog, error);
  if (!socket) return result;
  for (const auto& one : node.reactors)
    result.push_back(spawn_link_listener(*one, node.links, socket));
  log(level::info, log_event::listening, {{"address", socket->name()}, {"listener", "links"}});
  return result;
}

} // namespace pg_edge::actors
