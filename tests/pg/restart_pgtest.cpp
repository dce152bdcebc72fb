// Postgres goes away and comes back: behaviours 168 to 172. Clients under load are told the truth, those that wait go
// on by themselves, nothing runs twice. PG_EDGE_DOWN_SECONDS=60 makes the outages that long and prints figures.
#include "tests/pg/restart_support.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>

using namespace pg_edge::test;

namespace {

constexpr int size = 6, session_size = 3, idle_clients = 10;

milliseconds down_time() {
  const char* seconds = std::getenv("PG_EDGE_DOWN_SECONDS");
  return seconds == nullptr ? milliseconds(2000) : milliseconds(std::stol(seconds) * 1000);
}

/// One of its own: the shared one would take other tests' clients along. Commits survive its crashes.
postgres& mortal() {
  static postgres server({"synchronous_commit = on\n", 150});
  if (!server.running()) server.start();
  return server;
}

wire_client log_in_to(const pg_edge_process& node, const std::string& database) {
  wire_client client(node.port());
  client.login("trust_user", database);
  return client;
}

void sleep_for(milliseconds span) {
  std::this_thread::sleep_for(span);
}

pid_t postmaster_of(const postgres& server) {
  return static_cast<pid_t>(std::stol(read_file(server.data_dir() + "/postmaster.pid")));
}

/// Whether every thread of a process stands still.
bool stopped(pid_t pid) {
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  return std::ranges::all_of(std::filesystem::directory_iterator(tasks), [](const auto& task) {
    const std::string stat = read_file(task.path().string() + "/stat");
    return stat.substr(stat.rfind(')') + 2, 1) == "T";
  });
}

/// Whether something goes on: so many more confirmed ids.
bool flows(book& notes, std::size_t more = 40) {
  const auto count = [&] {
    const std::lock_guard lock(notes.mutex);
    return notes.confirmed.size();
  };
  const std::size_t before = count();
  return wait_for([&] { return count() >= before + more; }, milliseconds(40'000));
}

void check_table(const postgres& server, book& notes) {
  pq admin = server.admin();
  BOOST_TEST(admin.value("select count(*) - count(distinct id) from ids") == "0"); // nothing ran twice
  const pq_result rows = admin.exec("select id from ids");
  std::set<long> there;
  for (int i = 0; i < rows.rows(); ++i)
    there.insert(std::stol(rows.value(i)));
  long missing = 0, returned = 0, landed = 0;
  for (const long id : notes.confirmed)
    missing += there.contains(id) ? 0 : 1;
  for (const long id : notes.refused)
    returned += there.contains(id) ? 1 : 0;
  for (const long id : notes.unknown)
    landed += there.contains(id) ? 1 : 0;
  BOOST_TEST(missing == 0);  // what was confirmed is there
  BOOST_TEST(returned == 0); // what was said not to have run has not
  for (const std::string& lie : notes.lies)
    BOOST_ERROR("an unknown outcome was called safe to retry: " + lie);
  if (std::getenv("PG_EDGE_DOWN_SECONDS") != nullptr)
    std::cout << "  " << notes.figures() << "; of the unknown " << landed << " had run, missing " << missing
              << ", duplicates 0\n";
}

/// Load in several modes and protocols, an outage, and all that is promised about it.
void survive(const std::string& kind, const std::function<void(postgres&, surviving_watcher&)>& outage) {
  postgres& server = mortal();
  server.query("drop table if exists ids; create table ids (id bigint); grant all on ids to public");
  for (const int reactors : {1, 2}) {
    if (reactors == 2 && std::getenv("PG_EDGE_DOWN_SECONDS") == nullptr && kind != "fast") continue;
    BOOST_TEST_CONTEXT(kind << ", reactors " << reactors) {
      server.query("truncate ids");
      pg_edge_process node(simple_toml("reactors = " + std::to_string(reactors) + "\nquery_wait_timeout = 300\n",
                                       databases_on(server, size, session_size)));
      std::vector<pq> idle;
      for (int i = 0; i < idle_clients; ++i) {
        idle.emplace_back(node.conninfo("trust_user", "moved"));
        BOOST_TEST(idle.back().value("select 1") == "1");
      }
      book notes;
      surviving_watcher watcher(server, "trust_user");
      if (std::getenv("PG_EDGE_DOWN_SECONDS") != nullptr) std::cout << kind << ", reactors " << reactors << "\n";
      {
        retrying_clients pooled(node.conninfo("trust_user", "moved"), notes, 12);
        retrying_clients held(node.conninfo("trust_user", "held"), notes, 4);
        BOOST_TEST(flows(notes));
        outage(server, watcher);
        BOOST_TEST(flows(notes));
        BOOST_TEST(flows(notes));
      }
      for (pq& one : idle) {
        const pq_result result = one.try_exec("select 'still here'");
        BOOST_TEST((result.ok() && result.value() == "still here"), result.message());
      }
      BOOST_TEST(watcher.max() <= size + session_size);
      BOOST_TEST(watcher.samples() > 0);
      check_table(server, notes);
      BOOST_TEST(node.running());
      const std::string log = node.log();
      BOOST_TEST(log.size() < 200'000u); // nobody writes a line an attempt
    }
  }
}

void stop_and_start(postgres& server, postgres::shutdown how) {
  server.stop(how);
  sleep_for(down_time());
  server.start();
}

} // namespace

BOOST_AUTO_TEST_SUITE(restart_pgtest)

BOOST_AUTO_TEST_CASE(B168_a_fast_restart_under_load) {
  survive("fast", [](postgres& server, surviving_watcher&) { stop_and_start(server, postgres::shutdown::fast); });
}

BOOST_AUTO_TEST_CASE(B168_an_immediate_restart_under_load) {
  survive("immediate",
          [](postgres& server, surviving_watcher&) { stop_and_start(server, postgres::shutdown::immediate); });
}

BOOST_AUTO_TEST_CASE(B168_a_smart_restart_under_load) {
  // Postgres waits for its clients, and the pool's servers never leave by themselves: a login that is told so must
  // send them home. Session clients stay as long as they like, so there are none here.
  postgres& server = mortal();
  server.query("drop table if exists ids; create table ids (id bigint); grant all on ids to public");
  pg_edge_process node(simple_toml("query_wait_timeout = 300\n", databases_on(server, size, session_size)));
  pq idle(node.conninfo("trust_user", "moved"));
  book notes;
  {
    retrying_clients pooled(node.conninfo("trust_user", "moved"), notes, 8);
    BOOST_TEST(flows(notes));
    ::kill(postmaster_of(server), SIGTERM);
    wire_client other(node.port()); // of another pool of the same server: its login is told of the shutdown
    other.send(startup_bytes({{"user", "replication_user"}, {"database", "moved"}}));
    server.stop(postgres::shutdown::smart);
    sleep_for(down_time());
    server.start();
    BOOST_TEST(other.read_until_ready(milliseconds(40'000)).back().type == 'Z');
    BOOST_TEST(flows(notes));
  }
  BOOST_TEST(idle.value("select 1") == "1");
  {
    const std::lock_guard lock(notes.mutex);
    for (const auto& [state, count] : notes.errors) // nobody was cut off
      BOOST_ERROR(state + ": " + std::to_string(count));
  }
  check_table(server, notes);
}

BOOST_AUTO_TEST_CASE(B168_kill_9_of_the_postmaster_under_load) {
  survive("postmaster killed", [](postgres& server, surviving_watcher&) {
    ::kill(postmaster_of(server), SIGKILL);
    sleep_for(down_time());
    BOOST_TEST(wait_for([&] { return !server.running(); }));
    server.start();
  });
}

BOOST_AUTO_TEST_CASE(B168_kill_9_of_all_of_it_under_load) {
  survive("all killed", [](postgres& server, surviving_watcher&) {
    server.kill();
    sleep_for(down_time());
    server.start();
  });
}

BOOST_AUTO_TEST_CASE(B168_kill_9_of_a_backend_under_load) {
  survive("backend killed", [](postgres& server, surviving_watcher&) {
    const std::string pid = server.query("select pid from pg_stat_activity where usename = 'trust_user' limit 1");
    BOOST_TEST_REQUIRE(!pid.empty());
    ::kill(static_cast<pid_t>(std::stol(pid)), SIGKILL);
    BOOST_TEST(wait_for([&] { return pq::attempt(server.conninfo() + " connect_timeout=5").ok(); }));
  });
}

// -- what clients are told
// --------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B169_the_servers_own_words_reach_clients) {
  in_every_set_up("", [](pg_edge_process& node) {
    wire_client running = log_in(node), open = log_in(node);
    open.query("begin", "C Z(T)");
    running.send(query_bytes("select pg_sleep(60), 'b169'"));
    BOOST_TEST(waits_for_running("b169", 1));
    postgres::shared().query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'trust_user'");
    for (wire_client* one : {&running, &open}) {
      BOOST_TEST(one->closed_within(milliseconds(10'000)));
      BOOST_TEST(summary(one->last_message()) == "E(57P01)");
      BOOST_TEST(error_field(one->last_message(), 'M') == "terminating connection due to administrator command");
    }
    BOOST_TEST(log_in(node).value("select 1") == "1");
  });
}

BOOST_AUTO_TEST_CASE(B169_a_server_that_starts_up_is_waited_for_and_named) {
  std::atomic<bool> ready = false;
  fake_server starting([&](int fd) {
    if (fake_server::take_start_up(fd).empty()) return;
    if (!ready)
      return fake_server::send_bytes(fd, fake_server::error_bytes("57P03", "the database system is starting up"));
    fake_server::send_bytes(
        fd, message_bytes('R', int32_bytes(0)) + message_bytes('K', int32_bytes(7) + int32_bytes(8)) +
                message_bytes('S', c_string("server_version") + c_string("15.0")) + message_bytes('Z', "I"));
    while (!fake_server::take(fd).empty())
      fake_server::send_bytes(fd, message_bytes('I', "") + message_bytes('Z', "I"));
  });
  pg_edge_process node(simple_toml("query_wait_timeout = 2\n", starting.table("slow")));
  wire_client first(node.port());
  const auto said = first.try_startup({{"user", "trust_user"}, {"database", "slow"}});
  BOOST_TEST_REQUIRE(!said.empty());
  BOOST_TEST(summary(said.back()) == "E(57P03)");
  BOOST_TEST(error_field(said.back(), 'M').find("query_wait_timeout") != std::string::npos);
  const std::string hint = error_field(said.back(), 'H');
  const std::string own = "127.0.0.1:" + std::to_string(starting.port()) + ": the database system is starting up";
  BOOST_TEST(hint.find(own) != std::string::npos, hint);
  BOOST_TEST(hint.find("Nothing was sent to the server") != std::string::npos);
  wire_client second(node.port());
  second.send(startup_bytes({{"user", "trust_user"}, {"database", "slow"}}));
  ready = true;
  BOOST_TEST(second.read_until_ready(milliseconds(20'000)).back().type == 'Z');
}

BOOST_AUTO_TEST_CASE(B172_an_unreachable_server_is_named_in_notice_and_error_and_served_again) {
  postgres& server = mortal();
  for (const int reactors : {1, 2}) {
    pg_edge_process node(simple_toml("reactors = " + std::to_string(reactors) +
                                         "\nquery_wait_notify = \"300ms\"\nquery_wait_timeout = 3\n",
                                     databases_on(server, 2, 2)));
    wire_client told = log_in_to(node, "moved"), patient = log_in_to(node, "moved");
    told.query("select 1", "T D(1) C Z(I)");
    server.stop();
    told.send(query_bytes("select 2"));
    const wire_message notice = told.read_message();
    const std::string where = "127.0.0.1:" + std::to_string(server.port()) + ": Connection refused";
    BOOST_TEST(summary(notice) == "N(00000)");
    BOOST_TEST(error_field(notice, 'H').find(where) != std::string::npos, error_field(notice, 'H'));
    BOOST_TEST(told.closed_within(milliseconds(20'000)));
    BOOST_TEST(summary(told.last_message()) == "E(57P03)");
    BOOST_TEST(error_field(told.last_message(), 'H').find(where) != std::string::npos);
    patient.send(query_bytes("select 3"));
    server.start();
    patient.expect("T D(3) C Z(I)", "N");
    const std::string log = node.log();
    BOOST_TEST(log.find("event=server_away") != std::string::npos, log);
    BOOST_TEST(log.find("event=server_back") != std::string::npos, log);
  }
}

BOOST_AUTO_TEST_CASE(B171_an_immediate_shutdown_in_the_midst_of_a_query_is_told_in_the_servers_words) {
  postgres& server = mortal();
  pg_edge_process node(simple_toml("", databases_on(server, 2, 2)));
  wire_client running = log_in_to(node, "moved"), open = log_in_to(node, "moved");
  open.query("begin", "C Z(T)");
  running.send(query_bytes("select pg_sleep(60), 'b171'"));
  BOOST_TEST(waits_for_running("b171", 1, server));
  server.stop(postgres::shutdown::immediate);
  for (wire_client* one : {&running, &open}) {
    BOOST_TEST(one->closed_within(milliseconds(10'000)));
    const std::string text = error_field(one->last_message(), 'M');
    BOOST_TEST(summary(one->last_message()) == "E(08006)");
    BOOST_TEST(text.find("whether it took effect is unknown") != std::string::npos, text);
    BOOST_TEST(text.find("immediate shutdown") != std::string::npos, text);
  }
  server.start();
}

// -- servers that are lost while nobody uses them
// --------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B170_a_server_closed_while_idle_is_never_handed_out) {
  // pg_edge is stopped while the query arrives and the server ends, so that it finds both at once, in either order.
  for (const set_up& how : {set_up{"transaction", 1}, set_up{"transaction", 2}, set_up{"session", 1}}) {
    pg_edge_process node(set_up_toml(how, "default_pool_size = 1\n"));
    std::optional<wire_client> client(log_in(node));
    for (int i = 0; i < 16; ++i) {
      const std::string pid = client->value("select pg_backend_pid()");
      if (std::string(how.mode) == "session") { // its server is free when it has gone
        client->send(terminate_bytes());
        BOOST_TEST(client->closed_within(milliseconds(5000)));
        client.emplace(log_in(node));
      }
      const auto end_server = [&] { postgres::shared().query("select pg_terminate_backend(" + pid + ", 5000)"); };
      node.signal(SIGSTOP);
      BOOST_TEST(wait_for([&] { return stopped(node.pid()); }));
      if (i % 2 == 0) end_server();
      client->send(query_bytes("select 'alive', pg_backend_pid()"));
      if (i % 2 != 0) end_server();
      node.signal(SIGCONT);
      const auto answer = client->read_until_ready();
      BOOST_TEST_REQUIRE(answer.size() == 4u);
      BOOST_TEST(row_values(answer[1])[0].value_or("") == "alive");
      BOOST_TEST(row_values(answer[1])[1].value_or("") != pid);
    }
  }
}

// -- errors of logins
// ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B172_a_full_postgres_is_shared_by_the_servers_there_are) {
  postgres full({"superuser_reserved_connections = 3\n", 9});
  pg_edge_process node(simple_toml("default_pool_size = 20\nserver_login_retry = 1\nquery_wait_timeout = 60\n",
                                   databases_on(full, 20, 2)));
  std::vector<pq> others; // all but two places are taken
  for (int i = 0; i < 4; ++i)
    others.emplace_back(full.conninfo("trust_user"));
  std::vector<std::thread> clients;
  std::atomic<int> served = 0, failed = 0;
  for (int i = 0; i < 12; ++i)
    clients.emplace_back([&] {
      try {
        pq client(node.conninfo("trust_user", "moved"));
        for (int j = 0; j < 5; ++j) {
          client.exec("select pg_sleep(0.02)");
          ++served;
        }
      } catch (const std::exception&) {
        ++failed;
      }
    });
  for (std::thread& one : clients)
    one.join();
  BOOST_TEST(served == 60);
  BOOST_TEST(failed == 0);
  BOOST_TEST(node.log_contains("event=server_login_failed"), node.log());
  // With no room at all they wait, and go on when there is some.
  std::vector<pq> more;
  while (true) {
    pq one = pq::attempt(full.conninfo("trust_user"));
    if (!one.ok()) break;
    more.push_back(std::move(one));
  }
  pq waiting(node.conninfo("trust_user", "held"));
  waiting.send_query("select 'room'");
  sleep_for(milliseconds(500));
  more.clear();
  others.clear();
  BOOST_TEST(waiting.results(milliseconds(30'000)).back().value() == "room");
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_told_at_once_remembered_and_forgotten) {
  postgres& server = mortal();
  pg_edge_process node(simple_toml("server_login_retry = 2\n",
                                   "[databases.late]\nhost = \"127.0.0.1\"\nport = " + std::to_string(server.port()) +
                                       "\n" + databases_on(server, 2, 2)));
  const auto refusal = [&](const std::string& database) {
    wire_client client(node.port());
    const auto said = client.try_startup({{"user", "trust_user"}, {"database", database}});
    return said.empty() ? wire_message{} : said.back();
  };
  for (int i = 0; i < 3; ++i) {
    const wire_message answer = refusal("late");
    BOOST_TEST(summary(answer) == "E(3D000)");
    BOOST_TEST(error_field(answer, 'M') == "database \"late\" does not exist");
  }
  const std::string rules = read_file(server.data_dir() + "/pg_hba.conf");
  write_file(server.data_dir() + "/pg_hba.conf", "host all trust_user 127.0.0.1/32 reject\n" + rules);
  server.reload();
  const wire_message rejected = refusal("moved");
  BOOST_TEST(summary(rejected) == "E(28000)");
  BOOST_TEST(error_field(rejected, 'M').find("pg_hba.conf rejects connection") != std::string::npos);
  write_file(server.data_dir() + "/pg_hba.conf", rules);
  server.reload();
  server.query("create database late");
  for (const char* database : {"late", "moved"})
    BOOST_TEST(wait_for([&] { return summary(refusal(database)) == "Z(I)"; }, milliseconds(20'000)));
  server.query("drop database late with (force)");
}

// -- many at once
// -------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(logins_under_way_are_bounded_over_all_pools) {
  std::atomic<bool> go = false;
  fake_server slow([&](int fd) {
    if (fake_server::take_start_up(fd).empty()) return;
    while (!go)
      sleep_for(milliseconds(5));
    fake_server::send_bytes(fd, message_bytes('R', int32_bytes(0)) +
                                    message_bytes('K', int32_bytes(7) + int32_bytes(8)) + message_bytes('Z', "I"));
    while (!fake_server::take(fd).empty())
      fake_server::send_bytes(fd, message_bytes('I', "") + message_bytes('Z', "I"));
  });
  std::string tables;
  for (int i = 0; i < 20; ++i)
    tables += slow.table("d" + std::to_string(i));
  pg_edge_process node(simple_toml("reactors = 2\nmax_server_logins = 3\n", tables));
  std::vector<wire_client> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back(node.port());
    clients.back().send(startup_bytes({{"user", "trust_user"}, {"database", "d" + std::to_string(i)}}));
  }
  BOOST_TEST(wait_for([&] { return slow.accepted() == 3; }));
  sleep_for(milliseconds(500));
  BOOST_TEST(slow.accepted() == 3);
  go = true;
  for (wire_client& one : clients)
    BOOST_TEST(one.read_until_ready(milliseconds(20'000)).back().type == 'Z');
  BOOST_TEST(slow.accepted() >= 20);
}

BOOST_AUTO_TEST_CASE(fifty_pools_of_a_dead_server_are_quiet_and_all_come_back) {
  postgres& server = mortal();
  std::string tables;
  for (int i = 0; i < 50; ++i)
    tables += "[databases.d" + std::to_string(i) + "]\nhost = \"127.0.0.1\"\nport = " + std::to_string(server.port()) +
              "\ndbname = \"app\"\npool_size = 2\n";
  pg_edge_process node(simple_toml("reactors = 2\nquery_wait_timeout = 120\nmax_server_logins = 4\n", tables));
  std::vector<pq> clients;
  for (int i = 0; i < 50; ++i) {
    clients.emplace_back(node.conninfo("trust_user", "d" + std::to_string(i)) + " connect_timeout=60");
    BOOST_TEST(clients.back().value("select 1") == "1");
  }
  server.stop();
  for (pq& one : clients)
    one.send_query("select 'back'");
  const auto lines = [&] {
    const std::string log = node.log();
    return std::count(log.begin(), log.end(), '\n');
  };
  BOOST_TEST(wait_for([&] { return node.log_contains("event=server_away"); }));
  sleep_for(milliseconds(500));
  const auto lines_before = lines();
  const milliseconds cpu_before = processor_time(node.pid());
  sleep_for(milliseconds(4000));
  BOOST_TEST(lines() - lines_before <= 3); // not a line an attempt, nor one a pool
  BOOST_TEST((processor_time(node.pid()) - cpu_before).count() <=
             1000); // a quarter of one processor at most: nobody turns in circles
  server.start();
  for (pq& one : clients)
    BOOST_TEST(one.results(milliseconds(60'000)).back().value() == "back");
}

// -- permits
// --------------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_failed_login_keeps_its_permit_until_the_server_has_closed) {
  fake_server lingering([&](int fd) { // says no and stays
    if (fake_server::take_start_up(fd).empty()) return;
    fake_server::send_bytes(fd, fake_server::error_bytes("53300", "sorry, too many clients already"));
    while (!fake_server::take(fd).empty()) {
    }
    sleep_for(milliseconds(700)); // the process is still there though our side has closed
  });
  pg_edge_process node(simple_toml("default_pool_size = 2\nserver_login_retry = \"100ms\"\nserver_connect_timeout = 5\n"
                                   "query_wait_timeout = 4\n",
                                   lingering.table("full")));
  std::vector<wire_client> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(node.port());
    clients.back().send(startup_bytes({{"user", "trust_user"}, {"database", "full"}}));
  }
  for (wire_client& one : clients)
    BOOST_TEST(one.closed_within(milliseconds(20'000)));
  BOOST_TEST(lingering.accepted() >= 3);
  BOOST_TEST(lingering.most_open() <= 2);
}

BOOST_AUTO_TEST_CASE(a_cancel_that_came_before_its_query_is_repeated) {
  pg_edge_process node(simple_toml("default_pool_size = 1\nquery_wait_timeout = 60\n"));
  wire_client leaves = log_in(node), next = log_in(node);
  const auto pid = static_cast<pid_t>(std::stol(leaves.value("select pg_backend_pid()")));
  ::kill(pid, SIGSTOP); // the cancel is there before the query is read
  leaves.send(query_bytes("select pg_sleep(300), 'lost cancel'"));
  sleep_for(milliseconds(100));
  leaves.close_abruptly();
  next.send(query_bytes("select 'free again'"));
  sleep_for(milliseconds(300));
  ::kill(pid, SIGCONT);
  BOOST_TEST(summary(next.read_message(milliseconds(40'000))) == "T(?column?)");
  next.expect("D(free again) C Z(I)");
  BOOST_TEST(waits_for_running("lost cancel", 0));
}

BOOST_AUTO_TEST_SUITE_END()
