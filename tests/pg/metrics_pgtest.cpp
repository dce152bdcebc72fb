// Figures that are true: what pgbench and Postgres say they did is what the console, the admin API, /metrics and a real
// Prometheus show.
#include "tests/support/folders.hpp"
#include "tests/support/http.hpp"
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <regex>

using namespace pg_edge::test;
using nlohmann::json;

namespace {

constexpr double transactions = 4000; // of pgbench, 8 clients with 500 each
constexpr double statements = transactions * 3;

struct world {
  std::uint16_t admin_port = free_port();
  temp_dir folder;
  pg_edge_process node;
  pq console;

  explicit world(const std::string& settings = "", const std::string& admin = "trust_user")
      : node(simple_toml("admin_users = \"" + admin + "\"\nreactors = 2\ndefault_pool_size = 4\n" + settings,
                         "[admin]\nlisten = \"127.0.0.1:" + std::to_string(admin_port) + "\"\n")),
        console(node.conninfo(admin, "pgbouncer")) {
    if (!node.wait_for_log("event=admin_listening")) throw test_failure("the admin API does not come up");
  }

  http_answer get(const std::string& path) const { return http_once(admin_port, {"GET", path, "", "", {}}); }
  std::string page() const {
    const http_answer answer = get("/metrics");
    BOOST_TEST(answer.status == 200, answer.body);
    return answer.body;
  }
  /// The sum of a metric's values over the series whose labels contain the text.
  double metric(const std::string& name, const std::string& labels = "") const {
    const std::string text = page();
    const std::regex line("(^|\n)" + name + "(\\{([^\n]*)\\})? ([0-9.e+-]+)(?=\n)");
    double sum = 0;
    int found = 0;
    for (auto one = std::sregex_iterator(text.begin(), text.end(), line); one != std::sregex_iterator(); ++one)
      if ((*one)[3].str().find(labels) != std::string::npos) {
        sum += std::stod((*one)[4]);
        ++found;
      }
    BOOST_TEST(found > 0, "no series of " << name << " with " << labels);
    return sum;
  }

  /// 4000 transactions of three statements each; pgbench's own count of them.
  double bench() const {
    const std::string script = folder / "script.sql";
    write_file(script, "begin;\nselect 1;\nend;\n");
    const run_result result =
        run({postgres::program("pgbench"), "-n", "-h", "127.0.0.1", "-p", std::to_string(node.port()), "-U",
             "trust_user", "-c", "8", "-j", "2", "-t", "500", "-f", script, "app"},
            milliseconds(180000));
    BOOST_TEST_REQUIRE(result.status == 0, result.out << result.err);
    std::smatch match;
    BOOST_TEST_REQUIRE(std::regex_search(result.out, match, std::regex("transactions actually processed: ([0-9]+)/")),
                       result.out);
    return std::stod(match[1]);
  }
};

bool agree(double a, double b, double within = 0.01) {
  return std::abs(a - b) <= within * std::max(std::abs(a), std::abs(b));
}

/// Those of the database app; asked in another one, since asking is a transaction too.
double postgres_transactions() {
  return std::stod(postgres::shared().query(
      "select xact_commit + xact_rollback from pg_stat_database where datname = 'app'", "postgres"));
}

bool no_backends() {
  return wait_for([] { return postgres::shared().backends("trust_user") == 0; }, milliseconds(30000));
}

run_result promtool(std::vector<std::string> arguments, const std::string& folder = "/") {
  arguments.insert(arguments.begin(), "promtool");
  process_options options;
  options.working_dir = folder;
  return run(arguments, milliseconds(60000), options);
}

std::string in_repository(const std::string& path) {
  return std::string(source_folder) + "/" + path;
}

} // namespace

BOOST_AUTO_TEST_SUITE(metrics_pgtest)

