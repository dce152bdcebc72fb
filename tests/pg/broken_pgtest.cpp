// Messages that break the protocol (B195): Postgres and pg_edge get the same bytes and must give the same severity,
// SQLSTATE and words, and go on or close alike.
#include "tests/pg/both_ways.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>

using namespace pg_edge::test;

namespace {

/// A message whose length says what it likes.
std::string lying(char type, std::int64_t length) {
  return std::string(1, type) + int32_bytes(length);
}

/// What comes until a ReadyForQuery, or until nothing more does. Errors in full.
std::string heard(wire_client& client) {
  std::string out;
  while (const auto message = client.try_read_message(milliseconds(5000))) {
    if (message->type == 'E')
      out += "E(" + error_field(*message, 'S') + " " + error_field(*message, 'C') + " " + error_field(*message, 'M') +
             ") ";
    else
      out += summary(*message) + " ";
    if (message->type == 'Z') return out;
  }
  return out + (client.closed_within(milliseconds(5000)) ? "closed" : "open");
}

/// The same, and whether the session is of use afterwards.
std::string told(wire_client& client, const std::string& bytes, int readies = 1) {
  try {
    client.send(bytes);
  } catch (const test_failure&) { // closed while there was more to send
  }
  std::string out;
  for (int i = 0; i < readies; ++i)
    out += heard(client);
  if (!out.ends_with("closed")) out += client.ask("select 'goes on'");
  return out;
}

const std::string with_sync = sync_bytes();

struct named {
  const char* name;
  std::string bytes;
  int readies = 1; // to wait for
};

} // namespace

BOOST_AUTO_TEST_SUITE(broken_pgtest)

BOOST_AUTO_TEST_CASE(B195_broken_messages_are_answered_in_the_words_of_postgres) {
  const std::string five_types = c_string("a") + c_string("select 1") + int16_bytes(5);
  const std::string trailing = c_string("a") + c_string("select 1") + int16_bytes(0) + "xx";
  const named all[] = {
      {"type 1", message_bytes('\1', "")},
      {"type q", message_bytes('q', "")},
      {"a password", message_bytes('p', c_string("x"))},
      {"ReadyForQuery", message_bytes('Z', "I")},
      {"type 0x80", message_bytes('\x80', "")},
      {"an unknown type behind a Parse", parse_bytes("", "select 1") + message_bytes('q', "") + with_sync},
      {"an unknown type behind queries", query_bytes("select 1") + message_bytes('q', ""), 2},
      {"an unknown type in a failed batch", parse_bytes("", "nonsense") + message_bytes('q', "") + with_sync},
      {"Query without its end", message_bytes('Q', "select 1")},
      {"Query and more", message_bytes('Q', c_string("select 1") + c_string("xx"))},
      {"Query of nothing", message_bytes('Q', "")},
      {"Parse of nothing", message_bytes('P', "") + with_sync},
      {"Parse without types", message_bytes('P', c_string("a") + c_string("select 1")) + with_sync},
      {"Parse without the text's end", message_bytes('P', c_string("a") + "select 1") + with_sync},
      {"Parse without a name's end", message_bytes('P', "abc") + with_sync},
      {"Parse with types missing", message_bytes('P', five_types) + with_sync},
      {"Parse and more", message_bytes('P', trailing) + with_sync},
      {"Bind of nothing", message_bytes('B', "") + with_sync},
      {"Bind without a statement", message_bytes('B', c_string("")) + with_sync},
      {"Bind cut short",
       parse_bytes("", "select 1") + message_bytes('B', c_string("") + c_string("") + int16_bytes(0)) + with_sync},
      {"Describe of nothing", message_bytes('D', "") + with_sync},
      {"Describe of no kind", message_bytes('D', "X" + c_string("a")) + with_sync},
      {"Describe without its end", message_bytes('D', "Sa") + with_sync},
      {"Execute of nothing", message_bytes('E', "") + with_sync},
      {"Execute cut short", message_bytes('E', c_string("") + int16_bytes(0)) + with_sync},
      {"Close of nothing", message_bytes('C', "") + with_sync},
      {"Close of no kind", message_bytes('C', "X" + c_string("a")) + with_sync},
      {"Close and more", message_bytes('C', "S" + c_string("a") + "b") + with_sync},
      {"FunctionCall of nothing", message_bytes('F', "")},
      {"FunctionCall of no function",
       message_bytes('F', int32_bytes(99) + int16_bytes(0) + int16_bytes(0) + int16_bytes(0))},
      {"CopyData outside COPY", copy_data_bytes("abc") + query_bytes("select 1")},
      {"CopyDone outside COPY", copy_done_bytes() + query_bytes("select 1")},
      {"CopyFail outside COPY", copy_fail_bytes("x") + query_bytes("select 1")},
      {"Sync with a body", message_bytes('S', "abc")},
      {"Flush with a body", message_bytes('H', "abc") + with_sync},
  };
  for (const char* mode : {"transaction", "session", "statement"}) {
    pg_edge_process node(simple_toml("pool_mode = \"" + std::string(mode) + "\"\ndefault_pool_size = 1\n"));
    for (const named& one : all) {
      wire_client direct = direct_client(), through = client_of(node.port());
      const std::string wanted = told(direct, one.bytes, one.readies);
      BOOST_TEST(told(through, one.bytes, one.readies) == wanted, mode << ", " << one.name << ": " << wanted);
    }
    BOOST_TEST(client_of(node.port()).value("select 'well'") == "well");
  }
}

