// Precedence: user over database over tenant over global; and who is served by which database.
#include "config/resolve.hpp"
#include "config/setting_table.hpp"
#include "config_text.hpp"

#include <boost/test/unit_test.hpp>

using namespace config_text;
using namespace std::chrono_literals;

namespace {

pool_settings resolve(const settings& all, std::string_view tenant_name, std::string_view database_name,
                      std::string_view client) {
  const auto found = find_route(all, tenant_name, database_name, client);
  if (!found.has_value()) throw std::runtime_error("no route");
  return resolve_pool(all, *found->tenant, *found->database, found->database_name, found->server_user(client),
                      found->user);
}

/// Rows about logins, which no pool needs to know: see logins_and_their_limits.
bool is_about_logins(const setting_row& row) {
  return row.name.starts_with("auth_") || row.name.ends_with("_client_connections");
}

} // namespace

BOOST_AUTO_TEST_SUITE(resolve_test)

BOOST_AUTO_TEST_CASE(routes_by_name_then_by_the_fallback) {
  const auto all = loaded("[databases.app]\nhost = 'a'\n[databases.'*']\nhost = 'b'\n[users.u]\npassword = 'x'\n"
                          "[tenants.t.databases.app]\nhost = 'c'\n");
  const auto app = find_route(all, "", "app", "u");
  BOOST_REQUIRE(app.has_value());
  BOOST_TEST(app->database->host == "a");
  BOOST_TEST(app->database_name == "app");
  BOOST_TEST((app->user == &all.default_tenant.users.at("u")));
  const auto other = find_route(all, "default", "other", "stranger");
  BOOST_REQUIRE(other.has_value());
  BOOST_TEST(other->database->host == "b");
  BOOST_TEST(other->database_name == "other");
  BOOST_TEST((other->user == nullptr));
  BOOST_TEST(find_route(all, "t", "app", "u")->database->host == "c");
  // A tenant has no users and no fallback but its own.
  BOOST_TEST((find_route(all, "t", "app", "u")->user == nullptr));
  BOOST_TEST(!find_route(all, "t", "other", "u").has_value());
  BOOST_TEST(!find_route(all, "nobody", "app", "u").has_value());
}

BOOST_AUTO_TEST_CASE(B003_no_database_means_the_users_own_name) {
  const auto all = loaded("[databases.'*']\n");
  BOOST_TEST(find_route(all, "", "", "anna")->database_name == "anna");
  BOOST_TEST(resolve(all, "", "", "anna").dbname == "anna");
}

BOOST_AUTO_TEST_CASE(the_consoles_are_no_databases) {
  const auto all = loaded("[databases.'*']\n");
  BOOST_TEST(!find_route(all, "", "pgbouncer", "u").has_value());
  BOOST_TEST(!find_route(all, "", "pg_edge", "u").has_value());
  BOOST_TEST(find_route(all, "", "pg_edge_app", "u").has_value());
}

BOOST_AUTO_TEST_CASE(the_narrower_level_wins) {
  const std::string global = "[pg_edge]\nquery_wait_timeout = 1\n";
  const std::string owner = "[tenants.t]\nquery_wait_timeout = 2\n";
  const std::string database = "[tenants.t.databases.d]\nquery_wait_timeout = 3\n";
  const std::string user = "[tenants.t.users.u]\nquery_wait_timeout = 4\n";
  const std::string bare = "[tenants.t.databases.d]\nhost = 'h'\n";
  const auto wait = [](const std::string& text) { return resolve(loaded(text), "t", "d", "u").query_wait_timeout; };
  BOOST_TEST((wait(bare) == 120s));
  BOOST_TEST((wait(global + bare) == 1s));
  BOOST_TEST((wait(global + owner + bare) == 2s));
  BOOST_TEST((wait(global + owner + database) == 3s));
  BOOST_TEST((wait(global + owner + database + user) == 4s));
  BOOST_TEST((wait(global + owner + bare + user) == 4s));
  BOOST_TEST((wait(owner + user + bare) == 4s));
}

