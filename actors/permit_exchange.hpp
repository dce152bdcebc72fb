// The permits of all pools while two processes of this node serve them: which are ours, what either side wants, what is
// given to the other. The decisions are cluster::permit_balance's; this is the table that stewards (on CAF's threads)
// and the hand-over's thread share. While only one process serves it is never in the way: all permits are ours.
//
//   joined()  a pool's steward comes: how many permits may it give out?     settle()  after each of its events
//   look()    fifty times a second, by the hand-over's thread               left()    it goes
#pragma once

#include "actors/messages.hpp"
#include "cluster/handover.hpp"
#include "cluster/permit_balance.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <mutex>

namespace pg_edge::actors {

class permit_exchange {
public:
  using send_frame = std::function<void(const cluster::handover_frame&)>;

  // -- for stewards, each about its own pool
  // ---------------------------------------------------------------------------------

  /// What its steward may give out of `total`, the pool's size with its reserve.
  std::uint32_t joined(const pool_common_ptr& pool, const steward_actor& steward, std::uint32_t total);
  /// The same, asked again; `total` may have changed.
  std::uint32_t allowed(const pool_name& pool, std::uint32_t total);
  /// Whether another process serves the same pools, so that settle() is due after each event.
  bool linked() const { return linked_.load(std::memory_order_acquire); }
  /// The steward keeps to what allowed() said last, and so many permits are out at its shares.
  void settle(const pool_name& pool, std::uint32_t out, std::uint32_t clients);
  void left(const pool_name& pool);

  // -- for the hand-over's thread
  // --------------------------------------------------------------------------------------------

  /// From now on another process takes over, or: this process takes over from another one.
  void begin(bool giving, send_frame send);
  void look();
  void take(const cluster::pool_claim& frame);
  void take(const cluster::pool_claimed& frame);
  void take(const cluster::permits_given& frame);
  void take(const cluster::permits_wanted& frame);
  /// Nothing is left to give, and nobody of ours uses anything.
  bool all_given() const;
  /// The other process has ended and no server of it is left: every permit is ours.
  void end();

private:
  struct entry {
    pool_common_ptr pool;    // null: no steward here
    caf::actor_addr steward; // weak: its tenant holds it
    std::uint32_t total = 0; // its size here
    cluster::permit_balance ours{0};
    bool claiming = false;     // it is not known yet what the other has
    std::uint32_t applied = 0; // what the steward keeps to
    std::uint32_t out = 0, clients = 0;
    std::uint32_t told_wanted = 0; // to the other, and how many looks ago
    std::uint32_t told_ago = 0;
  };
  using table = std::map<pool_name, entry>;

  std::uint32_t allowed_now(entry& of) const;
  void give(const pool_name& name, entry& from);
  void tell_steward(const entry& of) const;
  void say_what_is_wanted(const pool_name& name, entry& of);

  std::atomic<bool> linked_{false};
  mutable std::mutex mutex_; // of what follows
  bool giving_ = false;
  send_frame send_; // must not wait
  table pools_;
};

} // namespace pg_edge::actors
