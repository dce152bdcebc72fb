// Throughput over time, by whom, and what is asked for in words.
#include "actors/throughput_ledger.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge;
using namespace pg_edge::actors;
using namespace std::chrono_literals;

namespace {

using clock_type = throughput_ledger::clock;

pool_growth grown(const pool_name& name, std::uint64_t queries, std::uint64_t us = 1000) {
  pool_growth result;
  result.name = name;
  result.counts.query_count = queries;
  result.counts.xact_count = queries / 2;
  result.counts.received = queries * 10;
  result.counts.sent = queries * 100;
  result.times[static_cast<std::size_t>(timed::query)].add(static_cast<std::uint8_t>(duration_bucket::of(us)), queries);
  return result;
}

struct world {
  clock_type::time_point now{};
  throughput_ledger ledger{now};

  /// A second in which these pools and clients did something.
  void second(std::vector<pool_growth> pools, std::vector<client_growth> clients = {},
              std::vector<std::uint64_t> gone = {}, std::chrono::milliseconds span = 1000ms) {
    meter_reading reading;
    reading.pools = std::move(pools);
    reading.clients = std::move(clients);
    reading.gone = std::move(gone);
    ledger.take(reading);
    now += span;
    ledger.tick(now);
  }
  std::vector<throughput_row> rows(throughput_by by, window over = window::ten_seconds) const {
    throughput_question question;
    question.by = by;
    question.over = over;
    return ledger.rows(question);
  }
};

const pool_name a_app{"a", "app", "u"}, a_crm{"a", "crm", "u"}, a_other_user{"a", "app", "v"}, b_app{"b", "app", "u"};

client_growth busy_client(std::uint64_t id, std::uint64_t queries, bool named = true) {
  client_growth result;
  result.id = id;
  result.queries = queries;
  result.received = queries * 10;
  result.durations = 2;
  result.recent[0] = result.recent[1] = static_cast<std::uint8_t>(duration_bucket::of(5000));
  if (named) result.who = std::make_shared<client_identity>(client_identity{a_app, "10.0.0.1", "psql", 4711});
  return result;
}

} // namespace

BOOST_AUTO_TEST_SUITE(throughput_test)

BOOST_AUTO_TEST_CASE(rates_are_a_second_and_of_the_true_span) {
  world at;
  at.second({grown(a_app, 500)}, {}, {}, 500ms);
  const auto rows = at.rows(throughput_by::tenant, window::second);
  BOOST_TEST_REQUIRE(rows.size() == 1u);
  BOOST_TEST(rows[0].queries == 1000.0);
  BOOST_TEST(rows[0].transactions == 500.0);
  BOOST_TEST(rows[0].sent == 100000.0);
  BOOST_TEST(rows[0].query.quantile(0.5) >= 800u);
  BOOST_TEST(rows[0].query.quantile(0.5) <= 1250u);
}

BOOST_AUTO_TEST_CASE(sums_by_tenant_database_user_and_pool) {
  world at;
  at.second({grown(a_app, 1), grown(a_crm, 2), grown(a_other_user, 4), grown(b_app, 8)});
  const auto total = [&](throughput_by by) {
    std::map<pool_name, double> result;
    for (const auto& row : at.rows(by, window::second))
      result[row.name] = row.queries;
    return result;
  };
  BOOST_TEST(total(throughput_by::tenant).at({"a", "", ""}) == 7.0);
  BOOST_TEST(total(throughput_by::tenant).at({"b", "", ""}) == 8.0);
  BOOST_TEST(total(throughput_by::database).at({"a", "app", ""}) == 5.0);
  BOOST_TEST(total(throughput_by::user).at({"a", "", "u"}) == 3.0);
  BOOST_TEST(total(throughput_by::pool).at(a_other_user) == 4.0);
}

BOOST_AUTO_TEST_CASE(each_window_holds_its_seconds_and_no_more) {
  for (int offset = 0; offset < 20; ++offset) { // wherever the tens begin
    world at;
    for (int i = 0; i < 100 + offset; ++i)
      at.second({grown(a_app, 60)});
    for (const window over : windows)
      BOOST_TEST(at.rows(throughput_by::tenant, over).at(0).queries == 60.0, offset << " " << seconds_of(over));
    for (int i = 0; i < 10; ++i)
      at.second({});
    BOOST_TEST(at.rows(throughput_by::tenant, window::second).empty());
    BOOST_TEST(at.rows(throughput_by::tenant, window::ten_seconds).empty());
    const double rest = at.rows(throughput_by::tenant, window::minute).at(0).queries;
    BOOST_TEST(rest >= 49.0, rest);
    BOOST_TEST(rest <= 53.0, rest);
  }
}

