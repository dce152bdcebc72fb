// What a node tells another one when it opens a stream for a client: who the client has proved to be and what its
// session begins with. On the wire between nodes of different versions: fields are only ever added at the end, and what
// follows the known ones is not looked at.
#pragma once

#include "cluster/handover.hpp"
#include "protocol/bytes.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pg_edge::cluster {

/// A session that was served elsewhere without being relayed, and goes on as it is by now.
struct relayed_session {
  moved_session state;
  bool unconfirmed = false; // no server has said yet what its settings mean
  bool in_batch = false;    // extended messages since the last Sync, none of which needed a server
  bool operator==(const relayed_session&) const = default;
};

struct relay_request {
  std::string tenant, database, user; // by these names the other node knows its pool
  std::string asked_user;             // as the client wrote it
  std::string peer_host;              // where the client is
  std::uint16_t peer_port = 0;
  std::vector<std::pair<std::string, std::string>> parameters; // of its start-up packet
  std::string secret, client_key, server_key;  // with which its servers may be logged in to, see actors/credentials
  bool again = false;                          // the session has begun before, perhaps on another node
  std::optional<relayed_session> session = {}; // then the parameters say nothing that it does not
  bool operator==(const relay_request&) const = default;
};

protocol::bytes encode(const relay_request& request);
std::optional<relay_request> decode_relay_request(protocol::bytes_view body);

/// A CancelRequest that has come to a node whose client it does not mean: passed to the node in its key.
struct relayed_cancel {
  std::int32_t process_id = 0;
  std::string secret;
  bool operator==(const relayed_cancel&) const = default;
};
protocol::bytes encode(const relayed_cancel& cancel);
std::optional<relayed_cancel> decode_relayed_cancel(protocol::bytes_view body);

// -- beside the bytes of a client's stream
// -------------------------------------------------------------------------------------------------

/// To the node that serves it: cancel what it runs.
inline constexpr protocol::bytes_view cancel_signal = "cancel";
/// To the node that it is connected to: this one is going away; the session is to go on elsewhere once it is idle.
inline constexpr protocol::bytes_view move_signal = "move";

} // namespace pg_edge::cluster
