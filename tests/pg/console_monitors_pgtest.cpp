// The console as monitoring tools use it: the queries of pgbouncer's exporters and agents, Debian's own pgbouncer
// beside it, psql, and figures against those of Postgres and pgbench.
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <regex>
#include <thread>

using namespace pg_edge::test;

namespace {

struct fixture {
  pg_edge_process node{simple_toml("admin_users = \"trust_user\"\nstats_users = \"replication_user\"\n"
                                   "pool_mode = \"transaction\"\ndefault_pool_size = 4\nreactors = 2\n")};
  pq console{node.conninfo("trust_user", "pgbouncer")};
};

struct column {
  std::string name;
  Oid type;
};

std::vector<column> columns_of(const pq_result& result) {
  std::vector<column> out;
  for (int i = 0; i < result.columns(); ++i)
    out.push_back({result.column_name(i), PQftype(result.raw(), i)});
  return out;
}

/// The number in that column of every row; throws when there is no such column, or no number in it.
std::vector<double> numbers(const pq_result& result, const std::string& name) {
  const auto columns = columns_of(result);
  const auto place = std::find_if(columns.begin(), columns.end(), [&](const column& one) { return one.name == name; });
  if (place == columns.end()) throw test_failure("no column " + name);
  std::vector<double> out;
  for (int row = 0; row < result.rows(); ++row)
    out.push_back(std::stod(result.value(row, static_cast<int>(place - columns.begin()))));
  return out;
}

// -- Debian's pgbouncer
// ---------------------------------------------------------------------------------------------------

/// One beside pg_edge, without a Postgres: only its console is asked.
class pgbouncer {
public:
  pgbouncer() : port_(free_port()) {
    const std::string ini = folder_ / "pgbouncer.ini";
    write_file(ini, "[databases]\napp = host=127.0.0.1 port=1\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = " +
                        std::to_string(port_) +
                        "\nunix_socket_dir =\nauth_type = any\nadmin_users = admin\nstats_users = admin\n");
    process_options options;
    options.stderr_file = folder_ / "log";
    options.user = "postgres"; // it refuses to run as root
    process_ = process({"pgbouncer", "-q", ini}, options);
    if (!wait_for([this] { return pq::attempt(conninfo()).ok(); }))
      throw test_failure("pgbouncer does not start: " + read_file(folder_ / "log"));
  }
  std::string conninfo() const {
    return "host=127.0.0.1 sslmode=disable gssencmode=disable user=admin dbname=pgbouncer port=" +
           std::to_string(port_);
  }

private:
  temp_dir folder_;
  std::uint16_t port_;
  process process_;
};

/// Columns that have another name or type in 1.25, by the command and the name in older ones.
const std::map<std::pair<std::string, std::string>, std::string> renamed{
    {{"SHOW DATABASES", "reserve_pool"}, "reserve_pool_size"}};
/// Ours counts every connection there ever was, which takes more than 31 bits on a busy node.
const std::string wider = "id";

} // namespace

BOOST_FIXTURE_TEST_SUITE(console_monitors_pgtest, fixture)

BOOST_AUTO_TEST_CASE(B152_columns_are_those_of_the_installed_pgbouncer) {
  pgbouncer theirs;
  pq other(theirs.conninfo());
  int compared = 0;
  for (const std::string command :
       {"SHOW STATS",      "SHOW STATS_TOTALS", "SHOW STATS_AVERAGES", "SHOW TOTALS",    "SHOW POOLS", "SHOW CLIENTS",
        "SHOW SERVERS",    "SHOW SOCKETS",      "SHOW ACTIVE_SOCKETS", "SHOW DATABASES", "SHOW USERS", "SHOW LISTS",
        "SHOW CONFIG",     "SHOW MEM",          "SHOW DNS_HOSTS",      "SHOW DNS_ZONES", "SHOW STATE", "SHOW PEERS",
        "SHOW PEER_POOLS", "SHOW VERSION"}) {
    const pq_result expected = other.try_exec(command);
    if (!expected.ok() || expected.columns() == 0) continue; // newer than that pgbouncer, or a notice there
    const auto ours = columns_of(console.exec(command));
    std::size_t from = 0;
    for (column one : columns_of(expected)) {
      if (const auto now = renamed.find({command, one.name}); now != renamed.end()) one.name = now->second;
      while (from < ours.size() && ours[from].name != one.name)
        ++from;
      BOOST_TEST_REQUIRE(from < ours.size(), command << " has no " << one.name << " where pgbouncer has it");
      if (one.name != wider) BOOST_TEST(ours[from].type == one.type, command << ": type of " << one.name);
      ++from;
    }
    ++compared;
  }
  BOOST_TEST(compared >= 16);
}