BOOST_AUTO_TEST_CASE(the_place_of_a_setting_is_the_level_that_gives_it) {
  const auto place = [](const std::string& text, const char* tenant) {
    return setting_place(&overrides::query_wait_timeout, loaded(text), tenant, "d", "u");
  };
  const std::string bare = "[databases.d]\nhost = 'h'\n[users.u]\npassword = 'x'\n";
  BOOST_TEST(place(bare, "") == "[pg_edge]");
  BOOST_TEST(place("[databases.d]\nquery_wait_timeout = 3\n", "") == "[databases.d]");
  BOOST_TEST(place("[databases.d]\nquery_wait_timeout = 3\n[users.u]\nquery_wait_timeout = 4\n", "") == "[users.u]");
  BOOST_TEST(place("[databases.'*']\nquery_wait_timeout = 3\n", "") == "[databases.*]");
  BOOST_TEST(place("[tenants.t]\nquery_wait_timeout = 3\n[tenants.t.databases.d]\nhost = 'h'\n", "t") == "[tenants.t]");
  BOOST_TEST(place("[tenants.t.databases.d]\nquery_wait_timeout = 3\n", "t") == "[tenants.t.databases.d]");
  BOOST_TEST(place("[tenants.t.databases.d]\nhost = 'h'\n[tenants.t.users.u]\nquery_wait_timeout = 3\n", "t") ==
             "[tenants.t.users.u]");
  BOOST_TEST(place(bare, "nobody") == "[pg_edge]");
}

BOOST_AUTO_TEST_CASE(pool_size_has_two_names) {
  const auto size = [](const std::string& text) { return resolve(loaded(text), "t", "d", "u").pool_size; };
  const std::string bare = "[tenants.t.databases.d]\nhost = 'h'\n";
  BOOST_TEST(size(bare) == 20);
  BOOST_TEST(size("[pg_edge]\ndefault_pool_size = 9\n" + bare) == 9);
  BOOST_TEST(size("[pg_edge]\ndefault_pool_size = 9\n[tenants.t]\ndefault_pool_size = 8\n" + bare) == 8);
  BOOST_TEST(size("[tenants.t]\ndefault_pool_size = 8\n" + bare + "pool_size = 7\n") == 7);
  BOOST_TEST(size(bare + "pool_size = 7\n[tenants.t.users.u]\npool_size = 6\n") == 6);
}

/// Each setting with a global value and an override, so that no line of resolve_pool is missing or crossed.
BOOST_AUTO_TEST_CASE(every_override_reaches_the_pool) {
  const settings fresh;
  const auto base = resolve(loaded("[databases.d]\nhost = 'h'\n"), "", "d", "u");
  for (const auto& row : setting_rows()) {
    if (row.override_.index() == 0) continue;
    settings all = fresh;
    all.default_tenant.databases["d"].name = "d";
    all.default_tenant.databases["d"].host = "h";
    settings overridden = all;
    std::visit(
        [&](auto member) {
          if constexpr (!std::is_same_v<decltype(member), std::monostate>) {
            using type = typename std::decay_t<decltype(std::declval<overrides&>().*member)>::value_type;
            type value{};
            if constexpr (std::is_same_v<type, bool>)
              value = true;
            else if constexpr (std::is_same_v<type, int>)
              value = 77;
            else if constexpr (std::is_same_v<type, duration>)
              value = duration{77};
            else if constexpr (std::is_same_v<type, std::string>)
              value = "other";
            else if constexpr (std::is_same_v<type, pool_mode>)
              value = pool_mode::statement;
            else if constexpr (std::is_same_v<type, tls_mode>)
              value = tls_mode::require;
            static_cast<overrides&>(overridden.default_tenant.databases["d"]).*member = value;
          }
        },
        row.override_);
    BOOST_TEST((resolve(all, "", "d", "u") == base), row.name);
    if (!is_about_logins(row)) BOOST_TEST((resolve(overridden, "", "d", "u") != base), row.name);
  }
}

BOOST_AUTO_TEST_CASE(every_global_default_reaches_the_pool) {
  for (const auto& row : setting_rows()) {
    if (row.override_.index() == 0 || (row.sections & in_global) == 0 || is_about_logins(row)) continue;
    settings all;
    all.default_tenant.databases["d"].name = "d";
    const auto before = resolve(all, "", "d", "u");
    std::visit(
        [&](auto member) {
          if constexpr (std::is_same_v<decltype(member), bool settings::*>)
            all.*member = !(all.*member);
          else if constexpr (std::is_same_v<decltype(member), int settings::*>)
            all.*member += 1;
          else if constexpr (std::is_same_v<decltype(member), duration settings::*>)
            all.*member += 1s;
          else if constexpr (std::is_same_v<decltype(member), std::string settings::*>)
            all.*member += "x";
          else if constexpr (std::is_same_v<decltype(member), pool_mode settings::*>)
            all.*member = pool_mode::statement;
          else if constexpr (std::is_same_v<decltype(member), tls_mode settings::*>)
            all.*member = tls_mode::require;
          else if constexpr (std::is_same_v<decltype(member), host_balance settings::*>)
            all.*member = host_balance::disable;
        },
        row.global);
    BOOST_TEST((resolve(all, "", "d", "u") != before), row.name);
  }
}

