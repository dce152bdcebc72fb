// Logins that PAM decides about (behaviour 32). The services are files of the test: pam_exec asks a script, which knows
// the right password, is slow when it shall be, and writes down what it was told.
#include "tests/pg/edges_support.hpp"

#include <algorithm>
#include <netdb.h>
#include <sys/stat.h>

using namespace pg_edge::test;

namespace {

/// A folder of PAM services: "script" asks the script; "permit" and "deny" need no word.
class services {
public:
  services() {
    write_file(folder_ / "check", R"(#!/bin/sh
PATH=/usr/bin:/bin
if [ "$PAM_TYPE" = account ]; then [ "$PAM_USER" != expired ]; exit; fi
given=$(tr -d '\0')
echo "$PAM_SERVICE $PAM_USER ${PAM_RHOST:-nowhere}" >>')" +
                                      (folder_ / "asked") + R"('
case $PAM_USER in slow*) while [ -e ')" +
                                      (folder_ / "held") + R"(' ]; do sleep 0.05; done ;; esac
[ "$given" = "secret of $PAM_USER" ]
)");
    ::chmod((folder_ / "check").c_str(), 0755);
    for (const char* name : {"script", "other_script"})
      write_file(folder_ / name, "auth required pam_exec.so quiet expose_authtok " + (folder_ / "check") +
                                     "\naccount required pam_exec.so quiet " + (folder_ / "check") + "\n");
    write_file(folder_ / "permit", "auth required pam_permit.so\naccount required pam_permit.so\n");
    write_file(folder_ / "deny", "auth required pam_deny.so\naccount required pam_permit.so\n");
  }
  std::string operator/(const std::string& name) const { return folder_ / name; }
  void write(const std::string& name, const std::string& text) const { write_file(folder_ / name, text); }
  bool asked(const std::string& line) const {
    return ("\n" + read_file(folder_ / "asked")).find("\n" + line + "\n") != std::string::npos;
  }

private:
  temp_dir folder_;
};

/// The script decides; "forced" is a database whose servers are logged in to as trust_user.
std::string by_script(const services& all, const std::string& settings = "", const std::string& tables = "") {
  return simple_toml((settings.find("auth_type") == std::string::npos ? "auth_type = \"pam\"\n" : "") +
                         std::string("auth_pam_service = \"") + (all / "script") + "\"\n" + settings,
                     "[databases.forced]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"app\"\n"
                     "user = \"trust_user\"\n" +
                         tables);
}

std::vector<wire_message> attempt(const pg_edge_process& node, const std::string& user, const std::string& password,
                                  const std::string& database = "forced") {
  wire_client client(node.port());
  return client.try_startup({{"user", user}, {"database", database}}, password);
}

/// "Z(I)", or the SQLSTATE and message of the error.
std::string outcome(const pg_edge_process& node, const std::string& user, const std::string& password,
                    const std::string& database = "forced") {
  const auto messages = attempt(node, user, password, database);
  if (messages.empty()) return "closed";
  if (messages.back().type != 'E') return summary(messages.back());
  return error_field(messages.back(), 'C') + " " + error_field(messages.back(), 'M');
}

std::string refused(const std::string& user) {
  return "28000 PAM authentication failed for user \"" + user + "\"";
}

/// What PAM must hear of 127.0.0.1 when it asks for a name.
std::string name_of_loopback() {
  sockaddr_in here{};
  here.sin_family = AF_INET;
  ::inet_pton(AF_INET, "127.0.0.1", &here.sin_addr);
  char name[NI_MAXHOST];
  const int status =
      ::getnameinfo(reinterpret_cast<const sockaddr*>(&here), sizeof here, name, sizeof name, nullptr, 0, 0);
  return status == 0 ? name : "127.0.0.1";
}

} // namespace

BOOST_AUTO_TEST_SUITE(pam_pgtest)

