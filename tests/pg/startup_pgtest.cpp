// Behaviours 1 to 18: what a client meets between connecting and its first query.
#include "tests/pg/edges_support.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

using namespace pg_edge::test;

namespace {

/// Start-up against Postgres itself, to compare with.
wire_client direct(const start_parameters& more = {}, const std::string& user = "trust_user") {
  wire_client client(postgres::shared().port());
  start_parameters parameters{{"user", user}, {"database", "app"}};
  parameters.insert(parameters.end(), more.begin(), more.end());
  client.startup(parameters);
  return client;
}

/// Type and body of each message; what differs by nature between two connections is left out.
std::vector<std::string> bytes_of(const std::vector<wire_message>& messages) {
  std::vector<std::string> result;
  for (const wire_message& message : messages)
    result.push_back(message.type == 'K' ? std::string("K") : message.type + message.body);
  return result;
}

std::string show(wire_client& client, const std::string& name) {
  return client.value("show " + name);
}

struct tcp_entry {
  int timer = 0;      // 2: keep-alive
  double seconds = 0; // until it fires
};

/// The kernel's entry for the socket of 127.0.0.1 with these ports.
std::optional<tcp_entry> tcp_entry_of(int local_port, int remote_port) {
  std::ifstream table("/proc/net/tcp");
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    unsigned local = 0, remote = 0, timer = 0;
    unsigned long when = 0;
    if (std::sscanf(line.c_str(), " %*d: %*8x:%4x %*8x:%4x %*2x %*8x:%*8x %2x:%8lx", &local, &remote, &timer, &when) !=
        4)
      continue;
    if (static_cast<int>(local) == local_port && static_cast<int>(remote) == remote_port)
      return tcp_entry{static_cast<int>(timer), static_cast<double>(when) / static_cast<double>(sysconf(_SC_CLK_TCK))};
  }
  return std::nullopt;
}

int local_port(const wire_client& client) {
  sockaddr_in here{};
  socklen_t length = sizeof here;
  getsockname(client.descriptor(), reinterpret_cast<sockaddr*>(&here), &length);
  return ntohs(here.sin_port);
}

