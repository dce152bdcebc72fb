// The table of contents of the running system: every actor and what it may be told.
//
//   node ── tenants ── tenant (one a tenant) ── steward (one a pool) ── share (one a reactor at most)
//                                                                        ├── server (one a connection to Postgres)
//   listener ── client (one a connection) ── its share ── a server, while it has one
//   console, gatherer, objects, resolver, key_deriver, user_lookup: ask and be answered
//
// listener, client, server, share and canceller live on reactors and are spoken to by plain sends that carry an epoch;
// the others run on CAF's scheduler and have typed handles. All messages here stay within the process.
#pragma once

#include "actors/pool_gates.hpp"
#include "actors/published.hpp"
#include "cluster/memory_guard.hpp"
#include "cluster/permits.hpp"
#include "config/difference.hpp"
#include "config/hba.hpp"
#include "config/objects.hpp"
#include "config/resolve.hpp"
#include "config/settings.hpp"
#include "protocol/bytes.hpp"
#include "protocol/console_session.hpp"
#include "protocol/session_parameters.hpp"
#include "protocol/statements.hpp"

#include <caf/all.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <vector>

namespace pg_edge::actors {

class reactor;
class client;
class server;
class share;
class node_context;
struct node_settings;
struct node_view;

// -- what a pool is
// ------------------------------------------------------------------------------------------------------

/// tenant + database + server user.
struct pool_name {
  std::string tenant, database, user;
  friend auto operator<=>(const pool_name&, const pool_name&) = default;
};

/// What the shares, servers and clients of one pool have in common. The settings are replaced by a reload.
struct pool_common {
  std::uint64_t id = 0;
  pool_name name;
  protocol::statement_cache statements;
  std::atomic<std::uint32_t> shares{1};       // among which min_pool_size is divided
  std::atomic<std::uint32_t> reserve_used{0}; // permits beyond pool_size that are there now
  std::atomic<std::uint32_t> waiting{0};      // clients that wait for a server, on all reactors

