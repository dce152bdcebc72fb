// The admin API of a real node, over real connections: what it shows, what it refuses, what it does, and what hostile
// clients do to it.
#include "tests/support/http.hpp"
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

#include <thread>

using namespace pg_edge::test;
using nlohmann::json;

namespace {

const std::string boss = "boss-boss-boss-boss";
const std::string looker = "look-look-look-look";
const std::string hand = "hand-hand-hand-hand";

std::string admin_tables(std::uint16_t port, const std::string& more = "") {
  return "[admin]\nlisten = \"127.0.0.1:" + std::to_string(port) + "\"\n" + more + "[admin.tokens.boss]\ntoken = \"" +
         boss + "\"\nrole = \"admin\"\n[admin.tokens.look]\ntoken = \"" + looker +
         "\"\n[admin.tokens.hand]\ntoken = \"" + hand + "\"\nrole = \"operator\"\n";
}

struct fixture {
  std::uint16_t port = free_port();
  pg_edge_process node;

  explicit fixture(const std::string& more = "", const std::string& settings = "default_pool_size = 3\n")
      : node(simple_toml("admin_users = \"trust_user\"\nreactors = 2\nstore_path = \"{dir}/store.db\"\n" + settings,
                         admin_tables(port, more))) {
    if (!node.wait_for_log("event=admin_listening")) throw test_failure("the admin API does not come up");
  }

  http_answer get(const std::string& path, const std::string& token = looker) const {
    return http_once(port, {"GET", path, token, "", {}});
  }
  http_answer post(const std::string& path, const std::string& body = "", const std::string& token = hand) const {
    return http_once(port, {"POST", path, token, body, {}});
  }
  json items(const std::string& path) const {
    const http_answer answer = get(path);
    BOOST_TEST(answer.status == 200, path << ": " << answer.body);
    return answer.json()["items"];
  }
};

/// Says what about a value does not fit its schema; empty: it fits.
std::string misfit(const json& document, json schema, const json& value, const std::string& where) {
  if (schema.contains("$ref")) {
    const std::string name = schema["$ref"].get<std::string>().substr(std::string("#/components/schemas/").size());
    schema = document["components"]["schemas"][name];
  }
  if (!schema.contains("type")) return {}; // anything
  std::vector<std::string> types;
  if (schema["type"].is_array())
    types = schema["type"].get<std::vector<std::string>>();
  else
    types.push_back(schema["type"].get<std::string>());
  const std::string actual = value.is_null()             ? "null"
                             : value.is_boolean()        ? "boolean"
                             : value.is_number_integer() ? "integer"
                             : value.is_number()         ? "number"
                             : value.is_string()         ? "string"
                             : value.is_array()          ? "array"
                                                         : "object";
  const bool fits = std::any_of(types.begin(), types.end(), [&](const std::string& type) {
    return type == actual || (type == "number" && actual == "integer");
  });
  if (!fits) return where + " is of type " + actual;
  if (actual == "array")
    for (const json& one : value)
      if (auto wrong = misfit(document, schema["items"], one, where + "[]"); !wrong.empty()) return wrong;
  if (actual != "object" || !schema.contains("properties")) return {};
  for (const json& name : schema.value("required", json::array()))
    if (!value.contains(name.get<std::string>())) return where + " lacks " + name.get<std::string>();
  for (const auto& [name, inner] : value.items()) {
    if (!schema["properties"].contains(name)) return where + " has " + name + ", which its schema does not";
    if (auto wrong = misfit(document, schema["properties"][name], inner, where + "." + name); !wrong.empty())
      return wrong;
  }
  return {};
}

} // namespace

BOOST_AUTO_TEST_SUITE(admin_api_pgtest)

