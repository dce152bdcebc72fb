// Looks in Postgres for what a dead node has left there. By libpq, on a thread that ends with the question: this
// happens once when a node has died, not on the data path.
#include "actors/cluster_node.hpp"
#include "actors/user_lookup.hpp"
#include "cluster/backend_search.hpp"
#include "config/resolve.hpp"
#include "config/value_text.hpp"

#include <libpq-fe.h>

#include <cstdlib>
#include <memory>

namespace pg_edge::actors {

namespace {

using connection_ptr = std::unique_ptr<PGconn, void (*)(PGconn*)>;
using result_ptr = std::unique_ptr<PGresult, void (*)(PGresult*)>;

constexpr const char* list_query =
    "SELECT pid, (extract(epoch FROM clock_timestamp() - backend_start) * 1000)::bigint FROM pg_stat_activity "
    "WHERE usename = current_user AND datname = current_database() AND backend_type = 'client backend' "
    "AND pid <> pg_backend_pid()";
constexpr const char* connect_seconds = "5";

connection_ptr connect(const libpq_options& options, const std::string& host) {
  std::vector<const char*> names, values;
  for (const auto& [name, value] : options) {
    if (name == "application_name") continue;
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  for (const auto& [name, value] : {std::pair<const char*, const char*>{"host", host.c_str()},
                                    {"connect_timeout", connect_seconds},
                                    {"application_name", "pg_edge cluster"},
                                    {nullptr, nullptr}}) {
    names.push_back(name);
    values.push_back(value);
  }
  return {PQconnectdbParams(names.data(), values.data(), 0), PQfinish};
}

/// One server: ends what is the dead life's and counts what is left.
void search_at(const libpq_options& options, const std::string& host, const cluster::dead_life_backends& dead,
               backends_searched& result) {
  const connection_ptr connection = connect(options, host);
  if (PQstatus(connection.get()) != CONNECTION_OK) {
    result.error = PQerrorMessage(connection.get());
    return;
  }
  const result_ptr listed{PQexec(connection.get(), list_query), PQclear};
  if (PQresultStatus(listed.get()) != PGRES_TUPLES_OK) {
    result.error = PQresultErrorMessage(listed.get());
    return;
  }
  std::vector<cluster::listed_backend> backends;
  backends.reserve(static_cast<std::size_t>(PQntuples(listed.get())));
  for (int row = 0; row < PQntuples(listed.get()); ++row)
    backends.push_back({static_cast<std::int32_t>(std::atol(PQgetvalue(listed.get(), row, 0))),
                        std::atoll(PQgetvalue(listed.get(), row, 1))});
  const cluster::backend_search found = cluster::search_backends(backends, dead);
  for (const std::int32_t pid : found.to_end) {
    const std::string query = "SELECT pg_terminate_backend(" + std::to_string(pid) + ")";
    const result_ptr ended{PQexec(connection.get(), query.c_str()), PQclear};
    if (PQresultStatus(ended.get()) != PGRES_TUPLES_OK) result.error = PQresultErrorMessage(ended.get());
    ++result.ended;
  }
  result.waiting_for += static_cast<std::uint32_t>(found.to_wait_for.size());
  result.gone = result.gone && found.none_left();
}

backends_searched search(node_context& node, const backend_question& question) {
  backends_searched result{question.what, true, 0, 0, {}};
  const auto settings = node.settings()->values;
  const auto& pool = question.what.pool;
  const auto route = config::find_route(*settings, pool.tenant, pool.database, pool.user);
  if (!route) {
    result.gone = false;
    result.error = "the pool is not configured any more";
    return result;
  }
  const config::pool_settings target =
      config::resolve_pool(*settings, *route->tenant, *route->database, pool.database, pool.user, route->user);
  cluster::dead_life_backends dead;
  for (const auto& [pid, age] : question.roster)
    dead.roster.push_back({pid, age});
  dead.of_others.insert(question.of_others.begin(), question.of_others.end());
  if (question.roster_age_ms >= 0) dead.roster_age_ms = question.roster_age_ms;
  dead.departed_ms = question.departed_ms;
  const libpq_options options = options_for(target, *settings);
  for (const std::string& host : config::split_list(target.host)) {
    search_at(options, host, dead, result);
    if (!result.error.empty()) result.gone = false;
  }
  while (!result.error.empty() && result.error.back() == '\n')
    result.error.pop_back();
  return result;
}

} // namespace

void search_backends(caf::event_based_actor* self, node_context& node, backend_question question) {
  self->spawn<caf::detached>([to = caf::actor_cast<caf::weak_actor_ptr>(self), &node,
                              question = std::move(question)](caf::event_based_actor*) {
    backends_searched result = search(node, question);
    if (const auto here = caf::actor_cast<caf::actor>(to)) caf::anon_send(here, std::move(result));
  });
}

} // namespace pg_edge::actors
