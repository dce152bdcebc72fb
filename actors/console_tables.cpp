// The functions of SHOW for pools, databases, users, figures and the node. The columns stand in
// console_show_commands.cpp.
#include "actors/console_cells.hpp"
#include "actors/console_commands.hpp"
#include "config/resolve.hpp"
#include "config/setting_table.hpp"
#include "config/value_text.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace pg_edge::actors {

namespace {

std::int64_t seconds_of(config::duration span) {
  return std::chrono::duration_cast<std::chrono::seconds>(span).count();
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

console_rows show_config(const console_view& view) {
  console_rows rows;
  for (const config::shown_setting& one : config::show(*view.settings))
    rows.push_back({cell(one.key), cell(one.value), cell(one.default_value), cell(one.changeable ? "yes" : "no")});
  return rows;
}

console_rows show_state(const console_view& view) {
  const bool paused = view.gates != nullptr && view.gates->node_paused();
  const bool suspended = view.gates != nullptr && view.gates->suspended();
  return {{cell("active"), cell(view.draining || paused || suspended ? "no" : "yes")},
          {cell("paused"), cell(paused ? "yes" : "no")},
          {cell("suspended"), cell(suspended ? "yes" : "no")},
          {cell("draining"), cell(view.draining ? "yes" : "no")}};
}

console_rows show_version(const console_view&) {
  return {{cell("pg_edge " PG_EDGE_VERSION)}};
}

console_rows show_nothing(const console_view&) {
  return {};
}

} // namespace pg_edge::actors
