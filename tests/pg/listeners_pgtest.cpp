// Several doors into one node: each with its own address, TLS and way of proving who one is; and connections that a
// proxy passes on.
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/pq.hpp"
#include "tests/support/wire_client.hpp"

#include <boost/test/unit_test.hpp>

#include <csignal>
#include <sys/stat.h>

using namespace pg_edge::test;

namespace {

std::string port_text(std::uint16_t port) {
  return std::to_string(port);
}

std::string conninfo(std::uint16_t port, const std::string& more) {
  return "host=127.0.0.1 port=" + port_text(port) + " dbname=app " + more;
}

/// A version 2 header for a TCP connection over IPv4 from 203.0.113.7:4711.
std::string proxy_header(char command = '\x21') {
  std::string header("\r\n\r\n\0\r\nQUIT\n", 12);
  header.append({command, '\x11'});
  return header.append("\0\x0c\xcb\0\x71\x07\x7f\0\0\x01\x12\x67\x19\x20", 14);
}

std::string proxied_listener(std::uint16_t port, const std::string& from) {
  return "[listeners.balanced]\nlisten_addr = \"127.0.0.1\"\nlisten_port = " + port_text(port) +
         "\nproxy_protocol = true\nproxy_protocol_from = [\"" + from + "\"]\n";
}

/// The fixture waits for the first address only.
void wait_for_all_listeners(const pg_edge_process& node) {
  BOOST_REQUIRE(node.wait_for_log("node_started"));
}

const std::string admin = "admin_users = \"trust_user\"\n";

/// The address of the client with this application_name, as SHOW CLIENTS has it.
std::string address_of(const pg_edge_process& node, const std::string& application) {
  pq console(node.conninfo("trust_user", "pgbouncer"));
  const pq_result clients = console.exec("show clients");
  int name = -1, address = -1, port = -1;
  for (int i = 0; i < clients.columns(); ++i) {
    if (clients.column_name(i) == "application_name") name = i;
    if (clients.column_name(i) == "addr") address = i;
    if (clients.column_name(i) == "port") port = i;
  }
  for (int row = 0; row < clients.rows(); ++row)
    if (clients.value(row, name) == application) return clients.value(row, address) + ":" + clients.value(row, port);
  return "not there";
}

} // namespace

BOOST_AUTO_TEST_SUITE(listeners_pgtest)