// -- what it shows
// -------------------------------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(it_shows_what_the_node_does, fixture) {
  pq one(node.conninfo());
  one.exec("BEGIN");
  const std::string backend = one.value("SELECT pg_backend_pid()");
  const json pools = items("/v1/pools?database=app");
  BOOST_REQUIRE(pools.size() == 1u);
  BOOST_TEST(pools[0]["sv_active"] == 1);
  BOOST_TEST(pools[0]["user"] == "trust_user");
  const json sessions = items("/v1/sessions");
  BOOST_REQUIRE(sessions.size() == 1u);
  BOOST_TEST(std::to_string(sessions[0]["backend_pid"].get<int>()) == backend);
  const json clients = items("/v1/clients?user=trust_user&sort=-id");
  BOOST_REQUIRE(clients.size() == 1u);
  BOOST_TEST(clients[0]["link"] == sessions[0]["server"]);
  const std::string id = std::to_string(clients[0]["id"].get<long>());
  BOOST_TEST(get("/v1/clients/" + id).json()["id"] == clients[0]["id"]);
  BOOST_TEST(get("/v1/servers/" + std::to_string(sessions[0]["server"].get<long>())).status == 200);
  BOOST_TEST(get("/v1/pools/default/app/trust_user").json()["cl_active"] == 1);
  BOOST_TEST(get("/v1/databases/default/app").json()["clients"] == 1);
  BOOST_TEST(get("/v1/users/default/trust_user").json()["clients"] == 1);
  BOOST_TEST(get("/v1/tenants/default").json()["servers"] == 1);
  BOOST_TEST(get("/v1/node").json()["state"] == "active");
  BOOST_TEST(items("/v1/reactors").size() == 2u);
  BOOST_TEST(items("/v1/settings?key=default_pool_size")[0]["value"] == "3");
  BOOST_TEST(items("/v1/actors?kind=reactor,client")[0]["alive"].get<int>() >= 1);
  for (const char* gone : {"/v1/clients/999999999", "/v1/tenants/nobody", "/v1/pools/default/app/nobody"})
    BOOST_TEST(get(gone).status == 404, gone);
  BOOST_TEST(get("/v1/clients/x").json()["errors"][0]["field"] == "path: id");
  one.exec("ROLLBACK");
}

BOOST_FIXTURE_TEST_CASE(every_route_answers_what_its_schema_says, fixture) {
  pq one(node.conninfo());
  one.exec("BEGIN");
  pq console(node.conninfo("trust_user", "pgbouncer"));
  const http_answer described = get("/openapi.json", "");
  BOOST_REQUIRE(described.status == 200);
  const json document = described.json();
  BOOST_TEST(document["openapi"] == "3.1.0");
  std::size_t checked = 0;
  for (const auto& [path, operations] : document["paths"].items()) {
    if (!operations.contains("get") || path.find('{') != std::string::npos) continue;
    const json responses = operations["get"]["responses"];
    if (!responses.contains("200") || !responses["200"]["content"].contains("application/json")) continue;
    const http_answer answer = get(path, boss);
    BOOST_TEST(answer.status == 200, path << ": " << answer.body);
    BOOST_TEST(misfit(document, responses["200"]["content"]["application/json"]["schema"], answer.json(), path) == "");
    ++checked;
  }
  BOOST_TEST(checked >= 12u);
  const json problem = get("/v1/nothing").json();
  BOOST_TEST(misfit(document, {{"$ref", "#/components/schemas/problem"}}, problem, "problem") == "");
}

BOOST_FIXTURE_TEST_CASE(health_needs_no_token_and_readiness_says_why, fixture) {
  BOOST_TEST(get("/healthz", "").status == 200);
  BOOST_TEST(get("/readyz", "").json()["status"] == "ready");
  BOOST_TEST(post("/v1/node/pause").status == 200);
  const http_answer paused = get("/readyz", "");
  BOOST_TEST(paused.status == 503);
  BOOST_TEST(paused.json()["reasons"] == json::array({"paused"}));
  BOOST_TEST(post("/v1/node/resume").status == 200);
  BOOST_TEST(get("/readyz", "").status == 200);
}

