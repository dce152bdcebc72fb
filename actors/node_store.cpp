// What a node reads before it opens an address: the store's objects and, where it is the cluster's, this node's number.
// A node of a cluster may run the store, etcd, itself.
#include "actors/cluster_store.hpp"
#include "actors/log.hpp"
#include "actors/node.hpp"

#include <utility>

namespace pg_edge::actors {

namespace {

void log_etcd(const etcd_child_status& now) {
  const bool good = now.state == etcd_child_state::starting || now.state == etcd_child_state::serving;
  log(good ? level::info : level::warning, log_event::etcd_child,
      {{"state", to_string(now.state)}, {"process", now.pid}, {"found_running", now.adopted}, {"why", now.why}});
}

std::unique_ptr<etcd_child> start_etcd(const config::cluster_settings& one) {
  auto out = std::make_unique<etcd_child>(etcd_child_options_of(one), log_etcd);
  if (!out->founded())
    log(level::warning, log_event::etcd_child,
        {{"state", to_string(etcd_child_state::unfounded)},
         {"process", 0},
         {"found_running", false},
         {"why", "pg_edgectl cluster init founds a new cluster here; pg_edgectl cluster join adds this node's etcd to "
                 "one that is there"}});
  return out;
}

} // namespace

bool node::read_store(std::string& why) {
  const config::settings& settings = *context_.settings()->values;
  if (!etcd_ && has_etcd_child(settings.cluster)) etcd_ = start_etcd(settings.cluster);
  if (!opened_) opened_ = std::make_unique<opened_store>(opened_store{open_store(settings), {}, {}});
  auto& [store, content, told] = *opened_;
  if (!store || content.read) return true;
  content = read_store_now(*store, store_root_of(settings));
  if (!settings.cluster.joined) return true; // alone, it goes on without
  if (content.read && !settings.cluster.link_listen.empty() && number_ == 0) {
    number_ = claim_number(*store, store_root_of(settings), settings.cluster.node, content.why);
    content.read = number_ != 0;
  }
  if (content.read) return true;
  why = "the store of the cluster cannot be read: " + store->name() + ": " + content.why;
  if (std::exchange(told, why) != why) {
    log(level::warning, log_event::store_awaited, {{"store", store->name()}, {"why", content.why}});
    service_manager::status("Waiting for the store: " + content.why);
  }
  return false;
}

} // namespace pg_edge::actors
