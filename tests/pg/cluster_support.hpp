// Several nodes on one machine, for the tests of clusters: each is a process of its own on loopback ports; the store is
// a real etcd.
#pragma once

#include "tests/actors/etcd_process.hpp"
#include "tests/pg/api_support.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/folders.hpp"
#include "tests/support/network.hpp"
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace pg_edge::test {

inline constexpr int pool_size = 4;
// Longer than the default: the machine of a test may be so busy that a node is silent for a second or two.
inline constexpr const char* failure_timeout = "3";

struct cluster_options {
  std::size_t nodes = 3;
  std::string settings; // of [pg_edge]
  std::string more;     // of [cluster]
  bool tls = false;
  bool links = false;
  bool api = false;     // serves the admin API, with api_boss as its token
  int size = pool_size; // of the pool
  // Each node on a host of its own, with Postgres by its Unix socket; needs `tls`. Not the test's own thread: see at().
  const network* hosts = nullptr;
};

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

/// One for all: each test has a cluster of another name in it.
inline actors::etcd_process& etcd() {
  static actors::etcd_process one;
  return one;
}

class nodes {
public:
  explicit nodes(cluster_options options = {}) : options_(std::move(options)) {
    postgres::shared().wait_until_left("trust_user", milliseconds(30'000));
    static int clusters = 0;
    name_ = "test" + std::to_string(++clusters);
    if (options_.tls) {
      write_file(folder_ / "ca.crt", authority_.certificate());
      certify("node", authority_);
    }
    if (options_.hosts != nullptr) start_store();
    for (std::size_t i = 0; i < options_.nodes; ++i)
      add();
  }

  pg_edge_process& operator[](std::size_t i) { return *all_.at(i); }
  std::size_t size() const { return all_.size(); }
  int permits() const { return options_.size; }
  const std::string& address(std::size_t i) const { return addresses_.at(i); }
  std::uint16_t api(std::size_t i) const { return apis_.at(i); }
  std::string folder() const { return folder_.path(); }

  /// Who connects to a node on a host of its own must be there.
  std::optional<network::visit> at(std::size_t i) const {
    if (options_.hosts == nullptr) return std::nullopt;
    return options_.hosts->on(i);
  }

  /// One more.
  pg_edge_process& add() {
    const std::size_t i = all_.size();
    const auto there = at(i);
    if (i >= addresses_.size()) {
      const std::string host = (there ? network::address(i) : "127.0.0.1") + ":";
      addresses_.push_back(host + std::to_string(free_port()));
      links_.push_back(host + std::to_string(free_port()));
      apis_.push_back(free_port());
    }
    all_.push_back(std::make_unique<pg_edge_process>(toml(i)));
    return *all_.back();
  }

  const std::string& name() const { return name_; }
  std::string toml(std::size_t i, const std::string& certificate = "node") const {
    std::string text = "[cluster]\nname = \"" + name_ + "\"\nnode = \"n" + std::to_string(i) + "\"\nlisten = \"" +
                       addresses_.at(i) + "\"\nstore = [\"" + store_url() + "\"]\n" + options_.more;
    if (options_.more.find("failure_timeout") == std::string::npos)
      text += std::string("failure_timeout = ") + failure_timeout + "\n";
    if (options_.links) text += "link_listen = \"" + links_.at(i) + "\"\n";
    if (options_.tls)
      text += "certificate = \"" + (folder_ / (certificate + ".crt")) + "\"\nkey = \"" +
              (folder_ / (certificate + ".key")) + "\"\nca = \"" + (folder_ / "ca.crt") + "\"\n";
    if (options_.api)
      text += "[admin]\nlisten = \"127.0.0.1:" + std::to_string(apis_.at(i)) +
              "\"\n[admin.tokens.boss]\nrole = \"admin\"\ntoken = \"" + api_boss + "\"\n";
    std::string all =
        simple_toml("reactors = 2\nadmin_users = \"trust_user\"\nmax_client_conn = 500\ndefault_pool_size = " +
                        std::to_string(options_.size) + "\n" + options_.settings,
                    text);
    const std::string by_tcp = "host = \"127.0.0.1\"\n";
    if (options_.hosts != nullptr)
      for (std::size_t at = 0; (at = all.find(by_tcp, at)) != std::string::npos;)
        all.replace(at, by_tcp.size(), "host = \"{postgres_socket}\"\n");
    return all;
  }

  void certify(const std::string& name, const certificate_authority& by) const {
    std::string places = "DNS:localhost,IP:127.0.0.1";
    if (options_.hosts != nullptr)
      for (std::size_t i = 0; i < options_.nodes; ++i)
        places += ",IP:" + network::address(i);
    const auto leaf = by.issue(name, places);
    write_file(folder_ / (name + ".crt"), leaf.certificate);
    write_file(folder_ / (name + ".key"), leaf.key);
  }

  /// Of all nodes but some: "n0,n2".
  std::string names(const std::set<std::size_t>& but = {}) const {
    std::string text;
    for (std::size_t i = 0; i < size(); ++i)
      if (!but.contains(i)) text += (text.empty() ? "n" : ",n") + std::to_string(i);
    return text;
  }
  /// Whether the node's log says that these, and nobody else, are the members by now; with all logs if not.
  boost::test_tools::assertion_result agree(std::size_t i, const std::string& members,
                                            milliseconds limit = milliseconds(40000)) {
    boost::test_tools::assertion_result result(wait_for([&] { return last_members(i) == members; }, limit));
    if (!result) {
      result.message() << "n" << i << " sees \"" << last_members(i) << "\", not \"" << members << "\"";
      for (std::size_t one = 0; one < size(); ++one)
        result.message() << "\nlog of n" << one << ":\n" << all_[one]->log();
    }
    return result;
  }
  /// The test goes no further unless each node sees all that were started.
  void require_agreement() {
    for (std::size_t i = 0; i < size(); ++i)
      BOOST_REQUIRE(agree(i, names()));
  }
  /// Whether every node can speak to every other: a node that stands still before that has told nobody what it has, and
  /// two that call each other at the same moment lose one connection and begin again.
  bool all_connected(milliseconds limit = milliseconds(40000)) {
    return wait_for(
        [&] {
          for (const auto& one : all_) {
            const pq_result rows = pq(one->conninfo("trust_user", "pgbouncer")).exec("show nodes");
            std::size_t members = 0; // who cannot be spoken to is "unreachable"
            for (int row = 0; row < rows.rows(); ++row)
              members += rows.value(row, 3) == "member" ? 1 : 0;
            if (members != all_.size()) return false;
          }
          return true;
        },
        limit);
  }
  /// Sorted by name: a view has them in the order in which they came.
  std::string last_members(std::size_t i) const {
    const std::string log = all_[i]->log();
    const std::size_t line = log.rfind("event=cluster_view");
    if (line == std::string::npos) return {};
    const std::size_t at = log.find("members=", line);
    std::string value = log.substr(at + 8, log.find_first_of(" \n", at) - at - 8);
    std::erase(value, '"');
    std::set<std::string> names;
    for (std::istringstream in(value); std::getline(in, value, ',');)
      names.insert(value);
    value.clear();
    for (const std::string& name : names)
      value += (value.empty() ? "" : ",") + name;
    return value;
  }

private:
  std::string store_url() const { return own_store_ ? own_store_->url() : etcd().url(); }
  /// On the switch of the hosts, where TLS is needed.
  void start_store() {
    const auto there = options_.hosts->on_switch();
    const auto leaf = authority_.issue("etcd", "IP:" + network::switch_address());
    write_file(folder_ / "etcd.crt", leaf.certificate);
    write_file(folder_ / "etcd.key", leaf.key);
    own_store_ = std::make_unique<actors::etcd_process>(
        actors::etcd_process::tls_arguments(folder_ / "ca.crt", folder_ / "etcd.crt", folder_ / "etcd.key"), "https",
        network::switch_address());
  }

  cluster_options options_;
  std::string name_;
  temp_dir folder_;
  certificate_authority authority_;
  std::vector<std::string> addresses_, links_;
  std::vector<std::uint16_t> apis_;
  std::unique_ptr<actors::etcd_process> own_store_;
  std::vector<std::unique_ptr<pg_edge_process>> all_;
};

/// pg_edgectl, asking that node.
inline run_result ctl(const nodes& all, std::size_t node, std::vector<std::string> words) {
  std::vector<std::string> argv{std::string(build_folder) + "/pg_edgectl", "--url",
                                "http://127.0.0.1:" + std::to_string(all.api(node)), "--token", api_boss};
  argv.insert(argv.end(), words.begin(), words.end());
  return run(argv, milliseconds(90000));
}

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

} // namespace pg_edge::test
