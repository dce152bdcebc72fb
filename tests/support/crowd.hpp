// A crowd of clients that live with faults as applications do: each checks that every answer is its own, writes rows of
// a ledger, and after an error comes again. What is allowed to go wrong is counted; what is not is a failure.
#pragma once

#include "tests/support/ledger.hpp"
#include "tests/support/wire_client.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pg_edge::test {

struct crowd_options {
  std::string name = "crowd"; // of its clients' application_name
  std::uint16_t port = 0;
  std::string user = "trust_user", password = {}, database = "app";
  bool tls = false;
  bool transactions = true; // false in statement mode
  int clients = 4;
  unsigned seed = 1;
  int large_rows = 2000;                    // of a large result, 100 bytes each; 0: none are asked for
  milliseconds rest{2};                     // at most, between two actions
  milliseconds silence{60000};              // how long an answer may take
  const std::atomic<bool>* leave = nullptr; // while it is set, clients end their sessions and stay away
  bool may_be_silent = false;               // a network that swallows is expected: silence is a lost connection then
};

class crowd {
public:
  crowd(const crowd_options& options, ledger& rows);
  ~crowd();
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;

  /// Ends the clients after what they do now. Called by the destructor too.
  void stop();

  /// Answers that were right, sessions begun.
  long answers() const { return answers_; }
  long sessions() const { return sessions_; }
  /// Errors by SQLSTATE; "lost" for connections that ended without one, "silent" for answers that did not come.
  std::map<std::string, long> errors() const;
  /// Errors that came with something under way, logins and waiting apart: what a fault took from clients.
  long broken_queries() const { return broken_; }
  long error_count() const;
  /// For the next message, by any of them, login included.
  milliseconds longest_wait() const { return milliseconds(longest_wait_); }
  /// What must not happen: another's answer, a wrong one, a code that lies. Sentences.
  std::vector<std::string> failures() const;

private:
  class member;
  friend class member;
  void live(int number);
  bool away() const { return options_.leave != nullptr && *options_.leave; }
  void note_error(const std::string& state);
  void note_wait(milliseconds time);
  void fail(const std::string& what);

  crowd_options options_;
  ledger& rows_;
  std::atomic<bool> stopping_ = false;
  std::atomic<long> answers_ = 0, sessions_ = 0, broken_ = 0, longest_wait_ = 0;
  mutable std::mutex lock_; // over the two below
  std::map<std::string, long> errors_;
  std::vector<std::string> failures_;
  std::vector<std::thread> threads_;
};

/// "3 x 08006, 1 x lost".
std::string joined(const std::map<std::string, long>& errors);

} // namespace pg_edge::test
