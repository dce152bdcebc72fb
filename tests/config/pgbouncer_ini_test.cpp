#include "config/pgbouncer_ini.hpp"
#include "config/toml_tree.hpp"
#include "config_text.hpp"

#include <boost/test/unit_test.hpp>

using namespace config_text;
using namespace std::chrono_literals;

namespace {

import_result import_text(std::string_view ini, const world& around = {},
                          const std::string& name = "/etc/pgbouncer/x.ini") {
  return import_pgbouncer(ini, name, around.view().file);
}

/// The settings the import's TOML stands for; throws when it does not load.
settings imported(std::string_view ini, const world& around = {}) {
  return loaded(import_text(ini, around).toml, around);
}

std::string warnings_in(const import_result& result) {
  std::string out;
  for (const auto& one : result.problems)
    out += to_string(one) + '\n';
  return out;
}

const std::string scram_secret =
    "SCRAM-SHA-256$4096:c2FsdA==$" + std::string(43, 'A') + "=:" + std::string(43, 'B') + "=";

constexpr std::string_view realistic = R"(
;; an installation that has grown for some years
[databases]
; through the socket
plain =
app = host=10.0.0.5 port=5433 dbname=app_production user=owner password='it''s a "secret" ${x}' pool_size=15
"weird ""name""" = host=db1,db2 connect_query='set statement_timeout = ''30s'''
reports = host=replica.example pool_mode=session max_db_connections=5 application_name=reports timezone=UTC
lookup = host=x auth_user=looker auth_query='SELECT usename, passwd FROM pg_shadow WHERE usename=$1'
* = host=/var/run/postgresql

[users]
anna = pool_mode=session max_user_connections=10 query_timeout=2.5
batch = reserve_pool_size=3

[pgbouncer]
logfile = /var/log/postgresql/pgbouncer.log
pidfile = /var/run/postgresql/pgbouncer.pid
listen_addr = 127.0.0.1,10.0.0.1
listen_port = 6543
unix_socket_dir = /var/run/postgresql
unix_socket_mode = 0770
auth_type = scram-sha-256
auth_file = userlist.txt
# auth_file = old.txt
admin_users = anna, batch
stats_users = anna
pool_mode = Transaction
server_reset_query = DISCARD ALL
server_reset_query_always = yes
max_client_conn = 500
default_pool_size = 10
default_pool_size = 30
reserve_pool_timeout = 2.5
server_idle_timeout = 60
log_connections = 0
tcp_keepalive = 1
ignore_startup_parameters = extra_float_digits, search_path
pkt_buf = 8192
verbose = 1
no_such_thing = 5
listen_backlog = many
%include /etc/pgbouncer/more.ini
)";

const world realistic_world{
    {},
    {{"/etc/pgbouncer/userlist.txt", "\"anna\" \"" + scram_secret +
                                         "\"\n; comment\n\"batch\" \"pa\"\"ss${\\\" rest\n"
                                         "\"nobody\" \"\"\n"},
     {"/etc/pgbouncer/more.ini", "query_wait_timeout = 33\n[databases]\nincluded = host=inc\n"}}};

} // namespace

BOOST_AUTO_TEST_SUITE(pgbouncer_ini_test)

