// The part of a pool that lives on one reactor: its servers, the clients that wait for one, and the permits that say
// how many servers there may be. Which of them meet is decided here, first come first served; how many permits there
// are is decided by cluster::permit_share and the steward.
//
//   check_out --> queue --(permit_share says hand_out)--> granted      check-in --> idle --> the next of the queue
//                   |                                                      '--> closed, if its time is up
//                   '--(open)--> a new server --server_ready--> idle
#pragma once

#include "actors/canceller.hpp"
#include "actors/console_stats.hpp"
#include "actors/login_gates.hpp"
#include "actors/messages.hpp"
#include "actors/meter_reading.hpp"
#include "actors/node_context.hpp"
#include "actors/pinned_actor.hpp"
#include "actors/server.hpp"
#include "actors/server_limits.hpp"
#include "cluster/permits.hpp"
#include "protocol/exchange.hpp"

#include <chrono>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace pg_edge::actors {

class client;

class share final : public pinned_actor {
public:
  using clock = reactor::clock;

  share(caf::actor_config& config, reactor& home, node_context& node, pool_common_ptr pool, steward_actor steward,
        cluster::share_key key);

  caf::behavior make_behavior() override;
  void on_exit() override;
  const char* name() const override { return "share"; }
  std::string describe() const override {
    return pool_->name.user + "@" + pool_->name.database + " of " + pool_->name.tenant;
  }
  void on_prompt() override;

  // -- for clients and servers on the same reactor
  // -------------------------------------------------------------------------

  /// A server for `who` at once, if one is free and nothing has to be thought about; else null, and check_out() is the
  /// way.
  class server* hand_out_now(const client& who);
  void check_out(struct check_out message);
  /// A server is free again, and clean. Looked at when this turn's events have been: before that, what the server has
  /// sent behind its last answer is still its last client's.
  void check_in(class server& what);
  share_counts& counts() { return counts_; }
  void note_time(timed what, const share_times::measured& took) noexcept { times_.note(what, took); }
  void note_time(timed what, clock::duration span) noexcept {
    if constexpr (protocol::counting) times_.note(what, share_times::measure(span));
  }
  /// An error of pg_edge's own was sent to one of its clients.
  void note_error(protocol::bytes_view sqlstate) {
    exchange_counts_.errors.note(sqlstate, protocol::error_origin::pg_edge);
  }
  /// Its first turn is over: nothing else of it may be called before, though messages may be sent.
  bool begun() const { return gate_ != nullptr || ended_; }
  void attach(client& who);
  /// A client on this reactor comes without having asked the steward: false if it must. The steward counts it when one
  /// that it has sent here leaves, and does not hear of that one's leaving: so it never takes the pool for empty.
  bool join_directly();
  const pool_common_ptr& pool() const { return pool_; }
  /// An exception ends this client: nothing may wait for it any more.
  void lose(const client& who) noexcept;
  /// Another node of the cluster serves the pool's clients: those that need a server are to go there.
  bool lives_elsewhere() const { return lives_elsewhere_; }
  /// SUSPEND: its clients and their servers are not to be read.
  bool suspended() const { return suspended_; }
  /// What its clients may still read in this turn of the reactor.
  std::size_t& read_budget();
  const protocol::exchange_rules* rules_for(const config::pool_settings& limits) const;
  std::shared_ptr<const config::pool_settings> limits_for(const std::string& user);
  protocol::parameter_values_ptr intern(const protocol::parameter_values_ptr& values) {
    return interner_.intern(values);
  }
  void learn(learned_welcome what);
  /// Opens a connection that cancels what `target` runs. `counted`: it has a slot, and gives it back.
  void open_cancel(class server& target, const caf::actor& requester, bool counted);

  // -- share_meter.cpp: for the meter of its reactor
  // ----------------------------------------------------------------------------------

  bool read_growth(pool_growth& into);
  void read_clients(std::uint64_t round, std::vector<client_growth>& into);
  pool_state state() const;

private:
  struct waiter {
    caf::strong_actor_ptr client;
    class client* who = nullptr;
    std::uint32_t epoch = 0;
    clock::time_point since{};
    bool replication = false;
    bool notified = false;
    class server* opening = nullptr; // replication: the server that is made for it
  };
  using queue = std::list<waiter>;

