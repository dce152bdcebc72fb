// The fault proxy itself: a fault that does not happen would make every test that relies on it silent.
#include "tests/support/fault_proxy.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/wire_client.hpp"

#include <boost/test/unit_test.hpp>

#include <cerrno>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

using namespace pg_edge::test;

namespace {

using clock_type = std::chrono::steady_clock;

struct proxied {
  fault_proxy proxy;
  wire_client client;
  proxied() : proxy(postgres::shared().port()), client(proxy.port()) { client.login("trust_user", "app"); }
};

const std::string long_question = "select repeat('x', 100), n from generate_series(1, 200) n";

template <class F>
milliseconds taken(F body) {
  const auto began = clock_type::now();
  body();
  return std::chrono::duration_cast<milliseconds>(clock_type::now() - began);
}

} // namespace

BOOST_AUTO_TEST_SUITE(fault_proxy_pgtest)

BOOST_AUTO_TEST_CASE(bytes_arrive_whole_however_they_are_cut) {
  proxied with;
  const std::string wanted = with.client.ask(long_question);
  BOOST_TEST(wanted.size() > 20'000);
  for (const pieces how : {pieces::single_bytes, pieces::random_sizes, pieces::merged, pieces::as_read}) {
    with.proxy.set(heading::both, {.in = how});
    BOOST_TEST((with.client.ask(long_question) == wanted));
  }
  BOOST_TEST(with.proxy.open() == 1);
  with.client.send(terminate_bytes());
  BOOST_TEST(with.client.closed_within(milliseconds(10000)));
  with.client.close();
  BOOST_TEST(wait_for([&] { return with.proxy.open() == 0; }));
}

BOOST_AUTO_TEST_CASE(single_bytes_are_segments_of_their_own) {
  proxied with;
  const auto segments = [&] {
    tcp_info info{};
    socklen_t length = sizeof info;
    ::getsockopt(with.client.descriptor(), IPPROTO_TCP, TCP_INFO, &info, &length);
    return info.tcpi_data_segs_in;
  };
  const auto before = segments();
  with.proxy.set(heading::to_origin, {.in = pieces::single_bytes});
  with.client.ask("select repeat('x', 200)");
  BOOST_TEST(segments() - before >
             10U); // the kernel joins those that wait for their receiver; as they are it is one or two
}

BOOST_AUTO_TEST_CASE(delay_and_bandwidth_take_their_time) {
  proxied with;
  with.proxy.set(heading::both, {.delay = milliseconds(100)});
  BOOST_TEST(taken([&] { with.client.ask("select 1"); }).count() >= 200);
  with.proxy.set(heading::both, {});
  with.proxy.set(heading::to_origin, {.bytes_per_second = 50'000});
  BOOST_TEST(taken([&] { with.client.ask(long_question); }).count() >= 300); // some 23 kB
}

BOOST_AUTO_TEST_CASE(an_end_is_the_end_that_was_asked_for) {
  for (const ending how : {ending::fin, ending::reset}) {
    proxied with;
    with.client.ask("select 1");
    with.proxy.end_all(how, side::origin);
    char byte = 0;
    ssize_t got = -1;
    int error = EAGAIN;
    wait_for([&] {
      got = ::recv(with.client.descriptor(), &byte, 1, MSG_DONTWAIT);
      error = got < 0 ? errno : 0;
      return error != EAGAIN;
    });
    BOOST_TEST(error == (how == ending::fin ? 0 : ECONNRESET));
    BOOST_TEST(got == (how == ending::fin ? 0 : -1));
    BOOST_TEST(wait_for([&] { return with.proxy.orphans() == 0; })); // Postgres has seen the end, too
  }
}

BOOST_AUTO_TEST_CASE(a_backend_that_does_not_know_it_is_cut_off_is_an_orphan) {
  proxied with;
  with.client.send(query_bytes("select pg_sleep(1)"));
  std::this_thread::sleep_for(milliseconds(200));
  with.proxy.end_all(ending::fin, side::origin);
  BOOST_TEST(with.proxy.orphans() == 1);
  BOOST_TEST(wait_for([&] { return with.proxy.orphans() == 0; }));
}

BOOST_AUTO_TEST_CASE(who_vanishes_acknowledges_nothing) {
  proxied with;
  const int limit = 700;
  ::setsockopt(with.client.descriptor(), IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof limit);
  with.proxy.end_all(ending::vanish, side::origin);
  BOOST_TEST(with.proxy.open() == 0);
  with.client.send(query_bytes("select 1"));
  char byte = 0;
  int error = EAGAIN;
  BOOST_TEST(wait_for([&] {
    if (::recv(with.client.descriptor(), &byte, 1, MSG_DONTWAIT) < 0) error = errno;
    return error != EAGAIN;
  }));
  BOOST_TEST(error == ETIMEDOUT);
}

BOOST_AUTO_TEST_CASE(a_stopped_heading_goes_on_when_it_is_let) {
  proxied with;
  with.proxy.set(heading::to_origin, {.stopped = true});
  with.client.send(query_bytes("select 'held'"));
  BOOST_TEST(with.client.silent_for(milliseconds(300)));
  with.proxy.clear();
  with.client.expect("T D(held) C Z(I)");
}

BOOST_AUTO_TEST_CASE(a_connection_ends_after_the_bytes_asked_for) {
  for (const std::size_t bytes : {1U, 7U, 60U}) {
    proxied with;
    with.proxy.set(with.proxy.connections().at(0), heading::to_origin, {.end_after = bytes});
    with.client.send(query_bytes("select repeat('x', 200)"));
    BOOST_TEST(with.client.read_raw(bytes).size() == bytes);
    BOOST_TEST(with.client.closed_within(milliseconds(5000)));
  }
}

BOOST_AUTO_TEST_CASE(new_connections_can_be_refused_or_left_without_an_answer) {
  fault_proxy proxy(postgres::shared().port());
  proxy.refuse(true);
  BOOST_CHECK_THROW(wire_client(proxy.port()).login("trust_user", "app"), test_failure);
  proxy.clear();
  proxy.ignore_new(true);
  {
    wire_client client(proxy.port());
    client.send(startup_bytes({{"user", "trust_user"}, {"database", "app"}}));
    BOOST_TEST(client.silent_for(milliseconds(300)));
  }
  BOOST_TEST(wait_for([&] { return proxy.orphans() == 0; }));
  proxy.clear();
  wire_client(proxy.port()).login("trust_user", "app");
}

BOOST_AUTO_TEST_SUITE_END()
