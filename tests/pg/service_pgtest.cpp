// What a service manager hears of pg_edge and gives to it, without one: a socket that stands for systemd's, and
// listening sockets opened by somebody else.
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdio>
#include <mutex>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

using namespace pg_edge::test;

namespace {

/// Takes what sd_notify() sends.
class notify_socket {
public:
  notify_socket() : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path().c_str());
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      throw test_failure("cannot listen for notifications");
    thread_ = std::thread([this] { take_all(); });
  }
  ~notify_socket() {
    stopping_ = true;
    thread_.join();
    ::close(fd_);
  }
  std::string path() const { return folder_ / "notify"; }
  std::string heard() const {
    const std::lock_guard lock(mutex_);
    return heard_;
  }
  bool hears(const std::string& what) const {
    return wait_for([&] { return heard().find(what) != std::string::npos; }, milliseconds(20'000));
  }
  std::size_t count(const std::string& what) const {
    const std::string all = heard();
    std::size_t count = 0;
    for (std::size_t at = all.find(what); at != std::string::npos; at = all.find(what, at + 1))
      ++count;
    return count;
  }

private:
  void take_all() {
    while (!stopping_) {
      pollfd events{fd_, POLLIN, 0};
      if (::poll(&events, 1, 20) <= 0) continue;
      char buffer[4096];
      const ssize_t got = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got <= 0) continue;
      const std::lock_guard lock(mutex_);
      heard_.append("\n").append(buffer, static_cast<std::size_t>(got)).append("\n");
    }
  }

  temp_dir folder_;
  int fd_;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::string heard_;
  std::thread thread_;
};

std::string service_toml() {
  return simple_toml("takeover_socket = \"{dir}/takeover.sock\"\n");
}

} // namespace

BOOST_AUTO_TEST_SUITE(service_pgtest)

