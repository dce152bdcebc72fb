// A small pool of a cluster lives on one node, and clients of the others are relayed there: no permit travels. When
// that node is lost its clients elsewhere go on at the pool's next home.
#include "tests/pg/cluster_support.hpp"
#include "tests/support/wire_client.hpp"

#include <array>

using namespace pg_edge::test;

namespace {

constexpr int small = 2;

int servers_of(const pg_edge_process& node) {
  return pq(node.conninfo("trust_user", "pgbouncer")).exec("show servers").rows();
}

/// Connections to Postgres that this node has ever made.
int logins_of(const pg_edge_process& node) {
  const std::string log = node.log();
  int result = 0;
  for (std::size_t at = log.find("event=server_connected"); at != std::string::npos;
       at = log.find("event=server_connected", at + 1))
    ++result;
  return result;
}

struct small_pool {
  nodes all{
      {.nodes = 3, .settings = "query_wait_timeout = 60\n", .more = "", .tls = true, .links = true, .size = small}};

  small_pool() { all.require_agreement(); }
  /// The node that has servers, once somebody has used the pool.
  std::size_t home() {
    for (std::size_t i = 0; i < 3; ++i)
      if (all[i].running() && servers_of(all[i]) > 0) return i;
    throw test_failure("no node has a server");
  }
};

/// Transactions with a prepared statement until told to stop; what is lost with a server must be said to be so.
class relayed_clients {
public:
  void start(const pg_edge_process& node, int count) {
    for (int i = 0; i < count; ++i)
      threads_.emplace_back([this, conninfo = node.conninfo()] { work(conninfo); });
  }
  ~relayed_clients() { stop(); }
  void stop() {
    stopping_ = true;
    for (std::thread& one : threads_)
      one.join();
    threads_.clear();
  }
  bool progress(long more) const {
    const long from = done;
    return wait_for([&] { return done >= from + more; }, milliseconds(40000));
  }
  std::string wrong() const {
    const std::lock_guard guard(mutex_);
    return wrong_;
  }
  std::atomic<long> done = 0, lost = 0; // lost: 08006, outcome unknown

private:
  void work(const std::string& conninfo) {
    while (!stopping_) {
      pq client = pq::attempt(conninfo);
      if (!client.ok()) return note("login: " + client.message());
      const pq_result prepared = client.try_prepare("twice", "select $1::int * 2");
      while (!stopping_) {
        const pq_result begun = prepared.ok() ? client.try_exec("begin") : prepared;
        const pq_result answer = begun.ok() ? client.try_exec_prepared("twice", {"21"}) : begun;
        const pq_result ended = answer.ok() ? client.try_exec("commit") : answer;
        if (ended.ok()) {
          if (answer.value() != "42") return note("wrong answer " + answer.value());
          ++done;
          continue;
        }
        // What comes straight behind an answer, as when the home goes between two statements of a transaction, libpq
        // takes for a notice; the SQLSTATE is dropped.
        const std::string why = ended.message() + client.last_words();
        if (why.find("whether it took effect is unknown") == std::string::npos)
          return note(ended.sqlstate() + " " + why);
        ++lost;
        break;
      }
    }
  }
  void note(const std::string& what) {
    const std::lock_guard guard(mutex_);
    wrong_ += what + "\n";
  }

  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::string wrong_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_relay_pgtest)

BOOST_AUTO_TEST_CASE(B163_a_small_pool_lives_on_one_node_and_serves_the_clients_of_all) {
  small_pool pool;
  nodes& all = pool.all;
  const backend_watcher watcher(postgres::shared(), "trust_user");
  relayed_clients clients;
  for (std::size_t i = 0; i < 3; ++i)
    clients.start(all[i], 4);
  BOOST_TEST(clients.progress(500), clients.wrong());
  const std::size_t home = pool.home();
  for (std::size_t i = 0; i < 3; ++i) {
    BOOST_TEST((logins_of(all[i]) > 0) == (i == home));
    BOOST_TEST(pq(all[i].conninfo()).value("select 1") == "1");
  }
  BOOST_TEST(logins_of(all[home]) <= small); // nothing was closed to be opened elsewhere
  BOOST_TEST(wait_for([&] { return watcher.samples() > 20; }));
  clients.stop();
  BOOST_TEST(clients.wrong() == "");
  BOOST_TEST(clients.lost == 0);
  BOOST_TEST(watcher.max() <= small);
}

BOOST_AUTO_TEST_CASE(B119_a_cancel_through_any_node_finds_a_relayed_query) {
  small_pool pool;
  nodes& all = pool.all;
  BOOST_TEST(pq(all[0].conninfo()).value("select 1") == "1");
  const std::size_t home = pool.home(), elsewhere = (home + 1) % 3;
  for (std::size_t by = 0; by < 3; ++by) {
    wire_client client(all[elsewhere].port());
    client.login("trust_user", "app");
    client.send(query_bytes("select pg_sleep(60)"));
    BOOST_TEST(wait_for([] {
      return postgres::shared().query("select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and "
                                      "state = 'active' and pid <> pg_backend_pid()") == "1";
    }));
    // A link that is being made may not carry the first request yet, as one may be lost on the way to any server.
    BOOST_TEST(wait_for(
        [&] {
          send_cancel(all[by].port(), client.backend_pid(), client.secret());
          return wait_for(
              [] {
                return postgres::shared().query(
                           "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' "
                           "and state = 'active' and pid <> pg_backend_pid()") == "0";
              },
              milliseconds(2000));
        },
        milliseconds(30000)));
    wire_message answer = client.read_message(milliseconds(20000));
    while (answer.type == 'T')
      answer = client.read_message(milliseconds(20000));
    BOOST_TEST(answer.type == 'E');
    while (client.read_message().type != 'Z') {
    }
    BOOST_TEST(client.value("select 'goes on'") == "goes on");
  }
}

/// The home is lost by `lose`, the clients of the others go on, and when it is there again by `revive` the pool goes
/// home.
void lose_home(const std::function<void(pg_edge_process&)>& lose, const std::function<void(pg_edge_process&)>& revive) {
  small_pool pool;
  nodes& all = pool.all;
  BOOST_TEST(pq(all[0].conninfo()).value("select 1") == "1");
  const std::size_t home = pool.home();
  const backend_watcher watcher(postgres::shared(), "trust_user");
  pq idle(all[(home + 1) % 3].conninfo());
  idle.exec("set time zone 'Asia/Tokyo'");
  idle.prepare("kept", "select $1::int * 2");
  relayed_clients clients;
  for (std::size_t i = 0; i < 3; ++i)
    if (i != home) clients.start(all[i], 3);
  BOOST_REQUIRE(clients.progress(100));
  BOOST_REQUIRE(all.all_connected());
  lose(all[home]);
  for (std::size_t i = 0; i < 3; ++i)
    if (i != home) BOOST_TEST(all.agree(i, all.names({home})));
  BOOST_TEST(clients.progress(300), clients.wrong());
  BOOST_TEST(idle.value("show time zone") == "Asia/Tokyo");
  BOOST_TEST(idle.exec_prepared("kept", {"4"}).value() == "8");
  // One of these is connected where the pool lives now.
  relayed_clients later;
  for (std::size_t i = 0; i < 3; ++i)
    if (i != home) later.start(all[i], 2);
  BOOST_TEST(later.progress(100), later.wrong());
  // It comes back, and the pool goes home: its clients follow, wherever they are.
  const int logins = logins_of(all[home]);
  revive(all[home]);
  for (std::size_t i = 0; i < 3; ++i)
    BOOST_TEST(all.agree(i, "n0,n1,n2"));
  BOOST_TEST(wait_for([&] { return logins_of(all[home]) != logins; }, milliseconds(20000)));
  BOOST_TEST(clients.progress(300), clients.wrong());
  BOOST_TEST(idle.exec_prepared("kept", {"5"}).value() == "10");
  for (std::size_t i = 0; i < 3; ++i)
    if (i != home) BOOST_TEST(wait_for([&] { return servers_of(all[i]) == 0; }, milliseconds(20000)));
  std::array<int, 3> before{};
  for (std::size_t i = 0; i < 3; ++i)
    before[i] = logins_of(all[i]);
  BOOST_TEST(later.progress(300), later.wrong());
  for (std::size_t i = 0; i < 3; ++i)
    BOOST_TEST(logins_of(all[i]) == before[i]); // no permit travels
  later.stop();
  BOOST_TEST(later.wrong() == "");
  BOOST_TEST(later.lost == 0);
  clients.stop();
  BOOST_TEST(clients.wrong() == "");
  BOOST_TEST(clients.lost <= 6); // each client once at most: those with something under way
  BOOST_TEST(watcher.max() <= small);
}

BOOST_AUTO_TEST_CASE(B166_the_home_of_a_small_pool_is_killed_and_clients_elsewhere_go_on) {
  lose_home(
      [](pg_edge_process& home) {
        home.signal(SIGKILL);
        BOOST_TEST(home.wait().has_value());
      },
      [](pg_edge_process& home) { home.start(); });
}

BOOST_AUTO_TEST_CASE(B166_the_home_of_a_small_pool_stands_still_and_clients_elsewhere_go_on) {
  lose_home([](pg_edge_process& home) { home.signal(SIGSTOP); },
            [](pg_edge_process& home) {
              home.signal(SIGCONT);
              BOOST_TEST(home.wait_for_log("event=node_fenced", milliseconds(30000)), home.log());
            });
}

BOOST_AUTO_TEST_CASE(a_pool_with_enough_permits_is_served_where_its_clients_are) {
  nodes all({.nodes = 3, .settings = "", .more = "", .tls = false, .links = true, .size = 12});
  all.require_agreement();
  busy_clients clients;
  for (std::size_t i = 0; i < 3; ++i)
    clients.start(all[i], 2);
  BOOST_TEST(clients.progress(300));
  for (std::size_t i = 0; i < 3; ++i)
    BOOST_TEST(servers_of(all[i]) > 0);
  clients.stop();
  BOOST_TEST(clients.errors() == 0, clients.last_error());
}

BOOST_AUTO_TEST_SUITE_END()