/// Postgres writes these into its log and closes; a pooler's client may not see that log.
BOOST_AUTO_TEST_CASE(B195_a_length_that_cannot_be_is_told_before_the_close) {
  const std::string body(10'000, 'x');
  const named all[] = {{"3", lying('Q', 3)},
                       {"huge", lying('Q', 0x7fffffff)},
                       {"negative", lying('P', 0xffffffff)},
                       {"a long Describe", message_bytes('D', "S" + c_string(body)) + with_sync},
                       {"a long Execute", message_bytes('E', c_string(body) + int32_bytes(0)) + with_sync},
                       {"a long Close", message_bytes('C', "S" + c_string(body)) + with_sync},
                       {"a long Sync", message_bytes('S', body)}};
  for (const char* mode : {"transaction", "session"}) {
    pg_edge_process node(simple_toml("pool_mode = \"" + std::string(mode) + "\"\ndefault_pool_size = 1\n"));
    const std::string pid = client_of(node.port()).value("select pg_backend_pid()");
    for (const named& one : all) {
      wire_client direct = direct_client(), through = client_of(node.port());
      BOOST_TEST(told(direct, one.bytes) == "closed", one.name);
      BOOST_TEST(told(through, one.bytes) == "E(FATAL 08P01 invalid message length) closed", one.name);
    }
    BOOST_TEST(client_of(node.port()).value("select pg_backend_pid()") == pid); // no server was lost by that
  }
}

BOOST_AUTO_TEST_CASE(B195_an_unknown_message_in_a_copy) {
  pg_edge_process node(simple_toml("default_pool_size = 1\n"));
  postgres::shared().query("drop table if exists b195; create table b195 (n int); grant all on b195 to public");
  const std::string wrong = message_bytes('q', "");
  for (const bool at_once : {true, false}) {
    wire_client direct = direct_client(), through = client_of(node.port());
    for (wire_client* client : {&direct, &through}) {
      const std::string copy = query_bytes("copy b195 from stdin");
      client->send(at_once ? copy + wrong : copy);
      client->expect("G");
      if (!at_once) client->send(wrong);
    }
    const std::string wanted = heard(direct), got = heard(through);
    BOOST_TEST(wanted.find("08P01 unexpected message type 0x71 during COPY from stdin") != std::string::npos, wanted);
    BOOST_TEST(got == "E(FATAL 08P01 unexpected message type 0x71 during COPY from stdin) closed");
    BOOST_TEST(client_of(node.port()).value("select count(*) from b195") == "0");
  }
}

BOOST_AUTO_TEST_CASE(B195_a_message_above_max_packet_size) {
  pg_edge_process node(simple_toml("default_pool_size = 1\nmax_packet_size = 2000\n"));
  wire_client client = client_of(node.port());
  BOOST_TEST(told(client, query_bytes("select '" + std::string(2000, 'x') + "'")) ==
             "E(FATAL 54000 message of 2015 bytes is too long: max_packet_size is 2000) closed");
  BOOST_TEST(error_field(client.last_message(), 'H') ==
             "Raise max_packet_size in [pg_edge], or send the value in parts.");
}

BOOST_AUTO_TEST_CASE(B195_the_console_answers_broken_messages_too) {
  pg_edge_process node(simple_toml("admin_users = [\"trust_user\"]\n"));
  const auto console = [&] {
    wire_client client(node.port());
    client.login("trust_user", "pg_edge");
    return client;
  };
  wire_client client = console();
  client.send(message_bytes('Q', "no end") + message_bytes('D', "X") + with_sync + copy_done_bytes());
  BOOST_TEST(heard(client) == "E(ERROR 08P01 invalid message format) Z(I) ");
  BOOST_TEST(heard(client) == "E(ERROR 08P01 invalid message format) Z(I) ");
  client.query("show version", "T D* C Z(I)");
  client.send(message_bytes('q', ""));
  BOOST_TEST(heard(client) == "E(FATAL 08P01 invalid frontend message type 113) closed");
  wire_client other = console();
  other.send(lying('Q', 3));
  BOOST_TEST(heard(other) == "E(FATAL 08P01 invalid message length) closed");
}

BOOST_AUTO_TEST_SUITE_END()