BOOST_AUTO_TEST_CASE(a_realistic_installation) {
  const auto all = imported(realistic, realistic_world);
  BOOST_TEST((all.listen_addr == std::vector<std::string>{"127.0.0.1", "10.0.0.1"}));
  BOOST_TEST(all.listen_port == 6543);
  BOOST_TEST(all.unix_socket_dir == "/var/run/postgresql");
  BOOST_TEST(all.unix_socket_mode == 0770);
  BOOST_TEST((all.auth_type == auth_type::scram_sha_256));
  BOOST_TEST((all.admin_users == std::vector<std::string>{"anna", "batch"}));
  BOOST_TEST((all.pool_mode == pool_mode::transaction));
  BOOST_TEST(all.server_reset_query_always);
  BOOST_TEST(all.max_client_conn == 500);
  BOOST_TEST(all.default_pool_size == 30); // the last one counts
  BOOST_TEST(!all.log_connections);
  BOOST_TEST((all.ignore_startup_parameters == std::vector<std::string>{"extra_float_digits", "search_path"}));
  BOOST_TEST((all.query_wait_timeout == 33s)); // from the included file
  BOOST_TEST(all.listen_backlog == settings{}.listen_backlog);
  const auto& databases = all.default_tenant.databases;
  BOOST_TEST(databases.size() == 7u);
  BOOST_TEST(databases.at("plain").host == "/var/run/postgresql");
  BOOST_TEST(databases.at("app").host == "10.0.0.5");
  BOOST_TEST(databases.at("app").port == 5433);
  BOOST_TEST(databases.at("app").dbname == "app_production");
  BOOST_TEST(databases.at("app").user == "owner");
  BOOST_TEST(databases.at("app").password == "it's a \"secret\" ${x}");
  BOOST_TEST((databases.at("app").pool_size == 15));
  BOOST_TEST(databases.at("weird \"name\"").host == "db1,db2");
  BOOST_TEST((databases.at("weird \"name\"").connect_query == "set statement_timeout = '30s'"));
  BOOST_TEST((databases.at("reports").pool_mode == pool_mode::session));
  BOOST_TEST((databases.at("reports").timezone == "UTC"));
  BOOST_TEST(databases.at("*").host == "/var/run/postgresql");
  BOOST_TEST(databases.at("included").host == "inc");
  const auto& users = all.default_tenant.users;
  BOOST_TEST(users.size() == 3u);
  BOOST_TEST(users.at("anna").secret == scram_secret);
  BOOST_TEST((users.at("anna").query_timeout == 2500ms));
  BOOST_TEST((users.at("anna").max_user_connections == 10));
  BOOST_TEST((users.at("batch").reserve_pool_size == 3));
  BOOST_TEST(users.at("batch").secret == "pa\"ss${\\");
  BOOST_TEST(users.at("nobody").secret == "");
}

BOOST_AUTO_TEST_CASE(what_is_lost_is_said_with_its_line_and_kept_as_a_comment) {
  const auto result = import_text(realistic, realistic_world);
  for (const auto& one : result.problems)
    BOOST_TEST(one.warning);
  const auto text = warnings_in(result);
  BOOST_TEST(contains(text, "x.ini:17: warning: logfile: it is pgbouncer's own file"));
  BOOST_TEST(contains(text, "x.ini:41: warning: no_such_thing is not known"));
  BOOST_TEST(contains(text, "x.ini:42: warning: listen_backlog: expected an integer"));
  BOOST_TEST(contains(result.toml, "\n# pidfile = /var/run/postgresql/pgbouncer.pid  -- "));
  BOOST_TEST(contains(result.toml, "\n# no_such_thing = 5  -- "));
}

BOOST_AUTO_TEST_CASE(the_auth_file_stays_where_it_is) {
  const world around{{}, {{"/etc/pgbouncer/u", "\"a\" \"x\"\"y\\z${H}$${I}\"\n"}}};
  const auto result = import_text("[pgbouncer]\nauth_file = u\n[users]\na = pool_mode=statement\n", around);
  BOOST_TEST(contains(result.toml, "\nauth_file = \"/etc/pgbouncer/u\"\n"));
  BOOST_TEST(!contains(result.toml, "x\"y"));
  const auto all = loaded(result.toml, around);
  BOOST_TEST(all.default_tenant.users.at("a").secret == "x\"y\\z${H}$${I}");
  BOOST_TEST((all.default_tenant.users.at("a").pool_mode == pool_mode::statement));
}

BOOST_AUTO_TEST_CASE(a_broken_auth_file_is_told_at_its_own_line) {
  const auto result =
      import_text("[pgbouncer]\nauth_file = u\n", {{}, {{"/etc/pgbouncer/u", "\"a\" \"1\"\nb \"geheim\"\n"}}});
  BOOST_TEST(contains(warnings_in(result), "/etc/pgbouncer/u:2: warning: expected \"user\" \"password\""));
  BOOST_TEST(!contains(warnings_in(result), "geheim"));
}