BOOST_AUTO_TEST_CASE(B032_pam_decides_about_users_whom_no_file_names) {
  const services all;
  pg_edge_process node(by_script(all, "auth_failure_limit = 0\n"));
  auto good = attempt(node, "somebody", "secret of somebody");
  good.erase(std::find_if(good.begin(), good.end(), [](const auto& one) { return one.type == 'S'; }), good.end());
  BOOST_TEST(summary(good) == "R(3) R(0)");
  BOOST_TEST(all.asked("script somebody 127.0.0.1"));
  BOOST_TEST(outcome(node, "somebody", "secret of somebody") == "Z(I)");
  BOOST_TEST(outcome(node, "somebody", "another") == refused("somebody"));
  BOOST_TEST(node.wait_for_log("PAM: pam_authenticate: "));
  BOOST_TEST(outcome(node, "somebody", "") == refused("somebody"));
  BOOST_TEST(node.wait_for_log("empty password"));
  BOOST_TEST(outcome(node, "expired", "secret of expired") == refused("expired"));
  BOOST_TEST(node.wait_for_log("PAM: pam_acct_mgmt: "));
  BOOST_TEST(outcome(node, "somebody", "secret of somebody", "nowhere").starts_with("3D000"));
  BOOST_TEST(outcome(node, "somebody", "another", "nowhere") == refused("somebody"));
  BOOST_TEST(!node.log_contains("secret of"));
}

BOOST_AUTO_TEST_CASE(B032_the_password_logs_in_to_servers_too) {
  const services all;
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      // None of them is in the file.
      pg_edge_process node(
          "[pg_edge]\nlisten_addr = \"127.0.0.1\"\nlisten_port = {port}\nauth_type = \"pam\"\npool_mode = \"" +
          std::string(how.mode) + "\"\nreactors = " + std::to_string(how.reactors) + "\nauth_pam_service = \"" +
          (all / "script") +
          "\"\n[databases.app]\nhost = \"127.0.0.1\"\nport = {postgres_port}\n"
          "[users.md5_user]\npool_mode = \"session\"\n");
      for (const known_user& user : {scram_user, md5_user}) {
        pq client(node.conninfo(user.name) + " password='" + user.password + "'");
        BOOST_TEST(client.value("select current_user") == user.name);
      }
      node.signal(SIGHUP);
      BOOST_TEST(node.wait_for_log("settings_reloaded"));
      pq again(node.conninfo("md5_user") + " password='" + md5_user.password + "'");
      BOOST_TEST(again.value("select current_user") == "md5_user");
    }
  }
}

BOOST_AUTO_TEST_CASE(B032_the_modules_of_the_service_count) {
  const services all;
  pg_edge_process node(by_script(all));
  BOOST_TEST(outcome(node, "somebody", "x") == refused("somebody"));
  node.rewrite_config(simple_toml("auth_type = \"pam\"\nauth_pam_service = \"" + (all / "permit") + "\"\n"));
  node.signal(SIGHUP);
  BOOST_TEST(wait_for([&] { return outcome(node, "trust_user", "anything", "app") == "Z(I)"; }));
  node.rewrite_config(simple_toml("auth_type = \"pam\"\nauth_pam_service = \"" + (all / "deny") + "\"\n"));
  node.signal(SIGHUP);
  BOOST_TEST(wait_for([&] { return outcome(node, "trust_user", "anything", "app") == refused("trust_user"); }));
  node.rewrite_config(simple_toml("auth_type = \"pam\"\nauth_pam_service = \"" + (all / "not_there") + "\"\n"));
  node.signal(SIGHUP);
  BOOST_TEST(wait_for([&] {
    return outcome(node, "replication_user", "anything", "app") == refused("replication_user") &&
           node.log_contains("not_there");
  }));
}

