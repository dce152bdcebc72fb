#include "actors/lookup_thread.hpp"

#include <algorithm>
#include <csignal>
#include <poll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>

namespace pg_edge::actors {

namespace {

/// How often it looks when a question waits for a place among the connections.
constexpr std::chrono::milliseconds look_for_room{50};

} // namespace

lookup_thread::lookup_thread(report on_result) : on_result_(std::move(on_result)) {
  wake_up_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_up_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  thread_ = std::thread([this] { run(); });
}

lookup_thread::~lookup_thread() {
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
  ::close(wake_up_);
}

void lookup_thread::wake() {
  ::eventfd_write(wake_up_, 1);
}

void lookup_thread::ask(lookup_job job) {
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    inbox_.push_back(std::move(job));
  }
  wake();
}

/// False: the end.
bool lookup_thread::take_inbox(std::list<lookup_job>& out) {
  const std::lock_guard<std::mutex> hold(mutex_);
  out.splice(out.end(), inbox_);
  return !stopping_;
}

void lookup_thread::run() {
  sigset_t all; // signals are for the main thread
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  pthread_setname_np(pthread_self(), "user_lookup");
  std::list<lookup_job> waiting;
  while (take_inbox(waiting)) {
    assign(waiting, clock::now());
    tell();
    watch(!waiting.empty());
    tell();
    std::erase_if(open_, [](const auto& one) { return one.second.over(); });
  }
  open_.clear();
}

/// Leaves in `jobs` what has to wait for a connection.
void lookup_thread::assign(std::list<lookup_job>& jobs, clock::time_point now) {
  for (auto job = jobs.begin(); job != jobs.end();) {
    auto place = open_.find(job->connection);
    if (place != open_.end() && place->second.over()) {
      open_.erase(place);
      place = open_.end();
    }
    if (place == open_.end() && !make_room()) {
      ++job;
      continue;
    }
    if (place == open_.end()) place = open_.try_emplace(job->connection, *job, now).first;
    place->second.ask(std::move(*job), now, results_);
    job = jobs.erase(job);
  }
}

/// Closes the connection that was idle the longest, when there is no place for one more.
bool lookup_thread::make_room() {
  if (open_.size() < max_connections) return true;
  auto oldest = open_.end();
  for (auto one = open_.begin(); one != open_.end(); ++one)
    if (one->second.idle() && (oldest == open_.end() || one->second.idle_since() < oldest->second.idle_since()))
      oldest = one;
  if (oldest == open_.end()) return false;
  open_.erase(oldest);
  return true;
}

/// Waits for sockets, deadlines and new questions, and goes on with every connection that has something to do.
void lookup_thread::watch(bool jobs_wait) {
  std::vector<pollfd> watched{{wake_up_, POLLIN, 0}};
  std::vector<lookup_connection*> of;
  auto until = clock::time_point::max();
  for (auto& [name, one] : open_) {
    if (one.over()) continue;
    watched.push_back({one.descriptor(), one.wanted_events(), 0});
    of.push_back(&one);
    until = std::min(until, one.deadline());
  }
  const auto now = clock::now();
  if (jobs_wait) until = std::min(until, now + look_for_room);
  int limit = -1;
  if (until != clock::time_point::max())
    limit = static_cast<int>(
        std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(until - now).count(), 0, 3'600'000));
  ::poll(watched.data(), watched.size(), limit);
  eventfd_t taken = 0;
  ::eventfd_read(wake_up_, &taken);
  const auto later = clock::now();
  for (std::size_t i = 0; i < of.size(); ++i)
    of[i]->step(watched[i + 1].revents != 0, later, results_);
}

void lookup_thread::tell() {
  for (lookup_result& one : results_)
    on_result_(std::move(one));
  results_.clear();
}

} // namespace pg_edge::actors
