#include "config/value_text.hpp"
#include "config_text.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>

using namespace config_text;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(load_test)

BOOST_AUTO_TEST_CASE(a_whole_configuration) {
  const auto all = loaded(R"(
[pg_edge]
listen_addr = "127.0.0.1, ::1"
unix_socket_mode = "0750"
pool_mode = "transaction"
query_wait_timeout = "2m"
server_idle_timeout = 0.25
tcp_user_timeout = 1500
log_connections = 0
ignore_startup_parameters = ["extra_float_digits"]

[databases.app]
host = "db1, db2"
port = 5433
dbname = "app_production"
user = "owner"
password = "geheim"
pool_size = 7
application_name = "pool"

[databases."*"]
host = "/var/run/postgresql"

[users.anna]
password = "secret"
pool_mode = "session"
query_timeout = "3s"

[tenants.acme]
default_pool_size = 3
[tenants.acme.databases.app]
host = "10.0.0.1"
[tenants.acme.users.anna]
password = "other"
)");
  BOOST_TEST((all.listen_addr == std::vector<std::string>{"127.0.0.1", "::1"}));
  BOOST_TEST(all.unix_socket_mode == 0750);
  BOOST_TEST((all.pool_mode == pool_mode::transaction));
  BOOST_TEST((all.query_wait_timeout == 120s));
  BOOST_TEST((all.server_idle_timeout == 250ms));
  BOOST_TEST((all.tcp_user_timeout == 1500ms));
  BOOST_TEST(!all.log_connections);
  BOOST_TEST((all.ignore_startup_parameters == std::vector<std::string>{"extra_float_digits"}));
  BOOST_TEST(all.file == "test.toml");
  const auto& app = all.default_tenant.databases.at("app");
  BOOST_TEST(app.name == "app");
  BOOST_TEST(app.host == "db1,db2");
  BOOST_TEST(app.port == 5433);
  BOOST_TEST(app.dbname == "app_production");
  BOOST_TEST(app.user == "owner");
  BOOST_TEST(app.password == "geheim");
  BOOST_TEST((app.pool_size == 7));
  BOOST_TEST((app.application_name == "pool"));
  BOOST_TEST(app.line == 12);
  BOOST_TEST(all.default_tenant.databases.at("*").host == "/var/run/postgresql");
  const auto& anna = all.default_tenant.users.at("anna");
  BOOST_TEST(anna.secret == "secret");
  BOOST_TEST((anna.pool_mode == pool_mode::session));
  BOOST_TEST((anna.query_timeout == 3s));
  const auto& acme = all.tenants.at("acme");
  BOOST_TEST((acme.pool_size == 3));
  BOOST_TEST(acme.databases.at("app").host == "10.0.0.1");
  BOOST_TEST(acme.users.at("anna").secret == "other");
  BOOST_TEST(find_tenant(all, "")->name == "default");
  BOOST_TEST((find_tenant(all, "acme") == &all.tenants.at("acme")));
  BOOST_TEST((find_tenant(all, "nobody") == nullptr));
}

BOOST_AUTO_TEST_CASE(an_empty_file_is_the_defaults_with_a_warning) {
  const auto result = load("");
  BOOST_REQUIRE(result.value != nullptr);
  BOOST_TEST(result.value->default_pool_size == settings{}.default_pool_size);
  BOOST_TEST(contains(listed(result, true), "there is no database"));
}