BOOST_AUTO_TEST_CASE(B032_rules_choose_the_service_and_what_it_hears_of_the_client) {
  const services all;
  all.write("hba", "local all all pam\nhost all by_name 127.0.0.1/32 pam pamservice=" + (all / "other_script") +
                       " pam_use_hostname=1\nhost all trust_user 127.0.0.1/32 trust\n"
                       "host all all 127.0.0.1/32 pam\n");
  pg_edge_process node(
      by_script(all, "auth_type = \"hba\"\nauth_hba_file = \"" + (all / "hba") + "\"\nunix_socket_dir = \"{dir}\"\n"));
  BOOST_TEST(outcome(node, "by_name", "secret of by_name") == "Z(I)");
  BOOST_TEST(all.asked("other_script by_name " + name_of_loopback()));
  BOOST_TEST(outcome(node, "by_name", "x") == refused("by_name"));
  BOOST_TEST(outcome(node, "somebody", "secret of somebody") == "Z(I)");
  BOOST_TEST(all.asked("script somebody 127.0.0.1"));
  BOOST_TEST(outcome(node, "trust_user", "") == "Z(I)");
  pq local("host=" + node.folder() + " port=" + std::to_string(node.port()) +
           " user=unix_one dbname=forced password='secret of unix_one'");
  BOOST_TEST(local.value("select current_user") == "trust_user");
  BOOST_TEST(all.asked("script unix_one nowhere"));
}

BOOST_AUTO_TEST_CASE(B032_a_slow_module_holds_up_nobody_else) {
  const services all;
  all.write("held", "");
  all.write("hba", "host all scram_user all scram-sha-256\nhost all all all pam\n");
  pg_edge_process node(by_script(all, "auth_type = \"hba\"\nauth_hba_file = \"" + (all / "hba") +
                                          "\"\nreactors = 1\nclient_login_timeout = 6\n"));
  const auto asks = [&](wire_client& client, const std::string& user) {
    client.send(startup_bytes({{"user", user}, {"database", "forced"}}));
    BOOST_TEST(summary(client.read_message()) == "R(3)");
    client.send(password_bytes("secret of " + user));
    BOOST_TEST(wait_for([&] { return all.asked("script " + user + " 127.0.0.1"); }));
  };
  wire_client slow(node.port());
  asks(slow, "slow_one");
  {
    wire_client leaves(node.port());
    asks(leaves, "slow_leaver");
  }
  BOOST_TEST(node.wait_for_log("user=slow_leaver"));
  pq quick(node.conninfo("scram_user") + " password='" + scram_user.password + "'");
  BOOST_TEST(quick.value("select 1") == "1");
  BOOST_TEST(outcome(node, "somebody", "secret of somebody") == "Z(I)"); // there are more threads
  const wire_message end = slow.read_message(milliseconds(30000));
  BOOST_TEST(summary(end) == "E(57P05)");
  BOOST_TEST(quick.value("select 2") == "2");
  // Both threads still wait for their module: the node ends without them.
  BOOST_TEST(node.stop(SIGQUIT) == 0);
}

BOOST_AUTO_TEST_CASE(B032_failures_are_throttled_as_others_are) {
  const services all;
  pg_edge_process node(by_script(all, "auth_failure_limit = 2\n"));
  BOOST_TEST(outcome(node, "somebody", "x") == refused("somebody"));
  BOOST_TEST(outcome(node, "somebody", "y") == refused("somebody"));
  BOOST_TEST(outcome(node, "somebody", "secret of somebody").find("too many failed logins") != std::string::npos);
  BOOST_TEST(outcome(node, "another", "secret of another") == "Z(I)");
}

BOOST_AUTO_TEST_CASE(B032_a_tenant_names_the_users_whom_pam_may_let_in) {
  const services all;
  pg_edge_process node(by_script(all, "auth_failure_limit = 0\n",
                                 "[tenants.acme.databases.forced]\nhost = \"127.0.0.1\"\nport = {postgres_port}\n"
                                 "dbname = \"app\"\nuser = \"trust_user\"\n[tenants.acme.users.inside]\n"));
  BOOST_TEST(outcome(node, "inside.acme", "secret of inside") == "Z(I)");
  BOOST_TEST(outcome(node, "inside.acme", "x") == refused("inside.acme"));
  // Who is not of the tenant cannot tell that the password was right.
  BOOST_TEST(outcome(node, "outside.acme", "secret of outside") == refused("outside.acme"));
  BOOST_TEST(node.wait_for_log("no such user of its tenant"));
  BOOST_TEST(outcome(node, "inside", "secret of inside") == "Z(I)");
}

BOOST_AUTO_TEST_SUITE_END()
