#include "actors/reactor.hpp"

#include "actors/actor_stats.hpp"
#include "actors/log.hpp"
#include "actors/pinned_actor.hpp"

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <exception>
#include <pthread.h>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>

namespace pg_edge::actors {

namespace {

thread_local reactor* this_reactor = nullptr;

// States of an inbox that holds no actors: addresses that no actor has.
alignas(void*) constinit char asleep_byte[sizeof(void*)];
alignas(void*) constinit char closed_byte[sizeof(void*)];
pinned_actor* asleep_mark() noexcept {
  return reinterpret_cast<pinned_actor*>(asleep_byte);
}
pinned_actor* closed_mark() noexcept {
  return reinterpret_cast<pinned_actor*>(closed_byte);
}

// Logs the exception being handled.
void log_current_exception(log_event event, unsigned index) noexcept {
  try {
    throw;
  } catch (const std::exception& e) {
    log(level::error, event, {{"reactor", index}, {"what", e.what()}});
  } catch (...) {
    log(level::error, event, {{"reactor", index}, {"what", "not a std::exception"}});
  }
}

} // namespace

// -- life ------------------------------------------------------------------------------------------------------------

reactor::reactor(caf::actor_system& system, unsigned index)
    : caf::execution_unit(&system), index_(index), now_(clock::now()), woke_(now_), wheel_(now_),
      scratch_(new char[scratch_size]), fetched_(new epoll_event[events_per_turn]) {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  // Edge triggered, so that a wake-up need not be read: every write is a new edge.
  if (wake_fd_ < 0 || !add(wake_fd_, nullptr, EPOLLIN | EPOLLET)) {
    int error = errno;
    if (wake_fd_ >= 0) close(wake_fd_);
    close(epoll_);
    throw std::system_error(error, std::generic_category(), "eventfd");
  }
}

reactor::~reactor() {
  stop();
  join();
  if (!closed_down_) {
    // Never started: actors may have been spawned here all the same.
    this_reactor = this;
    close_down();
    this_reactor = nullptr;
  }
  close(wake_fd_);
  close(epoll_);
}

void reactor::start() {
  // Signals are for the main thread; a thread inherits the mask of its creator.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { loop(); });
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread_.native_handle(), ("reactor/" + std::to_string(index_)).c_str());
}

void reactor::stop() noexcept {
  stopping_.store(true, std::memory_order_release);
  wake();
}

void reactor::join() {
  if (thread_.joinable()) thread_.join();
}

reactor* reactor::current() noexcept {
  return this_reactor;
}

void reactor::loop() noexcept {
  this_reactor = this;
  actor_stats::thread_slot counts;
  system().thread_started();
  woke_ = now_ = clock::now();
  clock::time_point give_up = clock::time_point::max();
  for (;;) {
    turn();
    if (!stopping_.load(std::memory_order_acquire)) continue;
    if (give_up == clock::time_point::max()) give_up = now_ + stop_grace;
    bool idle = first_ready_ == nullptr && !prompts_.linked() && !turn_tasks_.linked() &&
                inbox_.load(std::memory_order_acquire) == nullptr;
    if (idle || now_ >= give_up) break;
  }
  close_down();
  system().thread_terminates();
  this_reactor = nullptr;
}

// -- messages --------------------------------------------------------------------------------------------------------

void reactor::exec_later(caf::resumable* what) {
  if (what->subtype() == caf::resumable::io_actor)
    post(static_cast<pinned_actor&>(*what));
  else
    system().scheduler().enqueue(what);
}

void reactor::post(pinned_actor& actor) noexcept {
  if (this_reactor == this) {
    push_local(actor);
    return;
  }
  pinned_actor* head = inbox_.load(std::memory_order_relaxed);
  do {
    if (head == closed_mark()) {
      end(actor);
      return;
    }
    actor.next_ready_ = head == asleep_mark() ? nullptr : head;
  } while (!inbox_.compare_exchange_weak(head, &actor, std::memory_order_acq_rel, std::memory_order_relaxed));
  // From here on `actor` may be gone. Only the one who replaces the mark wakes, so a sleep costs one write at most.
  if (head == asleep_mark()) {
    wake_ups_.fetch_add(1, std::memory_order_relaxed);
    wake();
  }
}

void reactor::wake() noexcept {
  std::uint64_t one = 1;
  [[maybe_unused]] auto written = write(wake_fd_, &one, sizeof one);
}

void reactor::drain_inbox(pinned_actor* next_state) noexcept {
  if (inbox_.load(std::memory_order_relaxed) == next_state) return;
  pinned_actor* newest = inbox_.exchange(next_state, std::memory_order_acq_rel);
  if (newest == asleep_mark() || newest == closed_mark()) return;
  pinned_actor* oldest = nullptr;
  while (newest != nullptr) {
    pinned_actor* older = newest->next_ready_;
    newest->next_ready_ = oldest;
    oldest = newest;
    newest = older;
  }
  while (oldest != nullptr) {
    pinned_actor* newer = oldest->next_ready_;
    push_local(*oldest);
    oldest = newer;
  }
}

