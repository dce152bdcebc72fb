#include "config/difference.hpp"
#include "config/setting_table.hpp"
#include "config_text.hpp"

#include <boost/test/unit_test.hpp>

using namespace config_text;
using names = std::vector<std::string>;

namespace {

void alter(bool& value) {
  value = !value;
}
void alter(byte_size& value) {
  value.bytes += 1;
}
void alter(int& value) {
  --value;
}
void alter(std::string& value) {
  value += "x";
}
void alter(std::vector<std::string>& value) {
  value.push_back("more");
}
void alter(duration& value) {
  value += std::chrono::seconds{1};
}
template <class Enum>
requires std::is_enum_v<Enum>
void alter(Enum& value) {
  value = static_cast<Enum>(static_cast<int>(value) == 1 ? 0 : 1);
}

void alter_member(settings&, std::monostate) {}
template <class T>
void alter_member(settings& all, T settings::*member) {
  alter(all.*member);
}

} // namespace

BOOST_AUTO_TEST_SUITE(difference_test)

BOOST_AUTO_TEST_CASE(nothing_changed) {
  const std::string text = "[pg_edge]\nlisten_port = 7000\n[databases.d]\nhost = 'a'\n[users.u]\npassword = 'x'\n"
                           "[tenants.t.databases.d]\nhost = 'b'\n";
  BOOST_TEST(diff(loaded(text), loaded(text)).empty());
  // Moving a section to another line changes nothing.
  BOOST_TEST(diff(loaded(text), loaded("\n\n" + text)).empty());
}

BOOST_AUTO_TEST_CASE(globals_now_or_after_a_restart) {
  const auto found = diff(loaded("[pg_edge]\nlisten_port = 7000\nquery_timeout = 1\n"),
                          loaded("[pg_edge]\nlisten_port = 7001\nquery_timeout = '250ms'\npool_mode = 'statement'\n"));
  BOOST_TEST((found.changed == names{"pool_mode: session -> statement", "query_timeout: 1 -> 0.25"}));
  BOOST_TEST((found.needs_restart == names{"listen_port: 7000 -> 7001"}));
  BOOST_TEST(found.databases.empty());
}

BOOST_AUTO_TEST_CASE(every_global_row_is_compared) {
  for (const auto& row : setting_rows()) {
    settings changed;
    std::visit([&](auto member) { alter_member(changed, member); }, row.global);
    if (row.global.index() == 0) continue;
    const auto found = diff(settings{}, changed);
    BOOST_TEST(found.changed.size() == (row.reloadable ? 1u : 0u), row.name);
    BOOST_TEST(found.needs_restart.size() == (row.reloadable ? 0u : 1u), row.name);
  }
}

BOOST_AUTO_TEST_CASE(databases_users_and_tenants) {
  const auto found = diff(loaded("[databases.same]\n[databases.gone]\n[databases.moved]\nhost = 'a'\n"
                                 "[users.u]\npassword = 'geheim1'\n[tenants.gone.databases.d]\n"
                                 "[tenants.t]\ndefault_pool_size = 1\n[tenants.t.databases.d]\nhost = 'a'\n"),
                          loaded("[databases.same]\n[databases.fresh]\n[databases.moved]\nhost = 'b'\n"
                                 "[users.u]\npassword = 'geheim2'\n[users.v]\npassword = 'x'\n[tenants.fresh]\n"
                                 "[tenants.t]\ndefault_pool_size = 2\n[tenants.t.databases.d]\nhost = 'b'\n"
                                 "[tenants.t.users.w]\npassword = 'x'\n"));
  BOOST_TEST((found.databases.added == names{"fresh"}));
  BOOST_TEST((found.databases.removed == names{"gone"}));
  BOOST_TEST((found.databases.changed == names{"moved", "t/d"}));
  BOOST_TEST((found.users.added == names{"v", "t/w"}));
  BOOST_TEST((found.users.changed == names{"u"}));
  BOOST_TEST((found.tenants.added == names{"fresh"}));
  BOOST_TEST((found.tenants.removed == names{"gone"}));
  BOOST_TEST((found.tenants.changed == names{"t"}));
  BOOST_TEST(!found.empty());
}

BOOST_AUTO_TEST_CASE(a_change_inside_a_tenant_is_not_a_change_of_it) {
  const auto found =
      diff(loaded("[tenants.t.users.u]\npassword = 'a'\n"), loaded("[tenants.t.users.u]\npassword = 'b'\n"));
  BOOST_TEST(found.tenants.empty());
  BOOST_TEST((found.users.changed == names{"t/u"}));
}

BOOST_AUTO_TEST_SUITE_END()
