// ThreadSanitizer sees a happens-before edge only where the atomic operation that makes it was compiled with it, and
// Debian's libcaf_core was not. So builds with -fsanitize=thread compile here what hands things from one thread to
// another in CAF 0.17: symbols of the program come before those of a shared library, and libcaf_core calls its own
// functions by symbol. Nothing is said to be ordered that is not: these are the real queues and counters, made visible.
#include <caf/all.hpp>
#include <caf/detail/private_thread.hpp>
#include <caf/detail/sync_request_bouncer.hpp>
#include <caf/policy/work_stealing.hpp>
#include <caf/scheduler/coordinator.hpp>
#include <caf/scheduler/worker.hpp>

#include <cstdlib>
#include <dlfcn.h>
#include <utility>

static_assert(CAF_VERSION / 100 == 17, "another CAF hands over elsewhere: read its mailboxes, scheduler and counters");

// The scheduler and the queues are templates of CAF's headers. Work sharing, which a node uses, needs nothing: its
// queue has a mutex, and mutexes are seen everywhere.
template class caf::scheduler::coordinator<caf::policy::work_stealing>;
template class caf::scheduler::worker<caf::policy::work_stealing>;
template class caf::detail::double_ended_queue<caf::resumable>;
template class caf::intrusive::lifo_inbox<caf::scheduled_actor::mailbox_policy>;
template class caf::intrusive::fifo_inbox<caf::scheduled_actor::mailbox_policy>;
template class caf::intrusive::lifo_inbox<caf::blocking_actor::mailbox_policy>;
template class caf::intrusive::fifo_inbox<caf::blocking_actor::mailbox_policy>;

namespace caf {

namespace {

// How many messages are taken from a queue of the mailbox in a round.
constexpr std::size_t mailbox_quantum = 3;

// libcaf_core's own function behind one of ours.
template <class F>
F* original(const char* symbol) {
  auto* found = dlsym(RTLD_NEXT, symbol);
  if (found == nullptr) std::abort(); // another CAF than this file was written for
  return reinterpret_cast<F*>(found);
}

} // namespace

// -- reference counts: what the last reference destroys comes after what others did with theirs -----------------------

void ref_counted::deref() const noexcept {
  if (rc_.fetch_sub(1, std::memory_order_acq_rel) == 1) request_deletion(true);
}

bool intrusive_ptr_upgrade_weak(actor_control_block* block) {
  auto count = block->strong_refs.load();
  while (count != 0 && !block->strong_refs.compare_exchange_weak(count, count + 1)) {
  }
  return count != 0;
}

void intrusive_ptr_release_weak(actor_control_block* block) {
  if (block->weak_refs.fetch_sub(1, std::memory_order_acq_rel) == 1) block->block_dtor(block);
}

void intrusive_ptr_release(actor_control_block* block) {
  if (block->strong_refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  block->data_dtor(block->get());
  intrusive_ptr_release_weak(block);
}

// -- the mailbox of an actor on CAF's scheduler or on a thread of its own (pinned_actor has its own of all these)
// ------

void scheduled_actor::enqueue(mailbox_element_ptr message, execution_unit* unit) {
  auto id = message->mid;
  auto sender = message->sender;
  auto result = mailbox().push_back(std::move(message));
  if (result == intrusive::inbox_result::queue_closed && id.is_request()) {
    detail::sync_request_bouncer bounce{exit_reason::unreachable};
    bounce(sender, id);
  }
  if (result != intrusive::inbox_result::unblocked_reader) return;
  intrusive_ptr_add_ref(ctrl());
  if (getf(is_detached_flag))
    private_thread_->resume();
  else if (unit != nullptr)
    unit->exec_later(this);
  else
    home_system().scheduler().enqueue(this);
}

void blocking_actor::enqueue(mailbox_element_ptr message, execution_unit*) {
  auto id = message->mid;
  auto sender = message->sender;
  if (mailbox().synchronized_push_back(mtx_, cv_, std::move(message)) || !id.is_request()) return;
  detail::sync_request_bouncer bounce{exit_reason::unreachable};
  bounce(sender, id);
}

// Without streams, which pg_edge does not use.
resumable::resume_result scheduled_actor::resume(execution_unit* unit, std::size_t max_throughput) {
  if (!activate(unit)) return done;
  std::size_t handled = 0;
  mailbox_visitor take{this, handled, max_throughput};
  while (handled < max_throughput) {
    if (!mailbox().new_round(mailbox_quantum, take).consumed_items) {
      if (handled > 0) set_receive_timeout();
      if (mailbox().try_block()) return awaiting_message;
    }
    if (finalize()) return done;
  }
  set_receive_timeout();
  return mailbox().try_block() ? awaiting_message : resume_later;
}

// What is still in the mailbox is thrown away here; the rest of the end is libcaf_core's.
bool scheduled_actor::cleanup(error&& reason, execution_unit* host) {
  if (!mailbox().closed()) {
    mailbox().close();
    get_normal_queue().flush_cache();
    get_urgent_queue().flush_cache();
    detail::sync_request_bouncer bounce{reason};
    while (mailbox().queue().new_round(1000, bounce).consumed_items)
      continue;
  }
  static auto* rest = original<bool(scheduled_actor*, error&&, execution_unit*)>(
      "_ZN3caf15scheduled_actor7cleanupEONS_5errorEPNS_14execution_unitE");
  return rest(this, std::move(reason), host);
}

} // namespace caf
