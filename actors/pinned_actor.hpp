// An actor that lives on a reactor: its messages, its socket and its timers are handled on that reactor's thread, the
// way CAF's brokers are pinned to CAF's multiplexer. It lives until it quits, even when nobody holds a handle to it.
//
// What derived classes must know:
//   - The constructor runs on the spawner's thread; make_behavior() and everything later on the reactor's.
//   - Watch descriptors and arm timers in make_behavior() or later; let them go in on_exit(), not in the destructor,
//     because any thread may drop the last handle.
//   - quit() works from on_io, timers and turn tasks as well as from message handlers.
//   - on_exit() also clears the handles the actor keeps: handles in a circle are never freed. It may run without
//     make_behavior() having run, and on another thread then, when the reactor has stopped: nothing is watched by then.
//   - CAF streams are not supported.
#pragma once

#include "actors/actor_stats.hpp"
#include "actors/reactor.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <typeinfo>
#include <utility>

namespace pg_edge::actors {

class pinned_actor : public caf::event_based_actor {
public:
  pinned_actor(caf::actor_config& config, reactor& home, actor_kind kind = actor_kind::other);
  ~pinned_actor() override;

  using caf::event_based_actor::enqueue;
  void enqueue(caf::mailbox_element_ptr message, caf::execution_unit*) override;
  void launch(caf::execution_unit*, bool lazy, bool hide) override;
  resume_result resume(caf::execution_unit* context, std::size_t max_throughput) override;
  subtype_t subtype() const override { return caf::resumable::io_actor; }
  bool cleanup(caf::error&& reason, caf::execution_unit* host) override;

  reactor& home() const noexcept { return *home_.load(std::memory_order_acquire); }
  actor_kind kind() const noexcept { return kind_; }
  // On the home's thread: messages handled so far, and those that wait.
  std::uint64_t handled() const noexcept { return handled_; }
  // Of an actor that sleeps, CAF's size() would take away the mark that it does: the next message would wake nobody.
  std::uint64_t waiting() { return mailbox().blocked() || mailbox().closed() ? 0 : mailbox().size(); }
  // Who this is, in the words of SHOW CLIENTS and its like.
  virtual std::string describe() const { return {}; }

  // Makes `to` the home. Called on the present home's thread while no descriptor is watched and no timer is armed. The
  // message being handled is the last one handled here; later ones, in their order, are handled there, after
  // on_arrival(). Outside a message handler the caller must not touch the actor afterwards: it may be running there.
  void move_home(reactor& to);

  // Ends the actor with `reason`; on_exit() runs when the present handler returns or, outside one, this turn.
  void quit(caf::error reason = {});

protected:
  // Takes the one element of a plain message without CAF's matching and bookkeeping, which cost more than a
  // transaction's messages do themselves: for those that every transaction sends. False: the behavior has it. There is
  // no sender and no answer here.
  virtual bool take(const std::type_info&, const void*) { return false; }
  // What reactor::prompt() asked for. An exception ends the actor, as one in a message handler does.
  virtual void on_prompt() {}
  // Called on the new home's thread after each move_home(), before any message.
  virtual void on_arrival() {}

private:
  friend class reactor;
  struct visitor;

  void take_prompt() noexcept;
  void settle_in(reactor& here) noexcept;
  void leave() noexcept;
  bool wake_up(reactor& here);
  bool take_plainly(caf::mailbox_element& message);
  resume_result handle_messages(std::size_t max_throughput, std::uint64_t& taken);
  // Ends an actor that will get no further turn. The caller holds the right to run it and a reference.
  void end_now(const caf::error& reason) noexcept;

  std::atomic<reactor*> home_;
  pinned_actor* next_ready_ = nullptr;       // in the inbox or the ready list of a reactor, whichever holds it
  owned_link<pinned_actor> resident_{*this}; // while linked, the home holds a reference
  owned_link<pinned_actor> prompted_{*this}; // while linked, the home is about to call on_prompt()
  std::uint64_t handled_ = 0;
  actor_kind kind_;
  bool running_ = false;  // within resume()
  bool arriving_ = false; // moved, on_arrival() is owed
};

// Like caf::actor_system::spawn<T>, on `home`. T's constructor takes (caf::actor_config&, reactor&, xs...).
template <class T, caf::spawn_options options = caf::no_spawn_options, class... Ts>
auto spawn_pinned(reactor& home, Ts&&... xs) {
  caf::actor_config config{&home};
  return home.system().spawn_class<T, options>(config, home, std::forward<Ts>(xs)...);
}

} // namespace pg_edge::actors