BOOST_AUTO_TEST_CASE(a_missing_auth_file_and_a_missing_include) {
  const auto result = import_text("[pgbouncer]\nauth_file = nowhere\n%include gone.ini\n");
  BOOST_TEST(contains(warnings_in(result), "x.ini:2: warning: auth_file: cannot read /etc/pgbouncer/nowhere"));
  BOOST_TEST(contains(warnings_in(result), "x.ini:3: warning: %include: cannot read /etc/pgbouncer/gone.ini"));
  BOOST_TEST((load(result.toml, {{}, {{"/etc/pgbouncer/nowhere", ""}}}).value != nullptr));
}

BOOST_AUTO_TEST_CASE(files_that_include_each_other_end) {
  const world around{{}, {{"/etc/pgbouncer/a", "%include a\n%include a\nverbose = 1\n"}}};
  BOOST_TEST(contains(warnings_in(import_text("[pgbouncer]\n%include a\n", around)), "include each other too deeply"));
}

BOOST_AUTO_TEST_CASE(values_that_we_refuse_become_comments) {
  const auto result = import_text("[pgbouncer]\nauth_type = ldap\ndefault_pool_size = 0\nlisten_port = 123456\n"
                                  "client_tls_protocols = sslv3\nquery_timeout = -1\n"
                                  "[databases]\nd = host=x port=x password='" +
                                  scram_secret +
                                  "' pool_mode=maybe\n"
                                  "pgbouncer = host=x\n");
  const auto all = loaded(result.toml);
  BOOST_TEST((all.auth_type == settings{}.auth_type));
  BOOST_TEST(all.default_pool_size == 20);
  BOOST_TEST(all.listen_port == 6432);
  BOOST_TEST(all.default_tenant.databases.at("d").port == 5432);
  BOOST_TEST(all.default_tenant.databases.at("d").password == "");
  BOOST_TEST(all.default_tenant.databases.count("pgbouncer") == 0u);
  BOOST_TEST(result.problems.size() == 9u, warnings_in(result));
  BOOST_TEST(contains(warnings_in(result),
                      "x.ini:2: warning: auth_type: LDAP is asked through PAM (pam_ldap); the default, md5"));
  BOOST_TEST(contains(warnings_in(result), "x.ini:3: warning: default_pool_size: 0 means no limit there"));
}

BOOST_AUTO_TEST_CASE(a_database_whose_server_cannot_be_told_is_left_out) {
  const auto result = import_text("[databases]\nd = host=,, port=5433\nbroken = host\nquoted = host='x\n"
                                  "hidden = host=a,@b\nfine = host=''\n");
  const auto all = loaded(result.toml);
  BOOST_TEST(all.default_tenant.databases.size() == 1u);
  BOOST_TEST(all.default_tenant.databases.at("fine").host == "/tmp");
  BOOST_TEST(contains(result.toml, "\n# [databases.d]\n"));
  BOOST_TEST(contains(result.toml, "\n# port = 5433\n"));
  for (const auto* place : {"x.ini:2: ", "x.ini:3: ", "x.ini:4: ", "x.ini:5: "})
    BOOST_TEST(contains(warnings_in(result), place), place);
  // Where there is no folder for the socket, a database without a host has no server.
  for (const auto* folder : {"", "@pgbouncer", "run"}) {
    const auto none =
        import_text("[databases]\nd =\n[pgbouncer]\nlisten_addr = *\nunix_socket_dir = " + std::string{folder} + '\n');
    BOOST_TEST(loaded(none.toml).default_tenant.databases.empty(), folder);
    BOOST_TEST(contains(warnings_in(none), "x.ini:2: warning: d: without a host"), folder);
  }
}

