// Names that people choose cannot leave their folder in the store.
#include "cluster/store_keys.hpp"

#include <boost/test/unit_test.hpp>

namespace {

using namespace pg_edge::cluster;

BOOST_AUTO_TEST_SUITE(store_keys_test)

BOOST_AUTO_TEST_CASE(a_key_says_what_it_is_of) {
  const std::string root = store_root(local_cluster);
  BOOST_TEST(root == "/pg_edge/local/");
  BOOST_TEST(store_key(root, "databases", {"acme", "app"}) == "/pg_edge/local/databases/acme/app");
  const auto names = names_of_key(root, "databases", "/pg_edge/local/databases/acme/app");
  BOOST_REQUIRE(names.has_value());
  BOOST_TEST(*names == (std::vector<std::string>{"acme", "app"}), boost::test_tools::per_element());
  BOOST_TEST(!names_of_key(root, "users", "/pg_edge/local/databases/acme/app").has_value());
}

BOOST_AUTO_TEST_CASE(every_name_comes_back_and_none_reaches_further) {
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte)
    all_bytes += static_cast<char>(byte);
  for (const std::string& name : {std::string{"a/b"}, std::string{"../x"}, std::string{"100%"}, std::string{"a b"},
                                  std::string{"größe"}, std::string{}, all_bytes}) {
    BOOST_TEST(key_part(name).find('/') == std::string::npos);
    const auto back = name_of_part(key_part(name));
    BOOST_REQUIRE(back.has_value());
    BOOST_TEST(*back == name);
    const std::string root = store_root("c/1");
    const auto names = names_of_key(root, "users", store_key(root, "users", {name, "u"}));
    BOOST_REQUIRE(names.has_value());
    BOOST_TEST(names->size() == 2U);
    BOOST_TEST(names->front() == name);
  }
}

BOOST_AUTO_TEST_CASE(what_was_not_encoded_is_no_name) {
  for (const char* part : {"%", "%4", "%zz", "a b", "%2f"}) // lower-case digits would give one name two keys
    BOOST_TEST(!name_of_part(part).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace
