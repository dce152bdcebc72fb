// Behaviours 136 to 141: how many servers there may be, who waits for one and who gets it. pg_stat_activity is the
// judge: tests use the database "other", in which nobody else has a backend.
#include "tests/pg/edges_support.hpp"

#include <array>
#include <csignal>
#include <fstream>
#include <set>

using namespace pg_edge::test;
using std::chrono::steady_clock;

namespace {

void pause_for(int ms) {
  std::this_thread::sleep_for(milliseconds(ms));
}

wire_client log_in_to(const pg_edge_process& node, const std::string& database, const std::string& user) {
  wire_client client(node.port());
  client.login(user, database);
  return client;
}

std::string pid_of(wire_client& client) {
  return client.value("select pg_backend_pid()");
}

int backends(const std::string& user = "") {
  return postgres::shared().backends(user, "other");
}

bool waits_for_backends(int count, milliseconds limit = milliseconds(6000)) {
  return wait_for([&] { return backends() == count; }, limit);
}

/// Databases a, b and c, all of them the database "other" of Postgres.
std::string three_databases(const std::string& more = "") {
  std::string toml;
  for (const char* name : {"a", "b", "c"})
    toml += std::string("[databases.") + name +
            "]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"other\"\n" + more + "\n";
  return toml;
}

/// A client that asks one short thing after the other on a thread of its own, and counts the answers.
class busy_client {
public:
  busy_client(const pg_edge_process& node, const std::string& database, const std::string& user,
              std::string sql = "select pg_sleep(0.004)")
      : client_(log_in_to(node, database, user)), thread_([this, sql = std::move(sql)] { run(sql); }) {}
  ~busy_client() { stop(); }
  busy_client(const busy_client&) = delete;
  busy_client& operator=(const busy_client&) = delete;
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  int done() const { return done_; }
  bool failed() const { return failed_; }

private:
  void run(const std::string& sql) {
    try {
      while (!stopping_) {
        client_.value(sql);
        ++done_;
      }
    } catch (const std::exception&) {
      failed_ = true;
    }
  }

