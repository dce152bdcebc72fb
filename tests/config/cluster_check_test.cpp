// [cluster]: what must be there, what fits together, and what a person is told who has made a mistake.
#include "config/cluster_check.hpp"
#include "config/difference.hpp"
#include "config_text.hpp"

#include <boost/test/unit_test.hpp>

using namespace config_text;

namespace {

std::string errors_with(const std::string& lines) {
  const std::string text = "[databases.d]\n[cluster]\n" + lines; // [cluster] is line 2
  return errors_of(text, {{}, {{"c", "c"}, {"k", "k"}, {"a", "a"}}});
}

const std::string good = "name = 'prod'\nnode = 'a'\nlisten = '127.0.0.1:7432'\nstore = ['http://127.0.0.1:2379']\n";

} // namespace

BOOST_AUTO_TEST_SUITE(cluster_check_test)

BOOST_AUTO_TEST_CASE(mistakes_are_told_with_their_line_and_what_to_do) {
  const std::pair<const char*, const char*> cases[] = {
      {"node = 'a'\n", "2: cluster: name: is missing: name this cluster"},
      {"name = 'prod'\n", "2: cluster: node: is missing: name this node"},
      {"name = 'a b'\n", "3: cluster: name: \"a b\" is no name of a cluster: up to 63 letters"},
      {"node = '../x'\n", "3: cluster: node: \"../x\" is no name of a node"},
      {"listen = 'here'\n", "3: cluster: listen: \"here\" is no address with a port, as 10.0.0.1:7432 is"},
      {"advertise = '0.0.0.0:7432'\n", "is every address; name the one that other nodes connect to"},
      {"store = []\n", "3: cluster: store: is missing: list the client addresses of etcd's members"},
      {"store = ['10.0.0.1:2379']\n", "\"10.0.0.1:2379\" is no address of etcd, as https://10.0.0.1:2379 is"},
      {"store = ['http://10.0.0.1:2379']\n", "can be reached from elsewhere, so it must be https"},
      {"store = ['http://[::1]:1', 'http://[::1]:1']\n", "http://[::1]:1 is listed twice"},
      {"store = ['https://10.0.0.1:2379']\n",
       "cluster: certificate: is missing: store https://10.0.0.1:2379 needs certificate, key and ca"},
      {"listen = '10.0.0.1:7432'\nstore = ['http://127.0.0.1:1']\n",
       "is missing: listen 10.0.0.1:7432 can be reached from elsewhere"},
      {"etcd_listen = '127.0.0.1:1'\n", "3: cluster: etcd_listen: etcd_listen and etcd_peer_listen go together"},
      {"etcd_listen = '127.0.0.1:1'\netcd_peer_listen = '127.0.0.1:1'\n", "it needs a port of its own"},
      {"etcd_listen = '0.0.0.0:1'\netcd_peer_listen = '127.0.0.1:2'\n",
       "3: cluster: etcd_listen: \"0.0.0.0:1\" is every"},
      {"etcd_listen = '10.0.0.1:1'\netcd_peer_listen = '127.0.0.1:2'\n", "etcd_listen 10.0.0.1:1 can be reached from"},
      {"link_listen = 'localhost:1'\n", "3: cluster: link_listen: \"localhost:1\" is no address in numbers"},
      {"link_listen = '0.0.0.0:1'\n", "3: cluster: link_listen: \"0.0.0.0:1\" is every address"},
      {"succeeds = 'a b'\n", "3: cluster: succeeds: \"a b\" is no name of a cluster"},
      {"succeeds = 'blue'\n", "3: cluster: succeeds: needs listen and link_listen"},
      {"certificate = 'c'\n", "3: cluster: certificate: certificate, key and ca go together"},
      {"failure_timeout = 0.1\n", "3: cluster: failure_timeout: is not between 200ms and 1h"},
      {"budget = 'lax'\n", "\"lax\" is not one of strict, available"},
      {"stoer = ['http://127.0.0.1:1']\n", "3: stoer: unknown setting, did you mean store?"},
      {"seeds = ['a:1']\n", "3: seeds: nodes find each other through the store"},
      {"ca = 'missing'\n", "3: ca: "},
  };
  for (const auto& [lines, expected] : cases) {
    const std::string told = errors_with(lines);
    BOOST_TEST(contains(told, expected), lines << " gave " << told);
  }
  BOOST_TEST(contains(errors_of("cluster = 3\n"), "1: cluster: expected a section, not an integer"));
}

BOOST_AUTO_TEST_CASE(addresses_of_the_store) {
  const auto plain = parse_store_endpoint("http://127.0.0.1:2379");
  BOOST_REQUIRE(plain.has_value());
  BOOST_TEST(!plain->tls);
  BOOST_TEST(plain->where.port == 2379);
  const auto secure = parse_store_endpoint("https://[fd00::1]:7433/");
  BOOST_REQUIRE(secure.has_value());
  BOOST_TEST(secure->tls);
  BOOST_TEST(secure->where.host == "fd00::1");
  const auto named = parse_store_endpoint("https://etcd-1.example:2379");
  BOOST_REQUIRE(named.has_value());
  BOOST_TEST(named->where.host == "etcd-1.example");
  BOOST_TEST(named->where.port == 2379);
  for (const auto* wrong : {"", "127.0.0.1:2379", "https://a b:1", "https://x:70000", "https://x:1x", "https://",
                            "https://x", "https://x:0", "ftp://x:1", "http://*:1", "https://x:1/v3"})
    BOOST_TEST(!parse_store_endpoint(wrong).has_value(), wrong);
}

BOOST_AUTO_TEST_CASE(nothing_of_it_changes_with_a_reload) {
  settings before, now;
  now.cluster.joined = true;
  now.cluster.name = "prod";
  now.cluster.store = {"http://127.0.0.1:1"};
  const auto changes = diff(before, now);
  BOOST_TEST(changes.changed.empty());
  BOOST_TEST(changes.needs_restart.size() == 3u);
}

BOOST_AUTO_TEST_SUITE_END()
