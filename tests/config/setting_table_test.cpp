// Every row of the table, whatever it is: its default, its type, its range, its places.
#include "config/setting_table.hpp"
#include "config/value_text.hpp"
#include "config_text.hpp"

#include <boost/test/unit_test.hpp>

#include <set>

using namespace config_text;

namespace {

/// Where a row may stand, with the section header and what must come with it.
constexpr std::pair<section, const char*> places[] = {
    {in_global, "[pg_edge]\n"},       {in_tenant, "[tenants.t]\n"},     {in_database, "[databases.d]\n"},
    {in_user, "[users.u]\n"},         {in_listener, "[listeners.l]\n"}, {in_admin, "[admin]\n"},
    {in_token, "[admin.tokens.n]\n"}, {in_cluster, "[cluster]\n"},
};

enum class kind { boolean, integer, time_span, memory, text, list, names, other };

kind kind_of(const setting_row& row) {
  const auto look = [](auto member) {
    using pointer = decltype(member);
    const auto has = [](auto... types) { return (std::is_same_v<pointer, decltype(types)> || ...); };
    if (has((bool settings::*){}, (std::optional<bool> overrides::*){}, (bool tenant::*){}, (bool listener::*){}))
      return kind::boolean;
    if (has((int settings::*){}, (std::optional<int> overrides::*){}, (std::uint16_t database::*){},
            (int listener::*){}, (int admin_settings::*){}))
      return kind::integer;
    if (has((duration settings::*){}, (std::optional<duration> overrides::*){}, (duration admin_settings::*){},
            (duration cluster_settings::*){}))
      return kind::time_span;
    if (has((byte_size settings::*){})) return kind::memory;
    if (has((std::string settings::*){}, (std::optional<std::string> overrides::*){}, (std::string database::*){},
            (std::optional<std::string> database::*){}, (std::string tenant::*){}, (std::string listener::*){},
            (std::optional<std::string> listener::*){}, (std::string admin_settings::*){},
            (std::string admin_token::*){}, (std::string cluster_settings::*){}))
      return kind::text;
    if (has((std::vector<std::string> settings::*){}, (std::vector<std::string> tenant::*){},
            (std::vector<std::string> listener::*){}, (std::vector<network> tenant::*){},
            (std::vector<network> listener::*){}, (std::vector<std::string> admin_settings::*){},
            (std::vector<std::string> cluster_settings::*){}))
      return kind::list;
    return std::is_same_v<pointer, std::monostate> ? kind::other : kind::names;
  };
  for (const auto found :
       {std::visit(look, row.global), std::visit(look, row.override_), std::visit(look, row.of_database),
        std::visit(look, row.of_tenant), std::visit(look, row.of_listener), std::visit(look, row.of_admin),
        std::visit(look, row.of_token), std::visit(look, row.of_cluster)})
    if (found != kind::other) return found;
  return kind::text; // passwords and urls
}

bool is_octal(const setting_row& row) {
  return row.rule == value_rule::octal_mode;
}

} // namespace

BOOST_AUTO_TEST_SUITE(setting_table_test)

BOOST_AUTO_TEST_CASE(rows_are_complete_and_unique) {
  std::set<std::pair<std::string_view, unsigned>> seen;
  for (const auto& row : setting_rows()) {
    BOOST_TEST_CONTEXT(row.name) {
      BOOST_TEST(row.sections != 0u);
      BOOST_TEST(!row.group.empty());
      BOOST_TEST(row.help.ends_with('.'));
      BOOST_TEST(row.low <= row.high);
      BOOST_TEST(((row.sections & in_global) != 0) == (row.global.index() != 0));
      // Every place above the global one needs a member, unless the loader handles the row itself.
      const bool special = row.rule == value_rule::secret || row.rule == value_rule::secret_file ||
                           row.rule == value_rule::secrets || row.rule == value_rule::url;
      if ((row.sections & in_user) != 0 && !special) BOOST_TEST(row.override_.index() != 0u);
      if ((row.sections & in_tenant) != 0) BOOST_TEST((row.override_.index() != 0u || row.of_tenant.index() != 0u));
      if ((row.sections & in_listener) != 0) BOOST_TEST(row.of_listener.index() != 0u);
      if ((row.sections & in_database) != 0 && !special)
        BOOST_TEST((row.override_.index() != 0u || row.of_database.index() != 0u));
      for (const auto& [bit, header] : places)
        if ((row.sections & bit) != 0) BOOST_TEST((seen.emplace(row.name, bit).second));
    }
  }
}

