// What a client has whose session another node serves. The diagram stands in client_relayed.cpp.
#pragma once

#include "actors/client.hpp"
#include "protocol/relay_watch.hpp"

namespace pg_edge::actors {

/// parked: no stream; the session has begun, nothing is under way, and the next message opens one.
/// pausing: the node could not be reached, or serves nobody now; asked again in a moment.
/// opening: a node has been asked; its greeting is still to come.
/// replaying: it is being told what the session had set and prepared elsewhere.
enum class relay_step : std::uint8_t { parked, pausing, opening, replaying, open };

struct client::relay_state {
  static constexpr std::chrono::milliseconds pause_time{100};

  relay_state(client& of, bool keeps_server) : watch(keeps_server), pause(timer::calling<&client::relay_again>(of)) {}

  bool wants_input() const {
    return step == relay_step::parked || (step == relay_step::open && unsent.empty() && stream->room() > 0);
  }
  /// It waits for a way to its pool's node for longer than a client waits for a server.
  bool timed_out(reactor::clock::time_point now) const {
    const bool waits = step != relay_step::parked && step != relay_step::open;
    return began && waits && patience.count() > 0 && now - waits_since >= patience;
  }

  pool_name pool;
  node_number node = 0; // that was asked last
  cluster::relay_request request;
  carried_stream_ptr stream;
  protocol::relay_watch watch;
  protocol::bytes kept;                   // of the greeting, until a message is whole
  protocol::bytes unsent;                 // of what is replayed
  protocol::parameter_values_ptr greeted; // what this opening has told of the session's parameters
  std::size_t replies_left = 0;           // to what is replayed
  bool settings_owed = false;             // the first of them is that to its settings
  std::string last_error;
  config::duration patience{};
  reactor::clock::time_point waits_since{};
  timer pause;
  relay_step step = relay_step::opening;
  bool began = false;            // the client has been let in
  bool to_move = false;          // its node is going away
  bool misplaced = false;        // its pool lives elsewhere by now
  bool tells_statements = false; // the request itself does, so they are not replayed
};

} // namespace pg_edge::actors
