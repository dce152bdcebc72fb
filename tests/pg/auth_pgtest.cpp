// Who may log in: behaviours 19 and 20, the server's side of authentication, reload and the end of a node.
#include "tests/pg/edges_support.hpp"

#include <algorithm>

using namespace pg_edge::test;

namespace {

const char* const plain_secret = "the password";

/// How Postgres itself would store the password.
std::string stored_by_postgres(const std::string& user, const std::string& method) {
  pq admin = postgres::shared().admin();
  admin.exec("drop role if exists " + user);
  admin.exec("set password_encryption = '" + method + "'");
  admin.exec("create role " + user + " login password '" + std::string(plain_secret) + "'");
  return admin.value("select rolpassword from pg_authid where rolname = '" + user + "'");
}

std::vector<wire_message> attempt(const pg_edge_process& node, const std::string& user, const std::string& password,
                                  const std::string& database = "app") {
  wire_client client(node.port());
  return client.try_startup({{"user", user}, {"database", database}}, password);
}

bool logs_in(const pg_edge_process& node, const std::string& user, const std::string& password) {
  const auto messages = attempt(node, user, password);
  return !messages.empty() && messages.back().type == 'Z';
}

std::string without(std::string text, const std::string& word) {
  for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos;)
    text.replace(at, word.size(), "?");
  return text;
}

} // namespace

BOOST_AUTO_TEST_SUITE(auth_pgtest)

BOOST_AUTO_TEST_CASE(B019_unknown_user_and_wrong_password_look_alike) {
  for (const char* type : {"plain", "md5", "scram-sha-256"}) {
    BOOST_TEST_CONTEXT(type) {
      pg_edge_process node(simple_toml("auth_type = \"" + std::string(type) + "\"\n"));
      const auto wrong = attempt(node, "password_user", "wrong"), unknown = attempt(node, "nobody_here", "wrong");
      BOOST_TEST_REQUIRE(!wrong.empty());
      BOOST_TEST(summary(wrong) == summary(unknown));
      BOOST_TEST(summary(wrong.back()) == "E(28P01)");
      BOOST_TEST((without(wrong.back().body, "password_user") == without(unknown.back().body, "nobody_here")));
      BOOST_TEST(error_field(wrong.back(), 'M') == "password authentication failed for user \"password_user\"");
      BOOST_TEST(summary(attempt(node, "password_user", "").back()) == "E(28P01)");
      if (std::string(type) != "scram-sha-256") continue;
      BOOST_TEST(summary(unknown) == "R(10) R(11) E(28P01)");
      // A salt that changes would show that there is nobody; so would another number of iterations.
      const auto salt = [&](const std::string& user) {
        const std::string body = attempt(node, user, "wrong").at(1).body;
        return body.substr(body.find(",s="));
      };
      BOOST_TEST(salt("nobody_here") == salt("nobody_here"));
      BOOST_TEST(salt("nobody_here") != salt("nobody_else"));
      BOOST_TEST(salt("password_user") == salt("password_user"));
      BOOST_TEST(salt("nobody_here").size() == salt("password_user").size());
      BOOST_TEST(logs_in(node, "password_user", password_user.password));
    }
  }
  pg_edge_process trusting(simple_toml("auth_type = \"trust\"\n"));
  BOOST_TEST(summary(attempt(trusting, "nobody_here", "")) == "E(28P01)");
  BOOST_TEST(logs_in(trusting, "trust_user", ""));
}

