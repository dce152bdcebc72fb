// One client connection: its login, its queries' way to a server and back, its cancels and its end. What the bytes mean
// is decided by protocol/exchange; this actor holds the client's half of it and moves the bytes.
//
// A client whose pool lives on another node is `relayed` there once it has proved who it is: client_relayed.cpp. On
// that node it is a client whose socket is a stream of a link, and which begins with `joining`.
//
//   starting -> (handshaking) -> authenticating -> joining -> welcoming -> idle
//      |                              |                          |  ^       ^ |
//      '-- CancelRequest --> cancelling    console database      |  |       | | first message that needs a server
//                                     '--> console               v  |       | v
//                                                  (learning) waiting -> preparing -> active
//                                                                  \          (link)     |
//   idle -> moving -> gone: it goes on in the process that takes over; there it comes as joining -> arriving -> idle
//   leave(): from anywhere; `leaving` while the share's answer to a check-out is still to come -----> gone
#pragma once

#include "actors/client_limits.hpp"
#include "actors/connection.hpp"
#include "actors/log.hpp"
#include "actors/messages.hpp"
#include "actors/meter_reading.hpp"
#include "actors/node_context.hpp"
#include "actors/server.hpp"
#include "cluster/moved_session.hpp"
#include "cluster/relay_request.hpp"
#include "protocol/client_auth.hpp"
#include "protocol/errors.hpp"
#include "protocol/exchange.hpp"
#include "protocol/startup.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace pg_edge::actors {

enum class client_step : std::uint8_t {
  starting,
  handshaking,
  authenticating,
  joining,
  welcoming,
  idle,
  waiting,
  preparing,
  active,
  console,
  relayed,
  cancelling,
  moving,   // its socket and state are on their way to another process, which may not want them
  arriving, // from another process, whose it still is
  leaving,
  gone,
};
std::string_view to_string(client_step step);

class client final : public connection {
public:
  using clock = reactor::clock;

  /// `door`: the listener it came by, see login_state.
  client(caf::actor_config& config, reactor& home, node_context& node, stream socket, socket_address peer,
         const std::string& door = {});
  /// One that comes from another process of this node.
  client(caf::actor_config& config, reactor& home, node_context& node, stream socket,
         std::shared_ptr<cluster::moved_client> moved);
  /// Whose bytes another node relays: it has proved there who it is.
  client(caf::actor_config& config, reactor& home, node_context& node, carried_stream_ptr from,
         const cluster::relay_request& request);
  ~client() override;

  caf::behavior make_behavior() override;
  void on_exit() override;
  bool take(const std::type_info& type, const void* message) override;
  void prefetch() const noexcept override;
  const char* name() const override { return "client"; }
  void on_prompt() override;

  // -- for the server it is linked to
  // ------------------------------------------------------------------------------------

  protocol::client_session& session() { return session_; }
  std::string restoring_query(protocol::server_session& server) { return protocol::restoring_sql(server, session_); }
  void server_prepared();
  void restore_failed(protocol::bytes_view error_body);
  /// At least one reply to the client is complete.
  void server_replied();
  /// In statement mode: a query has left a transaction open.
  void transaction_refused();
  /// The server could be given back.
  void server_is_ready();
  /// `doubtful`: what to say if something was under way.
  void server_lost(const std::string& why, protocol::error_code doubtful = protocol::error_code::server_lost);
  void resume_reading();
  /// Something of its own that kept it from reading is over.
  void read_on() { read_later(); }
  /// So much was read from the server for it.
  void note_sent(std::size_t bytes) noexcept {
    if constexpr (protocol::counting) meter_.sent += bytes;
  }

  // -- for its share, on the same reactor
  // ----------------------------------------------------------------------------------

