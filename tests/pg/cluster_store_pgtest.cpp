// Nodes that share a store: what is written through one is on the others, of two writers on two nodes one wins, and a
// store that is away, or killed, stops nobody but who wants to change something.
#include "tests/actors/etcd_process.hpp"
#include "tests/pg/api_support.hpp"
#include "tests/pg/edges_support.hpp"
#include "tests/support/certificates.hpp"

#include <boost/test/unit_test.hpp>

#include <thread>

using namespace pg_edge::test;
using nlohmann::json;
using pg_edge::actors::etcd_process;
using namespace std::chrono_literals;

namespace {

constexpr auto patience = 60s; // the machine may be busy

std::string cluster_toml(const std::string& node, std::uint16_t api, const std::string& store,
                         const std::string& more = "") {
  return simple_toml("admin_users = [\"postgres\"]\ndefault_pool_size = 3\nauth_type = \"scram-sha-256\"\n",
                     "[admin]\nlisten = \"127.0.0.1:" + std::to_string(api) + "\"\n[admin.tokens.boss]\ntoken = \"" +
                         api_boss + "\"\nrole = \"admin\"\n[cluster]\nname = \"blue\"\nnode = \"" + node +
                         "\"\nstore = [\"" + store + "\"]\n" + more);
}

/// A node of the cluster "blue".
struct member {
  std::uint16_t api = free_port();
  pg_edge_process process;

  member(const std::string& node, const std::string& store, const std::string& more = "",
         const pg_edge_options& options = {})
      : process(cluster_toml(node, api, store, more), options) {
    if (options.wait_until_listening) wait();
  }
  void wait() const {
    if (!wait_for([&] { return get("/v1/store").status == 200; }, patience))
      throw test_failure("the admin API does not come up: " + process.log());
  }
  answer get(const std::string& path) const { return ask(api, "GET", path); }
  answer post(const std::string& path, const std::string& body) const { return ask(api, "POST", path, body); }
  answer patch(const std::string& path, const std::string& body, const std::string& etag) const {
    return ask(api, "PATCH", path, body, {"If-Match: " + etag});
  }
  answer remove(const std::string& path) const { return ask(api, "DELETE", path, "", {"If-Match: *"}); }
  /// Of the user joe of the tenant t.
  std::string login(const std::string& password = "secret of joe") const {
    return "host=127.0.0.1 port=" + std::to_string(process.port()) + " user=joe.t dbname=app password='" + password +
           "'";
  }
  bool lets_in(const std::string& password = "secret of joe") const { return pq::attempt(login(password)).ok(); }
};

void check(const answer& got, int status) {
  BOOST_TEST(got.status == status, got.status << " " << got.body);
}

void make_tenant(const member& by) {
  check(by.post("/v1/tenants", R"({"tenant":"t"})"), 201);
  check(by.post("/v1/databases", R"({"tenant":"t","database":"app","host":"127.0.0.1","port":)" +
                                     std::to_string(postgres::shared().port()) +
                                     R"(,"dbname":"app","user":"trust_user"})"),
        201);
  check(by.post("/v1/users", R"({"tenant":"t","user":"joe","password":"secret of joe"})"), 201);
}

/// Waits, and says how long it took: a promise of a second is not checked on a machine that is busy.
bool soon(const std::string& what, const std::function<bool()>& holds) {
  bool held = false;
  const auto took = time_of([&] { held = wait_for(holds, patience); });
  BOOST_TEST_MESSAGE(what << " after " << took.count() << " ms");
  return held;
}

struct two_nodes {
  etcd_process etcd;
  member a{"a", etcd.url()}, b{"b", etcd.url()};
};

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_store_pgtest)

