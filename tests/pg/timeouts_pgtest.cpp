// Behaviours 121 to 133: everything that ends because it takes too long.
#include "tests/pg/edges_support.hpp"

#include <fstream>
#include <set>

using namespace pg_edge::test;

namespace {

constexpr milliseconds patience{15000};

void pause_for(int ms) {
  std::this_thread::sleep_for(milliseconds(ms));
}

/// The client is told so, and then let go.
void check_ended(wire_client& client, const std::string& sqlstate, const std::string& severity = "FATAL") {
  wire_message last;
  while (auto message = client.try_read_message(patience)) {
    last = *message;
    if (last.type == 'E') break;
  }
  BOOST_TEST(summary(last) == "E(" + sqlstate + ")");
  if (last.type == 'E') BOOST_TEST(error_field(last, 'S') == severity);
  BOOST_TEST(client.closed_within(milliseconds(5000)));
}

wire_client log_in_to(const pg_edge_process& node, const std::string& database,
                      const std::string& user = "trust_user") {
  wire_client client(node.port());
  client.login(user, database);
  return client;
}

std::string pid_of(wire_client& client) {
  return client.value("select pg_backend_pid()");
}

long resident_kilobytes(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmRSS:", 0) == 0) return std::stol(line.substr(6));
  return -1;
}

} // namespace

BOOST_AUTO_TEST_SUITE(timeouts_pgtest)

BOOST_AUTO_TEST_CASE(B121_query_wait_timeout_and_its_per_user_and_per_database_values) {
  const std::string tables = "[databases.patient]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"app\"\n"
                             "query_wait_timeout = \"2s\"\npool_size = 1\n"
                             "[users.hasty]\nquery_wait_timeout = \"300ms\"\n";
  postgres::shared().query("drop role if exists hasty");
  postgres::shared().query("create role hasty login password 'hasty'");
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      pg_edge_process node(
          set_up_toml(how, "default_pool_size = 1\nquery_wait_timeout = 1\n", tables + "password = \"hasty\"\n"));
      const auto timed = [&](const std::string& user, const std::string& database) {
        wire_client waiting = log_in_to(node, database, user);
        wire_client holder = log_in_to(node, database, user);
        holder.query("begin", "C Z(T)");
        waiting.send(query_bytes("select 1"));
        const milliseconds taken = time_of([&] { check_ended(waiting, "53300"); });
        BOOST_TEST(holder.value("select 1") == "1");
        holder.query("commit", "C Z(I)");
        return taken.count();
      };
      const auto usual = timed("trust_user", "app"), patient = timed("trust_user", "patient"),
                 hasty = timed("hasty", "app");
      BOOST_TEST(usual >= 900);
      BOOST_TEST(usual < 1900);
      BOOST_TEST(patient >= 1900);
      BOOST_TEST(patient < 4000);
      BOOST_TEST(hasty >= 280);
      BOOST_TEST(hasty < 900);
      // The user's value wins over the database's.
      BOOST_TEST(timed("hasty", "patient") < 1500);
      BOOST_TEST(log_in(node).value("select 1") == "1");
    }
  }
}

BOOST_AUTO_TEST_CASE(B122_query_timeout_does_not_count_while_idle_in_a_transaction) {
  in_every_set_up("default_pool_size = 2\nquery_timeout = 1\n", [](pg_edge_process& node) {
    wire_client idle = log_in(node), slow = log_in(node);
    idle.query("begin", "C Z(T)");
    slow.send(query_bytes("select pg_sleep(30), 'b122'"));
    const milliseconds taken = time_of([&] { check_ended(slow, "08006"); });
    BOOST_TEST(taken.count() >= 900);
    BOOST_TEST(taken.count() < 4000);
    BOOST_TEST(waits_for_running("b122", 0)); // cancelled, not left to run
    pause_for(700);
    BOOST_TEST(idle.value("select 'still here'") == "still here");
    idle.query("commit", "C Z(I)");
    BOOST_TEST(log_in(node).value("select 1") == "1");
  });
}

