// The syntax of pg_hba.conf and pg_ident.conf, their errors, and what the rules decide. tests/pg/hba_pgtest.cpp
// compares the decisions with those of a real Postgres; what that version does not know yet stands here only.
#include "config/hba.hpp"
#include "config_text.hpp"

#include <boost/test/unit_test.hpp>

using namespace config_text;

namespace {

struct read_result {
  std::shared_ptr<const hba_rules> value;
  std::string errors, warnings;
};

/// The rules in /hba (and maps in /ident) of a world of files.
read_result read(const std::string& rules, const std::string& maps = "", world around = {}) {
  around.files["/etc/hba"] = rules;
  if (!maps.empty()) around.files["/etc/ident"] = maps;
  outside view = around.view();
  view.folder = [&](const std::string& path) -> std::optional<std::vector<std::string>> {
    std::vector<std::string> names;
    for (const auto& [name, text] : around.files)
      if (name.starts_with(path + "/") && name.find('/', path.size() + 1) == std::string::npos)
        names.push_back(name.substr(path.size() + 1));
    return names.empty() ? std::nullopt : std::optional{names};
  };
  std::vector<problem> problems;
  read_result out;
  out.value = read_hba("/etc/hba", maps.empty() ? "" : "/etc/ident", view, problems);
  for (const auto& one : problems)
    (one.warning ? out.warnings : out.errors) += one.file + ":" + std::to_string(one.line) + ": " + one.text + "\n";
  return out;
}

/// The error of a rule's line, without its place.
std::string error_of(const std::string& rule) {
  const auto result = read(rule + "\n");
  BOOST_TEST((result.value == nullptr), rule);
  constexpr std::string_view place = "/etc/hba:1: ";
  BOOST_TEST(result.errors.starts_with(place), rule << " " << result.errors);
  return result.errors.substr(std::min(place.size(), result.errors.size()));
}

struct who {
  std::string user = "alice", database = "app", from = "10.1.2.3"; // from "": a Unix socket
  bool tls = false, replication = false;
  std::vector<masked_address> interfaces = {};
  std::optional<hba_client_name> name = {};
};
constexpr int name_needed = -1;

/// The line of the rule that decides; 0: none; or name_needed.
int line_for(const read_result& rules, const who& one) {
  BOOST_REQUIRE_MESSAGE(rules.value != nullptr, rules.errors);
  hba_connection connection;
  if (!one.from.empty()) connection.address = parse_address(one.from);
  connection.tls = one.tls;
  connection.user = one.user;
  connection.database = one.database;
  connection.physical_replication = one.replication;
  connection.interfaces = one.interfaces;
  connection.name = one.name ? &*one.name : nullptr;
  const auto found = decide(*rules.value, connection);
  return found.needs_name ? name_needed : found.rule == nullptr ? 0 : found.rule->line;
}

bool fits(const std::string& rule, const who& one) {
  return line_for(read(rule), one) == 1;
}

} // namespace

BOOST_AUTO_TEST_SUITE(hba_test)

BOOST_AUTO_TEST_CASE(connection_types) {
  const who local{.from = ""}, plain{}, tls{.tls = true};
  const auto matches = [&](const std::string& kind) {
    const std::string rule = kind + " all all " + (kind == "local" ? "" : "all ") + "trust";
    return std::string(fits(rule, local) ? "l" : "") + (fits(rule, plain) ? "p" : "") + (fits(rule, tls) ? "t" : "");
  };
  BOOST_TEST(matches("local") == "l");
  BOOST_TEST(matches("host") == "pt");
  BOOST_TEST(matches("hostssl") == "t");
  BOOST_TEST(matches("hostnossl") == "p");
  BOOST_TEST(matches("hostgssenc") == "");
  BOOST_TEST(matches("hostnogssenc") == "pt");
  BOOST_TEST(matches("\"host\"") == "pt"); // quotes matter in names only
}

