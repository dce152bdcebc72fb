// Behaviours 113 to 120: cancel requests reach the query they mean, and nothing else.
#include "tests/pg/edges_support.hpp"

using namespace pg_edge::test;

namespace {

std::string sleeping(const std::string& mark) {
  return "select pg_sleep(60), '" + mark + "'";
}

bool cancel(const pg_edge_process& node, const wire_client& whose) {
  return send_cancel(node.port(), whose.backend_pid(), whose.secret());
}

/// As many transactions at once as the pool is large, and their backends counted: nothing has been lost.
void check_pool_whole(const pg_edge_process& node, int size) {
  std::vector<wire_client> clients;
  for (int i = 0; i < size; ++i) {
    clients.push_back(log_in(node));
    clients.back().query("begin", "C(BEGIN) Z(T)");
    BOOST_TEST(clients.back().value("select 1") == "1");
  }
  for (wire_client& client : clients)
    client.query("rollback", "C Z(I)");
}

} // namespace

BOOST_AUTO_TEST_SUITE(cancel_pgtest)

BOOST_AUTO_TEST_CASE(B113_cancel_ends_the_right_query) {
  in_every_set_up("default_pool_size = 4\n", [](pg_edge_process& node) {
    for (std::int32_t version : {protocol_3_0, protocol_3_2}) {
      wire_client one = log_in(node, "trust_user", {}, version), two = log_in(node, "trust_user", {}, version);
      one.send(query_bytes(sleeping("b113 one")));
      two.send(parse_bytes("", sleeping("b113 two")) + bind_bytes("", "") + execute_bytes() + sync_bytes());
      BOOST_TEST(waits_for_running("b113", 2));
      BOOST_TEST(cancel(node, one));
      one.expect("T* E(57014) Z(I)");
      BOOST_TEST(waits_for_running("b113 two", 1));
      BOOST_TEST(two.silent_for(milliseconds(100)));
      BOOST_TEST(cancel(node, two));
      two.expect("1 2 E(57014) Z(I)");
      BOOST_TEST(one.value("select 1") + two.value("select 2") == "12");
      // In a transaction too, which then is as Postgres leaves it.
      one.query("begin", "C Z(T)");
      one.send(query_bytes(sleeping("b113 three")));
      BOOST_TEST(waits_for_running("b113 three", 1));
      BOOST_TEST(cancel(node, one));
      one.expect("T* E(57014) Z(E)");
      one.query("rollback", "C Z(I)");
    }
  });
}

BOOST_AUTO_TEST_CASE(B113_cancel_follows_its_client_to_every_server) {
  in_every_set_up("default_pool_size = 2\n", [](pg_edge_process& node) {
    pq client(node.conninfo()), other(node.conninfo());
    for (int i = 0; i < 4; ++i) {
      const std::string mark = "b113 round " + std::to_string(i);
      client.send_query(sleeping(mark));
      BOOST_TEST(waits_for_running(mark, 1));
      client.cancel();
      BOOST_TEST(client.results().at(0).sqlstate() == "57014");
      other.exec("select 1");
    }
    // With nothing to cancel, nothing happens: neither now nor to the next query.
    client.cancel();
    BOOST_TEST(client.value("select 1") == "1");
    BOOST_TEST(other.value("select 1") == "1");
  });
}

BOOST_AUTO_TEST_CASE(B114_a_wrong_secret_does_nothing_and_answers_nothing) {
  in_every_set_up("", [](pg_edge_process& node) {
    for (std::int32_t version : {protocol_3_0, protocol_3_2}) {
      wire_client client = log_in(node, "trust_user", {}, version);
      client.send(query_bytes(sleeping("b114")));
      BOOST_TEST(waits_for_running("b114", 1));
      std::string wrong = client.secret();
      wrong.back() = static_cast<char>(wrong.back() ^ 1);
      const std::int32_t id = client.backend_pid();
      BOOST_TEST(send_cancel(node.port(), id, wrong));
      BOOST_TEST(send_cancel(node.port(), id, client.secret().substr(0, client.secret().size() / 2 + 2) + "xx"));
      BOOST_TEST(send_cancel(node.port(), id + 1, client.secret()));
      BOOST_TEST(send_cancel(node.port(), 0, client.secret()));
      BOOST_TEST(send_cancel(node.port(), -1, client.secret()));
      BOOST_TEST(client.silent_for(milliseconds(200)));
      BOOST_TEST(running_like("b114") == 1);
      BOOST_TEST(cancel(node, client)); // the right one, so the test can tell
      client.expect("T* E(57014) Z(I)");
    }
  });
}

