#include "actors/carried_stream.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>

#include <algorithm>
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

void byte_queue::append(protocol::bytes_view what) {
  size_ += what.size();
  while (!what.empty()) {
    if (blocks_.empty() || blocks_.back().size() >= block_size) blocks_.emplace_back();
    protocol::bytes& last = blocks_.back();
    const std::size_t part = std::min(what.size(), block_size - last.size());
    // One that grows gets its full size at once; most hold one small message and never do.
    if (!last.empty() && last.size() + part > last.capacity()) last.reserve(block_size);
    last.append(what.substr(0, part));
    what.remove_prefix(part);
  }
}

void byte_queue::drop(std::size_t count) {
  size_ -= count;
  begin_ += count;
  while (!blocks_.empty() && begin_ >= blocks_.front().size()) {
    begin_ -= blocks_.front().size();
    if (blocks_.size() > 1 || blocks_.front().capacity() > kept_capacity) {
      blocks_.erase(blocks_.begin());
    } else {
      blocks_.front().clear();
      break;
    }
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
  const std::size_t count =
      in_.take(size, [&](protocol::bytes_view piece) { out = std::copy(piece.begin(), piece.end(), out); });
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
  const std::size_t count = out_.take(most, [&](protocol::bytes_view piece) { out.append(piece); });
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
