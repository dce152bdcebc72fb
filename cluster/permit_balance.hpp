// The permits of one pool while two processes of a node serve it, the old one and the one that takes over. Each keeps
// such a balance; together they never allow more servers than the pool's size:
//
//   allowed(old) + allowed(new) + given and still on its way  <=  size
//
// Both follow the same rules, so each can stand on its own: a permit is given when the other has clients that wait and
// no server of ours uses it any more. The pool's steward does the taking (permit_steward::resize).
#pragma once

#include <cstdint>

namespace pg_edge::cluster {

class permit_balance {
public:
  /// `has`: how many are ours at first. Below 0: so many must come before one may be used (the pool has become smaller
  /// with the new process's settings).
  explicit permit_balance(std::int64_t has) : has_(has) {}

  /// What this process sees of the pool at present.
  struct sight {
    std::uint32_t waiting = 0; // clients of ours that no server of ours will serve soon
    std::uint32_t out = 0;     // permits at our shares, used or not
    bool deserted = false;     // no client of ours is left, and none will come: all is for the other
  };

  /// Looks at both sides' needs. True: allowed() is another than before, and the steward is to hear it.
  bool look(const sight& now);
  /// How many permits may be out at our shares.
  [[nodiscard]] std::uint32_t allowed() const;
  /// How many can be given to the other now that so many are out; they are not ours any more.
  [[nodiscard]] std::uint32_t give(std::uint32_t out);

  /// The other gave us so many.
  void receive(std::int64_t count);
  /// So many clients of the other's wait.
  void other_wants(std::uint32_t count) { other_wants_ = count; }
  /// The size has changed here.
  void resize(std::int64_t difference) { has_ += difference; }

  [[nodiscard]] std::int64_t has() const { return has_; }

  /// After permits have come they stay for so many looks, so that a pool of one permit serves each side for a while.
  static constexpr std::uint32_t rest = 5;

private:
  [[nodiscard]] std::int64_t keep(const sight& now) const;

  std::int64_t has_;
  std::int64_t asked_ = 0; // of those, for the other: as soon as no server uses them
  std::uint32_t other_wants_ = 0;
  std::uint32_t rested_ = 0; // looks since permits came
};

} // namespace pg_edge::cluster