BOOST_FIXTURE_TEST_CASE(what_is_written_on_one_node_is_used_on_the_other, two_nodes) {
  BOOST_TEST(!b.lets_in());
  make_tenant(a);
  BOOST_TEST(soon("the tenant is on B", [&] { return b.lets_in(); }));
  pq client(b.login());
  BOOST_TEST(client.value("select current_user") == "trust_user");

  // A pool's size, a password and a global setting.
  const answer shown = b.get("/v1/databases/t/app/definition");
  check(b.patch("/v1/databases/t/app", R"({"pool_size": 9})", shown.etag), 200);
  BOOST_TEST(soon("the size is on A", [&] { return a.get("/v1/databases/t/app").value()["pool_size"] == 9; }));
  check(a.patch("/v1/users/t/joe", R"({"password": "another"})", a.get("/v1/users/t/joe/definition").etag), 200);
  BOOST_TEST(soon("the password is on B", [&] { return b.lets_in("another") && !b.lets_in(); }));
  check(ask(a.api, "PUT", "/v1/settings/query_timeout", R"({"value": "77s"})"), 201);
  BOOST_TEST(soon("the setting is on B",
                  [&] { return b.get("/v1/settings?key=query_timeout").value()["items"][0]["value"] == "77"; }));

  // A ban made on A ends who is on B.
  check(a.post("/v1/bans", R"({"kind":"user","tenant":"t","user":"joe","reason":"unpaid"})"), 201);
  BOOST_TEST(soon("the ban is on B", [&] { return !client.try_exec("select 1").ok(); }));
  BOOST_TEST(!b.lets_in("another"));
  check(b.remove("/v1/bans/user/t/joe"), 204);
  BOOST_TEST(soon("the ban is gone on A", [&] { return a.lets_in("another"); }));

  // Who did what is the same on both.
  const json audit = a.get("/v1/audit").value()["items"];
  BOOST_TEST(audit.size() == 8U);
  BOOST_TEST(b.get("/v1/audit").value()["items"] == audit);

  check(a.remove("/v1/tenants/t?cascade=true"), 204);
  BOOST_TEST(soon("the tenant is gone on B", [&] { return !b.lets_in("another"); }));
  BOOST_TEST(b.get("/v1/definitions?origin=store&kind=tenant").value()["total"] == 0);
}

BOOST_FIXTURE_TEST_CASE(of_two_writers_on_two_nodes_exactly_one_wins, two_nodes) {
  make_tenant(a);
  const std::string path = "/v1/databases/t/app";
  constexpr int rounds = 10;
  for (int round = 1; round <= rounds; ++round) {
    answer now;
    BOOST_REQUIRE(wait_for(
        [&] {
          now = a.get(path + "/definition");
          return now.status == 200 && now.etag == b.get(path + "/definition").etag;
        },
        patience));
    answer of_a, of_b;
    std::thread other([&] { of_b = b.patch(path, "{\"pool_size\":" + std::to_string(200 + round) + "}", now.etag); });
    of_a = a.patch(path, "{\"pool_size\":" + std::to_string(100 + round) + "}", now.etag);
    other.join();
    BOOST_TEST(((of_a.status == 200 && of_b.status == 412) || (of_a.status == 412 && of_b.status == 200)),
               of_a.status << " and " << of_b.status << ": " << of_a.body << of_b.body);
    const int won = (of_a.status == 200 ? 100 : 200) + round;
    for (const member* one : {&a, &b})
      BOOST_TEST(
          wait_for([&] { return one->get(path + "/definition").value()["settings"]["pool_size"] == won; }, patience));
  }
  // Both made at once under one name: one is there.
  answer of_a, of_b;
  std::thread other([&] { of_b = b.post("/v1/tenants", R"({"tenant":"u"})"); });
  of_a = a.post("/v1/tenants", R"({"tenant":"u"})");
  other.join();
  BOOST_TEST(((of_a.status == 201 && of_b.status == 409) || (of_a.status == 409 && of_b.status == 201)),
             of_a.status << " and " << of_b.status << ": " << of_a.body << of_b.body);
}

