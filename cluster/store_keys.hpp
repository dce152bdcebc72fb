// The keys of the store: the one list of what stands where. Names in keys are percent-encoded where they hold '/', '%',
// blanks or control bytes, so that a name can never reach into another folder.
//
//   /pg_edge/<cluster>/                the cluster's name; "local" on a node without one
//     tenants/<tenant>                 run-time objects, as JSON (config/objects.hpp)
//     databases/<tenant>/<database>
//     users/<tenant>/<user>
//     settings/<name>                  global settings set at run time
//     bans/<kind>/<tenant>/<name>      kind: tenant, user, address; address bans have the tenant "-"
//     audit/<time>-<n>                 who changed what; the newest are kept
//     migrated                         the SQLite file whose objects pg_edgectl cluster init has copied
//     numbers/<number>                 the name of the node that has this number in cancel keys  } peer_record.hpp
//     links/<number>                   where it is to be found, with its lease                   }
//     cluster/nodes/<node>             live nodes, each with its lease        } cluster/membership.hpp
//     cluster/leaving/<node>           of those, the ones about to leave      }
//     cluster/view                     who is in the cluster, by epoch        }
//     succession/state                 one cluster takes over another: how far it is  } succession_record.hpp
//     succession/held/<node>           what a node of the one that gives still has    }
//     postgres/<cluster>/...           high availability: primary, epoch, lease
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pg_edge::cluster {

/// The cluster's name on a node that is in none.
inline constexpr std::string_view local_cluster = "local";

/// A name as it stands between two slashes.
std::string key_part(std::string_view name);
/// nullopt: no key_part() made this.
std::optional<std::string> name_of_part(std::string_view part);

/// "/pg_edge/<cluster>/", the prefix of everything.
std::string store_root(std::string_view cluster);

/// Root + "tenants/" + key_part("acme"): store_key(root, "databases", {tenant, database}).
std::string store_key(std::string_view root, std::string_view folder, const std::vector<std::string_view>& names);

/// The names of a key under root + folder + "/"; nullopt if it is none.
std::optional<std::vector<std::string>> names_of_key(std::string_view root, std::string_view folder,
                                                     std::string_view key);

} // namespace pg_edge::cluster
