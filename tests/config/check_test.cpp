// Contradictions are errors, risky combinations are warnings.
#include "config/secret.hpp"
#include "config_text.hpp"

#include <boost/test/unit_test.hpp>

using namespace config_text;

namespace {

const std::string md5_secret = "md5" + std::string(32, 'a');
const std::string scram_secret =
    "SCRAM-SHA-256$4096:c2FsdA==$" + std::string(43, 'A') + "=:" + std::string(43, 'B') + "=";
const world tls_files{{}, {{"c", "x"}, {"k", "x"}, {"ca", "x"}}};

} // namespace

BOOST_AUTO_TEST_SUITE(check_test)

BOOST_AUTO_TEST_CASE(secrets_are_told_by_their_shape) {
  BOOST_TEST((kind_of_secret("") == secret_kind::none));
  BOOST_TEST((kind_of_secret("hello") == secret_kind::plain));
  BOOST_TEST((kind_of_secret(md5_secret) == secret_kind::md5));
  BOOST_TEST((kind_of_secret("md5hello") == secret_kind::plain));
  BOOST_TEST((kind_of_secret(scram_secret) == secret_kind::scram));
  BOOST_TEST((kind_of_secret(scram_secret.substr(1)) == secret_kind::plain));
  BOOST_TEST(looks_like_broken_verifier(md5_secret + "a"));
  BOOST_TEST(looks_like_broken_verifier(md5_secret.substr(0, 34)));
  BOOST_TEST(looks_like_broken_verifier(scram_secret + "x"));
  BOOST_TEST(looks_like_broken_verifier("SCRAM-SHA-256$"));
  BOOST_TEST(looks_like_broken_verifier("SCRAM-SHA-256$1$2:3"));
  BOOST_TEST(!looks_like_broken_verifier("md5hello"));
  BOOST_TEST(!looks_like_broken_verifier(md5_secret));
  BOOST_TEST(!looks_like_broken_verifier(scram_secret));
}

BOOST_AUTO_TEST_CASE(listening_addresses) {
  BOOST_TEST(contains(errors_of("[pg_edge]\nlisten_addr = 'a, b, a'\n"), "2: listen_addr: a is listed twice"));
  BOOST_TEST(contains(errors_of("[pg_edge]\nlisten_addr = '*, ::1'\n"), "2: listen_addr: \"*\" covers the other"));
  BOOST_TEST(contains(errors_of("[pg_edge]\nunix_socket_dir = ''\n"), "2: nothing to listen on"));
  BOOST_TEST(errors_of("[pg_edge]\nlisten_addr = '*'\nunix_socket_dir = ''\n") == "");
}

BOOST_AUTO_TEST_CASE(tls_needs_its_files) {
  const auto errors = [](const std::string& text) { return errors_of("[pg_edge]\n" + text, tls_files); };
  BOOST_TEST(contains(errors("client_tls_sslmode = 'allow'\n"), "2: client_tls_sslmode: TLS for clients needs"));
  BOOST_TEST(contains(errors("client_tls_cert_file = 'c'\n"), "2: client_tls_cert_file: needs client_tls_key_file"));
  BOOST_TEST(contains(errors("client_tls_key_file = 'k'\n"), "2: client_tls_key_file: needs client_tls_cert_file"));
  BOOST_TEST(contains(errors("server_tls_cert_file = 'c'\n"), "2: server_tls_cert_file: needs server_tls_key_file"));
  BOOST_TEST(contains(errors("client_tls_sslmode='verify-full'\nclient_tls_cert_file='c'\nclient_tls_key_file='k'\n"),
                      "2: client_tls_sslmode: checking client certificates needs client_tls_ca_file"));
  BOOST_TEST(
      contains(errors("server_tls_sslmode = 'verify-ca'\n"), "2: server_tls_sslmode: checking certificates needs"));
  BOOST_TEST(errors("client_tls_sslmode = 'require'\nclient_tls_cert_file = 'c'\nclient_tls_key_file = 'k'\n"
                    "server_tls_sslmode = 'verify-full'\nserver_tls_ca_file = 'ca'\n") == "");
  BOOST_TEST(contains(errors("client_tls_ca_file = 'missing'\n"), "2: client_tls_ca_file: cannot read missing"));
}

BOOST_AUTO_TEST_CASE(tls_of_one_database) {
  BOOST_TEST(contains(errors_of("[databases.d]\nserver_tls_sslmode = 'verify-full'\n"),
                      "1: database d: server_tls_sslmode needs server_tls_ca_file"));
  BOOST_TEST(contains(errors_of("[databases.d]\nserver_tls_cert_file = 'c'\n", tls_files), "go together"));
  BOOST_TEST(errors_of("[pg_edge]\nserver_tls_ca_file = 'ca'\n[databases.d]\nserver_tls_sslmode = 'verify-full'\n",
                       tls_files) == "");
  // The authorities may stand with the tenant.
  BOOST_TEST(errors_of("[tenants.t]\nserver_tls_ca_file = 'ca'\n[tenants.t.databases.d]\n"
                       "server_tls_sslmode = 'verify-full'\n",
                       tls_files) == "");
}

