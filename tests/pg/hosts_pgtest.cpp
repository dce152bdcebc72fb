// Databases on several hosts: balance, a host that is down, comes back, freezes or swallows connections.
#include "tests/pg/hosts_support.hpp"

using namespace pg_edge::test;

namespace {

struct both_run { // whatever a test does, the next one finds both running
  two_servers& both = two_servers::get();
  const std::string hosts = both.first_address + "," + both.second_address;
  ~both_run() {
    both.first.thaw();
    both.first.start();
  }
};

/// Connections to it neither succeed nor fail: its backlog is full.
class black_hole {
public:
  explicit black_hole(std::uint16_t port) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    ::inet_pton(AF_INET, this->address().c_str(), &address.sin_addr);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener_, 0) != 0)
      throw test_failure("no black hole");
    for (int i = 0; i < 8; ++i) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
      fillers_.push_back(fd);
    }
  }
  ~black_hole() {
    for (const int fd : fillers_)
      ::close(fd);
    ::close(listener_);
  }
  std::string address() const { return "127.0.0.14"; }

private:
  int listener_ = -1;
  std::vector<int> fillers_;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(hosts_pgtest, both_run)

BOOST_AUTO_TEST_CASE(B175_servers_are_spread_evenly) {
  for (const char* reactors : {"1", "2"}) {
    pg_edge_process node(hosts_toml(hosts, std::string("default_pool_size = 8\nreactors = ") + reactors + "\n"));
    BOOST_TEST((spread(node, 8) == std::map<std::string, int>{{both.first_address, 4}, {both.second_address, 4}}));
  }
}

BOOST_AUTO_TEST_CASE(B175_without_balance_the_first_that_works_gets_all) {
  const std::string settings = "load_balance_hosts = \"disable\"\ndefault_pool_size = 4\n";
  pg_edge_process node(hosts_toml(hosts, settings));
  BOOST_TEST((spread(node, 4) == std::map<std::string, int>{{both.first_address, 4}}));
  pg_edge_process refused(hosts_toml(nobody_address + "," + both.second_address, settings));
  BOOST_TEST((spread(refused, 4) == std::map<std::string, int>{{both.second_address, 4}}));
  BOOST_TEST(refused.log_contains("event=host_avoided"));
}

BOOST_AUTO_TEST_CASE(B175_a_host_goes_and_comes_back) {
  pg_edge_process node(hosts_toml(hosts, "default_pool_size = 4\nserver_lifetime = 2\nserver_login_retry = 1\n"));
  crowd_of_clients load(node, 6);
  const auto serves = [&](const std::string& address) {
    const int before = load.answers_of(address);
    return wait_for([&] { return load.answers_of(address) > before + 100; }, milliseconds(60000));
  };
  BOOST_TEST(serves(both.first_address));
  BOOST_TEST(serves(both.second_address));
  both.first.stop(postgres::shutdown::immediate);
  BOOST_TEST(serves(both.second_address));
  const int errors = load.errors();
  BOOST_TEST(errors <= 6); // at most what was running there
  BOOST_TEST(serves(both.second_address));
  BOOST_TEST(load.errors() == errors);
  BOOST_TEST(node.wait_for_log("event=host_avoided", milliseconds(30000)));
  both.first.start();
  BOOST_TEST(serves(both.first_address)); // its part comes back as servers reach their lifetime
  BOOST_TEST(node.wait_for_log("event=host_works_again", milliseconds(30000)));
  BOOST_TEST(serves(both.second_address));
  load.stop();
  BOOST_TEST(load.errors() == errors);
}

BOOST_AUTO_TEST_CASE(B174_a_host_that_freezes_costs_what_runs_there) {
  pg_edge_process node(hosts_toml(hosts, "load_balance_hosts = \"disable\"\nserver_connect_timeout = 4\n"
                                         "default_pool_size = 4\n"));
  both.first.freeze();
  pq client(node.conninfo());
  BOOST_TEST(where(client) == both.second_address);
  BOOST_TEST(node.log_contains("no answer within its part of server_connect_timeout"));
  both.first.thaw();
}

BOOST_AUTO_TEST_CASE(B174_a_black_hole_takes_its_part_of_the_time_only) {
  const black_hole hole(both.first.port());
  dns_server dns;
  dns.set("holes.test", {hole.address(), both.second_address}, 60);
  for (const std::string& name : {hole.address() + "," + both.second_address, std::string("holes.test")})
    for (const char* balance : {"disable", "round-robin"}) {
      pg_edge_process node(
          hosts_toml(name, std::string("load_balance_hosts = \"") + balance +
                               "\"\nserver_connect_timeout = 6\ndefault_pool_size = 4\nresolv_conf = \"" +
                               dns.resolv_conf() + "\"\n"));
      std::vector<std::thread> clients;
      std::atomic<int> good = 0;
      for (int i = 0; i < 4; ++i)
        clients.emplace_back([&] {
          pq client(node.conninfo());
          client.exec("begin");
          good += where(client) == both.second_address;
          std::this_thread::sleep_for(milliseconds(100));
        });
      for (auto& one : clients)
        one.join();
      BOOST_TEST(good == 4);
    }
}

BOOST_AUTO_TEST_CASE(B175_a_host_that_does_not_take_logins_is_passed_over) {
  // Postgres says 57P03 while it shuts down and waits for its clients.
  auto holds = std::make_unique<pq>(both.first.admin());
  ::kill(std::stoi(read_file(both.first.data_dir() + "/postmaster.pid")), SIGTERM);
  BOOST_TEST(wait_for([&] {
    try {
      both.first.admin();
      return false;
    } catch (const pq_error&) {
      return true;
    }
  }));
  pg_edge_process node(hosts_toml(hosts, "load_balance_hosts = \"disable\"\n"));
  pq client(node.conninfo());
  BOOST_TEST(where(client) == both.second_address);
  holds.reset();
  BOOST_TEST(wait_for([&] { return !both.first.running(); }));
}

BOOST_AUTO_TEST_CASE(B175_when_no_host_works_the_error_says_so) {
  pg_edge_process node(hosts_toml(nobody_address + ",127.0.0.98", "query_wait_timeout = 2\n"));
  pq client = pq::attempt(node.conninfo());
  BOOST_TEST(!client.ok());
  BOOST_TEST(wait_for([&] { return node.log_contains("127.0.0.98:") && node.log_contains(nobody_address + ":"); }));
}

BOOST_AUTO_TEST_SUITE_END()
