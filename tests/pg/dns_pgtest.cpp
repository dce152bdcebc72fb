// Host names whose addresses change, name servers that fail, and rules about the names of clients.
#include "tests/pg/hosts_support.hpp"

using namespace pg_edge::test;

BOOST_AUTO_TEST_SUITE(dns_pgtest)

BOOST_AUTO_TEST_CASE(B176_a_changed_address_drains_the_old_one_without_an_error) {
  two_servers& both = two_servers::get();
  dns_server dns;
  dns.set("db.test", {both.first_address});
  pg_edge_process node(hosts_toml("db.test", "resolv_conf = \"" + dns.resolv_conf() + "\"\ndefault_pool_size = 6\n"));
  crowd_of_clients load(node, 4);
  BOOST_TEST_REQUIRE(wait_for([&] { return load.answers_of(both.first_address) > 50; }));
  pq busy(node.conninfo());
  busy.exec("begin");
  BOOST_TEST(where(busy) == both.first_address);
  dns.set("db.test", {both.second_address});
  BOOST_TEST(node.wait_for_log("event=host_moved"));
  BOOST_TEST(wait_for([&] { return load.answers_of(both.second_address) > 50; }));
  // All that is left there is what is in use.
  BOOST_TEST(wait_for([&] { return both.first.backends("trust_user") == 1; }));
  const int seen = load.answers_of(both.first_address);
  BOOST_TEST(where(busy) == both.first_address);
  busy.exec("commit");
  BOOST_TEST(wait_for([&] { return both.first.backends("trust_user") == 0; }));
  BOOST_TEST(where(busy) == both.second_address);
  BOOST_TEST(load.answers_of(both.first_address) <= seen + 4); // those under way
  BOOST_TEST(load.stop() == "");
}

BOOST_AUTO_TEST_CASE(B176_an_idle_pool_follows_too) {
  two_servers& both = two_servers::get();
  dns_server dns;
  dns.set("db.test", {both.first_address});
  pg_edge_process node(
      hosts_toml("db.test", "resolv_conf = \"" + dns.resolv_conf() + "\"\nmin_pool_size = 2\nreactors = 2\n"));
  pq client(node.conninfo());
  BOOST_TEST(where(client) == both.first_address);
  BOOST_TEST(wait_for([&] { return both.first.backends("trust_user") == 2; }));
  dns.set("db.test", {both.second_address});
  BOOST_TEST(
      wait_for([&] { return both.first.backends("trust_user") == 0 && both.second.backends("trust_user") == 2; }));
  BOOST_TEST(where(client) == both.second_address);
}

BOOST_AUTO_TEST_CASE(B176_while_no_name_server_answers_the_last_addresses_serve) {
  two_servers& both = two_servers::get();
  for (const bool silent : {true, false}) {
    dns_server dns;
    dns.set("db.test", {both.first_address});
    pg_edge_process node(hosts_toml("db.test", "resolv_conf = \"" + dns.resolv_conf() + "\"\nserver_lifetime = 1\n"));
    pq client(node.conninfo());
    BOOST_TEST(where(client) == both.first_address);
    if (silent)
      dns.be_silent(true);
    else
      dns.be_broken(true);
    BOOST_TEST_REQUIRE(node.wait_for_log("event=dns_failed host=db.test", milliseconds(30000)));
    const int before = connects(node);
    BOOST_TEST(wait_for(
        [&] { // new servers, at the old address
          BOOST_TEST(where(client) == both.first_address);
          return connects(node) >= before + 2;
        },
        milliseconds(30000)));
    dns.be_silent(false);
    dns.be_broken(false);
    dns.set("db.test", {both.second_address});
    BOOST_TEST(node.wait_for_log("event=dns_works_again host=db.test", milliseconds(30000)));
    BOOST_TEST(wait_for([&] { return where(client) == both.second_address; }));
    BOOST_TEST(count_of(node.log(), "event=dns_failed") == 1);
  }
}

BOOST_AUTO_TEST_CASE(B176_a_name_that_comes_to_exist_is_found) {
  two_servers& both = two_servers::get();
  dns_server dns;
  pg_edge_process node(hosts_toml("new.test", "resolv_conf = \"" + dns.resolv_conf() + "\"\nserver_login_retry = 1\n"));
  std::string answer;
  std::thread asks([&] {
    pq client(node.conninfo());
    answer = where(client);
  });
  BOOST_TEST(node.wait_for_log("event=dns_failed host=new.test"));
  BOOST_TEST(node.wait_for_log("could not resolve"));
  dns.set("new.test", {both.second_address});
  asks.join();
  BOOST_TEST(answer == both.second_address);
}

