// One connection to Postgres: its login, its way back to a clean state between two clients, and its end, which is only
// reached when Postgres has closed its side. It exists so that a share deals with servers that are ready or are not.
//
//   resolving -> connecting -> (asking_tls -> handshaking) -> logging_in -> (asking connect_query) -> idle
//                                                                                  ^                    |
//        adopt_server: idle -> moving -> idle                                      |                 granted
//                                                                             check_in                  v
//   assigned -- release() --> (awaiting_cancels) --> (rolling_back) --> (resetting) -'               assigned
//      |                                                                                    (checking, restoring)
//      '--- anything doubtful ---> closing -- EOF --> gone
//                                     '-- what runs there is cancelled again and again meanwhile (server_closing.cpp)
#pragma once

#include "actors/connection.hpp"
#include "actors/log.hpp"
#include "actors/messages.hpp"
#include "actors/node_context.hpp"
#include "actors/server_limits.hpp"
#include "protocol/exchange.hpp"
#include "protocol/server_login.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pg_edge::actors {

enum class server_step : std::uint8_t {
  resolving,
  connecting,
  asking_tls,
  handshaking,
  logging_in,
  connect_query,
  idle,
  moving,
  assigned,  // to a client, which may not know it yet
  checking,  // for that client: server_check_query
  restoring, // for that client: its parameters
  awaiting_cancels,
  rolling_back,
  resetting,
  closing,
  gone,
};
std::string_view to_string(server_step step);

/// What a share decides when it makes a server.
struct server_plan {
  std::uint64_t id = 0;
  std::vector<std::string> hosts;                            // as configured
  std::vector<std::pair<std::string, std::string>> start_up; // of a replication client: sent as it is; else empty
  bool replication = false;
  std::shared_ptr<server_slot> slot = {}; // its place in the limits over several pools, until Postgres's EOF
  std::uint64_t credentials_version = 0;  // of its user, see credentials::version()
  gate_ticket ticket = {};                // its place in the count of its database's servers, until Postgres's EOF
};

class server final : public connection {
public:
  using clock = reactor::clock;

  server(caf::actor_config& config, reactor& home, node_context& node, pool_common_ptr pool, caf::actor share,
         const protocol::exchange_rules* rules, server_plan plan);

  caf::behavior make_behavior() override;
  void on_exit() override;
  const char* name() const override { return "server"; }
  void prefetch() const noexcept override;

  // -- for the share and the client on the same reactor
  // ------------------------------------------------------------------

  std::uint64_t number() const { return plan_.id; }
  std::string describe() const override {
    return "id " + std::to_string(plan_.id) + ", " + pool_->name.user + "@" + pool_->name.database;
  }
  std::uint64_t credentials_version() const { return plan_.credentials_version; }
  server_step step() const { return step_; }
  bool usable() const { return step_ == server_step::assigned; }
  bool replication() const { return plan_.replication; }
  /// Null once it is gone.
  server_slot* slot() const { return plan_.slot.get(); }
  bool logical_replication() const;
  protocol::server_session& session() { return session_; }
  class client* linked() const {
    return client_;
  }
  const pool_common& pool() const { return *pool_; }

  /// The share hands it out: it waits for its client.
  void assign();
  /// Nothing that the reactor knew of when this turn began has ended it, so it need not be looked at.
  bool surely_there() const;
  /// The client takes it: false if the connection was lost meanwhile, as far as anybody on this machine can know.
  bool link(class client& to);
  /// Makes it fit for its client; client::server_prepared() is called when it is, perhaps before this returns.
  void prepare();
  /// Closes it when what prepare() asked is not answered within server_connect_timeout: its peer is gone or hangs.
  void check_preparing(clock::time_point now);
  /// The client is done with it, outside a transaction and with nothing owed. `session`: it was the client's for a
  /// whole session, so server_reset_query is due.
  void release(bool session);
  /// The client has gone while something was under way. `statement_running`: cancel it first.
  void drop(std::string why);
  /// The client leaves it with a transaction open but nothing owed.
  void release_open_transaction(bool session);
  /// The client said goodbye behind its last query: that one is answered to nobody.
  void finish_alone(bool session);
  /// A cancel connection for it is about to be opened.
  void cancel_begins() { ++cancels_; }
  bool cancel_under_way() const { return cancels_ > 0; }
  /// Reads on after its client's output has gone.
  void resume_reading() { read_later(); }
  /// Ready to go to another reactor; true if it is idle and settled.
  bool detach();
  void close_gracefully(std::string why);

