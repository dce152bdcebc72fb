// Start-up packets, what a connection's first bytes speak, the options parameter and the protocol version.
#include "protocol/startup.hpp"
#include "tests/protocol/golden.hpp"

#include <boost/test/unit_test.hpp>

#include <random>

using namespace pg_edge::protocol;
using pg_edge::protocol::tests::wire;

namespace {

const startup_message alice{3, 2, {{"user", "alice"}, {"database", "shop"}, {"options", ""}}};

bytes alice_packet() {
  return wire({"0000002b",                   // length
               "0003 0002",                  // 3.2
               "'user' 00", "'alice' 00",    //
               "'database' 00", "'shop' 00", //
               "'options' 00", "00",         // an empty value
               "00"});                       // end
}

/// A packet of the given bytes after the length.
bytes packet(bytes_view rest) {
  bytes out;
  put_u32(out, static_cast<std::uint32_t>(rest.size() + 4));
  put_bytes(out, rest);
  return out;
}

bytes startup_with(std::initializer_list<std::string_view> fields) {
  return packet(wire({"00030000"}) + wire(fields));
}

/// The error a packet is refused with, or a text that matches none.
std::string refused_with(bytes_view p) {
  const startup_packet parsed = parse_startup(p);
  const auto* error = std::get_if<startup_error>(&parsed);
  return error ? std::string(row_of(error->code).sqlstate) + " " + error->text() : "accepted";
}

/// Settings as "a=1;b=2", or "error: ..." as parse_options gives it.
std::string options(std::string_view text) {
  std::string error = "left over from before";
  const auto settings = parse_options(text, error);
  if (!error.empty()) return (settings.empty() ? "error: " : "error, but settings too: ") + error;
  std::string out;
  for (const auto& [name, value] : settings)
    out += (out.empty() ? "" : ";") + name + "=" + value;
  return out;
}

/// Accepted packets come out again as they went in.
bool sound(bytes_view p) {
  const startup_packet parsed = parse_startup(p);
  bytes out;
  if (std::holds_alternative<startup_error>(parsed)) return true;
  if (std::holds_alternative<ssl_request>(parsed)) append_ssl_request(out);
  if (std::holds_alternative<gssenc_request>(parsed)) append_gssenc_request(out);
  if (const auto* m = std::get_if<cancel_request>(&parsed)) append_cancel_request(out, *m);
  if (const auto* m = std::get_if<startup_message>(&parsed)) append_startup(out, *m);
  return out == p;
}

} // namespace

BOOST_AUTO_TEST_SUITE(startup_test)

// -- packets
// -----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(golden_bytes_both_ways) {
  bytes out;
  append_ssl_request(out);
  BOOST_TEST((out == wire({"00000008", "04d2 162f"}))); // length, 1234 5679
  BOOST_TEST((parse_startup(out) == startup_packet{ssl_request{}}));

  out.clear();
  append_gssenc_request(out);
  BOOST_TEST((out == wire({"00000008", "04d2 1630"}))); // length, 1234 5680
  BOOST_TEST((parse_startup(out) == startup_packet{gssenc_request{}}));

  out.clear();
  const cancel_request cancel{4242, "\x01\x02\x03\x04"};
  append_cancel_request(out, cancel);
  BOOST_TEST((out == wire({"00000010", "04d2 162e", "00001092", "01020304"}))); // length, 1234 5678, process id, key
  BOOST_TEST((parse_startup(out) == startup_packet{cancel}));

  out.clear();
  append_startup(out, alice);
  BOOST_TEST((out == alice_packet()));
  BOOST_TEST((parse_startup(out) == startup_packet{alice}));
}