BOOST_AUTO_TEST_CASE(absent_rows_are_not_rows) {
  for (const auto& absent : absent_rows())
    for (const auto& [bit, header] : places)
      if ((absent.sections & bit) != 0) BOOST_TEST((find_row(absent.name, bit) == nullptr), absent.name);
}

BOOST_AUTO_TEST_CASE(every_absent_setting_says_why) {
  for (const auto& absent : absent_rows())
    for (const auto& [bit, header] : places) {
      if ((absent.sections & bit) == 0) continue;
      const auto errors = errors_of(header + std::string{absent.name} + " = 1\n");
      BOOST_TEST(contains(errors, "2: " + std::string{absent.name} + ": not supported: " + std::string{absent.reason}));
    }
  BOOST_TEST(contains(errors_of("[pg_edge]\npkt_buf = 1\n"), "2: pkt_buf: not supported"));
}

/// pgbouncer's list, so that no setting of it is forgotten: each is a row or an absent row.
BOOST_AUTO_TEST_CASE(every_setting_of_pgbouncer_is_known) {
  const std::pair<section, std::string_view> lists[] = {
      {in_global,
       "pool_mode,default_pool_size,min_pool_size,reserve_pool_size,reserve_pool_timeout,max_client_conn,"
       "max_db_connections,max_db_client_connections,max_user_connections,max_user_client_connections,"
       "server_round_robin,max_prepared_statements,track_extra_parameters,ignore_startup_parameters,"
       "application_name_add_host,disable_pqexec,server_reset_query,server_reset_query_always,server_check_query,"
       "server_check_delay,server_fast_close,server_lifetime,server_idle_timeout,server_connect_timeout,"
       "server_login_retry,client_login_timeout,client_idle_timeout,idle_transaction_timeout,transaction_timeout,"
       "query_timeout,query_wait_timeout,query_wait_notify,login_notify_message,cancel_wait_timeout,suspend_timeout,"
       "autodb_idle_timeout,"
       "pool_idle_timeout,auth_type,auth_file,auth_hba_file,auth_ident_file,auth_user,auth_query,auth_dbname,"
       "auth_ldap_options,scram_iterations,admin_users,stats_users,client_tls_sslmode,client_tls_ca_file,"
       "client_tls_cert_file,client_tls_key_file,client_tls_protocols,client_tls_ciphers,client_tls13_ciphers,"
       "client_tls_ecdhcurve,client_tls_dheparams,server_tls_sslmode,server_tls_ca_file,server_tls_cert_file,"
       "server_tls_key_file,server_tls_protocols,server_tls_ciphers,server_tls13_ciphers,listen_addr,listen_port,"
       "listen_backlog,unix_socket_dir,unix_socket_mode,unix_socket_group,so_reuseport,pkt_buf,max_packet_size,"
       "tcp_defer_accept,tcp_keepalive,tcp_keepcnt,tcp_keepidle,tcp_keepintvl,tcp_socket_buffer,tcp_user_timeout,"
       "peer_id,dns_max_ttl,dns_nxdomain_ttl,dns_zone_check_period,resolv_conf,logfile,pidfile,syslog,"
       "log_connections,log_disconnections,log_pooler_errors,log_stats,stats_period,verbose"},
      {in_database,
       "dbname,host,port,user,password,auth_user,auth_query,auth_dbname,pool_size,min_pool_size,reserve_pool_size,"
       "connect_query,pool_mode,query_wait_timeout,load_balance_hosts,max_db_connections,max_db_client_connections,"
       "server_lifetime,client_encoding,datestyle,timezone,application_name"},
      {in_user, "pool_mode,pool_size,reserve_pool_size,max_user_connections,max_user_client_connections,query_timeout,"
                "query_wait_timeout,transaction_timeout,idle_transaction_timeout,client_idle_timeout"},
  };
  for (const auto& [where, names] : lists)
    for (const auto& name : split_list(names))
      BOOST_TEST((find_row(name, where) != nullptr || find_absent(name, where) != nullptr), name);
}

