// The bytes between two processes of different age: they may only change together with handover_version.
#include "cluster/handover.hpp"

#include <boost/test/unit_test.hpp>

#include <map>
#include <sstream>

using namespace pg_edge::cluster;

namespace {

bytes from_hex(const std::string& text) {
  std::istringstream in(text);
  bytes result;
  for (std::string one; in >> one;)
    result.push_back(static_cast<char>(std::stoi(one, nullptr, 16)));
  return result;
}

moved_client whole_client() {
  moved_client one;
  one.number = 3;
  one.pool = {"t", "d", "s"};
  one.user = "u";
  one.peer_host = "::1";
  one.peer_port = 5000;
  one.connected_at = 1'000'000;
  one.idle_for = 7;
  one.key_process_id = 1048577;
  one.key_secret = "abcd";
  one.unconfirmed = true;
  one.session.id = 42;
  one.session.values = moved_values{{"DateStyle", "ISO"}};
  one.session.custom_startup = true;
  one.session.statements = {{"n", std::string("select 1\0\0\0", 11), "", false, true, std::nullopt}};
  one.session.unnamed = "q";
  return one;
}

struct golden {
  handover_frame frame;
  std::string hex;
};

const std::string pool_hex = "00 00 00 01 74 00 00 00 01 64 00 00 00 01 75 ";

// Length, type, descriptors, then the fields.
const std::vector<golden> all_frames{
    {hello{.version = 1, .program = "1.0", .pid = 258},
     "00 00 00 26 68 00  00 00 00 11 70 67 5f 65 64 67 65 20 68 61 6e 64 2d 6f 76 65 72  00 00 00 01"
     "  00 00 00 03 31 2e 30  00 00 01 02"},
    {hello{.version = 2, .program = "1.0", .pid = 258},
     "00 00 00 26 68 00  00 00 00 11 70 67 5f 65 64 67 65 20 68 61 6e 64 2d 6f 76 65 72  00 00 00 02"
     "  00 00 00 03 31 2e 30  00 00 01 02"},
    {welcome_to_take{.version = 1, .program = "1.0", .pid = 258, .process = 1, .next_id = 0x100000002, .watchdog = 5},
     "00 00 00 22 48 00  00 00 00 01  00 00 00 03 31 2e 30  00 00 01 02  01  00 00 00 01 00 00 00 02"
     "  00 00 00 00 00 00 00 05"},
    {welcome_to_take{.version = 2, .program = "1.0", .pid = 258, .process = 1, .next_id = 0x100000002, .watchdog = 5},
     "00 00 00 22 48 00  00 00 00 02  00 00 00 03 31 2e 30  00 00 01 02  01  00 00 00 01 00 00 00 02"
     "  00 00 00 00 00 00 00 05"},
    {refused_to_give{"no"}, "00 00 00 08 52 00  00 00 00 02 6e 6f"},
    {listening{listening_kind::passed, "d", "n", "f"},
     "00 00 00 12 4c 01  01  00 00 00 01 64  00 00 00 01 6e  00 00 00 01 66"},
    {known_user{"t", "u", "s", std::string("\0k", 2), "v"},
     "00 00 00 1c 4b 00  00 00 00 01 74  00 00 00 01 75  00 00 00 01 73  00 00 00 02 00 6b  00 00 00 01 76"},
    {paused_scope{"t", "d", true, false}, "00 00 00 0e 47 00  00 00 00 01 74  00 00 00 01 64  01 00"},
    {opening_done{}, "00 00 00 02 45 00"},
    {serving{}, "00 00 00 02 73 00"},
    {doors_closed{}, "00 00 00 02 64 00"}, // since version 2; all the others are as in version 1
    {whole_client(),
     "00 00 00 8d 43 01  00 00 00 00 00 00 00 03"                                             // number
     "  00 00 00 01 74  00 00 00 01 64  00 00 00 01 73"                                       // pool
     "  00 00 00 01 75  00 00 00 03 3a 3a 31  13 88"                                          // user, peer
     "  00 00 00 00 00 0f 42 40  00 00 00 00 00 00 00 07"                                     // since when, idle
     "  00 10 00 01  00 00 00 04 61 62 63 64  01"                                             // key, unconfirmed
     "  00 00 00 00 00 00 00 2a"                                                              // id
     "  01 00 00 00 01  00 00 00 09 44 61 74 65 53 74 79 6c 65  00 00 00 03 49 53 4f  00  00" // values, none, none
     "  01"                                                                                   // start-up of its own
     "  00 00 00 01  00 00 00 01 6e  00 00 00 0b 73 65 6c 65 63 74 20 31 00 00 00  00 00 00 00  00 01 00"
     "  00 00 00 01 71  00"}, // the unnamed one
    {client_taken{1}, "00 00 00 0a 61 00  00 00 00 00 00 00 00 01"},
    {client_refused{2, "why"}, "00 00 00 11 78 00  00 00 00 00 00 00 00 02  00 00 00 03 77 68 79"},
    {client_yours{1}, "00 00 00 0a 59 00  00 00 00 00 00 00 00 01"},
    {pool_claim{{"t", "d", "u"}}, "00 00 00 11 63 00 " + pool_hex},
    {pool_claimed{{"t", "d", "u"}, 20}, "00 00 00 15 70 00 " + pool_hex + "00 00 00 14"},
    {permits_given{{"t", "d", "u"}, 3}, "00 00 00 15 50 00 " + pool_hex + "00 00 00 03"},
    {permits_wanted{{"t", "d", "u"}, 4}, "00 00 00 15 57 00 " + pool_hex + "00 00 00 04"},
    {cancel_asked{9, -1, "key"}, "00 00 00 15 51 00  00 00 00 00 00 00 00 09  ff ff ff ff  00 00 00 03 6b 65 79"},
    {cancel_answered{9, true}, "00 00 00 0b 71 00  00 00 00 00 00 00 00 09  01"},
    {server_here{11}, "00 00 00 0a 53 01  00 00 00 00 00 00 00 0b"},
    {server_away{11}, "00 00 00 0a 44 00  00 00 00 00 00 00 00 0b"},
    {servers_told{}, "00 00 00 02 54 00"},
    {goodbye{}, "00 00 00 02 42 00"},
};

std::optional<handover_frame> read(bytes_view in) {
  handover_header header;
  if (read_handover_header(in, header) != handover_status::complete) return std::nullopt;
  if (in.size() != handover_header_size + header.body) return std::nullopt;
  return decode(header, in.substr(handover_header_size));
}

} // namespace

