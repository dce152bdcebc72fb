// Several nodes, one pool: its size holds across all of them whatever happens to one, and clients of the others wait
// rather than fail.
#include "tests/pg/cluster_support.hpp"
#include "tests/support/wire_client.hpp"

using namespace pg_edge::test;

BOOST_AUTO_TEST_SUITE(cluster_pgtest)

BOOST_AUTO_TEST_CASE(B163_a_pool_is_one_over_three_nodes) {
  nodes all;
  all.require_agreement();
  const backend_watcher watcher(postgres::shared(), "trust_user");
  busy_clients clients;
  for (std::size_t i = 0; i < 3; ++i)
    clients.start(all[i], 4);
  BOOST_TEST(clients.progress(300));
  // Every node is served, not only the one that was first.
  for (std::size_t i = 0; i < 3; ++i)
    BOOST_TEST(pq(all[i].conninfo()).value("select 1") == "1");
  BOOST_TEST(wait_for([&] { return watcher.samples() > 20; }));
  clients.stop();
  BOOST_TEST(clients.errors() == 0, clients.last_error());
  BOOST_TEST(watcher.max() <= pool_size);
  BOOST_TEST(watcher.max() >= 2);
}

BOOST_AUTO_TEST_CASE(B163_a_node_that_joins_serves_and_one_that_leaves_gives_its_permits_back) {
  nodes all;
  BOOST_REQUIRE(all.agree(0, "n0,n1,n2"));
  const backend_watcher watcher(postgres::shared(), "trust_user");
  busy_clients clients;
  for (std::size_t i = 0; i < 3; ++i)
    clients.start(all[i], 2);
  BOOST_REQUIRE(clients.progress());
  const pg_edge_process& late = all.add();
  BOOST_REQUIRE(all.agree(0, "n0,n1,n2,n3"));
  BOOST_TEST(pq(late.conninfo()).value("select 1") == "1");
  BOOST_TEST(clients.progress());
  BOOST_TEST(all[3].stop(SIGINT) == 0);
  BOOST_TEST(all.agree(0, "n0,n1,n2"));
  BOOST_TEST(clients.progress());
  clients.stop();
  BOOST_TEST(clients.errors() == 0, clients.last_error());
  BOOST_TEST(watcher.max() <= pool_size);
}

/// Whatever ends the node: the clients of the others see a wait, and all permits are back.
/// `revive`: at the end, while its clients are still there.
void lose_one(nodes& all, const std::function<void(pg_edge_process&)>& lose, std::size_t victim,
              const std::function<void(pg_edge_process&)>& revive = {}) {
  all.require_agreement();
  const backend_watcher watcher(postgres::shared(), "trust_user");
  busy_clients clients, of_the_victim;
  of_the_victim.start(all[victim], 4, true);
  BOOST_REQUIRE(of_the_victim.progress());
  std::size_t survivors[2];
  for (std::size_t i = 0, at = 0; i < 3; ++i)
    if (i != victim) survivors[at++] = i;
  for (const std::size_t i : survivors)
    clients.start(all[i], 3);
  BOOST_REQUIRE(clients.progress());
  BOOST_REQUIRE(all.all_connected());
  lose(all[victim]);
  for (const std::size_t i : survivors)
    BOOST_TEST(all.agree(i, all.names({victim})));
  BOOST_TEST(clients.progress(300), all[survivors[0]].log() + all[survivors[1]].log());
  if (revive) revive(all[victim]);
  of_the_victim.stop();
  clients.stop();
  {
    // All permits are back: so many transactions at once on the survivors.
    std::vector<std::unique_ptr<pq>> open;
    for (int i = 0; i < all.permits(); ++i) {
      open.push_back(std::make_unique<pq>(all[survivors[static_cast<std::size_t>(i) % 2]].conninfo()));
      open.back()->exec("begin");
    }
  }
  BOOST_TEST(clients.errors() == 0, clients.last_error());
  BOOST_TEST(watcher.max() <= all.permits());
}

BOOST_AUTO_TEST_CASE(B166_a_killed_node_leaves_its_pools_to_the_others) {
  for (const std::size_t victim : {0U, 2U}) {
    nodes all;
    lose_one(
        all, [](pg_edge_process& node) { node.signal(SIGKILL); }, victim);
  }
}

BOOST_AUTO_TEST_CASE(B166_a_node_that_stands_still_is_fenced_when_it_goes_on) {
  // Permits for all clients: a login that is under way when the node stands still is waited for until it goes on, as
  // docs/cluster.md says, and with fewer there always is one.
  nodes all({.nodes = 3, .settings = "", .more = "", .tls = false, .links = false, .api = false, .size = 12});
  const auto revive = [&all](pg_edge_process& node) {
    node.signal(SIGCONT);
    BOOST_TEST(node.wait_for_log("event=node_fenced", milliseconds(30000)), node.log());
    for (std::size_t i = 0; i < 3; ++i)
      BOOST_TEST(all.agree(i, "n0,n1,n2"));
    BOOST_TEST(pq(node.conninfo()).value("select 1") == "1");
  };
  lose_one(
      all, [](pg_edge_process& node) { node.signal(SIGSTOP); }, 1, revive);
}