// -- what it does
// --------------------------------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(commands_do_what_the_console_does, fixture) {
  pq one(node.conninfo());
  one.exec("SELECT 1");
  BOOST_TEST(post("/v1/databases/default/app/pause").json()["done"] == true);
  BOOST_TEST(get("/v1/databases/default/app").json()["paused"] == true);
  const http_answer again = post("/v1/databases/default/nothing_here/pause");
  BOOST_TEST(again.status == 404, again.body);
  BOOST_TEST(post("/v1/databases/default/app/resume").status == 200);
  BOOST_TEST(post("/v1/databases/default/app/resume").status == 409);
  BOOST_TEST(one.value("SELECT 1") == "1");
  one.exec("BEGIN"); // its server cannot close yet
  const http_answer waiting = post("/v1/databases/default/app/pause?wait=1");
  BOOST_TEST(waiting.status == 202);
  BOOST_TEST(waiting.json()["done"] == false);
  one.exec("COMMIT");
  BOOST_TEST(post("/v1/databases/default/app/resume").status == 200);
  const std::string id = std::to_string(items("/v1/clients?user=trust_user")[0]["id"].get<long>());
  BOOST_TEST(post("/v1/clients/" + id + "/kill").status == 200);
  BOOST_TEST(!one.try_exec("SELECT 1").ok());
  BOOST_TEST(post("/v1/clients/" + id + "/kill").status == 404);
  BOOST_TEST(post("/v1/clients/none/kill").status == 400);
  BOOST_TEST(post("/v1/databases/default/app/disable").status == 200);
  BOOST_TEST(!pq::attempt(node.conninfo()).ok());
  BOOST_TEST(post("/v1/databases/default/app/enable").status == 200);
  BOOST_TEST(pq::attempt(node.conninfo()).ok());
  BOOST_TEST(node.log_contains("event=admin_request"));
  BOOST_TEST(node.log_contains("by=\"token hand\""));
}

BOOST_FIXTURE_TEST_CASE(a_reload_says_what_it_did, fixture) {
  const std::string tables = admin_tables(port);
  node.rewrite_config(simple_toml(
      "admin_users = \"trust_user\"\nreactors = 2\nstore_path = \"{dir}/store.db\"\ndefault_pool_size = 4\n", tables));
  const http_answer good = post("/v1/node/reload");
  BOOST_TEST(good.status == 200, good.body);
  BOOST_TEST(good.json()["lines"].dump().find("default_pool_size: 3 -> 4") != std::string::npos);
  node.rewrite_config("[pg_edge]\nnonsense = 1\n");
  const http_answer bad = post("/v1/node/reload");
  BOOST_TEST(bad.status == 422);
  BOOST_TEST(bad.json()["errors"].dump().find("nonsense") != std::string::npos);
  BOOST_TEST(items("/v1/settings?key=default_pool_size")[0]["value"] == "4");
  // A token that is taken out of the file is none any more.
  node.rewrite_config(simple_toml("reactors = 2\nstore_path = \"{dir}/store.db\"\n",
                                  "[admin]\nlisten = \"127.0.0.1:" + std::to_string(port) + "\"\n"));
  BOOST_TEST(post("/v1/node/reload").status == 200);
  BOOST_TEST(post("/v1/node/reload").status == 401);
}

BOOST_FIXTURE_TEST_CASE(a_shutdown_is_answered_and_happens, fixture) {
  BOOST_TEST(post("/v1/node/shutdown", R"({"mode": 5})", boss).json()["errors"][0]["field"] == "mode");
  BOOST_TEST(post("/v1/node/shutdown", R"({"mod": "at_once"})", boss).json()["errors"][0]["field"] == "mod");
  BOOST_TEST(post("/v1/node/shutdown", R"({"mode": "at_once"})", hand).status == 403);
  BOOST_TEST(post("/v1/node/shutdown", R"({"mode": "at_once"})", boss).status == 202);
  BOOST_TEST(node.wait().value_or(-1) == 0);
}

