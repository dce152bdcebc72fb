#include "actors/gatherer.hpp"

#include "actors/control_stats.hpp"
#include "actors/log.hpp"
#include "actors/node_view.hpp"

#include <array>
#include <functional>
#include <vector>

namespace pg_edge::actors {

namespace {

using stats_tick_atom = caf::atom_constant<caf::atom("stats")>;
using inner_gatherer = gatherer_actor::extend<caf::reacts_to<stats_tick_atom>>;

/// Without a period there is nothing to average over, but a reload may bring one.
constexpr std::chrono::seconds period_look{60};
constexpr std::size_t need_count = static_cast<std::size_t>(view_need::statements) + 1;

bool needs_clients(view_need need) {
  return need == view_need::clients || need == view_need::connections;
}

bool needs_servers(view_need need) {
  return need == view_need::servers || need == view_need::connections;
}

/// What pgbouncer's line "stats: ..." says. A period has just ended in `ledger`.
void log_stats(const node_view& view, const stats_ledger& ledger) {
  const share_counts average = ledger.sum(view.now).average;
  std::uint64_t servers = 0, waiting = 0;
  for (const share_snapshot& share : view.shares) {
    servers += share.sv_active + share.sv_being_canceled + share.sv_idle + share.sv_used + share.sv_tested +
               share.sv_login + share.sv_closing;
    waiting += share.cl_waiting;
  }
  log(level::info, log_event::stats,
      {{"xacts_per_s", average.xact_count},
       {"queries_per_s", average.query_count},
       {"client_parses_per_s", average.client_parse_count},
       {"server_parses_per_s", average.server_parse_count},
       {"binds_per_s", average.bind_count},
       {"client_logins_per_s", average.client_login_count},
       {"in_bytes_per_s", average.received},
       {"out_bytes_per_s", average.sent},
       {"xact_us", average.xact_time},
       {"query_us", average.query_time},
       {"wait_us", average.wait_time},
       {"clients", view.clients},
       {"servers", servers},
       {"waiting", waiting}});
}

} // namespace

/// A gathering waits for answers, so it is kept alive by the functions that the answers call.
class gatherer_state {
public:
  static inline const char* name = "gatherer";

  gatherer_state(inner_gatherer::pointer self, node_context& node)
      : self_(self), node_(node), ledger_(std::make_shared<stats_ledger>(node.started)) {}

  void note_message() { stats_.note(self_); }
  caf::typed_response_promise<gathered_view> take(view_need need);
  void tick();
  void arm_tick();

private:
  using teller = std::function<void(const node_view_ptr&)>;

  struct gathering {
    take_snapshot what;
    std::size_t pending = 0;
    std::shared_ptr<node_view> view = std::make_shared<node_view>();
    std::vector<stats_ledger::sample> samples;
    std::vector<caf::actor_id> listed;
    std::vector<teller> tell;
  };
  using gathering_ptr = std::shared_ptr<gathering>;

  struct kind {
    bool running = false;
    std::vector<teller> next; // who waits for the gathering after the one that runs
  };

  void want(view_need need, teller tell);
  void begin(view_need need);
  void ask_tree(const gathering_ptr& all);
  void ask_share(const gathering_ptr& all, const caf::actor& share);
  void ask_console(const gathering_ptr& all);
  void one_less(const gathering_ptr& all);
  /// Asks one actor; `answer` gets the answer, and whoever does not answer leaves the gathering incomplete.
  template <class Answer, class Handle, class Message>
  void ask(const gathering_ptr& all, const Handle& whom, Message message, std::function<void(Answer&)> answer);