BOOST_AUTO_TEST_CASE(B020_every_method_with_every_kind_of_secret) {
  const std::string md5 = stored_by_postgres("kept_md5", "md5"),
                    scram = stored_by_postgres("kept_scram", "scram-sha-256");
  stored_by_postgres("kept_plain", "scram-sha-256");
  // Servers are logged in to by another user: this is about clients.
  const std::string tables = "[databases.forced]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"app\"\n"
                             "user = \"trust_user\"\n[users.kept_md5]\npassword = \"" +
                             md5 + "\"\n[users.kept_scram]\npassword = \"" + scram +
                             "\"\n[users.kept_plain]\npassword = \"" + plain_secret + "\"\n";
  const struct {
    const char* type;
    const char* user;
    const char* good; // messages up to the first ParameterStatus or the error
  } rows[] = {
      {"trust", "kept_plain", "R(0)"},
      {"trust", "kept_md5", "R(0)"},
      {"trust", "kept_scram", "R(0)"},
      {"plain", "kept_plain", "R(3) R(0)"},
      {"plain", "kept_md5", "R(3) R(0)"},
      {"plain", "kept_scram", "R(3) R(0)"},
      {"md5", "kept_plain", "R(5) R(0)"},
      {"md5", "kept_md5", "R(5) R(0)"},
      {"md5", "kept_scram", "R(10) R(11) R(12) R(0)"}, // as pgbouncer: the stored verifier decides
      {"scram-sha-256", "kept_plain", "R(10) R(11) R(12) R(0)"},
      {"scram-sha-256", "kept_md5", "R(10) R(11) E(28P01)"}, // an md5 secret cannot serve SCRAM
      {"scram-sha-256", "kept_scram", "R(10) R(11) R(12) R(0)"},
  };
  for (const char* type : {"trust", "plain", "md5", "scram-sha-256"}) {
    pg_edge_process node(simple_toml("auth_type = \"" + std::string(type) + "\"\n", tables));
    for (const auto& row : rows) {
      if (std::string(row.type) != type) continue;
      BOOST_TEST_CONTEXT(type << " for " << row.user) {
        const auto head = [](std::vector<wire_message> messages) {
          const auto end = std::find_if(messages.begin(), messages.end(), [](const auto& m) { return m.type == 'S'; });
          messages.erase(end, messages.end());
          return summary(messages);
        };
        const auto right = attempt(node, row.user, plain_secret, "forced");
        BOOST_TEST(head(right) == row.good);
        if (std::string(row.good).find('E') == std::string::npos) BOOST_TEST(right.back().type == 'Z');
        if (std::string(type) != "trust")
          BOOST_TEST(summary(attempt(node, row.user, "not it", "forced").back()) == "E(28P01)");
      }
    }
    // libpq's own implementation agrees.
    pq client(node.conninfo("kept_scram", "forced") + " password='" + plain_secret + "'");
    BOOST_TEST(client.value("select current_user") == "trust_user");
  }
}

BOOST_AUTO_TEST_CASE(B036_a_method_the_client_cannot_do_is_refused_with_a_clear_message) {
  pg_edge_process node(simple_toml("auth_type = \"scram-sha-256\"\n"));
  wire_client client(node.port());
  client.send(startup_bytes({{"user", "scram_user"}, {"database", "app"}}));
  client.expect("R(10)");
  client.send(password_bytes("md5" + std::string(32, 'a')));
  BOOST_TEST(summary(client.read_message()) == "E(08P01)");
  BOOST_TEST(client.closed_within(milliseconds(5000)));
}

BOOST_AUTO_TEST_CASE(B019_a_user_without_a_password_looks_like_nobody) {
  for (const char* type : {"plain", "md5", "scram-sha-256"}) {
    BOOST_TEST_CONTEXT(type) {
      pg_edge_process node(simple_toml("auth_type = \"" + std::string(type) + "\"\n"));
      const auto unknown = attempt(node, "nobody_here", "wrong");
      for (const char* user : {"trust_user", "password_user"}) { // the first has no password
        const auto seen = attempt(node, user, "wrong");
        BOOST_TEST_REQUIRE(!seen.empty());
        BOOST_TEST(summary(seen) == summary(unknown));
        std::vector<std::size_t> sizes, of_unknown;
        for (const auto& message : seen)
          if (message.type == 'R') sizes.push_back(message.size());
        for (const auto& message : unknown)
          if (message.type == 'R') of_unknown.push_back(message.size());
        BOOST_TEST(sizes == of_unknown, boost::test_tools::per_element());
        BOOST_TEST((without(seen.back().body, user) == without(unknown.back().body, "nobody_here")));
      }
    }
  }
  // Where all passwords are verifiers, md5 means SCRAM for all, and so for nobody.
  pg_edge_process node("[pg_edge]\nlisten_addr = \"127.0.0.1\"\nlisten_port = {port}\nauth_type = \"md5\"\n"
                       "[databases.app]\nhost = \"127.0.0.1\"\nport = {postgres_port}\n[users.kept_scram]\n"
                       "password = \"" +
                       stored_by_postgres("kept_scram", "scram-sha-256") + "\"\n");
  BOOST_TEST(summary(attempt(node, "nobody_here", "x")) == summary(attempt(node, "kept_scram", "x")));
}

