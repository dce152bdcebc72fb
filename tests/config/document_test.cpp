// The written documents: equal to the table, and loadable. PG_EDGE_WRITE_DOCUMENTS=1 config_test renews the files.
#include "config/document.hpp"
#include "config/setting_table.hpp"
#include "config_text.hpp"
#include "tests/support/folders.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <fstream>

using namespace config_text;

namespace {

std::string in_repository(const std::string& path) {
  std::string out{pg_edge::test::source_folder};
  out.append("/").append(path);
  return out;
}

void check_file(const std::string& path, const std::string& expected) {
  const std::string whole = in_repository(path);
  if (std::getenv("PG_EDGE_WRITE_DOCUMENTS") != nullptr) std::ofstream{whole, std::ios::binary} << expected;
  BOOST_TEST((read_whole_file(whole) == expected),
             path + " is not up to date: run PG_EDGE_WRITE_DOCUMENTS=1 config_test --run_test=document_test");
}

const world with_password{{{"APP_PASSWORD", "x"}}, {}};

/// "#key = value" becomes "key = value"; prose starts with "# ".
std::string uncommented(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at)
    if (!(text[at] == '#' && (at == 0 || text[at - 1] == '\n') && at + 1 < text.size() && text[at + 1] != ' '))
      out += text[at];
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(document_test)

BOOST_AUTO_TEST_CASE(the_files_are_up_to_date) {
  check_file("docs/settings.md", settings_page());
  check_file("examples/commented.toml", commented_example());
}

BOOST_AUTO_TEST_CASE(the_page_names_every_setting) {
  const auto page = settings_page();
  for (const auto& row : setting_rows())
    BOOST_TEST(contains(page, "| `" + std::string{row.name} + "` | "), row.name);
  for (const auto& row : absent_rows())
    BOOST_TEST(contains(page, "| `" + std::string{row.name} + "` | "), row.name);
}

BOOST_AUTO_TEST_CASE(the_commented_example_loads_with_and_without_its_comment_signs) {
  const auto text = commented_example();
  BOOST_TEST(errors_of(text, with_password) == "");
  BOOST_TEST(errors_of(uncommented(text), with_password) == "");
  const auto all = loaded(uncommented(text), with_password);
  // Everything stands at its default, except where the example must listen somewhere, and a path shows what one is
  // like.
  for (const auto& shown : show(all))
    if (shown.key != "listen_addr" && shown.key != "logfile") BOOST_TEST(shown.value == shown.default_value, shown.key);
  for (const auto& row : setting_rows())
    BOOST_TEST(contains(text, std::string{row.name} + " = "), row.name);
}

BOOST_AUTO_TEST_CASE(no_line_of_the_example_is_too_long) {
  const auto text = commented_example();
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find('\n', at);
    if (text.compare(at, 11, "#auth_query") != 0) // a value cannot be broken
      BOOST_TEST(end - at <= 120u, text.substr(at, end - at));
    at = end + 1;
  }
}

BOOST_AUTO_TEST_CASE(the_minimal_example_loads_without_a_warning) {
  const auto text = read_whole_file(in_repository("examples/pg_edge.toml"));
  BOOST_REQUIRE(text.has_value());
  const auto result = load(*text, with_password);
  BOOST_TEST(result.problems.empty());
  BOOST_REQUIRE(result.value != nullptr);
  BOOST_TEST(result.value->default_tenant.users.at("app").secret == "x");
}

BOOST_AUTO_TEST_SUITE_END()
