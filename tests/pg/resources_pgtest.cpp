// What a node does when the machine lets it down: no descriptors, no memory, a log that nobody reads or that has no
// room, a Postgres that is stopped by a signal, a clock that jumps.
#include "tests/pg/hostile_support.hpp"

#include <fcntl.h>
#include <set>
#include <sys/resource.h>
#include <sys/stat.h>

using namespace pg_edge::test;

namespace {

/// pg_edge started by a line of shell, "exec \"$@\"" or more; the process is pg_edge itself all the same.
class started_by {
public:
  explicit started_by(const std::string& line) : before_(pg_edge_process::binary()) {
    write_file(folder_ / "start", "#!/bin/sh\nset -- '" + before_ + "' \"$@\"\n" + line + "\n");
    ::chmod((folder_ / "start").c_str(), 0755);
    ::setenv("PG_EDGE_BINARY", (folder_ / "start").c_str(), 1);
  }
  ~started_by() { ::setenv("PG_EDGE_BINARY", before_.c_str(), 1); }
  started_by(const started_by&) = delete;
  started_by& operator=(const started_by&) = delete;

private:
  temp_dir folder_;
  std::string before_;
};

/// Changes what a running process may use; the hard limit stays.
void limit_process(pid_t pid, decltype(RLIMIT_AS) what, rlim_t soft) {
  rlimit now{};
  ::prlimit(pid, what, nullptr, &now);
  now.rlim_cur = std::min(soft, now.rlim_max);
  if (::prlimit(pid, what, &now, nullptr) != 0) throw test_failure("prlimit");
}

const std::string console_user = "admin_users = \"trust_user\"\n";

} // namespace

BOOST_AUTO_TEST_SUITE(resources_pgtest)