BOOST_AUTO_TEST_CASE(B115_a_hundred_cancels_never_hit_the_next_client_of_the_server) {
  for (const int reactors : {1, 2}) {
    pg_edge_process node(set_up_toml({"transaction", reactors}, "default_pool_size = 1\n"));
    wire_client victim = log_in(node), bystander = log_in(node);
    std::atomic<bool> done = false;
    std::atomic<int> cancels = 0, undelivered = 0;
    std::vector<std::thread> senders;
    for (int i = 0; i < 4; ++i)
      senders.emplace_back([&] {
        for (int n = 0; n < 25; ++n) {
          try {
            if (!cancel(node, victim)) ++undelivered;
          } catch (const std::exception&) {
            ++undelivered;
          }
          ++cancels;
        }
      });
    std::atomic<int> hit = 0, missed = 0;
    std::thread mine([&] {
      while (!done) {
        const std::string answer = victim.ask("select pg_sleep(0.003)");
        ++(answer.find("E(57014)") != std::string::npos ? hit : missed);
        if (answer.find("E(") != std::string::npos && answer.find("E(57014)") == std::string::npos) break;
      }
    });
    int asked = 0;
    std::string wrong;
    while (wrong.empty() && (cancels < 100 || asked < 100)) {
      const std::string answer = bystander.ask("select pg_sleep(0.002), 'bystander'");
      if (answer.find("D(,bystander) C(SELECT 1) Z(I)") == std::string::npos) wrong = answer;
      ++asked;
    }
    for (std::thread& one : senders)
      one.join();
    done = true;
    mine.join();
    BOOST_TEST(wrong == "");
    BOOST_TEST(undelivered == 0);
    BOOST_TEST(hit > 0); // else no cancel arrived at all
    BOOST_TEST_MESSAGE("cancels hit " << hit << ", missed " << missed << ", bystander asked " << asked);
    check_pool_whole(node, 1);
  }
}

BOOST_AUTO_TEST_CASE(B116_cancels_get_through_with_the_pool_full) {
  in_every_set_up("default_pool_size = 2\n", [](pg_edge_process& node) {
    std::vector<wire_client> clients;
    for (int i = 0; i < 2; ++i) {
      clients.push_back(log_in(node));
      clients.back().send(query_bytes(sleeping("b116 " + std::to_string(i))));
    }
    BOOST_TEST(waits_for_running("b116", 2));
    wire_client waiting = log_in(node);
    waiting.send(query_bytes("select 'at last'"));
    BOOST_TEST(waiting.silent_for(milliseconds(100)));
    // Far more cancels than there may be at once: those that wait are let through as others end.
    std::atomic<int> delivered = 0;
    std::vector<std::thread> senders;
    for (int i = 0; i < 20; ++i)
      senders.emplace_back([&, i] {
        try {
          if (cancel(node, clients[static_cast<std::size_t>(i % 2)])) ++delivered;
        } catch (const std::exception&) {
        }
      });
    for (std::thread& one : senders)
      one.join();
    BOOST_TEST(delivered == 20);
    for (wire_client& client : clients) {
      client.expect("T* E(57014) Z(I)");
      client.close();
    }
    waiting.expect("T D(at last) C Z(I)");
    waiting.close();
    check_pool_whole(node, 2);
  });
}

