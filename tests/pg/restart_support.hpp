// What the tests of lost servers need: a Postgres of their own that may die, clients that retry and keep a book of what
// they were told, and a server that speaks a few protocol bytes and nothing else.
#pragma once

#include "tests/pg/edges_support.hpp"

#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <set>

namespace pg_edge::test {

/// "trust_user" on the given Postgres as the databases app (transaction mode) and held (session mode).
inline std::string databases_on(const postgres& server, int size, int session_size) {
  const auto table = [&](const std::string& name, const std::string& more) {
    return "[databases." + name + "]\nhost = \"127.0.0.1\"\nport = " + std::to_string(server.port()) +
           "\ndbname = \"app\"\n" + more + "\n";
  };
  return table("moved", "pool_size = " + std::to_string(size)) +
         table("held", "pool_mode = \"session\"\npool_size = " + std::to_string(session_size));
}

/// Every connection is served by `serve` on a thread of its own, which is given the descriptor and may keep it.
class fake_server {
public:
  explicit fake_server(std::function<void(int)> serve) : serve_(std::move(serve)) {
    listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof here;
    if (::bind(listening_, reinterpret_cast<sockaddr*>(&here), length) != 0 || ::listen(listening_, 64) != 0 ||
        ::getsockname(listening_, reinterpret_cast<sockaddr*>(&here), &length) != 0)
      throw test_failure("the fake server cannot listen");
    port_ = ntohs(here.sin_port);
    thread_ = std::thread([this] { accept_all(); });
  }
  ~fake_server() {
    stopping_ = true;
    ::shutdown(listening_, SHUT_RDWR);
    thread_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int one : open_)
        ::shutdown(one, SHUT_RDWR);
    }
    for (std::thread& one : serving_)
      one.join();
    ::close(listening_);
  }
  std::uint16_t port() const { return port_; }
  int accepted() const { return accepted_; }
  int most_open() const { return most_open_; }
  bool stopping() const { return stopping_; }
  std::string table(const std::string& name, const std::string& more = "") const {
    return "[databases." + name + "]\nhost = \"127.0.0.1\"\nport = " + std::to_string(port_) + "\n" + more + "\n";
  }

  // -- for `serve`
  static void send_bytes(int to, const std::string& bytes) {
    [[maybe_unused]] const auto sent = ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  /// What comes next; empty at the end.
  static std::string take(int from) {
    char buffer[4096];
    const ssize_t got = ::recv(from, buffer, sizeof buffer, 0);
    return got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : std::string();
  }
  /// Past SSLRequest, which is declined, to the start-up packet; empty if the client has gone.
  static std::string take_start_up(int from) {
    std::string bytes = take(from);
    if (bytes == ssl_request_bytes()) {
      send_bytes(from, "N");
      bytes = take(from);
    }
    return bytes;
  }
  static std::string error_bytes(const std::string& state, const std::string& text) {
    std::string body;
    for (const auto& [code, value] :
         std::initializer_list<std::pair<char, std::string>>{{'S', "FATAL"}, {'V', "FATAL"}, {'C', state}, {'M', text}})
      body += code + c_string(value);
    return message_bytes('E', body + std::string(1, '\0'));
  }

private:
  void accept_all() {
    while (!stopping_) {
      const int fd = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      ++accepted_;
      const std::lock_guard lock(mutex_);
      open_.insert(fd);
      most_open_ = std::max(most_open_.load(), static_cast<int>(open_.size()));
      serving_.emplace_back([this, fd] {
        serve_(fd);
        const std::lock_guard guard(mutex_);
        open_.erase(fd);
        ::close(fd);
      });
    }
  }

  std::function<void(int)> serve_;
  int listening_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> accepted_ = 0, most_open_ = 0;
  std::mutex mutex_; // over open_
  std::set<int> open_;
  std::vector<std::thread> serving_;
  std::thread thread_;
};

/// What clients were told about the ids they wrote.
struct book {
  std::mutex mutex;
  std::set<long> confirmed, unknown, refused; // refused: certainly not run
  std::map<std::string, long> errors;         // by SQLSTATE; "lost": the connection ended without one
  std::vector<std::string> lies;              // an error that calls an unknown outcome safe to retry, and so on
  std::atomic<long> attempts = 0, next_id = 1;

