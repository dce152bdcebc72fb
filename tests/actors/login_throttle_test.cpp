// Failed logins are counted by user and address, and forgotten in time.
#include "actors/login_throttle.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::actors;
using namespace std::chrono_literals;

namespace {

constexpr login_throttle::clock::time_point start{1000s};

void fail(login_throttle& throttle, const std::string& key, int times, login_throttle::clock::time_point when = start) {
  for (int i = 0; i < times; ++i)
    throttle.failed(key, when, 3, 60s);
}

} // namespace

BOOST_AUTO_TEST_SUITE(login_throttle_test)

BOOST_AUTO_TEST_CASE(B033_the_limit_closes_one_user_from_one_address) {
  login_throttle throttle;
  const auto key = login_throttle::key("10.0.0.1", "acme", "app");
  fail(throttle, key, 2);
  BOOST_TEST(!throttle.refused_for(key, start).has_value());
  fail(throttle, key, 1);
  BOOST_TEST((throttle.refused_for(key, start) == 60s));
  BOOST_TEST((throttle.refused_for(key, start + 59s) == 1s));
  BOOST_TEST(!throttle.refused_for(key, start + 60s).has_value());
  for (const auto& other :
       {login_throttle::key("10.0.0.2", "acme", "app"), login_throttle::key("10.0.0.1", "beta", "app"),
        login_throttle::key("10.0.0.1", "acme", "other"), login_throttle::key("10.0.0.1", "", "app")})
    BOOST_TEST(!throttle.refused_for(other, start).has_value());
}

BOOST_AUTO_TEST_CASE(failures_are_forgotten_behind_the_window_and_by_a_success) {
  login_throttle throttle;
  const auto key = login_throttle::key("10.0.0.1", "", "app");
  fail(throttle, key, 2);
  fail(throttle, key, 2, start + 60s);
  BOOST_TEST(!throttle.refused_for(key, start + 60s).has_value());
  throttle.succeeded(key);
  BOOST_TEST(throttle.size() == 0u);
  fail(throttle, key, 2, start + 61s);
  BOOST_TEST(!throttle.refused_for(key, start + 61s).has_value());
  // Those under way when the limit was reached do not make it longer.
  fail(throttle, key, 5, start + 62s);
  BOOST_TEST((throttle.refused_for(key, start + 63s) == 59s));
}

BOOST_AUTO_TEST_CASE(addresses_that_one_host_can_choose_from_are_one) {
  const auto key = [](const char* address) { return login_throttle::key(address, "", "app"); };
  BOOST_TEST((key("2001:db8::1") == key("2001:db8::ffff:2")));
  BOOST_TEST((key("2001:db8::1") != key("2001:db8:0:1::1")));
  BOOST_TEST((key("::ffff:10.0.0.1") == key("10.0.0.1")));
  BOOST_TEST((login_throttle::key("10.0.0.1", "a", "bc") != login_throttle::key("10.0.0.1", "ab", "c")));
  BOOST_TEST(key("unix").empty());
}

BOOST_AUTO_TEST_CASE(local_sockets_are_not_throttled) {
  login_throttle throttle;
  fail(throttle, login_throttle::key("unix", "", "app"), 10);
  BOOST_TEST(throttle.size() == 0u);
}

BOOST_AUTO_TEST_CASE(a_flood_of_names_pushes_out_the_oldest) {
  login_throttle throttle(100);
  const auto name = [](int i) { return login_throttle::key("10.0.0.1", "", "u" + std::to_string(i)); };
  for (int i = 0; i < 1000; ++i)
    fail(throttle, name(i), 3);
  BOOST_TEST(throttle.size() == 100u);
  BOOST_TEST(throttle.refused_for(name(999), start).has_value());
  BOOST_TEST(throttle.refused_for(name(900), start).has_value());
  BOOST_TEST(!throttle.refused_for(name(899), start).has_value());
}

BOOST_AUTO_TEST_CASE(no_limit_counts_nothing) {
  login_throttle throttle;
  const auto key = login_throttle::key("10.0.0.1", "", "app");
  for (int i = 0; i < 100; ++i)
    throttle.failed(key, start, 0, 60s);
  BOOST_TEST(throttle.size() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
