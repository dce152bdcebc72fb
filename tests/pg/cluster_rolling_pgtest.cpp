// A rolling restart of all nodes of a cluster, under load, behind HAProxy: no transaction fails, and the pool's size
// holds throughout.
#include "tests/pg/cluster_support.hpp"

using namespace pg_edge::test;

namespace {

/// Debian's HAProxy in front of three nodes: it asks /readyz of each, as docs/operations.md advises.
class balancer {
public:
  explicit balancer(nodes& all) {
    std::string text = "global\n  maxconn 2000\n"
                       "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 5m\n  timeout server 5m\n"
                       "  retries 3\n  option redispatch\n"
                       "frontend postgres\n  bind 127.0.0.1:" +
                       std::to_string(port_) +
                       "\n  default_backend nodes\n"
                       "backend nodes\n  balance leastconn\n  option httpchk GET /readyz\n"
                       "  http-check expect status 200\n  default-server inter 200ms fall 1 rise 1\n";
    for (std::size_t i = 0; i < all.size(); ++i)
      text += "  server n" + std::to_string(i) + " 127.0.0.1:" + std::to_string(all[i].port()) + " check port " +
              std::to_string(all.api(i)) + "\n";
    write_file(folder_ / "haproxy.cfg", text);
    process_options options;
    options.stderr_file = options.stdout_file = folder_ / "log";
    process_ = process({"/usr/sbin/haproxy", "-db", "-f", folder_ / "haproxy.cfg"}, options);
    if (!wait_for([&] { return pq::attempt(conninfo(all)).ok(); }, milliseconds(20000)))
      throw test_failure("haproxy does not serve: " + read_file(folder_ / "log"));
  }
  std::string conninfo(nodes& all) const { return all[0].conninfo() + " port=" + std::to_string(port_); }
  bool running() { return process_.running(); }

private:
  temp_dir folder_;
  std::uint16_t port_ = free_port();
  process process_;
};

void roll(int size) {
  nodes all(drained_nodes(size));
  all.require_agreement();
  balancer front(all);
  const backend_watcher watcher(postgres::shared(), "trust_user");
  // Some stay connected until they are told to go, some make a connection for each transaction or every few.
  roaming_clients clients({front.conninfo(all)}, {0, 0, 0, 0, 0, 0, 1, 1, 3, 3});
  BOOST_REQUIRE_MESSAGE(clients.progress(100), clients.wrong());
  for (std::size_t victim = 0; victim < 3; ++victim) {
    all.drain(victim, {"--notice", "2"});
    BOOST_TEST(clients.progress(100), clients.wrong());
    all[victim].start();
    all.require_agreement();
    BOOST_TEST(wait_for([&] { return ask(all.api(victim), "GET", "/readyz").status == 200; }));
    BOOST_TEST(clients.progress(100), clients.wrong());
  }
  clients.expect_no_loss(watcher, size);
  BOOST_TEST(front.running());
  BOOST_TEST(watcher.samples() > 100);
}

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_rolling_pgtest)

BOOST_AUTO_TEST_CASE(B162_all_nodes_are_restarted_behind_haproxy_with_a_small_pool) {
  roll(3);
}

BOOST_AUTO_TEST_CASE(B162_all_nodes_are_restarted_behind_haproxy_with_a_pool_that_is_everywhere) {
  roll(12);
}

BOOST_AUTO_TEST_SUITE_END()
