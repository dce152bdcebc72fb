#include "protocol/relay_watch.hpp"

#include "protocol/errors.hpp"
#include "protocol/messages.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace pg_edge::protocol {

namespace {

constexpr std::size_t length_size = 4;

std::size_t body_size(const char* header) {
  const std::uint32_t length = load_u32(header + 1);
  return length < length_size ? 0 : length - length_size; // its node refuses what is shorter
}

} // namespace

/// `wanted` says of a type and a size whether the body is to be whole; `take` gets it, or says that it was not kept.
template <class Wanted, class Take>
void relay_watch::walk(direction& way, bytes_view in, Wanted wanted, Take take) {
  while (!in.empty()) {
    if (way.between() && in.size() >= frame_header_size) { // nearly always: a message that is here as a whole
      const std::size_t size = body_size(in.data());
      if (in.size() - frame_header_size >= size) {
        take(in[0], in.substr(frame_header_size, size), true);
        in.remove_prefix(frame_header_size + size);
        continue;
      }
    }
    if (way.body_left == 0) {
      const std::size_t part = std::min<std::size_t>(frame_header_size - way.header_size, in.size());
      std::memcpy(way.header + way.header_size, in.data(), part);
      way.header_size = static_cast<std::uint8_t>(way.header_size + part);
      in.remove_prefix(part);
      if (way.header_size < frame_header_size) return;
      way.body_left = body_size(way.header);
      way.keep = wanted(way.header[0], way.body_left);
    }
    const std::size_t part = std::min(way.body_left, in.size());
    if (way.keep) way.kept.append(in.substr(0, part));
    way.body_left -= part;
    in.remove_prefix(part);
    if (way.body_left > 0) return;
    way.header_size = 0;
    const bytes body = std::exchange(way.kept, {});
    take(way.header[0], body, way.keep);
  }
}

void relay_watch::resume(parameter_values_ptr told, std::map<std::string, bytes> statements, bool in_batch, bool all) {
  told_ = std::move(told);
  in_batch_ = in_batch;
  for (auto& [name, parse] : statements)
    keep_statement({'P', name, std::move(parse)});
  if (!all || kept_bytes_ > most_kept_statements) lose_track();
}

// -- from the client
// ----------------------------------------------------------------------------------------------------------------

void relay_watch::from_client(bytes_view in) {
  walk(
      to_node_, in, [](char type, std::size_t size) { return (type == 'P' || type == 'C') && size <= most_kept_body; },
      [this](char type, bytes_view body, bool whole) { client_message(type, body, whole); });
}

void relay_watch::client_message(char type, bytes_view body, bool whole) {
  used_ = true;
  switch (type) {
  case 'Q':
  case 'F':
    ++outstanding_;
    sent_.push_back({'Q', {}, {}});
    break;
  case 'S':
    if (copy_in_) { // whether it is answered depends on whether the COPY has failed already
      confused_ = true;
      break;
    }
    ++outstanding_;
    in_batch_ = false;
    sent_.push_back({'S', {}, {}});
    break;
  case 'P':
    in_batch_ = true;
    note_parse(body, whole);
    break;
  case 'C': {
    in_batch_ = true;
    reader in(body.substr(std::min<std::size_t>(body.size(), 1)));
    sent_.push_back({!body.empty() && body[0] == 'S' ? 'C' : 'c', std::string(in.cstring()), {}});
    break;
  }
  case 'B':
  case 'D':
  case 'E':
  case 'H':
    in_batch_ = true;
    break;
  case 'c':
  case 'f':
    copy_in_ = false;
    break;
  case 'X':
    said_goodbye_ = true;
    break;
  default:
    break;
  }
}

