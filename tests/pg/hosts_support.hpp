// Two real Postgres servers on one port of two addresses, and what the tests of hosts and host names do with them.
#pragma once

#include "tests/pg/edges_support.hpp"
#include "tests/support/dns_server.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <sys/stat.h>

namespace pg_edge::test {

/// Nobody listens there, on any port.
inline const std::string nobody_address = "127.0.0.99";

/// Made on first use. A test that stops or freezes one starts it again.
struct two_servers {
  const std::string first_address = "127.0.0.12", second_address = "127.0.0.13";
  postgres first{{"listen_addresses = '" + first_address + "'", 100}};
  postgres second{{"listen_addresses = '" + second_address + "'\nport = " + std::to_string(first.port()), 100}};

  static two_servers& get() {
    static two_servers one;
    return one;
  }
};

/// A node with the database "app" on these hosts and the port of two_servers.
inline std::string hosts_toml(const std::string& hosts, const std::string& settings, std::string tables = "",
                              const std::string& port = "{hosts_port}") {
  std::string text = "[pg_edge]\nlisten_addr = \"127.0.0.1\"\nlisten_port = {port}\nauth_type = \"trust\"\n"
                     "pool_mode = \"transaction\"\n";
  if (settings.find("dns_max_ttl") == std::string::npos) text += "dns_max_ttl = 1\n";
  if (settings.find("dns_nxdomain_ttl") == std::string::npos) text += "dns_nxdomain_ttl = 1\n";
  text += settings + "[databases.app]\nhost = \"" + hosts + "\"\nport = " + port + "\ndbname = \"app\"\n" + tables +
          "[users.trust_user]\n";
  const std::string place = "{hosts_port}";
  for (auto at = text.find(place); at != std::string::npos; at = text.find(place))
    text.replace(at, place.size(), std::to_string(two_servers::get().first.port()));
  return text;
}

/// The address of the server that answers.
inline std::string where(pq& client) {
  return client.value("select host(inet_server_addr())");
}

/// Servers that have logged in so far.
inline int connects(const pg_edge_process& node) {
  return count_of(node.log(), "event=server_connected");
}

/// Where so many servers are when each has a transaction open.
inline std::map<std::string, int> spread(const pg_edge_process& node, int servers) {
  std::vector<std::unique_ptr<pq>> clients;
  std::map<std::string, int> found;
  for (int i = 0; i < servers; ++i) {
    clients.push_back(std::make_unique<pq>(node.conninfo()));
    clients.back()->exec("begin");
    ++found[where(*clients.back())];
  }
  return found;
}

/// Clients that ask without end where they are.
class crowd_of_clients {
public:
  crowd_of_clients(const pg_edge_process& node, int count) {
    for (int i = 0; i < count; ++i)
      threads_.emplace_back([this, conninfo = node.conninfo()] { ask(conninfo); });
  }
  ~crowd_of_clients() { stop(); }
  crowd_of_clients(const crowd_of_clients&) = delete;
  crowd_of_clients& operator=(const crowd_of_clients&) = delete;

  int answers_of(const std::string& address) const {
    const std::lock_guard<std::mutex> hold(mutex_);
    const auto found = answers_.find(address);
    return found == answers_.end() ? 0 : found->second;
  }
  int errors() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return errors_;
  }
  /// The first error; empty: there was none.
  std::string stop() {
    stopping_ = true;
    for (auto& one : threads_)
      if (one.joinable()) one.join();
    return error_;
  }

private:
  void ask(const std::string& conninfo) {
    std::unique_ptr<pq> client;
    while (!stopping_)
      try {
        if (!client) client = std::make_unique<pq>(conninfo);
        const std::string here = where(*client);
        const std::lock_guard<std::mutex> hold(mutex_);
        ++answers_[here];
      } catch (const test_failure& failure) {
        client.reset();
        const std::lock_guard<std::mutex> hold(mutex_);
        ++errors_;
        if (error_.empty()) error_ = failure.what();
      }
  }

  mutable std::mutex mutex_;
  std::map<std::string, int> answers_;
  int errors_ = 0;
  std::string error_;
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> threads_;
};

} // namespace pg_edge::test
