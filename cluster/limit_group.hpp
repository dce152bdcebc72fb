// Limits on server connections that hold over several pools: of a tenant, of a database, of a server user. One group
// decides for all pools of one tenant who may open a server, who waits, and who must close one for somebody else.
// Pure: actors/server_limits keeps it behind a mutex and wakes shares.
//
//   ask() --> may open (counted at once)             gone() at Postgres's EOF: the place goes to the longest waiting
//     '-----> waits --> granted --> ask() --> may open
//                '-- withdraw()
//
// A server is taken from another pool (`owed`) when it has been idle for a turn, or when the one who waits has fewer.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pg_edge::cluster {

/// A moment, on any clock that only goes forward.
using limit_time = std::chrono::microseconds;

enum class limit_kind : std::uint8_t { tenant, database, user };
inline constexpr std::size_t limit_kinds = 3;

/// How many server connections there may be; 0: no limit.
struct limit_maxima {
  std::uint32_t tenant = 0, database = 0, user = 0;
  friend bool operator==(const limit_maxima&, const limit_maxima&) = default;
};

class limit_group {
public:
  /// One share of one pool.
  using member_id = std::uint32_t;

  /// So long a server stays with a pool that has just been given it, and so long a pool waits before a busy one must
  /// give up a server: pools that fight for the last one change places ten times a second, not at every transaction.
  static constexpr limit_time turn_length = std::chrono::milliseconds{100};

  member_id join(const std::string& database, const std::string& user, const limit_maxima& maxima);
  /// It wants nothing any more. What it holds stays counted until gone().
  void leave(member_id who, limit_time now);
  /// The limits that hold for this member, and so for all others of the same database and user.
  void set_maxima(member_id who, const limit_maxima& maxima, limit_time now);
  /// Since when its longest idle server is idle; nothing when none is. To be told before any call that takes `now`.
  void note_idle(member_id who, std::optional<limit_time> since);

  /// May it open one more server? True: it is counted from now on. False: it waits in line, and is among take_news()
  /// when it should ask again. May be repeated at any time.
  [[nodiscard]] bool ask(member_id who, limit_time now);
  /// The same for a server that no client waits for: true only if a place is free and nobody waits.
  [[nodiscard]] bool ask_if_spare(member_id who);
  /// It does not want one any more.
  void withdraw(member_id who, limit_time now);

  /// One of its servers has begun to close.
  void leaving(member_id who, limit_time now);
  /// It closes an idle server if it owes one: then true, and the server counts as leaving.
  [[nodiscard]] bool pay(member_id who, limit_time now);
  /// Postgres has closed its side of one.
  void gone(member_id who, bool was_leaving, limit_time now);
  /// A server went from one share to another of the same pool.
  void carried(member_id from, member_id to);

  /// Members that were granted a place or have come to owe a server since the last call.
  [[nodiscard]] std::vector<member_id> take_news();

  [[nodiscard]] bool waits(member_id who) const { return members_.at(who).waiting; }
  [[nodiscard]] std::uint32_t owed(member_id who) const { return members_.at(who).owes; }
  [[nodiscard]] std::uint32_t held(member_id who) const { return members_.at(who).held; }
  /// The limit that keeps it from opening a server.
  [[nodiscard]] std::optional<limit_kind> blocked_by(member_id who) const;
  [[nodiscard]] bool known(member_id who) const { return members_.contains(who); }
  [[nodiscard]] bool anybody_waits() const { return !waiters_.empty(); }
  [[nodiscard]] std::size_t members() const { return members_.size(); }
  [[nodiscard]] std::uint32_t count(limit_kind kind, const std::string& name) const;

private:
  struct counter {
    std::uint32_t max = 0, count = 0, leaving = 0;
    std::uint32_t members = 0;
    std::uint32_t coming = 0, promised = 0, claimed = 0, unmet = 0; // of the plan being made
    [[nodiscard]] bool full() const { return max > 0 && count >= max; }
  };
  using counter_key = std::pair<limit_kind, std::string>;
  struct member {
    std::array<std::map<counter_key, counter>::iterator, limit_kinds> counters;
    std::uint32_t held = 0; // all that is counted for it
    std::uint32_t leaving = 0;
    std::uint32_t owes = 0;
    bool waiting = false;
    bool granted = false; // counted, and not asked for again yet
    bool left = false;
    limit_time since{};               // it waits
    limit_time served_at{};           // when it was last given a place
    std::optional<limit_time> idle{}; // see note_idle
    /// Servers that stay with it unless somebody takes them.
    [[nodiscard]] std::uint32_t lasting() const { return held - leaving; }
    /// Of those, the ones there are already.
    [[nodiscard]] std::uint32_t present() const { return lasting() - (granted ? 1 : 0); }
  };

  void count_one(member& who);
  void plan(limit_time now);
  bool room_for(const member& who) const;
  void grant_waiters(limit_time now);
  void claim(member& waiter);
  void demand_for(member_id id, const member& waiter, counter& at, limit_time now);
  void demand_excess();
  void forget_if_done(member_id who);
  static bool under(const member& who, const counter& at);

  std::map<counter_key, counter> counters_;
  std::map<member_id, member> members_;
  std::deque<member_id> waiters_; // first come, first served
  std::vector<member_id> news_;
  member_id next_id_ = 1;
  bool planned_demands_ = false;
};

} // namespace pg_edge::cluster