BOOST_AUTO_TEST_SUITE(handover_test)

BOOST_AUTO_TEST_CASE(every_frame_has_its_bytes_both_ways) {
  std::map<std::size_t, bool> seen;
  for (const golden& one : all_frames) {
    const bytes expected = from_hex(one.hex);
    BOOST_TEST((encode(one.frame) == expected), "frame " << one.frame.index());
    const auto back = read(expected);
    BOOST_TEST_REQUIRE(back.has_value(), "frame " << one.frame.index());
    BOOST_TEST((*back == one.frame), "frame " << one.frame.index());
    seen[one.frame.index()] = true;
  }
  BOOST_TEST(seen.size() == std::variant_size_v<handover_frame>);
}

BOOST_AUTO_TEST_CASE(what_is_cut_or_too_long_is_no_frame) {
  for (const golden& one : all_frames) {
    const bytes whole = from_hex(one.hex);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      bytes cut = whole.substr(0, size);
      if (size >= handover_header_size) pg_edge::protocol::store_u32(cut.data(), static_cast<std::uint32_t>(size - 4));
      BOOST_TEST(!read(cut).has_value());
    }
    bytes longer = whole + "x";
    pg_edge::protocol::store_u32(longer.data(), static_cast<std::uint32_t>(longer.size() - 4));
    BOOST_TEST(!read(longer).has_value());
  }
}

BOOST_AUTO_TEST_CASE(a_header_that_lies_is_refused) {
  handover_header header;
  BOOST_TEST((read_handover_header(from_hex("00 00 00 01 73 00"), header) == handover_status::invalid));
  BOOST_TEST((read_handover_header(from_hex("7f ff ff ff 73 00"), header) == handover_status::invalid));
  BOOST_TEST((read_handover_header(from_hex("00 00 00 02 73 02"), header) == handover_status::invalid));
  BOOST_TEST((read_handover_header(from_hex("00 00 00 02 73"), header) == handover_status::need_more));
  BOOST_TEST(!read(from_hex("00 00 00 02 73 01")).has_value()); // a descriptor that does not belong there
  BOOST_TEST(!read(from_hex("00 00 00 02 7a 00")).has_value()); // no such type
  // A list that says it has four billion items, and a boolean that is neither.
  BOOST_TEST(!read(from_hex("00 00 00 0b 71 00  00 00 00 00 00 00 00 09  02")).has_value());
}

BOOST_AUTO_TEST_CASE(other_versions_are_refused_with_a_sentence) {
  BOOST_TEST(!objection_to(hello{}, "1.0").has_value());
  hello other;
  other.version = handover_version + 1;
  other.program = "2.0";
  const auto why = objection_to(other, "1.0");
  BOOST_TEST_REQUIRE(why.has_value());
  BOOST_TEST(why->find("2.0") != std::string::npos);
  hello stranger;
  stranger.magic = "GET /";
  BOOST_TEST(objection_to(stranger, "1.0").has_value());
}

BOOST_AUTO_TEST_CASE(every_version_that_is_spoken_is_welcome) {
  for (std::uint32_t version = oldest_handover_version; version <= handover_version; ++version)
    BOOST_TEST(!objection_to(hello{.version = version, .program = "2.0", .pid = 1}, "1.0").has_value());
  BOOST_TEST(
      objection_to(hello{.version = oldest_handover_version - 1, .program = "2.0", .pid = 1}, "1.0").has_value());
}

BOOST_AUTO_TEST_CASE(who_is_refused_for_its_version_proposes_the_one_that_is_named) {
  // Word for word what a process of version 1 says to one of version 2.
  const std::string first_release =
      "the running process (version 0.1.0) hands over by version 1 of the language, and the new one (version 0.2.0) "
      "takes over by version 2: stop the running one and start the new one instead";
  BOOST_TEST((version_instead(first_release, 2) == 1u));
  BOOST_TEST(!version_instead(first_release, 1).has_value()); // it has just refused that
  // What this process says itself to one of the future, as that one will read it.
  const auto own = objection_to(hello{.version = handover_version + 1, .program = "2.0", .pid = 1}, "1.0");
  BOOST_TEST_REQUIRE(own.has_value());
  BOOST_TEST((version_instead(*own, handover_version + 1) == handover_version));
  for (const char* other : {"", "another process is about to take over from this one", "hands over by version 1",
                            "the running process (version 3.0) hands over by version 3 of the language",
                            "the running process (version 0.0) hands over by version 0 of the language",
                            "the running process (version 0.0) hands over by version ",
                            "the running process (version 0.0) hands over by version -1 of the language",
                            "the running process (version 9) hands over by version 99999999999999999999"})
    BOOST_TEST(!version_instead(other, 2).has_value(), other);
}

BOOST_AUTO_TEST_SUITE_END()
