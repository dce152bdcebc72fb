// Host-based rules against a real Postgres: both get the same pg_hba.conf, and every connection must get the same
// answer from both, whether that is a request for a password of some kind or an error. What only newer versions know
// stands in tests/config/hba_test.cpp.
#include "tests/pg/edges_support.hpp"

#include <random>
#include <sys/stat.h>

using namespace pg_edge::test;

namespace {

using texts = std::vector<std::string>;

/// The Postgres whose rules are changed here; the shared one serves pg_edge's pools and lets everybody in.
class judge {
public:
  judge() : server_(options()) {
    pq admin = server_.admin("postgres");
    for (const char* sql :
         {"create role root login replication password 'secret of root'",
          "alter role trust_user replication password 'secret of trust_user'", "alter role scram_user replication",
          "alter role md5_user replication", "create database scram_user"})
      admin.exec(sql);
    server_.set_configuration("ssl_ca_file = '" + server_.authority_file() + "'");
    server_.reload();
  }

  postgres& server() { return server_; }

  /// As its administrator must always get in, a first line is put before the rules.
  void set(const std::string& rules, const std::string& maps) {
    write_file(server_.data_dir() + "/pg_hba.conf", rules);
    write_file(server_.data_dir() + "/pg_ident.conf", maps);
    server_.reload();
    const std::string wrong = server_.query("select string_agg(line_number || ': ' || error, '; ') from "
                                            "pg_hba_file_rules where error is not null",
                                            "postgres");
    BOOST_REQUIRE_MESSAGE(wrong.empty(), wrong << "\n" << rules);
  }

  std::string secret(const std::string& user) {
    return server_.query("select rolpassword from pg_authid where rolname = '" + user + "'", "postgres");
  }

private:
  static postgres_options options() {
    postgres_options out;
    out.configuration = "listen_addresses = '127.0.0.1,127.0.0.2,::1'\nmax_wal_senders = 60\nmax_connections = 200";
    return out;
  }
  postgres server_;
};

judge& the_judge() {
  static judge one;
  return one;
}

const texts users = {"trust_user", "scram_user", "md5_user", "root"};

/// pg_edge with the same users and their verifiers. Its pools are of the shared Postgres, as its superuser, so that no
/// rule stands between the two.
std::string toml(const std::string& settings = "", const std::string& tables = "") {
  postgres& server = the_judge().server();
  std::string out =
      "[pg_edge]\nlisten_addr = \"127.0.0.1,127.0.0.2,::1\"\nlisten_port = {port}\n"
      "unix_socket_dir = \"{dir}\"\nauth_hba_file = \"{dir}/hba\"\nauth_ident_file = \"{dir}/ident\"\n"
      "auth_failure_limit = 0\nmax_client_conn = 1000\ndefault_pool_size = 5\n"
      "client_tls_sslmode = \"allow\"\nclient_tls_cert_file = \"{cert}\"\nclient_tls_key_file = \"{key}\"\n"
      "client_tls_ca_file = \"" +
      server.authority_file() + "\"\n" + settings;
  if (settings.find("auth_type") == std::string::npos) out += "auth_type = \"hba\"\n";
  for (const char* database : {"app", "other", "scram_user"})
    out += std::string("[databases.") + database +
           "]\nhost = \"127.0.0.1\"\nport = {postgres_port}\ndbname = \"app\"\nuser = \"postgres\"\n";
  for (const auto& user : users)
    out += "[users." + user + "]\npassword = \"" + the_judge().secret(user) + "\"\n";
  return out + tables;
}

/// A node whose rule files are there before it starts.
struct ruled_node {
  temp_dir folder;
  std::unique_ptr<pg_edge_process> node;
  int reloads = 0;

