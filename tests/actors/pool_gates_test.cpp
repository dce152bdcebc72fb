// What is paused, what is stale, how many servers there are: the table behind PAUSE and its like, and the words that
// name a scope.
#include "actors/console_control.hpp"
#include "actors/pool_gates.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace pg_edge::actors;

namespace {

const pool_scope everything{}, acme{"acme", ""}, acme_app{"acme", "app"}, beta_app{"beta", "app"};

struct fixture {
  pool_gates gates;
  pool_gate_ptr app = gates.gate_of("acme", "app"), other = gates.gate_of("acme", "other"),
                beta = gates.gate_of("beta", "app");

  std::string shut() const {
    std::string text;
    for (const auto& one : {app, other, beta})
      text.push_back(one->shut() ? '1' : '0');
    return text;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(pool_gates_test, fixture)

BOOST_AUTO_TEST_CASE(B144_a_pause_shuts_what_it_names) {
  BOOST_TEST(shut() == "000");
  BOOST_TEST((gates.pause(acme_app) == gate_answer::done));
  BOOST_TEST(shut() == "100");
  BOOST_TEST((gates.pause(acme) == gate_answer::done));
  BOOST_TEST(shut() == "110");
  BOOST_TEST((gates.resume(acme_app) == gate_answer::done));
  BOOST_TEST(shut() == "110"); // the tenant still is
  BOOST_TEST((gates.resume(acme) == gate_answer::done));
  BOOST_TEST(shut() == "000");
  BOOST_TEST((gates.pause(everything) == gate_answer::done));
  BOOST_TEST(shut() == "111");
  BOOST_TEST((gates.resume(everything) == gate_answer::done));
  BOOST_TEST(shut() == "000");
}

BOOST_AUTO_TEST_CASE(B146_suspend_holds_all_gates_and_ends_when_no_share_moves) {
  BOOST_TEST(gates.at_rest());
  pool_gates::motion first(gates);
  auto second = std::make_unique<pool_gates::motion>(gates);
  BOOST_TEST((gates.suspend() == gate_answer::done));
  BOOST_TEST((gates.suspend() == gate_answer::already_paused));
  BOOST_TEST((gates.pause(acme_app) == gate_answer::already_paused));
  BOOST_TEST((app->suspended() == suspension::held && beta->suspended() == suspension::held));
  BOOST_TEST((gates.gate_of("acme", "late")->suspended() == suspension::held));
  BOOST_TEST(shut() == "000"); // servers stay
  first.set(false);
  first.set(false);
  BOOST_TEST(!gates.at_rest());
  gates.cut_unsent();
  BOOST_TEST((app->suspended() == suspension::cutting));
  second = nullptr;
  BOOST_TEST(gates.at_rest());
  BOOST_TEST((gates.resume(everything) == gate_answer::done));
  BOOST_TEST((app->suspended() == suspension::none && !gates.suspended()));
  gates.cut_unsent(); // it came too late
  BOOST_TEST((app->suspended() == suspension::none));
}

BOOST_AUTO_TEST_CASE(B145_a_second_word_is_answered_as_pgbouncer_does) {
  BOOST_TEST((gates.resume(everything) == gate_answer::node_not_paused));
  BOOST_TEST((gates.resume(acme_app) == gate_answer::scope_not_paused));
  BOOST_TEST((gates.pause(acme_app) == gate_answer::done));
  BOOST_TEST((gates.pause(acme_app) == gate_answer::done));
  BOOST_TEST((gates.resume(everything) == gate_answer::node_not_paused));
  BOOST_TEST((gates.resume(acme) == gate_answer::scope_not_paused));
  BOOST_TEST((gates.pause(everything) == gate_answer::done));
  BOOST_TEST((gates.pause(everything) == gate_answer::already_paused));
  BOOST_TEST((gates.pause(beta_app) == gate_answer::already_paused));
  BOOST_TEST((gates.resume(everything) == gate_answer::done));
  BOOST_TEST(shut() == "100"); // what was paused by name stays so
}

BOOST_AUTO_TEST_CASE(a_pause_holds_for_what_comes_after_it_and_survives_what_goes) {
  gates.pause({"acme", "later"});
  BOOST_TEST(gates.gate_of("acme", "later")->shut()); // made, and gone again
  for (int i = 0; i < 1000; ++i)                      // databases behind "*"
    BOOST_TEST(!gates.gate_of("acme", "d" + std::to_string(i))->shut());
  BOOST_TEST(gates.gate_of("acme", "later")->shut());
  BOOST_TEST(gates.gate_of("acme", "app") == app); // in use: the same as ever
  gates.pause(acme);
  BOOST_TEST(gates.gate_of("acme", "new")->shut());
  BOOST_TEST(!gates.gate_of("gamma", "new")->shut());
}

BOOST_AUTO_TEST_CASE(servers_are_counted_until_they_are_gone_and_none_begins_at_a_shut_gate) {
  gate_ticket one = pool_gates::admit(app), two = pool_gates::admit(other), three = pool_gates::admit(beta);
  BOOST_TEST((one && two && three));
  BOOST_TEST(gates.servers(everything) == 3u);
  BOOST_TEST(gates.servers(acme) == 2u);
  BOOST_TEST(gates.servers(acme_app) == 1u);
  gates.pause(acme);
  BOOST_TEST(!pool_gates::admit(app));
  BOOST_TEST(gates.servers(acme) == 2u); // they have to go by themselves
  one.reset();
  one.reset();
  gate_ticket moved = std::move(two);
  BOOST_TEST(gates.servers(acme) == 1u);
  moved = {};
  BOOST_TEST(gates.servers(acme) == 0u);
  BOOST_TEST(gates.servers(everything) == 1u);
  gates.resume(acme);
  BOOST_TEST(static_cast<bool>(pool_gates::admit(app)));
}

BOOST_AUTO_TEST_CASE(B147_reconnect_makes_stale_what_there_is) {
  gate_ticket old = pool_gates::admit(app), elsewhere = pool_gates::admit(beta);
  BOOST_TEST(gates.stale_servers(everything) == 0u);
  gates.reconnect(acme);
  const gate_ticket fresh = pool_gates::admit(app);
  BOOST_TEST(old.stale());
  BOOST_TEST(!fresh.stale());
  BOOST_TEST(!elsewhere.stale());
  BOOST_TEST(gates.stale_servers(everything) == 1u);
  elsewhere.make_stale(); // the settings of its target changed
  elsewhere.make_stale();
  BOOST_TEST(elsewhere.stale());
  BOOST_TEST(gates.stale_servers(beta_app) == 1u);
  BOOST_TEST(gates.servers(everything) == 3u);
  old.reset();
  elsewhere.reset();
  BOOST_TEST(gates.stale_servers(everything) == 0u);
  BOOST_TEST(gates.servers(everything) == 1u);
}

BOOST_AUTO_TEST_CASE(B146_disabled_by_database_and_by_tenant) {
  gates.set_disabled(acme_app, true);
  BOOST_TEST(gates.disabled("acme", "app"));
  BOOST_TEST(!gates.disabled("acme", "other"));
  BOOST_TEST(gates.knows(acme_app));
  gates.set_disabled(acme, true);
  BOOST_TEST(gates.disabled("acme", "other"));
  gates.set_disabled(acme_app, false);
  BOOST_TEST(gates.disabled("acme", "app")); // by its tenant
  gates.set_disabled(acme, false);
  BOOST_TEST(!gates.disabled("acme", "app"));
  BOOST_TEST(!gates.knows(acme_app));
  BOOST_TEST(shut() == "000"); // servers are not concerned
}

BOOST_AUTO_TEST_CASE(a_server_is_counted_or_refused_never_neither) {
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      while (!stop) {
        const gate_ticket ticket = pool_gates::admit(app);
        if (ticket && ticket.stale()) std::this_thread::yield();
      }
    });
  for (int i = 0; i < 300; ++i) {
    gates.pause(acme_app);
    while (gates.servers(acme_app) > 0)
      std::this_thread::yield();
    for (int again = 0; again < 10; ++again)
      BOOST_REQUIRE(gates.servers(acme_app) == 0u); // nobody slips in behind an empty count
    gates.reconnect(acme_app);
    gates.resume(acme_app);
  }
  stop = true;
  for (std::thread& one : threads)
    one.join();
  BOOST_TEST(gates.servers(everything) == 0u);
}

BOOST_AUTO_TEST_CASE(scopes_as_words) {
  const auto read = [](std::vector<std::string> words) {
    const auto scope = read_scope(words);
    return scope ? "[" + to_string(*scope) + "]" : "no";
  };
  BOOST_TEST(read({}) == "[]");
  BOOST_TEST(read({"app"}) == "[app]");
  BOOST_TEST(read({"tenant"}) == "[tenant]"); // a database of that name
  BOOST_TEST(read({"Tenant", "acme"}) == "[TENANT acme]");
  BOOST_TEST(read({"app", "tenant", "acme"}) == "[app TENANT acme]");
  BOOST_TEST(read({"app", "tenant", "default"}) == "[app]");
  BOOST_TEST(read({"tenant", "tenant", "tenant"}) == "[tenant TENANT tenant]");
  BOOST_TEST(read({"app", "acme"}) == "no");
  BOOST_TEST(read({"app", "of", "acme"}) == "no");
  BOOST_TEST(read({"a", "tenant", "b", "c"}) == "no");
  BOOST_TEST(read({""}) == "no");
}

BOOST_AUTO_TEST_SUITE_END()
