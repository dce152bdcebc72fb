// Child processes of tests: started in a session of their own, and ended with all they started however the test
// program ends, kill -9 included (a janitor process outlives it for that). Also what every fixture needs beside
// them: temporary folders, free ports and waiting with a limit.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace pg_edge::test {

using std::chrono::milliseconds;

/// Thrown by every fixture when what a test relies on does not hold; Boost.Test reports the text. It is an exception,
/// not a Boost check, since checks are not thread-safe and fixtures are used from many threads.
struct test_failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A folder under TMPDIR that is deleted with the object, or by the janitor. Every user may enter it.
class temp_dir {
public:
  temp_dir();
  ~temp_dir();
  temp_dir(const temp_dir&) = delete;
  temp_dir& operator=(const temp_dir&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

private:
  std::string path_;
};

struct process_options {
  std::string stdout_file = "/dev/null"; // appended to
  std::string stderr_file = "/dev/null"; // may be the same file
  std::string working_dir = "/";
  std::vector<std::string> environment; // NAME=value, added to ours
  std::string user;                     // to become, when we are root; empty: stay who we are
};

/// One child process.
class process {
public:
  process() = default;
  /// Starts argv[0] (a path, or looked up in PATH). Throws test_failure when it cannot be executed.
  process(const std::vector<std::string>& argv, const process_options& options);
  ~process();
  process(process&& other) noexcept;
  process& operator=(process&& other) noexcept;

  pid_t pid() const { return pid_; }
  /// True while it runs (or is stopped); reaps it otherwise.
  bool running();
  /// Exit status once it ended: 0-255, or 128 + signal.
  std::optional<int> exit_status();
  /// The exit status when it ends within the limit.
  std::optional<int> wait(milliseconds limit);
  void signal(int number) const;
  /// To the process and all its descendants known by parent id.
  void signal_tree(int number) const;
  /// SIGKILL to the process and its descendants; reaps.
  void kill_tree();

private:
  pid_t pid_ = -1;
  std::optional<int> status_;
};

struct run_result {
  int status = -1; // as process::exit_status
  std::string out;
  std::string err;
};

/// Runs a program to its end and returns what it printed. Throws test_failure when it takes longer than the limit.
run_result run(const std::vector<std::string>& argv, milliseconds limit = milliseconds(60000),
               process_options options = {});

/// Processes whose parent, or parent's parent and so on, is the given one.
std::vector<pid_t> descendants(pid_t parent);

/// What the process has spent of processors so far, user and system.
milliseconds processor_time(pid_t pid);

/// A TCP port on 127.0.0.1 nobody listens on, outside the range the kernel gives to outgoing connections.
std::uint16_t free_port();

/// Tries the predicate every few milliseconds; false when it did not hold within the limit.
bool wait_for(const std::function<bool()>& predicate, milliseconds limit = milliseconds(10000));

std::string read_file(const std::string& path);
void write_file(const std::string& path, std::string_view text);

} // namespace pg_edge::test
