// The node's log: one line an event on stderr in logfmt (time, level, event, then key=value), written with one system
// call, and dropped rather than waited for when the reader of stderr is stuck. Secrets do not belong in fields.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <variant>

namespace pg_edge::actors {

enum class level : std::uint8_t { debug, info, warning, error };

inline constexpr std::array<std::string_view, 4> level_names{"debug", "info", "warning", "error"};

// nullopt for a name that is not in level_names.
std::optional<level> level_named(std::string_view name) noexcept;

enum class log_event : std::uint8_t {
  node_started,
  node_stopping,
  node_stopped,
  drain_started,
  listening,
  listener_failed,
  client_connected,
  client_disconnected,
  client_login_failed,
  server_connected,
  server_closed,
  server_login_failed,
  server_away,
  server_back,
  server_lingers,
  user_lookup_failed,
  host_avoided,
  host_works_again,
  host_moved,
  dns_failed,
  dns_works_again,
  pam_message,
  pool_created,
  pool_removed,
  reserve_changed,
  permit_moved,
  memory_changed,
  client_shed,
  accept_paused,
  accept_resumed,
  cancel_forwarded,
  link_up,
  link_lost,
  settings_reloaded,
  settings_refused,
  pools_controlled,
  admin_listening,
  admin_failed,
  admin_refused,
  admin_request,
  object_changed,
  object_left_out,
  store_failed,
  store_works_again,
  handover_begun,
  handover_ended,
  handover_failed,
  actor_failed,
  message_unexpected,
  io_handler_failed,
  timer_failed,
  turn_task_failed,
  log_lines_dropped,
};

struct log_event_row {
  log_event event;
  std::string_view name;
  std::string_view help;
};

// One row an event, in the order of the enum. Operators search for these names: they do not change.
inline constexpr std::array log_events{
    log_event_row{log_event::node_started, "node_started", "the node serves clients"},
    log_event_row{log_event::node_stopping, "node_stopping", "the node was told to stop"},
    log_event_row{log_event::node_stopped, "node_stopped", "the last actor has ended"},
    log_event_row{log_event::drain_started, "drain_started", "clients are let go at transaction boundaries"},
    log_event_row{log_event::listening, "listening", "an address accepts connections"},
    log_event_row{log_event::listener_failed, "listener_failed", "an address could not be opened or accept failed"},
    log_event_row{log_event::client_connected, "client_connected", "a client has logged in"},
    log_event_row{log_event::client_disconnected, "client_disconnected", "a client is gone"},
    log_event_row{log_event::client_login_failed, "client_login_failed", "a client was refused"},
    log_event_row{log_event::server_connected, "server_connected", "a connection to Postgres has logged in"},
    log_event_row{log_event::server_closed, "server_closed", "a connection to Postgres is closed"},
    log_event_row{log_event::server_login_failed, "server_login_failed", "Postgres refused a login"},
    log_event_row{log_event::server_away, "server_away", "nobody can log in to a server; told again once a minute"},
    log_event_row{log_event::server_back, "server_back", "a server that was away has let somebody in"},
    log_event_row{log_event::server_lingers, "server_lingers", "Postgres does not close a connection that we closed"},
    log_event_row{log_event::user_lookup_failed, "user_lookup_failed", "auth_query could not say who a user is"},
    log_event_row{log_event::host_avoided, "host_avoided", "a host of several failed; it is tried last for a while"},
    log_event_row{log_event::host_works_again, "host_works_again", "a host that was avoided takes logins again"},
    log_event_row{log_event::host_moved, "host_moved", "a host name has other addresses; servers there are replaced"},
    log_event_row{log_event::dns_failed, "dns_failed", "a look-up failed; addresses known from before go on serving"},
    log_event_row{log_event::dns_works_again, "dns_works_again", "a host name could be looked up again"},
    log_event_row{log_event::pam_message, "pam_message", "a PAM module says or asks something beside the password"},
    log_event_row{log_event::pool_created, "pool_created", "a pool was used for the first time"},
    log_event_row{log_event::pool_removed, "pool_removed", "a pool has no clients and servers any more"},
    log_event_row{log_event::reserve_changed, "reserve_changed", "a pool goes beyond its size, or back towards it"},
    log_event_row{log_event::permit_moved, "permit_moved", "a permit went from one share to another"},
    log_event_row{log_event::memory_changed, "memory_changed", "memory_limit was reached, or is kept again"},
    log_event_row{log_event::client_shed, "client_shed", "a client is ended to keep memory_limit"},
    log_event_row{log_event::accept_paused, "accept_paused", "descriptors run short; clients wait in the backlog"},
    log_event_row{log_event::accept_resumed, "accept_resumed", "there are descriptors again"},
    log_event_row{log_event::cancel_forwarded, "cancel_forwarded", "a cancel request was passed to Postgres"},
    log_event_row{log_event::link_up, "link_up", "a connection for streams to or from another node works"},
    log_event_row{log_event::link_lost, "link_lost", "such a connection is over, or could not be made"},
    log_event_row{log_event::settings_reloaded, "settings_reloaded", "new settings are in force"},
    log_event_row{log_event::settings_refused, "settings_refused", "new settings have errors; the old stay in force"},
    log_event_row{log_event::pools_controlled, "pools_controlled", "PAUSE, RESUME, KILL or the like was given"},
    log_event_row{log_event::admin_listening, "admin_listening", "an address serves the admin API"},
    log_event_row{log_event::admin_failed, "admin_failed", "the admin API cannot be served, or made a mistake"},
    log_event_row{log_event::admin_refused, "admin_refused", "a token is unknown, or its role is too small"},
    log_event_row{log_event::admin_request, "admin_request", "the admin API has answered; at level info if not a GET"},
    log_event_row{log_event::object_changed, "object_changed", "an object of the store came, changed or went"},
    log_event_row{log_event::object_left_out, "object_left_out", "an object of the store does not count, and why"},
    log_event_row{log_event::store_failed, "store_failed", "the store cannot be used; what the node knows goes on"},
    log_event_row{log_event::store_works_again, "store_works_again", "the store can be used again"},
    log_event_row{log_event::handover_begun, "handover_begun",
                  "a new process takes over from this one, or this one does"},
    log_event_row{log_event::handover_ended, "handover_ended", "the process that was taken over from has ended"},
    log_event_row{log_event::handover_failed, "handover_failed", "a takeover was refused, or broke off"},
    log_event_row{log_event::actor_failed, "actor_failed", "an exception ended an actor"},
    log_event_row{log_event::message_unexpected, "message_unexpected", "an actor has no handler for a message"},
    log_event_row{log_event::io_handler_failed, "io_handler_failed", "an exception left the handler of a descriptor"},
    log_event_row{log_event::timer_failed, "timer_failed", "an exception left the function of a timer"},
    log_event_row{log_event::turn_task_failed, "turn_task_failed", "an exception left an end-of-turn task"},
    log_event_row{log_event::log_lines_dropped, "log_lines_dropped", "stderr was stuck; so many lines are lost"},
};

constexpr std::string_view to_string(log_event event) {
  return log_events[static_cast<std::size_t>(event)].name;
}

// A key (lower case, underscores) and a value, which is only looked at during the call of log().
class field {
public:
  field(std::string_view key, std::string_view text) : key_(key), value_(text) {}
  field(std::string_view key, const char* text) : key_(key), value_(std::string_view(text)) {}
  field(std::string_view key, std::same_as<bool> auto yes) : key_(key), value_(yes) {}
  field(std::string_view key, double number) : key_(key), value_(number) {}
  field(std::string_view key, std::signed_integral auto n) : key_(key), value_(static_cast<std::int64_t>(n)) {}
  field(std::string_view key, std::unsigned_integral auto n) requires(!std::same_as<decltype(n), bool>)
      : key_(key), value_(static_cast<std::uint64_t>(n)) {}

private:
  friend class log_line;
  std::string_view key_;
  std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool> value_;
};

// Writes one line. Any thread; never throws; waits for nobody but other threads within this function.
void log(level severity, log_event event, std::initializer_list<field> fields = {}) noexcept;

// Whether log() would write at this level: for fields that are dear to compute.
bool log_enabled(level severity) noexcept;
// Lines below `minimum` are not written. At first: info.
void set_log_level(level minimum) noexcept;
// Writes to `fd` instead of stderr. The caller keeps it open.
void set_log_descriptor(int fd) noexcept;
// How many lines were dropped since the process started.
std::uint64_t log_lines_dropped() noexcept;

} // namespace pg_edge::actors