BOOST_AUTO_TEST_CASE(B003_without_a_database_it_is_the_users_name) {
  const auto database = [](std::initializer_list<std::string_view> fields) {
    const startup_packet parsed = parse_startup(startup_with(fields));
    return std::string(std::get<startup_message>(parsed).database());
  };
  BOOST_TEST(database({"'user' 00 'bob' 00", "00"}) == "bob");
  BOOST_TEST(database({"'user' 00 'bob' 00", "'database' 00 00", "00"}) == "bob");
  BOOST_TEST(database({"'user' 00 'bob' 00", "'database' 00 'shop' 00", "00"}) == "shop");
}

BOOST_AUTO_TEST_CASE(of_a_parameter_given_twice_the_last_counts) {
  const startup_message m{3, 0, {{"user", "a"}, {"TimeZone", "UTC"}, {"user", "b"}}};
  BOOST_TEST(m.user() == "b");
  BOOST_TEST((m.find("TimeZone") == "UTC"));
  BOOST_TEST((m.find("timezone") == std::nullopt));
}

BOOST_AUTO_TEST_CASE(B005_lengths_have_limits) {
  const auto status = [](std::size_t stated, std::size_t& length) {
    bytes p;
    put_u32(p, static_cast<std::uint32_t>(stated));
    return read_startup_length(p, length);
  };
  std::size_t length = 77;
  BOOST_TEST((read_startup_length(bytes_view("\0\0\0", 3), length) == header_status::need_more));
  BOOST_TEST(length == 77u);
  BOOST_TEST((status(0, length) == header_status::invalid));
  BOOST_TEST((status(7, length) == header_status::invalid));
  BOOST_TEST((status(8, length) == header_status::ok));
  BOOST_TEST(length == 8u);
  BOOST_TEST((status(max_startup_packet, length) == header_status::ok));
  BOOST_TEST((status(max_startup_packet + 1, length) == header_status::invalid));
  BOOST_TEST((status(0xffffffff, length) == header_status::invalid));
  BOOST_TEST(startup_length_error(10005).text() == "invalid length of startup packet: 10005 bytes, the limit is 10004");
  BOOST_TEST(startup_length_error(7).text() == "invalid startup packet: its length is 7");
  BOOST_TEST(error_field(bytes_view(startup_length_error(10005).response()).substr(5), 'C') == "08P01");
}

BOOST_AUTO_TEST_CASE(B005_a_packet_of_the_largest_size_is_read_and_one_byte_more_refused) {
  const bytes head = wire({"00030000", "'user' 00 'bob' 00", "'options' 00"});
  const std::size_t value_size = max_startup_length - head.size() - 2; // the value's zero byte and the end
  const bytes largest = packet(head + bytes(value_size, ' ') + bytes(2, '\0'));
  BOOST_TEST(largest.size() == max_startup_packet);
  BOOST_TEST(refused_with(largest) == "accepted");
  BOOST_TEST(refused_with(packet(head + bytes(value_size + 1, ' ') + bytes(2, '\0'))) ==
             "08P01 invalid length of startup packet: 10005 bytes, the limit is 10004");
}

BOOST_AUTO_TEST_CASE(B005_malformed_packets_are_refused) {
  BOOST_TEST(refused_with("") == "08P01 invalid startup packet: it is not as long as it states");
  BOOST_TEST(refused_with(wire({"00000009", "04d2162f"})) ==
             "08P01 invalid startup packet: it is not as long as it states");
  BOOST_TEST(refused_with(packet(wire({"04d2162f 00"}))) == "08P01 invalid startup packet: bytes follow an SSLRequest");
  BOOST_TEST(refused_with(packet(wire({"04d21630 00"}))) ==
             "08P01 invalid startup packet: bytes follow a GSSENCRequest");
  const std::string no_end = "08P01 invalid startup packet: expected terminator as last byte";
  BOOST_TEST(refused_with(startup_with({})) == no_end);
  BOOST_TEST(refused_with(startup_with({"'user' 00 'bob' 00"})) == no_end);
  BOOST_TEST(refused_with(startup_with({"'user' 00 'bob'"})) == no_end);
  BOOST_TEST(refused_with(startup_with({"'user' 00"})) == no_end);
  BOOST_TEST(refused_with(startup_with({"'user' 00 'bob' 00 00 'x'"})) ==
             "08P01 invalid startup packet: bytes follow the terminator");
  const std::string no_user = "28000 no PostgreSQL user name specified in startup packet";
  BOOST_TEST(refused_with(startup_with({"00"})) == no_user);
  BOOST_TEST(refused_with(startup_with({"'user' 00 00 00"})) == no_user);
}