BOOST_AUTO_TEST_CASE(databases_and_users) {
  const auto database = [](const std::string& field, const std::string& name, const std::string& user = "alice") {
    return fits("host " + field + " all all trust", {.user = user, .database = name});
  };
  BOOST_TEST(database("all", "x"));
  BOOST_TEST(!database("\"all\"", "x"));
  BOOST_TEST(database("\"all\"", "all"));
  BOOST_TEST(database("sameuser", "alice"));
  BOOST_TEST(!database("sameuser", "app"));
  BOOST_TEST(!database("replication", "replication"));
  BOOST_TEST(database("\"replication\"", "replication"));
  BOOST_TEST(database("a,b", "b"));
  BOOST_TEST(database("a, b", "b"));
  BOOST_TEST(!database("a,b", "c"));
  BOOST_TEST(database("\"a b\"", "a b"));
  BOOST_TEST(database("\"say \"\"hi\"\"\"", "say \"hi\""));
  BOOST_TEST(database("App", "App"));
  BOOST_TEST(!database("App", "app"));
  BOOST_TEST(database("\"/^db\\d{2,4}$\"", "db123"));
  BOOST_TEST(!database("\"/^db\\d{2,4}$\"", "db1"));
  BOOST_TEST(!database("/^db$", "db\n")); // $ is the very end
  BOOST_TEST(database("\"/^a,b$\"", "a,b"));
  BOOST_TEST(database("/b", "abc")); // anywhere
  const auto user = [](const std::string& field, const std::string& name) {
    return fits("host all " + field + " all trust", {.user = name});
  };
  BOOST_TEST(user("all", "x"));
  BOOST_TEST(!user("\"all\"", "x"));
  BOOST_TEST(user("\"+x\"", "+x"));
  BOOST_TEST(user("x,/^a.c$", "abc"));
  BOOST_TEST(!user("sameuser", "alice"));
}

BOOST_AUTO_TEST_CASE(physical_replication_fits_its_keyword_only) {
  const who physical{.replication = true};
  BOOST_TEST(!fits("host all all all trust", physical));
  BOOST_TEST(!fits("host app all all trust", physical));
  BOOST_TEST(!fits("host /a all all trust", physical));
  BOOST_TEST(!fits("host \"replication\" all all trust", physical));
  BOOST_TEST(fits("host replication all all trust", physical));
  BOOST_TEST(fits("host x,replication alice all trust", physical));
}

BOOST_AUTO_TEST_CASE(addresses) {
  const auto from = [](const std::string& field, const std::string& address) {
    return fits("host all all " + field + " trust", {.from = address});
  };
  BOOST_TEST(from("10.0.0.0/8", "10.1.2.3"));
  BOOST_TEST(from("10.9.9.9/8", "10.1.2.3")); // bits beyond the prefix do not count
  BOOST_TEST(!from("10.0.0.0/8", "11.1.2.3"));
  BOOST_TEST(from("0.0.0.0/0", "11.1.2.3"));
  BOOST_TEST(!from("0.0.0.0/0", "::1"));
  BOOST_TEST(from("::/0", "::1"));
  BOOST_TEST(!from("::/0", "10.1.2.3"));
  BOOST_TEST(from("all", "::1"));
  BOOST_TEST(from("10.0.0.0 255.0.0.0", "10.1.2.3"));
  BOOST_TEST(from("10.0.0.3 255.0.0.255", "10.1.2.3")); // masks may have gaps
  BOOST_TEST(!from("10.0.0.4 255.0.0.255", "10.1.2.3"));
  BOOST_TEST(from("10.1.2.3/+32", "10.1.2.3"));
  BOOST_TEST(from("127.1/32", "127.0.0.1"));
  BOOST_TEST(!from("::ffff:10.1.2.3/128", "10.1.2.3"));
  BOOST_TEST(from("fe80::1 ffff:ffff:ffff:ffff::", "fe80::2"));
}