BOOST_AUTO_TEST_CASE(B123_idle_transaction_timeout_tells_the_client_and_rolls_back) {
  postgres& server = postgres::shared();
  server.query("drop table if exists b123");
  server.query("create table b123 (n int); grant all on b123 to public");
  const std::string table = "[users.md5_user]\nidle_transaction_timeout = \"2500ms\"\n";
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      std::string toml = set_up_toml(how, "default_pool_size = 2\nidle_transaction_timeout = 1\n");
      const std::string key = "[users.md5_user]\n";
      toml.replace(toml.find(key), key.size(), table);
      pg_edge_process node(toml);
      wire_client idle = log_in(node), busy = log_in(node), lenient = log_in(node, "md5_user"), calm = log_in(node);
      const auto began = std::chrono::steady_clock::now();
      lenient.query("begin", "C Z(T)");
      idle.query("begin", "C Z(T)");
      idle.query("insert into b123 values (1)", "C Z(T)");
      busy.query("begin", "C Z(T)");
      busy.send(query_bytes("select pg_sleep(2), 'long but not idle'"));
      const milliseconds taken = time_of([&] { check_ended(idle, "25P03"); });
      BOOST_TEST(taken.count() >= 900);
      BOOST_TEST(taken.count() < 1900);
      BOOST_TEST(wait_for(
          [&] { return server.query("select count(*) from pg_locks where relation = 'b123'::regclass") == "0"; }));
      BOOST_TEST(server.query("select count(*) from b123") == "0");
      busy.expect("T D C Z(T)");
      busy.query("commit", "C Z(I)");
      check_ended(lenient, "25P03");
      BOOST_TEST((std::chrono::steady_clock::now() - began >= milliseconds(2400)));
      if (std::string(how.mode) == "session") busy.close();
      BOOST_TEST(calm.value("select 'idle outside a transaction'") == "idle outside a transaction");
    }
  }
}

BOOST_AUTO_TEST_CASE(B124_transaction_timeout_also_per_user) {
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      std::string toml = set_up_toml(how, "transaction_timeout = 1\n");
      const std::string key = "[users.md5_user]\n";
      toml.replace(toml.find(key), key.size(), key + "transaction_timeout = \"2500ms\"\n");
      pg_edge_process node(toml);
      wire_client idle = log_in(node), busy = log_in(node), lenient = log_in(node, "md5_user");
      // Many short transactions are no long one.
      for (int i = 0; i < 13; ++i) {
        BOOST_TEST(idle.value("select 1") == "1");
        pause_for(100);
      }
      const auto began = std::chrono::steady_clock::now();
      lenient.query("begin", "C Z(T)");
      idle.query("begin", "C Z(T)");
      busy.query("begin", "C Z(T)");
      busy.send(query_bytes("select pg_sleep(30), 'b124'"));
      for (int i = 0; i < 5; ++i) { // not idle, yet too long
        BOOST_TEST(idle.value("select 1") == "1");
        pause_for(100);
      }
      check_ended(idle, "25P04");
      BOOST_TEST((std::chrono::steady_clock::now() - began < milliseconds(2300)));
      check_ended(busy, "08006"); // the statement might have been the COMMIT
      BOOST_TEST(waits_for_running("b124", 0));
      BOOST_TEST(lenient.value("select 1") == "1");
      check_ended(lenient, "25P04");
      BOOST_TEST((std::chrono::steady_clock::now() - began >= milliseconds(2400)));
    }
  }
}