BOOST_AUTO_TEST_CASE(B007_other_major_versions_are_refused) {
  const auto version = [](std::string_view hex) { return refused_with(packet(wire({hex, "'user' 00 'bob' 00 00"}))); };
  BOOST_TEST(version("00030000") == "accepted");
  BOOST_TEST(version("00030002") == "accepted");
  BOOST_TEST(version("0003ffff") == "accepted"); // a newer minor is negotiated
  BOOST_TEST(version("00020000") == "0A000 unsupported frontend protocol 2.0: server supports 3.0 to 3.2");
  BOOST_TEST(version("00040001") == "0A000 unsupported frontend protocol 4.1: server supports 3.0 to 3.2");
  BOOST_TEST(version("04d21631") == "0A000 unsupported frontend protocol 1234.5681: server supports 3.0 to 3.2");
}

BOOST_AUTO_TEST_CASE(B007_cancel_keys_have_4_to_256_bytes) {
  const auto with_key = [](std::size_t size) {
    return refused_with(packet(wire({"04d2162e", "0000002a"}) + bytes(size, 'k')));
  };
  const std::string refused = "08P01 invalid startup packet: invalid length of cancel request";
  BOOST_TEST(refused_with(packet(wire({"04d2162e"}))) == refused);
  BOOST_TEST(with_key(0) == refused);
  BOOST_TEST(with_key(3) == refused);
  BOOST_TEST(with_key(4) == "accepted");
  BOOST_TEST(with_key(32) == "accepted");
  BOOST_TEST(with_key(256) == "accepted");
  BOOST_TEST(with_key(257) == refused);
}

BOOST_AUTO_TEST_CASE(a_packet_cut_anywhere_is_refused) {
  const bytes whole = alice_packet();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    BOOST_TEST(refused_with(whole.substr(0, size)) != "accepted");
    if (size < 8) continue;
    const bytes honest = packet(whole.substr(4, size - 4)); // cut, with a length that agrees
    BOOST_TEST(refused_with(honest) != "accepted");
  }
}

BOOST_AUTO_TEST_CASE(garbled_and_random_packets_are_refused_or_read_exactly) {
  std::mt19937 random(20261123);
  const bytes seeds[] = {alice_packet().substr(4), wire({"04d2162e 00001092 01020304"}), wire({"04d2162f"}),
                         wire({"04d21630"})};
  std::size_t unsound = 0;
  for (int round = 0; round < 20'000; ++round) {
    bytes body = seeds[random() % std::size(seeds)];
    for (std::size_t changes = random() % 3; changes > 0; --changes)
      body[random() % body.size()] = static_cast<char>(random() % 4 == 0 ? 0 : random());
    if (random() % 4 == 0) body.resize(random() % 80, 'x');
    unsound += !sound(packet(body));
    for (char& byte : body)
      byte = static_cast<char>(random());
    unsound += !sound(body);
  }
  BOOST_TEST(unsound == 0u);
}

BOOST_AUTO_TEST_CASE(written_parameters_cannot_end_the_list_or_add_to_it) {
  bytes out;
  append_startup(out, {3, 0, {{"user", std::string("bob\0database\0x", 14)}, {"", "lost"}, {"TimeZone", "UTC"}}});
  BOOST_TEST((out == startup_with({"'user' 00 'bob' 00", "'TimeZone' 00 'UTC' 00", "00"})));
}

