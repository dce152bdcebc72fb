// A reactor: one thread, one epoll loop, one CAF execution unit. The actors that own a socket live on one, so that
// bytes, decisions (messages between actors of one reactor are a push to a list) and timers of a connection never
// cross threads. Everything but exec_later, post, stop, join and read_counters belongs to the reactor's thread.
#pragma once

#include "actors/timer_wheel.hpp"
#include "protocol/counting.hpp"

#include <caf/execution_unit.hpp>
#include <caf/fwd.hpp>
#include <caf/resumable.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <thread>

struct epoll_event;

namespace pg_edge::actors {

/// Asks for memory that will be needed soon.
inline void prefetch_lines(const void* from, std::size_t size) noexcept {
  constexpr std::size_t line = 64;
  const auto* const first = static_cast<const char*>(from);
  for (std::size_t at = 0; at < size; at += line)
    __builtin_prefetch(first + at);
}

class pinned_actor;

// Owns one file descriptor that a reactor watches. One handler watches one descriptor at a time.
class io_handler {
public:
  // What a connection has behind it that is used for an event, roughly.
  static constexpr std::size_t usual_size = 832;

  // Something happened to the descriptor: EPOLL* bits, or 0 after again(). Runs on the reactor's thread. Descriptors
  // are edge triggered: read and write until EAGAIN or call again().
  virtual void on_io(std::uint32_t events) = 0;

  // It will be called soon: it may ask for memory of others that it will need by then. Its own has been asked for. See
  // reactor::look_ahead.
  virtual void prefetch() const noexcept {}

  // Whether something that the reactor knows of has not been delivered yet.
  bool io_due() const noexcept { return due_ || again_.linked(); }

  // An exception left on_io (it is logged already). Close the descriptor here; the default leaves it to time-outs.
  virtual void on_broken() noexcept {}

protected:
  io_handler() = default;
  ~io_handler() = default;

private:
  friend class reactor;
  owned_link<io_handler> again_{*this};
  bool due_ = false; // among the events fetched for this turn
};

// Something to do once when the turn ends, however often it is asked for: write what the turn gathered.
class turn_task {
public:
  virtual void end_turn() = 0;

protected:
  turn_task() = default;
  ~turn_task() = default;

private:
  friend class reactor;
  owned_link<turn_task> queued_{*this};
};

struct reactor_counters {
  std::uint64_t turns = 0;
  std::uint64_t events = 0;         // delivered to handlers
  std::uint64_t resumes = 0;        // an actor got its turn
  std::uint64_t messages = 0;       // handled by pinned actors
  std::uint64_t wake_ups = 0;       // eventfd writes by other threads
  std::chrono::nanoseconds busy{0}; // since start(); utilisation is its growth over that of the clock
};

class reactor final : public caf::execution_unit {
public:
  using clock = std::chrono::steady_clock;

  // Bounds of one turn, so that no actor and no socket waits for others longer than a fraction of a millisecond; where
  // a thousand connections have something at once it is some milliseconds. Fewer events a turn would be dearer: a
  // server that rested must then be asked whether it is still there before it is handed out.
  static constexpr std::size_t messages_per_resume = 32;
  static constexpr std::size_t resumes_per_turn = 256;
  static constexpr int events_per_turn = 1024;
  static constexpr std::size_t scratch_size = 64 * 1024;
  // Steps of TLS handshakes, of which one costs as much as thousands of queries.
  static constexpr int handshakes_per_turn = 4;
  // How long stop() lets actors go on sending each other messages.
  static constexpr std::chrono::milliseconds stop_grace{1000};

  // Throws std::system_error when the process is out of descriptors. Must outlive the actors that live on it.
  reactor(caf::actor_system& system, unsigned index);
  ~reactor() override;
  reactor(const reactor&) = delete;
  reactor& operator=(const reactor&) = delete;

  // The thread runs with all signals blocked.
  void start();
  // Any thread: finishes queued work (at most stop_grace), ends the actors that still live here, leaves the loop.
  void stop() noexcept;
  void join();

  // The reactor whose thread this is, or nullptr.
  static reactor* current() noexcept;
  unsigned index() const noexcept { return index_; }

  // Any thread. A pinned actor is queued here; any other resumable goes to CAF's scheduler, because CAF offers the
  // receiver of a message to the sender's execution unit and control actors must not run on reactors.
  void exec_later(caf::resumable* what) override;

  // Any thread: queues `actor`, whose right to run (and one reference) the caller hands over.
  void post(pinned_actor& actor) noexcept;

  // Runs actor.on_prompt() once in this turn, before other actors' messages: a decision between actors at home here,
  // which needs no mailbox. On its thread only; prompts keep their order.
  void prompt(pinned_actor& actor) noexcept;