  std::atomic<bool> stopping_ = false, failed_ = false;
  std::atomic<int> done_ = 0;
  wire_client client_;
  std::thread thread_;
};

using crowd = std::list<busy_client>;

bool one_failed(const crowd& clients) {
  return std::any_of(clients.begin(), clients.end(), [](const busy_client& one) { return one.failed(); });
}

int done_by(const crowd& clients) {
  int sum = 0;
  for (const busy_client& one : clients)
    sum += one.done();
  return sum;
}

/// Runs the body with a node that pools transactions, on one reactor and on two; no server may be left afterwards.
template <class F>
void on_one_and_two_reactors(const std::string& settings, const std::string& tables, F body) {
  for (const int reactors : {1, 2}) {
    BOOST_TEST_CONTEXT("reactors " << reactors) {
      pg_edge_process node(set_up_toml({"transaction", reactors}, settings, tables));
      body(node);
    }
    BOOST_TEST(waits_for_backends(0));
  }
}

struct node_before {
  node_before() { BOOST_TEST(waits_for_backends(0)); }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(limits_pgtest, node_before)

// -- the pool's size
// -----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B136_never_more_servers_than_the_limits_of_pool_user_database_and_tenant) {
  for (const int reactors : {1, 2}) {
    BOOST_TEST_CONTEXT("reactors " << reactors) {
      // The database of Postgres is the sum of a, b and c: only the tenant's limit is seen there.
      pg_edge_process node(set_up_toml({"transaction", reactors},
                                       "default_pool_size = 3\nmax_tenant_connections = 5\nmax_user_connections = 3\n",
                                       three_databases("max_db_connections = 2\n")));
      backend_watcher all(postgres::shared(), "", "other"), first(postgres::shared(), "trust_user", "other"),
          second(postgres::shared(), "replication_user", "other");
      crowd clients;
      std::vector<const busy_client*> each;
      for (const char* database : {"a", "b", "c"})
        for (const char* user : {"trust_user", "replication_user", "md5_user"})
          for (int i = 0; i < 2; ++i)
            each.push_back(&clients.emplace_back(node, database, user));
      std::vector<int> before;
      pause_for(1500);
      for (const busy_client* one : each)
        before.push_back(one->done());
      pause_for(2000);
      // With a sanitizer each server's login takes so long that a round among nine pools does not fit.
      const milliseconds patience(std::getenv("PG_EDGE_SANITIZED") == nullptr ? 0 : 20000);
      for (std::size_t i = 0; i < each.size(); ++i) // nobody starves
        BOOST_TEST(wait_for([&] { return each[i]->done() > before[i]; }, patience), "client " << i);
      for (busy_client& one : clients)
        one.stop();
      BOOST_TEST(!one_failed(clients));
      BOOST_TEST(all.samples() > 100);
      BOOST_TEST(all.max() == 5);
      BOOST_TEST(first.max() <= 3);
      BOOST_TEST(second.max() <= 3);
    }
    BOOST_TEST(waits_for_backends(0));
  }
}

BOOST_AUTO_TEST_CASE(B136_one_database_never_has_more_than_max_db_connections) {
  on_one_and_two_reactors("default_pool_size = 4\nmax_db_connections = 3\n", "", [](pg_edge_process& node) {
    backend_watcher all(postgres::shared(), "", "other");
    crowd clients;
    for (const char* user : {"trust_user", "replication_user", "md5_user", "scram_user"})
      for (int i = 0; i < 3; ++i)
        clients.emplace_back(node, "other", user);
    pause_for(1500);
    for (busy_client& one : clients) {
      one.stop();
      BOOST_TEST(one.done() > 0);
    }
    BOOST_TEST(!one_failed(clients));
    BOOST_TEST(all.max() == 3);
  });
}

BOOST_AUTO_TEST_CASE(B136_limits_that_are_lowered_or_raised_by_a_reload_hold_at_once) {
  for (const int reactors : {1, 2}) {
    BOOST_TEST_CONTEXT("reactors " << reactors) {
      const auto toml = [&](int size, int most) {
        return set_up_toml({"transaction", reactors}, "default_pool_size = " + std::to_string(size) +
                                                          "\nmax_db_connections = " + std::to_string(most) + "\n");
      };
      pg_edge_process node(toml(4, 0));
      const auto reload = [&](int size, int most, int times) {
        node.rewrite_config(toml(size, most));
        node.signal(SIGHUP);
        BOOST_TEST(wait_for([&] {
          const std::string log = node.log();
          int found = 0;
          for (auto at = log.find("settings_reloaded"); at != std::string::npos;
               at = log.find("settings_reloaded", at + 1))
            ++found;
          return found >= times;
        }));
      };
      crowd clients;
      for (const char* user : {"trust_user", "replication_user"})
        for (int i = 0; i < 6; ++i)
          clients.emplace_back(node, "other", user);
      BOOST_TEST(waits_for_backends(8));
      reload(4, 3, 1);
      BOOST_TEST(wait_for([] { return backends() <= 3; }));
      {
        backend_watcher all(postgres::shared(), "", "other");
        pause_for(700);
        BOOST_TEST(all.max() == 3);
      }
      reload(1, 0, 2);
      // Each pool by itself: one that had three may still have two when the other, which had none, has opened its own.
      BOOST_TEST(wait_for([] { return backends("trust_user") <= 1 && backends("replication_user") <= 1; }));
      {
        backend_watcher all(postgres::shared(), "", "other");
        pause_for(500);
        BOOST_TEST(all.max() == 2);
      }
      reload(4, 0, 3);
      BOOST_TEST(waits_for_backends(8));
      const int before = done_by(clients);
      pause_for(300);
      BOOST_TEST(done_by(clients) > before);
      BOOST_TEST(!one_failed(clients));
    }
    BOOST_TEST(waits_for_backends(0));
  }
}

// -- over several pools
// ---------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B137_the_longest_idle_server_of_another_pool_makes_room) {
  on_one_and_two_reactors("max_db_connections = 2\n", "", [](pg_edge_process& node) {
    backend_watcher all(postgres::shared(), "", "other");
    wire_client old = log_in_to(node, "other", "trust_user");
    BOOST_TEST(old.value("select 1") == "1");
    pause_for(300);
    wire_client young = log_in_to(node, "other", "replication_user");
    const std::string kept = pid_of(young);
    BOOST_TEST(backends() == 2);
    wire_client third(node.port());
    const milliseconds taken = time_of([&] {
      third.login("md5_user", "other");
      BOOST_TEST(third.value("select 1") == "1");
    });
    BOOST_TEST(taken.count() < 2000);
    BOOST_TEST(backends("trust_user") == 0);
    BOOST_TEST(backends("replication_user") == 1);
    BOOST_TEST(pid_of(young) == kept);
    BOOST_TEST(old.value("select 2") == "2"); // and back
    BOOST_TEST(all.max() == 2);
    BOOST_TEST(node.wait_for_log("another pool waits for it"));
  });
}