// -- errors -----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(all_errors_at_once_sorted_by_line) {
  const auto result = load("[users.u]\n"                 // 1
                           "password = 5\n"              // 2
                           "[pg_edge]\n"                 // 3
                           "pool_mod = 'session'\n"      // 4
                           "listen_port = 70000\n"       // 5
                           "auth_type = 'kerberos'\n"    // 6
                           "pkt_buf = 4096\n"            // 7
                           "[databases.d]\n"             // 8
                           "password_file = 'missing'\n" // 9
                           "host = '${UNSET}'\n"         // 10
                           "[unknown]\n");               // 11
  BOOST_TEST((result.value == nullptr));
  const std::string expected =
      "2: password: expected a string, not an integer\n"
      "4: pool_mod: unknown setting, did you mean pool_mode?\n"
      "5: listen_port: 70000 is not between 1 and 65535\n"
      "6: auth_type: \"kerberos\" is not one of any, trust, plain, md5, "
      "scram-sha-256, cert, hba, peer, pam\n"
      "7: pkt_buf: not supported: buffers exist only while bytes are in flight and need no size\n"
      "9: password_file: cannot read missing\n"
      "10: host: the environment variable UNSET is not set\n"
      "11: unknown: unknown section, expected pg_edge, databases, users, "
      "tenants, listeners, admin or cluster\n";
  BOOST_TEST(listed(result) == expected);
}

BOOST_AUTO_TEST_CASE(a_problem_reads_as_compilers_write) {
  BOOST_TEST(to_string({"a.toml", 3, "text", false}) == "a.toml:3: error: text");
  BOOST_TEST(to_string({"a.toml", 3, "text", true}) == "a.toml:3: warning: text");
  BOOST_TEST(to_string({"a.toml", 0, "text", false}) == "a.toml: error: text");
}

BOOST_AUTO_TEST_CASE(syntax_errors_have_their_line) {
  const auto result = load("[pg_edge]\nlisten_port = 1\npool_mode = = 'x'\n");
  BOOST_TEST((result.value == nullptr));
  BOOST_REQUIRE(result.problems.size() == 1u);
  BOOST_TEST(result.problems[0].line == 3);
  BOOST_TEST(!result.problems[0].warning);
}

BOOST_AUTO_TEST_CASE(a_key_or_section_given_twice_is_an_error_with_its_line) {
  BOOST_TEST(contains(errors_of("[pg_edge]\nlisten_port = 1\nlisten_port = 2\n"), "3: "));
  BOOST_TEST(contains(errors_of("[users.a]\n[users.a]\n"), "2: "));
}

BOOST_AUTO_TEST_CASE(sections_must_be_sections) {
  BOOST_TEST(contains(errors_of("pg_edge = 5\n"), "1: pg_edge: expected a section, not an integer"));
  BOOST_TEST(contains(errors_of("[databases]\nd = 'host=x'\n"), "2: d: expected a section, not a string"));
  BOOST_TEST(contains(errors_of("[[users]]\nname = 'x'\n"), "users: expected a section, not a list"));
  BOOST_TEST(contains(errors_of("[tenants]\nt = true\n"), "2: t: expected a section, not a boolean"));
  BOOST_TEST(contains(errors_of("[tenants.t]\ndatabases = 1\n"), "2: databases: expected a section"));
}

BOOST_AUTO_TEST_CASE(unknown_sections_have_hints) {
  BOOST_TEST(contains(errors_of("[database.d]\n"), "1: database: unknown section, did you mean databases?"));
  BOOST_TEST(contains(errors_of("[pgbouncer]\n"), "1: [pgbouncer]: the section is called [pg_edge]"));
  BOOST_TEST(contains(errors_of("[peers.1]\n"), "1: [peers]: peers are not supported yet"));
  BOOST_TEST(
      contains(errors_of("listen_port = 1\n"), "1: listen_port: stands outside a section; it belongs in [pg_edge]"));
}

BOOST_AUTO_TEST_CASE(names_that_cannot_be) {
  BOOST_TEST(contains(errors_of("[databases.pgbouncer]\n"), "cannot be \"pgbouncer\": that is the admin console"));
  BOOST_TEST(contains(errors_of("[tenants.t.databases.pg_edge]\n"), "that is the admin console"));
  BOOST_TEST(contains(errors_of("[databases.\"\"]\n"), "the name of a database must not be empty"));
  BOOST_TEST(contains(errors_of("[users.\"\"]\n"), "the name of a user must not be empty"));
  BOOST_TEST(contains(errors_of("[users.\"a\\u0000\"]\n"), "must not hold a zero byte"));
  BOOST_TEST(contains(errors_of("[tenants.default]\n"), "the name of a tenant cannot be \"default\""));
  BOOST_TEST(contains(errors_of("[tenants.\"a/b\"]\n"), "must not hold a /"));
}

