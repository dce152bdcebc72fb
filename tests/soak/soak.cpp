// Everything at once for a while: loads, faults, restarts and reloads on one pg_edge, and then the promises. tools/soak
// starts it.
//   soak --minutes N [--seed S] [--reports FOLDER]
// Reports of sanitizers in FOLDER count as failures. The last line is "N passed, M failed".
#include "tests/soak/disturbances.hpp"
#include "tests/soak/loads.hpp"
#include "tests/soak/verdict.hpp"
#include "tests/soak/watch.hpp"
#include "tests/support/crowd.hpp"

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <thread>

namespace pg_edge::soak {

namespace {

using clock = std::chrono::steady_clock;

constexpr milliseconds warm_up{20000};
constexpr milliseconds settle_limit{90000}; // idle servers are closed after server_idle_timeout

// Memory that a warm process may still gain: allocators keep what they had at the peak.
constexpr long memory_slack_kilobytes = 48 * 1024;

struct options {
  double minutes = 1;
  unsigned seed = 1;
  std::string reports;
};

bool read_options(int count, char** words, options& out) {
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = words[i], value = words[i + 1];
    if (name == "--minutes")
      out.minutes = std::atof(value.c_str());
    else if (name == "--seed")
      out.seed = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
    else if (name == "--reports")
      out.reports = value;
    else
      return false;
  }
  return count % 2 == 1 && out.minutes > 0;
}

/// The crowds: of every pool one directly, and of some one by the proxy before the node.
std::vector<std::unique_ptr<crowd>> gather_crowds(run& all, unsigned round) {
  std::vector<std::unique_ptr<crowd>> crowds;
  for (std::size_t i = 0; i < std::size(pools); ++i) {
    const pool_row& pool = pools[i];
    crowd_options how;
    how.name = std::string(pool.name) + std::to_string(round) + "d";
    how.port = all.in.node->port();
    how.user = pool.login;
    how.database = pool.database;
    how.tls = pool.tls;
    how.transactions = std::string_view(pool.mode) != "statement";
    how.clients = 3;
    how.seed = all.seed() + static_cast<unsigned>(i) + round * 100;
    how.large_rows = 300;
    how.rest = milliseconds(20);
    how.silence = milliseconds(90000);
    crowds.push_back(std::make_unique<crowd>(how, *all.in.rows));
    if (i % 3 != 0) continue;
    how.name = std::string(pool.name) + std::to_string(round) + "p";
    how.port = all.in.before->port();
    how.clients = 2;
    how.silence = milliseconds(10000);
    how.may_be_silent = true;
    crowds.push_back(std::make_unique<crowd>(how, *all.in.rows));
  }
  return crowds;
}

void add_up(run& all, const std::vector<std::unique_ptr<crowd>>& crowds) {
  for (const auto& one : crowds) {
    all.count("crowds: right answers", one->answers());
    all.count("crowds: sessions", one->sessions());
    for (const auto& [state, count] : one->errors())
      all.count("crowds: errors " + state, count);
    for (const std::string& sentence : one->failures())
      all.fail(sentence);
  }
}

/// Loads and disturbances for so long; returns when the last has ended.
void one_round(run& all, milliseconds time, unsigned round) {
  all.stopping = false;
  std::vector<std::unique_ptr<crowd>> crowds = gather_crowds(all, round);
  std::vector<std::thread> threads;
  for (const load_row& row : loads)
    for (unsigned i = 0; i < row.threads; ++i)
      threads.emplace_back([&all, &row, i, round] { row.what(all, i + round * 10); });
  for (const auto disturb : {disturb_networks, disturb_postgres, disturb_settings})
    threads.emplace_back([&all, disturb] { disturb(all); });
  const auto end = clock::now() + time;
  while (clock::now() < end && all.in.node->running())
    std::this_thread::sleep_for(milliseconds(200));
  all.stopping = true;
  // Faults and restarts end first, so that what still waits is served.
  for (std::thread& thread : threads)
    thread.join();
  all.in.before->clear();
  all.in.behind.clear();
  for (const auto& one : crowds)
    one->stop();
  add_up(all, crowds);
}

/// When all is over every pool answers, without a restart of anything.
std::vector<std::string> silent_pools(run& all) {
  std::vector<std::string> sentences;
  for (const pool_row& pool : pools) {
    try {
      wire_options how;
      how.timeout = milliseconds(60000);
      if (pool.tls) how.how = transport::tls;
      wire_client client(all.in.node->port(), how);
      client.startup({{"user", pool.login}, {"database", pool.database}});
      if (client.value("select 'well'") != "well") sentences.push_back(std::string(pool.name) + ": another answer");
      client.send(terminate_bytes());
    } catch (const test_failure& problem) {
      sentences.push_back(std::string(pool.name) + ": " + problem.what());
    }
  }
  return sentences;
}

std::vector<std::string> log_failures(const std::string& log) {
  constexpr const char* events[] = {"actor_failed",     "message_unexpected", "io_handler_failed", "timer_failed",
                                    "turn_task_failed", "level=error",        "terminate called"};
  std::vector<std::string> lines;
  std::size_t at = 0;
  while (at < log.size()) {
    const std::size_t end = std::min(log.find('\n', at), log.size());
    const std::string line = log.substr(at, end - at);
    for (const char* event : events)
      if (line.find(event) != std::string::npos) {
        lines.push_back(line);
        break;
      }
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

int soak(const options& wanted) {
  world where(wanted.seed);
  run all(where, wanted.seed);
  std::cout << "seed " << wanted.seed << ", " << wanted.minutes << " minutes, " << pg_edge_process::binary()
            << std::endl;
  verdict result;
  holdings before, after;
  {
    pool_watch watch(all);
    one_round(all, warm_up, 0);
    before = settled(all, settle_limit);
    const milliseconds time(static_cast<long>(wanted.minutes * 60'000));
    one_round(all, time, 1);
    after = settled(all, settle_limit);
    result.check_none("every pool answers when all is over", silent_pools(all));
    result.check("pools were watched", watch.samples() > 500, std::to_string(watch.samples()) + " samples");
    for (std::size_t i = 0; i < std::size(pools); ++i)
      result.check("pool " + std::string(pools[i].name) + " kept its size", watch.most(i) <= pools[i].size,
                   "at most " + std::to_string(watch.most(i)) + " of " + std::to_string(pools[i].size));
  }
  result.check_none("every answer is its own, nobody else is disturbed", all.failures());
  result.check_none("nothing ran twice, nothing acknowledged is lost, nothing refused was done",
                    where.rows->disagreements());
  const auto rows = [&](ledger::fate what) { return static_cast<long>(where.rows->size(what)); };
  all.count("rows written", rows(ledger::fate::written));
  all.count("rows refused", rows(ledger::fate::refused));
  all.count("rows of unknown fate", rows(ledger::fate::unknown));
  result.check("actors of connections return to none", after.actors == 0, change(before.actors, after.actors));
  result.check("descriptors return", after.descriptors <= before.descriptors + 2,
               change(before.descriptors, after.descriptors));
  result.check("memory returns near to it", after.kilobytes <= before.kilobytes * 5 / 4 + memory_slack_kilobytes,
               change(before.kilobytes, after.kilobytes) + ", in kB");
  result.check("the node lived through it", where.node->running(), where.node->running() ? "it did" : "it died");
  if (where.node->running()) {
    const int status = where.node->stop(15, milliseconds(60000));
    result.check("the node ends in order", status == 0, "status " + std::to_string(status));
  }
  const std::string log = where.node->log();
  result.check_none("no internal error in the log", log_failures(log));
  result.check_none("no sanitizer report", reports_in(wanted.reports));
  const int status = result.print(all);
  if (status != 0)
    std::cerr << "the end of pg_edge's log:\n" << log.substr(log.size() - std::min<std::size_t>(log.size(), 3000));
  return status;
}

} // namespace

} // namespace pg_edge::soak

int main(int count, char** words) {
  pg_edge::soak::options wanted;
  if (!pg_edge::soak::read_options(count, words, wanted)) {
    std::cerr << "usage: soak --minutes N [--seed S] [--reports FOLDER]\n";
    return 2;
  }
  try {
    return pg_edge::soak::soak(wanted);
  } catch (const std::exception& problem) {
    std::cout << "soak: " << problem.what() << "\n0 passed, 1 failed" << std::endl;
    return 1;
  }
}
