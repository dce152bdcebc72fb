#include "cluster/moved_session.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>

using namespace pg_edge::cluster;
using namespace pg_edge::protocol;

namespace {

parameter_values_ptr values(std::initializer_list<std::pair<const char*, const char*>> list) {
  auto made = std::make_shared<parameter_values>();
  for (const auto& [name, value] : list)
    made->set(name, value);
  return made;
}

client_statement named(statement_cache& cache, const std::string& text, std::uint64_t at) {
  client_statement made;
  made.what = cache.intern(text);
  made.parsed_at = at;
  made.parsed_in = 7;
  return made;
}

const bytes one_text{"select $1\0\0\1\0\0\0\x17", 16};

} // namespace

BOOST_AUTO_TEST_SUITE(moved_session_test)

BOOST_AUTO_TEST_CASE(a_session_comes_back_as_it_was) {
  statement_cache here, there;
  client_session old;
  old.id = 17;
  old.values = values({{"DateStyle", "German"}, {"standard_conforming_strings", "on"}});
  old.startup_values = values({{"DateStyle", "ISO"}});
  old.profile = std::make_shared<const startup_profile>(make_startup_profile({{"search_path", "a"}}));
  old.custom_startup = true;
  old.batch = 900;
  old.more().statements.set("mine", named(here, one_text, 3));
  old.extras->statements.find("mine")->what->verified = true;
  old.extras->unnamed = bytes("set x to 1\0\0\0", 13);
  old.extras->unnamed_generation = 4;
  BOOST_TEST_REQUIRE(can_move(old));
  const moved_session record = record_of(old);

  client_session young;
  restore(record, there, young);
  BOOST_TEST(young.id == 17u);
  BOOST_TEST((*young.values == *old.values));
  BOOST_TEST((*young.startup_values == *old.startup_values));
  BOOST_TEST((*young.profile == *old.profile));
  BOOST_TEST(young.custom_startup);
  BOOST_TEST_REQUIRE(young.extras != nullptr);
  client_statement* mine = young.extras->statements.find("mine");
  BOOST_TEST_REQUIRE(mine != nullptr);
  BOOST_TEST(mine->what->text == one_text);
  BOOST_TEST(mine->what->verified);
  BOOST_TEST(mine->what == there.find(one_text));           // shared with who has the same text there
  BOOST_TEST(mine->parsed_at == present_parse_epoch() - 1); // as if it were parsed now
  BOOST_TEST(mine->parsed_in == 0u);
  BOOST_TEST(young.extras->unnamed == old.extras->unnamed);
  BOOST_TEST(young.extras->unnamed_generation > 0u);
  BOOST_TEST((young.extras->unnamed_effects != nullptr)); // SET leaves something behind
  BOOST_TEST((record_of(young) == record));               // and it can move on
}

BOOST_AUTO_TEST_CASE(a_text_that_names_statements_moves_as_the_client_wrote_it) {
  statement_cache here, there;
  client_session old;
  client_statement one = named(here, bytes("execute pg_edge_0000000009\0\0\0", 29), 1);
  one.written = std::make_shared<const bytes>("execute mine\0\0\0", 15);
  old.more().statements.set("s", one);
  client_session young;
  restore(record_of(old), there, young);
  const client_statement* back = young.extras->statements.find("s");
  BOOST_TEST_REQUIRE(back != nullptr);
  BOOST_TEST_REQUIRE(back->written != nullptr);
  BOOST_TEST(*back->written == *one.written);
  BOOST_TEST(back->what->text == *one.written);
}

BOOST_AUTO_TEST_CASE(types_given_by_PREPARE_move_too) {
  statement_cache here, there;
  client_session old;
  client_statement one;
  one.what = here.intern("select $1", "int, text", true);
  old.more().statements.set("s", one);
  client_session young;
  restore(record_of(old), there, young);
  const client_statement* back = young.extras->statements.find("s");
  BOOST_TEST_REQUIRE(back != nullptr);
  BOOST_TEST(back->what->has_sql_types);
  BOOST_TEST(back->what->sql_types == "int, text");
}

BOOST_AUTO_TEST_CASE(equal_values_are_one_object_again) {
  statement_cache there;
  client_session old, young;
  old.values = old.startup_values = values({{"DateStyle", "ISO"}});
  restore(record_of(old), there, young);
  BOOST_TEST(young.values == young.startup_values);
  BOOST_TEST(young.extras == nullptr);
}

BOOST_AUTO_TEST_CASE(what_is_under_way_stays) {
  client_session busy;
  busy.in_batch = true;
  BOOST_TEST(!can_move(busy));
  busy.in_batch = false;
  busy.frame_left = 1;
  BOOST_TEST(!can_move(busy));
  busy.frame_left = 0;
  busy.skip_until_sync = true;
  BOOST_TEST(!can_move(busy));
  busy.skip_until_sync = false;
  BOOST_TEST(can_move(busy));
}

BOOST_AUTO_TEST_SUITE_END()