BOOST_AUTO_TEST_CASE(B125_client_idle_timeout_also_per_user_and_not_while_a_query_runs) {
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      std::string toml = set_up_toml(how, "client_idle_timeout = 1\n");
      const std::string key = "[users.md5_user]\n";
      toml.replace(toml.find(key), key.size(), key + "client_idle_timeout = \"2500ms\"\n");
      pg_edge_process node(toml);
      wire_client idle = log_in(node), busy = log_in(node), chatty = log_in(node), open = log_in(node),
                  lenient = log_in(node, "md5_user");
      const auto began = std::chrono::steady_clock::now();
      BOOST_TEST(lenient.value("select 1") == "1");
      BOOST_TEST(idle.value("select 1") == "1");
      open.query("begin", "C Z(T)");
      busy.send(query_bytes("select pg_sleep(2), 'busy'"));
      for (int i = 0; i < 5; ++i) {
        BOOST_TEST(chatty.value("select 1") == "1");
        pause_for(300);
      }
      check_ended(idle, "57P05");
      BOOST_TEST((std::chrono::steady_clock::now() - began < milliseconds(3000)));
      busy.expect("T D(,busy) C Z(I)");
      BOOST_TEST(open.value("select 'in a transaction'") == "in a transaction");
      BOOST_TEST(lenient.try_read_message(milliseconds(1)).has_value() == false);
      check_ended(lenient, "57P05");
      BOOST_TEST((std::chrono::steady_clock::now() - began >= milliseconds(2400)));
      check_ended(busy, "57P05");
    }
  }
}

BOOST_AUTO_TEST_CASE(B126_server_idle_timeout_closes_unused_servers) {
  in_every_set_up("server_idle_timeout = 1\n", [](pg_edge_process& node) {
    wire_client client = log_in(node, "replication_user");
    const std::string first = pid_of(client);
    if (node.log().find("session") == std::string::npos) BOOST_TEST(pid_of(client) == first);
    client.close();
    BOOST_TEST(
        wait_for([] { return postgres::shared().backends("replication_user", "app") == 0; }, milliseconds(6000)));
    BOOST_TEST(log_in(node, "replication_user").value("select 1") == "1");
  });
}

BOOST_AUTO_TEST_CASE(B126_server_lifetime_is_spread_per_pool_and_spares_servers_in_use) {
  const std::string table = "[databases.mortal]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"app\"\n"
                            "server_lifetime = 2\n";
  for (const int reactors : {1, 2}) {
    pg_edge_process node(set_up_toml({"transaction", reactors}, "", table));
    wire_client usual = log_in(node, "md5_user");
    const std::string lasting = pid_of(usual);
    wire_client held = log_in_to(node, "mortal");
    held.query("begin", "C Z(T)");
    const std::string in_use = pid_of(held);
    std::vector<wire_client> clients;
    for (int i = 0; i < 8; ++i) {
      clients.push_back(log_in_to(node, "mortal"));
      clients.back().query("begin", "C Z(T)");
    }
    for (wire_client& client : clients)
      client.query("commit", "C Z(I)");
    BOOST_TEST(postgres::shared().backends("trust_user", "app") == 9);
    // Made together, they do not go together.
    std::set<int> counts;
    BOOST_TEST(wait_for(
        [&] {
          const int now = postgres::shared().backends("trust_user", "app");
          counts.insert(now);
          return now == 1;
        },
        milliseconds(6000)));
    BOOST_TEST(pid_of(held) == in_use);
    held.query("commit", "C Z(I)");
    BOOST_TEST(pid_of(held) != in_use); // it was due and went at its check-in
    BOOST_TEST(pid_of(usual) == lasting);
  }
}

