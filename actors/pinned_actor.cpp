#include "actors/pinned_actor.hpp"

#include "actors/log.hpp"

#include <caf/detail/sync_request_bouncer.hpp>
#include <caf/sec.hpp>

#include <exception>
#include <utility>

namespace pg_edge::actors {

namespace {

// How many messages CAF takes from the mailbox in a round before urgent ones are looked at again.
constexpr std::size_t mailbox_quantum = 3;

caf::error log_exception(caf::scheduled_actor* self, std::exception_ptr& exception) {
  auto kind = to_string(static_cast<pinned_actor*>(self)->kind());
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& e) {
    log(level::error, log_event::actor_failed, {{"kind", kind}, {"actor", self->id()}, {"what", e.what()}});
  } catch (...) {
    log(level::error, log_event::actor_failed, {{"kind", kind}, {"actor", self->id()}});
  }
  return caf::sec::runtime_error;
}

// The content is not logged: it may hold secrets.
caf::result<caf::message> log_unexpected(caf::scheduled_actor* self, caf::message_view&) {
  auto kind = to_string(static_cast<pinned_actor*>(self)->kind());
  log(level::warning, log_event::message_unexpected, {{"kind", kind}, {"actor", self->id()}});
  return caf::sec::unexpected_message;
}

} // namespace

// CAF's own visitor, except that it counts, asks take() first, and stops at a message that made the actor move.
struct pinned_actor::visitor {
  mailbox_visitor caf_visitor;
  pinned_actor& self;
  std::uint64_t& taken;

  template <class Index>
  caf::intrusive::task_result operator()(Index index, normal_queue& queue, caf::mailbox_element& message) {
    using enum caf::intrusive::task_result;
    if (!self.take_plainly(message)) return by_behavior(index, queue, message);
    ++taken;
    ++caf_visitor.handled_msgs;
    if (self.finalize()) return stop;
    return self.arriving_ || caf_visitor.handled_msgs >= caf_visitor.max_throughput ? stop_all : resume;
  }

  template <class... Ts>
  caf::intrusive::task_result operator()(Ts&&... xs) {
    return by_behavior(std::forward<Ts>(xs)...);
  }

private:
  template <class... Ts>
  caf::intrusive::task_result by_behavior(Ts&&... xs) {
    auto result = caf_visitor(std::forward<Ts>(xs)...);
    if (result == caf::intrusive::task_result::skip) return result;
    ++taken;
    return self.arriving_ ? caf::intrusive::task_result::stop_all : result;
  }
};

pinned_actor::pinned_actor(caf::actor_config& config, reactor& home, actor_kind kind)
    : caf::event_based_actor(config), home_(&home), kind_(kind) {
  set_exception_handler(log_exception);
  set_default_handler(log_unexpected);
  actor_stats::started(kind_);
}

pinned_actor::~pinned_actor() = default;

void pinned_actor::enqueue(caf::mailbox_element_ptr message, caf::execution_unit*) {
  auto id = message->mid;
  // Only a request needs its sender after a refusal; the reference is not free.
  auto sender = id.is_request() ? message->sender : nullptr;
  actor_stats::enqueued(kind_);
  switch (mailbox().push_back(std::move(message))) {
  case caf::intrusive::inbox_result::unblocked_reader:
    caf::intrusive_ptr_add_ref(ctrl());
    home().post(*this);
    break;
  case caf::intrusive::inbox_result::queue_closed:
    actor_stats::discarded(kind_, 1);
    if (id.is_request()) {
      caf::detail::sync_request_bouncer bounce{caf::exit_reason::unreachable};
      bounce(sender, id);
    }
    break;
  case caf::intrusive::inbox_result::success:
    break;
  }
}

void pinned_actor::launch(caf::execution_unit*, bool lazy, bool hide) {
  if (!hide) register_at_system();
  if (lazy && mailbox().try_block()) return;
  caf::intrusive_ptr_add_ref(ctrl());
  home().post(*this);
}

// -- running
// -----------------------------------------------------------------------------------------------------------

pinned_actor::resume_result pinned_actor::resume(caf::execution_unit* context, std::size_t max_throughput) {
  reactor& here = home();
  if (&here != context) {
    // Queued by someone who read the former home.
    caf::intrusive_ptr_add_ref(ctrl());
    here.post(*this);
    return awaiting_message;
  }
  settle_in(here);
  std::uint64_t taken = 0;
  running_ = true;
  auto result = done;
  if (wake_up(here)) result = arriving_ ? resume_later : handle_messages(max_throughput, taken);
  running_ = false;
  if (taken > 0) {
    handled_ += taken;
    reactor::bump(here.messages_, taken);
    actor_stats::handled(kind_, taken);
    actor_stats::seen_handled(kind_, id(), handled_);
  }
  if (result != done && arriving_) {
    // Moved: we still hold the right to run and pass it on. Nothing of the actor may be touched afterwards.
    caf::intrusive_ptr_add_ref(ctrl());
    home().post(*this);
    return awaiting_message;
  }
  return result;
}

