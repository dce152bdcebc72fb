// Follows a client's session that another node serves, from the bytes that pass by: whether something is under way, and
// what would have to be told to the next node that takes the session over. It exists so that losing that node costs
// idle clients nothing, and the others an honest answer.
//
//   idle: every ReadyForQuery that was asked for has come, the last one was 'I', no batch has begun, and both
//   directions
//         stand between two messages.
//
// It reads types and lengths; bodies only of what is short and says something about the session. Whenever it cannot
// tell, it says that the session cannot move.
#pragma once

#include "protocol/bytes.hpp"
#include "protocol/frame.hpp"
#include "protocol/session_parameters.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>

namespace pg_edge::protocol {

class relay_watch {
public:
  /// `keeps_server`: in session mode, and for replication, the session is bound to its server by its first query.
  explicit relay_watch(bool keeps_server = false) : keeps_server_(keeps_server) {}

  /// What the client has been told of its parameters when its session began, here or on another node.
  void begin(parameter_values_ptr told) { told_ = std::move(told); }
  /// Instead, before the first begin(): a session that was not relayed before, with what it had been told and has
  /// prepared. `all`: those are all its statements, and each can be told by a Parse.
  void resume(parameter_values_ptr told, std::map<std::string, bytes> statements, bool in_batch, bool all);
  /// Bytes of a logged-in client, in any pieces.
  void from_client(bytes_view in);
  /// Bytes to it, behind the opening of the session.
  void from_node(bytes_view in);

  /// Nothing is under way, and nothing is open.
  bool idle() const { return !doubtful() && to_client_.between(); }
  /// A statement or a message is under way, so its outcome would be unknown.
  bool doubtful() const { return outstanding_ != 0 || status_ != 'I' || in_batch_ || !to_node_.between(); }
  /// The client is in the midst of a message, so nothing may be put in between.
  bool in_midst_of_reply() const { return !to_client_.between(); }
  /// Another node can be told everything that the session is.
  bool can_move() const { return !lost_track_ && !confused_ && !(keeps_server_ && used_); }
  /// The client has been told in an error that this is the end.
  bool told_end() const { return told_end_; }
  /// The client has said that it goes.
  bool said_goodbye() const { return said_goodbye_; }

  /// Its parameters, as it was told last.
  const parameter_values_ptr& told() const { return told_; }
  /// The statements that it has prepared, by name, as Parse messages; "" is the one without a name.
  const std::map<std::string, bytes>& statements() const { return statements_; }

private:
  /// One direction: a header, then so many bytes of a body, of which some are kept.
  struct direction {
    char header[frame_header_size] = {};
    std::uint8_t header_size = 0;
    std::size_t body_left = 0;
    bool keep = false;
    bytes kept;
    bool between() const { return header_size == 0 && body_left == 0; }
  };
  /// What the client has sent and its node not yet answered, as far as it matters.
  struct sent {
    char type = 0; // P, C: of a statement, c: of a portal; Q, S: a ReadyForQuery will follow
    std::string name;
    bytes parse;
  };
  static constexpr std::size_t most_kept_body = 256 * 1024;
  static constexpr std::size_t most_kept_statements = 1024 * 1024;

  template <class Wanted, class Take>
  static void walk(direction& way, bytes_view in, Wanted wanted, Take take);
  void client_message(char type, bytes_view body, bool whole);
  void node_message(char type, bytes_view body, bool whole);
  void note_parse(bytes_view body, bool whole);
  void note_tag(bytes_view tag);
  void note_ready(bytes_view body);
  void answered(char kind);
  void keep_statement(sent what);
  void forget_statement(const std::string& name);
  void lose_track();

  direction to_node_, to_client_;
  parameter_values_ptr told_;
  std::map<std::string, bytes> statements_;
  std::deque<sent> sent_;
  std::size_t kept_bytes_ = 0;  // of statements, and of those that are not yet answered
  std::size_t outstanding_ = 0; // ReadyForQuery that are still to come
  char status_ = 'I';
  bool keeps_server_;
  bool used_ = false;
  bool in_batch_ = false;   // extended messages since the last Sync
  bool copy_in_ = false;    // Sync means nothing then
  bool lost_track_ = false; // of what it has prepared or listens to; DISCARD ALL ends that
  bool confused_ = false;   // of what is owed to it: for good
  bool told_end_ = false;
  bool said_goodbye_ = false;
};

} // namespace pg_edge::protocol