BOOST_AUTO_TEST_CASE(B127_a_pool_unused_for_long_goes_and_one_with_a_minimum_does_not) {
  const std::string tables = "[databases.brief]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"app\"\n"
                             "pool_idle_timeout = 1\n"
                             "[databases.kept]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"other\"\n"
                             "pool_idle_timeout = 1\nmin_pool_size = 2\n";
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      pg_edge_process node(set_up_toml(how, "admin_users = [\"postgres\"]\n", tables));
      const auto has_pool = [&](const std::string& database) {
        pq console(node.conninfo("postgres", "pgbouncer"));
        pq_result pools = console.exec("show pools");
        for (int i = 0; i < pools.rows(); ++i)
          if (pools.value(i, 0) == database) return true;
        return false;
      };
      for (int round = 0; round < 2; ++round) {
        wire_client brief = log_in_to(node, "brief"), kept = log_in_to(node, "kept");
        BOOST_TEST(brief.value("select 1") == "1");
        BOOST_TEST(kept.value("select 1") == "1");
        BOOST_TEST(wait_for([] { return postgres::shared().backends("trust_user", "other") == 2; }));
        pause_for(1500);
        BOOST_TEST(has_pool("brief")); // a client is there, idle as it is
        BOOST_TEST(brief.value("select 2") == "2");
        brief.close();
        kept.close();
        BOOST_TEST(wait_for([&] { return !has_pool("brief"); }, milliseconds(5000)));
        BOOST_TEST(wait_for([] { return postgres::shared().backends("trust_user", "app") == 0; }));
        BOOST_TEST(has_pool("kept"));
        BOOST_TEST(postgres::shared().backends("trust_user", "other") == 2);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(B128_connect_timeout_when_the_server_accepts_and_says_nothing) {
  for (const set_up& how : every_set_up) {
    tcp_proxy proxy(postgres::shared().port());
    proxy.stall(true);
    pg_edge_process node(set_up_toml(
        how, "server_connect_timeout = 1\nserver_login_retry = 1\nquery_wait_timeout = 3\n", by_proxy(proxy)));
    wire_client client(node.port());
    std::vector<wire_message> answer;
    const milliseconds taken = time_of([&] {
      answer = client.try_startup({{"user", "trust_user"}, {"database", "proxied"}});
    });
    BOOST_TEST_REQUIRE(!answer.empty());
    BOOST_TEST(answer.back().type == 'E');
    BOOST_TEST(taken.count() >= 900);
    BOOST_TEST(taken.count() < 6000);
    BOOST_TEST(node.wait_for_log("server_connect_timeout"));
    BOOST_TEST(proxy.accepted() >= 1);
    proxy.stall(false); // it recovers by itself
    BOOST_TEST(log_in_to(node, "proxied").value("select 1") == "1");
  }
}

BOOST_AUTO_TEST_CASE(B128_connect_timeout_when_packets_are_dropped) {
  // A listener with a full backlog drops what knocks.
  const int deaf = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof here;
  BOOST_TEST_REQUIRE(::bind(deaf, reinterpret_cast<sockaddr*>(&here), length) == 0);
  BOOST_TEST_REQUIRE(::listen(deaf, 0) == 0);
  ::getsockname(deaf, reinterpret_cast<sockaddr*>(&here), &length);
  std::vector<int> fillers;
  for (int i = 0; i < 4; ++i) {
    fillers.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::connect(fillers.back(), reinterpret_cast<sockaddr*>(&here), length);
  }
  pg_edge_process node(
      simple_toml("server_connect_timeout = 1\nserver_login_retry = 1\nquery_wait_timeout = 3\n",
                  "[databases.deaf]\nhost = \"127.0.0.1\"\nport = " + std::to_string(ntohs(here.sin_port)) + "\n"));
  wire_client client(node.port());
  std::vector<wire_message> answer;
  const milliseconds taken = time_of([&] {
    answer = client.try_startup({{"user", "trust_user"}, {"database", "deaf"}});
  });
  BOOST_TEST_REQUIRE(!answer.empty());
  BOOST_TEST(answer.back().type == 'E');
  BOOST_TEST(taken.count() < 6000);
  BOOST_TEST(node.wait_for_log("server_connect_timeout"));
  BOOST_TEST(log_in(node).value("select 1") == "1");
  for (const int one : fillers)
    ::close(one);
  ::close(deaf);
}

BOOST_AUTO_TEST_CASE(B129_a_dead_server_is_found_by_the_check_before_use_and_a_live_one_kept) {
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      tcp_proxy proxy(postgres::shared().port());
      pg_edge_process node(set_up_toml(how,
                                       "default_pool_size = 2\nserver_check_query = \"select 1\"\n"
                                       "server_check_delay = \"300ms\"\nserver_connect_timeout = 1\n",
                                       by_proxy(proxy)));
      std::string pid;
      const auto use = [&] {
        wire_client client(node.port());
        client.login("trust_user", "proxied");
        const std::string now = pid_of(client);
        client.send(terminate_bytes());
        BOOST_TEST(client.closed_within(milliseconds(5000)));
        return now;
      };
      pid = use();
      pause_for(500);
      BOOST_TEST(use() == pid); // checked, alive, kept
      pause_for(500);
      proxy.forget_present(); // the connection is dead, and nobody says so
      std::string after;
      const milliseconds taken = time_of([&] { after = use(); });
      BOOST_TEST(after != pid);
      BOOST_TEST(taken.count() < 5000);
    }
  }
}

