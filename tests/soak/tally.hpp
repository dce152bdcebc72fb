// What all parts of a soak share while it runs, whatever it runs on: when to stop, what was counted, what went wrong.
#pragma once

#include "tests/support/process.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace pg_edge::soak {

using namespace pg_edge::test;

/// An answer that cannot be right, however faulty the network: thrown by loads, unlike test_failure, which a lost
/// connection is too.
struct wrong_answer : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class tally {
public:
  explicit tally(unsigned seed) : seed_(seed) {}

  std::atomic<bool> stopping = false;

  /// A generator for one thread.
  std::mt19937 random(unsigned number) const { return std::mt19937(seed_ * 7919U + number); }
  unsigned seed() const { return seed_; }

  /// Adds to a row of the table of figures.
  void count(const std::string& figure, long by = 1);
  /// A row of the table that keeps the highest.
  void highest(const std::string& figure, long value);
  void fail(const std::string& what);
  std::map<std::string, long> figures() const;
  std::vector<std::string> failures() const;

  /// Sleeps, but not beyond the end.
  void pause(milliseconds time) const;

private:
  unsigned seed_;
  mutable std::mutex lock_;
  std::map<std::string, long> figures_;
  std::vector<std::string> failures_;
};

} // namespace pg_edge::soak
