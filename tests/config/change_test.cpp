// SET on the console: one setting changed on a copy of those in force, by the rules of the file.
#include "config/change.hpp"
#include "config/setting_table.hpp"
#include "config_text.hpp"

#include <boost/test/unit_test.hpp>

using namespace config_text;

BOOST_AUTO_TEST_SUITE(change_test)

BOOST_AUTO_TEST_CASE(B151_values_are_read_as_pgbouncers_set_reads_them) {
  const settings now;
  BOOST_TEST(with_setting(now, "default_pool_size", "7").value->default_pool_size == 7);
  BOOST_TEST((with_setting(now, "pool_mode", "transaction").value->pool_mode == pool_mode::transaction));
  BOOST_TEST((with_setting(now, "query_timeout", "2.5").value->query_timeout == std::chrono::milliseconds(2500)));
  BOOST_TEST((with_setting(now, "query_timeout", "2m").value->query_timeout == std::chrono::minutes(2)));
  BOOST_TEST(!with_setting(now, "log_connections", "0").value->log_connections);
  BOOST_TEST(with_setting(now, "admin_users", "a, b").value->admin_users.size() == 2u);
  BOOST_TEST(with_setting(now, "server_reset_query", "").value->server_reset_query.empty());
  BOOST_TEST((with_setting(now, "log_format", "json").value->log_format == log_format::json));
  BOOST_TEST(with_setting(now, "memory_limit", "64MB").value->memory_limit.bytes == 64u * 1024 * 1024);
}

BOOST_AUTO_TEST_CASE(B151_all_else_stays_as_it_is) {
  settings now;
  now.max_client_conn = 55;
  now.default_tenant.databases["d"].name = "d";
  const auto changed = with_setting(now, "default_pool_size", "7");
  BOOST_TEST_REQUIRE(changed.value);
  BOOST_TEST(changed.value->max_client_conn == 55);
  BOOST_TEST(changed.value->default_tenant.databases.size() == 1u);
  BOOST_TEST(now.default_pool_size == 20);
}

BOOST_AUTO_TEST_CASE(B151_what_cannot_be_set_says_why) {
  const settings now;
  const auto why = [&](const char* key, const char* value) {
    const auto changed = with_setting(now, key, value);
    BOOST_TEST(changed.value == nullptr, key);
    return changed.why;
  };
  BOOST_TEST(contains(why("listen_port", "5"), "restart"));
  BOOST_TEST(contains(why("pool_moed", "session"), "did you mean \"pool_mode\"?"));
  BOOST_TEST(contains(why("default_pool_size", "many"), "default_pool_size"));
  BOOST_TEST(contains(why("default_pool_size", "-1"), "default_pool_size"));
  BOOST_TEST(contains(why("pool_mode", "sometimes"), "not one of"));
  BOOST_TEST(contains(why("pkt_buf", "1"), "pkt_buf"));
  BOOST_TEST(contains(why("client_tls_sslmode", "require"), "client_tls"));
}

/// Each changeable setting takes the value that SHOW CONFIG shows for it.
BOOST_AUTO_TEST_CASE(B151_every_changeable_setting_can_be_set_to_what_it_is) {
  const settings now;
  for (const auto& row : setting_rows()) {
    if ((row.sections & in_global) == 0 || !row.reloadable || row.rule == value_rule::secret) continue;
    const auto changed = with_setting(now, row.name, global_text(row, now));
    BOOST_TEST((changed.value != nullptr), row.name << ": " << changed.why);
    if (changed.value) BOOST_TEST(global_text(row, *changed.value) == global_text(row, now), row.name);
  }
}

BOOST_AUTO_TEST_SUITE_END()
