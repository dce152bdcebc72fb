// Seats: who counts for what, and where a limit was set.
#include "actors/client_limits.hpp"

#include <boost/test/unit_test.hpp>

#include <thread>
#include <vector>

using namespace pg_edge;
using namespace pg_edge::actors;

BOOST_AUTO_TEST_SUITE(client_limits_test)

BOOST_AUTO_TEST_CASE(B135_each_limit_counts_its_own_and_names_itself) {
  client_seats seats;
  client_limit_reached reached;
  const config::client_limits none{};
  const auto a = seats.take({"t", "db", "u"}, none, reached);
  const auto b = seats.take({"t", "db", "v"}, none, reached);
  const auto c = seats.take({"t", "other", "u"}, none, reached);
  const auto d = seats.take({"s", "db", "u"}, none, reached);
  BOOST_TEST((a && b && c && d));
  const auto count = seats.count({"t", "db", "u"});
  BOOST_TEST(count.tenant == 3);
  BOOST_TEST(count.database == 2);
  BOOST_TEST(count.user == 2);
  const struct {
    config::client_limits limits;
    const char* setting; // "" where there is a seat
  } rows[] = {{{3, 0, 0}, "max_tenant_client_connections"}, {{4, 0, 0}, ""},
              {{0, 2, 0}, "max_db_client_connections"},     {{0, 3, 0}, ""},
              {{0, 0, 2}, "max_user_client_connections"},   {{0, 0, 3}, ""},
              {{3, 2, 2}, "max_tenant_client_connections"}, {{1, 0, 0}, "max_tenant_client_connections"}};
  for (const auto& row : rows) {
    reached = {};
    const auto seat = seats.take({"t", "db", "u"}, row.limits, reached);
    BOOST_TEST(static_cast<bool>(seat) == reached.setting.empty());
    BOOST_TEST(reached.setting == row.setting);
  }
  BOOST_TEST(seats.count({"t", "db", "u"}).tenant == 3); // refusals and seats given back leave nothing
}

BOOST_AUTO_TEST_CASE(nothing_is_left_of_seats_given_back) {
  client_seats seats;
  client_limit_reached reached;
  {
    auto a = seats.take({"t", "db", "u"}, {}, reached);
    auto b = seats.take({"t", "db", "u"}, {}, reached);
    auto moved = std::move(a);
    BOOST_TEST(!a);
    BOOST_TEST(seats.count({"t", "db", "u"}).user == 2);
    moved = std::move(b);
    BOOST_TEST(seats.count({"t", "db", "u"}).user == 1);
    moved.release();
    moved.release();
    BOOST_TEST(seats.size() == 0u);
    auto last = seats.take({"", "a/b", "u"}, {}, reached);
  }
  BOOST_TEST(seats.size() == 0u);
  static_assert(sizeof(client_seat) == sizeof(void*), "every idle client has one");
}

BOOST_AUTO_TEST_CASE(threads_share_the_counters) {
  client_seats seats;
  const config::client_limits limits{0, 0, 5};
  std::vector<std::thread> threads;
  std::atomic<int> most = 0;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 2000; ++n) {
        client_limit_reached reached;
        const auto one = seats.take({"t", "db", "u"}, limits, reached),
                   two = seats.take({"t", "db", "u"}, limits, reached);
        const int now = seats.count({"t", "db", "u"}).user;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
      }
    });
  for (auto& one : threads)
    one.join();
  BOOST_TEST(most <= 5);
  BOOST_TEST(most >= 2);
  BOOST_TEST(seats.size() == 0u);
}

BOOST_AUTO_TEST_CASE(where_a_limit_was_set) {
  config::tenant owner;
  owner.name = "acme";
  config::database shop;
  shop.name = "shop";
  config::user app;
  app.name = "app";
  const config::route way{&owner, &shop, &app, "shop"};
  BOOST_TEST(where_set(way, "max_user_client_connections") == "[pg_edge]");
  owner.max_user_client_connections = 5;
  BOOST_TEST(where_set(way, "max_user_client_connections") == "[tenants.acme]");
  app.max_user_client_connections = 5;
  BOOST_TEST(where_set(way, "max_user_client_connections") == "[tenants.acme.users.app]");
  BOOST_TEST(where_set(way, "max_db_client_connections") == "[pg_edge]");
  shop.max_db_client_connections = 5;
  BOOST_TEST(where_set(way, "max_db_client_connections") == "[tenants.acme.databases.shop]");
  config::tenant plain = config::make_default_tenant();
  BOOST_TEST(where_set({&plain, &shop, nullptr, "shop"}, "max_db_client_connections") == "[databases.shop]");
}

BOOST_AUTO_TEST_SUITE_END()
