// The rows of the setting table that make a node one of a cluster. Nothing of them changes with a reload.
#include "config/setting_table.hpp"

namespace pg_edge::config {

namespace {

constexpr bool restart_only = false;
constexpr std::string_view group = "Cluster";

using c = cluster_settings;

constexpr setting_row rows[] = {
    {.name = "name",
     .sections = in_cluster,
     .of_cluster = &c::name,
     .reloadable = restart_only,
     .example = "\"production\"",
     .group = group,
     .help = "Name of the cluster, the same on all its nodes; several clusters may share one store under different "
             "names."},
    {.name = "node",
     .sections = in_cluster,
     .of_cluster = &c::node,
     .reloadable = restart_only,
     .example = "\"a\"",
     .group = group,
     .help = "Name of this node, its own among all of the cluster; the host's name unless set."},
    {.name = "listen",
     .sections = in_cluster,
     .of_cluster = &c::listen,
     .reloadable = restart_only,
     .example = "\"127.0.0.1:7432\"",
     .group = group,
     .help = "Address and port on which the other nodes reach this one."},
    {.name = "advertise",
     .sections = in_cluster,
     .of_cluster = &c::advertise,
     .reloadable = restart_only,
     .example = "\"\"",
     .group = group,
     .help = "Address and port that the other nodes are told, where it is not that of listen."},
    {.name = "link_listen",
     .sections = in_cluster,
     .of_cluster = &c::link_listen,
     .reloadable = restart_only,
     .example = "\"127.0.0.1:7433\"",
     .group = group,
     .help =
         "Address and port of this node for links of the others, by which a cancel request finds its query whatever "
         "node it reaches, and by which clients are served on the node where their small pool lives (with `listen`); "
         "empty: each node knows its own clients only."},
    {.name = "succeeds",
     .sections = in_cluster,
     .of_cluster = &c::succeeds,
     .reloadable = restart_only,
     .example = "\"\"",
     .group = group,
     .help = "Name of another cluster in the same store, which this one is to take over: it opens no server, and its "
             "clients wait, until `pg_edgectl cluster take-over` is given; the same on all its nodes. May stay set "
             "afterwards."},
    {.name = "store",
     .sections = in_cluster,
     .of_cluster = &c::store,
     .reloadable = restart_only,
     .example = "[\"http://127.0.0.1:2379\"]",
     .group = group,
     .help = "Client addresses of etcd's members, the same on all nodes: there stands what all nodes must agree on."},
    {.name = "etcd_listen",
     .sections = in_cluster,
     .of_cluster = &c::etcd_listen,
     .reloadable = restart_only,
     .example = "\"\"",
     .group = group,
     .help = "Address and port for clients of the etcd that this node starts and looks after, as \"10.0.0.1:2379\"; "
             "empty: it starts none. Three or five nodes of a cluster should."},
    {.name = "etcd_peer_listen",
     .sections = in_cluster,
     .of_cluster = &c::etcd_peer_listen,
     .reloadable = restart_only,
     .example = "\"\"",
     .group = group,
     .help = "Address and port of that etcd for its other members, as \"10.0.0.1:2380\"."},
    {.name = "etcd_folder",
     .sections = in_cluster,
     .of_cluster = &c::etcd_folder,
     .reloadable = restart_only,
     .example = "\"/var/lib/pg_edge/etcd\"",
     .group = group,
     .help = "Folder of that etcd, private to this node; it must outlast a restart."},
    {.name = "etcd_program",
     .sections = in_cluster,
     .of_cluster = &c::etcd_program,
     .reloadable = restart_only,
     .example = "\"etcd\"",
     .group = group,
     .help = "The program, looked up in PATH unless it is a path."},
    {.name = "certificate",
     .sections = in_cluster,
     .of_cluster = &c::certificate,
     .reloadable = restart_only,
     .rule = value_rule::readable_file,
     .example = "\"\"",
     .group = group,
     .help = "This node's certificate, for other nodes and for etcd; needed off loopback addresses."},
    {.name = "key",
     .sections = in_cluster,
     .of_cluster = &c::key,
     .reloadable = restart_only,
     .rule = value_rule::readable_file,
     .example = "\"\"",
     .group = group,
     .help = "Private key of certificate."},
    {.name = "ca",
     .sections = in_cluster,
     .of_cluster = &c::ca,
     .reloadable = restart_only,
     .rule = value_rule::readable_file,
     .example = "\"\"",
     .group = group,
     .help = "Authority that has signed the certificates of all nodes and of etcd, and of nobody else."},
    {.name = "failure_timeout",
     .sections = in_cluster,
     .of_cluster = &c::failure_timeout,
     .reloadable = restart_only,
     .example = "2",
     .group = group,
     .help = "A node that is silent for so long is given up, and its pools are served by the others; the same on all "
             "nodes."},
    {.name = "budget",
     .sections = in_cluster,
     .of_cluster = &c::budget,
     .reloadable = restart_only,
     .example = "\"strict\"",
     .group = group,
     .help = "What a node does with its permits while it cannot reach the store: strict gives them up, so that no "
             "pool is ever above its size; available goes on with them."},
};

} // namespace

std::span<const setting_row> cluster_rows() {
  return rows;
}

} // namespace pg_edge::config
