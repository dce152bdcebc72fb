// A client whose pool lives on another node. This node has asked who it is, and ends its TLS; from then on what it says
// goes to the other node as it is, on a stream of a link, and the other node has a client whose socket is that stream.
// So every part of the protocol works as it does there. The cancel key is this node's own: it stays valid when the
// session moves.
//
//   authenticating --> opening --> (replaying) --> open --(node lost or going, nothing under way)--> parked
//                        | ^                        |                                                  |
//                        v |                        |                                                  v
//                      pausing                      |                        first message: opening, as before
//                                                   '--(node lost, something under way)--> told 08006, gone
//
// Here: bytes, losses, cancels. How a session begins on the other node stands in client_relay_opening.cpp.
#include "actors/client_login_state.hpp"
#include "actors/client_relay_state.hpp"
#include "actors/log.hpp"

namespace pg_edge::actors {

namespace {

/// So many reads of a stream before others have their turn.
constexpr int reads_in_a_row = 8;

} // namespace

// -- the way there
// -----------------------------------------------------------------------------------------------------------------

/// The node that serves the pool's clients; this one if nobody knows better.
node_number client::home_of(const pool_name& pool) const {
  const node_number there = node_.succession.given_away() ? node_.succession.heir_of(pool) : node_.places.of(pool);
  return there != 0 ? there : node_.links.self()->node;
}

bool client::lives_elsewhere(const config::route& way) {
  if (!node_.places.asked() && !node_.succession.given_away()) return false;
  pool_name pool{way.tenant->name, way.database_name, way.server_user(user_)};
  if (home_of(pool) == node_.links.self()->node) return false;
  const config::settings& settings = *login_->settings->values;
  const config::pool_settings limits =
      config::resolve_pool(settings, *way.tenant, *way.database, pool.database, pool.user, way.user);
  relay_ = std::make_unique<relay_state>(*this, replication_ || limits.mode == config::pool_mode::session);
  relay_->patience = limits.query_wait_timeout;
  cluster::relay_request& request = relay_->request;
  introduce(request, pool);
  request.asked_user = login_->asked_user;
  request.parameters = {login_->start_up.parameters.begin(), login_->start_up.parameters.end()};
  relay_->pool = std::move(pool);
  return true;
}

/// Who it is, and what lets its servers in.
void client::introduce(cluster::relay_request& request, const pool_name& pool) {
  request.tenant = pool.tenant;
  request.database = pool.database;
  request.user = user_;
  request.peer_host = peer_.host;
  request.peer_port = peer_.port;
  const auto known = node_.credentials.find(pool.tenant, user_);
  if (!known) return;
  request.secret = known->secret;
  request.client_key = known->client_key;
  request.server_key = known->server_key;
}

/// Asks the node on which the pool lives now, which need not be the one of before, and may be this one.
void client::open_relay() {
  relay_state& state = *relay_;
  set_step(client_step::relayed);
  state.step = relay_step::opening;
  state.to_move = false;
  state.misplaced = false;
  state.kept.clear();
  state.greeted = nullptr;
  state.node = home_of(state.pool);
  std::string why;
  state.stream = node_.links.open(home(), state.node, encode(state.request), caf::actor_cast<caf::actor>(this), why);
  if (!state.stream) relay_lost(why);
}

void client::relay_again() {
  if (step_ == client_step::relayed && relay_->step == relay_step::pausing) open_relay();
}

void client::close_relay() {
  if (relay_ == nullptr) return;
  if (relay_->stream) relay_->stream->finish(true);
  relay_->stream.reset();
  home().cancel(relay_->pause);
}

// -- bytes
// -------------------------------------------------------------------------------------------------------------------

std::size_t client::read_for_node(protocol::bytes_view in) {
  relay_state& state = *relay_;
  if (state.step == relay_step::parked) {
    if (in[0] == 'X') {
      said_goodbye_ = true;
      leave("the client said goodbye");
      return in.size();
    }
    state.waits_since = home().now();
    if (state.patience.count() > 0) home().schedule(deadline_, state.waits_since + state.patience);
    open_relay();
    return 0;
  }
  if (state.step != relay_step::open || !state.unsent.empty()) return 0;
  const iovec piece{const_cast<char*>(in.data()), in.size()};
  const io_result result = state.stream->write(&piece, 1);
  const std::size_t taken = result.status == io_status::ok ? in.size() : result.bytes;
  state.watch.from_client(in.substr(0, taken));
  meter_.received += taken;
  last_active_ = home().now();
  return taken;
}

/// Our own words to the other node: what the stream does not take goes when it has room.
void client::send_to_node(protocol::bytes_view what) {
  relay_state& state = *relay_;
  state.unsent.append(what);
  const iovec piece{state.unsent.data(), state.unsent.size()};
  const io_result result = state.stream->write(&piece, 1);
  state.unsent.erase(0, result.status == io_status::ok ? state.unsent.size() : result.bytes);
}

/// The stream of this client, or the one that is this client's socket, has something to tell.
void client::take_carried() {
  if (socket_.carried() != nullptr) on_carried(); // it may be both: relayed to this node, and by it to another cluster
  if (step_ != client_step::relayed || !relay_->stream) return;
  relay_->stream->heard();
  if (!relay_->unsent.empty()) send_to_node({});
  pump_from_node();
  if (step_ != client_step::relayed) return;
  use_input();
  read_later();
}

void client::pump_from_node() {
  const std::span<char> room = home().scratch();
  for (int reads = 0; step_ == client_step::relayed && relay_->stream && !output_blocked(); ++reads) {
    if (reads == reads_in_a_row) return send(caf::actor_cast<caf::actor>(this), carried_ready{});
    const io_result got = relay_->stream->read(room.data(), room.size());
    switch (got.status) {
    case io_status::ok:
      take_from_node({room.data(), got.bytes});
      break;
    case io_status::would_block:
      return;
    case io_status::closed:
      return relay_closed();
    case io_status::failed:
      return relay_lost(relay_->stream->why_lost());
    }
  }
}

void client::take_from_node(protocol::bytes_view in) {
  relay_state& state = *relay_;
  if (state.step != relay_step::open) {
    state.kept.append(in);
    const protocol::bytes all = std::exchange(state.kept, {});
    const std::size_t used = read_opening(all);
    if (step_ != client_step::relayed || used == all.size()) return;
    if (state.step != relay_step::open) {
      state.kept = all.substr(used);
      return;
    }
    return take_from_node(protocol::bytes_view(all).substr(used));
  }
  state.watch.from_node(in);
  meter_.sent += in.size();
  last_active_ = home().now();
  write(in);
  const bool goes = state.to_move || end_at_transaction_end_ || (state.misplaced && state.watch.can_move());
  if (!goes || !state.watch.idle()) return;
  if (end_at_transaction_end_) return fail(end_error_, "ended by the node");
  park_relay();
}

// -- losses
// ------------------------------------------------------------------------------------------------------------------

/// The other node has ended the session. If it told the client why, that was meant for the client.
void client::relay_closed() {
  const relay_state& state = *relay_;
  if (state.step == relay_step::open && (state.watch.told_end() || state.watch.said_goodbye()))
    return leave("the session was ended by the node that serves it");
  relay_lost("node " + std::to_string(state.node) + " serves it no more");
}

/// What was under way is lost with the node; who had nothing under way does not notice.
void client::relay_lost(const std::string& why) {
  relay_state& state = *relay_;
  if (state.stream) state.stream->finish(true);
  state.stream.reset();
  state.unsent.clear();
  state.last_error = why;
  if (state.step != relay_step::open) {
    state.step = relay_step::pausing;
    return home().schedule(state.pause, home().now() + relay_state::pause_time);
  }
  if (state.watch.told_end() || state.watch.said_goodbye()) return leave(why);
  if (!state.watch.idle()) return fail(protocol::error_code::server_lost, {why});
  if (!state.watch.can_move()) return fail(protocol::error_code::server_lost_idle, {why});
  park_relay();
}

/// It goes on with the client's next message, on whichever node serves its pool then.
void client::park_relay() {
  relay_state& state = *relay_;
  if (!state.watch.can_move()) return fail(protocol::error_code::shutting_down);
  close_relay();
  state.step = relay_step::parked;
  state.request.again = true;
  use_input();
  read_later();
}

/// Its pool may live elsewhere by now. It goes there between two transactions; a session that cannot move stays.
void client::look_at_place() {
  if (step_ != client_step::relayed || relay_->step != relay_step::open) return;
  relay_->misplaced = home_of(relay_->pool) != relay_->node;
  if (relay_->misplaced && relay_->watch.idle() && relay_->watch.can_move()) park_relay();
}

/// This node is going away: the node that the client is connected to takes it elsewhere once it is idle, as only that
/// node knows what it has sent. False: it is no other node's client.
bool client::goes_on_elsewhere() {
  if (socket_.carried() == nullptr || !node_.draining.load(std::memory_order_relaxed)) return false;
  socket_.carried()->signal(protocol::bytes(cluster::move_signal));
  return true;
}

/// This node stops, or somebody ends the session here.
void client::end_relayed(const end_client& message) {
  const bool quiet = relay_->step != relay_step::open || (relay_->watch.idle() && in_.empty());
  if (!message.at_transaction_end || quiet) return fail(message.error, "ended by the node");
  end_at_transaction_end_ = true;
  end_error_ = message.error;
}

// -- words beside the bytes
// ---------------------------------------------------------------------------------------------------------------

void client::take_signal(const carried_signal& message) {
  if (message.what == cluster::cancel_signal && socket_.carried() != nullptr) return cancel({});
  if (message.what != cluster::move_signal || step_ != client_step::relayed) return;
  relay_->to_move = true;
  if (relay_->step == relay_step::open && relay_->watch.idle()) park_relay();
}

/// The key names another node of this cluster. There is no answer to wait for.
bool client::cancel_elsewhere(const protocol::cancel_request& request) {
  const auto node = static_cast<node_number>(cluster::node_of(request.process_id));
  if (node == 0) return false;
  const protocol::bytes word = encode(cluster::relayed_cancel{request.process_id, request.key});
  // During a take-over two clusters count their nodes alike; the key's secret tells whose it is.
  const auto foreign = static_cast<node_number>(node | foreign_node);
  const bool passed = node_.links.peer(foreign) && node_.links.signal(home(), foreign, word);
  if (node == node_.cancels.node()) return passed;
  return node_.links.signal(home(), node, word) || passed;
}

} // namespace pg_edge::actors
