#include "actors/metrics.hpp"

#include "actors/cluster_link.hpp"
#include "actors/control_stats.hpp"
#include "actors/log.hpp"
#include "actors/meter.hpp"
#include "actors/metric_table.hpp"
#include "actors/node_context.hpp"

#include <caf/actor_registry.hpp>
#include <caf/stateful_actor.hpp>

#include <functional>

namespace pg_edge::actors {

namespace {

using tick_atom = caf::atom_constant<caf::atom("second")>;
using patience_atom = caf::atom_constant<caf::atom("patience")>;
using inner_metrics = metrics_actor::extend<caf::reacts_to<tick_atom>, caf::reacts_to<patience_atom, std::uint64_t>>;
using clock = window_clock::clock;

constexpr caf::atom_value registered_name = caf::atom("metrics");

constexpr std::chrono::seconds period{1};
/// How often it is looked at which tenants have names in /metrics, in ticks.
constexpr std::uint64_t rank_period = 60;

class metrics_state {
public:
  metrics_state(inner_metrics::pointer self, node_context& node)
      : self_(self), node_(node), meters_(spawn_meters(node)), throughput_(node.started) {}

  void note_message() { stats_.note(self_); }
  void begin_tick();
  void take(const meter_reading& reading);
  void lose_patience(std::uint64_t round);
  /// Calls `answer` when the meters have been read. `states`: and how pools stand.
  void ask(bool states, std::function<void()> answer);

  template <class Answer>
  caf::typed_response_promise<Answer> later(bool states, std::function<Answer()> make) {
    auto promise = self_->make_response_promise<Answer>();
    ask(states, [promise, make = std::move(make)]() mutable { promise.deliver(make()); });
    return promise;
  }
  throughput_answer rows(const throughput_question& question) const { return {throughput_.rows(question)}; }
  figures_answer figures() const { return {errors_.rows(throughput_.times()), reactors_.rows(throughput_.times())}; }
  metrics_page page() const;

private:
  void read();
  void finish();

  control_stats stats_{actor_kind::other};
  inner_metrics::pointer self_;
  node_context& node_;
  std::vector<caf::actor> meters_;
  throughput_ledger throughput_;
  series_ledger series_;
  error_ledger errors_;
  reactor_ledger reactors_;
  std::vector<pool_state> states_; // of the last reading that asked for them

