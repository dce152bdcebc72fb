#include "tests/support/fault_proxy.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace pg_edge::test {

namespace {

constexpr std::size_t read_size = 16384;
constexpr std::size_t most_held = 1 << 20; // bytes of a heading under way, as a long line holds them
constexpr std::size_t longest_segment = 1400;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void send_at_once(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void reset_and_close(int fd) {
  const linger at_once{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(fd);
}

/// From now on the kernel drops whatever arrives at the socket: it acknowledges nothing and answers no probe.
void drop_all_input(int fd) {
  sock_filter none{BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog program{1, &none};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
    throw test_failure(std::string("a socket cannot be made deaf: ") + std::strerror(errno));
}

} // namespace

/// The bytes of one heading of one connection.
struct fault_proxy::flow {
  struct chunk {
    clock::time_point due;
    std::string bytes;
  };
  int from = -1, to = -1;
  way how;
  std::deque<chunk> held;
  std::size_t held_bytes = 0;
  std::size_t passed = 0; // since it was steered last
  clock::time_point next_at{};
  bool ended = false;    // `from` has said FIN
  bool finished = false; // and `to` has been told
  bool blocked = false;  // `to` takes nothing now

  /// What is held together goes together.
  void merge() {
    std::string all;
    for (const chunk& each : held)
      all += each.bytes;
    const clock::time_point due = held.front().due;
    held.clear();
    held.push_back({due, std::move(all)});
  }

  void steer(const way& now) {
    how = now;
    passed = 0;
  }
};

struct fault_proxy::link {
  int number = 0;
  int origin = -1, target = -1;
  flow flows[2]; // to_target, to_origin
  bool dead = false;
};

fault_proxy::fault_proxy(std::uint16_t to, unsigned seed, int receive_buffer) : to_(to), random_(seed) {
  listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  waker_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (receive_buffer > 0) ::setsockopt(listening_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  sockaddr_in here = loopback(0);
  socklen_t length = sizeof here;
  if (::bind(listening_, reinterpret_cast<sockaddr*>(&here), length) != 0 || ::listen(listening_, 256) != 0 ||
      ::getsockname(listening_, reinterpret_cast<sockaddr*>(&here), &length) != 0)
    throw test_failure(std::string("the proxy cannot listen: ") + std::strerror(errno));
  port_ = ntohs(here.sin_port);
  thread_ = std::thread([this] { serve(); });
}

fault_proxy::~fault_proxy() {
  stopping_ = true;
  wake();
  thread_.join();
  for (link& one : links_) {
    ::close(one.origin);
    ::close(one.target);
  }
  for (const int fd : far_ends_)
    ::close(fd);
  for (const int fd : gone_)
    ::close(fd);
  ::close(listening_);
  ::close(waker_);
}

void fault_proxy::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(waker_, &one, sizeof one);
}

// -- steering ----------------------------------------------------------------------------------------------------

void fault_proxy::set(heading which, const way& how) {
  {
    std::lock_guard guard(lock_);
    for (int i = 0; i < 2; ++i) {
      if (which != heading::both && static_cast<int>(which) != i) continue;
      ways_[i] = how;
      for (link& one : links_)
        one.flows[i].steer(how);
    }
  }
  wake();
}

void fault_proxy::clear() {
  set(heading::both, {});
  std::lock_guard guard(lock_);
  refusing_ = ignoring_ = false;
}

void fault_proxy::refuse(bool on) {
  std::lock_guard guard(lock_);
  refusing_ = on;
}

void fault_proxy::ignore_new(bool on) {
  std::lock_guard guard(lock_);
  ignoring_ = on;
}

int fault_proxy::vanished_within(milliseconds time) const {
  std::lock_guard guard(lock_);
  const clock::time_point since = clock::now() - time;
  return static_cast<int>(
      std::count_if(vanished_at_.begin(), vanished_at_.end(), [&](clock::time_point when) { return when >= since; }));
}

std::vector<int> fault_proxy::connections() const {
  std::lock_guard guard(lock_);
  std::vector<int> numbers;
  for (const link& one : links_)
    if (!one.dead) numbers.push_back(one.number);
  return numbers;
}

fault_proxy::link* fault_proxy::find(int connection) {
  for (link& one : links_)
    if (one.number == connection && !one.dead) return &one;
  return nullptr;
}

void fault_proxy::set(int connection, heading which, const way& how) {
  {
    std::lock_guard guard(lock_);
    link* found = find(connection);
    if (found == nullptr) return;
    for (int i = 0; i < 2; ++i)
      if (which == heading::both || static_cast<int>(which) == i) found->flows[i].steer(how);
  }
  wake();
}

void fault_proxy::end(int connection, ending how, side whose) {
  {
    std::lock_guard guard(lock_);
    if (link* found = find(connection)) end_link(*found, how, whose);
  }
  wake();
}

void fault_proxy::end_all(ending how, side whose) {
  {
    std::lock_guard guard(lock_);
    for (link& one : links_)
      if (!one.dead) end_link(one, how, whose);
  }
  wake();
}

void fault_proxy::end_link(link& which, ending how, side whose) {
  which.dead = true;
  --open_;
  if (how == ending::vanish) {
    for (const int fd : {which.origin, which.target}) {
      drop_all_input(fd);
      gone_.push_back(fd);
    }
    vanished_at_.push_back(clock::now());
    return;
  }
  const int near = whose == side::origin ? which.origin : which.target;
  const int far = whose == side::origin ? which.target : which.origin;
  if (how == ending::reset)
    reset_and_close(near);
  else
    ::close(near);
  ::shutdown(far, SHUT_WR);
  far_ends_.push_back(far);
  ++orphans_;
}

// -- the thread --------------------------------------------------------------------------------------------------

void fault_proxy::serve() {
  while (!stopping_) {
    std::vector<pollfd> watched{{listening_, POLLIN, 0}, {waker_, POLLIN, 0}};
    int limit = 0;
    {
      std::lock_guard guard(lock_);
      limit = wait_milliseconds(clock::now());
      for (const link& one : links_) {
        for (const flow& half : one.flows) {
          if (!half.ended && !half.how.stopped && half.held_bytes < most_held)
            watched.push_back({half.from, POLLIN, 0});
          if (half.blocked) watched.push_back({half.to, POLLOUT, 0});
        }
      }
      for (const int fd : far_ends_)
        watched.push_back({fd, POLLIN, 0});
    }
    ::poll(watched.data(), watched.size(), limit);
    std::uint64_t ignored = 0;
    [[maybe_unused]] const auto taken = ::read(waker_, &ignored, sizeof ignored);
    std::lock_guard guard(lock_);
    if (watched[0].revents != 0) take_new();
    const clock::time_point now = clock::now();
    for (link& one : links_) {
      for (flow& half : one.flows)
        if (!one.dead) pump(one, half, now);
      if (!one.dead) finish_if_done(one);
    }
    links_.remove_if([](const link& one) { return one.dead; });
    hear_orphans();
  }
}

/// Until the next held byte is due; 0 when one is.
int fault_proxy::wait_milliseconds(clock::time_point now) {
  clock::time_point first = now + milliseconds(200);
  for (const link& one : links_)
    for (const flow& half : one.flows)
      if (!half.held.empty() && !half.blocked && !half.how.stopped)
        first = std::min(first, std::max(half.held.front().due, half.next_at));
  if (first <= now) return 0;
  return static_cast<int>(std::chrono::duration_cast<milliseconds>(first - now).count()) + 1;
}

void fault_proxy::take_new() {
  for (int from = 0; (from = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
    ++accepted_;
    if (refusing_) {
      reset_and_close(from);
      continue;
    }
    if (ignoring_) {
      far_ends_.push_back(from); // heard until it goes
      ++orphans_;
      continue;
    }
    const int there = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in target = loopback(to_);
    // Blocking: to the loopback interface it is done or refused at once.
    if (::connect(there, reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
      ::close(there);
      reset_and_close(from);
      continue;
    }
    for (const int fd : {from, there})
      send_at_once(fd);
    link& one = links_.emplace_back();
    one.number = accepted_;
    one.origin = from;
    one.target = there;
    one.flows[0].from = one.flows[1].to = from;
    one.flows[0].to = one.flows[1].from = there;
    one.flows[0].how = ways_[0];
    one.flows[1].how = ways_[1];
    ++open_;
  }
}

void fault_proxy::finish_if_done(link& which) {
  if (!which.flows[0].finished || !which.flows[1].finished) return;
  ::close(which.origin);
  ::close(which.target);
  which.dead = true;
  --open_;
}

void fault_proxy::hear_orphans() {
  char ignored[read_size];
  for (auto one = far_ends_.begin(); one != far_ends_.end();) {
    const ssize_t got = ::recv(*one, ignored, sizeof ignored, MSG_DONTWAIT);
    const bool closed = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
    if (closed) {
      ::close(*one);
      --orphans_;
    }
    one = closed ? far_ends_.erase(one) : one + 1;
  }
}

// -- bytes -------------------------------------------------------------------------------------------------------

void fault_proxy::pump(link& which, flow& one, clock::time_point now) {
  if (one.how.stopped) return;
  read_some(which, one, now);
  if (which.dead) return;
  one.blocked = false;
  // Small pieces go one a turn, so that their receiver has a chance to see each alone.
  const bool small = one.how.in == pieces::single_bytes || one.how.in == pieces::random_sizes;
  while (send_piece(which, one, now) && !small) {
  }
  if (which.dead || !one.held.empty() || !one.ended || one.finished) return;
  one.finished = true;
  ::shutdown(one.to, SHUT_WR);
}

void fault_proxy::read_some(link& which, flow& one, clock::time_point now) {
  if (one.ended || one.held_bytes >= most_held) return;
  char buffer[read_size];
  const ssize_t got = ::recv(one.from, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) return end_link(which, ending::reset, one.to == which.origin ? side::origin : side::target);
  if (got == 0) {
    one.ended = true;
    return;
  }
  const milliseconds wait = one.how.in == pieces::merged ? one.how.delay + merge_time : one.how.delay;
  one.held.push_back({now + wait, std::string(buffer, static_cast<std::size_t>(got))});
  one.held_bytes += static_cast<std::size_t>(got);
}

std::size_t fault_proxy::piece_size(const flow& one) {
  switch (one.how.in) {
  case pieces::single_bytes:
    return 1;
  case pieces::random_sizes:
    return 1 + random_() % (random_() % 2 == 0 ? 16 : longest_segment);
  default:
    // What is throttled goes in small portions, so that it flows evenly.
    return one.how.bytes_per_second > 0 ? std::max<std::size_t>(one.how.bytes_per_second / 100, 1) : most_held;
  }
}

/// True when a piece has gone and the next may follow at once.
bool fault_proxy::send_piece(link& which, flow& one, clock::time_point now) {
  if (one.held.empty() || now < one.held.front().due || now < one.next_at) return false;
  if (one.how.in == pieces::merged) one.merge();
  std::string& front = one.held.front().bytes;
  std::size_t size = std::min(front.size(), piece_size(one));
  if (one.how.end_after > 0) size = std::min(size, std::max(one.how.end_after, one.passed) - one.passed);
  const ssize_t sent = size == 0 ? 0 : ::send(one.to, front.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
    one.blocked = true;
    return false;
  }
  if (sent < 0) {
    end_link(which, ending::reset, one.from == which.origin ? side::origin : side::target);
    return false;
  }
  const auto count = static_cast<std::size_t>(sent);
  bytes_ += count;
  one.passed += count;
  one.held_bytes -= count;
  front.erase(0, count);
  if (front.empty()) one.held.pop_front();
  if (one.how.bytes_per_second > 0)
    one.next_at = now + std::chrono::microseconds(count * 1'000'000 / one.how.bytes_per_second);
  if (one.how.end_after > 0 && one.passed >= one.how.end_after) {
    end_link(which, one.how.how, one.how.whose);
    return false;
  }
  return true;
}

} // namespace pg_edge::test