BOOST_AUTO_TEST_CASE(this_machine_and_its_nets) {
  const std::vector<masked_address> here = {{*parse_address("10.1.2.1"), *parse_address("255.255.255.0")},
                                            {*parse_address("::1"), *parse_address("ffff::")}};
  const auto is = [&](const std::string& field, const std::string& address) {
    const auto rules = read("host all all " + field + " trust");
    BOOST_TEST(rules.value->asks_interfaces);
    return line_for(rules, {.from = address, .interfaces = here}) == 1;
  };
  BOOST_TEST(is("samehost", "10.1.2.1"));
  BOOST_TEST(!is("samehost", "10.1.2.3"));
  BOOST_TEST(is("samenet", "10.1.2.3"));
  BOOST_TEST(!is("samenet", "10.1.3.3"));
  BOOST_TEST(is("samehost", "::1"));
  BOOST_TEST(!read("host all all all trust").value->asks_interfaces);
}

BOOST_AUTO_TEST_CASE(the_first_that_fits_decides) {
  const auto rules = read("# a comment\n"
                          "host app bob 10.0.0.0/8 reject\n"
                          "\n"
                          "host app alice 10.0.0.0/8 md5 # behind it\n"
                          "host all all 0.0.0.0/0 \\\n"
                          "  scram-sha-256\n"
                          "host all all all reject\r\n");
  BOOST_TEST(line_for(rules, {.user = "bob"}) == 2);
  BOOST_TEST(line_for(rules, {.user = "alice"}) == 4);
  BOOST_TEST(line_for(rules, {.user = "carol"}) == 5);
  BOOST_TEST((rules.value->rules[2].method == hba_method::scram_sha_256));
  BOOST_TEST(line_for(rules, {.from = "::1"}) == 7);
  BOOST_TEST(line_for(rules, {.from = ""}) == 0);
}

BOOST_AUTO_TEST_CASE(a_pattern_that_gives_up_lets_nobody_in) {
  const auto rules = read("host all /^(a+)+$ all reject\nhost all all all trust\n");
  BOOST_TEST(line_for(rules, {.user = "aaaa"}) == 1);
  BOOST_TEST(line_for(rules, {.user = "b"}) == 2);
  who long_name;
  long_name.user.assign(200, 'a');
  long_name.user += 'b';
  BOOST_TEST(line_for(rules, long_name) == 0);
}

BOOST_AUTO_TEST_CASE(methods_and_options) {
  const auto rules = read("local all all peer map=m\n"
                          "local all all ident\n"
                          "hostssl all all all cert map=m clientname=DN\n"
                          "hostssl all all all md5 clientcert=verify-ca\n"
                          "hostssl all all all password clientcert=verify-full\n",
                          "m a b\n");
  BOOST_REQUIRE_MESSAGE(rules.value != nullptr, rules.errors);
  const auto& all = rules.value->rules;
  BOOST_TEST((all[0].method == hba_method::peer));
  BOOST_TEST(all[0].map == "m");
  BOOST_TEST((all[1].method == hba_method::peer));
  BOOST_TEST((all[2].clientcert == hba_certificate::verify_full));
  BOOST_TEST(all[2].whole_name);
  BOOST_TEST((all[3].clientcert == hba_certificate::verify_ca));
  BOOST_TEST((all[4].clientcert == hba_certificate::verify_full));
  BOOST_TEST(!all[4].whole_name);
}

