#include "actors/server.hpp"

#include "actors/client.hpp"
#include "actors/log.hpp"
#include "actors/share.hpp"
#include "protocol/errors.hpp"
#include "protocol/messages.hpp"

#include <algorithm>
#include <cassert>

namespace pg_edge::actors {

namespace {

constexpr std::string_view step_names[] = {
    "resolving", "connecting", "asking_tls", "handshaking",      "logging_in",   "connect_query", "idle",    "moving",
    "assigned",  "checking",   "restoring",  "awaiting_cancels", "rolling_back", "resetting",     "closing", "gone"};

} // namespace

std::string_view to_string(server_step step) {
  return step_names[static_cast<std::size_t>(step)];
}

server::server(caf::actor_config& config, reactor& home, node_context& node, pool_common_ptr pool, caf::actor share,
               const protocol::exchange_rules* rules, server_plan plan)
    : connection(config, home, actor_kind::server, stream()), node_(node), pool_(std::move(pool)),
      share_(std::move(share)), plan_(std::move(plan)) {
  session_.rules = rules;
  use_share();
}

void server::use_share() {
  share_here_ = static_cast<class share*>(caf::actor_cast<caf::abstract_actor*>(share_));
}

caf::behavior server::make_behavior() {
  connected_at_ = home().now();
  connect_time_ = std::chrono::system_clock::now();
  attempt_ = std::make_unique<attempt>(*this);
  resolve_next();
  return {
      [this](const close_server& message) { close_now(message.reason); },
      [this](const connect_server&) {
        if (!attempt_ || !std::exchange(attempt_->go_on, false)) return;
        in_.clear();
        out_.clear();
        attempt_->login.reset();
        connect_next();
      },
      [this](const adopt_server& message) {
        share_ = message.share;
        use_share();
        move_home(*message.home);
      },
      [this](const cancel_sent& message) {
        note_cancel_sent(message.sent);
        if (message.requester) send(message.requester, cancel_done{});
      },
  };
}

void server::on_exit() {
  attempt_.reset();
  ending_.reset();
  close_own_socket();
  client_ = nullptr;
  client_ref_ = nullptr;
  share_ = nullptr;
  share_here_ = nullptr;
  plan_.slot.reset();
  plan_.ticket.reset();
  address_seat_.leave();
  host_seat_.leave();
}

// -- hand-out
// ------------------------------------------------------------------------------------------------------------

void server::assign() {
  assert(step_ == server_step::idle); // the share looks before it hands out
  set_step(server_step::assigned);
  assigned_at_ = home().now();
}

/// A FIN that came while it rested is an event of this turn, delivered or due, unless there were too many of them or it
/// was not watched here when they were fetched.
bool server::surely_there() const {
  if (!watched_well() || io_due()) return false;
  return idle_since_ == home().now() || (home().saw_all_events() && arrived_in_turn_ != home().turn_number());
}

bool server::link(class client& to) {
  if (step_ != server_step::assigned) return false;
  // One that rested may have been closed meanwhile; its client's statement must not be the first to find out.
  if (!surely_there() && (!look() || step_ != server_step::assigned || session_.fatal_seen)) {
    close_gracefully("the server closed the connection while it was idle");
    return false;
  }
  if (!session_.at_rest()) { // the rest would reach this client as an answer
    close_gracefully("it began a message that nobody had asked for");
    return false;
  }
  client_ = &to;
  client_ref_ = caf::actor_cast<caf::strong_actor_ptr>(&to);
  return true;
}

void server::prepare() {
  const config::pool_settings& settings = settings_.of(*pool_);
  const bool check_due = !settings.server_check_query.empty() &&
                         home().now() - idle_since_ >= settings.server_check_delay && !plan_.replication;
  if (check_due) return ask_own(settings.server_check_query, server_step::checking);
  restore();
}

void server::restore() {
  const bool same = plan_.replication || protocol::same_parameters(session_, client_->session());
  const std::string sql = same ? std::string() : client_->restoring_query(session_);
  if (sql.empty()) {
    set_step(server_step::assigned);
    return client_->server_prepared();
  }
  ask_own(sql, server_step::restoring);
}

void server::check_preparing(clock::time_point now) {
  const auto limit = pool_->settings()->server_connect_timeout;
  const bool waits = step_ == server_step::checking || step_ == server_step::restoring;
  if (waits && limit.count() > 0 && now - asked_at_ >= limit)
    close_now("no answer within server_connect_timeout while " + std::string(to_string(step_)));
}

void server::ask_own(std::string_view sql, server_step why) {
  set_step(why);
  asked_at_ = home().now();
  protocol::gather& out = gathers().to_server;
  protocol::ask(session_, sql, out);
  write(out);
}

// -- relaying
// ------------------------------------------------------------------------------------------------------------

bool server::wants_input() const {
  return client_ == nullptr || (!client_->output_blocked() && !share_here_->suspended());
}

std::size_t server::on_bytes(protocol::bytes_view in) {
  switch (step_) {
  case server_step::asking_tls:
    return read_tls_answer(in);
  case server_step::logging_in:
    return read_login(in);
  case server_step::resolving:
  case server_step::connecting:
  case server_step::handshaking:
  case server_step::closing:
  case server_step::gone:
    return in.size();
  default:
    return relay(in);
  }
}

/// Whom it answers.
void server::prefetch() const noexcept {
  if (client_ != nullptr) prefetch_lines(static_cast<const io_handler*>(client_), io_handler::usual_size);
}

std::size_t server::relay(protocol::bytes_view in) {
  std::size_t used = 0;
  while (open() && step_ != server_step::closing) {
    auto& [to_server, to_client] = gathers();
    protocol::client_session* whose =
        client_ != nullptr && step_ == server_step::assigned ? &client_->session() : nullptr;
    const protocol::server_step result = protocol::from_server(session_, whose, in.substr(used), to_client, to_server);
    used += result.consumed;
    if (client_ != nullptr && whose != nullptr) client_->note_sent(result.consumed);
    if (client_ != nullptr && whose != nullptr) client_->write(to_client);
    to_client.clear();
    write(to_server);
    if (session_.fatal_seen && step_ == server_step::idle) {
      close_gracefully("the server ends the connection");
      return in.size();
    }
    if (result.broken) {
      close_now(result.reason, protocol::error_code::server_protocol);
      return in.size();
    }
    // A Flush is answered without ReadyForQuery, and the client may be waiting for just that.
    const bool answered = result.replied || (whose != nullptr && (session_.owed.empty() || session_.copy_in));
    if (answered && client_ != nullptr) client_->server_replied();
    if (result.transaction_refused && client_ != nullptr)
      client_->transaction_refused();
    else if (result.own_done)
      own_query_done();
    else if (result.ready && client_ != nullptr)
      client_->server_is_ready();
    else if (alone_ && result.replied && session_.settled())
      left_alone();
    else
      return used;
    if (used == in.size()) return used;
  }
  return in.size();
}

/// What its last client left behind is answered.
void server::left_alone() {
  alone_ = false;
  if (session_.transaction_status == 'I') return go_on_releasing();
  ask_own("ROLLBACK", server_step::rolling_back);
}

void server::own_query_done() {
  const bool failed = !session_.own_error.empty();
  const bool for_client = step_ == server_step::checking || step_ == server_step::restoring;
  if (for_client && client_ == nullptr) return close_now("its client left while it was being prepared");
  switch (step_) {
  case server_step::connect_query:
    if (failed)
      return login_failed("connect_query: " + std::string(protocol::error_field(session_.own_error, 'M')),
                          session_.own_error);
    return logged_in();
  case server_step::checking:
    if (failed) return close_now("server_check_query failed");
    return restore();
  case server_step::restoring: {
    if (failed) {
      class client* whose = client_;
      const protocol::bytes error = session_.own_error;
      client_ = nullptr;
      // Nothing was changed: a refused setting takes the whole query with it.
      whose->restore_failed(error);
      client_ref_ = nullptr;
      return go_on_releasing();
    }
    protocol::note_restored(session_, client_->session());
    set_step(server_step::assigned);
    return client_->server_prepared();
  }
  case server_step::rolling_back:
    if (failed || session_.transaction_status != 'I') return close_now("ROLLBACK failed");
    return go_on_releasing();
  case server_step::resetting:
    if (failed || session_.transaction_status != 'I')
      return close_now("server_reset_query failed: " + std::string(protocol::error_field(session_.own_error, 'M')));
    protocol::note_reset(session_);
    return finish_release();
  default:
    return close_now("an answer of its own that nobody awaits");
  }
}

void server::on_drained() {
  if (client_ != nullptr) client_->resume_reading();
}

// -- check-in
// ------------------------------------------------------------------------------------------------------------

void server::release(bool session) {
  if (step_ != server_step::assigned) return; // lost meanwhile
  client_ = nullptr;
  client_ref_ = nullptr;
  after_session_ = session;
  if (plan_.replication) return close_gracefully("the replication client left");
  go_on_releasing();
}

void server::finish_alone(bool session) {
  client_ = nullptr;
  client_ref_ = nullptr;
  after_session_ = session;
  alone_ = true;
  read_later();
}

void server::release_open_transaction(bool session) {
  client_ = nullptr;
  client_ref_ = nullptr;
  after_session_ = session;
  if (plan_.replication || cancels_ > 0) return close_gracefully("its client left in a transaction");
  ask_own("ROLLBACK", server_step::rolling_back);
}

/// No cancel may be on its way to it, nothing of the last client may be left: only then is it anybody's again.
void server::go_on_releasing() {
  if (cancels_ > 0) {
    set_step(server_step::awaiting_cancels);
    return;
  }
  if (reconnect_wanted || spoilt_) return close_gracefully("it is not to be used again");
  if (output_blocked() || !session_.settled()) return close_gracefully("not settled at its client's end");
  const config::pool_settings& settings = settings_.of(*pool_);
  const bool always = after_session_ || settings.server_reset_query_always;
  if (!always && !session_.dirt.any()) return finish_release();
  const std::optional<std::string> sql = protocol::resetting_sql(session_, settings.server_reset_query, always);
  if (!sql) return close_gracefully("its state cannot be reset");
  if (sql->empty()) return finish_release();
  ask_own(*sql, server_step::resetting);
}

void server::finish_release() {
  set_step(server_step::idle);
  idle_since_ = home().now();
  if (share_here_ != nullptr) share_here_->check_in(*this);
}

void server::note_cancel_sent(bool sent) {
  spoilt_ |= !sent;
  if (cancels_ > 0 && --cancels_ == 0 && step_ == server_step::awaiting_cancels) go_on_releasing();
}

// -- moving
// --------------------------------------------------------------------------------------------------------------

bool server::detach() {
  if (step_ != server_step::idle || !in_.empty() || output_blocked()) return false;
  unwatch();
  set_step(server_step::moving);
  return true;
}

void server::on_arrival() {
  set_step(server_step::idle);
  arrived_in_turn_ = home().turn_number();
  if (!watch()) return gone("out of descriptors while moving");
  send(share_, server_arrived{self_ptr()});
}

// -- for SHOW
// ------------------------------------------------------------------------------------------------------------

bool server::logical_replication() const {
  return std::any_of(plan_.start_up.begin(), plan_.start_up.end(),
                     [](const auto& one) { return one.first == "replication" && one.second == "database"; });
}

std::string server::tls_info() const {
  return socket_.tls() ? socket_.tls_version() + "/" + socket_.tls_cipher() : std::string();
}

std::pair<socket_address, socket_address> server::addresses() const {
  std::pair<socket_address, socket_address> result{{address_.host, address_.port}, {}};
  if (const auto local = open() ? local_address(socket_.fd()) : std::nullopt) result.second = *local;
  return result;
}

} // namespace pg_edge::actors
