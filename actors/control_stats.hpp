// What an actor on CAF's scheduler reports for SHOW ACTORS: it keeps one of these in its state and notes each message.
// Actors on reactors need none, since their reactor counts for them.
#pragma once

#include "actors/actor_stats.hpp"

#include <cstdint>

namespace pg_edge::actors {

class control_stats {
public:
  explicit control_stats(actor_kind kind) noexcept : alive_(kind), kind_(kind) {}
  ~control_stats() { actor_stats::discarded(kind_, waiting_); }
  control_stats(const control_stats&) = delete;
  control_stats& operator=(const control_stats&) = delete;

  /// At the beginning of a handler of `self`. What waits is known as of then.
  template <class Self>
  void note(Self* self) {
    const std::uint64_t waits = self->mailbox().size();
    for (std::uint64_t arrived = waits + 1; arrived > waiting_; --arrived)
      actor_stats::enqueued(kind_);
    actor_stats::handled(kind_, 1);
    actor_stats::seen_depth(kind_, self->id(), waits);
    actor_stats::seen_handled(kind_, self->id(), ++handled_);
    waiting_ = waits;
  }

private:
  actor_stats::alive_token alive_;
  actor_kind kind_;
  std::uint64_t handled_ = 0, waiting_ = 0;
};

} // namespace pg_edge::actors