  struct question {
    bool states = false;
    std::function<void()> answer;
  };
  std::vector<question> asked_, next_; // answered when this reading, or the one behind it, has ended
  std::uint64_t round_ = 0;
  std::size_t awaited_ = 0; // meters that have not said yet; 0: resting
  bool tick_due_ = false;
};

void metrics_state::begin_tick() {
  self_->delayed_send(self_, period, tick_atom::value);
  tick_due_ = true;
  if (awaited_ == 0) read();
}

void metrics_state::ask(bool states, std::function<void()> answer) {
  next_.push_back({states, std::move(answer)});
  if (awaited_ == 0) read();
}

void metrics_state::read() {
  ++round_;
  asked_ = std::move(next_);
  next_.clear();
  bool states = false;
  for (const question& one : asked_)
    states = states || one.states;
  if (states) states_.clear();
  awaited_ = meters_.size();
  for (const caf::actor& meter : meters_)
    caf::anon_send(meter, read_meter{round_, states, caf::actor_cast<caf::actor>(self_)});
  if (awaited_ == 0) return finish();
  self_->delayed_send(self_, metrics_patience, patience_atom::value, round_);
}

/// What a reactor says counts however late it comes: it has forgotten it.
void metrics_state::take(const meter_reading& reading) {
  const auto wall = std::chrono::system_clock::now();
  throughput_.take(reading);
  reactors_.take(reading);
  for (const pool_growth& one : reading.pools) {
    series_.take(one);
    for (const protocol::error_count& error : one.errors)
      errors_.take(one.name, error, wall);
  }
  for (const protocol::error_count& error : reading.errors)
    errors_.take({}, error, wall);
  if (reading.round != round_ || awaited_ == 0) return;
  states_.insert(states_.end(), reading.states.begin(), reading.states.end());
  if (--awaited_ == 0) finish();
}

void metrics_state::lose_patience(std::uint64_t round) {
  if (round == round_ && awaited_ > 0) finish();
}

void metrics_state::finish() {
  awaited_ = 0;
  if (std::exchange(tick_due_, false)) {
    throughput_.tick(clock::now());
    const std::uint64_t now = throughput_.times().now();
    const auto& admin = node_.settings()->values->admin; // a reload may have changed it
    series_.configure({static_cast<std::size_t>(admin.metrics_tenants), static_cast<std::size_t>(admin.metrics_pools)});
    series_.tick();
    errors_.tick(now);
    reactors_.tick(throughput_.times());
    if (now % rank_period == 0) series_.rank(throughput_.busiest());
  }
  const std::vector<question> answered = std::move(asked_);
  asked_.clear();
  for (const question& one : answered)
    one.answer();
  if (!next_.empty() && awaited_ == 0) read();
}

metrics_page metrics_state::page() const {
  metrics_view view;
  view.series = &series_;
  view.pools = states_;
  view.errors = errors_.rows(throughput_.times());
  view.reactors = reactors_.rows(throughput_.times());
  view.process = read_process_figures();
  view.clients = node_.clients.load(std::memory_order_relaxed);
  view.sessions = node_.sessions.load(std::memory_order_relaxed);
  view.memory_limit = node_.settings()->values->memory_limit.bytes;
  view.memory_used = node_.memory.used.load(std::memory_order_relaxed);
  view.log_lines_dropped = log_lines_dropped();
  view.draining = node_.draining.load(std::memory_order_relaxed);
  view.paused = node_.gates.node_paused();
  view.nodes = this_cluster().seen();
  return {write_metrics(view)};
}

struct metrics_holder {
  std::unique_ptr<metrics_state> inner;
  static inline const char* name = "metrics";
};

inner_metrics::behavior_type metrics(inner_metrics::stateful_pointer<metrics_holder> self, node_context* node) {
  self->state.inner = std::make_unique<metrics_state>(self, *node);
  metrics_state* state = self->state.inner.get();
  state->begin_tick();
  return {
      [state](const ask_throughput& message) {
        state->note_message();
        return state->later<throughput_answer>(false,
                                               [state, question = message.question] { return state->rows(question); });
      },
      [state](const ask_figures&) {
        state->note_message();
        return state->later<figures_answer>(false, [state] { return state->figures(); });
      },
      [state](const ask_metrics_page&) {
        state->note_message();
        return state->later<metrics_page>(true, [state] { return state->page(); });
      },
      [state](const meter_reading& reading) {
        state->note_message();
        state->take(reading);
      },
      [state](tick_atom) {
        state->note_message();
        state->begin_tick();
      },
      [state](patience_atom, std::uint64_t round) {
        state->note_message();
        state->lose_patience(round);
      },
  };
}

} // namespace

metrics_actor spawn_metrics(caf::actor_system& system, node_context& node) {
  metrics_actor made = system.spawn(metrics, &node);
  system.registry().put(registered_name, caf::actor_cast<caf::strong_actor_ptr>(made));
  return made;
}

metrics_actor find_metrics(const node_context& node) {
  const auto console = caf::actor_cast<caf::strong_actor_ptr>(node.console);
  if (!console) return {};
  return caf::actor_cast<metrics_actor>(console->home_system->registry().get(registered_name));
}

void stop_metrics(const node_context& node) {
  const metrics_actor one = find_metrics(node);
  if (!one) return;
  caf::actor_cast<caf::strong_actor_ptr>(one)->home_system->registry().erase(registered_name);
  caf::anon_send_exit(one, caf::exit_reason::user_shutdown);
}

} // namespace pg_edge::actors
