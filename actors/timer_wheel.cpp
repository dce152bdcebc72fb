#include "actors/timer_wheel.hpp"

#include <algorithm>
#include <bit>
#include <functional>

namespace pg_edge::actors {

timer_wheel::~timer_wheel() {
  auto clear = [](list_link& list) {
    while (list.linked())
      list.next()->unlink();
  };
  for (auto& slot : slots_)
    clear(slot);
  clear(due_);
  clear(firing_);
}

void timer_wheel::schedule(timer& t, time_point deadline) noexcept {
  if (t.armed()) leave_slot(t);
  auto distance = std::chrono::ceil<std::chrono::milliseconds>(deadline - start_) / tick_length;
  t.tick_ = std::min(static_cast<std::uint64_t>(std::max<decltype(distance)>(distance, 0)), last_tick);
  place(t);
}

void timer_wheel::cancel(timer& t) noexcept {
  if (t.armed()) leave_slot(t);
}

void timer_wheel::place(timer& t) noexcept {
  if (t.tick_ <= tick_) {
    due_.push_back(t);
    return;
  }
  // The two differ, so `| 1` does not move the highest bit; it shows that there is one.
  const std::uint64_t differing = (t.tick_ ^ tick_) | 1;
  unsigned level = (63u - static_cast<unsigned>(std::countl_zero(differing))) / digit_bits;
  unsigned slot = static_cast<unsigned>(t.tick_ >> (digit_bits * level)) % slots_per_level;
  slots_[level * slots_per_level + slot].push_back(t);
  occupied_[level] |= std::uint64_t{1} << slot;
}

// A timer does not know its slot; the slot is known by its address when the timer is the only one in it.
void timer_wheel::leave_slot(timer& t) noexcept {
  list_link* neighbour = t.sole_neighbour();
  t.unlink();
  std::less<> before;
  if (neighbour == nullptr || before(neighbour, slots_.data()) || !before(neighbour, slots_.data() + slots_.size()))
    return;
  auto index = static_cast<unsigned>(neighbour - slots_.data());
  occupied_[index / slots_per_level] &= ~(std::uint64_t{1} << (index % slots_per_level));
}

std::optional<std::uint64_t> timer_wheel::next_tick() const noexcept {
  for (unsigned level = 0; level < levels; ++level) {
    if (occupied_[level] == 0) continue;
    auto slot = static_cast<std::uint64_t>(std::countr_zero(occupied_[level]));
    std::uint64_t higher_digits = tick_ >> (digit_bits * (level + 1)) << (digit_bits * (level + 1));
    return higher_digits | slot << (digit_bits * level);
  }
  return std::nullopt;
}

// Moves what waits for this very tick down: from the highest level that turns a slot to the list of what is due.
void timer_wheel::enter_tick(std::uint64_t tick) noexcept {
  tick_ = tick;
  for (unsigned level = levels; level-- > 0;) {
    unsigned slot = static_cast<unsigned>(tick >> (digit_bits * level)) % slots_per_level;
    std::uint64_t bit = std::uint64_t{1} << slot;
    if ((occupied_[level] & bit) == 0) continue;
    occupied_[level] &= ~bit;
    list_link moving;
    moving.append(slots_[level * slots_per_level + slot]);
    while (moving.linked()) {
      auto& t = static_cast<timer&>(*moving.next());
      t.unlink();
      if (t.tick_ <= tick_)
        firing_.push_back(t);
      else
        place(t);
    }
  }
}

void timer_wheel::fire_all() {
  while (firing_.linked()) {
    auto& t = static_cast<timer&>(*firing_.next());
    t.unlink();
    t.fire_(t.owner_);
  }
}

void timer_wheel::advance(time_point now) {
  firing_.append(due_);
  fire_all();
  auto distance = std::chrono::floor<std::chrono::milliseconds>(now - start_) / tick_length;
  auto target = std::min(static_cast<std::uint64_t>(std::max<decltype(distance)>(distance, 0)), last_tick);
  while (tick_ < target) {
    auto next = next_tick();
    if (!next || *next > target) {
      tick_ = target;
      break;
    }
    enter_tick(*next);
    fire_all();
  }
}

std::optional<timer_wheel::time_point> timer_wheel::next_deadline() const noexcept {
  if (due_.linked() || firing_.linked()) return start_ + tick_ * tick_length;
  auto tick = next_tick();
  if (!tick) return std::nullopt;
  return start_ + *tick * tick_length;
}

} // namespace pg_edge::actors