  control_stats stats_{actor_kind::gatherer};
  inner_gatherer::pointer self_;
  node_context& node_;
  std::shared_ptr<stats_ledger> ledger_; // copied when a view that has been told still looks at it
  std::array<kind, need_count> kinds_;
};

caf::typed_response_promise<gathered_view> gatherer_state::take(view_need need) {
  auto promise = self_->make_response_promise<gathered_view>();
  want(need, [promise](const node_view_ptr& view) mutable { promise.deliver(gathered_view{view}); });
  return promise;
}

void gatherer_state::want(view_need need, teller tell) {
  kind& of = kinds_[static_cast<std::size_t>(need)];
  of.next.push_back(std::move(tell));
  if (!of.running) begin(need);
}

void gatherer_state::begin(view_need need) {
  kind& of = kinds_[static_cast<std::size_t>(need)];
  of.running = true;
  const auto all = std::make_shared<gathering>();
  all->tell = std::move(of.next);
  of.next.clear();
  all->what = {needs_clients(need), needs_servers(need), need == view_need::statements};
  all->view->need = need;
  all->pending = 1; // this function
  if (need != view_need::nothing) ask_tree(all);
  ask_console(all);
  one_less(all);
}

template <class Answer, class Handle, class Message>
void gatherer_state::ask(const gathering_ptr& all, const Handle& whom, Message message,
                         std::function<void(Answer&)> answer) {
  ++all->pending;
  self_->request(whom, gatherer_patience, std::move(message))
      .then(
          [this, all, answer = std::move(answer)](Answer& got) {
            answer(got);
            one_less(all);
          },
          [this, all](const caf::error&) {
            all->view->complete = false;
            one_less(all);
          });
}

void gatherer_state::ask_tree(const gathering_ptr& all) {
  ask<tenant_list>(all, node_.tenants, list_tenants{}, [this, all](tenant_list& got) {
    for (const tenant_actor& tenant : got.tenants)
      ask<steward_list>(all, tenant, list_stewards{}, [this, all](steward_list& some) {
        for (const steward_actor& steward : some.stewards)
          ask<share_list>(all, steward, list_shares{}, [this, all](share_list& shares) {
            for (const caf::actor& share : shares.shares)
              ask_share(all, share);
          });
      });
  });
}

void gatherer_state::ask_share(const gathering_ptr& all, const caf::actor& share) {
  all->listed.push_back(share.id());
  ask<share_snapshot>(all, share, all->what, [all, id = share.id()](share_snapshot& got) {
    all->samples.push_back({id, {got.pool->name.tenant, got.pool->name.database}, got.counts});
    all->view->shares.push_back(std::move(got));
  });
}

/// Its clients belong to no share.
void gatherer_state::ask_console(const gathering_ptr& all) {
  if (!node_.console) return;
  ask<console_client_list>(all, node_.console, list_console_clients{}, [this, all](console_client_list& got) {
    all->view->console_client_count = got.clients.size();
    if (!all->what.clients) return;
    for (const caf::actor& who : got.clients)
      ask<client_row>(all, who, take_snapshot{},
                      [all](client_row& row) { all->view->console_clients.push_back(std::move(row)); });
  });
}

void gatherer_state::one_less(const gathering_ptr& all) {
  if (--all->pending > 0) return;
  const view_need need = all->view->need;
  if (need != view_need::nothing) {
    if (ledger_.use_count() > 1) ledger_ = std::make_shared<stats_ledger>(*ledger_);
    ledger_->note(all->samples, all->listed, all->view->complete);
  }
  look_at_node(*all->view, node_);
  all->view->stats = ledger_;
  const node_view_ptr finished = std::move(all->view);
  for (const teller& tell : all->tell)
    tell(finished);
  kind& of = kinds_[static_cast<std::size_t>(need)];
  of.running = false;
  if (!of.next.empty()) begin(need);
}

// -- the periods of statistics
// ------------------------------------------------------------------------------------------------

void gatherer_state::tick() {
  want(view_need::counts, [this](const node_view_ptr& view) {
    ledger_ = std::make_shared<stats_ledger>(*ledger_); // others hold the one of the view
    ledger_->tick(view->now);
    tell_suppressed_lines();
    if (view->settings->log_stats) log_stats(*view, *ledger_);
  });
  arm_tick();
}

void gatherer_state::arm_tick() {
  const config::duration period = node_.settings()->values->stats_period;
  self_->delayed_send(self_, period.count() > 0 ? period : config::duration(period_look), stats_tick_atom::value);
}

// -- the actor
// ------------------------------------------------------------------------------------------------------------------

namespace {

struct gatherer_holder {
  std::unique_ptr<gatherer_state> inner;
  static inline const char* name = "gatherer";
};

inner_gatherer::behavior_type gatherer(inner_gatherer::stateful_pointer<gatherer_holder> self, node_context* node) {
  self->state.inner = std::make_unique<gatherer_state>(self, *node);
  gatherer_state* state = self->state.inner.get();
  state->arm_tick();
  const auto counted = [state] { state->note_message(); };
  return {
      [state, counted](const gather_view& message) {
        counted();
        return state->take(message.need);
      },
      [state, counted](stats_tick_atom) {
        counted();
        state->tick();
      },
  };
}

} // namespace

void look_at_node(node_view& view, const node_context& node) {
  view.settings = node.settings()->values;
  view.clients = node.clients.load(std::memory_order_relaxed);
  view.draining = node.draining.load(std::memory_order_relaxed);
  for (const auto& one : node.reactors)
    view.reactors.push_back(one->read_counters());
  view.gates = &node.gates;
  view.now = stats_ledger::clock::now();
}

gatherer_actor spawn_gatherer(caf::actor_system& system, node_context& node) {
  return system.spawn(gatherer, &node);
}

} // namespace pg_edge::actors