BOOST_AUTO_TEST_CASE(lists_take_only_strings) {
  BOOST_TEST(contains(errors_of("[pg_edge]\nadmin_users = ['a', 5]\n"),
                      "2: admin_users: expected strings in the list, not an integer"));
}

BOOST_AUTO_TEST_CASE(hosts_are_checked) {
  BOOST_TEST(contains(errors_of("[databases.d]\nhost = ''\n"), "2: host: holds an empty host"));
  BOOST_TEST(contains(errors_of("[databases.d]\nhost = 'a,,b'\n"), "2: host: holds an empty host"));
  BOOST_TEST(contains(errors_of("[databases.d]\nhost = 'a,'\n"), "2: host: holds an empty host"));
}

BOOST_AUTO_TEST_CASE(modes_are_octal) {
  BOOST_TEST(loaded("[pg_edge]\nunix_socket_mode = 0o700\n").unix_socket_mode == 0700);
  BOOST_TEST(loaded("[pg_edge]\nunix_socket_mode = '700'\n").unix_socket_mode == 0700);
  BOOST_TEST(contains(errors_of("[pg_edge]\nunix_socket_mode = 777\n"), "0o770"));
  BOOST_TEST(contains(errors_of("[pg_edge]\nunix_socket_mode = '9'\n"), "2: unix_socket_mode: expected an octal mode"));
}

BOOST_AUTO_TEST_CASE(tls_versions_are_names) {
  BOOST_TEST(loaded("[pg_edge]\nclient_tls_protocols = 'tlsv1.2, tlsv1.3'\n").client_tls_protocols ==
             "tlsv1.2, tlsv1.3");
  BOOST_TEST(contains(errors_of("[pg_edge]\nserver_tls_protocols = 'sslv3'\n"), "\"sslv3\" is not one of secure"));
  BOOST_TEST(contains(errors_of("[pg_edge]\nserver_tls_protocols = ''\n"), "names no TLS version"));
}

BOOST_AUTO_TEST_CASE(no_text_holds_a_zero_byte) {
  BOOST_TEST(contains(errors_of("[databases.d]\ndbname = \"a\\u0000b\"\n"), "2: dbname: holds a zero byte"));
  BOOST_TEST(contains(errors_of(std::string{"[pg_edge]\n\0", 11}), "holds a zero byte"));
}

// -- secrets and substitution -----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(the_environment_is_put_in) {
  const world around{{{"NAME", "db.example"}, {"PORT", "5444"}, {"ON", "true"}, {"WAIT", "250ms"}, {"PW", "a$b"}}, {}};
  const auto all = loaded("[pg_edge]\nserver_round_robin = '${ON}'\nquery_timeout = '${WAIT}'\n"
                          "[databases.d]\nhost = 'x.${NAME}'\nport = '${PORT}'\n"
                          "[users.u]\npassword = '${PW}$${x}'\n",
                          around);
  BOOST_TEST(all.server_round_robin);
  BOOST_TEST((all.query_timeout == 250ms));
  BOOST_TEST(all.default_tenant.databases.at("d").host == "x.db.example");
  BOOST_TEST(all.default_tenant.databases.at("d").port == 5444);
  BOOST_TEST(all.default_tenant.users.at("u").secret == "a$b${x}");
}

