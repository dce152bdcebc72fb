#include "actors/service_manager.hpp"

#include "actors/node_context.hpp"
#include "actors/pinned_actor.hpp"
#include "actors/stream.hpp"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <systemd/sd-daemon.h>

namespace pg_edge::actors {

namespace service_manager {

namespace {

void tell(const std::string& words) {
  ::sd_notify(0, words.c_str()); // nobody to tell it to is no error
}

} // namespace

void ready(const std::string& status) {
  tell("READY=1\nSTATUS=" + status);
}

/// The time lets systemd tell this reload from the answer to an earlier one.
void reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto microseconds = std::uint64_t{1'000'000} * static_cast<std::uint64_t>(now.tv_sec) +
                            static_cast<std::uint64_t>(now.tv_nsec) / 1000;
  tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds) + "\nSTATUS=Reading the settings again");
}

void stopping(const std::string& status) {
  tell("STOPPING=1\nSTATUS=" + status);
}

void status(const std::string& status) {
  tell("STATUS=" + status);
}

void main_process(pid_t other) {
  tell("MAINPID=" + std::to_string(other) + "\nREADY=1\nSTATUS=Process " + std::to_string(other) + " takes over");
}

std::vector<passed_socket> passed_sockets(const std::vector<std::string>& doors) {
  std::vector<passed_socket> result;
  char** names = nullptr;
  const int count = ::sd_listen_fds_with_names(1, &names);
  for (int i = 0; i < count; ++i) {
    passed_socket one;
    one.fd.reset(SD_LISTEN_FDS_START + i);
    if (names != nullptr && names[i] != nullptr) {
      if (std::find(doors.begin(), doors.end(), names[i]) != doors.end()) one.door = names[i];
      std::free(names[i]);
    }
    if (::sd_is_socket(one.fd.get(), AF_UNSPEC, SOCK_STREAM, 1) <= 0) continue; // nothing one could accept from
    set_nonblocking(one.fd.get());
    ::fcntl(one.fd.get(), F_SETFD, FD_CLOEXEC);
    const auto address = local_address(one.fd.get());
    one.name = !address             ? "socket " + std::to_string(one.fd.get())
               : address->port == 0 ? address->host
                                    : address->host + ":" + std::to_string(address->port);
    result.push_back(std::move(one));
  }
  std::free(static_cast<void*>(names));
  return result;
}

std::chrono::microseconds watchdog_interval() {
  std::uint64_t interval = 0;
  return std::chrono::microseconds(::sd_watchdog_enabled(0, &interval) > 0 ? interval : 0);
}

} // namespace service_manager

// -- the watchdog
// --------------------------------------------------------------------------------------------------------------

namespace {

/// Says once, on its reactor, that this reactor has had a turn.
class pulse final : public pinned_actor {
public:
  pulse(caf::actor_config& config, reactor& home, std::shared_ptr<std::atomic<std::uint64_t>> answers)
      : pinned_actor(config, home), answers_(std::move(answers)) {}

  caf::behavior make_behavior() override {
    answers_->fetch_add(1, std::memory_order_relaxed);
    quit();
    return {[](int) {}};
  }

private:
  std::shared_ptr<std::atomic<std::uint64_t>> answers_;
};

} // namespace

void watchdog::start(node_context& node, std::chrono::microseconds interval) {
  node_ = &node;
  interval_ = interval;
  next_ = {};
}

/// A round that is not complete is waited for: no word goes out until it is.
void watchdog::look() {
  if (interval_.count() == 0 || node_->reactors.empty() || clock::now() < next_) return;
  if (answers_ && answers_->load(std::memory_order_relaxed) < node_->reactors.size()) return;
  if (answers_) {
    ++round_;
    ::sd_notify(
        0,
        ("WATCHDOG=1\nSTATUS=" + std::to_string(node_->clients.load(std::memory_order_relaxed)) + " clients").c_str());
  }
  next_ = clock::now() + interval_ / 4;
  answers_ = std::make_shared<std::atomic<std::uint64_t>>(0);
  for (const auto& one : node_->reactors)
    spawn_pinned<pulse>(*one, answers_);
}

} // namespace pg_edge::actors
