// Golden bytes for every message, checked both ways, and what becomes of them when they are cut, lengthened or garbled.
#include "protocol/messages.hpp"
#include "tests/protocol/golden.hpp"

#include <boost/test/unit_test.hpp>

#include <random>

// Inside the namespace, since names such as close and sync are functions of the system outside it.
namespace pg_edge::protocol {

namespace {

using tests::wire;

template <class M>
struct sample {
  M m;
  bytes frame;
};

/// The golden bytes of a message. There is no general definition: a message without its own does not link.
template <class M>
std::vector<sample<M>> golden();

// -- frontend: simple and extended query
// -------------------------------------------------------------------------------

template <>
std::vector<sample<query>> golden() {
  return {{query{"SELECT 1"}, wire({"51",               // type 'Q'
                                    "0000000d",         // length
                                    "'SELECT 1' 00"})}, // query string
          {query{""}, wire({"51", "00000005", "00"})}};
}

template <>
std::vector<sample<parse>> golden() {
  return {{parse{"s1", "SELECT $1, $2", {23, 4294967295}}, wire({"50",                      // type 'P'
                                                                 "0000001f",                // length
                                                                 "'s1' 00",                 // prepared statement
                                                                 "'SELECT $1, $2' 00",      // query string
                                                                 "0002",                    // parameter types
                                                                 "00000017", "ffffffff"})}, // int4, largest OID
          {parse{"", "", {}}, wire({"50", "00000008", "00", "00", "0000"})}};
}

template <>
std::vector<sample<bind>> golden() {
  return {{bind{"c1", "s1", {1, 0}, {"\x01\x02", std::nullopt, ""}, {1}},
           wire({"42",              // type 'B'
                 "00000024",        // length
                 "'c1' 00",         // portal
                 "'s1' 00",         // prepared statement
                 "0002",            // parameter formats
                 "0001", "0000",    // binary, text
                 "0003",            // parameters
                 "00000002 0102",   // two bytes
                 "ffffffff",        // NULL
                 "00000000",        // empty, not NULL
                 "0001", "0001"})}, // result formats: all binary
          {bind{}, wire({"42", "0000000c", "00", "00", "0000", "0000", "0000"})}};
}

template <>
std::vector<sample<describe>> golden() {
  return {{describe{'S', "s1"}, wire({"44",         // type 'D'
                                      "00000008",   // length
                                      "'S'",        // a prepared statement
                                      "'s1' 00"})}, // its name
          {describe{'P', ""}, wire({"44", "00000006", "'P'", "00"})}};
}

template <>
std::vector<sample<execute>> golden() {
  return {{execute{"c1", 100}, wire({"45",           // type 'E'
                                     "0000000b",     // length
                                     "'c1' 00",      // portal
                                     "00000064"})}}; // rows at most
}

template <>
std::vector<sample<close>> golden() {
  return {{close{'P', "c1"}, wire({"43",          // type 'C'
                                   "00000008",    // length
                                   "'P'",         // a portal
                                   "'c1' 00"})}}; // its name
}

template <>
std::vector<sample<flush>> golden() {
  return {{flush{}, wire({"48", "00000004"})}}; // type 'H', length
}

template <>
std::vector<sample<sync>> golden() {
  return {{sync{}, wire({"53", "00000004"})}}; // type 'S', length
}

template <>
std::vector<sample<function_call>> golden() {
  return {{function_call{1598, {1}, {"\x07", std::nullopt}, 1}, wire({"46",          // type 'F'
                                                                      "00000019",    // length
                                                                      "0000063e",    // function OID
                                                                      "0001 0001",   // argument formats: all binary
                                                                      "0002",        // arguments
                                                                      "00000001 07", // one byte
                                                                      "ffffffff",    // NULL
                                                                      "0001"})}};    // result format: binary
}

template <>
std::vector<sample<copy_fail>> golden() {
  return {{copy_fail{"no more"}, wire({"66",               // type 'f'
                                       "0000000c",         // length
                                       "'no more' 00"})}}; // reason
}

template <>
std::vector<sample<terminate>> golden() {
  return {{terminate{}, wire({"58", "00000004"})}}; // type 'X', length
}

// -- frontend: answers in a login
// --------------------------------------------------------------------------------------

template <>
std::vector<sample<password_message>> golden() {
  return {{password_message{"secret"}, wire({"70",              // type 'p'
                                             "0000000b",        // length
                                             "'secret' 00"})}}; // password
}

template <>
std::vector<sample<sasl_initial_response>> golden() {
  return {{sasl_initial_response{"SCRAM-SHA-256", "n,,n=,r=x"}, wire({"70",                      // type 'p'
                                                                      "0000001f",                // length
                                                                      "'SCRAM-SHA-256' 00",      // mechanism
                                                                      "00000009 'n,,n=,r=x'"})}, // response
          {sasl_initial_response{"X", std::nullopt}, wire({"70", "0000000a", "'X' 00", "ffffffff"})}};
}

template <>
std::vector<sample<sasl_response>> golden() {
  return {{sasl_response{"c=biws"}, wire({"70",           // type 'p'
                                          "0000000a",     // length
                                          "'c=biws'"})}}; // data: the rest, no zero byte
}

template <>
std::vector<sample<gss_response>> golden() {
  return {{gss_response{"token"}, wire({"70", "00000009", "'token'"})}}; // type 'p', length, data
}

// -- both directions
// ---------------------------------------------------------------------------------------------------

template <>
std::vector<sample<copy_data>> golden() {
  return {{copy_data{"1\t2\n"}, wire({"64",             // type 'd'
                                      "00000008",       // length
                                      "31 09 32 0a"})}, // data
          {copy_data{}, wire({"64", "00000004"})}};
}

template <>
std::vector<sample<copy_done>> golden() {
  return {{copy_done{}, wire({"63", "00000004"})}}; // type 'c', length
}

// -- backend: login
// ----------------------------------------------------------------------------------------------------

template <>
std::vector<sample<authentication_ok>> golden() {
  return {{authentication_ok{}, wire({"52", "00000008", "00000000"})}}; // type 'R', length, 0
}

template <>
std::vector<sample<authentication_kerberos_v5>> golden() {
  return {{authentication_kerberos_v5{}, wire({"52", "00000008", "00000002"})}};
}

template <>
std::vector<sample<authentication_cleartext_password>> golden() {
  return {{authentication_cleartext_password{}, wire({"52", "00000008", "00000003"})}};
}

template <>
std::vector<sample<authentication_md5_password>> golden() {
  return {{authentication_md5_password{{'\x01', '\x00', '\xff', '\x7f'}}, wire({"52",           // type 'R'
                                                                                "0000000c",     // length
                                                                                "00000005",     // MD5
                                                                                "0100ff7f"})}}; // salt
}

template <>
std::vector<sample<authentication_scm_credential>> golden() {
  return {{authentication_scm_credential{}, wire({"52", "00000008", "00000006"})}};
}

template <>
std::vector<sample<authentication_gss>> golden() {
  return {{authentication_gss{}, wire({"52", "00000008", "00000007"})}};
}

template <>
std::vector<sample<authentication_gss_continue>> golden() {
  return {{authentication_gss_continue{"ab"}, wire({"52", "0000000a", "00000008", "'ab'"})}}; // ..., data
}

template <>
std::vector<sample<authentication_sspi>> golden() {
  return {{authentication_sspi{}, wire({"52", "00000008", "00000009"})}};
}

template <>
std::vector<sample<authentication_sasl>> golden() {
  return {{authentication_sasl{{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}}, wire({"52",                      // type 'R'
                                                                               "0000002a",                // length
                                                                               "0000000a",                // SASL
                                                                               "'SCRAM-SHA-256-PLUS' 00", // mechanism
                                                                               "'SCRAM-SHA-256' 00",      // mechanism
                                                                               "00"})}};                  // end
}

template <>
std::vector<sample<authentication_sasl_continue>> golden() {
  return {{authentication_sasl_continue{"r=xy"}, wire({"52",         // type 'R'
                                                       "0000000c",   // length
                                                       "0000000b",   // SASL continues
                                                       "'r=xy'"})}}; // data
}

template <>
std::vector<sample<authentication_sasl_final>> golden() {
  return {{authentication_sasl_final{"v=xy"}, wire({"52",         // type 'R'
                                                    "0000000c",   // length
                                                    "0000000c",   // SASL is complete
                                                    "'v=xy'"})}}; // data
}

template <>
std::vector<sample<backend_key_data>> golden() {
  static const bytes longest(max_cancel_key, 'k');
  const bytes longest_frame = wire({"4b", "00000108", "ffffffff"}) + longest;
  return {{backend_key_data{4242, "\x01\x02\x03\x04"}, wire({"4b",          // type 'K'
                                                             "0000000c",    // length
                                                             "00001092",    // process id
                                                             "01020304"})}, // key of protocol 3.0
          {backend_key_data{-1, longest}, longest_frame}};
}

template <>
std::vector<sample<negotiate_protocol_version>> golden() {
  return {{negotiate_protocol_version{3 << 16 | 2, {"_pq_.a", "_pq_.b"}}, wire({"76",              // type 'v'
                                                                                "0000001a",        // length
                                                                                "00030002",        // 3.2
                                                                                "00000002",        // options
                                                                                "'_pq_.a' 00",     // the first
                                                                                "'_pq_.b' 00"})}}; // the second
}

template <>
std::vector<sample<parameter_status>> golden() {
  return {{parameter_status{"TimeZone", "UTC"}, wire({"53",            // type 'S'
                                                      "00000011",      // length
                                                      "'TimeZone' 00", // name
                                                      "'UTC' 00"})}};  // value
}

template <>
std::vector<sample<ready_for_query>> golden() {
  return {{ready_for_query{'I'}, wire({"5a", "00000005", "'I'"})}, // type 'Z', length, idle
          {ready_for_query{'T'}, wire({"5a", "00000005", "'T'"})},
          {ready_for_query{'E'}, wire({"5a", "00000005", "'E'"})}};
}

// -- backend: results
// --------------------------------------------------------------------------------------------------

template <>
std::vector<sample<row_description>> golden() {
  row_description m;
  m.fields.push_back({"id", 16384, 1, 23, 4, -1, 0});
  m.fields.push_back({"?column?", 0, 0, 25, -1, -1, 1});
  return {{m, wire({"54",            // type 'T'
                    "00000036",      // length
                    "0002",          // fields
                    "'id' 00",       // name
                    "00004000",      // table OID
                    "0001",          // column
                    "00000017",      // type OID: int4
                    "0004",          // type size
                    "ffffffff",      // type modifier
                    "0000",          // text
                    "'?column?' 00", // name
                    "00000000",      // no table
                    "0000",          // no column
                    "00000019",      // type OID: text
                    "ffff",          // variable size
                    "ffffffff",      // type modifier
                    "0001"})},       // binary
          {row_description{}, wire({"54", "00000006", "0000"})}};
}

template <>
std::vector<sample<data_row>> golden() {
  return {{data_row{{"42", std::nullopt, ""}}, wire({"44",            // type 'D'
                                                     "00000014",      // length
                                                     "0003",          // columns
                                                     "00000002 '42'", // two bytes
                                                     "ffffffff",      // NULL
                                                     "00000000"})}};  // empty, not NULL
}

template <>
std::vector<sample<command_complete>> golden() {
  return {{command_complete{"INSERT 0 1"}, wire({"43",                  // type 'C'
                                                 "0000000f",            // length
                                                 "'INSERT 0 1' 00"})}}; // tag
}

template <>
std::vector<sample<empty_query_response>> golden() {
  return {{empty_query_response{}, wire({"49", "00000004"})}}; // type 'I', length
}

template <>
std::vector<sample<error_response>> golden() {
  return {{error_response{{{'S', "ERROR"}, {'C', "42601"}, {'M', "no"}}}, wire({"45",          // type 'E'
                                                                                "00000017",    // length
                                                                                "'SERROR' 00", // severity
                                                                                "'C42601' 00", // SQLSTATE
                                                                                "'Mno' 00",    // message
                                                                                "00"})},       // end
          {error_response{}, wire({"45", "00000005", "00"})}};
}

template <>
std::vector<sample<notice_response>> golden() {
  return {{notice_response{{{'S', "NOTICE"}, {'M', ""}}}, wire({"4e",           // type 'N'
                                                                "0000000f",     // length
                                                                "'SNOTICE' 00", // severity
                                                                "'M' 00",       // an empty message
                                                                "00"})}};       // end
}

template <>
std::vector<sample<notification_response>> golden() {
  return {{notification_response{77, "jobs", "new"}, wire({"41",           // type 'A'
                                                           "00000011",     // length
                                                           "0000004d",     // process id
                                                           "'jobs' 00",    // channel
                                                           "'new' 00"})}}; // payload
}

template <>
std::vector<sample<function_call_response>> golden() {
  return {{function_call_response{"\x2a"}, wire({"56", "00000009", "00000001 2a"})}, // type 'V', length, result
          {function_call_response{std::nullopt}, wire({"56", "00000008", "ffffffff"})}};
}

// -- backend: extended query
// -------------------------------------------------------------------------------------------

template <>
std::vector<sample<parse_complete>> golden() {
  return {{parse_complete{}, wire({"31", "00000004"})}}; // type '1', length
}

template <>
std::vector<sample<bind_complete>> golden() {
  return {{bind_complete{}, wire({"32", "00000004"})}}; // type '2', length
}

template <>
std::vector<sample<close_complete>> golden() {
  return {{close_complete{}, wire({"33", "00000004"})}}; // type '3', length
}

template <>
std::vector<sample<no_data>> golden() {
  return {{no_data{}, wire({"6e", "00000004"})}}; // type 'n', length
}

template <>
std::vector<sample<portal_suspended>> golden() {
  return {{portal_suspended{}, wire({"73", "00000004"})}}; // type 's', length
}

template <>
std::vector<sample<parameter_description>> golden() {
  return {{parameter_description{{23, 25}}, wire({"74",                       // type 't'
                                                  "0000000e",                 // length
                                                  "0002",                     // parameters
                                                  "00000017", "00000019"})}}; // int4, text
}

// -- backend: COPY
// -----------------------------------------------------------------------------------------------------

template <>
std::vector<sample<copy_in_response>> golden() {
  return {{copy_in_response{{0, {0, 0}}}, wire({"47",                 // type 'G'
                                                "0000000b",           // length
                                                "00",                 // text
                                                "0002 0000 0000"})}}; // columns: text, text
}

template <>
std::vector<sample<copy_out_response>> golden() {
  return {{copy_out_response{{1, {1}}}, wire({"48",            // type 'H'
                                              "00000009",      // length
                                              "01",            // binary
                                              "0001 0001"})}}; // columns: binary
}

template <>
std::vector<sample<copy_both_response>> golden() {
  return {{copy_both_response{{0, {}}}, wire({"57", "00000007", "00", "0000"})}}; // type 'W', length, text, no columns
}

// -- checks
// ------------------------------------------------------------------------------------------------------------

/// Messages that end with "all that remains": cut or lengthened they may still be messages.
template <class M>
constexpr bool open_ended =
    std::is_same_v<M, copy_data> || std::is_same_v<M, sasl_response> || std::is_same_v<M, gss_response> ||
    std::is_same_v<M, authentication_gss_continue> || std::is_same_v<M, authentication_sasl_continue> ||
    std::is_same_v<M, authentication_sasl_final> || std::is_same_v<M, backend_key_data>;

template <class M>
bytes_view body_of(const sample<M>& s) {
  return bytes_view(s.frame).substr(frame_header_size);
}

/// Whatever bytes are accepted must come out again as they went in: nothing is guessed, dropped or added.
template <class M>
bool sound(bytes_view body) {
  const std::optional<M> m = decode<M>(body);
  return !m || bytes_view(encode(*m)).substr(frame_header_size) == body;
}

/// Outside the templates, since BOOST_TEST in each of fifty instances takes the compiler a minute.
void check(const message_info& info, bool ok, const char* what) {
  BOOST_TEST(ok, info.name << ": " << what);
}

void garble(bytes& body, std::mt19937& random) {
  const auto below = [&random](std::size_t limit) { return random() % limit; };
  for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
    const std::size_t at = below(body.size() + 1);
    const char byte = static_cast<char>(below(4) == 0 ? 0 : random());
    switch (below(3)) {
    case 0:
      body.insert(body.begin() + static_cast<std::ptrdiff_t>(at), byte);
      break;
    case 1:
      body.erase(at, below(4));
      break;
    default:
      if (at < body.size()) body[at] = byte;
    }
  }
}

} // namespace