BOOST_AUTO_TEST_CASE(pgbench_postgres_console_and_metrics_count_the_same) {
  // A backend whose transactions touched no table tells of them when it ends and not before (pgstat_report_stat), so
  // those of earlier tests have to be gone and those of this one are closed.
  BOOST_TEST_REQUIRE(no_backends());
  world at;
  const double before = postgres_transactions();
  const double done = at.bench();
  BOOST_TEST(done == transactions);
  at.console.exec("RECONNECT app");
  BOOST_TEST(no_backends());
  BOOST_TEST(wait_for([&] { return agree(postgres_transactions() - before, done); }, milliseconds(30000)),
             postgres_transactions() - before);
  BOOST_TEST(agree(at.metric("pg_edge_transactions_total"), done));
  BOOST_TEST(agree(at.metric("pg_edge_queries_total"), statements));
  const std::string pool = "tenant=\"default\",database=\"app\",user=\"trust_user\",pool_mode=\"transaction\"";
  BOOST_TEST(agree(at.metric("pg_edge_pool_transactions_total", pool), done));
  BOOST_TEST(agree(at.metric("pg_edge_pool_queries_total", pool), statements));
  BOOST_TEST(agree(at.metric("pg_edge_query_seconds_count"), statements));
  BOOST_TEST(agree(at.metric("pg_edge_pool_query_seconds_count", pool), statements));
  BOOST_TEST(agree(at.metric("pg_edge_transaction_seconds_count"), done));
  BOOST_TEST(at.metric("pg_edge_pool_logins_total", pool) >= 8);
  BOOST_TEST(at.metric("pg_edge_login_seconds_count") >= 8);
  BOOST_TEST(at.metric("pg_edge_server_login_seconds_count") >= 1);
  const pq_result stats = at.console.exec("SHOW STATS");
  BOOST_TEST(agree(std::stod(stats.cell("database", "app", "total_xact_count")), done));
  BOOST_TEST(agree(std::stod(stats.cell("database", "app", "total_query_count")), at.metric("pg_edge_queries_total")));
  BOOST_TEST(std::stod(stats.cell("database", "app", "total_sent")) == at.metric("pg_edge_sent_bytes_total"));

  // Whoever is asked by, it is there once the second in which it happened is over.
  for (const std::string by : {"TENANT", "DATABASE", "USER", "POOL"}) {
    const auto ask = [&] { return at.console.exec("SHOW THROUGHPUT " + by + " OVER 60"); };
    BOOST_TEST_REQUIRE(wait_for([&] { return ask().rows() >= 1; }), by);
    const pq_result rows = ask();
    BOOST_TEST_REQUIRE(rows.rows() >= 1, by);
    BOOST_TEST(std::stod(rows.value(0, 7)) > 0, by);  // queries
    BOOST_TEST(std::stod(rows.value(0, 14)) > 0, by); // query_p99_us
  }
}

BOOST_AUTO_TEST_CASE(a_client_is_seen_while_it_works_and_not_when_it_has_left) {
  world at;
  auto client = std::make_unique<pq>(at.node.conninfo() + " application_name=busy_one");
  const auto line = [&](const std::string& column) {
    client->exec("select 1");
    return at.console.exec("SHOW THROUGHPUT CLIENT OVER 60 ORDER BY queries")
        .cell("application_name", "busy_one", column);
  };
  BOOST_TEST(wait_for([&] { return line("queries") != "no such row"; }));
  BOOST_TEST(line("tenant") == "default");
  BOOST_TEST(line("user") == "trust_user");
  BOOST_TEST(std::stod(line("query_p99_us")) > 0);
  BOOST_TEST(line("client") == at.console.exec("SHOW CLIENTS").cell("application_name", "busy_one", "id"));
  const json found = at.get("/v1/throughput/clients?window=60&application_name=busy_one").json()["items"];
  BOOST_TEST_REQUIRE(found.size() == 1u);
  BOOST_TEST(found[0]["queries"].get<double>() > 0);
  BOOST_TEST(found[0]["xact_p99_us"].is_null());
  client.reset();
  BOOST_TEST(wait_for([&] {
    return at.console.exec("SHOW THROUGHPUT CLIENT OVER 60").cell("application_name", "busy_one", "client") ==
           "no such row";
  }));
}

BOOST_AUTO_TEST_CASE(show_throughput_says_what_it_does_not_understand) {
  world at;
  for (const std::string wrong : {"nonsense", "OVER 7", "ORDER BY nothing", "LIMIT x"}) {
    const pq_result result = at.console.try_exec("SHOW THROUGHPUT " + wrong);
    BOOST_TEST(result.sqlstate() == "42601", wrong);
    BOOST_TEST(result.message().find("THROUGHPUT") != std::string::npos, result.message());
  }
  // Drivers that speak the extended protocol only.
  BOOST_TEST(at.console.exec_params("SHOW THROUGHPUT POOL OVER 10 ORDER BY sent DESC LIMIT 3", {}).columns() == 19);
  BOOST_TEST(at.console.exec_params("SHOW ERRORS", {}).columns() == 9);
  BOOST_TEST(at.console.exec_params("SHOW REACTORS", {}).rows() == 2);
  BOOST_TEST(at.get("/v1/throughput/nonsense").status == 404);
}

