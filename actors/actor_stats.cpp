#include "actors/actor_stats.hpp"

#include <algorithm>
#include <atomic>

namespace pg_edge::actors {

namespace {

constexpr bool rows_in_order() {
  for (std::size_t i = 0; i < actor_kinds.size(); ++i)
    if (actor_kinds[i].kind != static_cast<actor_kind>(i)) return false;
  return actor_kinds.size() == static_cast<std::size_t>(actor_kind::other) + 1;
}
static_assert(rows_in_order(), "actor_kinds is indexed by the enum");

using counter = std::atomic<std::uint64_t>;

// Gauges are kept as two sums that only grow: an actor may start on one thread and end on another.
struct kind_counters {
  counter started{0};
  counter ended{0};
  counter enqueued{0};
  counter taken{0}; // from a mailbox: handled or discarded
  counter handled{0};
  counter deepest{0};
  counter deepest_actor{0};
  counter busiest{0};
  counter busiest_actor{0};
};

struct alignas(64) slot {
  std::array<kind_counters, actor_kinds.size()> kinds;
  std::atomic<bool> owned{false};
};

// The first slot is shared by all threads without one of their own.
constexpr std::size_t own_slots = 64;
std::array<slot, own_slots + 1> slots;

thread_local slot* mine = nullptr;

// Only the owner writes to an owned slot, so a load and a store do; relaxed, as nothing is ordered by a statistic.
void add(counter kind_counters::*member, actor_kind kind, std::uint64_t n) noexcept {
  if (mine != nullptr) {
    counter& c = mine->kinds[static_cast<std::size_t>(kind)].*member;
    c.store(c.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  } else {
    (slots[0].kinds[static_cast<std::size_t>(kind)].*member).fetch_add(n, std::memory_order_relaxed);
  }
}

void raise(counter kind_counters::*value, counter kind_counters::*whose, actor_kind kind, std::uint64_t n,
           std::uint64_t actor) noexcept {
  auto& counters = (mine != nullptr ? *mine : slots[0]).kinds[static_cast<std::size_t>(kind)];
  if (n <= (counters.*value).load(std::memory_order_relaxed)) return;
  (counters.*value).store(n, std::memory_order_relaxed);
  (counters.*whose).store(actor, std::memory_order_relaxed);
}

} // namespace

namespace actor_stats {

totals read(actor_kind kind) noexcept {
  totals sum;
  std::uint64_t ended = 0;
  std::uint64_t taken = 0;
  for (auto& s : slots) {
    auto& c = s.kinds[static_cast<std::size_t>(kind)];
    // What reduces a gauge is read first, so that a gauge read meanwhile errs upwards instead of below zero.
    ended += c.ended.load(std::memory_order_relaxed);
    taken += c.taken.load(std::memory_order_relaxed);
  }
  for (auto& s : slots) {
    auto& c = s.kinds[static_cast<std::size_t>(kind)];
    sum.alive += c.started.load(std::memory_order_relaxed);
    sum.mailbox_depth += c.enqueued.load(std::memory_order_relaxed);
    sum.handled += c.handled.load(std::memory_order_relaxed);
    if (auto n = c.deepest.load(std::memory_order_relaxed); n > sum.deepest) {
      sum.deepest = n;
      sum.deepest_actor = c.deepest_actor.load(std::memory_order_relaxed);
    }
    if (auto n = c.busiest.load(std::memory_order_relaxed); n > sum.busiest) {
      sum.busiest = n;
      sum.busiest_actor = c.busiest_actor.load(std::memory_order_relaxed);
    }
  }
  sum.alive -= std::min(sum.alive, ended);
  sum.mailbox_depth -= std::min(sum.mailbox_depth, taken);
  return sum;
}

void started(actor_kind kind) noexcept {
  add(&kind_counters::started, kind, 1);
}
void ended(actor_kind kind) noexcept {
  add(&kind_counters::ended, kind, 1);
}
void enqueued(actor_kind kind) noexcept {
  add(&kind_counters::enqueued, kind, 1);
}
void discarded(actor_kind kind, std::uint64_t messages) noexcept {
  add(&kind_counters::taken, kind, messages);
}

void handled(actor_kind kind, std::uint64_t messages) noexcept {
  add(&kind_counters::taken, kind, messages);
  add(&kind_counters::handled, kind, messages);
}

void seen_depth(actor_kind kind, std::uint64_t actor, std::uint64_t depth) noexcept {
  raise(&kind_counters::deepest, &kind_counters::deepest_actor, kind, depth, actor);
}

void seen_handled(actor_kind kind, std::uint64_t actor, std::uint64_t messages) noexcept {
  raise(&kind_counters::busiest, &kind_counters::busiest_actor, kind, messages, actor);
}

thread_slot::thread_slot() noexcept {
  for (std::size_t i = 1; i < slots.size() && mine == nullptr; ++i) {
    bool free = false;
    if (slots[i].owned.compare_exchange_strong(free, true, std::memory_order_acquire)) mine = &slots[i];
  }
}

thread_slot::~thread_slot() {
  if (mine == nullptr) return;
  mine->owned.store(false, std::memory_order_release);
  mine = nullptr;
}

} // namespace actor_stats
} // namespace pg_edge::actors
