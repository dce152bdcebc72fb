// What a client may take: its own memory, its part of the pool's turn, and what becomes of it when the node has no
// more.
#include "actors/client.hpp"
#include "actors/client_login_state.hpp"
#include "actors/share.hpp"

namespace pg_edge::actors {

namespace {

/// What OpenSSL keeps for a connection, about.
constexpr std::size_t tls_bytes = 40 * 1024;

} // namespace

cluster::memory_holder client::memory_held() const {
  cluster::memory_holder held{session_.id, 0, server_ == nullptr};
  if (step_ == client_step::console || step_ == client_step::leaving || step_ == client_step::gone) return held;
  held.bytes = kept_bytes() + session_.memory() + (socket_.tls() ? tls_bytes : 0);
  if (server_ != nullptr) held.bytes += server_->kept_bytes() + server_->session().owed.kept_bytes();
  return held;
}

/// The node is above memory_limit, and this client is the one whose end helps most.
void client::shed(std::uint64_t limit) {
  if (step_ == client_step::console || step_ == client_step::leaving || step_ == client_step::gone) return;
  const protocol::server_session* state = server_ == nullptr ? nullptr : &server_->session();
  const bool doubtful =
      state != nullptr && (!state->owed.empty() || state->transaction_status != 'I' || session_.in_batch);
  fail(doubtful ? protocol::error_code::memory_shed_unknown : protocol::error_code::memory_shed,
       {std::to_string(memory_held().bytes), std::to_string(limit)});
}

/// max_client_memory; false: the client is over. A single Parse that goes too far was refused before, as an error.
bool client::within_memory() {
  const std::size_t has = session_.memory() + in_.size() + out_.size();
  if (has <= session_.rules->max_client_memory) return true;
  fail(protocol::error_code::client_memory, {std::to_string(has), std::to_string(session_.rules->max_client_memory)});
  return false;
}

// -- its part of the turn
// ------------------------------------------------------------------------------------------------------

bool client::may_read() {
  return share_ == nullptr || share_->read_budget() > 0;
}

void client::has_read(std::size_t bytes) {
  if (share_ == nullptr) return;
  std::size_t& left = share_->read_budget();
  left -= std::min(left, bytes);
}

// -- an exception
// ----------------------------------------------------------------------------------------------------------

/// Most likely memory has run out. The actor ends; nobody may go on waiting for it, and no server stay with it.
void client::on_exception() noexcept {
  if (step_ == client_step::gone) return;
  set_step(client_step::gone);
  try {
    const caf::strong_actor_ptr alive = server_ref_;
    class server* had = server_;
    unlink_server();
    if (had != nullptr) had->drop("an exception ended its client");
  } catch (...) { // it is closed by time-outs, or by Postgres
  }
  if (share_ == nullptr || !share_ref_) return;
  share_->lose(*this);
  try {
    send(share_ref_, detach_client{attachment_.linked()});
  } catch (...) { // the pool is kept for longer than it is needed
  }
}

} // namespace pg_edge::actors