  std::shared_ptr<const config::pool_settings> settings() const { return settings_.get(); }
  void set_settings(std::shared_ptr<const config::pool_settings> now) {
    settings_.set(std::move(now));
    version_.fetch_add(1, std::memory_order_release);
  }
  /// Another number after each replacement.
  std::uint32_t settings_version() const { return version_.load(std::memory_order_acquire); }

private:
  published<config::pool_settings> settings_;
  std::atomic<std::uint32_t> version_{0};
};
using pool_common_ptr = std::shared_ptr<pool_common>;

/// A pool's settings for an actor that asks at every transaction: without a lock unless they have been replaced.
class present_settings {
public:
  /// Valid until the next call.
  const config::pool_settings& of(const pool_common& pool) {
    const std::uint32_t version = pool.settings_version(); // first: what is kept may only be newer than it says
    if (kept_ == nullptr || version != version_) kept_ = pool.settings();
    version_ = version;
    return *kept_;
  }

private:
  std::shared_ptr<const config::pool_settings> kept_;
  std::uint32_t version_ = 0;
};

// -- tenants, tenant, steward
// --------------------------------------------------------------------------------------------

/// A client that has proved who it is asks for the share of its pool; it is told `pool_joined` or `pool_refused`.
/// Without a client: the pool shall be there for its min_pool_size.
struct join_pool {
  caf::actor client;
  std::string tenant, database, user; // `user`: as the client named itself
  std::string server_user;            // of the pool
};

/// To the client: your share, and the reactor to move to.
struct pool_joined {
  caf::actor share;
  reactor* home = nullptr;
  pool_common_ptr pool;
};

/// To the client: a whole ErrorResponse.
struct pool_refused {
  protocol::bytes error;
};

/// Settings have been replaced: look what they mean for you.
struct settings_changed {
  std::shared_ptr<const config::settings> now;
};

/// From a share to its steward: a report on its permits and the idle servers that leave with them.
struct share_report {
  cluster::permit_report report;
  std::vector<caf::actor> servers; // as report.carried
};

/// From the steward to a share.
struct share_order {
  cluster::permit_order order;
  std::vector<caf::actor> servers; // as order.carried
};

/// From a share to its steward when a client has left it.
struct client_left {
  std::uint32_t share = 0;
};

/// From a share to its steward: unused for pool_idle_timeout, and without a server. `left` clients have come and gone
/// so far: when that is all the steward ever sent to it, none is on its way.
struct share_unused {
  std::uint32_t share = 0;
  std::uint64_t left = 0;
};
/// From a share to its steward: `lacking` clients have waited reserve_pool_timeout and no server is on its way to them,
/// or `spare` servers are idle and nobody has waited for so long.
struct reserve_wish {
  std::uint32_t lacking = 0, spare = 0;
};
/// From a steward to its tenant: every share is unused. `joined`: clients it was ever asked to take.
struct pool_unused {
  std::uint64_t pool = 0;
  std::uint64_t joined = 0;
};

/// From a steward to its tenant: the last client of the pool has left. `joined`: as above.
struct pool_empty {
  std::uint64_t pool = 0;
  std::uint64_t joined = 0;
};

/// Console and drains ask a steward for the handles of its shares; tenants pass it on.
/// From a tenant to the root: it has no pool left. `joined`: clients it was ever asked to take.
struct tenant_unused {
  std::string tenant;
  std::uint64_t joined = 0;
};

/// What the console, or a signal, wants of pools; who is told looks at pool_gates for the rest.
enum class control_word : std::uint8_t {
  look,        // a gate was shut or opened
  reconnect,   // stale servers go when they are next released
  kill,        // every client and server, at once
  kill_client, // the one with this id
  hand_over,   // clients that can move to the process that takes over do
};
struct control_pools {
  control_word what = control_word::look;
  pool_scope scope;
  std::uint64_t client = 0;
};

/// From permit_exchange to a steward: how many of the pool's permits are this process's may have changed.
struct permits_shared {};

struct list_shares {};
struct share_list {
  std::vector<caf::actor> shares;
};
struct list_stewards {};
struct list_tenants {};

/// join_pool      : find or make the share for a client
/// share_report   : permits given back or wanted
/// client_left    : one client fewer at a share
/// reserve_wish   : more or fewer permits beyond the pool's size
/// settings_changed: sizes may differ now
/// end_clients    : to all shares
/// control_pools  : to all shares
/// permits_shared : while another process takes over: ask permit_exchange anew
/// list_shares    : who they are
struct end_clients;
using steward_actor =
    caf::typed_actor<caf::reacts_to<join_pool>, caf::reacts_to<share_report>, caf::reacts_to<client_left>,
                     caf::reacts_to<share_unused>, caf::reacts_to<reserve_wish>, caf::reacts_to<settings_changed>,
                     caf::reacts_to<end_clients>, caf::reacts_to<control_pools>, caf::reacts_to<permits_shared>,
                     caf::replies_to<list_shares>::with<share_list>>;
struct steward_list {
  std::vector<steward_actor> stewards;
};

/// join_pool: to the steward of that pool, made if need be; settings_changed: to all of them; control_pools: to those
/// of its scope
using tenant_actor =
    caf::typed_actor<caf::reacts_to<join_pool>, caf::reacts_to<pool_unused>, caf::reacts_to<pool_empty>,
                     caf::reacts_to<settings_changed>, caf::reacts_to<end_clients>, caf::reacts_to<control_pools>,
                     caf::replies_to<list_stewards>::with<steward_list>>;
struct tenant_list {
  std::vector<tenant_actor> tenants;
};

/// The same for all tenants.
using tenants_actor = caf::typed_actor<caf::reacts_to<join_pool>, caf::reacts_to<tenant_unused>,
                                       caf::reacts_to<settings_changed>, caf::reacts_to<end_clients>,
                                       caf::reacts_to<control_pools>, caf::replies_to<list_tenants>::with<tenant_list>>;

// -- resolver
// -------------------------------------------------------------------------------------------------------------

/// Where one server connection may go, in the order in which to try.
struct server_address {
  sockaddr_storage address{};
  socklen_t length = 0;
  std::string host; // as configured: for SNI, verification, SHOW and the log
  std::uint16_t port = 0;
};

struct resolve_host {
  std::string host; // a name, an address, or the folder of a Unix socket
  std::uint16_t port = 0;
};
struct resolved_host {
  std::vector<server_address> addresses;
  std::string error; // why there are none
};
/// Who a client's address belongs to, for host-based rules.
struct name_client {
  config::ip_address address;
};
struct client_name {
  config::hba_client_name is;
};
using resolver_actor = caf::typed_actor<caf::replies_to<resolve_host>::with<resolved_host>,
                                        caf::replies_to<name_client>::with<client_name>>;

// -- user_lookup
// ----------------------------------------------------------------------------------------------------------

/// What auth_query says about a user who is not configured.
struct lookup_user {
  std::shared_ptr<const config::settings> settings; // in force for this login
  std::string tenant, database, user;               // `database`: as the client asked
  std::string auth_user, auth_query, auth_dbname;   // as resolved for this login
  bool fresh = false;                               // the answer kept from before did not fit: ask again
};
enum class lookup_outcome : std::uint8_t {
  found,   // `secret` is empty when Postgres has none, or one that has expired
  unknown, // no such user
  failed,  // nobody can say; the log tells why
};
struct found_user {
  lookup_outcome outcome = lookup_outcome::failed;
  std::string secret;
  bool cached = false; // not asked for this time
};
/// A proof failed against the secret told before: the next look-up of the user asks again.
struct doubt_user {
  lookup_user whom;
};
/// lookup_user: from the cache, or by auth_query
/// doubt_user : what is kept may be out of date
using user_lookup_actor = caf::typed_actor<caf::replies_to<lookup_user>::with<found_user>, caf::reacts_to<doubt_user>>;

/// To a client: what PAM says about its password. `why`: if it is not right, for the log.
struct pam_answer {
  bool right = false;
  std::string why;
};

// -- client
// ---------------------------------------------------------------------------------------------------------------

/// From the share: the server is yours until you give it back. `epoch` is that of your check_out. With check_out and a
/// server's check-in one of the three decisions of every transaction: they never leave their reactor, and are handed
/// over without a mailbox (reactor::prompt).
struct granted {
  caf::strong_actor_ptr server;
  std::uint32_t epoch = 0;
};
/// From the share: no server will come; a whole ErrorResponse. `fatal`: and the session is over.
struct check_out_refused {
  protocol::bytes error;
  std::uint32_t epoch = 0;
  bool fatal = true;
};
/// From the share: you are out of the queue, as you asked.
struct abandoned {
  std::uint32_t epoch = 0;
};
/// From the share, instead of a server: another node serves the pool now, and the client is out of the queue. Epoch
/// 0, from itself: it has become a relayed client, and goes on with what it has read.
struct go_elsewhere {
  std::uint32_t epoch = 0;
};
/// From the share, while waiting long: a whole NoticeResponse.
struct wait_notice {
  protocol::bytes notice;
  std::uint32_t epoch = 0;
};
/// From the share: what a session of this kind begins with; `values` null: nobody knows yet. `unconfirmed`: no server
/// is there to say so; these are the values of a session without settings of its own, as a server said them before.
struct welcome {
  protocol::parameter_values_ptr values;
  protocol::startup_profile_ptr profile;
  bool unconfirmed = false;
  std::uint32_t epoch = 0; // not 0: the answer to this check_out
};
/// From the connection on which a CancelRequest came; it is told `cancel_done`.
struct cancel_client {
  caf::actor requester;
};
struct cancel_done {};
/// From the share: a cancel connection may be opened now.
struct may_cancel {};
/// End the session with this ErrorResponse, at the end of the transaction or now.
struct end_client {
  protocol::bytes error;
  bool at_transaction_end = false;
};
/// To each reactor, when the node is above memory_limit: who holds how much there.
struct survey_memory {};
struct memory_survey {
  std::vector<cluster::memory_holder> holders;
  std::vector<caf::actor> clients; // the same ones
};
/// The node is above its memory_limit, and this client holds more than others.
struct shed_client {
  std::uint64_t limit = 0;
};
/// From its share or itself: move to the process that takes over, if that is possible now.
struct hand_over_now {};
/// From the hand-over's thread, to a client that is moving. In the old process: it has moved, or stays; in the new one:
/// it is ours from now on, or never was.
struct moved_over {
  bool moved = false;
};
/// From the console: whole messages to send.
struct console_reply {
  protocol::bytes messages;
  bool failed = false; // the last of them is an error
};

// -- share
// ----------------------------------------------------------------------------------------------------------------

/// A client moved here. It is told `welcome`.
struct attach_client {
  caf::strong_actor_ptr client;
  std::string start_up; // key of its start-up settings; empty: none of its own
};
/// A client of this share has gone. Not `attached`: it had left on its way here.
struct detach_client {
  bool attached = true;
};
/// What a server made of start-up settings that nobody had used before.
struct learned_welcome {
  std::string start_up;
  protocol::parameter_values_ptr values;
  protocol::startup_profile_ptr profile;
};
/// A client wants a server: told `granted` or `check_out_refused`. Handed over like `granted`.
struct check_out {
  caf::strong_actor_ptr client;
  std::uint32_t epoch = 0;
  bool replication = false;                      // a connection of its own, made with the client's start-up packet
  std::chrono::steady_clock::time_point since{}; // it waits; longer ago if the server it was given was lost unused
};
/// It does not want one any more: told `abandoned`, unless `granted` or `check_out_refused` is on its way.
struct abandon {
  caf::strong_actor_ptr client;
  std::uint32_t epoch = 0;
};
/// A server has logged in.
struct server_ready {
  caf::strong_actor_ptr server;
};
/// A server is on its way out: it will not be handed out again, its permit is still used.
struct server_closing {
  caf::strong_actor_ptr server;
};
/// A login has failed. `server_gone` follows at once if there was no connection, else with Postgres's EOF. `error`: a
/// whole ErrorResponse for who waits for it; `where`, `reason`: of the last address tried.
struct server_refused {
  caf::strong_actor_ptr server;
  protocol::bytes error;
  std::string where, reason;
  bool reached = false; // somebody was there and said no; else nothing is known of the server
};
/// Postgres has closed its side, or there never was one.
struct server_gone {
  caf::strong_actor_ptr server;
};
/// A server that was on another reactor is here now.
struct server_arrived {
  caf::strong_actor_ptr server;
};
/// A client asks to open a cancel connection: told `may_cancel`.
struct want_cancel {
  caf::strong_actor_ptr client;
};
struct cancel_over {};
/// The steward's settings changed.
struct share_settings {};
/// A login to a server may begin now, or may have become possible. See login_gates.
struct login_turn {};
/// A limit over several pools: a server may be opened now, or one has to be closed for another pool.
struct limits_moved {};
/// To a share, through tenants and stewards: end every client, at once or with its transaction.
struct end_clients {
  protocol::bytes error;
  bool at_transaction_end = true;
};

// -- server
// ---------------------------------------------------------------------------------------------------------------

/// From itself: connect to the same address once more, now with TLS.
struct connect_server {};
/// Terminate when free.
struct close_server {
  std::string reason;
};
/// Move to the reactor of this share and belong to it.
struct adopt_server {
  caf::actor share;
  reactor* home = nullptr;
};
/// A cancel connection for this server has ended. `sent`: by Postgres; else nobody knows whether a cancel is still on
/// its way, so the server must not go to another client.
struct cancel_sent {
  caf::actor requester;
  bool sent = true;
};

// -- console
// --------------------------------------------------------------------------------------------------------------

/// Who wants something, for the audit log.
struct author {
  std::string who;  // "token deploy", "console admin", "signal SIGHUP", "process 4711"
  std::string from; // an address; empty: this machine
};
/// A client of the console has logged in. The console watches it until it ends, and may ask it to take_snapshot.
struct console_joined {
  caf::actor client;
};
/// One command of such a client, or several; it is told `console_reply`.
struct console_query {
  caf::actor client;
  protocol::console_question question;
  std::string user;
  bool admin = false;
  std::string from; // its address
};
/// A CancelRequest for such a client while its command has no answer yet.
struct console_cancelled {
  caf::actor client;
};
/// Its clients, for whoever gathers a view.
struct list_console_clients {};
struct console_client_list {
  std::vector<caf::actor> clients;
};
/// A command of the admin API that acts on pools, as if it had come from a client: words as behind the command's name.
enum class console_act : std::uint8_t;
struct console_order {
  console_act act{};
  std::vector<std::string> arguments;
  author by;
};
/// Empty: done. Else a whole ErrorResponse.
struct console_order_done {
  protocol::bytes error;
};
/// console_joined: one more client; console_query: run a command; end_clients: all of them shall go;
/// console_cancelled: wait no longer; list_console_clients: who they are; console_order: a command of the admin API
using console_actor =
    caf::typed_actor<caf::reacts_to<console_joined>, caf::reacts_to<console_query>, caf::reacts_to<console_cancelled>,
                     caf::reacts_to<end_clients>, caf::replies_to<list_console_clients>::with<console_client_list>,
                     caf::replies_to<console_order>::with<console_order_done>>;

// -- gatherer
// -------------------------------------------------------------------------------------------------------------

/// What is asked of the tree: nothing but what the node knows anyway, the figures of shares, or their connections or
/// their servers' prepared statements too.
enum class view_need : std::uint8_t { nothing, counts, clients, servers, connections, statements };

/// Everything there is to see of the node, at one moment that is not before this message was sent.
struct gather_view {
  view_need need = view_need::counts;
};
struct gathered_view {
  std::shared_ptr<const node_view> view;
};
using gatherer_actor = caf::typed_actor<caf::replies_to<gather_view>::with<gathered_view>>;

// -- node
// -----------------------------------------------------------------------------------------------------------------

/// Read the file again and apply what can be applied.
struct reload_settings {
  author by;
};
/// How that went: lines for the log and the console; `applied` false: nothing has changed.
struct reload_result {
  bool applied = false;
  std::vector<std::string> lines;
  config::difference changes;
  std::vector<config::drift> left_out; // objects of the store that do not count
};
/// The objects of the store are these now.
struct take_objects {
  std::shared_ptr<const config::stored_objects> now;
};
/// How to end: `wait_for_clients` as SIGTERM (clients stay until they leave, new ones are refused), `wait_for_servers`
/// as SIGINT (every client ends with its transaction), `at_once` as SIGQUIT.
enum class shutdown_mode : std::uint8_t { wait_for_clients, wait_for_servers, at_once };
struct shut_down {
  shutdown_mode mode = shutdown_mode::at_once;
  author by;
  std::chrono::seconds notice{0}; // so long clients are still let in, while readiness and the cluster know already
};
/// From the hand-over's thread, in the old process: the new one serves, or it has died and this one goes on alone.
struct handover_news {
  enum kind : std::uint8_t { begun, other_died } what = begun;
};
/// SET on the console: a global setting has another value until the next reload, which reads the file again.
struct set_setting {
  std::string key, value;
  author by;
};
using node_actor = caf::typed_actor<caf::replies_to<reload_settings>::with<reload_result>,
                                    caf::replies_to<take_objects>::with<reload_result>, caf::reacts_to<shut_down>,
                                    caf::reacts_to<handover_news>, caf::replies_to<set_setting>::with<reload_result>>;

// -- objects
// --------------------------------------------------------------------------------------------------------------

/// What came of a change. `unknown`: nobody can say whether it was made.
enum class change_outcome : std::uint8_t {
  done,
  refused,     // `fault` says why
  lost,        // somebody else has changed it meanwhile, or it is not as `if_match` says
  no_store,    // there is none
  unavailable, // the store cannot be written
  unknown,
  taken_over, // another cluster takes over this one's objects: changes are made there
};
/// `if_match`: only if its revision is this one; nullopt: whatever it is.
struct change_object {
  config::object_change what;
  std::optional<std::uint64_t> if_match;
  author by;
};
struct object_changed {
  change_outcome outcome = change_outcome::unavailable;
  config::object_fault fault;
  std::string why;            // of lost to unknown
  std::uint64_t revision = 0; // done: of the change; lost: as it stands, 0: it is not there
  bool created = false;
  std::vector<std::string> lines; // what it changed in the node, as of a reload
};
inline constexpr std::string_view audit_done = "done";
/// A command, which is no change of an object: a line in the audit log.
struct note_audit {
  author by;
  std::string what;
  std::string result = std::string(audit_done);
  std::vector<std::string> fields = {};
};
/// The audit log, newest first, before the entry of that key.
struct read_audit {
  std::size_t limit = 100;
  std::string before;
};
struct audit_entry {
  std::string key, at, who, from, what;
  std::vector<std::string> fields; // settings that changed; never their values
  std::string result;              // "done", or why not
};
struct audit_page {
  bool available = false;
  std::string why; // not available
  std::vector<audit_entry> entries;
};
/// Whether what lives in the store can be changed now.
struct ask_store {};
struct store_state {
  std::string name; // empty: there is no store
  bool works = false;
  std::string why;
};
/// change_object: look at it, write it, apply it; note_audit: a line; read_audit: lines; ask_store: how it is
using objects_actor =
    caf::typed_actor<caf::replies_to<change_object>::with<object_changed>, caf::reacts_to<note_audit>,
                     caf::replies_to<read_audit>::with<audit_page>, caf::replies_to<ask_store>::with<store_state>>;

// -- what the gatherer asks pinned actors
// ------------------------------------------------------------------------------------

struct client_row {
  std::uint64_t id = 0;
  std::string tenant; // empty: nobody's, as on the console
  std::string user, database, state, addr, local_addr, application_name, tls;
  std::uint16_t port = 0, local_port = 0;
  std::chrono::system_clock::time_point connect_time, request_time;
  std::chrono::microseconds wait{};
  std::uint64_t link = 0;      // id of its server
  std::int32_t remote_pid = 0; // of a server: the backend's; of a client: its process, if it came by a Unix socket
  std::size_t prepared_statements = 0;
  std::string replication = "none"; // or "logical", "physical"
  bool close_needed = false;
  int fd = -1;
  protocol::parameter_values_ptr values; // what the session has for what Postgres reports; null: nothing is known
  std::size_t unread_bytes = 0, unsent_bytes = 0; // kept because they could not be used or sent yet
};
using server_row = client_row; // pgbouncer's columns are the same

struct share_counts {
  std::uint64_t server_assignment_count = 0, xact_count = 0, query_count = 0;
  std::uint64_t received = 0, sent = 0;                       // bytes from clients, bytes from servers
  std::uint64_t xact_time = 0, query_time = 0, wait_time = 0; // microseconds
  std::uint64_t client_parse_count = 0, server_parse_count = 0, bind_count = 0, client_login_count = 0;
};

/// What the servers of a share know of one prepared statement.
struct statement_use {
  protocol::statement_ptr what;
  std::uint32_t servers = 0;
  std::uint64_t uses = 0;
};

struct share_snapshot {
  pool_common_ptr pool;
  unsigned reactor = 0;
  std::uint32_t permits = 0;
  std::uint32_t cl_active = 0, cl_waiting = 0, cl_active_cancel_req = 0, cl_waiting_cancel_req = 0;
  std::uint32_t sv_active = 0, sv_active_cancel = 0, sv_being_canceled = 0, sv_idle = 0, sv_used = 0, sv_tested = 0,
                sv_login = 0, sv_closing = 0;
  std::chrono::microseconds maxwait{};
  share_counts counts;
  std::vector<client_row> clients;
  std::vector<server_row> servers;
  std::vector<statement_use> statements;
};
/// To a share: answered with share_snapshot. To a client of the console: answered with client_row.
struct take_snapshot {
  bool clients = false, servers = false, statements = false;
};
/// To the surveyor of a reactor: the actors of a kind (as in actor_stats) that live there.
struct list_residents {
  std::uint8_t kind = 0;
};
struct resident {
  std::uint64_t actor = 0;
  unsigned reactor = 0;
  std::uint64_t handled = 0, mailbox = 0; // messages
  std::string what;                       // who that is, in the numbers of other SHOW commands
};
struct resident_list {
  std::vector<resident> residents;
};

} // namespace pg_edge::actors

