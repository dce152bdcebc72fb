// Every option of pgbouncer's manual, and pgbouncer's own sample file: each option either becomes a setting that loads
// back with the value it had, or is named in a warning and kept as a comment. There is no third case.
#include "config/pgbouncer_ini.hpp"
#include "config/pgbouncer_value.hpp"
#include "config/value_text.hpp"
#include "config_text.hpp"
#include "tests/support/folders.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>

using namespace config_text;

namespace {

/// An option with a value that is not the default, and what SHOW CONFIG would say of it; null: it has no equivalent.
struct option {
  section where;
  const char* name;
  const char* value;
  const char* shown;
  const char* needs = ""; // lines of [pgbouncer] that must come with it
};

constexpr const char* nothing = nullptr;
constexpr const char* any_query = "SELECT u, p FROM f($1) AS x(u, p) WHERE u <> '${x}'";

constexpr option options[] = {
    // -- [pgbouncer]: generic --
    {in_global, "logfile", "/var/log/pgbouncer.log", nothing},
    {in_global, "pidfile", "/run/pgbouncer.pid", nothing},
    {in_global, "listen_addr", "*", "*"},
    {in_global, "listen_port", "6543", "6543"},
    {in_global, "unix_socket_dir", "/var/run/postgresql", "/var/run/postgresql"},
    {in_global, "unix_socket_mode", "0770", "0770"},
    {in_global, "unix_socket_group", "postgres", "postgres"},
    {in_global, "user", "pgbouncer", nothing},
    {in_global, "pool_mode", "transaction", "transaction"},
    {in_global, "max_client_conn", "5000", "5000"},
    {in_global, "default_pool_size", "50", "50"},
    {in_global, "min_pool_size", "5", "5"},
    {in_global, "reserve_pool_size", "7", "7"},
    {in_global, "reserve_pool_timeout", "2.5", "2.5"},
    {in_global, "max_db_connections", "70", "70"},
    {in_global, "max_db_client_connections", "80", "80"},
    {in_global, "max_user_connections", "90", "90"},
    {in_global, "max_user_client_connections", "100", "100"},
    {in_global, "server_round_robin", "1", "1"},
    {in_global, "track_extra_parameters", "IntervalStyle", nothing},
    {in_global, "ignore_startup_parameters", "extra_float_digits,options", "extra_float_digits, options"},
    {in_global, "peer_id", "1", nothing},
    {in_global, "disable_pqexec", "1", nothing},
    {in_global, "application_name_add_host", "1", "1"},
    {in_global, "conffile", "/etc/other.ini", nothing},
    {in_global, "service_name", "pgbouncer", nothing},
    {in_global, "job_name", "pgbouncer", nothing},
    {in_global, "stats_period", "30", "30"},
    {in_global, "max_prepared_statements", "500", "500"},
    {in_global, "scram_iterations", "10000", "10000"},
    // -- authentication --
    {in_global, "auth_type", "scram-sha-256", "scram-sha-256"},
    {in_global, "auth_type", "any", "any"},
    {in_global, "auth_type", "trust", "trust"},
    {in_global, "auth_type", "plain", "plain"},
    {in_global, "auth_type", "cert", "cert",
     "client_tls_sslmode = verify-full\nclient_tls_ca_file = f\nclient_tls_cert_file = f\nclient_tls_key_file = f\n"},
    {in_global, "auth_type", "hba", "hba", "auth_hba_file = h\n"},
    {in_global, "auth_type", "pam", "pam"},
    {in_global, "auth_type", "ldap", nothing},
    {in_global, "auth_hba_file", "h", "/etc/pgbouncer/h"},
    {in_global, "auth_ident_file", "f", "/etc/pgbouncer/f", "auth_hba_file = h\n"},
    {in_global, "auth_file", "/etc/pgbouncer/f", "/etc/pgbouncer/f"},
    {in_global, "auth_user", "looker", "looker"},
    {in_global, "auth_query", any_query, any_query},
    {in_global, "auth_dbname", "d", "d"},
    {in_global, "auth_ldap_options", "ldapurl=\"ldap://127.0.0.1\"", nothing},
    // -- log and console --
    {in_global, "syslog", "1", nothing},
    {in_global, "syslog_ident", "pgbouncer", nothing},
    {in_global, "syslog_facility", "daemon", nothing},
    {in_global, "log_connections", "0", "0"},
    {in_global, "log_disconnections", "0", "0"},
    {in_global, "log_pooler_errors", "0", "0"},
    {in_global, "log_stats", "0", "0"},
    {in_global, "verbose", "2", "2"},
    {in_global, "admin_users", "anna, bob", "anna, bob"},
    {in_global, "stats_users", "carl", "carl"},
    // -- servers and time-outs --
    {in_global, "server_reset_query", "DISCARD PLANS", "DISCARD PLANS"},
    {in_global, "server_reset_query_always", "1", "1"},
    {in_global, "server_check_delay", "10", "10"},
    {in_global, "server_check_query", "select 1", "select 1"},
    {in_global, "server_fast_close", "1", "1"},
    {in_global, "server_lifetime", "1800", "1800"},
    {in_global, "server_idle_timeout", "300", "300"},
    {in_global, "server_connect_timeout", "5", "5"},
    {in_global, "server_login_retry", "1", "1"},
    {in_global, "client_login_timeout", "30", "30"},
    {in_global, "autodb_idle_timeout", "60", "60"},
    {in_global, "pool_idle_timeout", "61", "61"},
    {in_global, "dns_max_ttl", "16", "16"},
    {in_global, "dns_nxdomain_ttl", "16", "16"},
    {in_global, "dns_zone_check_period", "1", nothing},
    {in_global, "resolv_conf", "f", "/etc/pgbouncer/f"},
    {in_global, "query_wait_notify", "9", "9"},
    {in_global, "login_notify_message", "hello", "hello"},
    {in_global, "query_timeout", "60", "60"},
    {in_global, "query_wait_timeout", "60", "60"},
    {in_global, "cancel_wait_timeout", "60", "60"},
    {in_global, "client_idle_timeout", "60", "60"},
    {in_global, "idle_transaction_timeout", "60", "60"},
    {in_global, "transaction_timeout", "60", "60"},
    {in_global, "suspend_timeout", "5", "5"},
    // -- TLS --
    {in_global, "client_tls_sslmode", "require", "require", "client_tls_cert_file = f\nclient_tls_key_file = f\n"},
    {in_global, "client_tls_key_file", "f", "/etc/pgbouncer/f", "client_tls_cert_file = f\n"},
    {in_global, "client_tls_cert_file", "f", "/etc/pgbouncer/f", "client_tls_key_file = f\n"},
    {in_global, "client_tls_ca_file", "f", "/etc/pgbouncer/f"},
    {in_global, "client_tls_protocols", "tlsv1.3", "tlsv1.3"},
    {in_global, "client_tls_ciphers", "HIGH:!aNULL", "HIGH:!aNULL"},
    {in_global, "client_tls13_ciphers", "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"},
    {in_global, "client_tls_ecdhcurve", "prime256v1", "prime256v1"},
    {in_global, "client_tls_ecdhcurve", "none", nothing},
    {in_global, "client_tls_dheparams", "legacy", nothing},
    {in_global, "server_tls_sslmode", "verify-full", "verify-full", "server_tls_ca_file = f\n"},
    {in_global, "server_tls_ca_file", "f", "/etc/pgbouncer/f"},
    {in_global, "server_tls_key_file", "f", "/etc/pgbouncer/f", "server_tls_cert_file = f\n"},
    {in_global, "server_tls_cert_file", "f", "/etc/pgbouncer/f", "server_tls_key_file = f\n"},
    {in_global, "server_tls_protocols", "all", "all"},
    {in_global, "server_tls_ciphers", "HIGH", "HIGH"},
    {in_global, "server_tls13_ciphers", "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"},
    // -- network --
    {in_global, "pkt_buf", "8192", nothing},
    {in_global, "max_packet_size", "1000000", "1000000"},
    {in_global, "max_packet_size", "4294967295", nothing},
    {in_global, "listen_backlog", "256", "256"},
    {in_global, "sbuf_loopcnt", "10", nothing},
    {in_global, "so_reuseport", "1", nothing},
    {in_global, "tcp_defer_accept", "45", nothing},
    {in_global, "tcp_socket_buffer", "65536", nothing},
    {in_global, "tcp_keepalive", "0", "0"},
    {in_global, "tcp_keepcnt", "4", "4"},
    {in_global, "tcp_keepidle", "30", "30"},
    {in_global, "tcp_keepintvl", "31", "31"},
    {in_global, "tcp_user_timeout", "1500", "1500"},
    // -- [databases] --
    {in_database, "dbname", "other", "other"},
    {in_database, "host", "h1,h2", "h1,h2"},
    {in_database, "port", "5433", "5433"},
    {in_database, "user", "owner", "owner"},
    {in_database, "password", "'it''s'", "it's"},
    {in_database, "auth_user", "looker", "looker"},
    {in_database, "auth_query", "'SELECT 1, $1'", "SELECT 1, $1"},
    {in_database, "auth_dbname", "d", "d"},
    {in_database, "pool_size", "30", "30"},
    {in_database, "pool_size", "0", nothing},
    {in_database, "min_pool_size", "3", "3"},
    {in_database, "reserve_pool_size", "2", "2"},
    {in_database, "reserve_pool", "2", "2"},
    {in_database, "connect_query", "'SELECT 1'", "SELECT 1"},
    {in_database, "pool_mode", "statement", "statement"},
    {in_database, "query_wait_timeout", "33", "33"},
    {in_database, "load_balance_hosts", "disable", "disable"},
    {in_database, "max_db_connections", "40", "40"},
    {in_database, "max_db_client_connections", "41", "41"},
    {in_database, "server_lifetime", "600", "600"},
    {in_database, "client_encoding", "UTF8", "UTF8"},
    {in_database, "datestyle", "ISO", "ISO"},
    {in_database, "timezone", "UTC", "UTC"},
    {in_database, "application_name", "app", "app"},
    {in_database, "no_such_option", "1", nothing},
    // -- [users] --
    {in_user, "pool_size", "6", "6"},
    {in_user, "reserve_pool_size", "2", "2"},
    {in_user, "pool_mode", "session", "session"},
    {in_user, "max_user_connections", "8", "8"},
    {in_user, "max_user_client_connections", "9", "9"},
    {in_user, "query_timeout", "10", "10"},
    {in_user, "query_wait_timeout", "11", "11"},
    {in_user, "idle_transaction_timeout", "12", "12"},
    {in_user, "transaction_timeout", "13", "13"},
    {in_user, "client_idle_timeout", "14", "14"},
    {in_user, "no_such_option", "1", nothing},
};

const world files{{}, {{"/etc/pgbouncer/f", ""}, {"/etc/pgbouncer/h", "local all all trust\n"}}};

std::string ini_with(const option& one) {
  const auto pair = std::string{one.name} + " = " + one.value;
  const bool is_user = one.where == in_user;
  const std::string globals = one.where == in_global ? pair + '\n' + one.needs : std::string{};
  const std::string database = one.where == in_database ? pair : std::string{};
  // auth_type any wants a user in every database.
  const bool has_host = database.starts_with("host"), has_user = database.starts_with("user");
  return "[pgbouncer]\n" + globals + "[databases]\nd = " + (has_host ? "" : "host=h ") + (has_user ? "" : "user=u ") +
         database + "\n[users]\nu = " + (is_user ? pair : "") + '\n';
}

/// What the member of a row holds; nullopt when it is not set.
template <class Object, class Variant>
std::optional<std::string> held(const Object& object, const Variant& variant) {
  return std::visit(
      [&](auto member) -> std::optional<std::string> {
        if constexpr (std::is_same_v<decltype(member), std::monostate>) {
          return std::nullopt;
        } else {
          const auto& value = object.*member;
          if constexpr (requires { value.has_value(); })
            return value.has_value() ? std::optional{value_text(*value)} : std::nullopt;
          else
            return value_text(value);
        }
      },
      variant);
}

std::optional<std::string> held(const settings& all, const option& one) {
  const auto* row = find_row(our_name(one.name, one.where), one.where);
  if (row == nullptr) return std::nullopt;
  if (one.where == in_global) return global_text(*row, all);
  if (one.where == in_user)
    return held(static_cast<const overrides&>(all.default_tenant.users.at("u")), row->override_);
  const auto& target = all.default_tenant.databases.at("d");
  if (row->rule == value_rule::secret) return target.password;
  return row->of_database.index() != 0 ? held(target, row->of_database)
                                       : held(static_cast<const overrides&>(target), row->override_);
}

bool is_named(const import_result& result, std::string_view name) {
  return std::any_of(result.problems.begin(), result.problems.end(),
                     [&](const problem& one) { return one.warning && one.line > 0 && contains(one.text, name); });
}

/// The file as the package has it: the documentation may have been left out, then /etc has the same one.
std::string sample() {
  for (const auto* path : {"/usr/share/doc/pgbouncer/examples/pgbouncer.ini", "/etc/pgbouncer/pgbouncer.ini"})
    if (const auto text = read_whole_file(path)) return *text;
  BOOST_FAIL("pgbouncer's sample file is missing: install Debian's package pgbouncer (tools/setup test)");
  return {};
}

/// Every file is there and empty.
std::optional<std::string> empty_file(const std::string&) {
  return std::string{};
}

outside empty_files() {
  outside out;
  out.file = empty_file;
  return out;
}

/// "key" of a line ";key = value"; empty for others.
std::string commented_key(const std::string& line) {
  if (!line.starts_with(';')) return {};
  const auto start = line.find_first_not_of("; ");
  const auto equals = line.find('=');
  if (start == std::string::npos || equals == std::string::npos || line.starts_with(";;")) return {};
  const auto key = std::string{trim(line.substr(start, equals - start))};
  return key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos ? key : std::string{};
}

} // namespace

