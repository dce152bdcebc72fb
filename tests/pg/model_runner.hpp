// Runs several clients' sequences at once against one port, and writes down what each of them saw, normalised where two
// servers must differ:
//   - ParameterStatus is folded into the next ReadyForQuery: a pooler tells a change where it learns of it, and one
//   that
//     came and went within a batch not at all. is_superuser, session_authorization and the like are the server's.
//   - the process id of a NotificationResponse is left out: behind a pooler it is the server's, not the session's.
// Everything else is compared to the byte, and in its order: notices, the fields of errors, table numbers.
#pragma once

#include "tests/pg/model_sequence.hpp"

#include <cerrno>
#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <poll.h>
#include <sys/socket.h>

namespace pg_edge::test::model {

/// One client of a run: what it begins with, and what it sends.
struct script {
  start_parameters startup;
  sequence items;
};

/// One line a message.
using transcript = std::vector<std::string>;

inline std::string printable(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes.substr(0, 300)) {
    const auto u = static_cast<unsigned char>(c);
    if (u >= 0x20 && u < 0x7f && c != '\\')
      out += c;
    else
      ((out += '\\') += digits[u >> 4]) += digits[u & 15];
  }
  if (bytes.size() > 300) out += "... " + std::to_string(std::hash<std::string_view>()(bytes));
  return out;
}

/// A client that is driven without blocking.
class party {
public:
  party(std::uint16_t port, const script& what, std::uint64_t seed, bool in_pieces)
      : port_(port), items_(what.items), random_(seed), in_pieces_(in_pieces), client_(port) {
    start_parameters all{{"user", "trust_user"}, {"database", "app"}};
    all.insert(all.end(), what.startup.begin(), what.startup.end());
    for (const wire_message& message : client_.try_startup(all))
      if (message.type == 'S')
        note_parameter(message.body);
      else if (message.type == 'E')
        end("login: " + error_field(message, 'M'));
    items_.push_back(
        {item::what::bytes, "end",
         copy_fail_bytes("the end") + sync_bytes() + query_bytes("rollback") + query_bytes("select 'the end of it'"),
         0});
    // What ends the connection comes behind the rest.
    for (auto at = items_.begin(); at != items_.end(); ++at)
      if (at->kind == item::what::cut_off || at->kind == item::what::terminate) {
        const item last = *at;
        items_.erase(at);
        items_.push_back(last);
        break;
      }
    heard_at_ = clock::now();
  }

  bool over() const { return over_; }
  int descriptor() const { return client_.descriptor(); }
  bool wants_to_write() const { return !out_.empty(); }
  const transcript& lines() const { return lines_; }
  void give_up() { end("no answer in time"); }

  void advance() {
    read();
    if (over_) return;
    if (asleep_ && clock::now() - cancelled_at_ > std::chrono::seconds(4)) { // again, should one have been too early
      cancelled_at_ = clock::now();
      cancel();
    }
    write();
    while (!over_ && out_.empty() && at_ < items_.size() && next(items_[at_]))
      ++at_;
    write();
    if (at_ == items_.size() && the_end_ && !must_close_) end("");
  }

private:
  using clock = std::chrono::steady_clock;

  /// Makes room for those who wait for a server.
  void end(const std::string& why) {
    if (!why.empty()) lines_.push_back(why);
    over_ = true;
    client_.close();
  }

  /// False: not yet.
  bool next(const item& what) {
    switch (what.kind) {
    case item::what::bytes:
      out_ += what.bytes;
      asked_ += what.readies;
      return true;
    case item::what::wait:
      return !in_pieces_ || answered() || quiet_for(6);
    case item::what::cancel_idle:
      if (!answered() && !quiet_for(30)) return false;
      if (answered()) cancel();
      return true;
    case item::what::cancel_running: // if the query waits for a server, advance() cancels it later
      return answered() || (!asleep_ && quiet_for(30));
    default: // the end of the connection
      if (!the_end_) return false;
      must_close_ = true;
      if (what.kind == item::what::terminate) {
        out_ += terminate_bytes();
      } else {
        out_ += what.bytes;
        write_all();
        ::shutdown(descriptor(), SHUT_WR);
      }
      return true;
    }
  }

  bool answered() const { return readies_ >= asked_; }
  bool quiet_for(int limit) const { return clock::now() - heard_at_ > std::chrono::milliseconds(limit); }
  void cancel() { send_cancel(port_, client_.backend_pid(), client_.secret(), milliseconds(3000)); }

