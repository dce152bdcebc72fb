// PROXY protocol v2 headers, byte by byte.
#include "protocol/proxy_header.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::protocol;

namespace {

const std::string signature{"\r\n\r\n\0\r\nQUIT\n", 12};

std::string header(char command, char family, const std::string& body) {
  return signature + command + family + static_cast<char>(body.size() >> 8) + static_cast<char>(body.size() & 0xff) +
         body;
}

std::string ipv6_header(const std::string& source) {
  return header('\x21', '\x21', source + std::string(16, '\1') + "\x30\x39\x19\x20");
}

proxy_header read(const std::string& in) {
  proxy_header out;
  BOOST_REQUIRE((read_proxy_header(in, out) == proxy_status::complete));
  return out;
}

const std::string ipv4_body{"\x0a\x01\x02\x03\x0a\x00\x00\x01\x30\x39\x19\x20", 12};

} // namespace

BOOST_AUTO_TEST_SUITE(proxy_header_test)

BOOST_AUTO_TEST_CASE(ipv4_with_what_follows) {
  const auto in = header('\x21', '\x11', ipv4_body + std::string("\x04\x00\x01z", 4));
  const auto got = read(in + "the start-up packet");
  BOOST_TEST(got.length == in.size());
  BOOST_TEST(got.has_source);
  BOOST_TEST(got.source == "10.1.2.3");
  BOOST_TEST(got.source_port == 12345);
}

BOOST_AUTO_TEST_CASE(ipv6_as_people_write_it) {
  const std::pair<std::string, std::string> cases[] = {
      {std::string("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16), "::1"},
      {std::string("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16), "::"},
      {std::string("\x20\x01\x0d\xb8\0\0\0\0\0\1\0\0\0\0\0\1", 16), "2001:db8::1:0:0:1"},
      {std::string("\x20\x01\x0d\xb8\0\1\0\2\0\3\0\4\0\0\0\5", 16), "2001:db8:1:2:3:4:0:5"},
      {std::string("\x20\x01\x0d\xb8\0\1\0\2\0\3\0\4\0\0\0\0", 16), "2001:db8:1:2:3:4::"},
      {std::string("\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1", 16), "10.0.0.1"},
  };
  for (const auto& [source, text] : cases) {
    const auto got = read(ipv6_header(source));
    BOOST_TEST(got.source == text);
    BOOST_TEST(got.source_port == 12345);
  }
}

BOOST_AUTO_TEST_CASE(without_an_address) {
  BOOST_TEST(!read(header('\x20', '\0', "")).has_source);          // a health check
  BOOST_TEST(!read(header('\x20', '\x11', ipv4_body)).has_source); // the same, with addresses to be ignored
  BOOST_TEST(!read(header('\x21', '\0', "anything")).has_source);  // unspecified
  BOOST_TEST(read(header('\x21', '\x31', std::string(216, 'x'))).source == "unix");
}

BOOST_AUTO_TEST_CASE(every_beginning_needs_more) {
  const auto in = header('\x21', '\x11', ipv4_body);
  proxy_header out;
  for (std::size_t size = 0; size < in.size(); ++size)
    BOOST_TEST((read_proxy_header(bytes_view(in).substr(0, size), out) == proxy_status::need_more), size);
}

BOOST_AUTO_TEST_CASE(what_is_none) {
  proxy_header out;
  const std::string bad[] = {
      "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",          // version 1
      std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8),    // an SSLRequest
      header('\x31', '\x11', ipv4_body),               // version 3
      header('\x22', '\x11', ipv4_body),               // no such command
      header('\x21', '\x11', ipv4_body.substr(0, 11)), // addresses cut short
      header('\x21', '\x21', ipv4_body),               // of the wrong family
      header('\x21', '\x11', std::string(3000, 'x')),  // too long
  };
  for (const auto& in : bad)
    BOOST_TEST((read_proxy_header(in, out) == proxy_status::invalid));
}

BOOST_AUTO_TEST_SUITE_END()