BOOST_AUTO_TEST_CASE(B137_a_busy_pool_gives_a_server_up_when_another_has_waited) {
  on_one_and_two_reactors("default_pool_size = 4\nmax_db_connections = 2\n", "", [](pg_edge_process& node) {
    backend_watcher all(postgres::shared(), "", "other");
    crowd busy;
    for (int i = 0; i < 8; ++i)
      busy.emplace_back(node, "other", "trust_user");
    pause_for(500); // its servers are reused and never idle
    milliseconds longest{0};
    for (const char* user : {"replication_user", "md5_user", "scram_user"}) {
      longest = std::max(longest, time_of([&] {
                           wire_client poor = log_in_to(node, "other", user);
                           BOOST_TEST(poor.value("select 1") == "1");
                           poor.close();
                         }));
    }
    BOOST_TEST(longest.count() < 3000);
    const int before = done_by(busy);
    pause_for(500);
    BOOST_TEST(done_by(busy) > before);
    BOOST_TEST(!one_failed(busy));
    BOOST_TEST(all.max() == 2);
  });
}

BOOST_AUTO_TEST_CASE(B137_pools_wait_in_line_for_a_user_s_only_server) {
  on_one_and_two_reactors("max_user_connections = 1\n", three_databases(), [](pg_edge_process& node) {
    backend_watcher all(postgres::shared(), "", "other");
    wire_client a = log_in_to(node, "a", "trust_user"), b = log_in_to(node, "b", "trust_user"),
                c = log_in_to(node, "c", "trust_user");
    a.query("begin", "C Z(T)");
    c.send(query_bytes("select 'c'"));
    pause_for(100);
    b.send(query_bytes("select 'b'"));
    BOOST_TEST(c.silent_for(milliseconds(400))); // in a transaction: it gives nothing up
    BOOST_TEST(b.silent_for(milliseconds(10)));
    a.query("commit", "C Z(I)");
    c.expect("T D(c) C Z(I)");
    b.expect("T D(b) C Z(I)");
    BOOST_TEST(all.max() == 1);
  });
}

BOOST_AUTO_TEST_CASE(B137_a_server_counts_until_postgres_has_closed_it) {
  pg_edge_process node(set_up_toml({"transaction", 1}, "max_db_connections = 1\n"));
  backend_watcher all(postgres::shared(), "", "other");
  for (int i = 0; i < 5; ++i) {
    wire_client rude = log_in_to(node, "other", "trust_user"), next = log_in_to(node, "other", "replication_user");
    rude.send(query_bytes("select count(*) from generate_series(1, 30000000)"));
    BOOST_TEST(wait_for([] { return backends("trust_user") == 1; }));
    next.send(query_bytes("select 1"));
    rude.close_abruptly();             // its server is to be closed, and lives until its query is cancelled
    next.expect("T D(1) C Z(I)", "N"); // a cancel may miss the query: then it waits long enough for a notice
  }
  BOOST_TEST(all.max() == 1);
}

BOOST_AUTO_TEST_CASE(B137_the_console_shows_the_limits_and_what_counts) {
  pg_edge_process node(set_up_toml(
      {"transaction", 1}, "max_db_connections = 7\nmax_user_connections = 5\nadmin_users = [\"postgres\"]\n",
      "[databases.a]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"other\"\nmax_db_connections = 3\n"
      "reserve_pool_size = 2\n"));
  wire_client one = log_in_to(node, "a", "trust_user"), two = log_in_to(node, "a", "trust_user"),
              three = log_in_to(node, "other", "trust_user");
  for (wire_client* client : {&one, &two, &three})
    client->query("begin", "C Z(T)");
  pq console(node.conninfo("postgres", "pgbouncer"));
  const auto figures = [&](const std::string& command, const std::string& name, std::vector<const char*> columns) {
    const pq_result rows = console.exec(command);
    std::string found;
    for (int row = 0; row < rows.rows(); ++row)
      for (const char* column : columns)
        if (rows.value(row, 0) == name) found += rows.value(row, PQfnumber(rows.raw(), column)) + " ";
    return found;
  };
  const std::vector<const char*> columns{"reserve_pool_size", "max_connections", "current_connections"};
  BOOST_TEST(figures("show databases", "a", columns) == "2 3 2 ");
  BOOST_TEST(figures("show databases", "other", columns) == "0 7 1 ");
  BOOST_TEST(figures("show users", "trust_user", {"max_user_connections", "current_connections"}) == "5 3 ");
}

