// Several nodes on one machine, for the tests of clusters: see cluster_nodes; and their clients.
#pragma once

#include "tests/pg/api_support.hpp"
#include "tests/support/cluster_nodes.hpp"
#include "tests/support/folders.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <regex>
#include <thread>

namespace pg_edge::test {

/// Three nodes that can be told to drain, with clients that have time to wait.
inline cluster_options drained_nodes(int size) {
  return {.nodes = 3,
          .settings = "query_wait_timeout = 60\n",
          .more = "",
          .tls = false,
          .links = true,
          .api = true,
          .size = size};
}

/// As checks of Boost.Test.
class nodes : public cluster_nodes {
public:
  using cluster_nodes::cluster_nodes;

  /// Whether the node's log says that these, and nobody else, are the members by now; with all logs if not.
  boost::test_tools::assertion_result agree(std::size_t i, const std::string& members,
                                            milliseconds limit = milliseconds(40000)) {
    boost::test_tools::assertion_result result(wait_for([&] { return last_members(i) == members; }, limit));
    if (!result) {
      result.message() << "n" << i << " sees \"" << last_members(i) << "\", not \"" << members << "\"";
      for (std::size_t one = 0; one < size(); ++one)
        result.message() << "\nlog of n" << one << ":\n" << (*this)[one].log();
    }
    return result;
  }
  std::vector<std::string> conninfos() {
    std::vector<std::string> result;
    for (std::size_t i = 0; i < size(); ++i)
      result.push_back((*this)[i].conninfo());
    return result;
  }
  /// The node ends in order when another one is asked to have it drained.
  void drain(std::size_t victim, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"node", "drain", "n" + std::to_string(victim)};
    words.insert(words.end(), more.begin(), more.end());
    const run_result told = ctl(*this, (victim + 1) % size(), words);
    BOOST_TEST(told.status == 0, told.out << told.err << (*this)[victim].log());
    BOOST_TEST(((*this)[victim].wait() == 0));
  }
  /// The test goes no further unless each node sees all that were started, and is there to be asked: it opens its
  /// doors, that of the API among them, after it has become a member.
  void require_agreement() {
    for (std::size_t i = 0; i < size(); ++i) {
      BOOST_REQUIRE(agree(i, names()));
      const bool answers =
          !serves_api() || wait_for([&] { return ask(api(i), "GET", "/healthz").status == 200; }, milliseconds(40000));
      BOOST_REQUIRE_MESSAGE(answers, (*this)[i].log());
    }
  }
};

/// Clients that ask one thing after another until they are stopped, each on one node.
class busy_clients {
public:
  void start(const pg_edge_process& node, int count, bool reconnects = false) {
    for (int i = 0; i < count; ++i)
      threads_.emplace_back([this, conninfo = node.conninfo(), reconnects] { work(conninfo, reconnects); });
  }
  ~busy_clients() { stop(); }
  void stop() {
    stopping_ = true;
    for (std::thread& one : threads_)
      one.join();
    threads_.clear();
  }
  long done() const { return done_; }
  long errors() const { return errors_; }
  std::string last_error() const {
    const std::lock_guard guard(mutex_);
    return last_error_;
  }
  /// Waits until so many more are done.
  bool progress(long more = 50, milliseconds limit = milliseconds(40000)) const {
    const long from = done_;
    return wait_for([&] { return done_ >= from + more; }, limit);
  }

private:
  void work(const std::string& conninfo, bool reconnects) {
    while (!stopping_) {
      try {
        pq client(conninfo);
        while (!stopping_) {
          if (client.value("select 'answer'") != "answer") throw test_failure("wrong answer");
          ++done_;
        }
      } catch (const std::exception& what) {
        if (stopping_) return;
        if (!reconnects) ++errors_;
        {
          const std::lock_guard guard(mutex_);
          last_error_ = what.what();
        }
        std::this_thread::sleep_for(milliseconds(50));
      }
    }
  }
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_ = false;
  std::atomic<long> done_ = 0, errors_ = 0;
  mutable std::mutex mutex_;
  std::string last_error_;
};

