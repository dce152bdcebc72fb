// What the store says of the nodes that others may open links to: which number each name has, for ever, as cancel keys
// hold it; and where those that live now are to be found.
#pragma once

#include "cluster/store.hpp"
#include "config/network.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace pg_edge::cluster {

/// Of a node in cancel keys and on links; 0 is a node without a cluster.
using peer_number = std::uint16_t;

struct peer_record {
  std::string node;
  config::endpoint at; // of its links
  std::uint64_t incarnation = 0;
};
/// "a 10.0.0.1:7433 1795000000000000", and back.
std::string to_text(const peer_record& one);
std::optional<peer_record> parse_peer_record(std::string_view text);

/// The keys: root + "numbers/7", and root + "links/7", which goes with its node's lease.
std::string number_key(const std::string& root, peer_number number);
std::string link_key(const std::string& root, peer_number number);
inline std::string number_prefix(const std::string& root) {
  return root + "numbers/";
}
inline std::string link_prefix(const std::string& root) {
  return root + "links/";
}

/// Which number a node has among these entries of number_prefix().
struct number_choice {
  peer_number number = 0; // 0: all are taken
  bool claimed = false;   // it has it; else it is the lowest that is free, to be written if it does not exist
};
number_choice choose_number(const std::vector<store_entry>& entries, const std::string& root, const std::string& node);

/// Those that live, by number, without the one that asks. What cannot be read is left out.
std::map<peer_number, peer_record> read_peers(const std::vector<store_entry>& entries, const std::string& root,
                                              peer_number own);

} // namespace pg_edge::cluster
