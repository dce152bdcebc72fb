#include "cluster/stream_mux.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace pg_edge::cluster {

namespace {

constexpr std::string_view hello_magic = "pgEL";

void put_u64(protocol::bytes& out, std::uint64_t value) {
  protocol::put_u32(out, static_cast<std::uint32_t>(value >> 32));
  protocol::put_u32(out, static_cast<std::uint32_t>(value));
}

std::uint64_t take_u64(protocol::reader& in) {
  const std::uint64_t high = in.u32();
  return high << 32 | in.u32();
}

} // namespace

// -- bytes
// -----------------------------------------------------------------------------------------------------------------

void append_frame(protocol::bytes& out, stream_frame kind, stream_id which, protocol::bytes_view body) {
  protocol::put_u8(out, static_cast<std::uint8_t>(kind));
  protocol::put_u32(out, which);
  protocol::put_u32(out, static_cast<std::uint32_t>(body.size()));
  out.append(body);
}

protocol::bytes encode(const link_hello& hello) {
  protocol::bytes out(hello_magic);
  protocol::put_u16(out, hello.version);
  protocol::put_u16(out, hello.node);
  put_u64(out, hello.incarnation);
  protocol::put_u32(out, hello.window);
  protocol::put_cstring(out, hello.cluster);
  return out;
}

/// What a later version adds behind the name is not looked at.
std::optional<link_hello> decode_hello(protocol::bytes_view body) {
  protocol::reader in(body);
  link_hello result;
  if (in.take(hello_magic.size()) != hello_magic) return std::nullopt;
  result.version = in.u16();
  result.node = in.u16();
  result.incarnation = take_u64(in);
  result.window = in.u32();
  result.cluster = in.cstring();
  if (!in.ok() || result.version == 0) return std::nullopt;
  return result;
}

// -- to the other side
// -----------------------------------------------------------------------------------------------------

stream_mux::stream_mux(side which, const link_hello& self)
    : window_(self.window), next_own_(which == side::dialled ? 1 : 2) {
  put(stream_frame::hello, 0, encode(self));
}

void stream_mux::put(stream_frame kind, stream_id which, protocol::bytes_view body) {
  if (broken_.empty()) append_frame(control_, kind, which, body.substr(0, most_frame_body));
}

std::optional<stream_id> stream_mux::open(protocol::bytes_view request) {
  const bool used_up = next_own_ > std::numeric_limits<stream_id>::max() - 2;
  if (!broken_.empty() || used_up || streams_.size() >= most_streams || request.size() > most_frame_body)
    return std::nullopt;
  const stream_id made = next_own_;
  next_own_ += 2;
  streams_[made] = {.may_send = window_, .may_receive = window_};
  put(stream_frame::open, made, request);
  return made;
}

void stream_mux::want_send(stream_id which) {
  const auto found = streams_.find(which);
  if (found == streams_.end() || found->second.finished || found->second.queued) return;
  if (found->second.may_send == 0) {
    found->second.starved = true;
    return;
  }
  found->second.queued = true;
  turns_.push_back(which);
}

void stream_mux::finish(stream_id which) {
  const auto found = streams_.find(which);
  if (found == streams_.end()) return;
  found->second.finishing = true;
  want_send(which);
}

void stream_mux::reset(stream_id which, std::string_view why) {
  if (streams_.erase(which) > 0) put(stream_frame::reset, which, why);
}

void stream_mux::signal(stream_id which, protocol::bytes_view what) {
  if (which == 0 || streams_.contains(which)) put(stream_frame::signal, which, what);
}

/// Room is given back in halves of the window, so that it does not cost a frame for every few bytes.
void stream_mux::consumed(stream_id which, std::size_t count) {
  const auto found = streams_.find(which);
  if (found == streams_.end() || found->second.other_finished) return;
  stream_state& state = found->second;
  state.used += static_cast<std::uint32_t>(count);
  if (state.used < window_ / 2) return;
  protocol::bytes body;
  protocol::put_u32(body, state.used);
  state.may_receive += state.used;
  state.used = 0;
  put(stream_frame::credit, which, body);
}

