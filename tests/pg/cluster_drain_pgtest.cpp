// A node of a cluster is drained under load: no transaction fails, the pool's size holds, and the others have what it
// held at once, without looking for it in Postgres.
#include "tests/pg/cluster_support.hpp"

using namespace pg_edge::test;

namespace {

std::string state_of(const nodes& all, std::size_t asked, const std::string& name) {
  const answer got = ask(all.api(asked), "GET", "/v1/nodes?name=" + name + "&sort=-epoch");
  for (const auto& one : got.value().value("items", nlohmann::json::array()))
    return one.value("state", "");
  return "";
}

void drain_each(int size) {
  nodes all(drained_nodes(size));
  all.require_agreement();
  const backend_watcher watcher(postgres::shared(), "trust_user");
  roaming_clients clients(all.conninfos(), std::vector<long>(9, 0));
  BOOST_REQUIRE_MESSAGE(clients.progress(100), clients.wrong());
  for (std::size_t victim = 0; victim < 3; ++victim) { // one of them is the pool's steward, and its home
    const std::size_t asked = (victim + 1) % 3;        // any node can be asked
    all.drain(victim);
    for (std::size_t i = 0; i < 3; ++i)
      if (i != victim) {
        BOOST_TEST(all.agree(i, all.names({victim})));
        BOOST_TEST(!all[i].log_contains("event=permits_awaited"));
        BOOST_TEST(!all[i].log_contains("event=permits_recovered")); // nobody had to look for anything
      }
    BOOST_TEST(state_of(all, asked, "n" + std::to_string(victim)) == "left");
    BOOST_TEST(clients.progress(100), clients.wrong());
    all[victim].start();
    all.require_agreement();
    BOOST_TEST(clients.progress(100), clients.wrong());
  }
  clients.expect_no_loss(watcher, size);
}

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_drain_pgtest)

BOOST_AUTO_TEST_CASE(each_node_in_turn_with_a_small_pool) {
  drain_each(2);
}

BOOST_AUTO_TEST_CASE(each_node_in_turn_with_a_pool_that_is_everywhere) {
  drain_each(12);
}

BOOST_AUTO_TEST_CASE(sigterm_hands_over_too_and_the_pool_is_whole_at_once) {
  nodes all({.nodes = 3, .settings = "", .more = "failure_timeout = 30\n", .tls = false, .links = true});
  all.require_agreement();
  for (std::size_t i = 0; i < 3; ++i)
    BOOST_TEST(pq(all[i].conninfo()).value("select 1") == "1");
  BOOST_TEST(all[1].stop(SIGTERM) == 0);
  // Far sooner than its lease would have ended.
  for (const std::size_t i : {0U, 2U})
    BOOST_TEST(all.agree(i, "n0,n2", milliseconds(10000)));
  std::vector<std::unique_ptr<pq>> open;
  for (int i = 0; i < pool_size; ++i) {
    open.push_back(std::make_unique<pq>(all[i % 2 == 0 ? 0 : 2].conninfo()));
    open.back()->exec("begin");
  }
  BOOST_TEST(postgres::shared().backends("trust_user") == pool_size);
}

BOOST_AUTO_TEST_CASE(a_long_transaction_on_the_node_that_drains_holds_up_only_itself) {
  nodes all(drained_nodes(2));
  all.require_agreement();
  const backend_watcher watcher(postgres::shared(), "trust_user");
  BOOST_TEST(pq(all[0].conninfo()).value("select 1") == "1");
  std::size_t home = 0; // where the pool lives
  while (home < 2 && pq(all[home].conninfo("trust_user", "pgbouncer")).exec("show servers").rows() == 0)
    ++home;
  const std::size_t elsewhere = (home + 1) % 3;
  pq slow(all[home].conninfo());
  slow.exec("begin");
  busy_clients clients; // relayed to the node that drains, at first
  clients.start(all[elsewhere], 3);
  BOOST_REQUIRE(clients.progress(50));
  BOOST_TEST(ctl(all, elsewhere, {"node", "drain", "n" + std::to_string(home), "--wait", "0"}).status == 0);
  BOOST_TEST(wait_for([&] { return state_of(all, elsewhere, "n" + std::to_string(home)) == "draining"; }));
  BOOST_TEST(clients.progress(300), clients.last_error());
  BOOST_TEST(all[home].running());
  BOOST_TEST(slow.value("select 'its transaction goes on'") == "its transaction goes on");
  slow.exec("commit");
  BOOST_TEST((all[home].wait() == 0));
  BOOST_TEST(clients.progress(100), clients.last_error());
  clients.stop();
  BOOST_TEST(clients.errors() == 0, clients.last_error());
  BOOST_TEST(watcher.max() <= 2);
}

BOOST_AUTO_TEST_CASE(a_node_of_a_cluster_is_not_taken_over_and_goes_on) {
  nodes all(
      {.nodes = 1, .settings = "takeover_socket = \"{dir}/takeover.sock\"\n", .more = "", .tls = false, .links = true});
  BOOST_REQUIRE(all.agree(0, "n0"));
  pq client(all[0].conninfo());
  BOOST_TEST(client.value("select 1") == "1");
  const run_result tried = run({pg_edge_process::binary(), "--config", all[0].config_file(), "--takeover"});
  BOOST_TEST(tried.status == 1);
  BOOST_TEST((tried.out + tried.err).find("node drain n0") != std::string::npos, tried.out + tried.err);
  BOOST_TEST(client.value("select 2") == "2");
  BOOST_TEST(!all[0].log_contains("event=node_fenced"));
}

BOOST_AUTO_TEST_CASE(readiness_gives_notice_while_clients_are_still_let_in) {
  nodes all({.nodes = 2, .settings = "", .more = "", .tls = false, .links = true, .api = true});
  all.require_agreement();
  BOOST_TEST(ask(all.api(0), "GET", "/readyz").status == 200);
  BOOST_TEST(ask(all.api(0), "POST", "/v1/nodes/n7/drain").status == 404);
  BOOST_TEST(ask(all.api(0), "POST", "/v1/nodes/n0/drain", R"({"notice": -1})").field() == "notice");
  BOOST_TEST(ask(all.api(0), "POST", "/v1/nodes/n0/drain", R"({"notice": 3600})").status == 202);
  BOOST_TEST(wait_for([&] { return ask(all.api(0), "GET", "/readyz").status == 503; }));
  BOOST_TEST(ask(all.api(0), "GET", "/readyz").body.find("draining") != std::string::npos);
  BOOST_TEST(wait_for([&] { return state_of(all, 1, "n0") == "draining"; }));
  BOOST_TEST(pq(all[0].conninfo()).value("select 1") == "1");
  // A second word means now.
  BOOST_TEST(ctl(all, 0, {"node", "drain", "n0"}).status == 0);
  BOOST_TEST((all[0].wait() == 0));
  BOOST_TEST(all.agree(1, "n1"));
  BOOST_TEST(pq(all[1].conninfo()).value("select 1") == "1");
  const answer audit = ask(all.api(1), "GET", "/v1/audit");
  BOOST_TEST(audit.body.find("SHUTDOWN, wait for servers") != std::string::npos, audit.body);
  const answer metrics = ask(all.api(1), "GET", "/metrics");
  BOOST_TEST(metrics.body.find("pg_edge_cluster_nodes{state=\"left\"} 1") != std::string::npos, metrics.body);
  BOOST_TEST(metrics.body.find("pg_edge_cluster_nodes{state=\"member\"} 1") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
