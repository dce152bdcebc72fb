// Host-based rules, with the syntax and the decisions of Postgres 16's pg_hba.conf: who may come from where, and how
// they must prove who they are. Read by hba_parse.cpp, asked by decide() in hba_match.cpp.
#pragma once

#include "config/ident_map.hpp"
#include "config/network.hpp"

#include <memory>
#include <optional>
#include <span>

namespace pg_edge::config {

enum class hba_kind { local, host, hostssl, hostnossl, hostgssenc, hostnogssenc };
enum class hba_method { trust, reject, md5, scram_sha_256, password, cert, peer, pam };
enum class hba_certificate { any, verify_ca, verify_full }; // clientcert=
enum class hba_address { all, same_host, same_net, masked, name };

/// An address and the bits of it that count. Masks with gaps are fine, as in Postgres.
struct masked_address {
  ip_address address, mask;
  bool contains(const ip_address& one) const;
};

struct hba_rule {
  std::string file;
  int line = 0;
  hba_kind kind = hba_kind::local;
  std::vector<hba_name> databases, users;
  hba_address address = hba_address::all;
  masked_address range;  // when masked
  std::string host_name; // when name; with a dot in front every name below it
  hba_method method = hba_method::reject;
  hba_certificate clientcert = hba_certificate::any;
  bool whole_name = false; // clientname=DN: the whole subject counts, not its CN
  std::string map;
  std::string pam_service;       // pamservice=; empty: auth_pam_service
  bool pam_use_hostname = false; // PAM hears the client's name, not its address
};

struct hba_rules {
  std::vector<hba_rule> rules;
  ident_map maps;
  bool asks_interfaces = false; // some rule says samehost or samenet
  std::string text;             // of all lines, rules and maps: whether a reload found others

  /// Whether both are absent or say the same.
  static bool same(const hba_rules* one, const hba_rules* other);
};

/// The name of a client's address. `confirmed`: the addresses of that name contain the client's; else anybody who owns
/// the reverse zone may have written it, and it fits no rule.
struct hba_client_name {
  std::string name; // empty: it has none
  bool confirmed = false;
};

/// What the rules look at. `interfaces` are this machine's, needed when `asks_interfaces`.
struct hba_connection {
  std::optional<ip_address> address; // nullopt: a Unix socket
  bool tls = false;
  bool gss = false;
  std::string_view database, user;
  bool physical_replication = false; // logical replication counts as its database
  std::span<const masked_address> interfaces;
  const hba_client_name* name = nullptr; // null: not looked up yet
};

/// `rule`: the first that fits; null: there is none, so the client is refused. Also null when a regular expression of a
/// rule gives up on the client's name: what nobody can decide is refused.
struct hba_decision {
  const hba_rule* rule = nullptr;
  bool needs_name = false; // it hangs on the client's host name: look that up, and ask again
};
hba_decision decide(const hba_rules& rules, const hba_connection& who);

/// Whether a rule's host name fits that of a client; case does not count, and ".example.com" fits all names below it.
bool host_name_fits(std::string_view rule, std::string_view client);

/// Reads a rule file and, unless empty, a map file. Null when there are errors; all of them, each with its file and
/// line, are added to `problems`, and warnings too.
std::shared_ptr<const hba_rules> read_hba(const std::string& file, const std::string& ident_file, const outside& world,
                                          std::vector<problem>& problems);

std::string_view to_string(hba_method method);

} // namespace pg_edge::config