BOOST_AUTO_TEST_CASE(a_killed_node_comes_back_under_its_name) {
  nodes all;
  all.require_agreement();
  const backend_watcher watcher(postgres::shared(), "trust_user");
  busy_clients clients;
  clients.start(all[0], 3);
  BOOST_REQUIRE(clients.progress());
  all[2].stop(SIGKILL);
  all[2].start(); // at once: its old lease has not ended yet
  BOOST_TEST(all.agree(2, "n0,n1,n2"));
  BOOST_TEST(pq(all[2].conninfo()).value("select 1") == "1");
  BOOST_TEST(clients.progress());
  clients.stop();
  BOOST_TEST(clients.errors() == 0, clients.last_error());
  BOOST_TEST(watcher.max() <= pool_size);
  pq console(all[2].conninfo("trust_user", "pgbouncer"));
  const auto rows = console.exec("show nodes");
  std::string members;
  for (int row = 0; row < rows.rows(); ++row)
    if (rows.value(row, 3) == "member") members += rows.value(row, 1);
  BOOST_TEST(members == "n0n1n2");
}

BOOST_AUTO_TEST_CASE(without_the_store_a_strict_node_lets_go_and_goes_on_when_it_is_back) {
  nodes all({.nodes = 1, .settings = "", .more = ""});
  BOOST_REQUIRE(all.agree(0, "n0"));
  const backend_watcher watcher(postgres::shared(), "trust_user");
  pq client(all[0].conninfo());
  BOOST_TEST(client.value("select 1") == "1");
  etcd().signal(SIGSTOP);
  BOOST_TEST(all[0].wait_for_log("event=node_fenced", milliseconds(30000)));
  BOOST_TEST(wait_for([] { return postgres::shared().backends("trust_user") == 0; }));
  client.send_query("select 2"); // it waits, it does not fail
  etcd().signal(SIGCONT);
  const auto results = client.results(milliseconds(60000));
  BOOST_REQUIRE(results.size() == 1U);
  BOOST_TEST(results[0].value() == "2");
  BOOST_TEST(watcher.max() <= pool_size);
}

/// How often each node has lost one of the others that are there to the end.
long losses(nodes& all, std::size_t but) {
  long count = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i == but) continue;
    const std::string log = all[i].log();
    for (std::size_t at = 0; (at = log.find("event=node_lost", at)) != std::string::npos; ++at)
      count +=
          log.substr(at, log.find('\n', at) - at).find("node=n" + std::to_string(but)) == std::string::npos ? 1 : 0;
  }
  return count;
}

BOOST_AUTO_TEST_CASE(what_ends_one_connection_between_nodes_ends_no_other) {
  nodes all({.nodes = 4, .settings = "", .more = "", .tls = true});
  all.require_agreement();
  BOOST_REQUIRE(all.all_connected());
  constexpr std::size_t victim = 3;
  const long before = losses(all, victim);
  // Somebody looks whether a port is open, and goes.
  for (int i = 0; i < 20; ++i)
    for (std::size_t node = 0; node < victim; ++node) {
      const std::string& address = all.address(node);
      wire_client(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)))).close();
    }
  all[victim].stop(SIGKILL);
  for (std::size_t i = 0; i < victim; ++i)
    BOOST_TEST(all.agree(i, "n0,n1,n2"));
  BOOST_TEST(losses(all, victim) == before, all[0].log() + all[1].log() + all[2].log());
}

BOOST_AUTO_TEST_CASE(nodes_speak_tls_and_one_with_another_authority_is_refused_on_both_sides) {
  cluster_options options;
  options.tls = true;
  options.nodes = 2;
  nodes all(options);
  for (std::size_t i = 0; i < 2; ++i)
    BOOST_REQUIRE(all.agree(i, "n0,n1"));
  for (std::size_t i = 0; i < 2; ++i) {
    BOOST_TEST(all[i].wait_for_log("event=node_connected"));
    BOOST_TEST(pq(all[i].conninfo()).value("select 1") == "1");
  }
  // The right name in the same store, a certificate of somebody else's authority.
  all.add().stop();
  const certificate_authority other("another authority");
  all.certify("forged", other);
  pg_edge_process forger(all.toml(2, "forged"));
  BOOST_TEST(forger.wait_for_log("event=node_refused", milliseconds(30000)), forger.log());
  BOOST_TEST(all[0].wait_for_log("event=node_refused", milliseconds(30000)), all[0].log());
}

BOOST_AUTO_TEST_CASE(a_node_of_another_cluster_is_refused_on_both_sides) {
  nodes all({.nodes = 2, .settings = "", .more = "failure_timeout = 8\n"});
  for (std::size_t i = 0; i < 2; ++i)
    BOOST_REQUIRE(all.agree(i, "n0,n1"));
  all[1].stop(SIGKILL);
  // At the address of a node that the others still know.
  std::string toml = all.toml(1);
  const std::string name = "name = \"" + all.name() + "\"";
  toml.replace(toml.find(name), name.size(), "name = \"other\"");
  pg_edge_process stranger(toml);
  const std::string why = "set the same [cluster] name";
  BOOST_TEST(wait_for([&] { return stranger.log_contains(why) && all[0].log_contains(why); }, milliseconds(20000)),
             all[0].log() + stranger.log());
}

BOOST_AUTO_TEST_SUITE_END()