BOOST_AUTO_TEST_CASE(B152_rows_of_lists_and_totals_are_those_of_the_installed_pgbouncer) {
  pgbouncer theirs;
  pq other(theirs.conninfo());
  for (const std::string command : {"SHOW LISTS", "SHOW TOTALS"}) {
    const pq_result expected = other.exec(command);
    const pq_result ours = console.exec(command);
    int at = 0;
    for (int row = 0; row < expected.rows(); ++row) {
      while (at < ours.rows() && ours.value(at, 0) != expected.value(row, 0))
        ++at;
      BOOST_TEST(at < ours.rows(), command << " has no row " << expected.value(row, 0));
    }
  }
}

// -- what tools read
// ------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B152_the_queries_of_prometheus_exporters_get_numbers) {
  pq client(node.conninfo());
  client.exec("select 1");
  const std::map<std::string, std::vector<std::string>> read{
      {"SHOW stats_totals;",
       {"query_count", "query_time", "bytes_received", "bytes_sent", "wait_time", "xact_count", "xact_time",
        "client_parse_count", "server_parse_count", "bind_count"}},
      {"SHOW pools;",
       {"cl_active", "cl_active_cancel_req", "cl_waiting", "cl_waiting_cancel_req", "sv_active", "sv_active_cancel",
        "sv_being_canceled", "sv_idle", "sv_used", "sv_tested", "sv_login", "maxwait"}},
      {"SHOW databases;",
       {"pool_size", "reserve_pool_size", "max_connections", "current_connections", "paused", "disabled"}},
      {"SHOW STATS",
       {"total_xact_count", "total_query_count", "total_received", "total_sent", "total_query_time", "total_xact_time",
        "total_wait_time", "avg_xact_count", "avg_query_count", "avg_wait_time", "avg_recv", "avg_sent",
        "avg_xact_time", "avg_query_time"}},
  };
  pq monitor(node.conninfo("replication_user", "pgbouncer")); // a stats user
  for (const auto& [query, names] : read) {
    const pq_result result = monitor.exec(query);
    BOOST_TEST(result.rows() > 0, query);
    for (const std::string& name : names)
      BOOST_CHECK_NO_THROW(numbers(result, name));
  }
  const pq_result lists = monitor.exec("SHOW LISTS;");
  BOOST_TEST(lists.columns() == 2); // exactly, or the exporter gives up
  for (int row = 0; row < lists.rows(); ++row)
    BOOST_CHECK_NO_THROW(std::stod(lists.value(row, 1)));
  const pq_result config = monitor.exec("SHOW CONFIG;");
  BOOST_TEST(config.columns() == 4);
  BOOST_TEST(config.cell("key", "max_client_conn", "value") == "100");
  BOOST_TEST(config.cell("key", "max_user_connections", "value") == "0");
  BOOST_TEST(monitor.exec("SHOW VERSION;").rows() == 1);
}

/// psql watches until it is interrupted: before 16 it knows no count.
BOOST_AUTO_TEST_CASE(B153_psql_watches_a_command) {
  const std::string input = node.folder() + "/watch.sql";
  write_file(input, "SHOW STATE;\nSHOW VERSION \\watch 0.2\n");
  const run_result result = run({"timeout", "-s", "INT", "3", postgres::program("psql"), "-X", "-A", "-t",
                                 node.conninfo("trust_user", "pgbouncer"), "-f", input},
                                milliseconds(20000));
  std::size_t found = 0;
  for (std::size_t at = result.out.find("pg_edge "); at != std::string::npos; at = result.out.find("pg_edge ", at + 1))
    ++found;
  BOOST_TEST(found >= 3u, result.out + result.err);
}

