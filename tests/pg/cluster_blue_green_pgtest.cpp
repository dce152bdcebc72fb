// Blue and green: a cluster takes over another one's tenants by one command, under load through HAProxy. No client
// notices, the two together never have more servers than the pool's size, and nothing written before is lost.
#include "tests/pg/cluster_support.hpp"

#include <iostream>

using namespace pg_edge::test;

namespace {

constexpr int permits = 4;

/// Two nodes that serve, and two of another cluster that wait for the first one's pools.
struct two_clusters {
  nodes blue, green;

  explicit two_clusters(const std::string& more = "", int size = permits)
      : blue(options(size, more)), green(options(size, more + "succeeds = \"" + blue.name() + "\"\n")) {
    blue.require_agreement();
    green.require_agreement();
  }
  static cluster_options options(int size, const std::string& more) {
    return {.nodes = 2,
            .settings = "query_wait_timeout = 60\nclient_login_timeout = 60\n",
            .more = more,
            .tls = false, // each of the two would have an authority of its own
            .links = true,
            .api = true,
            .size = size};
  }
  run_result take_over(std::size_t node = 0) { return ctl(green, node, {"cluster", "take-over", blue.name()}); }
  answer begin(std::size_t node = 0) {
    return ask(green.api(node), "POST", "/v1/cluster/takeover", R"({"cluster": ")" + blue.name() + "\"}");
  }
  static nlohmann::json status(nodes& of, std::size_t node) {
    return ask(of.api(node), "GET", "/v1/cluster/takeover").value();
  }
  static std::string step(nodes& of, std::size_t node) { return status(of, node).value("step", std::string()); }
  bool done(milliseconds limit = milliseconds(60000)) {
    return wait_for([&] { return step(green, 1) == "done"; }, limit);
  }
  std::string logs() {
    std::string text;
    for (nodes* all : {&blue, &green})
      for (std::size_t i = 0; i < all->size(); ++i)
        text += "\nlog of " + all->name() + " n" + std::to_string(i) + ":\n" + (*all)[i].log();
    return text;
  }
};

int readiness(nodes& of, std::size_t node) {
  return ask(of.api(node), "GET", "/readyz").status;
}

/// pgbench beside the test, with a transaction that writes one row.
class bench {
public:
  bench(std::uint16_t port, std::vector<std::string> options) {
    write_file(folder_ / "script", "begin;\ninsert into moved values (:client_id);\nselect count(*) from pg_class "
                                   "where relname = 'moved';\ncommit;\n");
    std::vector<std::string> argv{postgres::program("pgbench"), "-n", "-h",         "127.0.0.1", "-p",
                                  std::to_string(port),         "-U", "trust_user", "-f",        folder_ / "script"};
    argv.insert(argv.end(), options.begin(), options.end());
    argv.emplace_back("app");
    thread_ = std::thread([this, argv] { result_ = run(argv, milliseconds(180000)); });
  }
  ~bench() {
    if (!thread_.joinable()) return; // else the test is given up
    thread_.join();
    std::cerr << "pgbench: " << result_.out << result_.err << "\n";
  }
  /// How many transactions it says that it has made; none failed.
  long end() {
    thread_.join();
    BOOST_TEST(result_.status == 0, result_.out << result_.err);
    BOOST_TEST(result_.err.find("error") == std::string::npos, result_.err);
    BOOST_TEST(result_.err.find("aborted") == std::string::npos, result_.err);
    std::smatch found;
    const bool failed = std::regex_search(result_.out, found, std::regex("failed transactions: ([0-9]+)"));
    BOOST_TEST((!failed || found[1] == "0"), result_.out);
    if (!std::regex_search(result_.out, found, std::regex("actually processed: ([0-9]+)"))) return -1;
    return std::stol(found[1]);
  }

private:
  temp_dir folder_;
  run_result result_;
  std::thread thread_;
};

long moved_rows() {
  return std::stol(postgres::shared().query("select count(*) from moved"));
}

void make_table() {
  postgres::shared().query("drop table if exists moved");
  postgres::shared().query("create table moved (client int)");
  postgres::shared().query("grant all on moved to public");
}

bool rows_come(long more) {
  const long from = moved_rows();
  return wait_for([&] { return moved_rows() >= from + more; }, milliseconds(60000));
}

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_blue_green_pgtest)

