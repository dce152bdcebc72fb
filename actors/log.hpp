// The node's log: one line an event, on stderr or in a file, in logfmt (time, level, event, then key=value) or JSON,
// with one system call, and dropped rather than waited for when the reader of stderr is stuck. An event that floods the
// log is cut to so many lines a second, and the rest counted. Secrets do not belong in fields. log_setup has the
// settings.
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
  listening,
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
  audit_not_kept,
  object_left_out,
  store_failed,
  store_works_again,
  store_awaited,
  etcd_child,
  peer_found,
  peer_lost,
  links_failed,
  handover_begun,
  handover_ended,
  handover_failed,
  handover_silent,
  actor_failed,
  message_unexpected,
  io_handler_failed,
  timer_failed,
  turn_task_failed,
  log_lines_dropped,
  log_lines_suppressed,
  logfile_failed,
  stats,
};

struct log_event_row {
  log_event event;
  std::string_view name;
  std::string_view help;
  std::string_view fields = {}; // the keys that its lines may have, beside time, level, event and cut
};

// One row an event, in the order of the enum. Operators search for these names: they do not change.
inline constexpr std::array log_events{
    log_event_row{log_event::node_started, "node_started", "the node serves clients", "version reactors file"},
    log_event_row{log_event::node_stopping, "node_stopping", "the node was told to stop", "mode clients"},
    log_event_row{log_event::node_stopped, "node_stopped", "the last actor has ended", ""},
    log_event_row{log_event::listening, "listening", "an address accepts connections", "address listener"},
    log_event_row{log_event::client_connected, "client_connected", "a client has logged in",
                  "client user database tenant addr port tls"},
    log_event_row{log_event::client_disconnected, "client_disconnected", "a client is gone",
                  "client user database tenant addr port reason"},
    log_event_row{log_event::client_login_failed, "client_login_failed", "a client was refused",
                  "client user database tenant addr port step reason"},
    log_event_row{log_event::server_connected, "server_connected", "a connection to Postgres has logged in",
                  "pool tenant database user server pid host port tls"},
    log_event_row{log_event::server_closed, "server_closed", "a connection to Postgres is closed",
                  "pool tenant database user server pid reason"},
    log_event_row{log_event::server_login_failed, "server_login_failed", "Postgres refused a login",
                  "pool tenant database user server address reason count"},
    log_event_row{log_event::server_away, "server_away", "nobody can log in to a server; told again once a minute",
                  "server reason attempts seconds"},
    log_event_row{log_event::server_back, "server_back", "a server that was away has let somebody in",
                  "server attempts seconds"},
    log_event_row{log_event::server_lingers, "server_lingers", "Postgres does not close a connection that we closed",
                  "pool tenant database user server pid host port reason seconds permit"},
    log_event_row{log_event::user_lookup_failed, "user_lookup_failed", "auth_query could not say who a user is",
                  "tenant database user auth_user reason"},
    log_event_row{log_event::host_avoided, "host_avoided", "a host of several failed; it is tried last for a while",
                  "pool tenant database user server host reason"},
    log_event_row{log_event::host_works_again, "host_works_again", "a host that was avoided takes logins again",
                  "pool tenant database user server host"},
    log_event_row{log_event::host_moved, "host_moved", "a host name has other addresses; servers there are replaced",
                  "host added removed addresses"},
    log_event_row{log_event::dns_failed, "dns_failed", "a look-up failed; addresses known from before go on serving",
                  "reason host addresses_in_use"},
    log_event_row{log_event::dns_works_again, "dns_works_again", "a host name could be looked up again",
                  "host addresses"},
    log_event_row{log_event::pam_message, "pam_message", "a PAM module says or asks something beside the password",
                  "user says asks"},
    log_event_row{log_event::pool_created, "pool_created", "a pool was used for the first time",
                  "pool tenant database user size shares"},
    log_event_row{log_event::pool_removed, "pool_removed", "a pool has no clients and servers any more",
                  "pool tenant database user"},
    log_event_row{log_event::reserve_changed, "reserve_changed", "a pool goes beyond its size, or back towards it",
                  "pool tenant database user used"},
    log_event_row{log_event::memory_changed, "memory_changed", "memory_limit was reached, or is kept again",
                  "state used memory_limit"},
    log_event_row{log_event::client_shed, "client_shed", "a client is ended to keep memory_limit",
                  "client bytes used memory_limit"},
    log_event_row{log_event::accept_paused, "accept_paused", "descriptors run short; clients wait in the backlog",
                  "address reason rlimit_nofile"},
    log_event_row{log_event::accept_resumed, "accept_resumed", "there are descriptors again", "address"},
    log_event_row{log_event::cancel_forwarded, "cancel_forwarded", "a cancel request was passed to Postgres",
                  "pool tenant database user server pid again lost"},
    log_event_row{log_event::link_up, "link_up", "a connection for streams to or from another node works",
                  "node dialled tls"},
    log_event_row{log_event::link_lost, "link_lost", "such a connection is over, or could not be made",
                  "node dialled streams reason"},
    log_event_row{log_event::settings_reloaded, "settings_reloaded", "new settings are in force",
                  "changed needs_restart databases_changed users_changed tenants_changed"},
    log_event_row{log_event::settings_refused, "settings_refused", "new settings have errors; the old stay in force",
                  "problem"},
    log_event_row{log_event::pools_controlled, "pools_controlled", "PAUSE, RESUME, KILL or the like was given",
                  "command scope by client"},
    log_event_row{log_event::admin_listening, "admin_listening", "an address serves the admin API", "address"},
    log_event_row{log_event::admin_failed, "admin_failed", "the admin API cannot be served, or made a mistake",
                  "request reason address hint"},
    log_event_row{log_event::admin_refused, "admin_refused", "a token is unknown, or its role is too small",
                  "peer reason token request"},
    log_event_row{log_event::admin_request, "admin_request", "the admin API has answered; at level info if not a GET",
                  "request target by peer status"},
    log_event_row{log_event::object_changed, "object_changed", "an object of the store came, changed or went",
                  "object what revision by from"},
    log_event_row{log_event::audit_not_kept, "audit_not_kept",
                  "a command was given, and there is no store for the audit log, or it cannot be written",
                  "what result by from why"},
    log_event_row{log_event::object_left_out, "object_left_out", "an object of the store does not count, and why",
                  "object why"},
    log_event_row{log_event::store_failed, "store_failed", "the store cannot be used; what the node knows goes on",
                  "store why"},
    log_event_row{log_event::store_works_again, "store_works_again", "the store can be used again", "store"},
    log_event_row{log_event::store_awaited, "store_awaited",
                  "a node of a cluster begins to serve when it has read the store, and cannot yet", "store why"},
    log_event_row{log_event::etcd_child, "etcd_child",
                  "the etcd that this node starts and looks after is in another state",
                  "state process found_running why"},
    log_event_row{log_event::peer_found, "peer_found", "another node can be reached, or at another place",
                  "node number address"},
    log_event_row{log_event::peer_lost, "peer_lost", "another node has left, or its lease has ended", "node number"},
    log_event_row{log_event::links_failed, "links_failed",
                  "the address for links of other nodes cannot be opened; it is "
                  "tried again every second",
                  "address why"},
    log_event_row{log_event::handover_begun, "handover_begun",
                  "a new process takes over from this one, or this one does", "from to"},
    log_event_row{log_event::handover_ended, "handover_ended", "the process that was taken over from has ended",
                  "from clients process dead"},
    log_event_row{log_event::handover_failed, "handover_failed", "a takeover was refused, or broke off",
                  "reason process clients"},
    log_event_row{log_event::handover_silent, "handover_silent",
                  "the process that was taken over from has not said that it accepts nobody any more; who connects may "
                  "still come to it",
                  "process seconds"},
    log_event_row{log_event::actor_failed, "actor_failed", "an exception ended an actor", "kind actor what pool"},
    log_event_row{log_event::message_unexpected, "message_unexpected", "an actor has no handler for a message",
                  "kind actor"},
    log_event_row{log_event::io_handler_failed, "io_handler_failed", "an exception left the handler of a descriptor",
                  "reactor what"},
    log_event_row{log_event::timer_failed, "timer_failed", "an exception left the function of a timer", "reactor what"},
    log_event_row{log_event::turn_task_failed, "turn_task_failed", "an exception left an end-of-turn task",
                  "reactor what"},
    log_event_row{log_event::log_lines_dropped, "log_lines_dropped", "stderr was stuck; so many lines are lost",
                  "lines"},
    log_event_row{log_event::log_lines_suppressed, "log_lines_suppressed",
                  "an event came more often than log_rate_limit; so many lines of it are left out", "of lines"},
    log_event_row{log_event::logfile_failed, "logfile_failed",
                  "logfile cannot be opened; the log goes on where it went before", "file reason"},
    log_event_row{log_event::stats, "stats",
                  "log_stats: averages over all databases and the last stats_period, as SHOW STATS has them",
                  "xacts_per_s queries_per_s client_parses_per_s server_parses_per_s binds_per_s client_logins_per_s "
                  "in_bytes_per_s out_bytes_per_s xact_us query_us wait_us clients servers waiting"},
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
// Writes to `fd` instead of stderr. The caller keeps it open; once this returns nobody writes to the former one.
void set_log_descriptor(int fd) noexcept;

enum class log_layout : std::uint8_t { logfmt, json };
void set_log_layout(log_layout layout) noexcept;
// So many lines of one event a second; 0: no limit. At first: no limit.
void set_log_rate_limit(unsigned lines) noexcept;
// Whether a line begins with its priority in the manner of syslog, "<6>", as the journal wants it.
void set_log_priorities(bool on) noexcept;
// Tells now of the lines that the limit has left out, for events that do not come any more.
void tell_suppressed_lines() noexcept;
// How many lines were dropped since the process started.
std::uint64_t log_lines_dropped() noexcept;

} // namespace pg_edge::actors
