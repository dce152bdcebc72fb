// Pinned actors: where they run, how they end, and that no message is lost or overtaken while they move.
#include "actors/pinned_actor.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/all.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <vector>

using namespace pg_edge::actors;
using namespace std::chrono_literals;

namespace {

// Reactors around an actor system, gone in the right order: reactors stop, the system waits for its actors, and the
// reactors are destroyed last.
struct house {
  caf::actor_system_config config;
  std::vector<std::unique_ptr<reactor>> reactors;
  std::unique_ptr<caf::actor_system> system;
  explicit house(unsigned count) {
    config.set("scheduler.max-threads", 2);
    system = std::make_unique<caf::actor_system>(config);
    for (unsigned i = 0; i < count; ++i)
      reactors.push_back(std::make_unique<reactor>(*system, i));
    for (auto& r : reactors)
      r->start();
  }
  reactor& operator[](std::size_t i) { return *reactors[i]; }
  void stop() {
    for (auto& r : reactors)
      r->stop();
    for (auto& r : reactors)
      r->join();
  }
  ~house() {
    stop();
    system.reset();
  }
};

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit = 20s) {
  auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// An actor whose behavior a test supplies.
class scripted : public pinned_actor {
public:
  using script = std::function<caf::behavior(scripted*)>;
  scripted(caf::actor_config& config, reactor& home, script s, actor_kind kind = actor_kind::other)
      : pinned_actor(config, home, kind), script_(std::move(s)) {}
  std::function<void()> exit_hook;
  std::function<void()> arrival_hook;

protected:
  caf::behavior make_behavior() override { return script_(this); }
  void on_exit() override {
    if (exit_hook) exit_hook();
  }
  void on_arrival() override {
    if (arrival_hook) arrival_hook();
  }

private:
  script script_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(pinned_actor_test)

BOOST_AUTO_TEST_CASE(behavior_and_handlers_run_on_the_home) {
  house h(2);
  std::promise<std::pair<reactor*, reactor*>> where;
  auto made_on = std::make_shared<reactor*>(nullptr);
  auto a = spawn_pinned<scripted>(h[1], [&](scripted*) -> caf::behavior {
    *made_on = reactor::current();
    return {[&, made_on](int) { where.set_value({*made_on, reactor::current()}); }};
  });
  caf::anon_send(a, 1);
  auto seen = where.get_future().get();
  BOOST_TEST((seen.first == &h[1]));
  BOOST_TEST((seen.second == &h[1]));
  BOOST_TEST((reactor::current() == nullptr));
}

// CAF runs the receiver on the sender's execution unit; a control actor must not come to run on a reactor that way.
BOOST_AUTO_TEST_CASE(an_ordinary_actor_stays_on_the_scheduler) {
  house h(1);
  std::promise<reactor*> where;
  auto control = h.system->spawn(
      [&](caf::event_based_actor*) -> caf::behavior { return {[&](int) { where.set_value(reactor::current()); }}; });
  auto a = spawn_pinned<scripted>(
      h[0], [&](scripted* self) -> caf::behavior { return {[=](int n) { self->send(control, n); }}; });
  caf::anon_send(a, 1);
  BOOST_TEST((where.get_future().get() == nullptr));
  caf::anon_send_exit(control, caf::exit_reason::user_shutdown);
}

BOOST_AUTO_TEST_CASE(requests_are_answered_and_bounce_off_an_actor_that_has_ended) {
  house h(2);
  auto a = spawn_pinned<scripted>(h[0], [&](scripted* self) -> caf::behavior {
    return {[](int n) { return n + 1; }, [=](caf::atom_value) { self->quit(); }};
  });
  caf::scoped_actor self{*h.system};
  int answer = 0;
  self->request(a, 5s, 41).receive([&](int n) { answer = n; }, [](const caf::error&) {});
  BOOST_TEST((answer == 42));
  self->monitor(a);
  self->send(a, caf::atom("stop"));
  bool down = false;
  self->receive([&](const caf::down_msg& d) { down = d.source == a->address(); });
  BOOST_TEST(down);
  bool refused = false;
  self->request(a, 5s, 1).receive([](int) {}, [&](const caf::error&) { refused = true; });
  BOOST_TEST(refused);
}

BOOST_AUTO_TEST_CASE(an_actor_lives_without_handles_and_ends_with_its_reactor) {
  std::atomic<int> exits{0};
  std::atomic<bool> ticked{false};
  auto alive = actor_stats::read(actor_kind::steward).alive;
  {
    house h(1);
    struct ticking : scripted {
      ticking(caf::actor_config& c, reactor& r, script s) : scripted(c, r, std::move(s), actor_kind::steward) {}
      std::atomic<bool>* ticked = nullptr;
      timer t = timer::calling<&ticking::fire>(*this);
      void fire() { *ticked = true; }
    };
    spawn_pinned<ticking>(h[0], [&](scripted* self) -> caf::behavior {
      auto* me = static_cast<ticking*>(self);
      me->ticked = &ticked;
      self->home().schedule(me->t, self->home().now() + 5ms);
      self->exit_hook = [me, &exits] {
        me->home().cancel(me->t);
        ++exits;
      };
      return {[](int) {}};
    });
    BOOST_TEST(eventually([&] { return ticked.load(); }));
    BOOST_TEST((exits == 0));
    BOOST_TEST((actor_stats::read(actor_kind::steward).alive == alive + 1));
  }
  BOOST_TEST((exits == 1));
  BOOST_TEST((actor_stats::read(actor_kind::steward).alive == alive));
}

BOOST_AUTO_TEST_CASE(quit_works_from_a_timer) {
  house h(1);
  struct quitter : scripted {
    using scripted::scripted;
    timer t = timer::calling<&quitter::fire>(*this);
    void fire() { quit(caf::exit_reason::remote_link_unreachable); }
  };
  auto a = spawn_pinned<quitter>(h[0], [](scripted* self) -> caf::behavior {
    self->home().schedule(static_cast<quitter*>(self)->t, self->home().now());
    return {[](int) {}};
  });
  caf::scoped_actor self{*h.system};
  self->monitor(a);
  bool as_told = false;
  self->receive([&](const caf::down_msg& d) { as_told = d.reason == caf::exit_reason::remote_link_unreachable; });
  BOOST_TEST(as_told);
}

BOOST_AUTO_TEST_CASE(an_exception_ends_its_actor_only) {
  house h(1);
  auto thrower = spawn_pinned<scripted>(
      h[0], [](scripted*) -> caf::behavior { return {[](int) { throw std::runtime_error("handler"); }}; });
  auto exit_thrower = spawn_pinned<scripted>(h[0], [](scripted* self) -> caf::behavior {
    self->exit_hook = [] { throw std::runtime_error("on_exit"); };
    return {[=](int) { self->quit(); }};
  });
  auto unborn =
      spawn_pinned<scripted>(h[0], [](scripted*) -> caf::behavior { throw std::runtime_error("make_behavior"); });
  auto fine = spawn_pinned<scripted>(h[0], [](scripted*) -> caf::behavior { return {[](int n) { return n; }}; });
  caf::scoped_actor self{*h.system};
  self->monitor(thrower);
  self->monitor(exit_thrower);
  self->monitor(unborn);
  caf::anon_send(thrower, 1);
  caf::anon_send(exit_thrower, 1);
  int downs = 0;
  self->receive_for(downs, 3)([](const caf::down_msg&) {});
  BOOST_TEST((downs == 3));
  int answer = 0;
  self->request(fine, 5s, 7).receive([&](int n) { answer = n; }, [](const caf::error&) {});
  BOOST_TEST((answer == 7));
}

// The message that moves the actor is the last one here; on_arrival() comes before the next one, there.
BOOST_AUTO_TEST_CASE(move_home_in_a_handler) {
  house h(2);
  std::promise<void> finished;
  std::vector<std::pair<char, reactor*>> log; // touched by one reactor after the other
  auto a = spawn_pinned<scripted>(h[0], [&](scripted* self) -> caf::behavior {
    self->arrival_hook = [&] { log.emplace_back('a', reactor::current()); };
    return {[&, self](int n) {
      log.emplace_back(static_cast<char>('0' + n), reactor::current());
      if (n == 2) self->move_home(h[1]);
      if (n == 4) finished.set_value();
    }};
  });
  // Queued in one go from the home itself, so that all four wait in the mailbox when it moves.
  auto sender = spawn_pinned<scripted>(h[0], [&](scripted* self) -> caf::behavior {
    for (int n = 1; n <= 4; ++n)
      self->send(a, n);
    return {[](int) {}};
  });
  finished.get_future().get();
  h.stop();
  BOOST_TEST((log == std::vector<std::pair<char, reactor*>>{
                         {'1', &h[0]}, {'2', &h[0]}, {'a', &h[1]}, {'3', &h[1]}, {'4', &h[1]}}));
}

BOOST_AUTO_TEST_CASE(move_home_of_an_idle_actor_arrives_without_a_message) {
  house h(2);
  struct mover : scripted {
    using scripted::scripted;
    reactor* to = nullptr;
    timer t = timer::calling<&mover::fire>(*this);
    void fire() { move_home(*to); }
  };
  std::promise<reactor*> arrived;
  auto a = spawn_pinned<mover>(h[0], [&](scripted* self) -> caf::behavior {
    auto* me = static_cast<mover*>(self);
    me->to = &h[1];
    self->arrival_hook = [&] { arrived.set_value(reactor::current()); };
    self->home().schedule(me->t, self->home().now() + 2ms);
    return {[](int) { return 1; }};
  });
  BOOST_TEST((arrived.get_future().get() == &h[1]));
  caf::scoped_actor self{*h.system};
  int answer = 0;
  self->request(a, 5s, 0).receive([&](int n) { answer = n; }, [](const caf::error&) {});
  BOOST_TEST((answer == 1));
}

BOOST_AUTO_TEST_CASE(moving_to_a_reactor_that_has_stopped_ends_the_actor) {
  house h(2);
  h[1].stop();
  h[1].join();
  auto a = spawn_pinned<scripted>(
      h[0], [&](scripted* self) -> caf::behavior { return {[&, self](int) { self->move_home(h[1]); }}; });
  auto b = spawn_pinned<scripted>(h[1], [&](scripted*) -> caf::behavior { return {[](int) {}}; });
  caf::scoped_actor self{*h.system};
  self->monitor(a);
  self->monitor(b);
  caf::anon_send(a, 1);
  int downs = 0;
  self->receive_for(downs, 2)([](const caf::down_msg&) {});
  BOOST_TEST((downs == 2));
}

BOOST_AUTO_TEST_CASE(a_reactor_that_never_started_lets_its_actors_go) {
  std::atomic<int> exits{0};
  {
    caf::actor_system_config config;
    caf::actor_system system{config};
    reactor r(system, 0);
    auto a = spawn_pinned<scripted>(r, [&](scripted*) -> caf::behavior { return {[](int) {}}; });
    a->attach_functor([&] { ++exits; });
    for (int i = 0; i < 10; ++i)
      caf::anon_send(a, i);
  }
  BOOST_TEST((exits == 1));
}

// Actors that never stop sending to each other end all the same, after the grace.
BOOST_AUTO_TEST_CASE(stop_does_not_wait_for_ever) {
  auto begin = std::chrono::steady_clock::now();
  {
    house h(2);
    auto script = [](scripted* self) -> caf::behavior {
      return {[=](caf::actor other, int n) { self->send(other, caf::actor{self}, n + 1); }};
    };
    auto a = spawn_pinned<scripted>(h[0], script);
    auto b = spawn_pinned<scripted>(h[1], script);
    caf::anon_send(a, b, 0);
    std::this_thread::sleep_for(10ms);
  }
  BOOST_TEST((std::chrono::steady_clock::now() - begin < 10s));
}

BOOST_AUTO_TEST_CASE(stop_finishes_queued_work) {
  std::atomic<int> handled{0};
  {
    house h(1);
    auto a = spawn_pinned<scripted>(h[0], [&](scripted*) -> caf::behavior { return {[&](int) { ++handled; }}; });
    for (int i = 0; i < 10000; ++i)
      caf::anon_send(a, i);
  }
  BOOST_TEST((handled == 10000));
}

BOOST_AUTO_TEST_CASE(statistics_add_up) {
  auto before = actor_stats::read(actor_kind::resolver);
  {
    house h(2);
    std::atomic<int> handled{0};
    std::vector<caf::actor> actors;
    for (std::size_t i = 0; i < 4; ++i)
      actors.push_back(spawn_pinned<scripted>(
          h[i % 2], [&](scripted*) -> caf::behavior { return {[&](int) { ++handled; }}; }, actor_kind::resolver));
    for (int i = 0; i < 1000; ++i)
      caf::anon_send(actors[static_cast<std::size_t>(i % 4)], i);
    BOOST_TEST(eventually([&] { return handled == 1000; }));
    BOOST_TEST(eventually([&] {
      auto now = actor_stats::read(actor_kind::resolver);
      return now.handled == before.handled + 1000 && now.mailbox_depth == before.mailbox_depth;
    }));
    auto now = actor_stats::read(actor_kind::resolver);
    BOOST_TEST((now.alive == before.alive + 4));
    BOOST_TEST((now.busiest >= 250u));
    BOOST_TEST((now.deepest >= 1u));
    caf::anon_send_exit(actors[0], caf::exit_reason::kill);
    BOOST_TEST(eventually([&] { return actor_stats::read(actor_kind::resolver).alive == before.alive + 3; }));
    caf::anon_send(actors[0], 1); // refused: must not stay in the depth
    BOOST_TEST((actor_stats::read(actor_kind::resolver).mailbox_depth == before.mailbox_depth));
  }
  auto after = actor_stats::read(actor_kind::resolver);
  BOOST_TEST((after.alive == before.alive));
  BOOST_TEST((after.mailbox_depth == before.mailbox_depth));
}

BOOST_AUTO_TEST_CASE(kind_names_are_those_of_the_table) {
  BOOST_TEST((to_string(actor_kind::key_deriver) == "key_deriver"));
  for (auto& row : actor_kinds)
    BOOST_TEST((to_string(row.kind) == row.name));
}

// -- the stress
// --------------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t reactor_count = 3;

struct stress_totals {
  std::atomic<std::uint64_t> received{0};
  std::atomic<std::uint64_t> out_of_order{0};
  std::atomic<std::uint64_t> wrong_thread{0};
  std::atomic<std::uint64_t> arrivals{0};
  std::atomic<std::uint64_t> on_timer{0};
};

// Sends numbered messages to its peers and checks theirs; moves now and then, in a handler or from a timer. Its plain
// members are what a lost ordering between two homes would corrupt (and ThreadSanitizer would see).
class wanderer : public pinned_actor {
public:
  wanderer(caf::actor_config& config, reactor& home, std::uint32_t index, std::uint32_t count, house& h,
           stress_totals& totals)
      : pinned_actor(config, home), index_(index), house_(h), totals_(totals), last_from_(count, 0), sent_to_(count, 0),
        random_(index * 2654435761u + 1) {}

protected:
  caf::behavior make_behavior() override {
    return {[this](std::vector<caf::actor>& peers) { peers_ = std::move(peers); },
            [this](std::uint32_t from, std::uint32_t number, std::uint32_t hops) { on_number(from, number, hops); }};
  }
  void on_arrival() override {
    check_thread();
    ++totals_.arrivals;
  }
  void on_exit() override {
    if (reactor::current() == &home()) home().cancel(move_timer_);
    peers_.clear(); // handles in a circle are references in a circle
  }

private:
  void check_thread() {
    if (reactor::current() != &home()) ++totals_.wrong_thread;
  }

  void on_number(std::uint32_t from, std::uint32_t number, std::uint32_t hops) {
    check_thread();
    ++totals_.received;
    if (number != ++last_from_[from]) ++totals_.out_of_order;
    if (hops > 0) {
      auto to = next_random() % static_cast<std::uint32_t>(peers_.size());
      send(peers_[to], index_, ++sent_to_[to], hops - 1);
    }
    auto dice = next_random() % 16;
    if (dice == 0) {
      home().cancel(move_timer_);
      move_home(house_[next_random() % reactor_count]);
    } else if (dice == 1) {
      home().schedule(move_timer_, home().now() + std::chrono::milliseconds(next_random() % 3));
    }
  }

  void on_move_timer() {
    check_thread();
    ++totals_.on_timer;
    move_home(house_[next_random() % reactor_count]);
  }

  std::uint32_t next_random() {
    random_ = random_ * 1664525u + 1013904223u;
    return random_ >> 8;
  }

  std::uint32_t index_;
  house& house_;
  stress_totals& totals_;
  std::vector<std::uint32_t> last_from_;
  std::vector<std::uint32_t> sent_to_;
  std::vector<caf::actor> peers_;
  std::uint32_t random_;
  timer move_timer_ = timer::calling<&wanderer::on_move_timer>(*this);
};

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::uint32_t wanderers = 500, starts = 1000, hops = 60;
#else
constexpr std::uint32_t wanderers = 2000, starts = 4000, hops = 200;
#endif

} // namespace

BOOST_AUTO_TEST_CASE(thousands_wander_and_no_message_is_lost_or_overtaken) {
  stress_totals totals;
  std::uint64_t expected = static_cast<std::uint64_t>(starts) * (hops + 1);
  {
    house h(reactor_count);
    std::vector<caf::actor> all;
    // One more sender than actors: this thread.
    for (std::uint32_t i = 0; i < wanderers; ++i)
      all.push_back(spawn_pinned<wanderer>(h[i % reactor_count], i, wanderers + 1, std::ref(h), std::ref(totals)));
    for (auto& a : all)
      caf::anon_send(a, all);
    std::vector<std::uint32_t> sent(wanderers, 0);
    for (std::uint32_t i = 0; i < starts; ++i) {
      auto to = (i * 7919) % wanderers;
      caf::anon_send(all[to], wanderers, ++sent[to], hops);
    }
    BOOST_TEST(eventually([&] { return totals.received == expected; }, 120s));
    for (auto& a : all)
      caf::anon_send_exit(a, caf::exit_reason::user_shutdown);
  }
  BOOST_TEST((totals.received == expected));
  BOOST_TEST((totals.out_of_order == 0u));
  BOOST_TEST((totals.wrong_thread == 0u));
  BOOST_TEST((totals.arrivals > 100u));
  BOOST_TEST((totals.on_timer > 10u));
}

// The reactors stop while everything flies: nothing may leak, hang or crash (AddressSanitizer looks).
BOOST_AUTO_TEST_CASE(stopping_while_thousands_wander) {
  for (int round = 0; round < 5; ++round) {
    stress_totals totals;
    house h(reactor_count);
    std::vector<caf::actor> all;
    for (std::uint32_t i = 0; i < 300; ++i)
      all.push_back(spawn_pinned<wanderer>(h[i % reactor_count], i, 301u, std::ref(h), std::ref(totals)));
    for (auto& a : all)
      caf::anon_send(a, all);
    std::vector<std::uint32_t> sent(300, 0);
    for (std::uint32_t i = 0; i < 600; ++i)
      caf::anon_send(all[i % 300], 300u, ++sent[i % 300], 1u << 30);
    std::this_thread::sleep_for(5ms * round);
    h[static_cast<std::size_t>(round) % reactor_count].stop();
    h.stop();
    BOOST_TEST((totals.wrong_thread == 0u));
    BOOST_TEST((totals.out_of_order == 0u));
  }
}

// Each message wakes a sleeping reactor: a wake-up that is lost once hangs here for good.
BOOST_AUTO_TEST_CASE(no_wake_up_is_lost_and_few_are_spent) {
  house h(2);
  std::promise<void> finished;
#if defined(__SANITIZE_THREAD__)
  constexpr int rounds = 5000;
#else
  constexpr int rounds = 50000;
#endif
  auto script = [&](scripted* self) -> caf::behavior {
    return {[&, self](caf::actor other, int n) {
      if (n == rounds)
        finished.set_value();
      else
        self->send(other, caf::actor{self}, n + 1);
    }};
  };
  auto a = spawn_pinned<scripted>(h[0], script);
  auto b = spawn_pinned<scripted>(h[1], script);
  caf::anon_send(a, b, 0);
  auto done = finished.get_future();
  BOOST_TEST((done.wait_for(60s) == std::future_status::ready));
  auto wake_ups = h[0].read_counters().wake_ups + h[1].read_counters().wake_ups;
  BOOST_TEST((wake_ups <= static_cast<std::uint64_t>(rounds) + 10));
}

BOOST_AUTO_TEST_SUITE_END()