BOOST_AUTO_TEST_CASE(B156_what_is_secret_is_for_admins_and_null) {
  pq client(node.conninfo("scram_user"));
  client.exec("select 1");
  pq monitor(node.conninfo("replication_user", "pgbouncer"));
  BOOST_TEST(monitor.try_exec("SHOW FDS").sqlstate() == "42501");
  BOOST_TEST(monitor.try_exec("SHOW PREPARED STATEMENTS").sqlstate() == "42501");
  BOOST_TEST(monitor.try_exec("SET query_timeout = 1").sqlstate() == "42501");
  const pq_result fds = console.exec("SHOW FDS");
  BOOST_TEST(fds.rows() >= 3); // two clients of the console, one of a pool; and its server
  for (int row = 0; row < fds.rows(); ++row) {
    BOOST_TEST(std::stoi(fds.value(row, 0)) > 2);
    for (int secret : {6, 12, 13, 14})
      BOOST_TEST(fds.is_null(row, secret));
  }
  BOOST_TEST(fds.cell("user", "scram_user", "client_encoding") == "UTF8");
}

// -- figures
// -------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B154_figures_agree_with_postgres_and_with_pgbench) {
  const auto total = [&](const std::string& name) {
    return std::stod(console.exec("SHOW STATS").cell("database", "app", name));
  };
  pq first(node.conninfo());
  first.exec("select 1");
  const double transactions = total("total_xact_count");
  const double queries = total("total_query_count");
  const std::string script = node.folder() + "/three.sql";
  write_file(script, "begin;\nselect 1;\ncommit;\n");
  const run_result result =
      run({postgres::program("pgbench"), "-n", "-h", "127.0.0.1", "-p", std::to_string(node.port()), "-U", "trust_user",
           "-c", "8", "-j", "2", "-t", "50", "-f", script, "app"},
          milliseconds(120000));
  BOOST_TEST_REQUIRE(result.status == 0, result.err);
  std::smatch found;
  BOOST_TEST_REQUIRE(std::regex_search(result.out, found, std::regex("actually processed: ([0-9]+)")), result.out);
  const double processed = std::stod(found[1]);
  BOOST_TEST(processed == 400);
  BOOST_TEST(std::abs(total("total_xact_count") - transactions - processed) <= processed / 100);
  BOOST_TEST(std::abs(total("total_query_count") - queries - 3 * processed) <= 3 * processed / 100);

  // Four transactions stay open: that many servers are at work, and Postgres says the same.
  std::vector<std::unique_ptr<pq>> open;
  for (int i = 0; i < 4; ++i) {
    open.push_back(std::make_unique<pq>(node.conninfo()));
    open.back()->exec("begin");
    open.back()->exec("select 1");
  }
  const pq_result pools = console.exec("SHOW POOLS");
  BOOST_TEST(pools.cell("database", "app", "sv_active") == "4");
  BOOST_TEST(postgres::shared().query("select count(*) from pg_stat_activity where usename = 'trust_user' and state = "
                                      "'idle in transaction'") == "4");
  BOOST_TEST(console.exec("SHOW DATABASES").cell("name", "app", "current_connections") ==
             postgres::shared().query("select count(*) from pg_stat_activity where usename = 'trust_user' and "
                                      "backend_type = 'client backend'"));
}

BOOST_AUTO_TEST_CASE(sockets_show_what_is_at_work) {
  pq idle(node.conninfo());
  idle.exec("select 1");
  pq busy(node.conninfo());
  busy.exec("begin");
  busy.exec("select 1");
  const pq_result all = console.exec("SHOW SOCKETS");
  const pq_result active = console.exec("SHOW ACTIVE_SOCKETS");
  BOOST_TEST(all.rows() >= 4); // three clients with the console's own, and the server that both have used
  int servers = 0;
  for (int row = 0; row < active.rows(); ++row)
    servers += active.value(row, 0) == "S" ? 1 : 0;
  BOOST_TEST(servers == 1);
  for (int row = 0; row < all.rows(); ++row)
    for (int position = 21; position < 28; ++position)
      BOOST_TEST(std::stol(all.value(row, position)) >= 0);
}