// -- none of these leaves the process, so none needs to be serialised
// --------------------------------------------------------

#define PG_EDGE_LOCAL_MESSAGE(type) CAF_ALLOW_UNSAFE_MESSAGE_TYPE(pg_edge::actors::type)
PG_EDGE_LOCAL_MESSAGE(join_pool)
PG_EDGE_LOCAL_MESSAGE(pool_joined)
PG_EDGE_LOCAL_MESSAGE(pool_refused)
PG_EDGE_LOCAL_MESSAGE(settings_changed)
PG_EDGE_LOCAL_MESSAGE(share_report)
PG_EDGE_LOCAL_MESSAGE(share_order)
PG_EDGE_LOCAL_MESSAGE(client_left)
PG_EDGE_LOCAL_MESSAGE(share_unused)
PG_EDGE_LOCAL_MESSAGE(pool_unused)
PG_EDGE_LOCAL_MESSAGE(pool_empty)
PG_EDGE_LOCAL_MESSAGE(tenant_unused)
PG_EDGE_LOCAL_MESSAGE(reserve_wish)
PG_EDGE_LOCAL_MESSAGE(permits_shared)
PG_EDGE_LOCAL_MESSAGE(list_shares)
PG_EDGE_LOCAL_MESSAGE(share_list)
PG_EDGE_LOCAL_MESSAGE(list_stewards)
PG_EDGE_LOCAL_MESSAGE(list_tenants)
PG_EDGE_LOCAL_MESSAGE(steward_list)
PG_EDGE_LOCAL_MESSAGE(tenant_list)
PG_EDGE_LOCAL_MESSAGE(resolve_host)
PG_EDGE_LOCAL_MESSAGE(resolved_host)
PG_EDGE_LOCAL_MESSAGE(name_client)
PG_EDGE_LOCAL_MESSAGE(client_name)
PG_EDGE_LOCAL_MESSAGE(pam_answer)
PG_EDGE_LOCAL_MESSAGE(lookup_user)
PG_EDGE_LOCAL_MESSAGE(found_user)
PG_EDGE_LOCAL_MESSAGE(doubt_user)
PG_EDGE_LOCAL_MESSAGE(check_out_refused)
PG_EDGE_LOCAL_MESSAGE(abandoned)
PG_EDGE_LOCAL_MESSAGE(go_elsewhere)
PG_EDGE_LOCAL_MESSAGE(wait_notice)
PG_EDGE_LOCAL_MESSAGE(welcome)
PG_EDGE_LOCAL_MESSAGE(cancel_client)
PG_EDGE_LOCAL_MESSAGE(cancel_done)
PG_EDGE_LOCAL_MESSAGE(may_cancel)
PG_EDGE_LOCAL_MESSAGE(end_client)
PG_EDGE_LOCAL_MESSAGE(survey_memory)
PG_EDGE_LOCAL_MESSAGE(memory_survey)
PG_EDGE_LOCAL_MESSAGE(shed_client)
PG_EDGE_LOCAL_MESSAGE(hand_over_now)
PG_EDGE_LOCAL_MESSAGE(moved_over)
PG_EDGE_LOCAL_MESSAGE(console_reply)
PG_EDGE_LOCAL_MESSAGE(attach_client)
PG_EDGE_LOCAL_MESSAGE(detach_client)
PG_EDGE_LOCAL_MESSAGE(learned_welcome)
PG_EDGE_LOCAL_MESSAGE(abandon)
PG_EDGE_LOCAL_MESSAGE(server_ready)
PG_EDGE_LOCAL_MESSAGE(server_closing)
PG_EDGE_LOCAL_MESSAGE(server_refused)
PG_EDGE_LOCAL_MESSAGE(server_gone)
PG_EDGE_LOCAL_MESSAGE(server_arrived)
PG_EDGE_LOCAL_MESSAGE(want_cancel)
PG_EDGE_LOCAL_MESSAGE(cancel_over)
PG_EDGE_LOCAL_MESSAGE(share_settings)
PG_EDGE_LOCAL_MESSAGE(login_turn)
PG_EDGE_LOCAL_MESSAGE(limits_moved)
PG_EDGE_LOCAL_MESSAGE(end_clients)
PG_EDGE_LOCAL_MESSAGE(control_pools)
PG_EDGE_LOCAL_MESSAGE(connect_server)
PG_EDGE_LOCAL_MESSAGE(close_server)
PG_EDGE_LOCAL_MESSAGE(adopt_server)
PG_EDGE_LOCAL_MESSAGE(cancel_sent)
PG_EDGE_LOCAL_MESSAGE(console_joined)
PG_EDGE_LOCAL_MESSAGE(console_query)
PG_EDGE_LOCAL_MESSAGE(console_cancelled)
PG_EDGE_LOCAL_MESSAGE(list_console_clients)
PG_EDGE_LOCAL_MESSAGE(console_client_list)
PG_EDGE_LOCAL_MESSAGE(console_order)
PG_EDGE_LOCAL_MESSAGE(console_order_done)
PG_EDGE_LOCAL_MESSAGE(gather_view)
PG_EDGE_LOCAL_MESSAGE(gathered_view)
PG_EDGE_LOCAL_MESSAGE(reload_settings)
PG_EDGE_LOCAL_MESSAGE(reload_result)
PG_EDGE_LOCAL_MESSAGE(take_objects)
PG_EDGE_LOCAL_MESSAGE(change_object)
PG_EDGE_LOCAL_MESSAGE(object_changed)
PG_EDGE_LOCAL_MESSAGE(note_audit)
PG_EDGE_LOCAL_MESSAGE(read_audit)
PG_EDGE_LOCAL_MESSAGE(audit_page)
PG_EDGE_LOCAL_MESSAGE(ask_store)
PG_EDGE_LOCAL_MESSAGE(store_state)
PG_EDGE_LOCAL_MESSAGE(shut_down)
PG_EDGE_LOCAL_MESSAGE(handover_news)
PG_EDGE_LOCAL_MESSAGE(set_setting)
PG_EDGE_LOCAL_MESSAGE(list_residents)
PG_EDGE_LOCAL_MESSAGE(resident_list)
PG_EDGE_LOCAL_MESSAGE(client_row)
PG_EDGE_LOCAL_MESSAGE(share_snapshot)
PG_EDGE_LOCAL_MESSAGE(take_snapshot)
#undef PG_EDGE_LOCAL_MESSAGE