BOOST_AUTO_TEST_CASE(one_look_up_serves_all_who_wait) {
  two_servers& both = two_servers::get();
  dns_server dns;
  dns.set("db.test", {both.first_address}, 60);
  dns.be_slow(milliseconds(300));
  pg_edge_process node(hosts_toml("db.test", "resolv_conf = \"" + dns.resolv_conf() +
                                                 "\"\ndns_max_ttl = 60\nreactors = 2\ndefault_pool_size = 8\n"));
  std::vector<std::thread> clients;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i)
    clients.emplace_back([&] {
      pq client(node.conninfo());
      client.exec("begin");
      good += where(client) == both.first_address;
    });
  for (auto& one : clients)
    one.join();
  BOOST_TEST(good == 8);
  BOOST_TEST(dns.questions("db.test") == 2); // A and AAAA
}

BOOST_AUTO_TEST_CASE(a_shorter_life_wins_and_a_name_in_use_is_asked_for_again) {
  two_servers& both = two_servers::get();
  dns_server dns;
  dns.set("short.test", {both.first_address}, 1);
  dns.set("long.test", {both.first_address}, 600);
  pg_edge_process node(
      hosts_toml("short.test", "resolv_conf = \"" + dns.resolv_conf() + "\"\ndns_max_ttl = 600\n",
                 "[databases.other]\nhost = \"long.test\"\nport = {hosts_port}\ndbname = \"other\"\n"));
  pq brief(node.conninfo()), lasting(node.conninfo("trust_user", "other"));
  BOOST_TEST(where(brief) == both.first_address);
  BOOST_TEST(where(lasting) == both.first_address);
  BOOST_TEST(wait_for([&] { return dns.questions("short.test") >= 6; }));
  BOOST_TEST(dns.questions("long.test") == 2);
}

BOOST_AUTO_TEST_CASE(B175_several_addresses_of_a_name_share_the_servers) {
  two_servers& both = two_servers::get();
  dns_server dns;
  dns.set("db.test", {both.first_address, nobody_address, both.second_address, "fd00::1"}, 60);
  pg_edge_process node(hosts_toml("db.test", "resolv_conf = \"" + dns.resolv_conf() + "\"\ndefault_pool_size = 8\n"));
  BOOST_TEST((spread(node, 8) == std::map<std::string, int>{{both.first_address, 4}, {both.second_address, 4}}));
}

