// Behaviours 38 to 47: TLS towards clients and towards Postgres.
#include "tests/pg/edges_support.hpp"

#include <sys/stat.h>

using namespace pg_edge::test;

namespace {

std::string client_tls(const std::string& mode, const std::string& more = "") {
  return "client_tls_sslmode = \"" + mode + "\"\nclient_tls_cert_file = \"{cert}\"\nclient_tls_key_file = \"{key}\"\n" +
         more;
}

wire_client connect_by(const pg_edge_process& node, transport how) {
  wire_options options;
  options.how = how;
  if (how != transport::plain) options.authority_file = node.authority_file();
  return wire_client(node.port(), options);
}

/// libpq with the given sslmode; "" when it gets in, else what it says.
std::string libpq_says(const pg_edge_process& node, const std::string& mode, const std::string& more = "") {
  pq client = pq::attempt(node.conninfo() + " sslmode=" + mode + " " + more);
  if (!client.ok()) return client.message();
  return client.value("select 'in'") == "in" ? "" : "a wrong answer";
}

bool uses_tls(const std::string& mode, const pg_edge_process& node) {
  pq client = pq::attempt(node.conninfo() + " sslmode=" + mode);
  return client.ok() && PQsslInUse(client.raw()) == 1;
}

/// Whether a server connection of trust_user is encrypted, as Postgres sees it.
std::string server_sees_tls(const pg_edge_process& node, const std::string& database = "app",
                            const std::string& user = "trust_user") {
  wire_client client(node.port());
  auto messages = client.try_startup({{"user", user}, {"database", database}});
  if (messages.empty() || messages.back().type != 'Z')
    return messages.empty() ? "nothing" : error_field(messages.back(), 'M');
  return client.value("select ssl::text from pg_stat_ssl where pid = pg_backend_pid()");
}

} // namespace

BOOST_AUTO_TEST_SUITE(tls_pgtest)

BOOST_AUTO_TEST_CASE(B038_client_side_modes) {
  {
    pg_edge_process node(simple_toml());
    BOOST_TEST(libpq_says(node, "prefer") == "");
    BOOST_TEST(!uses_tls("prefer", node));
    BOOST_TEST(libpq_says(node, "require").find("server does not support SSL") != std::string::npos);
  }
  for (const char* mode : {"allow", "prefer", "require"}) {
    pg_edge_process node(simple_toml(client_tls(mode)));
    BOOST_TEST(libpq_says(node, "require") == "");
    BOOST_TEST(uses_tls("prefer", node));
    BOOST_TEST(libpq_says(node, "verify-full",
                          "host=localhost hostaddr=127.0.0.1 sslrootcert=" + node.authority_file()) == "");
    BOOST_TEST((libpq_says(node, "disable") == "") == (std::string(mode) != "require"));
  }
  for (const char* mode : {"verify-ca", "verify-full"}) {
    certificate_authority right("the clients' own"), wrong("another");
    temp_dir folder;
    write_file(folder / "clients.crt", right.certificate());
    for (const auto& [name, authority] :
         {std::pair<std::string, certificate_authority*>{"right", &right}, {"wrong", &wrong}}) {
      const auto leaf = authority->issue("trust_user");
      write_file(folder / (name + ".crt"), leaf.certificate);
      write_file(folder / (name + ".key"), leaf.key);
      ::chmod((folder / (name + ".key")).c_str(), 0600);
    }
    pg_edge_process node(simple_toml(client_tls(mode, "client_tls_ca_file = \"" + (folder / "clients.crt") + "\"\n")));
    const auto with = [&](const std::string& name) {
      return libpq_says(node, "require",
                        "sslcert=" + (folder / (name + ".crt")) + " sslkey=" + (folder / (name + ".key")));
    };
    BOOST_TEST(with("right") == "");
    BOOST_TEST(with("wrong") != "");
    BOOST_TEST(libpq_says(node, "require", "sslcert=/none sslkey=/none") != "");
    BOOST_TEST(libpq_says(node, "disable") != "");
    BOOST_TEST(with("right") == "");
  }
}

BOOST_AUTO_TEST_CASE(B039_a_plain_client_can_read_why_it_is_refused) {
  pg_edge_process node(simple_toml(client_tls("require")));
  wire_client client = connect_by(node, transport::plain);
  const auto messages = client.try_startup({{"user", "trust_user"}, {"database", "app"}});
  BOOST_TEST(summary(messages) == "E(28000)");
  BOOST_TEST(error_field(messages.back(), 'S') == "FATAL");
  BOOST_TEST(error_field(messages.back(), 'M') == "SSL required");
  BOOST_TEST(client.closed_within(milliseconds(5000)));
}