  explicit ruled_node(const std::string& rules, const std::string& maps = "# none\n", std::string text = toml()) {
    ::chmod(folder.path().c_str(), 0755);
    write(rules, maps);
    for (const std::string name : {"hba", "ident"})
      if (const auto at = text.find("{dir}/" + name); at != std::string::npos)
        text.replace(at, name.size() + 6, folder / name);
    node = std::make_unique<pg_edge_process>(text);
  }
  void write(const std::string& rules, const std::string& maps = "# none\n") {
    write_file(folder / "hba", rules);
    write_file(folder / "ident", maps);
  }
  int lines(const std::string& event) const {
    int count = 0;
    const std::string log = node->log();
    for (auto at = log.find(event); at != std::string::npos; at = log.find(event, at + 1))
      ++count;
    return count;
  }
  void reload(const std::string& event = "event=settings_reloaded") {
    const int before = lines(event);
    node->signal(SIGHUP);
    BOOST_REQUIRE_MESSAGE(wait_for([&] { return lines(event) > before; }), node->log());
  }
};

// -- connections ------------------------------------------------------------------------------------------------------

struct attempt {
  std::string host; // "": the Unix socket
  bool tls = false;
  std::string user, database;
  std::string replication; // "": none

  std::string text() const {
    return (host.empty() ? "local" : host) + (tls ? " tls " : " ") + user + "@" + database +
           (replication.empty() ? "" : " replication=" + replication);
  }
};

/// The first thing a server says to a start-up packet: "R3" for a kind of request, or the error.
std::string answer(std::uint16_t port, const std::string& socket_dir, const attempt& one) {
  wire_options options;
  options.how = one.tls ? transport::tls : transport::plain;
  options.timeout = milliseconds(20000);
  wire_client client(port, options, one.host.empty() ? socket_dir : one.host);
  start_parameters parameters = {{"user", one.user}, {"database", one.database}};
  if (!one.replication.empty()) parameters.push_back({"replication", one.replication});
  client.send(startup_bytes(parameters));
  const auto message = client.read_message();
  if (message.type == 'E') return error_field(message, 'C') + " " + error_field(message, 'M');
  if (message.type != 'R' || message.body.size() < 4) return summary(message);
  return "R" + std::to_string(static_cast<int>(static_cast<unsigned char>(message.body[3])));
}

std::string answer_of_postgres(const attempt& one) {
  postgres& server = the_judge().server();
  return answer(server.port(), server.socket_dir(), one);
}

std::string answer_of(const ruled_node& edge, const attempt& one) {
  return answer(edge.node->port(), edge.node->folder(), one);
}

// -- made-up rules ----------------------------------------------------------------------------------------------------

class maker {
public:
  maker(unsigned seed, bool regular_expressions) : random_(seed), regular_expressions_(regular_expressions) {}

  const std::string& one_of(const texts& list) {
    return list[std::uniform_int_distribution<std::size_t>(0, list.size() - 1)(random_)];
  }
  bool chance(int percent) { return std::uniform_int_distribution<int>(1, 100)(random_) <= percent; }

  std::string rules() {
    std::string out = "local all postgres trust\n";
    for (int i = 0; i < 9; ++i)
      out += rule() + "\n";
    if (chance(85)) out += "host all all all " + one_of({"md5", "scram-sha-256", "reject"}) + "\n";
    return out;
  }

