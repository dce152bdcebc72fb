// Addresses, networks and points in time as settings name them.
#include "config/network.hpp"
#include "config/timestamp.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::config;

BOOST_AUTO_TEST_SUITE(network_test)

BOOST_AUTO_TEST_CASE(a_network_contains_its_addresses) {
  const std::string_view inside[][2] = {
      {"10.0.0.0/8", "10.255.0.1"},      {"10.9.9.9/8", "10.0.0.1"},          {"0.0.0.0/0", "255.255.255.255"},
      {"192.168.1.5", "192.168.1.5"},    {"2001:db8::/32", "2001:db8::1"},    {"::/0", "fe80::1%eth0"},
      {"10.0.0.0/8", "::ffff:10.1.2.3"}, {"172.16.0.0/12", "172.31.255.255"},
  };
  for (const auto& [net, address] : inside)
    BOOST_TEST(parse_network(net)->contains(*parse_address(address)), net << " " << address);
  const std::string_view outside[][2] = {
      {"10.0.0.0/8", "11.0.0.1"}, {"::/0", "10.0.0.1"}, {"0.0.0.0/0", "::1"}, {"172.16.0.0/12", "172.32.0.0"}};
  for (const auto& [net, address] : outside)
    BOOST_TEST(!parse_network(net)->contains(*parse_address(address)), net << " " << address);
}

BOOST_AUTO_TEST_CASE(what_is_no_network) {
  for (const auto* text : {"", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/8x", "10.0.0.0/-1", "host"})
    BOOST_TEST(!parse_network(text), text);
}

BOOST_AUTO_TEST_CASE(masks) {
  const auto net = make_network(*parse_address("10.1.2.3"), *parse_address("255.255.0.0"));
  BOOST_TEST((net == parse_network("10.1.0.0/16")));
  BOOST_TEST(!make_network(*parse_address("10.1.2.3"), *parse_address("255.0.255.0")));
  BOOST_TEST(!make_network(*parse_address("10.1.2.3"), *parse_address("ffff::")));
}

BOOST_AUTO_TEST_CASE(lists_of_networks) {
  const network list[] = {*parse_network("10.0.0.0/8"), *parse_network("::1")};
  BOOST_TEST(any_contains(list, "10.0.0.1"));
  BOOST_TEST(any_contains(list, "::1"));
  BOOST_TEST(!any_contains(list, "192.168.0.1"));
  BOOST_TEST(!any_contains(list, "unix"));
}

BOOST_AUTO_TEST_CASE(points_in_time) {
  const std::string_view same[] = {"2030-01-02T03:04:05Z", "2030-01-02 03:04:05", "2030-01-02T05:04:05+02:00",
                                   "2030-01-01T22:04:05-05"};
  for (const auto text : same)
    BOOST_TEST((parse_timestamp(text) && timestamp_text(*parse_timestamp(text)) == "2030-01-02T03:04:05Z"), text);
  BOOST_TEST(timestamp_text(*parse_timestamp("2030-01-02")) == "2030-01-02T00:00:00Z");
  for (const auto* text :
       {"", "2030", "2030-13-01", "2030-02-30", "2030-01-01T25:00", "2030-01-01T10:00:00 CET", "soon"})
    BOOST_TEST(!parse_timestamp(text), text);
}

BOOST_AUTO_TEST_CASE(a_zero_byte_ends_no_address) {
  BOOST_TEST(!parse_address(std::string_view("10.0.0.1\0x", 10)).has_value());
  BOOST_TEST(!parse_network(std::string_view("f::\0/8", 6)).has_value());
}

BOOST_AUTO_TEST_CASE(a_zone_is_the_name_of_an_interface_behind_an_ipv6_address) {
  for (const auto* text : {"fe80::1%eth0", "fe80::1%2", "fe80::1%eth0.100", "::ffff:10.0.0.1%eth0"})
    BOOST_TEST(parse_address(text).has_value(), text);
  for (const auto* text : {"10.0.0.1%eth0", "fe80::1%", "fe80::1%a,b", "fe80::1%a/64", "fe80::1%a]b", "fe80::1%a b",
                           "fe80::1%a%b", "fe80::1%a name of 16 .", "%eth0"})
    BOOST_TEST(!parse_address(text).has_value(), text);
}

BOOST_AUTO_TEST_SUITE_END()