BOOST_AUTO_TEST_CASE(B040_certificates_change_by_reload_and_present_clients_stay) {
  pg_edge_process node(simple_toml(client_tls("require")));
  wire_client before = connect_by(node, transport::tls);
  before.login("trust_user", "app");
  const std::string old_authority = read_file(node.authority_file());
  certificate_authority next("the next authority");
  const auto leaf = next.issue("localhost");
  write_file(node.folder() + "/server.crt", leaf.certificate);
  write_file(node.folder() + "/server.key", leaf.key);
  write_file(node.authority_file(), next.certificate());
  BOOST_CHECK_THROW(connect_by(node, transport::tls), test_failure); // not before the reload
  node.signal(SIGHUP);
  BOOST_TEST(node.wait_for_log("event=settings_reloaded"));
  BOOST_TEST(connect_by(node, transport::tls).login("trust_user", "app").value("select 1") == "1");
  BOOST_TEST(before.value("select 'stays'") == "stays");
  // A key that does not fit is refused, and the certificate in use stays.
  write_file(node.folder() + "/server.key", next.issue("localhost").key);
  node.signal(SIGHUP);
  BOOST_TEST(node.wait_for_log("event=settings_refused"));
  BOOST_TEST(connect_by(node, transport::tls).login("trust_user", "app").value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(B041_servers_go_when_their_tls_changes_and_only_then) {
  const std::string before = "server_tls_sslmode = \"require\"\n";
  pg_edge_process node(simple_toml(before));
  wire_client client(node.port());
  client.login("trust_user", "app");
  const std::string pid_sql = "select pg_backend_pid()";
  const std::string first = client.value(pid_sql);
  int reloads = 0;
  const auto reload = [&](const std::string& settings) {
    node.rewrite_config(simple_toml(settings));
    node.signal(SIGHUP);
    ++reloads;
    BOOST_REQUIRE(wait_for([&] {
      const std::string log = node.log();
      int seen = 0;
      for (auto at = log.find("event=settings_reloaded"); at != std::string::npos;
           at = log.find("event=settings_reloaded", at + 1))
        ++seen;
      return seen == reloads;
    }));
  };
  reload(before + "query_wait_timeout = 7\n");
  BOOST_TEST(client.value(pid_sql) == first); // nothing about TLS
  for (const char* change : {"server_tls_sslmode = \"disable\"\n", "server_tls_sslmode = \"require\"\n",
                             "server_tls_sslmode = \"require\"\nserver_tls_protocols = \"tlsv1.2\"\n"}) {
    const std::string present = client.value(pid_sql);
    client.query("begin", "C(BEGIN) Z(T)");
    reload(change);
    BOOST_TEST(client.value(pid_sql) == present); // what is under way ends where it began
    client.query("commit", "C(COMMIT) Z(I)");
    BOOST_TEST(wait_for([&] { return client.value(pid_sql) != present; }));
  }
}

BOOST_AUTO_TEST_CASE(B043_direct_tls_with_alpn) {
  for (const set_up& how : every_set_up) {
    pg_edge_process node(set_up_toml(how, client_tls("require")));
    BOOST_TEST(connect_by(node, transport::direct_tls).login("trust_user", "app").value("select 1") == "1");
    BOOST_TEST(connect_by(node, transport::tls).login("trust_user", "app").value("select 2") == "2");
  }
  // Without ALPN it is not direct TLS but some other protocol's.
  pg_edge_process node(simple_toml(client_tls("prefer")));
  const std::string target = "127.0.0.1:" + std::to_string(node.port());
  const auto shake = [&](const std::string& more) {
    return run({"sh", "-c", "openssl s_client -connect " + target + " " + more + " </dev/null 2>&1"},
               milliseconds(20000))
        .out;
  };
  BOOST_TEST(shake("-alpn postgresql").find("ALPN protocol: postgresql") != std::string::npos);
  const std::string other = shake("-alpn http/1.1");
  BOOST_TEST(other.find("alert no application protocol") != std::string::npos);
  pg_edge_process without(simple_toml());
  wire_options direct;
  direct.how = transport::direct_tls;
  BOOST_CHECK_THROW(wire_client(without.port(), direct), test_failure);
  BOOST_TEST(log_in(without).value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(B044_tls_versions_and_two_kinds_of_certificate) {
  certificate_authority authority;
  const auto rsa = authority.issue("localhost", "DNS:localhost", true);
  temp_dir folder;
  write_file(folder / "rsa.crt", rsa.certificate);
  write_file(folder / "rsa.key", rsa.key);
  pg_edge_process node(simple_toml("client_tls_sslmode = \"prefer\"\nclient_tls_cert_file = \"{cert}," +
                                   (folder / "rsa.crt") + "\"\nclient_tls_key_file = \"{key}," + (folder / "rsa.key") +
                                   "\"\n"));
  const auto shake = [&](const std::string& more) {
    return run({"sh", "-c",
                "openssl s_client -starttls postgres -connect 127.0.0.1:" + std::to_string(node.port()) + " " + more +
                    " </dev/null 2>&1"},
               milliseconds(20000))
        .out;
  };
  BOOST_TEST(shake("-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256").find("ECDHE-RSA-AES128-GCM-SHA256") !=
             std::string::npos);
  BOOST_TEST(shake("-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256").find("Cipher is ECDHE-ECDSA-AES128-GCM-SHA256") !=
             std::string::npos);
  BOOST_TEST(shake("-tls1_3").find("TLSv1.3, Cipher is TLS_") != std::string::npos);
  BOOST_TEST(shake("-tls1_1 -cipher ALL:@SECLEVEL=0").find("Cipher is (NONE)") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(B045_broken_tls_ends_that_client_only) {
  pg_edge_process node(simple_toml(client_tls("prefer")));
  wire_client good = connect_by(node, transport::tls);
  good.login("trust_user", "app");
  for (const std::string& garbage : {std::string("\x15\x03\x03\x00\x02\x02\x28", 7),
                                     std::string("\x16\x03\x01\xff\xff junk", 10), std::string("select 1")}) {
    wire_client bad(node.port());
    bad.send(ssl_request_bytes());
    BOOST_TEST(bad.read_raw(1) == "S");
    bad.send(garbage);
    bad.shutdown_write();
    std::string raw;
    try {
      for (;;)
        raw += bad.read_raw(1, milliseconds(5000));
    } catch (const test_failure&) { // the end, perhaps after an alert
    }
    BOOST_TEST(raw.find('E') == std::string::npos); // nothing in clear
  }
  BOOST_TEST(good.value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(B046_servers_see_no_unexpected_end_over_tls) {
  postgres server;
  {
    pg_edge_process node(simple_toml("server_tls_sslmode = \"require\"\n",
                                     "[databases.own]\nhost = \"127.0.0.1\"\nport = " + std::to_string(server.port()) +
                                         "\ndbname = \"app\"\nserver_idle_timeout = 1\n"));
    wire_client client(node.port());
    client.login("trust_user", "own");
    BOOST_TEST(client.value("select ssl::text from pg_stat_ssl where pid = pg_backend_pid()") == "true");
    client.send(terminate_bytes());
    BOOST_TEST(wait_for([&] { return server.backends("trust_user") == 0; }));
  }
  BOOST_TEST(server.log().find("disconnection: session time") != std::string::npos);
  for (const char* complaint : {"unexpected EOF", "could not receive data", "SSL error"})
    BOOST_TEST(server.log().find(complaint) == std::string::npos);
}

BOOST_AUTO_TEST_CASE(B047_bytes_in_clear_behind_the_request_for_encryption_are_refused) {
  pg_edge_process node(simple_toml(client_tls("prefer")));
  const std::string start_up = startup_bytes({{"user", "trust_user"}, {"database", "app"}});
  for (const std::string& request : {ssl_request_bytes(), gssenc_request_bytes()}) {
    wire_client client = connect_by(node, transport::plain);
    client.send(request + start_up);
    BOOST_TEST(summary(client.read_message()) == "E(08P01)");
    BOOST_TEST(client.closed_within(milliseconds(5000)));
  }
  // Towards a server: bytes behind its "S" are not taken for its first encrypted ones.
  const int listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof here;
  BOOST_TEST_REQUIRE(::bind(listening, reinterpret_cast<sockaddr*>(&here), length) == 0);
  ::listen(listening, 4);
  ::getsockname(listening, reinterpret_cast<sockaddr*>(&here), &length);
  std::thread evil([&] {
    const int fd = ::accept(listening, nullptr, nullptr);
    char request[8];
    ::recv(fd, request, sizeof request, MSG_WAITALL);
    const std::string forged = "S" + message_bytes('R', int32_bytes(0)) + message_bytes('Z', "I");
    ::send(fd, forged.data(), forged.size(), MSG_NOSIGNAL);
    ::recv(fd, request, sizeof request, MSG_WAITALL);
    ::close(fd);
  });
  pg_edge_process victim(
      simple_toml("server_tls_sslmode = \"require\"\nquery_wait_timeout = 1\n",
                  "[databases.evil]\nhost = \"127.0.0.1\"\nport = " + std::to_string(ntohs(here.sin_port)) + "\n"));
  wire_client client(victim.port());
  const auto messages = client.try_startup({{"user", "trust_user"}, {"database", "evil"}});
  BOOST_TEST(messages.back().type == 'E');
  BOOST_TEST(victim.wait_for_log("event=server_login_failed"));
  ::shutdown(listening, SHUT_RDWR);
  evil.join();
  ::close(listening);
}

BOOST_AUTO_TEST_CASE(B038_server_side_modes) {
  tcp_proxy elsewhere(postgres::shared().port(), "127.0.0.2"); // a name that the certificate does not have
  postgres plain({"ssl = off", 30});
  const auto table = [](const std::string& name, const std::string& host, int port) {
    return "[databases." + name + "]\nhost = \"" + host + "\"\nport = " + std::to_string(port) + "\ndbname = \"app\"\n";
  };
  certificate_authority stranger;
  temp_dir folder;
  write_file(folder / "stranger.crt", stranger.certificate());
  const struct {
    const char* mode;
    const char* authority;
    const char* encrypted; // by database: what Postgres sees, or "no" for a refused login
    const char* by_other_name;
    const char* without_tls;
  } rows[] = {
      {"disable", "", "false", "false", "false"},   {"allow", "", "false", "false", "false"},
      {"prefer", "", "true", "true", "false"},      {"require", "", "true", "true", "no"},
      {"verify-ca", "right", "true", "true", "no"}, {"verify-full", "right", "true", "no", "no"},
      {"verify-ca", "stranger", "no", "no", "no"},  {"verify-full", "stranger", "no", "no", "no"},
  };
  for (const auto& row : rows) {
    BOOST_TEST_CONTEXT(row.mode << " with authority " << row.authority) {
      std::string settings =
          std::string("server_tls_sslmode = \"") + row.mode + "\"\nquery_wait_timeout = 1\nserver_login_retry = 1\n";
      if (*row.authority == 'r') settings += "server_tls_ca_file = \"{postgres_ca}\"\n";
      if (*row.authority == 's') settings += "server_tls_ca_file = \"" + (folder / "stranger.crt") + "\"\n";
      pg_edge_process node(simple_toml(settings, table("renamed", "127.0.0.2", elsewhere.port()) +
                                                     table("bare", "127.0.0.1", plain.port())));
      const auto check = [&](const char* database, const std::string& expected) {
        const std::string seen = server_sees_tls(node, database);
        if (expected == "no")
          BOOST_TEST((seen != "true" && seen != "false"), database << ": " << seen);
        else
          BOOST_TEST(seen == expected, database << ": " << seen);
      };
      check("app", row.encrypted);
      check("renamed", row.by_other_name);
      check("bare", row.without_tls);
    }
  }
}

BOOST_AUTO_TEST_CASE(B038_allow_turns_to_tls_when_the_server_insists) {
  pg_edge_process node(simple_toml("server_tls_sslmode = \"allow\"\nquery_wait_timeout = 2\n"));
  BOOST_TEST(server_sees_tls(node, "app", "tls_user") == "true");
  BOOST_TEST(server_sees_tls(node, "app", "trust_user") == "false");
}

BOOST_AUTO_TEST_CASE(B113_cancel_over_tls) {
  pg_edge_process node(simple_toml(client_tls("require", "server_tls_sslmode = \"require\"\n")));
  wire_client client = connect_by(node, transport::tls);
  client.login("trust_user", "app");
  client.send(query_bytes("select pg_sleep(60), 'tls cancel'"));
  BOOST_TEST(waits_for_running("tls cancel", 1));
  wire_options tls;
  tls.how = transport::tls;
  BOOST_TEST(send_cancel(node.port(), client.backend_pid(), client.secret(), milliseconds(5000), tls));
  client.expect("T* E(57014) Z(I)");
}

BOOST_AUTO_TEST_SUITE_END()
