// The illegal messages of model_pgtest's sequences, and what a sequence consists of.
#pragma once

#include "tests/support/wire_client.hpp"

#include <cstdint>
#include <string>

namespace pg_edge::test::model {

struct item {
  enum class what {
    bytes,
    wait,           // until all that was asked is answered, as far as can be told
    cancel_running, // as soon as the notice "asleep" came, until the query ends
    cancel_idle,    // when nothing runs: must do nothing
    cut_off,        // the bytes are the beginning of a message; then no more is sent
    terminate
  };
  what kind = what::bytes;
  std::string text; // for people
  std::string bytes;
  int readies = 0; // ReadyForQuery it may bring, at most
};

/// How many kinds there are. Beyond the first few they are not made up within a COPY: whether it runs or has just
/// failed, pg_edge cannot know, and passes over a Sync or Flush with a body.
inline constexpr std::uint64_t illegal_kinds = 16, illegal_in_copy = 9;

inline item illegal_item(std::uint64_t kind) {
  const auto made = [](std::string text, std::string bytes, int readies = 0) {
    return item{item::what::bytes, std::move(text), std::move(bytes), readies};
  };
  switch (kind) {
  case 0:
    return made("a type that is none", message_bytes('q', "body"));
  case 1:
    return made("Parse without its end", message_bytes('P', c_string("a") + "select 1"));
  case 2:
    return made("Bind that lies about its values", message_bytes('B', c_string("") + c_string("") + int16_bytes(0) +
                                                                          int16_bytes(1) + int32_bytes(100) + "x"));
  case 3:
    return made("Describe of no kind", message_bytes('D', "X" + c_string("a")));
  case 4:
    return made("Execute cut short", message_bytes('E', c_string("") + int16_bytes(0)));
  case 5:
    return made("Close and more", message_bytes('C', "S" + c_string("a") + "b"));
  case 6:
    return made("CopyData outside", copy_data_bytes("1\toutside\n"));
  case 7:
    return made("CopyDone outside", copy_done_bytes());
  case 8:
    return made("CopyFail outside", copy_fail_bytes("outside"));
  case 9:
    return made("Sync with a body", message_bytes('S', "abc"), 1);
  case 10:
    return made("Flush with a body", message_bytes('H', "abc"));
  case 11:
    return made("Query without its end", message_bytes('Q', "select 1"), 1);
  case 12:
    return made("Query and more", message_bytes('Q', c_string("select 1") + "x"), 1);
  case 13:
    return made("FunctionCall of nothing", message_bytes('F', ""), 1);
  case 14:
    return made("a password nobody asked for", message_bytes('p', c_string("secret")));
  default:
    return made("Parse with text of no encoding",
                message_bytes('P', c_string("u") + c_string("select '\xff'") + int16_bytes(0)));
  }
}

} // namespace pg_edge::test::model
