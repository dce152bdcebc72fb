#include "actors/carried_stream.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace pg_edge::actors {

namespace {

constexpr std::size_t most_kept = cluster::stream_window;
/// An idle stream keeps no more than this.
constexpr std::size_t kept_capacity = 4096;

template <class Message>
void tell(const caf::actor_addr& whom, Message message) {
  if (const auto here = caf::actor_cast<caf::actor>(whom)) caf::anon_send(here, std::move(message));
}

} // namespace

void byte_queue::drop(std::size_t count) {
  begin_ += count;
  if (begin_ >= bytes_.size()) {
    begin_ = 0;
    bytes_.clear();
    if (bytes_.capacity() > kept_capacity) protocol::bytes().swap(bytes_);
  } else if (begin_ > bytes_.size() / 2) {
    bytes_.erase(0, begin_);
    begin_ = 0;
  }
}

// -- calls
// -------------------------------------------------------------------------------------------------------------------

void link_calls::belong_to(const caf::actor& link) {
  std::unique_lock held(mutex_);
  link_ = link.address();
  const bool something = !waiting_.empty();
  held.unlock();
  if (something) tell(link.address(), link_called{});
}

void link_calls::call(cluster::stream_id which) {
  std::unique_lock held(mutex_);
  waiting_.push_back(which);
  if (waiting_.size() > 1 || !link_) return;
  const caf::actor_addr link = link_;
  held.unlock();
  tell(link, link_called{});
}

std::vector<cluster::stream_id> link_calls::take() {
  std::lock_guard held(mutex_);
  return std::exchange(waiting_, {});
}

void link_calls::close() {
  std::lock_guard held(mutex_);
  link_ = nullptr;
  waiting_.clear();
}

// -- who is told
// -------------------------------------------------------------------------------------------------------------

void carried_stream::call_link(std::unique_lock<std::mutex>& held) {
  if (std::exchange(link_told_, true) || lost_) return;
  held.unlock();
  link_->call(which_);
}

void carried_stream::tell_owner(std::unique_lock<std::mutex>& held) {
  if (!owner_ || std::exchange(owner_told_, true)) return;
  const caf::actor_addr owner = owner_;
  held.unlock();
  tell(owner, carried_ready{});
}

// -- for the owner
// ------------------------------------------------------------------------------------------------------------

void carried_stream::belong_to(const caf::actor& owner) {
  std::unique_lock held(mutex_);
  owner_ = owner.address();
  owner_told_ = false;
  if (!in_.empty() || other_finished_ || lost_) tell_owner(held);
}

void carried_stream::heard() {
  std::lock_guard held(mutex_);
  owner_told_ = false;
}

io_result carried_stream::read(char* out, std::size_t size) {
  std::unique_lock held(mutex_);
  if (in_.empty()) {
    if (lost_) return {io_status::failed, 0};
    return {other_finished_ ? io_status::closed : io_status::would_block, 0};
  }
  const protocol::bytes_view piece = in_.front(size);
  std::memcpy(out, piece.data(), piece.size());
  const std::size_t count = piece.size();
  in_.drop(count);
  consumed_ += count;
  if (consumed_ >= most_kept / 2) call_link(held);
  return {io_status::ok, count};
}

io_result carried_stream::write(const iovec* pieces, int count) {
  std::unique_lock held(mutex_);
  if (lost_ || finished_) return {io_status::failed, 0};
  std::size_t taken = 0;
  bool all = true;
  for (int i = 0; i < count && all; ++i) {
    const std::size_t fits = std::min(pieces[i].iov_len, most_kept - out_.size());
    out_.append({static_cast<const char*>(pieces[i].iov_base), fits});
    taken += fits;
    all = fits == pieces[i].iov_len;
  }
  owner_blocked_ = out_.size() == most_kept;
  if (taken > 0) call_link(held);
  return {all ? io_status::ok : io_status::would_block, taken};
}

std::size_t carried_stream::room() const {
  std::lock_guard held(mutex_);
  return most_kept - out_.size();
}

void carried_stream::finish(bool deaf) {
  std::unique_lock held(mutex_);
  if (deaf && !std::exchange(deaf_, true)) {
    consumed_ += in_.size();
    in_.drop(in_.size());
  }
  if (deaf) owner_ = nullptr;
  finished_ = true;
  call_link(held);
}

void carried_stream::signal(protocol::bytes what) {
  std::unique_lock held(mutex_);
  signals_.push_back(std::move(what));
  call_link(held);
}

std::string carried_stream::why_lost() const {
  std::lock_guard held(mutex_);
  return why_;
}

bool carried_stream::ended() const {
  std::lock_guard held(mutex_);
  return other_finished_ || lost_;
}

// -- for the link
// -------------------------------------------------------------------------------------------------------------

carried_stream::work carried_stream::take_work() {
  std::lock_guard held(mutex_);
  link_told_ = false;
  return {!out_.empty(), finished_, std::exchange(consumed_, 0), std::exchange(signals_, {})};
}

void carried_stream::give(protocol::bytes_view what) {
  std::unique_lock held(mutex_);
  if (deaf_) {
    consumed_ += what.size();
    if (consumed_ >= most_kept / 2) call_link(held);
    return;
  }
  in_.append(what);
  tell_owner(held);
}

std::size_t carried_stream::pull(protocol::bytes& out, std::size_t most) {
  std::unique_lock held(mutex_);
  const protocol::bytes_view piece = out_.front(most);
  const std::size_t count = piece.size();
  out.append(piece);
  out_.drop(count);
  if (count > 0 && std::exchange(owner_blocked_, false)) tell_owner(held);
  return count;
}

void carried_stream::other_finished() {
  std::unique_lock held(mutex_);
  other_finished_ = true;
  tell_owner(held);
}

void carried_stream::lost(std::string why) {
  std::unique_lock held(mutex_);
  if (std::exchange(lost_, true)) return;
  why_ = why.empty() ? "the connection to the other node was lost" : std::move(why);
  tell_owner(held);
}

void carried_stream::pass_signal(protocol::bytes_view what) {
  std::unique_lock held(mutex_);
  const caf::actor_addr owner = owner_;
  held.unlock();
  if (owner) tell(owner, carried_signal{protocol::bytes(what)});
}

} // namespace pg_edge::actors