void reactor::push_local(pinned_actor& actor) noexcept {
  actor.next_ready_ = nullptr;
  if (first_ready_ == nullptr)
    first_ready_ = &actor;
  else
    last_ready_->next_ready_ = &actor;
  last_ready_ = &actor;
}

pinned_actor* reactor::pop_local() noexcept {
  pinned_actor* first = first_ready_;
  if (first != nullptr) first_ready_ = first->next_ready_;
  return first;
}

// -- descriptors -----------------------------------------------------------------------------------------------------

bool reactor::add(int fd, io_handler* handler, std::uint32_t events) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = handler;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool reactor::watch(int fd, io_handler& handler) noexcept {
  return add(fd, &handler, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

bool reactor::watch_accept(int fd, io_handler& handler) noexcept {
  return add(fd, &handler, EPOLLIN | EPOLLEXCLUSIVE);
}

void reactor::unwatch(int fd, io_handler& handler) noexcept {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  handler.again_.unlink();
  handler.due_ = false;
  if (delivering_ == &handler) delivering_ = nullptr;
  for (int i = fetched_next_; i < fetched_count_; ++i)
    if (fetched_[i].data.ptr == &handler) fetched_[i].data.ptr = nullptr;
}

void reactor::at_turn_end(turn_task& task) noexcept {
  if (!task.queued_.linked()) turn_tasks_.push_back(task.queued_);
}

void reactor::again(io_handler& handler) noexcept {
  if (!handler.again_.linked()) again_.push_back(handler.again_);
}

void reactor::again_first(io_handler& handler) noexcept {
  handler.again_.unlink();
  again_first_.push_back(handler.again_);
}

void reactor::each_resident(const std::function<void(pinned_actor&)>& visit) {
  for (list_link* link = residents_.next(); link != &residents_; link = link->next())
    visit(static_cast<owned_link<pinned_actor>*>(link)->owner);
}

// -- a turn ----------------------------------------------------------------------------------------------------------

void reactor::turn() noexcept {
  int count = fetch();
  bump(turns_, 1);
  handshakes_left_ = handshakes_per_turn;
  mark_due(count);
  drain_inbox(nullptr);
  dispatch_again();
  dispatch_events(count);
  fire_timers();
  settle();
}

int reactor::fetch() noexcept {
  int timeout = 0;
  if (fall_asleep()) {
    auto before = clock::now();
    bump(busy_ns_, static_cast<std::uint64_t>(std::chrono::nanoseconds(before - woke_).count()));
    timeout = sleep_milliseconds(before);
    woke_ = clock::time_point{};
  }
  int count = epoll_wait(epoll_, fetched_.get(), events_per_turn, timeout);
  now_ = clock::now();
  if (woke_ != clock::time_point{})
    bump(busy_ns_, static_cast<std::uint64_t>(std::chrono::nanoseconds(now_ - woke_).count()));
  woke_ = now_;
  return std::max(count, 0); // EINTR: the thread blocks signals, so only a debugger causes it
}

// Whether the reactor may wait for events. Who queues something from now on sees the mark and wakes it.
bool reactor::fall_asleep() noexcept {
  if (first_ready_ != nullptr || prompts_.linked() || turn_tasks_.linked() || again_.linked() || again_first_.linked())
    return false;
  if (stopping_.load(std::memory_order_relaxed)) return false;
  pinned_actor* empty = nullptr;
  return inbox_.compare_exchange_strong(empty, asleep_mark(), std::memory_order_acq_rel);
}

int reactor::sleep_milliseconds(clock::time_point from) const noexcept {
  auto deadline = wheel_.next_deadline();
  if (!deadline) return -1;
  auto wait = std::chrono::ceil<std::chrono::milliseconds>(*deadline - from).count();
  return static_cast<int>(std::clamp<decltype(wait)>(wait, 0, INT_MAX));
}

void reactor::mark_due(int count) noexcept {
  fetched_total_ = count;
  for (int i = 0; i < count; ++i)
    if (fetched_[i].data.ptr != nullptr) static_cast<io_handler*>(fetched_[i].data.ptr)->due_ = true;
}

void reactor::dispatch_again() noexcept {
  list_link now;
  now.append(again_first_);
  now.append(again_);
  while (now.linked()) {
    auto& link = static_cast<owned_link<io_handler>&>(*now.next());
    link.unlink();
    deliver(link.owner, 0);
  }
}

void reactor::dispatch_events(int count) noexcept {
  fetched_count_ = count;
  for (fetched_next_ = 0; fetched_next_ < fetched_count_;) {
    look_ahead();
    auto& event = fetched_[fetched_next_++];
    // Null: our own wake-up, or unwatched since.
    if (event.data.ptr != nullptr) deliver(*static_cast<io_handler*>(event.data.ptr), event.events);
  }
  fetched_count_ = fetched_next_ = 0;
}

// With thousands of busy connections nothing of the next one is in a cache: its lines would be waited for one after the
// other. A handler takes some microseconds, so what is asked for two of them before is there in time.
void reactor::look_ahead() const noexcept {
  const auto handler_at = [this](int ahead) -> const io_handler* {
    const int at = fetched_next_ + ahead;
    return at < fetched_count_ ? static_cast<const io_handler*>(fetched_[at].data.ptr) : nullptr;
  };
  if (const io_handler* const later = handler_at(4)) prefetch_lines(later, io_handler::usual_size);
  if (const io_handler* const soon = handler_at(2)) soon->prefetch();
}

void reactor::deliver(io_handler& handler, std::uint32_t events) noexcept {
  bump(events_, 1);
  delivering_ = &handler;
  if (events != 0) handler.due_ = false;
  try {
    handler.on_io(events);
  } catch (...) {
    log_current_exception(log_event::io_handler_failed, index_);
    // Unwatched by now: it has cleaned up, and may be gone.
    if (delivering_ == &handler) handler.on_broken();
  }
  delivering_ = nullptr;
}

void reactor::fire_timers() noexcept {
  try {
    wheel_.advance(now_);
  } catch (...) {
    // What was due after it is still due: next_deadline() says so and the next turn fires it.
    log_current_exception(log_event::timer_failed, index_);
  }
}

// Handles messages and ends the turn; what the turn's end sends is still handled now, as far as the budget goes.
void reactor::settle() noexcept {
  std::size_t budget = resumes_per_turn;
  do {
    run_prompts();
    while (budget > 0) {
      pinned_actor* actor = pop_local();
      if (actor == nullptr) break;
      --budget;
      run(*actor);
      run_prompts();
    }
    run_turn_tasks();
  } while (prompts_.linked() || (budget > 0 && first_ready_ != nullptr));
}

void reactor::prompt(pinned_actor& actor) noexcept {
  if (!actor.prompted_.linked()) prompts_.push_back(actor.prompted_);
}

void reactor::run_prompts() noexcept {
  while (prompts_.linked()) {
    auto& link = static_cast<owned_link<pinned_actor>&>(*prompts_.next());
    link.unlink();
    link.owner.take_prompt();
  }
}

void reactor::run_turn_tasks() noexcept {
  list_link now;
  now.append(turn_tasks_);
  while (now.linked()) {
    auto& link = static_cast<owned_link<turn_task>&>(*now.next());
    link.unlink();
    try {
      link.owner.end_turn();
    } catch (...) {
      log_current_exception(log_event::turn_task_failed, index_);
    }
  }
}

void reactor::run(pinned_actor& actor) noexcept {
  bump(resumes_, 1);
  auto result = caf::resumable::awaiting_message;
  try {
    result = actor.resume(this, messages_per_resume);
  } catch (...) {
    // CAF handles what handlers throw; this came from on_exit().
    log_current_exception(log_event::actor_failed, index_);
    actor.end_now(caf::exit_reason::kill);
  }
  if (result == caf::resumable::resume_later)
    push_local(actor);
  else
    caf::intrusive_ptr_release(actor.ctrl());
}

// -- shutdown --------------------------------------------------------------------------------------------------------

// Ends an actor whose right to run, and reference, we hold.
void reactor::end(pinned_actor& actor) noexcept {
  actor.end_now(caf::exit_reason::user_shutdown);
  caf::intrusive_ptr_release(actor.ctrl());
}

// Ends every actor that lives here or is queued here. A resident without messages is ours once its mailbox is
// unblocked; one that somebody else has just unblocked arrives in the inbox in a moment.
void reactor::close_down() noexcept {
  auto end_queued = [this] {
    while (pinned_actor* actor = pop_local()) {
      if (&actor->home() == this)
        end(*actor);
      else
        actor->home().post(*actor);
    }
  };
  for (;;) {
    drain_inbox(nullptr);
    end_queued();
    if (!residents_.linked()) break;
    auto& actor = static_cast<owned_link<pinned_actor>&>(*residents_.next()).owner;
    if (actor.mailbox().try_unblock()) {
      caf::intrusive_ptr_add_ref(actor.ctrl());
      end(actor);
    } else {
      std::this_thread::yield();
    }
  }
  drain_inbox(closed_mark());
  end_queued();
  closed_down_ = true;
}

reactor_counters reactor::read_counters() const noexcept {
  reactor_counters c;
  c.turns = turns_.load(std::memory_order_relaxed);
  c.events = events_.load(std::memory_order_relaxed);
  c.resumes = resumes_.load(std::memory_order_relaxed);
  c.messages = messages_.load(std::memory_order_relaxed);
  c.wake_ups = wake_ups_.load(std::memory_order_relaxed);
  c.busy = std::chrono::nanoseconds(busy_ns_.load(std::memory_order_relaxed));
  return c;
}

} // namespace pg_edge::actors