BOOST_AUTO_TEST_CASE(errors_are_counted_by_sqlstate_and_origin) {
  // Under auth_type trust, which simple_toml has, no password is wrong.
  world at("auth_type = \"scram-sha-256\"\n", "password_user");
  pq client(at.node.conninfo("scram_user"));
  for (int i = 0; i < 3; ++i)
    client.try_exec("select 1 / 0");
  for (int i = 0; i < 2; ++i)
    client.try_exec_params("select * from there_is_no_such_table", {});
  for (int i = 0; i < 2; ++i)
    BOOST_CHECK_THROW(pq(at.node.conninfo("scram_user") + " password=wrong"), pq_error);
  const auto errors = [&] { return at.console.exec("SHOW ERRORS"); };
  BOOST_TEST(errors().cell("sqlstate", "22012", "total") == "3");
  BOOST_TEST(errors().cell("sqlstate", "22012", "origin") == "server");
  BOOST_TEST(errors().cell("sqlstate", "22012", "class") == "data exception");
  BOOST_TEST(errors().cell("sqlstate", "22012", "database") == "app");
  BOOST_TEST(errors().cell("sqlstate", "42P01", "total") == "2");
  BOOST_TEST(errors().cell("sqlstate", "28P01", "total") == "2");
  BOOST_TEST(errors().cell("sqlstate", "28P01", "origin") == "pg_edge");
  BOOST_TEST(wait_for([&] { return errors().cell("sqlstate", "28P01", "last_minute") == "2"; }));
  BOOST_TEST(at.metric("pg_edge_errors_total", "sqlstate=\"22012\",origin=\"server\"") == 3);
  BOOST_TEST(at.metric("pg_edge_pool_errors_total", "database=\"app\"") == 5);
  const json rows = at.get("/v1/errors?sqlstate=28P01").json()["items"];
  BOOST_TEST_REQUIRE(rows.size() == 1u);
  BOOST_TEST(rows[0]["total"] == 2);
}

BOOST_AUTO_TEST_CASE(reactors_processes_and_states_are_there) {
  world at;
  pq client(at.node.conninfo());
  client.exec("begin");
  client.exec("select 1");
  BOOST_TEST(at.metric("pg_edge_pool_clients", "state=\"active\"") == 1);
  BOOST_TEST(at.metric("pg_edge_pool_servers", "state=\"active\"") == 1);
  BOOST_TEST(at.metric("pg_edge_clients") == 2); // and the console
  BOOST_TEST(at.metric("pg_edge_reactor_turns_total", "reactor=\"1\"") > 0);
  BOOST_TEST(at.metric("pg_edge_reactor_busy_seconds_total") > 0);
  BOOST_TEST(at.metric("pg_edge_actors", "kind=\"server\"") >= 1);
  BOOST_TEST(at.metric("process_open_fds") > 5);
  BOOST_TEST(at.metric("process_resident_memory_bytes") > 1e6);
  const double started = at.metric("process_start_time_seconds");
  BOOST_TEST(std::abs(started - static_cast<double>(std::time(nullptr))) < 600);
  BOOST_TEST(wait_for([&] {
    const std::string busy = at.console.exec("SHOW REACTORS").cell("reactor", "0", "busy_60s");
    return busy != "no such row" && std::stoi(busy) >= 0 && std::stoi(busy) <= 100;
  }));
}

BOOST_AUTO_TEST_CASE(how_many_tenants_have_names_is_a_setting_that_a_reload_changes) {
  const std::uint16_t admin_port = free_port();
  const auto toml = [&](int tenants) {
    return simple_toml("admin_users = \"trust_user\"\n", "[admin]\nlisten = \"127.0.0.1:" + std::to_string(admin_port) +
                                                             "\"\nmetrics_tenants = " + std::to_string(tenants) + "\n");
  };
  pg_edge_process node(toml(0));
  BOOST_TEST_REQUIRE(node.wait_for_log("event=admin_listening"));
  pq client(node.conninfo());
  const auto named = [&](const std::string& tenant) {
    client.exec("select 1");
    const std::string page = http_once(admin_port, {"GET", "/metrics", "", "", {}}).body;
    return page.find("tenant=\"" + tenant + "\"") != std::string::npos;
  };
  BOOST_TEST(wait_for([&] { return named("other"); }));
  BOOST_TEST(!named("default"));
  node.rewrite_config(toml(3));
  pq(node.conninfo("trust_user", "pgbouncer")).exec("RELOAD");
  BOOST_TEST(wait_for([&] { return named("default"); }));
  node.rewrite_config(toml(0));
  pq(node.conninfo("trust_user", "pgbouncer")).exec("RELOAD");
  BOOST_TEST(wait_for([&] { return !named("default"); }));
}

