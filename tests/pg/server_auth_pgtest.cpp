// How pg_edge logs in to Postgres: with the keys of its clients' own logins, with passwords, with a certificate, over
// bound channels; and what it refuses to do (behaviours 20, 21, 22, 28, 29, 42).
#include "protocol/scram.hpp"
#include "tests/pg/edges_support.hpp"

#include <sys/stat.h>

using namespace pg_edge::test;

namespace {

const std::string secret = "the secret of both";

/// Makes the role anew with this password; what Postgres stores of it.
std::string make_role(const postgres& server, const std::string& name, const std::string& password,
                      const std::string& encryption = "scram-sha-256") {
  pq admin = server.admin();
  if (admin.value("select count(*) from pg_roles where rolname = '" + name + "'") == "0")
    admin.exec("create role " + name + " login");
  admin.exec("set password_encryption = '" + encryption + "'");
  admin.exec("alter role " + name + " password '" + password + "'");
  return admin.value("select rolpassword from pg_authid where rolname = '" + name + "'");
}

std::string user_table(const std::string& name, const std::string& password) {
  return "[users." + name + "]\npassword = \"" + password + "\"\n";
}

/// A database whose server user is always `user`.
std::string forced_table(const std::string& user, const std::string& more = "") {
  return "[databases.forced]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"app\"\nuser = \"" + user +
         "\"\n" + more;
}

/// The last message of a login: summary, and the text of an error.
std::string login_ends(const pg_edge_process& node, const std::string& user, const std::string& password,
                       const std::string& database = "app") {
  wire_client client(node.port());
  const auto messages = client.try_startup({{"user", user}, {"database", database}}, password);
  if (messages.empty()) return "nothing";
  if (messages.back().type == 'Z') return client.value("select current_user");
  return summary(messages.back()) + " " + error_field(messages.back(), 'M');
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void end_backends(const std::string& user) {
  postgres& server = postgres::shared();
  server.query("select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = '" + user + "'");
  wait_for([&] { return server.backends(user) == 0; });
}

struct key_pair_files {
  temp_dir folder;
  std::string certificate = folder / "one.crt", key = folder / "one.key";

  explicit key_pair_files(const certificate_authority::leaf& leaf) {
    write_file(certificate, leaf.certificate);
    write_file(key, leaf.key);
    chmod(key.c_str(), 0600);
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(server_auth_pgtest)

// -- pass-through
// ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B021_a_verifier_alone_serves_clients_and_servers) {
  const std::string stored = make_role(postgres::shared(), "through", secret);
  for (const char* type : {"scram-sha-256", "md5", "plain"}) { // in clear the keys follow from the password
    BOOST_TEST_CONTEXT(type) {
      pg_edge_process node(
          simple_toml("auth_type = \"" + std::string(type) + "\"\nverbose = 4\n", user_table("through", stored)));
      BOOST_TEST(login_ends(node, "through", "wrong") ==
                 "E(28P01) password authentication failed for user \"through\"");
      BOOST_TEST(login_ends(node, "through", secret) == "through");
      pq client(node.conninfo("through") + " password='" + secret + "'");
      BOOST_TEST(client.value("select current_user") == "through");
      // Nothing that would let a reader of the log in.
      const auto verifier = pg_edge::protocol::parse_verifier(stored);
      BOOST_REQUIRE(verifier.has_value());
      const auto keys = pg_edge::protocol::derive_keys(
          pg_edge::protocol::salted_password(secret, verifier->salt, verifier->iterations));
      BOOST_TEST(!node.log_contains(keys.client_key));
      BOOST_TEST(!node.log_contains(pg_edge::protocol::base64_encode(keys.client_key)));
      BOOST_TEST(!node.log_contains(secret));
      BOOST_TEST(!node.log_contains(stored));
    }
  }
}

BOOST_AUTO_TEST_CASE(B021_a_pool_with_a_verifier_only_waits_for_the_first_login_and_says_so) {
  const std::string stored = make_role(postgres::shared(), "through", secret);
  pg_edge_process node(simple_toml("auth_type = \"scram-sha-256\"\nserver_login_retry = 60\n",
                                   user_table("through", stored) + forced_table("through")));
  const auto start = std::chrono::steady_clock::now();
  const std::string refused = login_ends(node, "password_user", password_user.password, "forced");
  BOOST_TEST(contains(refused, "E(28000)"));
  BOOST_TEST(contains(refused, "pg_edge has only a SCRAM verifier for user \"through\""));
  BOOST_TEST((std::chrono::steady_clock::now() - start < std::chrono::seconds(5)));
  BOOST_TEST(node.wait_for_log("a client must log in as that user"));
  // Its own login, to whichever database, ends that at once, although the next try would be due in a minute.
  BOOST_TEST(login_ends(node, "through", secret) == "through");
  BOOST_TEST(login_ends(node, "password_user", password_user.password, "forced") == "through");
}

BOOST_AUTO_TEST_CASE(B022_new_server_connections_after_reconnect_reload_and_restart) {
  const std::string stored = make_role(postgres::shared(), "through", secret);
  const std::string toml =
      simple_toml("auth_type = \"scram-sha-256\"\n", user_table("through", stored) + forced_table("through"));
  pg_edge_process node(toml);
  BOOST_TEST(login_ends(node, "through", secret) == "through");
  const auto others = [&] { return login_ends(node, "password_user", password_user.password, "forced"); };
  BOOST_TEST(others() == "through");
  end_backends("through");
  BOOST_TEST(wait_for([&] { return others() == "through"; }));
  node.rewrite_config(toml + "[users.another]\npassword = \"x\"\n");
  node.signal(SIGHUP);
  BOOST_TEST(node.wait_for_log("event=settings_reloaded"));
  end_backends("through");
  BOOST_TEST(wait_for([&] { return others() == "through"; }));
  // After a restart the keys are known again with the first login.
  node.stop(SIGINT);
  node.start();
  BOOST_TEST(contains(others(), "E(28000)"));
  BOOST_TEST(login_ends(node, "through", secret) == "through");
  BOOST_TEST(others() == "through");
}

BOOST_AUTO_TEST_CASE(B021_keys_go_with_their_verifier) {
  const std::string stored = make_role(postgres::shared(), "through", secret);
  const std::string toml = simple_toml("auth_type = \"scram-sha-256\"\nserver_login_retry = 1\n",
                                       user_table("through", stored) + forced_table("through"));
  pg_edge_process node(toml);
  BOOST_TEST(login_ends(node, "through", secret) == "through");
  // Another salt on the server only.
  const std::string newer = make_role(postgres::shared(), "through", secret);
  end_backends("through");
  const std::string mismatch = login_ends(node, "password_user", password_user.password, "forced");
  BOOST_TEST(contains(mismatch, "the server's verifier for user through differs from pg_edge's (salt or iterations)"));
  BOOST_TEST(node.log_contains("give pg_edge the same verifier or the plain password"));
  // pg_edge gets it too: what it knew is forgotten, and known again after a login.
  std::string after = toml;
  after.replace(after.find(stored), stored.size(), newer);
  node.rewrite_config(after);
  node.signal(SIGHUP);
  BOOST_TEST(node.wait_for_log("event=settings_reloaded"));
  BOOST_TEST(contains(login_ends(node, "password_user", password_user.password, "forced"),
                      "pg_edge has only a SCRAM verifier"));
  BOOST_TEST(login_ends(node, "through", secret) == "through");
  BOOST_TEST(login_ends(node, "password_user", password_user.password, "forced") == "through");
}

BOOST_AUTO_TEST_CASE(B028_rotating_a_password_by_reload_keeps_the_pool) {
  make_role(postgres::shared(), "through", "first");
  const auto toml = [](const std::string& table) {
    return simple_toml("auth_type = \"scram-sha-256\"\ndefault_pool_size = 1\n", "[users.through]\n" + table);
  };
  pg_edge_process node(toml("password = \"first\"\n"));
  wire_client client(node.port());
  client.login("through", "app", "first");
  const std::string pid = client.value("select pg_backend_pid()");
  make_role(postgres::shared(), "through", "second");
  node.rewrite_config(toml("password = \"second\"\nold_passwords = [\"first\", \"zeroth\"]\n"));
  node.signal(SIGHUP);
  BOOST_TEST(node.wait_for_log("event=settings_reloaded"));
  BOOST_TEST(client.value("select pg_backend_pid()") == pid);
  for (const char* password : {"second", "first", "zeroth"}) {
    wire_client next(node.port());
    next.login("through", "app", password);
    BOOST_TEST(next.value("select pg_backend_pid()") == pid);
  }
  BOOST_TEST(contains(login_ends(node, "through", "third"), "E(28P01)"));
  end_backends("through");
  BOOST_TEST(wait_for([&] { return login_ends(node, "through", "first") == "through"; })); // the pool has the new one
  node.rewrite_config(toml("password = \"second\"\n"));
  const std::size_t before = node.log().size();
  node.signal(SIGHUP);
  BOOST_TEST(wait_for([&] { return node.log().find("event=settings_reloaded", before) != std::string::npos; }));
  BOOST_TEST(contains(login_ends(node, "through", "first"), "E(28P01)"));
  BOOST_TEST(login_ends(node, "through", "second") == "through");
}

// -- passwords
// ------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B029_a_forced_user_has_the_password_of_its_database_or_of_its_own_entry) {
  make_role(postgres::shared(), "through", secret);
  pg_edge_process by_database(simple_toml("", forced_table("through", "password = \"" + secret + "\"\n")));
  BOOST_TEST(login_ends(by_database, "trust_user", "", "forced") == "through");
  pg_edge_process by_user(simple_toml("", forced_table("through") + user_table("through", secret)));
  BOOST_TEST(login_ends(by_user, "trust_user", "", "forced") == "through");
  pg_edge_process by_nothing(simple_toml("", forced_table("through")));
  const std::string refused = login_ends(by_nothing, "trust_user", "", "forced");
  BOOST_TEST(contains(refused, "E(28000)"));
  BOOST_TEST(contains(refused, "the server asks for a password and none is known for user \"through\""));
}

BOOST_AUTO_TEST_CASE(an_md5_secret_serves_servers_that_ask_for_md5) {
  const std::string stored = postgres::shared().query("select rolpassword from pg_authid where rolname = 'md5_user'");
  std::string toml = simple_toml("auth_type = \"md5\"\n");
  const std::string plain = md5_user.password;
  toml.replace(toml.find(plain), plain.size(), stored);
  pg_edge_process node(toml);
  BOOST_TEST(login_ends(node, "md5_user", plain) == "md5_user");
  make_role(postgres::shared(), "through", secret);
  pg_edge_process other(simple_toml("auth_type = \"trust\"\n", user_table("through", stored)));
  BOOST_TEST(contains(login_ends(other, "through", ""), "the server asks for SCRAM, and only an md5 secret is known"));
}

BOOST_AUTO_TEST_CASE(cleartext_passwords_go_over_tls_unless_it_is_allowed_otherwise) {
  BOOST_TEST(login_ends(pg_edge_process(simple_toml("server_tls_sslmode = \"require\"\n")), "password_user", "") ==
             "password_user");
  pg_edge_process refusing(simple_toml("server_tls_sslmode = \"disable\"\n"));
  const std::string refused = login_ends(refusing, "password_user", "");
  BOOST_TEST(contains(refused, "E(28000)"));
  BOOST_TEST(contains(refused, "in clear, over a connection without TLS; use TLS, or set server_allow_cleartext"));
  BOOST_TEST(login_ends(refusing, "scram_user", "") == "scram_user");
  BOOST_TEST(
      login_ends(pg_edge_process(simple_toml("server_tls_sslmode = \"disable\"\nserver_allow_cleartext = true\n")),
                 "password_user", "") == "password_user");
}

// -- certificates and bound channels
// --------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B031_a_certificate_logs_in_where_the_server_asks_for_one) {
  postgres server;
  make_role(server, "cert_user", secret);
  const std::string hba = server.data_dir() + "/pg_hba.conf";
  write_file(hba, "hostssl all cert_user 127.0.0.1/32 cert\n" + read_file(hba));
  server.set_configuration("ssl_ca_file = '" + server.authority_file() + "'\n");
  server.reload();
  const auto toml = [&](const std::string& more) {
    return "[pg_edge]\nlisten_addr = \"127.0.0.1\"\nlisten_port = {port}\nauth_type = \"trust\"\n" + more +
           "[databases.app]\nhost = \"127.0.0.1\"\nport = " + std::to_string(server.port()) + "\n[users.cert_user]\n";
  };
  const auto with = [&](const key_pair_files& files) {
    return toml("server_tls_cert_file = \"" + files.certificate + "\"\nserver_tls_key_file = \"" + files.key + "\"\n");
  };
  const key_pair_files right(server.authority().issue("cert_user")), other(server.authority().issue("somebody_else"));
  BOOST_TEST(login_ends(pg_edge_process(with(right)), "cert_user", "") == "cert_user");
  BOOST_TEST(contains(login_ends(pg_edge_process(with(other)), "cert_user", ""), "E(28000)"));
  BOOST_TEST(contains(login_ends(pg_edge_process(toml("")), "cert_user", ""), "E(28000)"));
}

BOOST_AUTO_TEST_CASE(B042_logins_to_servers_are_bound_to_certificates_of_either_kind) {
  postgres server;
  const std::string stored = make_role(server, "through", secret);
  for (const bool rsa : {false, true}) {
    const auto leaf = server.authority().issue("localhost", "DNS:localhost,IP:127.0.0.1", rsa);
    write_file(server.data_dir() + "/server.crt", leaf.certificate);
    write_file(server.data_dir() + "/server.key", leaf.key);
    server.reload();
    // libpq insists on the binding: what the server offers can be used.
    pq direct(server.conninfo("through") + " sslmode=require channel_binding=require password='" + secret + "'");
    for (const std::string& known : {secret, stored}) {
      pg_edge_process node("[pg_edge]\nlisten_addr = \"127.0.0.1\"\nlisten_port = {port}\n"
                           "auth_type = \"scram-sha-256\"\nserver_tls_sslmode = \"require\"\n[databases.app]\n"
                           "host = \"127.0.0.1\"\nport = " +
                           std::to_string(server.port()) + "\n" + user_table("through", known));
      BOOST_TEST(login_ends(node, "through", secret) == "through");
    }
  }
}

BOOST_AUTO_TEST_CASE(B042_clients_may_bind_to_certificates_of_either_kind_and_to_both_sides) {
  const std::string stored = make_role(postgres::shared(), "through", secret);
  const certificate_authority authority;
  for (const bool rsa : {false, true}) {
    const key_pair_files files(authority.issue("localhost", "DNS:localhost", rsa));
    for (const std::string& known : {secret, stored}) {
      pg_edge_process node(simple_toml("auth_type = \"scram-sha-256\"\nclient_tls_sslmode = \"allow\"\n"
                                       "server_tls_sslmode = \"require\"\nclient_tls_cert_file = \"" +
                                           files.certificate + "\"\nclient_tls_key_file = \"" + files.key + "\"\n",
                                       user_table("through", known)));
      for (const char* binding : {"require", "prefer", "disable"}) {
        pq client = pq::attempt(node.conninfo("through") + " password='" + secret +
                                "' sslmode=require channel_binding=" + binding);
        BOOST_TEST(client.ok(), client.message());
        if (client.ok()) BOOST_TEST(client.value("select current_user") == "through");
      }
      pq wrong = pq::attempt(node.conninfo("through") + " password=wrong sslmode=require channel_binding=require");
      BOOST_TEST(contains(wrong.message(), "password authentication failed for user \"through\""));
      pq plain = pq::attempt(node.conninfo("through") + " password='" + secret + "' channel_binding=require");
      BOOST_TEST(!plain.ok()); // nothing to bind to, and libpq says so
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
