#include "tests/support/process.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <grp.h>
#include <mutex>
#include <pwd.h>
#include <random>
#include <set>
#include <sstream>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace pg_edge::test {

namespace {

// -- janitor -----------------------------------------------------------------------------------------------------
// A forked process that learns over a pipe what exists, and cleans up when the pipe ends: that is when the test
// program has ended, by whatever means.

void janitor_main(int input) {
  setsid();
  for (int number : {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGPIPE})
    ::signal(number, SIG_IGN);
  int null = open("/dev/null", O_RDWR);
  for (int fd : {0, 1, 2})
    dup2(null, fd);
  for (int fd = 3; fd < 1024; ++fd)
    if (fd != input) close(fd);

  std::set<std::string> folders;
  std::set<pid_t> processes;
  std::string pending;
  char buffer[4096];
  for (;;) {
    ssize_t n = read(input, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    pending.append(buffer, static_cast<std::size_t>(n));
    for (std::size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1)) {
      std::string what = pending.substr(0, 2), argument = pending.substr(2, end - 2);
      if (what == "+d") folders.insert(argument);
      if (what == "-d") folders.erase(argument);
      if (what == "+p") processes.insert(std::atoi(argument.c_str()));
      if (what == "-p") processes.erase(std::atoi(argument.c_str()));
    }
  }
  std::vector<pid_t> doomed;
  for (pid_t pid : processes) {
    doomed.push_back(pid);
    for (pid_t child : descendants(pid))
      doomed.push_back(child);
  }
  for (pid_t pid : doomed)
    ::kill(pid, SIGKILL);
  if (!doomed.empty()) std::this_thread::sleep_for(milliseconds(200));
  for (const std::string& folder : folders) {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  _exit(0);
}

void tell_janitor(const std::string& line) {
  static std::mutex mutex;
  static int output = -1;
  std::lock_guard lock(mutex);
  if (output < 0) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw test_failure("pipe2: " + std::string(std::strerror(errno)));
    pid_t pid = fork();
    if (pid < 0) throw test_failure("fork: " + std::string(std::strerror(errno)));
    if (pid == 0) {
      close(ends[1]);
      janitor_main(ends[0]);
    }
    close(ends[0]);
    output = ends[1];
  }
  std::string bytes = line + "\n";
  if (write(output, bytes.data(), bytes.size()) < 0) throw test_failure("the janitor of the test fixtures is gone");
}

// -- starting ----------------------------------------------------------------------------------------------------

int open_log(const std::string& path) {
  return open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
}

// Runs in the child between fork and exec: only system calls, everything else was prepared before.
[[noreturn]] void become(const process_options& options, const passwd* user, char* const* argv, char* const* envp,
                         const char* program) {
  setsid();
  for (int number = 1; number < NSIG; ++number)
    ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  int input = open("/dev/null", O_RDONLY);
  dup2(input, 0);
  int out = open_log(options.stdout_file), err = open_log(options.stderr_file);
  if (out < 0 || err < 0) _exit(126);
  dup2(out, 1);
  dup2(err, 2);
  for (int fd = 3; fd < 1024; ++fd)
    close(fd);
  if (user != nullptr) {
    if (setgroups(0, nullptr) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) _exit(126);
  }
  if (chdir(options.working_dir.c_str()) != 0) _exit(126);
  execve(program, argv, envp);
  dprintf(2, "cannot run %s: %s\n", program, std::strerror(errno));
  _exit(127);
}

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* search = std::getenv("PATH");
  std::istringstream folders(search != nullptr ? search : "/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string path = folder + "/" + name;
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  throw test_failure("no program " + name + " in PATH");
}

// PG_EDGE_TEST_KEEP=1 keeps logs and data for whoever hunts a failure.
bool keep_folders() {
  return std::getenv("PG_EDGE_TEST_KEEP") != nullptr;
}

int status_of(int raw) {
  return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
}

} // namespace

// -- temp_dir ----------------------------------------------------------------------------------------------------

temp_dir::temp_dir() {
  const char* base = std::getenv("TMPDIR");
  path_ = std::string(base != nullptr ? base : "/tmp") + "/pg_edge_test.XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) throw test_failure("mkdtemp " + path_ + ": " + std::strerror(errno));
  chmod(path_.c_str(), 0755);
  if (!keep_folders()) tell_janitor("+d" + path_);
}