BOOST_AUTO_TEST_CASE(substitution_that_fails_is_an_error_and_shows_no_value) {
  const world around{{{"PORT", "geheim"}, {"EMPTY", ""}}, {}};
  BOOST_TEST(
      contains(errors_of("[databases.d]\nport = '${PORT}'\n", around), "2: port: expected an integer from ${PORT}"));
  BOOST_TEST(!contains(errors_of("[databases.d]\nport = '${PORT}'\n", around), "geheim"));
  BOOST_TEST(contains(errors_of("[users.u]\npassword = '${NONE}'\n"), "the environment variable NONE is not set"));
  BOOST_TEST(contains(errors_of("[users.u]\npassword = '${NONE'\n"), "2: password: \"${\" without \"}\""));
  BOOST_TEST(contains(errors_of("[users.u]\npassword = '${EMPTY}'\n", around), "2: password: is empty"));
  BOOST_TEST(contains(errors_of("[users.u]\npassword = ''\n"), "2: password: is empty"));
}

BOOST_AUTO_TEST_CASE(secrets_from_files) {
  const world around{{}, {{"pw", "from file\nsecond line\n"}, {"/abs/pw", "absolute\r\n"}, {"empty", "\n"}}};
  const auto all = loaded("[users.a]\npassword_file = 'pw'\n[users.b]\npassword_file = '/abs/pw'\n"
                          "[databases.d]\nuser = 'x'\npassword_file = 'pw'\n",
                          around);
  BOOST_TEST(all.default_tenant.users.at("a").secret == "from file");
  BOOST_TEST(all.default_tenant.users.at("b").secret == "absolute");
  BOOST_TEST(all.default_tenant.databases.at("d").password == "from file");
  BOOST_TEST(contains(errors_of("[users.a]\npassword_file = 'empty'\n", around), "the first line of empty is empty"));
  BOOST_TEST(contains(errors_of("[users.a]\npassword = 'x'\npassword_file = 'pw'\n", around),
                      "3: password_file: the password is given twice"));
}

BOOST_AUTO_TEST_CASE(files_stand_beside_the_configuration) {
  const world around{{}, {{"/etc/pg_edge/pw", "here"}, {"/etc/pg_edge/tls.crt", "c"}, {"/etc/pg_edge/tls.key", "k"}}};
  const auto result = load_text("[pg_edge]\nclient_tls_sslmode = 'prefer'\nclient_tls_cert_file = 'tls.crt'\n"
                                "client_tls_key_file = 'tls.key'\n[users.a]\npassword_file = 'pw'\n",
                                "/etc/pg_edge/pg_edge.toml", around.view());
  BOOST_REQUIRE(result.value != nullptr);
  BOOST_TEST(result.value->client_tls_cert_file == "/etc/pg_edge/tls.crt");
  BOOST_TEST(result.value->default_tenant.users.at("a").secret == "here");
}

BOOST_AUTO_TEST_CASE(no_message_repeats_a_secret) {
  for (const auto* text :
       {"[users.u]\npassword = 'SCRAM-SHA-256$geheim'\n", "[users.u]\npassword = 'geheim${'\n",
        "[databases.d]\nurl = 'postgres://u:geheim@h:x/d'\n", "[databases.d]\nurl = 'postgres:/u:geheim@h'\n",
        "[databases.d]\npassword = 'geheim'\n", "[databases.d]\nuser = 'u'\npassword = \"geheim\\u0000\"\n",
        "[databases.d]\nurl = 'postgres://u:geheim@h/d?password=geheim'\n"}) {
    const auto result = load(text);
    BOOST_TEST(!result.problems.empty());
    for (const auto& one : result.problems)
      BOOST_TEST(!contains(one.text, "geheim"), one.text);
  }
}

// -- url --------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_database_from_a_url) {
  const auto all = loaded("[databases.d]\npool_size = 4\nurl = 'postgresql://an%40na:p%3Aw@[::1]:5433,db2:5433/my%20db"
                          "?sslmode=require&application_name=x&connect_timeout=3'\n");
  const auto& one = all.default_tenant.databases.at("d");
  BOOST_TEST(one.host == "::1,db2");
  BOOST_TEST(one.port == 5433);
  BOOST_TEST(one.dbname == "my db");
  BOOST_TEST(one.user == "an@na");
  BOOST_TEST(one.password == "p:w");
  BOOST_TEST((one.server_tls_sslmode == tls_mode::require));
  BOOST_TEST((one.application_name == "x"));
  BOOST_TEST((one.server_connect_timeout == 3s));
  BOOST_TEST((one.pool_size == 4));
}

