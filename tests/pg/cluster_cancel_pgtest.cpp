// Cancel requests that reach another node of the cluster than their client's, found by the number in the key and by the
// places that nodes write into the store.
#include "tests/actors/etcd_process.hpp"
#include "tests/pg/edges_support.hpp"
#include "tests/support/certificates.hpp"

using namespace pg_edge::test;
using pg_edge::actors::etcd_process;
using namespace std::chrono_literals;

namespace {

constexpr auto patience = 60s; // the machine may be busy

struct cluster_of_nodes {
  etcd_process etcd;
  temp_dir files;
  std::vector<std::unique_ptr<pg_edge_process>> nodes;

  explicit cluster_of_nodes(bool tls) {
    if (!tls) return;
    const certificate_authority authority;
    const auto leaf = authority.issue("node");
    write_file(files / "ca", authority.certificate());
    write_file(files / "crt", leaf.certificate);
    write_file(files / "key", leaf.key);
    guard_ = "certificate = \"" + (files / "crt") + "\"\nkey = \"" + (files / "key") + "\"\nca = \"" + (files / "ca") +
             "\"\n";
  }
  void add(const std::string& name) {
    nodes.push_back(std::make_unique<pg_edge_process>(simple_toml(
        "reactors = 2\n", "[cluster]\nname = \"blue\"\nnode = \"" + name + "\"\nlink_listen = \"127.0.0.1:" +
                              std::to_string(free_port()) + "\"\nstore = [\"" + etcd.url() + "\"]\n" + guard_)));
  }
  bool knows(const pg_edge_process& node, const std::string& other) {
    return node.wait_for_log("event=peer_found node=" + other, patience);
  }

private:
  std::string guard_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_cancel_pgtest)

BOOST_AUTO_TEST_CASE(B119_a_cancel_finds_its_query_on_another_node_of_the_cluster) {
  for (const bool tls : {false, true})
    BOOST_TEST_CONTEXT("tls " << tls) {
      cluster_of_nodes all(tls);
      for (const std::string name : {"a", "b", "c"})
        all.add(name);
      BOOST_REQUIRE((all.knows(*all.nodes[0], "b") && all.knows(*all.nodes[0], "c")));
      BOOST_REQUIRE((all.knows(*all.nodes[1], "a") && all.knows(*all.nodes[1], "c")));
      BOOST_REQUIRE((all.knows(*all.nodes[2], "a") && all.knows(*all.nodes[2], "b")));
      int round = 0;
      for (const std::int32_t version : {protocol_3_0, protocol_3_2})
        for (const auto& [of, by] : {std::pair{0, 1}, std::pair{1, 2}, std::pair{2, 0}})
          sleep_and_cancel(*all.nodes[static_cast<std::size_t>(of)], *all.nodes[static_cast<std::size_t>(by)], version,
                           "b119 " + std::to_string(tls) + std::to_string(round++));

      // A wrong secret does nothing there either.
      wire_client client = log_in(*all.nodes[0]);
      client.send(query_bytes("select pg_sleep(60), 'b119 wrong'"));
      BOOST_TEST(waits_for_running("b119 wrong", 1));
      std::string wrong = client.secret();
      wrong[0] = static_cast<char>(wrong[0] ^ 1);
      send_cancel(all.nodes[1]->port(), client.backend_pid(), wrong);
      send_cancel(all.nodes[1]->port(), client.backend_pid() ^ (1 << 25), client.secret()); // of no node
      BOOST_TEST(client.silent_for(milliseconds(300)));
      BOOST_TEST(send_cancel(all.nodes[0]->port(), client.backend_pid(), client.secret()));
      client.expect("T* E(57014) Z(I)");

      // A node that is killed is forgotten when its lease ends; when it is back it has its number, and is found again.
      all.nodes[2]->stop(SIGKILL);
      BOOST_TEST(all.nodes[0]->wait_for_log("event=peer_lost node=c number=3", patience));
      all.nodes[2]->start();
      BOOST_TEST(all.knows(*all.nodes[2], "a"));
      BOOST_TEST(wait_for(
          [&] {
            const std::string log = all.nodes[0]->log();
            return log.rfind("event=peer_found node=c number=3") > log.find("event=peer_lost node=c");
          },
          patience));
      sleep_and_cancel(*all.nodes[2], *all.nodes[0], protocol_3_0, "b119 back " + std::to_string(tls));

      // A store that is away changes nothing for those that know each other.
      all.etcd.kill();
      sleep_and_cancel(*all.nodes[0], *all.nodes[1], protocol_3_2, "b119 away " + std::to_string(tls));
    }
}

BOOST_AUTO_TEST_SUITE_END()
