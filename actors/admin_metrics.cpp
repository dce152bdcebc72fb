// What the metrics actor knows, over HTTP: Prometheus's page, throughput and errors as lists.
#include "actors/admin_metrics.hpp"

#include "actors/metric_table.hpp"
#include "actors/metrics.hpp"

#include <cmath>

namespace pg_edge::actors {

namespace {

/// It waits for its reactors no longer than metrics_patience, twice if a reading was under way.
constexpr std::chrono::milliseconds patience = 3 * metrics_patience;

// -- /metrics
// ------------------------------------------------------------------------------------------------------------

void metrics_page_for(const admin_call_ptr& call) {
  call->ask<metrics_page>(find_metrics(call->node()), patience, ask_metrics_page{}, [call](metrics_page& page) {
    call->reply(admin_reply{200, std::string(metrics_content_type), std::move(page.text), {}});
  });
}

// -- throughput
// ----------------------------------------------------------------------------------------------------------

using tr = throughput_row;

json rate(double value) {
  return std::round(value * 1000) / 1000;
}
/// Of a client nothing but its queries is timed.
json timed_unless_client(const tr& row, const sparse_histogram& times, double part) {
  return row.client == 0 ? json(times.quantile(part)) : json();
}

constexpr admin_column<tr> throughput_fields[] = {
    {{"tenant", "string", "The tenant; null where it is summed over.", true, true},
     [](const tr& r) { return or_null(r.name.tenant); }},
    {{"database", "string", "The database; null where it is summed over.", true, true},
     [](const tr& r) { return or_null(r.name.database); }},
    {{"user", "string", "The pool's server user, of a client its own; null where it is summed over.", true, true},
     [](const tr& r) { return or_null(r.name.user); }},
    {{"client", "integer", "Id of the connection; null: no client is meant.", true, true},
     [](const tr& r) { return r.client == 0 ? json() : json(r.client); }},
    {{"window", "integer", "Seconds that the figures are of: 1, 10 or 60.", false, true},
     [](const tr& r) -> json { return seconds_of(r.over); }},
    {{"addr", "string", "Address of a client.", true}, [](const tr& r) { return or_null(r.addr); }},
    {{"application_name", "string", "What a client calls itself.", true},
     [](const tr& r) { return or_null(r.application_name); }},
    {{"queries", "number", "Queries answered a second."}, [](const tr& r) { return rate(r.queries); }},
    {{"transactions", "number", "Transactions ended a second."}, [](const tr& r) { return rate(r.transactions); }},
    {{"received", "number", "Bytes from clients a second."}, [](const tr& r) { return rate(r.received); }},
    {{"sent", "number", "Bytes from servers a second."}, [](const tr& r) { return rate(r.sent); }},
    {{"query_mean_us", "integer", "A query's mean time in microseconds."},
     [](const tr& r) -> json { return r.query_time; }},
    {{"query_p50_us", "integer", "Half of the queries took no longer."},
     [](const tr& r) -> json { return r.query.quantile(0.5); }},
    {{"query_p95_us", "integer", "95 of 100 queries took no longer."},
     [](const tr& r) -> json { return r.query.quantile(0.95); }},
    {{"query_p99_us", "integer", "99 of 100 queries took no longer."},
     [](const tr& r) -> json { return r.query.quantile(0.99); }},
    {{"xact_p50_us", "integer", "The same of transactions; null of a client.", true},
     [](const tr& r) { return timed_unless_client(r, r.transaction, 0.5); }},
    {{"xact_p99_us", "integer", "The same of transactions; null of a client.", true},
     [](const tr& r) { return timed_unless_client(r, r.transaction, 0.99); }},
    {{"wait_p50_us", "integer", "The same of waits for a server; null of a client.", true},
     [](const tr& r) { return timed_unless_client(r, r.wait, 0.5); }},
    {{"wait_p99_us", "integer", "The same of waits for a server; null of a client.", true},
     [](const tr& r) { return timed_unless_client(r, r.wait, 0.99); }},
};

struct by_row {
  std::string_view path;
  throughput_by by;
};
constexpr by_row by_rows[] = {{"tenants", throughput_by::tenant},
                              {"databases", throughput_by::database},
                              {"users", throughput_by::user},
                              {"pools", throughput_by::pool},
                              {"clients", throughput_by::client}};

/// The windows that the query leaves over, so that the others need not be summed.
std::vector<window> windows_asked(const admin_request& request) {
  std::vector<window> result;
  for (const window which : windows)
    if (request.asked("window").value_or(std::to_string(seconds_of(which))) == std::to_string(seconds_of(which)))
      result.push_back(which);
  if (result.empty()) result.assign(windows.begin(), windows.end()); // "1,10", "!=60": the list sorts it out
  return result;
}

void add_window(const admin_call_ptr& call, throughput_by by, std::vector<window> rest, std::vector<tr> rows) {
  if (rest.empty()) return reply_list(call, throughput_fields, rows, true);
  throughput_question question;
  question.by = by;
  question.over = rest.back();
  rest.pop_back();
  call->ask<throughput_answer>(find_metrics(call->node()), patience, ask_throughput{question},
                               [call, by, rest, rows](throughput_answer& got) {
                                 std::vector<tr> all = rows;
                                 all.insert(all.end(), got.rows.begin(), got.rows.end());
                                 add_window(call, by, rest, std::move(all));
                               });
}

void throughput_for(const admin_call_ptr& call) {
  const std::string& asked = call->request().parameters.at("by");
  for (const by_row& one : by_rows)
    if (one.path == asked) return add_window(call, one.by, windows_asked(call->request()), {});
  call->fail(404, "by",
             "There is throughput by tenants, databases, users, pools and clients; not by \"" + asked + "\".");
}

// -- errors
// --------------------------------------------------------------------------------------------------------------

using er = error_figures;

constexpr admin_column<er> error_fields[] = {
    {{"sqlstate", "string", "The SQLSTATE; \"other\": beyond 200 different ones, or none.", false, true},
     [](const er& r) -> json { return r.key.sqlstate(); }},
    {{"origin", "string", "\"server\": Postgres's, passed on; \"pg_edge\": its own.", false, true},
     [](const er& r) -> json { return protocol::to_string(r.key.origin()); }},
    {{"class", "string", "What its first two letters mean.", true},
     [](const er& r) { return or_null(std::string(sqlstate_class(r.key.sqlstate()))); }},
    {{"total", "integer", "How often it was sent to clients."}, [](const er& r) -> json { return r.total; }},
    {{"last_minute", "integer", "... in the last minute."}, [](const er& r) -> json { return r.last_minute; }},
    {{"tenant", "string", "Whose client was sent it last; null: none had logged in.", true},
     [](const er& r) { return or_null(r.name.tenant); }},
    {{"database", "string", "Of that client's pool.", true}, [](const er& r) { return or_null(r.name.database); }},
    {{"user", "string", "Of that client's pool.", true}, [](const er& r) { return or_null(r.name.user); }},
};

void errors_for(const admin_call_ptr& call) {
  call->ask<figures_answer>(find_metrics(call->node()), patience, ask_figures{},
                            [call](figures_answer& got) { reply_list(call, error_fields, got.errors, true); });
}

const std::vector<admin_field>& throughput_columns_listed() {
  return fields_of(throughput_fields);
}
const std::vector<admin_field>& error_columns_listed() {
  return fields_of(error_fields);
}

constexpr admin_schema schemas[] = {
    {"throughput", "What passes in a second, and how long it takes.", throughput_columns_listed},
    {"client_error", "An error that clients were sent, counted.", error_columns_listed},
};

constexpr admin_route routes[] = {
    {.method = http_method::get,
     .path = "/metrics",
     .role = config::admin_role::viewer,
     .name = "getMetrics",
     .tag = "metrics",
     .answers = "string",
     .content_type = metrics_content_type,
     .summary = "Every metric in Prometheus's text format; docs/metrics.md lists them.",
     .handle = metrics_page_for},
    {.method = http_method::get,
     .path = "/v1/throughput/{by}",
     .role = config::admin_role::viewer,
     .name = "listThroughput",
     .tag = "metrics",
     .answers = "throughput",
     .columns = throughput_columns_listed,
     .summary = "Queries, transactions, bytes and latency a second, by tenants, databases, users, pools or clients.",
     .handle = throughput_for},
    {.method = http_method::get,
     .path = "/v1/errors",
     .role = config::admin_role::viewer,
     .name = "listErrors",
     .tag = "metrics",
     .answers = "client_error",
     .columns = error_columns_listed,
     .summary = "Errors sent to clients, by SQLSTATE.",
     .handle = errors_for},
};

} // namespace

std::span<const admin_route> admin_metrics_routes() {
  return routes;
}

std::span<const admin_schema> admin_metrics_schemas() {
  return schemas;
}

} // namespace pg_edge::actors
