#include "tests/soak/tally.hpp"

#include <algorithm>
#include <iostream>
#include <thread>

namespace pg_edge::soak {

namespace {

constexpr std::size_t most_failures = 100;

} // namespace

void tally::count(const std::string& figure, long by) {
  std::lock_guard guard(lock_);
  figures_[figure] += by;
}

void tally::highest(const std::string& figure, long value) {
  std::lock_guard guard(lock_);
  figures_[figure] = std::max(figures_[figure], value);
}

void tally::fail(const std::string& what) {
  std::lock_guard guard(lock_);
  if (failures_.size() >= most_failures) return;
  failures_.push_back(what);
  std::cout << "FAILURE " << what << std::endl;
}

std::map<std::string, long> tally::figures() const {
  std::lock_guard guard(lock_);
  return figures_;
}

std::vector<std::string> tally::failures() const {
  std::lock_guard guard(lock_);
  return failures_;
}

void tally::pause(milliseconds time) const {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!stopping && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(
        std::min<std::chrono::nanoseconds>(milliseconds(50), end - std::chrono::steady_clock::now()));
}

} // namespace pg_edge::soak