// -- pools
// -----------------------------------------------------------------------------------------------------------------

namespace {

/// "Z(I)", or the message and the place in the hint of a refusal by max_tenant_pools.
std::string pool_outcome(wire_client& client, const std::string& user, const std::string& database) {
  const auto messages = client.try_startup({{"user", user}, {"database", database}});
  BOOST_TEST_REQUIRE(!messages.empty());
  if (messages.back().type != 'E') return summary(messages.back());
  BOOST_TEST(summary(messages.back()) == "E(53300)");
  const std::string hint = error_field(messages.back(), 'H');
  return error_field(messages.back(), 'M') + hint.substr(hint.rfind(" in "));
}

bool gets_in(const pg_edge_process& node, const std::string& user, const std::string& database) {
  wire_client client(node.port());
  return pool_outcome(client, user, database) == "Z(I)" && client.value("select 1") == "1";
}

} // namespace

BOOST_AUTO_TEST_CASE(B142_a_tenant_has_so_many_pools_and_an_unused_one_makes_room) {
  const std::string full = "too many pools already: max_tenant_pools is 2 in [pg_edge].";
  for (const int reactors : {1, 2}) {
    BOOST_TEST_CONTEXT("reactors " << reactors) {
      const auto toml = [&](const std::string& most) {
        return set_up_toml({"transaction", reactors}, most, three_databases());
      };
      pg_edge_process node(toml("max_tenant_pools = 2\n"));
      wire_client a = log_in_to(node, "a", "trust_user"), b = log_in_to(node, "b", "trust_user");
      BOOST_TEST((a.value("select 1") + b.value("select 1")) == "11");
      for (const char* user : {"trust_user", "replication_user"})
        for (const char* database : {"a", "b", "c"}) {
          wire_client another(node.port());
          const bool known = std::string(user) == "trust_user" && *database != 'c';
          BOOST_TEST(pool_outcome(another, user, database) == (known ? "Z(I)" : full), user << " " << database);
        }
      b.close();
      BOOST_TEST(wait_for([&] { return gets_in(node, "trust_user", "c"); }));
      BOOST_TEST(node.wait_for_log("database=b user=trust_user\n")); // only pool_removed says no more than that
      wire_client c = log_in_to(node, "c", "trust_user"), too_many(node.port());
      BOOST_TEST(pool_outcome(too_many, "trust_user", "b") == full);
      node.rewrite_config(toml("max_tenant_pools = 3\n"));
      node.signal(SIGHUP);
      BOOST_TEST(wait_for([&] { return gets_in(node, "trust_user", "b"); }));
      BOOST_TEST((a.value("select 2") + c.value("select 2")) == "22");
    }
    BOOST_TEST(waits_for_backends(0));
  }
}

BOOST_AUTO_TEST_CASE(B142_each_tenant_counts_its_own_pools) {
  const auto tenant = [](const std::string& name, const std::string& own) {
    std::string toml = "[tenants." + name + "]\n" + own;
    for (const char* database : {"a", "b"})
      toml += "[tenants." + name + ".databases." + database +
              "]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"other\"\nuser = \"trust_user\"\n";
    return toml + "[tenants." + name + ".users.app]\n";
  };
  pg_edge_process node(set_up_toml({"transaction", 1}, "max_tenant_pools = 5\n",
                                   tenant("acme", "max_tenant_pools = 1\n") + tenant("beta", "")));
  wire_client one(node.port()), two(node.port()), other(node.port());
  BOOST_TEST(pool_outcome(one, "app.acme", "a") == "Z(I)");
  BOOST_TEST(pool_outcome(two, "app.acme", "b") == "too many pools already: max_tenant_pools is 1 in [tenants.acme].");
  BOOST_TEST(pool_outcome(other, "app.beta", "a") == "Z(I)");
  BOOST_TEST(gets_in(node, "app.beta", "b"));
}

