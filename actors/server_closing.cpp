// The end of a server: its share is told at once that it is not to be used any more, but its permit is free only when
// Postgres has closed its side. Until then what still runs there is cancelled again and again, for a cancel that
// arrives before its query has begun is lost.
#include "actors/canceller.hpp"
#include "actors/client.hpp"
#include "actors/server.hpp"
#include "protocol/messages.hpp"

namespace pg_edge::actors {

namespace {

/// Before the first repeated cancel, the second, and so on; the last one for all that follow.
constexpr std::chrono::milliseconds cancel_pauses[] = {std::chrono::milliseconds{100}, std::chrono::milliseconds{400},
                                                       std::chrono::milliseconds{1500}, std::chrono::milliseconds{3000},
                                                       std::chrono::milliseconds{5000}};

/// How often a closing server is looked at.
constexpr std::chrono::milliseconds closing_look{100};

/// With server_connect_timeout off: when the log is told that a server does not close.
constexpr config::duration patience = std::chrono::seconds{15};

} // namespace

void server::tell_closing() {
  if (told_closing_) return;
  told_closing_ = true;
  send(share_, server_closing{self_ptr()});
}

void server::close_gracefully(std::string why) {
  if (step_ == server_step::closing || step_ == server_step::gone) return;
  if (step_ == server_step::moving) { // it cannot be watched here any more; the new share will be told by its EOF
    socket_.shutdown_write();
    return;
  }
  const bool never_began = step_ == server_step::resolving || step_ == server_step::connecting;
  close_reason_ = why;
  if (never_began) return gone(std::move(why));
  const bool logging_in =
      step_ == server_step::asking_tls || step_ == server_step::handshaking || step_ == server_step::logging_in;
  if (!logging_in) { // there is no such message before the login is done
    protocol::bytes bye;
    append(bye, protocol::terminate{});
    write(bye);
  }
  set_step(server_step::closing);
  client_ = nullptr;
  client_ref_ = nullptr;
  attempt_.reset();
  if (open()) socket_.shutdown_write();
  tell_closing();
  await_end({});
  read_later();
}

/// `at_most`: then its end is taken for granted; 0: nothing but Postgres's EOF counts.
void server::await_end(config::duration at_most) {
  const auto now = home().now();
  ending_ = std::make_unique<ending>(*this);
  ending_->began = now;
  if (at_most.count() > 0) ending_->give_up_at = now + at_most;
  ending_->cancel_at = now + cancel_pauses[0];
  home().schedule(ending_->next_look, now + closing_look);
}

void server::while_closing() {
  if (!ending_ || step_ != server_step::closing) return;
  const auto now = home().now();
  const auto limit = pool_->settings()->server_connect_timeout;
  const bool given_up = ending_->give_up_at != clock::time_point{} && now >= ending_->give_up_at;
  if (given_up || (!ending_->told && now - ending_->began >= (limit.count() > 0 ? limit : patience))) {
    ending_->told = true;
    const auto waited = std::chrono::duration_cast<std::chrono::seconds>(now - ending_->began).count();
    log_own(level::warning, log_event::server_lingers, field("pid", process_id_), field("host", address_.host),
            field("port", address_.port), field("reason", close_reason_), field("seconds", waited),
            field("permit", given_up ? "free" : "held"));
  }
  if (given_up) return gone(close_reason_);
  const bool cancels = cancel_again(now);
  home().schedule(ending_->next_look, now + (cancels || !ending_->told ? closing_look : closing_look * 10));
}

/// Returns whether there is anything to cancel. One at a time, each with a connection of its own.
bool server::cancel_again(clock::time_point now) {
  if (session_.owed.empty() || process_id_ == 0 || plan_.replication) return false;
  if (cancels_ > 0 || now < ending_->cancel_at) return true;
  constexpr std::size_t last = std::size(cancel_pauses) - 1;
  ending_->cancel_at = now + cancel_pauses[std::min(++ending_->cancels, last)];
  log_own(level::debug, log_event::cancel_forwarded, field("pid", process_id_), field("again", ending_->cancels));
  cancel_begins();
  ending_->canceller = spawn_pinned<canceller>(home(), cancelling_order());
  return true;
}

/// The client is told, and the server closed: nothing it says can be trusted any more.
void server::close_now(std::string why, protocol::error_code when_doubtful) {
  class client* whose = client_;
  const caf::strong_actor_ptr alive = client_ref_;
  client_ = nullptr;
  if (whose != nullptr) whose->server_lost(why, when_doubtful);
  client_ref_ = nullptr;
  close_gracefully(std::move(why));
}

void server::drop(std::string why) {
  client_ = nullptr;
  client_ref_ = nullptr;
  close_gracefully(std::move(why));
}

void server::on_lost(std::string why) {
  if (attempt_ && step_ != server_step::closing) return lost_during_login(std::move(why));
  if (!session_.last_words.empty())
    why = session_.last_words;
  else if (why.empty())
    why = "the server closed the connection";
  class client* whose = client_;
  const caf::strong_actor_ptr alive = client_ref_;
  client_ = nullptr;
  if (whose != nullptr) whose->server_lost(why);
  client_ref_ = nullptr;
  cancel_orphan();
  gone(!close_reason_.empty() ? close_reason_ : std::move(why));
}

/// The connection went without a word of Postgres while a query ran: it may have been the network that ended it, and
/// then the backend would run on beside the next one of this permit. Should the backend be gone, its key fits nobody.
void server::cancel_orphan() {
  const bool silent = !session_.fatal_seen && session_.last_words.empty();
  const bool cancellable = process_id_ != 0 && !plan_.replication;
  if (step_ == server_step::closing || !silent || !cancellable || session_.owed.empty()) return;
  log_own(level::debug, log_event::cancel_forwarded, field("pid", process_id_), field("lost", true));
  spawn_pinned<canceller>(home(), cancelling_order());
}

cancel_order server::cancelling_order() {
  cancel_order order;
  order.address = address_;
  order.process_id = process_id_;
  order.secret = cancel_secret_;
  order.limit = pool_->settings()->cancel_wait_timeout;
  order.server = caf::actor_cast<caf::actor>(this);
  return order;
}

/// Most likely memory has run out. Its client and its share must not wait for it.
void server::on_exception() noexcept {
  if (step_ == server_step::gone) return;
  try {
    on_lost("an exception ended it");
  } catch (...) { // then its time-outs do
  }
}

/// Postgres has closed its side, or never had one: the permit is free.
void server::gone(std::string why) {
  if (step_ == server_step::gone) return;
  set_step(server_step::gone);
  const bool logged_in = process_id_ != 0;
  log_own(logged_in ? level::info : level::debug, log_event::server_closed, field("pid", process_id_),
          field("reason", why));
  plan_.slot.reset();
  plan_.ticket.reset();
  if (ending_ && ending_->canceller) send(ending_->canceller, close_server{"its target is gone"});
  ending_.reset();
  send(share_, server_gone{self_ptr()});
  close_own_socket();
  attempt_.reset();
  quit();
}

/// The number of the descriptor may be another's a moment later.
void server::close_own_socket() {
  node_.handover.server_closed(plan_.id);
  close_socket();
}

} // namespace pg_edge::actors
