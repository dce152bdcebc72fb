// The fixtures of tests/support against Postgres itself: what they assert about pg_edge elsewhere must hold there.
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/pq.hpp"
#include "tests/support/wire_client.hpp"

#include <boost/test/unit_test.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace pg_edge::test;

namespace {

wire_client wire(const known_user& user, const wire_options& options = {}) {
  wire_client client(postgres::shared().port(), options);
  client.login(user.name, "app", user.password);
  return client;
}

bool alive(pid_t pid) {
  // A zombie is dead; state follows the last parenthesis.
  std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  std::size_t end = stat.rfind(')');
  return end != std::string::npos && stat[end + 2] != 'Z';
}

// A cancel that overtakes its query does nothing, so tests wait until the backend runs it.
bool runs_a_query(int backend) {
  return wait_for([&] {
    return postgres::shared().query("select state from pg_stat_activity where query like '%pg_sleep%' and pid = " +
                                    std::to_string(backend)) == "active";
  });
}

} // namespace

BOOST_AUTO_TEST_SUITE(support_pgtest)

// -- process -----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(run_returns_status_and_output) {
  run_result result = run({"sh", "-c", "echo out; echo err >&2; exit 3"});
  BOOST_TEST(result.status == 3);
  BOOST_TEST(result.out == "out\n");
  BOOST_TEST(result.err == "err\n");
  BOOST_TEST(run({"sh", "-c", "kill -TERM $$"}).status == 128 + SIGTERM);
  BOOST_CHECK_THROW(run({"sleep", "60"}, milliseconds(100)), test_failure);
  BOOST_CHECK_THROW(run({"/no/such/program"}), test_failure);
}

BOOST_AUTO_TEST_CASE(a_process_takes_its_children_with_it) {
  temp_dir folder;
  pid_t grandchild = 0;
  {
    process_options options;
    options.stdout_file = folder / "out";
    process child({"sh", "-c", "sleep 1000 & echo $!; wait"}, options);
    BOOST_TEST(wait_for([&] { return (grandchild = std::atoi(read_file(folder / "out").c_str())) > 0; }));
    BOOST_TEST(alive(grandchild));
  }
  BOOST_TEST(wait_for([&] { return !alive(grandchild); }));
}

BOOST_AUTO_TEST_CASE(what_a_killed_test_program_leaves_is_cleaned_up) {
  // This very program, as a child that starts a process, tells what it has, and is killed.
  temp_dir folder;
  process_options options;
  options.stdout_file = options.stderr_file = folder / "out";
  options.environment = {"PG_EDGE_TEST_VICTIM=" + (folder / "told")};
  process victim({std::filesystem::read_symlink("/proc/self/exe"), "--run_test=support_pgtest/victim"}, options);
  BOOST_TEST_REQUIRE(wait_for([&] { return read_file(folder / "told").find('\n') != std::string::npos; }));
  std::string told = read_file(folder / "told");
  pid_t sleeper = std::atoi(told.c_str());
  std::string left = told.substr(told.find(' ') + 1, told.find('\n') - told.find(' ') - 1);
  BOOST_TEST(alive(sleeper));
  BOOST_TEST(std::filesystem::exists(left));
  victim.signal(SIGKILL);
  BOOST_TEST(wait_for([&] { return !alive(sleeper) && !std::filesystem::exists(left); }));
}

BOOST_AUTO_TEST_CASE(victim) {
  // Only a part of the test above: alone it has nothing to do.
  const char* file = std::getenv("PG_EDGE_TEST_VICTIM");
  if (file == nullptr) return;
  temp_dir folder;
  process sleeper({"sleep", "1000"}, {});
  write_file(file, std::to_string(sleeper.pid()) + " " + folder.path() + "\n");
  pause();
}

