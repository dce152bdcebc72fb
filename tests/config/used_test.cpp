// A setting that is accepted and does nothing is a defect: every row must be read where the program acts. That is
// looked up in the sources themselves, as a member access, so that comments, help and log texts do not count.
#include "config/setting_table.hpp"
#include "config_text.hpp"
#include "tests/support/folders.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>

using namespace config_text;

namespace {

namespace fs = std::filesystem;

/// Rows that reach the program under another name, as members of pool_settings (config/resolve.cpp).
const std::map<std::string_view, std::string> other_names = {
    {"default_pool_size", "pool_size"},
    {"pool_mode", "mode"},
    {"url", "host"},
    {"user", "server_user"},
    {"password", "server_secret"},
    {"password_file", "server_secret"},
    {"client_encoding", "server_parameters"},
    {"datestyle", "server_parameters"},
    {"timezone", "server_parameters"},
    {"application_name", "server_parameters"},
    {"autodb_idle_timeout", "pool_idle_timeout"},
    {"auth_hba_file", "hba"},
    {"auth_ident_file", "hba"},
};

/// Rows that the loader itself uses up: its source that reads them, and the member in which the program finds the
/// result.
struct used_by_loader {
  std::string source;
  std::string result;
};
const std::map<std::string_view, used_by_loader> loader_rows = {
    {"auth_file", {"auth_file.cpp", "users"}},
};

/// Rows that are read by way of another member.
const std::map<std::string_view, std::string> read_into = {{"token_file", "token"}, {"advertise", "address"}};

/// Rows whose use is being built; empty when an issue is resolved.
const std::set<std::string_view> awaited = {};

/// The sources that act. Those that only show settings in the console do not count.
std::string acting_sources() {
  std::string out;
  for (const auto* folder : {"actors", "tools"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path{pg_edge::test::source_folder} / folder)) {
      const auto name = entry.path().filename().string();
      if (!entry.is_regular_file() || !(name.ends_with(".cpp") || name.ends_with(".hpp"))) continue;
      if (name.starts_with("console_tables") || name.starts_with("console_commands")) continue;
      out += read_whole_file(entry.path().string()).value_or("") + '\n';
    }
  return out;
}

bool in_a_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// Whether `.name` or `->name` stands there, as a whole word.
bool reads_member(std::string_view source, std::string_view name) {
  for (auto at = source.find(name); at != std::string_view::npos; at = source.find(name, at + 1)) {
    const auto before = source.substr(0, at), behind = source.substr(at + name.size());
    if ((before.ends_with('.') || before.ends_with("->")) && (behind.empty() || !in_a_name(behind.front())))
      return true;
  }
  return false;
}

} // namespace

BOOST_AUTO_TEST_SUITE(used_test)

BOOST_AUTO_TEST_CASE(only_whole_members_count) {
  BOOST_TEST(reads_member("all->verbose > 1", "verbose"));
  BOOST_TEST(reads_member("all.verbose", "verbose"));
  BOOST_TEST(!reads_member("// verbose", "verbose"));
  BOOST_TEST(!reads_member("\"verbose\"", "verbose"));
  BOOST_TEST(!reads_member("all.verbose_too + all.too_verbose", "verbose"));
}

BOOST_AUTO_TEST_CASE(every_row_is_used) {
  const auto sources = acting_sources();
  BOOST_REQUIRE(!sources.empty());
  for (const auto& row : setting_rows()) {
    if (awaited.contains(row.name) || loader_rows.contains(row.name)) continue;
    const auto found = other_names.find(row.name);
    const auto into = read_into.find(row.name);
    const std::string member = found != other_names.end() ? found->second
                               : into != read_into.end()  ? into->second
                                                          : std::string{row.name};
    BOOST_TEST(reads_member(sources, member), row.name << ": is accepted, and nothing reads it");
  }
}

BOOST_AUTO_TEST_CASE(what_the_loader_uses_up_reaches_the_program) {
  const auto sources = acting_sources();
  for (const auto& [name, use] : loader_rows) {
    const auto loading =
        read_whole_file((fs::path{pg_edge::test::source_folder} / "config" / use.source).string()).value_or("");
    BOOST_TEST(find_row(name, in_global) != nullptr, name);
    BOOST_TEST(reads_member(loading, name), name);
    BOOST_TEST(reads_member(loading, use.result), use.result);
    BOOST_TEST(reads_member(sources, use.result), use.result);
  }
}

BOOST_AUTO_TEST_CASE(what_resolves_into_another_name_does_so) {
  const auto resolve =
      read_whole_file((fs::path{pg_edge::test::source_folder} / "config" / "resolve.cpp").string()).value_or("");
  for (const auto& [name, member] : other_names) {
    BOOST_TEST((find_row(name, in_global) != nullptr || find_row(name, in_database) != nullptr), name);
    BOOST_TEST(reads_member(resolve, member), member);
  }
}

BOOST_AUTO_TEST_SUITE_END()