BOOST_AUTO_TEST_CASE(B129_a_server_that_was_closed_while_idle_is_never_given_to_a_client) {
  in_every_set_up("default_pool_size = 2\n", [](pg_edge_process& node) {
    for (int i = 0; i < 5; ++i) {
      wire_client client = log_in(node);
      const std::string pid = pid_of(client);
      client.send(terminate_bytes());
      BOOST_TEST(client.closed_within(milliseconds(5000)));
      postgres::shared().query("select pg_terminate_backend(" + pid + ", 5000)");
      wire_client next = log_in(node);
      BOOST_TEST(pid_of(next) != pid);
    }
  });
}

BOOST_AUTO_TEST_CASE(B130_tcp_user_timeout_frees_a_query_stuck_on_a_dead_peer) {
  // A peer that never takes what was sent looks to the kernel as one that has gone: its window stays shut. A short
  // query would fit into that window, and be taken for delivered.
  for (const int reactors : {1, 2}) {
    tcp_proxy proxy(postgres::shared().port(), "127.0.0.1", 4096);
    pg_edge_process node(set_up_toml({"transaction", reactors},
                                     "default_pool_size = 1\ntcp_user_timeout = 1500\nquery_wait_timeout = 30\n"
                                     "server_tls_sslmode = \"disable\"\n",
                                     by_proxy(proxy)));
    wire_client client = log_in_to(node, "proxied"), waiting = log_in_to(node, "proxied");
    client.query("begin", "C Z(T)"); // the server is this client's before the other one asks
    proxy.forget_present();
    std::thread sender([&] { // more than all buffers on the way can hold
      try {
        client.send(query_bytes("select length('" + std::string(32'000'000, 'x') + "')"));
      } catch (const test_failure&) { // nobody reads any more: expected
      }
    });
    waiting.send(query_bytes("select 'free again'"));
    const milliseconds taken = time_of([&] {
      const auto answer = waiting.try_read_message(milliseconds(15000));
      BOOST_TEST((answer && summary(*answer) == "T(?column?)"), node.log());
    });
    BOOST_TEST(taken.count() >= 1400);
    waiting.expect("D(free again) C Z(I)");
    sender.join();
    wire_message last;
    while (auto message = client.try_read_message(milliseconds(5000)))
      last = *message;
    BOOST_TEST(summary(last) == "E(08006)"); // the outcome is unknown
    BOOST_TEST(node.log_contains("Connection timed out"), node.log());
  }
}

