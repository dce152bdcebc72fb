// What client and server connections have in common: a socket that is read into the reactor's scratch buffer and
// written at once, with the little that could not be used or sent kept until it can. It exists so that back-pressure
// and the order of events are right in one place.
//
// Rules of the road:
//   - on_bytes() gets what was read and returns how much of it is used up; the rest comes again with more behind it.
//   - Nobody reads inside somebody else's on_bytes(): the scratch buffer is in use. read_later() is for that.
//   - A write that fails does not call back: on_lost() comes with the next turn.
#pragma once

#include "actors/pinned_actor.hpp"
#include "actors/stream.hpp"
#include "protocol/gather.hpp"

#include <string>
#include <string_view>

namespace pg_edge::actors {

class connection : public pinned_actor, public io_handler {
public:
  connection(caf::actor_config& config, reactor& home, actor_kind kind, stream socket);

  /// Something could not be sent yet: whoever feeds this connection should stop.
  bool output_blocked() const { return !out_.empty(); }
  /// Sends the pieces, keeps what the socket does not take, and leaves `what` empty.
  void write(protocol::gather& what) {
    if (!what.empty()) write_pieces(what);
  }
  void write(protocol::bytes_view what);

  /// Bytes it keeps because they could not be used or sent yet.
  std::size_t kept_bytes() const { return in_.capacity() + out_.capacity(); }
  std::size_t unread_bytes() const { return in_.size(); }
  std::size_t unsent_bytes() const { return out_.size(); }
  int descriptor() const { return socket_.fd(); }

  void on_io(std::uint32_t events) final;
  void on_broken() noexcept final;
  /// carried_ready has come: what a link carries has no events of its own.
  void on_carried();

protected:
  /// Bytes to use: how many were. Called again only when there are more, or by use_input().
  virtual std::size_t on_bytes(protocol::bytes_view in) = 0;
  /// Whether on_bytes() would use anything now.
  virtual bool wants_input() const = 0;
  /// Whether it may read in this turn, and that it has read so much: for who shares a budget with others.
  virtual bool may_read() { return true; }
  virtual void has_read(std::size_t) {}
  /// An exception left a handler of it. What depends on it is to be told; the actor ends in any case.
  virtual void on_exception() noexcept {}
  /// All output has gone.
  virtual void on_drained() {}
  /// TLS is up.
  virtual void on_handshake() {}
  /// The first bytes are there and may be looked at without being read; returns whether reading may begin.
  virtual bool on_first_bytes() { return true; }
  /// Non-blocking connect() has ended well.
  virtual void on_connected() {}
  /// The peer has closed its side while nothing is read from it.
  virtual void on_hangup() {}
  /// The connection is over: the peer closed it (`why` empty) or it failed.
  virtual void on_lost(std::string why) = 0;

  bool open() const { return static_cast<bool>(socket_); }
  /// Open, and nothing that was read or written said otherwise.
  bool watched_well() const { return open() && watched_ && !broken_ && !hangup_; }
  bool watch();
  void unwatch();
  void close_socket();
  /// Expects the end of connect(), then on_connected().
  void await_connect() { step_ = step::connecting; }
  /// Expects bytes, then on_first_bytes().
  void await_first_bytes() { step_ = step::peeking; }
  void begin_accept_tls(SSL_CTX& context, bool direct);
  void begin_connect_tls(SSL_CTX& context, const std::string& host, config::tls_mode mode);
  /// Offers the kept input again; for when wants_input() has become true.
  void use_input();
  /// Reads in the next turn what may be there.
  void read_later();
  /// Reads at once what has come in, which the reactor may not have been told of yet, and says whether the connection
  /// is still there. Not for use within on_bytes().
  bool look();
  /// Fails the connection in the next turn.
  void break_later(std::string why);

  stream socket_;
  protocol::bytes in_;  // read and not used yet
  protocol::bytes out_; // to be sent
  std::uint64_t bytes_in_ = 0, bytes_out_ = 0;

private:
  enum class step : std::uint8_t { connecting, peeking, handshaking, relaying };

  // What one connection may read in a turn of its reactor, so that a flood holds nobody else up for long.
  static constexpr int reads_per_turn = 4;
  static constexpr std::size_t bytes_per_turn = reactor::scratch_size;
  static constexpr std::size_t kept_capacity = 4096;

  void write_pieces(protocol::gather& what);
  void pump();
  bool read_scratch();
  bool read_behind();
  bool note_read(io_result got, std::size_t room);
  void go_on_connecting();
  void go_on_handshake();
  void flush_kept();
  void shrink_input();

  std::string broken_why_;
  step step_ = step::relaying;
  bool watched_ = false;
  bool readable_ = false;
  bool hangup_ = false;
  bool hangup_told_ = false;
  bool broken_ = false;
  bool pumping_ = false;
};

/// The pieces of the present write, shared by everything on this thread; empty between two calls.
struct scratch_gathers {
  protocol::gather to_server, to_client;
};
scratch_gathers& gathers();

} // namespace pg_edge::actors