// -- postgres ----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(postgres_serves_its_users_by_their_methods) {
  postgres& server = postgres::shared();
  BOOST_TEST(server.version() >= 150000);
  BOOST_TEST(server.query("select 1 + 1") == "2");
  for (const known_user& user : known_users) {
    pq connection(server.conninfo(user.name));
    BOOST_TEST(connection.value("select current_user") == user.name);
    if (*user.password == '\0') continue;
    pq wrong = pq::attempt(server.conninfo(user.name) + " password=wrong");
    BOOST_TEST(!wrong.ok());
    BOOST_TEST(wrong.message().find("password authentication failed") != std::string::npos);
  }
  BOOST_TEST(!pq::attempt(server.conninfo("tls_user") + " sslmode=disable").ok());
  pq verified(server.conninfo("tls_user") +
              " sslmode=verify-full host=localhost hostaddr=127.0.0.1 sslrootcert=" + server.authority_file());
  BOOST_TEST(verified.value("select ssl::text from pg_stat_ssl where pid = pg_backend_pid()") == "true");
}

BOOST_AUTO_TEST_CASE(postgres_stops_starts_and_reloads) {
  postgres server;
  pq before(server.conninfo());
  server.set_configuration("work_mem = '7MB'");
  server.reload();
  BOOST_TEST(server.query("show work_mem") == "7MB");
  server.restart();
  BOOST_TEST(before.try_exec("select 1").ok() == false);
  BOOST_TEST(server.query("select 1") == "1");
  server.restart(postgres::shutdown::immediate);
  server.query("create table kept as select 1");
  server.kill();
  BOOST_TEST(!server.running());
  BOOST_TEST(!pq::attempt(server.conninfo()).ok());
  server.start();
  BOOST_TEST(server.query("show work_mem") == "7MB");
}

BOOST_AUTO_TEST_CASE(a_frozen_postgres_answers_nothing_until_it_thaws) {
  postgres server;
  wire_client client(server.port());
  client.login("trust_user", "app");
  server.freeze();
  client.send(query_bytes("select 1"));
  BOOST_TEST(client.silent_for(milliseconds(300)));
  server.thaw();
  client.expect("T D(1) C(SELECT 1) Z(I)");
}

BOOST_AUTO_TEST_CASE(backends_are_counted_and_the_highest_count_kept) {
  postgres& server = postgres::shared();
  wait_for([&] { return server.backends("trust_user") == 0; });
  BOOST_TEST(server.backends("trust_user") == 0);
  backend_watcher watcher(server, "trust_user", "app");
  BOOST_TEST(watcher.max() == 0);
  {
    pq one(server.conninfo("trust_user")), two(server.conninfo("trust_user"));
    pq elsewhere(server.conninfo("trust_user", "other"));
    BOOST_TEST(server.backends("trust_user", "app") == 2);
    BOOST_TEST(server.backends("trust_user") == 3);
    BOOST_TEST(wait_for([&] { return watcher.max() == 2; }));
  }
  BOOST_TEST(wait_for([&] { return watcher.last() == 0; }));
  BOOST_TEST(watcher.max() == 2);
  BOOST_TEST(watcher.samples() > 2);
}

// -- pq ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(pq_queries_prepares_and_fails_with_the_sqlstate) {
  pq connection(postgres::shared().conninfo("trust_user"));
  pq_result result = connection.exec_params("select $1::int + 1, $2::text", {"41", std::nullopt});
  BOOST_TEST(result.value() == "42");
  BOOST_TEST(result.is_null(0, 1));
  BOOST_CHECK_THROW(result.value(1, 0), test_failure);
  connection.prepare("p", "select $1::text");
  BOOST_TEST(connection.exec_prepared("p", {"x"}).value() == "x");
  BOOST_TEST(connection.try_exec("select 1/0").sqlstate() == "22012");
  BOOST_CHECK_EXCEPTION(connection.exec("nonsense"), pq_error, [](const pq_error& e) { return e.sqlstate == "42601"; });
  connection.exec("do $$ begin raise notice 'hello'; end $$");
  BOOST_TEST(connection.notices().back() == "NOTICE: hello");
  BOOST_TEST(connection.parameter("client_encoding") == "UTF8");
}