void stream_mux::ping(std::uint64_t token) {
  protocol::bytes body;
  put_u64(body, token);
  put(stream_frame::ping, 0, body);
}

void stream_mux::goodbye(std::string_view why) {
  put(stream_frame::goodbye, 0, why);
}

void stream_mux::fill(protocol::bytes& out, std::size_t limit, mux_source& source) {
  out.append(control_);
  control_.clear();
  if (control_.capacity() > most_frame_body) control_.shrink_to_fit();
  if (const auto token = std::exchange(pong_due_, std::nullopt)) {
    protocol::bytes body;
    put_u64(body, *token);
    append_frame(out, stream_frame::pong, 0, body);
  }
  if (!greeted_) return; // nobody knows yet who is there
  while (out.size() < limit && !turns_.empty()) {
    const stream_id which = turns_.front();
    turns_.pop_front();
    take_turn(which, out, source);
  }
}

/// A frame of one stream. One that had as much as it was allowed stands in line again.
void stream_mux::take_turn(stream_id which, protocol::bytes& out, mux_source& source) {
  const auto found = streams_.find(which);
  if (found == streams_.end()) return;
  stream_state& state = found->second;
  state.queued = false;
  const std::size_t most = std::min<std::size_t>(state.may_send, most_frame_body);
  const std::size_t begin = out.size();
  append_frame(out, stream_frame::data, which, {});
  const std::size_t got = source.pull(which, out, most);
  if (got == 0)
    out.resize(begin);
  else
    protocol::store_u32(out.data() + begin + stream_header_size - 4, static_cast<std::uint32_t>(got));
  state.may_send -= static_cast<std::uint32_t>(got);
  if (got == most && most > 0) return want_send(which);
  if (!state.finishing) return;
  state.finished = true;
  append_frame(out, stream_frame::finish, which, {});
  end_if_over(which);
}

void stream_mux::end_if_over(stream_id which) {
  const auto found = streams_.find(which);
  if (found != streams_.end() && found->second.finished && found->second.other_finished) streams_.erase(found);
}

// -- from the other side
// ---------------------------------------------------------------------------------------------------

bool stream_mux::fail(std::string why) {
  if (!dismissed_) goodbye(why);
  broken_ = std::move(why);
  return false;
}

std::size_t stream_mux::feed(protocol::bytes_view in, mux_events& events) {
  std::size_t used = broken_.empty() ? feed_data(in, events) : 0;
  while (broken_.empty() && in.size() - used >= stream_header_size) {
    const char* at = in.data() + used;
    const auto kind = static_cast<stream_frame>(static_cast<unsigned char>(at[0]));
    const stream_id which = protocol::load_u32(at + 1);
    const std::uint32_t length = protocol::load_u32(at + 5);
    if (!greeted_ && kind != stream_frame::hello && kind != stream_frame::goodbye) {
      fail("its first bytes are not those of a node");
      break;
    }
    if (length > most_frame_body) {
      fail("a frame of " + std::to_string(length) + " bytes");
      break;
    }
    if (kind == stream_frame::data) {
      used += stream_header_size;
      if (begin_data(which, length)) used += feed_data(in.substr(used), events);
      continue;
    }
    if (in.size() - used - stream_header_size < length) break;
    const protocol::bytes_view body = in.substr(used + stream_header_size, length);
    used += stream_header_size + length;
    take_frame(kind, which, body, events);
  }
  return broken_.empty() ? used : in.size();
}

/// The body of a frame of data, which is passed on as it comes: a link reads what there is, not whole frames.
std::size_t stream_mux::feed_data(protocol::bytes_view in, mux_events& events) {
  const protocol::bytes_view part = in.substr(0, data_left_);
  data_left_ -= static_cast<std::uint32_t>(part.size());
  if (!part.empty() && streams_.contains(data_of_)) events.on_data(data_of_, part);
  return part.size();
}

