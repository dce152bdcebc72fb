// The written documents of this layer: equal to the tables. PG_EDGE_WRITE_DOCUMENTS=1 actors_test
// --run_test=documents_test renews the files. And the table of log events against the places that write them.
#include "actors/document.hpp"
#include "actors/log.hpp"
#include "tests/support/folders.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

using namespace pg_edge::actors;

namespace {

std::string in_repository(const std::string& path) {
  return std::string(pg_edge::test::source_folder) + "/" + path;
}

std::string whole_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void check_file(const std::string& path, const std::string& expected) {
  const std::string whole = in_repository(path);
  if (std::getenv("PG_EDGE_WRITE_DOCUMENTS") != nullptr) std::ofstream{whole, std::ios::binary} << expected;
  BOOST_TEST((whole_file(whole) == expected),
             path + " is not up to date: run PG_EDGE_WRITE_DOCUMENTS=1 actors_test --run_test=documents_test");
}

std::set<std::string> words_of(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::set<std::string> out;
  for (std::string word; in >> word;)
    out.insert(word);
  return out;
}

/// The call that begins behind `from`, up to its closing bracket.
std::string call_at(const std::string& text, std::size_t from) {
  int depth = 1;
  std::size_t at = from;
  for (; at < text.size() && depth > 0; ++at)
    depth += (text[at] == '(') - (text[at] == ')');
  return text.substr(from, at - from);
}

void collect(const std::string& text, const std::regex& pattern, std::set<std::string>& into) {
  for (std::sregex_iterator one(text.begin(), text.end(), pattern), end; one != end; ++one)
    into.insert((*one)[1]);
}

/// Event -> the keys its calls write. Calls that are made by a function of another name (log_current_exception) name
/// their event at the caller and their keys in the function, and are not seen here.
std::map<std::string, std::set<std::string>> written_in_sources() {
  static const std::regex call(R"(\b(log_own|log)\()"), event(R"(log_event::(\w+))"), pair(R"raw(\{"(\w+)",)raw"),
      field(R"raw(\bfield\("(\w+)",)raw");
  std::map<std::string, std::set<std::string>> found;
  for (const auto& entry : std::filesystem::directory_iterator(in_repository("actors"))) {
    if (entry.path().extension() != ".cpp") continue;
    const std::string text = whole_file(entry.path().string());
    const bool of_client = entry.path().filename().string().starts_with("client");
    for (std::sregex_iterator one(text.begin(), text.end(), call), end; one != end; ++one) {
      const std::string arguments = call_at(text, static_cast<std::size_t>(one->position() + one->length()));
      std::set<std::string> events, keys;
      collect(arguments, event, events);
      collect(arguments, pair, keys);
      collect(arguments, field, keys);
      if ((*one)[1] == "log_own")
        for (const std::string& key :
             words_of(of_client ? "client user database tenant addr port" : "pool tenant database user server"))
          keys.insert(key);
      for (const std::string& name : events)
        found[name].insert(keys.begin(), keys.end());
    }
  }
  return found;
}

} // namespace

BOOST_AUTO_TEST_SUITE(documents_test)

BOOST_AUTO_TEST_CASE(the_files_are_up_to_date) {
  check_file("docs/console.md", console_page());
  check_file("docs/logs.md", log_page());
}

BOOST_AUTO_TEST_CASE(every_event_says_which_fields_it_has) {
  const auto written = written_in_sources();
  BOOST_TEST(written.size() > 20u); // the sources were found and understood
  for (const auto& [event, keys] : written) {
    const auto row =
        std::find_if(log_events.begin(), log_events.end(), [&](const auto& one) { return one.name == event; });
    BOOST_TEST_REQUIRE((row != log_events.end()), event);
    const std::set<std::string> documented = words_of(row->fields);
    for (const std::string& key : keys)
      BOOST_TEST(documented.contains(key), event << " writes " << key << ", which its row in log_events does not tell");
  }
}

BOOST_AUTO_TEST_SUITE_END()