  /// Its answer to check_out(), acted on when this turn's events have been delivered.
  void grant(granted what);
  std::uint64_t number() const { return session_.id; }
  std::string describe() const override { return "id " + std::to_string(session_.id) + ", " + user_ + "@" + database_; }
  client_step step() const { return step_; }
  /// Another node relays it to this one.
  bool comes_by_link() const { return socket_.carried() != nullptr; }
  const std::string& user() const { return user_; }
  /// Should another cluster serve its pool: whether it can be relayed there as it is.
  bool can_go_elsewhere() const;
  /// It waits for a server only to learn what its session begins with.
  bool awaits_welcome() const;
  class server* linked() const {
    return server_;
  }
  std::vector<std::pair<std::string, std::string>> replication_start_up() const;
  void set_limits(std::shared_ptr<const config::pool_settings> limits) { limits_ = std::move(limits); }
  const config::pool_settings& limits() const { return *limits_; }
  /// Ends what has taken too long. Called a few times a second while a server is linked.
  void check_times(clock::time_point now);
  /// KILL: its session ends here and now.
  void kill();
  /// Bans are others than before: if one holds for it, the session ends.
  void look_at_bans();
  /// Goes to the process that takes over, if nothing is under way and there is room for one more on the way. Its
  /// socket is watched no more then. Not for use within a handler of its bytes.
  void hand_over();
  clock::time_point waiting_since() const { return wait_began_; }
  client_row row() const;
  /// What it has counted since the last reading, if anything. share_meter.cpp
  void read_growth(std::uint64_t round, std::vector<client_growth>& into);
  /// What ending it would give back. Nothing for the console, which is needed most when memory is short.
  cluster::memory_holder memory_held() const;
  /// The link by which the share lists its clients.
  list_link& attachment() { return attachment_; }

protected:
  std::size_t on_bytes(protocol::bytes_view in) override;
  bool wants_input() const override;
  bool on_first_bytes() override;
  void on_handshake() override;
  void on_drained() override;
  void on_hangup() override;
  void on_lost(std::string why) override;
  void on_arrival() override;
  bool may_read() override;
  void has_read(std::size_t bytes) override;
  void on_exception() noexcept override;

private:
  struct login_state;
  struct relay_state;

  // client_opening.cpp, client_admission.cpp, client_method.cpp, client_secret.cpp, client_proof.cpp,
  // client_welcome.cpp
  bool take_proxy_header();
  std::size_t read_start_up(protocol::bytes_view in);
  std::size_t start_up_packet(protocol::bytes_view packet, bool more_behind);
  void answer_ssl_request(bool more_behind);
  void begin_login(protocol::startup_message message);
  void note_replication();
  bool choose_tenant();
  void choose_database();
  bool throttled();
  void note_login(bool succeeded);
  bool room_for_one_more();
  void login_begins();
  void login_is_over();
  bool take_session();
  bool tenant_lets_in();
  std::optional<std::pair<std::string, std::string>> ban_now() const;
  bool take_seat(const config::route& way);
  protocol::bytes password_refusal() const;
  std::string_view tenant_name() const;
  bool admitted();
  void choose_method();
  void method_chosen();
  void ask_rules(const config::hba_client_name* name);
  void ask_name(const config::ip_address& address);
  void refuse_by_rule(bool there_is_one);
  bool certificate_serves(protocol::error_code otherwise);
  bool system_user_serves();
  bool certificate_agrees();
  void find_secret();
  lookup_user lookup_wish(bool fresh) const;
  void look_up();
  void ask_database(bool fresh, void (client::*go_on)(found_user& found, std::vector<std::string> secrets));
  void looked_up(found_user& found, std::vector<std::string> secrets);
  bool check_anew();
  void checked_anew(found_user& found, std::vector<std::string> secrets);
  void begin_exchange(bool known, std::vector<std::string> secrets);
  void make_auth(std::vector<std::string> secrets, protocol::auth_method method);
  std::size_t read_auth(protocol::bytes_view in);
  void auth_step(protocol::client_auth::step step);
  void derive_keys();
  void ask_pam();
  void take_pam_answer(const pam_answer& message);
  std::string why_pam_is_no_matter() const;
  void remember_keys();
  void authenticated();
  void ask_for_pool();
  bool read_parameters();
  void add_host_to_name();
  void join(const pool_joined& message);
  void begin_welcome();
  void take_welcome(const welcome& message);
  void learn_from(class server& from);
  void want_values(protocol::parameter_values_ptr initial);
  void confirm_values();
  void learned();
  void finish_login();
  void begin_session();
  void begin_console(bool admin);
  void refuse_login(protocol::error_code code, std::initializer_list<std::string_view> args = {});
  void begin_cancel(const protocol::cancel_request& request);
  void on_deadline();
  void arm_login_deadline();

  // client_relayed.cpp
  bool cancel_elsewhere(const protocol::cancel_request& request);
  node_number home_of(const pool_name& pool) const;
  bool lives_elsewhere(const config::route& way);
  void introduce(cluster::relay_request& request, const pool_name& pool);
  void open_relay();
  void look_at_place();
  void relay_again();
  std::size_t read_for_node(protocol::bytes_view in);
  void send_to_node(protocol::bytes_view what);
  void pump_from_node();
  void take_from_node(protocol::bytes_view in);
  void relay_closed();
  void relay_lost(const std::string& why);
  void park_relay();
  void take_carried();
  void take_signal(const carried_signal& message);
  void end_relayed(const end_client& message);
  bool goes_on_elsewhere();
  void close_relay();

