#include "tests/soak/evidence.hpp"

#include <algorithm>
#include <filesystem>

namespace pg_edge::soak {

void add_up(tally& all, const std::vector<std::unique_ptr<crowd>>& crowds) {
  for (const auto& one : crowds) {
    all.count("crowds: right answers", one->answers());
    all.count("crowds: sessions", one->sessions());
    all.highest("crowds: longest wait for a message, ms", one->longest_wait().count());
    for (const auto& [state, count] : one->errors())
      all.count("crowds: errors " + state, count);
    for (const std::string& sentence : one->failures())
      all.fail(sentence);
  }
}

void add_up(tally& all, const ledger& rows) {
  all.count("rows written", static_cast<long>(rows.size(ledger::fate::written)));
  all.count("rows refused", static_cast<long>(rows.size(ledger::fate::refused)));
  all.count("rows of unknown fate", static_cast<long>(rows.size(ledger::fate::unknown)));
}

std::vector<std::string> log_failures(const std::string& log, const std::vector<std::string>& expected) {
  constexpr const char* events[] = {"actor_failed",     "message_unexpected", "io_handler_failed", "timer_failed",
                                    "turn_task_failed", "level=error",        "terminate called"};
  const auto says = [](const std::string& line, const auto& what) { return line.find(what) != std::string::npos; };
  std::vector<std::string> lines;
  std::size_t at = 0;
  while (at < log.size()) {
    const std::size_t end = std::min(log.find('\n', at), log.size());
    const std::string line = log.substr(at, end - at);
    if (std::any_of(std::begin(events), std::end(events), [&](const char* event) { return says(line, event); }) &&
        std::none_of(expected.begin(), expected.end(),
                     [&](const std::string& event) { return says(line, "event=" + event + " "); }))
      lines.push_back(line);
    at = end + 1;
  }
  return lines;
}

std::vector<std::string> reports_in(const std::string& folder) {
  std::vector<std::string> names;
  if (folder.empty() || !std::filesystem::exists(folder)) return names;
  for (const auto& one : std::filesystem::directory_iterator(folder))
    if (one.file_size() > 0) names.push_back(one.path().string());
  return names;
}

std::string change(long before, long after) {
  return std::to_string(before) + " after the warm-up, " + std::to_string(after) + " at the end";
}

} // namespace pg_edge::soak
