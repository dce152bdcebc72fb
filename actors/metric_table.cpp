#include "actors/metric_table.hpp"

#include "actors/actor_stats.hpp"
#include "actors/cluster_words.hpp"
#include "config/value_text.hpp"

#include <algorithm>

namespace pg_edge::actors {

namespace {

using out = metric_out;
using view = metrics_view;
using enum metric_type;

constexpr double us = 1e-6; // seconds

double number(auto value) {
  return static_cast<double>(value);
}

// -- from the counters of pools
// --------------------------------------------------------------------------------------------

template <class Add>
void each_series(const view& from, Add add) {
  for (const auto& [key, totals] : from.series->series())
    add(key, totals);
}

metric_labels::value_type label(std::string_view name, std::string_view value) {
  return {name, value};
}

template <class Value>
void add_of_pool(out& to, const series_key& key, const Value& value) {
  to.add({label("tenant", key.name.tenant), label("database", key.name.database), label("user", key.name.user),
          label("pool_mode", config::to_string(key.mode))},
         value);
}

/// A counter of shares: of each series, of the node.
template <auto Member>
void pools(const view& from, out& to) {
  each_series(from, [&](const series_key& key, const series_totals& totals) {
    add_of_pool(to, key, number(totals.counts.*Member));
  });
}
template <auto Member>
void node(const view& from, out& to) {
  to.add({}, number(from.series->node().counts.*Member));
}

template <timed What>
void pool_times(const view& from, out& to) {
  each_series(from, [&](const series_key& key, const series_totals& totals) {
    add_of_pool(to, key, totals.times[static_cast<std::size_t>(What)]);
  });
}
template <timed What>
void node_times(const view& from, out& to) {
  to.add({}, from.series->node().times[static_cast<std::size_t>(What)]);
}

void pool_errors(const view& from, out& to) {
  each_series(from,
              [&](const series_key& key, const series_totals& totals) { add_of_pool(to, key, number(totals.errors)); });
}

void errors(const view& from, out& to) {
  for (const error_figures& one : from.errors)
    to.add({{"sqlstate", one.key.sqlstate()}, {"origin", protocol::to_string(one.key.origin())}}, number(one.total));
}

// -- from how shares stand
// -------------------------------------------------------------------------------------------------

template <auto Member>
void states(const view& from, out& to) {
  for (const pool_state& one : from.pools)
    add_of_pool(to, from.series->key_of(one.name, one.mode), number(one.*Member));
}

void add_state(out& to, const series_key& key, std::string_view state, std::uint32_t count) {
  to.add({label("tenant", key.name.tenant), label("database", key.name.database), label("user", key.name.user),
          label("pool_mode", config::to_string(key.mode)), label("state", state)},
         number(count));
}

void pool_clients(const view& from, out& to) {
  for (const pool_state& one : from.pools) {
    const series_key key = from.series->key_of(one.name, one.mode);
    add_state(to, key, "idle", one.clients_idle);
    add_state(to, key, "active", one.clients_active);
    add_state(to, key, "waiting", one.clients_waiting);
  }
}

void pool_servers(const view& from, out& to) {
  for (const pool_state& one : from.pools) {
    const series_key key = from.series->key_of(one.name, one.mode);
    add_state(to, key, "idle", one.servers_idle);
    add_state(to, key, "active", one.servers_active);
    add_state(to, key, "login", one.servers_login);
    add_state(to, key, "closing", one.servers_closing);
  }
}

/// The size of a pool is the same in each of its shares; "other" is the sum over its pools.
void pool_sizes(const view& from, out& to) {
  std::map<std::pair<series_key, pool_name>, std::uint32_t> sizes;
  for (const pool_state& one : from.pools)
    sizes[{from.series->key_of(one.name, one.mode), one.name}] = one.size;
  for (const auto& [key, size] : sizes)
    add_of_pool(to, key.first, number(size));
}

void pool_max_waits(const view& from, out& to) {
  std::map<series_key, std::chrono::microseconds> longest;
  for (const pool_state& one : from.pools) {
    auto& here = longest[from.series->key_of(one.name, one.mode)];
    here = std::max(here, one.max_wait);
  }
  for (const auto& [key, wait] : longest)
    add_of_pool(to, key, number(wait.count()) * us);
}

void pool_count(const view& from, out& to) {
  std::map<pool_name, int> names;
  for (const pool_state& one : from.pools)
    names[one.name] = 1;
  to.add({}, number(names.size()));
}

// -- the node
// --------------------------------------------------------------------------------------------------------------

template <auto Member>
void node_value(const view& from, out& to) {
  to.add({}, number(from.*Member));
}
template <auto Member>
void process_value(const view& from, out& to) {
  to.add({}, number(from.process.*Member));
}

void info(const view&, out& to) {
  to.add({{"version", PG_EDGE_VERSION}}, 1);
}

void logins_under_way(const view& from, out& to) {
  to.add({}, number(std::max<std::int64_t>(from.clients - from.sessions, 0)));
}

// -- reactors and actors
// ---------------------------------------------------------------------------------------------------

template <auto Member>
void reactors(const view& from, out& to) {
  for (const reactor_figures& one : from.reactors)
    to.add({{"reactor", std::to_string(one.reactor)}}, number(one.counters.*Member));
}

void reactor_busy(const view& from, out& to) {
  for (const reactor_figures& one : from.reactors)
    to.add({{"reactor", std::to_string(one.reactor)}}, std::chrono::duration<double>(one.counters.busy).count());
}

void reactor_share(const view& from, out& to) {
  for (const reactor_figures& one : from.reactors)
    to.add({{"reactor", std::to_string(one.reactor)}}, one.busy[static_cast<std::size_t>(window::ten_seconds)]);
}

template <auto Member>
void actors_by_kind(const view&, out& to) {
  for (const actor_kind_row& row : actor_kinds)
    to.add({{"kind", row.name}}, number(actor_stats::read(row.kind).*Member));
}

// -- from the cluster
// -------------------------------------------------------------------------------------------------------

void nodes_by_state(const view& from, out& to) {
  if (from.nodes == nullptr) return;
  for (const std::string_view state : node_states)
    to.add({{"state", state}}, 0);
  for (const node_row& one : from.nodes->nodes)
    to.add({{"state", one.state}}, 1);
}
template <auto Member>
void cluster_value(const view& from, out& to) {
  if (const auto* const nodes = from.nodes.get(); nodes != nullptr) to.add({}, number(nodes->*Member));
}
void lease_seconds(const view& from, out& to) {
  if (from.nodes != nullptr) to.add({}, static_cast<double>(from.nodes->lease_ms) / 1000);
}
void steward_count(const view& from, out& to) {
  if (from.nodes == nullptr) return;
  for (const node_row& one : from.nodes->nodes)
    if (one.here) to.add({}, one.stewards);
}

// -- the rows
// --------------------------------------------------------------------------------------------------------------

constexpr std::string_view reactor_label = "reactor", kind_label = "kind", error_labels = "sqlstate, origin",
                           state_labels = "tenant, database, user, pool_mode, state";
using counts = share_counts;
using totals = actor_stats::totals;
using process = process_figures;

constexpr metric_row rows[] = {
    {"pg_edge_info", gauge, "version", "Always 1; the label says which version runs.", info},
    {"pg_edge_draining", gauge, "", "1 while the node lets no new client in because it ends.",
     node_value<&view::draining>},
    {"pg_edge_paused", gauge, "", "1 while PAUSE holds for the whole node.", node_value<&view::paused>},
    {"pg_edge_clients", gauge, "", "Client connections, logins under way and the console's included.",
     node_value<&view::clients>},
    {"pg_edge_logins_under_way", gauge, "", "Client connections that have not shown yet who they are.",
     logins_under_way},
    {"pg_edge_pools", gauge, "", "Pools that exist.", pool_count},
    {"pg_edge_memory_limit_bytes", gauge, "", "The setting memory_limit; 0: none.", node_value<&view::memory_limit>},
    {"pg_edge_memory_used_bytes", gauge, "", "What memory_limit is compared with.", node_value<&view::memory_used>},
    {"pg_edge_log_lines_dropped_total", counter, "", "Lines that did not fit into a log nobody read in time.",
     node_value<&view::log_lines_dropped>},

    {"pg_edge_queries_total", counter, "", "Queries answered: as total_query_count of SHOW STATS, over all databases.",
     node<&counts::query_count>},
    {"pg_edge_transactions_total", counter, "", "Transactions ended, as xact_commit + xact_rollback of Postgres.",
     node<&counts::xact_count>},
    {"pg_edge_received_bytes_total", counter, "", "Bytes from clients, behind TLS.", node<&counts::received>},
    {"pg_edge_sent_bytes_total", counter, "", "Bytes from servers, behind TLS.", node<&counts::sent>},
    {"pg_edge_logins_total", counter, "", "Clients that have logged in.", node<&counts::client_login_count>},
    {"pg_edge_errors_total", counter, error_labels,
     "Errors sent to clients: origin \"server\": of Postgres, passed on; \"pg_edge\": of its own, refused logins "
     "included. sqlstate \"other\": those beyond 200 different ones.",
     errors},
    {"pg_edge_wait_seconds", histogram, "",
     "How long clients waited for a server, those that got one at once included.", node_times<timed::wait>},
    {"pg_edge_query_seconds", histogram, "", "From a query to the last answer owed for it; a pipeline counts as one.",
     node_times<timed::query>},
    {"pg_edge_transaction_seconds", histogram, "", "How long clients had their servers.",
     node_times<timed::transaction>},
    {"pg_edge_login_seconds", histogram, "", "From a client's connection until it may send queries.",
     node_times<timed::login>},
    {"pg_edge_server_login_seconds", histogram, "", "The same of connections to Postgres.",
     node_times<timed::server_login>},

    {"pg_edge_pool_queries_total", counter, pool_labels, "Queries answered.", pools<&counts::query_count>},
    {"pg_edge_pool_transactions_total", counter, pool_labels, "Transactions ended.", pools<&counts::xact_count>},
    {"pg_edge_pool_received_bytes_total", counter, pool_labels, "Bytes from clients.", pools<&counts::received>},
    {"pg_edge_pool_sent_bytes_total", counter, pool_labels, "Bytes from servers.", pools<&counts::sent>},
    {"pg_edge_pool_server_assignments_total", counter, pool_labels, "Servers handed out to clients.",
     pools<&counts::server_assignment_count>},
    {"pg_edge_pool_logins_total", counter, pool_labels, "Clients that have logged in.",
     pools<&counts::client_login_count>},
    {"pg_edge_pool_client_parses_total", counter, pool_labels, "Parse messages from clients.",
     pools<&counts::client_parse_count>},
    {"pg_edge_pool_server_parses_total", counter, pool_labels, "Parse messages to servers.",
     pools<&counts::server_parse_count>},
    {"pg_edge_pool_binds_total", counter, pool_labels, "Bind messages.", pools<&counts::bind_count>},
    {"pg_edge_pool_errors_total", counter, pool_labels, "Errors sent to clients of the pool, of Postgres and pg_edge.",
     pool_errors},
    {"pg_edge_pool_wait_seconds", histogram, pool_labels, "How long clients waited for a server.",
     pool_times<timed::wait>},
    {"pg_edge_pool_query_seconds", histogram, pool_labels, "From a query to the last answer owed for it.",
     pool_times<timed::query>},
    {"pg_edge_pool_transaction_seconds", histogram, pool_labels, "How long clients had their servers.",
     pool_times<timed::transaction>},
    {"pg_edge_pool_login_seconds", histogram, pool_labels, "From a client's connection until it may send queries.",
     pool_times<timed::login>},
    {"pg_edge_pool_server_login_seconds", histogram, pool_labels, "The same of connections to Postgres.",
     pool_times<timed::server_login>},

    {"pg_edge_pool_clients", gauge, state_labels,
     "Clients: idle, active (with a server), waiting for one. Logins under way belong to no pool yet.", pool_clients},
    {"pg_edge_pool_servers", gauge, state_labels,
     "Connections to Postgres: idle, active, login, closing (until Postgres has closed its side).", pool_servers},
    {"pg_edge_pool_size", gauge, pool_labels, "The setting pool_size; of \"other\" the sum over its pools.",
     pool_sizes},
    {"pg_edge_pool_permits", gauge, pool_labels, "Servers that the pool's shares may have at present.",
     states<&pool_state::permits>},
    {"pg_edge_pool_max_wait_seconds", gauge, pool_labels, "How long the client that waits longest has waited so far.",
     pool_max_waits},

    {"pg_edge_reactor_busy_seconds_total", counter, reactor_label, "Time in which the thread did not sleep.",
     reactor_busy},
    {"pg_edge_reactor_busy_ratio", gauge, reactor_label, "The same as a part of the last ten seconds, 0 to 1.",
     reactor_share},
    {"pg_edge_reactor_turns_total", counter, reactor_label, "Turns of the loop.", reactors<&reactor_counters::turns>},
    {"pg_edge_reactor_events_total", counter, reactor_label, "Events of sockets.", reactors<&reactor_counters::events>},
    {"pg_edge_reactor_resumes_total", counter, reactor_label, "Turns of actors.", reactors<&reactor_counters::resumes>},
    {"pg_edge_reactor_messages_total", counter, reactor_label, "Messages that its actors have handled.",
     reactors<&reactor_counters::messages>},
    {"pg_edge_reactor_wake_ups_total", counter, reactor_label, "How often other threads had to wake it.",
     reactors<&reactor_counters::wake_ups>},

    {"pg_edge_cluster_nodes", gauge, "state",
     "Nodes of the cluster as this one sees them: member, draining, unreachable, joining, departed (dead), left. Of "
     "the "
     "cluster's metrics a node that is alone has none.",
     nodes_by_state},
    {"pg_edge_cluster_epoch", gauge, "", "The number of the view that this node knows.",
     cluster_value<&node_list::epoch>},
    {"pg_edge_cluster_lease_seconds", gauge, "", "What is left of this node's lease; 0 or less: it is no member.",
     lease_seconds},
    {"pg_edge_cluster_fences_total", counter, "", "How often this node was given up and closed all its servers.",
     cluster_value<&node_list::fences>},
    {"pg_edge_cluster_stewards", gauge, "", "Pools whose permits are decided on this node.", steward_count},
    {"pg_edge_cluster_permits_granted_total", counter, "",
     "Permits that this node has granted to shares of any node, for those pools: rises fast where permits travel.",
     cluster_value<&node_list::granted>},

    {"pg_edge_actors", gauge, kind_label, "Actors that are there.", actors_by_kind<&totals::alive>},
    {"pg_edge_actor_messages_total", counter, kind_label, "Messages that they have handled.",
     actors_by_kind<&totals::handled>},
    {"pg_edge_actor_mailbox_messages", gauge, kind_label,
     "Messages that wait in the mailboxes of all actors of the kind.", actors_by_kind<&totals::mailbox_depth>},
    {"pg_edge_actor_mailbox_deepest_messages", gauge, kind_label,
     "The most messages that ever waited for one of them when its turn came.", actors_by_kind<&totals::deepest>},

    {"process_cpu_seconds_total", counter, "", "Processor time, user and system.",
     process_value<&process::cpu_seconds>},
    {"process_resident_memory_bytes", gauge, "", "Memory in use.", process_value<&process::resident_bytes>},
    {"process_virtual_memory_bytes", gauge, "", "Address space in use.", process_value<&process::virtual_bytes>},
    {"process_open_fds", gauge, "", "Open descriptors.", process_value<&process::open_descriptors>},
    {"process_max_fds", gauge, "", "How many descriptors the process may have.",
     process_value<&process::max_descriptors>},
    {"process_threads", gauge, "", "Threads.", process_value<&process::threads>},
    {"process_start_time_seconds", gauge, "", "When the process started, in seconds since 1970.",
     process_value<&process::start_time>},
};

} // namespace

std::span<const metric_row> metric_rows() {
  return rows;
}

} // namespace pg_edge::actors