BOOST_AUTO_TEST_CASE(pools) {
  BOOST_TEST(contains(warnings_of("[pg_edge]\nmin_pool_size = 50\n"), "2: min_pool_size: is more than"));
  BOOST_TEST(
      contains(warnings_of("[databases.d]\npool_size = 2\nmin_pool_size = 3\n"), "1: database d: min_pool_size"));
  BOOST_TEST(contains(warnings_of("[pg_edge]\nserver_reset_query = ''\n"), "2: server_reset_query: without it"));
  BOOST_TEST(
      !contains(warnings_of("[pg_edge]\npool_mode='transaction'\nserver_reset_query = ''\n"), "server_reset_query"));
}

BOOST_AUTO_TEST_CASE(who_may_log_in) {
  BOOST_TEST(contains(warnings_of("[pg_edge]\nauth_type = 'trust'\nlisten_addr = '*'\n"),
                      "2: auth_type: trust lets everybody"));
  BOOST_TEST(!contains(warnings_of("[pg_edge]\nauth_type = 'trust'\nlisten_addr = '127.0.0.1, ::1'\n"), "auth_type"));
  BOOST_TEST(contains(warnings_of("[pg_edge]\nauth_type = 'plain'\nlisten_addr = '*'\n"), "plain passwords cross"));
  BOOST_TEST(contains(warnings_of("[pg_edge]\nadmin_users = 'root'\n"), "2: admin_users: there is no [users.root]"));
  BOOST_TEST(contains(warnings_of("[pg_edge]\nstats_users = 'mon'\n"), "2: stats_users: there is no [users.mon]"));
  BOOST_TEST(!contains(warnings_of("[pg_edge]\nauth_type = 'trust'\nadmin_users = 'root'\n"), "admin_users"));
  BOOST_TEST(contains(errors_of("[pg_edge]\nauth_type = 'any'\n[databases.d]\n"),
                      "3: database d: auth_type any needs a user"));
  BOOST_TEST(errors_of("[pg_edge]\nauth_type = 'any'\n[databases.d]\nuser = 'u'\n") == "");
}

BOOST_AUTO_TEST_CASE(passwords_that_cannot_serve) {
  const auto user = [](const std::string& secret) { return "[users.u]\npassword = '" + secret + "'\n"; };
  BOOST_TEST(contains(warnings_of("[users.u]\n"), "1: user u: has no password"));
  BOOST_TEST(!contains(warnings_of("[pg_edge]\nauth_type = 'trust'\n[users.u]\n"), "has no password"));
  BOOST_TEST(contains(errors_of(user(md5_secret + "0")), "1: user u: the password looks like a verifier"));
  BOOST_TEST(contains(warnings_of("[pg_edge]\nauth_type = 'scram-sha-256'\n" + user(md5_secret)),
                      "3: user u: an md5 verifier"));
  BOOST_TEST(!contains(warnings_of(user(md5_secret)), "user u"));
  const auto target = [](const std::string& secret) {
    return "[databases.d]\nuser = 'u'\npassword = '" + secret + "'\n";
  };
  BOOST_TEST(contains(warnings_of(target(scram_secret)), "1: database d: a SCRAM verifier logs in to servers only"));
  BOOST_TEST(errors_of(target(scram_secret)) == "");
  BOOST_TEST(contains(warnings_of(target(md5_secret)), "1: database d: an md5 verifier can log in only"));
  BOOST_TEST(contains(warnings_of(target(md5_secret + "0")), "1: database d: the password looks like"));
  BOOST_TEST(contains(warnings_of("[databases.d]\npassword = 'x'\n"), "1: database d: the password serves every user"));
  BOOST_TEST(contains(warnings_of("[databases.d]\nuser = 'u'\n" + user(scram_secret)),
                      "1: database d: [users.u] holds a SCRAM"));
}

BOOST_AUTO_TEST_CASE(tenants_are_checked_too) {
  BOOST_TEST(
      contains(errors_of("[tenants.t.users.u]\npassword = 'SCRAM-SHA-256$x'\n"), "1: user u: the password looks"));
  BOOST_TEST(contains(warnings_of("[tenants.t]\nmin_pool_size = 50\n"), "1: tenant t: min_pool_size"));
}

BOOST_AUTO_TEST_CASE(a_sound_configuration_has_no_warnings) {
  BOOST_TEST(warnings_of("[pg_edge]\nlisten_addr = '127.0.0.1'\nauth_type = 'scram-sha-256'\nadmin_users = 'u'\n"
                         "[databases.d]\nhost = 'h'\n[users.u]\npassword = 'x'\n") == "");
}

BOOST_AUTO_TEST_SUITE_END()