BOOST_AUTO_TEST_CASE(a_short_url_and_a_socket_folder) {
  const auto all = loaded("[databases.a]\nurl = 'postgres://'\n[databases.b]\n"
                          "url = 'postgres:///x?host=/var/run/postgresql&user=u'\n");
  BOOST_TEST(all.default_tenant.databases.at("a").host == "");
  BOOST_TEST(all.default_tenant.databases.at("a").port == 5432);
  BOOST_TEST(all.default_tenant.databases.at("b").host == "/var/run/postgresql");
  BOOST_TEST(all.default_tenant.databases.at("b").user == "u");
}

BOOST_AUTO_TEST_CASE(a_url_takes_the_environment_once) {
  const world around{{{"PW", "x%24%7BNO%7D"}}, {}};
  const auto all = loaded("[databases.d]\nurl = 'postgres://u:${PW}@h/d'\n", around);
  BOOST_TEST(all.default_tenant.databases.at("d").password == "x${NO}");
  const auto name = loaded("[databases.d]\nurl = 'postgres://h/a%24%7BB%7D'\n");
  BOOST_TEST(name.default_tenant.databases.at("d").dbname == "a${B}");
}

BOOST_AUTO_TEST_CASE(urls_that_are_wrong) {
  const auto errors = [](const std::string& url) { return errors_of("[databases.d]\nurl = '" + url + "'\n"); };
  BOOST_TEST(contains(errors("http://h/d"), "2: url: the url does not start with postgres://"));
  BOOST_TEST(contains(errors("postgres://a:1,b:2/d"), "different ports"));
  BOOST_TEST(contains(errors("postgres://[::1/d"), "host is malformed"));
  BOOST_TEST(contains(errors("postgres://[::1]x/d"), "host is malformed"));
  BOOST_TEST(contains(errors("postgres://,a/d"), "empty host"));
  BOOST_TEST(contains(errors("postgres://u%zz@h/d"), "user or password is malformed"));
  BOOST_TEST(contains(errors("postgres://h/d%00"), "database name is malformed"));
  BOOST_TEST(contains(errors("postgres://h/d?=1"), "parameters are malformed"));
  BOOST_TEST(contains(errors("postgres://h/d?options=x"), "the parameter options is not supported"));
  BOOST_TEST(contains(errors("postgres://h/d?host=x"), "host is given twice"));
  BOOST_TEST(contains(errors("postgres://h:99999/d"), "99999 is not between 1 and 65535"));
  BOOST_TEST(contains(errors("postgres://h:x/d"), "url: port: expected an integer"));
  BOOST_TEST(contains(errors("postgres://h/d?sslmode=maybe"), "\"maybe\" is not one of disable"));
  BOOST_TEST(
      contains(errors_of("[databases.d]\nhost = 'x'\nurl = 'postgres://h/d'\n"), "2: host: stands in the url already"));
}

// -- size, files ------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(five_thousand_tenants_load_quickly) {
  std::string text = "[pg_edge]\nauth_type = 'scram-sha-256'\n";
  for (int i = 0; i < 5000; ++i) {
    const auto name = "tenant_" + std::to_string(i);
    text += "[tenants." + name + "]\ndefault_pool_size = 5\n[tenants." + name + ".databases.app]\nhost = '10.0.0.1'\n" +
            "dbname = '" + name + "'\n[tenants." + name + ".users.app]\npassword = 'secret'\n";
  }
  const auto start = std::chrono::steady_clock::now();
  const auto all = loaded(text);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  BOOST_TEST_MESSAGE("5,000 tenants took " << took.count() << " s");
  BOOST_TEST(all.tenants.size() == 5000u);
  BOOST_TEST(all.tenants.at("tenant_4999").databases.at("app").dbname == "tenant_4999");
  // Well under a second in a plain build; sanitizers and a busy machine are slower.
  BOOST_TEST(took.count() < 10.0);
}