  // client_relay_opening.cpp
  std::size_t read_opening(protocol::bytes_view in);
  bool opening_message(char type, protocol::bytes_view body, protocol::bytes_view whole);
  bool replaying_message(char type, protocol::bytes_view body, protocol::bytes_view whole);
  void take_own_key();
  bool replay();
  void opened_relay();
  void begin_relayed(const cluster::relay_request& request);

  // client_moving_out.cpp
  bool goes_elsewhere();
  void become_relayed();
  bool describe_session();
  void leave_share();
  void sent_elsewhere(std::uint32_t epoch);
  void take_up_session();

  // client_relay.cpp
  std::size_t relay(protocol::bytes_view in);
  bool relay_once(protocol::bytes_view in, std::size_t& used);
  std::size_t read_console(protocol::bytes_view in);
  void take_console_reply(const console_reply& message);
  void check_out_server(bool again = false);
  void take_grant(const granted& message);
  void take_server(class server& given);
  void take_refusal(const check_out_refused& message);
  void out_of_queue();
  void unlink_server();
  void note_query_began();
  void note_query_over();
  void cancel(const caf::actor& requester);
  void go_on_cancelling();
  void spawn_canceller(const caf::actor& requester, bool counted);
  bool keeps_server() const;
  bool between_transactions() const;
  bool suspended() const;

  // client_handover.cpp
  void come_from_there();
  void settle_in();
  void take_word(bool moved);
  void arrived(bool ours);
  void refuse_arrival(std::string_view why);
  void stay_or_go(bool moved);
  bool can_move() const;
  bool postpone_end(protocol::bytes_view error);

  // client_memory.cpp
  void shed(std::uint64_t limit);
  bool within_memory();

  // client.cpp
  void fail(protocol::bytes_view error, std::string_view why);
  void note_error(protocol::bytes_view error);
  void fail(protocol::error_code code, std::initializer_list<std::string_view> args = {});
  bool in_midst_of_message() const;
  void leave(std::string_view why);
  void let_server_go(bool said_goodbye);
  void close_client_socket();
  void finish_leaving();
  void set_step(client_step now) { step_ = now; }
  void arm_idle_deadline();
  /// A line of the log about this client.
  template <class... Fields>
  void log_own(log_event event, const Fields&... more) const {
    log(level::info, event,
        {{"client", session_.id},
         {"user", user_},
         {"database", database_},
         {"tenant", tenant_name()},
         {"addr", peer_.host},
         {"port", peer_.port},
         more...});
  }
  caf::strong_actor_ptr self_ptr() { return caf::actor_cast<caf::strong_actor_ptr>(this); }

  node_context& node_;
  owned_link<client> attachment_{*this}; // in its share's list; before that in the list of logins under way
  protocol::client_session session_;
  std::unique_ptr<login_state> login_; // gone once logged in
  class share* share_ = nullptr;       // on this reactor, and alive as long as share_ref_ is held
  caf::actor share_ref_;
  pool_common_ptr pool_;
  std::shared_ptr<const config::pool_settings> limits_; // resolved for this client's user
  class server* server_ = nullptr;
  caf::strong_actor_ptr server_ref_;
  granted granted_;  // until on_prompt()
  client_seat seat_; // while it counts in the limits of its user, database and tenant
  std::string user_, database_;
  socket_address peer_;
  cluster::cancel_key key_;
  timer deadline_; // login time-out, later client_idle_timeout
  clock::time_point connected_at_{}, wait_began_{}, link_began_{}, query_began_{}, last_active_{};
  std::chrono::system_clock::time_point connect_time_;
  std::unique_ptr<std::vector<caf::actor>> cancel_requesters_; // while cancels wait for may_cancel
  std::uint32_t epoch_ = 0;                                    // of check-outs
  std::uint32_t cancel_epoch_ = 0;                             // of the check-out that the cancels mean
  client_counts meter_;
  client_step step_ = client_step::starting;
  bool query_running_ = false;
  bool relaying_ = false;    // within relay(), which uses what is there by itself
  bool unconfirmed_ = false; // it logged in while no server was there to say what its session begins with
  bool cancelled_waiting_ = false;
  bool blocked_on_server_ = false; // the next message waits until the server owes nothing
  bool replication_ = false;
  bool logical_replication_ = false;
  bool said_goodbye_ = false;
  bool end_at_transaction_end_ = false;
  bool counted_ = false;         // in node_.clients
  bool session_counted_ = false; // in node_.sessions
  bool login_listed_ = false;    // among the logins under way of this reactor
  bool admin_ = false;
  bool failed_ = false; // it has been told why
  bool stays_ = false;  // its session is too much to be told to another node
  protocol::bytes end_error_;
  std::unique_ptr<protocol::console_session> console_; // in the step `console`
  std::unique_ptr<relay_state> relay_;                 // in the step `relayed`
};

} // namespace pg_edge::actors