BOOST_AUTO_TEST_CASE(B142_whoever_comes_and_goes_finds_a_place_or_is_told_that_there_is_none) {
  on_one_and_two_reactors("max_tenant_pools = 2\n", three_databases(), [](pg_edge_process& node) {
    std::atomic<int> in = 0, refused = 0, failed = 0;
    std::vector<std::thread> threads;
    const auto end = steady_clock::now() + std::chrono::seconds(4);
    for (unsigned seed = 0; seed < 6; ++seed)
      threads.emplace_back([&, seed] {
        for (unsigned turn = seed; steady_clock::now() < end; turn = turn * 1103515245 + 12345) {
          try {
            wire_client client(node.port());
            const auto messages =
                client.try_startup({{"user", "trust_user"}, {"database", std::string(1, "abc"[turn / 65536 % 3])}});
            const std::string last = messages.empty() ? "" : summary(messages.back());
            const bool served = last == "Z(I)" && client.value("select 1") == "1";
            ++(served ? in : last == "E(53300)" ? refused : failed);
          } catch (const std::exception&) {
            ++failed;
          }
        }
      });
    for (std::thread& one : threads)
      one.join();
    BOOST_TEST(in > 10);
    BOOST_TEST(failed == 0);
    BOOST_TEST(refused >= 0);
    for (const char* database : {"a", "b", "c"}) // no place was lost
      BOOST_TEST(wait_for([&] { return gets_in(node, "trust_user", database); }), database);
  });
}

// -- the reserve
// ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B137_the_reserve_serves_who_waits_too_long_and_goes_again) {
  for (const int reactors : {1, 2}) {
    BOOST_TEST_CONTEXT("reactors " << reactors) {
      pg_edge_process node(
          set_up_toml({"transaction", reactors},
                      "default_pool_size = 1\nreserve_pool_size = 2\nreserve_pool_timeout = \"600ms\"\n"));
      backend_watcher all(postgres::shared(), "", "other");
      std::vector<wire_client> clients;
      for (int i = 0; i < 5; ++i)
        clients.push_back(log_in_to(node, "other", "trust_user"));
      clients[0].query("begin", "C Z(T)");
      const milliseconds taken = time_of([&] { clients[1].query("begin", "C Z(T)"); });
      BOOST_TEST(taken.count() >= 500);
      BOOST_TEST(taken.count() < 3000);
      clients[2].query("begin", "C Z(T)");
      clients[3].send(query_bytes("select 'fourth'"));
      BOOST_TEST(clients[3].silent_for(milliseconds(1500))); // size and reserve are used up
      BOOST_TEST(backends() == 3);
      clients[0].query("commit", "C Z(I)");
      clients[3].expect("T D(fourth) C Z(I)");
      clients[1].query("commit", "C Z(I)");
      clients[2].query("commit", "C Z(I)");
      BOOST_TEST(waits_for_backends(1, milliseconds(10000)));
      // Short waits do not touch it.
      clients[0].query("begin", "C Z(T)");
      clients[1].send(query_bytes("select 'soon'"));
      BOOST_TEST(clients[1].silent_for(milliseconds(200)));
      clients[0].query("commit", "C Z(I)");
      clients[1].expect("T D(soon) C Z(I)");
      BOOST_TEST(backends() == 1);
      BOOST_TEST(all.max() == 3);
    }
    BOOST_TEST(waits_for_backends(0));
  }
}

BOOST_AUTO_TEST_CASE(B137_the_reserve_does_not_pass_the_limits_over_several_pools) {
  pg_edge_process node(set_up_toml({"transaction", 1}, "default_pool_size = 1\nreserve_pool_size = 3\n"
                                                       "reserve_pool_timeout = \"200ms\"\nmax_db_connections = 2\n"));
  backend_watcher all(postgres::shared(), "", "other");
  std::vector<wire_client> clients;
  for (int i = 0; i < 3; ++i)
    clients.push_back(log_in_to(node, "other", "trust_user"));
  clients[0].query("begin", "C Z(T)");
  clients[1].query("begin", "C Z(T)");
  clients[2].send(query_bytes("select 1"));
  BOOST_TEST(clients[2].silent_for(milliseconds(1000)));
  clients[1].query("commit", "C Z(I)");
  clients[2].expect("T D(1) C Z(I)");
  BOOST_TEST(all.max() == 2);
}

