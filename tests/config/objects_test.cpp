// Objects of the store beside those of the file: one rule of precedence, and a change is looked at before it is made.
#include "config/objects.hpp"
#include "config/timestamp.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::config;

namespace {

constexpr const char* toml = R"([pg_edge]
listen_addr = "127.0.0.1"
auth_type = "scram-sha-256"
default_pool_size = 7

[databases.app]
host = "10.0.0.1"

[users.ann]
password = "of the file"

[tenants.acme]
max_tenant_connections = 5
[tenants.acme.databases.shop]
host = "10.0.0.2"
)";

outside no_world() {
  return {[](const std::string&) { return std::nullopt; }, [](const std::string&) { return std::nullopt; }};
}

load_result the_file() {
  auto out = load_text(toml, "/etc/pg_edge.toml", no_world());
  BOOST_REQUIRE(out.value != nullptr);
  return out;
}

object_id database_id(const char* tenant, const char* name) {
  return {object_kind::database, tenant, name};
}
object_id user_id(const char* tenant, const char* name) {
  return {object_kind::user, tenant, name};
}
object_id tenant_named(const char* name) {
  return {object_kind::tenant, {}, name};
}
object_id setting(const char* name) {
  return {object_kind::setting, {}, name};
}

stored_object object(const char* body) {
  return {body, 1, "token t", "2026-11-28T00:00:00Z"};
}

using fault_kind = object_fault::kind;

planned_change planned(const stored_objects& now, object_verb verb, const object_id& id, const char* body = "{}",
                       bool cascade = false) {
  return plan(the_file(), now, {verb, id, body, cascade}, no_world());
}

void check_fault(const planned_change& got, fault_kind kind, const std::string& field, const std::string& text) {
  BOOST_TEST((got.fault.is == kind), static_cast<int>(got.fault.is) << " " << got.fault.what);
  BOOST_TEST(got.fault.field == field);
  BOOST_TEST(got.fault.what.find(text) != std::string::npos, got.fault.what);
}

} // namespace

BOOST_AUTO_TEST_SUITE(objects_test)

BOOST_AUTO_TEST_CASE(the_store_adds_what_the_file_does_not_name) {
  const auto file = the_file();
  const stored_objects objects{
      {tenant_named("bob"), object(R"({"default_pool_size": 3, "allowed_addresses": ["10.0.0.0/8"]})")},
      {database_id("bob", "main"), object(R"({"host": "db", "port": 5433, "pool_size": 9})")},
      {user_id("bob", "joe"), object(R"({"password": "${HOME} is no variable"})")},
      {database_id("default", "more"), object(R"({"host": "h"})")},
      {database_id("acme", "extra"), object(R"({})")},
      {setting("query_timeout"), object(R"({"value": "5s"})")},
  };
  const auto merged = merge(file, objects, no_world());
  for (const drift& one : merged.left_out)
    BOOST_ERROR(to_string(one.id) << ": " << one.why);
  const settings& all = *merged.values;
  BOOST_TEST(all.tenants.at("bob").databases.at("main").port == 5433);
  BOOST_TEST(*all.tenants.at("bob").databases.at("main").pool_size == 9);
  BOOST_TEST(all.tenants.at("bob").users.at("joe").secret == "${HOME} is no variable");
  BOOST_TEST(all.tenants.at("bob").allowed_addresses.size() == 1U);
  BOOST_TEST(all.default_tenant.databases.count("more") == 1U);
  BOOST_TEST(all.tenants.at("acme").databases.count("shop") == 1U);
  BOOST_TEST(all.tenants.at("acme").databases.count("extra") == 1U);
  BOOST_TEST((all.query_timeout == std::chrono::seconds(5)));
  BOOST_TEST(all.default_pool_size == 7);
  BOOST_TEST(file.value->tenants.count("bob") == 0U); // untouched
}

