// Another process takes over from this one: what the node as a whole does then. Whose a client is stands in
// handover.hpp.
//
//   begun: doors closing, clients told -> clients move, or end -> (takeover_timeout: told to end)
//          '-> the last listener has gone: doors_closed    -> the last has gone, permits are given -> goodbye, finished
#include "actors/console_control.hpp"
#include "actors/listener.hpp"
#include "actors/log.hpp"
#include "actors/node_state.hpp"
#include "actors/service_manager.hpp"
#include "protocol/errors.hpp"

#include <unistd.h>
#include <utility>

namespace pg_edge::actors {

namespace {

/// How often clients that could not move are asked again.
constexpr std::chrono::milliseconds sweep_time{250};
/// Behind takeover_timeout, who is still in a transaction then is cut off.
constexpr std::chrono::seconds last_grace{60};

/// The sockets stay: should the other process die, this one listens again.
void keep_doors(node_context& context, bool theirs) {
  for (const opened_door& one : context.handover.doors())
    one.socket->keep_file(theirs);
}

} // namespace

author other_process(node_self self) {
  return {"process " + std::to_string(self->state.context->handover.other()), {}};
}

/// Another process has taken over: what this one has left ends with the settings it has.
reload_result refuse_reload(node_self self) {
  reload_result result;
  result.lines.push_back("process " + std::to_string(self->state.context->handover.other()) +
                         " has taken over from this one: reload that one");
  log(level::warning, log_event::settings_refused, {{"problem", result.lines.back()}});
  return result;
}

void open_doors(node_context& context, std::vector<caf::actor>& listeners) {
  for (const auto& [socket, door] : context.handover.doors()) {
    for (const auto& one : context.reactors)
      listeners.push_back(spawn_pinned<listener>(*one, context, socket, door));
    log(level::info, log_event::listening, {{"address", socket->name()}, {"listener", door}});
  }
}

/// With the last listener has gone whoever could still accept a client.
void tell_closed_doors(node_self self) {
  node_state& state = self->state;
  if (!state.handing_over || state.doors_closing > 0 || std::exchange(state.handing.doors_told, true)) return;
  state.context->handover.tell_closed_doors();
}

void begin_handing_over(node_self self) {
  node_state& state = self->state;
  state.handing_over = true;
  state.handing = {};
  state.handing.began = handover_watch::clock::now();
  keep_doors(*state.context, true);
  service_manager::main_process(state.context->handover.other());
  audit(self, {other_process(self), "TAKEOVER"});
  end_suspension(*state.context, "takeover");
  close_doors(self, "another process accepts connections");
  tell_closed_doors(self);
  if (!state.stopping) caf::anon_send(self, look_again_atom::value);
}

/// The new process has died: nothing that had not moved is lost.
void go_on_alone(node_self self) {
  node_state& state = self->state;
  if (!std::exchange(state.handing_over, false) || state.stopping) return;
  keep_doors(*state.context, false);
  audit(self, {other_process(self), "TAKEOVER", "undone: that process has died"});
  service_manager::main_process(::getpid());
  open_doors(*state.context, *state.listeners);
}

bool handed_over(node_self self) {
  node_state& state = self->state;
  node_context& context = *state.context;
  handover_watch& watch = state.handing;
  const auto now = handover_watch::clock::now();
  if (now - watch.swept >= sweep_time) {
    watch.swept = now;
    caf::anon_send(context.tenants, control_pools{control_word::hand_over, {}, 0});
  }
  if (context.clients.load(std::memory_order_relaxed) <= 0)
    return state.doors_closing == 0 && context.handover.finished(); // a listener may still bring one
  const end_clients word{protocol::make_error(protocol::error_code::shutting_down), true};
  // Only the console's clients are left: they see a process that has nothing any more.
  if (context.handover.permits.all_given() && !std::exchange(watch.console_ended, true))
    caf::anon_send(context.console, word);
  const auto limit = context.settings()->values->takeover_timeout;
  if (limit.count() == 0 || now - watch.began < limit) return false;
  if (watch.last_word == handover_watch::clock::time_point{}) {
    watch.last_word = now;
    log(level::warning, log_event::node_stopping,
        {{"mode", "takeover_timeout"}, {"clients", context.clients.load(std::memory_order_relaxed)}});
    caf::anon_send(context.tenants, word);
    caf::anon_send(context.console, word);
  }
  return now - watch.last_word >= last_grace;
}

} // namespace pg_edge::actors