BOOST_AUTO_TEST_CASE(defaults_are_pgbouncers) {
  const std::map<std::string, std::string> expected = {
      {"pool_mode", "session"},
      {"default_pool_size", "20"},
      {"max_client_conn", "100"},
      {"max_prepared_statements", "200"},
      {"server_reset_query", "DISCARD ALL"},
      {"server_check_delay", "30"},
      {"server_lifetime", "3600"},
      {"server_idle_timeout", "600"},
      {"server_connect_timeout", "15"},
      {"server_login_retry", "15"},
      {"client_login_timeout", "60"},
      {"query_wait_timeout", "120"},
      {"query_wait_notify", "5"},
      {"cancel_wait_timeout", "10"},
      {"suspend_timeout", "10"},
      {"autodb_idle_timeout", "3600"},
      {"auth_type", "md5"},
      {"scram_iterations", "4096"},
      {"client_tls_sslmode", "disable"},
      {"client_tls_protocols", "secure"},
      {"client_tls_ecdhcurve", "auto"},
      {"server_tls_sslmode", "prefer"},
      {"server_tls_protocols", "secure"},
      {"listen_port", "6432"},
      {"listen_backlog", "128"},
      {"unix_socket_dir", "/tmp"},
      {"unix_socket_mode", "0777"},
      {"max_packet_size", "2147483647"},
      {"tcp_keepalive", "1"},
      {"log_connections", "1"},
      {"log_disconnections", "1"},
      {"log_pooler_errors", "1"},
      {"log_stats", "1"},
      {"log_format", "logfmt"},
      {"stats_period", "60"},
      {"load_balance_hosts", "round-robin"},
      {"reserve_pool_timeout", "5"},
      {"auth_query", settings{}.auth_query},
      {"dns_max_ttl", "15"},
      {"dns_nxdomain_ttl", "15"},
      {"auth_pam_service", "pgbouncer"},
      {"max_server_logins", "16"}, // this and those below are ours
      {"log_rate_limit", "1000"},
      {"max_client_statements", "10000"},
      {"max_client_memory", "64MB"},
      {"takeover_timeout", "3600"},
      {"auth_cache_time", "60"},
      {"auth_failure_limit", "10"},
      {"auth_failure_window", "60"},
  };
  for (const auto& shown : show(settings{}))
    BOOST_TEST_CONTEXT(shown.key) {
      const auto found = expected.find(shown.key);
      if (found != expected.end())
        BOOST_TEST(shown.value == found->second);
      else // all the others are empty, zero or off
        BOOST_TEST((shown.value.empty() || shown.value == "0"));
    }
}

BOOST_AUTO_TEST_CASE(every_row_refuses_a_wrong_type_wherever_it_stands) {
  for (const auto& row : setting_rows())
    for (const auto& [bit, header] : places) {
      if ((row.sections & bit) == 0) continue;
      const std::string key{row.name};
      for (const auto* value : {"2020-01-01", "{ x = 1 }"}) {
        const auto errors = errors_of(header + key + " = " + value + '\n');
        BOOST_TEST(contains(errors, "2: " + key + ": expected "), header + key + " = " + value + " gave " + errors);
      }
      const auto* wrong =
          kind_of(row) == kind::text || kind_of(row) == kind::names || kind_of(row) == kind::list ? "3" : "\"rubbish\"";
      BOOST_TEST(contains(errors_of(header + key + " = " + wrong + '\n'), "2: " + key + ": "), key);
    }
}

BOOST_AUTO_TEST_CASE(every_integer_keeps_to_its_range) {
  for (const auto& row : setting_rows())
    for (const auto& [bit, header] : places) {
      if ((row.sections & bit) == 0 || kind_of(row) != kind::integer) continue;
      const auto errors = [&, start = std::string{header}](std::int64_t value) {
        return errors_of(start + std::string{row.name} + " = " + std::to_string(value) + '\n');
      };
      const auto place = "2: " + std::string{row.name} + ": ";
      BOOST_TEST(!contains(errors(row.low), place), row.name);
      BOOST_TEST(!contains(errors(row.high), place), row.name);
      BOOST_TEST(contains(errors(std::int64_t{row.low} - 1), place), row.name);
      BOOST_TEST(contains(errors(std::int64_t{row.high} + 1), place), row.name);
      BOOST_TEST(contains(errors(std::numeric_limits<std::int64_t>::max()), place), row.name);
      BOOST_TEST((is_octal(row) || contains(errors(std::int64_t{row.high} + 1), " is not between ")), row.name);
    }
}

