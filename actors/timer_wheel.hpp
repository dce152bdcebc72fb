// Timers of one reactor. Every connection holds a few (login, idle, query time-outs) and moves them with nearly every
// message, so arming and cancelling are O(1) and allocate nothing. Pure: the owner says what time it is.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace pg_edge::actors {

// A member of one circular doubly linked list. A list is a link of its own that is never dereferenced as a member.
// Unlinking needs no list, so what is destroyed, cancelled or moved leaves whichever list it is in.
class list_link {
public:
  list_link() noexcept : next_(this), prev_(this) {}
  ~list_link() { unlink(); }
  list_link(const list_link&) = delete;
  list_link& operator=(const list_link&) = delete;

  // For a member: whether it is in a list. For a list: whether it has members.
  bool linked() const noexcept { return next_ != this; }
  list_link* next() const noexcept { return next_; }

  void unlink() noexcept {
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = prev_ = this;
  }

  void push_back(list_link& member) noexcept {
    member.unlink();
    member.prev_ = prev_;
    member.next_ = this;
    prev_->next_ = &member;
    prev_ = &member;
  }

  // Moves all members of `other` behind our own, in their order.
  void append(list_link& other) noexcept {
    if (!other.linked()) return;
    other.next_->prev_ = prev_;
    prev_->next_ = other.next_;
    other.prev_->next_ = this;
    prev_ = other.prev_;
    other.next_ = other.prev_ = &other;
  }

  // The list of a member that is alone in it, else nullptr.
  list_link* sole_neighbour() const noexcept { return next_ == prev_ ? next_ : nullptr; }

private:
  list_link* next_;
  list_link* prev_;
};

// A link that is a member of `owner`, for classes whose own names must not gain those of list_link.
template <class owner_type>
struct owned_link : list_link {
  explicit owned_link(owner_type& o) noexcept : owner(o) {}
  owner_type& owner;
};

// One deadline that calls one function. A member of its owner; all use is on the owner's reactor, the destructor too.
//   timer idle_ = timer::calling<&client::on_idle>(*this);
class timer : private list_link {
public:
  using fire_function = void (*)(void* owner);

  timer(fire_function fire, void* owner) noexcept : fire_(fire), owner_(owner) {}

  template <auto method, class owner_type>
  static timer calling(owner_type& owner) noexcept {
    return timer([](void* self) { (static_cast<owner_type*>(self)->*method)(); }, &owner);
  }

  bool armed() const noexcept { return linked(); }

private:
  friend class timer_wheel;
  fire_function fire_;
  void* owner_;
  std::uint64_t tick_ = 0;
};
static_assert(sizeof(timer) <= 40, "an idle connection holds several");

// A hierarchical wheel: level 0 has a slot a tick, each level above a slot for 64 slots of the level below. A timer
// sits in the level of the highest digit (base 64) in which its tick differs from the present one and moves down as
// time comes nearer, so every occupied slot lies ahead of the present one and the first set bit is the next in time.
class timer_wheel {
public:
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds tick_length{1};

  explicit timer_wheel(time_point start) noexcept : start_(start) {}

  // Leaves timers that are still armed disarmed.
  ~timer_wheel();
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;

  // Arms or re-arms `t` for the first tick at or after `deadline`. What is due already fires with the next advance().
  void schedule(timer& t, time_point deadline) noexcept;

  // Disarms `t`. Does nothing to a timer that is not armed.
  void cancel(timer& t) noexcept;

  // Fires what is due at `now`, tick by tick, within a tick in the order of arming. A timer is disarmed when its
  // function runs, so the function may arm it again. Should a function throw, the rest stays due: call again.
  void advance(time_point now);

  // When advance() should be called next: never later than the earliest deadline, possibly earlier for a far one
  // (it has to move down a level then). Nothing armed: nullopt.
  std::optional<time_point> next_deadline() const noexcept;

private:
  static constexpr unsigned digit_bits = 6;
  static constexpr unsigned slots_per_level = 1u << digit_bits;
  static constexpr unsigned levels = 7; // 64^7 ms are 139 years from the start of the wheel
  static constexpr std::uint64_t last_tick = (std::uint64_t{1} << (digit_bits * levels)) - 1;

  void place(timer& t) noexcept;
  void leave_slot(timer& t) noexcept;
  std::optional<std::uint64_t> next_tick() const noexcept;
  void enter_tick(std::uint64_t tick) noexcept;
  void fire_all();

  time_point start_;
  std::uint64_t tick_ = 0;
  std::array<std::uint64_t, levels> occupied_{};
  std::array<list_link, levels * slots_per_level> slots_;
  list_link due_;    // fires with the next advance()
  list_link firing_; // being fired by this advance()
};

} // namespace pg_edge::actors
