// What the tests of hostile clients and short resources share: a bystander whose work is counted, a look at a process's
// memory and descriptors, and raw sockets.
#pragma once

#include "tests/pg/edges_support.hpp"

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

namespace pg_edge::test {

inline wire_options patient() {
  wire_options options;
  options.timeout = milliseconds(30'000);
  return options;
}

/// A customer who minds his own business: one transaction after the other, and a new login now and then. Counts what is
/// done and what goes wrong.
class bystander {
public:
  explicit bystander(const pg_edge_process& node, std::string database = "other")
      : node_(node), database_(std::move(database)), thread_([this] { run(); }) {}
  ~bystander() {
    stopping_ = true;
    thread_.join();
  }
  int done() const { return done_; }
  int errors() const { return errors_; }
  std::string first_error() const { return errors_ > 0 ? error_ : ""; }

private:
  void run() {
    std::optional<wire_client> client;
    for (int i = 0; !stopping_; ++i) {
      try {
        if (i % 50 == 0) client.reset();
        if (!client) client.emplace(node_.port(), patient());
        if (i % 50 == 0) client->login("trust_user", database_);
        const std::string wanted = std::to_string(i);
        if (client->value("select " + wanted) != wanted) throw test_failure("somebody else's answer");
        ++done_;
      } catch (const std::exception& e) {
        if (errors_ == 0) error_ = e.what();
        ++errors_;
        client.reset();
        i = -1; // log in again
        std::this_thread::sleep_for(milliseconds(20));
      }
    }
  }

  const pg_edge_process& node_;
  std::string database_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> done_ = 0, errors_ = 0;
  std::string error_;
  std::thread thread_;
};

/// What the bystander gets done in this time.
inline int done_within(const bystander& who, milliseconds span) {
  const int before = who.done();
  std::this_thread::sleep_for(span);
  return who.done() - before;
}

inline long resident_kb(pid_t pid) {
  std::istringstream text(read_file("/proc/" + std::to_string(pid) + "/status"));
  for (std::string line; std::getline(text, line);)
    if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
  return -1;
}

inline int open_descriptors(pid_t pid) {
  int count = 0;
  std::error_code error;
  for (auto one = std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", error);
       !error && one != std::filesystem::directory_iterator(); one.increment(error))
    ++count;
  return count;
}

/// How often a text is in the log.
inline int times_in_log(const pg_edge_process& node, const std::string& text) {
  const std::string log = node.log();
  int count = 0;
  for (auto at = log.find(text); at != std::string::npos; at = log.find(text, at + text.size()))
    ++count;
  return count;
}

/// Sends without waiting, as much as goes; the number of bytes, or -1 when the peer has closed.
inline ssize_t send_now(int fd, std::string_view bytes) {
  const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0) return sent;
  return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
}

/// Pushes the bytes again and again for so long, never reading; returns how many went. Stops when the peer closes.
inline std::size_t push(const wire_client& client, const std::string& burst, milliseconds span) {
  const auto end = std::chrono::steady_clock::now() + span;
  std::size_t total = 0, at = 0;
  while (std::chrono::steady_clock::now() < end) {
    const ssize_t sent = send_now(client.descriptor(), std::string_view(burst).substr(at));
    if (sent < 0) break;
    if (sent == 0) {
      pollfd room{client.descriptor(), POLLOUT, 0};
      ::poll(&room, 1, 20);
    }
    total += static_cast<std::size_t>(sent);
    at = (at + static_cast<std::size_t>(sent)) % burst.size();
  }
  return total;
}

/// Bytes of no protocol, the same for a seed.
inline std::string garbage(int seed) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::string bytes(1 + random() % 3000, '\0');
  for (char& one : bytes)
    one = static_cast<char>(random());
  bytes[0] = static_cast<char>(0x40 + random() % 0x80); // neither a short length nor TLS: those have rows of their own
  if (bytes.size() < 8) bytes.resize(8, 'x');
  return bytes;
}

} // namespace pg_edge::test
