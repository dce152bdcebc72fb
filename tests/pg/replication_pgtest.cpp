// Replication connections: behaviour 112. In session mode a client that replicates gets a server of its own, which is
// counted in its pool and closed behind it.
#include "tests/pg/both_ways.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

#include <csignal>
#include <filesystem>

using namespace pg_edge::test;

namespace {

std::string session_toml(const std::string& settings = "default_pool_size = 5\n") {
  // Physical replication names no database: Postgres's programs then send "replication" for one.
  return simple_toml("pool_mode = \"session\"\n" + settings,
                     "[databases.replication]\nhost = \"127.0.0.1\"\nport = {postgres_port}\n");
}

start_parameters replication_parameters(const std::string& mode, const std::string& database = "app") {
  return {{"user", "replication_user"}, {"database", database}, {"replication", mode}};
}

/// Arguments of Postgres's own replication programs for a node.
std::vector<std::string> program_for(const std::string& name, const pg_edge_process& node,
                                     const std::vector<std::string>& more) {
  std::vector<std::string> argv{postgres::program(name), "-w", "-d", node.conninfo("replication_user", "app")};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

int walsenders() {
  return std::stoi(postgres::shared().query("select count(*) from pg_stat_activity where backend_type = 'walsender'"));
}

/// Drops a slot on leaving: one that is left keeps WAL for ever and hinders the next test.
struct slot {
  explicit slot(std::string name) : name_(std::move(name)) {}
  ~slot() {
    try {
      wait_for([] { return walsenders() == 0; });
      postgres::shared().query("select pg_drop_replication_slot(slot_name) from pg_replication_slots where "
                               "slot_name = '" +
                               name_ + "'");
    } catch (const test_failure&) {
      // The server goes with the test program.
    }
  }
  std::string name_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(replication_pgtest)

BOOST_AUTO_TEST_CASE(B112_commands_answer_as_postgres_does) {
  pg_edge_process node(session_toml());
  for (const std::string& mode : {std::string("true"), std::string("database"), std::string("on")}) {
    wire_client direct(postgres::shared().port()), through(node.port());
    direct.startup(replication_parameters(mode));
    through.startup(replication_parameters(mode));
    conversation steps = {{query_bytes("SHOW wal_level")}, {query_bytes("no such command")}};
    if (mode == "database") steps.push_back({query_bytes("select current_database()")});
    check_same(direct, through, steps);
    BOOST_TEST(through.ask("IDENTIFY_SYSTEM").find("T(systemid,timeline,xlogpos,dbname) D(") == 0);
  }
}

BOOST_AUTO_TEST_CASE(B112_pg_basebackup) {
  pg_edge_process node(session_toml());
  temp_dir folder;
  run_result backup =
      run(program_for("pg_basebackup", node, {"-D", folder / "backup", "-X", "stream", "-c", "fast", "--no-sync"}));
  BOOST_TEST(backup.status == 0, backup.err);
  BOOST_TEST(std::filesystem::exists(folder / "backup/PG_VERSION"));
  BOOST_TEST(std::filesystem::exists(folder / "backup/backup_manifest"));
  run_result verified = run({postgres::program("pg_verifybackup"), folder / "backup"});
  BOOST_TEST(verified.status == 0, verified.err + verified.out);
  // Each replication connection was closed behind its client.
  BOOST_TEST(wait_for([] { return walsenders() == 0; }));
}

BOOST_AUTO_TEST_CASE(B112_pg_receivewal) {
  pg_edge_process node(session_toml());
  temp_dir folder;
  slot mine("receivewal_test");
  BOOST_TEST(run(program_for("pg_receivewal", node, {"-S", "receivewal_test", "--create-slot"})).status == 0);
  process_options options;
  options.stderr_file = folder / "err";
  std::filesystem::create_directory(folder / "wal");
  process receiver(program_for("pg_receivewal", node, {"-D", folder / "wal", "-S", "receivewal_test", "--no-sync"}),
                   options);
  // Before it streams it has not chosen where to start.
  BOOST_TEST(wait_for([] {
    return postgres::shared().query("select count(*) from pg_stat_replication where state = 'streaming'") == "1";
  }));
  // A segment with nothing in it is not switched.
  postgres::shared().query("select pg_logical_emit_message(false, 'pg_edge', 'something')");
  std::string target = postgres::shared().query("select pg_switch_wal()::text");
  std::string segment = postgres::shared().query("select pg_walfile_name('" + target + "')");
  BOOST_TEST(wait_for([&] { return std::filesystem::exists(folder / ("wal/" + segment)); }, milliseconds(20000)),
             segment << " has not come: " << read_file(folder / "err"));
  receiver.signal(SIGINT);
  BOOST_TEST((receiver.wait(milliseconds(10000)) == 0));
  BOOST_TEST(wait_for([] { return walsenders() == 0; }));
}

BOOST_AUTO_TEST_CASE(B112_pg_recvlogical) {
  pg_edge_process node(session_toml());
  temp_dir folder;
  slot mine("recvlogical_test");
  postgres::shared().query("drop table if exists replicated; create table replicated (n int)");
  run_result created =
      run(program_for("pg_recvlogical", node, {"-S", "recvlogical_test", "--create-slot", "-P", "test_decoding"}));
  BOOST_TEST(created.status == 0, created.err);
  process_options options;
  options.stderr_file = folder / "err";
  process receiver(program_for("pg_recvlogical", node,
                               {"-S", "recvlogical_test", "--start", "-f", folder / "out", "--no-loop", "-F", "1"}),
                   options);
  BOOST_TEST(wait_for([] { return walsenders() == 1; }));
  postgres::shared().query("insert into replicated select generate_series(1, 1000)");
  BOOST_TEST(wait_for([&] { return read_file(folder / "out").find("n[integer]:1000") != std::string::npos; }),
             read_file(folder / "err"));
  receiver.signal(SIGINT);
  BOOST_TEST((receiver.wait(milliseconds(10000)) == 0));
  postgres::shared().query("drop table replicated");
}

BOOST_AUTO_TEST_CASE(B112_a_server_of_its_own_counted_and_never_reused) {
  pg_edge_process node(session_toml("default_pool_size = 2\nquery_wait_timeout = \"1s\"\n"));
  std::string pid;
  for (int i = 0; i < 3; ++i) {
    wire_client first(node.port());
    first.startup(replication_parameters("database"));
    std::string now = first.value("select pg_backend_pid()");
    BOOST_TEST(now != pid);
    pid = now;
    wire_client second(node.port());
    second.startup(replication_parameters("database"));
    BOOST_TEST(second.value("select pg_backend_pid()") != pid);
    // The pool has two; ordinary clients of the same pool count, too.
    wire_client third(node.port());
    // It is refused at login while the node has not yet seen a server to learn the parameters from, at its query later.
    std::vector<wire_message> heard = third.try_startup({{"user", "replication_user"}, {"database", "app"}});
    if (heard.back().type == 'Z') {
      third.send(query_bytes("select 1"));
      heard.push_back(third.read_message());
    }
    BOOST_TEST(summary(heard.back()) == "E(53300)");
    first.send(terminate_bytes());
    first.close();
    second.close();
    wire_client ordinary(node.port());
    ordinary.login("replication_user", "app");
    BOOST_TEST(ordinary.value("select pg_backend_pid()") != pid);
    BOOST_TEST(ordinary.value("select backend_type from pg_stat_activity where pid = pg_backend_pid()") ==
               "client backend");
    ordinary.close();
    BOOST_TEST(wait_for([] { return walsenders() == 0; }));
  }
}

BOOST_AUTO_TEST_CASE(B112_a_pooled_mode_gives_replication_a_server_too_or_says_why_not) {
  pg_edge_process node(simple_toml("default_pool_size = 2\n"));
  wire_client client(node.port());
  std::vector<wire_message> messages = client.try_startup(replication_parameters("database"));
  BOOST_TEST_REQUIRE(!messages.empty());
  if (messages.back().type == 'Z') {
    // Whatever was done in it, no other client gets it.
    std::string pid = client.value("select pg_backend_pid()");
    BOOST_TEST(client.value("select pg_backend_pid()") == pid);
    wire_client other(node.port());
    other.login("replication_user", "app");
    BOOST_TEST(other.value("select pg_backend_pid()") != pid);
  } else {
    BOOST_TEST(messages.back().type == 'E');
    BOOST_TEST(error_field(messages.back(), 'M').find("replication") != std::string::npos);
  }
}

BOOST_AUTO_TEST_SUITE_END()
