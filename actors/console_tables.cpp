// The functions of SHOW: from what was gathered to rows. The columns stand in console_commands.cpp.
#include "actors/actor_stats.hpp"
#include "actors/console_commands.hpp"
#include "config/resolve.hpp"
#include "config/setting_table.hpp"
#include "config/value_text.hpp"

#include <algorithm>
#include <ctime>
#include <map>
#include <tuple>

namespace pg_edge::actors {

namespace {

using protocol::console_cell;
using protocol::console_row;

constexpr std::int64_t million = 1'000'000;

console_cell cell(std::string_view text) {
  return std::string(text);
}

console_cell cell(std::integral auto number) {
  return std::to_string(number);
}

console_cell or_null(std::string_view text) {
  return text.empty() ? console_cell() : cell(text);
}

/// As pgbouncer writes times, and in the time zone the console claims to have.
std::string time_text(std::chrono::system_clock::time_point when) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::tm parts{};
  char text[64];
  if (::gmtime_r(&seconds, &parts) == nullptr) return {};
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

/// Stands where pgbouncer has the address of an object: a name that is the object's own as long as the node lives.
std::string pointer_text(std::uint64_t id) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (; id > 0; id /= digits.size())
    text.insert(text.begin(), digits[id % digits.size()]);
  return "0x" + text;
}

std::int64_t seconds_of(config::duration span) {
  return std::chrono::duration_cast<std::chrono::seconds>(span).count();
}

std::uint32_t servers_of(const share_snapshot& share) {
  return share.sv_active + share.sv_being_canceled + share.sv_idle + share.sv_used + share.sv_tested + share.sv_login +
         share.sv_closing;
}

std::uint32_t clients_of(const share_snapshot& share) {
  return share.cl_active + share.cl_waiting;
}

console_cell balance_text(const std::string& hosts, config::host_balance balance) {
  return hosts.find(',') == std::string::npos ? console_cell() : cell(config::to_string(balance));
}

} // namespace

// -- pools
// ------------------------------------------------------------------------------------------------------------------

namespace {

struct pool_sum {
  share_snapshot sum; // only its numbers
  std::uint32_t shares = 0;
};

void add(share_snapshot& to, const share_snapshot& what) {
  constexpr std::uint32_t share_snapshot::*sums[] = {&share_snapshot::permits,
                                                     &share_snapshot::cl_active,
                                                     &share_snapshot::cl_waiting,
                                                     &share_snapshot::cl_active_cancel_req,
                                                     &share_snapshot::cl_waiting_cancel_req,
                                                     &share_snapshot::sv_active,
                                                     &share_snapshot::sv_active_cancel,
                                                     &share_snapshot::sv_being_canceled,
                                                     &share_snapshot::sv_idle,
                                                     &share_snapshot::sv_used,
                                                     &share_snapshot::sv_tested,
                                                     &share_snapshot::sv_login,
                                                     &share_snapshot::sv_closing};
  for (const auto member : sums)
    to.*member += what.*member;
  to.maxwait = std::max(to.maxwait, what.maxwait);
  to.pool = what.pool;
}

console_row pool_row(std::string_view tenant, std::string_view database, std::string_view user,
                     const share_snapshot& sum, std::uint32_t shares, std::string_view mode, console_cell balance) {
  return {cell(database),
          cell(user),
          cell(sum.cl_active),
          cell(sum.cl_waiting),
          cell(sum.cl_active_cancel_req),
          cell(sum.cl_waiting_cancel_req),
          cell(sum.sv_active),
          cell(sum.sv_active_cancel),
          cell(sum.sv_being_canceled),
          cell(sum.sv_idle),
          cell(sum.sv_used),
          cell(sum.sv_tested),
          cell(sum.sv_login),
          cell(sum.maxwait.count() / million),
          cell(sum.maxwait.count() % million),
          cell(mode),
          std::move(balance),
          or_null(tenant),
          cell(sum.sv_closing),
          cell(shares),
          cell(sum.permits)};
}

} // namespace