BOOST_AUTO_TEST_CASE(promtool_is_content_with_rules_and_metrics) {
  const std::string folder = in_repository("examples/prometheus");
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"check", "rules", "alerts.yml"},
                                                    {"test", "rules", "alerts_test.yml"},
                                                    {"check", "config", "prometheus.yml"}}) {
    const run_result result = promtool(arguments, folder);
    BOOST_TEST(result.status == 0, result.out << result.err);
  }
  world at;
  pq(at.node.conninfo()).exec("select 1");
  const std::string file = at.folder / "page";
  write_file(file, at.page());
  const run_result checked = run({"sh", "-c", "promtool check metrics < " + file});
  BOOST_TEST(checked.status == 0, checked.out << checked.err);
}

BOOST_AUTO_TEST_CASE(prometheus_reads_it_and_knows_what_pgbench_did) {
  world at;
  const std::uint16_t port = free_port();
  const std::string config = at.folder / "prometheus.yml";
  std::string text = read_file(in_repository("examples/prometheus/prometheus.yml"));
  const auto replace = [&text](const std::string& from, const std::string& to) {
    const std::size_t place = text.find(from);
    BOOST_TEST_REQUIRE(place != std::string::npos, from);
    text.replace(place, from.size(), to);
  };
  replace("scrape_interval: 15s", "scrape_interval: 1s");
  replace("evaluation_interval: 15s", "evaluation_interval: 1s");
  replace("127.0.0.1:9632", "127.0.0.1:" + std::to_string(at.admin_port));
  replace("- alerts.yml", "- " + in_repository("examples/prometheus/alerts.yml"));
  write_file(config, text);
  process_options options;
  options.stdout_file = options.stderr_file = at.folder / "prometheus.log";
  process server({"prometheus", "--config.file=" + config, "--storage.tsdb.path=" + (at.folder / "data"),
                  "--web.listen-address=127.0.0.1:" + std::to_string(port)},
                 options);
  const auto ask = [&](const std::string& expression) -> double {
    try {
      const http_answer answer = http_once(port, {"GET", "/api/v1/query?query=" + expression, "", "", {}});
      const json found = answer.json()["data"]["result"];
      return found.empty() ? -1 : std::stod(found[0]["value"][1].get<std::string>());
    } catch (const std::exception&) { // it is still starting
      return -1;
    }
  };
  BOOST_TEST_REQUIRE(wait_for([&] { return ask("up") == 1; }, milliseconds(60000)),
                     read_file(at.folder / "prometheus.log"));
  const double done = at.bench();
  BOOST_TEST(wait_for([&] { return agree(ask("pg_edge_transactions_total"), done); }, milliseconds(30000)),
             ask("pg_edge_transactions_total"));
  BOOST_TEST(wait_for([&] { return agree(ask("sum(pg_edge_pool_queries_total)"), statements); }, milliseconds(30000)));
  BOOST_TEST(ask("count(pg_edge_pool_query_seconds_bucket)") > 10);
  // Every rule has been evaluated, and without an error ("unknown" is one not evaluated yet, "err" one that failed).
  json rules;
  BOOST_TEST(wait_for(
                 [&] {
                   rules = http_once(port, {"GET", "/api/v1/rules", "", "", {}}).json()["data"]["groups"][0]["rules"];
                   return !rules.empty() && std::all_of(rules.begin(), rules.end(), [](const json& rule) {
                     return rule.at("health") == "ok" && rule.value("lastError", "").empty();
                   });
                 },
                 milliseconds(30000)),
             rules.dump(2));

  // Every expression of the dashboard is understood, with Grafana's variables filled in.
  std::string dashboard = read_file(in_repository("examples/grafana/pg_edge.json"));
  const json panels = json::parse(dashboard)["panels"];
  int asked = 0;
  for (const json& panel : panels)
    for (const json& target : panel.value("targets", json::array())) {
      std::string expression = target["expr"];
      for (const auto& [from, to] : {std::pair<std::string, std::string>{"$__rate_interval", "1m"},
                                     {"$instance", ".*"},
                                     {"$tenant", ".*"},
                                     {"$database", ".*"}})
        expression = std::regex_replace(expression, std::regex("\\" + from), to);
      const run_result result = promtool({"query", "instant", "http://127.0.0.1:" + std::to_string(port), expression});
      BOOST_TEST(result.status == 0, expression << ": " << result.out << result.err);
      ++asked;
    }
  BOOST_TEST(asked > 20);
  server.signal(15);
  BOOST_TEST(server.wait(milliseconds(30000)).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