BOOST_AUTO_TEST_CASE(what_the_file_names_is_the_files) {
  const stored_objects objects{
      {database_id("default", "app"), object(R"({"host": "elsewhere"})")},
      {user_id("default", "ann"), object(R"({"password": "other"})")},
      {tenant_named("acme"), object(R"({"max_tenant_connections": 99})")},
      {setting("default_pool_size"), object(R"({"value": 50})")},
      {setting("query_timeout"), object(R"({"value": 1})")},
  };
  const auto merged = merge(the_file(), objects, no_world());
  BOOST_TEST(merged.values->default_tenant.databases.at("app").host == "10.0.0.1");
  BOOST_TEST(merged.values->default_tenant.users.at("ann").secret == "of the file");
  BOOST_TEST(*merged.values->tenants.at("acme").max_tenant_connections == 5);
  BOOST_TEST(merged.values->default_pool_size == 7);
  BOOST_TEST((merged.values->query_timeout == std::chrono::seconds(1)));
  BOOST_REQUIRE(merged.left_out.size() == 4U);
  for (const drift& one : merged.left_out)
    BOOST_TEST(one.why.find("the file has it: /etc/pg_edge.toml:") == 0U, one.why);
  BOOST_TEST(*place_in_file(the_file(), database_id("acme", "shop")) == "/etc/pg_edge.toml:14");
}

/// One bad object costs only itself.
BOOST_AUTO_TEST_CASE(what_does_not_fit_is_left_out_and_the_rest_counts) {
  const stored_objects objects{
      {tenant_named("one"), object(R"({"server_names": ["x.example.com"]})")},
      {tenant_named("two"), object(R"({"server_names": ["x.example.com"]})")}, // two tenants of one name
      {database_id("nobody", "x"), object(R"({})")},
      {database_id("one", "bad"), object(R"({"pool_size": 0})")},
      {database_id("one", "good"), object(R"({"pool_size": 1})")},
      {user_id("one", "u"), object("not json")},
      {setting("no_such_setting"), object(R"({"value": 1})")},
      {setting("query_timeout"), object(R"({"other": 1})")},
  };
  const auto merged = merge(the_file(), objects, no_world());
  BOOST_TEST(merged.left_out.size() == 6U);
  BOOST_TEST(merged.values->tenants.count("one") == 1U);
  BOOST_TEST(merged.values->tenants.count("two") == 0U);
  BOOST_TEST(merged.values->tenants.at("one").databases.count("good") == 1U);
  BOOST_TEST(merged.values->tenants.at("one").databases.count("bad") == 0U);
}