BOOST_AUTO_TEST_CASE(B019_the_salt_of_nobody_is_the_same_on_all_nodes_and_after_a_restart) {
  const auto salt = [](const pg_edge_process& node, const std::string& user) {
    const std::string body = attempt(node, user, "wrong").at(1).body;
    return body.substr(body.find(",s="));
  };
  const std::string type = "auth_type = \"scram-sha-256\"\n";
  pg_edge_process one(simple_toml(type)), two(simple_toml(type));
  for (const char* user : {"nobody_here", "password_user"}) {
    const std::string before = salt(one, user);
    BOOST_TEST(before == salt(two, user));
    one.stop(SIGINT);
    one.start();
    BOOST_TEST(before == salt(one, user));
  }
  const std::string agreed = type + "mock_authentication_nonce = \"agreed upon\"\n";
  pg_edge_process three(simple_toml(agreed)), four(simple_toml(agreed));
  BOOST_TEST(salt(three, "nobody_here") == salt(four, "nobody_here"));
  BOOST_TEST(salt(three, "nobody_here") != salt(one, "nobody_here"));
}

BOOST_AUTO_TEST_CASE(B042_a_lowered_offer_and_a_foreign_certificate_are_refused_in_postgres_words) {
  pg_edge_process node(simple_toml("auth_type = \"scram-sha-256\"\nclient_tls_sslmode = \"allow\"\n"
                                   "client_tls_cert_file = \"{cert}\"\nclient_tls_key_file = \"{key}\"\n"));
  // The same bytes to both: what Postgres says is what pg_edge says.
  const auto ends = [](std::uint16_t port, transport how, const std::string& mechanism, const std::string& first,
                       const std::string& binding) {
    wire_options options;
    options.how = how;
    wire_client client(port, options);
    client.send(startup_bytes({{"user", "scram_user"}, {"database", "app"}}));
    const std::string offer = client.read_message().body.substr(4);
    client.send(message_bytes('p', c_string(mechanism) + int32_bytes(static_cast<std::int64_t>(first.size())) + first));
    wire_message answer = client.read_message();
    if (answer.type == 'R') {
      const std::string challenge = answer.body.substr(4);
      client.send(message_bytes('p', "c=" + binding + "," + challenge.substr(0, challenge.find(',')) +
                                         ",p=" + std::string(43, 'A') + "="));
      answer = client.read_message();
    }
    const bool plus = offer.find("SCRAM-SHA-256-PLUS") == 0;
    return std::string(plus ? "PLUS " : "") + summary(answer) + " " + error_field(answer, 'M');
  };
  const std::string wrong = "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAAAA"; // p=tls-server-end-point,, and three zeros
  struct row {
    transport how;
    const char* mechanism;
    const char* first;
    std::string binding, expected;
    bool same_text;
  };
  const std::vector<row> rows{
      {transport::tls, "SCRAM-SHA-256", "y,,n=,r=abc", "eSws", "PLUS E(28000) SCRAM channel binding negotiation error",
       true},
      {transport::tls, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=abc", wrong,
       "PLUS E(28000) SCRAM channel binding check failed", true},
      {transport::plain, "SCRAM-SHA-256", "y,,n=,r=abc", "eSws",
       "E(28P01) password authentication failed for user \"scram_user\"", true},
      {transport::plain, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=abc", wrong, "E(08P01)", false},
      {transport::tls, "SCRAM-SHA-256-PLUS", "n,,n=,r=abc", "biws", "PLUS E(08P01)", false},
  };
  for (const row& one : rows) {
    BOOST_TEST_CONTEXT(one.mechanism << " " << one.first) {
      const std::string ours = ends(node.port(), one.how, one.mechanism, one.first, one.binding);
      const std::string postgress = ends(postgres::shared().port(), one.how, one.mechanism, one.first, one.binding);
      BOOST_TEST(ours.substr(0, one.expected.size()) == one.expected);
      BOOST_TEST(postgress.substr(0, one.expected.size()) == one.expected);
      if (one.same_text) BOOST_TEST(ours == postgress);
    }
  }
}

BOOST_AUTO_TEST_CASE(servers_are_logged_in_to_by_trust_password_md5_and_scram) {
  in_every_set_up("", [](pg_edge_process& node) {
    for (const known_user& user : {trust_user, password_user, md5_user, scram_user, tls_user}) {
      pq client(node.conninfo(user.name));
      BOOST_TEST(client.value("select current_user") == user.name);
    }
  });
}

BOOST_AUTO_TEST_CASE(B027_a_server_that_refuses_the_login_is_told_and_recovers_by_reload) {
  for (const set_up& how : every_set_up) {
    std::string toml = set_up_toml(how, "server_login_retry = 1\n");
    std::string broken = toml;
    const std::string secret = scram_user.password;
    broken.replace(broken.find(secret), secret.size(), "not the secret");
    pg_edge_process node(broken);
    for (int i = 0; i < 2; ++i) {
      const auto refused = attempt(node, "scram_user", "");
      BOOST_TEST_REQUIRE(!refused.empty());
      BOOST_TEST(summary(refused.back()) == "E(28P01)");
      BOOST_TEST(error_field(refused.back(), 'M') == "password authentication failed for user \"scram_user\"");
    }
    BOOST_TEST(logs_in(node, "trust_user", ""));
    node.rewrite_config(toml);
    node.signal(SIGHUP);
    BOOST_TEST(node.wait_for_log("event=settings_reloaded"));
    BOOST_TEST(wait_for([&] { return logs_in(node, "scram_user", ""); }, milliseconds(5000)));
  }
}

BOOST_AUTO_TEST_CASE(B194_passwords_are_never_in_the_log) {
  pg_edge_process node(simple_toml("auth_type = \"plain\"\nverbose = 4\n"));
  BOOST_TEST(logs_in(node, "scram_user", scram_user.password));
  BOOST_TEST(!logs_in(node, "scram_user", "a wrong secret"));
  BOOST_TEST(node.wait_for_log("event=client_login_failed"));
  for (const char* secret : {scram_user.password, md5_user.password, "a wrong secret"})
    BOOST_TEST(!node.log_contains(secret));
}

// -- reload and the end
// --------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B026_a_changed_password_counts_for_new_logins_only) {
  const std::string before = simple_toml("auth_type = \"scram-sha-256\"\n",
                                         "[users.changing]\npassword = \"old one\"\n[databases.forced]\nhost = "
                                         "\"127.0.0.1\"\nport = {postgres_port}\ndbname = \"app\"\nuser = "
                                         "\"trust_user\"\n");
  std::string after = before;
  after.replace(after.find("old one"), 7, "new one");
  pg_edge_process node(before);
  wire_client old(node.port());
  old.startup({{"user", "changing"}, {"database", "forced"}}, "old one");
  const std::string pid = old.value("select pg_backend_pid()");
  node.rewrite_config(after);
  node.signal(SIGHUP);
  BOOST_TEST(node.wait_for_log("event=settings_reloaded"));
  BOOST_TEST(old.value("select pg_backend_pid()") == pid); // same server too: nothing of it has changed
  BOOST_TEST(attempt(node, "changing", "old one", "forced").back().type == 'E');
  BOOST_TEST(attempt(node, "changing", "new one", "forced").back().type == 'Z');
}

