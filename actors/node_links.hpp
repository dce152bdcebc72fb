// The byte streams between this node and others: who this node is, where the others are, and the links to them. A link
// is one connection of one reactor to one node; it is made when the first stream needs it, stays, and is made anew when
// it was lost and something needs it again, not at once but after a pause that grows.
//
// Whoever uses streams asks open(); whoever serves them says so with serve(). Both ends are told by messages, see
// carried_stream.hpp. Where nodes are is said by whoever knows the members of the cluster.
#pragma once

#include "actors/carried_stream.hpp"
#include "actors/messages.hpp"
#include "actors/reactor.hpp"
#include "actors/tls_context.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace pg_edge::actors {

class node_link;
class listening_socket;

using node_number = std::uint16_t; // as in cancel keys; 0 is a node without a cluster
/// In a node_number: the node is one of the other cluster of a take-over (actors/succession), which counts its own.
inline constexpr node_number foreign_node = 0x8000;

/// What a node says of itself on its links, and how it guards them.
struct link_identity {
  node_number node = 0;
  std::uint64_t incarnation = 0;
  std::string cluster;
  tls_context_ptr accept, connect;                 // both null: plain, which is for loopback
  std::chrono::milliseconds failure_timeout{2000}; // a link that has been silent for so long is lost
};

/// Where a node is to be found.
struct link_peer {
  server_address at;
  std::uint64_t incarnation = 0; // 0: whichever
  std::string cluster = {};      // empty: this node's own
};

/// What is done with what other nodes ask for. Called on the reactor of the link; must not wait.
struct link_service {
  /// A stream has been opened: it is to be given an owner, or finished.
  std::function<void(reactor& here, node_number from, carried_stream_ptr what, protocol::bytes_view request)> opened;
  /// A word to the node as a whole.
  std::function<void(node_number from, protocol::bytes_view what)> signalled;
};

class node_links {
public:
  node_links();
  ~node_links();
  node_links(const node_links&) = delete;
  node_links& operator=(const node_links&) = delete;

  // -- any thread
  // -------------------------------------------------------------------------------------------------------

  /// Before anything is opened or accepted, and again when certificates are replaced: new links have them.
  void become(link_identity self);
  void serve(link_service service);
  void set_peer(node_number node, link_peer where);
  /// It has left or is dead: its links are lost, with this reason, and no new ones are made.
  void forget_peer(node_number node, std::string why);
  /// Nodes of this cluster are welcome, too, as foreign ones; empty: of none.
  void admit(std::string cluster);
  std::string admitted() const;
  /// Lets go of everything; when the reactors have ended.
  void close();
  std::shared_ptr<const link_identity> self() const;
  std::shared_ptr<const link_service> service() const;
  std::optional<link_peer> peer(node_number node) const;
  std::vector<node_number> peers() const;

  // -- on the thread of the reactor `here`
  // -------------------------------------------------------------------------------

  /// A stream to that node, for `owner`. Null, and why, if it is not known, cannot be reached at present or has no
  /// room. A stream that is given may still be lost before anything has come of it.
  carried_stream_ptr open(reactor& here, node_number to, protocol::bytes_view request, const caf::actor& owner,
                          std::string& why);
  /// A word to another node; false if there is no way to it.
  bool signal(reactor& here, node_number to, protocol::bytes_view what);

  // -- for links, on the thread of their reactor
  // -------------------------------------------------------------------------

  void link_works(reactor& here, node_number to);
  void link_ended(reactor& here, node_number to, node_link& which, const std::string& why);
  void link_began(const caf::actor& link);
  void link_is_over(caf::actor_id id);

private:
  struct table;
  node_link* link_to(reactor& here, node_number to, std::string& why);
  std::unique_ptr<table> table_;
};

/// To links: streams to this node are over. `node` as it was known when the link began.
struct drop_link {
  node_number node = 0;
  std::string why;
};

/// Accepts the links of other nodes on this reactor; close_server ends it.
caf::actor spawn_link_listener(reactor& home, node_links& links, std::shared_ptr<listening_socket> socket);

} // namespace pg_edge::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::drop_link)
