// The admin console as monitoring tools meet it: libpq, psql's simple queries and drivers' prepared ones.
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

#include <map>

using namespace pg_edge::test;

namespace {

const std::string settings = "admin_users = \"trust_user\"\nstats_users = \"replication_user\"\ndefault_pool_size = 3\n"
                             "reactors = 2\nstats_period = 1\n";

std::vector<std::string> columns_of(const pq_result& result) {
  std::vector<std::string> names;
  for (int i = 0; i < result.columns(); ++i)
    names.push_back(result.column_name(i));
  return names;
}

/// The value of that column in the first row where the others are as asked for.
std::string find(const pq_result& result, const std::map<std::string, std::string>& where, const std::string& column) {
  const auto names = columns_of(result);
  const auto place = [&](const std::string& name) {
    return static_cast<int>(std::find(names.begin(), names.end(), name) - names.begin());
  };
  for (int row = 0; row < result.rows(); ++row) {
    bool same = true;
    for (const auto& [name, value] : where)
      same = same && result.value(row, place(name)) == value;
    if (same) return result.value(row, place(column));
  }
  return "no such row";
}

struct fixture {
  pg_edge_process node{simple_toml(settings)};
  pq console{node.conninfo("trust_user", "pgbouncer")};

  std::string pool(const std::string& column) {
    return find(console.exec("SHOW POOLS"), {{"database", "app"}, {"user", "trust_user"}}, column);
  }
  long stat(const std::string& column) {
    return std::atol(find(console.exec("SHOW STATS"), {{"database", "app"}}, column).c_str());
  }
};

struct expected_columns {
  const char* command;
  std::vector<std::string> names;
  std::string types; // s text, i int4, q int8, N numeric
};

const std::vector<std::string> sockets{"type",
                                       "user",
                                       "database",
                                       "replication",
                                       "state",
                                       "addr",
                                       "port",
                                       "local_addr",
                                       "local_port",
                                       "connect_time",
                                       "request_time",
                                       "wait",
                                       "wait_us",
                                       "close_needed",
                                       "ptr",
                                       "link",
                                       "remote_pid",
                                       "tls",
                                       "application_name",
                                       "prepared_statements",
                                       "id"};
const std::vector<std::string> sockets_and_buffers = [] {
  std::vector<std::string> names = sockets;
  for (const char* name : {"recv_pos", "pkt_pos", "pkt_remain", "send_pos", "send_remain", "pkt_avail", "send_avail"})
    names.emplace_back(name);
  return names;
}();
const std::vector<std::string> counts{"database",           "server_assignment_count",
                                      "xact_count",         "query_count",
                                      "bytes_received",     "bytes_sent",
                                      "xact_time",          "query_time",
                                      "wait_time",          "client_parse_count",
                                      "server_parse_count", "bind_count",
                                      "client_login_count"};

// As pgbouncer documents them.
const expected_columns known[] = {
    {"SHOW POOLS",
     {"database", "user", "cl_active", "cl_waiting", "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active",
      "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used", "sv_tested", "sv_login", "maxwait", "maxwait_us",
      "pool_mode", "load_balance_hosts"},
     "ssiiiiiiiiiiiiiss"},
    {"SHOW CLIENTS", sockets, "ssssssisissiiississiq"},
    {"SHOW SERVERS", sockets, "ssssssisissiiississiq"},
    {"SHOW DATABASES",
     {"name", "host", "port", "database", "force_user", "pool_size", "min_pool_size", "reserve_pool_size",
      "server_lifetime", "pool_mode", "load_balance_hosts", "max_connections", "current_connections",
      "max_client_connections", "current_client_connections", "paused", "disabled"},
     "ssissiiiissiiiiii"},
    {"SHOW USERS",
     {"name", "pool_size", "reserve_pool_size", "pool_mode", "max_user_connections", "current_connections",
      "max_user_client_connections", "current_client_connections"},
     "ssssiiii"},
    {"SHOW SOCKETS", sockets_and_buffers, "ssssssisissiiississiqiiiiiii"},
    {"SHOW ACTIVE_SOCKETS", sockets_and_buffers, "ssssssisissiiississiqiiiiiii"},
    {"SHOW FDS",
     {"fd", "task", "user", "database", "addr", "port", "cancel", "link", "client_encoding", "std_strings", "datestyle",
      "timezone", "password", "scram_client_key", "scram_server_key"},
     "issssiqisssssbb"},
    {"SHOW MEM", {"name", "size", "used", "free", "memtotal"}, "siiii"},
    {"SHOW DNS_HOSTS", {"hostname", "ttl", "addrs"}, "sqs"},
    {"SHOW DNS_ZONES", {"zonename", "serial", "count"}, "sqi"},
    {"SHOW PEERS", {"peer_id", "host", "port", "pool_size"}, "isii"},
    {"SHOW PEER_POOLS",
     {"peer_id", "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active_cancel", "sv_login"},
     "iiiii"},
    {"SHOW STATS_TOTALS", counts, "sNNNNNNNNNNNN"},
    {"SHOW LISTS", {"list", "items"}, "si"},
    {"SHOW TOTALS", {"name", "value"}, "sN"},
    {"SHOW STATE", {"key", "value"}, "ss"},
    {"SHOW VERSION", {"version"}, "s"},
    {"SHOW CONFIG", {"key", "value", "default", "changeable"}, "ssss"},
};

char type_letter(Oid type) {
  return type == 17 ? 'b' : type == 25 ? 's' : type == 23 ? 'i' : type == 20 ? 'q' : type == 1700 ? 'N' : '?';
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(console_pgtest, fixture)

BOOST_AUTO_TEST_CASE(B152_columns_names_order_and_types_are_pgbouncers) {
  pq client(node.conninfo());
  client.exec("select 1");
  for (const auto& [command, names, types] : known) {
    const pq_result result = console.exec(command);
    auto given = columns_of(result);
    BOOST_TEST_REQUIRE(given.size() >= names.size(), command);
    given.resize(names.size());
    BOOST_TEST(given == names, boost::test_tools::per_element());
    std::string letters;
    for (int i = 0; i < static_cast<int>(names.size()); ++i)
      letters.push_back(type_letter(PQftype(result.raw(), i)));
    BOOST_TEST(letters == types, command << ": " << letters);
    BOOST_TEST(result.tag() == "SHOW");
  }
  const auto stats = columns_of(console.exec("SHOW STATS"));
  BOOST_TEST_REQUIRE(stats.size() == 26u);
  BOOST_TEST(stats[25] == "tenant"); // ours, behind pgbouncer's
  BOOST_TEST(stats[4] == "total_received");
  BOOST_TEST(stats[16] == "avg_recv");
  BOOST_TEST(columns_of(console.exec("SHOW STATS_AVERAGES"))[12] == "avg_client_login_count");
}

BOOST_AUTO_TEST_CASE(B153_by_simple_and_extended_queries) {
  BOOST_TEST(console.exec("SHOW VERSION").value().starts_with("pg_edge "));
  BOOST_TEST(console.exec_params("SHOW VERSION", {}).value().starts_with("pg_edge "));
  console.prepare("totals", "SHOW TOTALS");
  BOOST_TEST(console.exec_prepared("totals").rows() == 24);
  BOOST_TEST(console.exec_prepared("totals").rows() == 24);
  BOOST_TEST(console.try_exec_params("nonsense", {}).sqlstate() == "42601");
  BOOST_TEST(console.try_exec_params("SHOW $1", {"x"}).sqlstate() != "");
  BOOST_TEST(console.exec_prepared("totals").rows() == 24);
  // All columns in binary: libpq gives the bytes.
  PGresult* raw = PQexecParams(console.raw(), "SHOW LISTS", 0, nullptr, nullptr, nullptr, nullptr, 1);
  const pq_result lists(raw);
  BOOST_TEST_REQUIRE(lists.ok());
  BOOST_TEST(PQgetlength(lists.raw(), 0, 1) == 4);
}

BOOST_AUTO_TEST_CASE(select_is_show_and_case_does_not_matter) {
  BOOST_TEST(console.exec("select version").value().starts_with("pg_edge "));
  BOOST_TEST(console.exec("/* a */ sHoW version -- b\n ;").value().starts_with("pg_edge "));
  BOOST_TEST(console.exec("SHOW LISTS; SHOW VERSION").value().starts_with("pg_edge "));
  BOOST_TEST((console.exec(";").status() == PGRES_EMPTY_QUERY));
  for (const char* parameter :
       {"client_encoding", "default_transaction_isolation", "standard_conforming_strings", "datestyle", "timezone"}) {
    BOOST_TEST(!console.value(std::string("SHOW ") + parameter).empty());
    BOOST_TEST(console.exec(std::string("SET ") + parameter + " TO 'x'").tag() == "SET");
  }
}

BOOST_AUTO_TEST_CASE(B145_bad_input_never_kills_the_console) {
  for (const char* text : {"nonsense", "SHOW", "SHOW nothing", "SHOW POOLS now", "SELECT 1", "show \"",
                           "SHOW POOLS /* open", "SHUTDOWN now", "'", "$$", "BEGIN", "\x01\x02"}) {
    BOOST_TEST(console.try_exec(text).sqlstate() == "42601", text);
    BOOST_TEST(console.exec("SHOW VERSION").rows() == 1);
  }
  BOOST_TEST(console.try_exec("SET x = 1").sqlstate() == "F0000");
}

BOOST_AUTO_TEST_CASE(B156_who_may_do_what) {
  pq stats(node.conninfo("replication_user", "pg_edge"));
  BOOST_TEST(stats.exec("SHOW POOLS").ok());
  BOOST_TEST(stats.try_exec("RELOAD").sqlstate() == "42501");
  BOOST_TEST(stats.try_exec("SHUTDOWN").sqlstate() == "42501");
  BOOST_TEST(!pq::attempt(node.conninfo("md5_user", "pgbouncer")).ok());
  BOOST_TEST(node.running());
}

BOOST_AUTO_TEST_CASE(B154_figures_of_pools_clients_and_servers) {
  pq idle(node.conninfo());
  pq busy(node.conninfo());
  busy.exec("begin");
  busy.exec("select 1");
  BOOST_TEST(pool("cl_active") == "2");
  BOOST_TEST(pool("cl_waiting") == "0");
  BOOST_TEST(pool("sv_active") == "1");
  BOOST_TEST(pool("pool_mode") == "transaction");
  const pq_result clients = console.exec("SHOW CLIENTS");
  BOOST_TEST(clients.rows() == 3); // and the console's own
  BOOST_TEST(find(clients, {{"database", "app"}, {"state", "active"}}, "type") == "C");
  BOOST_TEST(find(clients, {{"database", "app"}, {"state", "idle"}}, "link").empty());
  BOOST_TEST(find(clients, {{"database", "pgbouncer"}}, "user") == "trust_user");
  const pq_result servers = console.exec("SHOW SERVERS");
  const std::string link = find(clients, {{"database", "app"}, {"state", "active"}}, "link");
  BOOST_TEST(find(servers, {{"ptr", link}}, "state") == "active");
  BOOST_TEST(find(servers, {{"ptr", link}}, "remote_pid") == busy.value("select pg_backend_pid()"));
  BOOST_TEST(find(servers, {{"ptr", link}}, "link") ==
             find(clients, {{"database", "app"}, {"state", "active"}}, "ptr"));
  BOOST_TEST(find(console.exec("SHOW DATABASES"), {{"name", "app"}}, "current_client_connections") == "2");
  BOOST_TEST(find(console.exec("SHOW DATABASES"), {{"name", "app"}}, "pool_size") == "3");
  BOOST_TEST(find(console.exec("SHOW USERS"), {{"name", "trust_user"}}, "current_client_connections") == "2");
  BOOST_TEST(find(console.exec("SHOW LISTS"), {{"list", "used_clients"}}, "items") == "3");
  busy.exec("commit");
  BOOST_TEST(wait_for([&] { return pool("sv_active") == "0"; }));
}

BOOST_AUTO_TEST_CASE(B154_a_waiting_client_shows_how_long) {
  std::vector<std::unique_ptr<pq>> holders;
  for (int i = 0; i < 3; ++i) {
    holders.push_back(std::make_unique<pq>(node.conninfo()));
    holders.back()->exec("begin");
    holders.back()->exec("select 1");
  }
  pq waiting(node.conninfo());
  waiting.send_query("select 1");
  BOOST_TEST(wait_for([&] { return pool("cl_waiting") == "1"; }));
  BOOST_TEST(wait_for([&] { return std::atoi(pool("maxwait").c_str()) >= 1; }));
  BOOST_TEST(std::atoi(find(console.exec("SHOW CLIENTS"), {{"state", "waiting"}}, "wait").c_str()) >= 1);
  holders[0]->exec("commit");
  BOOST_TEST(waiting.results().at(0).value() == "1");
  BOOST_TEST(wait_for([&] { return pool("cl_waiting") == "0"; }));
  BOOST_TEST(pool("maxwait") == "0");
}

BOOST_AUTO_TEST_CASE(B154_statistics_count_what_was_done) {
  pq client(node.conninfo());
  const long before = stat("total_query_count");
  const long transactions = stat("total_xact_count");
  for (int i = 0; i < 5; ++i)
    client.exec("select 1");
  client.exec("begin");
  client.exec("select pg_sleep(0.2)");
  client.exec("commit");
  BOOST_TEST(stat("total_query_count") - before == 8);
  BOOST_TEST(stat("total_xact_count") - transactions == 6);
  BOOST_TEST(stat("total_query_time") >= 200000);
  BOOST_TEST(stat("total_xact_time") >= 200000);
  BOOST_TEST(stat("total_client_login_count") == 1);
  BOOST_TEST(stat("total_received") > 0);
  BOOST_TEST(stat("total_sent") > 0);
  BOOST_TEST(stat("avg_query_time") > 0);
  // Averages are of the last periods, of one second here: they end when nothing is done any more.
  BOOST_TEST(wait_for([&] { return stat("avg_query_time") == 0; }));
  BOOST_TEST(stat("total_query_count") - before == 8);
}

BOOST_AUTO_TEST_CASE(B155_after_a_storm_nobody_lingers) {
  for (int i = 0; i < 30; ++i) {
    pq client(node.conninfo());
    if (i % 3 == 0)
      client.exec("select 1");
    else if (i % 3 == 1)
      client.send_query("select pg_sleep(0.3)");
  }
  BOOST_TEST(wait_for([&] { return pool("cl_active") == "0" && pool("sv_active") == "0"; }));
  BOOST_TEST(console.exec("SHOW CLIENTS").rows() == 1);
}

BOOST_AUTO_TEST_CASE(B157_ids_are_unique_and_grow) {
  pq first(node.conninfo());
  first.exec("select 1");
  const auto ids = [&] {
    std::vector<long> result;
    for (const char* command : {"SHOW CLIENTS", "SHOW SERVERS"}) {
      const pq_result rows = console.exec(command);
      for (int i = 0; i < rows.rows(); ++i)
        result.push_back(std::atol(rows.value(i, 20).c_str()));
    }
    std::sort(result.begin(), result.end());
    return result;
  };
  const auto some = ids();
  BOOST_TEST((std::adjacent_find(some.begin(), some.end()) == some.end()));
  pq second(node.conninfo());
  BOOST_TEST(ids().back() > some.back());
}

BOOST_AUTO_TEST_CASE(actors_and_reactors) {
  pq client(node.conninfo());
  client.exec("select 1");
  const pq_result actors = console.exec("SHOW ACTORS");
  BOOST_TEST(find(actors, {{"kind", "client"}}, "alive") == "2");
  BOOST_TEST(find(actors, {{"kind", "console"}}, "alive") == "1");
  BOOST_TEST(std::atol(find(actors, {{"kind", "share"}}, "handled").c_str()) > 0);
  for (const char* kind : {"steward", "tenant", "console", "gatherer"}) {
    BOOST_TEST(std::atol(find(actors, {{"kind", kind}}, "handled").c_str()) > 0, kind);
    BOOST_TEST(std::atol(find(actors, {{"kind", kind}}, "busiest").c_str()) > 0, kind);
    BOOST_TEST(std::atol(find(actors, {{"kind", kind}}, "busiest_actor").c_str()) > 0, kind);
  }
  for (int row = 0; row < actors.rows(); ++row)
    for (int column = 1; column <= 7; ++column)
      BOOST_TEST(!actors.is_null(row, column), actors.value(row, 0) << ", column " << column);
  // Nothing is left in the mailbox of who answers, and he counts what he does.
  const auto handled = [&] {
    return std::atol(find(console.exec("SHOW ACTORS"), {{"kind", "console"}}, "handled").c_str());
  };
  const long before = handled();
  BOOST_TEST(handled() > before);
  BOOST_TEST(find(console.exec("SHOW ACTORS"), {{"kind", "console"}}, "mailbox") == "0");
  BOOST_TEST(console.exec("SHOW REACTORS").rows() == 2);
}

BOOST_AUTO_TEST_CASE(help_names_every_command) {
  console.exec("SHOW HELP");
  BOOST_TEST_REQUIRE(!console.notices().empty());
  const std::string help = console.notices().back();
  for (const auto& one : known)
    BOOST_TEST(help.find(one.command) != std::string::npos, one.command);
  BOOST_TEST(help.find("SHUTDOWN [WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(B148_reload_of_a_good_and_of_a_bad_file) {
  node.rewrite_config(simple_toml(settings + "query_wait_timeout = 77\n"));
  BOOST_TEST(console.exec("RELOAD").tag() == "RELOAD");
  BOOST_TEST(find(console.exec("SHOW CONFIG"), {{"key", "query_wait_timeout"}}, "value") == "77");
  node.rewrite_config("[pg_edge]\nno_such_key = 1\n");
  const pq_result refused = console.try_exec("RELOAD");
  BOOST_TEST(refused.sqlstate() == "F0000");
  BOOST_TEST(refused.message().find("no_such_key") != std::string::npos);
  BOOST_TEST(find(console.exec("SHOW CONFIG"), {{"key", "query_wait_timeout"}}, "value") == "77");
}

BOOST_AUTO_TEST_CASE(B158_shutdown_ends_the_node) {
  console.try_exec("SHUTDOWN");
  BOOST_TEST((node.wait() == 0));
}

BOOST_AUTO_TEST_SUITE_END()