BOOST_AUTO_TEST_SUITE(pgbouncer_options_test)

BOOST_AUTO_TEST_CASE(every_option_maps_or_is_named) {
  for (const auto& one : options) {
    BOOST_TEST_CONTEXT(one.name << " = " << one.value) {
      const auto result = import_pgbouncer(ini_with(one), "/etc/pgbouncer/x.ini", files.view().file);
      const auto read = load(result.toml, files);
      BOOST_REQUIRE_MESSAGE(read.value != nullptr, result.toml << listed(read));
      const auto is = held(*read.value, one);
      if (one.shown != nullptr) {
        BOOST_TEST(result.problems.empty(), (result.problems.empty() ? "" : to_string(result.problems.front())));
        BOOST_TEST(is.value_or("not set") == one.shown);
        if (one.where == in_global) BOOST_TEST(held(settings{}, one).value_or("") != one.shown);
      } else {
        BOOST_TEST(is_named(result, one.name));
        BOOST_TEST(contains(result.toml, "\n# " + std::string{one.name} + " = " + one.value + "  -- "), result.toml);
        if (one.where == in_global) BOOST_TEST((is == held(settings{}, one)));
      }
    }
  }
}

/// The list above has all that pg_edge knows of pgbouncer, and all that it knows is in the list.
BOOST_AUTO_TEST_CASE(the_list_is_whole) {
  std::set<std::string_view> names;
  for (const auto& one : options)
    if (one.where == in_global) {
      names.insert(one.name);
      BOOST_TEST((find_row(one.name, in_global) != nullptr || find_absent(one.name, in_global) != nullptr), one.name);
    }
  for (const auto& absent : absent_rows())
    BOOST_TEST(names.contains(absent.name), absent.name);
  const std::set<std::string_view> ours = {"reactors",
                                           "server_allow_cleartext",
                                           "auth_cache_time",
                                           "auth_failure_limit",
                                           "auth_failure_window",
                                           "mock_authentication_nonce",
                                           "load_balance_hosts",
                                           "max_tenant_connections",
                                           "max_tenant_client_connections",
                                           "max_tenant_pools",
                                           "max_waiting_clients",
                                           "max_client_statements",
                                           "max_client_memory",
                                           "memory_limit",
                                           "max_server_logins",
                                           "auth_pam_service",
                                           "store_path",
                                           "log_format",
                                           "log_rate_limit",
                                           "takeover_socket",
                                           "takeover_timeout"};
  for (const auto& row : setting_rows())
    if ((row.sections & in_global) != 0 && !ours.contains(row.name)) BOOST_TEST(names.contains(row.name), row.name);
}