BOOST_AUTO_TEST_SUITE(messages_test)

BOOST_AUTO_TEST_CASE(every_message_matches_its_golden_bytes_both_ways) {
  all_messages::for_each([]<class M>() {
    check(M::info, !golden<M>().empty(), "has golden bytes");
    for (const sample<M>& s : golden<M>()) {
      check(M::info, encode(s.m) == s.frame, "encodes to its golden bytes");
      const std::optional<M> decoded = decode<M>(body_of(s));
      check(M::info, decoded.has_value(), "decodes from its golden bytes");
      check(M::info, decoded == s.m, "decodes to the struct");
      frame_header header;
      check(M::info, read_header(s.frame, header) == header_status::ok, "has a header");
      check(M::info, header.type == M::info.type, "has its type byte");
      check(M::info, header.total() == s.frame.size(), "states its length");
      check(M::info, header.length <= M::info.max_length, "is not too long");
    }
  });
}

BOOST_AUTO_TEST_CASE(a_message_cut_anywhere_is_none) {
  all_messages::for_each([]<class M>() {
    for (const sample<M>& s : golden<M>()) {
      for (std::size_t size = 0; size < body_of(s).size(); ++size) {
        const bytes cut(body_of(s).substr(0, size)); // a copy, so that a read past it is a read past the heap block
        check(M::info, open_ended<M> ? sound<M>(cut) : !decode<M>(cut).has_value(), "is refused when cut");
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(a_message_with_bytes_left_over_is_none) {
  all_messages::for_each([]<class M>() {
    for (const sample<M>& s : golden<M>()) {
      for (const char extra : {'\0', 'x', '\xff'}) {
        const bytes longer = bytes(body_of(s)) + extra;
        check(M::info, open_ended<M> ? sound<M>(longer) : !decode<M>(longer).has_value(), "is refused when longer");
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(garbled_and_random_bodies_are_refused_or_read_exactly) {
  std::mt19937 random(20261123);
  all_messages::for_each([&random]<class M>() {
    std::size_t unsound = 0;
    const auto samples = golden<M>();
    for (int round = 0; round < 2000; ++round) {
      bytes body(body_of(samples[random() % samples.size()]));
      garble(body, random);
      unsound += !sound<M>(body);
      body.resize(random() % 64);
      for (char& byte : body)
        byte = static_cast<char>(random());
      unsound += !sound<M>(body);
    }
    check(M::info, unsound == 0, "is read as it is or refused");
  });
}

BOOST_AUTO_TEST_CASE(counts_that_lie_are_refused) {
  BOOST_TEST(!decode<data_row>(wire({"ffff"})).has_value());
  BOOST_TEST(!decode<data_row>(wire({"0001", "7fffffff", "00"})).has_value());
  BOOST_TEST(!decode<data_row>(wire({"0001", "fffffffe"})).has_value()); // -2 is neither NULL nor a length
  BOOST_TEST(!decode<negotiate_protocol_version>(wire({"00030000", "ffffffff", "'a' 00"})).has_value());
  BOOST_TEST(!decode<parse>(wire({"00", "00", "ffff", "00000017"})).has_value());
}

BOOST_AUTO_TEST_CASE(B191_bind_takes_65535_parameters) {
  bind m;
  m.parameters.assign(max_list16, std::nullopt);
  const bytes frame = encode(m);
  const auto decoded = decode<bind>(bytes_view(frame).substr(frame_header_size));
  BOOST_REQUIRE(decoded.has_value());
  BOOST_TEST(decoded->parameters.size() == max_list16);
  // One more cannot be said on the wire: the list is cut rather than the count wrapped to zero.
  m.parameters.emplace_back();
  BOOST_TEST((encode(m) == frame));
}

BOOST_AUTO_TEST_CASE(B007_cancel_keys_have_4_to_256_bytes) {
  const auto accepted = [](std::size_t size) {
    return decode<backend_key_data>(wire({"00000001"}) + bytes(size, 'k')).has_value();
  };
  BOOST_TEST(!accepted(0));
  BOOST_TEST(!accepted(min_cancel_key - 1));
  BOOST_TEST(accepted(min_cancel_key));
  BOOST_TEST(accepted(32));
  BOOST_TEST(accepted(max_cancel_key));
  BOOST_TEST(!accepted(max_cancel_key + 1));
}

BOOST_AUTO_TEST_CASE(authentication_requests_are_told_apart_by_their_code) {
  all_messages::for_each([]<class M>() {
    if constexpr (M::info.type == 'R') {
      std::size_t readers = 0;
      all_messages::for_each([&readers]<class Other>() {
        if constexpr (Other::info.type == 'R') readers += decode<Other>(golden<M>()[0].frame.substr(5)).has_value();
      });
      check(M::info, readers == 1, "is read by its own struct alone");
    }
  });
}

BOOST_AUTO_TEST_CASE(append_leaves_what_is_before_it_alone) {
  bytes out = "before";
  append(out, ready_for_query{'T'});
  append(out, parse_complete{});
  BOOST_TEST((out == wire({"'before'", "5a 00000005 'T'", "31 00000004"})));
}

BOOST_AUTO_TEST_CASE(names_and_limits_are_found_by_type_byte) {
  BOOST_TEST(frontend_name('Q') == "Query");
  BOOST_TEST(frontend_name('C') == "Close");
  BOOST_TEST(backend_name('C') == "CommandComplete");
  BOOST_TEST(frontend_name('S') == "Sync");
  BOOST_TEST(backend_name('S') == "ParameterStatus");
  BOOST_TEST(frontend_name('p') == "PasswordMessage");
  BOOST_TEST(backend_name('R') == "Authentication");
  BOOST_TEST(frontend_name('d') == "CopyData");
  BOOST_TEST(backend_name('d') == "CopyData");
  BOOST_TEST(backend_name('c') == "CopyDone");
  BOOST_TEST(frontend_name('Z') == "unknown"); // ReadyForQuery is no message of a client
  BOOST_TEST(backend_name('Q') == "unknown");
  BOOST_TEST(frontend_name('\xff') == "unknown");
  BOOST_TEST((frontend_info('\0') == nullptr));
  BOOST_TEST((backend_info('Q') == nullptr));
  BOOST_TEST(frontend_info('B')->max_length == max_frame_length);
  BOOST_TEST(frontend_info('D')->max_length == max_small_frame_length);
  BOOST_TEST(frontend_info('p')->max_length == max_auth_frame_length);
  for (const message_info& info : message_infos)
    BOOST_TEST((info.from == direction::frontend ? frontend_info(info.type) : backend_info(info.type)) != nullptr);
}

BOOST_AUTO_TEST_CASE(error_field_finds_one_field) {
  const bytes body = wire({"'SERROR' 00", "'C57014' 00", "'M' 00", "'Hdo this' 00", "00", "'Xno field' 00"});
  BOOST_TEST(error_field(body, 'S') == "ERROR");
  BOOST_TEST(error_field(body, 'C') == "57014");
  BOOST_TEST(error_field(body, 'M') == "");
  BOOST_TEST(error_field(body, 'H') == "do this");
  BOOST_TEST(error_field(body, 'D') == "");
  BOOST_TEST(error_field(body, 'X') == ""); // after the end
  BOOST_TEST(error_field("", 'C') == "");
  BOOST_TEST(error_field("C57014", 'C') == ""); // not terminated
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace pg_edge::protocol
