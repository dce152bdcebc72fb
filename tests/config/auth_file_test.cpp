// auth_file as a live source of users: what comes from it, what wins over it, and what is wrong in it.
#include "config/difference.hpp"
#include "config_text.hpp"

#include <boost/test/unit_test.hpp>

using namespace config_text;

namespace {

const std::string verifier = "SCRAM-SHA-256$4096:c2FsdA==$" + std::string(43, 'A') + "=:" + std::string(43, 'B') + "=";

world with_file(const std::string& content) {
  return {{}, {{"/etc/users.txt", content}}};
}

settings users_of(const std::string& content, const std::string& sections = "") {
  return loaded("[pg_edge]\nauth_file = \"/etc/users.txt\"\n" + sections, with_file(content));
}

/// The problems with their files, one a line.
std::string problems_of(const std::string& content, const std::string& sections = "") {
  std::string out;
  for (const auto& one : load("[pg_edge]\nauth_file = \"/etc/users.txt\"\n" + sections, with_file(content)).problems)
    out += to_string(one) + '\n';
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(auth_file_test)

BOOST_AUTO_TEST_CASE(its_users_can_log_in) {
  const auto all = users_of("\xef\xbb\xbf\"anna\" \"pa\"\"ss\" and more\n\n; nobody\n\"bob\" \"" + verifier +
                            "\"\r\n\"no \"\"one\" \"\"\n\"umlaut\" \"\xfc\"");
  const auto& users = all.default_tenant.users;
  BOOST_TEST(users.size() == 4u);
  BOOST_TEST(users.at("anna").name == "anna");
  BOOST_TEST(users.at("anna").secret == "pa\"ss");
  BOOST_TEST(users.at("anna").line == 2); // where auth_file stands
  BOOST_TEST(users.at("bob").secret == verifier);
  BOOST_TEST(users.at("no \"one").secret == "");
  BOOST_TEST(users.at("umlaut").secret == "\xfc");
}

BOOST_AUTO_TEST_CASE(of_a_name_given_twice_the_last_counts) {
  BOOST_TEST(users_of("\"a\" \"1\"\n\"a\" \"2\"\n").default_tenant.users.at("a").secret == "2");
}

BOOST_AUTO_TEST_CASE(the_users_section_wins) {
  const auto all = users_of("\"a\" \"file\"\n\"b\" \"file\"\n\"c\" \"file\"\n",
                            "[users.a]\npassword = \"toml\"\npool_size = 3\n[users.b]\npool_size = 4\n");
  const auto& users = all.default_tenant.users;
  BOOST_TEST(users.at("a").secret == "toml");
  BOOST_TEST((users.at("a").pool_size == 3));
  BOOST_TEST(users.at("b").secret == "file"); // a section without a password says nothing about it
  BOOST_TEST((users.at("b").pool_size == 4));
  BOOST_TEST(users.at("c").secret == "file");
}

BOOST_AUTO_TEST_CASE(tenants_do_not_get_its_users) {
  const auto all = users_of("\"a\" \"1\"\n", "[tenants.t.databases.d]\nhost = \"x\"\n");
  BOOST_TEST(all.tenants.at("t").users.empty());
}

BOOST_AUTO_TEST_CASE(malformed_lines_are_errors_with_the_place) {
  const auto text = problems_of("\"good\" \"1\"\nanna geheim\n\"b\"\n\"\" \"geheim\"\n\"c\" \"SCRAM-SHA-256$geheim\"\n"
                                "\"d\" \"gehe\n" +
                                std::string("\"e\" \"geheim\0\"\n", 14));
  BOOST_TEST(contains(text, "/etc/users.txt:2: error: expected \"user\" \"password\", each in double quotes\n"));
  BOOST_TEST(contains(text, "/etc/users.txt:3: error: expected"));
  BOOST_TEST(contains(text, "/etc/users.txt:4: error: the user name is empty\n"));
  BOOST_TEST(contains(text, "/etc/users.txt:5: error: the password looks like a verifier, but is malformed\n"));
  BOOST_TEST(contains(text, "/etc/users.txt:6: error: expected"));
  BOOST_TEST(contains(text, "/etc/users.txt:7: error: holds a zero byte\n"));
  BOOST_TEST(!contains(text, "users.txt:1"));
  BOOST_TEST(!contains(text, "gehe"));
}

BOOST_AUTO_TEST_CASE(a_file_of_another_kind_does_not_fill_the_screen) {
  std::string rubbish;
  for (int i = 0; i < 1000; ++i)
    rubbish += "rubbish\n";
  const auto text = problems_of(rubbish);
  BOOST_TEST(contains(text, "/etc/users.txt:20: error: "));
  BOOST_TEST(!contains(text, "/etc/users.txt:21: "));
  BOOST_TEST(contains(text, "/etc/users.txt: error: 980 more lines are malformed\n"));
}

BOOST_AUTO_TEST_CASE(a_missing_file_is_told_once) {
  const auto text = errors_of("[pg_edge]\nauth_file = \"gone\"\n");
  BOOST_TEST(text == "2: auth_file: cannot read gone\n");
}

BOOST_AUTO_TEST_CASE(its_users_may_be_admins_and_servers_users) {
  const auto text = problems_of("\"a\" \"1\"\n\"v\" \"" + verifier + "\"\n",
                                "admin_users = \"a\"\n[databases.d]\nuser = \"v\"\nhost = \"x\"\n");
  BOOST_TEST(!contains(text, "admin_users"));
  BOOST_TEST(contains(text, "database d: [users.v] holds a SCRAM verifier"));
}

BOOST_AUTO_TEST_CASE(a_reload_sees_what_changed_in_it) {
  const auto before = users_of("\"a\" \"1\"\n\"b\" \"2\"\n");
  const auto changes = diff(before, users_of("\"a\" \"other\"\n\"c\" \"3\"\n"));
  BOOST_TEST((changes.users.changed == std::vector<std::string>{"a"}));
  BOOST_TEST((changes.users.removed == std::vector<std::string>{"b"}));
  BOOST_TEST((changes.users.added == std::vector<std::string>{"c"}));
  BOOST_TEST(diff(before, users_of("; moved lines\n\"b\" \"2\"\n\"a\" \"1\"\n")).empty());
}

BOOST_AUTO_TEST_SUITE_END()