BOOST_AUTO_TEST_CASE(B131_statement_timeout_of_the_client_works_and_closes_nothing) {
  in_every_set_up("default_pool_size = 1\n", [](pg_edge_process& node) {
    {
      wire_client client = log_in(node);
      client.query("begin", "C Z(T)");
      client.query("set local statement_timeout = '100ms'", "C Z(T)");
      client.query("select pg_sleep(10)", "T E(57014) Z(E)");
      client.query("rollback", "C Z(I)");
      BOOST_TEST(client.value("show statement_timeout") == "0");
      client.close();
    }
    {
      wire_client client = log_in(node, "trust_user", {{"options", "-c statement_timeout=100"}});
      const std::string pid = pid_of(client);
      client.query("select pg_sleep(10)", "T E(57014) Z(I)");
      BOOST_TEST(client.value("select 'goes on'") == "goes on");
      BOOST_TEST(pid_of(client) == pid);
      client.close();
    }
    wire_client next = log_in(node);
    BOOST_TEST(next.value("show statement_timeout") == "0");
  });
}

BOOST_AUTO_TEST_CASE(B132_a_client_that_stops_reading_is_dropped_and_memory_stays_bounded) {
  for (const int reactors : {1, 2}) {
    pg_edge_process node(set_up_toml({"transaction", reactors},
                                     "default_pool_size = 1\ntcp_user_timeout = 2000\nquery_wait_timeout = 30\n"));
    wire_options small;
    small.receive_buffer = 4096;
    wire_client deaf(node.port(), small);
    deaf.login("trust_user", "app");
    const long before = resident_kilobytes(node.pid());
    deaf.send(query_bytes("select repeat('x', 1000000) from generate_series(1, 500), (select 'b132') s"));
    wire_client waiting = log_in(node);
    waiting.send(query_bytes("select 'free again'"));
    pause_for(800);
    BOOST_TEST(resident_kilobytes(node.pid()) - before < 20'000);
    BOOST_TEST(summary(waiting.read_message(milliseconds(20'000))) == "T(?column?)");
    waiting.expect("D(free again) C Z(I)");
    BOOST_TEST(waits_for_running("b132", 0));
    BOOST_TEST(resident_kilobytes(node.pid()) - before < 20'000);
  }
}

BOOST_AUTO_TEST_CASE(B133_one_failed_check_out_ends_the_client_and_a_new_one_is_well) {
  in_every_set_up("default_pool_size = 1\nquery_wait_timeout = \"300ms\"\n", [](pg_edge_process& node) {
    wire_client refused = log_in(node), holder = log_in(node);
    holder.query("begin", "C Z(T)");
    refused.send(query_bytes("select 1") + query_bytes("select 2"));
    check_ended(refused, "53300");
    holder.query("commit", "C Z(I)");
    holder.close();
    BOOST_TEST(log_in(node).value("select 1") == "1");
  });
}

BOOST_AUTO_TEST_CASE(query_wait_notify_tells_a_client_that_waits_long) {
  in_every_set_up("default_pool_size = 1\nquery_wait_notify = \"300ms\"\n", [](pg_edge_process& node) {
    wire_client waiting = log_in(node), holder = log_in(node);
    holder.query("begin", "C Z(T)");
    waiting.send(query_bytes("select 'served'"));
    waiting.expect("N(00000)");
    BOOST_TEST(waiting.silent_for(milliseconds(600))); // once
    holder.query("commit", "C Z(I)");
    holder.close();
    waiting.expect("T D(served) C Z(I)");
  });
}

BOOST_AUTO_TEST_CASE(B037_a_client_that_hangs_before_its_password_is_dropped) {
  pg_edge_process node(simple_toml("auth_type = \"scram-sha-256\"\nclient_login_timeout = 1\n"));
  wire_client silent(node.port()), half(node.port()), asked(node.port());
  half.send(startup_bytes({{"user", "scram_user"}}).substr(0, 9));
  asked.send(startup_bytes({{"user", "scram_user"}, {"database", "app"}}));
  asked.expect("R(10)");
  check_ended(asked, "57P05");
  check_ended(half, "57P05");
  BOOST_TEST(silent.closed_within(milliseconds(5000)));
  wire_client good(node.port());
  good.login(scram_user.name, "app", scram_user.password);
  pause_for(1500);
  BOOST_TEST(good.value("select 1") == "1"); // the time-out is over once logged in
}

BOOST_AUTO_TEST_SUITE_END()