console_rows show_pools(const console_view& view) {
  std::map<pool_name, pool_sum> pools;
  for (const share_snapshot& share : view.shares) {
    pool_sum& pool = pools[share.pool->name];
    add(pool.sum, share);
    ++pool.shares;
  }
  console_rows rows;
  for (const auto& [name, pool] : pools) {
    const auto settings = pool.sum.pool->settings();
    rows.push_back(pool_row(name.tenant, name.database, name.user, pool.sum, pool.shares,
                            config::to_string(settings->mode),
                            balance_text(settings->host, settings->load_balance_hosts)));
  }
  share_snapshot console;
  console.cl_active = static_cast<std::uint32_t>(view.console_client_count);
  const std::string_view own = config::console_names[0];
  rows.push_back(pool_row({}, own, own, console, 0, config::to_string(config::pool_mode::statement), {}));
  return rows;
}

// -- connections
// --------------------------------------------------------------------------------------------------------------

namespace {

console_row socket_row(std::string_view type, const client_row& one, console_cell reactor) {
  return {cell(type),
          cell(one.user),
          cell(one.database),
          cell(one.replication),
          cell(one.state),
          cell(one.addr),
          cell(one.port),
          cell(one.local_addr),
          cell(one.local_port),
          cell(time_text(one.connect_time)),
          cell(time_text(one.request_time)),
          cell(one.wait.count() / million),
          cell(one.wait.count() % million),
          cell(one.close_needed ? 1 : 0),
          cell(pointer_text(one.id)),
          cell(one.link == 0 ? std::string() : pointer_text(one.link)),
          cell(one.remote_pid),
          cell(one.tls),
          cell(one.application_name),
          cell(one.prepared_statements),
          cell(one.id),
          std::move(reactor),
          or_null(one.tenant)};
}

console_rows socket_rows(const console_view& view, std::string_view type,
                         std::vector<client_row> share_snapshot::*which, const std::vector<client_row>& further) {
  std::vector<std::pair<const client_row*, const share_snapshot*>> found;
  for (const share_snapshot& share : view.shares)
    for (const client_row& one : share.*which)
      found.emplace_back(&one, &share);
  for (const client_row& one : further)
    found.emplace_back(&one, nullptr);
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first->id < b.first->id; });
  console_rows rows;
  rows.reserve(found.size());
  for (const auto& [one, share] : found)
    rows.push_back(socket_row(type, *one, share == nullptr ? console_cell() : cell(share->reactor)));
  return rows;
}

} // namespace

console_rows show_clients(const console_view& view) {
  return socket_rows(view, "C", &share_snapshot::clients, view.console_clients);
}

console_rows show_servers(const console_view& view) {
  return socket_rows(view, "S", &share_snapshot::servers, {});
}

// -- databases and users
// ------------------------------------------------------------------------------------------------------

namespace {

struct connection_counts {
  std::uint32_t servers = 0, clients = 0;
};

std::vector<const config::tenant*> all_tenants(const config::settings& all) {
  std::vector<const config::tenant*> result{&all.default_tenant};
  for (const auto& [name, tenant] : all.tenants)
    result.push_back(&tenant);
  return result;
}

console_row database_row(const config::settings& all, const config::tenant& tenant, const config::database& entry,
                         const std::string& name, const connection_counts& counts, const pool_gates* gates) {
  const config::pool_settings pool = config::resolve_pool(all, tenant, entry, name, entry.user, nullptr);
  return {cell(name),
          cell(pool.host),
          cell(pool.port),
          cell(pool.dbname),
          or_null(entry.user),
          cell(pool.pool_size),
          cell(pool.min_pool_size),
          cell(pool.reserve_pool_size),
          cell(seconds_of(pool.server_lifetime)),
          entry.pool_mode ? cell(config::to_string(*entry.pool_mode)) : console_cell(),
          balance_text(pool.host, pool.load_balance_hosts),
          cell(pool.max_db_connections),
          cell(counts.servers),
          cell(config::resolve_client_limits(all, tenant, entry, nullptr).max_db_client_connections),
          cell(counts.clients),
          cell(gates != nullptr && gates->database_paused(tenant.name, name) ? 1 : 0),
          cell(gates != nullptr && gates->disabled(tenant.name, name) ? 1 : 0),
          cell(tenant.name)};
}

console_row console_database_row(const console_view& view) {
  const std::string_view own = config::console_names[0];
  return {cell(own),
          {},
          cell(view.settings->listen_port),
          cell(own),
          cell(own),
          cell(0),
          cell(0),
          cell(0),
          cell(0),
          cell(config::to_string(config::pool_mode::statement)),
          {},
          cell(0),
          cell(0),
          cell(0),
          cell(view.console_client_count),
          cell(0),
          cell(0),
          {}};
}

} // namespace