BOOST_AUTO_TEST_CASE(pq_pipelines_copies_cancels_and_is_notified) {
  pq connection(postgres::shared().conninfo("trust_user"));
  connection.enter_pipeline();
  connection.send_params("select 1");
  connection.send_params("select 1/0");
  connection.send_params("select 3");
  connection.sync();
  BOOST_TEST(connection.next_result().value() == "1");
  BOOST_TEST(!connection.next_result());
  BOOST_TEST(connection.next_result().sqlstate() == "22012");
  BOOST_TEST(!connection.next_result());
  BOOST_TEST((connection.next_result().status() == PGRES_PIPELINE_ABORTED));
  BOOST_TEST(!connection.next_result());
  BOOST_TEST((connection.next_result().status() == PGRES_PIPELINE_SYNC));
  connection.exit_pipeline();

  connection.exec("create temp table numbers (n int)");
  BOOST_TEST(connection.copy_in("copy numbers from stdin", "1\n2\n3\n", 2).tag() == "COPY 3");
  BOOST_TEST(connection.copy_in("copy numbers from stdin", "x\n").sqlstate() == "22P02");
  BOOST_TEST(connection.copy_out("copy numbers to stdout") == "1\n2\n3\n");

  connection.send_query("select pg_sleep(60)");
  BOOST_TEST(runs_a_query(connection.backend_pid()));
  connection.cancel();
  BOOST_TEST(connection.results().at(0).sqlstate() == "57014");

  connection.exec("listen channel");
  postgres::shared().query("notify channel, 'payload'");
  BOOST_TEST(connection.notification().value_or("none") == "channel:payload");
  BOOST_TEST(!connection.notification(milliseconds(10)));
}

// -- wire_client -------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(wire_client_logs_in_by_every_method_and_transport) {
  for (const known_user& user : {trust_user, password_user, md5_user, scram_user})
    BOOST_TEST(wire(user).value("select current_user") == user.name);
  wire_options tls;
  tls.how = transport::tls;
  tls.authority_file = postgres::shared().authority_file();
  BOOST_TEST(wire(tls_user, tls).value("select ssl::text from pg_stat_ssl where pid = pg_backend_pid()") == "true");
  if (postgres::shared().version() >= 170000) {
    tls.how = transport::direct_tls;
    BOOST_TEST(wire(tls_user, tls).value("select 1") == "1");
  }
  wire_client local(postgres::shared().port(), {}, postgres::shared().socket_dir());
  BOOST_TEST(local.login("trust_user", "app").ask("select 1") == "T(?column?) D(1) C(SELECT 1) Z(I)");

  wire_client refused(postgres::shared().port());
  BOOST_TEST(summary(refused.try_startup({{"user", "scram_user"}, {"database", "app"}}, "wrong")) ==
             "R(10) R(11) E(28P01)");
  BOOST_TEST(refused.closed_within(milliseconds(5000)));
  BOOST_CHECK_THROW(wire_client(postgres::shared().port()).login("md5_user", "app", "wrong"), test_failure);
}

BOOST_AUTO_TEST_CASE(wire_client_expects_exact_sequences) {
  wire_client client = wire(trust_user);
  BOOST_TEST(client.parameter("client_encoding") == "UTF8");
  BOOST_TEST(client.backend_pid() > 0);
  BOOST_TEST(client.secret().size() == 4U);
  client.query("select 1 as a, null as b, 'x y' as c", "T(a,b,c) D(1,NULL,x y) C(SELECT 1) Z(I)");
  client.query("begin", "C(BEGIN) Z(T)");
  client.query("select 1/0", "T* E(22012) Z(E)");
  client.query("rollback", "C Z");
  client.query("set timezone to 'Europe/Berlin'", "C(SET) S(TimeZone=Europe/Berlin) Z(I)");
  client.send(parse_bytes("s", "select generate_series(1, $1)", {23}) + describe_bytes('S', "s") +
              bind_bytes("", "s", {"3"}) + execute_bytes("", 2) + execute_bytes() + close_bytes('S', "s") +
              sync_bytes());
  client.expect("1 t T(generate_series) 2 D(1) D(2) s D(3) C(SELECT 1) 3 Z(I)");
  client.send(query_bytes("select generate_series(1, 5)"));
  BOOST_TEST(client.expect("T D* C(SELECT 5) Z(I)").size() == 8U);
  client.send(query_bytes("select 1"));
  BOOST_CHECK_THROW(client.expect("T D(2) C Z(I)"), test_failure);
}