BOOST_AUTO_TEST_CASE(each_listener_has_its_own_tls_and_authentication) {
  const auto strict = free_port(), six = free_port();
  pg_edge_process node(
      simple_toml("", "[listeners.strict]\nlisten_addr = \"127.0.0.1\"\nlisten_port = " + port_text(strict) +
                          "\nauth_type = \"scram-sha-256\"\nclient_tls_sslmode = \"require\"\n"
                          "client_tls_cert_file = \"{cert}\"\nclient_tls_key_file = \"{key}\"\n"
                          "[listeners.six]\nlisten_addr = \"::1\"\nlisten_port = " +
                          port_text(six) + "\n"));
  wait_for_all_listeners(node);
  BOOST_TEST(pq(node.conninfo("scram_user", "app")).value("select 1") == "1"); // the first door trusts
  const std::string good = "user=scram_user password='" + std::string(scram_user.password) + "' sslmode=require";
  BOOST_TEST(pq(conninfo(strict, good)).value("select 1") == "1");
  BOOST_CHECK_THROW(pq(conninfo(strict, "user=scram_user password=wrong sslmode=require")), pq_error);
  const pq plain = pq::attempt(
      conninfo(strict, "user=scram_user password='" + std::string(scram_user.password) + "' sslmode=disable"));
  BOOST_TEST(!plain.ok());
  BOOST_TEST(plain.message().find("SSL required") != std::string::npos, plain.message());
  BOOST_TEST(pq("host=::1 port=" + port_text(six) + " dbname=app user=trust_user").value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(a_unix_socket_of_its_own_with_its_mode) {
  const temp_dir folder;
  pg_edge_process node(simple_toml("", "[listeners.local]\nunix_socket_dir = \"" + folder.path() +
                                           "\"\nlisten_port = 7777\nunix_socket_mode = \"0700\"\n"));
  wait_for_all_listeners(node);
  struct stat about {};
  BOOST_REQUIRE(::stat((folder.path() + "/.s.PGSQL.7777").c_str(), &about) == 0);
  BOOST_TEST((about.st_mode & 0777) == 0700u);
  BOOST_TEST(pq("host=" + folder.path() + " port=7777 dbname=app user=trust_user").value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(a_proxys_word_is_the_clients_address) {
  const auto port = free_port();
  pg_edge_process node(simple_toml(admin, proxied_listener(port, "127.0.0.0/8")));
  wait_for_all_listeners(node);
  wire_client client(port);
  // In pieces: the header may arrive in any.
  client.send_in_pieces(proxy_header(), 5, milliseconds(5));
  client.startup({{"user", "trust_user"}, {"database", "app"}, {"application_name", "behind_proxy"}});
  BOOST_TEST(client.value("select 40 + 2") == "42");
  BOOST_TEST(address_of(node, "behind_proxy") == "203.0.113.7:4711");
  BOOST_TEST(node.wait_for_log("addr=203.0.113.7"));
}

BOOST_AUTO_TEST_CASE(header_and_start_up_in_one_segment) {
  const auto port = free_port();
  pg_edge_process node(simple_toml(admin, proxied_listener(port, "127.0.0.1")));
  wait_for_all_listeners(node);
  wire_client client(port);
  client.send(proxy_header() + startup_bytes({{"user", "trust_user"}, {"database", "app"}}));
  client.read_until_ready();
  BOOST_TEST(client.value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(a_health_check_of_the_proxy_keeps_its_own_address) {
  const auto port = free_port();
  pg_edge_process node(simple_toml(admin, proxied_listener(port, "127.0.0.1")));
  wait_for_all_listeners(node);
  wire_client client(port);
  client.send(proxy_header('\x20'));
  client.startup({{"user", "trust_user"}, {"database", "app"}, {"application_name", "local_command"}});
  BOOST_TEST(address_of(node, "local_command").starts_with("127.0.0.1:"));
}

BOOST_AUTO_TEST_CASE(who_is_no_proxy_is_refused) {
  const auto port = free_port();
  pg_edge_process node(simple_toml("", proxied_listener(port, "10.0.0.0/8")));
  wait_for_all_listeners(node);
  wire_client client(port);
  client.send(proxy_header());
  const wire_message answer = client.read_message();
  BOOST_TEST(summary(answer) == "E(28000)");
  BOOST_TEST(error_field(answer, 'M').find("127.0.0.1") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(without_a_header_the_client_is_told) {
  const auto port = free_port();
  pg_edge_process node(simple_toml("", proxied_listener(port, "127.0.0.1")));
  wait_for_all_listeners(node);
  wire_client client(port);
  client.send(startup_bytes({{"user", "trust_user"}, {"database", "app"}}));
  const wire_message answer = client.read_message();
  BOOST_TEST(summary(answer) == "E(08P01)");
  BOOST_TEST(client.closed_within(milliseconds(2000)));
}

BOOST_AUTO_TEST_CASE(a_proxied_connection_may_use_tls_and_cancel) {
  const auto port = free_port();
  pg_edge_process node(simple_toml("client_tls_sslmode = \"prefer\"\nclient_tls_cert_file = \"{cert}\"\n"
                                   "client_tls_key_file = \"{key}\"\n",
                                   proxied_listener(port, "127.0.0.1")));
  wait_for_all_listeners(node);
  wire_client client(port);
  client.send(proxy_header());
  client.send(ssl_request_bytes());
  BOOST_TEST(client.read_raw(1) == "S");
}

BOOST_AUTO_TEST_CASE(a_reload_changes_who_is_believed) {
  const auto port = free_port();
  pg_edge_process node(simple_toml("", proxied_listener(port, "10.0.0.0/8")));
  wait_for_all_listeners(node);
  node.rewrite_config(simple_toml("", proxied_listener(port, "127.0.0.1")));
  node.signal(SIGHUP);
  BOOST_REQUIRE(node.wait_for_log("settings_reloaded"));
  wire_client client(port);
  client.send(proxy_header());
  client.startup({{"user", "trust_user"}, {"database", "app"}});
  BOOST_TEST(client.value("select 1") == "1");
}

BOOST_AUTO_TEST_SUITE_END()