// -- first bytes
// -------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(first_bytes_tell_what_is_spoken) {
  using enum first_bytes;
  const auto is = [](first_bytes expected, bytes_view in) { return classify_first_bytes(in) == expected; };
  BOOST_TEST(is(need_more, ""));
  BOOST_TEST(is(postgres, bytes_view("\0", 1)));
  BOOST_TEST(is(postgres, alice_packet()));
  BOOST_TEST(is(direct_tls, "\x16"));
  BOOST_TEST(is(direct_tls, "\x16\x03\x01"));
  for (const bytes_view start : {"GET /sql HTTP/1.1\r\n", "POST /sql HTTP/1.1\r\n", "PUT /x", "HEAD /", "DELETE /",
                                 "OPTIONS *", "PATCH /", "PRI * HTTP/2.0\r\n\r\n"}) {
    const bool http2 = start.starts_with("PRI");
    const std::size_t enough = http2 ? 16 : start.find(' ') + 1;
    for (std::size_t size = 1; size <= start.size(); ++size)
      BOOST_TEST(is(size < enough ? need_more : http, start.substr(0, size)), start << " cut to " << size);
  }
  for (const bytes_view in : {"X", "GETS", "GET\n", "get /", "SSH-2.0", "PRI x", "\x7f\xff\xff\xff", "\x80"})
    BOOST_TEST(is(garbage, in), in);
}

// -- options
// -----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B004_empty_options_are_fine) {
  BOOST_TEST(options("") == "");
  BOOST_TEST(options("   \t\n ") == "");
}

BOOST_AUTO_TEST_CASE(B008_options_in_every_spelling) {
  BOOST_TEST(options("-c a=b") == "a=b");
  BOOST_TEST(options("-ca=b") == "a=b");
  BOOST_TEST(options("--a=b") == "a=b");
  BOOST_TEST(options("  -c   a=b \t --c-d=e\n-cf=g  ") == "a=b;c_d=e;f=g");
  BOOST_TEST(options("-c work-mem=1-2") == "work_mem=1-2"); // dashes of the name alone
  BOOST_TEST(options("-c a=") == "a=");
  BOOST_TEST(options("-c a=b=c") == "a=b=c");
  BOOST_TEST(options("-c search_path=a,\"B\"") == "search_path=a,\"B\"");
}

BOOST_AUTO_TEST_CASE(B008_a_backslash_takes_the_next_character_as_it_is) {
  BOOST_TEST(options("-c search_path=a,\\ b") == "search_path=a, b");
  BOOST_TEST(options("-c a=x\\\\y") == "a=x\\y");
  BOOST_TEST(options("-c a=x\\y\\=z") == "a=xy=z");
  BOOST_TEST(options("-c a=x\\") == "a=x"); // a last backslash is dropped
  BOOST_TEST(options("-c a=x\\\\\\ y") == "a=x\\ y");
  BOOST_TEST(options("\\-c a=b") == "a=b");
}

BOOST_AUTO_TEST_CASE(B008_the_last_value_of_a_name_wins) {
  BOOST_TEST(options("-c a=1 -c b=2 --a=3") == "b=2;a=3");
  BOOST_TEST(options("-c DateStyle=ISO -c datestyle=German") == "datestyle=German");
  BOOST_TEST(options("--a-b=1 -c a_b=2") == "a_b=2");
}

BOOST_AUTO_TEST_CASE(short_switches_stand_for_settings) {
  BOOST_TEST(options("-e") == "datestyle=euro");
  BOOST_TEST(options("-S 64") == "work_mem=64");
  BOOST_TEST(options("-S64") == "work_mem=64");
  BOOST_TEST(options("-fs -f m") == "enable_seqscan=false;enable_mergejoin=false");
  BOOST_TEST(options("-tpa -tpl -te") == "log_parser_stats=true;log_planner_stats=true;log_executor_stats=true");
  BOOST_TEST(options("-i -p 1 -F") == "listen_addresses=*;port=1;fsync=false"); // the server refuses them by name
  BOOST_TEST(options("-D /etc -En -r x -e") == "datestyle=euro");               // for the server's own start: ignored
  BOOST_TEST(options("-d0") == "log_min_messages=notice");
  BOOST_TEST(options("-d 3") == "log_min_messages=debug3;log_statement=all;debug_print_parse=true");
  BOOST_TEST(options("-sPca=b") == "log_statement_stats=true;ignore_system_indexes=true;a=b");
}

