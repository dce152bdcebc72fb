// The key deriver in a real actor system: right answers, a cache that forgets the oldest, and several at the same time.
#include "actors/key_deriver.hpp"
#include "protocol/client_auth.hpp"
#include "protocol/messages.hpp"
#include "protocol/scram.hpp"

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <map>
#include <string>

using namespace pg_edge::actors;
using namespace pg_edge;

namespace {

const protocol::bytes salt = "0123456789abcdef";
constexpr auto patience = std::chrono::seconds(60);

struct fixture {
  explicit fixture(key_deriver_options options = {}) : fixture(options, 3) {}
  fixture(key_deriver_options options, std::size_t threads)
      : config(threads), system(config), self(system), deriver(spawn_key_deriver(system, options)) {}

  struct with_threads : caf::actor_system_config {
    explicit with_threads(std::size_t threads) {
      set("scheduler.max-threads", static_cast<caf::config_value::integer>(threads));
    }
  };

  derived_key derive(const derive_request& request) {
    derived_key answer;
    self->request(deriver, patience, request)
        .receive([&](const derived_key& got) { answer = got; },
                 [&](const caf::error& why) { BOOST_ERROR("no answer: " << system.render(why)); });
    return answer;
  }

  with_threads config;
  caf::actor_system system;
  caf::scoped_actor self;
  key_deriver_actor deriver;
};

derivation_id id_of(char c) {
  derivation_id id;
  id.fill(c);
  return id;
}

} // namespace

BOOST_AUTO_TEST_SUITE(key_deriver_test)

BOOST_AUTO_TEST_CASE(derives_what_scram_derives) {
  fixture f;
  const auto answer = f.derive({42, "pencil", salt, 4096});
  BOOST_TEST(answer.token == 42u);
  BOOST_TEST((answer.outcome == derive_outcome::ok));
  BOOST_TEST((answer.salted_password == protocol::salted_password("pencil", salt, 4096)));
}

BOOST_AUTO_TEST_CASE(password_salt_and_iterations_all_count) {
  fixture f;
  const auto same = f.derive({1, "ab", "c", 10}).salted_password;
  BOOST_TEST((f.derive({2, "ab", "c", 10}).salted_password == same));
  BOOST_TEST((f.derive({3, "ab", "c", 11}).salted_password == protocol::salted_password("ab", "c", 11)));
  BOOST_TEST((f.derive({4, "ab", "d", 10}).salted_password == protocol::salted_password("ab", "d", 10)));
  // The same characters, cut elsewhere: an id without lengths would mix these up.
  BOOST_TEST((f.derive({5, "b", "ca", 10}).salted_password == protocol::salted_password("b", "ca", 10)));
  BOOST_TEST((f.derive({6, "", "cab", 10}).salted_password == protocol::salted_password("", "cab", 10)));
}

BOOST_AUTO_TEST_CASE(refuses_what_is_outside_the_limits) {
  fixture f;
  for (const auto& request :
       {derive_request{1, "x", salt, 0}, derive_request{2, "x", salt, -1}, derive_request{3, "x", "", 10},
        derive_request{4, "x", salt, protocol::scram_max_iterations + 1}}) {
    const auto answer = f.derive(request);
    BOOST_TEST(answer.token == request.token);
    BOOST_TEST((answer.outcome == derive_outcome::refused));
    BOOST_TEST(answer.salted_password.empty());
  }
}