// -- what it refuses
// -----------------------------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(wrong_tokens_methods_types_and_bodies_are_refused_by_name, fixture) {
  const auto status = [&](const http_ask& what) { return http_once(port, what).status; };
  BOOST_TEST(get("/v1/node", "").status == 200); // anonymous_role is viewer, and this is loopback
  BOOST_TEST(post("/v1/node/pause", "", "").status == 401);
  BOOST_TEST(post("/v1/node/pause", "", looker).status == 403);
  const http_answer unknown = get("/v1/node", "wrong-wrong-wrong-wrong");
  BOOST_TEST(unknown.status == 401);
  BOOST_TEST(unknown.headers.at("www-authenticate") == "Bearer");
  BOOST_TEST(unknown.headers.at("content-type") == "application/problem+json");
  BOOST_TEST(node.log_contains("event=admin_refused"));
  BOOST_TEST(!node.log_contains("wrong-wrong"));
  const http_answer method = http_once(port, {"DELETE", "/v1/node", boss, "", {}});
  BOOST_TEST(method.status == 405);
  BOOST_TEST(method.headers.at("allow") == "GET, HEAD");
  BOOST_TEST(status({"BREW", "/v1/node", boss, "", {}}) == 405);
  BOOST_TEST(status({"HEAD", "/v1/node", looker, "", {}}) == 200);
  BOOST_TEST(status({"GET", "/v1/nowhere", looker, "", {}}) == 404);
  BOOST_TEST(get("/v1/node?x=1").json()["errors"][0]["field"] == "query: x");
  BOOST_TEST(get("/v1/pools?x=1").json()["errors"][0]["field"] == "query: x");
  BOOST_TEST(get("/v1/pools?limit=%zz").status == 400);
  BOOST_TEST(status({"POST", "/v1/node/shutdown", boss, "{}", {{"Content-Type", "text/plain"}}}) == 415);
  BOOST_TEST(post("/v1/node/shutdown", "{", boss).json()["errors"][0]["field"] == "body");
  BOOST_TEST(post("/v1/node/pause", "{}").status == 400); // none is taken
  BOOST_TEST(post("/v1/node/pause?wait=x").json()["errors"][0]["field"] == "query: wait");
  BOOST_TEST(status({"GET", "/v1/node", "", "", {{"Host", "evil.example.com"}}}) == 403);
  for (int i = 0; i < 12; ++i)
    get("/v1/node", "wrong-wrong-wrong-wrong");
  const http_answer throttled = get("/v1/node", "wrong-wrong-wrong-wrong");
  BOOST_TEST(throttled.status == 429);
  BOOST_TEST(throttled.headers.at("retry-after") == "60");
  BOOST_TEST(get("/v1/node").status == 200);
}

BOOST_AUTO_TEST_CASE(addresses_others_can_reach_need_tls_and_tokens) {
  const auto check = [](const std::string& tables) {
    temp_dir folder;
    write_file(folder / "x.toml", "[databases.app]\nhost = '127.0.0.1'\n" + tables);
    return run({pg_edge_process::binary(), "check", folder / "x.toml"});
  };
  const auto open = check("[admin]\nlisten = '0.0.0.0:9632'\n");
  BOOST_TEST(open.status == 1);
  BOOST_TEST(open.err.find("0.0.0.0:9632 can be reached from elsewhere") != std::string::npos);
  BOOST_TEST(check("[admin]\nlisten = '*:9632'\n[admin.tokens.a]\ntoken = 'aaaaaaaaaaaaaaaaaaaa'\n").status == 1);
  BOOST_TEST(check("[admin]\nlisten = 'here'\n").err.find("no address with a port") != std::string::npos);
  BOOST_TEST(check("[admin]\n[admin.tokens.a]\ntoken = 'short'\n").err.find("can be guessed") != std::string::npos);
  BOOST_TEST(check("[admin]\n[admin.tokens.a]\nrole = 'boss'\n").err.find("viewer") != std::string::npos);
  BOOST_TEST(check("[admin]\nlisten = ['127.0.0.1:9632', '[::1]:9632']\n").status == 0);
}

BOOST_AUTO_TEST_CASE(a_taken_port_does_not_keep_the_node_from_serving) {
  const std::uint16_t port = free_port();
  const std::string toml = simple_toml("store_path = \"{dir}/store.db\"\n", admin_tables(port));
  pg_edge_process first(toml);
  BOOST_REQUIRE(first.wait_for_log("event=admin_listening"));
  pg_edge_process second(toml);
  BOOST_TEST(second.wait_for_log("event=admin_failed"));
  BOOST_TEST(second.log_contains("the node serves without its admin API there"));
  BOOST_TEST(pq(second.conninfo()).value("SELECT 1") == "1");
  first.stop();
  BOOST_TEST(second.wait_for_log("event=admin_listening")); // it was tried again
  BOOST_TEST(http_once(port, {"GET", "/healthz", "", "", {}}).status == 200);
}