BOOST_AUTO_TEST_CASE(the_service_manager_hears_of_every_turn_of_life) {
  notify_socket systemd;
  pg_edge_options how;
  how.environment = {"NOTIFY_SOCKET=" + systemd.path(), "WATCHDOG_USEC=400000"};
  pg_edge_process node(service_toml(), how);
  BOOST_TEST(systemd.hears("\nREADY=1\n"), systemd.heard());
  BOOST_TEST(wait_for([&] { return systemd.count("\nWATCHDOG=1\n") >= 3; }), systemd.heard());
  const std::size_t ready = systemd.count("\nREADY=1\n");
  node.signal(SIGHUP);
  BOOST_TEST(systemd.hears("\nRELOADING=1\nMONOTONIC_USEC="), systemd.heard());
  BOOST_TEST(wait_for([&] { return systemd.count("\nREADY=1\n") > ready; }), systemd.heard());

  // A takeover: the old process says which one is the service now, and that one goes on answering the watchdog.
  pg_edge_options next;
  next.environment = {"NOTIFY_SOCKET=" + systemd.path()};
  const std::string former = std::to_string(node.pid());
  pq client(node.conninfo());
  node.take_over(next);
  BOOST_TEST(systemd.hears("\nMAINPID=" + std::to_string(node.pid()) + "\n"), systemd.heard());
  BOOST_TEST(node.former().wait(milliseconds(15'000)).value_or(-1) == 0);
  const std::size_t beats = systemd.count("\nWATCHDOG=1\n");
  BOOST_TEST(wait_for([&] { return systemd.count("\nWATCHDOG=1\n") > beats + 2; }), systemd.heard());
  BOOST_TEST(client.value("select 1") == "1");

  // A process that stands still is not alive: no word until it goes on.
  node.signal(SIGSTOP);
  std::this_thread::sleep_for(milliseconds(300));
  const std::size_t still = systemd.count("\nWATCHDOG=1\n");
  std::this_thread::sleep_for(milliseconds(600));
  BOOST_TEST(systemd.count("\nWATCHDOG=1\n") == still);
  node.signal(SIGCONT);
  node.signal(SIGINT);
  BOOST_TEST(systemd.hears("\nSTOPPING=1\n"), systemd.heard());
  BOOST_TEST(node.wait().value_or(-1) == 0);
}

BOOST_AUTO_TEST_CASE(in_the_background_a_takeover_returns_when_it_serves) {
  pg_edge_process node(service_toml());
  pq client(node.conninfo());
  process_options how; // what goes on in the background keeps the log's descriptor
  how.stdout_file = how.stderr_file = node.folder() + "/background.log";
  const run_result result =
      run({"sh", "-c", pg_edge_process::binary() + " --config " + node.config_file() + " --takeover --background"},
          milliseconds(60'000), how);
  BOOST_TEST(result.status == 0);
  BOOST_TEST(node.wait(milliseconds(15'000)).value_or(-1) == 0); // the one that was started first has ended
  BOOST_TEST(client.value("select 'served'") == "served");
  const pid_t other = static_cast<pid_t>(
      std::stol(run({"sh", "-c", "pgrep -f -- '--config " + node.config_file() + " --takeover'"}).out));
  ::kill(other, SIGQUIT);
}

BOOST_AUTO_TEST_CASE(sockets_that_are_there_already_are_served) {
  // Passed by hand as systemd does: descriptors from 3 on, named, for the process that is about to be.
  const std::string script = R"(
import os, socket, sys
kept = []
for number, port in enumerate(sys.argv[1:3]):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", int(port)))
    one.listen(64)
    kept.append(one)
for number, one in enumerate(kept):
    os.dup2(one.fileno(), 10 + number)
for number in range(len(kept)):
    os.dup2(10 + number, 3 + number)
os.environ.update(LISTEN_FDS="2", LISTEN_FDNAMES="pg_edge:second", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
)";
  const std::uint16_t first = free_port(), second = free_port();
  pg_edge_options later;
  later.wait_until_listening = false;
  // The file's own addresses are not opened: nobody may listen on port 1.
  pg_edge_process node("[pg_edge]\nlisten_addr = \"127.0.0.1\"\nlisten_port = 1\nunix_socket_dir = \"\"\n"
                       "auth_type = \"trust\"\npool_mode = \"transaction\"\n"
                       "takeover_socket = \"{dir}/takeover.sock\"\n"
                       "[listeners.second]\nlisten_addr = \"127.0.0.1\"\nlisten_port = 2\n"
                       "[databases.app]\nhost = \"127.0.0.1\"\nport = {postgres_port}\n[users.trust_user]\n",
                       later);
  node.signal(SIGKILL); // only its file is wanted here
  node.wait();
  process_options how;
  how.stdout_file = how.stderr_file = node.folder() + "/passed.log";
  const auto start = [&](std::vector<std::string> more) {
    std::vector<std::string> argv{"python3",
                                  "-c",
                                  script,
                                  std::to_string(first),
                                  std::to_string(second),
                                  pg_edge_process::binary(),
                                  "--config",
                                  node.config_file()};
    argv.insert(argv.end(), more.begin(), more.end());
    return process(argv, how);
  };
  process serving = start({});
  const auto conninfo = [](std::uint16_t port) {
    return "host=127.0.0.1 user=trust_user dbname=app sslmode=disable gssencmode=disable port=" + std::to_string(port);
  };
  BOOST_TEST(wait_for([&] { return pq::attempt(conninfo(first)).ok(); }, milliseconds(20'000)),
             read_file(how.stderr_file));
  pq one(conninfo(first)), two(conninfo(second));
  BOOST_TEST(one.value("select 1") == "1");
  BOOST_TEST(two.value("select 2") == "2");

  // A takeover passes them on, though the new process was given none.
  process next({pg_edge_process::binary(), "--config", node.config_file(), "--takeover"}, how);
  BOOST_TEST(serving.wait(milliseconds(20'000)).value_or(-1) == 0, read_file(how.stderr_file));
  BOOST_TEST(two.value("select 3") == "3");
  BOOST_TEST(pq(conninfo(second)).value("select 4") == "4");
  next.signal(SIGINT);
  BOOST_TEST(next.wait(milliseconds(20'000)).value_or(-1) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