bool stream_mux::begin_data(stream_id which, std::uint32_t length) {
  data_of_ = which;
  data_left_ = length;
  const auto found = streams_.find(which);
  if (found == streams_.end()) return known(which);
  stream_state& state = found->second;
  if (state.other_finished) return fail("data behind the end of stream " + std::to_string(which));
  if (length > state.may_receive) return fail("stream " + std::to_string(which) + " sent more than it may");
  state.may_receive -= length;
  return true;
}

bool stream_mux::take_frame(stream_frame kind, stream_id which, protocol::bytes_view body, mux_events& events) {
  switch (kind) {
  case stream_frame::hello:
    return take_hello(body, events);
  case stream_frame::goodbye:
    dismissed_ = true;
    return fail(body.empty() ? "it said goodbye" : std::string(body));
  case stream_frame::ping:
  case stream_frame::pong: {
    protocol::reader in(body);
    const std::uint64_t token = take_u64(in);
    if (!in.ok()) return fail("a ping without its number");
    if (kind == stream_frame::pong)
      events.on_pong(token);
    else
      pong_due_ = token; // of many only the last is answered: who does not read cannot make us keep more
    return true;
  }
  case stream_frame::open:
    return take_open(which, body, events);
  case stream_frame::signal:
    if (which == 0) {
      events.on_signal(0, body);
      return true;
    }
    [[fallthrough]];
  case stream_frame::credit:
  case stream_frame::finish:
  case stream_frame::reset:
    return take_stream_frame(kind, which, body, events);
  case stream_frame::data: // by feed()
    break;
  }
  return true; // of a later version
}

bool stream_mux::take_hello(protocol::bytes_view body, mux_events& events) {
  if (greeted_) return fail("a second hello");
  const auto other = decode_hello(body);
  if (!other) return fail("its first bytes are not those of a node");
  if (other->window != window_) return fail("its streams have a window of " + std::to_string(other->window) + " bytes");
  if (std::string why = events.on_hello(*other); !why.empty()) return fail(std::move(why));
  greeted_ = true;
  return true;
}

bool stream_mux::take_open(stream_id which, protocol::bytes_view body, mux_events& events) {
  const bool its_own = which % 2 != next_own_ % 2 && which != 0;
  if (!its_own || which <= newest_other_) return fail("stream " + std::to_string(which) + " is not its to open");
  if (streams_.size() >= 2 * std::size_t{most_streams}) return fail("too many streams");
  newest_other_ = which;
  streams_[which] = {.may_send = window_, .may_receive = window_};
  events.on_open(which, body);
  return true;
}

/// Of a stream that is no more: we ended it while the frame was on its way. Else it never was.
bool stream_mux::known(stream_id which) {
  const bool own = which % 2 == next_own_ % 2;
  const bool was_opened = which != 0 && (own ? which < next_own_ : which <= newest_other_);
  return was_opened || fail("stream " + std::to_string(which) + " does not exist");
}

bool stream_mux::take_stream_frame(stream_frame kind, stream_id which, protocol::bytes_view body, mux_events& events) {
  const auto found = streams_.find(which);
  if (found == streams_.end()) return known(which);
  stream_state& state = found->second;
  switch (kind) {
  case stream_frame::credit:
    return take_credit(state, which, body);
  case stream_frame::finish:
    if (state.other_finished) return fail("stream " + std::to_string(which) + " ended twice");
    state.other_finished = true;
    events.on_finish(which);
    end_if_over(which);
    return true;
  case stream_frame::reset:
    streams_.erase(found);
    events.on_reset(which, body);
    return true;
  default:
    events.on_signal(which, body);
    return true;
  }
}

bool stream_mux::take_credit(stream_state& state, stream_id which, protocol::bytes_view body) {
  protocol::reader in(body);
  const std::uint32_t more = in.u32();
  if (!in.ok() || more == 0 || more > window_ || state.may_send > window_ - more)
    return fail("stream " + std::to_string(which) + " was granted more than its window");
  state.may_send += more;
  if (std::exchange(state.starved, false)) want_send(which);
  return true;
}

} // namespace pg_edge::cluster