BOOST_AUTO_TEST_CASE(memory_is_counted_by_objects_that_are_there) {
  const auto clients = [&] { return std::stol(console.exec("SHOW MEM").cell("name", "client_cache", "used")); };
  BOOST_TEST(wait_for([&] { return clients() == 1; })); // the console's own, without those of the case before
  pq one(node.conninfo());
  pq two(node.conninfo());
  BOOST_TEST(clients() == 3);
  const pq_result mem = console.exec("SHOW MEM");
  for (int row = 0; row < mem.rows(); ++row)
    BOOST_TEST(std::stol(mem.value(row, 4)) == std::stol(mem.value(row, 1)) * std::stol(mem.value(row, 2)));
}

// -- pg_edge's own
// -------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(tenants_and_shares_add_up_to_pools) {
  pq client(node.conninfo());
  client.exec("select 1");
  const pq_result tenants = console.exec("SHOW TENANTS");
  BOOST_TEST(tenants.cell("name", "default", "pools") == "1");
  BOOST_TEST(tenants.cell("name", "default", "cl_active") == "1");
  BOOST_TEST(std::stol(tenants.cell("name", "default", "total_query_count")) >= 1);
  const pq_result shares = console.exec("SHOW SHARES");
  long permits = 0;
  for (const double one : numbers(shares, "permits"))
    permits += static_cast<long>(one);
  BOOST_TEST(permits <= 4);
  BOOST_TEST(permits >= 1);
  BOOST_TEST(console.exec("SHOW POOLS").cell("database", "app", "shares") == std::to_string(shares.rows()));
}

BOOST_AUTO_TEST_CASE(actors_of_a_kind_are_listed_with_what_they_have_done) {
  pq client(node.conninfo());
  client.exec("select 1");
  const pq_result clients = console.exec("SHOW ACTORS client");
  BOOST_TEST(clients.rows() == 2);
  bool there = false;
  for (int row = 0; row < clients.rows(); ++row)
    there |= clients.value(row, 8).find("trust_user@app") != std::string::npos;
  BOOST_TEST(there);
  const pq_result pools = console.exec("SHOW ACTORS pool");
  BOOST_TEST(pools.rows() >= 1);
  BOOST_TEST(std::stol(pools.value(0, 2)) > 0); // messages handled
  const pq_result unknown = console.try_exec("SHOW ACTORS elephant");
  BOOST_TEST(unknown.message().find("listener, client, server, share, canceller") != std::string::npos,
             unknown.message());
  BOOST_TEST(console.exec_params("SHOW ACTORS server", {}).rows() == 1); // by the extended protocol, too
}

BOOST_AUTO_TEST_CASE(B097_prepared_statements_are_listed_with_their_servers_and_uses) {
  pq client(node.conninfo());
  client.prepare("mine", "select 41 + $1::int");
  for (int i = 0; i < 5; ++i)
    client.exec_prepared("mine", {"1"});
  const pq_result statements = console.exec("SHOW PREPARED STATEMENTS");
  BOOST_TEST_REQUIRE(statements.rows() == 1);
  BOOST_TEST(statements.cell("database", "app", "text") == "select 41 + $1::int");
  BOOST_TEST(statements.cell("database", "app", "servers") == "1");
  BOOST_TEST(std::stol(statements.cell("database", "app", "uses")) >= 5);
}

BOOST_AUTO_TEST_CASE(host_names_are_listed_with_their_addresses) {
  pg_edge_process named(
      simple_toml("admin_users = \"trust_user\"\n",
                  "[databases.by_name]\nhost = \"localhost\"\nport = {postgres_port}\ndbname = \"app\"\n"));
  pq client(named.conninfo("trust_user", "by_name"));
  client.exec("select 1");
  pq admin(named.conninfo("trust_user", "pgbouncer"));
  const std::string addresses = admin.exec("SHOW DNS_HOSTS").cell("hostname", "localhost", "addrs");
  BOOST_TEST(addresses.find("127.0.0.1") != std::string::npos, addresses);
  BOOST_TEST(admin.exec("SHOW LISTS").cell("list", "dns_names", "items") == "1");
}

BOOST_AUTO_TEST_SUITE_END()