BOOST_AUTO_TEST_CASE(a_reserve_without_a_time_out_is_none) {
  pg_edge_process node(
      set_up_toml({"transaction", 1}, "default_pool_size = 1\nreserve_pool_size = 3\nreserve_pool_timeout = 0\n"));
  wire_client one = log_in_to(node, "other", "trust_user"), two = log_in_to(node, "other", "trust_user");
  one.query("begin", "C Z(T)");
  two.send(query_bytes("select 1"));
  BOOST_TEST(two.silent_for(milliseconds(800)));
  BOOST_TEST(backends() == 1);
}

// -- the minimum
// ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B138_min_pool_size_is_made_kept_up_and_follows_a_reload) {
  for (const int reactors : {1, 2}) {
    BOOST_TEST_CONTEXT("reactors " << reactors) {
      const auto toml = [&](int least) {
        return set_up_toml({"transaction", reactors},
                           "default_pool_size = 6\nserver_idle_timeout = 1\nmin_pool_size = " + std::to_string(least) +
                               "\n");
      };
      pg_edge_process node(toml(3));
      wire_client client = log_in_to(node, "other", "trust_user");
      BOOST_TEST(waits_for_backends(3));
      pause_for(2500); // server_idle_timeout leaves them
      BOOST_TEST(backends() == 3);
      postgres::shared().query("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'other'");
      BOOST_TEST(waits_for_backends(0, milliseconds(100)) != waits_for_backends(3));
      BOOST_TEST(waits_for_backends(3));
      node.rewrite_config(toml(5));
      node.signal(SIGHUP);
      BOOST_TEST(waits_for_backends(5));
    }
    BOOST_TEST(waits_for_backends(0));
  }
}

BOOST_AUTO_TEST_CASE(B138_min_pool_size_of_a_database_with_a_server_user_is_made_at_start) {
  for (const int reactors : {1, 2}) {
    const auto toml = [&](int least) {
      return set_up_toml({"transaction", reactors}, "admin_users = [\"postgres\"]\n",
                         "[databases.warm]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"other\"\n"
                         "user = \"trust_user\"\npool_idle_timeout = 1\nmin_pool_size = " +
                             std::to_string(least) + "\n");
    };
    pg_edge_process node(toml(2));
    BOOST_TEST(waits_for_backends(2)); // nobody has come
    wire_client client = log_in_to(node, "warm", "md5_user");
    BOOST_TEST(client.value("select current_user") == "trust_user");
    node.rewrite_config(toml(4));
    node.signal(SIGHUP);
    BOOST_TEST(waits_for_backends(4));
    client.close();
    node.rewrite_config(toml(0));
    node.signal(SIGHUP);
    BOOST_TEST(waits_for_backends(0)); // and the pool goes as any other
    BOOST_TEST(node.wait_for_log("pool_removed"));
  }
}

BOOST_AUTO_TEST_CASE(B138_min_pool_size_is_not_above_the_other_limits) {
  pg_edge_process node(set_up_toml({"transaction", 2}, "min_pool_size = 5\nmax_db_connections = 3\n"));
  backend_watcher all(postgres::shared(), "", "other");
  wire_client one = log_in_to(node, "other", "trust_user");
  BOOST_TEST(waits_for_backends(3));
  wire_client two = log_in_to(node, "other", "replication_user");
  BOOST_TEST(two.value("select 1") == "1"); // the minimum of one pool does not keep another out
  pause_for(1500);
  BOOST_TEST(backends() == 3);
  BOOST_TEST(all.max() == 3);
}

// -- who waits
// ------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B139_clients_are_served_in_the_order_they_came) {
  in_every_set_up("default_pool_size = 1\n", [](pg_edge_process& node) {
    std::vector<wire_client> clients;
    wire_client holder = log_in_to(node, "other", "trust_user");
    for (int i = 0; i < 6; ++i)
      clients.push_back(log_in_to(node, "other", "trust_user"));
    holder.query("begin", "C Z(T)");
    const std::array<std::size_t, 6> order{3, 0, 5, 1, 4, 2};
    for (const std::size_t i : order) {
      clients[i].send(query_bytes("select clock_timestamp()::text"));
      pause_for(60);
    }
    holder.query("commit", "C Z(I)");
    holder.close();
    std::vector<std::string> times;
    for (const std::size_t i : order) {
      times.push_back(summary(clients[i].expect("T D C Z(I)")));
      clients[i].close(); // in session mode it would keep the server
    }
    BOOST_TEST(std::is_sorted(times.begin(), times.end()));
  });
}

