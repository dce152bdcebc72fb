// pg_edgectl against a real node: what it prints, what it does, and what scripts see of it.
#include "tests/support/folders.hpp"
#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/pq.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

using namespace pg_edge::test;
using nlohmann::json;

namespace {

const std::string token = "boss-boss-boss-boss";
const std::string program = std::string(build_folder) + "/pg_edgectl";

std::string toml(std::uint16_t port, const std::string& settings = "default_pool_size = 3\n") {
  return simple_toml("store_path = \"{dir}/store.db\"\n" + settings,
                     "[admin]\nlisten = \"127.0.0.1:" + std::to_string(port) +
                         "\"\n[admin.tokens.boss]\nrole = \"admin\"\ntoken = \"" + token + "\"\n");
}

struct fixture {
  std::uint16_t port = free_port();
  pg_edge_process node{toml(port)};
  std::string url = "http://127.0.0.1:" + std::to_string(port);

  fixture() {
    if (!node.wait_for_log("event=admin_listening")) throw test_failure("the admin API does not come up");
    write_file(node.folder() + "/token", token + "\n");
  }

  run_result ctl(std::vector<std::string> words) const {
    std::vector<std::string> all{program, "--url", url, "--token-file", node.folder() + "/token"};
    all.insert(all.end(), words.begin(), words.end());
    return run(all);
  }
  json ctl_json(std::vector<std::string> words) const {
    words.insert(words.begin(), "--json");
    const run_result result = ctl(words);
    BOOST_TEST(result.status == 0, result.err);
    return json::parse(result.out, nullptr, false);
  }
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_SUITE(edgectl_pgtest)

BOOST_FIXTURE_TEST_CASE(it_shows_tables_and_json, fixture) {
  pq one(node.conninfo());
  one.exec("BEGIN");
  one.exec("SELECT 1");
  const run_result status = ctl({"status"});
  BOOST_TEST(status.status == 0, status.err);
  BOOST_TEST(has(status.out, "active"));
  BOOST_TEST(ctl_json({"status"})["sv_active"] == 1);
  const run_result pools = ctl({"pools", "database=app", "--sort=-cl_active"});
  BOOST_TEST(has(pools.out, "trust_user"), pools.out);
  BOOST_TEST(ctl_json({"pools", "cl_active>=1"}).size() == 1u);
  BOOST_TEST(ctl_json({"pools", "database=nothing"}).empty());
  BOOST_TEST(ctl_json({"clients", "user=trust_user"}).size() == 1u);
  for (const char* command : {"tenants", "databases", "users", "servers", "sessions"})
    BOOST_TEST(!ctl_json({command}).empty(), command);
  const run_result wrong = ctl({"pools", "databas=app"});
  BOOST_TEST(wrong.status == 1);
  BOOST_TEST(has(wrong.err, "did you mean database"), wrong.err);
}

BOOST_FIXTURE_TEST_CASE(it_does_things, fixture) {
  pq one(node.conninfo());
  one.exec("SELECT 1");
  BOOST_TEST(ctl({"pause", "app", "--wait", "20"}).status == 0);
  BOOST_TEST(ctl_json({"databases", "database=app"})[0]["paused"] == true);
  const run_result again = ctl({"resume", "other"});
  BOOST_TEST(again.status == 1);
  BOOST_TEST(has(again.err, "is not paused"), again.err);
  BOOST_TEST(ctl({"resume", "app"}).status == 0);
  BOOST_TEST(one.value("SELECT 1") == "1");
  const std::string id = std::to_string(ctl_json({"clients", "user=trust_user"})[0]["id"].get<long>());
  BOOST_TEST(ctl({"kill-client", id}).status == 0);
  BOOST_TEST(!one.try_exec("SELECT 1").ok());
  BOOST_TEST(ctl({"kill"}).status == 1); // everything only if one says so
  node.rewrite_config(toml(port, "default_pool_size = 4\n"));
  const run_result reload = ctl({"reload"});
  BOOST_TEST(reload.status == 0, reload.err);
  BOOST_TEST(has(reload.out, "default_pool_size: 3 -> 4"), reload.out);
  node.rewrite_config("nonsense = 1\n");
  const run_result bad = ctl({"reload"});
  BOOST_TEST(bad.status == 1);
  BOOST_TEST(has(bad.err, "nonsense"), bad.err);
  BOOST_TEST(ctl({"drain", "--mode", "at_once"}).status == 0);
  BOOST_TEST(node.wait().value_or(-1) == 0);
}

BOOST_FIXTURE_TEST_CASE(what_goes_wrong_is_said_and_told_to_scripts, fixture) {
  const auto plain = [&](std::vector<std::string> words) {
    words.insert(words.begin(), program);
    return run(words);
  };
  BOOST_TEST(plain({"--help"}).status == 0);
  BOOST_TEST(has(plain({}).err, "nothing to do"));
  BOOST_TEST(has(plain({"tpo"}).err, "unknown command"));
  BOOST_TEST(has(plain({"pools", "--nonsense"}).err, "unknown option"));
  BOOST_TEST(has(plain({"top", "--sort"}).err, "needs a value"));
  const run_result nobody = plain({"--url", "http://127.0.0.1:" + std::to_string(free_port()), "status"});
  BOOST_TEST(nobody.status == 1);
  BOOST_TEST(has(nobody.err, "cannot reach"), nobody.err);
  const run_result refused = plain({"--url", url, "pause"});
  BOOST_TEST(refused.status == 1);
  BOOST_TEST(has(refused.err, "role operator"), refused.err);
}

BOOST_FIXTURE_TEST_CASE(apply_makes_what_a_file_says, fixture) {
  const std::string file = node.folder() + "/objects.toml";
  const auto apply = [&](std::vector<std::string> words, const std::string& text) {
    write_file(file, text);
    words.insert(words.begin(), {"apply", "-f", file});
    return ctl(words);
  };
  const std::string first = "[tenants.acme]\nmax_tenant_connections = 7\n[tenants.acme.databases.shop]\n"
                            "host = '127.0.0.1'\npool_size = 5\n[tenants.acme.users.ann]\npassword = 'secret'\n";
  const run_result plan = apply({"--plan"}, first);
  BOOST_TEST(plan.status == 2, plan.err);
  BOOST_TEST(has(plan.out, "+ database acme/shop\n"), plan.out);
  BOOST_TEST(!has(plan.out, "secret"), plan.out);
  BOOST_TEST(apply({}, first).status == 2); // nobody said yes
  BOOST_TEST(ctl_json({"tenants", "tenant=acme"}).empty());
  const run_result made = apply({"--yes"}, first);
  BOOST_TEST(made.status == 0, made.err);
  BOOST_TEST(ctl_json({"databases", "tenant=acme"})[0]["pool_size"] == 5);
  const run_result again = apply({"--plan"}, first);
  BOOST_TEST(again.status == 0, again.out);
  BOOST_TEST(has(again.out, "Nothing to do."));
  const std::string second = "[tenants.acme]\n[tenants.acme.databases.shop]\nhost = '127.0.0.1'\npool_size = 6\n";
  const run_result changed = apply({"--plan", "--prune"}, second);
  BOOST_TEST(has(changed.out, "pool_size: 5 -> 6"), changed.out);
  BOOST_TEST(has(changed.out, "max_tenant_connections: 7 -> (taken away)"), changed.out);
  BOOST_TEST(has(changed.out, "- user acme/ann"), changed.out);
  BOOST_TEST(apply({"--yes", "--prune"}, second).status == 0);
  BOOST_TEST(ctl_json({"users", "tenant=acme"}).empty());
  const run_result of_file = apply({"--yes"}, "[databases.app]\nhost = '10.0.0.1'\n");
  BOOST_TEST(of_file.status == 1);
  BOOST_TEST(has(of_file.err, "of the node's configuration file"), of_file.err);
  const run_result bad = apply({"--yes"}, "[tenants.acme.databases.shop]\npool_siz = 6\n");
  BOOST_TEST(bad.status == 1);
  BOOST_TEST(has(bad.err, "pool_siz"), bad.err);
  BOOST_TEST(apply({"--yes"}, "[nonsense]\n").status == 1);
  BOOST_TEST(apply({"--yes", "--prune"}, "").status == 0);
  BOOST_TEST(ctl_json({"tenants", "tenant=acme"}).empty());
}

BOOST_FIXTURE_TEST_CASE(bans_are_set_and_ended, fixture) {
  const run_result set = ctl({"ban", "tenant", "default", "--reason", "unpaid", "--for", "2h"});
  BOOST_TEST(set.status == 0, set.err);
  BOOST_TEST(has(ctl({"bans"}).out, "unpaid"));
  BOOST_TEST(!pq::attempt(node.conninfo()).ok());
  BOOST_TEST(ctl({"unban", "tenant", "default"}).status == 0);
  BOOST_TEST(pq::attempt(node.conninfo()).ok());
  BOOST_TEST(ctl({"unban", "tenant", "default"}).status == 1);
  BOOST_TEST(ctl({"ban", "planet", "x"}).status == 1);
}

BOOST_FIXTURE_TEST_CASE(top_shows_who_does_how_much, fixture) {
  std::atomic<bool> stop{false};
  std::thread load([&] {
    pq one(node.conninfo());
    while (!stop)
      one.try_exec("SELECT 1");
  });
  // Windows end with the last whole second: the rate is there when one has passed under load.
  json rows;
  BOOST_TEST(wait_for([&] {
    rows = ctl_json({"top", "--by", "database", "--window", "10"});
    return rows.size() == 1 && rows[0]["xact_s"].get<double>() > 0;
  }));
  BOOST_TEST(rows[0]["name"] == "default/app");
  BOOST_TEST(rows[0]["query_p99_ms"].get<double>() > 0);
  BOOST_TEST(rows[0]["query_p99_ms"].get<double>() >= rows[0]["query_p95_ms"].get<double>());
  BOOST_TEST(rows[0]["clients"] == 1);
  // The same figures as the node's own.
  const json clients = ctl_json({"top", "--by", "client", "--window", "60", "--sort", "query_s"});
  BOOST_REQUIRE(clients.size() == 1u);
  BOOST_TEST(clients[0]["name"].get<std::string>().starts_with("default/app/trust_user #"), clients.dump());
  BOOST_TEST(clients[0]["query_s"].get<double>() > 0);
  BOOST_TEST(clients[0]["wait_p99_ms"].is_null()); // a client's waits are not timed
  for (const auto& [column, value] : rows[0].items())
    if (column != "name") BOOST_TEST(ctl({"top", "--once", "--sort", column}).status == 0, column);
  BOOST_TEST(has(ctl({"top", "--once"}).out, "default/app/trust_user"));
  BOOST_TEST(ctl({"top", "--by", "planet"}).status == 1);
  BOOST_TEST(ctl({"top", "--window", "7"}).status == 1);
  const std::string live = program + " --url " + url + " --token " + token + " top --interval 0.2";
  const run_result screen = run({"bash", "-c", "(sleep 2; printf 'cbn>rq') | script -qec '" + live + "' /dev/null"});
  BOOST_TEST(screen.status == 0, screen.out);
  BOOST_TEST(has(screen.out, "XACT/S"), screen.out);
  BOOST_TEST(has(screen.out, "default/app"), screen.out);
  stop = true;
  load.join();
}

BOOST_AUTO_TEST_CASE(shells_complete_its_words_and_the_manual_page_is_made) {
  const auto complete = [](const std::string& words, int place) {
    return run({"bash", "-c",
                "source <(" + program + " completion bash); COMP_WORDS=(" + words +
                    "); COMP_CWORD=" + std::to_string(place) + "; _pg_edgectl; echo \"${COMPREPLY[@]}\""})
        .out;
  };
  BOOST_TEST(complete("pg_edgectl pau", 1) == "pause\n");
  BOOST_TEST(complete("pg_edgectl --url x pau", 3) == "pause\n");
  BOOST_TEST(complete("pg_edgectl top --b", 2) == "--by\n");
  BOOST_TEST(complete("pg_edgectl top --by ten", 3) == "tenant\n");
  BOOST_TEST(run({program, "completion", "fish"}).status == 1);
  BOOST_TEST(run({program, "man"}).out.starts_with(".TH PG_EDGECTL 1"));
}

BOOST_AUTO_TEST_SUITE_END()
