// Objects made by the admin API while a node runs: made, used, changed and removed; there again after kill -9; two
// writers who cannot undo each other's change; wrong requests that name the field; and what the file keeps for itself.
#include "tests/pg/api_support.hpp"
#include "tests/pg/edges_support.hpp"

#include <boost/test/unit_test.hpp>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sys/mount.h>

using namespace pg_edge::test;
using nlohmann::json;

namespace {

const std::string boss = api_boss, hand = "hand-hand-hand-hand", looker = "look-look-look-look";

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string toml(std::uint16_t port, const std::string& store = "{dir}/store.db") {
  return simple_toml(
      "admin_users = [\"postgres\"]\ndefault_pool_size = 3\nauth_type = \"scram-sha-256\"\nstore_path = \"" + store +
          "\"\n",
      "[admin]\nlisten = \"127.0.0.1:" + std::to_string(port) + "\"\n[admin.tokens.boss]\ntoken = \"" + boss +
          "\"\nrole = \"admin\"\n" + "[admin.tokens.hand]\ntoken = \"" + hand + "\"\nrole = \"operator\"\n" +
          "[admin.tokens.look]\ntoken = \"" + looker + "\"\nrole = \"viewer\"\n" +
          "[tenants.of_file]\n[tenants.of_file.databases.kept]\nhost = \"127.0.0.1\"\n");
}

struct fixture {
  std::uint16_t port = free_port();
  pg_edge_process node;