// -- descriptors
// -------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(silent_connections_leave_descriptors_for_logins_and_servers) {
  std::optional<started_by> narrow("ulimit -n 128\nexec \"$@\"");
  pg_edge_process node(simple_toml("reactors = 2\ndefault_pool_size = 3\n"));
  narrow.reset();
  wire_client here = log_in(node), there = log_in(node);
  BOOST_TEST(here.value("select 1") == "1");
  std::list<wire_client> silent;
  for (int i = 0; i < 300; ++i)
    silent.emplace_back(node.port());
  // The ones that have said nothing for longest make room.
  BOOST_TEST(silent.front().closed_within(milliseconds(10'000)));
  BOOST_TEST(error_field(silent.front().last_message(), 'C') == "53300");
  BOOST_TEST(error_field(silent.front().last_message(), 'M').find("too many connections are logging in") !=
             std::string::npos);
  const milliseconds before = processor_time(node.pid());
  BOOST_TEST(log_in(node).value("select 'let in'") == "let in");
  here.send(query_bytes("select pg_sleep(1), 'sleeps'"));
  BOOST_TEST(there.value("select 'a server of its own'") == "a server of its own");
  here.expect("T D C Z(I)");
  BOOST_TEST((processor_time(node.pid()) - before).count() < 1000); // nothing spins
  BOOST_TEST(open_descriptors(node.pid()) < 96);
  BOOST_TEST(node.running());
}

BOOST_AUTO_TEST_CASE(near_the_limit_of_descriptors_clients_are_told_and_the_console_gets_in) {
  std::optional<started_by> narrow("ulimit -n 128\nexec \"$@\"");
  pg_edge_process node(simple_toml("reactors = 1\n" + console_user));
  narrow.reset();
  std::list<wire_client> clients;
  std::string refusal;
  for (int i = 0; i < 120 && refusal.empty(); ++i) {
    const auto said = clients.emplace_back(node.port()).try_startup({{"user", "trust_user"}, {"database", "app"}});
    if (!said.empty() && said.back().type == 'E')
      refusal =
          error_field(said.back(), 'S') + " " + error_field(said.back(), 'C') + " " + error_field(said.back(), 'M');
  }
  BOOST_TEST(refusal == "FATAL 53300 sorry, too many clients already: the limit of open files, RLIMIT_NOFILE, is 128");
  BOOST_TEST(clients.size() > 60u);
  BOOST_TEST(pq(node.conninfo("trust_user", "pgbouncer")).exec("show version").ok());
  // A query can be cancelled still, though that takes two connections.
  wire_client& one = clients.front();
  one.send(query_bytes("select pg_sleep(60)"));
  BOOST_TEST(waits_for_running("pg_sleep(60)", 1));
  BOOST_TEST(send_cancel(node.port(), one.backend_pid(), one.secret()));
  one.expect("T* E(57014) Z(I)");
  clients.clear();
  BOOST_TEST(wait_for([&] { return log_in(node).value("select 1") == "1"; }));
}

BOOST_AUTO_TEST_CASE(without_any_descriptor_accepting_pauses_and_goes_on_later) {
  pg_edge_process node(simple_toml("reactors = 2\n"));
  wire_client here = log_in(node);
  BOOST_TEST(here.value("select 1") == "1");
  limit_process(node.pid(), RLIMIT_NOFILE, static_cast<rlim_t>(open_descriptors(node.pid())));
  std::list<wire_client> waiting;
  for (int i = 0; i < 10; ++i) {
    waiting.emplace_back(node.port());
    waiting.back().send(startup_bytes({{"user", "trust_user"}, {"database", "app"}}));
  }
  BOOST_TEST(node.wait_for_log("event=accept_paused"));
  const milliseconds before = processor_time(node.pid());
  for (int i = 0; i < 20; ++i) {
    BOOST_TEST(here.value("select " + std::to_string(i)) == std::to_string(i));
    std::this_thread::sleep_for(milliseconds(50));
  }
  BOOST_TEST((processor_time(node.pid()) - before).count() < 900);
  BOOST_TEST(times_in_log(node, "event=accept_paused") == 1);
  limit_process(node.pid(), RLIMIT_NOFILE, RLIM_INFINITY);
  for (wire_client& one : waiting)
    one.read_until_ready();
  BOOST_TEST(node.wait_for_log("event=accept_resumed"));
  BOOST_TEST(waiting.back().value("select 'in'") == "in");
}

/// A server that cannot be opened for want of a descriptor is tried again; its client waits.
BOOST_AUTO_TEST_CASE(a_server_waits_for_a_descriptor) {
  pg_edge_process node(simple_toml("reactors = 1\nserver_login_retry = 1\nquery_wait_timeout = 30\n"));
  wire_client here = log_in(node), there(node.port());
  there.login("trust_user", "other");
  BOOST_TEST(here.value("select 1") == "1");
  here.query("begin", "C Z(T)");
  wire_client second = log_in(node);
  limit_process(node.pid(), RLIMIT_NOFILE, static_cast<rlim_t>(open_descriptors(node.pid())));
  second.send(query_bytes("select 'waited'"));
  BOOST_TEST(second.silent_for(milliseconds(700)));
  BOOST_TEST(here.value("select 'unharmed'") == "unharmed");
  limit_process(node.pid(), RLIMIT_NOFILE, RLIM_INFINITY);
  second.expect("T D(waited) C Z(I)");
  here.query("commit", "C Z(I)");
}

// -- memory
// ---------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(when_the_system_gives_no_memory_some_connections_end_and_the_node_lives) {
  if (std::getenv("PG_EDGE_SANITIZED") != nullptr) return; // a sanitizer maps terabytes, and ends where memory does
  for (const int reactors : {1, 2}) {
    pg_edge_process node(simple_toml("default_pool_size = 2\nreactors = " + std::to_string(reactors) + "\n"));
    wire_client idle = log_in(node);
    BOOST_TEST(idle.value("select 1") == "1");
    const std::string status = read_file("/proc/" + std::to_string(node.pid()) + "/status");
    const long now = std::stol(status.substr(status.find("VmSize:") + 7));
    limit_process(node.pid(), RLIMIT_AS, static_cast<rlim_t>(now + 20'000) * 1024);
    std::list<wire_client> greedy;
    int ended = 0;
    for (int i = 0; i < 12; ++i) {
      try {
        wire_client& one = greedy.emplace_back(node.port());
        one.login("trust_user", "app");
        one.send("P" + int32_bytes(15'000'000) + c_string("hoard") + std::string(14'000'000, 'x'));
      } catch (const test_failure&) {
        ++ended;
      }
    }
    // Others go on as well as they can meanwhile: an answer, or the end of their connection; no wrong answer, no hang.
    for (int i = 0; i < 20; ++i) {
      try {
        wire_client one = log_in(node);
        BOOST_TEST(one.value("select " + std::to_string(i)) == std::to_string(i));
      } catch (const test_failure&) {
        ++ended;
      }
    }
    BOOST_REQUIRE(node.running());
    greedy.clear();
    limit_process(node.pid(), RLIMIT_AS, RLIM_INFINITY);
    BOOST_TEST(ended > 0);
    BOOST_TEST(node.log_contains("std::bad_alloc"));
    // No server and no place of the pool is lost: both can be used at once.
    wire_client a = log_in(node), b = log_in(node);
    a.query("begin", "C Z(T)");
    b.query("begin", "C Z(T)");
    BOOST_TEST(a.value("select 'a'") == "a");
    BOOST_TEST(b.value("select 'b'") == "b");
    BOOST_TEST(postgres::shared().backends("trust_user", "app") <= 2);
    for (wire_client* one : {&a, &b, &idle})
      one->close();
    BOOST_TEST(node.stop() == 0); // which waits for its clients: all are accounted for
  }
}

// -- the log
// --------------------------------------------------------------------------------------------------------------

void work_with(const pg_edge_process& node) {
  for (int i = 0; i < 300; ++i) {
    wire_client client = log_in(node);
    BOOST_TEST(client.value("select " + std::to_string(i)) == std::to_string(i));
  }
}

const std::string talkative = "log_connections = true\nlog_disconnections = true\nverbose = 1\n";

BOOST_AUTO_TEST_CASE(a_full_disk_under_the_log_harms_nobody) {
  std::optional<started_by> full("exec \"$@\" 2>/dev/full");
  pg_edge_process node(simple_toml(talkative));
  full.reset();
  work_with(node);
  BOOST_TEST(node.stop() == 0);
}

BOOST_AUTO_TEST_CASE(a_log_that_nobody_reads_harms_nobody_and_says_later_what_is_missing) {
  temp_dir folder;
  const std::string pipe = folder / "pipe";
  BOOST_REQUIRE(::mkfifo(pipe.c_str(), 0666) == 0);
  const int reader = ::open(pipe.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
  std::optional<started_by> stuck("exec \"$@\" 2>" + pipe);
  pg_edge_process node(simple_toml(talkative));
  stuck.reset();
  work_with(node); // more than a pipe holds
  std::string heard;
  char buffer[65536];
  for (ssize_t got = 0; (got = ::read(reader, buffer, sizeof buffer)) > 0;)
    heard.append(buffer, static_cast<std::size_t>(got));
  BOOST_TEST(heard.size() > 10'000u);
  log_in(node).value("select 1");
  BOOST_TEST(wait_for([&] {
    const ssize_t got = ::read(reader, buffer, sizeof buffer);
    if (got > 0) heard.append(buffer, static_cast<std::size_t>(got));
    return heard.find("event=log_lines_dropped") != std::string::npos;
  }));
  ::close(reader); // nobody at all now
  work_with(node);
  BOOST_TEST(node.stop() == 0);
}

// -- Postgres and the clock
// ----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_postgres_that_stands_still_ends_queries_in_time_and_mixes_nothing_up) {
  struct thawed_again {
    ~thawed_again() { postgres::shared().thaw(); }
  } after;
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      pg_edge_process node(set_up_toml(
          how, "default_pool_size = 2\nquery_timeout = 1\nquery_wait_timeout = 30\nquery_wait_notify = 0\n"));
      wire_client first = log_in(node), second = log_in(node), third = log_in(node);
      for (wire_client* one : {&first, &second})
        one->query("begin", "C Z(T)");
      for (wire_client* one : {&first, &second}) // each has had a server of its own
        one->query("commit", "C Z(I)");
      postgres::shared().freeze();
      first.send(query_bytes("select 'first'"));
      second.send(query_bytes("select 'second'"));
      third.send(query_bytes("select 'third'"));
      for (wire_client* one : {&first, &second}) { // they were sent: nobody knows what became of them
        BOOST_TEST(one->closed_within(milliseconds(20'000)));
        BOOST_TEST(error_field(one->last_message(), 'M').find("query_timeout") != std::string::npos);
      }
      BOOST_TEST(third.silent_for(milliseconds(300))); // its query waits
      postgres::shared().thaw();
      third.expect("T D(third) C Z(I)");
      for (int i = 0; i < 20; ++i) {
        wire_client one = log_in(node);
        BOOST_TEST(one.value("select 'after" + std::to_string(i) + "'") == "after" + std::to_string(i));
        if (i % 2 == 0) third.value("select 3");
      }
      BOOST_TEST(postgres::shared().backends("trust_user", "app") <= 2);
    }
  }
}

/// Only the time of day jumps: nothing that waits or is timed may notice.
BOOST_AUTO_TEST_CASE(a_clock_that_jumps_ends_nothing) {
  const std::string library =
      "/usr/lib/" + std::string(run({"uname", "-m"}).out.substr(0, 6)) + "-linux-gnu/faketime/libfaketimeMT.so.1";
  BOOST_REQUIRE_MESSAGE(std::filesystem::exists(library), library + ": tools/setup test installs it (faketime)");
  if (std::getenv("PG_EDGE_SANITIZED") != nullptr) return; // two libraries that want to be loaded first
  temp_dir folder;
  const std::string clock = folder / "clock";
  write_file(clock, "+0");
  std::optional<started_by> faked("export LD_PRELOAD=" + library +
                                  " FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1 " +
                                  "FAKETIME_TIMESTAMP_FILE=" + clock + "\nexec \"$@\"");
  pg_edge_process node(simple_toml("default_pool_size = 1\nquery_wait_timeout = 60\nclient_idle_timeout = 60\n"
                                   "idle_transaction_timeout = 60\nquery_timeout = 60\nserver_lifetime = 60\n"
                                   "server_idle_timeout = 60\nlog_connections = true\n"));
  faked.reset();
  wire_client working = log_in(node), waiting = log_in(node), idle = log_in(node), halfway(node.port());
  const std::string server = idle.value("select pg_backend_pid()");
  for (const char* now : {"+2d", "-2d", "+0"}) {
    working.query("begin", "C Z(T)");
    waiting.send(query_bytes("select 'waited'"));
    halfway = wire_client(node.port());
    write_file(clock, now);
    std::this_thread::sleep_for(milliseconds(600));
    BOOST_TEST(waiting.silent_for(milliseconds(200)), now);
    BOOST_TEST(working.value("select 'in a transaction'") == "in a transaction");
    working.query("commit", "C Z(I)");
    waiting.expect("T D(waited) C Z(I)");
    halfway.login("trust_user", "app");
    BOOST_TEST(idle.value("select pg_backend_pid()") == server, now);
  }
  // The log tells the time of day: so it did jump.
  BOOST_TEST(node.wait_for_log("event=client_connected"));
  const std::string log = node.log();
  std::set<std::string> days;
  for (auto at = log.find("time="); at != std::string::npos; at = log.find("\ntime=", at + 1))
    days.insert(log.substr(log.find('=', at) + 1, 10));
  BOOST_TEST(days.size() >= 3u);
}

BOOST_AUTO_TEST_SUITE_END()
