// Every file in examples/ is started as it is, but for its ports.
#include "tests/support/folders.hpp"
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

using namespace pg_edge::test;

namespace {

std::string with_ports(std::string toml) {
  const auto replace = [&toml](const std::string& from, const std::string& to) {
    for (std::size_t at = toml.find(from); at != std::string::npos; at = toml.find(from, at + to.size()))
      toml.replace(at, from.size(), to);
  };
  replace("listen_port = 6432\n", "");
  replace("port = 5432", "port = {postgres_port}");
  const bool socket = toml.find("unix_socket_dir") == std::string::npos; // /tmp may belong to another test
  replace("[pg_edge]\n", std::string("[pg_edge]\nlisten_port = {port}\n") + (socket ? "unix_socket_dir = \"\"\n" : ""));
  return toml;
}

} // namespace

BOOST_AUTO_TEST_SUITE(examples_pgtest)

BOOST_AUTO_TEST_CASE(many_clients_serves_its_application) {
  postgres& server = postgres::shared();
  server.query("drop role if exists example_app");
  server.query("create role example_app login superuser password 'example'");
  std::string toml = with_ports(read_file(std::string(source_folder) + "/examples/many_clients/pg_edge.toml"));
  toml.replace(toml.find("[users.app]"), 11, "[users.example_app]");
  pg_edge_process node(toml, {.wait_until_listening = true, .arguments = {}, .environment = {"APP_PASSWORD=example"}});
  const std::string where = "host=127.0.0.1 port=" + std::to_string(node.port()) + " user=example_app dbname=app ";
  pq client(where + "password=example");
  BOOST_TEST((client.exec("select 40 + 2").value() == "42"));
  BOOST_CHECK_THROW(pq(where + "password=wrong"), pq_error);
}

BOOST_AUTO_TEST_CASE(the_smallest_configuration_serves_every_database) {
  postgres& server = postgres::shared();
  server.query("drop role if exists app");
  server.query("create role app login password 'example'");
  const std::string toml = with_ports(read_file(std::string(source_folder) + "/examples/pg_edge.toml"));
  pg_edge_process node(toml, {.wait_until_listening = true, .arguments = {}, .environment = {"APP_PASSWORD=example"}});
  for (const std::string database : {"app", "other"}) {
    pq client("host=127.0.0.1 port=" + std::to_string(node.port()) + " user=app password=example dbname=" + database);
    BOOST_TEST((client.exec("select current_database()").value() == database));
  }
}

BOOST_AUTO_TEST_CASE(tenants_share_a_port_and_nothing_else) {
  postgres& server = postgres::shared();
  const std::string toml = with_ports(read_file(std::string(source_folder) + "/examples/tenants.toml"));
  // The servers must know the password too, and there is one Postgres here for both.
  server.query("drop role if exists app");
  server.query("create role app login password 'example'");
  pg_edge_process node(toml, {.wait_until_listening = true,
                              .arguments = {},
                              .environment = {"ACME_PASSWORD=example", "BETA_PASSWORD=example"}});
  const std::string where = "host=127.0.0.1 port=" + std::to_string(node.port()) + " password=example dbname=app ";
  pq acme(where + "user=app.acme"), beta(where + "user=app options='-c tenant=beta'");
  BOOST_TEST(acme.value("select current_database()") == "app");
  BOOST_TEST(beta.value("select current_database()") == "other");
}

BOOST_AUTO_TEST_CASE(three_nodes_lose_one_and_serve_on) {
  process_options options;
  options.environment = {"PG_EDGE_BINARY=" + pg_edge_process::binary()};
  const run_result shown =
      run({std::string(source_folder) + "/examples/three_nodes/start", "--once"}, milliseconds(240'000), options);
  BOOST_TEST(shown.status == 0, shown.out << shown.err);
  BOOST_TEST(shown.out.find("node c is back") != std::string::npos, shown.out << shown.err);
}

BOOST_AUTO_TEST_SUITE_END()