BOOST_AUTO_TEST_CASE(a_change_is_checked_by_the_tables_of_the_file) {
  check_fault(planned({}, object_verb::create, database_id("default", "x"), R"({"pool_size": 0})"), fault_kind::invalid,
              "pool_size", "not between");
  check_fault(planned({}, object_verb::create, database_id("default", "x"), R"({"pol_size": 1})"), fault_kind::invalid,
              "pol_size", "did you mean pool_size?");
  check_fault(planned({}, object_verb::create, database_id("default", "x"), R"({"pool_size": "many"})"),
              fault_kind::invalid, "pool_size", "expected an integer");
  check_fault(planned({}, object_verb::create, database_id("default", "x"), R"({"pool_size": {"a": 1}})"),
              fault_kind::invalid, "pool_size", "expected an integer, not a section");
  check_fault(planned({}, object_verb::create, user_id("default", "x"), R"({"password_file": "/etc/shadow"})"),
              fault_kind::invalid, "password_file", "configuration file");
  check_fault(planned({}, object_verb::create, database_id("default", "x"), R"({"url": "postgres://u:p@h/d"})"),
              fault_kind::invalid, "url", "host, port");
  check_fault(planned({}, object_verb::create, database_id("nobody", "x")), fault_kind::invalid, "",
              "no tenant nobody");
  check_fault(planned({}, object_verb::create, database_id("default", "pgbouncer")), fault_kind::invalid, "",
              "admin console");
  check_fault(planned({}, object_verb::create, tenant_named("default")), fault_kind::invalid, "", "default");
  check_fault(planned({}, object_verb::create, tenant_named("a/b")), fault_kind::invalid, "", "must not hold a /");
  for (const char* body : {"", "[]", "1", "{", "{\"a\":1}x"})
    check_fault(planned({}, object_verb::create, tenant_named("t"), body), fault_kind::invalid, "", "the body is not");
  const std::string deep(1'000'000, '[');
  check_fault(planned({}, object_verb::create, tenant_named("t"), ("{\"a\":" + deep).c_str()), fault_kind::invalid, "",
              "the body");
  check_fault(planned({}, object_verb::create, tenant_named("t"), R"({"server_names": [[[[[[[[[[["x"]]]]]]]]]]]})"),
              fault_kind::invalid, "", "nested");
  check_fault(planned({}, object_verb::replace, setting("listen_port"), R"({"value": 1})"), fault_kind::needs_restart,
              "name", "restart");
  check_fault(planned({}, object_verb::replace, setting("query_timeot"), R"({"value": 1})"), fault_kind::invalid, "",
              "did you mean query_timeout?");
}

BOOST_AUTO_TEST_CASE(what_is_of_the_file_says_where) {
  const auto got = planned({}, object_verb::remove, database_id("default", "app"));
  check_fault(got, fault_kind::of_file, "", "change it there");
  BOOST_TEST(got.fault.where == "/etc/pg_edge.toml:6");
  check_fault(planned({}, object_verb::create, user_id("default", "ann")), fault_kind::of_file, "", "file");
  check_fault(planned({}, object_verb::replace, setting("default_pool_size"), R"({"value": 3})"), fault_kind::of_file,
              "", ":4");
}

/// The file has taken it over: what the store still has of it can go, and nothing else.
BOOST_AUTO_TEST_CASE(what_the_file_has_taken_over_can_be_removed_from_the_store) {
  const stored_objects now{{database_id("default", "app"), object("{}")}};
  check_fault(planned(now, object_verb::patch, database_id("default", "app")), fault_kind::of_file, "", "file");
  const auto got = planned(now, object_verb::remove, database_id("default", "app"));
  BOOST_TEST((got.fault.is == fault_kind::none), got.fault.what);
  BOOST_TEST(got.gone.size() == 1U);
}

BOOST_AUTO_TEST_CASE(exists_and_missing) {
  const stored_objects now{{database_id("default", "x"), object(R"({})")}};
  check_fault(planned(now, object_verb::create, database_id("default", "x")), fault_kind::exists, "", "already");
  check_fault(planned(now, object_verb::patch, database_id("default", "y")), fault_kind::missing, "", "there is no");
  check_fault(planned(now, object_verb::remove, user_id("default", "x")), fault_kind::missing, "", "user x");
}

BOOST_AUTO_TEST_CASE(a_patch_merges_and_a_replacement_keeps_secrets) {
  const stored_objects now{{user_id("default", "x"), object(R"({"password": "s", "pool_mode": "session"})")}};
  auto got = planned(now, object_verb::patch, user_id("default", "x"), R"({"pool_mode": null, "pool_size": 4})");
  BOOST_TEST(got.body == R"({"password":"s","pool_size":4})");
  BOOST_TEST(got.changed_fields == (std::vector<std::string>{"pool_mode", "pool_size"}),
             boost::test_tools::per_element());
  got = planned(now, object_verb::replace, user_id("default", "x"), R"({"pool_size": 4})");
  BOOST_TEST(got.body == R"({"password":"s","pool_size":4})");
  got = planned(now, object_verb::replace, user_id("default", "x"), R"({"password": null})");
  BOOST_TEST(got.body == "{}");
  const auto shown = show_object(user_id("default", "x"), now.begin()->second);
  BOOST_TEST(shown.body == R"({"pool_mode":"session"})");
  BOOST_TEST(shown.secrets == std::vector<std::string>{"password"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_tenant_goes_with_what_is_in_it_only_if_asked) {
  const stored_objects now{{tenant_named("t"), object("{}")},
                           {database_id("t", "d"), object("{}")},
                           {user_id("t", "u"), object("{}")},
                           {user_id("acme", "u"), object("{}")}};
  check_fault(planned(now, object_verb::remove, tenant_named("t")), fault_kind::still_used, "", "database t/d");
  const auto got = planned(now, object_verb::remove, tenant_named("t"), "{}", true);
  BOOST_TEST((got.fault.is == fault_kind::none), got.fault.what);
  BOOST_TEST(got.gone.size() == 3U);
}

BOOST_AUTO_TEST_CASE(bans_hold_until_they_end) {
  const stored_objects objects{
      {{object_kind::ban_tenant, {}, "acme"}, object(R"({"reason": "unpaid"})")},
      {{object_kind::ban_user, "default", "ann"}, object(R"({"until": "2030-01-01"})")},
      {{object_kind::ban_address, {}, "10.1.0.0/16"},
       object(R"({"reason": "flood", "until": "2030-01-01T00:00:00Z"})")},
      {{object_kind::ban_address, {}, "nonsense"}, object("{}")},
      {{object_kind::ban_address, {}, "::1"}, object(R"({"until": "never"})")},
  };
  const auto merged = merge(the_file(), objects, no_world());
  BOOST_TEST(merged.left_out.size() == 2U);
  const ban_list& bans = *merged.bans;
  const auto now = *parse_timestamp("2026-11-28"), later = *parse_timestamp("2031-01-01");
  BOOST_TEST(bans.of_tenant("acme", later).value_or("-") == ": unpaid");
  BOOST_TEST(!bans.of_tenant("other", now).has_value());
  BOOST_TEST(bans.of_user("default", "ann", now).value_or("-") == " until 2030-01-01T00:00:00Z");
  BOOST_TEST(!bans.of_user("default", "ann", later).has_value());
  BOOST_TEST(!bans.of_user("acme", "ann", now).has_value());
  BOOST_TEST(bans.of_address("10.1.2.3", now).value_or("-") == " until 2030-01-01T00:00:00Z: flood");
  BOOST_TEST(bans.of_address("::ffff:10.1.2.3", now).has_value());
  BOOST_TEST(!bans.of_address("10.2.0.1", now).has_value());
  BOOST_TEST(!bans.of_address("unix", now).has_value());
  BOOST_TEST(!bans.of_address("10.1.2.3", later).has_value());
}

BOOST_AUTO_TEST_CASE(an_object_comes_back_from_the_store_as_it_went) {
  const auto back = parse_stored_object(stored_text(object(R"({"a":[1,"x"]})")));
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST(back->body == R"({"a":[1,"x"]})");
  BOOST_TEST(back->changed_by == "token t");
  for (const char* text : {"", "{}", "[]", R"({"body": 1})", R"({"body": [1]})"})
    BOOST_TEST(!parse_stored_object(text).has_value());
}

BOOST_AUTO_TEST_CASE(the_files_objects_are_shown_as_the_stores) {
  const auto file = the_file();
  const auto shown = show_file_object(*file.value, user_id("default", "ann"));
  BOOST_REQUIRE(shown.has_value());
  BOOST_TEST(shown->body == "{}");
  BOOST_TEST(shown->secrets == std::vector<std::string>{"password"}, boost::test_tools::per_element());
  BOOST_TEST(show_file_object(*file.value, database_id("acme", "shop"))->body == R"({"host":"10.0.0.2"})");
  BOOST_TEST(show_file_object(*file.value, tenant_named("acme"))->body == R"({"max_tenant_connections":5})");
  BOOST_TEST(!show_file_object(*file.value, database_id("acme", "none")).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
