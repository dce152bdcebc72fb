#include "actors/connection.hpp"

#include "actors/carried_stream.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace pg_edge::actors {

namespace {

/// Many pieces that are shorter than this, on average, are copied into one: that is cheaper than naming each to the
/// kernel, and a peer is not sent a packet for every few of them.
constexpr std::size_t small_piece = 256;
/// More than this is not copied in front of each read.
constexpr std::size_t most_kept_in_scratch = 4096;

} // namespace

connection::connection(caf::actor_config& config, reactor& home, actor_kind kind, stream socket)
    : pinned_actor(config, home, kind), socket_(std::move(socket)) {}

// -- writing
// -------------------------------------------------------------------------------------------------------------

void connection::write_pieces(protocol::gather& what) {
  if (what.pieces() == 1) {
    write(what.at(0));
    return what.clear();
  }
  bytes_out_ += what.size();
  if (!open() || broken_) {
    what.clear();
    return;
  }
  if (!out_.empty()) {
    what.move_to(out_, 0);
    return;
  }
  std::array<iovec, 64> pieces;
  if (what.pieces() > pieces.size() && what.size() / what.pieces() < small_piece) {
    protocol::bytes all;
    what.move_to(all, 0);
    bytes_out_ -= all.size(); // counted once
    return write(protocol::bytes_view(all));
  }
  std::size_t done = 0;
  for (std::size_t first = 0; first < what.pieces(); first += pieces.size()) {
    const std::size_t count = std::min(pieces.size(), what.pieces() - first);
    std::size_t offered = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const protocol::bytes_view piece = what.at(first + i);
      pieces[i] = {const_cast<char*>(piece.data()), piece.size()};
      offered += piece.size();
    }
    const io_result result = socket_.write(pieces.data(), static_cast<int>(count));
    if (result.status == io_status::ok) {
      done += offered;
      continue;
    }
    if (result.status == io_status::would_block) {
      what.move_to(out_, done + result.bytes);
      return;
    }
    what.clear();
    return break_later(socket_.last_error());
  }
  what.clear();
}

void connection::write(protocol::bytes_view what) {
  if (what.empty()) return;
  bytes_out_ += what.size();
  if (!open() || broken_) return;
  if (!out_.empty()) {
    out_.append(what);
    return;
  }
  const iovec piece{const_cast<char*>(what.data()), what.size()};
  const io_result result = socket_.write(&piece, 1);
  if (result.status == io_status::would_block)
    out_.append(what.substr(result.bytes));
  else if (result.status != io_status::ok)
    break_later(socket_.last_error());
}

void connection::flush_kept() {
  if (out_.empty()) return;
  const iovec piece{out_.data(), out_.size()};
  const io_result result = socket_.write(&piece, 1);
  if (result.status == io_status::would_block) {
    out_.erase(0, result.bytes);
    return;
  }
  protocol::bytes().swap(out_); // gives the memory back: most connections never need it again
  if (result.status != io_status::ok) return break_later(socket_.last_error());
  on_drained();
}

// -- reading
// -------------------------------------------------------------------------------------------------------------

void connection::pump() {
  if (pumping_) return;
  pumping_ = true;
  const std::uint64_t before = bytes_in_;
  for (int reads = 0; open() && !broken_ && step_ == step::relaying && readable_ && wants_input(); ++reads) {
    if (reads == reads_per_turn || bytes_in_ - before >= bytes_per_turn) {
      home().again(*this);
      break;
    }
    if (!may_read()) {
      home().again_first(*this);
      break;
    }
    if (!(in_.size() <= most_kept_in_scratch ? read_scratch() : read_behind())) break;
  }
  pumping_ = false;
}

/// Returns whether to go on.
bool connection::note_read(io_result got, std::size_t room) {
  switch (got.status) {
  case io_status::ok:
    bytes_in_ += got.bytes;
    has_read(got.bytes);
    // A plain socket that gave less than there was room for is empty; its next bytes make a new event.
    if (got.bytes < room && !socket_.more_than_a_socket() && !hangup_) readable_ = false;
    return true;
  case io_status::would_block:
    readable_ = false;
    return false;
  case io_status::closed:
    readable_ = false;
    on_lost({});
    return false;
  case io_status::failed:
    readable_ = false;
    on_lost(socket_.last_error());
    return false;
  }
  return false;
}

/// A little that is kept goes in front of what is read, so that the rest of a message comes with as much behind it as
/// any other read gives.
bool connection::read_scratch() {
  const std::span<char> room = home().scratch();
  const std::size_t before = in_.size();
  std::memcpy(room.data(), in_.data(), before);
  const io_result got = socket_.read(room.data() + before, room.size() - before);
  if (!note_read(got, room.size() - before)) return false;
  in_.clear();
  const protocol::bytes_view all(room.data(), before + got.bytes);
  const std::size_t used = on_bytes(all);
  if (used < all.size() && open()) in_.assign(all.substr(used));
  shrink_input();
  return true;
}

