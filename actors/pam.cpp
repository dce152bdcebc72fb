#include "actors/pam.hpp"

#include "actors/log.hpp"

#include <openssl/crypto.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <netdb.h>
#include <optional>
#include <security/pam_appl.h>
#include <system_error>
#include <thread>

namespace pg_edge::actors {

namespace {

/// How long close() waits for modules that are under way.
constexpr std::chrono::seconds patience{3};

/// PAM's questions are answered with the password, which the client gave before. What else a module asks cannot be
/// answered. What it says goes to the log.
int converse(int count, const pam_message** messages, pam_response** responses, void* about) {
  const auto& question = *static_cast<const pam_question*>(about);
  if (count <= 0 || count > PAM_MAX_NUM_MSG) return PAM_CONV_ERR;
  auto* answers = static_cast<pam_response*>(std::calloc(static_cast<std::size_t>(count), sizeof(pam_response)));
  if (answers == nullptr) return PAM_BUF_ERR;
  const auto give_up = [&](int status) {
    for (int i = 0; i < count; ++i) {
      if (answers[i].resp != nullptr) OPENSSL_cleanse(answers[i].resp, std::strlen(answers[i].resp));
      std::free(answers[i].resp);
    }
    std::free(answers);
    return status;
  };
  for (int i = 0; i < count; ++i) {
    const pam_message& asked = *messages[i];
    switch (asked.msg_style) {
    case PAM_PROMPT_ECHO_OFF:
      answers[i].resp = ::strdup(question.password.c_str());
      if (answers[i].resp == nullptr) return give_up(PAM_BUF_ERR);
      break;
    case PAM_ERROR_MSG:
      log(level::warning, log_event::pam_message, {{"user", question.user}, {"says", asked.msg}});
      break;
    case PAM_TEXT_INFO:
      break;
    default:
      log(level::warning, log_event::pam_message, {{"user", question.user}, {"asks", asked.msg}});
      return give_up(PAM_CONV_ERR);
    }
  }
  *responses = answers;
  return PAM_SUCCESS;
}

/// The name of an address; the address itself if it has none.
std::string name_of(const std::string& address) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), nullptr, &hints, &found) != 0) return address;
  char name[NI_MAXHOST];
  const int status = ::getnameinfo(found->ai_addr, found->ai_addrlen, name, sizeof name, nullptr, 0, 0);
  ::freeaddrinfo(found);
  return status == 0 ? name : address;
}

int start(const pam_question& about, const pam_conv& conversation, pam_handle_t*& handle) {
  const auto slash = about.service.rfind('/');
  if (slash == std::string::npos) return ::pam_start(about.service.c_str(), about.user.c_str(), &conversation, &handle);
  return ::pam_start_confdir(about.service.substr(slash + 1).c_str(), about.user.c_str(), &conversation,
                             about.service.substr(0, slash).c_str(), &handle);
}

} // namespace

pam_question::~pam_question() {
  OPENSSL_cleanse(password.data(), password.size());
}

pam_answer check_with_pam(const pam_question& about) {
  const pam_conv conversation{converse, const_cast<pam_question*>(&about)}; // converse() only reads it
  pam_handle_t* handle = nullptr;
  std::string at = "pam_start";
  int status = start(about, conversation, handle);
  const auto go_on = [&](const char* step, auto&& call) {
    if (status != PAM_SUCCESS) return;
    at = step;
    status = call();
  };
  if (!about.host.empty()) {
    const std::string host = about.by_name ? name_of(about.host) : about.host;
    go_on("PAM_RHOST", [&] { return ::pam_set_item(handle, PAM_RHOST, host.c_str()); });
  }
  go_on("pam_authenticate", [&] { return ::pam_authenticate(handle, 0); });
  go_on("pam_acct_mgmt", [&] { return ::pam_acct_mgmt(handle, 0); });
  pam_answer answer{status == PAM_SUCCESS, {}};
  if (!answer.right) answer.why = "PAM: " + at + ": " + ::pam_strerror(handle, status) + ", service " + about.service;
  if (handle != nullptr) ::pam_end(handle, status);
  return answer;
}

// -- threads
// ---------------------------------------------------------------------------------------------------------------

struct pam_threads::shared_state {
  struct job {
    std::weak_ptr<const pam_question> about;
    tell on_answer;
  };

  std::mutex lock;
  std::condition_variable work, ended;
  std::deque<job> jobs;
  std::size_t threads = 0, idle = 0;
  bool closed = false;

  std::optional<job> next();
  void run();
};

namespace {

/// Signals that people send are for the main thread, and a helper that hangs up early must not end us. Programs that
/// modules start inherit the others as they should be.
void set_up_thread() {
  pthread_setname_np(pthread_self(), "pam");
  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int number : {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE})
    sigaddset(&blocked, number);
  pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
}

} // namespace

/// The next job that somebody still waits for; nullopt: the end.
std::optional<pam_threads::shared_state::job> pam_threads::shared_state::next() {
  std::unique_lock hold(lock);
  ++idle;
  work.wait(hold, [this] { return closed || !jobs.empty(); });
  --idle;
  if (closed) return std::nullopt;
  job mine = std::move(jobs.front());
  jobs.pop_front();
  return mine;
}

void pam_threads::shared_state::run() {
  while (const auto mine = next()) {
    const auto about = mine->about.lock();
    if (!about) continue; // its client has left
    pam_answer answer = check_with_pam(*about);
    const std::lock_guard hold(lock);
    if (!closed) mine->on_answer(std::move(answer));
  }
  const std::lock_guard hold(lock);
  --threads;
  ended.notify_all();
}

pam_threads::pam_threads() : state_(std::make_shared<shared_state>()) {}

pam_threads::~pam_threads() {
  close();
}

bool pam_threads::ask(const std::shared_ptr<const pam_question>& about, tell on_answer) {
  shared_state& state = *state_;
  const std::lock_guard hold(state.lock);
  if (state.closed) return false;
  std::erase_if(state.jobs, [](const auto& one) { return one.about.expired(); });
  if (state.jobs.size() >= max_waiting) return false;
  state.jobs.push_back({about, std::move(on_answer)});
  if (state.jobs.size() <= state.idle || state.threads >= max_threads) {
    state.work.notify_one();
    return true;
  }
  try {
    std::thread([shared = state_] {
      set_up_thread();
      shared->run();
    }).detach(); // see close()
    ++state.threads;
  } catch (const std::system_error&) { // no thread to be had: the others do it, if there are any
    if (state.threads == 0) state.jobs.pop_back();
  }
  return !state.jobs.empty();
}

void pam_threads::close() {
  std::unique_lock hold(state_->lock);
  state_->closed = true;
  state_->jobs.clear();
  state_->work.notify_all();
  state_->ended.wait_for(hold, patience, [this] { return state_->threads == 0; });
}

} // namespace pg_edge::actors