BOOST_AUTO_TEST_CASE(values_that_mean_something_else_there) {
  const auto all =
      imported("[pgbouncer]\nunix_socket_mode = 511\nserver_check_query = <empty>\nmax_client_conn = 0x100\n"
               "default_pool_size = 010\nlog_connections = 2\nclient_tls_ciphers = FAST\n"
               "client_tls13_ciphers = TLS_AES_128_GCM_SHA256\nserver_tls_ciphers = legacy\n"
               "server_tls_protocols = TLSv1.2:tlsv1.3\nidle_transaction_timeout = 9\nserver_lifetime = 0\n"
               "[databases]\nd = host=x reserve_pool=4 pool_size=010\n");
  BOOST_TEST(all.unix_socket_mode == 0777); // decimal, as C reads it
  BOOST_TEST(all.server_check_query == ";");
  BOOST_TEST(all.max_client_conn == 256);
  BOOST_TEST(all.default_pool_size == 8);
  BOOST_TEST(all.log_connections);
  BOOST_TEST(all.client_tls_ciphers == "");
  BOOST_TEST(all.client_tls13_ciphers == "TLS_AES_128_GCM_SHA256");
  BOOST_TEST(all.server_tls_ciphers == "ALL:!aNULL:!eNULL");
  BOOST_TEST(all.server_tls_protocols == "tlsv1.2,tlsv1.3");
  BOOST_TEST((all.server_lifetime == 0s));
  BOOST_TEST((all.default_tenant.databases.at("d").reserve_pool_size == 4));
  BOOST_TEST((all.default_tenant.databases.at("d").pool_size == 10));
}

BOOST_AUTO_TEST_CASE(numbers_that_stand_for_not_set_there_leave_the_outer_setting) {
  const auto result =
      import_text("[pgbouncer]\nquery_timeout = 9\n[databases]\n"
                  "d = host=x pool_size=-1 query_wait_timeout=-1 server_lifetime=0 max_db_connections=0\n"
                  "[users]\nu = query_timeout=0 query_wait_timeout=0 max_user_connections=-1\n");
  const auto all = loaded(result.toml);
  const auto& target = all.default_tenant.databases.at("d");
  BOOST_TEST((static_cast<const overrides&>(target) == overrides{}));
  overrides expected;
  expected.query_wait_timeout = 0s;
  BOOST_TEST((static_cast<const overrides&>(all.default_tenant.users.at("u")) == expected));
  BOOST_TEST(result.problems.size() == 6u, warnings_in(result));
}

BOOST_AUTO_TEST_CASE(text_that_toml_cannot_hold) {
  const auto result = import_text("[pgbouncer]\nserver_check_query = \xff\xfe\nunix_socket_group = a\x01z\n"
                                  "[databases]\nd = host=x password=\xc3\x28\n\xff = host=y\n"
                                  "[users]\nbad\xed\xa0\x80 = pool_mode=session\n");
  BOOST_TEST(parse_toml(result.toml).error == "");
  const auto all = loaded(result.toml);
  BOOST_TEST(all.server_check_query == "");
  BOOST_TEST(all.unix_socket_group == "a\x01z");
  BOOST_TEST(all.default_tenant.databases.size() == 1u);
  BOOST_TEST(all.default_tenant.users.empty());
}

BOOST_AUTO_TEST_CASE(a_file_in_a_folder_whose_name_toml_cannot_hold) {
  const world around{{}, {{"/etc/pgbouncer/caf\xe9/x.ini", "[pgbouncer]\nclient_tls_cert_file = s.crt\n"}}};
  const auto result = import_text("%include caf\xe9/x.ini\n[databases]\nd = host=x\n", around);
  BOOST_TEST((load(result.toml).value != nullptr));
  BOOST_TEST(contains(warnings_in(result), "x.ini:2: warning: client_tls_cert_file: is not UTF-8"));
}