BOOST_AUTO_TEST_CASE(what_is_idle_for_a_minute_is_forgotten) {
  world at;
  at.second({grown(a_app, 1)}, {busy_client(1, 5)});
  BOOST_TEST(at.ledger.pools() == 1u);
  BOOST_TEST(at.ledger.clients() == 1u);
  for (int i = 0; i < 90; ++i)
    at.second({});
  BOOST_TEST(at.ledger.pools() == 0u);
  BOOST_TEST(at.ledger.clients() == 0u);
}

BOOST_AUTO_TEST_CASE(a_client_is_told_apart_until_it_leaves) {
  world at;
  at.second({}, {busy_client(1, 100), busy_client(2, 5)});
  at.second({}, {busy_client(1, 150, false)});
  auto rows = at.rows(throughput_by::client, window::second);
  BOOST_TEST_REQUIRE(rows.size() == 1u);
  BOOST_TEST(rows[0].client == 1u);
  BOOST_TEST(rows[0].queries == 50.0);
  BOOST_TEST(rows[0].addr == "10.0.0.1:4711");
  BOOST_TEST(rows[0].query.quantile(0.99) >= 4000u);
  rows = at.rows(throughput_by::client, window::ten_seconds);
  BOOST_TEST_REQUIRE(rows.size() == 2u);
  BOOST_TEST(rows[0].queries == 75.0); // 150 in two seconds
  at.second({}, {}, {1});
  rows = at.rows(throughput_by::client, window::ten_seconds);
  BOOST_TEST_REQUIRE(rows.size() == 1u);
  BOOST_TEST(rows[0].client == 2u);
}

BOOST_AUTO_TEST_CASE(there_is_a_limit_to_clients) {
  world at;
  std::vector<client_growth> many;
  for (std::uint64_t id = 1; id <= throughput_ledger::most_clients + 5; ++id)
    many.push_back(busy_client(id, 1));
  at.second({}, std::move(many));
  BOOST_TEST(at.ledger.clients() == throughput_ledger::most_clients);
}

BOOST_AUTO_TEST_CASE(five_thousand_busy_tenants_take_a_few_megabytes) {
  world at;
  for (int i = 0; i < 70; ++i) {
    std::vector<pool_growth> all;
    for (int t = 0; t < 5000; ++t)
      all.push_back(grown({"tenant" + std::to_string(t), "app", "u"}, 10, 100 + 40 * static_cast<std::uint64_t>(i)));
    at.second(std::move(all));
  }
  BOOST_TEST(at.ledger.pools() == 5000u);
  BOOST_TEST(at.rows(throughput_by::tenant, window::minute).size() == 5000u);
}

BOOST_AUTO_TEST_CASE(what_is_asked_for_in_words) {
  auto wish = read_throughput_question({"CLIENT", "OVER", "60", "ORDER", "BY", "query_p99_us", "LIMIT", "5"});
  BOOST_TEST(wish.fault == "");
  BOOST_TEST((wish.question.by == throughput_by::client));
  BOOST_TEST((wish.question.over == window::minute));
  BOOST_TEST(wish.question.order == find_throughput_column("query_p99_us"));
  BOOST_TEST(!wish.question.ascending);
  BOOST_TEST(wish.question.limit == 5u);
  BOOST_TEST(read_throughput_question({"order", "by", "tenant"}).question.ascending);
  BOOST_TEST(!read_throughput_question({"order", "by", "tenant", "desc"}).question.ascending);
  BOOST_TEST(read_throughput_question({}).fault == "");
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"nonsense"},
                                                {"over", "5"},
                                                {"limit", "-1"},
                                                {"limit"},
                                                {"order", "by"},
                                                {"order", "by", "nothing"},
                                                {"over"},
                                                {"limit", "1x"}})
    BOOST_TEST(read_throughput_question(wrong).fault != "", wrong[0]);
}

BOOST_AUTO_TEST_CASE(any_column_sorts_and_a_limit_takes_the_first) {
  world at;
  at.second({grown(a_app, 3, 9000), grown(b_app, 5, 100)});
  throughput_question question;
  question.over = window::second;
  const auto first = [&](std::string_view by, bool ascending) {
    question.order = find_throughput_column(by);
    question.ascending = ascending;
    return at.ledger.rows(question).at(0).name.tenant;
  };
  BOOST_TEST(first("queries", false) == "b");
  BOOST_TEST(first("query_p99_us", false) == "a");
  BOOST_TEST(first("tenant", true) == "a");
  BOOST_TEST(first("tenant", false) == "b");
  for (const throughput_column& column : throughput_columns())
    BOOST_TEST(!first(column.name, true).empty());
  question.limit = 1;
  BOOST_TEST(at.ledger.rows(question).size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