  explicit fixture(const std::string& store = "{dir}/store.db") : node(toml(port, store)) { wait(); }
  void wait() {
    if (!wait_for([&] { return ask(port, "GET", "/v1/store").status == 200; }))
      throw test_failure("the admin API does not come up");
  }
  answer get(const std::string& path) const { return ask(port, "GET", path); }
  answer post(const std::string& path, const std::string& body) const { return ask(port, "POST", path, body); }
  answer put(const std::string& path, const std::string& body, const std::vector<std::string>& headers = {}) const {
    return ask(port, "PUT", path, body, headers);
  }
  answer patch(const std::string& path, const std::string& body, const std::string& etag) const {
    return ask(port, "PATCH", path, body, {"If-Match: " + etag});
  }
  answer remove(const std::string& path, const std::string& etag = "*") const {
    return ask(port, "DELETE", path, "", {"If-Match: " + etag});
  }
  void check(const answer& got, int status) const { BOOST_TEST(got.status == status, got.status << " " << got.body); }
  /// A database of tenant t on the shared Postgres.
  std::string database_body(const std::string& name, const std::string& more = "") const {
    return R"({"tenant":"t","database":")" + name + R"(","host":"127.0.0.1","port":)" +
           std::to_string(postgres::shared().port()) + R"(,"dbname":"app","user":"trust_user")" + more + "}";
  }
  void make_tenant() const {
    check(post("/v1/tenants", R"({"tenant":"t"})"), 201);
    check(post("/v1/databases", database_body("app")), 201);
    check(post("/v1/users", R"({"tenant":"t","user":"joe","password":"secret of joe"})"), 201);
  }
  std::string login(const std::string& password = "secret of joe") const {
    return "host=127.0.0.1 port=" + std::to_string(node.port()) + " user=joe.t dbname=app password='" + password + "'";
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(runtime_objects_pgtest)

BOOST_FIXTURE_TEST_CASE(made_used_changed_removed, fixture) {
  BOOST_TEST(!pq::attempt(login()).ok());
  make_tenant();
  pq client(login());
  BOOST_TEST(client.value("select current_user") == "trust_user");
  BOOST_TEST(pq(node.conninfo("password_user")).value("select 1") == "1"); // the file's own go on

  // A pool's size, changed while it works.
  const answer shown = get("/v1/databases/t/app/definition");
  check(shown, 200);
  BOOST_TEST(shown.value()["origin"] == "store");
  BOOST_TEST(shown.value()["changed_by"] == "token boss");
  BOOST_TEST(shown.value()["settings"]["dbname"] == "app");
  const answer patched = patch("/v1/databases/t/app", R"({"pool_size": 9})", shown.etag);
  check(patched, 200);
  BOOST_TEST(patched.etag != shown.etag);
  BOOST_TEST(get("/v1/databases/t/app").value()["pool_size"] == 9);
  BOOST_TEST(get("/v1/databases/t/app").value()["origin"] == "store");
  BOOST_TEST(client.value("select 1") == "1");

  // A password, changed: the next login needs the new one.
  const answer joe = get("/v1/users/t/joe/definition");
  check(patch("/v1/users/t/joe", R"({"password": "another"})", joe.etag), 200);
  BOOST_TEST(!pq::attempt(login()).ok());
  BOOST_TEST(pq(login("another")).value("select 1") == "1");

  // A global setting, live.
  check(put("/v1/settings/query_timeout", R"({"value": "77s"})"), 201);
  pq console("host=127.0.0.1 port=" + std::to_string(node.port()) + " user=password_user dbname=app password='" +
             password_user.password + "'");
  BOOST_TEST(console.value("select 1") == "1");
  BOOST_TEST(get("/v1/settings?key=query_timeout").value()["items"][0]["value"] == "77");
  check(remove("/v1/settings/query_timeout"), 204);
  BOOST_TEST(get("/v1/settings?key=query_timeout").value()["items"][0]["value"] == "0");

  // Removal: the tenant with what is in it, and its clients are told.
  const answer full = remove("/v1/tenants/t");
  check(full, 409);
  BOOST_TEST(has(full.body, "cascade=true"), full.body);
  check(remove("/v1/tenants/t?cascade=true"), 204);
  BOOST_TEST(!client.try_exec("select 1").ok());
  BOOST_TEST(!pq::attempt(login("another")).ok());
  check(get("/v1/databases/t/app/definition"), 404);
  BOOST_TEST(node.running());
}

BOOST_FIXTURE_TEST_CASE(after_kill_9_all_is_there_again, fixture) {
  make_tenant();
  check(post("/v1/bans", R"({"kind":"address","address":"10.0.0.0/8","reason":"flood"})"), 201);
  const answer before = get("/v1/users/t/joe/definition");
  for (int round = 0; round < 2; ++round) {
    BOOST_TEST(node.stop(SIGKILL) == 128 + SIGKILL);
    node.start();
    wait();
    BOOST_TEST(pq(login()).value("select 1") == "1");
    const answer after = get("/v1/users/t/joe/definition");
    BOOST_TEST(after.etag == before.etag);
    BOOST_TEST(get("/v1/bans").value()["items"][0]["name"] == "10.0.0.0/8");
  }
  const json audit = get("/v1/audit").value()["items"];
  BOOST_TEST(audit.size() == 4U);
  BOOST_TEST(audit[0]["what"] == "create ban of address 10.0.0.0/8");
  BOOST_TEST(audit[1]["fields"][0] == "password");
  BOOST_TEST(audit[1]["who"] == "token boss");
  BOOST_TEST(audit[1]["from"] == "127.0.0.1");
  const json page = get("/v1/audit?limit=2").value();
  BOOST_TEST(page["items"].size() == 2U);
  BOOST_TEST(get("/v1/audit?limit=2&before=" + page["next"].get<std::string>()).value()["items"][0] == audit[2]);
}

/// A change that was read before another's is refused, and none of two that race is lost.
BOOST_FIXTURE_TEST_CASE(two_writers_cannot_undo_each_other, fixture) {
  make_tenant();
  const answer first = get("/v1/databases/t/app/definition");
  const answer missing = ask(port, "PATCH", "/v1/databases/t/app", R"({"pool_size": 1})");
  check(missing, 428);
  BOOST_TEST(missing.field() == "If-Match");
  check(patch("/v1/databases/t/app", R"({"pool_size": 4})", first.etag), 200);
  const answer late = patch("/v1/databases/t/app", R"({"min_pool_size": 1})", first.etag);
  check(late, 412);
  BOOST_TEST(late.etag != first.etag); // as it is now
  check(ask(port, "DELETE", "/v1/databases/t/app", "", {"If-Match: " + first.etag}), 412);
  check(put("/v1/databases/t/app", R"({"host":"h"})", {"If-None-Match: *"}), 412);
  check(put("/v1/databases/t/other", R"({"host":"h"})", {"If-None-Match: *"}), 201);
  check(put("/v1/databases/t/none", R"({"host":"h"})", {"If-Match: \"1\""}), 412);
  BOOST_TEST(get("/v1/databases/t/app/definition").value()["settings"]["pool_size"] == 4);

  constexpr int writers = 4, rounds = 5;
  std::atomic<int> done = 0;
  std::vector<std::thread> all;
  for (int i = 0; i < writers; ++i)
    all.emplace_back([&] {
      for (int round = 0; round < rounds;) {
        const answer now = get("/v1/databases/t/app/definition");
        const int size = now.value()["settings"]["pool_size"].get<int>();
        const answer set = patch("/v1/databases/t/app", "{\"pool_size\": " + std::to_string(size + 1) + "}", now.etag);
        if (set.status != 200 && set.status != 412) return;
        if (set.status == 200) {
          ++round;
          ++done;
        }
      }
    });
  for (std::thread& one : all)
    one.join();
  BOOST_TEST(done == writers * rounds);
  BOOST_TEST(get("/v1/databases/t/app/definition").value()["settings"]["pool_size"] == 4 + writers * rounds);
}

BOOST_FIXTURE_TEST_CASE(wrong_requests_name_the_field_and_change_nothing, fixture) {
  make_tenant();
  const auto refused = [&](const answer& got, int status, const std::string& field, const std::string& text) {
    check(got, status);
    BOOST_TEST(got.field() == field, got.body);
    BOOST_TEST(has(got.body, text), got.body);
  };
  refused(post("/v1/databases", database_body("x", R"(,"pool_size":0)")), 422, "pool_size", "not between");
  refused(post("/v1/databases", database_body("x", R"(,"pol_size":1)")), 422, "pol_size", "did you mean pool_size?");
  refused(post("/v1/databases", R"({"tenant":"nobody","database":"x"})"), 422, "", "there is no tenant nobody");
  refused(post("/v1/databases", R"({"tenant":"t"})"), 422, "database", "is missing");
  refused(post("/v1/databases", R"({"tenant":5,"database":"x"})"), 422, "tenant", "is no name");
  refused(post("/v1/databases", database_body("app")), 409, "", "is there already");
  refused(post("/v1/users", R"({"tenant":"t","user":"x","password_file":"/etc/shadow"})"), 422, "password_file",
          "file");
  refused(post("/v1/tenants", "{"), 400, "body", "JSON");
  refused(post("/v1/tenants", "[]"), 400, "body", "object");
  refused(post("/v1/bans", R"({"kind":"planet"})"), 422, "kind", "tenant, user, address");
  refused(post("/v1/bans", R"({"kind":"address","address":"10.0.0.300"})"), 422, "address", "is not an address");
  refused(post("/v1/bans", R"({"kind":"user","user":"x","until":"never"})"), 422, "until", "point in time");
  refused(put("/v1/settings/listen_port", R"({"value": 1})"), 409, "name", "restart");
  refused(put("/v1/settings/default_pool_size", R"({"value": 9})"), 409, "", "is the file's");
  refused(put("/v1/settings/query_timeout", R"({"value": "soon"})"), 422, "", "query_timeout");
  refused(ask(port, "DELETE", "/v1/users/default/trust_user", "", {"If-Match: *"}), 409, "", "pg_edge.toml:");
  check(remove("/v1/users/t/nobody"), 404);
  BOOST_TEST(ask(port, "POST", "/v1/tenants", R"({"tenant":"u"})", {}, looker).status == 403);
  BOOST_TEST(ask(port, "POST", "/v1/tenants", R"({"tenant":"u"})", {}, hand).status == 403);
  BOOST_TEST(ask(port, "POST", "/v1/tenants", R"({"tenant":"u"})", {}, "nonsense").status == 401);
  BOOST_TEST(ask(port, "POST", "/v1/bans", R"({"kind":"user","user":"x"})", {}, hand).status == 201); // operators ban
  BOOST_TEST(get("/v1/audit").value()["items"].size() == 4U); // what was refused is not in it
}

/// Names can hold anything, and reach nobody else's place.
BOOST_FIXTURE_TEST_CASE(names_are_only_names, fixture) {
  check(post("/v1/tenants", R"({"tenant":"t"})"), 201);
  check(put("/v1/databases/t/a%2Fb%20%25", R"({"host":"h"})"), 201);
  const answer made = post("/v1/databases", R"({"tenant":"t","database":"../users/größe"})");
  check(made, 201);
  check(get(made.location + "/definition"), 200);
  BOOST_TEST(get("/v1/databases/t/a%2Fb%20%25/definition").value()["name"] == "a/b %");
  BOOST_TEST(get("/v1/definitions?kind=database&tenant=t").value()["total"] == 2);
}

BOOST_FIXTURE_TEST_CASE(secrets_are_never_shown_or_logged, fixture) {
  make_tenant();
  check(post("/v1/databases", database_body("guarded", R"(,"password":"secret of the database")")), 201);
  const answer shown = get("/v1/users/t/joe/definition");
  BOOST_TEST(shown.value()["secrets"][0] == "password");
  check(put("/v1/users/t/joe", R"({"pool_mode":"session"})", {"If-Match: " + shown.etag}), 200); // keeps it
  BOOST_TEST(pq(login()).value("select 1") == "1");
  std::string all = node.log();
  for (const char* path : {"/v1/users/t/joe/definition", "/v1/databases/t/guarded/definition", "/v1/definitions",
                           "/v1/audit", "/v1/users", "/v1/databases", "/v1/users/default/md5_user/definition"})
    all += get(path).body;
  BOOST_TEST(!has(all, "secret of joe"));
  BOOST_TEST(!has(all, "secret of the database"));
  BOOST_TEST(!has(all, "secret of md5_user"));
}

/// The file wins, the store's is shown as drift, and counts again when the file lets it go.
BOOST_FIXTURE_TEST_CASE(what_the_file_takes_over_is_drift, fixture) {
  make_tenant();
  check(post("/v1/databases", R"({"tenant":"of_file","database":"added","host":"h"})"), 201); // beside the file's
  const std::string text = toml(port);
  node.rewrite_config(text + "[tenants.t]\n[tenants.t.databases.app]\nhost = \"127.0.0.1\"\nport = {postgres_port}\n"
                             "dbname = \"other\"\nuser = \"trust_user\"\n");
  const auto reload = [&] {
    const answer got = post("/v1/node/reload", "");
    check(got, 200);
    return got.body;
  };
  BOOST_TEST(has(reload(), "of the store does not count: the file has it"));
  BOOST_TEST(pq(login()).value("select current_database()") == "other");
  const json drift = get("/v1/definitions?counts=false").value()["items"];
  BOOST_REQUIRE(drift.size() == 2U); // the tenant and the database; the user still counts
  BOOST_TEST(has(drift[0]["why_not"].get<std::string>(), "pg_edge.toml:"));
  BOOST_TEST(get("/v1/databases/t/app/definition").value()["origin"] == "file");
  node.rewrite_config(text);
  reload();
  BOOST_TEST(pq(login()).value("select current_database()") == "app");
  BOOST_TEST(get("/v1/definitions?counts=false").value()["total"] == 0);
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_507_and_the_node_serves) {
  const temp_dir place;
  BOOST_REQUIRE_MESSAGE(::mount("tmpfs", place.path().c_str(), "tmpfs", 0, "size=1m") == 0,
                        "mounting a small file system needs root");
  {
    fixture f(place.path() + "/store.db");
    f.make_tenant();
    std::ofstream fill(place.path() + "/fill", std::ios::binary);
    while (fill.write(std::string(1024, 'x').data(), 1024).flush()) {
    }
    fill.close();
    answer last;
    last.status = 201;
    for (int i = 0; last.status == 201 && i < 500; ++i)
      last = f.post("/v1/users", R"({"tenant":"t","user":"u)" + std::to_string(i) + R"(","password":")" +
                                     std::string(4000, 'p') + "\"}");
    BOOST_TEST(last.status == 507, last.body);
    BOOST_TEST(has(last.body, "Nothing was changed"), last.body);
    BOOST_TEST(pq(f.login()).value("select 1") == "1");
    BOOST_TEST(f.get("/v1/store").value()["works"] == false);
    ::unlink((place.path() + "/fill").c_str());
    f.check(f.post("/v1/users", R"({"tenant":"t","user":"last"})"), 201);
    BOOST_TEST(f.get("/v1/store").value()["works"] == true);
    f.node.stop();
  }
  ::umount2(place.path().c_str(), MNT_DETACH);
}

BOOST_AUTO_TEST_CASE(a_store_that_cannot_be_opened_is_503) {
  fixture f("{dir}/none/of/these/store.db");
  const answer refused = f.post("/v1/tenants", R"({"tenant":"t"})");
  f.check(refused, 503);
  BOOST_TEST(has(refused.body, "cannot open"), refused.body);
  BOOST_TEST(pq(f.node.conninfo("password_user")).value("select 1") == "1");
}

BOOST_AUTO_TEST_SUITE_END()
