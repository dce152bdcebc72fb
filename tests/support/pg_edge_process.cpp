#include "tests/support/pg_edge_process.hpp"

#include "tests/support/certificates.hpp"
#include "tests/support/folders.hpp"

#include <arpa/inet.h>
#include <cstdlib>
#include <filesystem>
#include <netinet/in.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace pg_edge::test {

namespace {

// A sanitized build on two busy cores starts slowly.
constexpr milliseconds start_limit{30000};

bool accepts(std::uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bool accepted = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return accepted;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

} // namespace

pg_edge_process::pg_edge_process(const std::string& toml, const pg_edge_options& options) : port_(free_port()) {
  certificate_authority authority("pg_edge clients' authority");
  certificate_authority::leaf leaf = authority.issue("localhost");
  write_file(folder_ / "ca.crt", authority.certificate());
  write_file(folder_ / "server.crt", leaf.certificate);
  write_file(folder_ / "server.key", leaf.key);
  rewrite_config(toml);
  start(options);
}

std::string pg_edge_process::binary() {
  const char* given = std::getenv("PG_EDGE_BINARY");
  return given != nullptr ? given : std::string(build_folder) + "/pg_edge";
}

std::string pg_edge_process::fill_in(std::string toml) const {
  replace_all(toml, "{port}", std::to_string(port_));
  replace_all(toml, "{dir}", folder_.path());
  replace_all(toml, "{ca}", folder_ / "ca.crt");
  replace_all(toml, "{cert}", folder_ / "server.crt");
  replace_all(toml, "{key}", folder_ / "server.key");
  if (toml.find("{postgres_") != std::string::npos) {
    const postgres& server = postgres::shared();
    replace_all(toml, "{postgres_port}", std::to_string(server.port()));
    replace_all(toml, "{postgres_socket}", server.socket_dir());
    replace_all(toml, "{postgres_ca}", server.authority_file());
  }
  return toml;
}

void pg_edge_process::rewrite_config(const std::string& toml) {
  write_file(config_file(), fill_in(toml));
}

void pg_edge_process::start(const pg_edge_options& options) {
  process_options how;
  how.stdout_file = how.stderr_file = folder_ / "log";
  // Whoever waits for a line of the log means the process started now, not one before it.
  std::error_code nothing_before;
  std::filesystem::rename(folder_ / "log", folder_ / "log.before", nothing_before);
  how.working_dir = folder_.path();
  how.environment = options.environment;
  std::vector<std::string> argv{options.program.empty() ? binary() : options.program, "--config", config_file()};
  argv.insert(argv.end(), options.arguments.begin(), options.arguments.end());
  process_ = process(argv, how);
  if (!options.wait_until_listening) return;
  bool listening = false;
  wait_for([&] { return !process_.running() || (listening = accepts(port_)); }, start_limit);
  if (listening && process_.running()) return;
  throw test_failure("pg_edge does not listen on port " + std::to_string(port_) + "; its log:\n" + log() +
                     "\nits configuration:\n" + read_file(config_file()));
}

void pg_edge_process::begin_takeover(const pg_edge_options& options) {
  former_ = std::move(process_);
  process_ = process();
  pg_edge_options how = options;
  how.wait_until_listening = false;
  how.arguments.insert(how.arguments.begin(), "--takeover");
  start(how);
}

void pg_edge_process::adopt_former() {
  process_ = std::move(former_);
  former_ = process();
  std::filesystem::rename(folder_ / "log.before", folder_ / "log");
}

void pg_edge_process::take_over(const pg_edge_options& options) {
  begin_takeover(options);
  bool serves = false;
  wait_for([&] { return !process_.running() || (serves = log_contains("event=node_started")); }, start_limit);
  if (!serves) throw test_failure("pg_edge --takeover did not begin to serve; its log:\n" + log());
}

std::string pg_edge_process::conninfo(const std::string& user, const std::string& database) const {
  std::string text = "host=127.0.0.1 port=" + std::to_string(port_) + " dbname=" + database + " user=" + user +
                     " gssencmode=disable sslmode=disable";
  for (const known_user& known : known_users)
    if (user == known.name && *known.password != '\0') text += " password='" + std::string(known.password) + "'";
  return text;
}

int pg_edge_process::stop(int number, milliseconds limit) {
  signal(number);
  std::optional<int> status = wait(limit);
  if (!status)
    throw test_failure("pg_edge does not end within " + std::to_string(limit.count()) + " ms of signal " +
                       std::to_string(number) + "; its log:\n" + log());
  return *status;
}

bool pg_edge_process::wait_for_log(const std::string& text, milliseconds limit) const {
  return wait_for([&] { return log_contains(text); }, limit);
}

std::string simple_toml(const std::string& settings, const std::string& tables) {
  std::string toml = "[pg_edge]\n"
                     "listen_addr = \"127.0.0.1\"\n"
                     "listen_port = {port}\n";
  // TOML refuses a key given twice, so what the test sets itself is left out here.
  if (settings.find("auth_type") == std::string::npos) toml += "auth_type = \"trust\"\n";
  if (settings.find("pool_mode") == std::string::npos) toml += "pool_mode = \"transaction\"\n";
  toml += settings + "\n";
  for (const char* database : known_databases)
    toml += std::string("[databases.") + database + "]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"" +
            database + "\"\n\n";
  toml += "[users.postgres]\n";
  for (const known_user& user : known_users) {
    toml += std::string("[users.") + user.name + "]\n";
    // An empty password is an error of the configuration; one left out is none.
    if (*user.password != '\0') toml += std::string("password = \"") + user.password + "\"\n";
  }
  return toml + "\n" + tables;
}

} // namespace pg_edge::test
