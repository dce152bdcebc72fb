// Who may log in to one server address now, of all the pools of a node. While the server answers, so many logins at a
// time; while it does not, one that tries, less and less often. Pure: actors/login_gates keeps it behind a mutex and
// wakes shares.
//
//   ask() --> may begin --> done(answered | away | given_up)
//     '-----> waits in line --(take_news)--> ask() --> may begin
//                '-- withdraw()
//
//   well --done(away)--> away: one login at each retry_at --done(answered)--> well: the line moves, oldest first
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <set>
#include <string_view>
#include <vector>

namespace pg_edge::cluster {

/// A moment, on any clock that only goes forward.
using gate_time = std::chrono::microseconds;

/// What a login came to, as far as others are concerned who want to log in there.
enum class login_outcome : std::uint8_t {
  answered, ///< the server is there: it let us in, or refused this user or database in so many words
  away,     ///< nobody can log in there at present
  given_up, ///< nothing is known: it was not wanted any more
};

/// What to do about a login that failed.
enum class login_trouble : std::uint8_t {
  refused, ///< the user, its password or the database is wrong: who waits is told at once, trying again mends nothing
  full,    ///< there is no room: go on with the servers there are, try again
  away,    ///< starting, stopping, unreachable: wait, and try again with all other pools in mind
  other,   ///< said no for a reason of its own: wait, and try again
};
/// `reached`: the server answered, with this SQLSTATE.
[[nodiscard]] login_trouble classify_login_failure(std::string_view sqlstate, bool reached);

class login_gate {
public:
  /// One share of one pool.
  using member_id = std::uint32_t;
  /// Tells the logins that began before the last change from those behind it.
  using round = std::uint64_t;

  /// After the first failure so long; each further one doubles it.
  static constexpr gate_time first_pause = std::chrono::milliseconds{100};
  /// However long the server has been away: one login in so long costs it nothing, and clients wait for it to be back.
  static constexpr gate_time longest_pause = std::chrono::milliseconds{2000};

  explicit login_gate(std::uint64_t seed) : random_(static_cast<std::minstd_rand::result_type>(seed)) {}

  /// Logins under way at a time; 0: no limit.
  void set_limit(std::uint32_t most, gate_time now);

  /// May it begin one login? It has begun with this, then: done() has to follow. Nothing: it waits in line, and is
  /// among take_news() when it should ask again. May be repeated at any time; while the server is away somebody has to,
  /// for there is no clock here.
  [[nodiscard]] std::optional<round> ask(member_id who, gate_time now);
  /// It does not want to log in any more. Those under way go on.
  void withdraw(member_id who, gate_time now);
  /// `most`: the pause between two tries is no longer, if it is shorter than longest_pause.
  /// True: that made the difference, the server was well before and is away now, or the other way round.
  bool done(round begun, login_outcome what, gate_time most, gate_time now);

  /// Members that should ask again, and were not told so yet.
  [[nodiscard]] std::vector<member_id> take_news();

  [[nodiscard]] bool away() const { return away_since_.has_value(); }
  [[nodiscard]] std::optional<gate_time> away_since() const { return away_since_; }
  /// While away: when the next login may begin.
  [[nodiscard]] gate_time retry_at() const { return retry_at_; }
  /// Tries that failed since it is away; those that had begun before count as one.
  [[nodiscard]] std::uint64_t failures() const { return failures_; }
  [[nodiscard]] std::uint32_t under_way() const { return under_way_; }
  [[nodiscard]] std::size_t waiting() const { return line_.size(); }

private:
  bool room(gate_time now) const;
  void call_up(gate_time now);
  void begin_round();
  gate_time with_jitter(gate_time pause);

  std::minstd_rand random_;
  std::uint32_t limit_ = 0, under_way_ = 0;
  std::uint32_t of_round_ = 0;  // of those under way: begun in this round
  std::deque<member_id> line_;  // first come, first served
  std::set<member_id> invited_; // a place is kept for each of them until it asks or withdraws
  std::vector<member_id> news_;
  round round_ = 1;
  std::optional<gate_time> away_since_;
  gate_time pause_{}, retry_at_{};
  std::uint64_t failures_ = 0;
};

} // namespace pg_edge::cluster
