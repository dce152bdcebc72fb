#include "actors/cancel_registry.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/all.hpp>

using namespace pg_edge;
using namespace pg_edge::actors;

namespace {

struct someone {
  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::actor a, b;
  someone() {
    const auto idle = [](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; };
    a = system.spawn(idle);
    b = system.spawn(idle);
  }
  ~someone() {
    caf::anon_send_exit(a, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(b, caf::exit_reason::user_shutdown);
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(cancel_registry_test)

BOOST_AUTO_TEST_CASE(keys_name_their_process_and_those_of_others_stay_valid) {
  someone two;
  cancel_registry old, young;
  young.set_process(1);
  const auto from_old = old.add(two.a, false);
  const auto own = young.add(two.b, false);
  BOOST_REQUIRE((from_old && own));
  BOOST_TEST(cluster::process_of(from_old->process_id) == 0u);
  BOOST_TEST(cluster::process_of(own->process_id) == 1u);
  young.adopt(*from_old, two.a);
  BOOST_TEST((young.find(from_old->process_id, from_old->secret) == two.a));
  BOOST_TEST((young.find(own->process_id, own->secret) == two.b));
  young.remove(*from_old);
  BOOST_TEST(!young.find(from_old->process_id, from_old->secret));
  BOOST_TEST((young.find(own->process_id, own->secret) == two.b));
}

BOOST_AUTO_TEST_CASE(two_with_one_number_are_told_apart_by_their_secrets) {
  someone two; // one that came from the process before, one that this one has given the same number itself
  cancel_registry before, now;
  const auto moved = before.add(two.a, false);
  const auto own = now.add(two.b, false);
  BOOST_REQUIRE((moved && own));
  BOOST_TEST(moved->process_id == own->process_id);
  now.adopt(*moved, two.a);
  BOOST_TEST((now.find(own->process_id, own->secret) == two.b));
  BOOST_TEST((now.find(moved->process_id, moved->secret) == two.a));
  BOOST_TEST(!now.find(moved->process_id, "none"));
  now.remove(*moved); // and its slot is not the other's
  BOOST_TEST((now.find(own->process_id, own->secret) == two.b));
  now.remove(*own);
  BOOST_TEST(!now.find(own->process_id, own->secret));
}

BOOST_AUTO_TEST_SUITE_END()
