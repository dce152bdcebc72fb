// The counters behind /metrics, its text, and what is written about it. PG_EDGE_WRITE_DOCUMENTS=1 renews
// docs/metrics.md.
#include "actors/metric_table.hpp"
#include "tests/support/folders.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

using namespace pg_edge;
using namespace pg_edge::actors;

namespace {

pool_growth grown(const std::string& tenant, std::uint64_t queries, const std::string& database = "app") {
  pool_growth result;
  result.name = {tenant, database, "u"};
  result.mode = config::pool_mode::transaction;
  result.counts.query_count = queries;
  result.times[static_cast<std::size_t>(timed::query)].add(static_cast<std::uint8_t>(duration_bucket::of(1000)),
                                                           queries);
  return result;
}

std::uint64_t queries_of(const series_ledger& ledger, const std::string& tenant) {
  std::uint64_t sum = 0;
  for (const auto& [key, totals] : ledger.series())
    if (key.name.tenant == tenant) sum += totals.counts.query_count;
  return sum;
}

std::uint64_t all_queries(const series_ledger& ledger) {
  std::uint64_t sum = 0;
  for (const auto& [key, totals] : ledger.series())
    sum += totals.counts.query_count;
  return sum;
}

std::string whole_file(const std::string& path) {
  std::ifstream in(std::string(test::source_folder) + "/" + path, std::ios::binary);
  BOOST_TEST_REQUIRE(static_cast<bool>(in), path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string page_of(const series_ledger& series, std::vector<pool_state> pools = {}) {
  metrics_view view;
  view.series = &series;
  view.pools = std::move(pools);
  return write_metrics(view);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_SUITE(metrics_test)

// -- series by name
// ----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(what_has_no_name_is_summed_and_nothing_is_lost) {
  series_ledger ledger;
  ledger.configure({2, 10});
  for (const std::string tenant : {"a", "b", "c", "d"})
    ledger.take(grown(tenant, 10));
  BOOST_TEST(queries_of(ledger, "a") == 10u);
  BOOST_TEST(queries_of(ledger, "b") == 10u);
  BOOST_TEST(queries_of(ledger, "other") == 20u);
  BOOST_TEST(all_queries(ledger) == 40u);
  BOOST_TEST(ledger.node().counts.query_count == 40u);
}

BOOST_AUTO_TEST_CASE(no_series_ever_falls_when_names_change) {
  series_ledger ledger;
  ledger.configure({2, 10});
  std::map<std::string, std::uint64_t> last;
  for (int round = 0; round < 40; ++round) {
    for (int t = 0; t < 6; ++t) // another one is the busiest every few rounds
      ledger.take(grown("t" + std::to_string(t), t == round / 7 ? 1000 : 10));
    std::map<std::string, std::uint64_t> busy;
    for (int t = 0; t < 6; ++t)
      busy["t" + std::to_string(t)] = t == round / 7 ? 1000 : 10;
    ledger.rank(busy);
    ledger.tick();
    std::map<std::string, std::uint64_t> now;
    for (const auto& [key, totals] : ledger.series())
      now[key.name.tenant] += totals.counts.query_count;
    for (const auto& [tenant, count] : now)
      if (last.contains(tenant)) BOOST_TEST(count >= last.at(tenant), tenant << " in round " << round);
    last = now;
    BOOST_TEST(now.size() <= 3u);
  }
  BOOST_TEST(ledger.node().counts.query_count == 40u * 1050);
}

BOOST_AUTO_TEST_CASE(the_busiest_take_names_from_those_half_as_busy_only) {
  series_ledger ledger;
  ledger.configure({1, 10});
  ledger.take(grown("first", 1));
  ledger.rank({{"first", 10}, {"second", 19}});
  ledger.take(grown("second", 1));
  BOOST_TEST(queries_of(ledger, "second") == 0u);
  ledger.rank({{"first", 10}, {"second", 21}});
  ledger.take(grown("second", 1));
  BOOST_TEST(queries_of(ledger, "second") == 1u);
  BOOST_TEST((ledger.key_of({"first", "app", "u"}, config::pool_mode::session).name.tenant == "other"));
}

BOOST_AUTO_TEST_CASE(the_pools_of_one_tenant_are_bounded_too) {
  series_ledger ledger;
  ledger.configure({10, 3});
  for (int i = 0; i < 100; ++i)
    ledger.take(grown("a", 1, "db" + std::to_string(i)));
  BOOST_TEST(ledger.series().size() == 4u);
  BOOST_TEST(queries_of(ledger, "a") == 100u);
}

BOOST_AUTO_TEST_CASE(a_reload_may_take_names_away) {
  series_ledger ledger;
  for (int i = 0; i < 20; ++i)
    ledger.take(grown("t" + std::to_string(i), 1));
  BOOST_TEST(ledger.series().size() == 20u);
  ledger.configure({5, 100});
  for (int i = 0; i < 20; ++i)
    ledger.take(grown("t" + std::to_string(i), 1));
  BOOST_TEST(ledger.series().size() == 6u);
  ledger.configure({0, 0});
  ledger.take(grown("t1", 1));
  BOOST_TEST(ledger.series().size() == 1u);
  BOOST_TEST(ledger.node().counts.query_count == 41u);
}

BOOST_AUTO_TEST_CASE(who_is_quiet_for_an_hour_gives_its_name_back) {
  series_ledger ledger;
  ledger.configure({1, 10});
  ledger.take(grown("gone", 1));
  for (std::uint64_t i = 0; i < series_ledger::forget_after + 120; ++i)
    ledger.tick();
  ledger.take(grown("new", 1));
  BOOST_TEST(queries_of(ledger, "gone") == 0u);
  BOOST_TEST(queries_of(ledger, "new") == 1u);
}

// -- the text
// -------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(counters_and_histograms_in_prometheus_words) {
  series_ledger ledger;
  ledger.take(grown("a", 7));
  const std::string page = page_of(ledger);
  const std::string labels = R"(tenant="a",database="app",user="u",pool_mode="transaction")";
  BOOST_TEST(has(page, "# TYPE pg_edge_pool_queries_total counter\n"));
  BOOST_TEST(has(page, "pg_edge_pool_queries_total{" + labels + "} 7\n"), page);
  BOOST_TEST(has(page, "pg_edge_queries_total 7\n"));
  BOOST_TEST(has(page, "pg_edge_pool_query_seconds_bucket{" + labels + ",le=\"+Inf\"} 7\n"), page);
  BOOST_TEST(has(page, "pg_edge_pool_query_seconds_bucket{" + labels + ",le=\"0.001024\"} 7\n"), page);
  BOOST_TEST(has(page, "pg_edge_pool_query_seconds_bucket{" + labels + ",le=\"0.000512\"} 0\n"), page);
  BOOST_TEST(has(page, "pg_edge_pool_query_seconds_count{" + labels + "} 7\n"));
}

BOOST_AUTO_TEST_CASE(a_name_that_is_no_text_does_not_spoil_the_page) {
  series_ledger ledger;
  ledger.take(grown("a", 1, "x\xff\"\n\\"));
  const std::string page = page_of(ledger);
  BOOST_TEST(has(page, R"(database="x\\xff\"\n\\")"), page);
  BOOST_TEST(label_text("gr\xc3\xbc\xc3\x9f\xe2\x82\xac\xf0\x9f\x98\x80") ==
             "gr\xc3\xbc\xc3\x9f\xe2\x82\xac\xf0\x9f\x98\x80");
  BOOST_TEST(label_text("\xc0\x80\xed\xa0\x80\xf5\x80") == "\\xc0\\x80\\xed\\xa0\\x80\\xf5\\x80");
}

BOOST_AUTO_TEST_CASE(series_whose_labels_are_the_same_are_one) {
  series_ledger ledger;
  ledger.configure({1, 10});
  ledger.take(grown("other", 3)); // somebody's real name
  ledger.take(grown("b", 4));
  const std::string page = page_of(ledger, {});
  const std::regex line(R"(pg_edge_pool_queries_total\{tenant="other",database="other"[^\n]*)");
  BOOST_TEST(std::distance(std::sregex_iterator(page.begin(), page.end(), line), std::sregex_iterator()) <= 1);
}

BOOST_AUTO_TEST_CASE(pools_that_share_a_name_are_summed_as_they_stand) {
  series_ledger ledger;
  ledger.configure({0, 0});
  pool_state one;
  one.name = {"a", "app", "u"};
  one.mode = config::pool_mode::transaction;
  one.size = 20;
  one.clients_idle = 3;
  one.max_wait = std::chrono::milliseconds(500);
  pool_state share_of_it = one;
  share_of_it.clients_idle = 4;
  pool_state two = one;
  two.name.tenant = "b";
  two.max_wait = std::chrono::milliseconds(1500);
  const std::string page = page_of(ledger, {one, share_of_it, two});
  const std::string labels = R"(tenant="other",database="other",user="other",pool_mode="transaction")";
  BOOST_TEST(has(page, "pg_edge_pool_clients{" + labels + ",state=\"idle\"} 10\n"), page);
  BOOST_TEST(has(page, "pg_edge_pool_size{" + labels + "} 40\n"), page);
  BOOST_TEST(has(page, "pg_edge_pool_max_wait_seconds{" + labels + "} 1.5\n"), page);
  BOOST_TEST(has(page, "pg_edge_pools 2\n"));
}

// -- the table
// ------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(names_follow_the_conventions) {
  std::set<std::string_view> names;
  for (const metric_row& row : metric_rows()) {
    BOOST_TEST(names.insert(row.name).second, row.name);
    BOOST_TEST(std::regex_match(std::string(row.name), std::regex("(pg_edge|process)_[a-z_]+[a-z]")), row.name);
    BOOST_TEST((row.type == metric_type::counter) == row.name.ends_with("_total"), row.name);
    if (row.type == metric_type::histogram) BOOST_TEST(row.name.ends_with("_seconds"), row.name);
    BOOST_TEST(row.help.ends_with("."), row.name);
    BOOST_TEST(!has(std::string(row.help), "|"), row.name);
  }
}

BOOST_AUTO_TEST_CASE(the_document_is_up_to_date) {
  const std::string path = "docs/metrics.md";
  if (std::getenv("PG_EDGE_WRITE_DOCUMENTS") != nullptr)
    std::ofstream(std::string(test::source_folder) + "/" + path, std::ios::binary) << metrics_document();
  BOOST_TEST((whole_file(path) == metrics_document()),
             path << " is not up to date: run PG_EDGE_WRITE_DOCUMENTS=1 actors_test --run_test=metrics_test");
}

BOOST_AUTO_TEST_CASE(what_examples_and_documents_name_exists) {
  std::set<std::string> known;
  for (const metric_row& row : metric_rows()) {
    known.insert(std::string(row.name));
    if (row.type == metric_type::histogram)
      for (const char* part : {"_bucket", "_sum", "_count"})
        known.insert(std::string(row.name) + part);
  }
  const std::regex name("(pg_edge|process)_[a-z_]+");
  for (const std::string path : {"examples/grafana/pg_edge.json", "examples/prometheus/alerts.yml",
                                 "examples/prometheus/alerts_test.yml", "docs/throughput.md"}) {
    const std::string text = whole_file(path);
    std::size_t found = 0;
    for (auto one = std::sregex_iterator(text.begin(), text.end(), name); one != std::sregex_iterator(); ++one) {
      const std::string word = one->str();
      const std::size_t behind = static_cast<std::size_t>(one->position()) + word.size();
      if (word == "pg_edge_pgtest" || (behind < text.size() && text[behind] == '.')) continue; // a file's name
      BOOST_TEST(known.contains(word), path << " names " << word << ", which is no metric");
      ++found;
    }
    BOOST_TEST(found > 0u, path);
  }
}

BOOST_AUTO_TEST_SUITE_END()