BOOST_AUTO_TEST_CASE(B163_green_takes_over_from_blue_under_load_and_no_client_notices) {
  two_clusters all;
  make_table();
  balancer front({&all.blue, &all.green});
  for (std::size_t i = 0; i < 2; ++i) {
    BOOST_TEST(readiness(all.blue, i) == 200);
    BOOST_TEST(readiness(all.green, i) == 503);
  }
  // What is made at run time in blue, and who is connected there without doing anything.
  BOOST_REQUIRE(ask(all.blue.api(0), "PUT", "/v1/users/default/made_at_run_time", R"({"password": "secret"})").status ==
                201);
  pq idle(all.blue[0].conninfo() + " options='-c search_path=pg_catalog'");
  idle.exec("set timezone = 'Asia/Tokyo'");
  idle.prepare("twice", "select $1::int * 2");
  pq early(all.blue[1].conninfo()); // it waits in green, of which it cannot know
  const backend_watcher watcher(postgres::shared(), "trust_user");
  bench simple(front.port(), {"-c", "6", "-T", "30"}),
      prepared(front.port(), {"-c", "4", "-T", "30", "-M", "prepared"}),
      again(front.port(), {"-c", "3", "-T", "30", "-C"}),
      extended(front.port(), {"-c", "2", "-T", "30", "-M", "extended"});
  if (!rows_come(100)) BOOST_FAIL("no rows come: " << front.figures() << all.logs());
  pq waits_in_green = pq::attempt("host=127.0.0.1 port=1");
  std::thread waiting([&] { waits_in_green = pq::attempt(all.green[0].conninfo()); });
  const run_result told = all.take_over();
  BOOST_TEST(told.status == 0, told.out << told.err << all.logs());
  BOOST_TEST(told.out.find("has taken over") != std::string::npos, told.out);
  waiting.join();
  BOOST_TEST(waits_in_green.ok(), waits_in_green.message());
  BOOST_TEST(waits_in_green.value("select 'served'") == "served");
  // Who was idle in blue goes on as it was.
  BOOST_TEST(idle.value("show search_path") == "pg_catalog");
  BOOST_TEST(idle.value("show timezone") == "Asia/Tokyo");
  BOOST_TEST(idle.exec_prepared("twice", {"21"}).value() == "42");
  BOOST_TEST(early.value("select 'answer'") == "answer");
  BOOST_TEST(rows_come(100), all.logs());
  for (std::size_t i = 0; i < 2; ++i) {
    BOOST_TEST(readiness(all.green, i) == 200);
    BOOST_TEST(ask(all.green.api(i), "GET", "/v1/users/default/made_at_run_time").status == 200);
    BOOST_TEST(pq(all.blue[i].conninfo("trust_user", "pgbouncer")).exec("show servers").rows() == 0);
  }
  // Changes are made in green by now, and blue has them too, for clients that log in there.
  BOOST_TEST(ask(all.blue.api(0), "PUT", "/v1/users/default/late", R"({"password": "secret"})").status == 409);
  BOOST_TEST(ask(all.green.api(0), "PUT", "/v1/users/default/late", R"({"password": "secret"})").status == 201);
  BOOST_TEST(wait_for([&] { return ask(all.blue.api(0), "GET", "/v1/users/default/late").status == 200; }));
  long processed = 0;
  for (bench* one : {&simple, &prepared, &again, &extended})
    processed += one->end();
  BOOST_TEST(processed == moved_rows());
  BOOST_TEST(watcher.max() <= permits);
  BOOST_TEST(watcher.samples() > 100);
  for (std::size_t i = 0; i < 2; ++i)
    BOOST_TEST(wait_for([&] { return readiness(all.blue, i) == 503; }, milliseconds(20000)));
  BOOST_TEST(front.running());
  BOOST_TEST_MESSAGE("transactions " << processed << ", most backends " << watcher.max() << ", looks "
                                     << watcher.samples());
}

BOOST_AUTO_TEST_CASE(B163_a_transaction_under_way_ends_where_it_began_while_green_serves_with_the_rest) {
  two_clusters all;
  make_table();
  const backend_watcher watcher(postgres::shared(), "trust_user");
  pq busy(all.blue[0].conninfo());
  busy.exec("begin");
  busy.exec("insert into moved values (1)");
  BOOST_REQUIRE(all.begin().status == 202);
  BOOST_TEST(wait_for([&] { return all.step(all.green, 0) == "moving"; }), all.logs());
  pq other(all.green[0].conninfo());
  BOOST_TEST(other.value("select 'served'") == "served");
  BOOST_TEST(all.step(all.green, 0) == "moving");
  BOOST_TEST(all.status(all.green, 0).value("servers_left", 0) == 1);
  // Too late to be given up.
  const answer late = ask(all.green.api(1), "DELETE", "/v1/cluster/takeover");
  BOOST_TEST(late.status == 409);
  BOOST_TEST(late.body.find("too late") != std::string::npos, late.body);
  busy.exec("commit");
  BOOST_TEST(all.done(), all.logs());
  BOOST_TEST(moved_rows() == 1);
  BOOST_TEST(busy.value("select 'served'") == "served");
  // A blue node that begins anew relays from the start.
  all.blue[1].stop();
  all.blue[1].start();
  BOOST_TEST(pq(all.blue[1].conninfo()).value("select 'served'") == "served");
  BOOST_TEST(pq(all.blue[1].conninfo("trust_user", "pgbouncer")).exec("show servers").rows() == 0);
  BOOST_TEST(watcher.max() <= permits);
}