BOOST_AUTO_TEST_CASE(errors_name_what_is_wrong) {
  const std::pair<const char*, const char*> rows[] = {
      {"hosts all all all trust", "invalid connection type \"hosts\""},
      {"host,local all all all trust", "multiple values specified for connection type"},
      {"host", "end-of-line before database specification"},
      {"host all", "end-of-line before role specification"},
      {"host all all", "end-of-line before IP address specification"},
      {"host all all all", "end-of-line before authentication method"},
      {"local all all", "end-of-line before authentication method"},
      {"host all all 10.0.0.0/8,11.0.0.0/8 trust", "multiple values specified for host address"},
      {"host all all 10.0.0.0/33 trust", "invalid CIDR mask in address \"10.0.0.0/33\""},
      {"host all all 10.0.0.0/ trust", "invalid CIDR mask in address \"10.0.0.0/\""},
      {"host all all 10.0.0.1", "end-of-line before netmask specification"},
      {"host all all 10.0.0.1 trust", "invalid IP mask \"trust\""},
      {"host all all 10.0.0.1 ffff:: trust", "IP address and mask do not match"},
      {"host all all example.com/8 trust", "a host name cannot have a mask"},
      {"host all all all trsut", "invalid authentication method \"trsut\""},
      {"host all all all gss", "invalid authentication method \"gss\": not supported by pg_edge"},
      {"host all all all ident", "invalid authentication method \"ident\": not supported by pg_edge"},
      {"host all all all peer", "peer authentication is only supported on local sockets"},
      {"host all all all cert", "cert authentication is only supported on hostssl connections"},
      {"host all all all md5 x", "authentication option not in name=value format: x"},
      {"host all all all md5 x=1", "unrecognized authentication option name: \"x\""},
      {"host all all all ldap", "not supported by pg_edge, but pam is, which asks LDAP with its module pam_ldap"},
      {"host all all all md5 pamservice=s", "\"pamservice\" is only valid for authentication methods pam"},
      {"host all all all trust pam_use_hostname=1",
       "\"pam_use_hostname\" is only valid for authentication methods pam"},
      {"host all all all md5 map=m", "\"map\" is only valid for authentication methods peer and cert"},
      {"host all all all md5 clientcert=verify-ca", "clientcert can only be configured for \"hostssl\" rows"},
      {"hostssl all all all md5 clientcert=1", "invalid value for clientcert: \"1\""},
      {"hostssl all all all cert clientcert=verify-ca", "clientcert only accepts \"verify-full\""},
      {"hostssl all all all cert clientname=XN", "invalid value for clientname: \"XN\""},
      {"host samerole all all trust", "samerole: membership in a role is known to Postgres only"},
      {"host all +staff all trust", "+staff: membership in a role is known to Postgres only"},
      {"host /( all all trust", "invalid regular expression \"(\": missing closing parenthesis"},
      {"host all /\\yx all trust", "invalid regular expression \"\\yx\": \\y is not supported"},
      {"host all @missing all trust", "could not open file \"/etc/missing\""},
      {"include missing", "could not open file \"/etc/missing\""},
      {"include_dir missing", "could not open directory \"/etc/missing\""},
      {"include hba", "maximum nesting depth exceeded"},
  };
  for (const auto& [rule, expected] : rows) {
    const auto found = rule == std::string("include hba") ? read(rule).errors : error_of(rule);
    BOOST_TEST(contains(found, expected), rule << ": " << found);
  }
}

BOOST_AUTO_TEST_CASE(all_errors_come_at_once) {
  const auto found = read("local all all trust\nhots all all all trust\nhost all all all trsut\n", "only two\n");
  BOOST_TEST((found.value == nullptr));
  BOOST_TEST(contains(found.errors, "/etc/hba:2: invalid connection type"));
  BOOST_TEST(contains(found.errors, "/etc/hba:3: invalid authentication method"));
  BOOST_TEST(contains(found.errors, "/etc/ident:1: missing entry at end of line"));
  BOOST_TEST(contains(read("# nothing\n").errors, "contains no rules"));
}

