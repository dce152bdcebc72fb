// Clients on their way from one process to the other, and cancel requests for those that are on the other side.
#include "actors/client.hpp"
#include "actors/handover.hpp"
#include "actors/node_context.hpp"

namespace pg_edge::actors {

namespace {

/// A cancel that the other process asked for is answered in any case, so that nobody there waits for ever.
constexpr std::chrono::seconds cancel_patience{10};

} // namespace

// -- the old process
// -----------------------------------------------------------------------------------------------------------

void handover::offer(const caf::actor& client, cluster::moved_client record, owned_fd socket) {
  moving_.fetch_add(1, std::memory_order_relaxed);
  post({std::move(record), std::move(socket), client});
}

void handover::settle(std::uint64_t number, bool moved) {
  const auto found = offers_.find(number);
  if (found == offers_.end()) return;
  caf::anon_send(found->second, moved_over{moved});
  offers_.erase(found);
  moving_.fetch_sub(1, std::memory_order_relaxed);
  if (moved) moved_.fetch_add(1, std::memory_order_relaxed);
}

/// It has all it needs. With the last byte of this word the client is the other's: until then it is ours, should the
/// other die.
void handover::take(const cluster::client_taken& frame) {
  if (offers_.contains(frame.number)) channel_->send(cluster::client_yours{frame.number}, {}, frame.number);
}

void handover::note_written(const std::vector<std::uint64_t>& marks) {
  for (const std::uint64_t number : marks) {
    if (number == goodbye_mark)
      said_goodbye_ = true;
    else
      settle(number, true);
  }
}

void handover::take(const cluster::client_refused& frame) {
  settle(frame.number, false);
}

/// Asked again and again until it says yes.
bool handover::finished() {
  if (role_ != role::giving || moving_.load() > 0 || !permits.all_given()) return false;
  if (!saying_goodbye_.exchange(true)) post({cluster::goodbye{}, {}, {}});
  return said_goodbye_;
}

// -- the new process
// -----------------------------------------------------------------------------------------------------------

void handover::take(cluster::moved_client record, owned_fd socket) {
  const std::uint64_t number = record.number;
  reactor& home = *node_.reactors[next_reactor_++ % node_.reactors.size()];
  auto shared = std::make_shared<cluster::moved_client>(std::move(record));
  arrivals_[number] = spawn_pinned<client>(home, node_, stream(socket.release()), std::move(shared));
}

void handover::ready(std::uint64_t number) {
  post({cluster::client_taken{number}, {}, {}});
}

void handover::refuse(std::uint64_t number, const std::string& why) {
  post({cluster::client_refused{number, why}, {}, {}});
}

void handover::take(const cluster::client_yours& frame) {
  const auto found = arrivals_.find(frame.number);
  if (found == arrivals_.end()) return;
  caf::anon_send(found->second, moved_over{true});
  arrivals_.erase(found);
  moved_.fetch_add(1, std::memory_order_relaxed);
}

/// The word did not come. Where the old process is dead there is nobody else to whom they could belong.
void handover::settle_arrivals(bool other_is_dead) {
  for (const auto& [number, client] : std::exchange(arrivals_, {}))
    caf::anon_send(client, moved_over{other_is_dead});
}

// -- servers
// -------------------------------------------------------------------------------------------------------------------

void handover::server_opened(std::uint64_t id, int fd) {
  const std::lock_guard lock(servers_mutex_);
  servers_[id] = fd;
  if (linked()) post({cluster::server_here{id}, owned_fd::copy_of(fd), {}});
}

void handover::server_closed(std::uint64_t id) {
  const std::lock_guard lock(servers_mutex_);
  if (servers_.erase(id) > 0 && linked()) post({cluster::server_away{id}, {}, {}});
}

/// Those that there are already; what begins or ends from now on is told as it happens.
void handover::tell_servers() {
  const std::lock_guard lock(servers_mutex_);
  for (const auto& [id, fd] : servers_)
    channel_->send(cluster::server_here{id}, owned_fd::copy_of(fd));
  channel_->send(cluster::servers_told{});
}

void handover::take(cluster::server_here frame, owned_fd socket) {
  witnesses_[frame.id].socket = std::move(socket);
}

// -- cancel requests
// -----------------------------------------------------------------------------------------------------------

bool handover::forward_cancel(std::int32_t process_id, protocol::bytes_view secret, const caf::actor& requester) {
  const role now = role_;
  if (now != role::giving && now != role::taking) return false;
  post({cluster::cancel_asked{0, process_id, protocol::bytes(secret)}, {}, requester});
  return true;
}

void handover::take(const cluster::cancel_asked& frame) {
  const caf::actor whom = node_.cancels.find(frame.process_id, frame.secret);
  if (!whom) return channel_->send(cluster::cancel_answered{frame.number, false});
  const auto wait_for_it = [this, number = frame.number](caf::event_based_actor* self) -> caf::behavior {
    return {[=, this](const cancel_done&) {
              cancel_answered(number, true);
              self->quit();
            },
            caf::after(cancel_patience) >>
                [=, this] {
                  cancel_answered(number, true);
                  self->quit();
                }};
  };
  caf::anon_send(whom, cancel_client{node_.reactors.front()->system().spawn<caf::hidden>(wait_for_it)});
}

void handover::cancel_answered(std::uint64_t number, bool found) {
  post({cluster::cancel_answered{number, found}, {}, {}});
}

/// One that is not there either may have come over meanwhile.
void handover::take(const cluster::cancel_answered& frame) {
  const auto requester = cancels_.find(frame.number);
  if (requester == cancels_.end()) return;
  const auto& [process_id, secret] = cancel_keys_[frame.number];
  const caf::actor whom = frame.found ? caf::actor{} : node_.cancels.find(process_id, secret);
  if (whom)
    caf::anon_send(whom, cancel_client{requester->second});
  else
    caf::anon_send(requester->second, cancel_done{});
  cancels_.erase(requester);
  cancel_keys_.erase(frame.number);
}

} // namespace pg_edge::actors