  // Watches `fd`, edge triggered, for reading, writing and hang-up, once and for all. false: errno says why.
  bool watch(int fd, io_handler& handler) noexcept;
  // Watches a listening socket that several reactors share: level triggered, one reactor is woken for a connection.
  bool watch_accept(int fd, io_handler& handler) noexcept;
  // No event reaches `handler` afterwards, not even one that this turn has already fetched. Call before close().
  void unwatch(int fd, io_handler& handler) noexcept;

  // Arms, re-arms, cancels; a timer fires at the first millisecond at or after its deadline.
  void schedule(timer& t, clock::time_point deadline) noexcept { wheel_.schedule(t, deadline); }
  void cancel(timer& t) noexcept { wheel_.cancel(t); }

  // Runs `task` once when this turn ends. It may send messages; those are handled before the reactor sleeps.
  void at_turn_end(turn_task& task) noexcept;
  // Calls handler.on_io(0) once in the next turn: for a handler that has used up its budget. unwatch() cancels it.
  void again(io_handler& handler) noexcept;
  /// The same for one that was due in this turn and did not get its turn: next time it comes before those that did.
  void again_first(io_handler& handler) noexcept;

  // Everything that had happened to our descriptors when the turn began is known; io_due() says what is left of it.
  bool saw_all_events() const noexcept { return fetched_total_ < events_per_turn; }

  // Counts the turns: for budgets that hold for one.
  std::uint64_t turn_number() const noexcept { return turns_.load(std::memory_order_relaxed); }
  // stop() was called.
  bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }
  // Calls `visit` with every actor at home here; none may be started or ended meanwhile.
  void each_resident(const std::function<void(pinned_actor&)>& visit);

  // The time at which this turn began.
  clock::time_point now() const noexcept { return now_; }
  // A buffer to read into, for as long as the caller does not return to the reactor.
  std::span<char> scratch() noexcept { return {scratch_.get(), scratch_size}; }

  // Any thread.
  reactor_counters read_counters() const noexcept;

  // Whether this turn has room for one more step of a handshake; if not, again() is the way to the next turn.
  bool take_handshake() noexcept { return handshakes_left_ > 0 && handshakes_left_-- > 0; }

private:
  friend class pinned_actor;
  using counter = std::atomic<std::uint64_t>;

  void loop() noexcept;
  void turn() noexcept;
  int fetch() noexcept;
  bool fall_asleep() noexcept;
  int sleep_milliseconds(clock::time_point from) const noexcept;
  void dispatch_events(int count) noexcept;
  void mark_due(int count) noexcept;
  void dispatch_again() noexcept;
  void look_ahead() const noexcept;
  void deliver(io_handler& handler, std::uint32_t events) noexcept;
  void fire_timers() noexcept;
  void settle() noexcept;
  void run_prompts() noexcept;
  void run_turn_tasks() noexcept;
  void run(pinned_actor& actor) noexcept;
  bool add(int fd, io_handler* handler, std::uint32_t events) noexcept;
  void wake() noexcept;
  void close_down() noexcept;
  // Queues what the inbox holds, oldest first; the inbox is then `next_state` (nullptr or the mark for closed).
  void drain_inbox(pinned_actor* next_state) noexcept;
  void push_local(pinned_actor& actor) noexcept;
  pinned_actor* pop_local() noexcept;
  void end(pinned_actor& actor) noexcept;

  static void bump(counter& c, std::uint64_t n) noexcept {
    if constexpr (protocol::counting) c.store(c.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  const unsigned index_;
  int epoll_ = -1;
  int wake_fd_ = -1;
  std::thread thread_;
  clock::time_point now_;
  clock::time_point woke_;
  timer_wheel wheel_;
  std::unique_ptr<char[]> scratch_;
  std::unique_ptr<epoll_event[]> fetched_;
  int fetched_count_ = 0;
  int fetched_next_ = 0;
  int fetched_total_ = 0;
  io_handler* delivering_ = nullptr;
  pinned_actor* first_ready_ = nullptr;
  pinned_actor* last_ready_ = nullptr;
  list_link prompts_;
  list_link turn_tasks_;
  list_link again_;
  list_link again_first_;
  list_link residents_; // the actors at home here, so that stop() can end them
  bool closed_down_ = false;
  int handshakes_left_ = handshakes_per_turn;
  counter turns_{0};
  counter events_{0};
  counter resumes_{0};
  counter messages_{0};
  counter busy_ns_{0};
  // Written by other threads, hence on cache lines of their own.
  // The inbox is a stack of actors, linked by next_ready_, or one of two marks: asleep (who pushes must wake) or
  // closed.
  alignas(64) std::atomic<pinned_actor*> inbox_{nullptr};
  counter wake_ups_{0};
  std::atomic<bool> stopping_{false};
};

} // namespace pg_edge::actors