  const server_address& address() const { return address_; }
  std::int32_t process_id() const { return process_id_; }
  const protocol::bytes& cancel_secret() const { return cancel_secret_; }
  const protocol::parameter_values_ptr& initial_values() const { return initial_values_; }
  clock::time_point connected_at() const { return connected_at_; }
  clock::time_point idle_since() const { return idle_since_; }
  clock::time_point assigned_at() const { return assigned_at_; }
  std::chrono::system_clock::time_point connect_time() const { return connect_time_; }
  std::string tls_info() const;
  std::pair<socket_address, socket_address> addresses() const; // peer, local
  /// What cancels its query; nobody waits for that, and it takes no place among the cancels of clients.
  struct cancel_order cancelling_order();
  /// RECONNECT, changed settings: it closes when it is next released.
  void want_reconnect() {
    reconnect_wanted = true;
    plan_.ticket.make_stale();
  }
  /// RECONNECT came after it was made.
  bool stale() const { return plan_.ticket.stale(); }
  bool reconnect_wanted = false; // to be changed by want_reconnect()
  bool client_told = false;      // server_fast_close: its client ends for that

protected:
  std::size_t on_bytes(protocol::bytes_view in) override;
  bool wants_input() const override;
  void on_connected() override;
  void on_handshake() override;
  void on_drained() override;
  void on_lost(std::string why) override;
  void on_exception() noexcept override;
  void on_arrival() override;

private:
  // server_login.cpp: up to the first idle
  void resolve_next();
  void try_addresses(resolved_host found);
  void connect_next();
  void fail_attempt(std::string why);
  void fail_host();
  void note_host_failed(const std::string& why);
  void begin_part(std::size_t parts_left);
  bool more_to_try() const;
  bool try_another_host();
  void connect_later();
  bool try_again_with_tls();
  void begin_session();
  protocol::server_login::identity server_identity() const;
  void send_start_up();
  std::size_t read_tls_answer(protocol::bytes_view in);
  std::size_t read_login(protocol::bytes_view in);
  void login_step(protocol::server_login::step step);
  void derive();
  void logged_in();
  void login_failed(std::string why, protocol::bytes error);
  void lost_during_login(std::string why);
  void refused(std::string why, protocol::bytes error, bool reached);
  void on_connect_timeout();

  // server.cpp
  std::size_t relay(protocol::bytes_view in);
  void use_share();
  void own_query_done();
  void left_alone();
  void ask_own(std::string_view sql, server_step why);
  void restore();
  void go_on_releasing();
  void finish_release();

  // server_closing.cpp: from the first thought of it to Postgres's EOF
  void close_now(std::string why, protocol::error_code when_doubtful = protocol::error_code::server_lost);
  void gone(std::string why);
  void close_own_socket();
  void tell_closing();
  void await_end(config::duration at_most);
  void while_closing();
  bool cancel_again(clock::time_point now);
  void cancel_orphan();
  void set_step(server_step now) { step_ = now; }
  void note_cancel_sent(bool sent);
  /// A line of the log about this server.
  template <class... Fields>
  void log_own(level severity, log_event event, const Fields&... more) const {
    log(severity, event,
        {{"pool", pool_->id},
         {"tenant", pool_->name.tenant},
         {"database", pool_->name.database},
         {"user", pool_->name.user},
         {"server", plan_.id},
         more...});
  }
  caf::strong_actor_ptr self_ptr() { return caf::actor_cast<caf::strong_actor_ptr>(this); }

  node_context& node_;
  pool_common_ptr pool_;
  present_settings settings_;
  caf::actor share_;
  class share* share_here_ = nullptr; // the same, once it is on this reactor
  protocol::server_session session_;
  class client* client_ = nullptr;
  caf::strong_actor_ptr client_ref_; // keeps client_ alive
  server_plan plan_;
  server_step step_ = server_step::resolving;

  struct attempt { // what only a login needs
    std::shared_ptr<const config::pool_settings> settings;
    std::vector<std::string> hosts;        // not tried yet
    std::vector<server_address> addresses; // of the present host, not tried yet
    std::uint32_t part = 0;                // of the login: rises with every host and address
    clock::time_point give_up_at = clock::time_point::max();
    bool go_on = false;        // connect_later() has sent itself a message
    bool same_address = false; // the next one is the present one once more
    std::unique_ptr<protocol::server_login> login;
    std::string last_where, last_error;
    bool with_tls = false; // the second try of sslmode=allow
    timer deadline;
    explicit attempt(server& owner);
  };
  std::unique_ptr<attempt> attempt_;

  struct ending { // what only a server needs that is closing
    clock::time_point began{}, give_up_at{}, cancel_at{};
    std::size_t cancels = 0;
    caf::actor canceller;
    bool told = false; // the log, that it takes long
    timer next_look;
    explicit ending(server& owner) : next_look(timer::calling<&server::while_closing>(owner)) {}
  };
  std::unique_ptr<ending> ending_;

  host_seat host_seat_, address_seat_; // where it is, or tries to get
  server_address address_;
  std::int32_t process_id_ = 0;
  protocol::bytes cancel_secret_;
  protocol::parameter_values_ptr initial_values_;
  clock::time_point connected_at_{}, idle_since_{}, assigned_at_{}, asked_at_{};
  std::chrono::system_clock::time_point connect_time_;
  std::uint64_t arrived_in_turn_ = 0; // of this reactor; 0: it began here
  std::uint32_t cancels_ = 0;
  bool told_closing_ = false;
  bool after_session_ = false; // the reset query is due whatever was done
  bool spoilt_ = false;        // a cancel may still reach it
  bool alone_ = false;         // finishing what its client left behind
  std::string close_reason_;
};

} // namespace pg_edge::actors
