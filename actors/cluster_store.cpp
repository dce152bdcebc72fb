#include "actors/cluster_store.hpp"

#include "actors/etcd_store.hpp"
#include "actors/sqlite_store.hpp"
#include "cluster/store_keys.hpp"

namespace pg_edge::actors {

etcd_access etcd_access_of(const config::cluster_settings& one) {
  etcd_access out{one.store, one.ca, one.certificate, one.key};
  if (!has_etcd_child(one)) return out;
  const std::string own = etcd_child_options_of(one).endpoint();
  std::erase(out.endpoints, own);
  out.endpoints.insert(out.endpoints.begin(), own);
  return out;
}

bool has_etcd_child(const config::cluster_settings& one) {
  return one.joined && !one.etcd_listen.empty();
}

etcd_child_options etcd_child_options_of(const config::cluster_settings& one) {
  etcd_child_options out;
  out.program = one.etcd_program;
  out.folder = one.etcd_folder;
  out.name = one.node;
  out.cluster = one.name;
  out.client_address = one.etcd_listen;
  out.peer_address = one.etcd_peer_listen;
  out.ca_file = one.ca;
  out.cert_file = one.certificate;
  out.key_file = one.key;
  return out;
}

std::unique_ptr<cluster::store> open_store(const config::settings& settings) {
  if (settings.cluster.joined) return std::make_unique<etcd_store>(etcd_access_of(settings.cluster));
  return settings.store_path.empty() ? nullptr : std::make_unique<sqlite_store>(settings.store_path);
}

std::string store_root_of(const config::settings& settings) {
  return cluster::store_root(settings.cluster.joined ? std::string_view{settings.cluster.name}
                                                     : cluster::local_cluster);
}

} // namespace pg_edge::actors
