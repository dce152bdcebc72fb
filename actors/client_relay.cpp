// A logged-in client: queries, check-outs, cancels.
#include "actors/client.hpp"
#include "actors/client_login_state.hpp"
#include "actors/client_relay_state.hpp"
#include "actors/log.hpp"
#include "actors/share.hpp"
#include "protocol/frame.hpp"
#include "protocol/messages.hpp"

namespace pg_edge::actors {

bool client::keeps_server() const {
  return replication_ || (limits_ != nullptr && limits_->mode == config::pool_mode::session);
}

/// Its share has its next server, and counts for it.
void client::prefetch() const noexcept {
  if (share_ != nullptr) prefetch_lines(share_, sizeof *share_);
  if (server_ != nullptr) prefetch_lines(static_cast<const io_handler*>(server_), io_handler::usual_size);
}

std::size_t client::relay(protocol::bytes_view in) {
  if (!within_memory()) return in.size();
  std::size_t used = 0;
  relaying_ = true;
  if (step_ == client_step::idle && protocol::begins_with_query(session_, in)) {
    last_active_ = home().now();
    check_out_server();
    if (step_ != client_step::active) {
      relaying_ = false;
      return 0;
    }
  }
  while (relay_once(in.substr(used), used)) {
  }
  relaying_ = false;
  return used;
}

/// Adds what it has used; true: a server was needed and was there at once.
bool client::relay_once(protocol::bytes_view in, std::size_t& used) {
  auto& [to_server, to_client] = gathers();
  const bool linked = step_ == client_step::active;
  const protocol::client_step result =
      protocol::from_client(session_, linked ? &server_->session() : nullptr, in, to_server, to_client);
  if constexpr (protocol::counting) meter_.received += result.consumed;
  last_active_ = home().now();
  if (linked && !to_server.empty()) {
    note_query_began();
    server_->write(to_server);
  }
  to_server.clear();
  write(to_client);
  used += result.consumed;
  switch (result.verdict) {
  case protocol::client_verdict::more:
    break;
  case protocol::client_verdict::need_server:
    check_out_server();
    return step_ == client_step::active;
  case protocol::client_verdict::wait:
    blocked_on_server_ = true;
    break;
  case protocol::client_verdict::terminate:
    said_goodbye_ = true;
    leave("the client said goodbye");
    break;
  case protocol::client_verdict::broken:
    fail(result.why.response(), result.why.text());
    break;
  }
  return false;
}

void client::note_query_began() {
  if (query_running_ || server_->session().owed.empty()) return;
  query_running_ = true;
  query_began_ = home().now();
}

// -- a server, and back
// ----------------------------------------------------------------------------------------------------

/// `again`: the server it was given was lost before anything was sent to it; the place in the queue is kept.
void client::check_out_server(bool again) {
  if (goes_elsewhere()) return;
  set_step(client_step::waiting);
  if (!again) wait_began_ = home().now();
  ++epoch_;
  const bool at_once = !again && login_ == nullptr && !replication_;
  if (class server* given = at_once ? share_->hand_out_now(*this) : nullptr) return take_server(*given);
  share_->check_out({self_ptr(), epoch_, replication_, wait_began_});
}

void client::take_grant(const granted& message) {
  auto* given = static_cast<class server*>(caf::actor_cast<caf::abstract_actor*>(message.server));
  if (message.epoch != epoch_ || step_ != client_step::waiting || cancelled_waiting_) {
    given->release(false); // it came too late: nobody has used it
    return out_of_queue();
  }
  take_server(*given);
}

void client::take_server(class server& given) {
  if (!given.link(*this)) return check_out_server(true); // lost on the way
  server_ = &given;
  server_ref_ = caf::actor_cast<caf::strong_actor_ptr>(&given);
  link_began_ = home().now();
  session_.statements_only = limits_->mode == config::pool_mode::statement && !replication_;
  share_->note_time(timed::wait, link_began_ - wait_began_);
  if constexpr (protocol::counting) ++share_->counts().server_assignment_count;
  set_step(client_step::preparing);
  if (login_ != nullptr) learn_from(*server_);
  server_->prepare();
}

void client::server_prepared() {
  set_step(client_step::active);
  if (login_ != nullptr) return learned();
  if (unconfirmed_) confirm_values();
  if (relaying_) return;
  use_input();
  read_later();
}

void client::restore_failed(protocol::bytes_view error_body) {
  unlink_server();
  set_step(client_step::idle);
  protocol::bytes answer;
  protocol::error_response error;
  protocol::reader in(error_body);
  while (in.ok() && !in.at_end()) {
    const auto code = static_cast<char>(in.u8());
    if (code == '\0') break;
    const protocol::bytes_view text = in.cstring();
    error.fields.push_back({code, code == 'S' || code == 'V' ? "FATAL" : text});
  }
  append(answer, error);
  fail(answer, "its settings were refused: " + std::string(protocol::error_field(error_body, 'M')));
}

void client::take_refusal(const check_out_refused& message) {
  if (message.epoch != epoch_ || step_ == client_step::gone) return;
  if (step_ == client_step::leaving) return finish_leaving();
  if (step_ != client_step::waiting) return;
  set_step(client_step::idle);
  if (message.fatal || login_ != nullptr)
    return fail(message.error, protocol::error_field(message.error.substr(protocol::frame_header_size), 'M'));
  note_error(message.error);
  const std::size_t used = protocol::refuse_next(session_, in_, message.error, gathers().to_client);
  write(gathers().to_client);
  in_.erase(0, used);
  use_input();
  read_later();
}

/// The share has taken this client out of its queue, because it leaves or because its query was cancelled there.
void client::out_of_queue() {
  if (step_ == client_step::leaving) return finish_leaving();
  if (step_ != client_step::waiting || !cancelled_waiting_) return;
  cancelled_waiting_ = false;
  take_refusal({protocol::make_error(protocol::error_code::canceled_while_waiting), epoch_, false});
}

void client::unlink_server() {
  server_ = nullptr;
  server_ref_ = nullptr;
  query_running_ = false;
  blocked_on_server_ = false;
}

void client::server_replied() {
  const protocol::server_session& state = server_->session();
  last_active_ = home().now();
  if (state.owed.empty() && query_running_) {
    query_running_ = false;
    note_query_over();
  }
  if (blocked_on_server_ && (state.owed.empty() || state.copy_in)) {
    blocked_on_server_ = false;
    read_later();
  }
}

void client::note_query_over() {
  if constexpr (!protocol::counting) return;
  const share_times::measured took = share_times::measure(last_active_ - query_began_);
  share_->note_time(timed::query, took);
  meter_.note_query(took);
}

/// In statement mode a transaction is open at the end of a query; it is rolled back with the client's end.
void client::transaction_refused() {
  fail(protocol::error_code::transaction_in_statement_mode);
}

void client::server_is_ready() {
  if (step_ != client_step::active) return;
  share_->note_time(timed::transaction, home().now() - link_began_);
  if (keeps_server()) {
    link_began_ = home().now();
    if (end_at_transaction_end_) fail(end_error_, "ended by the node");
    return;
  }
  class server* had = server_;
  const caf::strong_actor_ptr alive = server_ref_;
  unlink_server();
  set_step(client_step::idle);
  had->release(false);
  if (end_at_transaction_end_) return fail(end_error_, "ended by the node");
  use_input();
  read_later();
  if (node_.handover.giving() && step_ == client_step::idle) send(caf::actor_cast<caf::actor>(this), hand_over_now{});
}

/// Called by the server on its way out.
void client::server_lost(const std::string& why, protocol::error_code when_doubtful) {
  const bool nothing_sent = step_ == client_step::preparing;
  const protocol::server_session& state = server_->session();
  const bool told = state.fatal_seen;
  const bool doubtful = !state.owed.empty() || state.transaction_status != 'I' || session_.in_batch;
  const bool cut_message = in_midst_of_message();
  unlink_server();
  if (step_ == client_step::leaving || step_ == client_step::gone) return;
  if (nothing_sent && !replication_) return check_out_server(true);
  set_step(client_step::idle);
  if (told) return leave("its server was closed: " + why);
  if (cut_message) return leave("its server was lost in the midst of a message: " + why);
  fail(doubtful ? when_doubtful : protocol::error_code::server_lost_idle, {why});
}

// -- cancel
// ----------------------------------------------------------------------------------------------------------------

/// A CancelRequest with this client's key has come, on a connection of its own.
void client::cancel(const caf::actor& requester) {
  if (step_ == client_step::relayed) { // it is running elsewhere, if anything is
    if (relay_->stream && relay_->watch.doubtful()) relay_->stream->signal(protocol::bytes(cluster::cancel_signal));
    if (requester) send(requester, cancel_done{});
    return;
  }
  if (step_ == client_step::waiting && login_ == nullptr && !cancelled_waiting_) {
    cancelled_waiting_ = true;
    send(share_ref_, abandon{self_ptr(), epoch_});
    if (requester) send(requester, cancel_done{});
    return;
  }
  if (step_ == client_step::console && blocked_on_server_)
    send(node_.console, console_cancelled{caf::actor_cast<caf::actor>(this)});
  const bool something = step_ == client_step::active && query_running_;
  if (!something) {
    if (requester) send(requester, cancel_done{});
    return;
  }
  if (!cancel_requesters_) cancel_requesters_ = std::make_unique<std::vector<caf::actor>>();
  cancel_requesters_->push_back(requester);
  cancel_epoch_ = epoch_;
  send(share_ref_, want_cancel{self_ptr()});
}

/// A slot for a cancel connection is ours. If the query has ended meanwhile nothing must be cancelled any more.
void client::go_on_cancelling() {
  caf::actor requester; // nobody, if another node has passed the request on
  const bool asked = cancel_requesters_ && !cancel_requesters_->empty();
  if (asked) {
    requester = cancel_requesters_->front();
    cancel_requesters_->erase(cancel_requesters_->begin());
  }
  const bool still = asked && step_ == client_step::active && query_running_ && cancel_epoch_ == epoch_;
  if (!still) {
    send(share_ref_, cancel_over{});
    if (requester) send(requester, cancel_done{});
    return;
  }
  server_->cancel_begins();
  share_->open_cancel(*server_, requester, true);
}

// -- the admin console
// -----------------------------------------------------------------------------------------------------

std::size_t client::read_console(protocol::bytes_view in) {
  std::size_t used = 0;
  while (step_ == client_step::console && !blocked_on_server_) {
    protocol::frame_header header;
    const auto status = protocol::read_header(in.substr(used), header);
    if (status == protocol::header_status::invalid || header.total() > protocol::whole_query_limit) {
      if (status == protocol::header_status::need_more) return used;
      fail(protocol::error_code::invalid_message_length,
           {protocol::frontend_name(header.type), std::to_string(header.length)});
      return in.size();
    }
    if (status == protocol::header_status::need_more || in.size() - used < header.total()) return used;
    const protocol::bytes_view body = in.substr(used + protocol::frame_header_size, header.body());
    used += header.total();
    last_active_ = home().now();
    auto step = console_->take(header.type, body);
    write(step.reply);
    if (step.terminate) {
      leave("the client said goodbye");
      return in.size();
    }
    if (step.unknown) {
      fail(protocol::error_code::invalid_message_type, {std::to_string(static_cast<unsigned char>(header.type))});
      return in.size();
    }
    if (step.question) {
      blocked_on_server_ = true; // one command at a time
      send(node_.console,
           console_query{caf::actor_cast<caf::actor>(this), std::move(*step.question), user_, admin_, peer_.host});
    }
  }
  return used;
}

void client::take_console_reply(const console_reply& message) {
  if (step_ != client_step::console) return;
  blocked_on_server_ = false;
  console_->answered(message.failed);
  write(message.messages);
  use_input();
  read_later();
}

} // namespace pg_edge::actors
