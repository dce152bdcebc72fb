// What is known about users beside the settings: kept, replaced, forgotten.
#include "actors/credentials.hpp"

#include <boost/test/unit_test.hpp>

#include <thread>
#include <vector>

using namespace pg_edge;
using actors::credentials;

namespace {

config::settings with_user(const std::string& secret, std::vector<std::string> old_passwords = {}) {
  config::settings all;
  config::user bob;
  bob.name = "bob";
  bob.secret = secret;
  bob.old_passwords = std::move(old_passwords);
  all.default_tenant.users.emplace("bob", bob);
  return all;
}

} // namespace

BOOST_AUTO_TEST_SUITE(credentials_test)

BOOST_AUTO_TEST_CASE(what_is_remembered_is_found_for_that_tenant_and_user_only) {
  credentials known;
  BOOST_TEST(!known.find("", "bob"));
  known.remember("one", "bob", "secret");
  BOOST_REQUIRE(known.find("one", "bob").has_value());
  BOOST_TEST(known.find("one", "bob")->secret == "secret");
  BOOST_TEST(!known.find("one", "bob")->has_keys());
  BOOST_TEST(!known.find("two", "bob"));
  BOOST_TEST(!known.find("one", "alice"));
  BOOST_TEST(!known.find("oneb", "ob"));
  known.forget("one", "bob");
  BOOST_TEST(!known.find("one", "bob"));
  known.forget("one", "bob");
}

BOOST_AUTO_TEST_CASE(keys_live_as_long_as_their_secret) {
  credentials known;
  known.remember_keys("", "bob", "verifier", "client key", "server key");
  BOOST_REQUIRE(known.find("", "bob").has_value());
  BOOST_TEST(known.find("", "bob")->has_keys());
  known.remember("", "bob", "verifier");
  BOOST_TEST(known.find("", "bob")->client_key == "client key");
  known.remember("", "bob", "another verifier");
  BOOST_TEST(!known.find("", "bob")->has_keys());
  BOOST_TEST(known.find("", "bob")->secret == "another verifier");
  known.remember_keys("", "bob", "third", "c", "s");
  BOOST_TEST(known.find("", "bob")->secret == "third");
  BOOST_TEST(known.find("", "bob")->server_key == "s");
}

BOOST_AUTO_TEST_CASE(the_version_changes_with_what_is_known_and_only_then) {
  credentials known;
  BOOST_TEST(known.version("", "bob") == 0);
  known.remember("", "bob", "");
  const auto first = known.version("", "bob");
  BOOST_TEST(first != 0);
  known.remember("", "bob", "");
  BOOST_TEST(known.version("", "bob") == first);
  known.remember_keys("", "bob", "", "c", "s");
  const auto second = known.version("", "bob");
  BOOST_TEST(second != first);
  known.remember_keys("", "bob", "", "c", "s");
  known.remember("", "alice", "x");
  BOOST_TEST(known.version("", "bob") == second);
  known.forget("", "bob");
  BOOST_TEST(known.version("", "bob") == 0);
  known.remember("", "bob", "");
  BOOST_TEST(known.version("", "bob") > second); // what is known again is something new
}

BOOST_AUTO_TEST_CASE(a_reload_forgets_users_whose_secret_changed) {
  const auto before = with_user("one");
  const struct {
    config::settings now;
    bool kept;
  } rows[] = {
      {with_user("one"), true},
      {with_user("two"), false},
      {with_user("two", {"one"}), true}, // being rotated
      {config::settings{}, false},       // there is no such user any more
  };
  for (const auto& row : rows) {
    credentials known;
    const std::string tenant = before.default_tenant.name;
    known.remember_keys(tenant, "bob", "one", "c", "s");
    known.remember(tenant, "looked_up", "x");
    known.remember("no such tenant", "bob", "one");
    known.settings_changed(before, row.now);
    BOOST_TEST(known.find(tenant, "bob").has_value() == row.kept);
    BOOST_TEST(known.find(tenant, "looked_up").has_value());
    BOOST_TEST(!known.find("no such tenant", "bob").has_value());
  }
}

BOOST_AUTO_TEST_CASE(what_was_learned_of_a_user_without_a_configured_secret_outlives_a_reload) {
  const auto before = with_user("");
  const struct {
    config::settings now;
    bool kept;
  } rows[] = {
      {with_user(""), true},
      {with_user("learned"), true},
      {with_user("another"), false}, // the file knows better
      {config::settings{}, false},
  };
  for (const auto& row : rows) {
    credentials known;
    const std::string tenant = before.default_tenant.name;
    known.remember(tenant, "bob", "learned");
    known.settings_changed(before, row.now);
    BOOST_TEST(known.find(tenant, "bob").has_value() == row.kept);
  }
  credentials known; // a secret of the file itself does not outlive it
  known.remember("default", "bob", "one");
  known.settings_changed(with_user("one"), with_user(""));
  BOOST_TEST(!known.find("default", "bob").has_value());
}

BOOST_AUTO_TEST_CASE(many_threads_at_once) {
  credentials known;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&known, i] {
      const std::string mine(1, static_cast<char>('a' + i));
      for (int round = 0; round < 2000; ++round) {
        known.remember_keys("", "shared", mine, mine, mine);
        if (const auto seen = known.find("", "shared"); seen && seen->client_key != seen->secret) std::abort();
        known.forget("", mine);
      }
    });
  for (auto& one : threads)
    one.join();
  BOOST_TEST(known.find("", "shared")->has_keys());
}

BOOST_AUTO_TEST_SUITE_END()