BOOST_AUTO_TEST_CASE(the_second_time_costs_nothing) {
  fixture f;
  const derive_request slow{1, "pencil", salt, 400'000};
  const auto begin = std::chrono::steady_clock::now();
  const auto first = f.derive(slow);
  const auto between = std::chrono::steady_clock::now();
  const auto second = f.derive(slow);
  const auto end = std::chrono::steady_clock::now();
  BOOST_TEST((first.outcome == derive_outcome::ok));
  BOOST_TEST((first.salted_password == second.salted_password));
  BOOST_TEST(((end - between) * 5 < between - begin));
}

BOOST_AUTO_TEST_CASE(a_hundred_logins_derive_once_and_each_proof_is_checked) {
  key_deriver_options options;
  options.computed = std::make_shared<std::atomic<std::uint64_t>>(0);
  fixture f(options);
  using verdict = protocol::client_auth::verdict;
  // The client's own keys are made here, not by the node's deriver.
  const protocol::bytes user_salt = protocol::user_salt("node secret", "bob");
  const auto log_in = [&](const std::string& password) {
    protocol::client_auth auth({"bob", {"pencil"}, protocol::auth_method::scram, 4096}, "snonce", "salt",
                               "node secret");
    protocol::scram_client client("cnonce");
    auth.begin();
    const protocol::bytes first = client.client_first();
    auto step = auth.answer(protocol::encode(protocol::sasl_initial_response{client.mechanism(), first}).substr(5));
    BOOST_REQUIRE((step.now == verdict::derive));
    step = auth.keys(f.derive({0, auth.password(), auth.salt(), auth.iterations()}).salted_password);
    BOOST_REQUIRE((client.server_first(protocol::bytes_view(step.send).substr(9)) == protocol::scram_error::none));
    static const auto right = protocol::derive_keys(protocol::salted_password("pencil", user_salt, 4096));
    static const auto wrong = protocol::derive_keys(protocol::salted_password("pencils", user_salt, 4096));
    const auto proof = client.client_final(password == "pencil" ? right : wrong);
    return auth.answer(protocol::encode(protocol::sasl_response{proof.reply}).substr(5)).now;
  };
  for (int i = 0; i < 100; ++i)
    BOOST_TEST((log_in("pencil") == verdict::accepted));
  BOOST_TEST((log_in("pencils") == verdict::refused)); // known keys do not make a proof
  BOOST_TEST((log_in("pencil") == verdict::accepted));
  BOOST_TEST(options.computed->load() == 1U);
}

BOOST_AUTO_TEST_CASE(many_logins_are_answered_each_with_its_own) {
  fixture f;
  constexpr int logins = 300;
  constexpr int passwords = 20;
  for (int i = 0; i < logins; ++i)
    f.self->send(f.deriver,
                 derive_request{static_cast<std::uint64_t>(i), "p" + std::to_string(i % passwords), salt, 500});
  // A plain send has its answer sent back as a message.
  std::map<std::uint64_t, protocol::bytes> answers;
  f.self->receive_while([&] { return answers.size() < logins; })(
      [&](const derived_key& got) {
        BOOST_TEST((got.outcome == derive_outcome::ok));
        BOOST_TEST(answers.emplace(got.token, got.salted_password).second);
      },
      caf::after(patience) >> [&] { BOOST_FAIL("only " << answers.size() << " answers"); });
  for (const auto& [token, key] : answers)
    BOOST_TEST((key == protocol::salted_password("p" + std::to_string(token % passwords), salt, 500)));
}

BOOST_AUTO_TEST_CASE(a_slow_derivation_does_not_hold_up_others) {
  // Two workers: while one is busy for long, the other answers.
  key_deriver_options options;
  options.workers = 2;
  fixture f(options, 3);
  f.self->send(f.deriver, derive_request{1, "slow", salt, protocol::scram_max_iterations});
  f.self->send(f.deriver, derive_request{2, "fast", salt, 1});
  std::vector<std::uint64_t> order;
  f.self->receive_while([&] { return order.size() < 2; })(
      [&](const derived_key& got) { order.push_back(got.token); },
      caf::after(patience) >> [&] { BOOST_FAIL("only " << order.size() << " answers"); });
  BOOST_TEST((order == std::vector<std::uint64_t>{2, 1}));
}

BOOST_AUTO_TEST_CASE(a_full_queue_says_busy_but_joins_what_is_under_way) {
  key_deriver_options options;
  options.workers = 1;
  options.max_waiting = 1;
  fixture f(options, 2);
  const int slow = 200'000;
  f.self->send(f.deriver, derive_request{1, "running", salt, slow});
  f.self->send(f.deriver, derive_request{2, "waiting", salt, slow});
  f.self->send(f.deriver, derive_request{3, "too many", salt, slow});
  f.self->send(f.deriver, derive_request{4, "running", salt, slow});
  f.self->send(f.deriver, derive_request{5, "waiting", salt, slow});
  std::map<std::uint64_t, derive_outcome> outcomes;
  f.self->receive_while([&] { return outcomes.size() < 5; })(
      [&](const derived_key& got) {
        outcomes[got.token] = got.outcome;
        BOOST_TEST((got.salted_password.empty() == (got.outcome != derive_outcome::ok)));
      },
      caf::after(patience) >> [&] { BOOST_FAIL("only " << outcomes.size() << " answers"); });
  for (const std::uint64_t token : {1, 2, 4, 5})
    BOOST_TEST((outcomes[token] == derive_outcome::ok), "token " << token);
  BOOST_TEST((outcomes[3] == derive_outcome::busy));
}

BOOST_AUTO_TEST_CASE(without_a_cache_it_still_derives) {
  key_deriver_options options;
  options.cache_capacity = 0;
  fixture f(options);
  BOOST_TEST((f.derive({1, "x", salt, 5}).salted_password == protocol::salted_password("x", salt, 5)));
  BOOST_TEST((f.derive({2, "x", salt, 5}).salted_password == protocol::salted_password("x", salt, 5)));
}

BOOST_AUTO_TEST_CASE(the_cache_forgets_the_least_recently_used) {
  derivation_cache cache(2);
  cache.insert(id_of('a'), "A");
  cache.insert(id_of('b'), "B");
  BOOST_TEST_REQUIRE((cache.find(id_of('a')) != nullptr)); // so b is now the older one
  BOOST_TEST((*cache.find(id_of('a')) == "A"));
  cache.insert(id_of('c'), "C");
  BOOST_TEST(cache.size() == 2u);
  BOOST_TEST((cache.find(id_of('b')) == nullptr));
  BOOST_TEST_REQUIRE((cache.find(id_of('a')) != nullptr));
  BOOST_TEST_REQUIRE((cache.find(id_of('c')) != nullptr));
  cache.insert(id_of('c'), "other"); // known already: the result cannot have changed
  BOOST_TEST((*cache.find(id_of('c')) == "C"));
  BOOST_TEST(cache.size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
