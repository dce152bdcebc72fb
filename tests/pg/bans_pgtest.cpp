// BAN and UNBAN on the console: who is banned leaves and comes in no more, is told why, and stays out after a restart.
#include "tests/pg/edges_support.hpp"

#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <sys/mount.h>

using namespace pg_edge::test;

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string toml(const std::string& settings = "store_path = \"{dir}/store.db\"\n") {
  return simple_toml(
      "admin_users = [\"postgres\"]\n" + settings,
      "[tenants.acme]\n[tenants.acme.databases.app]\nhost = \"127.0.0.1\"\nport = {postgres_port}\n"
      "[tenants.acme.users.trust_user]\n[tenants.acme.users.md5_user]\npassword = \"secret of md5_user\"\n");
}

pq console_of(const pg_edge_process& node) {
  return pq("host=127.0.0.1 port=" + std::to_string(node.port()) + " user=postgres dbname=pgbouncer");
}

std::string refusal(const std::string& conninfo) {
  const pq client = pq::attempt(conninfo);
  return client.ok() ? "it was let in" : client.message();
}

std::string of_acme(const pg_edge_process& node, const std::string& user = "trust_user") {
  return node.conninfo(user) + " user=" + user + ".acme";
}

} // namespace

BOOST_AUTO_TEST_SUITE(bans_pgtest)

BOOST_AUTO_TEST_CASE(a_banned_user_leaves_and_is_told_why) {
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      pg_edge_process node(toml("store_path = \"{dir}/store.db\"\npool_mode = \"" + std::string(how.mode) +
                                "\"\nreactors = " + std::to_string(how.reactors) + "\n"));
      wire_client idle = log_in(node), busy = log_in(node), open = log_in(node), other = log_in(node, "postgres");
      BOOST_TEST(idle.value("select 1") == "1");
      open.query("begin", "C(BEGIN) Z(T)");
      busy.send(query_bytes("select pg_sleep(61)"));
      BOOST_TEST(waits_for_running("pg_sleep(61)", 1));
      pq console = console_of(node);
      BOOST_TEST(console.exec("BAN USER trust_user REASON 'too loud'").tag() == "BAN");
      const auto last_word = [](wire_client& one) {
        BOOST_TEST(one.closed_within(milliseconds(10000)));
        return summary(one.last_message()) + " " + error_field(one.last_message(), 'M');
      };
      BOOST_TEST(
          last_word(idle) ==
          "E(57P01) terminating connection due to administrator command: user \"trust_user\" is banned: too loud");
      BOOST_TEST(has(last_word(busy), "E(08006)"));
      BOOST_TEST(has(last_word(open), "E(08006)"));
      BOOST_TEST(waits_for_running("pg_sleep(61)", 0)); // cancelled
      BOOST_TEST(other.value("select 1") == "1");
      BOOST_TEST(has(refusal(node.conninfo()), "user \"trust_user\" is banned: too loud"));
      BOOST_TEST(pq(of_acme(node)).value("select 1") == "1"); // another tenant's user of that name
      BOOST_TEST(console.exec("UNBAN USER trust_user").tag() == "UNBAN");
      BOOST_TEST(pq(node.conninfo()).value("select 1") == "1");
      BOOST_TEST(node.running());
    }
  }
}

BOOST_AUTO_TEST_CASE(tenants_addresses_terms_and_a_restart) {
  pg_edge_process node(toml());
  pq acme(of_acme(node));
  BOOST_TEST(acme.value("select 1") == "1");
  {
    pq console = console_of(node);
    console.exec("BAN TENANT acme FOR 2h REASON 'unpaid'");
    console.exec("BAN USER md5_user TENANT acme UNTIL '2090-01-01'");
    console.exec("BAN ADDRESS 10.1.0.0/16"); // unquoted
    console.exec("BAN ADDRESS '2001:db8::/32' REASON 'flood'");
  }
  BOOST_TEST(has(refusal(of_acme(node)), "tenant \"acme\" is banned until "));
  BOOST_TEST(!acme.try_exec("select 1").ok());
  BOOST_TEST(node.stop(SIGKILL) == 128 + SIGKILL);
  node.start();
  BOOST_TEST(has(refusal(of_acme(node)), "unpaid"));
  pq console = console_of(node);
  const pq_result bans = console.exec("SHOW BANS");
  BOOST_TEST(bans.rows() == 4);
  BOOST_TEST(bans.cell("kind", "tenant", "reason") == "unpaid");
  BOOST_TEST(bans.cell("kind", "user", "until") == "2090-01-01T00:00:00Z");
  BOOST_TEST(bans.cell("kind", "user", "by") == "console postgres");
  BOOST_TEST(bans.cell("name", "2001:db8::/32", "reason") == "flood");
  BOOST_TEST(bans.cell("name", "10.1.0.0/16", "kind") == "address");
  console.exec("UNBAN TENANT acme");
  BOOST_TEST(pq(of_acme(node)).value("select 1") == "1");
  BOOST_TEST(has(refusal(of_acme(node, "md5_user")), "user \"md5_user\" is banned until 2090"));
  const pq_result audit = console.exec("SHOW AUDIT");
  BOOST_TEST(audit.rows() == 5);
  BOOST_TEST(audit.value(0, 3) == "remove ban of tenant acme"); // the newest first
  BOOST_TEST(audit.value(0, 1) == "console postgres");
  BOOST_TEST(console.exec("SHOW AUDIT 2").rows() == 2);
  // An address: nobody by TCP any more, but by the Unix socket.
  console.exec("BAN ADDRESS '127.0.0.0/8' REASON 'all of us'");
  BOOST_TEST(has(refusal(node.conninfo()), "address 127.0.0.1 is banned: all of us"));
  BOOST_TEST(has(refusal("host=127.0.0.1 port=" + std::to_string(node.port()) + " user=postgres dbname=pgbouncer"),
                 "address 127.0.0.1 is banned"));
  pq local("host=/tmp port=" + std::to_string(node.port()) + " user=postgres dbname=pgbouncer");
  local.exec("UNBAN ADDRESS '127.0.0.0/8'");
  BOOST_TEST(pq(node.conninfo()).value("select 1") == "1");
}