BOOST_AUTO_TEST_CASE(other_files) {
  world around;
  around.files["/etc/names"] = "bob carol\n# comment\ndave,\"all\"\n";
  around.files["/etc/more"] = "host all erin all md5\n";
  around.files["/etc/d/10.conf"] = "host all frank all md5\n";
  around.files["/etc/d/2.conf"] = "host all frank all reject\nhost all gina all md5\n";
  around.files["/etc/d/.x.conf"] = "nonsense";
  around.files["/etc/d/x.txt"] = "nonsense";
  const auto rules = read("host all @names all trust\n"
                          "include more\n"
                          "include_if_exists nothing\n"
                          "include_dir d\n",
                          "", around);
  const auto method = [&](const std::string& user) {
    hba_connection connection;
    connection.address = parse_address("10.0.0.1");
    connection.user = user;
    const auto* found = decide(*rules.value, connection).rule;
    return found == nullptr ? "none" : found->file + ":" + std::string(to_string(found->method));
  };
  BOOST_REQUIRE_MESSAGE(rules.value != nullptr, rules.errors);
  BOOST_TEST(method("bob") == "/etc/hba:trust");
  BOOST_TEST(method("carol") == "/etc/hba:trust");
  BOOST_TEST(method("dave") == "/etc/hba:trust");
  BOOST_TEST(method("all") == "/etc/hba:trust");
  BOOST_TEST(method("erin") == "/etc/more:md5");
  BOOST_TEST(method("frank") == "/etc/d/10.conf:md5"); // in the order of the names' bytes
  BOOST_TEST(method("gina") == "/etc/d/2.conf:md5");
  BOOST_TEST(method("x") == "none");
}

BOOST_AUTO_TEST_CASE(B030_host_names) {
  BOOST_TEST(host_name_fits("db.example.com", "DB.Example.com"));
  BOOST_TEST(!host_name_fits("db.example.com", "xdb.example.com"));
  BOOST_TEST(!host_name_fits("db.example.com", "db.example.co"));
  BOOST_TEST(host_name_fits(".example.com", "a.b.EXAMPLE.com"));
  BOOST_TEST(host_name_fits(".Example.com", "x.example.com"));
  BOOST_TEST(!host_name_fits(".example.com", "example.com"));
  BOOST_TEST(!host_name_fits(".example.com", "badexample.com"));
  BOOST_TEST(!host_name_fits("", ""));
  BOOST_TEST(!host_name_fits("", "x"));
  const auto rules = read("host app bob db.example.com trust\n"
                          "host app alice .example.com md5\n"
                          "hostssl app alice .example.org md5\n"
                          "host app alice 10.1.2.0/24 reject\n");
  BOOST_REQUIRE_MESSAGE(rules.value != nullptr, rules.errors);
  BOOST_TEST(line_for(rules, {}) == name_needed);
  // Only a rule that could fit asks for the name.
  BOOST_TEST(line_for(rules, {.user = "carol"}) == 0);
  BOOST_TEST(line_for(rules, {.database = "other"}) == 0);
  BOOST_TEST(line_for(rules, {.from = ""}) == 0);
  BOOST_TEST(line_for(rules, {.name = hba_client_name{"web.example.com", true}}) == 2);
  BOOST_TEST(line_for(rules, {.user = "bob", .name = hba_client_name{"DB.example.com", true}}) == 1);
  BOOST_TEST(line_for(rules, {.user = "bob", .name = hba_client_name{"web.example.com", true}}) == 0);
  // Forged, without a name, of another zone.
  BOOST_TEST(line_for(rules, {.name = hba_client_name{"web.example.com", false}}) == 4);
  BOOST_TEST(line_for(rules, {.name = hba_client_name{}}) == 4);
  BOOST_TEST(line_for(rules, {.name = hba_client_name{"web.example.org", true}}) == 4);
  BOOST_TEST(line_for(rules, {.tls = true, .name = hba_client_name{"web.example.org", true}}) == 3);
  // What stands before needs no name.
  const auto earlier = read("host all alice 10.1.2.0/24 md5\nhost all all .example.com trust\n");
  BOOST_TEST(line_for(earlier, {}) == 1);
  BOOST_TEST(line_for(earlier, {.user = "bob"}) == name_needed);
}