  void write() {
    while (!out_.empty() && !over_) {
      if (in_pieces_ && clock::now() < not_before_) return;
      std::size_t size = out_.size();
      if (in_pieces_ && random_() % 2 == 0) {
        size = 1 + random_() % std::min<std::size_t>(size, random_() % 3 == 0 ? 4 : 200);
        if (random_() % 4 == 0) not_before_ = clock::now() + std::chrono::microseconds(random_() % 700);
      }
      const ssize_t sent = ::send(descriptor(), out_.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) out_.clear(); // closed: what it said is still to be read
        return;
      }
      heard_at_ = clock::now();
      out_.erase(0, static_cast<std::size_t>(sent));
    }
  }

  void write_all() {
    in_pieces_ = false;
    write();
  }

  void read() {
    char buffer[65536];
    for (;;) {
      const ssize_t got = ::recv(descriptor(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
      if (got <= 0) {
        take_messages();
        return end(in_.empty() ? "closed" : "closed within a message");
      }
      in_.append(buffer, static_cast<std::size_t>(got));
      heard_at_ = clock::now();
    }
    take_messages();
  }

  void take_messages() {
    std::size_t at = 0;
    while (in_.size() - at >= 5) {
      std::uint32_t length = 0;
      for (int i = 1; i < 5; ++i)
        length = length << 8 | static_cast<unsigned char>(in_[at + i]);
      if (in_.size() - at < length + 1ul) break;
      take({in_[at], in_.substr(at + 5, length - 4)});
      at += length + 1ul;
    }
    in_.erase(0, at);
  }

  void note_parameter(const std::string& body) {
    const std::string name = body.c_str();
    parameters_[name] = body.substr(name.size() + 1).c_str();
  }

  void take(const wire_message& message) {
    switch (message.type) {
    case 'S':
      return note_parameter(message.body);
    case 'Z': {
      ++readies_;
      std::string line = "Z " + message.body;
      for (const auto& [name, value] : parameters_)
        if (name != "is_superuser" && name != "session_authorization" && name != "in_hot_standby" &&
            name != "default_transaction_read_only")
          line += " " + name.substr(0, 4) + "=" + value;
      lines_.push_back(line);
      if (the_row_) the_end_ = true;
      return;
    }
    case 'A':
      lines_.push_back("A " + printable(message.body.substr(4)));
      return;
    case 'N':
      if (error_field(message, 'M') == "asleep") asleep_ = true, cancelled_at_ = {};
      break;
    case 'E':
      asleep_ = false;
      break;
    case 'D':
      the_row_ = the_row_ || message.body.find("the end of it") != std::string::npos;
      break;
    default:
      break;
    }
    lines_.push_back(std::string(1, message.type) + " " + printable(message.body));
  }

  std::uint16_t port_;
  sequence items_;
  std::mt19937_64 random_;
  bool in_pieces_;
  wire_client client_;
  std::size_t at_ = 0;
  std::string out_, in_;
  int asked_ = 0, readies_ = 0;
  bool asleep_ = false, the_row_ = false, the_end_ = false, must_close_ = false, over_ = false;
  clock::time_point heard_at_, not_before_{}, cancelled_at_{};
  std::map<std::string, std::string> parameters_;
  transcript lines_;
};

/// All at once, from one thread. `in_pieces`: segments and waiting are at random; else everything is sent ahead.
inline std::vector<transcript> run(std::uint16_t port, const std::vector<script>& scripts, std::uint64_t seed,
                                   bool in_pieces) {
  std::list<party> all;
  for (const script& one : scripts)
    all.emplace_back(port, one, ++seed, in_pieces);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (bool moving = true; moving;) {
    moving = false;
    std::vector<pollfd> watched;
    for (party& one : all) {
      if (!one.over()) one.advance();
      if (one.over()) continue;
      moving = true;
      watched.push_back({one.descriptor(), POLLIN, 0});
    }
    if (moving) ::poll(watched.data(), watched.size(), 1);
    if (std::chrono::steady_clock::now() > end)
      for (party& one : all)
        if (!one.over()) one.give_up();
  }
  std::vector<transcript> result;
  for (const party& one : all)
    result.push_back(one.lines());
  return result;
}

} // namespace pg_edge::test::model