/// It counts when Postgres has accepted it.
void relay_watch::note_parse(bytes_view body, bool whole) {
  reader in(body);
  sent what{'P', std::string(in.cstring()), {}};
  if (!whole) {
    lose_track();
  } else if (!lost_track_) {
    put_u8(what.parse, 'P');
    put_u32(what.parse, static_cast<std::uint32_t>(body.size() + length_size));
    what.parse.append(body);
    kept_bytes_ += what.parse.size();
    if (kept_bytes_ > most_kept_statements) {
      lose_track();
      what.parse.clear();
    }
  }
  sent_.push_back(std::move(what));
}

// -- from its node
// ------------------------------------------------------------------------------------------------------------------

void relay_watch::from_node(bytes_view in) {
  walk(
      to_client_, in,
      [](char type, std::size_t size) {
        return (type == 'Z' || type == 'S' || type == 'C' || type == 'E') && size <= most_kept_body;
      },
      [this](char type, bytes_view body, bool whole) { node_message(type, body, whole); });
}

void relay_watch::node_message(char type, bytes_view body, bool whole) {
  switch (type) {
  case 'Z':
    note_ready(body);
    break;
  case '1':
    answered('P');
    break;
  case '3':
    answered('C');
    break;
  case 'C':
    note_tag(body);
    break;
  case 'E':
    if (!whole || error_field(body, 'S') == "FATAL") told_end_ = true;
    break;
  case 'G':
  case 'W':
    copy_in_ = true;
    break;
  case 'S':
    if (whole) {
      reader in(body);
      const bytes_view name = in.cstring(), value = in.cstring();
      if (in.ok()) told_ = with(told_, name, value);
    }
    break;
  default:
    break;
  }
}

/// Answers come in order, but none of what the server skips behind an error.
void relay_watch::note_ready(bytes_view body) {
  status_ = body.empty() ? 'E' : body[0];
  copy_in_ = false;
  if (outstanding_ == 0) {
    confused_ = true;
    return;
  }
  --outstanding_;
  while (!sent_.empty()) {
    const sent what = std::move(sent_.front());
    sent_.pop_front();
    kept_bytes_ -= what.parse.size();
    if (what.type == 'Q') forget_statement({}); // a simple query ends the one without a name
    if (what.type == 'Q' || what.type == 'S') return;
  }
}

void relay_watch::answered(char kind) {
  sent what;
  if (!sent_.empty()) {
    what = std::move(sent_.front());
    sent_.pop_front();
    kept_bytes_ -= what.parse.size();
  }
  if (kind == 'P' && what.type == 'P')
    keep_statement(std::move(what));
  else if (kind == 'C' && what.type == 'C')
    forget_statement(what.name);
  else if (kind != 'C' || what.type != 'c')
    confused_ = true;
}

/// What SQL does to prepared statements and notifications is seen by its tag.
void relay_watch::note_tag(bytes_view body) {
  if (body.empty() || (body[0] != 'D' && body[0] != 'P' && body[0] != 'L')) return;
  reader in(body);
  const bytes_view tag = in.cstring();
  if (tag == "DISCARD ALL" || tag == "DEALLOCATE ALL") {
    while (!statements_.empty())
      forget_statement(std::string(statements_.begin()->first));
    if (tag == "DISCARD ALL") lost_track_ = false;
  } else if (tag == "PREPARE" || tag == "DEALLOCATE" || tag == "LISTEN") {
    lose_track();
  }
}

// -- statements
// ------------------------------------------------------------------------------------------------------------------

void relay_watch::keep_statement(sent what) {
  if (lost_track_ || what.parse.empty()) return;
  forget_statement(what.name);
  kept_bytes_ += what.parse.size();
  statements_[std::move(what.name)] = std::move(what.parse);
}

void relay_watch::forget_statement(const std::string& name) {
  const auto found = statements_.find(name);
  if (found == statements_.end()) return;
  kept_bytes_ -= found->second.size();
  statements_.erase(found);
}

void relay_watch::lose_track() {
  lost_track_ = true;
  while (!statements_.empty())
    forget_statement(std::string(statements_.begin()->first));
}

} // namespace pg_edge::protocol
