// The reactor's loop: descriptors, timers, ends of turns, fairness.
#include "actors/pinned_actor.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/all.hpp>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fcntl.h>
#include <functional>
#include <future>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace pg_edge::actors;
using namespace std::chrono_literals;

namespace {

struct one_reactor {
  caf::actor_system_config config;
  caf::actor_system system{config};
  reactor r{system, 5};
  one_reactor() { r.start(); }
  ~one_reactor() {
    r.stop();
    r.join();
  }
};

struct socket_pair {
  int ends[2];
  socket_pair() { BOOST_TEST_REQUIRE((socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0)); }
  ~socket_pair() {
    close(ends[0]);
    close(ends[1]);
  }
};

struct handler final : io_handler {
  std::function<void(std::uint32_t)> on;
  std::function<void()> broken;
  void on_io(std::uint32_t events) override { on(events); }
  void on_broken() noexcept override {
    if (broken) broken();
  }
};

struct task final : turn_task {
  std::function<void()> at_end;
  void end_turn() override { at_end(); }
};

// Runs functions on a reactor: an actor whose messages are functions.
using work = std::function<void(reactor&)>;

class runner : public pinned_actor {
public:
  runner(caf::actor_config& config, reactor& home, work w) : pinned_actor(config, home), work_(std::move(w)) {}

protected:
  caf::behavior make_behavior() override {
    work_(home());
    return {};
  }

private:
  work work_;
};

// Runs `w` on `r` and waits until it is done.
void run_on(reactor& r, work w) {
  std::promise<void> done;
  spawn_pinned<runner>(r, work([&](reactor& here) {
                         w(here);
                         done.set_value();
                       }));
  done.get_future().get();
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 10000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

} // namespace

BOOST_AUTO_TEST_SUITE(reactor_test)

BOOST_AUTO_TEST_CASE(knows_its_thread_and_index) {
  one_reactor h;
  BOOST_TEST((reactor::current() == nullptr));
  run_on(h.r, [&](reactor& here) {
    BOOST_TEST((reactor::current() == &h.r));
    BOOST_TEST((here.index() == 5u));
    BOOST_TEST((here.scratch().size() == 65536u));
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    BOOST_TEST((sigismember(&blocked, SIGTERM) == 1));
  });
}

BOOST_AUTO_TEST_CASE(a_descriptor_reports_edges) {
  one_reactor h;
  socket_pair s;
  handler in;
  std::atomic<int> readable{0}, hung_up{0}, writable{0};
  in.on = [&](std::uint32_t events) {
    if (events & EPOLLIN) ++readable;
    if (events & EPOLLOUT) ++writable;
    if (events & EPOLLRDHUP) ++hung_up;
  };
  run_on(h.r, [&](reactor& r) { BOOST_TEST(r.watch(s.ends[0], in)); });
  BOOST_TEST(eventually([&] { return writable >= 1; }));
  BOOST_TEST((readable == 0));
  BOOST_TEST((write(s.ends[1], "x", 1) == 1));
  BOOST_TEST(eventually([&] { return readable == 1; }));
  std::this_thread::sleep_for(20ms); // unread: level triggering would go on reporting it
  BOOST_TEST((readable == 1));
  BOOST_TEST((write(s.ends[1], "y", 1) == 1));
  BOOST_TEST(eventually([&] { return readable == 2; }));
  shutdown(s.ends[1], SHUT_WR);
  BOOST_TEST(eventually([&] { return hung_up >= 1; }));
  run_on(h.r, [&](reactor& r) { r.unwatch(s.ends[0], in); });
}

BOOST_AUTO_TEST_CASE(watching_what_cannot_be_watched_says_why) {
  one_reactor h;
  handler in;
  in.on = [](std::uint32_t) {};
  run_on(h.r, [&](reactor& r) {
    errno = 0;
    BOOST_TEST(!r.watch(-1, in));
    BOOST_TEST((errno == EBADF));
  });
}

// Two handlers become ready in one turn; whichever comes first unwatches the other.
BOOST_AUTO_TEST_CASE(no_event_after_unwatch_even_when_already_fetched) {
  one_reactor h;
  socket_pair a, b;
  handler on_a, on_b;
  std::atomic<int> calls{0};
  reactor* r = &h.r;
  on_a.on = [&](std::uint32_t) {
    ++calls;
    r->unwatch(b.ends[0], on_b);
  };
  on_b.on = [&](std::uint32_t) {
    ++calls;
    r->unwatch(a.ends[0], on_a);
  };
  run_on(h.r, [&](reactor& here) {
    here.watch(a.ends[0], on_a);
    here.watch(b.ends[0], on_b);
    // Both are writable at once, so one epoll_wait fetches both.
  });
  BOOST_TEST(eventually([&] { return calls >= 1; }));
  run_on(h.r, [](reactor&) {});
  BOOST_TEST((calls == 1));
  run_on(h.r, [&](reactor& here) {
    here.unwatch(a.ends[0], on_a);
    here.unwatch(b.ends[0], on_b);
  });
}

BOOST_AUTO_TEST_CASE(again_is_called_once_a_turn_and_cancelled_by_unwatch) {
  one_reactor h;
  socket_pair s;
  handler in;
  std::atomic<int> calls{0};
  reactor* r = &h.r;
  in.on = [&](std::uint32_t events) {
    if (events != 0) return;
    if (++calls < 5) {
      r->again(in);
      r->again(in);
    }
  };
  std::uint64_t turns_before = 0;
  run_on(h.r, [&](reactor& here) {
    here.watch(s.ends[0], in);
    turns_before = here.read_counters().turns;
    here.again(in);
  });
  BOOST_TEST(eventually([&] { return calls == 5; }));
  std::this_thread::sleep_for(10ms);
  BOOST_TEST((calls == 5));
  run_on(h.r, [&](reactor& here) {
    BOOST_TEST((here.read_counters().turns >= turns_before + 5));
    here.again(in);
    here.unwatch(s.ends[0], in);
  });
  run_on(h.r, [](reactor&) {});
  BOOST_TEST((calls == 5));
}

// One handler that always has more to do holds up neither other descriptors nor messages nor timers.
BOOST_AUTO_TEST_CASE(a_busy_handler_starves_nobody) {
  one_reactor h;
  socket_pair busy, other;
  handler on_busy, on_other;
  std::atomic<bool> heard{false}, ticked{false};
  reactor* r = &h.r;
  on_busy.on = [&](std::uint32_t) { r->again(on_busy); };
  on_other.on = [&](std::uint32_t events) { heard = heard || (events & EPOLLIN); };
  timer t([](void* flag) { *static_cast<std::atomic<bool>*>(flag) = true; }, &ticked);
  run_on(h.r, [&](reactor& here) {
    here.watch(busy.ends[0], on_busy);
    here.watch(other.ends[0], on_other);
    here.schedule(t, here.now() + 5ms);
  });
  BOOST_TEST((write(other.ends[1], "x", 1) == 1));
  BOOST_TEST(eventually([&] { return heard && ticked; }));
  run_on(h.r, [&](reactor& here) {
    here.unwatch(busy.ends[0], on_busy);
    here.unwatch(other.ends[0], on_other);
  });
}

BOOST_AUTO_TEST_CASE(a_turn_has_room_for_a_few_steps_of_handshakes) {
  one_reactor h;
  for (int turn = 0; turn < 2; ++turn) {
    int taken = 0;
    run_on(h.r, [&](reactor& here) {
      while (here.take_handshake())
        ++taken;
      BOOST_TEST(!here.take_handshake());
    });
    BOOST_TEST(taken == reactor::handshakes_per_turn);
  }
}

BOOST_AUTO_TEST_CASE(endless_messages_starve_no_descriptor) {
  one_reactor h;
  socket_pair s;
  handler in;
  std::atomic<bool> heard{false};
  in.on = [&](std::uint32_t events) { heard = heard || (events & EPOLLIN); };
  class self_sender : public pinned_actor {
  public:
    using pinned_actor::pinned_actor;
    caf::behavior make_behavior() override {
      send(this, 1);
      return {[this](int n) { send(this, n); }};
    }
  };
  auto endless = spawn_pinned<self_sender>(h.r);
  run_on(h.r, [&](reactor& here) { here.watch(s.ends[0], in); });
  BOOST_TEST((write(s.ends[1], "x", 1) == 1));
  BOOST_TEST(eventually([&] { return heard.load(); }));
  caf::anon_send_exit(endless, caf::exit_reason::kill);
  run_on(h.r, [&](reactor& here) { here.unwatch(s.ends[0], in); });
}

BOOST_AUTO_TEST_CASE(an_exception_is_told_to_its_handler) {
  one_reactor h;
  socket_pair a, b;
  handler thrower, leaver;
  std::atomic<int> told{0}, told_leaver{0}, thrown{0};
  reactor* r = &h.r;
  thrower.on = [&](std::uint32_t) { throw std::runtime_error("on_io"); };
  thrower.broken = [&] {
    ++told;
    r->unwatch(a.ends[0], thrower);
  };
  leaver.on = [&](std::uint32_t) {
    r->unwatch(b.ends[0], leaver);
    ++thrown;
    throw 7;
  };
  leaver.broken = [&] { ++told_leaver; };
  run_on(h.r, [&](reactor& here) {
    here.watch(a.ends[0], thrower);
    here.watch(b.ends[0], leaver);
  });
  BOOST_TEST(eventually([&] { return told == 1 && thrown == 1; }));
  run_on(h.r, [](reactor&) {}); // still alive
  BOOST_TEST((told_leaver == 0));
}

BOOST_AUTO_TEST_CASE(timers_fire_in_time_and_sleep_costs_no_turns) {
  one_reactor h;
  struct shot {
    std::promise<reactor::clock::time_point> when;
    timer t = timer::calling<&shot::fire>(*this);
    void fire() { when.set_value(reactor::clock::now()); }
  } soon, later, never;
  reactor::clock::time_point start;
  run_on(h.r, [&](reactor& here) {
    start = here.now();
    here.schedule(later.t, start + 120ms);
    here.schedule(soon.t, start + 20ms);
    here.schedule(never.t, start + 30ms);
    here.cancel(never.t);
  });
  auto turns = h.r.read_counters().turns;
  BOOST_TEST((soon.when.get_future().get() >= start + 20ms));
  auto at = later.when.get_future().get();
  BOOST_TEST((at >= start + 120ms));
  BOOST_TEST((at < start + 5s));
  BOOST_TEST((h.r.read_counters().turns <= turns + 12));
  BOOST_TEST((never.when.get_future().wait_for(0s) == std::future_status::timeout));
}

BOOST_AUTO_TEST_CASE(a_timer_that_throws_harms_no_other) {
  one_reactor h;
  std::atomic<int> fired{0};
  timer bad([](void*) { throw std::runtime_error("fire"); }, nullptr);
  timer good([](void* n) { ++*static_cast<std::atomic<int>*>(n); }, &fired);
  run_on(h.r, [&](reactor& here) {
    here.schedule(bad, here.now());
    here.schedule(good, here.now());
  });
  BOOST_TEST(eventually([&] { return fired == 1; }));
}

// However often it is asked for, a task runs once, after the messages of the turn; what it sends is handled.
BOOST_AUTO_TEST_CASE(end_of_turn) {
  one_reactor h;
  std::vector<char> order;
  std::promise<void> finished;
  task flush;
  struct asker : pinned_actor {
    asker(caf::actor_config& c, reactor& r, std::vector<char>& o, task& t, std::promise<void>& f)
        : pinned_actor(c, r), order(o), flush(t), finished(f) {}
    std::vector<char>& order;
    task& flush;
    std::promise<void>& finished;
    caf::behavior make_behavior() override {
      flush.at_end = [this] {
        order.push_back('t');
        if (order.size() < 5) send(this, 'x');
      };
      for (char c : {'a', 'b', 'c'})
        send(this, c);
      return {[this](char c) {
        order.push_back(c);
        if (c == 'x') return finished.set_value();
        home().at_turn_end(flush);
        home().at_turn_end(flush);
      }};
    }
  };
  spawn_pinned<asker>(h.r, std::ref(order), std::ref(flush), std::ref(finished));
  finished.get_future().get();
  BOOST_TEST((order == std::vector<char>{'a', 'b', 'c', 't', 'x'}));
}

// Both reactors watch one listening socket; connections are accepted once each.
BOOST_AUTO_TEST_CASE(a_listener_is_shared) {
  caf::actor_system_config config;
  caf::actor_system system{config};
  reactor first(system, 0), second(system, 1);
  first.start();
  second.start();
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  BOOST_TEST_REQUIRE((bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0));
  BOOST_TEST_REQUIRE((listen(listener, 64) == 0));
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  std::atomic<int> accepted{0};
  handler handlers[2];
  reactor* reactors[2] = {&first, &second};
  for (int i = 0; i < 2; ++i) {
    handlers[i].on = [&](std::uint32_t) {
      int fd = accept(listener, nullptr, nullptr);
      if (fd >= 0) {
        ++accepted;
        close(fd);
      }
    };
    run_on(*reactors[i], [&](reactor& r) { BOOST_TEST(r.watch_accept(listener, handlers[i])); });
  }
  std::vector<int> clients;
  for (int i = 0; i < 50; ++i) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    BOOST_TEST((connect(fd, reinterpret_cast<sockaddr*>(&address), length) == 0));
    clients.push_back(fd);
  }
  BOOST_TEST(eventually([&] { return accepted == 50; }));
  for (int i = 0; i < 2; ++i)
    run_on(*reactors[i], [&](reactor& r) { r.unwatch(listener, handlers[i]); });
  for (int fd : clients)
    close(fd);
  close(listener);
  first.stop();
  second.stop();
  first.join();
  second.join();
}

BOOST_AUTO_TEST_CASE(an_idle_reactor_is_not_busy_and_a_working_one_is) {
  one_reactor h;
  std::this_thread::sleep_for(100ms);
  run_on(h.r, [](reactor&) {});
  BOOST_TEST((h.r.read_counters().busy < 50ms));
  run_on(h.r, [](reactor&) {
    auto end = reactor::clock::now() + 100ms;
    while (reactor::clock::now() < end)
      continue;
  });
  BOOST_TEST(eventually([&] { return h.r.read_counters().busy >= 100ms; }));
}

BOOST_AUTO_TEST_SUITE_END()
