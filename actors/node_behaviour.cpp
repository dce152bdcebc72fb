// What the actor of the node is told: to reload, to stop, that another process takes over.
#include "actors/log.hpp"
#include "actors/node_state.hpp"
#include "actors/service_manager.hpp"

namespace pg_edge::actors {

namespace {

/// How often a node that drains looks whether its clients have gone.
constexpr std::chrono::milliseconds drain_look{50};

std::string result_text(const reload_result& result) {
  if (result.applied) return std::string(audit_done);
  return "refused: " + (result.lines.empty() ? std::string("nothing was changed") : result.lines.front());
}

reload_result reload(node_self self) {
  service_manager::reloading();
  reload_result result = self->state.settings->reload();
  service_manager::ready("Serving");
  return result;
}

} // namespace

void audit(node_self self, note_audit what) {
  caf::anon_send(self->state.context->objects, std::move(what));
}

inner_node_actor::behavior_type node_behaviour(node_self self, node_context* context, std::string file,
                                               std::vector<caf::actor>* listeners, std::atomic<bool>* finished) {
  self->state.context = context;
  self->state.settings = std::make_unique<live_settings>(*context, std::move(file));
  self->state.listeners = listeners;
  self->state.finished = finished;
  self->set_down_handler([self](const caf::down_msg&) {
    --self->state.doors_closing;
    tell_closed_doors(self);
  });
  return {
      [self](const reload_settings& wanted) {
        self->state.stats.note(self);
        reload_result result = self->state.handing_over ? refuse_reload(self) : reload(self);
        audit(self, {wanted.by, "RELOAD", result_text(result)});
        return result;
      },
      [self](const take_objects& message) {
        self->state.stats.note(self);
        return self->state.settings->take(message.now);
      },
      [self](const shut_down& message) {
        self->state.stats.note(self);
        audit(self, {message.by, "SHUTDOWN, " + std::string(describe_mode(message.mode))});
        const bool known = self->state.stopping || self->state.context->leaving.load(std::memory_order_relaxed);
        if (message.notice.count() > 0 && !known && message.mode != shutdown_mode::at_once)
          give_notice(self, message);
        else
          begin_shutdown(self, message.mode);
      },
      [self](notice_over_atom, std::uint8_t mode) {
        self->state.stats.note(self);
        if (!self->state.stopping) begin_shutdown(self, static_cast<shutdown_mode>(mode));
      },
      [self](const set_setting& wanted) {
        self->state.stats.note(self);
        reload_result result = self->state.settings->set(wanted.key, wanted.value);
        audit(self, {wanted.by, "SET", result_text(result), {wanted.key}});
        return result;
      },
      [self](const handover_news& news) {
        self->state.stats.note(self);
        if (news.what == handover_news::begun)
          begin_handing_over(self);
        else
          go_on_alone(self);
      },
      [self](look_again_atom) {
        self->state.stats.note(self);
        node_state& state = self->state;
        if (!state.handing_over && !state.stopping) return; // the other process has died
        const bool done = state.handing_over ? handed_over(self) : shut_down_is_over(self);
        if (done && state.doors_closing == 0) {
          state.context->draining = true; // what the reactors end now has not failed
          *state.finished = true;
        } else {
          self->delayed_send(self, drain_look, look_again_atom::value);
        }
      },
  };
}

} // namespace pg_edge::actors
