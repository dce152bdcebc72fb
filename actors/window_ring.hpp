// What happened in the last second, ten seconds and minute, of one thing of many: slots of a second for ten seconds and
// of ten seconds for a minute, only where something happened. Pure; all rings of a ledger are closed at the same ticks.
//
//   add() --> the open slot --close(tick)--> seconds --every tenth tick--> tens --> forgotten after a minute
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

namespace pg_edge::actors {

enum class window : std::uint8_t { second, ten_seconds, minute };
inline constexpr std::array windows{window::second, window::ten_seconds, window::minute};
constexpr int seconds_of(window which) {
  return which == window::second ? 1 : which == window::ten_seconds ? 10 : 60;
}

/// Counts ticks, which are about a second apart, and knows how long the windows that end now really are.
class window_clock {
public:
  using clock = std::chrono::steady_clock;
  static constexpr std::uint64_t fold = 10, most = 60;

  explicit window_clock(clock::time_point started) { times_.fill(started); }

  void tick(clock::time_point now) { times_[++tick_ % times_.size()] = now; }
  std::uint64_t now() const { return tick_; }
  clock::time_point time() const { return times_[tick_ % times_.size()]; }
  /// The first tick after which what a window holds has happened.
  std::uint64_t begin(window which) const {
    if (which != window::minute) return back(which == window::second ? 1 : fold);
    // Tens are kept whole, so a minute is one of 60 to 69 seconds.
    return back(most) / fold * fold;
  }
  std::chrono::microseconds span(window which) const {
    return std::chrono::duration_cast<std::chrono::microseconds>(time() - times_[begin(which) % times_.size()]);
  }

private:
  std::uint64_t back(std::uint64_t ticks) const { return tick_ > ticks ? tick_ - ticks : 0; }

  std::uint64_t tick_ = 0;
  std::array<clock::time_point, most + fold + 1> times_{};
};

/// `Figures`: has empty(), and fold(other, n) that adds the n-th of at most ten seconds to what it holds.
template <class Figures>
class window_ring {
public:
  Figures& open() { return open_; }

  /// The second that `tick` ends is over.
  void close(std::uint64_t tick) {
    if (!open_.empty()) {
      seconds_.push_back({tick, std::move(open_)});
      open_ = {};
    }
    if (tick % window_clock::fold == 0) close_ten(tick);
    forget(seconds_, tick, window_clock::fold * 2);
    forget(tens_, tick, window_clock::most + window_clock::fold);
  }

  /// Nothing has happened for longer than a minute.
  bool idle() const { return open_.empty() && seconds_.empty() && tens_.empty(); }

  /// Adds what happened in the window to `result`, whose merge() takes figures.
  template <class Result>
  void add_to(Result& result, const window_clock& at, window which) const {
    const std::uint64_t begin = at.begin(which);
    std::uint64_t from = begin;
    if (which == window::minute) {
      for (const slot& one : tens_)
        if (one.tick > begin) result.merge(one.figures);
      from = at.now() / window_clock::fold * window_clock::fold; // later seconds are in no ten yet
    }
    for (const slot& one : seconds_)
      if (one.tick > from) result.merge(one.figures);
  }

private:
  struct slot {
    std::uint64_t tick = 0; // at its end
    Figures figures;
  };

  void close_ten(std::uint64_t tick) {
    Figures ten;
    std::uint64_t parts = 0;
    for (const slot& one : seconds_)
      if (one.tick + window_clock::fold > tick) ten.fold(one.figures, parts++);
    if (!ten.empty()) tens_.push_back({tick, std::move(ten)});
  }

  static void forget(std::vector<slot>& slots, std::uint64_t tick, std::uint64_t older) {
    std::size_t gone = 0;
    while (gone < slots.size() && slots[gone].tick + older <= tick)
      ++gone;
    slots.erase(slots.begin(), slots.begin() + static_cast<std::ptrdiff_t>(gone));
    if (slots.empty()) std::vector<slot>().swap(slots);
  }

  Figures open_;
  std::vector<slot> seconds_, tens_;
};

} // namespace pg_edge::actors