  attempt connection() {
    attempt out;
    out.host = one_of({"", "127.0.0.1", "127.0.0.1", "127.0.0.2", "::1"});
    out.tls = !out.host.empty() && chance(40);
    out.user = one_of(users);
    out.database = one_of({"app", "app", "other", "scram_user"});
    if (chance(15)) out.replication = one_of({"true", "database"});
    return out;
  }

private:
  std::string rule() {
    texts databases = {"all",       "all",     "app",     "other",   "sameuser",         "replication",
                       "app,other", "\"all\"", "\"app\"", "nothing", "app, replication", "\"replication\"",
                       "scram_user"};
    texts names = {"all", "all", "trust_user", "scram_user", "md5_user,root", "\"all\"", "\"scram_user\"", "nobody"};
    if (regular_expressions_) {
      databases.insert(databases.end(), {"/^a", "/^[a-o]+$", "\"/^(app|other)$\""});
      names.insert(names.end(), {"/_user$", "/^\\w{4}$", "nobody,/^md5"});
    }
    const std::string kind =
        one_of({"local", "host", "host", "host", "hostssl", "hostnossl", "hostnogssenc", "hostgssenc"});
    std::string out = kind + " " + one_of(databases) + "\t" + one_of(names) + " ";
    texts methods = {"trust", "reject", "md5", "scram-sha-256", "password"};
    if (kind == "local") {
      methods.insert(methods.end(), {"peer", "peer map=m", "peer map=none"});
      return out + one_of(methods);
    }
    out += one_of({"all", "samehost", "samenet", "127.0.0.1/32", "127.0.0.0/8", "127.0.0.2 255.255.255.255",
                   "127.0.0.0 255.0.0.254", "127.0.0.0 255.0.0.1", "::1/128", "::/0", "0.0.0.0/0", "10.0.0.0/8",
                   "127.0.0.3/31", "127.0.0.1/+31", "::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}) +
           " ";
    if (kind == "hostssl")
      methods.insert(methods.end(), {"cert", "md5 clientcert=verify-ca", "trust clientcert=verify-full"});
    return out + one_of(methods) + (chance(20) ? " # \"a comment" : "");
  }

  std::mt19937 random_;
  bool regular_expressions_;
};

const std::string maps = "m root scram_user\n"
                         "other root trust_user\n"
                         "m /^(r.*)t$ \\1t\n"
                         "m /^x(.*)$ md5_user\n";

/// libpq with a client certificate for `name`, signed by the authority that both servers trust; "" when it gets in.
std::string with_certificate(const std::string& conninfo, const std::string& name, const temp_dir& folder) {
  std::string files = " sslcert=/none sslkey=/none";
  if (!name.empty()) {
    const auto leaf = the_judge().server().authority().issue(name);
    write_file(folder / "crt", leaf.certificate);
    write_file(folder / "key", leaf.key);
    ::chmod((folder / "key").c_str(), 0600);
    files = " sslcert=" + (folder / "crt") + " sslkey=" + (folder / "key");
  }
  const pq client = pq::attempt(conninfo + " sslmode=require gssencmode=disable" + files);
  if (client.ok()) return "";
  const std::string said = client.message();
  const auto at = said.find("FATAL:");
  const auto end = said.find('\n', at);
  return at == std::string::npos ? said : said.substr(at, end - at);
}

} // namespace

BOOST_AUTO_TEST_SUITE(hba_pgtest)

BOOST_AUTO_TEST_CASE(B030_decisions_equal_those_of_postgres) {
  const int rule_sets = 14, connections = 30;
  const bool regular_expressions = the_judge().server().version() >= 160000;
  ruled_node edge("local all all trust\n", maps);
  std::map<std::string, int> seen;
  for (int set = 1; set <= rule_sets; ++set) {
    maker make(static_cast<unsigned>(set), regular_expressions);
    const std::string rules = make.rules();
    the_judge().set(rules, maps);
    edge.write(rules, maps);
    edge.reload();
    for (int i = 0; i < connections; ++i) {
      const attempt one = make.connection();
      const std::string theirs = answer_of_postgres(one), ours = answer_of(edge, one);
      BOOST_TEST(ours == theirs, "seed " << set << ", " << one.text() << "\n  ours:   " << ours
                                         << "\n  theirs: " << theirs << "\n"
                                         << rules);
      ++seen[theirs.substr(0, 16)];
    }
  }
  // A comparison in which nearly everybody is refused would say little.
  for (const char* kind : {"R0", "R3", "R5", "R10", "28000 no pg_hba.", "28000 pg_hba.con", "28000 Peer authe"})
    BOOST_TEST(seen[kind] > 0, kind);
  for (const auto& [kind, count] : seen)
    BOOST_TEST_MESSAGE(kind << ": " << count);
}

BOOST_AUTO_TEST_CASE(B030_rules_change_by_reload_and_bad_ones_change_nothing) {
  ruled_node edge("host all all all trust\n");
  const attempt one{"127.0.0.1", false, "scram_user", "app", ""};
  const std::string refused = "28000 pg_hba.conf rejects connection for host \"127.0.0.1\", user \"scram_user\", "
                              "database \"app\", no encryption";
  BOOST_TEST(answer_of(edge, one) == "R0");
  edge.write("host all all all reject\n");
  BOOST_TEST(answer_of(edge, one) == "R0"); // not before the reload
  edge.reload();
  BOOST_TEST(answer_of(edge, one) == refused);
  edge.write("host all all all trust\nhost all all all trsut\n");
  edge.reload("event=settings_refused");
  BOOST_TEST(edge.node->log_contains("hba:2: error: invalid authentication method"));
  BOOST_TEST(answer_of(edge, one) == refused);
  edge.write("host all all all md5\n", "a line too\n\nshort one\n");
  edge.reload("event=settings_refused");
  BOOST_TEST(edge.node->log_contains("ident:3: error: missing entry"));
  BOOST_TEST(answer_of(edge, one) == refused);
  edge.write("host app scram_user all scram-sha-256\n");
  edge.reload();
  BOOST_TEST(answer_of(edge, one) == "R10");
}

BOOST_AUTO_TEST_CASE(B030_the_console_has_rules_too) {
  ruled_node edge("host pgbouncer root 127.0.0.1/32 trust\nhost app all all trust\n", "# none\n",
                  toml("admin_users = \"root,scram_user\"\n"));
  BOOST_TEST(answer_of(edge, {"127.0.0.1", false, "root", "pgbouncer", ""}) == "R0");
  BOOST_TEST(answer_of(edge, {"127.0.0.1", false, "scram_user", "pgbouncer", ""}) ==
             "28000 no pg_hba.conf entry for host \"127.0.0.1\", user \"scram_user\", database \"pgbouncer\", no "
             "encryption");
  BOOST_TEST(answer_of(edge, {"127.0.0.2", false, "root", "pgbouncer", ""}).starts_with("28000 no pg_hba.conf entry"));
}

BOOST_AUTO_TEST_CASE(B030_regular_expressions_of_rules) {
  ruled_node edge("host /^ap.$ /^(scram|md5)_user$ all md5\nhost \"all\" all all trust\nhost all /t all reject\n");
  BOOST_TEST(answer_of(edge, {"127.0.0.1", false, "scram_user", "app", ""}) == "R10");
  BOOST_TEST(answer_of(edge, {"127.0.0.1", false, "md5_user", "app", ""}) == "R5");
  BOOST_TEST(answer_of(edge, {"127.0.0.1", false, "root", "app", ""}).starts_with("28000 pg_hba.conf rejects"));
  BOOST_TEST(answer_of(edge, {"127.0.0.1", false, "xyz", "app", ""}).starts_with("28000 no pg_hba.conf entry"));
}

BOOST_AUTO_TEST_CASE(B001_logins_through_rules) {
  ruled_node edge("host all trust_user all trust\nhost all md5_user all md5\nhost all scram_user all scram-sha-256\n"
                  "host all root all password\n");
  for (const char* mode : {"disable", "require"})
    for (const auto& [user, password] : {std::pair<std::string, std::string>{"trust_user", "any"},
                                         {"md5_user", md5_user.password},
                                         {"scram_user", scram_user.password},
                                         {"root", "secret of root"}}) {
      const auto conninfo = [&](const std::string& secret) {
        return "host=127.0.0.1 port=" + std::to_string(edge.node->port()) +
               " dbname=app gssencmode=disable user=" + user + " sslmode=" + mode + " password='" + secret + "'";
      };
      const pq client = pq::attempt(conninfo(password));
      BOOST_TEST(client.ok(), user << ": " << client.message());
      if (user == "trust_user") continue;
      BOOST_TEST(!pq::attempt(conninfo("wrong")).ok(), user);
    }
}

BOOST_AUTO_TEST_CASE(B031_client_certificates_as_in_postgres) {
  const std::string rules = "local all postgres trust\n"
                            "hostssl app scram_user all cert\n"
                            "hostssl other scram_user all cert map=m\n"
                            "hostssl app root all cert map=whole clientname=DN\n"
                            "hostssl app trust_user all trust clientcert=verify-full\n"
                            "hostssl other trust_user all trust clientcert=verify-ca\n"
                            "hostssl app md5_user all md5 clientcert=verify-full\n"
                            "hostssl all all all reject\n";
  const std::string names = "m /^(.*)@cert$ \\1\nwhole CN=subject root\n";
  the_judge().set(rules, names);
  ruled_node edge(rules, names);
  temp_dir folder;
  struct row {
    const char *user, *database, *certificate;
    bool gets_in;
  };
  const row rows[] = {
      {"scram_user", "app", "scram_user", true},
      {"scram_user", "app", "md5_user", false},
      {"scram_user", "app", "", false},
      {"scram_user", "other", "scram_user@cert", true},
      {"scram_user", "other", "scram_user", false},
      {"root", "app", "subject", true},
      {"root", "app", "root", false},
      {"trust_user", "app", "trust_user", true},
      {"trust_user", "app", "root", false},
      {"trust_user", "other", "root", true},
      {"trust_user", "other", "", false},
      {"md5_user", "app", "md5_user", true},
      {"md5_user", "app", "root", false},
      {"md5_user", "other", "md5_user", false},
  };
  for (const row& one : rows) {
    const auto ask = [&](std::uint16_t port) {
      return with_certificate("host=127.0.0.1 port=" + std::to_string(port) + " dbname=" + one.database +
                                  " user=" + one.user + " password='" + md5_user.password + "'",
                              one.certificate, folder);
    };
    const std::string theirs = ask(the_judge().server().port()), ours = ask(edge.node->port());
    BOOST_TEST(ours == theirs, one.user << "@" << one.database << " as " << one.certificate << "\n  ours:   " << ours
                                        << "\n  theirs: " << theirs);
    BOOST_TEST(ours.empty() == one.gets_in, ours);
  }
}

BOOST_AUTO_TEST_CASE(B031_auth_types_cert_and_peer_without_rules) {
  temp_dir folder;
  {
    ruled_node edge("local all all reject\n", "# none\n", toml("auth_type = \"cert\"\n"));
    const auto ask = [&](const std::string& user, const std::string& certificate) {
      return with_certificate("host=127.0.0.1 port=" + std::to_string(edge.node->port()) + " dbname=app user=" + user,
                              certificate, folder);
    };
    BOOST_TEST(ask("scram_user", "scram_user") == "");
    BOOST_TEST(ask("scram_user", "root") == "FATAL:  certificate authentication failed for user \"scram_user\"");
    BOOST_TEST(ask("scram_user", "") == "FATAL:  connection requires a valid client certificate");
    BOOST_TEST(ask("unknown", "unknown") != "");
    certificate_authority another("another authority");
    const auto leaf = another.issue("scram_user");
    write_file(folder / "crt", leaf.certificate);
    write_file(folder / "key", leaf.key);
    BOOST_TEST(!pq::attempt("host=127.0.0.1 port=" + std::to_string(edge.node->port()) +
                            " dbname=app user=scram_user sslmode=require sslcert=" + (folder / "crt") +
                            " sslkey=" + (folder / "key"))
                    .ok());
  }
  ruled_node edge("local all all reject\n", "# none\n", toml("auth_type = \"peer\"\n"));
  const std::string me = run({"id", "-un"}, milliseconds(10000)).out;
  if (me == "root\n") BOOST_TEST(answer_of(edge, {"", false, "root", "app", ""}) == "R0");
  BOOST_TEST(answer_of(edge, {"", false, "scram_user", "app", ""}) ==
             "28000 Peer authentication failed for user \"scram_user\"");
  BOOST_TEST(answer_of(edge, {"127.0.0.1", false, "root", "app", ""}) ==
             "28000 Peer authentication failed for user \"root\"");
}

BOOST_AUTO_TEST_SUITE_END()
