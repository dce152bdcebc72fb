// The node's program: reads the command line, starts a node, and turns signals into words to it.
#include "actors/log_setup.hpp"
#include "actors/node.hpp"
#include "config/load.hpp"
#include "config/pgbouncer_ini.hpp"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

using namespace pg_edge;

constexpr std::string_view usage = R"(pg_edge: a connection pooler for PostgreSQL

  pg_edge --config FILE              start a node with the settings in FILE (TOML)
  pg_edge --config FILE --takeover   the same, taking over from the process that runs now (takeover_socket);
                                     with --background behind it: return when the new process serves
  pg_edge check FILE                 say everything that is wrong with FILE
  pg_edge import-pgbouncer FILE.ini  print FILE.ini as TOML
  pg_edge --version                  print the version
  pg_edge --help                     print this

Signals: TERM no new clients, end when the present ones have left; INT the same, and every client ends with its
transaction; QUIT, or a second TERM or INT, at once; HUP read FILE again; USR1 as PAUSE on the console, USR2 as RESUME.
)";

enum exit_code { fine = 0, failed = 1, wrong_usage = 2 };

int wrong(const std::string& what) {
  std::cerr << "pg_edge: " << what << "\n"
            << "Try pg_edge --help.\n";
  return wrong_usage;
}

int check(const std::string& file) {
  const config::load_result loaded = config::load_file(file);
  for (const config::problem& problem : loaded.problems)
    std::cerr << config::to_string(problem) << "\n";
  if (!loaded.value) return failed;
  std::string error;
  if (!actors::make_node_settings(loaded.value, error)) {
    std::cerr << file << ": error: " << error << "\n";
    return failed;
  }
  std::cout << file << ": ok\n";
  return fine;
}

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

int import_pgbouncer(const std::string& file) {
  const auto text = read_file(file);
  if (!text) {
    std::cerr << "pg_edge: cannot read " << file << ": " << std::generic_category().message(errno) << "\n";
    return failed;
  }
  const config::import_result imported = config::import_pgbouncer(*text, file, read_file);
  std::cout << imported.toml;
  bool errors = false;
  for (const config::problem& problem : imported.problems) {
    std::cerr << config::to_string(problem) << "\n";
    errors |= !problem.warning;
  }
  return errors ? failed : fine;
}

/// As many connections as the system lets us have.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

/// Goes on in a child, and ends the parent with status 0 once the child says `ready`, or with the child's own. For a
/// service manager's "reload", which is over when its command is. Before any thread is made.
int go_to_background(int& ready) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed;
  const pid_t child = ::fork();
  if (child < 0) return failed;
  if (child == 0) {
    ::close(ends[0]);
    ::setsid();
    ready = ends[1];
    return fine;
  }
  ::close(ends[1]);
  char word = 0;
  if (::read(ends[0], &word, 1) == 1) std::_Exit(fine);
  int status = 0;
  ::waitpid(child, &status, 0);
  std::_Exit(WIFEXITED(status) ? WEXITSTATUS(status) : failed);
}

/// False: told to end before the store of the cluster could be read.
bool wait_for_store(actors::node& node, const sigset_t& signals) {
  constexpr timespec pause{1, 0};
  for (std::string why; !node.read_store(why);)
    switch (::sigtimedwait(&signals, nullptr, &pause)) {
    case SIGTERM:
    case SIGINT:
    case SIGQUIT:
      return false;
    default:
      break;
    }
  return true;
}

int serve(const std::string& file, bool takeover, bool background) {
  int ready = -1;
  if (background && go_to_background(ready) != fine) return failed;
  const config::load_result loaded = config::load_file(file);
  for (const config::problem& problem : loaded.problems)
    std::cerr << config::to_string(problem) << "\n";
  if (!loaded.value) return failed;
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2})
    sigaddset(&signals, number);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr); // before any thread is made: they inherit it
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  if (std::string error; !actors::set_up_log(*loaded.value, error)) {
    std::cerr << "pg_edge: " << error << "\n";
    return failed;
  }
  actors::node node(file, loaded, takeover);
  if (!wait_for_store(node, signals)) return fine;
  std::vector<std::string> errors;
  if (!node.start(errors)) {
    for (const std::string& error : errors)
      std::cerr << "pg_edge: " << error << "\n";
    return failed;
  }
  if (ready >= 0) {
    [[maybe_unused]] const auto told = ::write(ready, "1", 1);
    ::close(ready);
  }
  constexpr timespec look{0, 50'000'000}; // how often to see whether a drain has ended, and whether reactors turn
  while (!node.finished()) {
    node.look();
    switch (::sigtimedwait(&signals, nullptr, &look)) {
    case SIGHUP:
      node.reload();
      break;
    case SIGUSR1:
      node.pause();
      break;
    case SIGUSR2:
      node.resume();
      break;
    case SIGTERM:
      node.shut_down(actors::shutdown_mode::wait_for_clients);
      break;
    case SIGINT:
      node.shut_down(actors::shutdown_mode::wait_for_servers);
      break;
    case SIGQUIT:
      node.shut_down(actors::shutdown_mode::at_once);
      break;
    default:
      break;
    }
  }
  node.stop();
  return fine;
}

} // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty()) return wrong("nothing to do");
  if (words[0] == "--help" || words[0] == "-h") {
    std::cout << usage;
    return fine;
  }
  if (words[0] == "--version") {
    std::cout << "pg_edge " << PG_EDGE_VERSION << "\n";
    return fine;
  }
  const bool background = words.size() == 4 && words[3] == "--background";
  const bool takeover = words[0] == "--config" && (words.size() == 3 || background) && words[2] == "--takeover";
  if (words.size() != 2 && !takeover) return wrong(words[0] + " takes one file");
  if (words[0] == "--config") return serve(words[1], takeover, background);
  if (words[0] == "check") return check(words[1]);
  if (words[0] == "import-pgbouncer") return import_pgbouncer(words[1]);
  return wrong("unknown command " + words[0]);
}
