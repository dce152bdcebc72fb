// A client whose pool has moved to another node of the cluster, or to another cluster that has taken over
// (actors/succession): when it needs a server the next time it is given none, but becomes a client that is relayed to
// that node, with all that its session is. It does not notice. There it is a client whose socket is a stream and which
// begins with a session instead of a login.
//
//   idle, waiting --(moved, and a server is needed)--> relayed, parked --> as in client_relayed.cpp
//   a login that asks what its session begins with -------------> relayed, opening
//
// What cannot be told to another node stays, and its server with it: sessions in session mode that have one,
// replication.
#include "actors/client_login_state.hpp"
#include "actors/client_relay_state.hpp"
#include "actors/share.hpp"
#include "cluster/stream_mux.hpp"

namespace pg_edge::actors {

namespace {

/// As the client would have sent it. `rest`: what follows the name.
protocol::bytes parse_message(protocol::bytes_view name, protocol::bytes_view rest) {
  protocol::bytes body(name);
  body.push_back('\0');
  body.append(rest);
  protocol::bytes message;
  protocol::put_u8(message, 'P');
  protocol::put_u32(message, static_cast<std::uint32_t>(body.size() + sizeof(std::uint32_t)));
  return message += body;
}

/// Whether a Parse says it all: SQL's PREPARE has types of its own kind, or a text that names other statements.
bool plain(const cluster::moved_statement& one) {
  return !one.has_sql_types && !one.written;
}

} // namespace

// -- on the client's node
// ------------------------------------------------------------------------------------------------------------------

/// Nothing of it may be under way on a server, in the middle of a message, or of a kind that only a server has. Whom
/// another node relays here is taken elsewhere by that one; only a cluster that was given away cannot wait for it.
bool client::can_go_elsewhere() const {
  if (comes_by_link() && !node_.succession.given_away()) return false;
  if (server_ != nullptr || share_ == nullptr || stays_) return false;
  if (login_ != nullptr) return login_->route.has_value() && !login_->moved && !login_->session;
  if (replication_ || limits_ == nullptr || session_.frame_left != 0 || session_.skip_until_sync) return false;
  if (!session_.extras) return true;
  for (const auto& [name, named] : session_.extras->statements)
    if (!named.what) return false;
  return true;
}

/// True: it needs no server here any more.
bool client::goes_elsewhere() {
  if (!(share_->lives_elsewhere() || node_.succession.given_away()) || !can_go_elsewhere()) return false;
  if (login_ != nullptr) {
    if (!lives_elsewhere(*login_->route)) return false;
    relay_->waits_since = home().now();
    leave_share();
    open_relay();
    return true;
  }
  relay_ = std::make_unique<relay_state>(*this, keeps_server());
  stays_ = !describe_session();
  if (stays_) {
    relay_.reset();
    return false;
  }
  become_relayed();
  return true;
}

/// False: it is too much for one message, and could not be told in parts.
bool client::describe_session() {
  relay_state& state = *relay_;
  cluster::relay_request& request = state.request;
  introduce(request, pool_->name);
  request.asked_user = user_;
  request.again = true;
  request.session = cluster::relayed_session{cluster::record_of(session_), unconfirmed_, session_.in_batch};
  cluster::moved_session& now = request.session->state;
  std::map<std::string, protocol::bytes> statements;
  bool all = !now.unnamed_names;
  for (const cluster::moved_statement& one : now.statements) {
    all = all && plain(one);
    if (plain(one)) statements[one.name] = parse_message(one.name, one.text);
  }
  if (!now.unnamed.empty() && !now.unnamed_names) statements[""] = parse_message("", now.unnamed);
  state.watch.resume(session_.values, std::move(statements), session_.in_batch, all);
  state.tells_statements = encode(request).size() <= cluster::most_frame_body;
  if (state.tells_statements) return true;
  if (!state.watch.can_move() || session_.in_batch) return false;
  now.statements.clear();
  now.unnamed.clear();
  return encode(request).size() <= cluster::most_frame_body;
}

/// Its bytes that are read already are used when this turn's are kept.
void client::become_relayed() {
  relay_state& state = *relay_;
  state.patience = limits_->query_wait_timeout;
  state.pool = pool_->name;
  state.began = true;
  state.step = relay_step::parked;
  home().cancel(deadline_);
  leave_share();
  set_step(client_step::relayed);
  send(caf::actor_cast<caf::actor>(this), go_elsewhere{0});
}

/// Its session is described by now; what is left here is the connection.
void client::leave_share() {
  const bool attached = attachment_.linked();
  attachment_.unlink();
  send(share_ref_, detach_client{attached});
  share_ = nullptr;
  share_ref_ = nullptr;
  pool_ = nullptr;
  limits_ = nullptr;
  const std::uint64_t id = session_.id;
  session_ = protocol::client_session{};
  session_.id = id;
}

void client::sent_elsewhere(std::uint32_t epoch) {
  if (epoch == 0) {
    if (step_ != client_step::relayed) return;
    use_input();
    return read_later();
  }
  if (epoch != epoch_) return;
  if (step_ == client_step::leaving) return finish_leaving();
  if (step_ != client_step::waiting) return;
  if (cancelled_waiting_) return out_of_queue();
  set_step(login_ != nullptr ? client_step::welcoming : client_step::idle);
  check_out_server(true);
}

// -- on the other node
// ---------------------------------------------------------------------------------------------------------------------

void client::take_up_session() {
  const auto from = std::move(login_->session);
  const std::uint64_t id = session_.id;
  cluster::restore(from->state, pool_->statements, session_);
  session_.id = id;
  session_.values = share_->intern(session_.values);
  session_.startup_values = share_->intern(session_.startup_values);
  session_.in_batch = from->in_batch;
  unconfirmed_ = from->unconfirmed;
  begin_session();
}

} // namespace pg_edge::actors