BOOST_AUTO_TEST_CASE(every_duration_takes_seconds_and_units) {
  for (const auto& row : setting_rows()) {
    if (kind_of(row) != kind::time_span || (row.sections & in_global) == 0) continue;
    const auto shown = [&](const std::string& value) {
      return global_text(row, loaded("[pg_edge]\n" + std::string{row.name} + " = " + value + '\n'));
    };
    BOOST_TEST(shown("7") == "7");
    BOOST_TEST(shown("0") == "0");
    BOOST_TEST(shown("0.5") == "0.5");
    BOOST_TEST(shown("\"2m\"") == (row.rule == value_rule::milliseconds ? "120000" : "120"));
    BOOST_TEST(contains(errors_of("[pg_edge]\n" + std::string{row.name} + " = -1\n"), "2: " + std::string{row.name}));
    BOOST_TEST(contains(errors_of("[pg_edge]\n" + std::string{row.name} + " = nan\n"), "2: " + std::string{row.name}));
    BOOST_TEST(
        contains(errors_of("[pg_edge]\n" + std::string{row.name} + " = 1e300\n"), "2: " + std::string{row.name}));
  }
}

BOOST_AUTO_TEST_CASE(every_amount_of_memory_takes_bytes_and_units) {
  for (const auto& row : setting_rows()) {
    if (kind_of(row) != kind::memory) continue;
    const std::string key{row.name};
    const auto shown = [&](const std::string& value) {
      return global_text(row, loaded("[pg_edge]\n" + key + " = " + value + '\n'));
    };
    BOOST_TEST(shown("0") == "0");
    BOOST_TEST(shown("1000") == "1000");
    BOOST_TEST(shown("65536") == "64kB");
    BOOST_TEST(shown("\"8 GB\"") == "8GB");
    BOOST_TEST(shown("\"3TB\"") == "3TB");
    for (const auto* wrong : {"-1", "\"\"", "\"8gb\"", "\"-1\"", "\"1.5GB\"", "\"99999999TB\""})
      BOOST_TEST(contains(errors_of("[pg_edge]\n" + key + " = " + wrong + '\n'), "2: " + key), wrong);
  }
}

BOOST_AUTO_TEST_CASE(every_enumeration_lists_its_names) {
  for (const auto& row : setting_rows())
    for (const auto& [bit, header] : places)
      if ((row.sections & bit) != 0 && kind_of(row) == kind::names)
        BOOST_TEST(
            contains(errors_of(header + std::string{row.name} + " = \"nonsense\"\n"), "\"nonsense\" is not one of "));
  BOOST_TEST(contains(errors_of("[pg_edge]\npool_mode = 'transactoin'\n"),
                      "2: pool_mode: \"transactoin\" is not one of session, transaction, statement, did you mean "
                      "transaction?"));
}

BOOST_AUTO_TEST_CASE(a_row_in_the_wrong_section_is_told_where_it_belongs) {
  for (const auto& row : setting_rows())
    for (const auto& [bit, header] : places) {
      if (find_row(row.name, bit) != nullptr || find_absent(row.name, bit) != nullptr) continue;
      const auto errors = errors_of(header + std::string{row.name} + " = 1\n");
      BOOST_TEST(contains(errors, "2: " + std::string{row.name} + ": cannot stand in this section, only in ["), errors);
    }
}

BOOST_AUTO_TEST_CASE(show_config_is_sorted_and_tells_what_needs_a_restart) {
  const auto rows = show(loaded("[pg_edge]\nlisten_port = 7000\nquery_timeout = '250ms'\nserver_round_robin = true\n"
                                "admin_users = ['a', 'b']\n[users.a]\npassword = 'geheim'\n"));
  BOOST_TEST(std::is_sorted(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.key < b.key; }));
  const auto row = [&](std::string_view key) {
    return *std::find_if(rows.begin(), rows.end(), [&](const auto& one) { return one.key == key; });
  };
  BOOST_TEST(row("listen_port").value == "7000");
  BOOST_TEST(row("listen_port").default_value == "6432");
  BOOST_TEST(!row("listen_port").changeable);
  BOOST_TEST(row("query_timeout").value == "0.25");
  BOOST_TEST(row("query_timeout").changeable);
  BOOST_TEST(row("server_round_robin").value == "1");
  BOOST_TEST(row("admin_users").value == "a, b");
  for (const auto& one : rows)
    BOOST_TEST(!contains(one.value, "geheim"));
}

BOOST_AUTO_TEST_SUITE_END()