temp_dir::~temp_dir() {
  if (keep_folders()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  try {
    tell_janitor("-d" + path_);
  } catch (const test_failure&) {
    // Nothing is lost: the folder is gone already.
  }
}

// -- process -----------------------------------------------------------------------------------------------------

process::process(const std::vector<std::string>& argv, const process_options& options) {
  const std::string program = find_program(argv.at(0));
  if (access(program.c_str(), X_OK) != 0) throw test_failure("cannot run " + program + ": " + std::strerror(errno));
  const passwd* user = nullptr;
  if (!options.user.empty() && geteuid() == 0) {
    user = getpwnam(options.user.c_str());
    if (user == nullptr) throw test_failure("no such user on this machine: " + options.user);
  }
  std::vector<std::string> environment = options.environment;
  auto overridden = [&](std::string_view entry) {
    std::string_view name = entry.substr(0, entry.find('=') + 1);
    return std::any_of(options.environment.begin(), options.environment.end(),
                       [&](const std::string& other) { return other.compare(0, name.size(), name) == 0; });
  };
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (!overridden(*entry)) environment.emplace_back(*entry);
  std::vector<char*> arguments, variables;
  for (const std::string& argument : argv)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  for (const std::string& variable : environment)
    variables.push_back(const_cast<char*>(variable.c_str()));
  arguments.push_back(nullptr);
  variables.push_back(nullptr);

  tell_janitor("-p0"); // the janitor must be there before, or it would be a child of the wrong state
  pid_ = fork();
  if (pid_ < 0) throw test_failure("fork: " + std::string(std::strerror(errno)));
  if (pid_ == 0) become(options, user, arguments.data(), variables.data(), program.c_str());
  tell_janitor("+p" + std::to_string(pid_));
}

process::~process() {
  try {
    kill_tree();
  } catch (const test_failure&) {
    // The janitor is gone; the process itself is dead by now.
  }
}

process::process(process&& other) noexcept : pid_(other.pid_), status_(other.status_) {
  other.pid_ = -1;
}

process& process::operator=(process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(status_, other.status_);
  return *this;
}

bool process::running() {
  return pid_ > 0 && !exit_status();
}

std::optional<int> process::exit_status() {
  if (status_ || pid_ <= 0) return status_;
  int raw = 0;
  if (waitpid(pid_, &raw, WNOHANG) == pid_) {
    status_ = status_of(raw);
    tell_janitor("-p" + std::to_string(pid_));
  }
  return status_;
}

std::optional<int> process::wait(milliseconds limit) {
  wait_for([&] { return exit_status().has_value(); }, limit);
  return status_;
}

void process::signal(int number) const {
  if (pid_ > 0 && !status_) ::kill(pid_, number);
}

void process::signal_tree(int number) const {
  if (pid_ <= 0 || status_) return;
  std::vector<pid_t> children = descendants(pid_);
  ::kill(pid_, number);
  for (pid_t child : children)
    ::kill(child, number);
}

void process::kill_tree() {
  if (!running()) return;
  signal(SIGSTOP); // so that it starts nothing more while its children are listed
  signal_tree(SIGKILL);
  if (!wait(milliseconds(10000))) throw test_failure("process " + std::to_string(pid_) + " survives SIGKILL");
}

run_result run(const std::vector<std::string>& argv, milliseconds limit, process_options options) {
  temp_dir folder;
  options.stdout_file = folder / "out";
  options.stderr_file = folder / "err";
  process child(argv, options);
  std::optional<int> status = child.wait(limit);
  run_result result{status.value_or(-1), read_file(options.stdout_file), read_file(options.stderr_file)};
  if (!status)
    throw test_failure(argv[0] + " did not end within " + std::to_string(limit.count()) + " ms; it printed:\n" +
                       result.out + result.err);
  return result;
}

// -- small helpers -----------------------------------------------------------------------------------------------

std::vector<pid_t> descendants(pid_t parent) {
  std::vector<std::pair<pid_t, pid_t>> all; // pid, parent
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return {};
  while (dirent* entry = readdir(proc)) {
    pid_t pid = std::atoi(entry->d_name);
    if (pid <= 0) continue;
    // "pid (name) state ppid ...": the name may hold anything, so look behind its last parenthesis.
    std::string stat = read_file("/proc/" + std::string(entry->d_name) + "/stat");
    std::size_t end = stat.rfind(')');
    if (end == std::string::npos || end + 4 >= stat.size()) continue;
    all.emplace_back(pid, std::atoi(stat.c_str() + end + 4));
  }
  closedir(proc);
  std::vector<pid_t> found{parent};
  for (std::size_t i = 0; i < found.size(); ++i)
    for (auto [pid, its_parent] : all)
      if (its_parent == found[i] && pid != found[i]) found.push_back(pid);
  found.erase(found.begin());
  return found;
}

std::uint16_t free_port() {
  static std::atomic<unsigned> next{std::random_device{}()};
  for (int attempt = 0; attempt < 1000; ++attempt) {
    auto port = static_cast<std::uint16_t>(10000 + next.fetch_add(7) % 20000);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool usable = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    if (usable) return port;
  }
  throw test_failure("no free port between 10000 and 30000");
}

bool wait_for(const std::function<bool()>& predicate, milliseconds limit) {
  auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    if (predicate()) return true;
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(milliseconds(3));
  }
}

milliseconds processor_time(pid_t pid) {
  const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i)
    fields >> skipped;
  long user = 0, system = 0;
  fields >> user >> system;
  return milliseconds((user + system) * 1000 / ::sysconf(_SC_CLK_TCK));
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_file(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.flush()) throw test_failure("cannot write " + path);
}

} // namespace pg_edge::test
