// The address at which other nodes of the cluster open links to this one: tried until it can be had, and left to the
// process that takes over.
#include "actors/cluster_link.hpp"
#include "actors/cluster_store.hpp"
#include "actors/cluster_words.hpp"
#include "actors/log.hpp"
#include "actors/node.hpp"
#include "actors/relay.hpp"
#include "config/load.hpp"

#include <utility>

namespace pg_edge::actors {

namespace {

/// Between two tries to open the address for links.
constexpr std::chrono::seconds link_pause{1};

} // namespace

bool node::serve_other_nodes(link_identity self, const std::string& address, int port, std::string& error) {
  const auto made = actors::serve_other_nodes(context_, std::move(self), address, port, error);
  listeners_.insert(listeners_.end(), made.begin(), made.end());
  return !made.empty();
}

/// Links are the business of the process that serves: the one before it lets go of the address.
void node::look_at_links() {
  if (number_ == 0) return;
  if (context_.handover.giving()) {
    for (const caf::actor& one : std::exchange(link_doors_, {}))
      caf::anon_send(one, close_server{"another process accepts links"});
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (!link_doors_.empty() || now - links_tried_ < link_pause) return;
  links_tried_ = now;
  std::string error;
  if (!open_links(error) && std::exchange(links_fault_, error) != error)
    log(level::error, log_event::links_failed,
        {{"address", context_.settings()->values->cluster.link_listen}, {"why", error}});
}

bool node::open_links(std::string& error) {
  const config::cluster_settings& one = context_.settings()->values->cluster;
  const auto at = config::parse_endpoint(one.link_listen);
  if (!at) {
    error = "it is not in the settings any more";
    return false;
  }
  link_identity self;
  self.node = number_;
  self.incarnation = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  self.cluster = one.name;
  self.failure_timeout = std::chrono::duration_cast<std::chrono::milliseconds>(one.failure_timeout);
  if (!one.certificate.empty()) {
    tls_settings parts;
    parts.ca_file = one.ca;
    parts.cert_file = one.certificate;
    parts.key_file = one.key;
    const auto accept = make_client_tls_context(parts, config::tls_mode::verify_ca);
    const auto connect = make_server_tls_context(parts, config::tls_mode::verify_ca);
    error = accept.error + connect.error;
    if (!accept.context || !connect.context) return false;
    self.accept = accept.context;
    self.connect = connect.context;
  }
  const cluster::peer_record own{one.node, *at, self.incarnation};
  link_doors_ = actors::serve_other_nodes(context_, std::move(self), at->host, at->port, error);
  if (link_doors_.empty()) return false;
  if (this_cluster().node) { // the members' records say it
    caf::anon_send(this_cluster().node, links_opened{});
    return true;
  }
  peers_.reset(); // of a time before a takeover that failed
  peers_ = std::make_unique<peer_registry>(context_.links, open_store(*context_.settings()->values),
                                           store_root_of(*context_.settings()->values), number_, own);
  return true;
}

} // namespace pg_edge::actors
