#include "actors/cluster_state.hpp"
#include "config/network.hpp"

#include <caf/io/all.hpp>
#include <caf/openssl/all.hpp>

#include <algorithm>

namespace pg_edge::actors {

namespace {

using clock = cluster_state::clock;
using cluster::node_core;

/// Between two tries to reach an address.
constexpr std::chrono::milliseconds first_pause{100}, longest_pause{2000};
/// CAF and the other node have so long to answer.
constexpr std::chrono::seconds greeting_limit{5};

} // namespace

cluster::node_hello cluster_state::own_hello(bool answer) const {
  return {settings.name,
          settings.node,
          settings.address(),
          std::string("pg_edge ") + PG_EDGE_VERSION,
          answer,
          static_cast<std::uint32_t>(alive_period(failure_timeout()).count())};
}

void cluster_state::send_raw(const caf::actor& to, const cluster::node_message& what, std::uint64_t incarnation) {
  self->send(to, node_envelope{cluster::encode(what), incarnation});
}

const std::string* cluster_state::address_of(const caf::actor_addr& handle) const {
  for (const auto& [address, one] : peers)
    if (one.handle && one.handle.address() == handle) return &address;
  return nullptr;
}

void cluster_state::look_after_peers() {
  const auto now = clock::now();
  const auto& registered = core->members().registered();
  for (const auto& [name, one] : registered)
    if (name != settings.node) peers[one.record.address].name = name;
  std::erase_if(peers, [&](const auto& one) { // who is away is called again while the store knows it, no longer
    return one.second.state == way::unknown &&
           std::none_of(registered.begin(), registered.end(),
                        [&](const auto& other) { return other.second.record.address == one.first; });
  });
  for (auto& [address, whom] : peers) {
    if (whom.state == way::unknown && now >= whom.next_try) dial(address, whom);
    const bool waits = whom.state == way::connecting || whom.state == way::greeting;
    if (!waits || now - whom.since <= greeting_limit) continue;
    if (whom.handle)
      end_connection(whom.handle.node()); // it may be one of before, of which CAF does not know that it is dead
    failed(address, "no answer to hello");
  }
}

void cluster_state::dial(const std::string& address, peer& whom) {
  if (leaving) return;
  whom.state = way::probing;
  whom.since = clock::now();
  probe_address(self, address);
}

caf::io::middleman_actor cluster_state::middleman() const {
  auto& system = self->system();
  return uses_tls(settings) ? system.openssl_manager().actor_handle() : system.middleman().actor_handle();
}

void cluster_state::connect(const address_probed& result) {
  const auto found = peers.find(result.address);
  if (found == peers.end() || found->second.state != way::probing) return;
  if (!result.error.empty()) return failed(result.address, result.error);
  const auto parts = config::parse_endpoint(result.address);
  found->second.state = way::connecting;
  found->second.since = clock::now();
  self->request(middleman(), greeting_limit, caf::connect_atom::value, parts->host, parts->port)
      .then(
          [this, address = result.address](const caf::node_id&, caf::strong_actor_ptr& handle,
                                           const std::set<std::string>&) {
            if (handle)
              greet(address, caf::actor_cast<caf::actor>(handle));
            else
              failed(address, "nobody of pg_edge listens there", true);
          },
          [this, address = result.address](caf::error& error) {
            const std::string text = self->system().render(error);
            failed(address,
                   uses_tls(settings)
                       ? "no TLS connection that both sides trust (is its certificate of the same ca? is "
                         "ours?): " +
                             text
                       : text,
                   true);
          });
}

void cluster_state::greet(const std::string& address, const caf::actor& handle) {
  peer& whom = peers[address];
  if (whom.state == way::connected && whom.handle == handle) return;
  whom.state = way::greeting;
  whom.since = clock::now();
  whom.handle = handle;
  self->monitor(handle);
  send_raw(handle, own_hello(false));
}

/// `tell`: a reason for people to act, not just an address where nobody listens yet.
void cluster_state::failed(const std::string& address, const std::string& why, bool tell) {
  peer& whom = peers[address];
  if (whom.state == way::connected) return;
  whom.state = way::unknown;
  whom.handle = nullptr;
  whom.pause = std::clamp(whom.pause * 2, 2 * first_pause, longest_pause);
  whom.next_try = clock::now() + whom.pause;
  if (std::exchange(whom.error, why) != why)
    log(tell ? level::warning : level::info, tell ? cluster_events::refused : cluster_events::lost,
        {{"address", address}, {"node", whom.name}, {"reason", why}});
}

void cluster_state::connected(const cluster::node_hello& what, const caf::actor& handle) {
  const std::string &address = what.address, &name = what.name;
  peer& whom = peers[address];
  whom.heard = clock::now();
  whom.alive_every = std::chrono::milliseconds(what.alive_every_ms);
  // CAF takes a handle over a new connection for equal to one over an old one, and the old one leads nowhere.
  const bool same = whom.handle == handle;
  whom.handle = handle;
  if (whom.state == way::connected && same) return;
  whom.state = way::connected;
  whom.name = name;
  whom.error.clear();
  whom.pause = {};
  log(level::info, cluster_events::connected, {{"address", address}, {"node", name}});
  core->reconnected(now_ms(), address);
  send_roster();
  repeat_drain(name);
}

/// It is called again soon.
void cluster_state::forget(peer& whom) {
  whom.state = way::unknown;
  whom.handle = nullptr;
  whom.next_try = clock::now() + first_pause;
}

void cluster_state::down(const caf::down_msg& message) {
  const std::string* address = address_of(message.source);
  if (address == nullptr) return;
  peer& whom = peers[*address];
  if (whom.state == way::connected) return lose(*address, whom, "the connection has ended");
  forget(whom);
  if (whom.error.empty()) failed(*address, "the connection ended before hello was answered");
}

void cluster_state::lose(const std::string& address, peer& whom, const std::string& why) {
  forget(whom);
  whom.error = why;
  log(level::warning, cluster_events::lost, {{"address", address}, {"node", whom.name}, {"reason", why}});
}

void cluster_state::on_hello(const cluster::node_hello& what, std::uint16_t version, const caf::actor& from) {
  const std::string why = cluster::mismatch(own_hello(false), what, version);
  if (!why.empty()) {
    log(level::warning, cluster_events::refused, {{"address", what.address}, {"node", what.name}, {"reason", why}});
    return send_raw(from, cluster::node_refusal{why});
  }
  if (!what.answer) {
    self->monitor(from);
    send_raw(from, own_hello(true));
  }
  connected(what, from);
}

void cluster_state::on_envelope(const node_envelope& envelope) {
  const auto from = caf::actor_cast<caf::actor>(self->current_sender());
  if (!from) return;
  const auto read = cluster::decode(envelope.raw);
  if (read.malformed) {
    log(level::error, cluster_events::refused, {{"reason", "a message that cannot be read"}});
    return;
  }
  if (!read.what) return; // of a later release: it knows that we may not know it
  if (const auto* hello = std::get_if<cluster::node_hello>(&*read.what)) return on_hello(*hello, read.version, from);
  const std::string* address = address_of(from.address());
  if (address == nullptr) return;
  if (const auto* refused = std::get_if<cluster::node_refusal>(&*read.what))
    return failed(*address, refused->why, true);
  peer& whom = peers[*address];
  if (whom.state != way::connected) return;
  whom.heard = clock::now();
  if (std::holds_alternative<cluster::node_alive>(*read.what)) return;
  const node_core::sender sender{whom.name, envelope.incarnation};
  if (const auto* roster = std::get_if<cluster::roster>(&*read.what)) {
    if (cluster::has_member(core->members().current(), sender.name, roster->incarnation))
      rosters[roster->node] = {roster->incarnation, clock::now(), roster->backends};
    return;
  }
  if (const auto* cancel = std::get_if<cluster::cancel_forward>(&*read.what)) {
    if (const caf::actor whom = node->cancels.find(cancel->process_id, cancel->secret))
      caf::anon_send(whom, cancel_client{});
    return;
  }
  if (const auto* drain = std::get_if<cluster::node_drain>(&*read.what)) {
    if (cluster::has_member(core->members().current(), sender.name, sender.incarnation)) on_drain(*drain, sender.name);
    return;
  }
  core->on_message(now_ms(), sender, *read.what);
}

} // namespace pg_edge::actors
