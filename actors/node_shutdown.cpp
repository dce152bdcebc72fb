// How a node stops: with notice or without, at once or when its clients have gone, and as a member of a cluster when
// Postgres has closed its connections.
#include "actors/cluster_link.hpp"
#include "actors/cluster_words.hpp"
#include "actors/console_control.hpp"
#include "actors/log.hpp"
#include "actors/node_state.hpp"
#include "actors/relay.hpp"
#include "actors/service_manager.hpp"
#include "protocol/errors.hpp"

namespace pg_edge::actors {

namespace {

/// Connections that Postgres has not closed by then are left for the other nodes to look after.
constexpr std::chrono::seconds closing_limit{5};

/// Load balancers and the other nodes look elsewhere from now on.
void announce_end(node_self self) {
  self->state.context->leaving = true;
  if (this_cluster().node) caf::anon_send(this_cluster().node, announce_leaving{});
}

/// Without a client left, the node closes its servers, and when Postgres has none of them any more it leaves the
/// cluster and says so: nobody has to look for what it held.
///
///   serving --(servers told)--> closing --(all gone, or closing_limit)--> leaving --(the others know)--> left
bool has_left_cluster(node_self self) {
  node_state& state = self->state;
  const caf::actor cluster = this_cluster().node;
  if (!cluster || state.handing_over) return true;
  const auto now = std::chrono::steady_clock::now();
  const bool gone = state.context->gates.servers({}) == 0;
  switch (state.out) {
  case way_out::serving:
    state.context->gates.pause({});
    caf::anon_send(state.context->tenants, control_pools{});
    state.closing_since = now;
    state.out = way_out::closing;
    return false;
  case way_out::closing:
    if (!gone && now - state.closing_since < closing_limit) return false;
    state.out = way_out::leaving;
    self->request(cluster, closing_limit, leave_cluster{gone})
        .then([self](const left_cluster&) { self->state.out = way_out::left; },
              [self](const caf::error&) { self->state.out = way_out::left; });
    return false;
  case way_out::leaving:
    return false;
  case way_out::left:
    return true;
  }
  return true;
}

} // namespace

std::string_view describe_mode(shutdown_mode mode) {
  return mode == shutdown_mode::wait_for_clients   ? "wait for clients"
         : mode == shutdown_mode::wait_for_servers ? "wait for servers"
                                                   : "at once";
}

/// Clients are still let in: who asks for readiness has time to notice.
void give_notice(node_self self, const shut_down& message) {
  announce_end(self);
  log(level::info, log_event::node_stopping,
      {{"mode", "notice"}, {"clients", self->state.context->clients.load(std::memory_order_relaxed)}});
  self->delayed_send(self, message.notice, notice_over_atom::value, static_cast<std::uint8_t>(message.mode));
}

/// A listener may have accepted somebody before it reads this: until it is gone there may be clients to come.
void close_doors(node_self self, const std::string& why) {
  node_state& state = self->state;
  for (const caf::actor& listener : *state.listeners) {
    ++state.doors_closing;
    self->monitor(listener);
    caf::anon_send(listener, close_server{why});
  }
  state.listeners->clear();
}

void begin_shutdown(node_self self, shutdown_mode mode) {
  node_state& state = self->state;
  announce_end(self);
  state.context->draining = true; // before the log says so: who reads that line may rely on it
  log(level::info, log_event::node_stopping,
      {{"mode", describe_mode(mode)}, {"clients", state.context->clients.load(std::memory_order_relaxed)}});
  service_manager::stopping("Stopping: " + std::string(describe_mode(mode)));
  end_suspension(*state.context, "shutdown");
  state.context->handover.close_doors();
  close_doors(self, "shutdown");
  // A second word means: now.
  if (mode == shutdown_mode::at_once || state.stopping) {
    *state.finished = true;
    return;
  }
  state.stopping = true;
  for (const caf::actor& one : state.context->surveyors)
    caf::anon_send(one, end_relayed_clients{mode == shutdown_mode::wait_for_servers});
  if (mode == shutdown_mode::wait_for_servers) {
    const end_clients word{protocol::make_error(protocol::error_code::shutting_down), true};
    caf::anon_send(state.context->tenants, word);
    caf::anon_send(state.context->console, word);
  }
  caf::anon_send(self, look_again_atom::value);
}

/// A listener that is still closing may bring one more client, whom a node that has left could not serve.
bool shut_down_is_over(node_self self) {
  node_state& state = self->state;
  return state.doors_closing == 0 && state.context->clients.load(std::memory_order_relaxed) <= 0 &&
         has_left_cluster(self);
}

} // namespace pg_edge::actors