BOOST_AUTO_TEST_CASE(B148_a_bad_file_is_refused_by_reload_and_the_old_settings_stay) {
  in_every_set_up("default_pool_size = 2\n", [](pg_edge_process& node) {
    wire_client client = log_in(node);
    client.query("begin", "C Z(T)");
    for (const char* text : {"[pg_edge]\nno_such_key = 1\n", "[pg_edge]\nthis_too = = no TOML"}) {
      write_file(node.config_file(), text);
      const std::size_t before = node.log().size();
      node.signal(SIGHUP);
      BOOST_TEST(wait_for([&] { return node.log().find("event=settings_refused", before) != std::string::npos; }));
    }
    BOOST_TEST(node.log_contains("no_such_key"));
    BOOST_TEST(client.value("select 1") == "1");
    client.query("commit", "C Z(I)");
    BOOST_TEST(log_in(node).value("select 1") == "1");
  });
}

BOOST_AUTO_TEST_CASE(B148_pool_size_and_time_outs_change_by_reload) {
  for (const set_up& how : every_set_up) {
    BOOST_TEST_CONTEXT("pool_mode " << how.mode << ", reactors " << how.reactors) {
      pg_edge_process node(set_up_toml(how, "default_pool_size = 1\nquery_wait_timeout = 30\n"));
      wire_client holder = log_in(node), waiting = log_in(node), third = log_in(node);
      holder.query("begin", "C Z(T)");
      waiting.send(query_bytes("begin"));
      BOOST_TEST(waiting.silent_for(milliseconds(200)));
      node.rewrite_config(set_up_toml(how, "default_pool_size = 2\nquery_wait_timeout = \"500ms\"\n"));
      node.signal(SIGHUP);
      waiting.expect("C(BEGIN) Z(T)"); // the new permit is his
      third.send(query_bytes("select 1"));
      BOOST_TEST(summary(third.read_message()) == "E(53300)");
      BOOST_TEST(postgres::shared().backends("trust_user", "app") == 2);
      holder.query("commit", "C Z(I)");
    }
  }
}