/// Answers a log-in with the given messages and every query with the row "1".
class scripted_server {
public:
  explicit scripted_server(std::string login_messages) : login_(std::move(login_messages)) {
    listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof here;
    if (::bind(listening_, reinterpret_cast<sockaddr*>(&here), length) != 0 || ::listen(listening_, 16) != 0)
      throw test_failure("the scripted server cannot listen");
    ::getsockname(listening_, reinterpret_cast<sockaddr*>(&here), &length);
    port_ = ntohs(here.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~scripted_server() {
    ::shutdown(listening_, SHUT_RDWR);
    thread_.join();
    ::close(listening_);
    for (std::thread& one : talks_)
      one.join();
  }
  std::uint16_t port() const { return port_; }

private:
  static bool read_exactly(int fd, std::string& into, std::size_t count) {
    into.assign(count, '\0');
    return count == 0 || ::recv(fd, into.data(), count, MSG_WAITALL) == static_cast<ssize_t>(count);
  }
  static std::size_t number(const std::string& four) {
    std::uint32_t raw = 0;
    std::memcpy(&raw, four.data(), 4);
    return ntohl(raw);
  }
  void talk(int fd) const {
    std::string head, body;
    if (read_exactly(fd, head, 4) && read_exactly(fd, body, number(head) - 4)) {
      ::send(fd, login_.data(), login_.size(), MSG_NOSIGNAL);
      const std::string row =
          message_bytes('T', int16_bytes(1) + c_string("x") + int32_bytes(0) + int16_bytes(0) + int32_bytes(25) +
                                 int16_bytes(-1) + int32_bytes(-1) + int16_bytes(0)) +
          message_bytes('D', int16_bytes(1) + int32_bytes(1) + "1") + message_bytes('C', c_string("SELECT 1")) +
          message_bytes('Z', "I");
      while (read_exactly(fd, head, 5) && read_exactly(fd, body, number(head.substr(1)) - 4) && head[0] == 'Q')
        ::send(fd, row.data(), row.size(), MSG_NOSIGNAL);
    }
    ::close(fd);
  }
  void serve() {
    for (int fd = 0; (fd = ::accept(listening_, nullptr, nullptr)) >= 0;)
      talks_.emplace_back([this, fd] { talk(fd); });
  }

  std::string login_;
  int listening_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
  std::vector<std::thread> talks_;
};

std::string login_script(const std::string& more) {
  const auto status = [](const char* name, const char* value) {
    return message_bytes('S', c_string(name) + c_string(value));
  };
  return message_bytes('R', int32_bytes(0)) + status("server_version", "15.1") + status("client_encoding", "UTF8") +
         status("server_encoding", "UTF8") + status("DateStyle", "ISO, MDY") + status("TimeZone", "Etc/UTC") +
         status("standard_conforming_strings", "on") + status("integer_datetimes", "on") +
         status("application_name", "") + status("IntervalStyle", "postgres") + more +
         message_bytes('K', int32_bytes(77) + int32_bytes(88)) + message_bytes('Z', "I");
}

std::string scripted_database(const scripted_server& server) {
  return "[databases.scripted]\nhost = \"127.0.0.1\"\nport = " + std::to_string(server.port()) +
         "\nserver_tls_sslmode = \"disable\"\n";
}

} // namespace

BOOST_AUTO_TEST_SUITE(startup_pgtest)

BOOST_AUTO_TEST_CASE(B001_an_unknown_database_is_told_only_to_who_has_the_password) {
  pg_edge_process node(simple_toml("auth_type = \"scram-sha-256\"\n"));
  const auto attempt = [&](const char* database, const char* password) {
    wire_client client(node.port());
    auto messages = client.try_startup({{"user", scram_user.name}, {"database", database}}, password);
    BOOST_TEST(client.closed_within(milliseconds(5000)));
    return messages;
  };
  auto known = attempt("no_such_database", scram_user.password);
  BOOST_TEST(summary(known.back()) == "E(3D000)");
  BOOST_TEST(error_field(known.back(), 'S') == "FATAL");
  BOOST_TEST(error_field(known.back(), 'M') == "database \"no_such_database\" does not exist");
  auto stranger = attempt("no_such_database", "wrong"), elsewhere = attempt("app", "wrong");
  BOOST_TEST(summary(stranger) == "R(10) R(11) E(28P01)");
  BOOST_TEST(summary(elsewhere) == summary(stranger));
  BOOST_TEST((elsewhere.back().body == stranger.back().body));
}

BOOST_AUTO_TEST_CASE(B002_a_database_the_server_lacks_gives_the_servers_own_message) {
  const std::string table =
      "[databases.lacking]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"not_there\"\n";
  for (const set_up& how : every_set_up) {
    pg_edge_process node(set_up_toml(how, "", table));
    wire_client client(node.port()), straight(postgres::shared().port());
    auto messages = client.try_startup({{"user", "trust_user"}, {"database", "lacking"}});
    auto own = straight.try_startup({{"user", "trust_user"}, {"database", "not_there"}});
    BOOST_TEST_REQUIRE(!messages.empty());
    BOOST_TEST(summary(messages.back()) == "E(3D000)");
    BOOST_TEST((messages.back().body == own.back().body));
    BOOST_TEST(client.closed_within(milliseconds(5000)));
    BOOST_TEST(log_in(node).value("select 1") == "1"); // the other databases are well
  }
}

BOOST_AUTO_TEST_CASE(B003_without_a_database_the_users_name_is_taken) {
  pg_edge_process node(
      simple_toml("", "[databases.trust_user]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"other\"\n"));
  wire_client none(node.port()), empty(node.port());
  BOOST_TEST(none.startup({{"user", "trust_user"}}).value("select current_database()") == "other");
  BOOST_TEST(empty.startup({{"user", "trust_user"}, {"database", ""}}).value("select current_database()") == "other");
}

BOOST_AUTO_TEST_CASE(B004_empty_options_are_accepted) {
  in_every_set_up("", [](pg_edge_process& node) {
    BOOST_TEST(log_in(node, "trust_user", {{"options", ""}}).value("select 1") == "1");
    BOOST_TEST(log_in(node, "trust_user", {{"options", "   "}}).value("select 1") == "1");
  });
}

BOOST_AUTO_TEST_CASE(B005_a_packet_too_long_or_malformed_is_refused_and_a_long_legal_one_works) {
  pg_edge_process node(simple_toml());
  const auto refused = [&](const std::string& what, const std::string& bytes) {
    BOOST_TEST_CONTEXT(what) {
      wire_client client(node.port());
      client.send(bytes);
      auto message = client.try_read_message(milliseconds(5000));
      BOOST_TEST_REQUIRE(message.has_value());
      BOOST_TEST(summary(*message) == "E(08P01)");
      BOOST_TEST(error_field(*message, 'S') == "FATAL");
      BOOST_TEST(client.closed_within(milliseconds(5000)));
    }
  };
  const start_parameters usual{{"user", "trust_user"}, {"database", "app"}};
  refused("too long", startup_bytes({{"user", "trust_user"}, {"application_name", std::string(10'000, 'x')}}));
  refused("stated too long", int32_bytes(0x7fffffff) + int32_bytes(protocol_3_0));
  refused("stated too short", int32_bytes(7) + int32_bytes(protocol_3_0));
  refused("negative", int32_bytes(-1) + int32_bytes(protocol_3_0));
  std::string cut = startup_bytes(usual);
  cut.pop_back();
  cut.replace(0, 4, int32_bytes(static_cast<std::int64_t>(cut.size())));
  refused("no terminator", cut);
  std::string odd = int32_bytes(8 + 5) + int32_bytes(protocol_3_0) + std::string("user\0", 5);
  refused("a name without a value", odd);

  const std::string value(9'000, 'y');
  wire_client large(node.port());
  std::string packet = startup_bytes({{"user", "trust_user"}, {"database", "app"}, {"options", "-c my.x=" + value}});
  large.send_in_pieces(packet, 1000, milliseconds(1));
  large.read_until_ready();
  BOOST_TEST(show(large, "my.x") == value);
  wire_client slow(node.port());
  slow.send_in_pieces(startup_bytes(usual), 1);
  BOOST_TEST(slow.read_until_ready().back().type == 'Z');
}

BOOST_AUTO_TEST_CASE(B006_messages_equal_the_servers_byte_for_byte) {
  in_every_set_up("", [](pg_edge_process& node) {
    wire_client through(node.port()), straight(postgres::shared().port());
    const start_parameters who{{"user", "trust_user"}, {"database", "app"}, {"application_name", "b006"}};
    auto in = bytes_of(through.try_startup(who)), own = bytes_of(straight.try_startup(who));
    // In which order parameters are reported has no meaning.
    std::sort(in.begin(), in.end());
    std::sort(own.begin(), own.end());
    BOOST_TEST(in == own, boost::test_tools::per_element());
    const std::vector<std::string> exchanges{
        query_bytes("select 1 as a, null as b, 'x' as c; select 2"),
        query_bytes(""),
        query_bytes("select nonsense"),
        query_bytes("begin"),
        query_bytes("select 1/0"),
        query_bytes("select 1"),
        query_bytes("rollback"),
        query_bytes("do $$ begin raise notice 'n %', 1 using hint = 'h'; end $$"),
        query_bytes("copy (select generate_series(1, 3)) to stdout"),
        parse_bytes("", "select $1::int + 1", {23}) + describe_bytes('S', "") + bind_bytes("", "", {"41"}) +
            describe_bytes('P', "") + execute_bytes() + sync_bytes(),
        parse_bytes("", "select generate_series(1, 5)") + bind_bytes("", "") + execute_bytes("", 2) +
            execute_bytes("", 2) + sync_bytes(),
        parse_bytes("", "select * from not_there") + bind_bytes("", "") + execute_bytes() + sync_bytes(),
        parse_bytes("", "") + bind_bytes("", "") + execute_bytes() + sync_bytes(),
        sync_bytes(),
    };
    for (const std::string& exchange : exchanges) {
      through.send(exchange);
      straight.send(exchange);
      BOOST_TEST(bytes_of(through.read_until_ready()) == bytes_of(straight.read_until_ready()),
                 boost::test_tools::per_element());
    }
    through.send(terminate_bytes());
    BOOST_TEST(through.closed_within(milliseconds(5000)));
  });
}

BOOST_AUTO_TEST_CASE(B006_requests_for_encryption_are_answered_and_the_login_goes_on) {
  pg_edge_process node(simple_toml());
  wire_client client(node.port());
  client.send(gssenc_request_bytes());
  BOOST_TEST(client.read_raw(1) == "N");
  client.send(ssl_request_bytes());
  BOOST_TEST(client.read_raw(1) == "N");
  BOOST_TEST(client.login("trust_user", "app").value("select 1") == "1");
  wire_client reversed(node.port());
  reversed.send(ssl_request_bytes());
  BOOST_TEST(reversed.read_raw(1) == "N");
  reversed.send(gssenc_request_bytes());
  BOOST_TEST(reversed.read_raw(1) == "N");
  BOOST_TEST(reversed.login("trust_user", "app").value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(B007_protocol_versions_are_negotiated) {
  pg_edge_process node(simple_toml());
  wire_client old = log_in(node);
  BOOST_TEST(old.secret().size() == 4U);
  wire_client current(node.port());
  auto messages = current.try_startup({{"user", "trust_user"}, {"database", "app"}}, "", protocol_3_2);
  BOOST_TEST(messages.front().type == 'R');
  BOOST_TEST(messages.back().type == 'Z');
  BOOST_TEST(current.secret().size() > 4U);
  BOOST_TEST(current.secret().size() <= 256U);

  const auto negotiation = [&](std::int32_t version, const start_parameters& more) {
    wire_client client(node.port());
    start_parameters parameters{{"user", "trust_user"}, {"database", "app"}};
    parameters.insert(parameters.end(), more.begin(), more.end());
    auto all = client.try_startup(parameters, "", version);
    BOOST_TEST_REQUIRE(!all.empty());
    BOOST_TEST(all.back().type == 'Z');
    BOOST_TEST(client.value("select 1") == "1");
    return all.front().type == 'v' ? all.front().body : std::string("none");
  };
  BOOST_TEST((negotiation(protocol_3_0 + 3, {}) == int32_bytes(protocol_3_2) + int32_bytes(0)));
  BOOST_TEST((negotiation(protocol_3_0 + 9999, {}) == int32_bytes(protocol_3_2) + int32_bytes(0)));
  BOOST_TEST((negotiation(protocol_3_0, {{"_pq_.not_known", "1"}, {"_pq_.neither", "x"}}) ==
              int32_bytes(protocol_3_0) + int32_bytes(2) + c_string("_pq_.not_known") + c_string("_pq_.neither")));
  for (std::int32_t version : {2 << 16, 4 << 16}) {
    wire_client client(node.port());
    auto refused = client.try_startup({{"user", "trust_user"}, {"database", "app"}}, "", version);
    BOOST_TEST(summary(refused) == "E(0A000)");
  }
}

BOOST_AUTO_TEST_CASE(B008_options_work_in_every_spelling) {
  const struct {
    const char* options;
    const char* name;
  } rows[] = {
      {"-c work_mem=5MB", "work_mem"},
      {"-cwork_mem=6MB", "work_mem"},
      {"--work_mem=7MB", "work_mem"},
      {"--work-mem=8MB", "work_mem"},
      {"   -c    work_mem=9MB   ", "work_mem"},
      {"-c my.words=two\\ words", "my.words"},
      {"-c my.back=a\\\\b", "my.back"},
      {"-c my.one=1 -c my.two=2 --my.three=3", "my.three"},
      {"-c work_mem=5MB -c work_mem=11MB", "work_mem"},
      {"-c geqo=off", "geqo"},
      {"-c DateStyle=SQL,DMY", "DateStyle"},
      {"-c search_path=pg_catalog", "search_path"},
      {"-S 4096", "work_mem"},
      {"-fs", "enable_seqscan"},
  };
  in_every_set_up("", [&](pg_edge_process& node) {
    for (const auto& row : rows)
      BOOST_TEST_CONTEXT(row.options) {
        wire_client straight = direct({{"options", row.options}});
        wire_client client = log_in(node, "trust_user", {{"options", row.options}});
        BOOST_TEST(show(client, row.name) == show(straight, row.name));
      }
    wire_client several = log_in(node, "trust_user", {{"options", "-c my.one=1 -c my.two=2 --my.three=3"}});
    BOOST_TEST(show(several, "my.one") + show(several, "my.two") + show(several, "my.three") == "123");
    // A start-up parameter of its own outranks options, as in Postgres.
    const start_parameters both{{"options", "-c work_mem=5MB"}, {"work_mem", "6MB"}};
    wire_client straight = direct(both), client = log_in(node, "trust_user", both);
    BOOST_TEST(show(client, "work_mem") == show(straight, "work_mem"));
  });
}

BOOST_AUTO_TEST_CASE(B009_a_bad_value_in_options_is_an_error_at_login_and_injects_nothing) {
  in_every_set_up("default_pool_size = 1\n", [](pg_edge_process& node) {
    for (const char* options : {"-c work_mem=nonsense", "-c no_such_setting=1", "-c shared_buffers=1GB", "nonsense",
                                "-c work_mem=5MB -c DateStyle=nonsense"})
      BOOST_TEST_CONTEXT(options) {
        wire_client client(node.port()), straight(postgres::shared().port());
        const start_parameters who{{"user", "trust_user"}, {"database", "app"}, {"options", options}};
        auto messages = client.try_startup(who), own = straight.try_startup(who);
        BOOST_TEST_REQUIRE(!messages.empty());
        BOOST_TEST(summary(messages.back()) == summary(own.back()));
        BOOST_TEST(error_field(messages.back(), 'S') == "FATAL");
        BOOST_TEST(client.closed_within(milliseconds(5000)));
      }
    const std::string evil = "a'; set work_mem to '77MB'; --";
    std::string escaped;
    for (char c : evil)
      escaped += c == ' ' ? std::string("\\ ") : std::string(1, c);
    wire_client client = log_in(node, "trust_user", {{"options", "-c my.x=" + escaped}});
    BOOST_TEST(show(client, "my.x") == evil);
    BOOST_TEST(show(client, "work_mem") != "77MB");
    client.send(terminate_bytes());
    BOOST_TEST(client.closed_within(milliseconds(5000)));
    wire_client next = log_in(node, "trust_user", {{"application_name", evil}});
    BOOST_TEST(show(next, "application_name") == evil);
    BOOST_TEST(show(next, "work_mem") == "4MB");
    BOOST_TEST(summary(next.query("select current_setting('my.x', true) = 'a'", "T D C Z").at(1)) != "D(t)");
  });
}

BOOST_AUTO_TEST_CASE(B010_search_path_of_options_holds_on_every_server_connection) {
  const start_parameters wish{{"options", "-c search_path=\"$user\",pg_temp,\"My\\ Odd\",Schema"}};
  const std::string expected = [&] {
    wire_client straight = direct(wish);
    return show(straight, "search_path");
  }();
  BOOST_TEST(expected.find("\"My Odd\"") != std::string::npos);
  in_every_set_up("default_pool_size = 3\nserver_round_robin = true\n", [&](pg_edge_process& node) {
    wire_client client = log_in(node, "trust_user", wish);
    BOOST_TEST(show(client, "search_path") == expected);
  });
  pg_edge_process node(simple_toml("default_pool_size = 3\nserver_round_robin = true\nreactors = 1\n"));
  wire_client client = log_in(node, "trust_user", wish), plain = log_in(node);
  std::vector<wire_client> holders; // they make the pool open all its servers
  for (int i = 0; i < 3; ++i) {
    holders.push_back(log_in(node));
    holders.back().query("begin", "C Z(T)");
  }
  for (wire_client& holder : holders)
    holder.query("commit", "C Z(I)");
  std::set<std::string> met;
  for (int i = 0; i < 30; ++i) {
    client.query("begin", "C Z(T)");
    BOOST_TEST(show(client, "search_path") == expected);
    met.insert(client.value("select pg_backend_pid()"));
    client.query("commit", "C Z(I)");
    if (i % 4 == 0) BOOST_TEST(show(plain, "search_path") == "\"$user\", public");
  }
  BOOST_TEST(met.size() == 3U);
}

BOOST_AUTO_TEST_CASE(B011_application_name_is_each_clients_own) {
  in_every_set_up("default_pool_size = 1\n", [](pg_edge_process& node) {
    const auto name_of = [&](const start_parameters& more) {
      wire_client client = log_in(node, "trust_user", more);
      const std::string name = show(client, "application_name");
      BOOST_TEST(client.parameter("application_name") == name);
      client.send(terminate_bytes());
      BOOST_TEST(client.closed_within(milliseconds(5000)));
      return name;
    };
    BOOST_TEST(name_of({{"application_name", "first"}}) == "first");
    BOOST_TEST(name_of({{"application_name", ""}}) == "");
    BOOST_TEST(name_of({{"application_name", "second"}}) == "second");
    BOOST_TEST(name_of({}) == "");
    const std::string odd = "q'uo\"te\\ %s";
    BOOST_TEST(name_of({{"application_name", odd}}) == odd);
    wire_client straight = direct({{"application_name", std::string(100, 'n')}});
    BOOST_TEST(name_of({{"application_name", std::string(100, 'n')}}) == show(straight, "application_name"));
  });
}

BOOST_AUTO_TEST_CASE(B012_a_notice_at_login_when_configured_and_none_otherwise) {
  const start_parameters who{{"user", "trust_user"}, {"database", "app"}};
  for (const set_up& how : every_set_up) {
    pg_edge_process node(set_up_toml(how));
    for (int again = 0; again < 2; ++again) // the first login learns from a server
      for (const wire_message& message : wire_client(node.port()).try_startup(who))
        BOOST_TEST(message.type != 'N');
    node.rewrite_config(set_up_toml(how, "login_notify_message = \"this is a pooler\"\n"));
    node.signal(SIGHUP);
    BOOST_TEST(node.wait_for_log("event=settings_reloaded"));
    const auto messages = wire_client(node.port()).try_startup(who);
    BOOST_TEST_REQUIRE(messages.size() > 2u);
    const wire_message& notice = messages[messages.size() - 2];
    BOOST_TEST(summary(notice) == "N(00000)");
    BOOST_TEST(error_field(notice, 'S') == "NOTICE");
    BOOST_TEST(error_field(notice, 'M') == "this is a pooler");
    BOOST_TEST(summary(messages.back()) == "Z(I)");
    BOOST_TEST(std::count_if(messages.begin(), messages.end(), [](const auto& one) { return one.type == 'N'; }) == 1);
  }
}

BOOST_AUTO_TEST_CASE(B013_parameter_status_matches_the_servers_in_canonical_form) {
  in_every_set_up("", [](pg_edge_process& node) {
    const start_parameters wishes[] = {
        {},
        {{"client_encoding", "utf-8"}},
        {{"client_encoding", "latin1"}, {"datestyle", "iso, dmy"}},
        {{"DATESTYLE", "german"}, {"timezone", "europe/berlin"}, {"intervalstyle", "ISO_8601"}},
        {{"options", "-c TimeZone=utc -c standard_conforming_strings=OFF"}},
    };
    for (const start_parameters& wish : wishes) {
      const auto statuses = [](const std::vector<wire_message>& messages) {
        std::set<std::string> result;
        for (const wire_message& message : messages)
          if (message.type == 'S') result.insert(summary(message));
        return result;
      };
      start_parameters all{{"user", "trust_user"}, {"database", "app"}};
      all.insert(all.end(), wish.begin(), wish.end());
      for (int again = 0; again < 2; ++again) { // the second time from what the first has learned
        wire_client through(node.port()), straight(postgres::shared().port());
        BOOST_TEST(statuses(through.try_startup(all)) == statuses(straight.try_startup(all)),
                   boost::test_tools::per_element());
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(B014_a_server_that_warns_while_logging_in_is_taken) {
  postgres& server = postgres::shared();
  pq admin = server.admin();
  admin.exec("drop role if exists warned");
  admin.exec("create role warned login password 'warned'");
  admin.exec("alter role warned set default_text_search_config = 'not_there'");
  wire_client straight(server.port());
  auto messages = straight.try_startup({{"user", "warned"}, {"database", "app"}}, "warned");
  BOOST_TEST(std::count_if(messages.begin(), messages.end(), [](const auto& one) { return one.type == 'N'; }) == 1);
  for (const set_up& how : every_set_up) {
    pg_edge_process node(set_up_toml(how, "", "[users.warned]\npassword = \"warned\"\n"));
    pq client(node.conninfo("warned"));
    BOOST_TEST(client.value("select current_user") == "warned");
  }
}

BOOST_AUTO_TEST_CASE(B015_large_login_messages_of_a_server_are_taken) {
  const std::string large(200'000, 'v');
  scripted_server server(
      login_script(message_bytes('N', "SNOTICE" + std::string(1, '\0') + "M" + c_string(large) + std::string(1, '\0')) +
                   message_bytes('S', c_string("my_report") + c_string(large))));
  pg_edge_process node(simple_toml("", scripted_database(server)));
  wire_client client(node.port());
  client.startup({{"user", "trust_user"}, {"database", "scripted"}});
  BOOST_TEST(client.parameter("my_report") == large);
  BOOST_TEST(client.value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(B016_backend_ids_are_unique_and_positive) {
  for (int reactors : {1, 2}) {
    pg_edge_process node(set_up_toml({"transaction", reactors}));
    std::vector<wire_client> clients;
    std::set<std::int32_t> ids;
    std::set<std::string> secrets;
    for (int i = 0; i < 60; ++i) {
      clients.push_back(log_in(node, "trust_user", {}, i % 2 == 0 ? protocol_3_0 : protocol_3_2));
      BOOST_TEST(clients.back().backend_pid() > 0);
      ids.insert(clients.back().backend_pid());
      secrets.insert(clients.back().secret());
    }
    BOOST_TEST(ids.size() == clients.size());
    BOOST_TEST(secrets.size() == clients.size());
  }
}

BOOST_AUTO_TEST_CASE(B017_http_gets_an_answer_and_no_crash) {
  pg_edge_process node(simple_toml());
  for (const char* request :
       {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "POST /sql HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n"}) {
    wire_client client(node.port());
    client.send(std::string(request, 2));
    std::this_thread::sleep_for(milliseconds(20));
    client.send(request + 2);
    BOOST_TEST(client.read_raw(13) == "HTTP/1.1 400 ");
  }
  for (const char* request : {"\x7f\x7f\x7f\x7fgarbage", "HELO mail\r\n", "\r\n\r\n\r\n"}) {
    wire_client client(node.port());
    client.send(request);
    client.shutdown_write();
    try {
      client.closed_within(milliseconds(5000));
    } catch (const test_failure&) { // the answer need not be a message
    }
  }
  BOOST_TEST(log_in(node).value("select 1") == "1");
}

BOOST_AUTO_TEST_CASE(B018_tcp_keep_alives_are_on_with_the_configured_values) {
  const auto check = [](const std::string& settings, bool on, double most) {
    pg_edge_process node(simple_toml(settings));
    wire_client client = log_in(node);
    BOOST_TEST(client.value("select 1") == "1");
    const int server_side =
        std::stoi(postgres::shared().query("select client_port from pg_stat_activity where usename = 'trust_user' and "
                                           "datname = 'app' order by backend_start desc limit 1"));
    const int rows[][2] = {{node.port(), local_port(client)}, {server_side, postgres::shared().port()}};
    for (const auto& row : rows) {
      std::optional<tcp_entry> entry;
      // Other timers come before this one while bytes are unacknowledged.
      wait_for([&] { return (entry = tcp_entry_of(row[0], row[1])) && entry->timer == (on ? 2 : 0); },
               milliseconds(3000));
      BOOST_TEST_REQUIRE(entry.has_value());
      BOOST_TEST(entry->timer == (on ? 2 : 0));
      BOOST_TEST((!on || entry->seconds <= most));
      BOOST_TEST((!on || entry->seconds > most / 2));
    }
  };
  check("tcp_keepidle = 100\ntcp_keepintvl = 10\ntcp_keepcnt = 3\n", true, 100);
  check("tcp_keepidle = 40\n", true, 40);
  check("tcp_keepalive = false\n", false, 0);
}

BOOST_AUTO_TEST_SUITE_END()
