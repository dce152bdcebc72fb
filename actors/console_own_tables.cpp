// The functions of pg_edge's own SHOW commands, and of those that show what the node is made of: actors, memory, names.
// The columns stand in console_own_commands.cpp and console_show_commands.cpp.
#include "actors/actor_stats.hpp"
#include "actors/client.hpp"
#include "actors/console_cells.hpp"
#include "actors/console_commands.hpp"
#include "actors/node_context.hpp"
#include "actors/share.hpp"
#include "protocol/errors.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

namespace pg_edge::actors {

// -- actors and reactors
// ------------------------------------------------------------------------------------------------------

console_rows show_actors(const console_view&) {
  console_rows rows;
  for (const actor_kind_row& kind : actor_kinds) {
    const actor_stats::totals totals = actor_stats::read(kind.kind);
    rows.push_back({cell(kind.name), cell(totals.alive), cell(totals.handled), cell(totals.mailbox_depth),
                    cell(totals.deepest), cell(totals.deepest_actor), cell(totals.busiest), cell(totals.busiest_actor),
                    cell(kind.help)});
  }
  return rows;
}

namespace {

constexpr std::chrono::seconds residents_patience{2};

/// The kinds of actors that live on reactors; the others are one or a few, and SHOW ACTORS says all about them.
bool lives_on_reactors(actor_kind kind) {
  return kind == actor_kind::listener || kind == actor_kind::client || kind == actor_kind::server ||
         kind == actor_kind::share || kind == actor_kind::canceller;
}

/// "pool" is what operators call the shares.
const actor_kind_row* kind_named(std::string_view name) {
  if (protocol::same_word(name, "pool")) name = to_string(actor_kind::share);
  for (const actor_kind_row& row : actor_kinds)
    if (protocol::same_word(name, row.name) && lives_on_reactors(row.kind)) return &row;
  return nullptr;
}

std::string known_kinds() {
  std::string text;
  for (const actor_kind_row& row : actor_kinds)
    if (lives_on_reactors(row.kind)) text.append(text.empty() ? "" : ", ").append(row.name);
  return text;
}

console_rows resident_rows(std::string_view kind, std::vector<resident> all) {
  std::sort(all.begin(), all.end(), [](const resident& a, const resident& b) {
    return std::tuple(b.handled, a.actor) < std::tuple(a.handled, b.actor); // the busiest first
  });
  console_rows rows;
  for (const resident& one : all)
    rows.push_back({cell(kind),
                    cell(1),
                    cell(one.handled),
                    cell(one.mailbox),
                    {},
                    {},
                    {},
                    cell(one.actor),
                    cell(one.what),
                    cell(one.reactor)});
  return rows;
}

struct residents_state {
  std::vector<resident> found;
  std::size_t pending = 0;
};

/// Asks the surveyor of each reactor; one that does not answer in time is missing.
caf::behavior ask_residents(caf::stateful_actor<residents_state>* self, std::vector<caf::actor> surveyors,
                            const actor_kind_row* kind, std::function<void(console_outcome)> answer) {
  self->state.pending = surveyors.size();
  const auto one_less = [self, kind, answer] {
    if (--self->state.pending > 0) return;
    answer({{}, {}, resident_rows(kind->name, std::move(self->state.found))});
    self->quit();
  };
  for (const caf::actor& one : surveyors)
    self->request(one, residents_patience, list_residents{static_cast<std::uint8_t>(kind->kind)})
        .then(
            [self, one_less](resident_list& got) {
              for (resident& who : got.residents)
                self->state.found.push_back(std::move(who));
              one_less();
            },
            [one_less](const caf::error&) { one_less(); });
  return {[](const list_residents&) {}}; // nobody asks it anything
}

} // namespace

void show_actors_of_kind(const console_view& view, const console_task& task) {
  if (task.arguments.empty()) return task.answer({{}, {}, show_actors(view)});
  const actor_kind_row* kind = kind_named(task.arguments[0]);
  if (kind == nullptr)
    return task.answer({protocol::make_error(protocol::error_code::console_no_such,
                                             {"kind of actors", task.arguments[0] + "; there are " + known_kinds()}),
                        {},
                        {}});
  const std::vector<caf::actor>& surveyors = task.node.surveyors;
  if (surveyors.empty()) return task.answer({});
  surveyors.front().home_system().spawn(ask_residents, surveyors, kind, task.answer);
}

// -- tenants, shares, statements
// ----------------------------------------------------------------------------------------------

namespace {

struct tenant_sum {
  std::size_t pools = 0;
  std::uint64_t active = 0, waiting = 0, servers = 0, idle = 0;
  std::chrono::microseconds maxwait{};
  share_counts counts;
};

console_row tenant_row(const config::settings& all, const config::tenant& tenant, const tenant_sum& sum,
                       std::size_t pools) {
  return {cell(tenant.name),
          cell(tenant.databases.size()),
          cell(tenant.users.size()),
          cell(pools),
          cell(sum.active),
          cell(sum.waiting),
          cell(sum.servers),
          cell(sum.idle),
          cell(sum.maxwait.count() / million),
          cell(tenant.max_tenant_client_connections.value_or(all.max_tenant_client_connections)),
          cell(tenant.max_tenant_connections.value_or(all.max_tenant_connections)),
          cell(sum.counts.xact_count),
          cell(sum.counts.query_count),
          cell(sum.counts.received),
          cell(sum.counts.sent),
          or_null(tenant.banned),
          or_null(tenant.banned_until)};
}

} // namespace

console_rows show_tenants(const console_view& view) {
  std::map<std::string, tenant_sum, std::less<>> sums;
  std::map<std::string, std::map<pool_name, int>, std::less<>> pools;
  for (const share_snapshot& share : view.shares) {
    tenant_sum& sum = sums[share.pool->name.tenant];
    pools[share.pool->name.tenant][share.pool->name];
    sum.active += share.cl_active;
    sum.waiting += share.cl_waiting;
    sum.servers += servers_of(share);
    sum.idle += share.sv_idle;
    sum.maxwait = std::max(sum.maxwait, share.maxwait);
  }
  if (view.stats)
    for (const auto& [key, line] : view.stats->lines(view.now))
      for (const count_row& one : count_rows)
        sums[key.first].counts.*one.member += line.total.*one.member;
  console_rows rows;
  const auto put = [&](const config::tenant& tenant) {
    rows.push_back(tenant_row(*view.settings, tenant, sums[tenant.name], pools[tenant.name].size()));
  };
  put(view.settings->default_tenant);
  for (const auto& [name, tenant] : view.settings->tenants)
    put(tenant);
  return rows;
}

console_rows show_shares(const console_view& view) {
  std::vector<const share_snapshot*> shares;
  for (const share_snapshot& share : view.shares)
    shares.push_back(&share);
  std::sort(shares.begin(), shares.end(), [](const auto* a, const auto* b) {
    return std::tie(a->pool->name, a->reactor) < std::tie(b->pool->name, b->reactor);
  });
  console_rows rows;
  for (const share_snapshot* one : shares) {
    const share_counts& counts = one->counts;
    rows.push_back({cell(one->pool->name.tenant), cell(one->pool->name.database), cell(one->pool->name.user),
                    cell(one->reactor), cell(one->permits), cell(one->cl_active), cell(one->cl_waiting),
                    cell(one->sv_active), cell(one->sv_idle), cell(one->sv_login), cell(one->sv_closing),
                    cell(one->maxwait.count() / million), cell(one->maxwait.count() % million),
                    cell(counts.server_assignment_count), cell(counts.xact_count), cell(counts.query_count)});
  }
  return rows;
}

console_rows show_prepared_statements(const console_view& view) {
  constexpr std::size_t most_text = 2000;
  struct sum {
    pool_name pool;
    statement_use use;
  };
  std::map<std::uint64_t, sum> statements; // ids are unique over all pools
  for (const share_snapshot& share : view.shares)
    for (const statement_use& one : share.statements) {
      sum& all = statements[one.what->id];
      all.pool = share.pool->name;
      all.use.what = one.what;
      all.use.servers += one.servers;
      all.use.uses += one.uses;
    }
  console_rows rows;
  for (const auto& [id, one] : statements) {
    const std::string_view text = one.use.what->query();
    const std::uint64_t uses = one.use.uses + one.use.what->uses.load(std::memory_order_relaxed);
    rows.push_back(
        {cell(one.pool.tenant), cell(one.pool.database), cell(one.pool.user), cell(one.use.what->server_name),
         cell(one.use.servers), cell(uses),
         cell(text.size() > most_text ? std::string(text.substr(0, most_text)) + "..." : std::string(text))});
  }
  return rows;
}

// -- memory and names
// ------------------------------------------------------------------------------------------------------------

namespace {

console_row memory_row(std::string_view name, std::uint64_t size, std::uint64_t used) {
  constexpr std::uint64_t most = std::numeric_limits<std::int32_t>::max();
  return {cell(name), cell(size), cell(std::min(used, most)), cell(0), cell(std::min(size * used, most))};
}

} // namespace

/// pgbouncer's caches of objects, counted as what they hold here: nothing is kept for later, so nothing is free.
console_rows show_mem(const console_view& view) {
  std::uint64_t users = view.settings->default_tenant.users.size();
  std::uint64_t databases = view.settings->default_tenant.databases.size();
  for (const auto& [name, tenant] : view.settings->tenants) {
    users += tenant.users.size();
    databases += tenant.databases.size();
  }
  std::uint64_t kept = 0, statements = 0;
  const auto count = [&](const client_row& one) { kept += one.unread_bytes + one.unsent_bytes; };
  for (const share_snapshot& share : view.shares) {
    std::for_each(share.clients.begin(), share.clients.end(), count);
    std::for_each(share.servers.begin(), share.servers.end(), count);
  }
  std::map<std::uint64_t, std::size_t> pools;
  for (const share_snapshot& share : view.shares)
    pools[share.pool->id] = share.pool->statements.size();
  for (const auto& [id, size] : pools)
    statements += size;
  return {memory_row("user_cache", sizeof(config::user), users),
          memory_row("db_cache", sizeof(config::database), databases),
          memory_row("peer_cache", 0, 0),
          memory_row("peer_pool_cache", 0, 0),
          memory_row("pool_cache", sizeof(share), actor_stats::read(actor_kind::share).alive),
          memory_row("outstanding_request_cache", sizeof(protocol::owed_reply), 0),
          memory_row("server_cache", sizeof(server), actor_stats::read(actor_kind::server).alive),
          memory_row("client_cache", sizeof(client), actor_stats::read(actor_kind::client).alive),
          memory_row("iobuf_cache", 1, kept), // bytes that could not be used or sent yet
          memory_row("statement_cache", sizeof(protocol::statement), statements)};
}

void show_dns_hosts(const console_view&, const console_task& task) {
  console_rows rows;
  const auto now = dns_board::clock::now();
  for (const auto& [host, known] : task.node.dns.names()) {
    const auto left = std::chrono::duration_cast<std::chrono::seconds>(known.until - now).count();
    rows.push_back({cell(host), cell(std::max<std::int64_t>(left, 0)), cell(known.addresses)});
  }
  task.answer({{}, {}, std::move(rows)});
}

void show_lists(const console_view& view, const console_task& task) {
  std::int64_t attached = static_cast<std::int64_t>(view.console_client_count);
  std::int64_t servers = 0;
  for (const share_snapshot& share : view.shares) {
    attached += clients_of(share);
    servers += servers_of(share);
  }
  // The shares were asked a moment ago, the node's own count is of now.
  const std::int64_t login = std::max<std::int64_t>(view.clients - attached, 0);
  const dns_board& dns = task.node.dns;
  task.answer({{},
               {},
               {{cell("databases"), cell(show_databases(view).size())},
                {cell("users"), cell(show_users(view).size())},
                {cell("peers"), cell(0)},
                {cell("pools"), cell(show_pools(view).size())},
                {cell("peer_pools"), cell(0)},
                {cell("free_clients"), cell(0)}, // objects kept for later: we keep none
                {cell("used_clients"), cell(attached + login)},
                {cell("login_clients"), cell(login)},
                {cell("free_servers"), cell(0)},
                {cell("used_servers"), cell(servers)},
                {cell("dns_names"), cell(dns.names().size())},
                {cell("dns_zones"), cell(0)}, // changes are seen by asking again, not by a zone's serial
                {cell("dns_queries"), cell(dns.pending.load(std::memory_order_relaxed))},
                {cell("dns_pending"), cell(0)}}}); // every question is asked at once
}

} // namespace pg_edge::actors
