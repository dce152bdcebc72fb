// The gatherer: who asks when, and what is shared.
#include "actors/gatherer.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <deque>

using namespace pg_edge;
using namespace pg_edge::actors;
using namespace std::chrono_literals;

namespace {

/// Answers when it is told to go on, one question each time.
struct tenants_state {
  std::deque<caf::typed_response_promise<tenant_list>> asked;
};
using go_on_atom = caf::atom_constant<caf::atom("go_on")>;
using played_tenants = tenants_actor::extend<caf::reacts_to<go_on_atom>>;

played_tenants::behavior_type tenants(played_tenants::stateful_pointer<tenants_state> self, std::atomic<int>* count) {
  return {[](const join_pool&) {},
          [](const tenant_unused&) {},
          [](const settings_changed&) {},
          [](const end_clients&) {},
          [](const control_pools&) {},
          [=](const list_tenants&) {
            ++*count;
            self->state.asked.push_back(self->make_response_promise<tenant_list>());
            return self->state.asked.back();
          },
          [=](go_on_atom) {
            if (self->state.asked.empty()) return;
            self->state.asked.front().deliver(tenant_list{});
            self->state.asked.pop_front();
          }};
}

struct fixture {
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  node_context node;
  std::atomic<int> count{0};
  played_tenants played;

  fixture() {
    config.set("scheduler.max-threads", std::size_t{2});
    config.set("scheduler.policy", caf::atom("sharing"));
    system = std::make_unique<caf::actor_system>(config);
    auto settings = std::make_shared<node_settings>();
    settings->values = std::make_shared<const config::settings>();
    node.set_settings(settings);
    played = system->spawn(tenants, &count);
    node.tenants = caf::actor_cast<tenants_actor>(played);
    node.gatherer = spawn_gatherer(*system, node);
  }
  ~fixture() {
    for (const auto& one : {caf::actor_cast<caf::actor>(node.gatherer), caf::actor_cast<caf::actor>(played)})
      caf::anon_send_exit(one, caf::exit_reason::user_shutdown);
    node.gatherer = nullptr;
    node.tenants = nullptr;
    played = nullptr;
    system.reset(); // waits for the actors, which use the rest
  }

  void wait_for_count(int wanted) const {
    while (count < wanted)
      std::this_thread::sleep_for(1ms);
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(gatherer_test)

BOOST_FIXTURE_TEST_CASE(who_asks_while_one_runs_shares_the_next, fixture) {
  caf::scoped_actor self(*system);
  std::vector<node_view_ptr> views;
  const auto ask = [&] { self->send(node.gatherer, gather_view{view_need::counts}); };
  ask();
  wait_for_count(1);
  for (int i = 0; i < 5; ++i)
    ask(); // while the first runs
  // The gatherer has them all once it has answered what was sent behind them.
  self->request(node.gatherer, 10s, gather_view{view_need::nothing})
      .receive([&](const gathered_view& got) { BOOST_TEST((got.view->need == view_need::nothing)); },
               [](const caf::error&) { BOOST_ERROR("no answer"); });
  BOOST_TEST(count == 1);
  self->send(played, go_on_atom::value);
  wait_for_count(2);
  self->send(played, go_on_atom::value);
  for (int i = 0; i < 6; ++i)
    self->receive([&](const gathered_view& got) { views.push_back(got.view); },
                  caf::after(10s) >> [] { BOOST_ERROR("no answer"); });
  BOOST_REQUIRE(views.size() == 6u);
  BOOST_TEST(count == 2);
  for (std::size_t i = 1; i < views.size(); ++i) {
    BOOST_TEST((views[i] != views[0])); // not what was gathered before they asked
    BOOST_TEST((views[i] == views[1]));
    BOOST_TEST(views[i]->complete);
  }
}

BOOST_FIXTURE_TEST_CASE(who_does_not_answer_is_missing_and_said_so, fixture) {
  caf::scoped_actor self(*system);
  self->request(node.gatherer, view_patience, gather_view{view_need::counts})
      .receive([&](const gathered_view& got) { BOOST_TEST(!got.view->complete); },
               [](const caf::error&) { BOOST_ERROR("no answer"); });
}

BOOST_AUTO_TEST_SUITE_END()
