// Errors counted by SQLSTATE.
#include "protocol/error_tally.hpp"

#include <boost/test/unit_test.hpp>

#include <map>

using namespace pg_edge::protocol;

namespace {

std::map<std::string, std::uint32_t> drained(error_tally& tally) {
  std::map<std::string, std::uint32_t> result;
  tally.drain([&](const error_count& one) {
    result[one.key.sqlstate() + "/" + std::string(to_string(one.key.origin()))] += one.count;
  });
  return result;
}

} // namespace

BOOST_AUTO_TEST_SUITE(error_tally_test)

BOOST_AUTO_TEST_CASE(a_code_comes_back_as_it_was) {
  for (const std::string code : {"00000", "40001", "28P01", "ZZZZZ", "P0001"}) {
    BOOST_TEST(error_key(code, error_origin::server).sqlstate() == code);
    BOOST_TEST(error_key(code, error_origin::pg_edge).sqlstate() == code);
    BOOST_TEST((error_key(code, error_origin::pg_edge).origin() == error_origin::pg_edge));
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_code_is_other) {
  for (const std::string code : {"", "4000", "400011", "4000a", "40 01", "\xff\xff\xff\xff\xff"})
    BOOST_TEST(error_key(code, error_origin::server).sqlstate() == "other");
}

BOOST_AUTO_TEST_CASE(counts_by_code_and_origin_and_begins_anew) {
  error_tally tally;
  BOOST_TEST(tally.empty());
  tally.note("40001", error_origin::server);
  tally.note("40001", error_origin::server);
  tally.note("40001", error_origin::pg_edge);
  BOOST_TEST(!tally.empty());
  const auto all = drained(tally);
  BOOST_TEST(all.size() == 2u);
  BOOST_TEST(all.at("40001/server") == 2u);
  BOOST_TEST(all.at("40001/pg_edge") == 1u);
  BOOST_TEST(tally.empty());
  BOOST_TEST(drained(tally).empty());
}

BOOST_AUTO_TEST_CASE(made_up_codes_take_no_more_room) {
  error_tally tally;
  for (int i = 0; i < 1000; ++i)
    tally.note(std::to_string(10000 + i), error_origin::server);
  const auto all = drained(tally);
  BOOST_TEST(all.size() == error_tally::most + 1);
  BOOST_TEST(all.at("other/server") == 1000 - error_tally::most);
}

BOOST_AUTO_TEST_SUITE_END()