BOOST_AUTO_TEST_CASE(B117_a_cancel_ends_the_wait_for_a_server) {
  in_every_set_up("default_pool_size = 1\n", [](pg_edge_process& node) {
    wire_client waiting = log_in(node), piped = log_in(node), holder = log_in(node);
    holder.query("begin", "C Z(T)");
    waiting.send(query_bytes("select 'never run'"));
    piped.send(parse_bytes("", "select 1") + bind_bytes("", "") + execute_bytes() + sync_bytes());
    BOOST_TEST(waiting.silent_for(milliseconds(100)));
    BOOST_TEST(cancel(node, waiting));
    waiting.expect("E(57014) Z(I)");
    BOOST_TEST(piped.silent_for(milliseconds(50)));
    BOOST_TEST(cancel(node, piped));
    piped.expect("E(57014) Z(I)");
    BOOST_TEST(holder.value("select 'undisturbed'") == "undisturbed");
    holder.query("commit", "C Z(I)");
    holder.close();
    BOOST_TEST(waiting.value("select 'goes on'") == "goes on");
    waiting.close();
    BOOST_TEST(piped.value("select 'goes on'") == "goes on");
  });
}

BOOST_AUTO_TEST_CASE(B118_a_cancel_whose_server_hangs_times_out_and_leaks_nothing) {
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      tcp_proxy proxy(postgres::shared().port());
      pg_edge_process node(set_up_toml(how, "default_pool_size = 1\ncancel_wait_timeout = 1\nserver_login_retry = 1\n",
                                       by_proxy(proxy, "proxied", "server_tls_sslmode = \"disable\"")));
      wire_client client(node.port());
      client.login("trust_user", "proxied");
      client.send(query_bytes("select pg_sleep(3), 'b118'"));
      BOOST_TEST(waits_for_running("b118", 1));
      proxy.stall(true);
      const milliseconds taken = time_of([&] { BOOST_TEST(cancel(node, client)); });
      BOOST_TEST(taken.count() >= 700);
      BOOST_TEST(taken.count() < 3000);
      proxy.stall(false);
      // The outcome may be either, but there must be one, and the only permit must come back.
      auto last = client.try_read_message(milliseconds(8000));
      BOOST_TEST(last.has_value());
      client.close();
      wire_client next(node.port());
      BOOST_TEST(next.login("trust_user", "proxied").value("select 'whole'") == "whole");
      next.query("begin", "C Z(T)");
    }
  }
}

BOOST_AUTO_TEST_CASE(B120_interrupted_psql_and_pgbench_leave_the_pool_whole) {
  for (const set_up& how : {every_set_up[0], every_set_up[3]}) {
    pg_edge_process node(set_up_toml(how, "default_pool_size = 3\n"));
    backend_watcher watcher(postgres::shared(), "trust_user", "app");
    temp_dir folder;
    std::list<process> running;
    const auto start = [&](std::vector<std::string> argv, int number) {
      process_options options;
      options.stdout_file = options.stderr_file = folder / std::to_string(number);
      running.emplace_back(argv, options);
    };
    const std::string target = node.conninfo();
    for (int round = 0; round < 3; ++round) {
      running.clear();
      for (int i = 0; i < 6; ++i)
        start({postgres::program("psql"), "-X", target, "-c", sleeping("b120")}, i);
      write_file(folder / "script.sql", "begin;\nselect pg_sleep(0.01), 'b120';\ncommit;\n");
      start({postgres::program("pgbench"), "-n", "-c", "4", "-T", "60", "-f", folder / "script.sql", target}, 6);
      BOOST_TEST(wait_for([] { return running_like("b120") >= 2; }));
      // A storm: an interrupt that comes before psql has sent its query is lost, so it is sent until psql has ended.
      for (process& one : running)
        one.signal(SIGINT);
      for (process& one : running)
        BOOST_TEST(wait_for(
            [&] {
              if (one.wait(milliseconds(500)).has_value()) return true;
              one.signal(SIGINT);
              return false;
            },
            milliseconds(15000)));
      int cancelled = 0;
      for (int i = 0; i < 6; ++i)
        cancelled +=
            read_file(folder / std::to_string(i)).find("canceling statement due to user request") != std::string::npos;
      BOOST_TEST(cancelled > 0);
    }
    BOOST_TEST(waits_for_running("b120", 0));
    check_pool_whole(node, 3);
    BOOST_TEST(watcher.max() <= 3);
    BOOST_TEST(watcher.samples() > 10);
  }
}

BOOST_AUTO_TEST_SUITE_END()