// -- hostile clients
// -----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(what_is_too_large_is_refused) {
  const fixture node;
  BOOST_TEST(http_once(node.port, {"GET", "/v1/node", looker, "", {{"X-Long", std::string(20'000, 'x')}}}).status ==
             431);
  BOOST_TEST(node.post("/v1/node/shutdown", std::string(1'100'000, ' '), boss).status == 413);
  http_connection chunks(node.port); // no length is told in advance
  chunks.send("POST /v1/node/shutdown HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + boss +
              "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + std::string(65536, ' ') + "\r\n";
  for (int i = 0; i < 20; ++i)
    chunks.send(chunk);
  BOOST_TEST(chunks.read("POST").status == 413);
  for (const char* nonsense :
       {"\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        "GET /v1/node HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"}) {
    http_connection raw(node.port);
    raw.send(nonsense);
    const int status = raw.read().status;
    BOOST_TEST((status == 400 || status == 0), nonsense << ": " << status);
  }
  BOOST_TEST(node.get("/healthz", "").status == 200);
}

BOOST_AUTO_TEST_CASE(slow_clients_are_dropped_and_keep_nobody_out) {
  const fixture node("request_timeout = 1\nmax_connections = 20\n");
  std::vector<std::unique_ptr<http_connection>> slow;
  for (int i = 0; i < 60; ++i) { // three times as many as there may be
    slow.push_back(std::make_unique<http_connection>(node.port));
    slow.back()->send("GET /v1/node HTTP/1.1\r\nX: ");
  }
  BOOST_TEST(node.get("/healthz", "").status == 200);
  for (const auto& one : slow)
    BOOST_TEST(one->closed(milliseconds(20000)));
  http_connection half(node.port);
  half.send("POST /v1/node/shutdown HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + boss +
            "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
  BOOST_TEST(half.closed(milliseconds(20000)));
}

BOOST_FIXTURE_TEST_CASE(connections_are_kept_and_pipelined, fixture) {
  http_connection one(port);
  for (int i = 0; i < 50; ++i)
    BOOST_TEST(one.ask({"GET", "/v1/node", looker, "", {}}).status == 200);
  std::string two;
  for (int i = 0; i < 2; ++i)
    two += "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
  one.send(two);
  BOOST_TEST(one.read().status == 200);
  BOOST_TEST(one.read().status == 200);
  BOOST_TEST(one.ask({"GET", "/v1/nowhere", looker, "", {}}).status == 404);
  BOOST_TEST(one.closed(milliseconds(10000))); // after a refusal of the head
}

BOOST_AUTO_TEST_CASE(it_speaks_tls) {
  fixture node("tls_cert_file = \"{cert}\"\ntls_key_file = \"{key}\"\n");
  const std::string authority = node.node.authority_file();
  BOOST_TEST(http_once(node.port, {"GET", "/v1/node", looker, "", {}}, authority).json()["state"] == "active");
  http_connection kept(node.port, authority);
  for (int i = 0; i < 3; ++i)
    BOOST_TEST(kept.ask({"POST", "/v1/node/reload", hand, "", {}}).status == 200); // the same certificate, read again
  http_connection plain(node.port);
  plain.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  BOOST_TEST(plain.read().status == 0);
}

BOOST_FIXTURE_TEST_CASE(it_answers_under_load, fixture) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> load;
  std::atomic<long> done{0};
  for (int i = 0; i < 6; ++i)
    load.emplace_back([&] {
      pq one(node.conninfo());
      while (!stop)
        done += one.try_exec("SELECT 1").ok() ? 1 : 0;
    });
  for (const char* path : {"/healthz", "/v1/pools", "/v1/clients", "/v1/servers", "/v1/sessions", "/v1/databases"})
    for (int i = 0; i < 5; ++i)
      BOOST_TEST(get(path).status == 200, path);
  const json all = get("/v1/clients?user=trust_user").json();
  BOOST_TEST(all["total"] == 6);
  BOOST_TEST(all["complete"] == true);
  stop = true;
  for (std::thread& one : load)
    one.join();
  const long counted = items("/v1/pools?database=app")[0]["query_count"].get<long>();
  BOOST_TEST(counted == done.load());
}

BOOST_AUTO_TEST_SUITE_END()