BOOST_AUTO_TEST_CASE(logins_and_their_limits) {
  const auto all = loaded("[pg_edge]\nauth_type = 'trust'\nauth_user = 'looker'\nmax_db_client_connections = 5\n"
                          "max_user_client_connections = 6\nmax_tenant_client_connections = 7\n"
                          "[databases.d]\nmax_db_client_connections = 8\nauth_query = 'x'\nauth_dbname = 'e'\n"
                          "[users.u]\nmax_user_client_connections = 9\n"
                          "[tenants.t]\nauth_type = 'peer'\nmax_tenant_client_connections = 0\n"
                          "[tenants.t.databases.d]\n[listeners.l]\nlisten_addr = '::1'\nauth_type = 'plain'\n");
  const auto& owner = all.default_tenant;
  const auto limits = resolve_client_limits(all, owner, owner.databases.at("d"), &owner.users.at("u"));
  BOOST_TEST(limits.max_db_client_connections == 8);
  BOOST_TEST(limits.max_user_client_connections == 9);
  BOOST_TEST(limits.max_tenant_client_connections == 7);
  const auto rules = resolve_login(all, owner, &owner.databases.at("d"), nullptr);
  BOOST_TEST((rules.auth_type == auth_type::trust));
  BOOST_TEST(rules.auth_user == "looker");
  BOOST_TEST(rules.auth_query == "x");
  BOOST_TEST(rules.auth_dbname == "e");
  const auto& other = all.tenants.at("t");
  BOOST_TEST(resolve_client_limits(all, other, other.databases.at("d"), nullptr).max_tenant_client_connections == 0);
  BOOST_TEST((resolve_login(all, other, nullptr, nullptr).auth_type == auth_type::peer));
  BOOST_TEST((resolve_login(all, other, nullptr, &all.listeners.at("l")).auth_type == auth_type::plain));
}

BOOST_AUTO_TEST_CASE(the_target) {
  const auto all = loaded("[databases.d]\nport = 5433\ndbname = 'real'\nuser = 'owner'\npassword = 'geheim'\n"
                          "connect_query = 'SELECT 1'\nclient_encoding = 'UTF8'\ndatestyle = 'ISO'\ntimezone = 'UTC'\n"
                          "application_name = 'pool'\n[users.owner]\npassword = 'other'\n");
  const auto pool = resolve(all, "", "d", "anna");
  BOOST_TEST(pool.host == "127.0.0.1");
  BOOST_TEST(pool.port == 5433);
  BOOST_TEST(pool.dbname == "real");
  BOOST_TEST(pool.server_user == "owner");
  BOOST_TEST(pool.server_secret == "geheim");
  BOOST_TEST(pool.connect_query == "SELECT 1");
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"client_encoding", "UTF8"}, {"datestyle", "ISO"}, {"timezone", "UTC"}, {"application_name", "pool"}};
  BOOST_TEST((pool.server_parameters == expected));
}

BOOST_AUTO_TEST_CASE(the_secret_of_the_server_user) {
  const auto secret = [](const std::string& text) { return resolve(loaded(text), "", "d", "anna").server_secret; };
  BOOST_TEST(secret("[databases.d]\n[users.anna]\npassword = 'a'\n") == "a");
  BOOST_TEST(secret("[databases.d]\nuser = 'owner'\n[users.anna]\npassword = 'a'\n[users.owner]\npassword = 'o'\n") ==
             "o");
  BOOST_TEST(secret("[databases.d]\nuser = 'owner'\n[users.anna]\npassword = 'a'\n") == "");
  BOOST_TEST(secret("[databases.d]\npassword = 'p'\n[users.anna]\npassword = 'a'\n") == "p");
}

BOOST_AUTO_TEST_CASE(pools_behind_the_fallback_go_by_themselves) {
  const auto all = loaded("[pg_edge]\nautodb_idle_timeout = 60\n[databases.'*']\n[databases.d]\n");
  BOOST_TEST((resolve(all, "", "any", "u").pool_idle_timeout == 60s));
  BOOST_TEST((resolve(all, "", "d", "u").pool_idle_timeout == 0s));
  const auto own = loaded("[pg_edge]\npool_idle_timeout = 5\n[databases.'*']\n");
  BOOST_TEST((resolve(own, "", "any", "u").pool_idle_timeout == 5s));
}

BOOST_AUTO_TEST_SUITE_END()