BOOST_FIXTURE_TEST_CASE(while_the_store_is_away_traffic_goes_on_and_changes_are_refused, two_nodes) {
  make_tenant(a);
  BOOST_REQUIRE(wait_for([&] { return b.lets_in(); }, patience));
  pq client(b.login());
  for (int round = 0; round < 2; ++round) {
    etcd.kill();
    const answer refused = a.post("/v1/tenants", R"({"tenant":"later"})");
    check(refused, 503);
    BOOST_TEST(refused.body.find("Nothing was changed, since the store cannot be written: ") != std::string::npos,
               refused.body);
    BOOST_TEST(client.value("select 1") == "1"); // who is in, and who comes
    BOOST_TEST(a.lets_in());
    // Who does not write hears of it, too.
    BOOST_TEST(wait_for([&] { return b.get("/v1/store").value()["works"] == false; }, patience));
    BOOST_TEST(!b.get("/v1/store").value()["why"].get<std::string>().empty());
    BOOST_TEST(b.process.wait_for_log("event=store_failed", patience));
    etcd.restart();
    for (const member* one : {&a, &b})
      BOOST_TEST(wait_for([&] { return one->get("/v1/store").value()["works"] == true; }, patience));
    // What was acknowledged is there, and news travel again.
    BOOST_TEST(a.lets_in());
    const std::string tenant = "t" + std::to_string(round);
    check(a.post("/v1/tenants", "{\"tenant\":\"" + tenant + "\"}"), 201);
    BOOST_TEST(soon("after a restart of etcd the tenant is on B",
                    [&] { return b.get("/v1/tenants/" + tenant).status == 200; }));
  }
  BOOST_TEST(a.process.running());
  BOOST_TEST(b.process.running());
}

BOOST_FIXTURE_TEST_CASE(after_kill_9_of_a_node_it_knows_all_and_what_came_meanwhile, two_nodes) {
  make_tenant(a);
  BOOST_TEST(a.process.stop(SIGKILL) == 128 + SIGKILL);
  check(b.post("/v1/bans", R"({"kind":"address","address":"10.0.0.0/8","reason":"flood"})"), 201);
  a.process.start();
  a.wait();
  BOOST_TEST(pq(a.login()).value("select 1") == "1");
  BOOST_TEST(a.get("/v1/bans").value()["items"][0]["name"] == "10.0.0.0/8");
  BOOST_TEST(a.get("/v1/users/t/joe/definition").etag == b.get("/v1/users/t/joe/definition").etag);
}

/// A node that did not know its bans would let the banned in.
BOOST_AUTO_TEST_CASE(a_node_waits_for_the_store_before_it_serves) {
  etcd_process etcd;
  { make_tenant(member("a", etcd.url())); }
  etcd.kill();
  pg_edge_options early;
  early.wait_until_listening = false;
  member late("b", etcd.url(), "", early);
  BOOST_TEST(late.process.wait_for_log("event=store_awaited", patience));
  BOOST_TEST(!late.lets_in());
  BOOST_TEST(late.process.stop() == 0); // it can be ended while it waits
  late.process.start(early);
  BOOST_TEST(late.process.wait_for_log("event=store_awaited", patience));
  etcd.restart();
  late.wait();
  BOOST_TEST(pq(late.login()).value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(certificates_are_shown_to_etcd_and_two_clusters_share_it) {
  const temp_dir folder;
  const certificate_authority authority;
  const auto leaf = authority.issue("node");
  write_file(folder / "ca", authority.certificate());
  write_file(folder / "crt", leaf.certificate);
  write_file(folder / "key", leaf.key);
  const etcd_process etcd(etcd_process::tls_arguments(folder / "ca", folder / "crt", folder / "key"), "https");
  const std::string files = "certificate = \"" + (folder / "crt") + "\"\nkey = \"" + (folder / "key") + "\"\nca = \"" +
                            (folder / "ca") + "\"\n";
  const member blue("a", etcd.url(), files);
  make_tenant(blue);
  const std::uint16_t api = free_port();
  std::string toml = cluster_toml("a", api, etcd.url(), files);
  toml.replace(toml.find("\"blue\""), 6, "\"green\"");
  const pg_edge_process green(toml);
  BOOST_REQUIRE(wait_for([&] { return ask(api, "GET", "/v1/store").status == 200; }, patience));
  BOOST_TEST(ask(api, "GET", "/v1/store").value()["works"] == true);
  BOOST_TEST(ask(api, "GET", "/v1/tenants/t").status == 404); // it is the other cluster's
  BOOST_TEST(blue.get("/v1/tenants/t").status == 200);
}

BOOST_AUTO_TEST_SUITE_END()
