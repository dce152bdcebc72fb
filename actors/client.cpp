#include "actors/client.hpp"

#include "actors/client_login_state.hpp"
#include "actors/client_relay_state.hpp"
#include "actors/lingering.hpp"
#include "actors/log.hpp"
#include "actors/meter.hpp"
#include "actors/relay.hpp"
#include "actors/share.hpp"

namespace pg_edge::actors {

namespace {

constexpr std::string_view step_names[] = {
    "starting", "handshaking", "authenticating", "joining",    "welcoming", "idle",     "waiting", "preparing",
    "active",   "console",     "relayed",        "cancelling", "moving",    "arriving", "leaving", "gone"};

/// The process at the other end of a Unix socket; 0 if it is none.
std::int32_t peer_process(int fd) {
  ucred who{};
  socklen_t length = sizeof who;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 ? who.pid : 0;
}

} // namespace

std::string_view to_string(client_step step) {
  return step_names[static_cast<std::size_t>(step)];
}

client::client(caf::actor_config& config, reactor& home, node_context& node, stream socket, socket_address peer,
               const std::string& door)
    : connection(config, home, actor_kind::client, std::move(socket)), node_(node),
      login_(std::make_unique<login_state>(node.settings(), door)), peer_(std::move(peer)),
      deadline_(timer::calling<&client::on_deadline>(*this)) {}

client::client(caf::actor_config& config, reactor& home, node_context& node, carried_stream_ptr from,
               const cluster::relay_request& request)
    : client(config, home, node, stream(std::move(from)), {request.peer_host, request.peer_port}) {
  login_->relayed = std::make_unique<cluster::relay_request>(request);
}

client::~client() = default;

client::client(caf::actor_config& config, reactor& home, node_context& node, stream socket,
               std::shared_ptr<cluster::moved_client> moved)
    : client(config, home, node, std::move(socket), socket_address{moved->peer_host, moved->peer_port}) {
  login_->moved = std::move(moved);
}

caf::behavior client::make_behavior() {
  session_.id = node_.next_id.fetch_add(1, std::memory_order_relaxed);
  connected_at_ = last_active_ = home().now();
  connect_time_ = std::chrono::system_clock::now();
  counted_ = true;
  node_.clients.fetch_add(1, std::memory_order_relaxed);
  if (login_->moved) {
    come_from_there();
  } else if (login_->relayed) {
    arm_login_deadline();
    watch();
    begin_relayed(*std::exchange(login_->relayed, nullptr));
  } else {
    arm_login_deadline();
    login_begins();
    await_first_bytes();
    if (!watch()) leave("out of descriptors");
  }
  return {
      [this](const check_out_refused& message) { take_refusal(message); },
      [this](const abandoned& message) {
        if (message.epoch == epoch_) out_of_queue();
      },
      [this](const go_elsewhere& message) { sent_elsewhere(message.epoch); },
      [this](const wait_notice& message) {
        if (message.epoch == epoch_ && step_ == client_step::waiting && login_ == nullptr) write(message.notice);
      },
      [this](const pool_joined& message) { join(message); },
      [this](const pool_refused& message) {
        if (step_ == client_step::leaving) return finish_leaving();
        if (login_ && login_->moved)
          return refuse_arrival(
              protocol::error_field(protocol::bytes_view(message.error).substr(protocol::frame_header_size), 'M'));
        fail(message.error, "its pool refused it");
      },
      [this](const welcome& message) { take_welcome(message); },
      [this](const cancel_client& message) { cancel(message.requester); },
      [this](const cancel_done&) { leave("cancel request done"); },
      [this](const may_cancel&) { go_on_cancelling(); },
      [this](const end_client& message) {
        if (step_ == client_step::relayed) return end_relayed(message);
        if (message.at_transaction_end && goes_on_elsewhere()) return;
        if (!message.at_transaction_end || between_transactions()) {
          fail(message.error, "ended by the node");
        } else {
          end_at_transaction_end_ = true;
          end_error_ = message.error;
        }
      },
      [this](const carried_ready&) { take_carried(); },
      [this](const carried_signal& message) { take_signal(message); },
      [this](const places_changed&) { look_at_place(); },
      [this](const shed_client& message) { shed(message.limit); },
      [this](const pam_answer& message) { take_pam_answer(message); },
      [this](const console_reply& message) { take_console_reply(message); },
      [this](const hand_over_now&) { hand_over(); },
      [this](const moved_over& message) { take_word(message.moved); },
      [this](const take_snapshot&) { return row(); },
  };
}

void client::grant(granted what) {
  granted_ = std::move(what);
  home().prompt(*this);
}

void client::on_prompt() {
  if (const granted message = std::move(granted_); message.server) take_grant(message);
}

/// The message of every transaction of a client whose bytes come by a link, or go by one.
bool client::take(const std::type_info& type, const void*) {
  if (type != typeid(carried_ready)) return false;
  take_carried();
  return true;
}

void client::on_exit() {
  // After an exception in a message handler; when the reactor stops everybody goes.
  if (step_ != client_step::gone && reactor::current() == &home() && !home().stopping()) on_exception();
  if (meter_.told_at != 0 && reactor::current() == &home()) this_meter().client_left(session_.id);
  home().cancel(deadline_);
  login_is_over();
  attachment_.unlink();
  if (std::exchange(session_counted_, false)) node_.sessions.fetch_sub(1, std::memory_order_relaxed);
  close_socket();
  server_ = nullptr;
  server_ref_ = nullptr;
  granted_ = {};
  if (counted_) node_.clients.fetch_sub(1, std::memory_order_relaxed);
  counted_ = false;
  share_ref_ = nullptr;
  cancel_requesters_.reset();
  seat_.release();
  close_relay();
}

// -- bytes
// -----------------------------------------------------------------------------------------------------------------

bool client::wants_input() const {
  if (output_blocked() || blocked_on_server_) return false;
  switch (step_) {
  case client_step::starting:
  case client_step::authenticating:
    return login_ != nullptr && !login_->busy;
  case client_step::idle:
    return !suspended();
  case client_step::console:
    return true;
  case client_step::active:
    return !suspended() && !server_->output_blocked();
  case client_step::relayed:
    return relay_->wants_input();
  default:
    return false;
  }
}

bool client::suspended() const {
  return share_ != nullptr && share_->suspended();
}

std::size_t client::on_bytes(protocol::bytes_view in) {
  switch (step_) {
  case client_step::starting:
    return read_start_up(in);
  case client_step::authenticating:
    return read_auth(in);
  case client_step::console:
    return read_console(in);
  case client_step::idle:
  case client_step::active:
    return relay(in);
  case client_step::relayed:
    return read_for_node(in);
  case client_step::leaving:
  case client_step::gone:
    return in.size();
  default:
    return 0; // kept until the step changes
  }
}

void client::resume_reading() {
  use_input();
  read_later();
}

void client::on_drained() {
  if (server_ != nullptr) server_->resume_reading();
  if (step_ == client_step::relayed) pump_from_node();
  use_input();
  read_later();
}

/// Closed by the peer while nothing is read from it: while it waits for a server, or for what it has been asked.
void client::on_hangup() {
  if (step_ != client_step::leaving && step_ != client_step::gone) leave("the client closed the connection");
}

void client::on_lost(std::string why) {
  leave(why.empty() ? "the client closed the connection" : why);
}

// -- the end
// ---------------------------------------------------------------------------------------------------------------

void client::fail(protocol::error_code code, std::initializer_list<std::string_view> args) {
  fail(protocol::make_error(code, args), protocol::error_text(code, args));
}

/// The last word to the client. In the midst of a message there is none: it would be read as that message's end, as
/// the values of a row perhaps.
void client::fail(protocol::bytes_view error, std::string_view why) {
  if (step_ == client_step::leaving || step_ == client_step::gone || postpone_end(error)) return;
  seat_.release(); // who has read the error may come again at once
  failed_ = true;
  if (!in_midst_of_message()) {
    note_error(error);
    write(error);
  }
  leave(why);
}

/// `error`: a whole ErrorResponse of our own that it is sent.
void client::note_error(protocol::bytes_view error) {
  if (error.size() <= protocol::frame_header_size) return; // a client of an unknown protocol is sent something shorter
  const auto sqlstate = protocol::error_field(error.substr(protocol::frame_header_size), 'C');
  if (share_ != nullptr)
    share_->note_error(sqlstate);
  else
    this_meter().note_error(sqlstate);
}

bool client::in_midst_of_message() const {
  if (step_ == client_step::relayed) return relay_->watch.in_midst_of_reply();
  if (server_ == nullptr) return false;
  const protocol::server_session& state = server_->session();
  return state.frame_left != 0 && state.frame_forward;
}

void client::leave(std::string_view why) {
  if (step_ == client_step::leaving || step_ == client_step::gone || postpone_end({})) return;
  seat_.release();
  const bool logged_in = login_ == nullptr && step_ != client_step::cancelling;
  const auto settings = node_.settings()->values;
  if (logged_in && settings->log_disconnections)
    log_own(log_event::client_disconnected, field("reason", why));
  else if (!logged_in && settings->log_pooler_errors && !why.empty())
    log_own(log_event::client_login_failed, field("step", to_string(step_)), field("reason", why));
  home().cancel(deadline_);
  login_is_over();
  if (key_.process_id != 0) node_.cancels.remove(key_);
  key_ = {};
  if (open() && !said_goodbye_) socket_.shutdown_write(); // who said goodbye waits for nothing but the end
  close_relay();
  const bool waits = step_ == client_step::waiting;
  const bool joins = step_ == client_step::joining && !share_ref_;
  if (server_ != nullptr) let_server_go(said_goodbye_);
  close_client_socket();
  if (waits || joins) { // the share's word is still to come: it may be a server; or the steward's, who has counted us
    set_step(client_step::leaving);
    if (waits && !cancelled_waiting_) send(share_ref_, abandon{self_ptr(), epoch_});
    return;
  }
  finish_leaving();
}

/// If it is told why while it is still sending, the socket goes on without us for a moment.
void client::close_client_socket() {
  char one = 0;
  const bool sending =
      failed_ && open() && socket_.carried() == nullptr &&
      (session_.frame_left > 0 || !in_.empty() || ::recv(socket_.fd(), &one, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
  if (!sending) return close_socket();
  unwatch();
  linger(home(), std::move(socket_));
}

void client::finish_leaving() {
  set_step(client_step::gone);
  if (cancel_requesters_)
    for (const caf::actor& requester : *cancel_requesters_)
      if (requester) send(requester, cancel_done{});
  cancel_requesters_.reset();
  if (std::exchange(meter_.told_at, 0) != 0) this_meter().client_left(session_.id);
  if (share_ref_) send(share_ref_, detach_client{attachment_.linked()});
  login_.reset();
  quit();
}

/// What becomes of the server depends on what was under way on it.
void client::let_server_go(bool said_goodbye) {
  class server* had = server_;
  const caf::strong_actor_ptr alive = server_ref_;
  unlink_server();
  const bool session_mode = keeps_server();
  const protocol::server_session& state = had->session();
  const bool whole = session_.frame_left == 0 && !session_.in_batch && state.settled() && !had->output_blocked();
  if (had->step() != server_step::assigned) return had->drop("its client left while it was being prepared");
  if (whole && state.transaction_status == 'I') return had->release(session_mode);
  if (whole) return had->release_open_transaction(session_mode);
  const bool can_finish = said_goodbye && session_.frame_left == 0 && !session_.in_batch && !state.skipping &&
                          !state.copy_in && !state.copy_both;
  if (can_finish) return had->finish_alone(session_mode);
  if (!state.owed.empty()) {
    had->cancel_begins();
    share_->open_cancel(*had, {}, false);
  }
  had->drop("its client left in the midst of a query");
}

/// Nothing of it waits, runs or is open, though in session mode it keeps its server.
bool client::between_transactions() const {
  if (server_ == nullptr) return step_ != client_step::waiting;
  const protocol::server_session& state = server_->session();
  return step_ == client_step::active && state.settled() && state.transaction_status == 'I' && !session_.in_batch &&
         session_.frame_left == 0 && in_.empty();
}

// -- time-outs
// -------------------------------------------------------------------------------------------------------------

namespace {

std::string seconds(config::duration span) {
  const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
  std::string text = std::to_string(whole / 1000);
  if (whole % 1000 != 0) text += "." + std::to_string(whole % 1000 + 1000).substr(1);
  return text;
}

} // namespace

void client::check_times(clock::time_point now) {
  if (step_ == client_step::preparing && server_ != nullptr) return server_->check_preparing(now);
  if (step_ != client_step::active || limits_ == nullptr) return;
  const config::pool_settings& limit = *limits_;
  const bool in_transaction = server_->session().transaction_status != 'I';
  const auto over = [now](clock::time_point since, config::duration most) {
    return most.count() > 0 && now - since >= most;
  };
  using protocol::error_code;
  if (query_running_ && over(query_began_, limit.query_timeout))
    return fail(error_code::query_timeout, {seconds(limit.query_timeout)});
  if (in_transaction && !query_running_ && over(last_active_, limit.idle_transaction_timeout))
    return fail(error_code::idle_transaction_timeout, {seconds(limit.idle_transaction_timeout)});
  if ((in_transaction || (query_running_ && !keeps_server())) && over(link_began_, limit.transaction_timeout))
    return fail(query_running_ ? error_code::transaction_timeout_unknown : error_code::transaction_timeout,
                {seconds(limit.transaction_timeout)});
}

void client::on_deadline() {
  if (step_ == client_step::cancelling) return leave("cancel_wait_timeout");
  if (relay_ != nullptr && relay_->timed_out(home().now()))
    return fail(protocol::error_code::query_wait_timeout_away,
                {seconds(relay_->patience), relay_->request.database, "[pg_edge]", relay_->last_error});
  if (login_ != nullptr) {
    const auto limit = login_->settings->values->client_login_timeout;
    return fail(protocol::error_code::client_login_timeout, {seconds(limit)});
  }
  if (limits_ == nullptr || limits_->client_idle_timeout.count() == 0) return;
  const bool idle = step_ == client_step::idle ||
                    (step_ == client_step::active && !query_running_ && server_->session().transaction_status == 'I');
  if (idle && home().now() - last_active_ >= limits_->client_idle_timeout)
    return fail(protocol::error_code::client_idle_timeout, {seconds(limits_->client_idle_timeout)});
  arm_idle_deadline();
}

void client::kill() {
  const bool running = step_ == client_step::active && !server_->session().owed.empty();
  fail(running ? protocol::error_code::killed_unknown : protocol::error_code::killed);
}

void client::arm_login_deadline() {
  const auto limit = login_->settings->values->client_login_timeout;
  if (limit.count() > 0) home().schedule(deadline_, connected_at_ + limit);
}

/// The timer is not moved with each query: when it fires it looks how long the client has been idle, and waits on.
void client::arm_idle_deadline() {
  if (limits_ == nullptr || limits_->client_idle_timeout.count() == 0) return;
  const bool idle = step_ == client_step::idle || step_ == client_step::active;
  const clock::time_point since = idle && !query_running_ ? last_active_ : home().now();
  home().schedule(deadline_, since + limits_->client_idle_timeout);
}

// -- for SHOW
// --------------------------------------------------------------------------------------------------------------

client_row client::row() const {
  client_row result;
  result.id = session_.id;
  if (pool_ != nullptr) result.tenant = pool_->name.tenant;
  result.user = user_;
  result.database = database_;
  result.state = step_ == client_step::waiting   ? "waiting"
                 : server_ != nullptr            ? "active"
                 : step_ == client_step::relayed ? (relay_->watch.idle() ? "idle" : "active")
                 : step_ == client_step::idle || step_ == client_step::console ? "idle"
                                                                               : std::string(to_string(step_));
  result.addr = peer_.host;
  result.port = peer_.port;
  if (const auto local = open() ? local_address(socket_.fd()) : std::nullopt) {
    result.local_addr = local->host;
    result.local_port = local->port;
  }
  result.connect_time = connect_time_;
  const auto since = home().now() - last_active_;
  result.request_time =
      std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(since);
  if (step_ == client_step::waiting)
    result.wait = std::chrono::duration_cast<std::chrono::microseconds>(home().now() - wait_began_);
  if (server_ != nullptr) result.link = server_->number();
  result.remote_pid = open() ? peer_process(socket_.fd()) : 0;
  if (session_.values) result.application_name = session_.values->get("application_name");
  result.tls = socket_.tls() ? socket_.tls_version() + "/" + socket_.tls_cipher() : std::string();
  result.prepared_statements = session_.extras ? session_.extras->statements.size() : 0;
  if (replication_) result.replication = logical_replication_ ? "logical" : "physical";
  result.close_needed = end_at_transaction_end_;
  result.fd = descriptor();
  result.values = session_.values;
  result.unread_bytes = unread_bytes();
  result.unsent_bytes = unsent_bytes();
  return result;
}

} // namespace pg_edge::actors
