// Which tenant a connection means, from everything it says; and bans.
#include "config/tenant_name.hpp"
#include "config/timestamp.hpp"
#include "config_text.hpp"

#include <boost/test/unit_test.hpp>

using namespace config_text;

namespace {

const settings& with_tenants() {
  static const settings all = loaded(R"(
[pg_edge]
listen_addr = ["127.0.0.1"]
[databases.app]
[users.app]
password = "x"
[users."old.acme"]
password = "x"
[tenants.acme]
server_names = ["acme.db.example.com", "*.acme.example.com"]
[tenants.acme.users.app]
password = "x"
[tenants.acme.users."john.beta"]
password = "x"
[tenants.beta]
server_names = ["*.db.example.com", "Beta.Example.Com"]
[tenants.beta.users.app]
password = "x"
[tenants."eu.beta"]
[tenants."eu.beta".users.app]
password = "x"
)");
  return all;
}

tenant_choice choose(const tenant_signs& signs, const settings& all = with_tenants()) {
  return choose_tenant(all, server_name_index(all), signs);
}

std::string name_of(const tenant_choice& choice) {
  return choice.found == nullptr ? "(none)" : choice.found->name;
}

} // namespace

BOOST_AUTO_TEST_SUITE(tenant_name_test)

BOOST_AUTO_TEST_CASE(what_a_connection_says_is_one_tenant_and_one_user) {
  const struct {
    const char *listener, *option, *server_name, *user, *tenant, *who;
  } rows[] = {
      // nothing but a user
      {"", "", "", "app", "default", "app"},
      {"", "", "", "nobody", "default", "nobody"},
      {"", "", "", "app.acme", "acme", "app"},
      {"", "", "", "app.default", "default", "app"},
      {"", "", "", "app.unknown", "default", "app.unknown"},
      {"", "", "", "first.last.acme", "acme", "first.last"},
      {"", "", "", "app.eu.beta", "beta", "app.eu"},   // the last dot with a tenant behind it
      {"", "", "", "old.acme", "default", "old.acme"}, // a configured name wins
      {"", "", "", ".acme", "default", ".acme"},
      {"", "", "", "acme", "default", "acme"},
      {"", "", "", "app.", "default", "app."},
      {"", "", "", "app.ACME", "default", "app.ACME"}, // names of tenants have one spelling
      // one thing beside it
      {"acme", "", "", "app", "acme", "app"},
      {"default", "", "", "app", "default", "app"},
      {"", "acme", "", "app", "acme", "app"},
      {"", "eu.beta", "", "app", "eu.beta", "app"},
      {"", "unknown", "", "app", "(none)", "app"},
      {"", "", "acme.db.example.com", "app", "acme", "app"},
      {"", "", "ACME.db.Example.com.", "app", "acme", "app"},
      {"", "", "x.db.example.com", "app", "beta", "app"},
      {"", "", "x.y.db.example.com", "app", "default", "app"}, // a wildcard stands for one label
      {"", "", "db.example.com", "app", "default", "app"},
      {"", "", "x.acme.example.com", "app", "acme", "app"},
      {"", "", "beta.example.com", "app", "beta", "app"},
      {"", "", "elsewhere.org", "app", "default", "app"},
      {"", "", "elsewhere.org", "app.acme", "acme", "app"},
      // the same said twice
      {"acme", "acme", "acme.db.example.com", "app.acme", "acme", "app"},
      {"", "acme", "elsewhere.org", "app.acme", "acme", "app"},
      {"", "eu.beta", "", "app.eu.beta", "eu.beta", "app"},
      {"", "unknown", "", "app.unknown", "(none)", "app"},
      // dots in the names of a tenant's own users
      {"", "acme", "", "john.beta", "acme", "john.beta"},
      {"", "acme", "", "john.smith", "acme", "john.smith"},
      {"", "acme", "", "john.beta.acme", "acme", "john.beta"},
      // two tenants: the user as it stands, whom the tenant does not know, or nobody's
      {"", "acme", "", "app.beta", "acme", "app.beta"},
      {"", "acme", "x.db.example.com", "app", "(none)", "app"},
      {"beta", "", "acme.db.example.com", "app", "(none)", "app"},
      {"acme", "beta", "", "app", "(none)", "app"},
  };
  for (const auto& row : rows) {
    tenant_signs signs{row.listener, {}, row.server_name, row.user};
    if (*row.option != '\0') signs.options.emplace_back(row.option);
    const auto choice = choose(signs);
    BOOST_TEST_CONTEXT(row.listener << "|" << row.option << "|" << row.server_name << "|" << row.user) {
      BOOST_TEST(name_of(choice) == row.tenant);
      BOOST_TEST(choice.user == row.who);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_file_without_tenants_leaves_user_names_alone) {
  const auto plain = loaded("[pg_edge]\n[databases.app]\n[users.app]\npassword = \"x\"\n");
  const auto choice = choose({"", {}, "acme.db.example.com", "app.default"}, plain);
  BOOST_TEST(name_of(choice) == "default");
  BOOST_TEST(choice.user == "app.default");
  BOOST_TEST(choice.signs.empty());
}

BOOST_AUTO_TEST_CASE(conflicts_in_the_open_are_two_texts_and_no_others) {
  const auto two_options = choose({"", {"one", "two"}, "", "app"});
  BOOST_REQUIRE(two_options.open_conflict.has_value());
  BOOST_TEST(two_options.open_conflict->first.name == "one");
  BOOST_TEST(two_options.open_conflict->second.name == "two");
  const auto door = choose({"acme", {"beta"}, "", "app"});
  BOOST_REQUIRE(door.open_conflict.has_value());
  BOOST_TEST(describe(door.open_conflict->first.source) == "by its listener");
  // These hang on which tenants there are: only the log says it.
  const auto tls = choose({"", {"acme"}, "x.db.example.com", "app"});
  BOOST_TEST(!tls.open_conflict.has_value());
  BOOST_TEST(tls.hidden_reason == "two tenants: \"acme\" in the options, \"beta\" as the server's name in TLS");
  BOOST_TEST(choose({"", {"acme"}, "", "app.beta"}).hidden_reason ==
             "perhaps two tenants: \"acme\" in the options, \"beta\" at the end of the user name");
  BOOST_TEST(choose({"", {"no"}, "", "app"}).hidden_reason == "no tenant \"no\" in the options");
}

BOOST_AUTO_TEST_CASE(what_a_stranger_is_told_is_the_same_for_tenants_that_are_there_and_that_are_not) {
  const auto told = [](std::string text, const std::string& name) {
    for (std::size_t at = 0; (at = text.find(name, at)) != std::string::npos;)
      text.replace(at, name.size(), "?");
    return text;
  };
  for (const std::string name : {"acme", "beta", "unknown"}) {
    BOOST_TEST(told(choose({"", {name}, "", "john.smith"}).signs, name) ==
               "\"?\" in the options, \"smith\" at the end of the user name");
    BOOST_TEST(
        told(choose({"", {"acme"}, "", "app." + name}).signs, name).ends_with("\"?\" at the end of the user name"));
    BOOST_TEST(choose({"", {}, "", "app." + name}).signs.empty());
    BOOST_TEST(choose({"", {name}, "", "app"}).signs.empty());
    const std::string host = name + ".db.example.com";
    BOOST_TEST(told(choose({"", {"x"}, host, "app"}).signs, host) ==
               "\"x\" in the options, \"?\" as the server's name in TLS");
  }
}

BOOST_AUTO_TEST_CASE(options_lose_the_tenant_and_nothing_else) {
  const struct {
    const char *given, *rest, *tenants;
  } rows[] = {
      {"", "", ""},
      {"-c tenant=acme", "", "acme"},
      {"-ctenant=acme", "", "acme"},
      {"--tenant=acme", "", "acme"},
      {"tenant=acme", "", "acme"},
      {"reference=acme", "", "acme"},
      {"endpoint=acme", "", "acme"},
      {"-c Reference=acme", "", "acme"},
      {"  -c   tenant=acme  ", "", "acme"},
      {"-c tenant=acme -c work_mem=1MB", "-c work_mem=1MB", "acme"},
      {"-c work_mem=1MB -c tenant=acme", "-c work_mem=1MB", "acme"},
      {"-c work_mem=1MB tenant=acme --geqo=off", "-c work_mem=1MB --geqo=off", "acme"},
      {"-c tenant=a -c tenant=b", "", "a,b"},
      {"-c tenant=", "", ""},
      {"-c tenant=a\\ b", "", "a b"},
      {"-c search_path=a\\ tenant=b", "-c search_path=a\\ tenant=b", ""},
      {"-c application_name=--tenant=b", "-c application_name=--tenant=b", ""},
      {"-c --tenant=b", "-c --tenant=b", ""}, // the value of -c, which Postgres refuses
      {"-S --tenant=b", "-S --tenant=b", ""}, // the value of -S
      {"-c tenants=b", "-c tenants=b", ""},
      {"-c my.tenant=b", "-c my.tenant=b", ""},
      {"-c tenant", "-c tenant", ""},
      {"-c", "-c", ""},
      {"-e tenant=b", "-e", "b"},
      {"-c work_mem=1MB\\", "-c work_mem=1MB\\", ""},
      {"-c a=b\\  tenant=x", "-c a=b\\ ", "x"},
  };
  for (const auto& row : rows) {
    const auto stripped = strip_tenant_options(row.given);
    std::string names;
    for (const auto& name : stripped.tenants)
      names += (names.empty() ? "" : ",") + name;
    BOOST_TEST(stripped.rest == row.rest, row.given << " leaves " << stripped.rest);
    BOOST_TEST(names == row.tenants, row.given);
  }
}

BOOST_AUTO_TEST_CASE(server_name_patterns) {
  for (const auto* good : {"a", "a.b", "*.a.b", "acme-1.db_2.example.com", "*.com"})
    BOOST_TEST(is_server_name_pattern(good), good);
  for (const auto* bad : {"", "*", "*.", "a..b", ".a", "a.", "*.*.a", "a.*.b", "*a.b", "a b", "ä.example"})
    BOOST_TEST(!is_server_name_pattern(bad), bad);
}

BOOST_AUTO_TEST_CASE(nobody_has_no_way_anywhere) {
  BOOST_TEST(nobody().users.empty());
  BOOST_TEST((find_tenant(with_tenants(), nobody().name) == nullptr));
  BOOST_TEST(contains(errors_of("[tenants.\"/\"]\n"), "must not hold a /"));
}

BOOST_AUTO_TEST_CASE(bans_end) {
  const auto at = [](const char* text) { return *parse_timestamp(text); };
  BOOST_TEST(!ban_text("", "2030-01-01", at("2029-01-01")).has_value());
  BOOST_TEST(ban_text("unpaid", "", at("2029-01-01")).value() == ": unpaid");
  BOOST_TEST(ban_text("unpaid", "2030-01-01", at("2029-12-31T23:59:59Z")).value() ==
             " until 2030-01-01T00:00:00Z: unpaid");
  BOOST_TEST(!ban_text("unpaid", "2030-01-01", at("2030-01-01")).has_value());
}

BOOST_AUTO_TEST_CASE(checks_of_a_file) {
  const std::string head = "[pg_edge]\n[databases.app]\n";
  BOOST_TEST(
      contains(errors_of(head + "[tenants.a]\nserver_names = [\"x.y\"]\n[tenants.b]\nserver_names = [\"X.y\"]\n"),
               "tenant b: server_names: x.y means tenant a already"));
  BOOST_TEST(contains(errors_of(head + "[tenants.a]\nserver_names = [\"*.*.y\"]\n"), "is neither a host name nor"));
  BOOST_TEST(
      contains(errors_of(head + "[listeners.l]\nlisten_addr = [\"127.0.0.1\"]\nlisten_port = 7\ntenant = \"a\"\n"),
               "listener l: tenant: there is no [tenants.a]"));
  BOOST_TEST(
      contains(warnings_of(head + "[tenants.a]\nbanned_until = \"2030-01-01\"\n"), "does nothing without banned"));
  BOOST_TEST(contains(warnings_of(head + "[users.\"u.a\"]\npassword = \"x\"\n[tenants.a.users.u]\npassword = \"x\"\n"),
                      "user u.a: clients of that name are the default tenant's, not u of tenant a"));
}

BOOST_AUTO_TEST_SUITE_END()