BOOST_AUTO_TEST_CASE(B009_a_bad_switch_is_an_error_and_nothing_of_it_applies) {
  const std::string invalid = "error: invalid command-line argument for server process: ";
  BOOST_TEST(options("-c a=b -x") == invalid + "-x");
  BOOST_TEST(options("-c a=b word") == invalid + "word");
  BOOST_TEST(options("a=b") == invalid + "a=b");
  BOOST_TEST(options("-") == invalid + "-");
  BOOST_TEST(options("-c") == invalid + "-c");
  BOOST_TEST(options("-fx") == invalid + "-fx");
  BOOST_TEST(options("-tx") == invalid + "-tx");
  BOOST_TEST(options("-tpx") == invalid + "-tpx");
  BOOST_TEST(options("-c a=b --") == "a=b");
  BOOST_TEST(options("-c a=b -- more") == invalid + "more");
  BOOST_TEST(options("\\") == invalid);
  BOOST_TEST(options("-c abc") == "error: -c abc requires a value");
  BOOST_TEST(options("--abc") == "error: --abc requires a value");
}

BOOST_AUTO_TEST_CASE(B009_a_value_cannot_add_a_second_setting) {
  BOOST_TEST(options("-c search_path=a\\ -c\\ b=c") == "search_path=a -c b=c");
  BOOST_TEST(options("-c a=x;DROP\\ TABLE\\ t") == "a=x;DROP TABLE t");
}

BOOST_AUTO_TEST_CASE(random_options_are_read_or_refused) {
  std::mt19937 random(20261123);
  const std::string_view alphabet = "-- c==\\ abSftepdDE1\t_";
  std::size_t read = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text(random() % 24, ' ');
    for (char& c : text)
      c = alphabet[random() % alphabet.size()];
    std::string error;
    const auto settings = parse_options(text, error);
    BOOST_REQUIRE((error.empty() || settings.empty()));
    read += !settings.empty();
  }
  BOOST_TEST(read > 100u); // or the alphabet no longer reaches what is to be tested
}

// -- protocol version
// --------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(B007_newer_minor_versions_and_unknown_options_are_negotiated) {
  const std::vector<name_value> user{{"user", "bob"}};
  const std::vector<name_value> asks{{"user", "bob"}, {"_pq_.one", "1"}, {"_pq_two", "2"}, {"_pq_.three", ""}};
  BOOST_TEST((negotiate({3, 0, user}) == negotiated{0, {}, false}));
  BOOST_TEST((negotiate({3, 1, user}) == negotiated{1, {}, false}));
  BOOST_TEST((negotiate({3, 2, user}) == negotiated{2, {}, false}));
  BOOST_TEST((negotiate({3, 3, user}) == negotiated{2, {}, true}));
  BOOST_TEST((negotiate({3, 9999, user}) == negotiated{2, {}, true}));
  BOOST_TEST((negotiate({3, 2, user}, 0) == negotiated{0, {}, true}));
  BOOST_TEST((negotiate({3, 0, asks}) == negotiated{0, {"_pq_.one", "_pq_.three"}, true}));

  bytes out;
  append_negotiation(out, negotiate({3, 3, asks}));
  BOOST_TEST((out == wire({"76",                  // type 'v'
                           "00000020",            // length
                           "00030002",            // 3.2
                           "00000002",            // unknown options
                           "'_pq_.one' 00",       //
                           "'_pq_.three' 00"}))); //
}

BOOST_AUTO_TEST_SUITE_END()