BOOST_AUTO_TEST_CASE(tls_files_stand_beside_the_ini) {
  const auto ini =
      "[pgbouncer]\nclient_tls_sslmode = require\nclient_tls_cert_file = s.crt\nclient_tls_key_file = /k/s.key\n";
  const world around{{}, {{"/etc/pgbouncer/s.crt", "c"}, {"/k/s.key", "k"}}};
  BOOST_TEST(imported(ini, around).client_tls_cert_file == "/etc/pgbouncer/s.crt");
  // Where the files cannot be read, the import says so, with the line of the ini, and keeps the keys.
  const auto blind = import_text(ini);
  BOOST_TEST(contains(warnings_in(blind), "x.ini:3: warning: client_tls_cert_file: cannot read /etc/pgbouncer/s.crt"));
  BOOST_TEST((load(blind.toml, around).value != nullptr));
}

BOOST_AUTO_TEST_CASE(no_warning_repeats_a_secret) {
  const world around{{}, {{"/etc/pgbouncer/u", "\"a\" \"SCRAM-SHA-256$geheim\"\n\"b\" \"geheim\xff\"\n"}}};
  const auto result =
      import_text("[pgbouncer]\nauth_file = u\n[databases]\nd = host=x password=SCRAM-SHA-256$geheim\n"
                  "e = password='geheim\nf = host=y password=geheim\xff\n[users]\na = password=geheim\n",
                  around);
  BOOST_TEST(result.problems.size() == 4u);
  BOOST_TEST(!contains(warnings_in(result), "geheim"));
}

BOOST_AUTO_TEST_CASE(an_empty_ini_and_foreign_sections) {
  BOOST_TEST((load(import_text("").toml).value != nullptr));
  const auto result = import_text("[peers]\n1 = host=x\n2 = host=/tmp/p port=1\n[\xff]\na = 1\n");
  BOOST_TEST((load(result.toml).value != nullptr));
  BOOST_TEST(
      contains(warnings_in(result), "x.ini:2: warning: 1: [peers] is not carried over: peers are not supported"));
  BOOST_TEST(contains(warnings_in(result), "x.ini:3: warning: 2: [peers] is not carried over"));
  BOOST_TEST(contains(warnings_in(result), "x.ini:5: warning: a: [?] is not carried over"));
  BOOST_TEST(contains(result.toml, "\n# [peers]\n# 1 = host=x  -- [peers] is not"));
  BOOST_TEST(contains(warnings_in(import_text("[pgbouncer]\nrubbish\n")), "x.ini:2: warning: is neither"));
}

BOOST_AUTO_TEST_CASE(connection_strings) {
  BOOST_TEST((*parse_connection_string("a=1  b='x y' c=''") == key_values{{"a", "1"}, {"b", "x y"}, {"c", ""}}));
  BOOST_TEST((*parse_connection_string("a = 1 b='it''s'") == key_values{{"a", "1"}, {"b", "it's"}}));
  BOOST_TEST(parse_connection_string("")->empty());
  for (const auto* text : {"a", "=x", "a='x", "a b=1", "a'b=1"})
    BOOST_TEST(!parse_connection_string(text).has_value(), text);
}

BOOST_AUTO_TEST_CASE(auth_file_lines) {
  const auto lines =
      parse_auth_file("\"a\" \"1\"\r\n  \"b\"\t\"2\" x\n# \"c\" \"3\"\n; x\n\n\"d\"\n\"\" \"x\"\n\"e\" \"");
  const auto shape = [&](std::size_t at) { return std::pair{lines.at(at).line, lines.at(at).well_formed}; };
  BOOST_TEST(lines.size() == 5u);
  BOOST_TEST((lines.at(0) == auth_file_line{"a", "1", 1, true}));
  BOOST_TEST((lines.at(1) == auth_file_line{"b", "2", 2, true}));
  BOOST_TEST((shape(2) == std::pair{6, false}));
  BOOST_TEST((lines.at(3) == auth_file_line{"", "x", 7, true}));
  BOOST_TEST((shape(4) == std::pair{8, false}));
}

BOOST_AUTO_TEST_SUITE_END()