bool connection::read_behind() {
  const std::size_t before = in_.size();
  const std::size_t room = std::min(before, reactor::scratch_size);
  in_.resize(before + room);
  const io_result got = socket_.read(in_.data() + before, room);
  in_.resize(before + (got.status == io_status::ok ? got.bytes : 0));
  if (!note_read(got, room)) return false;
  const std::size_t used = on_bytes(in_);
  in_.erase(0, std::min(used, in_.size()));
  shrink_input();
  return true;
}

void connection::use_input() {
  if (in_.empty() || !open()) return;
  const std::size_t used = on_bytes(in_);
  in_.erase(0, std::min(used, in_.size()));
  shrink_input();
}

/// An idle connection keeps no buffer.
void connection::shrink_input() {
  if (in_.empty() && in_.capacity() > 64)
    protocol::bytes().swap(in_);
  else if (in_.capacity() > kept_capacity && in_.size() * 4 < in_.capacity())
    in_.shrink_to_fit();
}

void connection::read_later() {
  if (watched_ && (readable_ || !in_.empty())) home().again(*this);
}

/// Most often there is nothing, which costs one system call. More than a few rounds mean that it is alive.
bool connection::look() {
  for (int rounds = 0; rounds < 4 && open() && !broken_ && !pumping_; ++rounds) {
    char byte = 0;
    const ssize_t got = ::recv(socket_.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) break;
    readable_ = true;
    pump();
  }
  return open() && !broken_;
}

void connection::break_later(std::string why) {
  if (broken_) return;
  broken_ = true;
  broken_why_ = std::move(why);
  if (watched_) home().again(*this);
}

// -- events
// --------------------------------------------------------------------------------------------------------------

void connection::on_io(std::uint32_t events) {
  if (!open()) return;
  if (broken_) return on_lost(std::move(broken_why_));
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0 || socket_.more_than_a_socket()) readable_ = true;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) hangup_ = true;
  if (step_ == step::connecting) return go_on_connecting();
  if (step_ == step::peeking) {
    const bool more = readable_ && on_first_bytes();
    // Half a header and then the end: nothing will come that would make more of it.
    if (!more && hangup_ && open() && step_ == step::peeking) return on_lost({});
    if (!more || step_ != step::peeking) return;
    step_ = step::relaying;
  }
  if (step_ == step::handshaking) return go_on_handshake();
  if (!out_.empty() && ((events & EPOLLOUT) != 0 || socket_.more_than_a_socket())) flush_kept();
  // No event of the socket: read_later asked for it, and what waits may be here already, with nothing more to read.
  if (events == 0 && step_ == step::relaying && !pumping_ && wants_input()) use_input();
  pump();
  if (hangup_ && !hangup_told_ && open() && !broken_ && !wants_input()) {
    hangup_told_ = true;
    on_hangup();
  }
}

void connection::on_carried() {
  carried_stream* const carried = socket_.carried();
  if (carried == nullptr) return;
  carried->heard();
  on_io(carried->ended() ? EPOLLIN | EPOLLOUT | EPOLLRDHUP : EPOLLIN | EPOLLOUT);
}

void connection::on_broken() noexcept {
  on_exception();
  close_socket();
  quit(caf::exit_reason::unhandled_exception);
}

void connection::go_on_connecting() {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(socket_.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return on_lost(std::strerror(error));
  sockaddr_storage peer;
  socklen_t length = sizeof peer;
  if (::getpeername(socket_.fd(), reinterpret_cast<sockaddr*>(&peer), &length) != 0)
    return; // still connecting: the first event only says that the socket is being watched
  step_ = step::relaying;
  on_connected();
  pump();
}

void connection::go_on_handshake() {
  if (!home().take_handshake()) return home().again(*this);
  switch (socket_.handshake()) {
  case io_status::ok:
    step_ = step::relaying;
    readable_ = true;
    on_handshake();
    return pump();
  case io_status::would_block:
    return;
  case io_status::closed:
  case io_status::failed:
    return on_lost(socket_.last_error());
  }
}

void connection::begin_accept_tls(SSL_CTX& context, bool direct) {
  socket_.start_tls_accept(context, direct);
  step_ = step::handshaking;
  home().again(*this);
}

void connection::begin_connect_tls(SSL_CTX& context, const std::string& host, config::tls_mode mode) {
  socket_.start_tls_connect(context, host, mode);
  step_ = step::handshaking;
  home().again(*this);
}

// -- life
// ----------------------------------------------------------------------------------------------------------------

bool connection::watch() {
  if (carried_stream* const carried = socket_.carried()) {
    carried->belong_to(caf::actor_cast<caf::actor>(this));
    return watched_ = true;
  }
  watched_ = home().watch(socket_.fd(), *this);
  return watched_;
}

void connection::unwatch() {
  if (watched_) home().unwatch(socket_.fd(), *this);
  watched_ = false;
}

void connection::close_socket() {
  if (!open()) return;
  unwatch();
  socket_.close();
}

scratch_gathers& gathers() {
  thread_local scratch_gathers own;
  return own;
}

} // namespace pg_edge::actors
