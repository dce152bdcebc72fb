#include "actors/etcd_child.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <spawn.h>
#include <sstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace pg_edge::actors {

namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto step_time = 100ms, look_time = 1000ms;
constexpr auto first_pause = 500ms, longest_pause = 10'000ms;
/// One that has run for so long did not fail at its start.
constexpr auto settled = 30s;
/// One that says nothing for so long is started anew.
constexpr auto patience = 30s;
constexpr auto end_patience = 5s;
/// The log of a process that is started again and again is not to fill the disk.
constexpr std::uintmax_t longest_log = 16 << 20;
/// Where the lock is open in the child.
constexpr int lock_in_child = 100;

std::string text_of(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

} // namespace

std::string_view to_string(etcd_child_state state) {
  constexpr std::string_view names[] = {"unfounded", "starting", "serving", "silent", "pausing"};
  return names[static_cast<std::size_t>(state)];
}

etcd_child::etcd_child(etcd_child_options options, std::function<void(const etcd_child_status&)> tell)
    : options_(std::move(options)), tell_(std::move(tell)) {
  std::error_code ignored;
  std::filesystem::create_directories(options_.folder, ignored);
  ::chmod(options_.folder.c_str(), 0700);
  thread_ = std::thread([this] { loop(); });
}

etcd_child::~etcd_child() {
  stopping_ = true;
  thread_.join();
  if (!stays_) end_it();
  if (lock_ >= 0) ::close(lock_);
}

etcd_child_status etcd_child::status() const {
  std::lock_guard held(mutex_);
  return status_;
}

void etcd_child::set_state(etcd_child_state now, std::string why) {
  std::unique_lock held(mutex_);
  if (status_.state == now && status_.why == why) return;
  status_.state = now;
  status_.why = std::move(why);
  const etcd_child_status told = status_;
  held.unlock();
  if (tell_) tell_(told);
}

bool etcd_child::founded() const {
  return etcd_founded(options_);
}

// -- the process
// -------------------------------------------------------------------------------------------------------------------

void etcd_child::loop() {
  while (!stopping_) {
    {
      std::lock_guard held(doing_);
      step();
    }
    std::this_thread::sleep_for(step_time);
  }
}

void etcd_child::step() {
  const pid_t pid = status().pid;
  if (!founded()) { // a person has taken the member away
    if (pid != 0) set_aside();
    return;
  }
  if (pid == 0) {
    if (clock::now() < again_at_) return;
    std::string error;
    if (!take_lock()) return adopt();
    if (!spawn(error)) it_ended(error);
    return;
  }
  if (gone()) return;
  if (clock::now() >= look_at_) look();
}

/// False: a process has it.
bool etcd_child::take_lock() {
  if (lock_ >= 0) return true;
  const std::string file = options_.folder + "/lock";
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) == 0) {
    lock_ = fd;
    return true;
  }
  if (fd >= 0) ::close(fd);
  return false;
}

bool etcd_child::spawn(std::string& error) {
  const etcd_plan plan = read_etcd_plan(options_);
  const std::string log_file = options_.folder + "/log";
  std::error_code ignored;
  if (std::filesystem::file_size(log_file, ignored) > longest_log && !ignored)
    std::filesystem::rename(log_file, log_file + ".before", ignored);
  const std::string client = endpoint(), peer = scheme() + "://" + options_.peer_address;
  std::vector<std::string> words{options_.program,
                                 "--name=" + options_.name,
                                 "--data-dir=" + data_folder(),
                                 "--listen-client-urls=" + client,
                                 "--advertise-client-urls=" + client,
                                 "--listen-peer-urls=" + peer,
                                 "--initial-advertise-peer-urls=" + peer,
                                 "--initial-cluster=" + plan.members,
                                 "--initial-cluster-state=" + plan.state,
                                 "--initial-cluster-token=pg_edge-" + options_.cluster,
                                 "--quota-backend-bytes=" + std::to_string(options_.quota_bytes),
                                 "--auto-compaction-mode=periodic",
                                 "--auto-compaction-retention=1h",
                                 "--max-snapshots=3",
                                 "--max-wals=3"};
  if (!options_.ca_file.empty())
    for (const char* side : {"", "peer-"}) {
      const std::string prefix = std::string("--") + side;
      words.insert(words.end(), {prefix + "client-cert-auth", prefix + "trusted-ca-file=" + options_.ca_file,
                                 prefix + "cert-file=" + options_.cert_file, prefix + "key-file=" + options_.key_file});
    }
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawnattr_t how;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&how);
  posix_spawn_file_actions_adddup2(&files, lock_, lock_in_child);
  posix_spawn_file_actions_addopen(&files, 1, log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&how, &none);
  posix_spawnattr_setsigdefault(&how, &all);
  posix_spawnattr_setpgroup(&how, 0); // Ctrl-C on this node's terminal is not meant for it
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  pid_t pid = 0;
  const int failed = ::posix_spawnp(&pid, argv[0], &files, &how, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&how);
  if (failed != 0) {
    error = "cannot start " + options_.program + ": " + std::strerror(failed);
    return false;
  }
  ::close(lock_); // the child has it now
  lock_ = -1;
  std::ofstream(options_.folder + "/pid") << pid;
  started_ = heard_ = clock::now();
  look_at_ = started_ + step_time;
  {
    std::lock_guard held(mutex_);
    status_.pid = pid;
    status_.adopted = false;
    ++status_.starts;
  }
  set_state(etcd_child_state::starting);
  return true;
}

