// One conversation held twice, with Postgres itself and through pg_edge, and compared byte for byte: what a driver
// sees must not depend on what stands between.
#pragma once

#include "tests/support/pg_edge_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/wire_client.hpp"

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

namespace pg_edge::test {

/// Bytes to send, and what to read before the next: so many messages, then all up to so many ReadyForQuery.
struct said {
  std::string bytes;
  int readies = 1;
  int messages = 0;
};
using conversation = std::vector<said>;

/// What the other side answered. With a piece size the bytes go out in writes of so many.
inline std::vector<wire_message> hold(wire_client& client, const conversation& steps, std::size_t piece = 0) {
  std::vector<wire_message> heard;
  for (const said& step : steps) {
    if (piece == 0)
      client.send(step.bytes);
    else
      client.send_in_pieces(step.bytes, piece);
    for (int i = 0; i < step.messages; ++i)
      heard.push_back(client.read_message());
    for (int i = 0; i < step.readies; ++i)
      for (wire_message& message : client.read_until_ready())
        heard.push_back(std::move(message));
  }
  return heard;
}

/// The messages as they were on the wire.
inline std::string wire_bytes_of(const std::vector<wire_message>& messages) {
  std::string bytes;
  for (const wire_message& message : messages)
    bytes += message_bytes(message.type, message.body);
  return bytes;
}

/// A client of trust_user on the database app, of Postgres itself or of a node.
inline wire_client client_of(std::uint16_t port) {
  wire_client client(port);
  client.login("trust_user", "app");
  return client;
}
inline wire_client direct_client() {
  return client_of(postgres::shared().port());
}

/// Checks that two clients hear the same; the summaries first, since they can be read.
inline void check_same(wire_client& direct, wire_client& through, const conversation& steps, std::size_t piece = 0) {
  std::vector<wire_message> wanted = hold(direct, steps), got = hold(through, steps, piece);
  BOOST_TEST(summary(got) == summary(wanted));
  BOOST_TEST((wire_bytes_of(got) == wire_bytes_of(wanted)), "not byte for byte: " << summary(got));
}

/// The same with two new clients. Returns what was heard through the node.
inline std::string same_both_ways(const pg_edge_process& node, const conversation& steps, std::size_t piece = 0) {
  wire_client direct = direct_client(), through = client_of(node.port());
  std::vector<wire_message> wanted = hold(direct, steps), got = hold(through, steps, piece);
  BOOST_TEST(summary(got) == summary(wanted));
  BOOST_TEST((wire_bytes_of(got) == wire_bytes_of(wanted)), "not byte for byte: " << summary(got));
  return summary(got);
}

/// Parse, Bind, Describe, Execute and Sync of a statement with a name.
inline std::string whole_batch(const std::string& name, const std::string& sql, const bind_values& values = {}) {
  return parse_bytes(name, sql) + bind_bytes("", name, values) + describe_bytes('P', "") + execute_bytes() +
         sync_bytes();
}

/// Bind, Execute and Sync of what was prepared before.
inline std::string run_batch(const std::string& name, const bind_values& values = {}) {
  return bind_bytes("", name, values) + execute_bytes() + sync_bytes();
}

} // namespace pg_edge::test