BOOST_AUTO_TEST_CASE(text_that_would_exhaust_the_stack_is_refused) {
  std::string deep = "a";
  for (int i = 0; i < 100'000; ++i)
    deep += ".a";
  BOOST_TEST(contains(errors_of("\n" + deep + " = 1\n"), "2: this key is nested too deeply"));
  BOOST_TEST(contains(errors_of("[" + deep + "]\n"), "1: this key is nested too deeply"));
  BOOST_TEST(contains(errors_of("x = { " + deep + " = 1 }\n"), "1: this key is nested too deeply"));
  BOOST_TEST(!errors_of("x = " + std::string(100'000, '[') + "\n").empty());
}

BOOST_AUTO_TEST_CASE(files_are_read_with_the_secrets_beside_them) {
  const std::string folder = std::string{std::getenv("TMPDIR") ? std::getenv("TMPDIR") : "/tmp"} +
                             "/pg_edge_load_test_" +
                             std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
  std::ofstream{folder + ".pw"} << "geheim\n";
  std::ofstream{folder + ".toml"} << "[users.u]\npassword_file = '" << folder.substr(folder.rfind('/') + 1) << ".pw'\n"
                                  << "[databases.d]\nuser = '${PG_EDGE_LOAD_TEST}'\n";
  ::setenv("PG_EDGE_LOAD_TEST", "someone", 1);
  const auto result = load_file(folder + ".toml");
  std::remove((folder + ".pw").c_str());
  std::remove((folder + ".toml").c_str());
  BOOST_REQUIRE(result.value != nullptr);
  BOOST_TEST(result.value->default_tenant.users.at("u").secret == "geheim");
  BOOST_TEST(result.value->default_tenant.databases.at("d").user == "someone");
  const auto gone = load_file(folder + ".toml");
  BOOST_TEST((gone.value == nullptr));
  BOOST_TEST(contains(listed(gone), "cannot be read"));
  BOOST_TEST((load_file("/").value == nullptr));
}

// -- listeners --------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(listeners_are_checked_against_each_other) {
  const std::string head = "[databases.d]\n[pg_edge]\nlisten_addr = '127.0.0.1'\n";
  BOOST_TEST(contains(errors_of(head + "[listeners.a]\nlisten_addr = '127.0.0.1'\n"),
                      "127.0.0.1, port 6432: two listeners cannot have the same address"));
  BOOST_TEST(contains(errors_of(head + "[listeners.a]\nlisten_port = 7000\n"),
                      "4: listener a: needs listen_addr or unix_socket_dir"));
  BOOST_TEST(contains(errors_of(head + "[listeners.a]\nlisten_addr = '::1'\ntenant = 't'\n"),
                      "listener a: there is no [tenants.t]"));
  BOOST_TEST(contains(errors_of(head + "[listeners.a]\nlisten_addr = '::1'\nproxy_protocol = true\n"),
                      "proxy_protocol needs proxy_protocol_from"));
  BOOST_TEST(contains(errors_of(head + "[listeners.a]\nlisten_addr = '::1'\nclient_tls_sslmode = 'require'\n"),
                      "listener a: TLS for clients needs client_tls_cert_file and client_tls_key_file"));
  BOOST_TEST(contains(errors_of(head + "[listeners.a]\nproxy_protocol_from = ['10.0.0.0/99']\n"),
                      "\"10.0.0.0/99\" is not a network such as"));
  const auto all = loaded(head + "[listeners.a]\nlisten_addr = '::1'\nauth_type = 'trust'\n");
  BOOST_TEST((all.listeners.at("a").auth_type == auth_type::trust));
  BOOST_TEST(all.listeners.at("a").listen_port == 6432);
}

BOOST_AUTO_TEST_SUITE_END()