console_rows show_databases(const console_view& view) {
  std::map<database_key, connection_counts> counts;
  for (const share_snapshot& share : view.shares) {
    connection_counts& here = counts[{share.pool->name.tenant, share.pool->name.database}];
    here.servers += servers_of(share);
    here.clients += clients_of(share);
  }
  console_rows rows;
  for (const config::tenant* tenant : all_tenants(*view.settings)) {
    std::map<std::string, const config::database*> names; // the configured ones, and those "*" answers for at present
    const auto fallback = tenant->databases.find(config::fallback_database_name);
    for (const auto& [name, entry] : tenant->databases)
      if (name != config::fallback_database_name) names[name] = &entry;
    for (const auto& [key, here] : counts)
      if (key.first == tenant->name && fallback != tenant->databases.end())
        names.emplace(key.second, &fallback->second);
    if (view.gates != nullptr && fallback != tenant->databases.end())
      for (const auto& [owner, name] : view.gates->named())
        if (owner == tenant->name) names.emplace(name, &fallback->second);
    for (const auto& [name, entry] : names)
      rows.push_back(database_row(*view.settings, *tenant, *entry, name, counts[{tenant->name, name}], view.gates));
  }
  rows.push_back(console_database_row(view));
  return rows;
}

console_rows show_users(const console_view& view) {
  std::map<std::pair<std::string, std::string>, connection_counts> counts; // by tenant and user
  for (const share_snapshot& share : view.shares) {
    counts[{share.pool->name.tenant, share.pool->name.user}].servers += servers_of(share);
    for (const client_row& one : share.clients)
      ++counts[{share.pool->name.tenant, one.user}].clients;
  }
  const auto number = [](const std::optional<int>& value) { return value ? std::to_string(*value) : std::string(); };
  console_rows rows;
  for (const config::tenant* tenant : all_tenants(*view.settings))
    for (const auto& [name, user] : tenant->users) {
      const connection_counts& here = counts[{tenant->name, name}];
      const int most = user.max_user_connections.value_or(
          tenant->max_user_connections.value_or(view.settings->max_user_connections));
      rows.push_back(
          {cell(name), cell(number(user.pool_size)), cell(number(user.reserve_pool_size)),
           user.pool_mode ? cell(config::to_string(*user.pool_mode)) : console_cell(), cell(most), cell(here.servers),
           cell(config::resolve_client_limits(*view.settings, *tenant, {}, &user).max_user_client_connections),
           cell(here.clients), cell(tenant->name)});
    }
  return rows;
}

// -- statistics
// -----------------------------------------------------------------------------------------------------------------

namespace {

void put_counts(console_row& row, const share_counts& counts) {
  for (const count_row& one : count_rows)
    row.push_back(cell(counts.*one.member));
}

template <class... Parts>
console_rows stats_rows(const console_view& view, Parts... parts) {
  console_rows rows;
  for (const auto& [key, line] : view.stats->lines(view.now)) {
    console_row row{cell(key.second)};
    (put_counts(row, line.*parts), ...);
    row.push_back(cell(key.first));
    rows.push_back(std::move(row));
  }
  return rows;
}

} // namespace

console_rows show_stats(const console_view& view) {
  return stats_rows(view, &stats_ledger::line::total, &stats_ledger::line::average);
}

console_rows show_stats_totals(const console_view& view) {
  return stats_rows(view, &stats_ledger::line::total);
}

console_rows show_stats_averages(const console_view& view) {
  return stats_rows(view, &stats_ledger::line::average);
}