BOOST_AUTO_TEST_CASE(B163_it_goes_on_when_the_node_that_was_told_is_killed) {
  two_clusters all("failure_timeout = 15\n"); // longer than anything stands still here
  const backend_watcher watcher(postgres::shared(), "trust_user");
  roaming_clients clients({all.blue[0].conninfo(), all.blue[1].conninfo()}, {0, 0, 0, 3, 3});
  BOOST_REQUIRE(clients.progress(50));
  all.blue[1].signal(SIGSTOP); // so that it is not over before the kill
  BOOST_REQUIRE(all.begin().status == 202);
  all.green[0].signal(SIGKILL);
  BOOST_TEST((all.green[0].wait() == 128 + SIGKILL));
  all.blue[1].signal(SIGCONT);
  BOOST_TEST(all.done(), all.logs());
  BOOST_TEST(clients.progress(50), clients.wrong());
  all.green[0].start();
  BOOST_TEST(wait_for([&] { return readiness(all.green, 0) == 200; }), all.logs());
  BOOST_TEST(clients.progress(50), clients.wrong());
  clients.stop();
  BOOST_TEST(clients.wrong() == "");
  BOOST_TEST(clients.failures == 0);
  BOOST_TEST(clients.told_to_go == 0);
  BOOST_TEST(clients.rows() == clients.done);
  BOOST_TEST(watcher.max() <= permits);
}

BOOST_AUTO_TEST_CASE(B163_what_cannot_begin_is_refused_and_what_has_not_moved_can_be_given_up) {
  two_clusters all("failure_timeout = 20\n");
  const auto refused = [&](nodes& of, const std::string& cluster) {
    return ask(of.api(0), "POST", "/v1/cluster/takeover", R"({"cluster": ")" + cluster + "\"}").body;
  };
  const auto comes = [&](nodes& of, const std::string& cluster, const std::string& why) { // once it has read the store
    return wait_for([&] { return refused(of, cluster).find(why) != std::string::npos; });
  };
  BOOST_TEST(comes(all.green, "nobody", "does not wait for nobody"), refused(all.green, "nobody"));
  BOOST_TEST(comes(all.blue, all.green.name(), "start its nodes with succeeds"), refused(all.blue, all.green.name()));
  // The same name with other content in both: it is given up by itself, and says why.
  const auto put = [](nodes& of, const std::string& name, const std::string& password) {
    return ask(of.api(0), "PUT", "/v1/users/default/" + name, R"({"password": ")" + password + "\"}").status;
  };
  BOOST_REQUIRE(put(all.blue, "both", "blue") == 201);
  BOOST_REQUIRE(put(all.green, "both", "green") == 201);
  const run_result told = all.take_over();
  BOOST_TEST(told.status != 0);
  BOOST_TEST(told.err.find("user default/both stands in both clusters") != std::string::npos, told.err);
  BOOST_TEST(ask(all.green.api(0), "DELETE", "/v1/users/default/both", "", {"If-Match: *"}).status == 204);
  // A node of blue stands still, so it cannot have heard: until then both clusters' objects stand still, too.
  all.blue[1].signal(SIGSTOP);
  BOOST_REQUIRE(all.begin().status == 202);
  BOOST_TEST(put(all.blue, "third", "blue") == 409);
  BOOST_TEST(put(all.green, "third", "green") == 409);
  BOOST_TEST(all.step(all.green, 0) == "sealing");
  BOOST_TEST(all.status(all.green, 0)["waits_for"].dump() == R"(["n1"])");
  const run_result given_up = ctl(all.green, 0, {"cluster", "take-over", "--abort"});
  BOOST_TEST(given_up.status == 0, given_up.err);
  all.blue[1].signal(SIGCONT);
  BOOST_TEST(wait_for([&] { return put(all.blue, "third", "blue") == 201; }), all.logs());
  BOOST_TEST(pq(all.blue[0].conninfo()).value("select 'served'") == "served");
  BOOST_TEST(ask(all.green.api(0), "GET", "/v1/users/default/both").status == 404);
  // And once more, to its end.
  const run_result done = all.take_over(1);
  BOOST_TEST(done.status == 0, done.err << all.logs());
  BOOST_TEST(ask(all.green.api(0), "GET", "/v1/users/default/third").status == 200);
  BOOST_TEST(pq(all.blue[1].conninfo()).value("select 'served'") == "served");
}

BOOST_AUTO_TEST_SUITE_END()