BOOST_AUTO_TEST_CASE(pgbouncers_own_sample) {
  const auto result = import_pgbouncer(sample(), "/etc/pgbouncer/pgbouncer.ini", empty_file);
  const auto read = load_text(result.toml, "sample.toml", empty_files());
  BOOST_REQUIRE_MESSAGE(read.value != nullptr, result.toml << listed(read));
  BOOST_TEST((read.value->listen_addr == std::vector<std::string>{"localhost"}));
  BOOST_TEST(read.value->unix_socket_dir == "/var/run/postgresql");
  BOOST_TEST(read.value->auth_file == "/etc/pgbouncer/userlist.txt");
  BOOST_TEST(is_named(result, "logfile"));
  BOOST_TEST(is_named(result, "pidfile"));
  BOOST_TEST(result.problems.size() == 2u);
}

BOOST_AUTO_TEST_CASE(pgbouncers_own_sample_with_every_comment_made_real) {
  std::string ini, line;
  std::set<std::string> keys;
  for (const char c : sample()) {
    if (c != '\n') {
      line += c;
      continue;
    }
    const auto key = commented_key(line);
    if (!key.empty()) keys.insert(key);
    ini += (key.empty() ? line : line.substr(line.find_first_not_of("; "))) + '\n';
    line.clear();
  }
  BOOST_TEST(keys.size() > 70u);
  const auto result = import_pgbouncer(ini, "/etc/pgbouncer/pgbouncer.ini", empty_file);
  const auto read = load_text(result.toml, "sample.toml", empty_files());
  BOOST_REQUIRE_MESSAGE(read.value != nullptr, result.toml << listed(read));
  for (const auto& key : keys) {
    const bool active = contains(result.toml, '\n' + key + " = ") || contains(result.toml, '.' + key + "]\n");
    BOOST_TEST((active || is_named(result, key)), key);
  }
  const auto& databases = read.value->default_tenant.databases;
  BOOST_TEST((databases.at("nondefaultdb").reserve_pool_size == 10));
  BOOST_TEST((databases.at("forcedb").connect_query == "SELECT 1"));
  BOOST_TEST((read.value->default_tenant.users.at("user1").pool_mode == pool_mode::transaction));
}

/// PG_EDGE_WRITE_DOCUMENTS=1 renews the file.
BOOST_AUTO_TEST_CASE(the_example_is_up_to_date_and_loads) {
  const std::string folder = std::string{pg_edge::test::source_folder} + "/examples/pgbouncer/";
  const auto beside_it = [&](const std::string& path) { return read_whole_file(folder + path); };
  const auto result = import_pgbouncer(beside_it("pgbouncer.ini").value_or(""), "pgbouncer.ini", beside_it);
  if (std::getenv("PG_EDGE_WRITE_DOCUMENTS") != nullptr) std::ofstream{folder + "pg_edge.toml"} << result.toml;
  BOOST_TEST((beside_it("pg_edge.toml") == result.toml), "examples/pgbouncer/pg_edge.toml is not up to date");
  const auto read = load_file(folder + "pg_edge.toml");
  BOOST_REQUIRE_MESSAGE(read.value != nullptr, listed(read));
  BOOST_TEST(read.value->default_tenant.users.size() == 3u);
  BOOST_TEST(read.value->default_tenant.users.at("batch").secret == "change me too");
  BOOST_TEST(read.value->default_tenant.databases.size() == 4u);
}

BOOST_AUTO_TEST_SUITE_END()
