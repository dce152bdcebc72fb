// Which store a node has: the SQLite file of store_path for itself alone, or the etcd that [cluster] names, shared with
// the other nodes; and waiting for it at the start.
#pragma once

#include "actors/etcd_http.hpp"
#include "actors/etcd_members.hpp"
#include "cluster/store.hpp"
#include "config/settings.hpp"

#include <memory>
#include <string>

namespace pg_edge::actors {

/// How this node reaches the cluster's etcd: its own first, if it has one.
etcd_access etcd_access_of(const config::cluster_settings& one);

/// Whether this node starts an etcd of its own, and how.
bool has_etcd_child(const config::cluster_settings& one);
etcd_child_options etcd_child_options_of(const config::cluster_settings& one);

/// The store that the settings name; null: there is none.
std::unique_ptr<cluster::store> open_store(const config::settings& settings);

/// The prefix of everything that belongs to this node, or to its cluster.
std::string store_root_of(const config::settings& settings);

} // namespace pg_edge::actors