BOOST_AUTO_TEST_CASE(B149_a_changed_target_is_followed_after_the_transaction) {
  for (const int reactors : {1, 2}) {
    const std::string before = set_up_toml({"transaction", reactors});
    std::string after = before;
    after.replace(after.find("dbname = \"app\""), 14, "dbname = \"other\"");
    pg_edge_process node(before);
    wire_client client = log_in(node);
    client.query("begin", "C Z(T)");
    BOOST_TEST(client.value("select current_database()") == "app");
    node.rewrite_config(after);
    node.signal(SIGHUP);
    BOOST_TEST(node.wait_for_log("event=settings_reloaded"));
    std::this_thread::sleep_for(milliseconds(100));
    BOOST_TEST(client.value("select current_database()") == "app");
    client.query("commit", "C Z(I)");
    BOOST_TEST(client.value("select current_database()") == "other");
    BOOST_TEST(log_in(node).value("select current_database()") == "other");
  }
}

BOOST_AUTO_TEST_CASE(SIGTERM_refuses_new_clients_and_waits_for_the_present) {
  in_every_set_up("", [](pg_edge_process& other) {
    BOOST_TEST(other.stop(SIGTERM) == 0); // nobody is there
    other.start();
    wire_client client = log_in(other), gone = log_in(other);
    BOOST_TEST(client.value("select 1") == "1");
    const std::size_t before = other.log().size(); // it has stopped once already
    other.signal(SIGTERM);
    BOOST_TEST(wait_for([&] { return other.log().find("event=node_stopping", before) != std::string::npos; }));
    BOOST_TEST(client.value("select 'still served'") == "still served");
    BOOST_CHECK_THROW(log_in(other), test_failure);
    gone.close();
    BOOST_TEST(!other.wait(milliseconds(300)).has_value());
    client.send(terminate_bytes());
    BOOST_TEST(other.wait().value_or(-1) == 0);
    BOOST_TEST(wait_for([] { return postgres::shared().backends("trust_user") == 0; }));
    other.start();
  });
}

BOOST_AUTO_TEST_CASE(SIGINT_ends_each_client_at_the_end_of_its_transaction) {
  in_every_set_up("", [](pg_edge_process& node) {
    wire_client idle = log_in(node), busy = log_in(node);
    BOOST_TEST(idle.value("select 1") == "1");
    busy.query("begin", "C Z(T)");
    node.signal(SIGINT);
    BOOST_TEST(summary(idle.read_message()) == "E(57P01)");
    BOOST_TEST(idle.closed_within(milliseconds(5000)));
    BOOST_TEST(busy.silent_for(milliseconds(200)));
    BOOST_TEST(busy.value("select 'in peace'") == "in peace");
    busy.query("commit", "C(COMMIT) Z(I)");
    BOOST_TEST(summary(busy.read_message()) == "E(57P01)");
    BOOST_TEST(node.wait().value_or(-1) == 0);
    node.start();
  });
}

BOOST_AUTO_TEST_CASE(B159_a_second_signal_ends_at_once) {
  for (const int second : {SIGTERM, SIGINT}) {
    pg_edge_process node(simple_toml());
    wire_client client = log_in(node);
    client.query("begin", "C Z(T)");
    node.signal(SIGTERM);
    BOOST_TEST(node.wait_for_log("event=node_stopping"));
    BOOST_TEST(!node.wait(milliseconds(200)).has_value());
    node.signal(second);
    BOOST_TEST(node.wait(milliseconds(5000)).value_or(-1) == 0);
  }
}

BOOST_AUTO_TEST_SUITE_END()
