// Looking at the node through the admin API: lists and single objects, each made from a table of columns.
#include "actors/admin_schemas.hpp"
#include "config/resolve.hpp"
#include "config/setting_table.hpp"
#include "config/value_text.hpp"

#include <algorithm>
#include <charconv>

namespace pg_edge::actors {

namespace {

/// What the file names stands in a line of it.
std::string_view origin_of(int line, bool always_there) {
  return line > 0 || always_there ? "file" : "store";
}

json mode_of(const std::optional<config::pool_mode>& mode) {
  return mode ? json(config::to_string(*mode)) : json();
}

// -- tables: one row a field
// ---------------------------------------------------------------------------------------------------

using tr = tenant_row;
constexpr admin_column<tr> tenant_columns[] = {
    {{"tenant", "string", "Its name; \"default\" is the one of [databases] and [users].", false, true},
     [](const tr& r) -> json { return r.entry->name; }},
    {{"origin", "string", "\"file\", or \"store\" if it was made at run time; see its definition."},
     [](const tr& r) -> json { return origin_of(r.entry->line, r.entry->name == config::default_tenant_name); }},
    {{"databases", "integer", "Configured databases."}, [](const tr& r) -> json { return r.entry->databases.size(); }},
    {{"users", "integer", "Configured users."}, [](const tr& r) -> json { return r.entry->users.size(); }},
    {{"pools", "integer", "Pools at present."}, [](const tr& r) -> json { return r.pools; }},
    {{"clients", "integer", "Clients that are logged in."}, [](const tr& r) -> json { return r.clients; }},
    {{"servers", "integer", "Connections to Postgres."}, [](const tr& r) -> json { return r.servers; }},
    {{"banned", "string", "Why nobody may log in, by the configuration file; null: not banned there.", true},
     [](const tr& r) -> json { return or_null(r.entry->banned); }},
    {{"banned_until", "string", "When that ends; null: it does not.", true},
     [](const tr& r) -> json { return or_null(r.entry->banned_until); }},
};

using dr = database_row;
constexpr admin_column<dr> database_columns[] = {
    {{"tenant", "string", "Whose it is.", false, true}, [](const dr& r) -> json { return r.tenant->name; }},
    {{"database", "string", "The name clients ask for.", false, true}, [](const dr& r) -> json { return r.name; }},
    {{"origin", "string", "\"file\", or \"store\" if it was made at run time; see its definition."},
     [](const dr& r) -> json { return origin_of(r.entry->line, false); }},
    {{"entry", "string", "The entry of the configuration that answers for the name; \"*\" is the fallback."},
     [](const dr& r) -> json { return r.entry->name; }},
    {{"host", "string", "Its hosts, with commas."}, [](const dr& r) -> json { return r.settings.host; }},
    {{"port", "integer", "Their port."}, [](const dr& r) -> json { return r.settings.port; }},
    {{"dbname", "string", "The database's name there."}, [](const dr& r) -> json { return r.settings.dbname; }},
    {{"user", "string", "Server user of all its clients; null: each client's own.", true},
     [](const dr& r) -> json { return or_null(r.entry->user); }},
    {{"pool_mode", "string", "Pool mode of its pools, where the user sets no other."},
     [](const dr& r) -> json { return config::to_string(r.settings.mode); }},
    {{"pool_size", "integer", "Size of each of its pools, where the user sets no other."},
     [](const dr& r) -> json { return r.settings.pool_size; }},
    {{"min_pool_size", "integer", "Servers kept open."}, [](const dr& r) -> json { return r.settings.min_pool_size; }},
    {{"reserve_pool_size", "integer", "Servers beyond the size for clients that waited long."},
     [](const dr& r) -> json { return r.settings.reserve_pool_size; }},
    {{"max_db_connections", "integer", "Servers of all its pools; 0: no limit."},
     [](const dr& r) -> json { return r.settings.max_db_connections; }},
    {{"servers", "integer", "Connections to Postgres."}, [](const dr& r) -> json { return r.servers; }},
    {{"max_db_client_connections", "integer", "Clients; 0: no limit."},
     [](const dr& r) -> json { return r.limits.max_db_client_connections; }},
    {{"clients", "integer", "Clients that are logged in."}, [](const dr& r) -> json { return r.clients; }},
    {{"paused", "boolean", "A pause of it, or of its tenant, is in force."},
     [](const dr& r) -> json { return r.paused; }},
    {{"disabled", "boolean", "New clients are refused."}, [](const dr& r) -> json { return r.disabled; }},
};

using ur = user_row;
constexpr admin_column<ur> user_columns[] = {
    {{"tenant", "string", "Whose it is.", false, true}, [](const ur& r) -> json { return r.tenant->name; }},
    {{"user", "string", "Its name.", false, true}, [](const ur& r) -> json { return r.entry->name; }},
    {{"origin", "string", "\"file\", or \"store\" if it was made at run time; see its definition."},
     [](const ur& r) -> json { return origin_of(r.entry->line, false); }},
    {{"has_password", "boolean", "A password or verifier is configured."},
     [](const ur& r) -> json { return !r.entry->secret.empty(); }},
    {{"pool_mode", "string", "Pool mode of its own; null: none.", true},
     [](const ur& r) -> json { return mode_of(r.entry->pool_mode); }},
    {{"pool_size", "integer", "Pool size of its own; null: none.", true},
     [](const ur& r) -> json { return or_null(r.entry->pool_size); }},
    {{"max_user_connections", "integer", "Servers of all its pools; 0: no limit."},
     [](const ur& r) -> json { return r.max_user_connections; }},
    {{"servers", "integer", "Connections to Postgres as this user."}, [](const ur& r) -> json { return r.servers; }},
    {{"max_user_client_connections", "integer", "Clients; 0: no limit."},
     [](const ur& r) -> json { return r.max_user_client_connections; }},
    {{"clients", "integer", "Clients that are logged in."}, [](const ur& r) -> json { return r.clients; }},
};

using pr = pool_row;
constexpr admin_column<pr> pool_columns[] = {
    {{"tenant", "string", "Whose it is.", false, true}, [](const pr& r) -> json { return r.name.tenant; }},
    {{"database", "string", "The name clients ask for.", false, true},
     [](const pr& r) -> json { return r.name.database; }},
    {{"user", "string", "The server user.", false, true}, [](const pr& r) -> json { return r.name.user; }},
    {{"pool_mode", "string", "When a server goes back to the pool."},
     [](const pr& r) -> json { return config::to_string(r.settings->mode); }},
    {{"pool_size", "integer", "The most servers it may have."},
     [](const pr& r) -> json { return r.settings->pool_size; }},
    {{"paused", "boolean", "It hands out no servers."}, [](const pr& r) -> json { return r.paused; }},
    {{"shares", "integer", "Reactors it lives on."}, [](const pr& r) -> json { return r.shares; }},
    {{"permits", "integer", "Rights to a server that its shares hold."},
     [](const pr& r) -> json { return r.sum.permits; }},
    {{"cl_active", "integer", "Clients that have a server or are idle."},
     [](const pr& r) -> json { return r.sum.cl_active; }},
    {{"cl_waiting", "integer", "Clients that wait for a server."},
     [](const pr& r) -> json { return r.sum.cl_waiting; }},
    {{"cl_active_cancel_req", "integer", "Cancel requests that are being forwarded."},
     [](const pr& r) -> json { return r.sum.cl_active_cancel_req; }},
    {{"cl_waiting_cancel_req", "integer", "Cancel requests that wait."},
     [](const pr& r) -> json { return r.sum.cl_waiting_cancel_req; }},
    {{"sv_active", "integer", "Servers that clients have."}, [](const pr& r) -> json { return r.sum.sv_active; }},
    {{"sv_active_cancel", "integer", "Servers that forward a cancel request."},
     [](const pr& r) -> json { return r.sum.sv_active_cancel; }},
    {{"sv_being_canceled", "integer", "Servers kept back until a cancel has arrived."},
     [](const pr& r) -> json { return r.sum.sv_being_canceled; }},
    {{"sv_idle", "integer", "Servers that can be used at once."}, [](const pr& r) -> json { return r.sum.sv_idle; }},
    {{"sv_used", "integer", "Servers that are tested before use."}, [](const pr& r) -> json { return r.sum.sv_used; }},
    {{"sv_tested", "integer", "Servers being reset or tested."}, [](const pr& r) -> json { return r.sum.sv_tested; }},
    {{"sv_login", "integer", "Servers logging in."}, [](const pr& r) -> json { return r.sum.sv_login; }},
    {{"sv_closing", "integer", "Servers Postgres has not closed yet."},
     [](const pr& r) -> json { return r.sum.sv_closing; }},
    {{"maxwait_us", "integer", "How long the first client has waited, in microseconds."},
     [](const pr& r) -> json { return r.sum.maxwait.count(); }},
    {{"xact_count", "integer", "Transactions since the pool began."},
     [](const pr& r) -> json { return r.sum.counts.xact_count; }},
    {{"query_count", "integer", "Queries since the pool began."},
     [](const pr& r) -> json { return r.sum.counts.query_count; }},
    {{"received", "integer", "Bytes from clients."}, [](const pr& r) -> json { return r.sum.counts.received; }},
    {{"sent", "integer", "Bytes to clients."}, [](const pr& r) -> json { return r.sum.counts.sent; }},
    {{"xact_time_us", "integer", "Time in transactions, in microseconds."},
     [](const pr& r) -> json { return r.sum.counts.xact_time; }},
    {{"query_time_us", "integer", "Time in queries, in microseconds."},
     [](const pr& r) -> json { return r.sum.counts.query_time; }},
    {{"wait_time_us", "integer", "Time clients have waited for servers, in microseconds."},
     [](const pr& r) -> json { return r.sum.counts.wait_time; }},
};

using cr = connection_row;
constexpr admin_column<cr> connection_columns[] = {
    {{"id", "integer", "Never used again for another.", false, true}, [](const cr& r) -> json { return r.what.id; }},
    {{"tenant", "string", "Whose it is; null: the admin console's.", true},
     [](const cr& r) -> json { return or_null(r.what.tenant); }},
    {{"database", "string", "The name clients ask for."}, [](const cr& r) -> json { return r.what.database; }},
    {{"user", "string", "A client's own user, a server's server user."},
     [](const cr& r) -> json { return r.what.user; }},
    {{"pool_user", "string", "The server user of its pool; null: it is in none.", true},
     [](const cr& r) -> json { return or_null(r.pool_user); }},
    {{"state", "string", "As SHOW CLIENTS and SHOW SERVERS have it."},
     [](const cr& r) -> json { return r.what.state; }},
    {{"address", "string", "The other side."}, [](const cr& r) -> json { return r.what.addr; }},
    {{"port", "integer", "The other side's."}, [](const cr& r) -> json { return r.what.port; }},
    {{"local_address", "string", "This side."}, [](const cr& r) -> json { return r.what.local_addr; }},
    {{"local_port", "integer", "This side's."}, [](const cr& r) -> json { return r.what.local_port; }},
    {{"connected_at", "string", "When it began."}, [](const cr& r) -> json { return time_text(r.what.connect_time); }},
    {{"request_at", "string", "When its last request began."},
     [](const cr& r) -> json { return time_text(r.what.request_time); }},
    {{"wait_us", "integer", "How long it has waited for a server, in microseconds."},
     [](const cr& r) -> json { return r.what.wait.count(); }},
    {{"link", "integer", "The id of its server, or of its client; null: none.", true},
     [](const cr& r) -> json { return r.what.link == 0 ? json() : json(r.what.link); }},
    {{"remote_pid", "integer", "Process of the other side; 0: not known."},
     [](const cr& r) -> json { return r.what.remote_pid; }},
    {{"tls", "string", "TLS version and cipher; null: none.", true},
     [](const cr& r) -> json { return or_null(r.what.tls); }},
    {{"application_name", "string", "As the client says."},
     [](const cr& r) -> json { return r.what.application_name; }},
    {{"prepared_statements", "integer", "How many it has."},
     [](const cr& r) -> json { return r.what.prepared_statements; }},
    {{"replication", "string", "none, logical or physical."}, [](const cr& r) -> json { return r.what.replication; }},
    {{"close_needed", "boolean", "A server that goes when it is released."},
     [](const cr& r) -> json { return r.what.close_needed; }},
    {{"reactor", "integer", "Where it lives; null: nowhere in particular.", true},
     [](const cr& r) -> json { return r.reactor < 0 ? json() : json(r.reactor); }},
};

using sr = session_row;
constexpr admin_column<sr> session_columns[] = {
    {{"client", "integer", "The client's id.", false, true}, [](const sr& r) -> json { return r.client.what.id; }},
    {{"server", "integer", "The server's id."}, [](const sr& r) -> json { return r.server.what.id; }},
    {{"tenant", "string", "Whose it is."}, [](const sr& r) -> json { return r.client.what.tenant; }},
    {{"database", "string", "The name the client asked for."},
     [](const sr& r) -> json { return r.client.what.database; }},
    {{"user", "string", "The client's user."}, [](const sr& r) -> json { return r.client.what.user; }},
    {{"server_user", "string", "The server's."}, [](const sr& r) -> json { return r.server.what.user; }},
    {{"client_address", "string", "Where the client is."}, [](const sr& r) -> json { return r.client.what.addr; }},
    {{"server_address", "string", "Where the server is."}, [](const sr& r) -> json { return r.server.what.addr; }},
    {{"backend_pid", "integer", "Process of the server, as pg_stat_activity has it."},
     [](const sr& r) -> json { return r.server.what.remote_pid; }},
    {{"application_name", "string", "As the client says."},
     [](const sr& r) -> json { return r.client.what.application_name; }},
    {{"request_at", "string", "When the request began."},
     [](const sr& r) -> json { return time_text(r.client.what.request_time); }},
    {{"reactor", "integer", "Where both live."}, [](const sr& r) -> json { return r.server.reactor; }},
};

struct reactor_row {
  std::size_t number = 0;
  reactor_counters counters;
};
using rr = reactor_row;
constexpr admin_column<rr> reactor_columns[] = {
    {{"reactor", "integer", "Its number.", false, true}, [](const rr& r) -> json { return r.number; }},
    {{"turns", "integer", "Rounds of its loop."}, [](const rr& r) -> json { return r.counters.turns; }},
    {{"events", "integer", "Events of sockets."}, [](const rr& r) -> json { return r.counters.events; }},
    {{"resumes", "integer", "Turns of actors."}, [](const rr& r) -> json { return r.counters.resumes; }},
    {{"messages", "integer", "Messages handled."}, [](const rr& r) -> json { return r.counters.messages; }},
    {{"wake_ups", "integer", "Times another thread woke it."}, [](const rr& r) -> json { return r.counters.wake_ups; }},
    {{"busy_us", "integer", "Time it was not waiting, in microseconds."},
     [](const rr& r) -> json {
       return std::chrono::duration_cast<std::chrono::microseconds>(r.counters.busy).count();
     }},
};

struct actor_row {
  std::string_view kind, help;
  actor_stats::totals totals;
};
using ar = actor_row;
constexpr admin_column<ar> actor_columns[] = {
    {{"kind", "string", "What they are.", false, true}, [](const ar& r) -> json { return r.kind; }},
    {{"alive", "integer", "How many there are."}, [](const ar& r) -> json { return r.totals.alive; }},
    {{"handled", "integer", "Messages handled."}, [](const ar& r) -> json { return r.totals.handled; }},
    {{"mailbox", "integer", "Messages that wait."}, [](const ar& r) -> json { return r.totals.mailbox_depth; }},
    {{"deepest", "integer", "The most that ever waited for one of them."},
     [](const ar& r) -> json { return r.totals.deepest; }},
    {{"busiest", "integer", "The most messages one of them has handled."},
     [](const ar& r) -> json { return r.totals.busiest; }},
    {{"description", "string", "What they do."}, [](const ar& r) -> json { return r.help; }},
};

using sh = config::shown_setting;
constexpr admin_column<sh> setting_columns[] = {
    {{"key", "string", "Its name.", false, true}, [](const sh& r) -> json { return r.key; }},
    {{"value", "string", "In force; secrets are not shown."}, [](const sh& r) -> json { return r.value; }},
    {{"default", "string", "Without the file."}, [](const sh& r) -> json { return r.default_value; }},
    {{"changeable", "boolean", "A reload changes it; else only a restart."},
     [](const sh& r) -> json { return r.changeable; }},
};

// -- lists
// --------------------------------------------------------------------------------------------------------------------

template <class Row, std::size_t Count>
void list(const admin_call_ptr& call, view_need need, const admin_column<Row> (&columns)[Count],
          std::vector<Row> (*rows)(const node_view&)) {
  call->gather(need, [call, &columns, rows](const node_view& view) {
    reply_list(call, columns, rows(view), view.complete || view.need == view_need::nothing);
  });
}

std::vector<reactor_row> reactor_rows(const node_view& view) {
  std::vector<reactor_row> rows;
  for (const reactor_counters& one : view.reactors)
    rows.push_back({rows.size(), one});
  return rows;
}

std::vector<actor_row> actor_rows(const node_view&) {
  std::vector<actor_row> rows;
  rows.reserve(std::size(actor_kinds));
  for (const actor_kind_row& kind : actor_kinds)
    rows.push_back({kind.name, kind.help, actor_stats::read(kind.kind)});
  return rows;
}

std::vector<sh> setting_values(const node_view& view) {
  return config::show(*view.settings);
}

// -- single objects
// -------------------------------------------------------------------------------------------------------------------

std::string parameter(const admin_call_ptr& call, std::string_view name) {
  return call->request().parameters.at(std::string(name));
}

/// The first row for which `same` holds.
template <class Row, std::size_t Count, class Same>
void find_one(const admin_call_ptr& call, view_need need, const admin_column<Row> (&columns)[Count],
              std::vector<Row> (*rows)(const node_view&), std::string what, Same same) {
  call->gather(need, [=, &columns](const node_view& view) {
    const std::vector<Row> all = rows(view);
    const auto found = std::find_if(all.begin(), all.end(), same);
    if (found == all.end()) return call->fail(404, "There is no " + what + ".");
    call->reply(object_of(columns, *found));
  });
}

void get_tenant(const admin_call_ptr& call) {
  const std::string name = parameter(call, "tenant");
  find_one(call, view_need::counts, tenant_columns, tenant_rows, "tenant " + name,
           [=](const tr& row) { return row.entry->name == name; });
}

void get_database(const admin_call_ptr& call) {
  const std::string tenant = parameter(call, "tenant"), name = parameter(call, "database");
  find_one(call, view_need::counts, database_columns, database_rows, "database " + name + " of tenant " + tenant,
           [=](const dr& row) { return row.tenant->name == tenant && row.name == name; });
}

void get_user(const admin_call_ptr& call) {
  const std::string tenant = parameter(call, "tenant"), name = parameter(call, "user");
  find_one(call, view_need::clients, user_columns, user_rows, "user " + name + " of tenant " + tenant,
           [=](const ur& row) { return row.tenant->name == tenant && row.entry->name == name; });
}

void get_pool(const admin_call_ptr& call) {
  const pool_name name{parameter(call, "tenant"), parameter(call, "database"), parameter(call, "user")};
  find_one(call, view_need::counts, pool_columns, pool_rows,
           "pool of tenant " + name.tenant + ", database " + name.database + ", user " + name.user + " at present",
           [=](const pr& row) { return row.name == name; });
}

void get_connection(const admin_call_ptr& call, view_need need, std::vector<cr> (*rows)(const node_view&),
                    std::string_view what) {
  const std::string text = parameter(call, "id");
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return call->fail(400, "path: id", "is no number");
  find_one(call, need, connection_columns, rows, std::string(what) + " " + text,
           [=](const cr& row) { return row.what.id == id; });
}

void get_node(const admin_call_ptr& call) {
  call->gather(view_need::nothing, [call](const node_view& view) {
    const node_context& node = call->node();
    json body{{"version", PG_EDGE_VERSION}};
    const bool paused = node.gates.node_paused();
    body["state"] = view.draining ? "draining" : paused ? "paused" : node.gates.suspended() ? "suspended" : "active";
    body["uptime_s"] = std::chrono::duration_cast<std::chrono::seconds>(view.now - node.started).count();
    body["pid"] = static_cast<std::int64_t>(::getpid());
    body["file"] = view.settings->file;
    body["reactors"] = view.reactors.size();
    body["clients"] = view.clients;
    body["sessions"] = node.sessions.load(std::memory_order_relaxed);
    body["memory_bytes"] = node.memory.used.load(std::memory_order_relaxed);
    body["memory_state"] = cluster::to_string(node.memory.state.load(std::memory_order_relaxed));
    body["tenants"] = view.settings->tenants.size() + 1;
    call->reply(body);
  });
}

// -- rows
// ---------------------------------------------------------------------------------------------------------------------

using config::admin_role;

constexpr admin_route list_route(std::string_view path, std::string_view name, std::string_view tag,
                                 std::string_view schema, const std::vector<admin_field>& (*columns)(),
                                 std::string_view summary, void (*handle)(const admin_call_ptr&)) {
  admin_route out;
  out.path = path;
  out.role = admin_role::viewer;
  out.name = name;
  out.tag = tag;
  out.answers = schema;
  out.columns = columns;
  out.summary = summary;
  out.handle = handle;
  return out;
}

constexpr admin_route get_route(std::string_view path, std::string_view name, std::string_view tag,
                                std::string_view schema, std::string_view summary,
                                void (*handle)(const admin_call_ptr&)) {
  return list_route(path, name, tag, schema, nullptr, summary, handle);
}

const std::vector<admin_field>& tenant_fields() {
  return fields_of(tenant_columns);
}
const std::vector<admin_field>& database_fields() {
  return fields_of(database_columns);
}
const std::vector<admin_field>& user_fields() {
  return fields_of(user_columns);
}
const std::vector<admin_field>& pool_fields() {
  return fields_of(pool_columns);
}
const std::vector<admin_field>& connection_fields() {
  return fields_of(connection_columns);
}
const std::vector<admin_field>& session_fields() {
  return fields_of(session_columns);
}
const std::vector<admin_field>& reactor_fields() {
  return fields_of(reactor_columns);
}
const std::vector<admin_field>& actor_fields() {
  return fields_of(actor_columns);
}
const std::vector<admin_field>& setting_fields() {
  return fields_of(setting_columns);
}

using c = const admin_call_ptr&;
constexpr admin_route routes[] = {
    get_route("/v1/node", "getNode", "node", "node", "What this node is and how it is.", get_node),
    list_route("/v1/tenants", "listTenants", "tenants", "tenant", tenant_fields, "Tenants.",
               [](c call) { list(call, view_need::counts, tenant_columns, tenant_rows); }),
    get_route("/v1/tenants/{tenant}", "getTenant", "tenants", "tenant", "One tenant.", get_tenant),
    list_route("/v1/databases", "listDatabases", "databases", "database", database_fields,
               "Databases of all tenants, those too that \"*\" answers for at present.",
               [](c call) { list(call, view_need::counts, database_columns, database_rows); }),
    get_route("/v1/databases/{tenant}/{database}", "getDatabase", "databases", "database", "One database.",
              get_database),
    list_route("/v1/users", "listUsers", "users", "user", user_fields, "Configured users of all tenants.",
               [](c call) { list(call, view_need::clients, user_columns, user_rows); }),
    get_route("/v1/users/{tenant}/{user}", "getUser", "users", "user", "One user.", get_user),
    list_route("/v1/pools", "listPools", "pools", "pool", pool_fields, "Pools, with what their clients and servers do.",
               [](c call) { list(call, view_need::counts, pool_columns, pool_rows); }),
    get_route("/v1/pools/{tenant}/{database}/{user}", "getPool", "pools", "pool", "One pool.", get_pool),
    list_route("/v1/clients", "listClients", "clients", "connection", connection_fields, "Client connections.",
               [](c call) { list(call, view_need::clients, connection_columns, client_rows); }),
    get_route("/v1/clients/{id}", "getClient", "clients", "connection", "One client connection.",
              [](c call) { get_connection(call, view_need::clients, client_rows, "client"); }),
    list_route("/v1/servers", "listServers", "servers", "connection", connection_fields, "Connections to Postgres.",
               [](c call) { list(call, view_need::servers, connection_columns, server_rows); }),
    get_route("/v1/servers/{id}", "getServer", "servers", "connection", "One connection to Postgres.",
              [](c call) { get_connection(call, view_need::servers, server_rows, "server"); }),
    list_route("/v1/sessions", "listSessions", "sessions", "session", session_fields,
               "Clients that have a server, with it.",
               [](c call) { list(call, view_need::connections, session_columns, session_rows); }),
    list_route("/v1/reactors", "listReactors", "node", "reactor", reactor_fields, "Reactors.",
               [](c call) { list(call, view_need::nothing, reactor_columns, reactor_rows); }),
    list_route("/v1/actors", "listActors", "node", "actor", actor_fields, "Actors by kind.",
               [](c call) { list(call, view_need::nothing, actor_columns, actor_rows); }),
    list_route("/v1/settings", "listSettings", "node", "setting", setting_fields, "Global settings in force.",
               [](c call) { list(call, view_need::nothing, setting_columns, setting_values); }),
};

constexpr admin_schema schemas[] = {
    {"tenant", "A tenant.", tenant_fields},
    {"database", "A database.", database_fields},
    {"user", "A user.", user_fields},
    {"pool", "A pool: tenant, database and server user.", pool_fields},
    {"connection", "A connection of a client or to Postgres.", connection_fields},
    {"session", "A client and the server it has.", session_fields},
    {"reactor", "A reactor: a thread that serves connections.", reactor_fields},
    {"actor", "Actors of one kind.", actor_fields},
    {"setting", "A global setting.", setting_fields},
};

} // namespace

std::span<const admin_route> admin_view_routes() {
  return routes;
}

std::span<const admin_schema> admin_view_schemas() {
  return schemas;
}

} // namespace pg_edge::actors
