#include "protocol/statements.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::protocol;

namespace {

bytes text_of(std::string_view sql, std::string_view types = std::string_view("\0\0", 2)) {
  bytes text(sql);
  text.push_back('\0');
  return text.append(types);
}

} // namespace

BOOST_AUTO_TEST_SUITE(statements_test)

BOOST_AUTO_TEST_CASE(B079_B092_one_statement_a_text_and_its_types) {
  statement_cache cache;
  const statement_ptr one = cache.intern(text_of("SELECT $1"));
  BOOST_TEST((cache.intern(text_of("SELECT $1")) == one));
  BOOST_TEST((cache.find(text_of("SELECT $1")) == one));
  BOOST_TEST((cache.find(text_of("SELECT $2")) == nullptr));
  const statement_ptr typed = cache.intern(text_of("SELECT $1", std::string_view("\0\1\0\0\0\x17", 6)));
  BOOST_TEST((typed != one));
  BOOST_TEST(typed->server_name != one->server_name);
  BOOST_TEST(one->server_name.starts_with(statement_prefix));
  BOOST_TEST(one->query() == "SELECT $1");
  BOOST_TEST(!one->verified);
}

BOOST_AUTO_TEST_CASE(types_in_words_are_kept_apart_from_anything_a_parse_may_say) {
  statement_cache cache;
  const statement_ptr worded = cache.intern(text_of("SELECT $1"), "int", true);
  BOOST_TEST((cache.intern(text_of("SELECT $1"), "text", true) != worded));
  BOOST_TEST((cache.intern(text_of("SELECT $1")) != worded));
  bytes forged = text_of("SELECT $1");
  forged.append("\0sql\0int", 8);
  BOOST_TEST((cache.intern(forged) != worded));
  BOOST_TEST((cache.find(text_of("SELECT $1")) != worded));
}

BOOST_AUTO_TEST_CASE(B098_what_nobody_knows_any_more_is_forgotten) {
  statement_cache cache;
  const statement_ptr kept = cache.intern(text_of("SELECT 'kept'"));
  for (int i = 0; i < 10'000; ++i)
    cache.intern(text_of("SELECT " + std::to_string(i)));
  BOOST_TEST(cache.size() <= 256u);
  BOOST_TEST((cache.intern(text_of("SELECT 'kept'")) == kept));
}

BOOST_AUTO_TEST_CASE(B090_the_least_recently_used_goes_first) {
  statement_cache cache;
  server_statements known;
  std::vector<statement_ptr> all;
  for (int i = 0; i < 4; ++i) {
    all.push_back(cache.intern(text_of(std::to_string(i))));
    known.add(all.back());
  }
  BOOST_TEST((known.evict(4) == nullptr));
  BOOST_TEST(known.use(*all[0]) != nullptr);
  BOOST_TEST(known.find(*all[1]) != nullptr); // looks without using
  BOOST_TEST((known.evict(2) == all[1]));
  BOOST_TEST((known.evict(2) == all[2]));
  BOOST_TEST((known.evict(2) == nullptr));
  BOOST_TEST((known.use(*all[1]) == nullptr));
  known.distrust_all();
  BOOST_TEST(known.find(*all[0])->stale);
  known.erase(*all[0]);
  known.erase(*all[0]);
  BOOST_TEST(known.size() == 1u);
  known.clear();
  BOOST_TEST(known.size() == 0u);
  BOOST_TEST((known.evict(0) == nullptr));
}

BOOST_AUTO_TEST_CASE(effects_of_texts) {
  BOOST_TEST((effects_of("SELECT 1", false) == nullptr));
  BOOST_TEST((effects_of("SELECT 1", true) != nullptr));
  BOOST_TEST(!effects_of("SELECT 1", true)->complete);
  const text_effects_ptr two = effects_of("SET TimeZone TO DEFAULT; SELECT set_config('a','b',false)", false);
  BOOST_TEST_REQUIRE((two != nullptr && two->list.size() == 2u));
  BOOST_TEST((two->list[0].kind == statement_kind::set));
  BOOST_TEST(two->list[0].name == "timezone");
  BOOST_TEST(two->list[0].to_default);
  BOOST_TEST(two->leaves_state);
  BOOST_TEST(two->complete);
  // With standard_conforming_strings off, a backslash hides the quote.
  BOOST_TEST(effects_of("SET a TO 'x\\'; SET b TO 'y'", false, false)->list.size() == 1u);
}

BOOST_AUTO_TEST_CASE(epochs_rise) {
  const std::uint64_t one = next_parse_epoch();
  BOOST_TEST(present_parse_epoch() >= one);
  BOOST_TEST(next_parse_epoch() > one);
}

BOOST_AUTO_TEST_CASE(what_a_clients_statements_take_is_known) {
  statement_cache cache;
  client_statements all;
  const statement_ptr small = cache.intern(text_of("SELECT 1"));
  const statement_ptr large = cache.intern(text_of("SELECT '" + std::string(1000, 'x') + "'"));
  all.set("a", {small});
  const std::size_t of_a = all.bytes();
  BOOST_TEST(of_a == client_statements::cost_of("a", small->text.size()));
  all.set("bb", {large});
  BOOST_TEST(all.bytes() == of_a + client_statements::cost_of("bb", large->text.size()));
  all.set("a", {large});
  all.set("a", {small}); // in place of the other
  all.erase("bb");
  all.erase("never there");
  BOOST_TEST(all.bytes() == of_a);
  BOOST_TEST(all.find("bb") == nullptr);
  all.find("a")->what = large; // what it is made of may change: what it counts for goes with it
  all.erase("a");
  BOOST_TEST(all.bytes() == 0u);
  all.set("a", {small});
  all.clear();
  BOOST_TEST(all.bytes() == 0u);
  BOOST_TEST(all.size() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
