#include "config/resolv_conf.hpp"

#include <boost/test/unit_test.hpp>

using pg_edge::config::name_servers_with_ports;

BOOST_AUTO_TEST_SUITE(resolv_conf_test)

BOOST_AUTO_TEST_CASE(without_ports_the_file_is_as_everybody_reads_it) {
  BOOST_TEST(name_servers_with_ports("") == "");
  BOOST_TEST(name_servers_with_ports("nameserver 10.0.0.1\nnameserver fe80::1\noptions ndots:2\n") == "");
}

BOOST_AUTO_TEST_CASE(one_port_makes_all_servers_a_list) {
  BOOST_TEST(name_servers_with_ports("nameserver 127.0.0.1:5353") == "127.0.0.1:5353");
  BOOST_TEST(name_servers_with_ports("# x:1\n  nameserver\t[127.0.0.1]:5353 # ours\r\nnameserver 10.0.0.1\n"
                                     "search example.com\nnameserver [::1]:54\nnameserver ::1\nnameserver [::2]\n") ==
             "127.0.0.1:5353,10.0.0.1:53,[::1]:54,[::1]:53,[::2]:53");
  BOOST_TEST(name_servers_with_ports("nameserver [::1]:54\nnameserver ::ffff:10.0.0.1\nnameserver fe80::1%eth0\n") ==
             "[::1]:54,[::ffff:10.0.0.1]:53,[fe80::1%eth0]:53");
}

BOOST_AUTO_TEST_CASE(what_is_no_address_or_no_port_is_absent) {
  for (const char* line :
       {"nameserver", "nameserver localhost:5353", "nameserver 127.0.0.1:", "nameserver 127.0.0.1:0",
        "nameserver 127.0.0.1:65536", "nameserver 127.0.0.1:53x", "nameserver [::1", "nameserver []:53",
        "nameserver [::1]x53", "nameserver [::1]:", "nameservers 127.0.0.1:53", "nameserver :5353"})
    BOOST_TEST(name_servers_with_ports(line) == "", line);
}

BOOST_AUTO_TEST_SUITE_END()
