// A pg_edge process for tests: started from a TOML text, watched by its log, stopped by signals. The program is
// build/pg_edge beside the tests, or what PG_EDGE_BINARY names.
#pragma once

#include "tests/support/postgres.hpp"
#include "tests/support/process.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pg_edge::test {

/// The token of the role admin in tests.
inline const std::string api_boss = "boss-boss-boss-boss";

struct pg_edge_options {
  bool wait_until_listening = true;
  std::vector<std::string> arguments = {};   // after --config FILE
  std::vector<std::string> environment = {}; // NAME=value
  std::string program = {};                  // another than binary()
};

/// How often it stands there: events in a log.
inline int count_of(const std::string& text, const std::string& what) {
  int count = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

/// Replaced in the TOML text: {port} a free port of its own, {dir} a folder of its own, {postgres_port},
/// {postgres_socket} and {postgres_ca} of postgres::shared(), {cert} {key} a certificate for localhost and {ca} the
/// authority that signed it.
class pg_edge_process {
public:
  explicit pg_edge_process(const std::string& toml, const pg_edge_options& options = {});
  pg_edge_process(const pg_edge_process&) = delete;
  pg_edge_process& operator=(const pg_edge_process&) = delete;

  static std::string binary();

  std::uint16_t port() const { return port_; }
  pid_t pid() const { return process_.pid(); }
  std::string folder() const { return folder_.path(); }
  std::string config_file() const { return folder_ / "pg_edge.toml"; }
  std::string authority_file() const { return folder_ / "ca.crt"; }
  /// For libpq through pg_edge, with the password of a known user; anything else can be appended, the last wins.
  std::string conninfo(const std::string& user = "trust_user", const std::string& database = "app") const;

  /// Writes another TOML (same placeholders, same port); SIGHUP it to have it read.
  void rewrite_config(const std::string& toml);
  void signal(int number) const { process_.signal(number); }
  bool running() { return process_.running(); }
  /// Its exit status (128 + signal when a signal ended it) when it ends within the limit.
  std::optional<int> wait(milliseconds limit = milliseconds(15000)) { return process_.wait(limit); }
  /// Sends the signal and waits; throws test_failure when it does not end.
  int stop(int number = 15, milliseconds limit = milliseconds(15000));
  /// A new process from the same file, on the same port.
  void start(const pg_edge_options& options = {});

  /// Starts a process with --takeover beside this one, which becomes former(). With takeover_socket in the TOML.
  void begin_takeover(const pg_edge_options& options = {});
  /// ... and waits until it serves.
  void take_over(const pg_edge_options& options = {});
  /// The process that was taken over from last.
  process& former() { return former_; }
  /// The new process has died: the former one is the process again.
  void adopt_former();
  std::string former_log() const { return read_file(folder_ / "log.before"); }

  /// All it wrote to stderr and stdout.
  std::string log() const { return read_file(folder_ / "log"); }
  bool log_contains(const std::string& text) const { return log().find(text) != std::string::npos; }
  /// Waits until the log contains the text.
  bool wait_for_log(const std::string& text, milliseconds limit = milliseconds(10000)) const;

private:
  std::string fill_in(std::string toml) const;

  temp_dir folder_;
  std::uint16_t port_;
  process process_, former_;
};

/// A complete configuration for most tests: all known users with their passwords and both known databases on
/// postgres::shared(), with settings ("default_pool_size = 3\n") put into [pg_edge] and more tables at the end.
std::string simple_toml(const std::string& settings = "", const std::string& tables = "");

} // namespace pg_edge::test