BOOST_AUTO_TEST_CASE(names_stand_in_the_hosts_file_too) {
  two_servers& both = two_servers::get();
  dns_server dns;
  dns.be_silent(true);
  temp_dir folder;
  ::chmod(folder.path().c_str(), 0755);
  write_file(folder / "hosts", both.second_address + " db.home other\n");
  pg_edge_options options;
  options.environment.push_back("CARES_HOSTS=" + (folder / "hosts"));
  pg_edge_process node(hosts_toml("db.home", "resolv_conf = \"" + dns.resolv_conf() + "\"\n"), options);
  pq client(node.conninfo());
  BOOST_TEST(where(client) == both.second_address);
  pg_edge_process plain(
      hosts_toml("localhost", "resolv_conf = \"" + dns.resolv_conf() + "\"\n", "", "{postgres_port}"));
  pq local(plain.conninfo());
  BOOST_TEST(local.value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(new_name_servers_are_found_without_a_restart) {
  two_servers& both = two_servers::get();
  dns_server old, other;
  other.set("db.test", {both.second_address});
  temp_dir folder;
  ::chmod(folder.path().c_str(), 0755);
  write_file(folder / "resolv.conf", read_file(old.resolv_conf()));
  pg_edge_process node(
      hosts_toml("db.test", "resolv_conf = \"" + (folder / "resolv.conf") + "\"\nserver_login_retry = 1\n"));
  std::string answer;
  std::thread asks([&] {
    pq client(node.conninfo());
    answer = where(client);
  });
  BOOST_TEST(node.wait_for_log("event=dns_failed"));
  write_file(folder / "resolv.conf", "# moved\n" + read_file(other.resolv_conf()));
  asks.join();
  BOOST_TEST(answer == both.second_address);
}

// -- rules about clients' names --------------------------------------------------------------------------------------

namespace {

struct ruled {
  temp_dir folder;
  dns_server dns;
  std::unique_ptr<pg_edge_process> node;

  explicit ruled(const std::string& rules, const std::string& settings = "") {
    ::chmod(folder.path().c_str(), 0755);
    write_file(folder / "hba", rules);
    dns.set_reverse("127.0.0.2", "Web.good.test");
    dns.set("web.good.test", {"127.0.0.2", "10.0.0.1"});
    dns.set_reverse("127.0.0.3", "web.good.test"); // whose address this is not
    dns.set_reverse("127.0.0.4", "web.evil.test");
    dns.set("web.evil.test", {"127.0.0.4"});
    dns.set_reverse("127.0.0.5", "nowhere.good.test"); // does not exist
    node = std::make_unique<pg_edge_process>(
        "[pg_edge]\nlisten_addr = \"0.0.0.0\"\nlisten_port = {port}\nauth_type = \"hba\"\nauth_failure_limit = 0\n"
        "auth_hba_file = \"" +
        (folder / "hba") + "\"\nresolv_conf = \"" + dns.resolv_conf() + "\"\n" + settings +
        "[databases.app]\nhost = \"127.0.0.1\"\nport = {postgres_port}\nuser = \"postgres\"\n"
        "[users.md5_user]\npassword = \"secret of md5_user\"\n[users.trust_user]\n");
  }
  /// "R0" when let in without a password, "R5" for md5, or the error's SQLSTATE.
  std::string answer(const std::string& from, const std::string& user = "trust_user") const {
    wire_options options;
    options.timeout = milliseconds(30000);
    wire_client client(node->port(), options, from);
    client.send(startup_bytes({{"user", user}, {"database", "app"}}));
    const auto message = client.read_message();
    if (message.type == 'E') return error_field(message, 'C');
    if (message.type != 'R' || message.body.size() < 4) return summary(message);
    return "R" + std::to_string(static_cast<int>(static_cast<unsigned char>(message.body[3])));
  }
};

} // namespace

BOOST_AUTO_TEST_CASE(B030_rules_by_host_name) {
  ruled edge("host app trust_user WEB.GOOD.test trust\nhost app all .good.TEST md5\n");
  BOOST_TEST(edge.answer("127.0.0.2") == "R0");
  BOOST_TEST(edge.answer("127.0.0.2", "md5_user") == "R5");
  BOOST_TEST(edge.answer("127.0.0.3") == "28000"); // forged
  BOOST_TEST(edge.answer("127.0.0.3", "md5_user") == "28000");
  BOOST_TEST(edge.answer("127.0.0.4") == "28000"); // another zone
  BOOST_TEST(edge.answer("127.0.0.5") == "28000"); // its name has no address
  BOOST_TEST(edge.answer("127.0.0.6") == "28000"); // no name
  edge.dns.set("web.good.test", {"127.0.0.3"});
  BOOST_TEST(edge.answer("127.0.0.2") == "28000"); // the answers changed
  BOOST_TEST(edge.answer("127.0.0.3") == "R0");
}

BOOST_AUTO_TEST_CASE(B030_names_are_looked_up_only_when_a_rule_hangs_on_them) {
  ruled edge("host all trust_user 127.0.0.2/32 trust\nhost other all .good.test trust\n"
             "host app md5_user .good.test md5\nhost all all 127.0.0.6/32 trust\n");
  BOOST_TEST(edge.answer("127.0.0.2") == "R0");
  BOOST_TEST(edge.answer("127.0.0.6") == "R0");
  BOOST_TEST(edge.dns.questions() == 0);
  BOOST_TEST(edge.answer("127.0.0.2", "md5_user") == "R5");
  BOOST_TEST(edge.dns.questions("2.0.0.127.in-addr.arpa") == 1); // once a login
  // Nobody knows the name: the rules behind decide, as in Postgres.
  edge.dns.be_broken(true);
  BOOST_TEST(edge.answer("127.0.0.6", "md5_user") == "R0");
  BOOST_TEST(edge.answer("127.0.0.2", "md5_user") == "28000");
}

BOOST_AUTO_TEST_CASE(B030_a_slow_name_server_holds_up_nobody_else) {
  ruled edge("host app md5_user .good.test md5\nhost all trust_user all trust\n",
             "client_login_timeout = 2\nreactors = 1\n");
  edge.dns.be_silent(true);
  std::vector<std::unique_ptr<wire_client>> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(std::make_unique<wire_client>(edge.node->port(), wire_options{}, "127.0.0.2"));
    waiting.back()->send(startup_bytes({{"user", "md5_user"}, {"database", "app"}}));
  }
  BOOST_TEST(wait_for([&] { return edge.dns.questions() > 0; }));
  for (int i = 0; i < 10; ++i)
    BOOST_TEST(edge.answer("127.0.0.6") == "R0");
  waiting.resize(10); // these leave, the others run into client_login_timeout
  for (const auto& one : waiting) {
    const auto message = one->read_message();
    BOOST_TEST(message.type == 'E');
    BOOST_TEST(error_field(message, 'C') == "57P05");
  }
  edge.dns.be_silent(false);
  BOOST_TEST(edge.answer("127.0.0.2", "md5_user") == "R5");
  BOOST_TEST(edge.node->running());
}

BOOST_AUTO_TEST_SUITE_END()
