// One byte stream that is carried over a link to another node, as its owner on this node sees it: something to read
// from and write to that is no socket. It stands between two actors that may be on different reactors, the owner and
// the link, and keeps what one has given and the other not yet taken: at most a window in each direction.
//
//   owner ── write, finish ──> [ to the link ] ── pull ──> link ══ other node
//         <── read ─────────── [ from the link ] <── give ──
//
// Both are woken by a message, and not again before they have looked: the owner by `carried_ready`, the link by
// `link_called`. Nothing here throws or waits.
#pragma once

#include "actors/stream.hpp"
#include "cluster/stream_mux.hpp"

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>
#include <caf/allowed_unsafe_message_type.hpp>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace pg_edge::actors {

/// To the owner: something has come, there is room again, or it is over.
struct carried_ready {};
/// To the owner: a signal beside the bytes.
struct carried_signal {
  protocol::bytes what;
};
/// To a link: its streams have something for it.
struct link_called {};

/// Bytes in at one end and out at the other. In blocks, since one large buffer that comes and goes would be mapped and
/// unmapped each time.
class byte_queue {
public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void append(protocol::bytes_view what);
  /// Gives at most so many to `use`, piece by piece, and forgets them; returns how many it were.
  template <class Use>
  std::size_t take(std::size_t most, Use use) {
    std::size_t count = 0;
    while (count < most && !empty()) {
      const protocol::bytes_view piece = protocol::bytes_view(blocks_.front()).substr(begin_, most - count);
      use(piece);
      count += piece.size();
      drop(piece.size());
    }
    return count;
  }
  void drop(std::size_t count);

private:
  static constexpr std::size_t block_size = std::size_t{32} * 1024;

  std::vector<protocol::bytes> blocks_; // a handful at most
  std::size_t begin_ = 0;               // in the first block
  std::size_t size_ = 0;
};

/// The streams of one link that have something for it; any thread adds to them.
class link_calls {
public:
  /// The link itself; calls before this are kept.
  void belong_to(const caf::actor& link);
  void call(cluster::stream_id which);
  std::vector<cluster::stream_id> take();
  /// Nobody is told any more.
  void close();

private:
  std::mutex mutex_;
  std::vector<cluster::stream_id> waiting_;
  caf::actor_addr link_; // weak: a link is not kept alive by its streams
};

class carried_stream {
public:
  carried_stream(std::shared_ptr<link_calls> link, cluster::stream_id which) : link_(std::move(link)), which_(which) {}

  cluster::stream_id number() const { return which_; }

  // -- for the owner
  // ----------------------------------------------------------------------------------------------------

  /// Who is told; at once, if there is something to tell.
  void belong_to(const caf::actor& owner);
  /// As those of a socket. closed: the other side has finished and everything is read.
  io_result read(char* out, std::size_t size);
  io_result write(const iovec* pieces, int count);
  /// How much write() would take now.
  std::size_t room() const;
  /// Nothing more comes from here. What has been written still goes; what still comes is thrown away if `deaf`.
  void finish(bool deaf);
  void signal(protocol::bytes what);
  /// Why the link failed; empty while it has not.
  std::string why_lost() const;
  /// read() would say closed or failed once it has given what there is.
  bool ended() const;
  /// carried_ready has been received: the next event sends another.
  void heard();

  // -- for the link
  // -----------------------------------------------------------------------------------------------------

  struct work {
    bool send = false, finish = false;
    std::size_t consumed = 0;
    std::vector<protocol::bytes> signals;
  };
  /// What it was called for.
  work take_work();
  void give(protocol::bytes_view what);
  std::size_t pull(protocol::bytes& out, std::size_t most);
  void other_finished();
  void lost(std::string why);
  void pass_signal(protocol::bytes_view what);

private:
  void call_link(std::unique_lock<std::mutex>& held);
  void tell_owner(std::unique_lock<std::mutex>& held);

  const std::shared_ptr<link_calls> link_;
  const cluster::stream_id which_;
  mutable std::mutex mutex_;
  caf::actor_addr owner_; // weak
  byte_queue out_, in_;
  std::vector<protocol::bytes> signals_;
  std::string why_;
  std::size_t consumed_ = 0;
  bool owner_told_ = false, link_told_ = false;
  bool owner_blocked_ = false; // write() did not take everything
  bool finished_ = false, deaf_ = false, other_finished_ = false, lost_ = false;
};

using carried_stream_ptr = std::shared_ptr<carried_stream>;

} // namespace pg_edge::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::carried_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::carried_signal)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::link_called)
