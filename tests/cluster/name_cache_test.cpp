#include "cluster/name_cache.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::cluster;
using namespace std::chrono_literals;
using pg_edge::config::ip_address;
using pg_edge::config::parse_address;

namespace {

constexpr moment start{std::chrono::hours{1}};
const name_cache::limits limits{15s, 10s};

std::vector<ip_address> addresses(std::initializer_list<const char*> all) {
  std::vector<ip_address> out;
  for (const char* one : all)
    out.push_back(*parse_address(one));
  return out;
}

family_answer found(std::initializer_list<const char*> all, std::chrono::milliseconds life = 60s) {
  return {family_answer::kind::found, addresses(all), life, {}};
}
const family_answer none{family_answer::kind::none, {}, {}, "no such name"};
const family_answer failed{family_answer::kind::failed, {}, {}, "no answer"};

struct fixture {
  name_cache names;
  name_change say(const family_answer& v4, const family_answer& v6, moment now = start) {
    BOOST_TEST(names.begin("db", now));
    BOOST_TEST(!names.begin("db", now)); // one question for all who ask
    return names.answered("db", v4, v6, limits, now);
  }
  std::vector<std::string> due(moment now) const {
    return names.due(now, [](const std::string&) { return true; });
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(name_cache_test, fixture)

BOOST_AUTO_TEST_CASE(an_answer_holds_for_its_life_and_at_most_for_the_setting) {
  BOOST_TEST(!names.fresh("db", start));
  const auto change = say(found({"10.0.0.1"}), found({"fd00::1"}, 20s));
  BOOST_TEST((names.find("db")->addresses == addresses({"fd00::1", "10.0.0.1"})));
  BOOST_TEST(change.added.empty()); // the first answer changes nothing
  BOOST_TEST(!change.works_again);
  BOOST_TEST(names.fresh("db", start + 14999ms));
  BOOST_TEST(!names.fresh("db", start + 15s));
  say(found({"10.0.0.1"}, 5s), none, start + 15s); // a shorter life wins
  BOOST_TEST(names.fresh("db", start + 19999ms));
  BOOST_TEST(!names.fresh("db", start + 20s));
  say(found({"10.0.0.1"}, 0s), none, start + 20s); // but nobody is asked without end
  BOOST_TEST(names.fresh("db", start + 20999ms));
  BOOST_TEST(!names.fresh("db", start + 21s));
}

BOOST_AUTO_TEST_CASE(B176_a_new_answer_tells_what_came_and_what_went) {
  say(found({"10.0.0.1", "10.0.0.2"}), none);
  const auto change = say(found({"10.0.0.2", "10.0.0.3"}), none, start + 20s);
  BOOST_TEST((change.added == addresses({"10.0.0.3"})));
  BOOST_TEST((change.removed == addresses({"10.0.0.1"})));
  const auto turned = say(found({"10.0.0.3", "10.0.0.2"}), none, start + 40s); // another order is no change
  BOOST_TEST(turned.added.empty());
  BOOST_TEST(turned.removed.empty());
}

BOOST_AUTO_TEST_CASE(an_answer_that_fails_changes_nothing) {
  say(found({"10.0.0.1"}), none);
  for (const auto& [v4, v6] : {std::pair{failed, failed}, {none, none}, {none, failed}, {failed, none}}) {
    static moment now = start;
    now += 20s;
    const auto change = say(v4, v6, now);
    BOOST_TEST(change.began_to_fail == (now == start + 20s)); // said once
    BOOST_TEST(change.removed.empty());
    BOOST_TEST((names.find("db")->addresses == addresses({"10.0.0.1"})));
    BOOST_TEST(!names.find("db")->why.empty());
  }
  const auto change = say(found({"10.0.0.1"}), none, start + 200s);
  BOOST_TEST(change.works_again);
  BOOST_TEST(names.find("db")->why.empty());
}

BOOST_AUTO_TEST_CASE(a_family_that_fails_keeps_its_addresses) {
  say(found({"10.0.0.1"}), found({"fd00::1"}));
  const auto half = say(found({"10.0.0.2"}), failed, start + 20s);
  BOOST_TEST((half.removed == addresses({"10.0.0.1"})));
  BOOST_TEST((names.find("db")->addresses == addresses({"fd00::1", "10.0.0.2"})));
  BOOST_TEST(!names.fresh("db", start + 20s + name_cache::no_answer_pause)); // asked again soon
  const auto gone = say(found({"10.0.0.2"}), none, start + 40s);
  BOOST_TEST((gone.removed == addresses({"fd00::1"})));
}

BOOST_AUTO_TEST_CASE(a_failure_is_remembered_for_a_while) {
  const auto change = say(none, none);
  BOOST_TEST(change.began_to_fail);
  BOOST_TEST(names.find("db")->addresses.empty());
  BOOST_TEST(names.fresh("db", start + 9999ms));
  BOOST_TEST(!names.fresh("db", start + 10s));
  say(failed, failed, start + 10s); // nobody knows: the next try is sooner
  BOOST_TEST(names.fresh("db", start + 11999ms));
  BOOST_TEST(!names.fresh("db", start + 12s));
  const auto there = say(found({"10.0.0.1"}), none, start + 30s);
  BOOST_TEST(there.works_again);
  BOOST_TEST((names.find("db")->addresses == addresses({"10.0.0.1"})));
}

BOOST_AUTO_TEST_CASE(what_is_in_use_is_due_when_its_time_is_up) {
  say(found({"10.0.0.1"}), none);
  BOOST_TEST(due(start + 14s).empty());
  BOOST_TEST((due(start + 15s) == std::vector<std::string>{"db"}));
  BOOST_TEST(names.due(start + 15s, [](const std::string&) { return false; }).empty());
  BOOST_TEST(names.begin("db", start + 15s));
  BOOST_TEST(due(start + 15s).empty()); // under way
}

BOOST_AUTO_TEST_CASE(names_and_addresses_have_limits) {
  family_answer many = found({});
  for (int i = 0; i < 200; ++i)
    many.addresses.push_back(*parse_address("10.0.1." + std::to_string(i)));
  say(many, none);
  BOOST_TEST(names.find("db")->addresses.size() == name_cache::most_addresses);
  for (std::size_t i = 0; i < name_cache::kept + 100; ++i) {
    const std::string name = "host" + std::to_string(i);
    BOOST_TEST(names.begin(name, start + 1h));
    names.answered(name, none, none, limits, start);
  }
  BOOST_TEST(names.size() <= name_cache::kept);
}

BOOST_AUTO_TEST_SUITE_END()