BOOST_AUTO_TEST_CASE(wire_client_sends_in_pieces_and_copies) {
  wire_client client = wire(trust_user);
  client.send_in_pieces(query_bytes("select 'in pieces'"), 1);
  client.expect("T D(in pieces) C Z(I)");
  client.query("create temp table t (n int)", "C Z(I)");
  client.send(query_bytes("copy t from stdin"));
  client.expect("G");
  client.send(copy_data_bytes("1\n2\n") + copy_done_bytes());
  client.expect("C(COPY 2) Z(I)");
  client.query("copy t to stdout", "H d d c C(COPY 2) Z(I)");
  client.send(query_bytes("copy t from stdin") + copy_fail_bytes("no"));
  client.expect("G E(57014) Z(I)");
}

BOOST_AUTO_TEST_CASE(wire_client_answers_ssl_and_gss_requests_and_cancels) {
  wire_client asking(postgres::shared().port());
  asking.send(gssenc_request_bytes());
  std::string gss = asking.read_raw(1); // G where the package was built with GSSAPI
  BOOST_TEST((gss == "N" || gss == "G"));
  wire_client asking_tls(postgres::shared().port());
  asking_tls.send(ssl_request_bytes());
  BOOST_TEST(asking_tls.read_raw(1) == "S");

  wire_client client = wire(trust_user);
  client.send(query_bytes("select pg_sleep(60)"));
  BOOST_TEST(runs_a_query(client.backend_pid()));
  BOOST_TEST(send_cancel(postgres::shared().port(), client.backend_pid(), client.secret()));
  client.expect("T* E(57014) Z(I)");
}

BOOST_AUTO_TEST_CASE(wire_client_ends_softly_and_abruptly) {
  postgres& server = postgres::shared();
  wire_client soft = wire(md5_user), abrupt = wire(md5_user);
  BOOST_TEST(server.backends("md5_user") >= 2);
  soft.send(terminate_bytes());
  BOOST_TEST(soft.closed_within(milliseconds(5000)));
  abrupt.close_abruptly();
  BOOST_TEST(wait_for([&] { return server.backends("md5_user") == 0; }));
  BOOST_CHECK_THROW(abrupt.send("x"), test_failure);
}

// -- pg_edge_process -----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(pg_edge_process_starts_logs_and_stops_a_program) {
  // A script in the program's place: it says what it was given and listens, as pg_edge would.
  temp_dir folder;
  write_file(folder / "pg_edge",
             "#!/bin/sh\n"
             "echo \"given $1\" >&2; cat \"$2\" >&2\n"
             "port=$(sed -n 's/^listen_port = //p' \"$2\")\n"
             "exec python3 -c \"import socket, time, signal, sys\n"
             "signal.signal(signal.SIGTERM, lambda *a: sys.exit(7))\n"
             "s = socket.socket(); s.bind(('127.0.0.1', $port)); s.listen(50); time.sleep(600)\"\n");
  std::filesystem::permissions(folder / "pg_edge", std::filesystem::perms::owner_all);
  const char* before = std::getenv("PG_EDGE_BINARY");
  std::string kept = before != nullptr ? before : "";
  setenv("PG_EDGE_BINARY", (folder / "pg_edge").c_str(), 1);
  {
    pg_edge_process node(simple_toml("default_pool_size = 3\n", "[more]\n"));
    BOOST_TEST(node.running());
    BOOST_TEST(node.wait_for_log("given --config"));
    BOOST_TEST(node.wait_for_log("listen_port = " + std::to_string(node.port())));
    BOOST_TEST(node.wait_for_log("port = " + std::to_string(postgres::shared().port())));
    BOOST_TEST(!node.log_contains("{postgres_port}"));
    BOOST_TEST(node.stop(SIGTERM) == 7);
    BOOST_TEST(!node.running());
    node.start();
    BOOST_TEST(node.stop(SIGKILL) == 128 + SIGKILL);
  }
  write_file(folder / "pg_edge", "#!/bin/sh\necho 'bad configuration' >&2; exit 1\n");
  BOOST_CHECK_EXCEPTION(pg_edge_process{simple_toml()}, test_failure, [](const test_failure& failure) {
    return std::string(failure.what()).find("bad configuration") != std::string::npos;
  });
  if (before != nullptr)
    setenv("PG_EDGE_BINARY", kept.c_str(), 1);
  else
    unsetenv("PG_EDGE_BINARY");
}

BOOST_AUTO_TEST_SUITE_END()