// Starts the actor or tells it that it has arrived; false when it has ended.
bool pinned_actor::wake_up(reactor& here) {
  bool arrived = std::exchange(arriving_, false);
  // quit() outside a handler: CAF does not finalize an actor that it finds dead.
  if (getf(is_initialized_flag) && !alive()) {
    finalize();
    return false;
  }
  if (!activate(&here)) return false;
  if (arrived) {
    try {
      on_arrival();
    } catch (...) {
      auto exception = std::current_exception();
      quit(log_exception(this, exception));
    }
  }
  return !finalize();
}

// CAF's loop without streams; resume_later with arriving_ set means that the actor has moved.
pinned_actor::resume_result pinned_actor::handle_messages(std::size_t max_throughput, std::uint64_t& taken) {
  actor_stats::seen_depth(kind_, id(), mailbox().size());
  std::size_t handled = 0;
  visitor visit{{this, handled, max_throughput}, *this, taken};
  while (handled < max_throughput) {
    if (!mailbox().new_round(mailbox_quantum, visit).consumed_items) {
      if (handled > 0) set_receive_timeout();
      if (mailbox().try_block()) return awaiting_message;
    }
    if (finalize()) return done;
    if (arriving_) break;
  }
  set_receive_timeout();
  if (!arriving_ && mailbox().try_block()) return awaiting_message;
  return resume_later;
}

void pinned_actor::take_prompt() noexcept {
  try {
    on_prompt();
  } catch (...) {
    auto exception = std::current_exception();
    quit(log_exception(this, exception));
  }
}

bool pinned_actor::take_plainly(caf::mailbox_element& message) {
  const caf::type_erased_tuple& content = message.content();
  if (!message.mid.is_async() || content.size() != 1) return false;
  const std::type_info* type = content.type(0).second;
  if (type == nullptr) return false; // one of CAF's own
  try {
    return take(*type, content.get(0));
  } catch (...) {
    auto exception = std::current_exception();
    quit(log_exception(this, exception));
    return true;
  }
}

// -- homes
// -------------------------------------------------------------------------------------------------------------

void pinned_actor::settle_in(reactor& here) noexcept {
  if (resident_.linked()) return;
  caf::intrusive_ptr_add_ref(ctrl());
  here.residents_.push_back(resident_);
}

// The caller holds another reference.
void pinned_actor::leave() noexcept {
  prompted_.unlink();
  if (!resident_.linked()) return;
  resident_.unlink();
  caf::intrusive_ptr_release(ctrl());
}

void pinned_actor::move_home(reactor& to) {
  caf::intrusive_ptr_add_ref(ctrl());
  leave();
  arriving_ = true;
  context(&to);
  bool handling = running_;
  home_.store(&to, std::memory_order_release);
  // Outside resume() a message may have unblocked the mailbox and run the actor there by now; our reference keeps it.
  // With the mailbox blocked nobody will run it, so we send it on its way.
  if (!handling && mailbox().try_unblock())
    to.post(*this);
  else
    caf::intrusive_ptr_release(ctrl());
}

// -- the end
// -----------------------------------------------------------------------------------------------------------

void pinned_actor::quit(caf::error reason) {
  caf::event_based_actor::quit(std::move(reason));
  if (running_ || !mailbox().try_unblock()) return;
  caf::intrusive_ptr_add_ref(ctrl());
  home().post(*this);
}

void pinned_actor::end_now(const caf::error& reason) noexcept {
  if (getf(is_cleaned_up_flag)) return;
  running_ = true;
  try {
    quit(reason);
    finalize();
  } catch (...) {
    // on_exit() threw. What the actor held of CAF is let go all the same.
    cleanup(caf::error{reason}, nullptr);
  }
  running_ = false;
}

// Empties the mailbox the way CAF does, but counts what is thrown away.
bool pinned_actor::cleanup(caf::error&& reason, caf::execution_unit* host) {
  if (!mailbox().closed()) {
    mailbox().close();
    get_normal_queue().flush_cache();
    get_urgent_queue().flush_cache();
    caf::detail::sync_request_bouncer bounce{reason};
    std::uint64_t discarded = 0;
    auto discard = [&](auto&&... xs) {
      ++discarded;
      return bounce(std::forward<decltype(xs)>(xs)...);
    };
    while (mailbox().queue().new_round(1000, discard).consumed_items)
      continue;
    if (discarded > 0) actor_stats::discarded(kind_, discarded);
  }
  bool ended = caf::event_based_actor::cleanup(std::move(reason), host);
  if (ended) {
    actor_stats::ended(kind_);
    leave();
  }
  return ended;
}

} // namespace pg_edge::actors
