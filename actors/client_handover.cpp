// A client on its way from one process of the node to another: see actors/handover.hpp for who owns it when.
#include "actors/client_login_state.hpp"
#include "actors/log.hpp"
#include "actors/share.hpp"

namespace pg_edge::actors {

namespace {

std::int64_t microseconds_since_1970(std::chrono::system_clock::time_point when) {
  return std::chrono::duration_cast<std::chrono::microseconds>(when.time_since_epoch()).count();
}

} // namespace

/// What ends it must wait: until the word has come, nobody knows in which process it lives on. True: it waits.
bool client::postpone_end(protocol::bytes_view error) {
  if (step_ != client_step::moving && (login_ == nullptr || !login_->moved)) return false;
  end_at_transaction_end_ = true;
  end_error_ = error;
  return true;
}

// -- the old process
// -----------------------------------------------------------------------------------------------------------

/// TLS stays: the keys are in this process. So does whatever a server holds for the client.
bool client::can_move() const {
  return step_ == client_step::idle && server_ == nullptr && login_ == nullptr && share_ != nullptr && open() &&
         !socket_.more_than_a_socket() && !replication_ && in_.empty() && !output_blocked() &&
         !end_at_transaction_end_ && cluster::can_move(session_);
}

void client::hand_over() {
  if (!node_.handover.giving() || !can_move() || !node_.handover.room()) return;
  owned_fd socket = owned_fd::copy_of(socket_.fd());
  if (!socket) return;
  const auto idle_for = home().now() - last_active_;
  cluster::moved_client record;
  record.pool = {pool_->name.tenant, pool_->name.database, pool_->name.user};
  record.user = user_;
  record.peer_host = peer_.host;
  record.peer_port = peer_.port;
  record.connected_at = microseconds_since_1970(connect_time_);
  record.idle_for = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(idle_for).count());
  record.key_process_id = key_.process_id;
  record.key_secret = key_.secret;
  record.unconfirmed = unconfirmed_;
  record.session = cluster::record_of(session_);
  home().cancel(deadline_);
  unwatch();
  set_step(client_step::moving);
  node_.handover.offer(caf::actor_cast<caf::actor>(this), std::move(record), std::move(socket));
}

/// Its socket is not touched once it belongs to the other process, but for the close of our copy.
void client::stay_or_go(bool moved) {
  if (moved) {
    node_.cancels.remove(key_);
    key_ = {};
    seat_.release();
    close_socket();
    return finish_leaving();
  }
  arrived(true);
}

// -- the new process
// -----------------------------------------------------------------------------------------------------------

void client::come_from_there() {
  const cluster::moved_client& from = *login_->moved;
  session_.id = from.session.id;
  user_ = from.user;
  database_ = from.pool.database;
  connect_time_ = std::chrono::system_clock::time_point(std::chrono::microseconds(from.connected_at));
  session_counted_ = true;
  node_.sessions.fetch_add(1, std::memory_order_relaxed);
  set_step(client_step::joining);
  send(node_.tenants,
       join_pool{caf::actor_cast<caf::actor>(this), from.pool.tenant, from.pool.database, from.user, from.pool.user});
}

/// It has its pool: from here on it lacks nothing but the other process's word. Limits keep nobody out who was in.
void client::settle_in() {
  const cluster::moved_client& from = *login_->moved;
  share_->attach(*this);
  const auto settings = node_.settings();
  const config::tenant* tenant = config::find_tenant(*settings->values, from.pool.tenant);
  if (tenant == nullptr) return refuse_arrival("its tenant is not configured here");
  if (config::ban_text(tenant->banned, tenant->banned_until, std::chrono::system_clock::now()))
    return refuse_arrival("its tenant is banned here");
  limits_ = share_->limits_for(user_);
  session_.rules = share_->rules_for(*limits_);
  cluster::restore(from.session, pool_->statements, session_);
  session_.values = share_->intern(session_.values);
  session_.startup_values = share_->intern(session_.startup_values);
  key_ = {from.key_process_id, from.key_secret};
  node_.cancels.adopt(key_, caf::actor_cast<caf::actor>(this));
  client_limit_reached never;
  seat_ = node_.seats.take({from.pool.tenant, from.pool.database, user_}, config::client_limits{}, never);
  unconfirmed_ = from.unconfirmed;
  last_active_ = home().now() - std::chrono::microseconds(from.idle_for);
  set_step(client_step::arriving);
  node_.handover.ready(from.number);
  if (login_->word) arrived(*login_->word);
}

void client::take_word(bool moved) {
  if (step_ == client_step::moving) return stay_or_go(moved);
  if (step_ == client_step::arriving) return arrived(moved);
  if (login_ && login_->moved) login_->word = moved;
}

/// It is this process's, and nobody else's.
void client::arrived(bool ours) {
  login_.reset();
  if (!ours) {
    if (key_.process_id != 0) node_.cancels.remove(key_);
    key_ = {};
    seat_.release();
    close_socket();
    return finish_leaving();
  }
  set_step(client_step::idle);
  arm_idle_deadline();
  if (!watch()) return leave("out of descriptors");
  if (!end_at_transaction_end_) return;
  if (end_error_.empty()) return leave("ended while it moved");
  fail(end_error_, "ended by the node");
}

void client::refuse_arrival(std::string_view why) {
  node_.handover.refuse(login_->moved->number, std::string(why));
  arrived(false);
}

} // namespace pg_edge::actors
