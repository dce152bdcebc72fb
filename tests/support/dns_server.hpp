// A name server for tests: on a UDP port of its own, answers from a table that a test changes at any time, and is
// silent, slow or wrong on demand.
#pragma once

#include "tests/support/process.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pg_edge::test {

class dns_server {
public:
  dns_server();
  ~dns_server();
  dns_server(const dns_server&) = delete;
  dns_server& operator=(const dns_server&) = delete;

  /// A resolv.conf that names this server.
  std::string resolv_conf() const { return folder_ / "resolv.conf"; }

  /// IPv4 and IPv6 addresses of a name; none: the name exists without addresses.
  void set(const std::string& name, const std::vector<std::string>& addresses, int ttl = 1);
  /// The name of an IPv4 address.
  void set_reverse(const std::string& address, const std::string& name);
  /// From now on the name does not exist.
  void remove(const std::string& name);
  void be_silent(bool yes) { silent_ = yes; }
  /// SERVFAIL to everything.
  void be_broken(bool yes) { broken_ = yes; }
  void be_slow(milliseconds delay) { delay_ = static_cast<int>(delay.count()); }
  /// Questions of any type for this name so far, and for all names.
  int questions(const std::string& name) const;
  int questions() const { return asked_; }

private:
  struct record {
    std::vector<std::string> addresses;
    std::string pointer;
    int ttl = 1;
  };
  void serve();
  std::string answer(const std::string& question);

  temp_dir folder_;
  int socket_ = -1;
  mutable std::mutex mutex_;
  std::map<std::string, record> records_;
  std::map<std::string, int> counts_;
  std::atomic<bool> silent_ = false, broken_ = false, stopping_ = false;
  std::atomic<int> delay_ = 0, asked_ = 0;
  std::thread thread_;
};

} // namespace pg_edge::test