BOOST_AUTO_TEST_CASE(B139_nobody_starves_with_many_more_clients_than_servers) {
  for (const int reactors : {1, 2}) {
    pg_edge_process node(set_up_toml({"transaction", reactors}, "default_pool_size = 2\nmax_client_conn = 200\n"));
    backend_watcher all(postgres::shared(), "", "other");
    crowd clients;
    for (int i = 0; i < 40; ++i)
      clients.emplace_back(node, "other", "trust_user", "select pg_sleep(0.002)");
    pause_for(2500);
    for (busy_client& one : clients)
      one.stop();
    int least = 1 << 30, most = 0;
    for (const busy_client& one : clients) {
      least = std::min(least, one.done());
      most = std::max(most, one.done());
    }
    BOOST_TEST(least > 0);
    BOOST_TEST(least * 3 >= most, least << " to " << most);
    BOOST_TEST(!one_failed(clients));
    BOOST_TEST(all.max() == 2);
  }
}

BOOST_AUTO_TEST_CASE(B140_users_who_share_a_pool_hold_its_size_together) {
  for (const int reactors : {1, 2}) {
    pg_edge_process node(
        set_up_toml({"transaction", reactors}, "default_pool_size = 2\n", three_databases("user = \"trust_user\"\n")));
    backend_watcher all(postgres::shared(), "", "other");
    crowd clients;
    for (const char* user : {"replication_user", "md5_user", "scram_user"})
      for (int i = 0; i < 3; ++i)
        clients.emplace_back(node, "a", user);
    pause_for(800);
    for (busy_client& one : clients) {
      one.stop();
      BOOST_TEST(one.done() > 0);
    }
    BOOST_TEST(!one_failed(clients));
    BOOST_TEST(backends("trust_user") == 2);
    BOOST_TEST(all.max() == 2);
  }
}

BOOST_AUTO_TEST_CASE(B140_databases_that_share_a_server_user_hold_its_limit_together) {
  pg_edge_process node(set_up_toml({"transaction", 2}, "default_pool_size = 4\nmax_user_connections = 3\n",
                                   three_databases("user = \"trust_user\"\n")));
  backend_watcher all(postgres::shared(), "", "other");
  crowd clients;
  for (const char* database : {"a", "b", "c"})
    for (int i = 0; i < 3; ++i)
      clients.emplace_back(node, database, "md5_user");
  pause_for(1500);
  for (busy_client& one : clients) {
    one.stop();
    BOOST_TEST(one.done() > 0);
  }
  BOOST_TEST(!one_failed(clients));
  BOOST_TEST(all.max() == 3);
}

// -- what a waiting client is told
// -----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B141_a_client_that_waits_is_told_its_place_and_the_limit) {
  in_every_set_up("default_pool_size = 1\nquery_wait_notify = 1\n", [](pg_edge_process& node) {
    wire_client holder = log_in_to(node, "other", "trust_user"), first = log_in_to(node, "other", "trust_user"),
                second = log_in_to(node, "other", "trust_user");
    holder.query("begin", "C Z(T)");
    first.send(query_bytes("select 1"));
    pause_for(50);
    second.send(query_bytes("select 2"));
    for (wire_client* client : {&first, &second}) {
      wire_message notice;
      const milliseconds taken = time_of([&] { notice = client->read_message(milliseconds(4000)); });
      BOOST_TEST(taken.count() < 2500);
      BOOST_TEST(notice.type == 'N');
      BOOST_TEST(error_field(notice, 'M') ==
                 "No server connection available in the pool at the moment, client being queued");
      const std::string place = client == &first ? "1" : "2";
      BOOST_TEST(error_field(notice, 'H') == "Its place in the queue is " + place +
                                                 " of 2; servers are limited by default_pool_size = 1, set in "
                                                 "[pg_edge].");
    }
    BOOST_TEST(first.silent_for(milliseconds(1200))); // once is enough
    holder.query("commit", "C Z(I)");
    holder.close();
    first.expect("T D(1) C Z(I)");
    first.close();
    second.expect("T D(2) C Z(I)");
  });
}

