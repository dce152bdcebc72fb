// Who is a member of the cluster's etcd: founding it, joining it, leaving it. Only ever by the word of a person, for
// two nodes that each found one would have two clusters of one name. Nothing here starts a process: the "plan" in the
// folder says with which members a process is to begin, and etcd_child starts it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pg_edge::actors {

struct etcd_child_options {
  std::string program = "etcd";
  std::string folder;                       // private; made if need be
  std::string name;                         // of the member: the node's
  std::string cluster;                      // nodes of another one are refused
  std::string client_address, peer_address; // "10.0.0.1:7433"
  std::string ca_file, cert_file, key_file; // mutual TLS for both; empty: plain, for loopback
  std::uint64_t quota_bytes = 512ULL << 20; // of its database; then it refuses to write

  std::string scheme() const { return ca_file.empty() ? "http" : "https"; }
  std::string endpoint() const { return scheme() + "://" + client_address; }
  std::string peer_url() const { return scheme() + "://" + peer_address; }
};

/// With which members it begins; what it has learned since is in its data.
struct etcd_plan {
  std::string members, state;
};
etcd_plan read_etcd_plan(const etcd_child_options& of);
bool etcd_founded(const etcd_child_options& of);

// -- these ask etcd, so they wait, a few seconds at most; false: `error` says why
// ---------------------------------------------------------

/// A cluster of its own, with this member alone.
bool found_etcd(const etcd_child_options& of, std::string& error);
/// A member of the cluster that is at these endpoints, with which it shares the authority.
bool join_etcd(const etcd_child_options& of, const std::vector<std::string>& endpoints, std::string& error);
/// No member any more. Not of the last member. `others`: endpoints to ask beside its own.
bool leave_etcd(const etcd_child_options& of, const std::vector<std::string>& others, std::string& error);

/// `ok`: HTTP said 200. The answer is empty if there was none.
std::string ask_etcd(const etcd_child_options& of, const std::string& endpoint, const std::string& path,
                     const std::string& body, bool& ok);
/// What /health answers.
bool says_healthy(const std::string& body);

} // namespace pg_edge::actors
