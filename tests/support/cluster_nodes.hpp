// Several nodes on one machine: each is a process of its own on loopback ports, or on a host of its own of a network
// that can be cut; the store is a real etcd. For the tests of clusters and for their soak.
#pragma once

#include "tests/actors/etcd_process.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/network.hpp"
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"

#include <memory>
#include <optional>
#include <set>
#include <string>
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
  std::string tables{}; // at the end of the file: databases beside those of simple_toml
};

/// One for all: each test has a cluster of another name in it.
actors::etcd_process& etcd();

class cluster_nodes {
public:
  /// Starts them all.
  explicit cluster_nodes(cluster_options options = {});

  pg_edge_process& operator[](std::size_t i) { return *all_.at(i); }
  std::size_t size() const { return all_.size(); }
  int permits() const { return options_.size; }
  const std::string& name() const { return name_; }
  const std::string& address(std::size_t i) const { return addresses_.at(i); }
  /// Whether the test can ask it: not in a network of its own.
  bool serves_api() const { return options_.api && options_.hosts == nullptr; }
  std::uint16_t api(std::size_t i) const { return apis_.at(i); }
  std::string folder() const { return folder_.path(); }

  /// Who connects to a node on a host of its own must be there.
  std::optional<network::visit> at(std::size_t i) const;
  /// One more.
  pg_edge_process& add();
  std::string toml(std::size_t i, const std::string& certificate = "node") const;
  /// Writes every node's file with other tables at its end; SIGHUP them to have it read.
  void change_tables(const std::string& tables);
  void certify(const std::string& name, const certificate_authority& by) const;
  /// Theirs alone if they are on hosts; it must be visited there to be started anew: see on_switch().
  actors::etcd_process& store() { return own_store_ ? *own_store_ : etcd(); }

  /// Of all nodes but some: "n0,n2".
  std::string names(const std::set<std::size_t>& but = {}) const;
  /// Who is a member by what the node's log said last. Sorted by name: a view has them in the order in which they came.
  std::string last_members(std::size_t i) const;
  /// Of how many members the node says that it can speak to them, itself among them. Throws pq_error.
  std::size_t members_in_reach(std::size_t i) const;
  /// Whether every node can speak to every other: a node that stands still before that has told nobody what it has, and
  /// two that call each other at the same moment lose one connection and begin again.
  bool all_connected(milliseconds limit = milliseconds(40000)) const;

private:
  std::string store_url() const { return own_store_ ? own_store_->url() : etcd().url(); }
  void start_store();

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
run_result ctl(const cluster_nodes& all, std::size_t node, const std::vector<std::string>& words);

} // namespace pg_edge::test