BOOST_AUTO_TEST_CASE(B121_a_refusal_names_the_limits_and_where_they_are_set) {
  const auto refusal = [](const std::string& settings, const std::string& tables, const std::string& other_user) {
    pg_edge_process node(set_up_toml({"transaction", 1}, settings, tables));
    wire_client waiting = log_in_to(node, "a", "trust_user"), holder = log_in_to(node, "a", other_user);
    holder.query("begin", "C Z(T)");
    waiting.send(query_bytes("select 1"));
    const wire_message error = waiting.read_message(milliseconds(5000));
    BOOST_TEST(error.type == 'E');
    BOOST_TEST(error_field(error, 'C') == "53300");
    BOOST_TEST(error_field(error, 'M') ==
               "query_wait_timeout: no server connection of pool a/trust_user became free within 0.5 s");
    return std::string(error_field(error, 'H'));
  };
  const auto says = [](const std::string& hint, const std::string& what) {
    BOOST_TEST(hint.find(what) != std::string::npos, hint << " does not say " << what);
  };
  const std::string global =
      refusal("query_wait_timeout = \"500ms\"\ndefault_pool_size = 1\n", three_databases(), "trust_user");
  says(global, "query_wait_timeout is set in [pg_edge]");
  says(global, "default_pool_size = 1, set in [pg_edge]");
  const std::string own = refusal("", three_databases("query_wait_timeout = \"500ms\"\npool_size = 1\n"), "trust_user");
  says(own, "query_wait_timeout is set in [databases.a]");
  says(own, "pool_size = 1, set in [databases.a]");
  const std::string over =
      refusal("query_wait_timeout = \"500ms\"\n", three_databases("max_db_connections = 1\n"), "replication_user");
  says(over, "max_db_connections = 1, set in [databases.a]");
}

// -- server_fast_close
// ----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B149_server_fast_close_ends_sessions_with_their_transaction_when_the_target_changes) {
  for (const bool fast : {true, false}) {
    for (const int reactors : {1, 2}) {
      BOOST_TEST_CONTEXT("server_fast_close " << fast << ", reactors " << reactors) {
        const auto toml = [&](const std::string& name) {
          return set_up_toml({"session", reactors}, fast ? "server_fast_close = true\n" : "",
                             three_databases("application_name = \"" + name + "\"\n"));
        };
        pg_edge_process node(toml("old"));
        wire_client idle = log_in_to(node, "a", "trust_user"), in_transaction = log_in_to(node, "a", "trust_user"),
                    running = log_in_to(node, "a", "trust_user"), unused = log_in_to(node, "a", "trust_user");
        BOOST_TEST(idle.value("select 1") == "1");
        in_transaction.query("begin", "C Z(T)");
        running.send(query_bytes("select pg_sleep(1), 'done'"));
        BOOST_TEST(waits_for_running("done", 1));
        node.rewrite_config(toml("new"));
        node.signal(SIGHUP);
        BOOST_TEST(node.wait_for_log("settings_reloaded"));
        const auto ended = [](wire_client& client) {
          const auto message = client.try_read_message(milliseconds(3000));
          BOOST_TEST_REQUIRE(message.has_value());
          BOOST_TEST(summary(*message) == "E(57P01)");
          BOOST_TEST(error_field(*message, 'S') == "FATAL");
          BOOST_TEST(error_field(*message, 'M') ==
                     "terminating connection because its server connection is to be replaced");
          BOOST_TEST(client.closed_within(milliseconds(3000)));
        };
        if (fast) {
          ended(idle);
          BOOST_TEST(in_transaction.value("select 'still here'") == "still here");
          in_transaction.query("commit", "C Z(I)");
          ended(in_transaction);
          running.expect("T D(,done) C Z(I)");
          ended(running);
        } else {
          BOOST_TEST(idle.silent_for(milliseconds(500)));
          BOOST_TEST(idle.value("select 2") == "2");
          in_transaction.query("commit", "C Z(I)");
          BOOST_TEST(in_transaction.value("select 3") == "3");
          running.expect("T D(,done) C Z(I)");
        }
        BOOST_TEST(unused.value("select 'it has no server'") == "it has no server");
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