/// A ban ends by itself.
BOOST_AUTO_TEST_CASE(a_ban_has_its_time) {
  pg_edge_process node(toml());
  console_of(node).exec("BAN USER trust_user FOR 2s");
  BOOST_TEST(has(refusal(node.conninfo()), "is banned until "));
  BOOST_TEST(wait_for([&] { return pq::attempt(node.conninfo()).ok(); }));
  BOOST_TEST(console_of(node).exec("SHOW BANS").rows() == 0);
}

BOOST_AUTO_TEST_CASE(what_fails_changes_nothing_and_says_why) {
  pg_edge_process node(toml());
  pq console = console_of(node);
  const auto fails = [&](const std::string& command, const std::string& part) {
    const pq_result result = console.try_exec(command);
    BOOST_TEST(!result.ok());
    BOOST_TEST(has(result.message(), part), command << ": " << result.message());
  };
  fails("BAN TENANT nobody", "there is no tenant nobody");
  fails("BAN ADDRESS '10.0.0.300'", "is not an address");
  fails("BAN ADDRESS '10.0.0.1' USER x", "invalid command");
  fails("BAN USER x UNTIL 'never'", "is not a point in time");
  fails("BAN USER x FOR 'ever'", "invalid command");
  fails("BAN", "invalid command");
  fails("BAN USER", "invalid command");
  fails("UNBAN USER x", "there is no ban of user x");
  fails("SHOW AUDIT none", "");
  BOOST_TEST(console.exec("SHOW BANS").rows() == 0);
  BOOST_TEST(console.exec("SHOW AUDIT").rows() == 0);

  pg_edge_process without(toml(""));
  pq other = console_of(without);
  const pq_result refused = other.try_exec("BAN USER x");
  BOOST_TEST(has(refused.message(), "there is no store: set store_path"), refused.message());
}

/// Stats users may look, and not ban.
BOOST_AUTO_TEST_CASE(only_admin_users_ban) {
  pg_edge_process node(toml("store_path = \"{dir}/store.db\"\nstats_users = [\"trust_user\"]\n"));
  pq console("host=127.0.0.1 port=" + std::to_string(node.port()) + " user=trust_user dbname=pgbouncer");
  BOOST_TEST(console.exec("SHOW BANS").rows() == 0);
  BOOST_TEST(console.try_exec("BAN USER x").sqlstate() == "42501");
  BOOST_TEST(console.exec("SHOW AUDIT").rows() == 0);
}

/// A disk without room keeps nobody out; with room it works again by itself.
BOOST_AUTO_TEST_CASE(a_full_disk_refuses_changes_and_serves) {
  const temp_dir place;
  BOOST_REQUIRE_MESSAGE(::mount("tmpfs", place.path().c_str(), "tmpfs", 0, "size=1m") == 0,
                        "mounting a small file system needs root");
  {
    pg_edge_process node(toml("store_path = \"" + place.path() + "/store.db\"\n"));
    pq console = console_of(node);
    console.exec("BAN USER first");
    std::string block(1024, 'x');
    std::ofstream fill(place.path() + "/fill", std::ios::binary);
    while (fill.write(block.data(), 1024).flush()) {
    }
    fill.close();
    pq_result last = console.try_exec("BAN USER more0");
    for (int i = 1; last.ok() && i < 1000; ++i)
      last = console.try_exec("BAN USER more" + std::to_string(i) + " REASON '" + std::string(500, 'r') + "'");
    BOOST_TEST(has(last.message(), "no space left"), last.message());
    BOOST_TEST(pq(node.conninfo()).value("select 1") == "1");
    BOOST_TEST(node.wait_for_log("event=store_failed"));
    // A restart with the disk still full knows what was acknowledged.
    BOOST_TEST(node.stop(SIGKILL) == 128 + SIGKILL);
    node.start();
    BOOST_TEST(console_of(node).exec("SHOW BANS").cell("name", "first", "kind") == "user");
    std::filesystem::remove(place.path() + "/fill");
    BOOST_TEST(console_of(node).exec("BAN USER last").tag() == "BAN");
    node.stop();
  }
  ::umount2(place.path().c_str(), MNT_DETACH);
}

BOOST_AUTO_TEST_CASE(a_folder_that_is_not_there_keeps_the_node_serving) {
  pg_edge_process node(toml("store_path = \"{dir}/none/of/these/store.db\"\n"));
  BOOST_TEST(pq(node.conninfo()).value("select 1") == "1");
  BOOST_TEST(has(console_of(node).try_exec("BAN USER x").message(), "cannot open"));
  std::filesystem::create_directories(node.folder() + "/none/of/these");
  BOOST_TEST(wait_for([&] { return console_of(node).try_exec("BAN USER x").ok(); }));
}

BOOST_AUTO_TEST_SUITE_END()
