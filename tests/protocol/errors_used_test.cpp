// An error nobody sends is a promise nobody keeps: every row of the table must be named where the program acts.
#include "protocol/errors.hpp"
#include "tests/support/folders.hpp"

#include <boost/test/unit_test.hpp>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace pg_edge::protocol;

namespace {

namespace fs = std::filesystem;

/// All sources but the table's own.
std::string acting_sources() {
  std::string out;
  for (const auto* folder : {"protocol", "config", "cluster", "actors", "tools"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path{pg_edge::test::source_folder} / folder)) {
      const std::string name = entry.path().filename().string();
      const bool source = name.ends_with(".cpp") || name.ends_with(".hpp");
      if (!entry.is_regular_file() || !source || name.starts_with("errors.")) continue;
      std::ostringstream text;
      text << std::ifstream(entry.path()).rdbuf();
      out += text.str() + '\n';
    }
  return out;
}

/// Whether `error_code::name` stands there, as a whole word and not in a comment.
bool names_row(std::string_view source, std::string_view name) {
  const std::string wanted = "error_code::" + std::string(name);
  for (auto at = source.find(wanted); at != std::string_view::npos; at = source.find(wanted, at + 1)) {
    const auto behind = source.substr(at + wanted.size(), 1);
    const auto line = source.substr(0, at).rfind('\n');
    const auto before = source.substr(line == std::string_view::npos ? 0 : line, at - (line + 1) + 1);
    const bool longer = !behind.empty() && (std::isalnum(static_cast<unsigned char>(behind[0])) != 0 || behind == "_");
    if (!longer && before.find("//") == std::string_view::npos) return true;
  }
  return false;
}

} // namespace

BOOST_AUTO_TEST_SUITE(errors_used_test)

BOOST_AUTO_TEST_CASE(only_whole_names_outside_comments_count) {
  BOOST_TEST(names_row("fail(error_code::internal);", "internal"));
  BOOST_TEST(names_row("a\n  return {protocol::error_code::internal", "internal"));
  BOOST_TEST(!names_row("error_code::internal_too", "internal"));
  BOOST_TEST(!names_row("a;\n// error_code::internal", "internal"));
  BOOST_TEST(!names_row("log_event::internal", "internal"));
}

BOOST_AUTO_TEST_CASE(every_row_is_sent_by_somebody) {
  const std::string sources = acting_sources();
  BOOST_REQUIRE(sources.size() > 100'000u);
  for (const error_row& row : error_rows())
    BOOST_TEST(names_row(sources, row.name), row.name << ": nothing sends it");
}

BOOST_AUTO_TEST_SUITE_END()