  struct server_entry {
    caf::strong_actor_ptr ref;
    cluster::server_state state = cluster::server_state::opening;
    bool arriving = false;                 // carried here and not yet on this reactor
    bool outdated = false;                 // the target has changed while it was arriving
    std::unique_ptr<login_pass> pass = {}; // while it logs in
    const client* granted_to = nullptr;
  };

  // -- share_limits.cpp
  void publish_waiting();
  bool refuse_if_too_many(const struct check_out& message);

  // -- share.cpp: deciding
  void act();
  void act_once();
  bool hand_out();
  void grant(queue::iterator to, class server& what);
  bool try_to_open();
  void open_server(std::shared_ptr<server_slot> slot, gate_ticket ticket, std::unique_ptr<login_pass> pass);
  void pay_limits();
  void give_up();
  queue::iterator first_plain_waiter();
  void forget_lost();
  class server* take_idle();
  void close(class server& what, std::string why);
  void move_state(server_entry& entry, cluster::server_state to);
  bool expired(const class server& what) const;

  // -- share.cpp: messages
  void on_order(const share_order& message);
  void on_abandon(const abandon& message);
  void take_back(class server& what);
  void on_ready(const server_ready& message);
  void on_closing(const server_closing& message);
  void on_refused(const server_refused& message);
  void on_gone(const server_gone& message);
  void on_arrived(const server_arrived& message);
  void on_attach(const attach_client& message);
  void on_detach(const detach_client& message);
  void on_want_cancel(const want_cancel& message);
  void on_cancel_over();
  void on_settings();
  void on_limits_moved();
  void on_login_turn();
  void on_end_clients(const end_clients& message);

  // -- share_failures.cpp
  void take_seats();
  void withdraw();
  bool may_log_in() const;
  void forget_failure();
  void look_at_credentials();
  void login_failed(const server_refused& message, server_entry& entry);
  void back_off(const server_refused& message, cluster::login_trouble kind);
  void replace_servers(const std::string& why, clock::time_point made_before = clock::time_point::max());
  void look_for_departure();
  void give_room();
  std::string trouble_text() const;
  void refuse_all(const protocol::bytes& error);
  void refuse(queue::iterator whom, const protocol::bytes& error);

  // -- share_control.cpp
  void on_control(const control_pools& message);
  void obey_gate();
  void send_waiters_elsewhere();
  void obey_suspension();
  bool has_unsent() const;
  void cut_unsent();
  std::vector<caf::strong_actor_ptr> present_clients() const;
  template <class Which>
  void close_idle(const std::string& why, Which which);
  void close_idle(const std::string& why) {
    close_idle(why, [](const class server&) { return true; });
  }
  void replace_stale();
  void kill_everybody();
  void kill_client(std::uint64_t id);
  void look_at_bans();
  void hand_over_clients();

  // -- share_cluster.cpp
  void note_backend(const class server& what, bool there);
  bool lease_is_over() const;
  void look_at_place();
  void on_voided();

  // -- share_upkeep.cpp
  void tick();
  void check_waiters(clock::time_point now);
  void time_out(queue::iterator whom);
  void check_servers(clock::time_point now);
  void leave_old_addresses();
  struct limit_text {
    std::string text;  // "pool_size = 20"
    std::string place; // "[databases.app]"
  };
  limit_text limit_in_the_way();
  protocol::bytes queue_notice(queue::iterator whom);
  void check_reserve(clock::time_point now);
  void end_interrupted_sessions();
  bool may_become_unused() const;
  void check_unused(clock::time_point now);
  void arm_tick();
  share_snapshot snapshot(const take_snapshot& what);
  share_counts all_counts() const;
  std::vector<statement_use> statements_in_use() const;
  server_row row_of(const class server& what) const;

