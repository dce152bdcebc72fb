#include "tests/soak/verdict.hpp"

#include <algorithm>
#include <iomanip>
#include <iostream>

namespace pg_edge::soak {

namespace {

constexpr int name_width = 60;
constexpr std::size_t sentences_shown = 10;

} // namespace

void verdict::check(const std::string& promise, bool kept, const std::string& seen) {
  rows_.push_back({promise, seen, kept});
}

void verdict::check_none(const std::string& promise, const std::vector<std::string>& against) {
  std::string seen = against.empty() ? "none against it" : std::to_string(against.size()) + " against it";
  for (std::size_t i = 0; i < against.size() && i < sentences_shown; ++i)
    seen += "\n       " + against[i];
  check(promise, against.empty(), seen);
}

int verdict::print(const tally& all) const {
  std::cout << "\n-- figures\n";
  for (const auto& [name, count] : all.figures())
    std::cout << std::left << std::setw(name_width) << name << std::right << std::setw(12) << count << "\n";
  std::cout << "\n-- promises\n";
  for (const row& one : rows_)
    std::cout << (one.kept ? "ok   " : "FAIL ") << one.promise << ": " << one.seen << "\n";
  const auto passed = std::count_if(rows_.begin(), rows_.end(), [](const row& one) { return one.kept; });
  const auto failed = static_cast<std::ptrdiff_t>(rows_.size()) - passed;
  std::cout << "\n" << passed << " passed, " << failed << " failed" << std::endl;
  return failed == 0 ? 0 : 1;
}

} // namespace pg_edge::soak
