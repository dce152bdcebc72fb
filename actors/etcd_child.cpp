#include "actors/etcd_child.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <curl/curl.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
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
using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto step_time = 100ms, look_time = 1000ms;
constexpr auto first_pause = 500ms, longest_pause = 10'000ms;
/// One that has run for so long did not fail at its start.
constexpr auto settled = 30s;
/// One that says nothing for so long is started anew.
constexpr auto patience = 30s;
constexpr auto end_patience = 5s;
constexpr long call_limit_ms = 2000;
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

bool write_whole(const std::string& file, const std::string& text) {
  std::ofstream(file + ".new") << text;
  return ::rename((file + ".new").c_str(), file.c_str()) == 0;
}

std::size_t keep_body(char* data, std::size_t, std::size_t size, void* of) {
  auto& body = *static_cast<std::string*>(of);
  if (body.size() + size > (1 << 20)) return 0;
  body.append(data, size);
  return size;
}

std::string member_text(const json& of, const char* name) {
  const auto found = of.is_object() ? of.find(name) : of.end();
  return of.is_object() && found != of.end() && found->is_string() ? found->get<std::string>() : std::string();
}

json parsed(const std::string& text) {
  return json::parse(text, nullptr, false);
}

json list_of(const json& of, const char* name) {
  return of.is_object() && of.contains(name) && of[name].is_array() ? of[name] : json::array();
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

/// The plan says with which members it begins; what it has learned since is in its data.
bool etcd_child::founded() const {
  return std::filesystem::exists(options_.folder + "/plan");
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
  if (!founded()) return;
  const pid_t pid = status().pid;
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
  const json plan = parsed(text_of(options_.folder + "/plan"));
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
                                 "--initial-cluster=" + member_text(plan, "members"),
                                 "--initial-cluster-state=" + member_text(plan, "state"),
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
  write_whole(options_.folder + "/pid", std::to_string(pid));
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
  const std::string body = call(endpoint(), "/health", "", ok);
  look_at_ = clock::now() + (status().state == etcd_child_state::starting ? step_time : look_time);
  if (ok && member_text(parsed(body), "health") == "true") {
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

bool etcd_child::write_plan(const std::string& members, const std::string& state, std::string& error) {
  if (write_whole(options_.folder + "/plan", json{{"members", members}, {"state", state}}.dump())) return true;
  error = "cannot write to " + options_.folder + ": " + std::strerror(errno);
  return false;
}

bool etcd_child::found(std::string& error) {
  std::lock_guard held(doing_);
  if (founded()) {
    error = "this node has a member of the cluster \"" + options_.cluster + "\" already, in " + options_.folder;
    return false;
  }
  return write_plan(options_.name + "=" + scheme() + "://" + options_.peer_address, "new", error);
}

bool etcd_child::join(const std::vector<std::string>& endpoints, std::string& error) {
  std::lock_guard held(doing_);
  if (founded()) {
    error = "this node is a member already, with its data in " + options_.folder;
    return false;
  }
  const std::string own = scheme() + "://" + options_.peer_address;
  error = "none of the endpoints answers";
  for (const std::string& endpoint : endpoints) {
    bool ok = false;
    const std::string body = call(endpoint, "/v3/cluster/member/add", json{{"peerURLs", {own}}}.dump(), ok);
    const json answer = parsed(body);
    if (!ok) {
      if (!member_text(answer, "error").empty()) error = member_text(answer, "error");
      continue;
    }
    std::string members;
    for (const json& one : list_of(answer, "members"))
      for (const json& url : list_of(one, "peerURLs"))
        if (url.is_string()) {
          const bool mine = url.get<std::string>() == own;
          members += (members.empty() ? "" : ",") + (mine ? options_.name : member_text(one, "name")) + "=" +
                     url.get<std::string>();
        }
    return write_plan(members, "existing", error);
  }
  return false;
}

bool etcd_child::leave(std::string& error) {
  std::lock_guard held(doing_);
  bool ok = false;
  const json listed = parsed(call(endpoint(), "/v3/cluster/member/list", "{}", ok));
  const json members = list_of(listed, "members");
  if (!ok || members.empty()) {
    error = "the cluster's store does not answer; a member can leave only while a majority is there";
    return false;
  }
  if (members.size() == 1) {
    error = "this is the last member; the cluster's data would be lost";
    return false;
  }
  for (const json& one : members) {
    if (member_text(one, "name") != options_.name) continue;
    for (const json& other : members) { // by another member, which goes on to be there
      const json urls = list_of(other, "clientURLs");
      if (member_text(other, "name") == options_.name || urls.empty() || !urls[0].is_string()) continue;
      const std::string body = call(urls[0].get<std::string>(), "/v3/cluster/member/remove",
                                    json{{"ID", member_text(one, "ID")}}.dump(), ok);
      if (!ok) {
        error = "the other members do not let it go: " + member_text(parsed(body), "error");
        continue;
      }
      end_it();
      std::error_code ignored;
      std::filesystem::remove_all(data_folder() + ".left", ignored);
      std::filesystem::rename(data_folder(), data_folder() + ".left", ignored);
      std::filesystem::remove(options_.folder + "/plan", ignored);
      set_state(etcd_child_state::unfounded);
      return true;
    }
    return false;
  }
  error = "no member has the name \"" + options_.name + "\"";
  return false;
}

/// `ok`: HTTP said 200. The answer is empty if there was none.
std::string etcd_child::call(const std::string& endpoint, const std::string& path, const std::string& body,
                             bool& ok) const {
  ok = false;
  const std::unique_ptr<CURL, void (*)(CURL*)> easy(curl_easy_init(), curl_easy_cleanup);
  if (!easy) return {};
  std::string answer;
  const std::string url = endpoint + path;
  curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT_MS, call_limit_ms);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, &keep_body);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &answer);
  if (!body.empty()) curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDS, body.c_str());
  if (!options_.ca_file.empty()) {
    curl_easy_setopt(easy.get(), CURLOPT_CAINFO, options_.ca_file.c_str());
    curl_easy_setopt(easy.get(), CURLOPT_SSLCERT, options_.cert_file.c_str());
    curl_easy_setopt(easy.get(), CURLOPT_SSLKEY, options_.key_file.c_str());
  }
  long status = 0;
  if (curl_easy_perform(easy.get()) == CURLE_OK) curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  ok = status == 200;
  return answer;
}

} // namespace pg_edge::actors