  // -- share_welcome.cpp
  void learn_initial(const protocol::parameter_values_ptr& values);
  protocol::parameter_values_ptr kept_values() const;
  bool without_server() const;
  bool server_is_away() const;
  void welcome_waiters(clock::duration least_wait);
  std::string welcome_name() const;

  server_entry* entry_of(const caf::strong_actor_ptr& ref);
  caf::strong_actor_ptr self_ptr() { return caf::actor_cast<caf::strong_actor_ptr>(this); }

  node_context& node_;
  std::shared_ptr<const config::ban_list> seen_bans_; // for which no client is left
  pool_common_ptr pool_;
  mutable present_settings settings_;
  steward_actor steward_;
  cluster::permit_share permits_;
  std::shared_ptr<limit_seat> seat_; // in the limits over several pools
  pool_gate_ptr gate_;
  std::unique_ptr<pool_gates::motion> motion_; // while it lives
  bool paused_ = false;                        // the gate was shut when last looked at
  bool suspended_ = false;                     // likewise
  bool lives_elsewhere_ = false;
  std::uint64_t openings_ = 0;
  clock::time_point ask_again_at_{};
  std::unordered_map<class server*, server_entry> servers_;
  std::deque<class server*> idle_;        // the most recently used last
  std::vector<class server*> checked_in_; // in this turn
  bool acting_ = false, act_again_ = false;
  bool ended_ = false;
  queue waiters_;
  std::uint32_t told_waiting_ = 0; // of them in pool_->waiting
  std::uint64_t budget_turn_ = 0;
  std::size_t read_budget_ = 0;
  std::unordered_map<const class client*, queue::iterator> waiting_;
  std::vector<std::pair<cluster::backend_id, caf::actor>> carried_; // leave with the next report
  list_link clients_;
  std::uint32_t client_count_ = 0;
  std::uint32_t direct_joins_ = 0;                 // of the present clients, as many as the steward does not count
  std::uint64_t clients_left_ = 0, told_left_ = 0; // ever; as of the last share_unused
  clock::time_point unused_since_{};
  clock::time_point last_wait_{}; // when somebody waited

  struct known_welcome {
    protocol::parameter_values_ptr values;
    protocol::startup_profile_ptr profile;
  };
  std::unordered_map<std::string, known_welcome> welcomes_;
  protocol::parameter_interner interner_;
  std::unordered_map<std::string, std::shared_ptr<const config::pool_settings>> limits_;

  protocol::exchange_counts exchange_counts_;
  protocol::exchange_rules sharing_rules_, plain_rules_;
  share_counts counts_, read_counts_; // ever; as of the last reading
  share_times times_;
  owned_link<share> metered_{*this}; // in its reactor's meter

  std::uint32_t cancels_open_ = 0;
  std::deque<caf::strong_actor_ptr> cancel_queue_;

  std::unique_ptr<login_seat> logins_; // at the address of the pool
  std::string address_;                // its hosts and port
  std::shared_ptr<server_slot> slot_;  // kept while the login waits for its turn
  clock::duration departed_at_{};      // see login_seat::departed_at(), as far as it has been acted on

  clock::time_point retry_at_{}; // no new login before; of failures that are this pool's own
  std::chrono::milliseconds back_off_{0};
  std::string last_failure_; // "host:port: reason"; empty: the last login was well
  clock::time_point failure_said_at_{};
  std::uint64_t failures_ = 0;    // since the log was told
  protocol::bytes lasting_error_; // the server refuses our login: told to everyone until ...
  clock::time_point lasting_until_{};
  std::uint64_t failed_version_ = 0; // of what was known of the server user then, see credentials::version()
  std::shared_ptr<const config::pool_settings> seen_settings_;
  std::uint64_t seen_addresses_ = 0; // host_table::version()
  timer tick_;
  bool tick_is_quiet_ = false;
};

/// Those idle servers for which `which` holds.
template <class Which>
void share::close_idle(const std::string& why, Which which) {
  const std::deque<class server*> idle = idle_; // close() takes them out
  for (class server* what : idle)
    if (which(*what)) close(*what, why);
}

} // namespace pg_edge::actors