console_rows show_totals(const console_view& view) {
  const stats_ledger::line sum = view.stats->sum(view.now);
  console_rows rows;
  for (const count_row& one : count_rows)
    rows.push_back({cell("total_" + std::string(one.short_name)), cell(sum.total.*one.member)});
  for (const count_row& one : count_rows)
    rows.push_back({cell("avg_" + std::string(one.short_name)), cell(sum.average.*one.member)});
  return rows;
}

// -- the node
// -------------------------------------------------------------------------------------------------------------------

console_rows show_lists(const console_view& view) {
  std::int64_t attached = static_cast<std::int64_t>(view.console_client_count);
  std::int64_t servers = 0;
  for (const share_snapshot& share : view.shares) {
    attached += clients_of(share);
    servers += servers_of(share);
  }
  // The shares were asked a moment ago, the node's own count is of now.
  const std::int64_t login = std::max<std::int64_t>(view.clients - attached, 0);
  return {{cell("databases"), cell(show_databases(view).size())},
          {cell("users"), cell(show_users(view).size())},
          {cell("peers"), cell(0)},
          {cell("pools"), cell(show_pools(view).size())},
          {cell("peer_pools"), cell(0)},
          {cell("free_clients"), cell(0)}, // objects kept for later: we keep none
          {cell("used_clients"), cell(attached + login)},
          {cell("login_clients"), cell(login)},
          {cell("free_servers"), cell(0)},
          {cell("used_servers"), cell(servers)},
          {cell("dns_names"), cell(0)}, // names are looked up anew for each connection
          {cell("dns_zones"), cell(0)},
          {cell("dns_queries"), {}}, // the resolver does not tell
          {cell("dns_pending"), {}}};
}

console_rows show_config(const console_view& view) {
  console_rows rows;
  for (const config::shown_setting& one : config::show(*view.settings))
    rows.push_back({cell(one.key), cell(one.value), cell(one.default_value), cell(one.changeable ? "yes" : "no")});
  return rows;
}

console_rows show_state(const console_view& view) {
  const bool paused = view.gates != nullptr && view.gates->node_paused();
  return {{cell("active"), cell(view.draining || paused ? "no" : "yes")},
          {cell("paused"), cell(paused ? "yes" : "no")},
          {cell("suspended"), cell("no")},
          {cell("draining"), cell(view.draining ? "yes" : "no")}};
}

console_rows show_version(const console_view&) {
  return {{cell("pg_edge " PG_EDGE_VERSION)}};
}

console_rows show_nothing(const console_view&) {
  return {};
}

namespace {

/// What actors of a kind report about themselves. A figure nobody keeps is shown as NULL, not as 0.
struct kept_figures {
  bool alive = true, handled = true, mailbox = true;
};

kept_figures figures_of(actor_kind kind) {
  switch (kind) {
  case actor_kind::key_deriver: // reports nothing
    return {false, false, false};
  case actor_kind::steward: // count some of their messages only
  case actor_kind::tenant:
  case actor_kind::node:
    return {true, false, false};
  case actor_kind::resolver: // not on a reactor, which is what measures mailboxes
  case actor_kind::console:
  case actor_kind::user_lookup:
    return {true, true, false};
  default:
    return {};
  }
}

} // namespace

console_rows show_actors(const console_view&) {
  console_rows rows;
  for (const actor_kind_row& kind : actor_kinds) {
    const actor_stats::totals totals = actor_stats::read(kind.kind);
    const kept_figures kept = figures_of(kind.kind);
    const auto if_kept = [](bool is, std::uint64_t number) { return is ? cell(number) : console_cell(); };
    rows.push_back({cell(kind.name), if_kept(kept.alive, totals.alive), if_kept(kept.handled, totals.handled),
                    if_kept(kept.mailbox, totals.mailbox_depth), if_kept(kept.mailbox, totals.deepest),
                    if_kept(kept.mailbox, totals.deepest_actor), if_kept(kept.mailbox, totals.busiest),
                    if_kept(kept.mailbox, totals.busiest_actor), cell(kind.help)});
  }
  return rows;
}

} // namespace pg_edge::actors