/// Clients that come by any of some addresses and connect again when they are told, between two transactions, that
/// their node ends. Each transaction writes a row of its own: what is lost, done twice or of unknown outcome is a
/// failure.
class roaming_clients {
public:
  /// `stays`: a client each, how many transactions it makes by one connection; 0: until that is ended.
  roaming_clients(std::vector<std::string> conninfos, const std::vector<long>& stays)
      : conninfos_(std::move(conninfos)) {
    postgres::shared().query("drop table if exists roamed");
    postgres::shared().query("create table roamed (client int, n int, primary key (client, n))");
    postgres::shared().query("grant all on roamed to public");
    for (std::size_t i = 0; i < stays.size(); ++i)
      threads_.emplace_back([this, i, stay = stays[i]] { work(static_cast<int>(i), stay); });
  }
  ~roaming_clients() { stop(); }
  void stop() {
    stopping_ = true;
    for (std::thread& one : threads_)
      one.join();
    threads_.clear();
  }
  bool progress(long more, milliseconds limit = milliseconds(40000)) const {
    const long from = done;
    return wait_for([&] { return done >= from + more || failures > 0; }, limit) && failures == 0;
  }
  std::string wrong() const {
    const std::lock_guard guard(mutex_);
    return wrong_;
  }
  /// Stops. Nothing has failed or run twice, some were told to go, and the pool never had more servers than its size.
  void expect_no_loss(const backend_watcher& watcher, int size) {
    stop();
    BOOST_TEST(wrong() == "");
    BOOST_TEST(failures == 0);
    BOOST_TEST(rows() == done);
    BOOST_TEST(told_to_go >= 3);
    BOOST_TEST(watcher.max() <= size);
    BOOST_TEST_MESSAGE("transactions " << done << ", told to go " << told_to_go << ", turned away " << turned_away
                                       << ", most backends " << watcher.max() << ", looks " << watcher.samples());
  }
  /// After stop().
  long rows() const { return std::stol(postgres::shared().query("select count(*) from roamed")); }
  std::atomic<long> done = 0, failures = 0, told_to_go = 0, turned_away = 0;

private:
  void work(int client, long stay) {
    long n = 0;
    for (std::size_t at = static_cast<std::size_t>(client); !stopping_; ++at) {
      pq connection = pq::attempt(conninfos_[at % conninfos_.size()]);
      if (!connection.ok()) { // another one may let it in
        if (++turned_away % 500 == 0) note("turned away again and again: " + connection.message());
        std::this_thread::sleep_for(milliseconds(20));
        continue;
      }
      for (long made = 0; !stopping_ && (stay == 0 || made < stay) && transaction(connection, client, n); ++made)
        ++n;
    }
  }
  /// False: connect again.
  bool transaction(pq& connection, int client, long n) {
    const pq_result begun = connection.try_exec("begin");
    if (!begun.ok()) {
      const std::string why = begun.message() + connection.last_words();
      if (why.find("terminating connection due to administrator command") == std::string::npos) note("begin: " + why);
      ++told_to_go;
      return false;
    }
    for (const std::string& sql :
         {"insert into roamed values (" + std::to_string(client) + ", " + std::to_string(n) + ")",
          std::string("commit")})
      if (const pq_result result = connection.try_exec(sql); !result.ok()) {
        note(sql + ": " + result.message() + connection.message());
        stopping_ = true;
        return false;
      }
    ++done;
    return true;
  }
  void note(const std::string& what) {
    ++failures;
    const std::lock_guard guard(mutex_);
    wrong_ += what + "\n";
  }

  std::vector<std::string> conninfos_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::string wrong_;
};

/// Debian's HAProxy in front of the nodes of these clusters: it asks /readyz of each, as docs/operations.md advises.
/// Once constructed it has asked every node: before that it takes each for one that serves.
class balancer {
public:
  explicit balancer(const std::vector<nodes*>& clusters)
      : conninfo_((*clusters.front())[0].conninfo() + " port=" + std::to_string(port_)) {
    std::string text = "global\n  maxconn 2000\n"
                       "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 5m\n  timeout server 5m\n"
                       "  retries 3\n  option redispatch\n"
                       "frontend postgres\n  bind 127.0.0.1:" +
                       std::to_string(port_) +
                       "\n  default_backend nodes\n"
                       "frontend figures\n  mode http\n  bind 127.0.0.1:" +
                       std::to_string(figures_port_) +
                       "\n  stats enable\n  stats uri /\n"
                       "backend nodes\n  balance leastconn\n  option httpchk GET /readyz\n"
                       // A node that is slow to answer is not one that says no: the machine may have much to do.
                       "  timeout check 10s\n"
                       "  http-check expect status 200\n  default-server inter 200ms fall 1 rise 1\n";
    std::size_t count = 0;
    for (nodes* one : clusters)
      for (std::size_t i = 0; i < one->size(); ++i, ++count)
        text += "  server " + one->name() + "n" + std::to_string(i) + " 127.0.0.1:" + std::to_string((*one)[i].port()) +
                " check port " + std::to_string(one->api(i)) + "\n";
    write_file(folder_ / "haproxy.cfg", text);
    process_options options;
    options.stderr_file = options.stdout_file = folder_ / "log";
    process_ = process({"/usr/sbin/haproxy", "-db", "-f", folder_ / "haproxy.cfg"}, options);
    if (!wait_for([&] { return asked() == count; }, milliseconds(20000)) || !pq::attempt(conninfo_).ok())
      throw test_failure("haproxy does not serve: " + read_file(folder_ / "log") + figures());
  }
  std::uint16_t port() const { return port_; }
  const std::string& conninfo() const { return conninfo_; }
  bool running() { return process_.running(); }
  /// What it counts and knows of every server, as CSV.
  std::string figures() const { return ask(figures_port_, "GET", "/;csv").body; }

private:
  /// How many nodes have answered a check, with yes or no.
  std::size_t asked() const {
    const std::string csv = figures();
    const std::regex answered(",(\\* )?L7(OK|STS),");
    return static_cast<std::size_t>(
        std::distance(std::sregex_iterator(csv.begin(), csv.end(), answered), std::sregex_iterator()));
  }

  temp_dir folder_;
  std::uint16_t port_ = free_port(), figures_port_ = free_port();
  std::string conninfo_;
  process process_;
};

} // namespace pg_edge::test