BOOST_AUTO_TEST_CASE(B030_ident_maps) {
  const auto rules = read("local all all peer map=m\n", "m root alice\n"
                                                        "m /^(.*)@example\\.com$ \\1\n"
                                                        "m /^any all\n"
                                                        "m /^lit \"all\"\n"
                                                        "m dba /^db_\n"
                                                        "other root bob\n");
  BOOST_REQUIRE_MESSAGE(rules.value != nullptr, rules.errors);
  const auto may = [&](const char* system_user, const char* user, const char* map = "m") {
    return may_log_in(rules.value->maps, map, system_user, user);
  };
  BOOST_TEST(may("root", "alice"));
  BOOST_TEST(!may("root", "bob"));
  BOOST_TEST(may("root", "bob", "other"));
  BOOST_TEST(!may("root", "root"));
  BOOST_TEST(may("root", "root", ""));
  BOOST_TEST(!may("root", "alice", ""));
  BOOST_TEST(may("carol@example.com", "carol"));
  BOOST_TEST(!may("carol@example.org", "carol"));
  BOOST_TEST(!may("all@example.com", "carol")); // what \1 gives is a name
  BOOST_TEST(may("anybody", "whoever"));
  BOOST_TEST(!may("literal", "whoever"));
  BOOST_TEST(may("literal", "all"));
  BOOST_TEST(may("dba", "db_one"));
  BOOST_TEST(!may("dba", "one"));
  BOOST_TEST(!may("root", "alice", "absent"));
  BOOST_TEST(contains(read("local all all peer map=x\n", "m a b\n").warnings, "map \"x\" has no line"));
  BOOST_TEST(contains(read("local all all peer\n", "m a +b\n").errors, "+b: membership in a role"));
}

BOOST_AUTO_TEST_CASE(they_are_read_with_the_settings) {
  const std::string database = "[databases.app]\n";
  world around;
  around.files["/hba"] = "local all all trust\n";
  around.files["/bad"] = "local all all trust\nlocal all all nonsense\n";
  around.files["/ident"] = "m a\n";
  const auto text = [&](const std::string& globals, const std::string& tables = "") {
    return "[pg_edge]\n" + globals + database + tables;
  };
  const auto good = loaded(text("auth_type = \"hba\"\nauth_hba_file = \"/hba\"\n"), around);
  BOOST_REQUIRE(good.hba != nullptr);
  BOOST_TEST(good.hba->rules.size() == 1);
  BOOST_TEST(contains(errors_of(text("auth_type = \"hba\"\n"), around), "2: auth_type: hba needs auth_hba_file"));
  BOOST_TEST(
      contains(errors_of(text("", "[listeners.l]\nauth_type = \"hba\"\n"), around), "listener l: auth_type: hba"));
  BOOST_TEST(contains(errors_of(text("", "[tenants.t]\nauth_type = \"hba\"\n"), around), "tenant t: auth_type: hba"));
  BOOST_TEST(contains(errors_of(text("auth_ident_file = \"/ident\"\n"), around), "auth_ident_file: needs auth_hba"));
  BOOST_TEST(contains(errors_of(text("auth_type = \"cert\"\n"), around), "cert needs client_tls_ca_file"));
  BOOST_TEST(loaded(text("auth_type = \"pam\"\n"), around).auth_pam_service == "pgbouncer");
  for (const char* service : {"", "/etc/pam.d/"})
    BOOST_TEST(contains(errors_of(text("auth_pam_service = \"" + std::string(service) + "\"\n"), around),
                        "auth_pam_service: names no service"));
  const auto bad = load(text("auth_hba_file = \"/bad\"\nauth_ident_file = \"/ident\"\n"), around);
  BOOST_TEST((bad.value == nullptr));
  BOOST_REQUIRE(bad.problems.size() == 2u);
  BOOST_TEST(contains(to_string(bad.problems[0]), "/bad:2: error: invalid authentication method \"nonsense\""));
  BOOST_TEST(contains(to_string(bad.problems[1]), "/ident:1: error: missing entry"));
  const auto tenant = loaded(text("", "[tenants.t]\nauth_type = \"hba\"\nauth_hba_file = \"/hba\"\n"), around);
  BOOST_TEST((tenant.tenants.at("t").hba != nullptr));
  BOOST_TEST((tenant.hba == nullptr));
}

BOOST_AUTO_TEST_SUITE_END()
