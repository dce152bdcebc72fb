// On the wire between versions, hence the literal texts; and which objects stand in the way.
#include "cluster/store_keys.hpp"
#include "cluster/succession_copy.hpp"
#include "cluster/succession_record.hpp"
#include "config/objects.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::cluster;

BOOST_AUTO_TEST_SUITE(succession_record_test)

BOOST_AUTO_TEST_CASE(the_record_of_a_take_over_stands_in_the_store_as_ever) {
  const succession_record record{succession_step::moving, "blue", "green", 0, "token deploy"};
  BOOST_TEST(to_text(record) == "moving blue green 0 token deploy");
  BOOST_TEST((parse_succession_record(to_text(record)) == record));
  BOOST_TEST((parse_succession_record("done blue green 17 \nof a later version") ==
              succession_record{succession_step::done, "blue", "green", 17, ""}));
  for (const char* wrong : {"", "none blue green 0 x", "gone blue green 0 x", "moving", "moving blue",
                            "moving blue green", "moving blue green x", "moving blue blue 0 x", "moving  green 0 x"})
    BOOST_TEST(!parse_succession_record(wrong).has_value(), wrong);
}

BOOST_AUTO_TEST_CASE(objects_stand_still_in_both_clusters_and_then_in_the_old_one) {
  succession_record record{succession_step::sealing, "blue", "green", 0, "x"};
  const auto sealed = [&](const char* cluster) { return !why_sealed(record, cluster).empty(); };
  BOOST_TEST(why_sealed(std::nullopt, "blue") == "");
  BOOST_TEST((sealed("blue") && sealed("green")));
  record.step = succession_step::copying;
  BOOST_TEST((sealed("blue") && sealed("green")));
  record.step = succession_step::moving;
  BOOST_TEST((sealed("blue") && !sealed("green")));
  BOOST_TEST(why_sealed(record, "blue") ==
             "cluster green has taken over cluster blue: make the change on a node of green");
}

BOOST_AUTO_TEST_CASE(what_a_node_holds_too) {
  const held_report report{succession_step::moving, 4711, {{{"default", "app"}, 3}, {{"a b", "x/y"}, 1}}};
  BOOST_TEST(to_text(report) == "moving 4711\n1 a%20b x%2Fy\n3 default app");
  BOOST_TEST((parse_held_report(to_text(report)) == report));
  BOOST_TEST((parse_held_report("sealing 1") == held_report{succession_step::sealing, 1, {}}));
  for (const char* wrong : {"", "sealing", "sealing x", "moving 1\nx default app", "moving 1\n-1 default app",
                            "moving 1\n5000000000 default app", "moving 1\n1 default %zz"})
    BOOST_TEST(!parse_held_report(wrong).has_value(), wrong);
}

BOOST_AUTO_TEST_CASE(what_is_missing_is_copied_and_what_differs_stands_in_the_way) {
  const std::string from = store_root("blue"), to = store_root("green");
  const auto text = [](const std::string& body, const std::string& by) {
    return pg_edge::config::stored_text({body, 0, by, "2026-11-29T00:00:00Z"});
  };
  const std::vector<store_entry> blue{{from + "audit/1", "x", 1, 0},
                                      {from + "cluster/view", "x", 1, 0},
                                      {from + "databases/t/new", text("{}", "a"), 1, 0},
                                      {from + "succession/state", "x", 1, 0},
                                      {from + "tenants/t", text("{}", "a"), 1, 0},
                                      {from + "users/t/other", text(R"({"pool_mode":"session"})", "a"), 1, 0}};
  const std::vector<store_entry> green{{to + "tenants/t", text("{}", "b"), 2, 0},
                                       {to + "tenants/own", text("{}", "b"), 2, 0},
                                       {to + "users/t/other", text(R"({"pool_mode":"statement"})", "b"), 2, 0}};
  const object_copy found = compare_objects(blue, from, green, to);
  BOOST_REQUIRE(found.missing.size() == 1U);
  BOOST_TEST(found.missing[0].key == to + "databases/t/new");
  BOOST_TEST(found.missing[0].value.value() == blue[2].value);
  BOOST_TEST(found.missing[0].expected.value() == 0U);
  BOOST_TEST((found.conflicts == std::vector<std::string>{"user t/other"}));
}

BOOST_AUTO_TEST_CASE(what_is_copied_goes_in_parts_that_the_store_takes) {
  std::vector<store_write> all;
  for (int i = 0; i < 250; ++i)
    all.push_back({"k" + std::to_string(i), std::string(i == 0 ? 400'000 : 10, 'x'), store_revision{0}, 0, false});
  std::size_t sum = 0;
  while (!all.empty()) {
    const auto batch = take_batch(all, 1);
    BOOST_REQUIRE(!batch.empty());
    BOOST_TEST(batch.size() < most_store_writes);
    sum += batch.size();
  }
  BOOST_TEST(sum == 250U);
}

BOOST_AUTO_TEST_SUITE_END()