  void note(std::set<long>& where, long id) {
    const std::lock_guard lock(mutex);
    where.insert(id);
  }
  void note_error(const std::string& state, const std::string& text, bool may_have_run) {
    const std::lock_guard lock(mutex);
    ++errors[state.empty() ? "lost" : state];
    const bool retryable = state.starts_with("40") || state == "57P03" || state == "53300";
    if (may_have_run && retryable && text.find("query_wait_timeout") == std::string::npos)
      lies.push_back(state + ": " + text);
  }
  std::string figures() {
    const std::lock_guard lock(mutex);
    std::string text = std::to_string(attempts) + " attempts, " + std::to_string(confirmed.size()) + " confirmed, " +
                       std::to_string(unknown.size()) + " unknown, " + std::to_string(refused.size()) + " refused;";
    for (const auto& [state, count] : errors)
      text += " " + state + ": " + std::to_string(count);
    return text;
  }
};

/// Clients that insert ids of their own in several ways, connect again when they must, and note what they were told.
class retrying_clients {
public:
  enum class way { simple, extended, prepared, transaction };

  retrying_clients(std::string conninfo, book& notes, int count) : conninfo_(std::move(conninfo)), book_(notes) {
    for (int i = 0; i < count; ++i)
      threads_.emplace_back([this, i] { run(static_cast<way>(i % 4)); });
  }
  ~retrying_clients() { stop(); }
  void stop() {
    stopping_ = true;
    for (std::thread& one : threads_)
      one.join();
    threads_.clear();
  }

private:
  void run(way how) {
    while (!stopping_) {
      pq connection = pq::attempt(conninfo_ + " connect_timeout=0");
      if (!connection.ok()) {
        book_.note_error("login", connection.message(), false);
        std::this_thread::sleep_for(milliseconds(20));
        continue;
      }
      bool prepared = how != way::prepared || prepare(connection);
      while (prepared && !stopping_ && PQstatus(connection.raw()) == CONNECTION_OK)
        insert(connection, how);
    }
  }

  bool prepare(pq& connection) {
    const pq_result result = connection.try_prepare("put", "insert into ids values ($1::bigint)");
    if (!result.ok()) book_.note_error(result.sqlstate(), result.message(), false);
    return result.ok();
  }

  void insert(pq& connection, way how) {
    const long id = book_.next_id++;
    ++book_.attempts;
    const std::string text = std::to_string(id);
    if (how == way::transaction) {
      for (const std::string& sql : {std::string("begin"), "insert into ids values (" + text + ")"}) {
        const pq_result result = connection.try_exec(sql);
        if (result.ok()) continue;
        book_.note_error(result.sqlstate(), result.message(), false);
        return book_.note(book_.refused, id); // COMMIT was never sent
      }
      return judge(connection.try_exec("commit"), id);
    }
    judge(how == way::simple     ? connection.try_exec("insert into ids values (" + text + ")")
          : how == way::extended ? connection.try_exec_params("insert into ids values ($1::bigint)", {text})
                                 : connection.try_exec_prepared("put", {text}),
          id);
  }

  void judge(const pq_result& result, long id) {
    if (result.ok()) return book_.note(book_.confirmed, id);
    const bool not_run = result.message().find("query_wait_timeout") != std::string::npos;
    book_.note_error(result.sqlstate(), result.message(), !not_run);
    book_.note(not_run ? book_.refused : book_.unknown, id);
  }

  std::string conninfo_;
  book& book_;
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> threads_;
};

/// Counts backends of a user like backend_watcher, but survives its server, and leaves it when told.
class surviving_watcher {
public:
  surviving_watcher(const postgres& server, std::string user)
      : conninfo_("host=" + server.socket_dir() + " port=" + std::to_string(server.port()) +
                  " dbname=app user=postgres connect_timeout=5"),
        sql_("select count(*) from pg_stat_activity where backend_type = 'client backend' and usename = '" + user +
             "'"),
        thread_([this] { run(); }) {}
  ~surviving_watcher() {
    stopping_ = true;
    thread_.join();
  }
  void rest(bool on) { resting_ = on; }
  int max() const { return max_; }
  int samples() const { return samples_; }

private:
  void run() {
    while (!stopping_) {
      std::this_thread::sleep_for(milliseconds(20));
      if (resting_) continue;
      pq connection = pq::attempt(conninfo_);
      while (!stopping_ && !resting_ && connection.ok()) {
        const pq_result result = connection.try_exec(sql_);
        if (!result.ok()) break;
        max_ = std::max(max_.load(), std::stoi(result.value()));
        ++samples_;
        std::this_thread::sleep_for(milliseconds(3));
      }
    }
  }

  std::string conninfo_, sql_;
  std::atomic<bool> stopping_ = false, resting_ = false;
  std::atomic<int> max_ = 0, samples_ = 0;
  std::thread thread_;
};

} // namespace pg_edge::test
