#include "actors/user_lookup.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>

using namespace pg_edge;
using namespace pg_edge::actors;

namespace {

std::shared_ptr<config::settings> some_settings() {
  auto all = std::make_shared<config::settings>();
  config::database app;
  app.name = "app";
  app.host = "db1, 10.0.0.7,/run/postgresql";
  app.dbname = "real";
  all->default_tenant.databases["app"] = app;
  config::user reader;
  reader.name = "reader";
  reader.secret = "its password";
  all->default_tenant.users["reader"] = reader;
  return all;
}

lookup_user wish_of(std::shared_ptr<const config::settings> all, const std::string& user = "someone") {
  return {std::move(all), "default", "app", user, "reader", "select 1", "", false};
}

std::string option(const lookup_source& source, const std::string& name) {
  for (const auto& [key, value] : source.job.options)
    if (key == name) return value;
  return "(absent)";
}

} // namespace

BOOST_AUTO_TEST_SUITE(user_lookup_test)

BOOST_AUTO_TEST_CASE(a_source_is_the_database_as_auth_user) {
  const lookup_source source = find_source(wish_of(some_settings()));
  BOOST_TEST(source.error == "");
  BOOST_TEST((source.hosts == std::vector<std::string>{"db1", "10.0.0.7", "/run/postgresql"}));
  BOOST_TEST(option(source, "dbname") == "real");
  BOOST_TEST(option(source, "user") == "reader");
  BOOST_TEST(option(source, "password") == "its password");
  BOOST_TEST(option(source, "sslmode") == "prefer");
  BOOST_TEST(option(source, "sslrootcert") == "/nonexistent"); // else libpq would verify
  BOOST_TEST((source.job.connect_limit == std::chrono::seconds(15)));
}

BOOST_AUTO_TEST_CASE(tls_and_tcp_settings_reach_libpq) {
  auto all = some_settings();
  auto& app = all->default_tenant.databases["app"];
  app.server_tls_sslmode = config::tls_mode::verify_full;
  app.server_tls_ca_file = "/ca.crt";
  app.server_tls_cert_file = "/our.crt";
  app.server_tls_key_file = "/our.key";
  all->server_tls_protocols = "tlsv1.2,tlsv1.3";
  all->tcp_keepidle = std::chrono::seconds(7);
  all->tcp_user_timeout = std::chrono::milliseconds(1500);
  const lookup_source source = find_source(wish_of(all));
  BOOST_TEST(option(source, "sslmode") == "verify-full");
  BOOST_TEST(option(source, "sslrootcert") == "/ca.crt");
  BOOST_TEST(option(source, "sslcert") == "/our.crt");
  BOOST_TEST(option(source, "sslkey") == "/our.key");
  BOOST_TEST(option(source, "ssl_min_protocol_version") == "TLSv1.2");
  BOOST_TEST(option(source, "ssl_max_protocol_version") == "TLSv1.3");
  BOOST_TEST(option(source, "keepalives") == "1");
  BOOST_TEST(option(source, "keepalives_idle") == "7");
  BOOST_TEST(option(source, "tcp_user_timeout") == "1500");
}

BOOST_AUTO_TEST_CASE(libpq_knows_every_option) {
  auto all = some_settings();
  all->server_tls_protocols = "tlsv1.1";
  PQconninfoOption* known = PQconndefaults();
  for (const auto& [name, value] : find_source(wish_of(all)).job.options) {
    bool is_known = false;
    for (const PQconninfoOption* one = known; one->keyword != nullptr; ++one)
      is_known = is_known || name == one->keyword;
    BOOST_TEST(is_known, name);
  }
  PQconninfoFree(known);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_asked_has_an_error) {
  auto wish = wish_of(some_settings());
  wish.auth_dbname = "elsewhere";
  BOOST_TEST(find_source(wish).error == "database \"elsewhere\" is not configured");
  auto all = some_settings();
  all->default_tenant.users["reader"].secret = "md5" + std::string(32, 'a');
  BOOST_TEST(find_source(wish_of(all)).error.find("plain text") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(keys_differ_by_everything_that_matters) {
  const auto all = some_settings();
  const std::string one = find_source(wish_of(all)).key();
  BOOST_TEST(find_source(wish_of(all)).key() == one);
  BOOST_TEST(find_source(wish_of(all, "another")).key() != one);
  auto wish = wish_of(all);
  wish.auth_query = "select 2";
  BOOST_TEST(find_source(wish).key() != one);
  BOOST_TEST(find_source(wish).job.connection == find_source(wish_of(all)).job.connection);
  auto changed = some_settings();
  changed->default_tenant.databases["app"].host = "db2";
  BOOST_TEST(find_source(wish_of(changed)).key() != one);
  auto tenants = some_settings();
  config::tenant other = tenants->default_tenant;
  other.name = "other";
  tenants->tenants["other"] = other;
  wish = wish_of(tenants);
  wish.tenant = "other";
  BOOST_TEST(find_source(wish).error == "");
  BOOST_TEST(find_source(wish).key() != one);
}

BOOST_AUTO_TEST_CASE(the_sqlstate_of_a_refused_login_is_found) {
  BOOST_TEST(sqlstate_in("connection to server at \"h\", port 1 failed: FATAL:  28P01: password wrong\nLOCATION: x") ==
             "28P01");
  BOOST_TEST(sqlstate_in("failed: FATALE:  3D000: nope") == "3D000");
  BOOST_TEST(sqlstate_in("failed: Connection refused\n\tIs the server running?") == "");
  BOOST_TEST(sqlstate_in("x:  abcde: no") == "");
  BOOST_TEST(sqlstate_in("x:  123") == "");
  BOOST_TEST(sqlstate_in("") == "");
}

BOOST_AUTO_TEST_CASE(the_cache_forgets_what_was_used_longest_ago) {
  lookup_cache cache(2);
  cache.insert("a", {"1", {}, false});
  cache.insert("b", {"2", {}, false});
  BOOST_TEST_REQUIRE(cache.find("a") != nullptr);
  cache.insert("c", {"3", {}, false});
  BOOST_TEST(cache.size() == 2U);
  BOOST_TEST(cache.find("b") == nullptr);
  BOOST_TEST(cache.find("a")->secret == "1");
  cache.insert("a", {"4", {}, false});
  BOOST_TEST(cache.find("a")->secret == "4");
  BOOST_TEST(cache.erase("a"));
  BOOST_TEST(!cache.erase("a"));
  BOOST_TEST(cache.size() == 1U);
}

BOOST_AUTO_TEST_CASE(welcomes_are_kept_for_the_pools_told_of_last) {
  const auto values = protocol::with(nullptr, "server_version", "15.1");
  welcome_cache cache(2);
  BOOST_TEST(cache.find("a") == nullptr);
  cache.remember("a", values);
  cache.remember("b", values);
  cache.remember("a", protocol::with(values, "server_version", "16.0"));
  cache.remember("c", values);
  BOOST_TEST(cache.size() == 2U);
  BOOST_TEST(cache.find("b") == nullptr);
  BOOST_TEST(cache.find("a")->get("server_version") == "16.0");
  cache.remember("d", nullptr);
  BOOST_TEST(cache.find("d") == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
