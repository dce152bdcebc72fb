// Many byte streams on one connection between two nodes: frames, credit, and whose turn it is. It exists so that the
// clients of a node whose pools live on another share few connections, and none of them can hold up the others.
//
//   hello ──> (open ──> data, credit, signal ... ──> finish | reset)* ──> goodbye
//
// A frame is: Byte1 kind, Int32 stream (0: the connection itself), Int32 length of what follows. Numbers are on the
// wire and never change; kinds that this version does not know are skipped.
//
// - Credit: of each stream so many bytes may be under way as its reader has granted; a reader that stops costs its own
//   stream's window of memory and nothing else.
// - Fairness: streams with something to send take turns, a frame each; bytes wait with their owner until it is their
//   turn, never here. What waits here is at most `limit` of fill() and a few short frames a stream.
// - A stream ends when both sides have said finish, or one says reset. Its number is never used again.
// - Input is from another node, but nobody vouches for it: what breaks a rule is a sentence in broken(), and no more is
//   read.
#pragma once

#include "protocol/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace pg_edge::cluster {

using stream_id = std::uint32_t;

enum class stream_frame : std::uint8_t {
  hello = 1,   // see link_hello; the first frame, once
  open = 2,    // a new stream; what it is for is its opener's business
  data = 3,    // bytes of a stream
  credit = 4,  // Int32: so many more bytes may be sent
  finish = 5,  // no more data from this side
  reset = 6,   // the stream is over in both directions; why, as text
  ping = 7,    // Int64
  pong = 8,    // the same Int64
  signal = 9,  // beside the data and ahead of it; its meaning is the owner's. Stream 0: for the node
  goodbye = 10 // the connection is over; why, as text
};

inline constexpr std::uint16_t stream_version = 1;
inline constexpr std::size_t stream_header_size = 9;
/// With its header a whole frame fits into one TLS record.
inline constexpr std::size_t most_frame_body = 16 * 1024 - stream_header_size;
/// What may be under way of one stream in one direction. 64 MB/s at a millisecond's distance would need 64 KB.
inline constexpr std::uint32_t stream_window = 256 * 1024;
inline constexpr std::uint32_t most_streams = 200'000;

/// Who is at this end of a connection, and what it expects of the other.
struct link_hello {
  std::uint16_t version = stream_version; // it speaks this one and all before
  std::uint16_t node = 0;
  std::uint64_t incarnation = 0;        // another one after each start
  std::uint32_t window = stream_window; // of each stream; both sides have the same
  std::string cluster;
  bool operator==(const link_hello&) const = default;
};

/// Whoever owns the mux is told what came, from within feed().
class mux_events {
public:
  /// Says why the other node is not welcome; empty: it is.
  virtual std::string on_hello(const link_hello& other) = 0;
  virtual void on_open(stream_id which, protocol::bytes_view request) = 0;
  /// To be kept until used; consumed() gives the room back.
  virtual void on_data(stream_id which, protocol::bytes_view data) = 0;
  virtual void on_finish(stream_id which) = 0;
  virtual void on_reset(stream_id which, protocol::bytes_view why) = 0;
  virtual void on_signal(stream_id which, protocol::bytes_view what) = 0;
  virtual void on_pong(std::uint64_t token) = 0;

protected:
  ~mux_events() = default;
};

/// Where the bytes of streams wait.
class mux_source {
public:
  /// Appends up to `most` bytes of the stream to `out` and says how many.
  virtual std::size_t pull(stream_id which, protocol::bytes& out, std::size_t most) = 0;

protected:
  ~mux_source() = default;
};

class stream_mux {
public:
  enum class side : std::uint8_t { dialled, accepted };

  /// Says hello at once.
  stream_mux(side which, const link_hello& self);

  // -- to the other side
  // --------------------------------------------------------------------------------------------

  /// A new stream; nothing if there are too many, or the request is too long.
  [[nodiscard]] std::optional<stream_id> open(protocol::bytes_view request);
  /// The stream has something to send, or will end: it gets its turn in fill().
  void want_send(stream_id which);
  /// No more data will come than what its source still has.
  void finish(stream_id which);
  void reset(stream_id which, std::string_view why);
  void signal(stream_id which, protocol::bytes_view what);
  /// So many bytes of on_data() have been used.
  void consumed(stream_id which, std::size_t count);
  void ping(std::uint64_t token);
  void goodbye(std::string_view why);

  /// Appends what is to be sent to `out` until that holds `limit` bytes or there is nothing more.
  void fill(protocol::bytes& out, std::size_t limit, mux_source& source);
  bool wants_fill() const { return !control_.empty() || !turns_.empty() || pong_due_.has_value(); }

  // -- from the other side
  // ------------------------------------------------------------------------------------------

  /// What has come: how much of it is used up; the rest comes again with more behind it.
  std::size_t feed(protocol::bytes_view in, mux_events& events);
  /// Not empty: what the other side did wrong, or its goodbye. Nothing is read any more; fill() once more, for it is to
  /// hear why.
  const std::string& broken() const { return broken_; }
  /// Its hello has come and was welcome.
  bool greeted() const { return greeted_; }
  /// It said goodbye, so what broken() says are its words.
  bool dismissed() const { return dismissed_; }

  std::size_t streams() const { return streams_.size(); }
  bool exists(stream_id which) const { return streams_.contains(which); }

private:
  struct stream_state {
    std::uint32_t may_send = 0;    // credit we have
    std::uint32_t may_receive = 0; // credit the other side has
    std::uint32_t used = 0;        // consumed, and not yet granted anew
    bool queued = false;           // in turns_
    bool starved = false;          // wants to send and has no credit
    bool finishing = false;        // finish() was called
    bool finished = false;         // our finish is sent
    bool other_finished = false;
  };

  void put(stream_frame kind, stream_id which, protocol::bytes_view body);
  void take_turn(stream_id which, protocol::bytes& out, mux_source& source);
  void end_if_over(stream_id which);
  bool known(stream_id which);
  std::size_t feed_data(protocol::bytes_view in, mux_events& events);
  bool begin_data(stream_id which, std::uint32_t length);
  bool take_frame(stream_frame kind, stream_id which, protocol::bytes_view body, mux_events& events);
  bool take_hello(protocol::bytes_view body, mux_events& events);
  bool take_open(stream_id which, protocol::bytes_view body, mux_events& events);
  bool take_stream_frame(stream_frame kind, stream_id which, protocol::bytes_view body, mux_events& events);
  bool take_credit(stream_state& state, stream_id which, protocol::bytes_view body);
  bool fail(std::string why);

  std::unordered_map<stream_id, stream_state> streams_;
  std::deque<stream_id> turns_; // streams that want to send and may, oldest wish first
  protocol::bytes control_;     // frames that wait for no credit
  std::optional<std::uint64_t> pong_due_;
  std::string broken_;
  std::uint32_t window_;
  stream_id next_own_;         // even or odd
  stream_id newest_other_ = 0; // the last one the other side opened
  stream_id data_of_ = 0;      // whose data comes now
  std::uint32_t data_left_ = 0;
  bool greeted_ = false;
  bool dismissed_ = false;
};

/// As they stand on the wire, for who writes without a mux.
void append_frame(protocol::bytes& out, stream_frame kind, stream_id which, protocol::bytes_view body);
protocol::bytes encode(const link_hello& hello);
std::optional<link_hello> decode_hello(protocol::bytes_view body);

} // namespace pg_edge::cluster
