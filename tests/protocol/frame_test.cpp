// Headers of messages, and the cursor that everything else is read with.
#include "protocol/frame.hpp"
#include "tests/protocol/golden.hpp"

#include <boost/test/unit_test.hpp>

using namespace pg_edge::protocol;
using pg_edge::protocol::tests::wire;

BOOST_AUTO_TEST_SUITE(frame_test)

BOOST_AUTO_TEST_CASE(integers_are_big_endian) {
  bytes out;
  put_u8(out, 0xfe);
  put_u16(out, 0x0102);
  put_u32(out, 0x80010203);
  put_i32(out, -2);
  BOOST_TEST((out == wire({"fe", "0102", "80010203", "fffffffe"})));
  BOOST_TEST(load_u16(out.data() + 1) == 0x0102);
  BOOST_TEST(load_u32(out.data() + 3) == 0x80010203u);
  reader in(out);
  BOOST_TEST(in.u8() == 0xfe);
  BOOST_TEST(in.u16() == 0x0102);
  BOOST_TEST(in.u32() == 0x80010203u);
  BOOST_TEST(in.i32() == -2);
  BOOST_TEST(in.ok());
  BOOST_TEST(in.at_end());
}

BOOST_AUTO_TEST_CASE(a_zero_byte_inside_a_string_ends_it) {
  bytes out;
  put_cstring(out, std::string_view("user\0admin", 10));
  BOOST_TEST((out == wire({"'user' 00"})));
}

BOOST_AUTO_TEST_CASE(a_failed_read_fails_all_later_ones) {
  const bytes three = wire({"010203"});
  reader in(three);
  BOOST_TEST(in.u16() == 0x0102);
  BOOST_TEST(in.u32() == 0u);
  BOOST_TEST(!in.ok());
  BOOST_TEST(in.u8() == 0); // a byte is left, but the reader no longer knows what it would be
  BOOST_TEST(in.cstring().empty());
  BOOST_TEST(in.rest().empty());
  BOOST_TEST(!in.ok());
}

BOOST_AUTO_TEST_CASE(every_kind_of_read_past_the_end_fails) {
  const auto fails = [](bytes_view in, auto read) {
    reader r(in);
    read(r);
    return !r.ok();
  };
  BOOST_TEST(fails("", [](reader& r) { r.u8(); }));
  BOOST_TEST(fails("a", [](reader& r) { r.u16(); }));
  BOOST_TEST(fails("abc", [](reader& r) { r.u32(); }));
  BOOST_TEST(fails("abc", [](reader& r) { r.i32(); }));
  BOOST_TEST(fails("abc", [](reader& r) { r.cstring(); }));
  BOOST_TEST(fails("abc", [](reader& r) { r.take(4); }));
  BOOST_TEST(fails("abc", [](reader& r) { r.take(bytes::npos); }));
  BOOST_TEST(!fails("", [](reader& r) { r.rest(); }));
  BOOST_TEST(!fails("", [](reader& r) { r.take(0); }));
}

BOOST_AUTO_TEST_CASE(strings_and_rest) {
  const bytes raw = wire({"'ab' 00", "00", "'rest'"});
  reader in(raw);
  BOOST_TEST(in.cstring() == "ab");
  BOOST_TEST(in.cstring() == "");
  BOOST_TEST(in.ok());
  BOOST_TEST(in.take(1) == "r");
  BOOST_TEST(in.rest() == "est");
  BOOST_TEST(in.ok());
  BOOST_TEST(in.at_end());
}

BOOST_AUTO_TEST_CASE(a_header_is_five_bytes) {
  const bytes raw = wire({"51", "0000000d", "'SELECT 1' 00"});
  for (std::size_t size = 0; size < frame_header_size; ++size) {
    frame_header untouched;
    BOOST_TEST((read_header(bytes_view(raw).substr(0, size), untouched) == header_status::need_more));
    BOOST_TEST((untouched == frame_header{}));
  }
  for (std::size_t size = frame_header_size; size <= raw.size(); ++size) {
    frame_header header;
    BOOST_TEST((read_header(bytes_view(raw).substr(0, size), header) == header_status::ok));
    BOOST_TEST((header == frame_header{'Q', 13}));
    BOOST_TEST(header.total() == raw.size());
    BOOST_TEST(header.body() == raw.size() - frame_header_size);
  }
}

BOOST_AUTO_TEST_CASE(lengths_have_limits) {
  const auto status = [](std::uint32_t length) {
    bytes raw = "d";
    put_u32(raw, length);
    frame_header header;
    const header_status result = read_header(raw, header);
    BOOST_TEST(header.type == 'd'); // the error names it
    BOOST_TEST(header.length == length);
    return result;
  };
  BOOST_TEST((status(0) == header_status::invalid));
  BOOST_TEST((status(3) == header_status::invalid));
  BOOST_TEST((status(4) == header_status::ok));
  BOOST_TEST((status(max_frame_length) == header_status::ok));
  BOOST_TEST((status(max_frame_length + 1) == header_status::invalid));
  BOOST_TEST((status(0x80000000) == header_status::invalid)); // negative as Postgres reads it
  BOOST_TEST((status(0xffffffff) == header_status::invalid));
}

BOOST_AUTO_TEST_CASE(a_total_does_not_wrap) {
  const frame_header header{'d', 0xffffffff};
  BOOST_TEST(header.total() == std::size_t{0x100000000});
}

BOOST_AUTO_TEST_SUITE_END()
