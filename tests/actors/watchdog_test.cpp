#include "actors/node_context.hpp"
#include "actors/pinned_actor.hpp"
#include "actors/service_manager.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

using namespace pg_edge::actors;
using namespace std::chrono_literals;

namespace {

/// Keeps its reactor from turning until it is let go.
class blocker final : public pinned_actor {
public:
  blocker(caf::actor_config& config, reactor& home, std::atomic<int>& state)
      : pinned_actor(config, home), state_(state) {}
  caf::behavior make_behavior() override {
    state_ = 1;
    while (state_ != 2)
      std::this_thread::sleep_for(1ms);
    quit();
    return {[](int) {}};
  }

private:
  std::atomic<int>& state_;
};

bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

} // namespace

BOOST_AUTO_TEST_SUITE(watchdog_test)

BOOST_AUTO_TEST_CASE(it_speaks_only_while_every_reactor_turns) {
  node_context node;
  caf::actor_system_config config;
  config.set("scheduler.max-threads", 1);
  auto system = std::make_unique<caf::actor_system>(config);
  for (unsigned i = 0; i < 2; ++i) {
    node.reactors.push_back(std::make_unique<reactor>(*system, i));
    node.reactors.back()->start();
  }
  watchdog dog;
  dog.start(node, 4ms);
  const auto rounds_rise = [&] {
    const auto before = dog.rounds();
    return eventually([&] {
      dog.look();
      return dog.rounds() > before + 3;
    });
  };
  BOOST_TEST(rounds_rise());
  std::atomic<int> state{0};
  spawn_pinned<blocker>(*node.reactors[1], state);
  BOOST_TEST(eventually([&] { return state == 1; }));
  dog.look(); // a round may have been answered before it was blocked, and the next one is not
  const auto before = dog.rounds();
  for (int i = 0; i < 50; ++i) {
    dog.look();
    std::this_thread::sleep_for(1ms);
  }
  BOOST_TEST(dog.rounds() <= before + 1);
  state = 2;
  BOOST_TEST(rounds_rise());
  for (auto& one : node.reactors)
    one->stop();
  for (auto& one : node.reactors)
    one->join();
  system.reset();
  node.reactors.clear();
}

BOOST_AUTO_TEST_SUITE_END()