/// The lock is taken: a process from before this node's own start is there, or is ending.
void etcd_child::adopt() {
  const pid_t pid = std::atoi(text_of(options_.folder + "/pid").c_str());
  const std::string command = text_of("/proc/" + std::to_string(pid) + "/cmdline");
  again_at_ = clock::now() + step_time;
  if (pid <= 1 || command.find("--data-dir=" + data_folder()) == std::string::npos) return;
  {
    std::lock_guard held(mutex_);
    status_.pid = pid;
    status_.adopted = true;
  }
  started_ = heard_ = clock::now();
  look_at_ = started_;
  set_state(etcd_child_state::starting, "found running");
}

/// Whether it has ended; then it is started again in a while.
bool etcd_child::gone() {
  const etcd_child_status now = status();
  if (now.adopted) {
    if (!take_lock()) return false;
    it_ended("it ended");
    return true;
  }
  int how = 0;
  if (::waitpid(now.pid, &how, WNOHANG) != now.pid) return false;
  it_ended(WIFSIGNALED(how) ? "it was ended by signal " + std::to_string(WTERMSIG(how))
                            : "it ended with status " + std::to_string(WEXITSTATUS(how)));
  return true;
}

void etcd_child::it_ended(const std::string& how) {
  pause_ = clock::now() - started_ > settled ? std::chrono::milliseconds(0) : pause_;
  pause_ = std::clamp<std::chrono::milliseconds>(pause_ * 2, first_pause, longest_pause);
  again_at_ = clock::now() + pause_;
  {
    std::lock_guard held(mutex_);
    status_.pid = 0;
    status_.adopted = false;
  }
  set_state(etcd_child_state::pausing, how + "; see " + options_.folder + "/log");
}

void etcd_child::look() {
  bool ok = false;
  const std::string body = ask_etcd(options_, endpoint(), "/health", "", ok);
  look_at_ = clock::now() + (status().state == etcd_child_state::starting ? step_time : look_time);
  if (ok && says_healthy(body)) {
    heard_ = clock::now();
    return set_state(etcd_child_state::serving);
  }
  if (!body.empty()) heard_ = clock::now(); // alive, and without a majority: others are to be waited for
  if (status().state != etcd_child_state::starting)
    set_state(etcd_child_state::silent, body.empty() ? "it does not answer" : "it has no majority");
  if (clock::now() - heard_ < patience) return;
  ::kill(status().pid, SIGKILL);
  heard_ = clock::now();
}

void etcd_child::end_it() {
  const etcd_child_status now = status();
  if (now.pid == 0) return;
  const auto gone_within = [&](std::chrono::milliseconds limit) {
    for (const auto end = clock::now() + limit; clock::now() < end; std::this_thread::sleep_for(10ms)) {
      if (now.adopted ? take_lock() : ::waitpid(now.pid, nullptr, WNOHANG) == now.pid) return true;
    }
    return false;
  };
  ::kill(now.pid, SIGTERM);
  if (!gone_within(end_patience)) {
    ::kill(now.pid, SIGKILL);
    gone_within(end_patience);
  }
  std::lock_guard held(mutex_);
  status_.pid = 0;
}

// -- members
// --------------------------------------------------------------------------------------------------------------------

bool etcd_child::found(std::string& error) {
  std::lock_guard held(doing_);
  return found_etcd(options_, error);
}

bool etcd_child::join(const std::vector<std::string>& endpoints, std::string& error) {
  std::lock_guard held(doing_);
  return join_etcd(options_, endpoints, error);
}

bool etcd_child::leave(std::string& error) {
  std::lock_guard held(doing_);
  if (!leave_etcd(options_, {}, error)) return false;
  set_aside();
  return true;
}

/// What it knew is kept for a person to look at, and never used again.
void etcd_child::set_aside() {
  end_it();
  std::error_code ignored;
  std::filesystem::remove_all(data_folder() + ".left", ignored);
  std::filesystem::rename(data_folder(), data_folder() + ".left", ignored);
  set_state(etcd_child_state::unfounded, "it has left");
}

} // namespace pg_edge::actors
